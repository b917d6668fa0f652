#include "frame_planner.hpp"

#include <algorithm>
#include <septum/core/error.hpp>
#include <utility>

#include "row_segmentation.hpp"

namespace program {

whole_frames fit_together(frame_segmenter const& segment, frame_header const& header,
                          std::size_t frames, std::uint64_t allowed) {
  auto together = segment.overlapping(frames);
  auto plan = segment.plan(header, together);
  while (together.in_flight > 1 && plan.total() > allowed) {
    together = segment.overlapping(static_cast<std::size_t>(together.in_flight) - 1);
    plan = segment.plan(header, together);
  }
  return {together, std::move(plan)};
}

frame_planner::frame_planner(frame_segmenter& segment, segmentation_request const& request,
                             common_options const& common, std::string why_not_by_rows)
    : segment_{&segment},
      request_{&request},
      common_{&common},
      why_not_by_rows_{std::move(why_not_by_rows)} {}

template <class Plan>
bool frame_planner::fits(std::uint64_t allowed, Plan const& plan) {
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

frame_way frame_planner::decide(input_frame const& frame, std::size_t frames) {
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
    // Frames go together only with tiles as large as was asked for.
    segment_->net().set_budget(request_->memory_mb << 20U);
    auto const whole = fit_together(*segment_, header, frames, allowed);
    if (whole.together.in_flight > 1) {
      planned_ = std::max(planned_, whole.plan.total());
      together_ = header;
      return {.together = whole.together};
    }
    if (fits(allowed, [&] { return segment_->plan(header, whole.together).total(); }))
      return {.together = whole.together};
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

bool frame_planner::covers(input_frame const& frame) const {
  if (!together_) return false;
  auto const header = read_header(frame);
  auto const image = std::uint64_t{header.height} * header.width * header.channels * sizeof(float);
  return header.height == together_->height && header.width == together_->width &&
         header.channels == together_->channels &&
         header.file_bytes <= std::max(together_->file_bytes, image);
}

}  // namespace program
