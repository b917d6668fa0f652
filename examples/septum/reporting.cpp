#include "reporting.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <septum/core/text.hpp>
#include <septum/image/outline.hpp>
#include <septum/io/csv.hpp>
#include <septum/io/image.hpp>
#include <septum/io/model.hpp>
#include <septum/io/png.hpp>
#include <septum/report/frame_viewer.hpp>
#include <septum/report/growth_figures.hpp>
#include <septum/report/growth_map.hpp>
#include <septum/report/lineage_tree.hpp>
#include <septum/report/page.hpp>
#include <septum/report/translocation_figures.hpp>
#include <septum/version.hpp>

#include "pictures.hpp"
#include "signals.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;
namespace report = septum::report;

std::string two(double value) { return std::isfinite(value) ? septum::to_text(value, 2) : "–"; }
std::string count(std::size_t value) { return std::to_string(value); }
std::string count(std::int64_t value) { return std::to_string(value); }
std::string percent(std::optional<double> share) {
  return share ? septum::to_text(100 * *share, 1) + " %" : "–";
}

template <std::size_t Rank>
std::string png_uri(xt::xtensor<std::uint8_t, Rank> const& picture) {
  return report::data_uri("image/png", septum::io::encode_png(picture, "report"));
}

report::size_units units_of(measurement const& measured) {
  if (measured.pixel_size_um > 0) return {};
  return {.area = "px²", .length = "px"};
}

// The range of rates that most cells have: outliers are errors more often than cells.
report::colour_map rate_colours(measurement const& measured) {
  std::vector<double> rates;
  for (auto const& curve : measured.curves)
    for (auto const& point : curve.points)
      if (point.window.known()) rates.push_back(point.window.per_h);
  if (rates.empty()) return {.lowest = 0, .highest = 1};
  std::sort(rates.begin(), rates.end());
  auto const at = [&](double share) {
    return rates[static_cast<std::size_t>(share * static_cast<double>(rates.size() - 1))];
  };
  double const low = std::floor(10 * std::max(at(0.03), -2.0)) / 10;
  double const high = std::ceil(10 * at(0.97)) / 10;
  return {.lowest = low, .highest = high > low ? high : low + 0.1};
}

/// Track and growth of every cell, by frame number and label.
struct cell_facts {
  std::int64_t track = 0;
  double area = nan;
  double rate = nan;
};
using fact_table = std::map<std::pair<std::int64_t, std::int64_t>, cell_facts>;

fact_table facts_of(measurement const& measured) {
  fact_table facts;
  for (auto const& curve : measured.curves)
    for (auto const& point : curve.points)
      facts[{point.cell.frame, point.cell.label}] = {curve.track, point.cell.area,
                                                     point.window.per_h};
  return facts;
}

// Makes the viewer's frames, the whole movie at a size that fits into the page.
class viewer_maker {
 public:
  viewer_maker(results_folder const& results, measurement_request const& request,
               measurement const& measured)
      : results_{&results}, request_{&request}, measured_{&measured}, facts_{facts_of(measured)} {}

  report::frame_viewer operator()(std::size_t byte_budget) {
    std::size_t const all = measured_->frames.size();
    constexpr std::size_t most_frames = 200;
    std::size_t const step = (all + most_frames - 1) / most_frames;
    std::vector<std::size_t> chosen;
    for (std::size_t f = 0; f < all; f += step) chosen.push_back(f);
    shrink_ = 1;
    while (shrink_ < 16 && estimate(chosen) > byte_budget) ++shrink_;
    report::frame_viewer viewer{.frame_interval_min = measured_->frame_interval_min,
                                .area_unit = units_of(*measured_).area,
                                .growth = rate_colours(*measured_)};
    for (std::size_t const f : chosen) {
      stop_if_interrupted();
      viewer.frames.push_back(frame(f, viewer));
    }
    return viewer;
  }

 private:
  /// Bytes of all frames from the last one and one in the middle.
  std::size_t estimate(std::vector<std::size_t> const& chosen) {
    report::frame_viewer scratch;
    std::size_t bytes = 0;
    std::size_t const samples[] = {chosen[chosen.size() / 2], chosen.back()};
    for (std::size_t const f : samples) {
      auto const made = frame(f, scratch);
      bytes += made.image.size() + made.probability.size();
      for (auto const& cell : made.cells) bytes += cell.path.size() + 30;
    }
    return bytes / 2 * chosen.size();
  }

  report::viewer_frame frame(std::size_t index, report::frame_viewer& viewer) {
    auto const& source = measured_->frames[index];
    report::viewer_frame made{.name = source.stem, .number = source.number};
    auto const cells = shrunk_labels(septum::io::read_labels(source.labels), shrink_);
    viewer.width_px = static_cast<int>(cells.shape()[1]);
    viewer.height_px = static_cast<int>(cells.shape()[0]);
    if (auto const pixels = image_of(*request_, source)) {
      made.image = png_uri(gray_picture(*pixels, 0, shrink_));
    } else {
      xt::xtensor<std::uint8_t, 2> black = xt::zeros<std::uint8_t>(cells.shape());
      made.image = png_uri(black);
    }
    if (!results_->probabilities.empty()) {
      fs::path const map = results_->probabilities / (source.stem + ".tif");
      if (fs::exists(map)) {
        auto const maps = septum::io::read_image(map);
        // The first class is the edge, the last the background; all between are cells.
        made.probability = png_uri(
            probability_picture(maps, 1, std::max<std::size_t>(maps.shape()[2] - 1, 2), shrink_));
      }
    }
    for (auto const& outline : septum::trace_outlines(cells)) {
      auto const found = facts_.find({source.number, outline.label});
      report::viewer_cell cell{
          .label = outline.label, .track = outline.label, .path = report::outline_path(outline)};
      if (found != facts_.end()) {
        cell.track = found->second.track;
        cell.area = found->second.area;
        cell.rate_per_h = found->second.rate;
      }
      made.cells.push_back(std::move(cell));
    }
    return made;
  }

  results_folder const* results_;
  measurement_request const* request_;
  measurement const* measured_;
  fact_table facts_;
  std::size_t shrink_ = 1;
};

void put_summary(report::page& page, measurement const& measured) {
  auto const summary = summary_of(measured);
  std::vector<report::card> cards{
      {.label = "frames", .value = count(measured.frames.size())},
      {.label = "cells in all frames", .value = septum::to_text(summary["cells"].get<long>())}};
  if (measured.tracked) {
    auto const mean = septum::mean_growth_rate(measured.curves);
    cards.push_back({.label = "tracks", .value = count(measured.audit.tracks)});
    cards.push_back(
        {.label = "doubling time (min)",
         .value = mean.per_h > 0 ? septum::to_text(60 * std::log(2.0) / mean.per_h, 1) : "–",
         .note = measured.interval_known ? "" : "interval of 5 min assumed"});
    cards.push_back({.label = "mean growth rate (per h)",
                     .value = two(mean.per_h),
                     .note = "95 % interval " + two(mean.low_per_h) + " to " +
                             two(mean.high_per_h) + ", " + count(mean.cells) + " tracks"});
    cards.push_back({.label = "links with a jump in area",
                     .value = percent(measured.audit.jump_rate()),
                     .note = count(measured.audit.jumps) + " of " + count(measured.audit.links)});
    cards.push_back(
        {.label = "tracks with any error",
         .value = percent(measured.audit.track_error_rate()),
         .note = count(measured.audit.tracks_with_error) + " of " + count(measured.audit.tracks)});
  }
  page.cards(cards);
}

void put_growth(report::page& page, measurement const& measured) {
  auto const units = units_of(measured);
  page.section("growth", "Growth",
               "Areas and the exponential rates of whole tracks leave out frames in which a cell "
               "touches the border. Point at a bar or a line for its numbers.");
  page.figure("growth_curves",
              report::growth_curve_plot(measured.series, measured.frame_interval_min, units),
              "Area of every cell over time. On this axis exponential growth is a straight line; "
              "lines of one colour descend from one cell. Click a line to follow its track.",
              report::figure_place::wide);
  page.figure(
      "growth_rates", report::rate_histogram(measured.curves),
      "Exponential growth rate of every track of three points or more. A light bar at an end "
      "also holds what lies beyond.");
  page.figure("growth_rate_over_time",
              report::rate_over_time(measured.curves, measured.frame_interval_min),
              "Rate of the frames around each frame, continued through divisions: median of the "
              "cells and the middle half.");
  page.figure("instantaneous_growth",
              report::growth_histogram(measured.curves, units, "Instantaneous growth"),
              "Change of area from frame to frame; at a division both daughters against their "
              "mother.");
  page.figure("instantaneous_growth_with_divisions",
              report::growth_histogram(measured.published, units,
                                       "Instantaneous growth, divisions included"),
              "The same with each daughter against her mother, which makes divisions negative "
              "rates, as published.");
  if (!measured.cycles.empty()) {
    page.figure("added_length", report::added_length_plot(measured.cycles, units),
                count(measured.cycles.size()) +
                    " complete cell cycles: a level cloud means that cells add a fixed length, a "
                    "falling one that they divide at a fixed length.");
    page.figure("cell_cycles",
                report::cycle_histogram(measured.cycles, measured.frame_interval_min),
                "Time from birth to division of cells that were seen from one to the other.");
  }
}

void put_growth_map(report::page& page, measurement const& measured) {
  auto const& last = measured.frames.back();
  auto const cells = septum::io::read_labels(last.labels);
  std::vector<double> values(measured.cells.back().size() + 1, nan);
  for (auto const& curve : measured.curves)
    for (auto const& point : curve.points)
      if (point.cell.frame == last.number)
        values.at(static_cast<std::size_t>(point.cell.label)) = point.window.per_h;
  page.section("map", "Growth map");
  page.figure("growth_map",
              report::cell_map(cells, values,
                               {.title = "Growth in frame " + std::to_string(last.number),
                                .unit = "d ln(area) / dt (per h)",
                                .colours = rate_colours(measured),
                                .pixel_size_um = measured.pixel_size_um,
                                .width_px = 760}),
              "Rate of the frames around the last one. Dark cells grow slowly; gray ones were "
              "seen in too few frames. The movie above shows every frame with the key G.",
              report::figure_place::wide);
}

void put_lineage(report::page& page, measurement const& measured) {
  auto const tree = report::lineage_tree(
      measured.series, {.frame_interval_min = measured.frame_interval_min, .width_px = 1000});
  page.section("lineage", "Lineage");
  page.figure("lineage_tree", tree.svg,
              count(tree.shown) + " of " + count(tree.all) +
                  " tracks, largest families first. Lines part at divisions. Cross: lost before "
                  "the end; circle: left the image; square: appeared without a mother.",
              report::figure_place::tall);
}

std::string reason_text(septum::suspicious_cell const& cell) {
  std::string text;
  for (auto const reason : cell.reasons)
    text += (text.empty() ? "" : ", ") + std::string{to_string(reason)};
  if (cell.change != 0)
    text += " " + std::string{cell.change > 0 ? "+" : "−"} +
            septum::to_text(std::abs(cell.change) * 100, 0) + " %";
  return text;
}

// The middle of a cell and the side of the square that shows it with its neighbours.
struct crop_place {
  double row = 0;
  double column = 0;
  int side = 0;
};

crop_place place_of(measurement const& measured, septum::suspicious_cell const& cell) {
  auto const frame = std::find_if(measured.frames.begin(), measured.frames.end(),
                                  [&](auto const& one) { return one.number == cell.frame; });
  auto const& shape = measured.cells[static_cast<std::size_t>(frame - measured.frames.begin())]
                          .at(static_cast<std::size_t>(cell.label) - 1)
                          .shape;
  int const extent =
      std::max(shape.row_end - shape.row_begin, shape.column_end - shape.column_begin);
  return {shape.centroid_row_px, shape.centroid_column_px, std::clamp(2 * extent, 32, 192)};
}

template <class Use>
void for_each_crop(measurement_request const& request, measurement const& measured,
                   std::size_t most, Use const& use) {
  auto const& all = measured.audit.suspicious;
  std::size_t const shown = std::min(most, all.size());
  // Frames are read once each, whatever the order of severity.
  std::map<std::int64_t, std::vector<std::size_t>> by_frame;
  for (std::size_t k = 0; k < shown; ++k) by_frame[all[k].frame].push_back(k);
  for (auto const& frame : measured.frames) {
    auto const wanted = by_frame.find(frame.number);
    if (wanted == by_frame.end()) continue;
    stop_if_interrupted();
    auto const cells = septum::io::read_labels(frame.labels);
    auto const pixels = image_of(request, frame);
    for (std::size_t const k : wanted->second) {
      auto const place = place_of(measured, all[k]);
      use(k,
          crop_picture(pixels ? &*pixels : nullptr, cells, static_cast<std::int32_t>(all[k].label),
                       place.row, place.column, place.side));
    }
  }
}

void put_audit(report::page& page, measurement_request const& request,
               measurement const& measured) {
  auto const& audit = measured.audit;
  page.section("audit", "Audit",
               "Links whose area changes by " + septum::to_text(request.audit.jump * 100, 0) +
                   " % or more mostly are errors: two cells taken for one, or one for two.");
  report::page_table counts{
      .head = {"what", "count", "of", "rate"},
      .rows = {{"area grew in one frame (jump)", count(audit.jumps), count(audit.links),
                percent(audit.jump_rate())},
               {"area fell without a division (drop)", count(audit.drops), count(audit.links), ""},
               {"appeared without a mother", count(audit.appeared), count(audit.tracks), ""},
               {"lost before the end", count(audit.lost), count(audit.tracks), ""},
               {"daughters that do not add up", count(audit.uneven_divisions), "", ""},
               {"tracks with any error", count(audit.tracks_with_error), count(audit.tracks),
                percent(audit.track_error_rate())}},
      .numeric = {false, true, true, true}};
  if (measured.spread_known)
    counts.rows.push_back({"cells about whose area the nets differ by " +
                               septum::to_text(request.audit.disagreement * 100, 0) +
                               " % or more (standard deviation)",
                           count(audit.disagreements), count(audit.cells), ""});
  page.table(counts);
  if (audit.suspicious.empty()) {
    page.paragraph("Nothing stands out.");
    return;
  }
  constexpr std::size_t most = 60;
  std::vector<report::gallery_picture> pictures(std::min(most, audit.suspicious.size()));
  for (std::size_t k = 0; k < pictures.size(); ++k) {
    auto const& cell = audit.suspicious[k];
    pictures[k] = {.image = {},
                   .reason = reason_text(cell),
                   .caption = "frame " + std::to_string(cell.frame) + ", cell " +
                              std::to_string(cell.label) + ", track " + std::to_string(cell.track),
                   .frame = cell.frame,
                   .track = cell.track};
  }
  for_each_crop(request, measured, most,
                [&](std::size_t k, auto const& picture) { pictures[k].image = png_uri(picture); });
  page.paragraph(
      "The " + count(pictures.size()) + " most severe of " + count(audit.suspicious.size()) +
      " cells worth a look, outlined in orange. Click one to see it in the movie; all of "
      "them are in audit.csv.");
  page.gallery(pictures);
}

void put_reporters(report::page& page, measurement const& measured) {
  page.section("localisation", "Localisation",
               "Reporter in the cytoplasm over the nucleus, above background. The mixture takes "
               "the brighter of two compartments of the whole cytoplasm.");
  page.figure("translocation",
              report::translocation_over_time(measured.reporters, measured.frame_interval_min),
              "Median of the nuclei of each frame by four definitions of the cytoplasm; bands hold "
              "the middle half.",
              report::figure_place::wide);
  std::vector<septum::translocation> all;
  for (auto const& frame : measured.reporters) all.insert(all.end(), frame.begin(), frame.end());
  report::page_table table{
      .head = {"against the mixture", "nuclei", "mean difference", "sd", "correlation"},
      .numeric = {false, true, true, true, true}};
  constexpr std::pair<septum::cytoplasm_from, char const*> sources[] = {
      {septum::cytoplasm_from::whole, "whole cytoplasm"},
      {septum::cytoplasm_from::ring_5, "ring of 5 px"},
      {septum::cytoplasm_from::ring_25, "ring of 25 px"}};
  for (auto const& [source, name] : sources) {
    auto const pair = septum::compare_ratios(all, septum::cytoplasm_from::mixture, source);
    table.rows.push_back({name, count(pair.count), two(pair.mean_difference),
                          two(pair.sd_difference), two(pair.correlation)});
  }
  page.table(table);
}

void put_training(report::page& page, results_folder const& results) {
  if (results.learning_curves.empty()) return;
  page.section("training", "Training");
  for (auto const& path : results.learning_curves) {
    septum::io::csv_table const table{path};
    auto const epoch = table.find_column("epoch");
    auto const training = table.find_column("training_loss");
    auto const validation = table.find_column("validation_loss");
    if (!epoch || !training) continue;
    auto const net = table.find_column("net");
    std::map<std::string, std::vector<report::learning_point>> curves;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      auto const number = [&](std::optional<std::size_t> column) {
        return column ? septum::parse_number<double>(table.text(row, *column)).value_or(nan) : nan;
      };
      curves[net ? std::string{table.text(row, *net)} : std::string{}].push_back(
          {number(epoch), number(training), number(validation)});
    }
    for (auto const& [name, points] : curves) {
      std::string const model = path.filename().string();
      std::string const label = curves.size() > 1 ? "net " + name + " of " + model : model;
      page.figure("learning_curves" + (curves.size() > 1 ? "_" + name : std::string{}),
                  report::learning_curves(points, "loss"), "Loss per epoch, " + label + ".");
    }
  }
}

void put_scores(report::page& page, results_folder const& results) {
  if (results.scores.empty()) return;
  auto const scores =
      nlohmann::ordered_json::parse(septum::io::read_file(results.scores).text(), nullptr, false);
  if (!scores.is_object()) return;
  page.section("scores", "Scores against truth");
  report::page_table table{.head = {"score", "value"}, .numeric = {false, true}};
  for (auto const& [name, value] : scores.items()) {
    if (value.is_number_float())
      table.rows.push_back({name, septum::to_text(value.get<double>(), 3)});
    else if (value.is_number())
      table.rows.push_back({name, value.dump()});
    else if (value.is_object())
      for (auto const& [threshold, score] : value.items())
        if (score.is_number() && (threshold == "0.5" || threshold == "0.75"))
          table.rows.push_back(
              {name + " at IoU " + threshold,
               score.is_number_float() ? septum::to_text(score.get<double>(), 3) : score.dump()});
  }
  page.table(table);
}

void put_provenance(report::page& page, results_folder const& results,
                    measurement_request const& request, measurement const& measured,
                    report_request const& wanted) {
  page.section("provenance", "Provenance");
  std::vector<std::vector<std::string>> rows;
  auto const add = [&](std::string const& name, std::string const& value) {
    if (!value.empty()) rows.push_back({name, value});
  };
  add("septum", std::to_string(SEPTUM_VERSION_MAJOR) + "." + std::to_string(SEPTUM_VERSION_MINOR) +
                    "." + std::to_string(SEPTUM_VERSION_PATCH));
  add("report made", wanted.time);
  add("label images", request.labels.lexically_proximate(results.folder).string());
  if (!measured.frames.empty())
    add("frames", measured.frames.front().stem + " to " + measured.frames.back().stem);
  std::string channels;
  for (auto const& channel : measured.channels)
    channels += (channels.empty() ? "" : ", ") + channel;
  add("channels", channels);
  add("side of a pixel", measured.pixel_size_um > 0
                             ? septum::to_text(measured.pixel_size_um, 4) + " µm"
                             : "not known; areas are in pixels");
  add("time between frames", septum::to_text(measured.frame_interval_min) + " min" +
                                 (measured.interval_known ? "" : " (assumed)"));
  if (measured.tracked) {
    add("window of moving fits", std::to_string(request.window) + " frames");
    add("limit of a jump", septum::to_text(request.audit.jump * 100, 0) + " %");
  }
  for (auto const& [name, value] : wanted.provenance) add(name, value);
  for (auto const& path : results.models) {
    auto const model = septum::io::read_model(path);
    auto const& what = model.description;
    add("model", path.filename().string() + ": " + what.architecture + ", " +
                     std::to_string(model.parameter_sets.size()) + " net(s), field " +
                     std::to_string(what.receptive_field) + " px, normalised by " +
                     what.normalizer);
    for (auto const& [name, value] : what.provenance) add("training: " + name, value);
  }
  page.table({.head = {}, .rows = std::move(rows), .numeric = {}});
}

}  // namespace

void write_crops(fs::path const& folder, measurement_request const& measured_with,
                 measurement const& measured, std::size_t most) {
  if (measured.audit.suspicious.empty()) return;
  fs::create_directories(folder);
  for_each_crop(measured_with, measured, most, [&](std::size_t k, auto const& picture) {
    auto const& cell = measured.audit.suspicious[k];
    septum::io::write_png(folder / ("frame" + std::to_string(cell.frame) + "_cell" +
                                    std::to_string(cell.label) + ".png"),
                          picture);
  });
}

std::string make_report(results_folder const& results, measurement_request const& measured_with,
                        measurement const& measured, report_request const& request) {
  report::page page{request.title, std::to_string(measured.frames.size()) +
                                       " frames, measured by septum" +
                                       (request.time.empty() ? "" : ", " + request.time)};
  put_summary(page, measured);
  report::put_viewer(page, viewer_maker{results, measured_with, measured}(request.byte_budget));
  if (measured.tracked) {
    put_growth(page, measured);
    put_growth_map(page, measured);
    put_lineage(page, measured);
    put_audit(page, measured_with, measured);
  }
  if (!measured.reporters.empty()) put_reporters(page, measured);
  put_training(page, results);
  put_scores(page, results);
  put_provenance(page, results, measured_with, measured, request);
  return page.finish();
}

}  // namespace program
