#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numbers>
#include <septum/core/rng.hpp>
#include <septum/simulate/relaxation.hpp>
#include <set>
#include <vector>

namespace sp = septum;

namespace {

sp::rod straight(double length, sp::point centre, double angle) {
  sp::rod cell{.radius_px = 3, .length_px = length};
  double const half = 0.5 * length - cell.radius_px;
  for (std::size_t k = 0; k < sp::rod::nodes; ++k)
    cell.axis[k] = centre + (half * (2.0 * static_cast<double>(k) / 3.0 - 1)) *
                                sp::point{std::sin(angle), std::cos(angle)};
  return cell;
}

double distance_between(sp::rod const& one, sp::rod const& other) {
  double least = 1e9;
  for (int k = 0; k <= 200; ++k) {
    double const along = 3 * one.segment_px() * k / 200.0;
    least = std::min(least, sp::nearest_on_axis(other, sp::axis_point(one, along)).distance_px);
  }
  return least;
}

std::vector<sp::rod> random_rods(int count, double side, std::uint64_t seed) {
  std::vector<sp::rod> rods;
  sp::counter_rng const rng{seed, 0};
  for (int k = 0; k < count; ++k) {
    auto const own = rng.fork(static_cast<std::uint64_t>(k));
    rods.push_back(straight(12 + 10 * own.uniform(0),
                            {side * own.uniform(1), side * own.uniform(2)},
                            std::numbers::pi * own.uniform(3)));
  }
  return rods;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(relax)

BOOST_AUTO_TEST_CASE(nearest_points_of_segments_equal_a_search) {
  sp::counter_rng const rng{4, 0};
  for (std::uint64_t k = 0; k < 200; ++k) {
    auto const own = rng.fork(k);
    sp::point const a0{own.uniform(0), own.uniform(1)}, a1{own.uniform(2), own.uniform(3)};
    sp::point const b0{own.uniform(4) + 0.5, own.uniform(5)},
        b1{own.uniform(6) + 0.5, own.uniform(7)};
    auto const [s, t] = sp::detail::nearest_between(a0, a1, b0, b1);
    double const found = sp::norm((a0 + s * (a1 - a0)) - (b0 + t * (b1 - b0)));
    double least = 1e9;
    for (int i = 0; i <= 100; ++i)
      for (int j = 0; j <= 100; ++j)
        least = std::min(least,
                         sp::norm((a0 + (i / 100.0) * (a1 - a0)) - (b0 + (j / 100.0) * (b1 - b0))));
    // Crossing segments meet in a point that the lattice only comes near to.
    BOOST_TEST(found <= least + 1e-12);
    BOOST_TEST(found >= least - 0.02);
  }
}

BOOST_AUTO_TEST_CASE(overlapping_rods_part) {
  std::vector<sp::rod> rods{straight(18, {20, 20}, 0), straight(18, {23, 22}, 0.2)};
  double const left = sp::relaxation{}(rods);
  BOOST_TEST(left < 0.15);
  BOOST_TEST(distance_between(rods[0], rods[1]) > 6 - 0.2);
}

BOOST_AUTO_TEST_CASE(rods_keep_their_length_and_the_common_centre) {
  std::vector<sp::rod> rods{straight(18, {20, 20}, 0), straight(18, {23, 22}, 0.2)};
  auto const before = 0.5 * (rods[0].centre() + rods[1].centre());
  sp::relaxation{}(rods);
  auto const after = 0.5 * (rods[0].centre() + rods[1].centre());
  BOOST_TEST(sp::norm(after - before) < 1e-9);
  for (auto const& cell : rods)
    for (std::size_t k = 0; k + 1 < sp::rod::nodes; ++k)
      BOOST_TEST(sp::norm(cell.axis[k + 1] - cell.axis[k]) == cell.segment_px(),
                 boost::test_tools::tolerance(0.02));
}

BOOST_AUTO_TEST_CASE(rods_apart_are_left_alone) {
  std::vector<sp::rod> rods{straight(18, {20, 20}, 0.3), straight(18, {60, 60}, 1.2)};
  auto const before = rods;
  sp::relaxation{}(rods);
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t k = 0; k < sp::rod::nodes; ++k)
      BOOST_TEST(sp::norm(rods[i].axis[k] - before[i].axis[k]) < 1e-9);
}

BOOST_AUTO_TEST_CASE(narrow_gaps_close) {
  std::vector<sp::rod> rods{straight(18, {20, 20}, 0), straight(18, {27, 20}, 0)};
  sp::relaxation{.iterations = 200, .tolerance_px = -1, .adhesion = 0.1}(rods);
  BOOST_TEST(distance_between(rods[0], rods[1]) < 6.3);
  std::vector<sp::rod> free{straight(18, {20, 20}, 0), straight(18, {27, 20}, 0)};
  sp::relaxation{.iterations = 200, .tolerance_px = -1, .adhesion = 0}(free);
  BOOST_TEST(distance_between(free[0], free[1]) == 7, boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(the_neighbour_search_finds_every_pair) {
  auto const rods = random_rods(120, 150, 7);
  std::set<std::pair<std::uint32_t, std::uint32_t>> found;
  for (auto const& pair : sp::detail::neighbour_segments(rods, 1.0))
    found.insert({pair.first, pair.second});
  std::size_t near = 0;
  for (std::uint32_t i = 0; i < rods.size(); ++i)
    for (std::uint32_t j = i + 1; j < rods.size(); ++j)
      for (std::uint32_t k = 0; k < 3; ++k)
        for (std::uint32_t m = 0; m < 3; ++m) {
          auto const& a = rods[i].axis;
          auto const& b = rods[j].axis;
          auto const [s, t] = sp::detail::nearest_between(a[k], a[k + 1], b[m], b[m + 1]);
          double const distance =
              sp::norm((a[k] + s * (a[k + 1] - a[k])) - (b[m] + t * (b[m + 1] - b[m])));
          if (distance >= 7.0) continue;
          ++near;
          BOOST_TEST(found.contains({3 * i + k, 3 * j + m}));
        }
  BOOST_TEST(near > 100U);
}

BOOST_AUTO_TEST_CASE(a_crowd_is_untangled) {
  auto rods = random_rods(40, 110, 11);
  sp::relaxation const patient{.iterations = 3000, .adhesion = 0};
  BOOST_TEST(patient(rods) < 0.15);
  for (std::size_t i = 0; i < rods.size(); ++i)
    for (std::size_t j = i + 1; j < rods.size(); ++j)
      BOOST_TEST(distance_between(rods[i], rods[j]) > 6 - 0.4);
}

BOOST_AUTO_TEST_CASE(a_bent_rod_straightens) {
  auto cell = straight(30, {20, 20}, 0);
  cell.axis[1].row += 3;
  cell.axis[2].row += 3;
  std::vector<sp::rod> rods{cell, straight(30, {80, 80}, 0)};
  sp::relaxation{.iterations = 300, .tolerance_px = -1e9}(rods);
  auto const& axis = rods[0].axis;
  auto const chord = axis[3] - axis[0];
  BOOST_TEST(sp::norm(chord) == 24, boost::test_tools::tolerance(0.01));
}

BOOST_AUTO_TEST_SUITE_END()
