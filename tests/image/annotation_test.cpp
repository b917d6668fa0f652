#include <septum/image/annotation.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace sp = septum;

namespace {

/// A mask from rows of text: '#' is set.
sp::mask drawn(std::vector<std::string> const& rows) {
  sp::mask pixels = sp::mask::from_shape({rows.size(), rows.front().size()});
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < rows[r].size(); ++c) pixels(r, c) = rows[r][c] == '#' ? 255 : 0;
  return pixels;
}

/// Classes as text, one digit per pixel, '?' where there is none.
std::vector<std::string> text_of(sp::annotation const& truth) {
  std::vector<std::string> rows(truth.class_of_pixel.shape()[0]);
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < truth.class_of_pixel.shape()[1]; ++c) {
      auto const value = truth.class_of_pixel(r, c);
      rows[r] += value == sp::annotation::unlabelled ? '?' : static_cast<char>('0' + value);
    }
  return rows;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(annotation)

BOOST_AUTO_TEST_CASE(drawn_edge_grows_by_the_cross_and_gives_way_to_the_interior) {
  auto const truth = sp::make_annotation(drawn({".......",  //
                                                "..###..",  //
                                                "..#.#..",  //
                                                "..###..",  //
                                                "......."}),
                                         drawn({".......",  //
                                                ".......",  //
                                                "...#...",  //
                                                ".......",  //
                                                "......."}));
  BOOST_TEST(text_of(truth) == (std::vector<std::string>{"2200022",  //
                                                         "2000002",  //
                                                         "2001002",  //
                                                         "2000002",  //
                                                         "2200022"}),
             boost::test_tools::per_element());
  BOOST_TEST(truth.class_names == (std::vector<std::string>{"edge", "interior", "background"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(two_cell_types_and_a_pixel_claimed_by_both) {
  auto const truth =
      sp::make_annotation(drawn({"#....."}), {{.name = "3t3", .pixels = drawn({"..##.."})},
                                              {.name = "mcf10a", .pixels = drawn({"...##."})}});
  BOOST_TEST(text_of(truth).front() == "001?23");
  BOOST_TEST(truth.class_names == (std::vector<std::string>{"edge", "3t3", "mcf10a", "background"}),
             boost::test_tools::per_element());
  BOOST_TEST(truth.classes() == 4);
}

BOOST_AUTO_TEST_CASE(labels_give_edges_between_touching_cells_and_a_ring_around_them) {
  sp::labels const cells{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0},  //
                         {0, 1, 1, 1, 2, 2, 2, 0, 0, 0},  //
                         {0, 1, 1, 1, 2, 2, 2, 0, 0, 0},  //
                         {0, 1, 1, 1, 2, 2, 2, 0, 0, 0},  //
                         {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}};
  auto const truth = sp::annotation_from_labels(cells);
  BOOST_TEST(text_of(truth) == (std::vector<std::string>{"2000000222",  //
                                                         "0000000022",  //
                                                         "0010010022",  //
                                                         "0000000022",  //
                                                         "2000000222",  //
                                                         "2222222222"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_cell_that_fills_the_image_has_no_edge) {
  sp::labels cells = sp::labels::from_shape({3, 4});
  cells.fill(1);
  for (auto const value : sp::annotation_from_labels(cells).class_of_pixel) BOOST_TEST(value == 1);
}

BOOST_AUTO_TEST_CASE(refuses_unequal_extents_and_no_interior) {
  sp::mask const small = sp::mask::from_shape({2, 2});
  sp::mask const large = sp::mask::from_shape({3, 2});
  BOOST_CHECK_EXCEPTION(static_cast<void>(sp::make_annotation(small, large)), sp::shape_error,
                        [](sp::error const& e) {
                          return e.id() == "septum.annotation.1" &&
                                 e.message().find("3 x 2 in 'interior'") != std::string::npos;
                        });
  BOOST_CHECK_EXCEPTION(
      static_cast<void>(sp::make_annotation(small, std::vector<sp::interior_mask>{})),
      sp::unsupported_error, [](sp::error const& e) { return e.id() == "septum.annotation.2"; });
}

BOOST_AUTO_TEST_CASE(cells_come_back_from_their_edges_and_interiors) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    auto const drawn = test::random_cells(80, 70, 20, seed);
    auto const edge = sp::cell_outlines(drawn);
    sp::mask interior = sp::mask::from_shape(edge.shape());
    for (std::size_t p = 0; p < edge.size(); ++p)
      interior.data()[p] = drawn.data()[p] != 0 && edge.data()[p] == 0 ? 1 : 0;
    auto const back = sp::cells_from_masks(edge, interior);
    // Every cell whose interior is in one piece is there, pixel by pixel where no two cells touch.
    std::size_t wrong = 0;
    for (std::size_t p = 0; p < back.size(); ++p)
      wrong += (back.data()[p] != 0) != (drawn.data()[p] != 0) ? 1U : 0U;
    BOOST_TEST(wrong * 50 < back.size());
  }
  constexpr char const* apart[] = {"1111..22222", "1111..22222", "1111..22222", "1111..22222",
                                   "...........", "33333......", "33333......", "33333......"};
  auto const cells = test::labels_of(apart);
  auto const edge = sp::cell_outlines(cells);
  sp::mask interior = sp::mask::from_shape(edge.shape());
  for (std::size_t p = 0; p < edge.size(); ++p)
    interior.data()[p] = cells.data()[p] != 0 && edge.data()[p] == 0 ? 1 : 0;
  BOOST_TEST((sp::cells_from_masks(edge, interior) == cells));
}

BOOST_AUTO_TEST_CASE(types_of_cells_are_numbered_one_after_the_other) {
  sp::labels const merged =
      sp::merge_cell_types({{"a", sp::labels{{5, 0, 9, 9}}}, {"b", sp::labels{{7, 7, 0, 7}}}});
  BOOST_TEST((merged == sp::labels{{1, 3, 2, 2}}));
  BOOST_CHECK_THROW(static_cast<void>(sp::merge_cell_types({})), sp::unsupported_error);
  BOOST_CHECK_THROW(
      static_cast<void>(sp::merge_cell_types({{"a", sp::labels{{5, 0}}}, {"b", sp::labels{{7}}}})),
      sp::shape_error);
}

BOOST_AUTO_TEST_SUITE_END()
