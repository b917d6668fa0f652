#include <boost/test/unit_test.hpp>
#include <cmath>
#include <septum/backend/reference.hpp>
#include <septum/net/parameters.hpp>
#include <septum/train/gradient.hpp>
#include <vector>

#include "../support/gradient_check.hpp"

namespace sp = septum;

namespace {

struct small_net
    : sp::stack<sp::input<2>, sp::conv<3, 4>, sp::batch_norm, sp::relu, sp::max_pool<2>,
                sp::conv<4, 3>, sp::relu, sp::conv<5, 2>, sp::batch_norm, sp::dropout<30>,
                sp::dense<6>, sp::batch_norm, sp::relu, sp::dense<3>, sp::softmax> {};

template <class S>
struct setup {
  static constexpr int side = sp::base_stack_t<S>::patch;
  static constexpr int channels = sp::base_stack_t<S>::input_channels;
  static constexpr int batch = 5;
  std::vector<double> parameters = sp::he_normal<S, double>({3, 1});
  std::vector<double> pixels;
  std::vector<std::uint8_t> labels{0, 1, 2, 1, 0};

  setup() {
    sp::counter_rng const rng{11, 4};
    for (auto const& slice : sp::parameter_slices<S>())
      if (slice.role != sp::parameter_role::weight)
        for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i)
          parameters[i] += 0.3 * rng.uniform(1000 + i);
    pixels.resize(static_cast<std::size_t>(batch * side * side * channels));
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = rng.normal(i);
  }
  sp::loss_sums evaluate(std::vector<double> const& at, std::span<double const> weights,
                         std::vector<double>& gradient) const {
    sp::gradient_net<S, sp::reference, double> net;
    gradient.assign(at.size(), 0.0);
    return net(at, {pixels.data(), {batch, side, side, channels}}, labels,
               sp::cross_entropy{weights}, gradient, {21, sp::stream::dropout});
  }
};

template <class S>
void compare_net_with_central_differences(std::span<double const> weights = {}) {
  setup<S> const given;
  std::vector<double> gradient;
  std::vector<double> unused;
  BOOST_TEST(given.evaluate(given.parameters, weights, gradient).count == given.batch);
  compare_with_central_differences<S>(given.parameters, gradient, [&](auto const& moved) {
    return given.evaluate(moved, weights, unused).mean();
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradient)

BOOST_AUTO_TEST_CASE(whole_net_equals_central_differences) {
  compare_net_with_central_differences<small_net>();
}

BOOST_AUTO_TEST_CASE(class_weights_scale_the_gradient) {
  std::vector<double> const weights{0.5, 2.0, 1.25};
  compare_net_with_central_differences<small_net>(weights);
}

BOOST_AUTO_TEST_CASE(batch_norm_leaves_the_batch_statistics) {
  // One convolution of weight 1 and bias 0: the statistics are those of the pixels themselves.
  struct copy_net
      : sp::stack<sp::input<1>, sp::conv<1, 1>, sp::batch_norm, sp::dense<2>, sp::softmax> {};
  setup<copy_net> given;
  given.parameters[0] = 1.0;
  given.parameters[1] = 0.0;
  given.labels = {0, 1, 1, 1, 0};
  std::vector<double> gradient;
  (void)given.evaluate(given.parameters, {}, gradient);
  double mean = 0.0;
  double variance = 0.0;
  for (double const pixel : given.pixels) mean += pixel / 5.0;
  for (double const pixel : given.pixels) variance += (pixel - mean) * (pixel - mean) / 5.0;
  BOOST_TEST(gradient[4] == mean, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(gradient[5] == std::sqrt(variance + 1e-6), boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(ignored_labels_take_no_part) {
  setup<small_net> given;
  std::vector<double> gradient;
  given.labels = {0, sp::ignored_label, 2, sp::ignored_label, 0};
  auto const sums = given.evaluate(given.parameters, {}, gradient);
  BOOST_TEST(sums.count == 3);
  BOOST_TEST(sums.weight == 3.0);
  given.labels = {0, 9, 2, 1, 0};
  BOOST_CHECK_THROW((void)given.evaluate(given.parameters, {}, gradient), sp::shape_error);
}

BOOST_AUTO_TEST_CASE(cross_entropy_in_closed_form) {
  // Logits (ln 1, ln 2, ln 5): probabilities 1/8, 2/8, 5/8.
  std::vector<double> const logits{std::log(1.0), std::log(2.0), std::log(5.0), 0.0, 0.0, 0.0};
  std::vector<double> slope(6);
  std::vector<std::uint8_t> const labels{1, 0};
  auto const sums = sp::cross_entropy{}.operator()<double>({logits.data(), {2, 1, 1, 3}}, labels,
                                                           {slope.data(), {2, 1, 1, 3}});
  BOOST_TEST(sums.loss == std::log(4.0) + std::log(3.0), boost::test_tools::tolerance(1e-12));
  BOOST_TEST(sums.correct == 1);
  std::vector<double> const expected{0.0625, -0.375, 0.3125, -1.0 / 3, 1.0 / 6, 1.0 / 6};
  for (std::size_t i = 0; i < 6; ++i)
    BOOST_TEST(slope[i] == expected[i], boost::test_tools::tolerance(1e-12));
  // Keras clips the probability at 1e-7.
  std::vector<double> const hopeless{100.0, 0.0};
  BOOST_TEST(
      (sp::cross_entropy{}
           .
           operator()<double>({hopeless.data(), {1, 1, 1, 2}}, std::vector<std::uint8_t>{1}, {})
           .loss == -std::log(1e-7)),
      boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_SUITE_END()
