#pragma once
#include <septum/core/config.hpp>
#include <septum/track/cost.hpp>
#include <septum/track/detection.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>

namespace septum::inline SEPTUM_ABI {

/// A mother and two daughters, and what is known of the three.
struct division_candidate {
  detection const& mother;
  detection const& first;
  detection const& second;
  double dy = 0;  ///< from where the mother is expected to the middle of the daughters
  double dx = 0;
  int frames = 1;            ///< from the mother to the later daughter
  double growth = 0;         ///< expected ln(area) gained until then
  double first_overlap = 0;  ///< pixels in common with the mother after motion was corrected
  double second_overlap = 0;
  int age = -1;  ///< frames since the mother was born; -1 when nobody saw it
  /// ln of the share of its area that the mother has lost of late; NaN when nobody saw it
  double condensation = std::numeric_limits<double>::quiet_NaN();
};

/// Price of a division; +inf where it is impossible. `reach()` is a distance from the mother
/// beyond which no daughter lies.
template <class Cost>
concept DivisionCost = requires(Cost const& cost, division_candidate const& event) {
  { cost(event) } -> std::convertible_to<double>;
  { cost.reach() } -> std::convertible_to<double>;
};

/// Geometry of a division: the daughters' areas add up to the mother's and are alike, their middle
/// is where the mother would be, they lie in its outline and on its long axis. A mother has an age,
/// and a nucleus condenses before it divides.
struct division_geometry {
  double max_distance = 25;   ///< of a daughter from its mother, px (the paper's rule)
  double overlap_weight = 1;  ///< of the mean share of a daughter outside its mother
  double area_weight = 0.8;   ///< of |ln(sum of areas / mother's area) - growth|
  double largest_area_change = 0.6;
  double likeness_weight = 0.4;  ///< of |ln(area of one daughter / the other's)|
  double largest_ratio = 3;      ///< of the larger daughter to the smaller one
  double middle_weight = 0.5;    ///< of the middle's distance over the mother's size
  double angle_weight = 0.5;     ///< of sin^2 of the angle to the mother's axis, for long mothers
  double border_share = 0.3;     ///< how much areas count where the border of the image cuts a cell
  /// of the share of a daughter outside its mother, where the border cuts the smaller daughter and
  /// another cell may just have come in
  double border_outside_weight = 0;
  int least_age = 2;               ///< frames from birth to division
  double condensation_weight = 0;  ///< of a mother that did not condense; half where unknown
  double condensed = 0.4;          ///< ln(area lost) of a nucleus that certainly condensed

  [[nodiscard]] double reach() const { return max_distance; }
  [[nodiscard]] double operator()(division_candidate const& event) const {
    detection const &m = event.mother, &a = event.first, &b = event.second;
    if (!(m.area > 0 && a.area > 0 && b.area > 0)) return impossible;
    if (event.age >= 0 && event.age < least_age) return impossible;
    // The border may cut off any part of the three, so areas say little there.
    double const told = m.at_border || a.at_border || b.at_border ? border_share : 1.0;
    double const change = told * std::abs(std::log((a.area + b.area) / m.area) - event.growth);
    // What the border cuts off makes a daughter smaller, never larger.
    bool const smaller_is_cut = a.area < b.area ? a.at_border : b.at_border;
    double const likeness =
        (smaller_is_cut ? border_share * border_share : told) * std::abs(std::log(a.area / b.area));
    double const away = std::hypot(event.dy, event.dx) / std::sqrt(m.area);
    if (change > largest_area_change || likeness > std::log(largest_ratio) || away > 1)
      return impossible;
    double const first_outside = 1 - event.first_overlap / a.area;
    double const second_outside = 1 - event.second_overlap / b.area;
    double outside = (first_outside + second_outside) / 2;
    if (smaller_is_cut) outside += border_outside_weight * std::max(first_outside, second_outside);
    return overlap_weight * outside + area_weight * change + likeness_weight * likeness +
           middle_weight * away + angle_weight * off_axis(m, a, b) +
           condensation_weight * not_condensed(event.condensation);
  }

 private:
  /// 0 for a mother that condensed, 1 for one that did not.
  [[nodiscard]] double not_condensed(double condensation) const {
    if (std::isnan(condensation)) return 0.5;
    return 1 - std::clamp(condensation / condensed, 0.0, 1.0);
  }
  /// sin^2 of the angle between the line through the daughters and the mother's long axis, weighed
  /// by how elongated the mother is.
  [[nodiscard]] static double off_axis(detection const& m, detection const& a, detection const& b) {
    double const dy = a.y - b.y, dx = a.x - b.x;
    double const length2 = m.axis_y * m.axis_y + m.axis_x * m.axis_x;
    double const apart2 = dy * dy + dx * dx;
    if (!(length2 > 0 && apart2 > 0)) return 0;
    double const cross = dy * m.axis_x - dx * m.axis_y;
    // An ellipse of area pi l w / 4 and half length l / 2 is round when its area is pi l^2 / 4.
    double const roundness = std::min(1.0, m.area / (3.141592653589793 * length2));
    return (1 - roundness) * cross * cross / (length2 * apart2);
  }
};

}  // namespace septum::inline SEPTUM_ABI
