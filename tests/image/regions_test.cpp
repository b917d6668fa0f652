#include <septum/image/regions.hpp>

#include <boost/test/unit_test.hpp>
#include <golden/image_golden.inc>
#include <support/text_image.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace sp = septum;

namespace {

/// The intensities that make_image_golden.py used, and their negative as a second channel.
sp::image golden_intensity(sp::labels const& cells) {
  sp::image pixels = sp::image::from_shape({cells.shape()[0], cells.shape()[1], 2});
  for (std::size_t r = 0; r < cells.shape()[0]; ++r)
    for (std::size_t c = 0; c < cells.shape()[1]; ++c) {
      pixels(r, c, 0) = static_cast<float>((r * 37 + c * 91) % 1000);
      pixels(r, c, 1) = -pixels(r, c, 0);
    }
  return pixels;
}

template <class Rows, std::size_t N>
void check_against_golden(Rows const& rows, golden::region const (&expected)[N]) {
  sp::labels const cells = test::labels_of(rows);
  auto const found = sp::measure_regions(cells, golden_intensity(cells));
  BOOST_REQUIRE_EQUAL(found.size(), N);
  auto const close = boost::test_tools::tolerance(1e-9);
  for (std::size_t k = 0; k < N; ++k) {
    auto const& region = found[k];
    auto const& value = expected[k].values;
    BOOST_TEST_CONTEXT("label " << expected[k].label) {
      BOOST_TEST(region.label == expected[k].label);
      BOOST_TEST(static_cast<double>(region.area_px) == value[0]);
      BOOST_TEST(region.centroid_row_px == value[1], close);
      BOOST_TEST(region.centroid_column_px == value[2], close);
      BOOST_TEST(region.row_begin == value[3]);
      BOOST_TEST(region.column_begin == value[4]);
      BOOST_TEST(region.row_end == value[5]);
      BOOST_TEST(region.column_end == value[6]);
      BOOST_TEST(region.major_axis_px == value[7], close);
      BOOST_TEST(std::abs(region.minor_axis_px - value[8]) < 1e-6);
      BOOST_TEST(std::abs(region.eccentricity - value[9]) < 1e-9);
      if (expected[k].oriented) BOOST_TEST(std::abs(region.orientation_rad - value[10]) < 1e-9);
      BOOST_TEST(static_cast<double>(region.convex_area_px) == value[11]);
      BOOST_TEST(region.solidity == value[0] / value[11], close);
      BOOST_TEST(region.perimeter_px == value[12], close);
      BOOST_REQUIRE_EQUAL(region.intensity.size(), 2U);
      BOOST_TEST(region.mean_intensity == value[13], close);
      BOOST_TEST(region.intensity[0].mean == value[13], close);
      BOOST_TEST(region.intensity[0].sum == value[13] * value[0], close);
      BOOST_TEST(region.intensity[0].minimum == value[14]);
      BOOST_TEST(region.intensity[0].maximum == value[15]);
      BOOST_TEST(region.intensity[1].mean == -value[13], close);
      BOOST_TEST(region.intensity[1].maximum == -value[14]);
      bool const at_border = value[3] == 0 || value[4] == 0 ||
                             value[5] == static_cast<double>(cells.shape()[0]) ||
                             value[6] == static_cast<double>(cells.shape()[1]);
      BOOST_TEST(region.touches_border == at_border);
    }
  }
}

bool same(sp::region_properties const& a, sp::region_properties const& b) {
  return a.label == b.label && a.area_px == b.area_px && a.centroid_row_px == b.centroid_row_px &&
         a.centroid_column_px == b.centroid_column_px && a.major_axis_px == b.major_axis_px &&
         a.minor_axis_px == b.minor_axis_px && a.eccentricity == b.eccentricity &&
         a.orientation_rad == b.orientation_rad && a.convex_area_px == b.convex_area_px &&
         a.perimeter_px == b.perimeter_px && a.mean_intensity == b.mean_intensity;
}

/// Convex area by definition, exactly: a pixel counts when no edge of the hull of the doubled
/// points (middles of the pixel edges) has it strictly outside. The hull is by gift wrapping.
std::int64_t convex_area_by_definition(sp::labels const& cells, std::int32_t label) {
  using point = std::array<std::int64_t, 2>;
  auto const rows = static_cast<std::int64_t>(cells.shape()[0]);
  auto const columns = static_cast<std::int64_t>(cells.shape()[1]);
  std::vector<point> points;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      if (cells(r, c) == label)
        for (point const p : {point{2 * r - 1, 2 * c}, point{2 * r + 1, 2 * c},
                              point{2 * r, 2 * c - 1}, point{2 * r, 2 * c + 1}})
          points.push_back(p);
  if (points.empty()) return 0;
  auto const cross = [](point a, point b, point p) {
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]);
  };
  std::vector<point> hull{*std::min_element(points.begin(), points.end())};
  for (;;) {
    point next = points.front() == hull.back() ? points[1] : points.front();
    for (point const p : points) {
      std::int64_t const side = cross(hull.back(), next, p);
      auto const reach = [&](point q) {
        return std::abs(q[0] - hull.back()[0]) + std::abs(q[1] - hull.back()[1]);
      };
      if (side < 0 || (side == 0 && reach(p) > reach(next))) next = p;
    }
    if (next == hull.front()) break;
    hull.push_back(next);
  }
  std::int64_t count = 0;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      bool inside = true;
      for (std::size_t k = 0; k < hull.size(); ++k)
        inside = inside && cross(hull[k], hull[(k + 1) % hull.size()], {2 * r, 2 * c}) >= 0;
      count += inside ? 1 : 0;
    }
  return count;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(regions)

BOOST_AUTO_TEST_CASE(special_shapes_equal_scikit_image) {
  check_against_golden(golden::special_labels, golden::special_regions);
}

BOOST_AUTO_TEST_CASE(blobs_equal_scikit_image) {
  check_against_golden(golden::cells_labels, golden::cells_regions);
}

BOOST_AUTO_TEST_CASE(convex_area_equals_its_definition) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    auto const cells =
        seed % 2 == 0 ? test::random_cells(30, 41, 9, seed) : test::random_labels(9, 8, 6, seed);
    for (auto const& region : sp::measure_regions(cells))
      BOOST_TEST(region.convex_area_px == convex_area_by_definition(cells, region.label));
  }
}

BOOST_AUTO_TEST_CASE(axes_of_a_rectangle_in_closed_form) {
  sp::labels cells = sp::labels::from_shape({20, 30});
  cells.fill(0);
  for (std::size_t r = 5; r < 8; ++r)
    for (std::size_t c = 10; c < 21; ++c) cells(r, c) = 1;
  auto const region = sp::measure_regions(cells).front();
  BOOST_TEST(region.major_axis_px == 4 * std::sqrt((121 - 1) / 12.0),
             boost::test_tools::tolerance(1e-14));
  BOOST_TEST(region.minor_axis_px == 4 * std::sqrt((9 - 1) / 12.0),
             boost::test_tools::tolerance(1e-14));
  BOOST_TEST(region.orientation_rad == std::numbers::pi / 2, boost::test_tools::tolerance(1e-14));
  BOOST_TEST(region.solidity == 1.0);
  BOOST_TEST(region.perimeter_px == 24.0);
  BOOST_TEST(!region.touches_border);
  BOOST_TEST(region.intensity.empty());
}

BOOST_AUTO_TEST_CASE(a_line_in_any_direction_has_eccentricity_one) {
  sp::labels cells = sp::labels::from_shape({60, 60});
  cells.fill(0);
  for (std::size_t k = 0; k < 25; ++k) cells(2 * k, 50 - k) = 1;
  auto const region = sp::measure_regions(cells).front();
  BOOST_TEST(region.eccentricity == 1.0);
  BOOST_TEST(region.minor_axis_px == 0.0);
  BOOST_TEST(region.orientation_rad == std::atan(-0.5), boost::test_tools::tolerance(1e-14));
}

BOOST_AUTO_TEST_CASE(thread_count_changes_no_bit) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    auto const cells = test::random_cells(70, 90, 40, seed);
    auto const pixels = golden_intensity(cells);
    auto const one = sp::measure_regions(cells, pixels);
    for (int const threads : {2, 3, 7}) {
      auto const many = sp::measure_regions(cells, pixels, {threads});
      BOOST_REQUIRE_EQUAL(one.size(), many.size());
      for (std::size_t k = 0; k < one.size(); ++k) BOOST_TEST(same(one[k], many[k]));
    }
  }
}

BOOST_AUTO_TEST_CASE(areas_and_boxes_of_random_labels) {
  auto const cells = test::random_labels(23, 150, 12, 5);
  auto const found = sp::measure_regions(cells);
  std::vector<std::int64_t> area(13, 0);
  for (auto const label : cells) ++area[static_cast<std::size_t>(label)];
  std::int64_t total = 0;
  for (auto const& region : found) {
    BOOST_TEST(region.area_px == area[static_cast<std::size_t>(region.label)]);
    BOOST_TEST(region.solidity <= 1.0);
    total += region.area_px;
  }
  BOOST_TEST(total + area[0] == static_cast<std::int64_t>(cells.size()));
}

BOOST_AUTO_TEST_CASE(a_missing_number_has_area_zero) {
  auto const found = sp::measure_regions(sp::labels{{0, 3, 3}, {1, 0, 0}});
  BOOST_REQUIRE_EQUAL(found.size(), 3U);
  BOOST_TEST(found[1].area_px == 0);
  BOOST_TEST(found[1].label == 2);
  BOOST_TEST(found[2].area_px == 2);
}

BOOST_AUTO_TEST_CASE(refuses_hostile_labels_and_another_extent) {
  BOOST_CHECK_EXCEPTION(static_cast<void>(sp::measure_regions(sp::labels{{0, 2147483647}})),
                        sp::unsupported_error,
                        [](sp::error const& e) { return e.id() == "septum.labels.2"; });
  BOOST_CHECK_EXCEPTION(static_cast<void>(sp::measure_regions(sp::labels{{0, -1}})),
                        sp::unsupported_error,
                        [](sp::error const& e) { return e.id() == "septum.labels.1"; });
  BOOST_CHECK_EXCEPTION(
      static_cast<void>(sp::measure_regions(sp::labels{{0, 1}}, sp::image::from_shape({2, 2, 1}))),
      sp::shape_error, [](sp::error const& e) { return e.id() == "septum.labels.3"; });
  BOOST_TEST(sp::measure_regions(sp::labels::from_shape({0, 4})).empty());
}

BOOST_AUTO_TEST_CASE(removing_keeps_order_and_leaves_no_gap) {
  sp::labels cells{{1, 1, 0, 2}, {0, 0, 0, 2}, {5, 0, 4, 4}};
  auto const removed = sp::remove_regions_if(
      cells, [](sp::region_properties const& cell) { return cell.area_px < 2; });
  BOOST_TEST(removed == 1);
  BOOST_TEST((cells == sp::labels{{1, 1, 0, 2}, {0, 0, 0, 2}, {0, 0, 3, 3}}));
  BOOST_TEST(sp::remove_regions_if(cells, [](auto const&) { return false; }) == 0);
  BOOST_TEST((cells == sp::labels{{1, 1, 0, 2}, {0, 0, 0, 2}, {0, 0, 3, 3}}));
  BOOST_TEST(sp::remove_regions_if(cells, [](auto const&) { return true; }, {2}) == 3);
  for (auto const label : cells) BOOST_TEST(label == 0);
}

BOOST_AUTO_TEST_CASE(removing_by_intensity) {
  sp::labels cells{{1, 1, 2, 3}};
  sp::image pixels = sp::image::from_shape({1, 4, 1});
  for (std::size_t c = 0; c < 4; ++c) pixels(0, c, 0) = static_cast<float>(c);
  auto const removed = sp::remove_regions_if(
      cells, pixels, [](auto const& cell) { return cell.mean_intensity < 1; });
  BOOST_TEST(removed == 1);
  BOOST_TEST((cells == sp::labels{{0, 0, 1, 2}}));
}

BOOST_AUTO_TEST_SUITE_END()
