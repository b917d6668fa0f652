#pragma once
#include <septum/measure/plating.hpp>
#include <septum/measure/translocation.hpp>
#include <septum/report/figures.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI::report {

/// Median cytoplasm / nucleus ratio of the nuclei of each frame by every source, with the middle
/// half as a band (paper, Fig 4d).
[[nodiscard]] inline std::string translocation_over_time(
    std::span<std::vector<translocation> const> frames, double frame_interval_min) {
  constexpr std::string_view names[] = {"whole cytoplasm", "ring of 5 px", "ring of 25 px",
                                        "mixture"};
  std::vector<series> lines;
  for (cytoplasm_from const source : cytoplasm_sources) {
    series line{.name = std::string{names[static_cast<std::size_t>(source)]}};
    for (std::size_t f = 0; f < frames.size(); ++f) {
      std::vector<double> ratios;
      for (translocation const& one : frames[f])
        if (std::isfinite(one.ratio(source).value)) ratios.push_back(one.ratio(source).value);
      if (ratios.empty()) continue;
      std::sort(ratios.begin(), ratios.end());
      auto const at = [&](double share) {
        return ratios[static_cast<std::size_t>(share * static_cast<double>(ratios.size() - 1))];
      };
      line.x.push_back(static_cast<double>(f) * frame_interval_min);
      line.y.push_back(at(0.5));
      line.low.push_back(at(0.25));
      line.high.push_back(at(0.75));
    }
    if (!line.x.empty()) lines.push_back(std::move(line));
  }
  return line_plot({.title = "Reporter in cytoplasm / nucleus",
                    .x = {.label = "time (min)"},
                    .y = {.label = "ratio above background"},
                    .width_px = 900},
                   lines);
}

/// Mean Jaccard and Dice index against seeding density, with the standard deviation between cells
/// as a band (paper, S16 Fig).
[[nodiscard]] inline std::string plating_plot(plating_curve const& curve) {
  series jaccard{.name = "Jaccard index", .shape = mark::line_and_points};
  series dice{.name = "Dice index", .shape = mark::line_and_points};
  auto const put = [](series& line, double x, std::optional<double> mean,
                      std::optional<double> sd) {
    if (!mean) return;
    line.x.push_back(x);
    line.y.push_back(*mean);
    line.low.push_back(*mean - sd.value_or(0));
    line.high.push_back(*mean + sd.value_or(0));
  };
  for (plating_point const& point : curve.points) {
    put(jaccard, point.cells_per_well, point.agreement.jaccard_mean(),
        point.agreement.jaccard_sd());
    put(dice, point.cells_per_well, point.agreement.dice_mean(), point.agreement.dice_sd());
  }
  return line_plot({.title = "Agreement with truth against plating density",
                    .x = {.label = "cells plated per well", .logarithmic = true},
                    .y = {.label = "index", .lowest = 0.0, .highest = 1.0}},
                   {jaccard, dice});
}

}  // namespace septum::inline SEPTUM_ABI::report
