#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/measure/cell_series.hpp>
#include <septum/measure/growth_rate.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// What the first frame of a daughter is compared with.
enum class across_division : std::uint8_t {
  separate,     ///< nothing: no rate in a daughter's first frame
  continued,    ///< both daughters together against their mother
  as_published  ///< each daughter alone against its mother, which gives the paper's negative rates
};

/// How growth is measured.
struct growth_options {
  double frame_interval_min = 5;
  across_division divisions = across_division::continued;
  int window = 7;            ///< frames of the moving fit, odd
  double confidence = 0.95;  ///< of intervals
};

/// Growth into one frame of one track. Rates are NaN where there is nothing to compare with.
struct growth_point {
  cell_observation cell{};
  /// (area - area before) / time, in area units per hour (paper, Fig 3b)
  double absolute_per_h = std::numeric_limits<double>::quiet_NaN();
  /// ln(area / area before) / time, per hour
  double relative_per_h = std::numeric_limits<double>::quiet_NaN();
  /// (area - area before) / area before, of the same cell in the frame before
  double change = std::numeric_limits<double>::quiet_NaN();
  /// exponential rate of the frames around this one
  growth_rate window{};
};

/// Growth along one track; points[k] belongs to the k-th point of its series.
struct growth_curve {
  std::int64_t track = 0;
  std::vector<growth_point> points;
  /// of the whole track, without frames in which the cell touches the border
  growth_rate rate{};
};

namespace detail {

[[nodiscard]] inline double hours_of(std::int64_t frame, growth_options const& options) {
  return static_cast<double>(frame) * options.frame_interval_min / 60;
}

/// Sum of the sizes that a division left behind, by one member of cell_observation; NaN unless both
/// daughters begin in the same frame.
template <class Member>
[[nodiscard]] double size_after_division(std::span<cell_series const> series, family const& kin,
                                         std::size_t mother, Member member) {
  auto const& daughters = kin.daughters[mother];
  double sum = 0;
  for (std::size_t const d : daughters) {
    if (series[d].points.empty() ||
        series[d].points.front().frame != series[daughters.front()].points.front().frame)
      return std::numeric_limits<double>::quiet_NaN();
    sum += series[d].points.front().*member;
  }
  return daughters.size() == 2 ? sum : std::numeric_limits<double>::quiet_NaN();
}

/// Sizes of one track over time, without frames at the border of the image.
[[nodiscard]] inline std::vector<size_at_time> sizes_inside(cell_series const& track,
                                                            double cell_observation::*member,
                                                            growth_options const& options) {
  std::vector<size_at_time> sizes;
  for (cell_observation const& point : track.points)
    if (!point.at_border)
      sizes.push_back({hours_of(point.frame, options), point.*member,
                       member == &cell_observation::area ? point.area_sd : 0.0});
  return sizes;
}

/// The points within half a window of frame `middle`; those of the mother, scaled to the daughter's
/// share, come first when they are `continued`.
[[nodiscard]] inline std::vector<size_at_time> sizes_around(std::span<cell_series const> series,
                                                            family const& kin, std::size_t own,
                                                            std::int64_t middle,
                                                            growth_options const& options) {
  std::vector<size_at_time> sizes;
  std::int64_t const half = options.window / 2;
  auto const take = [&](cell_series const& track, double share) {
    for (cell_observation const& point : track.points)
      if (std::abs(point.frame - middle) <= half && !point.at_border)
        sizes.push_back(
            {hours_of(point.frame, options), point.area * share, point.area_sd * share});
  };
  if (options.divisions == across_division::continued && kin.mother[own] != family::npos) {
    double const sum = size_after_division(series, kin, kin.mother[own], &cell_observation::area);
    if (sum > 0) take(series[kin.mother[own]], series[own].points.front().area / sum);
  }
  take(series[own], 1.0);
  return sizes;
}

[[nodiscard]] inline growth_point growth_into(cell_observation const& now,
                                              cell_observation const& before, double interval_h) {
  growth_point result{.cell = now};
  double const hours = static_cast<double>(now.frame - before.frame) * interval_h;
  if (!(before.area > 0) || !(now.area > 0)) return result;
  result.absolute_per_h = (now.area - before.area) / hours;
  result.relative_per_h = std::log(now.area / before.area) / hours;
  result.change = (now.area - before.area) / before.area;
  return result;
}

}  // namespace detail

/// Growth of every track, frame by frame and as a whole. Numbers of a cell that touches the border
/// are given, but it takes no part in fits.
/// throws     unsupported_error `septum.growth.1` on options out of range
[[nodiscard]] inline std::vector<growth_curve> measure_growth(std::span<cell_series const> series,
                                                              growth_options const& options = {}) {
  SEPTUM_EXPECTS(options.frame_interval_min > 0,
                 unsupported_error("septum.growth.1",
                                   "frame interval: expected minutes above 0, "
                                   "found " +
                                       to_text(options.frame_interval_min)));
  SEPTUM_EXPECTS(options.window >= 3 && options.window % 2 == 1,
                 unsupported_error("septum.growth.1",
                                   "window: expected an odd number of frames from 3, found " +
                                       to_text(options.window)));
  SEPTUM_EXPECTS(options.confidence > 0 && options.confidence < 1,
                 unsupported_error("septum.growth.1",
                                   "confidence: expected a share between 0 and "
                                   "1, found " +
                                       to_text(options.confidence)));
  family const kin = find_family(series);
  double const interval_h = options.frame_interval_min / 60;
  std::vector<growth_curve> result;
  std::vector<std::vector<size_at_time>> sizes;
  for (std::size_t k = 0; k < series.size(); ++k) {
    cell_series const& track = series[k];
    growth_curve curve{.track = track.track, .points = {}, .rate = {}};
    for (std::size_t i = 0; i < track.points.size(); ++i) {
      growth_point point{.cell = track.points[i]};
      if (i > 0) {
        point = detail::growth_into(track.points[i], track.points[i - 1], interval_h);
      } else if (kin.mother[k] != family::npos && !series[kin.mother[k]].points.empty() &&
                 options.divisions != across_division::separate) {
        cell_observation before = series[kin.mother[k]].points.back();
        if (options.divisions == across_division::continued)
          before.area *=
              track.points[i].area /
              detail::size_after_division(series, kin, kin.mother[k], &cell_observation::area);
        point = detail::growth_into(track.points[i], before, interval_h);
        point.change = std::numeric_limits<double>::quiet_NaN();
      }
      point.window = fit_growth_rate(
          detail::sizes_around(series, kin, k, track.points[i].frame, options), options.confidence);
      curve.points.push_back(point);
    }
    sizes.push_back(detail::sizes_inside(track, &cell_observation::area, options));
    result.push_back(std::move(curve));
  }
  growth_fits const fits = fit_growth_rates(sizes, interval_h, options.confidence);
  for (std::size_t k = 0; k < result.size(); ++k) result[k].rate = fits.rates[k];
  return result;
}

/// The mean growth rate of cells and its confidence interval (Student's t over cells).
struct mean_rate {
  double per_h = std::numeric_limits<double>::quiet_NaN();
  double sd_per_h = std::numeric_limits<double>::quiet_NaN();  ///< between cells
  double low_per_h = std::numeric_limits<double>::quiet_NaN();
  double high_per_h = std::numeric_limits<double>::quiet_NaN();
  std::size_t cells = 0;
};

/// Mean over the tracks with at least `fewest_points` points.
[[nodiscard]] inline mean_rate mean_growth_rate(std::span<growth_curve const> curves,
                                                std::size_t fewest_points = 3,
                                                double confidence = 0.95) {
  std::vector<double> rates;
  for (growth_curve const& curve : curves)
    if (curve.rate.points >= fewest_points && curve.rate.known()) rates.push_back(curve.rate.per_h);
  mean_rate result{.cells = rates.size()};
  if (rates.empty()) return result;
  auto const n = static_cast<double>(rates.size());
  result.per_h = std::accumulate(rates.begin(), rates.end(), 0.0) / n;
  if (rates.size() < 2) return result;
  double squares = 0;
  for (double const rate : rates) squares += (rate - result.per_h) * (rate - result.per_h);
  result.sd_per_h = std::sqrt(squares / (n - 1));
  double const half = student_t_factor(confidence, n - 1) * result.sd_per_h / std::sqrt(n);
  result.low_per_h = result.per_h - half;
  result.high_per_h = result.per_h + half;
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
