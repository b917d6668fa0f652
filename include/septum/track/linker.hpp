#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/track/alternative_cost.hpp>
#include <septum/track/assignment.hpp>
#include <septum/track/cost.hpp>
#include <septum/track/detail/overlap.hpp>
#include <septum/track/detail/point_grid.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/displacement.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Two cells of two frames, by their positions in `frame_cells::cells`.
struct cell_pair {
  std::int32_t source = 0;
  std::int32_t target = 0;
  double cost = 0;
};

namespace detail {

inline void expect_finite(frame_cells const& frame) {
  for (detection const& cell : frame.cells)
    SEPTUM_EXPECTS(
        std::isfinite(cell.y) && std::isfinite(cell.x) && std::isfinite(cell.z),
        unsupported_error("septum.track.1",
                          "frame " + to_text(frame.frame) + ", cell " + to_text(cell.id) +
                              ": expected a finite position, found " + to_text(cell.y) + ", " +
                              to_text(cell.x) + ", " + to_text(cell.z)));
}

/// Common pixels of pairs of cells, looked up by pair.
class overlap_lookup {
 public:
  overlap_lookup(frame_cells const& source, frame_cells const& target, displacement drift)
      : pairs_{source.pixels.empty() || target.pixels.empty()
                   ? std::vector<pixel_overlap>{}
                   : count_pixel_overlaps(source.pixels, target.pixels,
                                          static_cast<std::int32_t>(std::lround(drift.y)),
                                          static_cast<std::int32_t>(std::lround(drift.x)))} {}

  [[nodiscard]] double operator()(std::int32_t source, std::int32_t target) const {
    auto const at =
        std::lower_bound(pairs_.begin(), pairs_.end(), pixel_overlap{source, target, 0},
                         [](pixel_overlap const& a, pixel_overlap const& b) {
                           return a.source != b.source ? a.source < b.source : a.target < b.target;
                         });
    bool const found = at != pairs_.end() && at->source == source && at->target == target;
    return found ? static_cast<double>(at->pixels) : 0.0;
  }

 private:
  std::vector<pixel_overlap> pairs_;
};

/// Every possible pair of two frames with its cost, by source, then target. `expected` is where
/// each source is expected to go (empty: `drift` for all).
template <LinkCost Cost>
[[nodiscard]] std::vector<cell_pair> find_pairs(frame_cells const& source,
                                                frame_cells const& target, Cost const& cost,
                                                displacement drift,
                                                std::span<displacement const> expected) {
  std::vector<cell_pair> pairs;
  double const reach = cost.reach();
  SEPTUM_EXPECTS(reach > 0, unsupported_error("septum.track.2",
                                              "linking distance: expected a positive number, "
                                              "found " +
                                                  to_text(reach)));
  overlap_lookup const overlap{source, target, drift};
  point_grid grid{target.cells, reach};
  auto const frames = static_cast<int>(target.frame - source.frame);
  for (std::size_t i = 0; i < source.cells.size(); ++i) {
    detection const& from = source.cells[i];
    displacement const step = expected.empty() ? drift : expected[i];
    auto const index = static_cast<std::int32_t>(i);
    grid.for_each_near(from.y + step.y, from.x + step.x, [&](std::int32_t j) {
      detection const& to = target.cells[static_cast<std::size_t>(j)];
      link_candidate pair{.source = from,
                          .target = to,
                          .dy = to.y - from.y - step.y,
                          .dx = to.x - from.x - step.x,
                          .dz = to.z - from.z - step.z,
                          .frames = frames,
                          .overlap = overlap(index, j)};
      double const price = cost(pair);
      if (price < impossible || std::isnan(price)) pairs.push_back({index, j, price});
    });
  }
  return pairs;
}

/// Solves [C D; B L] as the smaller problem over C alone, in which every row and column may stay
/// alone (docs/design.md): same links, half the rows, no block L.
[[nodiscard]] inline std::vector<cell_pair> choose_pairs(std::vector<cell_pair> const& pairs,
                                                         std::int32_t sources, std::int32_t targets,
                                                         alternative_cost const& alternative,
                                                         exec::threads threads) {
  if (pairs.empty()) return {};
  std::vector<double> costs;
  for (cell_pair const& pair : pairs) costs.push_back(pair.cost);
  double const price = alternative.price(costs);
  double const added = alternative.added(price, costs);
  sparse_costs problem;
  problem.columns = targets;
  problem.column_unassigned.assign(static_cast<std::size_t>(targets), price);
  std::size_t next = 0;
  for (std::int32_t row = 0; row < sources; ++row) {
    problem.add_row(price);
    for (; next < pairs.size() && pairs[next].source == row; ++next)
      problem.add_edge(pairs[next].target, pairs[next].cost + added);
  }
  assignment const solved = sparse_assignment{}(problem, threads);
  std::vector<cell_pair> chosen;
  for (cell_pair const& pair : pairs)
    if (solved.column_of_row[static_cast<std::size_t>(pair.source)] == pair.target)
      chosen.push_back(pair);
  return chosen;
}

}  // namespace detail

/// Links the cells of two frames one to one at least total cost (Jaqaman 2008, first step).
/// `Cost` prices the pairs, `alternative` the cells that stay alone.
template <LinkCost Cost = squared_distance>
struct frame_linker {
  Cost cost{};
  alternative_cost alternative{};

  /// @param drift     displacement of the whole frame
  /// @param expected  displacement expected of every source; empty: `drift` for all
  /// \returns pairs sorted by source
  /// throws     unsupported_error for positions or costs that are no numbers
  [[nodiscard]] std::vector<cell_pair> operator()(frame_cells const& source,
                                                  frame_cells const& target,
                                                  displacement drift = {},
                                                  std::span<displacement const> expected = {},
                                                  exec::threads threads = {}) const {
    detail::expect_finite(source);
    detail::expect_finite(target);
    SEPTUM_EXPECTS(source.frame < target.frame,
                   unsupported_error("septum.track.3", "frames: expected a frame after " +
                                                           to_text(source.frame) + ", found " +
                                                           to_text(target.frame)));
    return detail::choose_pairs(detail::find_pairs(source, target, cost, drift, expected),
                                static_cast<std::int32_t>(source.cells.size()),
                                static_cast<std::int32_t>(target.cells.size()), alternative,
                                threads);
  }
};

}  // namespace septum::inline SEPTUM_ABI
