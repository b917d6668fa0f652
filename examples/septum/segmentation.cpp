#include "segmentation.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <septum/core/error.hpp>
#include <septum/image/regions.hpp>
#include <septum/io/cells.hpp>
#include <septum/io/output_folder.hpp>
#include <septum/io/overlay.hpp>
#include <septum/io/tiff.hpp>
#include <septum/measure/cell_class.hpp>
#include <septum/measure/ensemble_spread.hpp>
#include <utility>

#include "prediction.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "stopwatch.hpp"

namespace program {
namespace {

// Small frames are drawn larger, so that cells of ten pixels can be looked at.
int overlay_scale(septum::image const& pixels) {
  constexpr std::size_t comfortable_side = 640;
  auto const side = std::max(pixels.shape()[0], pixels.shape()[1]);
  return static_cast<int>(std::clamp<std::size_t>(comfortable_side / side, 1, 4));
}

// What a run finds in one frame.
struct frame_cells {
  septum::labels cells;
  septum::probabilities maps;
  septum::labels nuclei;
  septum::probabilities nuclear_maps;
  std::vector<septum::ensemble_spread> spread;  ///< of every cell; empty when not asked for
};

// Everything about one run that frames share.
class frame_segmenter {
 public:
  frame_segmenter(septum::model const& trained, segmentation_request const& request,
                  common_options const& common, segmentation_result& result)
      : request_{&request},
        common_{&common},
        result_{&result},
        cells_{trained,
               channels_of_run(trained, request),
               {.memory_mb = request.memory_mb,
                .pad_by_reflection = request.pad_by_reflection,
                .each_net = request.measure_spread,
                .convolution = request.convolution},
               common} {
    if (request.nuclear_model)
      nuclei_.emplace(*request.nuclear_model, channels_of_run(trained, request),
                      prediction_request{.memory_mb = request.memory_mb,
                                         .pad_by_reflection = request.pad_by_reflection,
                                         .convolution = request.convolution},
                      common);
    else if (needs_nuclei(request.refining))
      throw septum::unsupported_error(
          "septum.program.33",
          "contours grow from nuclei; give their net with --nuclei-model FILE, or choose "
          "--refine threshold");
  }

  frame_cells operator()(septum::image& raw, std::string const& source) {
    if (request_->zero_nonfinite) {
      if (auto const count = septum::io::zero_nonfinite(raw); count > 0)
        say(*common_, "septum: " + source + ": " + std::to_string(count) +
                          " pixels that are NaN or infinite were set to 0");
    } else {
      septum::io::require_finite(raw, source);
    }
    frame_cells found;
    auto& seconds = result_->seconds;
    if (nuclei_)
      found.nuclear_maps = (*nuclei_)(raw, source, seconds["normalize"], seconds["predict"]).mean;
    auto maps = cells_(raw, source, seconds["normalize"], seconds["predict"]);
    found.maps = std::move(maps.mean);
    stopwatch const clock{seconds["refine"]};
    auto const threads = common_->executor();
    if (nuclei_) found.nuclei = refine_nuclei(found.nuclear_maps, raw, request_->refining, threads);
    found.cells = refine(found.maps, raw, request_->refining, threads, found.nuclei);
    found.spread = spread_of(found, raw, maps.nets, threads);
    return found;
  }

  [[nodiscard]] bool measures_spread() const { return cells_.each_net(); }

 private:
  // Every net segments the frame by itself, from the same nuclei.
  [[nodiscard]] std::vector<septum::ensemble_spread> spread_of(
      frame_cells const& found, septum::image const& raw,
      std::vector<septum::probabilities> const& nets, septum::exec::threads threads) const {
    if (nets.empty()) return {};
    std::vector<septum::labels> cells;
    for (auto const& maps : nets)
      cells.push_back(refine(maps, raw, request_->refining, threads, found.nuclei));
    std::vector<septum::net_opinion> opinions;
    for (std::size_t n = 0; n < nets.size(); ++n) opinions.push_back({cells[n], nets[n]});
    std::vector<std::size_t> interiors{1};
    if (request_->refining.two_cell_types) interiors.push_back(2);
    return septum::measure_ensemble_spread(found.cells, opinions, interiors, 5, threads);
  }

  segmentation_request const* request_;
  common_options const* common_;
  segmentation_result* result_;
  frame_predictor cells_;
  std::optional<frame_predictor> nuclei_;
};

// One of the folders of results: cells, or nuclei.
class cells_folder {
 public:
  cells_folder(septum::io::output_folder& folder, std::string lead,
               segmentation_request const& request, common_options const& common,
               std::vector<std::string> const& channels,
               std::vector<std::string> const& scored_classes = {}, bool with_spread = false)
      : folder_{&folder},
        lead_{std::move(lead)},
        request_{&request},
        common_{&common},
        table_{folder.file(lead_ + "cells.csv"), channels, scored_classes, with_spread} {}

  // Writes a frame; returns the number of its cells.
  std::int64_t add(input_frame const& frame, septum::image const& pixels,
                   septum::labels const& cells, septum::probabilities const& maps,
                   double pixel_size_um, std::span<std::string const> classes = {},
                   std::span<std::vector<double> const> scores = {},
                   std::span<septum::ensemble_spread const> spread = {}) {
    auto const regions = septum::measure_regions(cells, pixels, common_->executor());
    std::vector<septum::io::net_spread> between;
    for (auto const& cell : spread) between.push_back({cell.area_sd_px, cell.interior_sd});
    table_.add(frame.source, frame.index, regions, pixel_size_um, classes, scores, between);
    septum::io::write_tiff(folder_->file(lead_ + "labels/" + frame.stem + ".tif"), cells,
                           {.pixel_size_um = pixel_size_um});
    if (request_->write_probabilities)
      septum::io::write_tiff(folder_->file(lead_ + "probabilities/" + frame.stem + ".tif"), maps,
                             {.pixel_size_um = pixel_size_um});
    if (request_->write_overlays)
      septum::io::write_overlay(folder_->file(lead_ + "overlay/" + frame.stem + ".png"), pixels,
                                cells, {.scale = overlay_scale(pixels)});
    return std::count_if(regions.begin(), regions.end(),
                         [](septum::region_properties const& cell) { return cell.area_px > 0; });
  }
  void commit() { table_.commit(); }

 private:
  septum::io::output_folder* folder_;
  std::string lead_;
  segmentation_request const* request_;
  common_options const* common_;
  septum::io::cells_writer table_;
};

// The class of every cell where there are two types, with sums over the run.
class class_table {
 public:
  class_table(septum::model const& trained, refinement const& refining)
      : score_min_{refining.class_score_min} {
    if (!refining.two_cell_types) return;
    if (trained.description.classes.size() < 4)
      throw septum::unsupported_error("septum.program.34",
                                      "a co-culture has two interior classes; this model has " +
                                          std::to_string(trained.description.classes.size()) +
                                          " classes in all");
    names_ = {trained.description.classes[1], trained.description.classes[2]};
    for (auto const& name : names_)
      summaries_.push_back({name, 0, std::vector<std::int64_t>(bins, 0)});
    summaries_.push_back({"", 0, {}});
  }

  [[nodiscard]] std::vector<std::string> const& names() const { return names_; }

  // Decides the cells of a frame.
  void decide(septum::labels const& cells, septum::probabilities const& maps) {
    decided_.clear();
    scores_.clear();
    if (names_.empty()) return;
    auto const found = septum::classify_cells(cells, maps, {1, 2}, {.share_min = score_min_});
    for (auto const& cell : found) {
      bool const scored = cell.shares[0] + cell.shares[1] > 0;
      auto const place = cell.decision ? static_cast<std::size_t>(*cell.decision - 1) : 2;
      summaries_[place].cells += scored ? 1 : 0;
      decided_.push_back(cell.decision ? names_[place] : std::string{});
      scores_.push_back(cell.shares);
    }
    for (std::size_t k = 0; k < names_.size(); ++k) {
      auto const histogram = septum::share_histogram(found, k, bins);
      for (std::size_t bin = 0; bin < bins; ++bin) summaries_[k].histogram[bin] += histogram[bin];
    }
  }
  [[nodiscard]] std::span<std::string const> decided() const { return decided_; }
  [[nodiscard]] std::span<std::vector<double> const> scores() const { return scores_; }
  [[nodiscard]] std::vector<class_summary> const& summaries() const { return summaries_; }

 private:
  static constexpr std::size_t bins = 20;

  double score_min_;
  std::vector<std::string> names_;
  std::vector<class_summary> summaries_;
  std::vector<std::string> decided_;
  std::vector<std::vector<double>> scores_;
};

}  // namespace

std::size_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

std::vector<std::string> channels_of_run(septum::model const& trained,
                                         segmentation_request const& request) {
  auto channels = trained.description.channels;
  if (request.nuclear_model)
    for (auto const& name : request.nuclear_model->description.channels)
      if (std::find(channels.begin(), channels.end(), name) == channels.end())
        channels.push_back(name);
  return channels;
}

segmentation_result segment_frames(std::vector<input_frame> const& frames,
                                   septum::model const& trained,
                                   segmentation_request const& request,
                                   common_options const& common) {
  segmentation_result result;
  for (char const* step : {"read", "normalize", "predict", "refine", "write"})
    result.seconds[step] = 0.0;
  auto const channels = channels_of_run(trained, request);
  frame_segmenter segment{trained, request, common, result};
  class_table classes{trained, request.refining};
  septum::io::output_folder folder{request.out};
  cells_folder cells{
      folder, "", request, common, channels, classes.names(), segment.measures_spread()};
  std::optional<cells_folder> nuclei;
  if (request.nuclear_model) nuclei.emplace(folder, "nuclei/", request, common, channels);
  progress_bar bar{"segmenting", !common.quiet};
  for (std::size_t k = 0; k < frames.size(); ++k) {
    auto const& frame = frames[k];
    stop_if_interrupted();
    septum::io::scaled_image input;
    {
      stopwatch const clock{result.seconds["read"]};
      input = frame.load();
    }
    frame_cells found;
    try {
      found = segment(input.pixels, frame.source);
    } catch (septum::error& failure) {
      if (failure.message().rfind(frame.source, 0) != 0) failure.add_note(frame.source);
      throw;
    }
    classes.decide(found.cells, found.maps);
    double const pixel_size = request.pixel_size_um > 0.0 ? request.pixel_size_um
                              : input.pixel_size_um > 0.0 ? input.pixel_size_um
                                                          : trained.description.pixel_size_um;
    stopwatch const clock{result.seconds["write"]};
    result.cells += cells.add(frame, input.pixels, found.cells, found.maps, pixel_size,
                              classes.decided(), classes.scores(), found.spread);
    if (nuclei)
      result.nuclei +=
          nuclei->add(frame, input.pixels, found.nuclei, found.nuclear_maps, pixel_size);
    bar.update(static_cast<double>(k + 1) / static_cast<double>(frames.size()),
               "frame " + std::to_string(k + 1) + "/" + std::to_string(frames.size()) + "  " +
                   std::to_string(result.cells) + " cells");
  }
  cells.commit();
  if (nuclei) nuclei->commit();
  folder.commit();
  result.classes = classes.summaries();
  result.frames = frames.size();
  result.peak_bytes = peak_memory_bytes();
  bar.finish("Segmented " + std::to_string(frames.size()) + " images, " +
             std::to_string(result.cells) + " cells");
  return result;
}

}  // namespace program
