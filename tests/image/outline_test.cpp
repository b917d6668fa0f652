#include <septum/image/outline.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <vector>

namespace sp = septum;

namespace {

using ring_corners = std::vector<std::pair<int, int>>;

/// (row, column) pairs of a ring.
ring_corners points_of(sp::ring const& ring) {
  ring_corners result;
  for (auto const& point : ring)
    result.emplace_back(static_cast<int>(point.row), static_cast<int>(point.column));
  return result;
}

sp::labels painted(std::vector<sp::cell_outline> const& cells, std::size_t rows,
                   std::size_t columns) {
  sp::labels result = sp::labels::from_shape({rows, columns});
  result.fill(0);
  for (auto const& cell : cells) {
    auto const inside = sp::fill_outline(cell.rings, rows, columns);
    for (std::size_t p = 0; p < result.size(); ++p)
      if (inside.data()[p] != 0) {
        BOOST_TEST_REQUIRE(result.data()[p] == 0);
        result.data()[p] = cell.label;
      }
  }
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(outlines)

BOOST_AUTO_TEST_CASE(one_pixel_has_four_corners) {
  auto const cells = sp::trace_outlines(sp::labels{{0, 0, 0}, {0, 7, 0}});
  BOOST_REQUIRE(cells.size() == 1U);
  BOOST_TEST(cells[0].label == 7);
  BOOST_REQUIRE(cells[0].rings.size() == 1U);
  BOOST_TEST((points_of(cells[0].rings[0]) == ring_corners{{1, 2}, {2, 2}, {2, 1}, {1, 1}}));
}

BOOST_AUTO_TEST_CASE(only_corners_are_kept_and_borders_of_the_image_are_followed) {
  auto const cells = sp::trace_outlines(sp::labels{{1, 1, 1}, {1, 2, 2}});
  BOOST_REQUIRE(cells.size() == 2U);
  BOOST_TEST((points_of(cells[0].rings[0]) ==
              ring_corners{{0, 3}, {1, 3}, {1, 1}, {2, 1}, {2, 0}, {0, 0}}));
  BOOST_TEST((points_of(cells[1].rings[0]) == ring_corners{{1, 3}, {2, 3}, {2, 1}, {1, 1}}));
}

BOOST_AUTO_TEST_CASE(holes_and_parts_have_rings_of_their_own) {
  constexpr char const* drawn[] = {"1111.", "1..1.", "1.11.", "11121", "....1"};
  auto const cells = sp::trace_outlines(test::labels_of(drawn));
  BOOST_REQUIRE(cells.size() == 2U);
  // The ring of ones, its hole, and the two ones in the corner.
  BOOST_TEST(cells[0].rings.size() == 3U);
  BOOST_TEST(cells[1].rings.size() == 1U);
}

BOOST_AUTO_TEST_CASE(pixels_that_touch_at_a_corner_stay_apart) {
  auto const cells = sp::trace_outlines(sp::labels{{3, 0}, {0, 3}});
  BOOST_REQUIRE(cells.size() == 1U);
  BOOST_TEST(cells[0].rings.size() == 2U);
}

BOOST_AUTO_TEST_CASE(filling_an_outline_gives_the_cell_back) {
  for (std::uint64_t seed = 0; seed < 12; ++seed)
    for (auto const& cells :
         {test::random_labels(17, 23, 4, seed), test::random_labels(9, 9, 1, seed),
          test::random_cells(60, 50, 30, seed)})
      BOOST_TEST((painted(sp::trace_outlines(cells), cells.shape()[0], cells.shape()[1]) == cells));
  BOOST_TEST(sp::trace_outlines(sp::labels::from_shape({0, 0})).empty());
}

BOOST_AUTO_TEST_CASE(pixels_belong_to_a_polygon_by_their_centres) {
  // A triangle whose slanted side passes between the centres of the pixels of the diagonal.
  std::vector<sp::ring> const triangle{{{0, 0}, {4, 0}, {4, 4.2}}};
  constexpr char const* expected[] = {"#...", "##..", "###.", "####"};
  BOOST_TEST((sp::fill_outline(triangle, 4, 4) == test::mask_of(expected)));
  // Parts outside the image are cut off; a shape that crosses itself is filled by the even-odd
  // rule.
  std::vector<sp::ring> const large{{{-5, -5}, {-5, 50}, {50, 50}, {50, -5}}};
  BOOST_TEST(xt::sum(sp::fill_outline(large, 3, 3))() == 9);
  std::vector<sp::ring> const twice{
      {{0, 0}, {0, 3}, {3, 3}, {3, 0}, {0, 0}, {0, 2}, {2, 2}, {2, 0}}};
  constexpr char const* once[] = {"..#", "..#", "###"};
  BOOST_TEST((sp::fill_outline(twice, 3, 3) == test::mask_of(once)));
}

BOOST_AUTO_TEST_CASE(an_ellipse_holds_the_pixels_with_centres_inside) {
  // Radii to 40 against the equation of the circle, which no pixel centre fulfils exactly.
  for (int side = 1; side <= 80; ++side) {
    double const radius = side / 2.0;
    auto const points = static_cast<int>(std::max(64.0, 16 * radius));
    std::vector<sp::ring> const circle{
        sp::ellipse_outline({radius, radius}, radius, radius, points)};
    auto const inside =
        sp::fill_outline(circle, static_cast<std::size_t>(side), static_cast<std::size_t>(side));
    int wrong = 0;
    for (int r = 0; r < side; ++r)
      for (int c = 0; c < side; ++c) {
        int const y = 2 * r + 1 - side;
        int const x = 2 * c + 1 - side;
        bool const expected = y * y + x * x < side * side;
        wrong +=
            (inside(static_cast<std::size_t>(r), static_cast<std::size_t>(c)) != 0) != expected;
      }
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_CASE(points_that_are_no_numbers_are_refused) {
  std::vector<sp::ring> const broken{
      {{0, 0}, {std::numeric_limits<double>::quiet_NaN(), 1}, {2, 2}}};
  BOOST_CHECK_THROW(static_cast<void>(sp::fill_outline(broken, 3, 3)), sp::unsupported_error);
  BOOST_CHECK_THROW(static_cast<void>(sp::trace_outlines(sp::labels{{0, -1}})),
                    sp::unsupported_error);
}

BOOST_AUTO_TEST_SUITE_END()
