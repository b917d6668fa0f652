#pragma once
#include <septum/core/config.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/linker.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Predicts where the cells of a frame go: `predict` before linking, `update` with the links.
template <class Model>
concept Motion = requires(Model model, frame_cells const& source, frame_cells const& target,
                          std::span<cell_pair const> links, int frames) {
  model.start(source);
  { model.predict(frames) } -> std::same_as<std::vector<displacement>>;
  model.update(source, target, links);
};

/// Cells stay where they are.
struct no_motion {
  void start(frame_cells const&) {}
  [[nodiscard]] std::vector<displacement> predict(int) const { return {}; }
  void update(frame_cells const&, frame_cells const&, std::span<cell_pair const>) {}
};

/// Constant velocity with random accelerations: one Kalman filter per cell and axis (position,
/// velocity), as u-track's directed motion. A new cell starts at rest with an uncertain velocity.
class kalman_motion {
 public:
  double measurement_variance = 1;   ///< of a position, squared length
  double acceleration_variance = 1;  ///< per frame
  double start_velocity_variance = 100;

  void start(frame_cells const& frame) {
    tracks_.clear();
    for (detection const& cell : frame.cells) tracks_.push_back(new_track(cell));
  }

  /// Expected displacement of every cell of the last frame over some frames.
  [[nodiscard]] std::vector<displacement> predict(int frames) const {
    std::vector<displacement> result;
    result.reserve(tracks_.size());
    for (track const& t : tracks_)
      result.push_back(
          {frames * t.axes[0].velocity, frames * t.axes[1].velocity, frames * t.axes[2].velocity});
    return result;
  }

  void update(frame_cells const& source, frame_cells const& target,
              std::span<cell_pair const> links) {
    std::vector<track> next;
    next.reserve(target.cells.size());
    for (detection const& cell : target.cells) next.push_back(new_track(cell));
    auto const frames = static_cast<double>(target.frame - source.frame);
    for (cell_pair const& link : links) {
      detection const& cell = target.cells[static_cast<std::size_t>(link.target)];
      track moved = tracks_[static_cast<std::size_t>(link.source)];
      std::array<double, 3> const position{cell.y, cell.x, cell.z};
      for (std::size_t axis = 0; axis < 3; ++axis) filter(moved.axes[axis], position[axis], frames);
      next[static_cast<std::size_t>(link.target)] = moved;
    }
    tracks_ = std::move(next);
  }

 private:
  /// Estimate along one axis, and its covariance.
  struct axis_state {
    double position = 0, velocity = 0;
    double pp = 0, pv = 0, vv = 0;
  };
  struct track {
    std::array<axis_state, 3> axes;
  };

  [[nodiscard]] track new_track(detection const& cell) const {
    track result;
    std::array<double, 3> const position{cell.y, cell.x, cell.z};
    for (std::size_t axis = 0; axis < 3; ++axis)
      result.axes[axis] = {.position = position[axis],
                           .velocity = 0,
                           .pp = measurement_variance,
                           .pv = 0,
                           .vv = start_velocity_variance};
    return result;
  }

  void filter(axis_state& s, double measured, double dt) const {
    // Prediction.
    s.position += dt * s.velocity;
    double const q = acceleration_variance;
    s.pp += dt * (2 * s.pv + dt * s.vv) + q * dt * dt * dt * dt / 4;
    s.pv += dt * s.vv + q * dt * dt * dt / 2;
    s.vv += q * dt * dt;
    // Correction.
    double const total = s.pp + measurement_variance;
    double const gain_position = s.pp / total, gain_velocity = s.pv / total;
    double const surprise = measured - s.position;
    s.position += gain_position * surprise;
    s.velocity += gain_velocity * surprise;
    s.vv -= gain_velocity * s.pv;
    s.pv -= gain_position * s.pv;
    s.pp -= gain_position * s.pp;
  }

  std::vector<track> tracks_;
};

}  // namespace septum::inline SEPTUM_ABI
