#include "segmentation.hpp"

#include <algorithm>
#include <exception>
#include <septum/exec/ordered_pipeline.hpp>
#include <septum/io/output_folder.hpp>
#include <utility>

#include "cells_folder.hpp"
#include "class_table.hpp"
#include "frame_planner.hpp"
#include "frame_segmenter.hpp"
#include "progress.hpp"
#include "row_segmentation.hpp"
#include "signals.hpp"
#include "stopwatch.hpp"

namespace program {

std::vector<std::string> channels_of_run(septum::model const& trained,
                                         segmentation_request const& request) {
  auto channels = trained.description.channels;
  if (request.nuclear_model)
    for (auto const& name : request.nuclear_model->description.channels)
      if (std::find(channels.begin(), channels.end(), name) == channels.end())
        channels.push_back(name);
  return channels;
}

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
    auto whole = fit_together(segment, header, frames.size(), plan.allowed_bytes).plan;
    if (whole.total() > plan.whole.total()) plan.whole = std::move(whole);
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

double pixel_size_of(double in_file, segmentation_request const& request,
                     septum::model const& trained) {
  if (request.pixel_size_um > 0.0) return request.pixel_size_um;
  return in_file > 0.0 ? in_file : trained.description.pixel_size_um;
}

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
