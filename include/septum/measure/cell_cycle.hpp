#pragma once
#include <septum/core/config.hpp>
#include <septum/measure/cell_series.hpp>
#include <septum/measure/growth.hpp>
#include <septum/measure/growth_rate.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// One cell from its birth to its division. Sizes at division are the sums of the daughters' sizes
/// in their first frame (as mother-machine studies have it); added size is division minus birth.
struct cell_cycle {
  std::int64_t track = 0;
  std::int64_t parent = 0;
  std::int64_t birth_frame = 0;
  std::int64_t division_frame = 0;  ///< first frame of the daughters
  double birth_area = std::numeric_limits<double>::quiet_NaN();
  double division_area = std::numeric_limits<double>::quiet_NaN();
  double birth_length = std::numeric_limits<double>::quiet_NaN();
  double division_length = std::numeric_limits<double>::quiet_NaN();
  double mean_width = std::numeric_limits<double>::quiet_NaN();
  double duration_min = std::numeric_limits<double>::quiet_NaN();
  growth_rate area_rate{};    ///< d ln(area) / dt
  growth_rate length_rate{};  ///< d ln(length) / dt
  bool at_border = false;     ///< touched the border in some frame

  [[nodiscard]] double added_area() const { return division_area - birth_area; }
  [[nodiscard]] double added_length() const { return division_length - birth_length; }
};

/// The complete cell cycles: cells that were seen to be born by a division and to divide into two
/// daughters that appear in the same frame.
[[nodiscard]] inline std::vector<cell_cycle> measure_cell_cycles(
    std::span<cell_series const> series, growth_options const& options = {}) {
  family const kin = find_family(series);
  std::vector<std::vector<size_at_time>> areas;
  std::vector<std::vector<size_at_time>> lengths;
  std::vector<cell_cycle> result;
  for (std::size_t k = 0; k < series.size(); ++k) {
    cell_series const& own = series[k];
    if (own.start != track_start::division || own.end != track_end::division || own.points.empty())
      continue;
    double const area = detail::size_after_division(series, kin, k, &cell_observation::area);
    if (!(area > 0)) continue;
    cell_cycle cycle{.track = own.track, .parent = own.parent};
    cycle.birth_frame = own.points.front().frame;
    cycle.division_frame = series[kin.daughters[k].front()].points.front().frame;
    cycle.birth_area = own.points.front().area;
    cycle.division_area = area;
    cycle.birth_length = own.points.front().length;
    cycle.division_length = detail::size_after_division(series, kin, k, &cell_observation::length);
    cycle.duration_min =
        static_cast<double>(cycle.division_frame - cycle.birth_frame) * options.frame_interval_min;
    double width = 0;
    for (cell_observation const& point : own.points) {
      width += point.width / static_cast<double>(own.points.size());
      cycle.at_border = cycle.at_border || point.at_border;
    }
    cycle.mean_width = width;
    areas.push_back(detail::sizes_inside(own, &cell_observation::area, options));
    lengths.push_back(detail::sizes_inside(own, &cell_observation::length, options));
    result.push_back(cycle);
  }
  double const interval_h = options.frame_interval_min / 60;
  growth_fits const area_fits = fit_growth_rates(areas, interval_h, options.confidence);
  growth_fits const length_fits = fit_growth_rates(lengths, interval_h, options.confidence);
  for (std::size_t k = 0; k < result.size(); ++k) {
    result[k].area_rate = area_fits.rates[k];
    result[k].length_rate = length_fits.rates[k];
  }
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
