#pragma once
#include <septum/core/config.hpp>
#include <septum/track/detail/cell_runs.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Pixels that a cell of one frame and a cell of another have in common.
struct pixel_overlap {
  std::int32_t source = 0;
  std::int32_t target = 0;
  std::int64_t pixels = 0;
};

/// Overlaps of two frames after the first one was moved by (dy, dx) pixels, sorted by source, then
/// target. Values of the runs count cells from 1.
[[nodiscard]] inline std::vector<pixel_overlap> count_pixel_overlaps(cell_runs const& source,
                                                                     cell_runs const& target,
                                                                     std::int32_t dy,
                                                                     std::int32_t dx) {
  std::vector<pixel_overlap> found;
  for (std::ptrdiff_t row = 0; row < source.rows(); ++row) {
    std::ptrdiff_t const moved = row + dy;
    if (moved < 0 || moved >= target.rows()) continue;
    auto const above = source.row(row);
    auto const here = target.row(moved);
    for (std::size_t i = 0, j = 0; i < above.size() && j < here.size();) {
      std::int32_t const begin = above[i].begin + dx;
      std::int32_t const end = above[i].end + dx;
      std::int32_t const common = std::min(end, here[j].end) - std::max(begin, here[j].begin);
      if (common > 0) found.push_back({above[i].value - 1, here[j].value - 1, common});
      if (end < here[j].end)
        ++i;
      else
        ++j;
    }
  }
  std::sort(found.begin(), found.end(), [](pixel_overlap const& a, pixel_overlap const& b) {
    return std::tie(a.source, a.target) < std::tie(b.source, b.target);
  });
  std::size_t kept = 0;
  for (std::size_t k = 0; k < found.size(); ++k) {
    bool const same = kept > 0 && found[kept - 1].source == found[k].source &&
                      found[kept - 1].target == found[k].target;
    if (same)
      found[kept - 1].pixels += found[k].pixels;
    else
      found[kept++] = found[k];
  }
  found.resize(kept);
  return found;
}

}  // namespace septum::inline SEPTUM_ABI::detail
