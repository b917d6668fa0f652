#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/track/alternative_cost.hpp>
#include <septum/track/assignment.hpp>
#include <septum/track/cost.hpp>
#include <septum/track/detail/point_grid.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/link.hpp>
#include <septum/track/linker.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Which events the second step looks for, and among which cells.
struct segment_options {
  bool close_gaps = true;
  int gap_frames = 2;  ///< most frames from an end to a start: 2 bridges one missing frame
  bool splitting = false;
  bool merging = false;
  int least_length = 1;  ///< segments of fewer cells take no part (TrackMate: 2)
  bool middles_only =
      true;  ///< no split from the last and no merge into the first cell of a segment
};

namespace detail {

/// A cell of a movie: position of its frame in the movie, position of the cell in its frame.
struct cell_at {
  std::int32_t frame = -1;
  std::int32_t cell = -1;
  friend auto operator<=>(cell_at const&, cell_at const&) = default;
};

/// One-to-one links between the cells of a movie.
class cell_chains {
 public:
  explicit cell_chains(std::span<frame_cells const> frames) : frames_{frames} {
    for (frame_cells const& frame : frames) {
      next_.emplace_back(frame.cells.size());
      previous_.emplace_back(frame.cells.size());
    }
  }

  void link(cell_at source, cell_at target) {
    next_[at(source.frame)][at(source.cell)] = target;
    previous_[at(target.frame)][at(target.cell)] = source;
  }
  [[nodiscard]] cell_at next(cell_at cell) const { return next_[at(cell.frame)][at(cell.cell)]; }
  [[nodiscard]] cell_at previous(cell_at cell) const {
    return previous_[at(cell.frame)][at(cell.cell)];
  }
  [[nodiscard]] detection const& cell(cell_at cell) const {
    return frames_[at(cell.frame)].cells[at(cell.cell)];
  }
  [[nodiscard]] std::int64_t frame_number(cell_at cell) const {
    return frames_[at(cell.frame)].frame;
  }
  [[nodiscard]] detection const* cell_or_none(cell_at cell) const {
    return cell.frame < 0 ? nullptr : &this->cell(cell);
  }

 private:
  [[nodiscard]] static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

  std::span<frame_cells const> frames_;
  std::vector<std::vector<cell_at>> next_, previous_;
};

/// A run of linked cells.
struct segment {
  cell_at first, last;
  std::int32_t length = 0;
  double step = 0;  ///< mean displacement per frame
};

/// Price of a pair of events in the second step.
struct event_cost {
  cell_at source, target;
  double cost = 0;
  link_kind kind = link_kind::gap;
};

}  // namespace detail

/// Second step of Jaqaman 2008: closes gaps between segments, and finds splits and merges, in one
/// assignment. Rows are segment ends and split points, columns segment starts and merge points;
/// splits and merges span one frame.
template <LinkCost Gap = squared_distance, LinkCost Split = squared_distance,
          LinkCost Merge = squared_distance>
struct segment_linker {
  segment_options options{};
  Gap gap{};
  Split split{};
  Merge merge{};
  alternative_cost alternative{.from = alternative_cost::rule::factor_of_share};

  /// @param frames  the movie, ascending frame numbers
  /// @param chains  the links of the first step
  /// @param drift   displacement of every frame since the one before; empty: none
  /// \returns the new links, by source, then target
  [[nodiscard]] std::vector<detail::event_cost> operator()(std::span<frame_cells const> frames,
                                                           detail::cell_chains const& chains,
                                                           std::span<displacement const> drift = {},
                                                           exec::threads threads = {}) const {
    std::vector<detail::segment> const segments = find_segments(frames, chains);
    std::vector<detail::event_cost> events;
    find_events(frames, chains, segments, drift, events);
    return choose(std::move(events), threads);
  }

 private:
  using cell_at = detail::cell_at;

  [[nodiscard]] static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

  [[nodiscard]] std::vector<detail::segment> find_segments(
      std::span<frame_cells const> frames, detail::cell_chains const& chains) const {
    std::vector<detail::segment> segments;
    for (std::int32_t f = 0; f < static_cast<std::int32_t>(frames.size()); ++f)
      for (std::int32_t c = 0; c < static_cast<std::int32_t>(frames[at(f)].cells.size()); ++c) {
        cell_at const first{f, c};
        if (chains.previous(first).frame >= 0) continue;
        detail::segment found{.first = first, .last = first, .length = 1};
        double path = 0;
        while (chains.next(found.last).frame >= 0) {
          cell_at const next = chains.next(found.last);
          detection const& a = chains.cell(found.last);
          detection const& b = chains.cell(next);
          path += std::hypot(b.y - a.y, b.x - a.x, b.z - a.z);
          found.last = next;
          ++found.length;
        }
        if (found.length > 1) found.step = path / (found.length - 1);
        if (found.length >= options.least_length) segments.push_back(found);
      }
    return segments;
  }

  /// Cells of one frame that may take one role, with the step of their segment.
  struct role {
    std::vector<cell_at> cells;
    std::vector<detection> copies;
    std::vector<double> steps;
    void add(cell_at cell, detection const& copy, double step) {
      cells.push_back(cell);
      copies.push_back(copy);
      steps.push_back(step);
    }
  };

  void find_events(std::span<frame_cells const> frames, detail::cell_chains const& chains,
                   std::vector<detail::segment> const& segments,
                   std::span<displacement const> drift,
                   std::vector<detail::event_cost>& events) const {
    std::vector<role> ends(frames.size()), starts(frames.size()), middles(frames.size());
    for (detail::segment const& s : segments) {
      starts[at(s.first.frame)].add(s.first, chains.cell(s.first), s.step);
      ends[at(s.last.frame)].add(s.last, chains.cell(s.last), s.step);
      if (!options.splitting && !options.merging) continue;
      for (cell_at cell = s.first; cell.frame >= 0; cell = chains.next(cell))
        if (!options.middles_only || (cell != s.first && cell != s.last))
          middles[at(cell.frame)].add(cell, chains.cell(cell), s.step);
    }
    int const reach = options.close_gaps ? std::max(options.gap_frames, 1) : 1;
    for (std::size_t f = 0; f < frames.size(); ++f)
      for (std::size_t g = f + 1; g < frames.size() && frames[g].frame - frames[f].frame <= reach;
           ++g) {
        bool const adjacent = frames[g].frame - frames[f].frame == 1;
        pair_search const search{frames[f], frames[g], drift_between(drift, f, g)};
        if (options.close_gaps) search.run(ends[f], starts[g], gap, link_kind::gap, chains, events);
        if (options.merging && adjacent)
          search.run(ends[f], middles[g], merge, link_kind::merge, chains, events);
        if (options.splitting && adjacent)
          search.run(middles[f], starts[g], split, link_kind::split, chains, events);
      }
  }

  [[nodiscard]] static displacement drift_between(std::span<displacement const> drift,
                                                  std::size_t from, std::size_t to) {
    displacement sum;
    for (std::size_t f = from + 1; f <= to && f < drift.size(); ++f) {
      sum.y += drift[f].y;
      sum.x += drift[f].x;
      sum.z += drift[f].z;
    }
    return sum;
  }

  /// All pairs of two roles in two frames that a cost allows.
  struct pair_search {
    frame_cells const& source;
    frame_cells const& target;
    displacement drift;

    template <LinkCost Cost>
    void run(role const& from, role const& to, Cost const& cost, link_kind kind,
             detail::cell_chains const& chains, std::vector<detail::event_cost>& events) const {
      if (from.cells.empty() || to.cells.empty()) return;
      detail::overlap_lookup const overlap{source, target, drift};
      detail::point_grid grid{to.copies, cost.reach()};
      auto const frames = static_cast<int>(target.frame - source.frame);
      for (std::size_t i = 0; i < from.cells.size(); ++i) {
        detection const& a = from.copies[i];
        grid.for_each_near(a.y + drift.y, a.x + drift.x, [&](std::int32_t j) {
          detection const& b = to.copies[at(j)];
          cell_at const s = from.cells[i], t = to.cells[at(j)];
          double const step = (from.steps[i] + to.steps[at(j)]) / 2;
          link_candidate const pair{
              .source = a,
              .target = b,
              .dy = b.y - a.y - drift.y,
              .dx = b.x - a.x - drift.x,
              .dz = b.z - a.z - drift.z,
              .frames = frames,
              .overlap = overlap(s.cell, t.cell),
              .sibling = kind == link_kind::split   ? chains.cell_or_none(chains.next(s))
                         : kind == link_kind::merge ? chains.cell_or_none(chains.previous(t))
                                                    : nullptr,
              .typical_step = step};
          double const price = cost(pair);
          if (price < impossible || std::isnan(price)) events.push_back({s, t, price, kind});
        });
      }
    }
  };

  /// A row of the assignment: the end of a segment, or a cell that may split. The same cell may be
  /// both when it is the last of its segment.
  struct event_end {
    bool branch;
    cell_at cell;
    friend auto operator<=>(event_end const&, event_end const&) = default;
  };

  [[nodiscard]] std::vector<detail::event_cost> choose(std::vector<detail::event_cost> events,
                                                       exec::threads threads) const {
    if (events.empty()) return {};
    std::map<event_end, std::int32_t> rows, columns;
    std::vector<double> costs;
    for (detail::event_cost const& e : events) {
      rows.emplace(event_end{e.kind == link_kind::split, e.source}, 0);
      columns.emplace(event_end{e.kind == link_kind::merge, e.target}, 0);
      costs.push_back(e.cost);
    }
    std::int32_t count = 0;
    for (auto& [key, index] : rows) index = count++;
    count = 0;
    for (auto& [key, index] : columns) index = count++;
    auto const row_of = [&](detail::event_cost const& e) {
      return rows.at({e.kind == link_kind::split, e.source});
    };
    auto const column_of = [&](detail::event_cost const& e) {
      return columns.at({e.kind == link_kind::merge, e.target});
    };
    std::stable_sort(events.begin(), events.end(), [&](auto const& a, auto const& b) {
      return std::pair{row_of(a), column_of(a)} < std::pair{row_of(b), column_of(b)};
    });
    double const price = alternative.price(costs);
    // The lower right block holds the lowest price of staying alone (TrackMate and LapTrack).
    double const added = alternative.block == alternative_cost::lower_block::zero ? 0.0 : price;
    sparse_costs problem;
    problem.columns = count;
    problem.column_unassigned.assign(static_cast<std::size_t>(count), price);
    std::size_t next = 0;
    for (std::int32_t row = 0; row < static_cast<std::int32_t>(rows.size()); ++row) {
      problem.add_row(price);
      for (; next < events.size() && row_of(events[next]) == row; ++next)
        problem.add_edge(column_of(events[next]), events[next].cost + added);
    }
    assignment const solved = sparse_assignment{}(problem, threads);
    std::vector<detail::event_cost> chosen;
    for (detail::event_cost const& e : events)
      if (solved.column_of_row[at(row_of(e))] == column_of(e)) chosen.push_back(e);
    return chosen;
  }
};

}  // namespace septum::inline SEPTUM_ABI
