#pragma once
#include <septum/core/config.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/border.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>
#include <xtensor/xtensor.hpp>

namespace septum::inline SEPTUM_ABI {
namespace detail {

/// One side of a normalised Gaussian, cut at 3 sd: weights of distance 0, 1, 2, ...
[[nodiscard]] inline std::vector<float> gaussian_weights(double sd_px) {
  auto const reach = static_cast<int>(std::ceil(3 * sd_px));
  std::vector<double> exact;
  double sum = 0;
  for (int k = 0; k <= reach; ++k) {
    exact.push_back(std::exp(-0.5 * k * k / (sd_px * sd_px)));
    sum += k == 0 ? exact.back() : 2 * exact.back();
  }
  std::vector<float> weights;
  for (double const weight : exact) weights.push_back(static_cast<float>(weight / sum));
  return weights;
}

/// Gaussian blur of axes (row, column) with mirrored borders. Each value is summed in the same
/// order whatever the thread count.
[[nodiscard]] inline xt::xtensor<float, 2> gaussian_blur(xt::xtensor<float, 2> const& source,
                                                         double sd_px, exec::threads threads) {
  if (!(sd_px > 0)) return source;
  auto const rows = static_cast<std::ptrdiff_t>(source.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(source.shape()[1]);
  auto const weights = gaussian_weights(sd_px);
  auto const reach = static_cast<std::ptrdiff_t>(weights.size()) - 1;
  xt::xtensor<float, 2> result = xt::xtensor<float, 2>::from_shape(source.shape());
  for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    std::vector<float> line(static_cast<std::size_t>(columns + 2 * reach));
    for (auto row = begin; row < end; ++row) {
      float* const middle = line.data() + reach;
      std::fill(middle, middle + columns, 0.0F);
      for (auto k = -reach; k <= reach; ++k) {
        float const weight = weights[static_cast<std::size_t>(std::abs(k))];
        float const* const from = source.data() + mirrored_index(row + k, rows) * columns;
        for (std::ptrdiff_t c = 0; c < columns; ++c) middle[c] += weight * from[c];
      }
      for (std::ptrdiff_t k = 1; k <= reach; ++k) {
        middle[-k] = middle[mirrored_index(-k, columns)];
        middle[columns - 1 + k] = middle[mirrored_index(columns - 1 + k, columns)];
      }
      float* const to = result.data() + row * columns;
      std::fill(to, to + columns, 0.0F);
      for (auto k = -reach; k <= reach; ++k) {
        float const weight = weights[static_cast<std::size_t>(std::abs(k))];
        float const* const from = middle + k;
        for (std::ptrdiff_t c = 0; c < columns; ++c) to[c] += weight * from[c];
      }
    }
  });
  return result;
}

}  // namespace detail
}  // namespace septum::inline SEPTUM_ABI
