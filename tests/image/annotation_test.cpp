#include <septum/image/annotation.hpp>

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

BOOST_AUTO_TEST_SUITE_END()
