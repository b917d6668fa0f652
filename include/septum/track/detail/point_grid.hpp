#pragma once
#include <septum/core/config.hpp>
#include <septum/track/detection.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Finds the detections within a given reach of a place, in ascending order of their index.
class point_grid {
 public:
  /// `reach` > 0; an infinite reach puts everything into one square.
  point_grid(std::span<detection const> points, double reach) : points_{points}, reach_{reach} {
    for (std::size_t k = 0; k < points.size(); ++k)
      entries_.push_back({square(points[k].y), square(points[k].x), static_cast<std::int32_t>(k)});
    std::sort(entries_.begin(), entries_.end());
  }

  /// Calls visit(index) for a superset of the points whose distance in y and x is at most `reach`.
  template <class Visit>
  void for_each_near(double y, double x, Visit const& visit) {
    std::int64_t const row = square(y), column = square(x);
    near_.clear();
    for (std::int64_t r = row - 1; r <= row + 1; ++r) {
      auto entry =
          std::lower_bound(entries_.begin(), entries_.end(), grid_entry{r, column - 1, -1});
      for (; entry != entries_.end() && entry->row == r && entry->column <= column + 1; ++entry)
        near_.push_back(entry->index);
    }
    std::sort(near_.begin(), near_.end());
    for (std::int32_t const index : near_) visit(index);
  }

 private:
  struct grid_entry {
    std::int64_t row, column;
    std::int32_t index;
    friend bool operator<(grid_entry const& a, grid_entry const& b) {
      return std::tie(a.row, a.column, a.index) < std::tie(b.row, b.column, b.index);
    }
  };

  [[nodiscard]] std::int64_t square(double position) const {
    double const at = std::floor(position / reach_);
    // Far outside any image; neighbours stay neighbours.
    constexpr double far = 1e15;
    return static_cast<std::int64_t>(std::clamp(at, -far, far));
  }

  std::span<detection const> points_;
  double reach_;
  std::vector<grid_entry> entries_;
  std::vector<std::int32_t> near_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
