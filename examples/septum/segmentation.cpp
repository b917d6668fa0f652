#include "segmentation.hpp"

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
#include "row_segmentation.hpp"
#include "signals.hpp"
#include "stopwatch.hpp"

namespace program {
namespace {

// Small frames are drawn larger, so that cells of ten pixels can be looked at.
int overlay_scale(std::size_t height, std::size_t width) {
  constexpr std::size_t comfortable_side = 640;
  auto const side = std::max(height, width);
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
                .largest_tile = request.largest_tile,
                .pad_by_reflection = request.pad_by_reflection,
                .each_net = request.measure_spread,
                .convolution = request.convolution,
                .cascade = request.cascade},
               common} {
    if (request.nuclear_model)
      nuclei_.emplace(*request.nuclear_model, channels_of_run(trained, request),
                      prediction_request{.memory_mb = request.memory_mb,
                                         .largest_tile = request.largest_tile,
                                         .pad_by_reflection = request.pad_by_reflection,
                                         .convolution = request.convolution},
                      common);
    else if (needs_nuclei(request.refining))
      throw septum::unsupported_error(
          "septum.program.33",
          "contours grow from nuclei; give their net with --nuclei-model FILE, or choose "
          "--refine threshold");
  }

  /// The net of the cells.
  [[nodiscard]] frame_predictor& net() { return cells_; }

  /// @throws septum::shape_error on a frame of other channels or smaller than a receptive field
  void require_frame(std::string const& source, frame_header const& frame) const {
    auto const size = [](std::size_t extent) { return static_cast<std::ptrdiff_t>(extent); };
    cells_.require_frame(source, size(frame.channels), size(frame.height), size(frame.width));
    if (nuclei_)
      nuclei_->require_frame(source, size(frame.channels), size(frame.height), size(frame.width));
  }

  /// What a frame needs when it is segmented whole.
  [[nodiscard]] memory_plan plan(frame_header const& frame) const {
    auto const height = static_cast<int>(frame.height);
    auto const width = static_cast<int>(frame.width);
    std::uint64_t const pixels = std::uint64_t{frame.height} * frame.width;
    std::uint64_t const image = pixels * frame.channels * sizeof(float);
    std::uint64_t maps = cells_.map_bytes(height, width);
    std::uint64_t nets = cells_.packed_bytes();
    std::uint64_t predicting = cells_.copy_bytes(height, width) + cells_.tile_bytes(height, width);
    if (nuclei_) {
      maps += nuclei_->map_bytes(height, width);
      nets += nuclei_->packed_bytes();
      // Both nets keep the buffers of their tiles.
      predicting += nuclei_->copy_bytes(height, width) + nuclei_->tile_bytes(height, width);
    }
    std::uint64_t const asked = cells_.each_net() ? cells_.trained().parameter_sets.size() : 0;
    maps += asked * cells_.map_bytes(height, width);
    std::uint64_t const labels = pixels * sizeof(std::int32_t) * ((nuclei_ ? 2 : 1) + asked);
    std::uint64_t const classes = cells_.trained().description.classes.size();
    std::uint64_t const refining =
        labels + pixels * refinement_bytes_per_pixel(request_->refining, classes);
    auto const scale = static_cast<std::uint64_t>(overlay_scale(frame.height, frame.width));
    // Labels of their file's type, runs of regions, a page of probabilities, the overlay.
    std::uint64_t const writing = labels + pixels * 16 +
                                  (request_->write_probabilities ? pixels * sizeof(float) : 0) +
                                  (request_->write_overlays ? pixels * scale * scale * 8 : 0);
    memory_plan result;
    result.add("program and nets", resident_bytes() + nets);
    result.add("image", image);
    result.add("probabilities", maps);
    // The file and a page of it are gone when the net starts; tiles stay for the next frame.
    result.add("largest step",
               std::max({frame.file_bytes + image, predicting,
                         cells_.tile_bytes(height, width) + std::max(refining, writing)}));
    result.add("overhead",
               overhead_bytes(common_->executor().count, result.total() - resident_bytes()));
    return result;
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
    cells_.calibrate(found.cells, source);
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
                                cells,
                                {.scale = overlay_scale(pixels.shape()[0], pixels.shape()[1])});
    return std::count_if(regions.begin(), regions.end(),
                         [](septum::region_properties const& cell) { return cell.area_px > 0; });
  }
  // Segments a frame row by row; returns the number of its cells.
  std::int64_t add_by_rows(input_frame const& frame, frame_predictor& net, double pixel_size_um,
                           std::map<std::string, double>& seconds,
                           std::function<void(double, std::string const&)> const& on_progress) {
    auto const labels = folder_->file(lead_ + "labels/" + frame.stem + ".tif");
    return segment_by_rows(frame, net, *request_, *common_,
                           {.folder = labels.parent_path(),
                            .labels = labels,
                            .pixel_size_um = pixel_size_um,
                            .table = &table_},
                           seconds, on_progress);
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

std::vector<std::string> channels_of_run(septum::model const& trained,
                                         segmentation_request const& request) {
  auto channels = trained.description.channels;
  if (request.nuclear_model)
    for (auto const& name : request.nuclear_model->description.channels)
      if (std::find(channels.begin(), channels.end(), name) == channels.end())
        channels.push_back(name);
  return channels;
}

namespace {

// Whether a frame fits whole or has to go row by row, with tiles as large as the memory allows.
// Results depend on neither.
class frame_planner {
 public:
  frame_planner(frame_segmenter& segment, segmentation_request const& request,
                common_options const& common, std::string why_not_by_rows)
      : segment_{&segment},
        request_{&request},
        common_{&common},
        why_not_by_rows_{std::move(why_not_by_rows)} {}

  /// True when the frame has to be segmented row by row.
  bool decide(input_frame const& frame) {
    auto const header = read_header(frame);
    segment_->require_frame(frame.source, header);
    bool const can = header.by_rows && why_not_by_rows_.empty();
    std::uint64_t const allowed = allowed_bytes(request_->memory_limit_mb);
    if (request_->rows == "always" && !can)
      throw septum::unsupported_error(
          "septum.program.102",
          "--rows always: " + frame.source + ": " +
              (why_not_by_rows_.empty() ? std::string{"only TIFFs are read row by row"}
                                        : why_not_by_rows_));
    if (request_->rows != "always" && fits(allowed, [&] { return segment_->plan(header).total(); }))
      return false;
    if (can && request_->rows != "never" &&
        fits(allowed, [&] { return plan_by_rows(frame, segment_->net(), *common_).total(); }))
      return true;
    throw septum::unsupported_error(
        "septum.program.103",
        frame.source + ": an image of " + std::to_string(header.height) + " x " +
            std::to_string(header.width) + " pixels needs " + bytes_text(least_) + " (" +
            std::to_string(least_) + " bytes) of memory, there are " + bytes_text(allowed) + " (" +
            std::to_string(allowed) + " bytes)" +
            (why_not_by_rows_.empty() ? std::string{}
                                      : "; it cannot be segmented row by row: " + why_not_by_rows_),
        septum::fault::resource);
  }
  /// Most bytes that frames so far were planned with.
  [[nodiscard]] std::uint64_t planned_bytes() const { return planned_; }

 private:
  template <class Plan>
  bool fits(std::uint64_t allowed, Plan const& plan) {
    constexpr std::size_t least_budget = std::size_t{16} << 20U;
    for (std::size_t budget = request_->memory_mb << 20U;; budget /= 2) {
      segment_->net().set_budget(budget);
      least_ = plan();
      if (least_ <= allowed) {
        planned_ = std::max(planned_, least_);
        return true;
      }
      if (budget <= least_budget) return false;
    }
  }

  frame_segmenter* segment_;
  segmentation_request const* request_;
  common_options const* common_;
  std::string why_not_by_rows_;
  std::uint64_t least_ = 0;
  std::uint64_t planned_ = 0;
};

double pixel_size_of(double in_file, segmentation_request const& request,
                     septum::model const& trained) {
  if (request.pixel_size_um > 0.0) return request.pixel_size_um;
  return in_file > 0.0 ? in_file : trained.description.pixel_size_um;
}

}  // namespace

segmentation_plan plan_segmentation(std::vector<input_frame> const& frames,
                                    septum::model const& trained,
                                    segmentation_request const& request,
                                    common_options const& common) {
  segmentation_result result;
  frame_segmenter segment{trained, request, common, result};
  segmentation_plan plan;
  plan.why_not_by_rows = why_not_by_rows(trained, request, common);
  plan.allowed_bytes = allowed_bytes(request.memory_limit_mb);
  for (auto const& frame : frames) {
    auto const header = read_header(frame);
    segment.require_frame(frame.source, header);
    auto const whole = segment.plan(header);
    if (whole.total() > plan.whole.total()) plan.whole = whole;
    if (!header.by_rows) {
      plan.why_not_by_rows = frame.source + " is no TIFF";
    } else if (plan.why_not_by_rows.empty()) {
      auto const by_rows = plan_by_rows(frame, segment.net(), common);
      if (by_rows.total() > plan.by_rows.total()) plan.by_rows = by_rows;
    }
  }
  return plan;
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
  frame_planner planner{segment, request, common, why_not_by_rows(trained, request, common)};
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
    if (planner.decide(frame)) {
      if (request.write_overlays)
        say(common, "septum: " + frame.source + ": segmented row by row, without an overlay");
      result.cells += cells.add_by_rows(
          frame, segment.net(), pixel_size_of(frame_rows{frame}.pixel_size_um(), request, trained),
          result.seconds, [&](double done, std::string const& step) {
            bar.update((static_cast<double>(k) + done) / static_cast<double>(frames.size()),
                       frame.stem + ": " + step);
          });
      ++result.frames_by_rows;
      continue;
    }
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
    double const pixel_size = pixel_size_of(input.pixel_size_um, request, trained);
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
  result.computed_share = segment.net().computed_share();
  result.cascade_threshold = segment.net().cascade_threshold();
  result.frames = frames.size();
  result.peak_bytes = peak_memory_bytes();
  result.planned_bytes = planner.planned_bytes();
  bar.finish("Segmented " + std::to_string(frames.size()) + " images, " +
             std::to_string(result.cells) + " cells");
  return result;
}

}  // namespace program
