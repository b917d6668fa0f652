#pragma once
#include <septum/core/config.hpp>
#include <septum/track/detail/cell_runs.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Consecutive pixels [begin, end) of a row of one cell.
struct form_run {
  std::int32_t row = 0;
  std::int32_t begin = 0;
  std::int32_t end = 0;
};

/// The pixels of every cell of a frame, cell by cell.
[[nodiscard]] inline std::vector<std::vector<form_run>> forms_of(cell_runs const& pixels,
                                                                 std::size_t cells) {
  std::vector<std::vector<form_run>> forms(cells);
  for (std::ptrdiff_t row = 0; row < pixels.rows(); ++row)
    for (cell_run const& run : pixels.row(row))
      forms[static_cast<std::size_t>(run.value - 1)].push_back(
          {static_cast<std::int32_t>(row), run.begin, run.end});
  return forms;
}

/// A cell of another frame and the pixels in common with it.
struct shared_pixels {
  std::int32_t target = 0;
  std::int64_t pixels = 0;
};

/// What a form shares with the cells of a frame after it moved by (dy, dx) pixels; by target.
[[nodiscard]] inline std::vector<shared_pixels> shared_with(std::span<form_run const> form,
                                                            std::int32_t dy, std::int32_t dx,
                                                            cell_runs const& frame) {
  std::vector<shared_pixels> found;
  for (form_run const& run : form) {
    std::ptrdiff_t const row = run.row + dy;
    if (row < 0 || row >= frame.rows()) continue;
    std::int32_t const begin = run.begin + dx, end = run.end + dx;
    auto const cells = frame.row(row);
    auto other = std::partition_point(cells.begin(), cells.end(),
                                      [&](cell_run const& cell) { return cell.end <= begin; });
    for (; other != cells.end() && other->begin < end; ++other) {
      std::int64_t const common = std::min(end, other->end) - std::max(begin, other->begin);
      std::int32_t const target = other->value - 1;
      auto const known = std::find_if(found.begin(), found.end(),
                                      [&](shared_pixels const& s) { return s.target == target; });
      if (known == found.end())
        found.push_back({target, common});
      else
        known->pixels += common;
    }
  }
  std::sort(found.begin(), found.end(),
            [](shared_pixels const& a, shared_pixels const& b) { return a.target < b.target; });
  return found;
}

}  // namespace septum::inline SEPTUM_ABI::detail
