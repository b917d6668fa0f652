#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/track/assignment.hpp>
#include <septum/track/cost.hpp>
#include <septum/track/detail/cell_form.hpp>
#include <septum/track/detail/local_motion.hpp>
#include <septum/track/detail/point_grid.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/division_cost.hpp>
#include <septum/track/link.hpp>
#include <septum/track/linker.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// A cell that may go on in a later frame.
struct remembered_cell {
  std::int64_t frame = 0;  ///< where it was last seen
  std::int64_t id = 0;
  detection form;                      ///< as it looked when it was last seen alone
  std::vector<detail::form_run> runs;  ///< its pixels then
  std::int64_t form_frame = 0;
  displacement moved;            ///< where it has gone since, as far as known
  displacement velocity;         ///< px per frame
  std::int64_t born = -1;        ///< frame of its birth by division; -1 when nobody saw it
  double full_area = 0;          ///< largest of late: what it is compared with to see it condense
  std::int64_t whole_since = 0;  ///< frame from which on it was seen away from the border
  bool half_divided = false;     ///< one daughter was found; only the other one may follow
  detection daughter;            ///< that one, as first seen
};

/// Everything that a `cell_tracker` knows: enough to go on after a restart as if there was none.
struct cell_tracker_state {
  std::int64_t frame = 0;  ///< the last one
  bool started = false;
  double growth = 0;  ///< mean ln(area) gained per frame
  std::vector<remembered_cell> cells;
};

/// Links the cells of label images frame by frame: links, gaps and divisions of a frame in one
/// assignment, with a row per cell and one per second daughter as in the paper's own tracker. Keeps
/// the last `gap_frames` frames only, so memory does not grow with the movie.
///
/// Motion is predicted from each cell's last steps, then corrected by the median step of its
/// neighbours in the frame itself. A cell that was not seen, or that was seen joined with another
/// one (its area jumps), is looked for with the form it had; a mother of whose daughters only one
/// was seen waits for the other.
template <LinkCost Cost = likeness_cost, DivisionCost Division = division_geometry>
class cell_tracker {
 public:
  Cost link{};
  Division division{};
  double alone_price = 0.5;     ///< of a cell that ends, and of one that begins
  double border_price = 0.6;    ///< the same at the border of the image, where cells come and go
  double division_price = 0.2;  ///< of a division, beside that of its geometry
  int gap_frames = 3;           ///< most frames from one sighting of a cell to the next
  bool divisions = true;
  double area_jump = 0.3;  ///< of |ln(area)| beyond which a cell is joined or half divided

  /// Adds the next frame.
  /// @param drift  displacement of the whole frame since the one before
  /// \returns all links that end in it, by source frame, source, target
  /// throws     unsupported_error for frames out of order and for positions that are no numbers
  [[nodiscard]] std::vector<cell_link> push(frame_cells const& frame, displacement drift = {},
                                            exec::threads threads = {}) {
    detail::expect_finite(frame);
    SEPTUM_EXPECTS(
        gap_frames > 0 && alone_price > 0 && border_price > 0,
        unsupported_error("septum.track.4", "tracker: expected gap_frames and prices above 0"));
    SEPTUM_EXPECTS(!state_.started || state_.frame < frame.frame,
                   unsupported_error("septum.track.3", "frames: expected a frame after " +
                                                           to_text(state_.frame) + ", found " +
                                                           to_text(frame.frame)));
    std::vector<cell_link> links;
    if (state_.started) {
      links = link_to(frame, drift, threads);
    } else {
      auto forms = detail::forms_of(frame.pixels, frame.cells.size());
      for (std::size_t j = 0; j < frame.cells.size(); ++j)
        state_.cells.push_back(seen(frame, j, forms));
    }
    state_.frame = frame.frame;
    state_.started = true;
    return links;
  }

  [[nodiscard]] cell_tracker_state const& state() const { return state_; }
  void restore(cell_tracker_state state) { state_ = std::move(state); }

 private:
  /// A cell of the frame near one that may go on.
  struct near_cell {
    std::int32_t target = 0;
    double dy = 0, dx = 0, dz = 0;  ///< from the expected place
    double overlap = 0;
    double price = impossible;  ///< of the same cell
    double half = impossible;   ///< of half a division, with the best sister
  };
  using candidates = std::vector<std::vector<near_cell>>;

  /// What a cell becomes: one successor, or two.
  struct outcome {
    std::int32_t first = -1;
    std::int32_t second = -1;
  };

  [[nodiscard]] static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

  [[nodiscard]] static remembered_cell seen(frame_cells const& frame, std::size_t j,
                                            std::vector<std::vector<detail::form_run>>& forms) {
    remembered_cell cell;
    cell.frame = cell.form_frame = frame.frame;
    cell.id = frame.cells[j].id;
    cell.form = frame.cells[j];
    cell.full_area = cell.form.area;
    cell.whole_since = frame.frame;
    if (j < forms.size()) cell.runs = std::move(forms[j]);
    return cell;
  }

  [[nodiscard]] std::vector<cell_link> link_to(frame_cells const& frame, displacement drift,
                                               exec::threads threads) {
    std::erase_if(state_.cells, [&](remembered_cell const& cell) {
      return frame.frame - cell.frame > gap_frames;
    });
    auto const steps = static_cast<double>(frame.frame - state_.frame);
    std::vector<displacement> step;
    for (remembered_cell const& cell : state_.cells)
      step.push_back({steps * cell.velocity.y + drift.y, steps * cell.velocity.x + drift.x,
                      steps * cell.velocity.z + drift.z});
    candidates near = find_candidates(frame, step, threads);
    std::vector<outcome> outcomes = solve(frame, near, threads);
    if (follow_neighbours(frame, near, outcomes, step)) {
      near = find_candidates(frame, step, threads);
      outcomes = solve(frame, near, threads);
    }
    return remember(frame, near, outcomes, step, drift);
  }

  /// Cells that each remembered cell may become, with prices.
  [[nodiscard]] candidates find_candidates(frame_cells const& frame,
                                           std::vector<displacement> const& step,
                                           exec::threads threads) const {
    candidates near(state_.cells.size());
    double const reach = divisions ? std::max<double>(link.reach(), division.reach())
                                   : static_cast<double>(link.reach());
    SEPTUM_EXPECTS(reach > 0, unsupported_error("septum.track.2",
                                                "linking distance: expected a positive number, "
                                                "found " +
                                                    to_text(reach)));
    for_each_range(threads, static_cast<std::ptrdiff_t>(near.size()),
                   [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                     detail::point_grid grid{frame.cells, reach};
                     for (auto i = static_cast<std::size_t>(begin);
                          i < static_cast<std::size_t>(end); ++i)
                       near[i] = candidates_of(state_.cells[i], frame, step[i], grid, reach);
                   });
    return near;
  }

  [[nodiscard]] std::vector<near_cell> candidates_of(remembered_cell const& cell,
                                                     frame_cells const& frame, displacement step,
                                                     detail::point_grid& grid, double reach) const {
    displacement const total{cell.moved.y + step.y, cell.moved.x + step.x, cell.moved.z + step.z};
    auto const shared =
        detail::shared_with(cell.runs, static_cast<std::int32_t>(std::lround(total.y)),
                            static_cast<std::int32_t>(std::lround(total.x)), frame.pixels);
    std::vector<near_cell> near;
    auto const add = [&](std::int32_t j, double overlap) {
      detection const& to = frame.cells[at(j)];
      near.push_back({.target = j,
                      .dy = to.y - cell.form.y - total.y,
                      .dx = to.x - cell.form.x - total.x,
                      .dz = to.z - cell.form.z - total.z,
                      .overlap = overlap});
    };
    for (detail::shared_pixels const& s : shared) add(s.target, static_cast<double>(s.pixels));
    grid.for_each_near(cell.form.y + total.y, cell.form.x + total.x, [&](std::int32_t j) {
      auto const known = std::lower_bound(
          shared.begin(), shared.end(), j,
          [](detail::shared_pixels const& s, std::int32_t target) { return s.target < target; });
      if (known != shared.end() && known->target == j) return;
      detection const& to = frame.cells[at(j)];
      double const dy = to.y - cell.form.y - total.y, dx = to.x - cell.form.x - total.x;
      if (dy * dy + dx * dx <= reach * reach) add(j, 0.0);
    });
    std::sort(near.begin(), near.end(),
              [](near_cell const& a, near_cell const& b) { return a.target < b.target; });
    auto const frames = static_cast<int>(frame.frame - cell.form_frame);
    if (!cell.half_divided)
      for (near_cell& n : near)
        n.price = link({.source = cell.form,
                        .target = frame.cells[at(n.target)],
                        .dy = n.dy,
                        .dx = n.dx,
                        .dz = n.dz,
                        .frames = frames,
                        .overlap = n.overlap,
                        .growth = state_.growth * frames});
    if (divisions) price_divisions(cell, frame, near);
    std::erase_if(near,
                  [](near_cell const& n) { return n.price == impossible && n.half == impossible; });
    return near;
  }

  void price_divisions(remembered_cell const& cell, frame_cells const& frame,
                       std::vector<near_cell>& near) const {
    if (cell.half_divided) {
      for (near_cell& n : near) {
        double const price = price_of_late_daughter(cell, frame, n);
        if (price < impossible) n.half = (price + division_price) / 2;
      }
      return;
    }
    for (std::size_t a = 0; a < near.size(); ++a)
      for (std::size_t b = a + 1; b < near.size(); ++b) {
        double const price = price_of_division(cell, frame, near[a], near[b]);
        if (!(price < impossible)) continue;
        double const half = (price + division_price) / 2;
        near[a].half = std::min(near[a].half, half);
        near[b].half = std::min(near[b].half, half);
      }
  }

  [[nodiscard]] bool within_reach(near_cell const& n) const {
    double const reach = division.reach();
    return n.overlap > 0 || n.dy * n.dy + n.dx * n.dx <= reach * reach;
  }

  [[nodiscard]] double price_of_division(remembered_cell const& cell, frame_cells const& frame,
                                         near_cell const& a, near_cell const& b) const {
    if (!within_reach(a) || !within_reach(b)) return impossible;
    detection const& first = frame.cells[at(a.target)];
    detection const& second = frame.cells[at(b.target)];
    double const all = first.area + second.area;
    auto const frames = static_cast<int>(frame.frame - cell.form_frame);
    return division({.mother = cell.form,
                     .first = first,
                     .second = second,
                     .dy = (a.dy * first.area + b.dy * second.area) / all,
                     .dx = (a.dx * first.area + b.dx * second.area) / all,
                     .frames = frames,
                     .growth = state_.growth * frames,
                     .first_overlap = a.overlap,
                     .second_overlap = b.overlap,
                     .age = age_of(cell, frame.frame),
                     .condensation = condensation_of(cell)});
  }

  /// The first daughter is taken as it was seen, in the mother's own frame of reference.
  [[nodiscard]] double price_of_late_daughter(remembered_cell const& cell, frame_cells const& frame,
                                              near_cell const& n) const {
    if (!within_reach(n)) return impossible;
    detection const& second = frame.cells[at(n.target)];
    detection const& first = cell.daughter;
    double const all = first.area + second.area;
    auto const frames = static_cast<int>(frame.frame - cell.form_frame);
    return division({.mother = cell.form,
                     .first = first,
                     .second = second,
                     .dy = ((first.y - cell.form.y) * first.area + n.dy * second.area) / all,
                     .dx = ((first.x - cell.form.x) * first.area + n.dx * second.area) / all,
                     .frames = frames,
                     .growth = state_.growth * frames,
                     .first_overlap = first.area,
                     .second_overlap = n.overlap,
                     .age = age_of(cell, frame.frame),
                     .condensation = condensation_of(cell)});
  }

  /// ln of the area that a cell has lost of late; NaN where that is not known.
  [[nodiscard]] static double condensation_of(remembered_cell const& cell) {
    constexpr std::int64_t enough = 4;
    if (cell.form_frame - cell.whole_since < enough || cell.form.at_border || !(cell.form.area > 0))
      return std::numeric_limits<double>::quiet_NaN();
    return std::log(cell.full_area / cell.form.area);
  }

  [[nodiscard]] static int age_of(remembered_cell const& cell, std::int64_t frame) {
    return cell.born < 0 ? -1 : static_cast<int>(frame - cell.born);
  }

  [[nodiscard]] double price_alone(detection const& cell) const {
    return cell.at_border ? border_price : alone_price;
  }

  /// Every cell has a row for its successor and one for a second daughter.
  [[nodiscard]] std::vector<outcome> solve(frame_cells const& frame, candidates const& near,
                                           exec::threads threads) const {
    sparse_costs problem;
    problem.columns = static_cast<std::int32_t>(frame.cells.size());
    for (detection const& cell : frame.cells)
      problem.column_unassigned.push_back(price_alone(cell));
    for (std::size_t i = 0; i < near.size(); ++i) {
      remembered_cell const& cell = state_.cells[i];
      // A cell that was missed before has paid for that already.
      problem.add_row(cell.frame == state_.frame && !cell.half_divided ? price_alone(cell.form)
                                                                       : 0.0);
      if (!cell.half_divided)
        for (near_cell const& n : near[i]) {
          double const price = std::min(n.price, n.half);
          if (price < impossible) problem.add_edge(n.target, price);
        }
      problem.add_row(0.0);
      for (near_cell const& n : near[i])
        if (n.half < impossible) problem.add_edge(n.target, n.half);
    }
    assignment const solved = sparse_assignment{}(problem, threads);
    std::vector<outcome> outcomes(near.size());
    for (std::size_t i = 0; i < near.size(); ++i)
      outcomes[i] = settled(state_.cells[i], frame, near[i], solved.column_of_row[2 * i],
                            solved.column_of_row[2 * i + 1]);
    return outcomes;
  }

  /// The two rows of a cell were priced one by one; here they are looked at together.
  [[nodiscard]] outcome settled(remembered_cell const& cell, frame_cells const& frame,
                                std::vector<near_cell> const& near, std::int32_t first,
                                std::int32_t second) const {
    auto const entry = [&](std::int32_t target) {
      return std::find_if(near.begin(), near.end(),
                          [&](near_cell const& n) { return n.target == target; });
    };
    auto const pays_alone = [&](std::int32_t target) {
      return target >= 0 &&
             entry(target)->price < price_alone(cell.form) + price_alone(frame.cells[at(target)]);
    };
    if (cell.half_divided) return {-1, second};
    if (first >= 0 && second >= 0) {
      double const price = price_of_division(cell, frame, *entry(first), *entry(second));
      double const apart = std::min(price_alone(frame.cells[at(second)]) + entry(first)->price,
                                    price_alone(frame.cells[at(first)]) + entry(second)->price);
      if (price + division_price < apart) return {first, second};
      if (entry(second)->price < entry(first)->price) std::swap(first, second);
    }
    if (pays_alone(first)) return {first, -1};
    if (pays_alone(second)) return {second, -1};
    return {};
  }

  /// Replaces each expected step by the median of those around, as measured in this frame.
  /// \returns whether that changes anything worth another look
  [[nodiscard]] bool follow_neighbours(frame_cells const& frame, candidates const& near,
                                       std::vector<outcome> const& outcomes,
                                       std::vector<displacement>& step) const {
    detail::local_motion motion;
    double area = 0;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      remembered_cell const& cell = state_.cells[i];
      area += cell.form.area;
      if (outcomes[i].first < 0 || outcomes[i].second >= 0) continue;
      detection const& to = frame.cells[at(outcomes[i].first)];
      if (std::abs(area_change(cell, to, frame.frame)) > area_jump) continue;
      motion.add(cell.form.y + cell.moved.y, cell.form.x + cell.moved.x,
                 {to.y - cell.form.y - cell.moved.y, to.x - cell.form.x - cell.moved.x, 0});
    }
    if (near.empty() || motion.size() < detail::local_motion::least) return false;
    double const size = std::sqrt(std::max(area / static_cast<double>(near.size()), 1.0));
    motion.index(4 * size);
    bool changed = false;
    for (std::size_t i = 0; i < step.size(); ++i) {
      remembered_cell const& cell = state_.cells[i];
      auto const around =
          motion.median_near(cell.form.y + cell.moved.y, cell.form.x + cell.moved.x);
      if (!around) continue;
      changed = changed || std::hypot(around->y - step[i].y, around->x - step[i].x) > 1;
      step[i].y = around->y;
      step[i].x = around->x;
    }
    return changed;
  }

  [[nodiscard]] double area_change(remembered_cell const& cell, detection const& to,
                                   std::int64_t frame) const {
    if (!(cell.form.area > 0 && to.area > 0)) return 0;
    return std::log(to.area / cell.form.area) -
           state_.growth * static_cast<double>(frame - cell.form_frame);
  }

  /// Turns outcomes into links, and into what is remembered for the next frame.
  [[nodiscard]] std::vector<cell_link> remember(frame_cells const& frame, candidates const& near,
                                                std::vector<outcome> const& outcomes,
                                                std::vector<displacement> const& step,
                                                displacement drift) {
    auto forms = detail::forms_of(frame.pixels, frame.cells.size());
    auto const frames = static_cast<double>(frame.frame - state_.frame);
    std::vector<cell_link> links;
    std::vector<remembered_cell> next;
    std::vector<bool> known(frame.cells.size(), false);
    std::vector<double> growths;
    auto const add_link = [&](remembered_cell const& from, std::int32_t target, bool is_split,
                              double price) {
      known[at(target)] = true;
      link_kind const kind = is_split                        ? link_kind::split
                             : frame.frame - from.frame == 1 ? link_kind::link
                                                             : link_kind::gap;
      links.push_back({from.frame, from.id, frame.frame, frame.cells[at(target)].id, kind, price});
    };
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      remembered_cell& cell = state_.cells[i];
      auto const [first, second] = outcomes[i];
      displacement const net{(step[i].y - drift.y) / frames, (step[i].x - drift.x) / frames,
                             (step[i].z - drift.z) / frames};
      auto const price_of = [&](std::int32_t target) {
        for (near_cell const& n : near[i])
          if (n.target == target) return std::min(n.price, n.half);
        return 0.0;
      };
      if (first >= 0) add_link(cell, first, false, price_of(first));
      if (second >= 0) add_link(cell, second, first >= 0 || cell.half_divided, price_of(second));
      if (second >= 0) {
        for (std::int32_t const daughter : {first, second}) {
          if (daughter < 0) continue;
          remembered_cell born = seen(frame, at(daughter), forms);
          born.velocity = net;
          born.born = frame.frame;
          next.push_back(std::move(born));
        }
        continue;
      }
      cell.moved = {cell.moved.y + step[i].y, cell.moved.x + step[i].x, cell.moved.z + step[i].z};
      if (first < 0) {
        next.push_back(std::move(cell));
        continue;
      }
      detection const& to = frame.cells[at(first)];
      double const change = area_change(cell, to, frame.frame);
      // At the border a cell that halves is leaving.
      if (change < -area_jump && divisions && !to.at_border && !cell.form.at_border) {
        remembered_cell mother = cell;
        mother.half_divided = true;
        mother.daughter = to;
        mother.daughter.y -= mother.moved.y;
        mother.daughter.x -= mother.moved.x;
        next.push_back(std::move(mother));
      }
      bool const joined = change > area_jump && frame.frame - cell.form_frame < gap_frames;
      if (joined) {
        cell.frame = frame.frame;
        cell.id = to.id;
        next.push_back(std::move(cell));
        continue;
      }
      remembered_cell same = seen(frame, at(first), forms);
      double const moved_y = to.y - cell.form.y - cell.moved.y;
      double const moved_x = to.x - cell.form.x - cell.moved.x;
      same.velocity = {net.y + moved_y / (2 * frames), net.x + moved_x / (2 * frames), net.z};
      same.born = cell.born;
      // What a cell had many frames ago is forgotten little by little.
      constexpr double kept = 0.96;
      same.full_area = std::max(to.area, cell.full_area * kept);
      if (!to.at_border) same.whole_since = cell.form.at_border ? frame.frame : cell.whole_since;
      next.push_back(std::move(same));
      if (std::abs(change) < area_jump)
        growths.push_back(std::log(to.area / cell.form.area) /
                          static_cast<double>(frame.frame - cell.form_frame));
    }
    for (std::size_t j = 0; j < frame.cells.size(); ++j)
      if (!known[j]) next.push_back(seen(frame, j, forms));
    learn_growth(growths);
    state_.cells = std::move(next);
    std::sort(links.begin(), links.end(), [](cell_link const& a, cell_link const& b) {
      return std::tie(a.source_frame, a.source, a.target) <
             std::tie(b.source_frame, b.source, b.target);
    });
    return links;
  }

  void learn_growth(std::vector<double>& growths) {
    std::erase_if(growths, [](double g) { return !std::isfinite(g); });
    constexpr std::size_t enough = 5;
    if (growths.size() < enough) return;
    auto const middle = growths.begin() + static_cast<std::ptrdiff_t>(growths.size() / 2);
    std::nth_element(growths.begin(), middle, growths.end());
    state_.growth += (*middle - state_.growth) / 4;
  }

  cell_tracker_state state_;
};

/// Cells that touch and grow, as bacteria in a colony.
[[nodiscard]] inline cell_tracker<> bacteria_tracker() { return {}; }

/// Nuclei, which move further than they grow, and condense when they divide.
[[nodiscard]] inline cell_tracker<> nuclei_tracker() {
  cell_tracker<> tracker;
  tracker.link.max_distance = 30;
  tracker.link.overlap_weight = 0.7;
  tracker.alone_price = 0.7;
  tracker.border_price = 0.7;
  tracker.division_price = 0.1;
  tracker.area_jump = 0.45;
  tracker.division.max_distance = 40;
  tracker.division.overlap_weight = 0.5;
  tracker.division.angle_weight = 0;
  tracker.division.largest_ratio = 1.7;
  tracker.division.border_share = 0.5;
  tracker.division.least_age = 5;
  tracker.division.border_outside_weight = 0.3;
  tracker.division.condensation_weight = 0.8;
  return tracker;
}

}  // namespace septum::inline SEPTUM_ABI
