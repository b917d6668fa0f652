#pragma once
#include <septum/core/text.hpp>
#include <septum/measure/cell_cycle.hpp>
#include <septum/measure/growth.hpp>
#include <septum/report/figures.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI::report {

/// How sizes are named in figures: "µm²" and "µm", or "px²" and "px".
struct size_units {
  std::string area = "µm²";
  std::string length = "µm";
};

/// Area of every cell over time on a logarithmic axis, where exponential growth is a straight line
/// (paper, Fig 3a). Each family has a colour; lines carry data-track.
[[nodiscard]] inline std::string growth_curve_plot(std::span<cell_series const> series,
                                                   double frame_interval_min,
                                                   size_units const& units = {},
                                                   std::string const& title = "Growth curves") {
  figure_options const options{.title = title,
                               .x = {.label = "time (h)"},
                               .y = {.label = "area (" + units.area + ")", .logarithmic = true},
                               .width_px = 900,
                               .height_px = 460};
  detail::range_finder x{options.x};
  detail::range_finder y{options.y};
  std::vector<report::series> lines;
  family const kin = find_family(series);
  std::vector<std::size_t> root(series.size(), 0);
  std::size_t families = 0;
  bool empty = true;
  for (std::size_t k = 0; k < series.size(); ++k) {
    report::series line;
    for (cell_observation const& point : series[k].points) {
      line.x.push_back(static_cast<double>(point.frame) * frame_interval_min / 60);
      line.y.push_back(point.area);
      x.add(line.x.back());
      y.add(line.y.back());
      empty = false;
    }
    lines.push_back(std::move(line));
    // Mothers come before their daughters wherever tracks are numbered as they begin; where not,
    // a daughter starts a colour of its own.
    root[k] = kin.mother[k] < k ? root[kin.mother[k]] : families++;
  }
  detail::plot_area area{options, x, y, {}};
  for (std::size_t k = 0; k < lines.size(); ++k) {
    std::string const style =
        "fill=\"none\" stroke-width=\"1.1\" stroke-opacity=\"0.75\" stroke=\"" +
        std::string{detail::colour_of(root[k])} + "\" data-track=\"" + to_text(series[k].track) +
        "\"";
    if (lines[k].x.size() == 1) continue;
    area.canvas().path(detail::line_path(lines[k], area.horizontal, area.vertical), style,
                       "track " + to_text(series[k].track));
  }
  return area.finish(empty);
}

/// The numbers of all points of all tracks that are finite, by one member of growth_point.
template <class Member>
[[nodiscard]] std::vector<double> rates_of(std::span<growth_curve const> curves, Member member) {
  std::vector<double> rates;
  for (growth_curve const& curve : curves)
    for (growth_point const& point : curve.points)
      if (std::isfinite(point.*member)) rates.push_back(point.*member);
  return rates;
}

/// Share of rates at either end that are errors of segmentation more often than growth.
inline constexpr double outlying = 0.01;

/// Histogram of the instantaneous growth rate in area per hour (paper, Fig 3b and S12).
[[nodiscard]] inline std::string growth_histogram(std::span<growth_curve const> curves,
                                                  size_units const& units,
                                                  std::string const& title) {
  auto const rates = rates_of(curves, &growth_point::absolute_per_h);
  return histogram_plot({.title = title,
                         .x = {.label = "growth (" + units.area + " per h)"},
                         .y = {.label = "cells in frames"},
                         .width_px = 560,
                         .height_px = 360},
                        bin_values(rates, 0, outlying));
}

/// Histogram of the exponential growth rate of whole tracks.
[[nodiscard]] inline std::string rate_histogram(std::span<growth_curve const> curves,
                                                std::size_t fewest_points = 3) {
  std::vector<double> rates;
  for (growth_curve const& curve : curves)
    if (curve.rate.known() && curve.rate.points >= fewest_points) rates.push_back(curve.rate.per_h);
  return histogram_plot({.title = "Growth rate of cells",
                         .x = {.label = "d ln(area) / dt (per h)"},
                         .y = {.label = "cells"},
                         .width_px = 560,
                         .height_px = 360},
                        bin_values(rates, 0, outlying));
}

/// Mean of the exponential rate over the cells of each frame, with the middle half as a band.
[[nodiscard]] inline std::string rate_over_time(std::span<growth_curve const> curves,
                                                double frame_interval_min) {
  std::map<std::int64_t, std::vector<double>> by_frame;
  for (growth_curve const& curve : curves)
    for (growth_point const& point : curve.points)
      if (point.window.known()) by_frame[point.cell.frame].push_back(point.window.per_h);
  series line{.name = "median of cells, band: middle half"};
  for (auto& of_frame : by_frame) {
    std::int64_t const frame = of_frame.first;
    std::vector<double>& rates = of_frame.second;
    std::sort(rates.begin(), rates.end());
    auto const at = [&](double share) {
      return rates[static_cast<std::size_t>(share * static_cast<double>(rates.size() - 1))];
    };
    line.x.push_back(static_cast<double>(frame) * frame_interval_min / 60);
    line.y.push_back(at(0.5));
    line.low.push_back(at(0.25));
    line.high.push_back(at(0.75));
  }
  return line_plot({.title = "Growth rate over time",
                    .x = {.label = "time (h)"},
                    .y = {.label = "d ln(area) / dt (per h)"},
                    .width_px = 560,
                    .height_px = 360},
                   {line});
}

/// Added against birth length of complete cell cycles: level for adders, falling for sizers.
[[nodiscard]] inline std::string added_length_plot(std::span<cell_cycle const> cycles,
                                                   size_units const& units) {
  series points{.shape = mark::points};
  for (cell_cycle const& cycle : cycles) {
    if (cycle.at_border || !std::isfinite(cycle.added_length())) continue;
    points.x.push_back(cycle.birth_length);
    points.y.push_back(cycle.added_length());
  }
  return line_plot({.title = "Added length in a cell cycle",
                    .x = {.label = "length at birth (" + units.length + ")"},
                    .y = {.label = "added length (" + units.length + ")"},
                    .width_px = 560,
                    .height_px = 360},
                   {points});
}

/// Histogram of the time from birth to division.
[[nodiscard]] inline std::string cycle_histogram(std::span<cell_cycle const> cycles,
                                                 double frame_interval_min) {
  // Durations are whole numbers of frames, so every bar stands for as many.
  histogram_bins bins;
  std::map<std::int64_t, std::int64_t> counts;
  for (cell_cycle const& cycle : cycles) ++counts[cycle.division_frame - cycle.birth_frame];
  if (!counts.empty()) {
    std::int64_t const first = counts.begin()->first;
    std::int64_t const last = counts.rbegin()->first;
    std::int64_t const step = (last - first) / 40 + 1;
    for (std::int64_t frames = first; frames <= last; frames += step) {
      bins.edges.push_back((static_cast<double>(frames) - 0.5) * frame_interval_min);
      bins.counts.push_back(0);
      for (std::int64_t k = frames; k < frames + step; ++k)
        if (auto const found = counts.find(k); found != counts.end())
          bins.counts.back() += found->second;
    }
    bins.edges.push_back(bins.edges.back() + static_cast<double>(step) * frame_interval_min);
  }
  return histogram_plot({.title = "Duration of cell cycles",
                         .x = {.label = "birth to division (min)"},
                         .y = {.label = "cells"},
                         .width_px = 560,
                         .height_px = 360},
                        bins);
}

}  // namespace septum::inline SEPTUM_ABI::report
