#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/simulate/relaxation.hpp>
#include <septum/simulate/rod.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Nuclei of a monolayer of motile, dividing cells, seen by a camera that stands still.
struct nuclei_options {
  int frames = 20;
  extent2 extent{400, 400};  ///< of the image, px
  double pixel_size_um = 0.65;
  double frame_interval_min = 10.0;
  int count = 45;              ///< nuclei in the image at the start, on average
  double long_axis_um = 19.0;  ///< mean, in the middle of the cycle
  double axis_ratio = 0.74;    ///< short over long axis, mean
  double size_cv = 0.12;       ///< spread of the long axis
  double irregularity = 0.03;  ///< sd of each of three waves on the outline, relative to its radius
  double cycle_h = 18.0;       ///< from division to division
  double cycle_cv = 0.1;
  double mitosis_min = 40.0;      ///< how long nuclei condense before and spread after division
  double condensed_area = 0.55;   ///< share of its area that a nucleus has at division
  double speed_um_per_h = 12.0;   ///< sd of each component of the velocity
  double persistence_min = 30.0;  ///< after which a velocity is forgotten
  std::uint64_t seed = 0;
};

/// One nucleus: an ellipse whose outline carries three waves.
struct nucleus {
  static constexpr std::size_t waves = 3;

  std::int64_t body = 0;    ///< number of the body, also while it is outside the image
  std::int64_t mother = 0;  ///< body it came from; 0 for none
  int birth_frame = 0;
  point centre{};          ///< px
  double angle_rad = 0.0;  ///< of the long axis against the column axis, towards growing rows
  double long_px = 13.0;   ///< half of the long axis, without the waves
  double short_px = 10.0;  ///< half of the short axis
  std::array<double, waves> wave{};   ///< amplitude of 2, 3 and 4 waves per turn, of the radius
  std::array<double, waves> phase{};  ///< rad
  double condensation = 0.0;          ///< 0: interphase, 1: at division
};

/// Area of a nucleus, px^2: in units of its axes the radius is 1 + sum w_k cos(k t + p_k), so the
/// area is pi a b (1 + sum w_k^2 / 2).
[[nodiscard]] inline double nucleus_area_px2(nucleus const& body) {
  double waves = 0;
  for (double const amplitude : body.wave) waves += 0.5 * amplitude * amplitude;
  return std::numbers::pi * body.long_px * body.short_px * (1 + waves);
}

/// Where a point lies in a nucleus, in units of its axes.
struct nucleus_position {
  double depth = 0.0;   ///< distance from the centre over that of the outline; below 1 inside
  double along = 0.0;   ///< along the long axis, -1 to 1
  double across = 0.0;  ///< along the short axis
};

[[nodiscard]] inline nucleus_position position_in(nucleus const& body, point at) {
  point const offset = at - body.centre;
  double const c = std::cos(body.angle_rad);
  double const s = std::sin(body.angle_rad);
  double const along = (c * offset.column + s * offset.row) / body.long_px;
  double const across = (c * offset.row - s * offset.column) / body.short_px;
  double const radius = std::sqrt(along * along + across * across);
  double const turn = std::atan2(across, along);
  double outline = 1;
  for (std::size_t k = 0; k < nucleus::waves; ++k)
    outline += body.wave[k] * std::cos(static_cast<double>(k + 2) * turn + body.phase[k]);
  return {radius / outline, along, across};
}

/// Nuclei that wander, push each other aside, grow and divide, in an area that reaches beyond the
/// image, so that some come in and some leave. A pure function of its options.
class nuclei_population {
 public:
  /// \throws unsupported_error `septum.simulate.2` when an option is out of range
  explicit nuclei_population(nuclei_options const& options) : options_{options} {
    check();
    margin_px_ = 2.5 * options_.long_axis_um / options_.pixel_size_um;
    place();
    push_apart(200);
  }

  [[nodiscard]] std::span<nucleus const> nuclei() const { return shapes_; }
  /// Growth rate of a nucleus between mitoses, 1/h.
  [[nodiscard]] double growth_rate_per_h(std::size_t index) const {
    return std::numbers::ln2 / (states_[index].cycle_min / 60);
  }

  /// Goes on by one frame interval.
  void advance() {
    ++frame_;
    for (std::size_t i = 0; i < states_.size(); ++i) {
      move(i);
      states_[i].age_min += options_.frame_interval_min;
    }
    divide();
    for (std::size_t i = 0; i < states_.size(); ++i) shape_from_age(i);
    push_apart(30);
  }

 private:
  /// What a nucleus is besides its shape.
  struct state {
    double cycle_min = 0.0;
    double age_min = 0.0;
    double birth_area_px2 = 0.0;
    double axis_ratio = 0.0;
    bool born_here = false;  ///< came from a division, so it starts condensed
    point velocity{};        ///< px per min
  };
  enum draw : std::uint64_t {
    size,
    ratio,
    cycle,
    age,
    row,
    column,
    heading,
    share,
    wave,
    phase = wave + 3,
    fate = phase + 3
  };

  void check() const {
    auto const expect = [](bool valid, char const* what, double found) {
      SEPTUM_EXPECTS(valid, unsupported_error("septum.simulate.2",
                                              std::string{"simulated nuclei: expected "} + what +
                                                  ", found " + std::to_string(found)));
    };
    expect(options_.frames >= 1, "at least 1 frame", options_.frames);
    expect(options_.extent.rows >= 1 && options_.extent.columns >= 1,
           "an image of at least 1 pixel", std::min(options_.extent.rows, options_.extent.columns));
    expect(options_.count >= 1, "at least 1 nucleus", options_.count);
    expect(options_.pixel_size_um > 0, "a positive pixel size", options_.pixel_size_um);
    expect(options_.frame_interval_min >= 0, "a frame interval of at least 0",
           options_.frame_interval_min);
    expect(options_.long_axis_um > 0, "a positive long axis", options_.long_axis_um);
    expect(options_.axis_ratio > 0 && options_.axis_ratio <= 1, "an axis ratio of 0 to 1",
           options_.axis_ratio);
    expect(options_.size_cv >= 0 && options_.size_cv <= 0.25, "a size spread of 0 to 0.25",
           options_.size_cv);
    expect(options_.irregularity >= 0 && options_.irregularity <= 0.08,
           "an irregularity of 0 to 0.08", options_.irregularity);
    expect(options_.cycle_h > 0, "a positive cycle", options_.cycle_h);
    expect(options_.cycle_cv >= 0 && options_.cycle_cv <= 0.25, "a cycle spread of 0 to 0.25",
           options_.cycle_cv);
    expect(options_.mitosis_min > 0, "a positive mitosis", options_.mitosis_min);
    expect(options_.condensed_area > 0 && options_.condensed_area <= 1,
           "a condensed area of 0 to 1", options_.condensed_area);
    expect(options_.persistence_min > 0, "a positive persistence", options_.persistence_min);
  }

  [[nodiscard]] counter_rng rng_of(std::int64_t body) const {
    return counter_rng{options_.seed, stream::simulation}.fork(static_cast<std::uint64_t>(body));
  }
  [[nodiscard]] static double spread(counter_rng const& rng, std::uint64_t which, double sd) {
    return 1 + sd * std::clamp(rng.normal(which), -3.0, 3.0);
  }
  // Area of a new-born nucleus; it doubles until it divides.
  [[nodiscard]] double typical_birth_area() const {
    double const half = 0.5 * options_.long_axis_um / options_.pixel_size_um;
    return std::numbers::pi * half * half * options_.axis_ratio / std::numbers::sqrt2;
  }

  void draw_nature(nucleus& shape, state& nature) const {
    auto const rng = rng_of(shape.body);
    nature.cycle_min = 60 * options_.cycle_h * spread(rng, draw::cycle, options_.cycle_cv);
    nature.axis_ratio = std::clamp(options_.axis_ratio * spread(rng, draw::ratio, 0.1), 0.3, 1.0);
    for (std::size_t k = 0; k < nucleus::waves; ++k) {
      shape.wave[k] = options_.irregularity * (spread(rng, draw::wave + k, 1.0) - 1);
      shape.phase[k] = 2 * std::numbers::pi * rng.uniform(draw::phase + k);
    }
  }

  void place() {
    double const rows = options_.extent.rows + 2 * margin_px_;
    double const columns = options_.extent.columns + 2 * margin_px_;
    double const in_image = static_cast<double>(options_.extent.rows) * options_.extent.columns;
    auto const bodies =
        static_cast<std::int64_t>(std::lround(options_.count * rows * columns / in_image));
    for (std::int64_t body = 1; body <= bodies; ++body) {
      auto const rng = rng_of(body);
      nucleus shape{.body = body};
      state nature;
      draw_nature(shape, nature);
      double const scale = spread(rng, draw::size, options_.size_cv);
      nature.birth_area_px2 = typical_birth_area() * scale * scale;
      // In a growing population there are twice as many young nuclei as old ones.
      nature.age_min = nature.cycle_min * (1 - std::log2(1 + rng.uniform(draw::age)));
      shape.centre = {rows * rng.uniform(draw::row) - margin_px_,
                      columns * rng.uniform(draw::column) - margin_px_};
      shape.angle_rad = std::numbers::pi * rng.uniform(draw::heading);
      shapes_.push_back(shape);
      states_.push_back(nature);
      shape_from_age(shapes_.size() - 1);
    }
    next_body_ = bodies + 1;
  }

  void shape_from_age(std::size_t i) {
    auto& shape = shapes_[i];
    auto const& nature = states_[i];
    auto const closeness = [&](double minutes) {
      double const near = std::clamp(1 - minutes / options_.mitosis_min, 0.0, 1.0);
      return near * near * (3 - 2 * near);
    };
    shape.condensation = closeness(nature.cycle_min - nature.age_min);
    if (nature.born_here)
      shape.condensation = std::max(shape.condensation, closeness(nature.age_min));
    double const grown = nature.birth_area_px2 * std::exp2(nature.age_min / nature.cycle_min) *
                         (1 - (1 - options_.condensed_area) * shape.condensation);
    // Condensed chromosomes form a plate.
    double const flatness = nature.axis_ratio * (1 - 0.35 * shape.condensation);
    shape.long_px = std::sqrt(grown / (std::numbers::pi * flatness));
    shape.short_px = flatness * shape.long_px;
  }

  // A persistent random walk; the walls of the simulated area turn nuclei back.
  void move(std::size_t i) {
    auto& shape = shapes_[i];
    auto& velocity = states_[i].velocity;
    auto const rng = rng_of(shape.body).fork(static_cast<std::uint64_t>(frame_));
    double const keep = std::exp(-options_.frame_interval_min / options_.persistence_min);
    double const sd = options_.speed_um_per_h / options_.pixel_size_um / 60;
    velocity =
        keep * velocity + (sd * std::sqrt(1 - keep * keep)) * point{rng.normal(0), rng.normal(1)};
    double const active = 1 - 0.8 * shape.condensation;
    shape.centre = shape.centre + (active * options_.frame_interval_min) * velocity;
    shape.angle_rad += 0.05 * active * rng.normal(2);
    auto const turn_back = [&](double& at, double& speed, int side) {
      if (at < -margin_px_ && speed < 0) speed = -speed;
      if (at > side + margin_px_ && speed > 0) speed = -speed;
      at = std::clamp(at, -margin_px_, side + margin_px_);
    };
    turn_back(shape.centre.row, velocity.row, options_.extent.rows);
    turn_back(shape.centre.column, velocity.column, options_.extent.columns);
  }

  // The plate parts along its short axis.
  void divide() {
    std::vector<nucleus> shapes;
    std::vector<state> states;
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (states_[i].age_min < states_[i].cycle_min) {
        shapes.push_back(shapes_[i]);
        states.push_back(states_[i]);
        continue;
      }
      nucleus const mother = shapes_[i];
      state const past = states_[i];
      double const first_share = 0.5 * spread(rng_of(mother.body), draw::share, 0.03);
      point const apart{std::cos(mother.angle_rad), -std::sin(mother.angle_rad)};
      for (int which = 0; which < 2; ++which) {
        nucleus shape = mother;
        shape.body = next_body_++;
        shape.mother = mother.body;
        shape.birth_frame = frame_;
        shape.centre = mother.centre + ((which == 0 ? 0.9 : -0.9) * mother.short_px) * apart;
        state nature{.age_min = past.age_min - past.cycle_min,
                     .birth_area_px2 =
                         2 * past.birth_area_px2 * (which == 0 ? first_share : 1 - first_share),
                     .born_here = true,
                     .velocity = (which == 0 ? 0.15 : -0.15) * apart};
        draw_nature(shape, nature);
        shapes.push_back(shape);
        states.push_back(nature);
      }
    }
    shapes_.swap(shapes);
    states_.swap(states);
  }

  // Nuclei push each other as the stadia that enclose their ellipses.
  void push_apart(int iterations) {
    std::vector<rod> bodies;
    for (auto const& shape : shapes_) {
      rod body{.radius_px = 0.97 * shape.short_px, .length_px = 1.94 * shape.long_px};
      double const half = 0.5 * body.length_px - body.radius_px;
      point const direction{std::sin(shape.angle_rad), std::cos(shape.angle_rad)};
      for (std::size_t k = 0; k < rod::nodes; ++k)
        body.axis[k] = shape.centre + (half * (2.0 * static_cast<double>(k) / 3.0 - 1)) * direction;
      bodies.push_back(body);
    }
    relaxation{.iterations = iterations, .bending_stiffness = 1.0, .adhesion = 0}(bodies);
    for (std::size_t i = 0; i < bodies.size(); ++i) {
      point const direction = bodies[i].axis.back() - bodies[i].axis.front();
      shapes_[i].centre = bodies[i].centre();
      if (norm(direction) > 1e-9)
        shapes_[i].angle_rad = std::atan2(direction.row, direction.column);
    }
  }

  nuclei_options options_;
  double margin_px_ = 0.0;
  std::vector<nucleus> shapes_;
  std::vector<state> states_;
  std::int64_t next_body_ = 1;
  int frame_ = 0;
};

}  // namespace septum::inline SEPTUM_ABI
