#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/simulate/lineage_truth.hpp>
#include <septum/simulate/relaxation.hpp>
#include <septum/simulate/rod.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// What decides when a cell divides: it adds a fixed area to its birth area, or reaches one.
enum class division_rule { adder, sizer };

/// Growth and division of rods. Areas grow exponentially, each cell at its own rate.
struct rod_growth {
  double doubling_time_min = 30.0;  ///< mean over cells
  double rate_cv = 0.1;             ///< spread of the growth rate between cells
  division_rule rule = division_rule::adder;
  double birth_length_um = 2.0;  ///< mean tip-to-tip length of a new-born cell
  double size_cv = 0.12;         ///< spread of the added or reached area
  double split_sd = 0.03;        ///< spread of the first daughter's share of the area, around 0.5
  double width_um = 0.9;         ///< diameter; kept along a lineage
  double width_cv = 0.04;        ///< spread of the diameter between founders
  double bend_sd_px = 0.15;      ///< spread of the bend of a cell's axis at rest
  double waist_share = 0.2;      ///< last share of the added area during which the waist closes
};

/// A growing colony on a surface, seen by a camera that stands still.
struct colony_options {
  int frames = 30;
  extent2 extent{400, 400};  ///< of the image, px
  double pixel_size_um = 0.13;
  double frame_interval_min = 5.0;
  int founders = 8;           ///< cells in the first frame, at random places and ages
  double founder_area = 0.7;  ///< share of each side of the image that founders may lie in
  rod_growth growth{};
  relaxation mechanics{};
  int steps_per_frame = 10;             ///< of growth and relaxation
  double division_angle_sd_rad = 0.10;  ///< kick between daughters, which makes chains fold
  double wiggle_px = 0.03;              ///< random displacement of each node per step
  std::uint64_t seed = 0;
};

/// A cell of the colony: its shape, and how it grows until it divides.
struct colony_rod {
  rod shape{};
  std::int32_t parent = 0;
  double area_px2 = 0.0;  ///< now; of the whole outline
  double birth_area_px2 = 0.0;
  double division_area_px2 = 0.0;  ///< area at which it divides
  double rate_per_min = 0.0;       ///< d ln(area) / dt
};

/// Rods that grow, push each other and divide. Advances frame by frame; a pure function of its
/// options (and of which cells are removed), whatever the thread count.
class rod_colony {
 public:
  /// \throws unsupported_error `septum.simulate.1` when an option is out of range
  explicit rod_colony(colony_options const& options) : options_{options} {
    check();
    place_founders();
    auto shapes = shapes_of(cells_);
    auto thorough = options_.mechanics;
    thorough.iterations *= 4;
    thorough(shapes);
    take_back(shapes);
  }

  [[nodiscard]] std::span<colony_rod const> cells() const { return cells_; }
  [[nodiscard]] int frame() const { return frame_; }
  [[nodiscard]] colony_options const& options() const { return options_; }

  /// Goes on by one frame interval.
  void advance() {
    double const step_min = options_.frame_interval_min / options_.steps_per_frame;
    for (int step = 0; step < options_.steps_per_frame; ++step) {
      grow(step_min);
      divide();
      wiggle(step);
      auto shapes = shapes_of(cells_);
      options_.mechanics(shapes);
      take_back(shapes);
    }
    ++frame_;
  }

  /// Takes cells out of the colony, for good: those for which `leaves(cell)` is true.
  template <class Predicate>
  void remove_if(Predicate const& leaves) {
    std::erase_if(cells_, leaves);
  }

 private:
  void check() const {
    auto const& growth = options_.growth;
    auto const expect = [](bool valid, char const* what, double found) {
      SEPTUM_EXPECTS(valid, unsupported_error("septum.simulate.1",
                                              std::string{"simulated colony: expected "} + what +
                                                  ", found " + std::to_string(found)));
    };
    expect(options_.frames >= 1, "at least 1 frame", options_.frames);
    expect(options_.extent.rows >= 1 && options_.extent.columns >= 1,
           "an image of at least 1 pixel", std::min(options_.extent.rows, options_.extent.columns));
    expect(options_.founders >= 1, "at least 1 founder", options_.founders);
    expect(options_.steps_per_frame >= 1, "at least 1 step per frame", options_.steps_per_frame);
    expect(options_.pixel_size_um > 0, "a positive pixel size", options_.pixel_size_um);
    expect(options_.frame_interval_min >= 0, "a frame interval of at least 0",
           options_.frame_interval_min);
    expect(options_.founder_area >= 0 && options_.founder_area <= 1, "a founder area of 0 to 1",
           options_.founder_area);
    expect(growth.doubling_time_min > 0, "a positive doubling time", growth.doubling_time_min);
    expect(growth.width_um > 0, "a positive width", growth.width_um);
    expect(growth.birth_length_um > growth.width_um, "a birth length above the width",
           growth.birth_length_um);
    expect(growth.split_sd >= 0 && growth.split_sd <= 0.1, "a split spread of 0 to 0.1",
           growth.split_sd);
    expect(growth.size_cv >= 0 && growth.size_cv <= 0.25, "a size spread of 0 to 0.25",
           growth.size_cv);
    expect(growth.rate_cv >= 0 && growth.rate_cv <= 0.25, "a rate spread of 0 to 0.25",
           growth.rate_cv);
    expect(growth.width_cv >= 0 && growth.width_cv <= 0.25, "a width spread of 0 to 0.25",
           growth.width_cv);
    expect(growth.waist_share > 0 && growth.waist_share <= 1, "a waist share above 0 and up to 1",
           growth.waist_share);
  }

  [[nodiscard]] counter_rng rng() const { return {options_.seed, stream::simulation}; }
  // Draws that belong to one cell; tails are cut at 3 sd, so that no rate or size turns negative.
  [[nodiscard]] double spread(std::int32_t id, std::uint64_t which, double sd) const {
    return 1 + sd * std::clamp(rng().fork(static_cast<std::uint64_t>(id)).normal(which), -3.0, 3.0);
  }
  enum draw : std::uint64_t { rate, size, share, angle, width, row, column, heading, age, bend };

  void set_fate(colony_rod& cell) const {
    auto const& growth = options_.growth;
    auto const id = cell.shape.id;
    double const radius = cell.shape.radius_px;
    double const typical =
        rod_area_px2(growth.birth_length_um / options_.pixel_size_um, radius, 0.0);
    double const noise = spread(id, draw::size, growth.size_cv);
    cell.rate_per_min =
        std::numbers::ln2 / growth.doubling_time_min * spread(id, draw::rate, growth.rate_cv);
    cell.division_area_px2 = growth.rule == division_rule::adder
                                 ? cell.birth_area_px2 + typical * noise
                                 : std::max(2 * typical * noise, 1.2 * cell.birth_area_px2);
    cell.shape.bend_px = growth.bend_sd_px * (spread(id, draw::bend, 1.0) - 1);
    cell.shape.septum = 0.5 + growth.split_sd * (spread(id, draw::share, 1.0) - 1);
  }

  void place_founders() {
    auto const& growth = options_.growth;
    for (std::int32_t id = 1; id <= options_.founders; ++id) {
      auto const own = rng().fork(static_cast<std::uint64_t>(id));
      colony_rod cell;
      cell.shape.id = id;
      cell.shape.radius_px =
          0.5 * growth.width_um / options_.pixel_size_um * spread(id, draw::width, growth.width_cv);
      cell.birth_area_px2 =
          rod_area_px2(growth.birth_length_um / options_.pixel_size_um, cell.shape.radius_px, 0.0);
      set_fate(cell);
      // Somewhere in its cycle: areas spread evenly in the logarithm.
      cell.area_px2 = cell.birth_area_px2 * std::pow(cell.division_area_px2 / cell.birth_area_px2,
                                                     0.9 * own.uniform(draw::age));
      double const turn = 2 * std::numbers::pi * own.uniform(draw::heading);
      double const margin = 0.5 * (1 - options_.founder_area);
      auto const place = [&](int side, draw which) {
        return side * (margin + options_.founder_area * own.uniform(which)) - 0.5;
      };
      point const centre{place(options_.extent.rows, draw::row),
                         place(options_.extent.columns, draw::column)};
      shape_from_area(cell);
      double const half = 1.5 * cell.shape.segment_px();
      for (std::size_t k = 0; k < rod::nodes; ++k)
        cell.shape.axis[k] = centre + (half * (2.0 * static_cast<double>(k) / 3.0 - 1)) *
                                          point{std::sin(turn), std::cos(turn)};
      cells_.push_back(cell);
    }
    next_id_ = options_.founders + 1;
  }

  // Length and waist that belong to the area.
  void shape_from_area(colony_rod& cell) const {
    double const added = cell.division_area_px2 - cell.birth_area_px2;
    double const left =
        (cell.division_area_px2 - cell.area_px2) / (options_.growth.waist_share * added);
    double const closing = std::clamp(1 - left, 0.0, 1.0);
    cell.shape.constriction = closing * closing * (3 - 2 * closing);
    stretch(cell.shape,
            rod_length_px(cell.area_px2, cell.shape.radius_px, cell.shape.constriction));
  }

  void grow(double minutes) {
    for (auto& cell : cells_) {
      cell.area_px2 *= std::exp(cell.rate_per_min * minutes);
      shape_from_area(cell);
    }
  }

  // Both daughters lie where the mother lay: the caps at the septum touch.
  void divide() {
    auto const present = cells_.size();
    for (std::size_t i = 0; i < present; ++i) {
      if (cells_[i].area_px2 < cells_[i].division_area_px2) continue;
      colony_rod const mother = cells_[i];
      double const radius = mother.shape.radius_px;
      double const length = mother.shape.length_px;
      double const first_length = mother.shape.septum * length;
      colony_rod first = daughter(mother, first_length, 0, first_length - 2 * radius);
      colony_rod second =
          daughter(mother, length - first_length, first_length, length - 2 * radius);
      double const kick =
          options_.division_angle_sd_rad *
          rng().fork(static_cast<std::uint64_t>(mother.shape.id)).normal(draw::angle);
      turn(first.shape, 0.5 * kick);
      turn(second.shape, -0.5 * kick);
      cells_[i] = first;
      cells_.push_back(second);
    }
    // Daughters follow their id, so that the order never depends on who divided first in memory.
    std::ranges::sort(cells_, {}, [](colony_rod const& cell) { return cell.shape.id; });
  }

  [[nodiscard]] colony_rod daughter(colony_rod const& mother, double length, double from,
                                    double to) {
    colony_rod cell;
    cell.shape = mother.shape;
    cell.shape.id = next_id_++;
    cell.parent = mother.shape.id;
    cell.shape.length_px = length;
    cell.shape.constriction = 0;
    for (std::size_t k = 0; k < rod::nodes; ++k)
      cell.shape.axis[k] =
          axis_point(mother.shape, from + (to - from) * static_cast<double>(k) / 3.0);
    cell.area_px2 = rod_area_px2(length, mother.shape.radius_px, 0.0);
    cell.birth_area_px2 = cell.area_px2;
    set_fate(cell);
    return cell;
  }

  static void turn(rod& cell, double angle) {
    point const centre = cell.centre();
    double const c = std::cos(angle);
    double const s = std::sin(angle);
    for (auto& node : cell.axis) {
      point const arm = node - centre;
      node = centre + point{c * arm.row + s * arm.column, c * arm.column - s * arm.row};
    }
  }

  void wiggle(int step) {
    if (options_.wiggle_px <= 0) return;
    auto const now = rng()
                         .fork(0)
                         .fork(static_cast<std::uint64_t>(frame_))
                         .fork(static_cast<std::uint64_t>(step));
    for (auto& cell : cells_)
      for (std::size_t k = 0; k < rod::nodes; ++k) {
        auto const index = 2 * (static_cast<std::uint64_t>(cell.shape.id) * rod::nodes + k);
        cell.shape.axis[k] = cell.shape.axis[k] +
                             options_.wiggle_px * point{now.normal(index), now.normal(index + 1)};
      }
  }

  [[nodiscard]] static std::vector<rod> shapes_of(std::vector<colony_rod> const& cells) {
    std::vector<rod> shapes;
    shapes.reserve(cells.size());
    for (auto const& cell : cells) shapes.push_back(cell.shape);
    return shapes;
  }
  void take_back(std::vector<rod> const& shapes) {
    for (std::size_t i = 0; i < shapes.size(); ++i) cells_[i].shape = shapes[i];
  }

  colony_options options_;
  std::vector<colony_rod> cells_;
  std::int32_t next_id_ = 1;
  int frame_ = 0;
};

}  // namespace septum::inline SEPTUM_ABI
