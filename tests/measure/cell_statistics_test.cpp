#include <septum/measure/cell_statistics.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <septum/simulate/rasterize.hpp>
#include <vector>

namespace sp = septum;

namespace {

sp::labels blank(std::size_t rows, std::size_t columns) {
  sp::labels cells = sp::labels::from_shape({rows, columns});
  cells.fill(0);
  return cells;
}

void fill(sp::labels& cells, std::int32_t label, std::size_t top, std::size_t left,
          std::size_t rows, std::size_t columns) {
  for (std::size_t r = top; r < top + rows; ++r)
    for (std::size_t c = left; c < left + columns; ++c) cells(r, c) = label;
}

/// A straight rod in the middle of an image, at an angle.
sp::rod rod_at(double angle, double length_px, double radius_px, double row, double column) {
  sp::rod cell{.id = 1, .radius_px = radius_px, .length_px = length_px};
  for (std::size_t k = 0; k < sp::rod::nodes; ++k) {
    double const along = (static_cast<double>(k) - 1.5) * cell.segment_px();
    cell.axis[k] = {row + along * std::sin(angle), column + along * std::cos(angle)};
  }
  return cell;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cell_statistics)

BOOST_AUTO_TEST_CASE(rods_of_a_spherocylinder_in_closed_form) {
  for (double const radius : {0.5, 3.5, 20.0})
    for (double const cylinder : {0.0, 1.0, 12.0, 200.0}) {
      double const pi = std::numbers::pi;
      double const area = 2 * radius * cylinder + pi * radius * radius;
      // Second moment about the centre, integrated over slices: a cylinder and two half discs.
      double moment = 0;
      int const slices = 200000;
      double const half = cylinder / 2 + radius;
      for (int k = 0; k < slices; ++k) {
        double const x = half * (k + 0.5) / slices;
        double const beyond = std::max(x - cylinder / 2, 0.0);
        double const height = 2 * std::sqrt(std::max(radius * radius - beyond * beyond, 0.0));
        moment += 2 * x * x * height * half / slices;
      }
      auto const fitted = sp::fit_rod(area, moment / area);
      BOOST_TEST(fitted.length_px == cylinder + 2 * radius, boost::test_tools::tolerance(2e-5));
      BOOST_TEST(fitted.width_px == 2 * radius, boost::test_tools::tolerance(2e-4));
      BOOST_TEST(fitted.area_px2() == area, boost::test_tools::tolerance(1e-9));
    }
}

BOOST_AUTO_TEST_CASE(drawn_rods_have_their_length_and_width) {
  for (double const angle : {0.0, 0.3, 0.7854, 1.2, 2.5}) {
    sp::rod const drawn = rod_at(angle, 31.0, 4.0, 40.3, 40.8);
    std::vector<sp::rod> const shapes{drawn};
    auto const cells = sp::label_rods(shapes, {81, 81}, {});
    auto const found = sp::measure_cells(cells);
    BOOST_REQUIRE_EQUAL(found.size(), 1U);
    BOOST_TEST(std::abs(found[0].rod.length_px - 31.0) < 0.5);
    BOOST_TEST(std::abs(found[0].rod.width_px - 8.0) < 0.5);
  }
}

BOOST_AUTO_TEST_CASE(round_cells_are_discs) {
  auto cells = blank(5, 5);
  cells(2, 2) = 1;
  auto const found = sp::measure_cells(cells);
  // A square is slightly longer than a disc of its area, by its moments.
  BOOST_TEST(found[0].rod.length_px / found[0].rod.width_px < 1.06);
  BOOST_TEST(found[0].rod.area_px2() == 1.0, boost::test_tools::tolerance(1e-9));
  auto const disc = sp::fit_rod(std::numbers::pi * 9, 9.0 / 4);
  BOOST_TEST(disc.length_px == 6.0, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(disc.width_px == 6.0, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(sp::fit_rod(0, 3).length_px == 0.0);
}

BOOST_AUTO_TEST_CASE(neighbours_within_a_reach) {
  auto cells = blank(20, 30);
  fill(cells, 1, 2, 2, 4, 4);
  fill(cells, 2, 6, 6, 4, 4);    // touches 1 at a corner
  fill(cells, 4, 2, 9, 3, 3);    // two rows above 2 and three columns right of 1; no cell 3
  fill(cells, 5, 15, 25, 3, 3);  // far from all
  auto const touching = sp::measure_cells(cells, sp::cell_measuring{});
  BOOST_TEST(touching[0].neighbours == std::vector<std::int32_t>{2},
             boost::test_tools::per_element());
  BOOST_TEST(touching[1].neighbours == std::vector<std::int32_t>{1},
             boost::test_tools::per_element());
  BOOST_TEST(touching[2].shape.area_px == 0);
  BOOST_TEST(touching[3].neighbours.empty());
  auto const near = sp::measure_cells(cells, sp::cell_measuring{.neighbour_reach_px = 2});
  std::vector<std::int32_t> const both{1, 4};
  BOOST_TEST(near[1].neighbours == both, boost::test_tools::per_element());
  auto const wide = sp::measure_cells(cells, sp::cell_measuring{.neighbour_reach_px = 4});
  std::vector<std::int32_t> const two{2, 4};
  BOOST_TEST(wide[0].neighbours == two, boost::test_tools::per_element());
  BOOST_TEST(wide[4].neighbours.empty());
  BOOST_TEST(wide[4].shape.touches_border == false);
}

BOOST_AUTO_TEST_CASE(neighbours_by_definition) {
  std::uint32_t state = 7;
  auto const next = [&](std::uint32_t bound) {
    state = state * 1664525U + 1013904223U;
    return (state >> 8U) % bound;
  };
  auto cells = blank(24, 24);
  for (auto& value : cells) value = next(3) == 0 ? static_cast<std::int32_t>(1 + next(9)) : 0;
  for (int const reach : {1, 2, 3}) {
    auto const found = sp::measure_cells(cells, sp::cell_measuring{.neighbour_reach_px = reach});
    for (std::int32_t label = 1; label <= 9; ++label) {
      std::vector<std::int32_t> expected;
      for (std::int32_t other = 1; other <= 9; ++other) {
        bool meet = false;
        for (int r = 0; r < 24 && other != label; ++r)
          for (int c = 0; c < 24; ++c)
            for (int dr = -reach; dr <= reach && cells(r, c) == label; ++dr)
              for (int dc = -reach; dc <= reach; ++dc)
                meet = meet || (r + dr >= 0 && r + dr < 24 && c + dc >= 0 && c + dc < 24 &&
                                cells(r + dr, c + dc) == other);
        if (meet) expected.push_back(other);
      }
      BOOST_TEST(found[static_cast<std::size_t>(label) - 1].neighbours == expected,
                 boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(intensities_of_every_channel) {
  auto cells = blank(3, 4);
  fill(cells, 1, 0, 0, 1, 4);
  fill(cells, 2, 2, 1, 1, 1);
  sp::image pixels = sp::image::from_shape({3, 4, 2});
  for (std::size_t p = 0; p < 12; ++p) {
    pixels.data()[2 * p] = static_cast<float>(10 * (p % 4 + 1));
    pixels.data()[2 * p + 1] = -2.0F;
  }
  auto const found = sp::measure_cells(cells, pixels);
  BOOST_REQUIRE_EQUAL(found[0].channels.size(), 2U);
  auto const& first = found[0].channels[0];
  BOOST_TEST(first.sum == 100.0);
  BOOST_TEST(first.mean == 25.0);
  BOOST_TEST(first.minimum == 10.0F);
  BOOST_TEST(first.maximum == 40.0F);
  // Ranks 0.15, 0.75, 1.5, 2.25 and 2.85 of 10, 20, 30, 40.
  std::array const expected{11.5, 17.5, 25.0, 32.5, 38.5};
  for (std::size_t k = 0; k < expected.size(); ++k)
    BOOST_TEST(first.percentiles[k] == expected[k], boost::test_tools::tolerance(1e-12));
  BOOST_TEST(first.median() == 25.0);
  // Outside all cells: 10, 20, 30, 40 in the middle row and 10, 30, 40 in the last.
  BOOST_TEST(first.background == 30.0);
  BOOST_TEST(first.mean_above_background() == -5.0);
  BOOST_TEST(first.sum_above_background(4) == -20.0);
  BOOST_TEST(found[1].channels[0].percentiles[4] == 20.0);
  BOOST_TEST(found[1].channels[1].mean == -2.0);
  auto const given = sp::measure_cells(cells, pixels, {.background = {5, 1}});
  BOOST_TEST(given[0].channels[0].mean_above_background() == 20.0);
  BOOST_TEST(given[0].channels[1].background == 1.0);
  BOOST_TEST(found[1].area_um2(0.5) == 0.25);
}

BOOST_AUTO_TEST_CASE(full_images_have_no_background) {
  auto cells = blank(2, 2);
  cells.fill(1);
  sp::image pixels = sp::image::from_shape({2, 2, 1});
  pixels.fill(3);
  auto const found = sp::measure_cells(cells, pixels);
  BOOST_TEST(std::isnan(found[0].channels[0].background));
  BOOST_TEST(found[0].shape.touches_border);
  BOOST_TEST(sp::measure_cells(blank(3, 3), sp::image::from_shape({3, 3, 1})).empty());
}

BOOST_AUTO_TEST_CASE(what_is_refused) {
  auto const cells = blank(3, 3);
  BOOST_CHECK_THROW((void)sp::measure_cells(cells, sp::image::from_shape({3, 4, 1})),
                    sp::shape_error);
  BOOST_CHECK_THROW((void)sp::measure_cells(cells, sp::cell_measuring{.neighbour_reach_px = 0}),
                    sp::unsupported_error);
  BOOST_CHECK_THROW(
      (void)sp::measure_cells(cells, sp::image::from_shape({3, 3, 1}), {.background = {1, 2}}),
      sp::shape_error);
}

BOOST_AUTO_TEST_CASE(threads_change_nothing) {
  auto cells = blank(64, 64);
  for (std::int32_t k = 0; k < 16; ++k)
    fill(cells, k + 1, static_cast<std::size_t>(k / 4) * 16 + 1,
         static_cast<std::size_t>(k % 4) * 16 + 1, 14, 9);
  sp::image pixels = sp::image::from_shape({64, 64, 3});
  for (std::size_t p = 0; p < pixels.size(); ++p)
    pixels.data()[p] = static_cast<float>((p * 2654435761U) % 1009);
  auto const one = sp::measure_cells(cells, pixels);
  auto const four = sp::measure_cells(cells, pixels, {}, sp::exec::threads{4});
  for (std::size_t k = 0; k < one.size(); ++k) {
    BOOST_TEST(one[k].channels[2].sum == four[k].channels[2].sum);
    BOOST_TEST(one[k].channels[2].percentiles == four[k].channels[2].percentiles,
               boost::test_tools::per_element());
    BOOST_TEST(one[k].rod.length_px == four[k].rod.length_px);
    BOOST_TEST(one[k].neighbours == four[k].neighbours, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_SUITE_END()
