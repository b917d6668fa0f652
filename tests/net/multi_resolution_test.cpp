// Nets whose dense layers see several scales: frame equals patches, and gradients are right.
#include <support/types.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <septum/net/ensemble.hpp>
#include <septum/nn/variant_nets.hpp>
#include <septum/train/gradient.hpp>
#include <vector>

namespace sp = septum;

namespace {

// Taps behind a pool with an even map (14 -> middle 6), an odd one, and in front of any pool.
struct several_scales
    : sp::stack<sp::input<2>, sp::conv<3, 4>, sp::batch_norm, sp::relu, sp::tap<3>, sp::max_pool<2>,
                sp::tap<0>, sp::conv<4, 3>, sp::relu, sp::max_pool<2>, sp::tap<1>, sp::conv<5, 3>,
                sp::batch_norm, sp::relu, sp::gather<1, 3, 0>, sp::dense<6>, sp::batch_norm,
                sp::relu, sp::dense<3>, sp::softmax> {};
static_assert(several_scales::receptive_field == 19);
static_assert(several_scales::patch_rows[13].out == sp::shape{1, 1, 5 + 4 + 3 + 3});
static_assert(several_scales::signature == sp::fully_convolutional_t<several_scales>::signature);
static_assert(sp::bn_multires_feature_net_61x61<2>::receptive_field == 61);
static_assert(sp::bn_multires_feature_net_31x31<>::patch_rows.back().out == sp::shape{1, 1, 3});
static_assert(sp::bn_feature_net_41x41<>::receptive_field == 41);
static_assert(sp::bn_feature_net_21x21<>::receptive_field == 21);
// The published counts of the nets without batch norm (the weights of the paper's repository).
static_assert(sp::feature_net_31x31<>::parameter_count == 401'227);
static_assert(sp::feature_net_61x61<>::parameter_count == 459'755);
static_assert(sp::feature_net_61x61<2>::parameter_count == 460'331);
static_assert(sp::dropout_feature_net_61x61<>::parameter_count == 459'755);

template <class T>
std::vector<T> random_parameters() {
  auto parameters = sp::he_normal<several_scales, T>({7, 1});
  sp::counter_rng const rng{7, 99};
  for (auto const& slice : sp::parameter_slices<several_scales>())
    if (slice.role != sp::parameter_role::weight)
      for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i)
        parameters[i] += static_cast<T>(0.4 * rng.uniform(i));
  return parameters;
}

template <class T>
std::vector<T> random_pixels(int height, int width) {
  sp::counter_rng const rng{5, 5};
  std::vector<T> pixels(static_cast<std::size_t>(height * width * 2));
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = static_cast<T>(static_cast<float>(rng.normal(i)));
  return pixels;
}

template <class S, class B, class T>
std::vector<T> run(std::vector<T> const& parameters, std::vector<T> const& pixels, int height,
                   int width) {
  sp::net<S, B, T> net;
  net.prepare(1, height, width);
  auto const out = net.output();
  std::vector<T> result(out.size());
  net.forward(net.pack(parameters), {pixels.data(), {1, height, width, 2}},
              {result.data(), {1, out.height, out.width, out.channels}});
  return result;
}

template <class B, class T>
void frame_equals_patches(double tolerance) {
  constexpr int field = several_scales::receptive_field;
  auto const parameters = random_parameters<T>();
  for (int const height : {19, 24, 41})
    for (int const width : {20, 27}) {
      auto const pixels = random_pixels<T>(height, width);
      auto const frame = run<sp::fused_t<sp::fully_convolutional_t<several_scales>>, B, T>(
          sp::fold_batch_norm<several_scales, T>(parameters), pixels, height, width);
      for (int r = 0; r + field <= height; ++r)
        for (int c = 0; c + field <= width; ++c) {
          std::vector<T> patch;
          for (int i = 0; i < field; ++i)
            for (int j = 0; j < 2 * field; ++j)
              patch.push_back(pixels[static_cast<std::size_t>(((r + i) * width + c) * 2 + j)]);
          auto const single =
              run<sp::base_stack_t<several_scales>, B, T>(parameters, patch, field, field);
          for (std::size_t k = 0; k < 3; ++k) {
            auto const at = static_cast<std::size_t>(r * (width - field + 1) + c) * 3 + k;
            BOOST_REQUIRE_SMALL(static_cast<double>(frame[at] - single[k]), tolerance);
          }
        }
    }
}

template <class S>
void gradient_equals_differences(int side) {
  auto const parameters = random_parameters<double>();
  int const outputs = side - several_scales::receptive_field + 1;
  auto const pixels = random_pixels<double>(2 * side, side);
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(2 * outputs * outputs));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::uint8_t>(i % 3);
  std::vector<double> gradient(parameters.size());
  std::vector<double> unused(parameters.size());
  auto const loss = [&](std::vector<double> const& at, std::vector<double>& slopes) {
    sp::gradient_net<S, sp::reference, double> net;
    return net(at, {pixels.data(), {2, side, side, 2}}, labels, sp::cross_entropy{}, slopes, {1, 2})
        .mean();
  };
  (void)loss(parameters, gradient);
  constexpr double step = 1e-6;
  for (auto const& slice : sp::parameter_slices<several_scales>()) {
    if (!slice.trainable) continue;
    for (std::size_t i = slice.offset; i < slice.offset + slice.count; i += 3) {
      auto moved = parameters;
      moved[i] += step;
      double const above = loss(moved, unused);
      moved[i] -= 2.0 * step;
      double const expected = (above - loss(moved, unused)) / (2.0 * step);
      BOOST_TEST_CONTEXT(slice.name << " value " << i - slice.offset) {
        BOOST_TEST(std::abs(gradient[i] - expected) <= 1e-7 + 1e-5 * std::abs(expected));
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(multi_resolution)

BOOST_AUTO_TEST_CASE(frame_equals_patches_in_double) {
  frame_equals_patches<sp::reference, double>(1e-12);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(frame_equals_patches_on_every_backend, B, tested_backends) {
  frame_equals_patches<B, float>(1e-5);
}

BOOST_AUTO_TEST_CASE(patch_gradient_equals_central_differences) {
  gradient_equals_differences<several_scales>(19);
}

BOOST_AUTO_TEST_CASE(dense_gradient_equals_central_differences) {
  gradient_equals_differences<sp::fully_convolutional_t<several_scales>>(21);
}

BOOST_AUTO_TEST_CASE(a_gathered_pixel_is_the_middle_of_the_tapped_map) {
  // One filter that copies, a pool, and a gather: the output holds the pooled map's middle.
  struct copies : sp::stack<sp::input<1, 6>, sp::tap<0>, sp::max_pool<2>, sp::tap<1>,
                            sp::conv<1, 3>, sp::gather<0, 1>> {};
  std::vector<double> pixels(36);
  for (std::size_t i = 0; i < 36; ++i) pixels[i] = static_cast<double>(i);
  std::vector<double> parameters(10, 0.0);
  parameters[9] = 100.0;
  sp::net<copies, sp::reference, double> net;
  net.prepare(1, 6, 6);
  std::vector<double> result(3);
  net.forward(net.pack(parameters), {pixels.data(), {1, 6, 6, 1}}, {result.data(), {1, 1, 1, 3}});
  // Middle of 6x6: row 2, column 2. Pooled 3x3: rows 2-3, columns 2-3, largest 21.
  BOOST_TEST(result == (std::vector<double>{100.0, 14.0, 21.0}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
