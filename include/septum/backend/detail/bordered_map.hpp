#pragma once
#include <septum/core/shape.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <cstddef>

namespace septum::inline SEPTUM_ABI::detail {

/// Writes a map into one with a border of zeros around every image and zeros for the channels that
/// it lacks: what the gradient of a convolution's input is convolved from.
/// @param channels of `to`, as many as the map has or more
/// @param copy     callable (pixel, T* to): writes the channels of a pixel, counted over images,
///                 rows and columns
template <class T, class Copy>
void spread_over_border(exec::threads threads, int batch, shape map, int border, int channels,
                        T* to, Copy const& copy) {
  std::ptrdiff_t const height = map.height + 2 * std::ptrdiff_t{border};
  std::ptrdiff_t const row_values = (map.width + 2 * std::ptrdiff_t{border}) * channels;
  for_each_range(threads, batch * height, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t row = begin; row < end; ++row) {
      T* const out = to + row * row_values;
      std::fill_n(out, row_values, T{});
      std::ptrdiff_t const r = row % height - border;
      if (r < 0 || r >= map.height) continue;
      std::ptrdiff_t const first = (row / height * map.height + r) * map.width;
      for (std::ptrdiff_t c = 0; c < map.width; ++c) copy(first + c, out + (border + c) * channels);
    }
  });
}

}  // namespace septum::inline SEPTUM_ABI::detail
