#include <septum/image/distance.hpp>

#include <boost/test/unit_test.hpp>
#include <golden/image_golden.inc>
#include <support/text_image.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace sp = septum;

namespace {

/// Nearest label by looking at every labelled pixel.
sp::labels nearest_by_definition(sp::labels const& cells, double reach) {
  sp::labels result = sp::labels::from_shape(cells.shape());
  auto const rows = static_cast<std::int64_t>(cells.shape()[0]);
  auto const columns = static_cast<std::int64_t>(cells.shape()[1]);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      std::int64_t nearest = std::numeric_limits<std::int64_t>::max();
      std::int32_t label = 0;
      for (std::int64_t v = 0; v < rows; ++v)
        for (std::int64_t u = 0; u < columns; ++u) {
          if (cells(v, u) == 0) continue;
          std::int64_t const squared = (v - r) * (v - r) + (u - c) * (u - c);
          if (squared < nearest || (squared == nearest && cells(v, u) < label)) {
            nearest = squared;
            label = cells(v, u);
          }
        }
      result(r, c) = label != 0 && static_cast<double>(nearest) <= reach * reach ? label : 0;
    }
  return result;
}

/// Few labelled pixels with the labels 1..largest in random order.
sp::labels random_seeds(std::size_t rows, std::size_t columns, double density, std::uint64_t seed) {
  auto const where = test::random_mask(rows, columns, density, seed);
  auto cells = test::random_labels(rows, columns, 8, seed);
  for (std::size_t p = 0; p < cells.size(); ++p)
    cells.data()[p] = where.data()[p] != 0 ? cells.data()[p] + 1 : 0;
  return cells;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(distance)

BOOST_AUTO_TEST_CASE(equal_to_scipy) {
  auto const pixels = test::mask_of(golden::distance_mask);
  auto const squared = test::labels_of(golden::squared_distance);
  auto const found = sp::distance_transform(pixels);
  for (std::size_t p = 0; p < pixels.size(); ++p)
    BOOST_TEST(found.data()[p] == std::sqrt(static_cast<float>(squared.data()[p])));
}

BOOST_AUTO_TEST_CASE(equal_to_the_definition_at_any_thread_count) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    auto const pixels =
        test::random_mask(1 + seed * 3 % 31, 1 + seed * 7 % 53, seed % 3 == 0 ? 0.6 : 0.97, seed);
    sp::labels sites = sp::labels::from_shape(pixels.shape());
    for (std::size_t p = 0; p < pixels.size(); ++p) sites.data()[p] = 1 - pixels.data()[p];
    auto const found = sp::distance_transform(pixels);
    auto const rows = static_cast<std::int64_t>(pixels.shape()[0]);
    auto const columns = static_cast<std::int64_t>(pixels.shape()[1]);
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c) {
        float expected = std::numeric_limits<float>::infinity();
        for (std::int64_t v = 0; v < rows; ++v)
          for (std::int64_t u = 0; u < columns; ++u)
            if (sites(v, u) != 0)
              expected = std::min(
                  expected, std::sqrt(static_cast<float>((v - r) * (v - r) + (u - c) * (u - c))));
        BOOST_TEST(found(r, c) == expected);
      }
    for (int const threads : {2, 5})
      BOOST_TEST((sp::distance_transform(pixels, {threads}) == found));
  }
}

BOOST_AUTO_TEST_CASE(nearest_label_equals_the_definition_with_ties_to_the_smaller) {
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    auto const cells =
        random_seeds(1 + seed * 5 % 23, 1 + seed * 11 % 37, seed % 2 == 0 ? 0.02 : 0.2, seed);
    for (double const reach : {0.0, 1.0, 2.5, 5.0, std::numeric_limits<double>::infinity()}) {
      auto const expected = nearest_by_definition(cells, reach);
      for (int const threads : {1, 3})
        BOOST_TEST((sp::nearest_label(cells, reach, {threads}) == expected));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_tie_in_the_middle_goes_to_the_smaller_label) {
  BOOST_TEST((sp::nearest_label(sp::labels{{7, 0, 0, 0, 3}}) == sp::labels{{7, 7, 3, 3, 3}}));
  BOOST_TEST((sp::nearest_label(sp::labels{{2}, {0}, {1}}) == sp::labels{{2}, {1}, {1}}));
  // The middle site is never strictly nearest at the tie pixel, yet carries the smallest label.
  sp::labels cells{{0, 0, 0, 0, 0}, {9, 0, 0, 0, 8}, {0, 0, 1, 0, 0}};
  BOOST_TEST((sp::nearest_label(cells) == nearest_by_definition(cells, 100)));
}

BOOST_AUTO_TEST_CASE(images_without_sites_or_pixels) {
  sp::mask pixels = sp::mask::from_shape({4, 5});
  pixels.fill(1);
  for (float const value : sp::distance_transform(pixels)) BOOST_TEST(std::isinf(value));
  sp::labels cells = sp::labels::from_shape({4, 5});
  cells.fill(0);
  BOOST_TEST((sp::nearest_label(cells) == cells));
  BOOST_TEST(sp::nearest_label(sp::labels::from_shape({0, 5}), 3).size() == 0U);
  BOOST_TEST(sp::distance_transform(sp::mask::from_shape({5, 0}), {2}).size() == 0U);
}

BOOST_AUTO_TEST_CASE(large_labels_keep_their_order) {
  BOOST_TEST((sp::nearest_label(sp::labels{{2147483647, 0, 2147483646}}) ==
              sp::labels{{2147483647, 2147483646, 2147483646}}));
}

BOOST_AUTO_TEST_SUITE_END()
