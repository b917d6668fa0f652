#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <septum/core/text.hpp>
#include <septum/io/csv.hpp>
#include <septum/io/file.hpp>
#include <septum/report/growth_figures.hpp>
#include <septum/report/translocation_figures.hpp>

#include "measurement.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;
using septum::io::csv_field;

void write_cells(fs::path const& path, measurement const& measured) {
  std::vector<std::string> columns{
      "frame",          "label",          "track",     "area_px",      "area_um2",
      "centroid_y_px",  "centroid_x_px",  "length_px", "length_um",    "width_px",
      "width_um",       "perimeter_px",   "solidity",  "eccentricity", "orientation_rad",
      "convex_area_px", "touches_border", "neighbours"};
  if (measured.spread_known) columns.emplace_back("area_sd_px");
  for (auto const& channel : measured.channels)
    for (char const* what : {"mean_", "sum_", "p5_", "p25_", "median_", "p75_", "p95_",
                             "background_", "mean_above_background_", "sum_above_background_"})
      columns.push_back(what + channel);
  septum::io::csv_writer table{path, columns};
  auto const tracks = measured.track_of_cell();
  double const size = measured.pixel_size_um > 0 ? measured.pixel_size_um : nan;
  for (std::size_t f = 0; f < measured.frames.size(); ++f)
    for (auto const& cell : measured.cells[f]) {
      auto const& shape = cell.shape;
      if (shape.area_px == 0) continue;
      std::int64_t const number = measured.frames[f].number;
      auto const track = tracks.find({number, shape.label});
      std::vector<std::string> fields{
          csv_field(number),
          csv_field(shape.label),
          track == tracks.end() ? std::string{} : csv_field(track->second),
          csv_field(shape.area_px),
          csv_field(static_cast<double>(shape.area_px) * size * size),
          csv_field(shape.centroid_row_px),
          csv_field(shape.centroid_column_px),
          csv_field(cell.rod.length_px),
          csv_field(cell.rod.length_px * size),
          csv_field(cell.rod.width_px),
          csv_field(cell.rod.width_px * size),
          csv_field(shape.perimeter_px),
          csv_field(shape.solidity),
          csv_field(shape.eccentricity),
          csv_field(shape.orientation_rad),
          csv_field(shape.convex_area_px),
          csv_field(shape.touches_border),
          csv_field(cell.neighbours.size())};
      if (measured.spread_known) {
        auto const sd = measured.area_sd_px[f].find(shape.label);
        fields.push_back(sd == measured.area_sd_px[f].end() ? std::string{}
                                                            : csv_field(sd->second));
      }
      for (std::size_t c = 0; c < measured.channels.size(); ++c) {
        if (c >= cell.channels.size()) {
          fields.resize(fields.size() + 10);
          continue;
        }
        auto const& values = cell.channels[c];
        fields.push_back(csv_field(values.mean));
        fields.push_back(csv_field(values.sum));
        for (double const percentile : values.percentiles) fields.push_back(csv_field(percentile));
        fields.push_back(csv_field(values.background));
        fields.push_back(csv_field(values.mean_above_background()));
        fields.push_back(csv_field(values.sum_above_background(shape.area_px)));
      }
      table.row_of(fields);
    }
  table.commit();
}

void write_growth(fs::path const& path, measurement const& measured) {
  std::string const area = measured.area_unit();
  septum::io::csv_writer table{
      path,
      {"frame", "time_min", "track", "label", "area_" + area, "length_" + measured.length_unit(),
       "growth_" + area + "_per_h", "relative_growth_per_h", "window_growth_per_h",
       "window_low_per_h", "window_high_per_h", "area_change", "area_sd_" + area}};
  for (std::size_t k = 0; k < measured.curves.size(); ++k)
    for (auto const& point : measured.curves[k].points)
      table.row(
          point.cell.frame, static_cast<double>(point.cell.frame) * measured.frame_interval_min,
          measured.curves[k].track, point.cell.label, point.cell.area, point.cell.length,
          point.absolute_per_h, point.relative_per_h, point.window.per_h, point.window.low_per_h,
          point.window.high_per_h, point.change, measured.spread_known ? point.cell.area_sd : nan);
  table.commit();
}

void write_rates(fs::path const& path, measurement const& measured) {
  septum::io::csv_writer table{
      path,
      {"track", "parent", "first_frame", "last_frame", "start", "end", "points", "growth_per_h",
       "error_per_h", "low_per_h", "high_per_h", "doubling_time_min"}};
  for (std::size_t k = 0; k < measured.series.size(); ++k) {
    auto const& one = measured.series[k];
    if (one.points.empty()) continue;
    auto const& rate = measured.curves[k].rate;
    table.row(one.track, one.parent, one.points.front().frame, one.points.back().frame,
              to_string(one.start), to_string(one.end), rate.points, rate.per_h, rate.error_per_h,
              rate.low_per_h, rate.high_per_h, rate.doubling_time_min());
  }
  table.commit();
}

void write_cycles(fs::path const& path, measurement const& measured) {
  std::string const area = "_area_" + measured.area_unit();
  std::string const length = "_length_" + measured.length_unit();
  septum::io::csv_writer table{
      path,
      {"track", "parent", "birth_frame", "division_frame", "duration_min", "birth" + area,
       "division" + area, "added" + area, "birth" + length, "division" + length, "added" + length,
       "mean_width_" + measured.length_unit(), "area_growth_per_h", "area_growth_low_per_h",
       "area_growth_high_per_h", "length_growth_per_h", "doubling_time_min", "touches_border"}};
  for (auto const& cycle : measured.cycles)
    table.row(cycle.track, cycle.parent, cycle.birth_frame, cycle.division_frame,
              cycle.duration_min, cycle.birth_area, cycle.division_area, cycle.added_area(),
              cycle.birth_length, cycle.division_length, cycle.added_length(), cycle.mean_width,
              cycle.area_rate.per_h, cycle.area_rate.low_per_h, cycle.area_rate.high_per_h,
              cycle.length_rate.per_h, cycle.area_rate.doubling_time_min(), cycle.at_border);
  table.commit();
}

void write_audit(fs::path const& path, measurement const& measured) {
  septum::io::csv_writer table{
      path, {"frame", "label", "track", "severity", "reasons", "area_change", "area_sd_share"}};
  for (auto const& cell : measured.audit.suspicious) {
    std::string reasons;
    for (auto const reason : cell.reasons)
      reasons += (reasons.empty() ? "" : " ") + std::string{to_string(reason)};
    table.row(cell.frame, cell.label, cell.track, cell.severity, reasons,
              cell.change == 0 ? nan : cell.change,
              measured.spread_known ? cell.disagreement : nan);
  }
  table.commit();
}

char const* fit_name(septum::mixture_fit fit) {
  constexpr std::array names{"good", "few_values", "one_component", "not_converged"};
  return names.at(static_cast<std::size_t>(fit));
}

void write_translocation(fs::path const& path, measurement const& measured) {
  std::vector<std::string> columns{"frame", "nucleus_label", "cell_label", "nucleus_mean",
                                   "nucleus_px"};
  for (auto const source : septum::cytoplasm_sources)
    for (char const* what : {"ratio_", "low_", "high_", "px_"})
      columns.push_back(what + std::string{to_string(source)});
  for (char const* what : {"mixture_fit", "mixture_low_mean", "mixture_high_mean", "mixture_low_sd",
                           "mixture_high_sd", "mixture_high_weight"})
    columns.emplace_back(what);
  septum::io::csv_writer table{path, columns};
  for (std::size_t f = 0; f < measured.reporters.size(); ++f)
    for (auto const& one : measured.reporters[f]) {
      if (one.nucleus_pixels == 0) continue;
      std::vector<std::string> fields{csv_field(measured.frames[f].number), csv_field(one.nucleus),
                                      csv_field(one.cell), csv_field(one.nucleus_mean),
                                      csv_field(one.nucleus_pixels)};
      for (auto const source : septum::cytoplasm_sources) {
        auto const& ratio = one.ratio(source);
        for (double const value : {ratio.value, ratio.low, ratio.high})
          fields.push_back(csv_field(value));
        fields.push_back(csv_field(ratio.pixels));
      }
      auto const& fitted = one.compartments;
      fields.emplace_back(fit_name(fitted.fit));
      for (double const value :
           {fitted.low.mean, fitted.high.mean, fitted.low.sd, fitted.high.sd, fitted.high.weight})
        fields.push_back(csv_field(value));
      table.row_of(fields);
    }
  table.commit();
}

nlohmann::ordered_json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

void write_figures(fs::path const& folder, measurement const& measured) {
  namespace report = septum::report;
  fs::create_directories(folder);
  auto const put = [&](char const* name, std::string const& svg) {
    septum::io::write_file(folder / (std::string{name} + ".svg"), svg);
  };
  report::size_units units;
  if (measured.pixel_size_um <= 0) units = {.area = "px²", .length = "px"};
  if (measured.tracked) {
    put("growth_curves",
        report::growth_curve_plot(measured.series, measured.frame_interval_min, units));
    put("growth_rates", report::rate_histogram(measured.curves));
    put("growth_rate_over_time",
        report::rate_over_time(measured.curves, measured.frame_interval_min));
    put("instantaneous_growth",
        report::growth_histogram(measured.curves, units, "Instantaneous growth"));
    put("instantaneous_growth_with_divisions",
        report::growth_histogram(measured.published, units,
                                 "Instantaneous growth, divisions as negative rates"));
    put("added_length", report::added_length_plot(measured.cycles, units));
    put("cell_cycles", report::cycle_histogram(measured.cycles, measured.frame_interval_min));
  }
  if (!measured.reporters.empty())
    put("translocation",
        report::translocation_over_time(measured.reporters, measured.frame_interval_min));
}

}  // namespace

nlohmann::ordered_json summary_of(measurement const& measured) {
  nlohmann::ordered_json result;
  std::int64_t cells = 0;
  for (auto const& frame : measured.cells)
    cells += std::count_if(frame.begin(), frame.end(),
                           [](auto const& cell) { return cell.shape.area_px > 0; });
  result["frames"] = measured.frames.size();
  result["cells"] = cells;
  result["pixel_size_um"] =
      number_or_null(measured.pixel_size_um > 0 ? measured.pixel_size_um : nan);
  result["frame_interval_min"] = measured.frame_interval_min;
  result["frame_interval_known"] = measured.interval_known;
  if (measured.tracked) {
    auto const mean = septum::mean_growth_rate(measured.curves);
    auto const& audit = measured.audit;
    result["tracks"] = audit.tracks;
    result["growth"] = {{"mean_per_h", number_or_null(mean.per_h)},
                        {"low_per_h", number_or_null(mean.low_per_h)},
                        {"high_per_h", number_or_null(mean.high_per_h)},
                        {"sd_per_h", number_or_null(mean.sd_per_h)},
                        {"doubling_time_min",
                         number_or_null(mean.per_h > 0 ? 60 * std::log(2.0) / mean.per_h : nan)},
                        {"tracks", mean.cells},
                        {"complete_cell_cycles", measured.cycles.size()}};
    result["audit"] = {
        {"links", audit.links},
        {"jumps", audit.jumps},
        {"jump_rate", number_or_null(audit.jump_rate().value_or(nan))},
        {"drops", audit.drops},
        {"appeared", audit.appeared},
        {"lost", audit.lost},
        {"uneven_divisions", audit.uneven_divisions},
        {"disagreements", measured.spread_known ? nlohmann::ordered_json(audit.disagreements)
                                                : nlohmann::ordered_json(nullptr)},
        {"tracks_with_error", audit.tracks_with_error},
        {"track_error_rate", number_or_null(audit.track_error_rate().value_or(nan))},
        {"cells_worth_a_look", audit.suspicious.size()}};
  }
  if (!measured.reporters.empty()) {
    std::vector<septum::translocation> all;
    for (auto const& frame : measured.reporters) all.insert(all.end(), frame.begin(), frame.end());
    std::int64_t good = 0;
    for (auto const& one : all) good += one.compartments.fit == septum::mixture_fit::good ? 1 : 0;
    nlohmann::ordered_json compared;
    for (auto const source : septum::cytoplasm_sources) {
      if (source == septum::cytoplasm_from::mixture) continue;
      auto const pair = septum::compare_ratios(all, septum::cytoplasm_from::mixture, source);
      compared[std::string{to_string(source)} + "_against_mixture"] = {
          {"nuclei", pair.count},
          {"mean_difference", number_or_null(pair.mean_difference)},
          {"sd_difference", number_or_null(pair.sd_difference)},
          {"correlation", number_or_null(pair.correlation)}};
    }
    result["translocation"] = {
        {"nuclei", all.size()}, {"good_mixtures", good}, {"comparison", compared}};
  }
  return result;
}

void write_measurement(fs::path const& folder, measurement const& measured) {
  fs::create_directories(folder);
  write_cells(folder / "cells.csv", measured);
  if (measured.tracked) {
    write_growth(folder / "growth.csv", measured);
    write_rates(folder / "rates.csv", measured);
    write_cycles(folder / "cycles.csv", measured);
    write_audit(folder / "audit.csv", measured);
  }
  if (!measured.reporters.empty()) write_translocation(folder / "translocation.csv", measured);
  septum::io::write_file(folder / "summary.json", summary_of(measured).dump(2) + "\n");
  write_figures(folder / "figures", measured);
}

}  // namespace program
