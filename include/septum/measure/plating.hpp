#pragma once
#include <septum/core/config.hpp>
#include <septum/measure/agreement.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Agreement with truth at one seeding density (paper, S16 Fig).
struct plating_point {
  double cells_per_well = 0;
  overlap_agreement agreement{};

  /// Standard error of the mean Jaccard index over cells; nothing below two cells.
  [[nodiscard]] std::optional<double> jaccard_error() const {
    auto const n = agreement.jaccard.size();
    auto const sd = agreement.jaccard_sd();
    if (n < 2 || !sd) return std::nullopt;
    return *sd / std::sqrt(static_cast<double>(n));
  }
};

/// Score over density, sparse wells first.
struct plating_curve {
  std::vector<plating_point> points;

  /// The highest density up to which the mean Jaccard index stays within `tolerance` of the best
  /// one of the sparser wells; nothing without a score.
  [[nodiscard]] std::optional<double> stable_up_to(double tolerance = 0.05) const {
    std::optional<double> density;
    double best = -std::numeric_limits<double>::infinity();
    for (plating_point const& point : points) {
      auto const mean = point.agreement.jaccard_mean();
      if (!mean) continue;
      best = std::max(best, *mean);
      if (*mean < best - tolerance) break;
      density = point.cells_per_well;
    }
    return density;
  }
};

/// Sorts points by density; those of equal density are pooled cell by cell.
[[nodiscard]] inline plating_curve make_plating_curve(std::vector<plating_point> points) {
  std::stable_sort(points.begin(), points.end(),
                   [](plating_point const& a, plating_point const& b) {
                     return a.cells_per_well < b.cells_per_well;
                   });
  plating_curve curve;
  for (plating_point& point : points) {
    if (curve.points.empty() || curve.points.back().cells_per_well != point.cells_per_well) {
      curve.points.push_back(std::move(point));
      continue;
    }
    curve.points.back().agreement += point.agreement;
  }
  return curve;
}

}  // namespace septum::inline SEPTUM_ABI
