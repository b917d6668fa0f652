#pragma once
#include <septum/core/config.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>

namespace septum::inline SEPTUM_ABI {

/// Position or displacement in the image plane, px.
struct point {
  double row = 0.0;
  double column = 0.0;

  friend constexpr point operator+(point a, point b) {
    return {a.row + b.row, a.column + b.column};
  }
  friend constexpr point operator-(point a, point b) {
    return {a.row - b.row, a.column - b.column};
  }
  friend constexpr point operator*(double s, point a) { return {s * a.row, s * a.column}; }
  friend constexpr double dot(point a, point b) { return a.row * b.row + a.column * b.column; }
  friend bool operator==(point const&, point const&) = default;
};

[[nodiscard]] inline double norm(point a) { return std::sqrt(dot(a, a)); }

/// A rod-shaped cell: a disc of `radius_px` swept along a flexible axis of three segments of equal
/// length (a spherocylinder when straight), with a waist where it is going to divide.
struct rod {
  static constexpr std::size_t nodes = 4;

  std::int32_t id = 0;
  std::array<point, nodes> axis{};  ///< from the centre of one cap to the centre of the other
  double radius_px = 3.5;
  double length_px = 15.0;    ///< tip to tip
  double septum = 0.5;        ///< where it divides, as a share of the length
  double constriction = 0.0;  ///< 0: no waist; 1: two cells that touch
  double bend_px = 0.0;       ///< how far the inner nodes lie off a straight axis at rest

  /// Rest length of one segment of the axis.
  [[nodiscard]] double segment_px() const {
    return (length_px - 2 * radius_px) / static_cast<double>(nodes - 1);
  }
  [[nodiscard]] point centre() const {
    return 0.5 * (0.5 * (axis[0] + axis[3]) + 0.5 * (axis[1] + axis[2]));
  }
};

/// The waist is r(s) = R (1 - constriction * exp(-((s - s0) / (waist * R))^2)) along the axis. With
/// this width, a waist of depth 1 removes exactly the area by which one rod of a length exceeds the
/// two rods that it divides into, (4 - pi) R^2, so area is conserved at division.
inline constexpr double waist_width = (4 - std::numbers::pi) / (2 / std::numbers::inv_sqrtpi);

/// Area of a straight rod, px^2: 2 R (L - 2 R) + pi R^2 - constriction (4 - pi) R^2.
[[nodiscard]] inline double rod_area_px2(double length_px, double radius_px, double constriction) {
  return 2 * radius_px * length_px -
         (4 - std::numbers::pi) * (1 + constriction) * radius_px * radius_px;
}

/// Inverse of rod_area_px2 in the length.
[[nodiscard]] inline double rod_length_px(double area_px2, double radius_px, double constriction) {
  return (area_px2 + (4 - std::numbers::pi) * (1 + constriction) * radius_px * radius_px) /
         (2 * radius_px);
}

/// Nearest point of an axis.
struct axis_position {
  double distance_px = 0.0;  ///< from the axis
  double along_px = 0.0;     ///< from axis[0], 0 to the length of the axis
};

[[nodiscard]] inline axis_position nearest_on_axis(rod const& cell, point at) {
  double least = 1e300;
  double along = 0;
  double const segment = cell.segment_px();
  for (std::size_t k = 0; k + 1 < rod::nodes; ++k) {
    point const edge = cell.axis[k + 1] - cell.axis[k];
    point const offset = at - cell.axis[k];
    double const squared = dot(edge, edge);
    double const share = squared > 0 ? std::clamp(dot(offset, edge) / squared, 0.0, 1.0) : 0.0;
    point const gap = offset - share * edge;
    double const distance = dot(gap, gap);
    if (distance < least) {
      least = distance;
      along = (static_cast<double>(k) + share) * segment;
    }
  }
  return {std::sqrt(least), along};
}

/// Half of the width at a position along the axis, px.
[[nodiscard]] inline double radius_at(rod const& cell, double along_px) {
  if (cell.constriction <= 0) return cell.radius_px;
  double const offset =
      (along_px - (cell.septum * cell.length_px - cell.radius_px)) / (waist_width * cell.radius_px);
  return cell.radius_px * (1 - cell.constriction * std::exp(-offset * offset));
}

/// Point of the axis at a length from axis[0], for values from 0 to the length of the axis.
[[nodiscard]] inline point axis_point(rod const& cell, double along_px) {
  double const segment = std::max(cell.segment_px(), 1e-9);
  double const steps = std::clamp(along_px / segment, 0.0, static_cast<double>(rod::nodes - 1));
  auto const k = std::min(static_cast<std::size_t>(steps), rod::nodes - 2);
  double const share = steps - static_cast<double>(k);
  return cell.axis[k] + share * (cell.axis[k + 1] - cell.axis[k]);
}

/// Sets length and axis for a new length, the shape of the axis scaled about its centre.
inline void stretch(rod& cell, double length_px) {
  double const before = cell.segment_px();
  cell.length_px = length_px;
  double const ratio = before > 1e-9 ? cell.segment_px() / before : 1.0;
  point const middle = cell.centre();
  for (auto& node : cell.axis) node = middle + ratio * (node - middle);
}

}  // namespace septum::inline SEPTUM_ABI
