#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numbers>
#include <septum/simulate/rasterize.hpp>
#include <septum/simulate/rod.hpp>
#include <vector>

namespace sp = septum;

namespace {

sp::rod straight(double length, double radius, sp::point centre, double angle) {
  sp::rod cell{.id = 1, .radius_px = radius, .length_px = length};
  double const half = 0.5 * length - radius;
  for (std::size_t k = 0; k < sp::rod::nodes; ++k)
    cell.axis[k] = centre + (half * (2.0 * static_cast<double>(k) / 3.0 - 1)) *
                                sp::point{std::sin(angle), std::cos(angle)};
  return cell;
}

// Area by counting points of a fine lattice inside the outline: independent of the formula.
double counted_area(sp::rod const& cell) {
  double const step = 0.05;
  double area = 0;
  for (double row = 0; row < 60; row += step)
    for (double column = 0; column < 60; column += step) {
      auto const at = sp::nearest_on_axis(cell, {row, column});
      if (at.distance_px < sp::radius_at(cell, at.along_px)) area += step * step;
    }
  return area;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rods)

// A rectangle and two half discs: (L - 2 R) 2 R + pi R^2.
BOOST_AUTO_TEST_CASE(area_of_a_spherocylinder) {
  BOOST_TEST(sp::rod_area_px2(20, 3, 0) == 14 * 6 + std::numbers::pi * 9,
             boost::test_tools::tolerance(1e-12));
  BOOST_TEST(counted_area(straight(20, 3, {30, 30}, 0.4)) == 14 * 6 + std::numbers::pi * 9,
             boost::test_tools::tolerance(1e-3));
}

BOOST_AUTO_TEST_CASE(area_of_a_waist_is_that_of_the_formula) {
  for (double const constriction : {0.3, 0.7, 1.0}) {
    auto cell = straight(32, 3.5, {30, 30}, 1.1);
    cell.constriction = constriction;
    cell.septum = 0.45;
    BOOST_TEST(counted_area(cell) == sp::rod_area_px2(32, 3.5, constriction),
               boost::test_tools::tolerance(2e-3));
  }
}

BOOST_AUTO_TEST_CASE(a_closed_waist_has_the_area_of_two_cells) {
  double const both = sp::rod_area_px2(13, 3.5, 0) + sp::rod_area_px2(17, 3.5, 0);
  BOOST_TEST(sp::rod_area_px2(30, 3.5, 1) == both, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(length_is_the_inverse_of_area) {
  for (double const constriction : {0.0, 0.4, 1.0})
    BOOST_TEST(sp::rod_length_px(sp::rod_area_px2(23, 3.2, constriction), 3.2, constriction) == 23,
               boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(nearest_point_of_a_straight_axis) {
  auto const cell = straight(26, 3, {10, 20}, 0);  // axis along columns from 10 to 30 in row 10
  auto const beside = sp::nearest_on_axis(cell, {14, 17});
  BOOST_TEST(beside.distance_px == 4, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(beside.along_px == 7, boost::test_tools::tolerance(1e-12));
  auto const beyond = sp::nearest_on_axis(cell, {13, 34});
  BOOST_TEST(beyond.distance_px == 5, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(beyond.along_px == 20, boost::test_tools::tolerance(1e-12));
  auto const inside = sp::axis_point(cell, 7);
  BOOST_TEST(inside.row == 10, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(inside.column == 17, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(stretching_keeps_centre_and_direction) {
  auto cell = straight(20, 3, {10, 20}, 0.7);
  sp::stretch(cell, 26);
  auto const expected = straight(26, 3, {10, 20}, 0.7);
  for (std::size_t k = 0; k < sp::rod::nodes; ++k)
    BOOST_TEST(sp::norm(cell.axis[k] - expected.axis[k]) < 1e-12);
}

BOOST_AUTO_TEST_CASE(labels_cover_the_outline) {
  // A disc-capped rod with its axis on row 20, columns 17 to 33, radius 4: row 20 is covered where
  // the distance to the axis is below 4, columns 14 to 36; row 23 (distance 3) up to sqrt(7)
  // beyond.
  auto const cell = straight(24, 4, {20, 25}, 0);
  auto const seen = sp::label_rods(std::vector<sp::rod>{cell}, {40, 50});
  for (int column = 0; column < 50; ++column) {
    BOOST_TEST((seen(20, column) == 1) == (column >= 14 && column <= 36));
    BOOST_TEST((seen(23, column) == 1) == (column >= 15 && column <= 35));
    BOOST_TEST(seen(24, column) == 0);
  }
}

BOOST_AUTO_TEST_CASE(an_overlap_goes_to_the_nearer_axis) {
  // Parallel rods, 6 px apart with radius 4: row 10 belongs to the first, row 16 to the second, the
  // line in the middle to the first one listed.
  auto first = straight(24, 4, {10, 20}, 0);
  auto second = straight(24, 4, {16, 20}, 0);
  second.id = 2;
  auto const seen = sp::label_rods(std::vector<sp::rod>{first, second}, {30, 40});
  BOOST_TEST(seen(12, 20) == 1);
  BOOST_TEST(seen(13, 20) == 1);
  BOOST_TEST(seen(14, 20) == 2);
}

BOOST_AUTO_TEST_CASE(thickness_of_a_cylinder_is_its_chord) {
  auto const cell = straight(40, 8, {20, 30}, 0);
  sp::rod_texture const plain{.density_cv = 0, .granularity = 0, .flatness = 0.5};
  auto const thickness = sp::rod_thickness(std::vector<sp::rod>{cell}, {40, 60}, plain, {}, 9);
  for (int const offset : {0, 2, 4, 6})
    BOOST_TEST(double{thickness(20 + offset, 30)} == std::sqrt(1 - offset * offset / 64.0),
               boost::test_tools::tolerance(0.005));
  BOOST_TEST(thickness(29, 30) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
