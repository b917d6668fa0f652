#pragma once
#include <septum/core/config.hpp>
#include <septum/core/view.hpp>

#include <cstdint>
#include <xtensor/xtensor.hpp>

namespace septum::inline SEPTUM_ABI {

/// One frame on the host: axes row, column, channel.
using image = xt::xtensor<float, 3>;
/// Class probabilities: axes row, column, class. Zero in the border that a net cannot see.
using probabilities = xt::xtensor<float, 3>;
/// One integer per pixel: axes row, column; 0 is background, cells are 1..n.
using labels = xt::xtensor<std::int32_t, 2>;
/// A binary map: axes row, column; 0 or 1.
using mask = xt::xtensor<std::uint8_t, 2>;
/// A time series: axes frame, row, column, channel.
using movie = xt::xtensor<float, 4>;

/// Views for kernels over what users hold; the axes stay the same.
template <class T, std::size_t Rank>
[[nodiscard]] auto as_view(xt::xtensor<T, Rank>& array) {
  std::array<std::ptrdiff_t, Rank> extents{};
  for (std::size_t axis = 0; axis < Rank; ++axis)
    extents[axis] = static_cast<std::ptrdiff_t>(array.shape()[axis]);
  return view<T, static_cast<int>(Rank)>{array.data(), extents};
}
template <class T, std::size_t Rank>
[[nodiscard]] auto as_view(xt::xtensor<T, Rank> const& array) {
  std::array<std::ptrdiff_t, Rank> extents{};
  for (std::size_t axis = 0; axis < Rank; ++axis)
    extents[axis] = static_cast<std::ptrdiff_t>(array.shape()[axis]);
  return view<T const, static_cast<int>(Rank)>{array.data(), extents};
}

}  // namespace septum::inline SEPTUM_ABI
