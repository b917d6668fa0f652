#include "measurement.hpp"

#include <algorithm>
#include <cmath>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/csv.hpp>
#include <septum/io/frames.hpp>
#include <septum/io/image.hpp>
#include <septum/io/tiff.hpp>
#include <septum/io/tracks.hpp>
#include <septum/track/lineage.hpp>

#include "signals.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;

double pixel_size_in(fs::path const& path) {
  if (path.extension() != ".tif" && path.extension() != ".tiff") return 0;
  return septum::io::tiff_reader{path}.pixel_size_um();
}

double interval_in(measurement_request const& request) {
  for (auto const& image : request.images) {
    fs::path const path = image.source;
    if ((path.extension() != ".tif" && path.extension() != ".tiff") || !fs::exists(path)) continue;
    return septum::io::tiff_reader{path}.interval_s() / 60;
  }
  return 0;
}

std::vector<std::string> numbered_channels(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t k = 0; k < count; ++k) names.push_back("channel" + std::to_string(k));
  return names;
}

std::vector<measured_frame> list_measured_frames(measurement_request const& request) {
  std::map<std::string, std::size_t> image_of_stem;
  for (std::size_t k = 0; k < request.images.size(); ++k) image_of_stem[request.images[k].stem] = k;
  std::vector<measured_frame> frames;
  for (auto const& file : septum::io::list_frames(request.labels, true)) {
    measured_frame frame{
        .number = file.index, .stem = file.path.stem().string(), .labels = file.path, .image = {}};
    if (auto const found = image_of_stem.find(frame.stem); found != image_of_stem.end())
      frame.image = found->second;
    frames.push_back(std::move(frame));
  }
  bool const matched = std::any_of(frames.begin(), frames.end(),
                                   [](measured_frame const& frame) { return frame.image; });
  if (matched || request.images.empty()) return frames;
  // Images and label images go by other names: then their frame numbers tell.
  std::map<std::int64_t, std::size_t> image_of_number;
  for (std::size_t k = 0; k < request.images.size(); ++k)
    image_of_number.emplace(request.images[k].index, k);
  if (image_of_number.size() != request.images.size()) image_of_number.clear();
  for (auto& frame : frames)
    if (auto const found = image_of_number.find(frame.number); found != image_of_number.end())
      frame.image = found->second;
  return frames;
}

bool in_rim(septum::region_properties const& cell, septum::labels const& image, int border_px) {
  auto const rows = static_cast<std::int32_t>(image.shape()[0]);
  auto const columns = static_cast<std::int32_t>(image.shape()[1]);
  return cell.row_begin <= border_px || cell.column_begin <= border_px ||
         cell.row_end >= rows - border_px || cell.column_end >= columns - border_px;
}

// A track that begins or ends in the rim came in or went out there.
void mend_ends(std::vector<septum::cell_series>& series) {
  for (auto& track : series) {
    if (track.points.empty()) continue;
    if (track.start == septum::track_start::appeared && track.points.front().at_border)
      track.start = septum::track_start::entered;
    if (track.end == septum::track_end::lost && track.points.back().at_border)
      track.end = septum::track_end::left;
  }
}

// Standard deviations of areas between the nets, as `septum segment` wrote them, by frame.
std::vector<std::map<std::int32_t, double>> read_area_sd(
    measurement_request const& request, std::vector<measured_frame> const& frames) {
  std::vector<std::map<std::int32_t, double>> result(frames.size());
  if (request.cells_table.empty()) return result;
  septum::io::csv_table const table{request.cells_table};
  auto const& names = table.columns();
  if (std::find(names.begin(), names.end(), "area_sd_px") == names.end()) return result;
  // Label images are named after the image, or after the series and the frame in it.
  std::map<std::string, std::size_t> place;
  for (std::size_t f = 0; f < frames.size(); ++f) place[frames[f].stem] = f;
  auto const place_of = [&](std::string const& image, std::int64_t frame) {
    std::string const stem = fs::path{image}.stem().string();
    if (auto const found = place.find(stem); found != place.end()) return found;
    std::string number = std::to_string(frame);
    for (; number.size() < 9; number.insert(0, 1, '0'))
      if (auto const found = place.find(stem + "_t" + number); found != place.end()) return found;
    return place.end();
  };
  auto const image = table.column("image"), frame = table.column("frame");
  auto const label = table.column("label"), sd = table.column("area_sd_px");
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.text(row, sd).empty()) continue;
    auto const found =
        place_of(std::string{table.text(row, image)}, table.number<std::int64_t>(row, frame));
    if (found != place.end())
      result[found->second][table.number<std::int32_t>(row, label)] = table.number<double>(row, sd);
  }
  return result;
}

septum::cell_observation observe(septum::cell_statistics const& cell, std::int64_t frame,
                                 double pixel_size_um, bool at_border, double area_sd_px) {
  double const unit = pixel_size_um > 0 ? pixel_size_um : 1;
  return {.frame = frame,
          .label = cell.shape.label,
          .area = static_cast<double>(cell.shape.area_px) * unit * unit,
          .length = cell.rod.length_px * unit,
          .width = cell.rod.width_px * unit,
          .row_px = cell.shape.centroid_row_px,
          .column_px = cell.shape.centroid_column_px,
          .at_border = at_border,
          .area_sd = area_sd_px * unit * unit};
}

std::vector<septum::translocation> measure_reporter(
    measurement_request const& request, measured_frame const& frame, septum::labels const& cells,
    septum::image const& pixels, std::vector<septum::cell_statistics> const& all,
    std::vector<std::string> const& channels, common_options const& common) {
  auto const channel = std::find(channels.begin(), channels.end(), request.reporter);
  if (channel == channels.end())
    throw septum::unsupported_error{
        "septum.program.60", "--reporter " + septum::printable(request.reporter) +
                                 ": expected a channel of the images, found none of this name"};
  auto const index = static_cast<std::size_t>(channel - channels.begin());
  auto const nuclei = septum::io::read_labels(request.nuclei / frame.labels.filename());
  double background = 0;
  for (auto const& cell : all)
    if (cell.shape.area_px > 0) {
      background = cell.channels.at(index).background;
      break;
    }
  return septum::measure_translocation(nuclei, cells, pixels, static_cast<int>(index),
                                       {.background = std::isfinite(background) ? background : 0},
                                       common.executor());
}

void measure_tracks(measurement_request const& request,
                    std::vector<septum::frame_cells> const& detections,
                    std::vector<septum::cell_observation> const& observations,
                    measurement& result) {
  auto const links = septum::io::read_links(request.links);
  auto const lineage = septum::make_lineage(detections, links);
  result.series = septum::make_series(lineage, observations);
  mend_ends(result.series);
  septum::growth_options options{.frame_interval_min = result.frame_interval_min,
                                 .divisions = request.divisions,
                                 .window = request.window};
  result.curves = septum::measure_growth(result.series, options);
  result.cycles = septum::measure_cell_cycles(result.series, options);
  options.divisions = septum::across_division::as_published;
  result.published = septum::measure_growth(result.series, options);
  result.audit = septum::audit_tracks(result.series, request.audit);
  result.tracked = true;
}

}  // namespace

std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> measurement::track_of_cell() const {
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> tracks;
  for (auto const& one : series)
    for (auto const& point : one.points) tracks[{point.frame, point.label}] = one.track;
  return tracks;
}

std::optional<septum::image> image_of(measurement_request const& request,
                                      measured_frame const& frame) {
  if (!frame.image) return std::nullopt;
  return request.images.at(*frame.image).load().pixels;
}

measurement measure_movie(measurement_request const& request, common_options const& common) {
  measurement result;
  result.frames = list_measured_frames(request);
  result.channels = request.images.empty() ? std::vector<std::string>{} : request.channels;
  result.pixel_size_um = request.pixel_size_um > 0 ? request.pixel_size_um
                                                   : pixel_size_in(result.frames.front().labels);
  double const interval =
      request.frame_interval_min > 0 ? request.frame_interval_min : interval_in(request);
  result.interval_known = interval > 0;
  if (interval > 0) result.frame_interval_min = interval;
  result.area_sd_px = read_area_sd(request, result.frames);
  result.spread_known = std::any_of(result.area_sd_px.begin(), result.area_sd_px.end(),
                                    [](auto const& of_frame) { return !of_frame.empty(); });
  std::vector<septum::frame_cells> detections;
  std::vector<septum::cell_observation> observations;
  septum::cell_measuring const measuring{.neighbour_reach_px = request.neighbour_reach_px};
  for (auto const& frame : result.frames) {
    stop_if_interrupted();
    try {
      auto const cells = septum::io::read_labels(frame.labels);
      auto const pixels = image_of(request, frame);
      if (pixels && result.channels.size() != pixels->shape()[2])
        result.channels = numbered_channels(pixels->shape()[2]);
      auto found = pixels ? septum::measure_cells(cells, *pixels, measuring, common.executor())
                          : septum::measure_cells(cells, measuring, common.executor());
      auto const& spread = result.area_sd_px[result.cells.size()];
      for (auto const& cell : found) {
        if (cell.shape.area_px == 0) continue;
        auto const sd = spread.find(cell.shape.label);
        observations.push_back(observe(cell, frame.number, result.pixel_size_um,
                                       in_rim(cell.shape, cells, request.border_px),
                                       sd == spread.end() ? 0.0 : sd->second));
      }
      if (!request.reporter.empty() && pixels)
        result.reporters.push_back(
            measure_reporter(request, frame, cells, *pixels, found, result.channels, common));
      result.cells.push_back(std::move(found));
      if (!request.links.empty()) detections.push_back(septum::detect_cells(cells, frame.number));
    } catch (septum::error& failure) {
      if (failure.message().find(frame.labels.filename().string()) == std::string::npos)
        failure.add_note(frame.labels.string());
      throw;
    }
  }
  if (!request.links.empty()) measure_tracks(request, detections, observations, result);
  return result;
}

}  // namespace program
