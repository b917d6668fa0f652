// Whole nets that hold their maps in bfloat16: inference and gradients beside those in float, and
// the same bytes for any tiles and thread count.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <septum/backend/eigen.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/train/gradient.hpp>
#include <string>
#include <vector>

#include "support/bfloat16_instructions.hpp"

namespace {

using septum::convolution_algorithm;
using septum::eigen;
using septum::host_precision;

// A field of 18 with every kind of layer: dropout and 5 channels keep their maps in float.
struct mixed_net
    : septum::stack<septum::input<1>, septum::conv<32, 3>, septum::batch_norm, septum::relu,
                    septum::max_pool<2>, septum::conv<32, 3>, septum::relu, septum::max_pool<2>,
                    septum::conv<5, 3>, septum::batch_norm, septum::relu, septum::dropout<20>,
                    septum::dense<16>, septum::batch_norm, septum::relu, septum::dense<3>,
                    septum::softmax> {};

septum::image random_image(std::size_t height, std::size_t width, std::size_t channels) {
  septum::image pixels = septum::image::from_shape({height, width, channels});
  septum::counter_rng const random{4, 4};
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels.data()[i] = static_cast<float>(random.normal(i));
  return pixels;
}

template <class S>
double worst_difference(convolution_algorithm convolution) {
  constexpr auto field = static_cast<std::size_t>(septum::base_stack_t<S>::receptive_field);
  auto const pixels = random_image(
      field + 40, field + 50, static_cast<std::size_t>(septum::base_stack_t<S>::input_channels));
  std::vector<std::vector<float>> const sets{septum::he_normal<S>({7, 1})};
  auto const run = [&](host_precision precision) {
    return septum::ensemble<S, eigen>{
        sets, {.threads = {2}, .convolution = convolution, .precision = precision}}
        .predict(pixels);
  };
  auto const exact = run(host_precision::f32);
  auto const reduced = run(host_precision::bf16);
  double worst = 0.0;
  for (std::size_t i = 0; i < exact.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(exact.data()[i] - reduced.data()[i])));
  return worst;
}

template <class S>
struct gradients {
  septum::loss_sums sums;
  std::vector<float> values;

  gradients(host_precision precision, int threads, int side) {
    constexpr int batch = 9;
    constexpr int channels = septum::base_stack_t<S>::input_channels;
    int const lost = septum::base_stack_t<S>::receptive_field - 1;
    septum::counter_rng const rng{11, 4};
    auto const pixels = random_image(static_cast<std::size_t>(batch * side),
                                     static_cast<std::size_t>(side), channels);
    std::vector<std::uint8_t> labels(
        static_cast<std::size_t>(batch * (side - lost) * (side - lost)));
    for (std::size_t i = 0; i < labels.size(); ++i)
      labels[i] = static_cast<std::uint8_t>(rng.below(i, 3));
    auto const parameters = septum::he_normal<S>({3, 1});
    values.resize(parameters.size());
    septum::gradient_net<S, eigen> net{{threads}, precision};
    sums = net(parameters, {pixels.data(), {batch, side, side, channels}}, labels, {}, values,
               {21, septum::stream::dropout});
  }
};

/// Cosine of the angle between two gradients over the values of one tensor, and the ratio of their
/// lengths.
struct agreement {
  double cosine;
  double ratio;
  agreement(std::vector<float> const& a, std::vector<float> const& b,
            septum::parameter_slice const& slice) {
    double dot = 0.0;
    double aa = 0.0;
    double bb = 0.0;
    for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i) {
      dot += static_cast<double>(a[i]) * static_cast<double>(b[i]);
      aa += static_cast<double>(a[i]) * static_cast<double>(a[i]);
      bb += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    }
    cosine = dot / std::sqrt(aa * bb);
    ratio = std::sqrt(aa / bb);
  }
};

template <class S, class Form>
void check_gradients(int side) {
  gradients<Form> const exact{host_precision::f32, 2, side};
  gradients<Form> const reduced{host_precision::bf16, 1, side};
  BOOST_TEST((gradients<Form>{host_precision::bf16, 2, side}.values == reduced.values));
  BOOST_TEST(std::abs(reduced.sums.mean() - exact.sums.mean()) <= 0.02 * exact.sums.mean());
  for (auto const& slice : septum::parameter_slices<S>()) {
    // Batch norm takes what a bias before it adds away again: its gradient is rounding alone.
    if (slice.role == septum::parameter_role::bias) continue;
    agreement const found{reduced.values, exact.values, slice};
    BOOST_TEST_CONTEXT(slice.name) {
      BOOST_TEST(found.cosine >= 0.96);
      BOOST_TEST(std::abs(found.ratio - 1.0) <= 0.1);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bfloat16_nets)

BOOST_AUTO_TEST_CASE(probabilities_are_near_those_in_float) {
  if (lacks_bfloat16_instructions()) return;
  for (auto const convolution : {convolution_algorithm::direct, convolution_algorithm::winograd}) {
    double const net_31 = worst_difference<septum::bn_feature_net_31x31<1, 3>>(convolution);
    double const net_61 = worst_difference<septum::bn_feature_net_61x61<2, 3>>(convolution);
    double const mixed = worst_difference<mixed_net>(convolution);
    for (double const worst : {net_31, net_61, mixed}) {
      BOOST_TEST(worst <= 0.05);
      BOOST_TEST(worst > 1e-4);  // it is not the same computation
    }
    BOOST_TEST_MESSAGE("largest difference " << net_31 << " " << net_61 << " " << mixed);
  }
}

BOOST_AUTO_TEST_CASE(tiles_and_threads_never_change_a_byte) {
  if (lacks_bfloat16_instructions()) return;
  auto const pixels = random_image(203, 187, 1);
  std::vector<std::vector<float>> const sets{septum::he_normal<mixed_net>({1, 1}),
                                             septum::he_normal<mixed_net>({2, 1})};
  for (auto const convolution : {convolution_algorithm::direct, convolution_algorithm::automatic}) {
    auto const run = [&](septum::inference_options options) {
      options.convolution = convolution;
      options.precision = host_precision::bf16;
      return septum::ensemble<mixed_net, eigen>{sets, options}.predict(pixels);
    };
    auto const expected = run({});
    BOOST_TEST((run({.threads = {3}}) == expected));
    for (int const side : {1, 50, 64, 131})
      BOOST_TEST((run({.threads = {2}, .largest_tile = side}) == expected), "tiles of " << side);
    for (std::size_t const kilobytes : {2'500U, 8'000U})
      BOOST_TEST((run({.budget_bytes = kilobytes << 10}) == expected), kilobytes << " KiB");
  }
}

BOOST_AUTO_TEST_CASE(report_names_the_layers_in_bfloat16) {
  if (lacks_bfloat16_instructions()) return;
  septum::ensemble<mixed_net, eigen> nets{{septum::he_normal<mixed_net>({1, 1})},
                                          {.precision = host_precision::bf16}};
  static_cast<void>(nets.predict(random_image(30, 30, 1)));
  auto const lines = nets.report();
  auto const is_reduced = [&](std::size_t k) { return lines[k].layer.ends_with(" bf16"); };
  BOOST_TEST(is_reduced(0));
  BOOST_TEST(!is_reduced(lines.size() - 1));  // softmax
}

BOOST_AUTO_TEST_CASE(gradients_are_near_those_in_float) {
  if (lacks_bfloat16_instructions()) return;
  using net_31 = septum::bn_feature_net_31x31<1, 3>;
  check_gradients<mixed_net, mixed_net>(18);
  check_gradients<mixed_net, septum::fully_convolutional_t<mixed_net>>(29);
  check_gradients<net_31, net_31>(31);
  check_gradients<net_31, septum::fully_convolutional_t<net_31>>(44);
}

BOOST_AUTO_TEST_CASE(backend_without_bfloat16_is_told) {
  using form = septum::fused_t<septum::fully_convolutional_t<mixed_net>>;
  BOOST_CHECK_THROW((septum::net<form, septum::reference>{{}, {}, host_precision::bf16}),
                    septum::unsupported_error);
}

BOOST_AUTO_TEST_SUITE_END()
