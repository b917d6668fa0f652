#pragma once
#include <septum/core/config.hpp>
#include <septum/image/regions.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace septum::inline SEPTUM_ABI {

/// A straight rod with round ends (spherocylinder), in pixels.
struct rod_dimensions {
  double length_px = 0;  ///< tip to tip
  double width_px = 0;   ///< diameter

  /// Area of its outline, and volume of the body of revolution, both in pixel units.
  [[nodiscard]] double area_px2() const {
    double const radius = width_px / 2;
    return width_px * (length_px - width_px) + std::numbers::pi * radius * radius;
  }
  [[nodiscard]] double volume_px3() const {
    double const radius = width_px / 2;
    return std::numbers::pi * radius * radius * (length_px - width_px) +
           4.0 / 3 * std::numbers::pi * radius * radius * radius;
  }
};

namespace detail {

/// Variance along the axis of a spherocylinder of radius `r` whose cylinder has length `h`.
[[nodiscard]] inline double axial_variance(double r, double h) {
  constexpr double pi = std::numbers::pi;
  double const area = 2 * r * h + pi * r * r;
  return (r * h * h * h / 6 + pi * r * r * h * h / 4 + 4 * r * r * r * h / 3 +
          pi * r * r * r * r / 4) /
         area;
}

}  // namespace detail

/// The rod that has a given area and a given variance along its axis (continuous, not of pixel
/// centres). A shape that is less elongated than a disc gives the disc of that area.
[[nodiscard]] inline rod_dimensions fit_rod(double area_px2, double axial_variance_px2) {
  if (!(area_px2 > 0)) return {};
  constexpr double pi = std::numbers::pi;
  double high = std::sqrt(area_px2 / pi);
  if (axial_variance_px2 <= area_px2 / (4 * pi)) return {2 * high, 2 * high};
  // The thinner the rod, the larger its variance: 60 halvings exhaust a double.
  double low = 0;
  for (int k = 0; k < 60; ++k) {
    double const radius = (low + high) / 2;
    double const cylinder = (area_px2 - pi * radius * radius) / (2 * radius);
    (detail::axial_variance(radius, cylinder) > axial_variance_px2 ? low : high) = radius;
  }
  double const radius = (low + high) / 2;
  return {(area_px2 - pi * radius * radius) / (2 * radius) + 2 * radius, 2 * radius};
}

/// Length and width of a cell as those of the rod with its area and its variance along the major
/// axis; each pixel counts as a square, which adds 1/12 to the variance of the pixel centres. A
/// bent cell comes out as short as its extent along the axis.
[[nodiscard]] inline rod_dimensions rod_of(region_properties const& cell) {
  double const quarter = cell.major_axis_px / 4;
  return fit_rod(static_cast<double>(cell.area_px), quarter * quarter + 1.0 / 12);
}

}  // namespace septum::inline SEPTUM_ABI
