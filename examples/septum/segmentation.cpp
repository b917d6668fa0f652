#include "segmentation.hpp"

#include <algorithm>
#include <exception>
#include <septum/core/error.hpp>
#include <septum/exec/ordered_pipeline.hpp>
#include <septum/image/regions.hpp>
#include <septum/io/cells.hpp>
#include <septum/io/output_folder.hpp>
#include <septum/io/overlay.hpp>
#include <septum/io/tiff.hpp>
#include <septum/measure/cell_class.hpp>
#include <septum/measure/ensemble_spread.hpp>
#include <utility>

#include "gpu.hpp"
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

// A frame on its way through a run, and what is found in it.
struct frame_work {
  input_frame const* frame = nullptr;
  septum::io::scaled_image input{};
  net_frame own{};
  net_frame nuclear{};
  septum::labels cells{};
  septum::labels nuclei{};
  std::vector<septum::ensemble_spread> spread{};  // of every cell; empty when not asked for
  std::vector<septum::cell_class> classes{};      // of every cell; empty with one class
  std::vector<septum::region_properties> cell_regions{};
  std::vector<septum::region_properties> nuclear_regions{};
  std::vector<std::string> notes{};  // for people, said in the order of the frames
  std::map<std::string, double> seconds{};
};

// How frames overlap.
struct overlap {
  int in_flight = 1;              // under way at most
  int workers = 1;                // of a stage of the host
  septum::exec::threads threads;  // of each
};

// Threads of the host beside the net's, where it computes as well. A net on all processors waits
// for whichever of its threads shares one, so that only many have some to spare.
int threads_beside_net(septum::exec::threads all, std::size_t frames) {
  constexpr int many = 8;
  constexpr int spared = 2;
  return frames > 1 && all.count >= many ? spared : 0;
}

// How up to so many frames overlap. Where a device has the net, whole frames go to different
// threads.
overlap overlap_of(septum::exec::threads all, bool on_device, std::size_t frames) {
  constexpr std::size_t many = 1000;
  int const most = static_cast<int>(std::min(frames, many));
  int const beside = on_device ? all.count : threads_beside_net(all, frames);
  if (most < 2 || beside < 2) return {.threads = all};
  if (!on_device) return {.in_flight = std::min(most, 4), .threads = {beside}};
  int const workers = std::clamp(all.count / 4, 1, std::min(most, 4));
  return {.in_flight = std::min(most, device_frames_in_flight + 2 * workers + 2),
          .workers = workers,
          .threads = {all.count / workers}};
}

// Everything about one run that frames share.
class frame_segmenter {
 public:
  /// @param frames  of the run, one at least
  frame_segmenter(septum::model const& trained, segmentation_request const& request,
                  common_options const& common, std::size_t frames)
      : request_{&request},
        common_{&common},
        cells_{
            trained,
            channels_of_run(trained, request),
            {.memory_mb = request.memory_mb,
             .largest_tile = request.largest_tile,
             .pad_by_reflection = request.pad_by_reflection,
             .each_net = request.measure_spread,
             .threads_spared = threads_beside_net(common.executor(), request.cascade ? 1 : frames),
             .convolution = request.convolution,
             .cascade = request.cascade},
            common} {
    if (request.nuclear_model)
      nuclei_.emplace(
          *request.nuclear_model, channels_of_run(trained, request),
          prediction_request{.memory_mb = request.memory_mb,
                             .largest_tile = request.largest_tile,
                             .pad_by_reflection = request.pad_by_reflection,
                             .threads_spared = threads_beside_net(common.executor(), frames),
                             .convolution = request.convolution},
          common);
    else if (needs_nuclei(request.refining))
      throw septum::unsupported_error(
          "septum.program.33",
          "contours grow from nuclei; give their net with --nuclei-model FILE, or choose "
          "--refine threshold");
    if (needs_nuclei(request.refining)) place_ = place_contours(common);
  }
  frame_segmenter(frame_segmenter const&) = delete;
  frame_segmenter& operator=(frame_segmenter const&) = delete;

  /// The net of the cells.
  [[nodiscard]] frame_predictor& net() { return cells_; }
  /// How up to so many frames overlap.
  [[nodiscard]] overlap overlapping(std::size_t frames) const {
    return overlap_of(common_->executor(), cells_.on_device(), cells_.has_cascade() ? 1 : frames);
  }
  /// What the steps are run with from now on.
  void set_overlap(overlap const& chosen) { overlap_ = chosen; }
  [[nodiscard]] septum::exec::threads threads() const { return overlap_.threads; }

  /// @throws septum::shape_error on a frame of other channels or smaller than a receptive field
  void require_frame(std::string const& source, frame_header const& frame) const {
    auto const size = [](std::size_t extent) { return static_cast<std::ptrdiff_t>(extent); };
    cells_.require_frame(source, size(frame.channels), size(frame.height), size(frame.width));
    if (nuclei_)
      nuclei_->require_frame(source, size(frame.channels), size(frame.height), size(frame.width));
  }

  /// What frames of that kind need when they are segmented whole.
  [[nodiscard]] memory_plan plan(frame_header const& frame, overlap const& together) const {
    auto const height = static_cast<int>(frame.height);
    auto const width = static_cast<int>(frame.width);
    std::uint64_t const pixels = std::uint64_t{frame.height} * frame.width;
    std::uint64_t const image = pixels * frame.channels * sizeof(float);
    std::uint64_t maps = cells_.map_bytes(height, width);
    std::uint64_t nets = cells_.packed_bytes();
    std::uint64_t copies = cells_.copy_bytes(height, width);
    std::uint64_t tiles = cells_.tile_bytes(height, width) + cells_.flight_bytes(height, width);
    if (nuclei_) {
      maps += nuclei_->map_bytes(height, width);
      nets += nuclei_->packed_bytes();
      // Both nets keep the buffers of their tiles.
      copies += nuclei_->copy_bytes(height, width);
      tiles += nuclei_->tile_bytes(height, width) + nuclei_->flight_bytes(height, width);
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
    auto const frames = static_cast<std::uint64_t>(together.in_flight);
    result.add("image", frames * image);
    result.add("probabilities", frames * maps);
    if (frames == 1) {
      // The file and a page of it are gone when the net starts; tiles stay for the next frame.
      result.add("largest step", std::max({frame.file_bytes + image, copies + tiles,
                                           tiles + std::max(refining, writing)}));
    } else {
      auto const workers = static_cast<std::uint64_t>(together.workers);
      result.add("copies and labels", frames * (copies + labels));
      std::uint64_t const reading = std::max(frame.file_bytes, image) + image;
      result.add("steps of different frames", tiles + workers * (reading + refining + writing));
    }
    result.add("overhead",
               overhead_bytes(common_->executor().count, result.total() - resident_bytes()));
    return result;
  }

  /// The steps of a frame; see run_pipeline.
  // Frames of one file share what reads it, so that they are read one by one; others are not.
  void read(frame_work& work) const {
    if (work.frame->files.empty()) load(work);
  }
  void prepare(frame_work& work) const {
    if (!work.frame->files.empty()) load(work);
    auto& raw = work.input.pixels;
    auto const& source = work.frame->source;
    named_step(work, "normalize", [&] {
      if (!request_->zero_nonfinite) {
        septum::io::require_finite(raw, source);
      } else if (auto const count = septum::io::zero_nonfinite(raw); count > 0) {
        work.notes.push_back("septum: " + source + ": " + std::to_string(count) +
                             " pixels that are NaN or infinite were set to 0");
      }
      if (nuclei_) work.nuclear = nuclei_->prepare(raw, source, work.notes, overlap_.threads);
      work.own = cells_.prepare(raw, source, work.notes, overlap_.threads);
    });
  }
  [[nodiscard]] bool accepts(frame_work const& work) const {
    return (!nuclei_ || nuclei_->accepts(work.nuclear)) && cells_.accepts(work.own);
  }
  void submit(frame_work& work) {
    named_step(work, "predict", [&] {
      if (nuclei_) nuclei_->submit(work.nuclear);
      cells_.submit(work.own);
    });
  }
  void collect(frame_work& work) {
    named_step(work, "predict", [&] {
      try {
        if (nuclei_) nuclei_->collect(work.nuclear);
      } catch (...) {
        cells_.collect(work.own);  // the two stay at the same frame
        throw;
      }
      cells_.collect(work.own);
    });
  }
  void abandon() {
    if (nuclei_) nuclei_->abandon();
    cells_.abandon();
  }
  void refine(frame_work& work) {
    named_step(work, "refine", [&] {
      auto const& raw = work.input.pixels;
      auto const& options = request_->refining;
      if (nuclei_)
        work.nuclei = refine_nuclei(work.nuclear.maps.mean, raw, options, overlap_.threads);
      work.cells =
          program::refine(work.own.maps.mean, raw, options, overlap_.threads, work.nuclei, place_);
      cells_.calibrate(work.cells, work.frame->source);
      work.spread = spread_of(work);
      work.own.maps.nets.clear();
    });
  }

  [[nodiscard]] bool measures_spread() const { return cells_.each_net(); }

 private:
  // One step of a frame, timed; a signal stops it before it starts.
  template <class Do>
  static void step(frame_work& work, char const* name, Do const& run) {
    stop_if_interrupted();
    stopwatch const clock{work.seconds[name]};
    run();
  }
  static void load(frame_work& work) {
    step(work, "read", [&] { work.input = work.frame->load(); });
  }
  // A step whose errors name the frame.
  template <class Do>
  static void named_step(frame_work& work, char const* name, Do const& run) {
    try {
      step(work, name, run);
    } catch (septum::error& failure) {
      if (failure.message().rfind(work.frame->source, 0) != 0) failure.add_note(work.frame->source);
      throw;
    }
  }

  // Every net segments the frame by itself, from the same nuclei.
  [[nodiscard]] std::vector<septum::ensemble_spread> spread_of(frame_work const& work) const {
    auto const& nets = work.own.maps.nets;
    if (nets.empty()) return {};
    auto const threads = overlap_.threads;
    std::vector<septum::labels> cells;
    for (auto const& maps : nets)
      cells.push_back(program::refine(maps, work.input.pixels, request_->refining, threads,
                                      work.nuclei, place_));
    std::vector<septum::net_opinion> opinions;
    for (std::size_t n = 0; n < nets.size(); ++n) opinions.push_back({cells[n], nets[n]});
    std::vector<std::size_t> interiors{1};
    if (request_->refining.two_cell_types) interiors.push_back(2);
    return septum::measure_ensemble_spread(work.cells, opinions, interiors, 5, threads);
  }

  segmentation_request const* request_;
  common_options const* common_;
  frame_predictor cells_;
  std::optional<frame_predictor> nuclei_;
  overlap overlap_;
  contour_place place_;
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

  // Writes the files of a frame and measures its cells.
  [[nodiscard]] std::vector<septum::region_properties> write(input_frame const& frame,
                                                             septum::image const& pixels,
                                                             septum::labels const& cells,
                                                             septum::probabilities const& maps,
                                                             double pixel_size_um,
                                                             septum::exec::threads threads) const {
    auto regions = septum::measure_regions(cells, pixels, threads);
    septum::io::write_tiff(folder_->file(lead_ + "labels/" + frame.stem + ".tif"), cells,
                           {.pixel_size_um = pixel_size_um});
    if (request_->write_probabilities)
      septum::io::write_tiff(folder_->file(lead_ + "probabilities/" + frame.stem + ".tif"), maps,
                             {.pixel_size_um = pixel_size_um});
    if (request_->write_overlays)
      septum::io::write_overlay(folder_->file(lead_ + "overlay/" + frame.stem + ".png"), pixels,
                                cells,
                                {.scale = overlay_scale(pixels.shape()[0], pixels.shape()[1])});
    return regions;
  }
  // Adds the cells of a frame to the table, frames in their order; returns their number.
  std::int64_t add(input_frame const& frame, std::span<septum::region_properties const> regions,
                   double pixel_size_um, std::span<std::string const> classes = {},
                   std::span<std::vector<double> const> scores = {},
                   std::span<septum::ensemble_spread const> spread = {}) {
    std::vector<septum::io::net_spread> between;
    for (auto const& cell : spread) between.push_back({cell.area_sd_px, cell.interior_sd});
    table_.add(frame.source, frame.index, regions, pixel_size_um, classes, scores, between);
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
  [[nodiscard]] std::vector<septum::cell_class> decide(septum::labels const& cells,
                                                       septum::probabilities const& maps) const {
    if (names_.empty()) return {};
    return septum::classify_cells(cells, maps, {1, 2}, {.share_min = score_min_});
  }
  // Counts them and makes their fields for the table, frames in their order.
  void add(std::vector<septum::cell_class> const& found) {
    decided_.clear();
    scores_.clear();
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

// How frames are segmented.
struct frame_way {
  bool by_rows = false;
  overlap together{};  // of frames segmented whole
};

// Whether a frame fits whole or has to go row by row, with tiles as large as the memory allows, and
// how many fit at the same time. Results depend on none of it.
class frame_planner {
 public:
  frame_planner(frame_segmenter& segment, segmentation_request const& request,
                common_options const& common, std::string why_not_by_rows)
      : segment_{&segment},
        request_{&request},
        common_{&common},
        why_not_by_rows_{std::move(why_not_by_rows)} {}

  /// @param frames  that are left, beginning with this one
  /// @throws septum::unsupported_error when the frame fits in no way
  frame_way decide(input_frame const& frame, std::size_t frames) {
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
    together_.reset();
    if (request_->rows != "always") {
      if (auto const together = fitting_together(header, allowed, frames); together.in_flight > 1) {
        together_ = header;
        return {.together = together};
      }
      overlap const alone = segment_->overlapping(1);
      if (fits(allowed, [&] { return segment_->plan(header, alone).total(); }))
        return {.together = alone};
    }
    if (can && request_->rows != "never" &&
        fits(allowed, [&] { return plan_by_rows(frame, segment_->net(), *common_).total(); }))
      return {.by_rows = true};
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
  /// Whether the last decision holds for another frame as well.
  [[nodiscard]] bool covers(input_frame const& frame) const {
    if (!together_) return false;
    auto const header = read_header(frame);
    auto const image =
        std::uint64_t{header.height} * header.width * header.channels * sizeof(float);
    return header.height == together_->height && header.width == together_->width &&
           header.channels == together_->channels &&
           header.file_bytes <= std::max(together_->file_bytes, image);
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
  // How frames of that kind overlap in the memory, with tiles as large as was asked for.
  overlap fitting_together(frame_header const& header, std::uint64_t allowed, std::size_t frames) {
    segment_->net().set_budget(request_->memory_mb << 20U);
    auto together = segment_->overlapping(frames);
    while (together.in_flight > 1) {
      std::uint64_t const needed = segment_->plan(header, together).total();
      if (needed <= allowed) {
        planned_ = std::max(planned_, needed);
        break;
      }
      together = segment_->overlapping(static_cast<std::size_t>(together.in_flight) - 1);
    }
    return together;
  }

  frame_segmenter* segment_;
  segmentation_request const* request_;
  common_options const* common_;
  std::string why_not_by_rows_;
  std::optional<frame_header> together_;  // of frames that go together
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
  frame_segmenter segment{trained, request, common, frames.size()};
  segmentation_plan plan;
  plan.why_not_by_rows = why_not_by_rows(trained, request, common);
  plan.allowed_bytes = allowed_bytes(request.memory_limit_mb);
  for (auto const& frame : frames) {
    auto const header = read_header(frame);
    segment.require_frame(frame.source, header);
    auto together = segment.overlapping(frames.size());
    auto whole = segment.plan(header, together);
    while (together.in_flight > 1 && whole.total() > plan.allowed_bytes) {
      together = segment.overlapping(static_cast<std::size_t>(together.in_flight) - 1);
      whole = segment.plan(header, together);
    }
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

namespace {

// Everything about one run that its frames share.
class segmentation_run {
 public:
  segmentation_run(std::vector<input_frame> const& frames, septum::model const& trained,
                   segmentation_request const& request, common_options const& common)
      : frames_{&frames},
        trained_{&trained},
        request_{&request},
        common_{&common},
        segment_{trained, request, common, frames.size()},
        planner_{segment_, request, common, why_not_by_rows(trained, request, common)},
        classes_{trained, request.refining},
        folder_{request.out},
        cells_{folder_,
               "",
               request,
               common,
               channels_of_run(trained, request),
               classes_.names(),
               segment_.measures_spread()},
        bar_{"segmenting", !common.quiet} {
    for (char const* step : {"read", "normalize", "predict", "refine", "write"})
      result_.seconds[step] = 0.0;
    if (request.nuclear_model)
      nuclei_.emplace(folder_, "nuclei/", request, common, channels_of_run(trained, request));
  }

  segmentation_result operator()() {
    while (next_ < frames_->size()) {
      stop_if_interrupted();
      auto const way = planner_.decide((*frames_)[next_], frames_->size() - next_);
      if (way.by_rows)
        add_by_rows((*frames_)[next_++]);
      else
        add_whole(way.together);
    }
    cells_.commit();
    if (nuclei_) nuclei_->commit();
    folder_.commit();
    result_.classes = classes_.summaries();
    result_.computed_share = segment_.net().computed_share();
    result_.cascade_threshold = segment_.net().cascade_threshold();
    result_.frames = frames_->size();
    result_.peak_bytes = peak_memory_bytes();
    result_.planned_bytes = planner_.planned_bytes();
    bar_.finish("Segmented " + std::to_string(frames_->size()) + " images, " +
                std::to_string(result_.cells) + " cells");
    return std::move(result_);
  }

 private:
  void add_by_rows(input_frame const& frame) {
    if (request_->write_overlays)
      say(*common_, "septum: " + frame.source + ": segmented row by row, without an overlay");
    result_.cells += cells_.add_by_rows(
        frame, segment_.net(), pixel_size(frame_rows{frame}.pixel_size_um()), result_.seconds,
        [&](double done, std::string const& step) {
          bar_.update((static_cast<double>(done_) + done) / static_cast<double>(frames_->size()),
                      frame.stem + ": " + step);
        });
    ++done_;
    ++result_.frames_by_rows;
  }

  // The next frame and those after it to which the same decision applies.
  void add_whole(overlap const& together) {
    segment_.set_overlap(together);
    bool first = true;
    auto const source = [&]() -> std::optional<frame_work> {
      stop_if_interrupted();
      if (next_ == frames_->size()) return std::nullopt;
      auto const& frame = (*frames_)[next_];
      if (!std::exchange(first, false) && !planner_.covers(frame)) return std::nullopt;
      ++next_;
      return frame_work{.frame = &frame};
    };
    auto const read = [&](frame_work& work) { segment_.read(work); };
    auto const prepare = [&](frame_work& work) { segment_.prepare(work); };
    auto const refine = [&](frame_work& work) { refine_and_write(work); };
    septum::run_pipeline(
        together.in_flight, source,
        [&](frame_work& work, std::exception_ptr const& failure) { add(work, failure); }, read,
        septum::on_workers{prepare, together.workers}, segment_,
        septum::on_workers{refine, together.workers});
  }

  // Files of a frame do not depend on other frames.
  void refine_and_write(frame_work& work) {
    segment_.refine(work);
    work.classes = classes_.decide(work.cells, work.own.maps.mean);
    stopwatch const clock{work.seconds["write"]};
    double const size = pixel_size(work.input.pixel_size_um);
    auto const threads = segment_.threads();
    work.cell_regions =
        cells_.write(*work.frame, work.input.pixels, work.cells, work.own.maps.mean, size, threads);
    if (nuclei_)
      work.nuclear_regions = nuclei_->write(*work.frame, work.input.pixels, work.nuclei,
                                            work.nuclear.maps.mean, size, threads);
  }

  // What depends on the order of the frames.
  void add(frame_work& work, std::exception_ptr const& failure) {
    for (auto const& note : work.notes) say(*common_, note);
    if (failure) std::rethrow_exception(failure);
    stopwatch const clock{work.seconds["write"]};
    double const size = pixel_size(work.input.pixel_size_um);
    classes_.add(work.classes);
    result_.cells += cells_.add(*work.frame, work.cell_regions, size, classes_.decided(),
                                classes_.scores(), work.spread);
    if (nuclei_) result_.nuclei += nuclei_->add(*work.frame, work.nuclear_regions, size);
    for (auto const& [step, seconds] : work.seconds) result_.seconds[step] += seconds;
    ++done_;
    bar_.update(static_cast<double>(done_) / static_cast<double>(frames_->size()),
                "frame " + std::to_string(done_) + "/" + std::to_string(frames_->size()) + "  " +
                    std::to_string(result_.cells) + " cells");
  }

  [[nodiscard]] double pixel_size(double in_file) const {
    return pixel_size_of(in_file, *request_, *trained_);
  }

  std::vector<input_frame> const* frames_;
  septum::model const* trained_;
  segmentation_request const* request_;
  common_options const* common_;
  segmentation_result result_;
  frame_segmenter segment_;
  frame_planner planner_;
  class_table classes_;
  septum::io::output_folder folder_;
  cells_folder cells_;
  std::optional<cells_folder> nuclei_;
  progress_bar bar_;
  std::size_t next_ = 0;  // frame to begin with
  std::size_t done_ = 0;
};

}  // namespace

segmentation_result segment_frames(std::vector<input_frame> const& frames,
                                   septum::model const& trained,
                                   segmentation_request const& request,
                                   common_options const& common) {
  return segmentation_run{frames, trained, request, common}();
}

}  // namespace program
