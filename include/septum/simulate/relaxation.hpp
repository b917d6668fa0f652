#pragma once
#include <septum/core/config.hpp>
#include <septum/simulate/rod.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// How rods push each other aside: position-based dynamics on the nodes of their axes, as for
/// overdamped bodies on a surface. Positions only; there is no inertia.
struct relaxation {
  int iterations = 60;              ///< at most, per call
  double tolerance_px = 0.15;       ///< stop when no two rods overlap by more
  double bending_stiffness = 0.35;  ///< share of a bend removed per iteration, 0 to 1
  double adhesion = 0.02;           ///< share of a narrow gap closed per iteration, 0 to 1
  double adhesion_range_px = 1.5;   ///< widest gap that closes

  /// Moves the axes of `rods` until they no longer overlap, keeping their lengths. Serial, in the
  /// order of the rods, so that results do not depend on threads; O(rods) per iteration through a
  /// grid of neighbours. Returns the largest overlap left, px.
  double operator()(std::span<rod> rods) const;
};

namespace detail {

inline constexpr std::size_t rod_segments = rod::nodes - 1;

/// Two segments that may touch: `rod * rod_segments + segment` of each.
struct segment_pair {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
};

/// Nearest points of two segments, as shares of their lengths.
struct nearest_shares {
  double first = 0.0;
  double second = 0.0;
};

[[nodiscard]] inline nearest_shares nearest_between(point a0, point a1, point b0, point b1) {
  point const a = a1 - a0;
  point const b = b1 - b0;
  point const gap = a0 - b0;
  double const aa = dot(a, a);
  double const bb = dot(b, b);
  double const ab = dot(a, b);
  double const ag = dot(a, gap);
  double const bg = dot(b, gap);
  double const determinant = aa * bb - ab * ab;
  double s =
      determinant > 1e-12 * aa * bb ? std::clamp((ab * bg - ag * bb) / determinant, 0.0, 1.0) : 0.5;
  double t = bb > 0 ? (ab * s + bg) / bb : 0.0;
  if (t < 0 || t > 1) {
    t = std::clamp(t, 0.0, 1.0);
    s = aa > 0 ? std::clamp((ab * t - ag) / aa, 0.0, 1.0) : 0.0;
  }
  return {s, t};
}

/// Pairs of segments of different rods nearer than the sum of their radii plus `margin_px`, in an
/// order that depends only on the rods.
[[nodiscard]] inline std::vector<segment_pair> neighbour_segments(std::span<rod const> rods,
                                                                  double margin_px) {
  std::vector<segment_pair> pairs;
  if (rods.size() < 2) return pairs;
  double reach = 1;
  point low{std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  point high{-low.row, -low.column};
  for (auto const& cell : rods) {
    for (std::size_t k = 0; k < rod_segments; ++k)
      reach =
          std::max(reach, norm(cell.axis[k + 1] - cell.axis[k]) + 2 * cell.radius_px + margin_px);
    for (auto const& node : cell.axis) {
      low = {std::min(low.row, node.row), std::min(low.column, node.column)};
      high = {std::max(high.row, node.row), std::max(high.column, node.column)};
    }
  }
  // Two segments nearer than that have middles at most `reach` apart: neighbouring grid boxes.
  auto const columns = static_cast<std::size_t>((high.column - low.column) / reach) + 3;
  auto const box_rows = static_cast<std::size_t>((high.row - low.row) / reach) + 3;
  auto const segments = rods.size() * rod_segments;
  std::vector<std::uint32_t> box_of(segments);
  std::vector<std::uint32_t> begin(columns * box_rows + 1, 0);
  auto const middle = [&](std::size_t segment) {
    auto const& cell = rods[segment / rod_segments];
    auto const k = segment % rod_segments;
    return 0.5 * (cell.axis[k] + cell.axis[k + 1]);
  };
  for (std::size_t segment = 0; segment < segments; ++segment) {
    point const at = middle(segment) - low;
    auto const box = (static_cast<std::size_t>(at.row / reach) + 1) * columns +
                     static_cast<std::size_t>(at.column / reach) + 1;
    box_of[segment] = static_cast<std::uint32_t>(box);
    ++begin[box + 1];
  }
  for (std::size_t box = 1; box < begin.size(); ++box) begin[box] += begin[box - 1];
  std::vector<std::uint32_t> members(segments);
  auto next = begin;
  for (std::size_t segment = 0; segment < segments; ++segment)
    members[next[box_of[segment]]++] = static_cast<std::uint32_t>(segment);

  for (std::size_t first = 0; first < segments; ++first) {
    point const centre = middle(first);
    auto const& one = rods[first / rod_segments];
    auto const k = first % rod_segments;
    double const half_first = 0.5 * norm(one.axis[k + 1] - one.axis[k]);
    for (std::size_t row = box_of[first] / columns - 1; row <= box_of[first] / columns + 1; ++row) {
      auto const left = row * columns + box_of[first] % columns - 1;
      for (auto m = begin[left]; m < begin[left + 3]; ++m) {
        std::size_t const second = members[m];
        if (second <= first || second / rod_segments == first / rod_segments) continue;
        auto const& other = rods[second / rod_segments];
        auto const j = second % rod_segments;
        point const gap = middle(second) - centre;
        double const limit = half_first + 0.5 * norm(other.axis[j + 1] - other.axis[j]) +
                             one.radius_px + other.radius_px + margin_px;
        if (dot(gap, gap) < limit * limit)
          pairs.push_back({static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(second)});
      }
    }
  }
  return pairs;
}

/// Pushes one pair apart (or, within the adhesion range, together); returns the overlap found.
inline double settle(rod& one, std::size_t k, rod& other, std::size_t j, relaxation const& rules) {
  auto const [s, t] =
      nearest_between(one.axis[k], one.axis[k + 1], other.axis[j], other.axis[j + 1]);
  point gap = (other.axis[j] + t * (other.axis[j + 1] - other.axis[j])) -
              (one.axis[k] + s * (one.axis[k + 1] - one.axis[k]));
  double distance = norm(gap);
  double const overlap = one.radius_px + other.radius_px - distance;
  if (overlap < -rules.adhesion_range_px) return overlap;
  if (distance < 1e-6) {  // axes cross: part the rods along the line of their centres
    gap = other.centre() - one.centre();
    distance = norm(gap);
    if (distance < 1e-6) {
      gap = {1, 0};
      distance = 1;
    }
  }
  double const strength = overlap > 0 ? 1.0 : rules.adhesion;
  double const weights = (1 - s) * (1 - s) + s * s + (1 - t) * (1 - t) + t * t;
  point const push = (strength * overlap / (weights * distance)) * gap;
  one.axis[k] = one.axis[k] - (1 - s) * push;
  one.axis[k + 1] = one.axis[k + 1] - s * push;
  other.axis[j] = other.axis[j] + (1 - t) * push;
  other.axis[j + 1] = other.axis[j + 1] + t * push;
  return overlap;
}

/// Brings the segments of one axis back to their length, and bends it towards its shape at rest.
inline void restore_axis(rod& cell, double bending_stiffness) {
  for (std::size_t k = 1; k + 1 < rod::nodes; ++k) {
    point const chord = cell.axis[k + 1] - cell.axis[k - 1];
    point const sideways =
        (cell.bend_px / std::max(norm(chord), 1e-9)) * point{-chord.column, chord.row};
    point const bend = cell.axis[k] - 0.5 * (cell.axis[k - 1] + cell.axis[k + 1]) - sideways;
    cell.axis[k] = cell.axis[k] - (0.5 * bending_stiffness) * bend;
    cell.axis[k - 1] = cell.axis[k - 1] + (0.25 * bending_stiffness) * bend;
    cell.axis[k + 1] = cell.axis[k + 1] + (0.25 * bending_stiffness) * bend;
  }
  double const rest = cell.segment_px();
  for (int sweep = 0; sweep < 2; ++sweep)
    for (std::size_t k = 0; k + 1 < rod::nodes; ++k) {
      point const edge = cell.axis[k + 1] - cell.axis[k];
      double const length = norm(edge);
      if (length < 1e-9) continue;
      point const correction = (0.5 * (length - rest) / length) * edge;
      cell.axis[k] = cell.axis[k] + correction;
      cell.axis[k + 1] = cell.axis[k + 1] - correction;
    }
}

}  // namespace detail

inline double relaxation::operator()(std::span<rod> rods) const {
  int constexpr iterations_per_search = 8;
  std::vector<detail::segment_pair> pairs;
  double worst = 0;
  for (int iteration = 0; iteration < iterations; ++iteration) {
    if (iteration % iterations_per_search == 0)
      pairs = detail::neighbour_segments(rods, adhesion_range_px + 1);
    worst = 0;
    for (auto const& pair : pairs)
      worst = std::max(worst, detail::settle(rods[pair.first / detail::rod_segments],
                                             pair.first % detail::rod_segments,
                                             rods[pair.second / detail::rod_segments],
                                             pair.second % detail::rod_segments, *this));
    for (auto& cell : rods) detail::restore_axis(cell, bending_stiffness);
    if (worst < tolerance_px) break;
  }
  return worst;
}

}  // namespace septum::inline SEPTUM_ABI
