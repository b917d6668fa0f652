#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <septum/net/net.hpp>
#include <septum/net/parameters.hpp>
#include <septum/nn/feature_nets.hpp>
#include <vector>

#include "support/types.hpp"

namespace sp = septum;

namespace {

template <class S>
std::vector<float> trained_like(std::uint64_t seed) {
  auto parameters = sp::he_normal<S>({seed, 1});
  sp::counter_rng const rng{seed, 77};
  for (auto const& slice : sp::parameter_slices<S>())
    for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i)
      if (slice.role != sp::parameter_role::weight)
        parameters[i] += static_cast<float>(0.4 * rng.uniform(i) - 0.1);
  return parameters;
}

// The folded net up to its logits over an input of height x width.
template <class S, class B>
std::vector<float> logits(std::vector<float> const& folded, std::vector<float> const& pixels,
                          int height, int width) {
  using form = sp::truncated_t<S, static_cast<std::size_t>(sp::base_stack_t<S>::depth - 1)>;
  sp::net<form, B, float> net{sp::exec::threads{2}};
  net.prepare(1, height, width);
  auto const packed = net.pack(folded);
  auto const out = net.output();
  std::vector<float> result(out.size());
  net.forward(packed, {pixels.data(), {1, height, width, form::input_channels}},
              {result.data(), {1, out.height, out.width, out.channels}});
  return result;
}

// Largest difference between the dense form and patches at some positions, relative to the largest
// logit.
template <class Net, class B>
double worst_difference(int height, int width, int step) {
  constexpr int field = Net::receptive_field;
  constexpr int channels = Net::input_channels;
  using patch_form = sp::fused_t<Net>;
  using dense_form = sp::fused_t<sp::fully_convolutional_t<Net>>;
  auto const folded = sp::fold_batch_norm<Net, float>(std::span<float const>{trained_like<Net>(3)});
  std::vector<float> pixels(static_cast<std::size_t>(height * width * channels));
  sp::counter_rng const rng{9, 9};
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(rng.normal(i));
  auto const dense = logits<dense_form, B>(folded, pixels, height, width);
  float largest = 0.0F;
  for (float const value : dense) largest = std::max(largest, std::abs(value));
  int const columns = width - field + 1;
  double worst = 0.0;
  for (int at = 0; at < (height - field + 1) * columns; at += step) {
    int const row = at / columns;
    int const column = at % columns;
    std::vector<float> patch;
    for (int i = 0; i < field; ++i) {
      auto const from = pixels.begin() + ((row + i) * width + column) * channels;
      patch.insert(patch.end(), from, from + field * channels);
    }
    auto const single = logits<patch_form, B>(folded, patch, field, field);
    for (std::size_t k = 0; k < single.size(); ++k)
      worst = std::max(worst,
                       std::abs(static_cast<double>(
                           dense[static_cast<std::size_t>(at) * single.size() + k] - single[k])));
  }
  return worst / static_cast<double>(largest);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dense_backends)

// Extents of 4 and more output pixels a side meet every pooling phase of two pools, odd and even.
BOOST_AUTO_TEST_CASE_TEMPLATE(net_31_dense_equals_patches, B, host_backends) {
  BOOST_TEST((worst_difference<sp::bn_feature_net_31x31<1, 3>, B>(35, 36, 1)) <= 1e-5);
  BOOST_TEST((worst_difference<sp::bn_feature_net_31x31<2, 4>, B>(34, 31, 1)) <= 1e-5);
}

// A 61x61 patch costs 0.26 billion multiply-adds, so a few positions of coprime distance serve.
BOOST_AUTO_TEST_CASE_TEMPLATE(net_61_dense_equals_patches, B, host_backends) {
  BOOST_TEST((worst_difference<sp::bn_feature_net_61x61<2, 3>, B>(69, 68, 11)) <= 1e-5);
}

BOOST_AUTO_TEST_SUITE_END()
