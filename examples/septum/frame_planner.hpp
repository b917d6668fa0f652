#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "frame_segmenter.hpp"
#include "inputs.hpp"
#include "memory_plan.hpp"
#include "options.hpp"
#include "prediction.hpp"
#include "segmentation.hpp"

namespace program {

/// How frames are segmented.
struct frame_way {
  bool by_rows = false;
  overlap together{};  ///< of frames segmented whole
};

/// How many frames are segmented whole at the same time, and what they need then.
struct whole_frames {
  overlap together;
  memory_plan plan;  ///< within the memory, unless one frame alone needs more
};

/// As many frames of that kind as fit in the memory, one at least, with the nets' tiles as they
/// are.
/// @param frames   that there are
/// @param allowed  bytes
[[nodiscard]] whole_frames fit_together(frame_segmenter const& segment, frame_header const& header,
                                        std::size_t frames, std::uint64_t allowed);

/// Whether a frame fits whole or has to go row by row, with tiles as large as the memory allows,
/// and how many fit at the same time. Results depend on none of it. Refers to its arguments.
class frame_planner {
 public:
  /// @param why_not_by_rows  empty when frames can be segmented row by row
  frame_planner(frame_segmenter& segment, segmentation_request const& request,
                common_options const& common, std::string why_not_by_rows);

  /// @param frames  that are left, beginning with this one
  /// @throws septum::unsupported_error when the frame fits in no way
  [[nodiscard]] frame_way decide(input_frame const& frame, std::size_t frames);
  /// Whether the last decision holds for another frame as well.
  [[nodiscard]] bool covers(input_frame const& frame) const;
  /// Most bytes that frames so far were planned with.
  [[nodiscard]] std::uint64_t planned_bytes() const { return planned_; }

 private:
  // Whether what `plan` gives fits, with the largest tiles with which it does.
  template <class Plan>
  [[nodiscard]] bool fits(std::uint64_t allowed, Plan const& plan);

  frame_segmenter* segment_;
  segmentation_request const* request_;
  common_options const* common_;
  std::string why_not_by_rows_;
  std::optional<frame_header> together_;  // of frames that go together
  std::uint64_t least_ = 0;
  std::uint64_t planned_ = 0;
};

}  // namespace program
