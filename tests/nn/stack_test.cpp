#include <boost/test/unit_test.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/nn/transform.hpp>
#include <type_traits>

namespace sp = septum;

namespace {

using bacteria = sp::bn_feature_net_31x31<>;
using cytoplasm = sp::bn_feature_net_61x61<2, 3>;

struct plain_31
    : sp::stack<sp::input<1>, sp::conv<32, 4>, sp::relu, sp::max_pool<2>, sp::conv<64, 3>, sp::relu,
                sp::conv<64, 3>, sp::relu, sp::max_pool<2>, sp::conv<128, 3>, sp::relu,
                sp::conv<200, 3>, sp::relu, sp::dense<200>, sp::relu, sp::dense<3>, sp::softmax> {};

template <class S>
constexpr auto rows_of_frame = sp::fully_convolutional_t<S>::rows(1080, 1280);

}  // namespace

BOOST_AUTO_TEST_SUITE(stack)

BOOST_AUTO_TEST_CASE(published_nets_have_the_published_numbers) {
  static_assert(bacteria::receptive_field == 31 && cytoplasm::receptive_field == 61);
  BOOST_TEST(bacteria::parameter_count == 403'979U);
  BOOST_TEST((sp::bn_feature_net_31x31<5>::parameter_count) == 406'027U);
  BOOST_TEST((sp::bn_feature_net_61x61<1>::parameter_count) == 462'891U);
  BOOST_TEST(cytoplasm::parameter_count == 463'467U);
  BOOST_TEST((sp::bn_feature_net_61x61<2, 4>::parameter_count) == 463'668U);
  BOOST_TEST(plain_31::parameter_count == 401'227U);
  BOOST_TEST((bacteria::output == sp::shape{1, 1, 3}));
  BOOST_TEST((sp::bn_feature_net_61x61<2, 4>::output == sp::shape{1, 1, 4}));
}

BOOST_AUTO_TEST_CASE(patch_maps_of_the_31_net) {
  // published-nets table: 28, pool 14, 12, 10, pool 5, 3, 1.
  constexpr int expected[] = {28, 28, 28, 14, 12, 12, 12, 10, 10, 10, 5,
                              3,  3,  3,  1,  1,  1,  1,  1,  1,  1,  1};
  static_assert(std::size(expected) == bacteria::depth);
  for (std::size_t k = 0; k < std::size(expected); ++k)
    BOOST_TEST(bacteria::patch_rows[k].out.height == expected[k]);
}

BOOST_AUTO_TEST_CASE(fully_convolutional_form) {
  using frame = sp::fully_convolutional_t<cytoplasm>;
  static_assert(std::is_same_v<sp::fully_convolutional_t<frame>, frame>, "idempotent");
  static_assert(frame::receptive_field == 61);
  BOOST_TEST((rows_of_frame<cytoplasm>.back().out == sp::shape{1020, 1220, 3}));
  BOOST_TEST(frame::parameter_count == cytoplasm::parameter_count);
  BOOST_TEST(frame::signature == cytoplasm::signature);
  // Dilation doubles after every pool; the last convolution of the 61 net is dilated 8 times.
  std::vector<int> dilations;
  for (auto const& row : frame::patch_rows)
    if (row.geometry.kernel > 2) dilations.push_back(row.geometry.dilation);
  std::vector<int> const expected{1, 1, 2, 2, 4, 4, 8};
  BOOST_TEST(dilations == expected, boost::test_tools::per_element());
  for (auto const& row : frame::patch_rows) BOOST_TEST(row.geometry.stride == 1);
}

BOOST_AUTO_TEST_CASE(fusion) {
  using fused = sp::fused_t<bacteria>;
  using folded_like =
      sp::stack<sp::input<1>, sp::with_relu<sp::conv<32, 4>>, sp::max_pool<2>,
                sp::with_relu<sp::conv<64, 3>>, sp::with_relu<sp::conv<64, 3>>, sp::max_pool<2>,
                sp::with_relu<sp::conv<128, 3>>, sp::with_relu<sp::conv<200, 3>>,
                sp::with_relu<sp::dense<200>>, sp::dense<3>, sp::softmax>;
  static_assert(std::is_same_v<fused, folded_like>);
  BOOST_TEST(fused::parameter_count == plain_31::parameter_count);
  using training = sp::training_t<bacteria>;
  BOOST_TEST(training::parameter_count == bacteria::parameter_count);
  BOOST_TEST(training::depth == bacteria::depth - 1 - 6);
  struct odd : sp::stack<sp::input<1, 4>, sp::batch_norm, sp::relu, sp::conv<2, 4>, sp::dropout<50>,
                         sp::relu, sp::dense<2>> {};
  // The norm has no convolution before it and stays; dropout vanishes in inference.
  static_assert(
      std::is_same_v<sp::fused_t<odd>, sp::stack<sp::input<1, 4>, sp::batch_norm, sp::relu,
                                                 sp::with_relu<sp::conv<2, 4>>, sp::dense<2>>>);
}

BOOST_AUTO_TEST_CASE(signature_tells_nets_apart) {
  BOOST_TEST(bacteria::signature != plain_31::signature);
  BOOST_TEST(bacteria::signature != (sp::bn_feature_net_31x31<2>::signature));
  BOOST_TEST(cytoplasm::signature != (sp::bn_feature_net_61x61<2, 4>::signature));
  BOOST_TEST(bacteria::signature == (sp::bn_feature_net_31x31<1, 3>::signature));
}

BOOST_AUTO_TEST_CASE(activation_bytes_of_a_whole_frame) {
  // design fact: two maps of about 1 GB at the last convolution of the 61 net on 1080 x 1280.
  using frame = sp::fused_t<sp::fully_convolutional_t<cytoplasm>>;
  std::size_t const last = std::size_t{1020} * 1220 * (200 + 200) * 4;
  BOOST_TEST(frame::activation_bytes(1080, 1280) == last);
}

BOOST_AUTO_TEST_CASE(parameters_do_not_overlap) {
  std::size_t offset = 0;
  for (auto const& row : cytoplasm::patch_rows) {
    BOOST_TEST(row.offset == offset);
    BOOST_TEST(row.trainable <= row.count);
    offset += row.count;
  }
  BOOST_TEST(offset == cytoplasm::parameter_count);
}

BOOST_AUTO_TEST_SUITE_END()
