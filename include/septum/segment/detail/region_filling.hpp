#pragma once
#include <septum/core/config.hpp>
#include <septum/image/components.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Gives each region, in the order of labels, every pixel that it encloses: what no 4-connected
/// path outside the region leads out of, other regions included (the published rule; scipy's
/// `binary_fill_holes` region by region).
inline void fill_regions_in_order(labels& cells) {
  std::int32_t const count = largest_label(cells);
  auto const rows = static_cast<std::int32_t>(cells.shape()[0]);
  auto const columns = static_cast<std::int32_t>(cells.shape()[1]);
  struct box {
    std::int32_t row_begin = std::numeric_limits<std::int32_t>::max();
    std::int32_t row_end = 0;
    std::int32_t column_begin = std::numeric_limits<std::int32_t>::max();
    std::int32_t column_end = 0;
  };
  std::vector<box> boxes(static_cast<std::size_t>(count) + 1);
  for (std::int32_t r = 0; r < rows; ++r)
    for (std::int32_t c = 0; c < columns; ++c) {
      std::int32_t const label = cells.data()[std::ptrdiff_t{r} * columns + c];
      if (label == 0) continue;
      box& own = boxes[static_cast<std::size_t>(label)];
      own.row_begin = std::min(own.row_begin, r);
      own.row_end = r + 1;
      own.column_begin = std::min(own.column_begin, c);
      own.column_end = std::max(own.column_end, c + 1);
    }
  constexpr std::uint8_t unknown = 0;
  constexpr std::uint8_t region = 1;
  constexpr std::uint8_t outside = 2;
  std::vector<std::uint8_t> state;
  std::vector<std::int32_t> open;
  for (std::int32_t label = 1; label <= count; ++label) {
    box const& own = boxes[static_cast<std::size_t>(label)];
    if (own.row_end == 0) continue;
    // The box with a frame of one pixel, from whose corner the outside is flooded.
    std::int32_t const height = own.row_end - own.row_begin + 2;
    std::int32_t const width = own.column_end - own.column_begin + 2;
    state.assign(static_cast<std::size_t>(height) * static_cast<std::size_t>(width), unknown);
    auto const pixel_of = [&](std::int32_t r, std::int32_t c) -> std::int32_t& {
      return cells
          .data()[std::ptrdiff_t{own.row_begin + r - 1} * columns + own.column_begin + c - 1];
    };
    for (std::int32_t r = 1; r + 1 < height; ++r)
      for (std::int32_t c = 1; c + 1 < width; ++c)
        if (pixel_of(r, c) == label) state[static_cast<std::size_t>(r * width + c)] = region;
    auto const visit = [&](std::int32_t at) {
      std::uint8_t& here = state[static_cast<std::size_t>(at)];
      if (here != unknown) return;
      here = outside;
      open.push_back(at);
    };
    visit(0);
    while (!open.empty()) {
      std::int32_t const at = open.back();
      open.pop_back();
      std::int32_t const c = at % width;
      if (at >= width) visit(at - width);
      if (at + width < height * width) visit(at + width);
      if (c > 0) visit(at - 1);
      if (c + 1 < width) visit(at + 1);
    }
    for (std::int32_t r = 1; r + 1 < height; ++r)
      for (std::int32_t c = 1; c + 1 < width; ++c)
        if (state[static_cast<std::size_t>(r * width + c)] == unknown) pixel_of(r, c) = label;
  }
}

}  // namespace septum::inline SEPTUM_ABI::detail
