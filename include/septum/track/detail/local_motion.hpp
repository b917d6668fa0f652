#pragma once
#include <septum/core/config.hpp>
#include <septum/track/detail/point_grid.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/displacement.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Steps that cells were seen to make, and their median around a place.
class local_motion {
 public:
  static constexpr std::size_t least = 3;  ///< steps that a median needs
  static constexpr std::size_t most = 9;   ///< the nearest ones count

  void add(double y, double x, displacement step) {
    places_.push_back({.y = y, .x = x});
    steps_.push_back(step);
  }
  [[nodiscard]] std::size_t size() const { return places_.size(); }

  /// Call after the last `add`. @param reach  distance within which cells count as neighbours, px
  void index(double reach) { grid_.emplace(places_, reach); }

  /// Component by component; nothing where too few cells are near.
  [[nodiscard]] std::optional<displacement> median_near(double y, double x) {
    found_.clear();
    grid_->for_each_near(y, x, [&](std::int32_t index) {
      detection const& place = places_[static_cast<std::size_t>(index)];
      double const dy = place.y - y, dx = place.x - x;
      found_.emplace_back(dy * dy + dx * dx, index);
    });
    if (found_.size() < least) return std::nullopt;
    std::size_t const count = std::min(found_.size(), most);
    std::partial_sort(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(count),
                      found_.end());
    return displacement{median_of(count, &displacement::y), median_of(count, &displacement::x), 0};
  }

 private:
  [[nodiscard]] double median_of(std::size_t count, double displacement::*axis) {
    values_.clear();
    for (std::size_t k = 0; k < count; ++k)
      values_.push_back(steps_[static_cast<std::size_t>(found_[k].second)].*axis);
    auto const middle = values_.begin() + static_cast<std::ptrdiff_t>(count / 2);
    std::nth_element(values_.begin(), middle, values_.end());
    return *middle;
  }

  std::vector<detection> places_;
  std::vector<displacement> steps_;
  std::optional<point_grid> grid_;
  std::vector<std::pair<double, std::int32_t>> found_;
  std::vector<double> values_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
