#include <septum/image/morphology.hpp>

#include <boost/test/unit_test.hpp>
#include <golden/image_golden.inc>
#include <support/text_image.hpp>

#include <cstdint>
#include <vector>

namespace sp = septum;
using test::mask_of;

namespace {

/// The definition: one look at every pixel under the element.
template <class Element>
sp::mask dilated_by_definition(sp::mask const& pixels, Element const& element) {
  sp::mask result = sp::mask::from_shape(pixels.shape());
  auto const rows = static_cast<int>(pixels.shape()[0]);
  auto const columns = static_cast<int>(pixels.shape()[1]);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) {
      bool met = false;
      for (int dr = -element.radius_px; dr <= element.radius_px; ++dr)
        for (int dc = -element.half_width(dr); dc <= element.half_width(dr); ++dc)
          met = met || (r + dr >= 0 && r + dr < rows && c + dc >= 0 && c + dc < columns &&
                        pixels(r + dr, c + dc) != 0);
      result(r, c) = met ? 1 : 0;
    }
  return result;
}

sp::mask complement(sp::mask pixels) {
  for (auto& value : pixels) value = value == 0 ? 1 : 0;
  return pixels;
}

template <class Element>
void check_element(Element const& element) {
  static_assert(sp::StructuringElement<Element>);
  std::uint64_t seed = 0;
  for (std::size_t const columns : {1U, 5U, 64U, 77U})
    for (double const density : {0.0, 0.02, 0.5, 1.0}) {
      ++seed;
      auto const pixels = test::random_mask(1 + seed % 29, columns, density, seed);
      auto const expected = dilated_by_definition(pixels, element);
      for (int const threads : {1, 3}) {
        BOOST_TEST((sp::dilate(pixels, element, {threads}) == expected));
        BOOST_TEST((sp::erode(complement(pixels), element, {threads}) == complement(expected)));
      }
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(morphology)

BOOST_AUTO_TEST_CASE(equal_to_scipy_and_scikit_image) {
  auto const sparse = mask_of(golden::sparse);
  auto const dense = mask_of(golden::dense);
  BOOST_TEST(
      (sp::dilate(mask_of(golden::noise), sp::disk{1}) == mask_of(golden::noise_dilated_disk_1)));
  BOOST_TEST((sp::dilate(sparse, sp::disk{4}) == mask_of(golden::sparse_dilated_disk_4)));
  BOOST_TEST((sp::dilate(sparse, sp::square{2}) == mask_of(golden::sparse_dilated_square_2)));
  BOOST_TEST((sp::dilate(sparse, sp::cross{3}) == mask_of(golden::sparse_dilated_cross_3)));
  BOOST_TEST((sp::erode(dense, sp::disk{1}) == mask_of(golden::dense_eroded_disk_1)));
  BOOST_TEST((sp::erode(dense, sp::disk{4}) == mask_of(golden::dense_eroded_disk_4)));
}

BOOST_AUTO_TEST_CASE(equal_to_the_definition) {
  for (int const radius : {0, 1, 2, 7}) {
    check_element(sp::cross{radius});
    check_element(sp::disk{radius});
    check_element(sp::square{radius});
  }
}

BOOST_AUTO_TEST_CASE(radius_one_cross_and_disk_are_the_five_pixel_cross) {
  auto const grown = mask_of(std::vector{"....", ".#..", "....", "...."});
  auto const five = mask_of(std::vector{".#..", "###.", ".#..", "...."});
  BOOST_TEST((sp::dilate(grown, sp::cross{.radius_px = 1}) == five));
  BOOST_TEST((sp::dilate(grown, sp::disk{.radius_px = 1}) == five));
}

BOOST_AUTO_TEST_CASE(negative_radius_is_refused) {
  BOOST_CHECK_EXCEPTION(static_cast<void>(sp::dilate(sp::mask::from_shape({2, 2}), sp::disk{-1})),
                        sp::unsupported_error,
                        [](sp::error const& e) { return e.id() == "septum.morphology.1"; });
}

BOOST_AUTO_TEST_CASE(holes_of_a_mask) {
  auto const rings = mask_of(golden::rings);
  for (int const threads : {1, 4})
    BOOST_TEST((sp::fill_holes(rings, {threads}) == mask_of(golden::rings_filled)));
  // A hole that leaves only through a corner is a hole.
  BOOST_TEST((sp::fill_holes(mask_of(std::vector{"###..", "#.#..", "###.."})) ==
              mask_of(std::vector{"###..", "###..", "###.."})));
  BOOST_TEST((sp::fill_holes(mask_of(std::vector{".##..", "#.#..", "###.."})) ==
              mask_of(std::vector{".##..", "###..", "###.."})));
  BOOST_TEST(
      (sp::fill_holes(mask_of(std::vector{"###", "#.#"})) == mask_of(std::vector{"###", "#.#"})));
}

BOOST_AUTO_TEST_CASE(holes_of_cells) {
  auto cells = test::labels_of(std::vector{"11111.2222",  //
                                           "1...1.2..2",  //
                                           "1.3.1.2222",  //
                                           "1...1.....",  //
                                           "1111144444",  //
                                           "...1.4...4",  //
                                           "...1114444"});
  sp::fill_holes(cells);
  // The ring around 3 also touches 3, and the gap between 1 and 4 touches both: not one cell's
  // hole.
  BOOST_TEST((cells == test::labels_of(std::vector{"11111.2222",  //
                                                   "1...1.2222",  //
                                                   "1.3.1.2222",  //
                                                   "1...1.....",  //
                                                   "1111144444",  //
                                                   "...1.44444",  //
                                                   "...1114444"})));
}

BOOST_AUTO_TEST_CASE(filling_holes_of_one_cell_equals_filling_its_mask) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    auto const pixels = test::random_mask(24, 33, 0.6, seed);
    sp::labels cells = pixels;
    sp::fill_holes(cells, {2});
    BOOST_TEST((cells == sp::labels{sp::fill_holes(pixels, {3})}));
  }
}

BOOST_AUTO_TEST_CASE(outlines_have_a_neighbour_of_another_value) {
  auto const cells = test::labels_of(std::vector{"1111220",  //
                                                 "1111220",  //
                                                 "1111220",  //
                                                 "0000000"});
  auto const expected = mask_of(std::vector{"...###.",  //
                                            "...###.",  //
                                            "######.",  //
                                            "......."});
  for (int const threads : {1, 3}) BOOST_TEST((sp::cell_outlines(cells, {threads}) == expected));
  BOOST_TEST((sp::cell_outlines(sp::labels{{4}, {4}}) == sp::mask{{0}, {0}}));
  BOOST_TEST((sp::cell_outlines(sp::labels{{4, 5}}) == sp::mask{{1, 1}}));
  BOOST_TEST(sp::cell_outlines(sp::labels::from_shape({3, 0})).size() == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
