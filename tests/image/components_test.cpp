#include <septum/image/components.hpp>

#include <boost/test/unit_test.hpp>
#include <golden/image_golden.inc>
#include <support/text_image.hpp>

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace sp = septum;

namespace {

/// Components by flooding from each unvisited pixel in raster order: another algorithm.
template <class Array>
sp::labels flooded_components(Array const& values, bool corners) {
  sp::labels result = sp::labels::from_shape(values.shape());
  result.fill(0);
  auto const rows = static_cast<std::int64_t>(values.shape()[0]);
  auto const columns = static_cast<std::int64_t>(values.shape()[1]);
  std::int32_t count = 0;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      if (values(r, c) == 0 || result(r, c) != 0) continue;
      std::vector<std::pair<std::int64_t, std::int64_t>> open{{r, c}};
      result(r, c) = ++count;
      while (!open.empty()) {
        auto const [y, x] = open.back();
        open.pop_back();
        for (std::int64_t dy = -1; dy <= 1; ++dy)
          for (std::int64_t dx = -1; dx <= 1; ++dx) {
            std::int64_t const v = y + dy;
            std::int64_t const u = x + dx;
            if ((dy != 0 && dx != 0 && !corners) || v < 0 || u < 0 || v >= rows || u >= columns)
              continue;
            if (values(v, u) != values(r, c) || result(v, u) != 0) continue;
            result(v, u) = count;
            open.emplace_back(v, u);
          }
      }
    }
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(components)

BOOST_AUTO_TEST_CASE(equal_to_scikit_image) {
  auto const noise = test::mask_of(golden::noise);
  BOOST_TEST((sp::connected_components(noise, sp::connectivity::four) ==
              test::labels_of(golden::noise_components_4)));
  BOOST_TEST((sp::connected_components(noise, sp::connectivity::eight) ==
              test::labels_of(golden::noise_components_8)));
  BOOST_TEST((sp::connected_components(noise) == test::labels_of(golden::noise_components_8)));
  auto const values = test::labels_of(golden::values);
  BOOST_TEST((sp::connected_components(values, sp::connectivity::four) ==
              test::labels_of(golden::values_components_4)));
  BOOST_TEST((sp::connected_components(values, sp::connectivity::eight) ==
              test::labels_of(golden::values_components_8)));
}

BOOST_AUTO_TEST_CASE(equal_to_a_flood_fill_for_any_density_width_and_thread_count) {
  std::uint64_t seed = 0;
  for (std::size_t const columns : {1U, 7U, 63U, 64U, 65U, 130U})
    for (double const density : {0.0, 0.1, 0.5, 0.6, 0.9, 1.0})
      for (bool const corners : {false, true}) {
        ++seed;
        auto const pixels = test::random_mask(1 + seed % 37, columns, density, seed);
        auto const connectivity = corners ? sp::connectivity::eight : sp::connectivity::four;
        auto const expected = flooded_components(pixels, corners);
        BOOST_TEST_CONTEXT("columns " << columns << " density " << density) {
          for (int const threads : {1, 2, 3, 16})
            BOOST_TEST((sp::connected_components(pixels, connectivity, {threads}) == expected));
          sp::labels result = sp::labels::from_shape(pixels.shape());
          auto const is_set = [&](std::ptrdiff_t r, std::ptrdiff_t c) { return pixels(r, c) != 0; };
          auto const count =
              sp::connected_components(is_set, sp::as_view(result), connectivity, {2});
          BOOST_TEST((result == expected));
          BOOST_TEST(count == sp::largest_label(expected));
        }
      }
}

BOOST_AUTO_TEST_CASE(pieces_of_a_label_become_labels) {
  std::uint64_t seed = 100;
  for (std::int32_t const largest : {1, 2, 5})
    for (bool const corners : {false, true}) {
      auto const cells = test::random_labels(31, 43, largest, ++seed);
      auto const connectivity = corners ? sp::connectivity::eight : sp::connectivity::four;
      for (int const threads : {1, 4})
        BOOST_TEST((sp::connected_components(cells, connectivity, {threads}) ==
                    flooded_components(cells, corners)));
    }
}

BOOST_AUTO_TEST_CASE(any_non_zero_byte_is_set) {
  sp::mask const pixels{{0, 128, 255, 0, 1, 2, 0, 0, 64, 0, 255}};
  sp::labels const expected{{0, 1, 1, 0, 2, 2, 0, 0, 3, 0, 4}};
  BOOST_TEST((sp::connected_components(pixels) == expected));
}

BOOST_AUTO_TEST_CASE(images_without_pixels) {
  for (auto const& shape : {std::array<std::size_t, 2>{0, 0}, {0, 5}, {5, 0}}) {
    sp::mask const pixels = sp::mask::from_shape(shape);
    BOOST_TEST(sp::connected_components(pixels, sp::connectivity::eight, {3}).size() == 0U);
  }
}

BOOST_AUTO_TEST_CASE(relabelling_is_gapless_ordered_and_idempotent) {
  sp::labels cells{{7, 0, 3}, {3, 100, 7}};
  BOOST_TEST(sp::relabel_sequential(cells) == 3);
  BOOST_TEST((cells == sp::labels{{2, 0, 1}, {1, 3, 2}}));
  BOOST_TEST(sp::relabel_sequential(cells) == 3);
  BOOST_TEST((cells == sp::labels{{2, 0, 1}, {1, 3, 2}}));
}

BOOST_AUTO_TEST_CASE(relabelling_survives_huge_labels) {
  sp::labels cells{{2147483647, 0, 5}, {5, 2147483647, 2147483646}};
  BOOST_TEST(sp::relabel_sequential(cells) == 3);
  BOOST_TEST((cells == sp::labels{{3, 0, 1}, {1, 3, 2}}));
  sp::labels without_background{{9, 9000}};
  BOOST_TEST(sp::relabel_sequential(without_background) == 2);
  BOOST_TEST((without_background == sp::labels{{1, 2}}));
}

BOOST_AUTO_TEST_CASE(negative_labels_are_refused) {
  sp::labels cells{{1, -4}};
  BOOST_CHECK_EXCEPTION(sp::relabel_sequential(cells), sp::unsupported_error,
                        [](sp::error const& e) { return e.id() == "septum.labels.1"; });
}

BOOST_AUTO_TEST_SUITE_END()
