#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/track/alternative_cost.hpp>
#include <septum/track/cost.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/link.hpp>
#include <septum/track/linker.hpp>
#include <septum/track/motion.hpp>
#include <septum/track/segments.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Tracking in two assignments (Jaqaman et al. 2008): cells of neighbouring frames into segments,
/// then segments into tracks with gaps, splits and merges. Sees the whole movie at once.
template <LinkCost Link = squared_distance, LinkCost Gap = squared_distance,
          LinkCost Split = squared_distance, LinkCost Merge = squared_distance,
          Motion Model = no_motion>
struct two_step_tracker {
  frame_linker<Link> link{};
  segment_linker<Gap, Split, Merge> segments{};
  Model motion{};
  /// Frames without cells are passed over, so that their neighbours count as neighbours (as
  /// TrackMate does); else only frames whose numbers differ by 1 are linked in the first step.
  bool skip_empty_frames = false;

  /// @param frames  ascending frame numbers
  /// @param drift   displacement of every frame since the one before; empty: none
  /// \returns all links, by source frame, source, target frame, target
  /// throws     unsupported_error for frames out of order and for positions that are no numbers
  [[nodiscard]] std::vector<cell_link> operator()(std::span<frame_cells const> frames,
                                                  std::span<displacement const> drift = {},
                                                  exec::threads threads = {}) const {
    detail::cell_chains chains{frames};
    std::vector<cell_link> links;
    link_frames(frames, drift, threads, chains, links);
    for (detail::event_cost const& event : segments(frames, chains, drift, threads)) {
      auto const& source = chains.cell(event.source);
      auto const& target = chains.cell(event.target);
      std::int64_t const from = chains.frame_number(event.source);
      std::int64_t const to = chains.frame_number(event.target);
      links.push_back({from, source.id, to, target.id, event.kind, event.cost});
    }
    std::sort(links.begin(), links.end(), [](cell_link const& a, cell_link const& b) {
      return std::tie(a.source_frame, a.source, a.target_frame, a.target) <
             std::tie(b.source_frame, b.source, b.target_frame, b.target);
    });
    return with_kinds(std::move(links));
  }

 private:
  void link_frames(std::span<frame_cells const> frames, std::span<displacement const> drift,
                   exec::threads threads, detail::cell_chains& chains,
                   std::vector<cell_link>& links) const {
    Model model = motion;
    std::ptrdiff_t last = -1;
    for (std::size_t f = 0; f < frames.size(); ++f) {
      frame_cells const& target = frames[f];
      detail::expect_finite(target);
      if (target.cells.empty() && skip_empty_frames) continue;
      bool const adjacent =
          last >= 0 &&
          (skip_empty_frames || target.frame - frames[static_cast<std::size_t>(last)].frame == 1);
      if (last >= 0)
        SEPTUM_EXPECTS(frames[static_cast<std::size_t>(last)].frame < target.frame,
                       unsupported_error("septum.track.3",
                                         "frames: expected a frame after " +
                                             to_text(frames[static_cast<std::size_t>(last)].frame) +
                                             ", found " + to_text(target.frame)));
      if (!adjacent) {
        model.start(target);
        last = static_cast<std::ptrdiff_t>(f);
        continue;
      }
      auto const from = static_cast<std::size_t>(last);
      frame_cells const& source = frames[from];
      displacement const moved = f < drift.size() ? drift[f] : displacement{};
      std::vector<displacement> expected =
          model.predict(static_cast<int>(target.frame - source.frame));
      for (displacement& step : expected) {
        step.y += moved.y;
        step.x += moved.x;
        step.z += moved.z;
      }
      std::vector<cell_pair> const pairs = link(source, target, moved, expected, threads);
      for (cell_pair const& pair : pairs) {
        chains.link({static_cast<std::int32_t>(from), pair.source},
                    {static_cast<std::int32_t>(f), pair.target});
        links.push_back({source.frame, source.cells[static_cast<std::size_t>(pair.source)].id,
                         target.frame, target.cells[static_cast<std::size_t>(pair.target)].id,
                         target.frame - source.frame == 1 ? link_kind::link : link_kind::gap,
                         pair.cost});
      }
      model.update(source, target, pairs);
      last = static_cast<std::ptrdiff_t>(f);
    }
  }
};

/// Settings shared by the named two-step trackers; lengths in the unit of the positions.
struct two_step_settings {
  double max_distance = 15;  ///< for linking, gaps, splits and merges
  int gap_frames = 2;
  bool close_gaps = true;
  bool splitting = false;
  bool merging = false;
};

/// TrackMate's LAP tracker without feature penalties: squared distances, links below the radius,
/// price 1.05 * the largest cost of the frame pair; second step among segments of two or more
/// cells, radius inclusive, price 1.05 * the 90th percentile (nearest rank).
[[nodiscard]] inline two_step_tracker<> trackmate_tracker(two_step_settings const& settings = {}) {
  two_step_tracker<> tracker;
  squared_distance const inclusive{.max_distance = settings.max_distance, .inclusive = true};
  tracker.link.cost.max_distance = settings.max_distance;
  tracker.segments.options = {.close_gaps = settings.close_gaps,
                              .gap_frames = settings.gap_frames,
                              .splitting = settings.splitting,
                              .merging = settings.merging,
                              .least_length = 2,
                              .middles_only = true};
  tracker.segments.gap = tracker.segments.split = tracker.segments.merge = inclusive;
  tracker.skip_empty_frames = true;
  return tracker;
}

/// LapTrack with its defaults: as TrackMate, but the lower right block holds the lowest cost, all
/// segments take part, every cell of the frame before may split, radius exclusive, percentile
/// rounded down.
[[nodiscard]] inline two_step_tracker<> laptrack_tracker(two_step_settings const& settings = {}) {
  two_step_tracker<> tracker;
  squared_distance const within{.max_distance = settings.max_distance};
  tracker.link.cost = within;
  tracker.link.alternative.block = alternative_cost::lower_block::lowest_cost;
  tracker.segments.options = {.close_gaps = settings.close_gaps,
                              .gap_frames = settings.gap_frames,
                              .splitting = settings.splitting,
                              .merging = settings.merging,
                              .least_length = 1,
                              .middles_only = false};
  tracker.segments.gap = tracker.segments.split = tracker.segments.merge = within;
  tracker.segments.alternative.between = alternative_cost::rank::lower;
  return tracker;
}

using utrack_tracker = two_step_tracker<squared_distance, utrack_gap_cost, utrack_branch_cost,
                                        utrack_branch_cost, kalman_motion>;

/// u-track as in Jaqaman 2008: squared distances to positions that a Kalman filter predicts, price
/// 1.05 * the largest cost; gaps, splits and merges priced by expected steps and by how intensities
/// (or areas) add up, price 1.05 * the 90th percentile.
[[nodiscard]] inline utrack_tracker jaqaman_tracker(two_step_settings const& settings = {}) {
  utrack_tracker tracker;
  tracker.link.cost.max_distance = settings.max_distance;
  tracker.segments.options = {.close_gaps = settings.close_gaps,
                              .gap_frames = settings.gap_frames,
                              .splitting = settings.splitting,
                              .merging = settings.merging,
                              .least_length = 1,
                              .middles_only = true};
  tracker.segments.gap.max_distance = settings.max_distance;
  tracker.segments.split.max_distance = settings.max_distance;
  tracker.segments.merge.max_distance = settings.max_distance;
  tracker.segments.merge.merging = true;
  return tracker;
}

}  // namespace septum::inline SEPTUM_ABI
