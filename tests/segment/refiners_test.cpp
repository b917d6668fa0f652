#include <septum/segment/refiners.hpp>

#include <boost/test/unit_test.hpp>
#include <support/text_image.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace sp = septum;

namespace {

/// Three classes; class 1 is 0.9 where the text has '#', 0.4 where '+', else 0.1. Class 2 is the
/// rest, except where the text has ' ': all classes are 0 there.
sp::probabilities maps_of(std::vector<std::string> const& rows) {
  sp::probabilities maps = sp::probabilities::from_shape({rows.size(), rows.front().size(), 3});
  maps.fill(0);
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < rows[r].size(); ++c) {
      char const kind = rows[r][c];
      if (kind == ' ') continue;
      maps(r, c, 1) = kind == '#' ? 0.9F : kind == '+' ? 0.4F : 0.1F;
      maps(r, c, 2) = 1 - maps(r, c, 1);
    }
  return maps;
}

sp::labels refined(auto const& refiner, sp::probabilities const& maps, sp::labels cells = {},
                   int threads = 1) {
  if (cells.size() == 0) {
    cells = sp::labels::from_shape({maps.shape()[0], maps.shape()[1]});
    cells.fill(0);
  }
  sp::image const raw = sp::image::from_shape({maps.shape()[0], maps.shape()[1], 1});
  sp::refine(refiner, cells, maps, raw, {threads});
  return cells;
}

static_assert(sp::Refiner<sp::threshold<1>> && sp::Refiner<sp::region_filter> &&
              sp::Refiner<sp::grow> &&
              sp::Refiner<sp::pipeline<sp::threshold<1>, sp::region_filter, sp::grow>>);
static_assert(!sp::Refiner<int>);

}  // namespace

BOOST_AUTO_TEST_SUITE(refiners)

BOOST_AUTO_TEST_CASE(threshold_labels_what_is_above) {
  auto const maps = maps_of({"##...+", "#.#..+", "....##"});
  BOOST_TEST((refined(sp::threshold<1>{.above = 0.5F}, maps) ==
              test::labels_of(std::vector{"110000", "101000", "000022"})));
  BOOST_TEST((refined(sp::threshold<1>{.above = 0.3F}, maps) ==
              test::labels_of(std::vector{"110002", "101002", "000022"})));
  // Exactly at the threshold is not above it.
  BOOST_TEST((refined(sp::threshold<1>{.above = 0.4F}, maps) ==
              test::labels_of(std::vector{"110000", "101000", "000022"})));
  BOOST_TEST((refined(sp::threshold<1>{.neighbours = sp::connectivity::four}, maps) ==
              test::labels_of(std::vector{"110000", "102000", "000033"})));
  BOOST_TEST((refined(sp::threshold<2>{.above = 0.95F}, maps) ==
              test::labels_of(std::vector{"000000", "000000", "000000"})));
}

BOOST_AUTO_TEST_CASE(threshold_fills_holes_when_asked) {
  auto const maps = maps_of({".###.", ".#.#.", ".###."});
  BOOST_TEST((refined(sp::threshold<1>{.fill_holes = true}, maps) ==
              test::labels_of(std::vector{"01110", "01110", "01110"})));
  BOOST_TEST((refined(sp::threshold<1>{}, maps) ==
              test::labels_of(std::vector{"01110", "01010", "01110"})));
}

BOOST_AUTO_TEST_CASE(threshold_refuses_maps_without_its_class) {
  BOOST_CHECK_EXCEPTION(refined(sp::threshold<3>{}, maps_of({"#"})), sp::shape_error,
                        [](sp::error const& e) { return e.id() == "septum.segment.2"; });
}

BOOST_AUTO_TEST_CASE(filter_keeps_what_is_inside_every_bound) {
  std::vector<std::string> const drawn{"111111111.....",  //
                                       "..............",  //
                                       "22....33333...",  //
                                       "22....3...3...",  //
                                       "......3...3...",  //
                                       "...4..3...3..."};
  auto const cells = test::labels_of(drawn);
  auto const maps = maps_of(std::vector<std::string>(6, std::string(14, '.')));
  auto const kept = [&](sp::region_filter const& filter) {
    std::string labels;
    auto const result = refined(filter, maps, cells);
    for (std::size_t p = 0; p < result.size(); ++p)
      if (result.data()[p] != 0) {
        char const old = static_cast<char>('0' + cells.data()[p]);
        if (labels.find(old) == std::string::npos) labels += old;
      }
    return labels;
  };
  BOOST_TEST(kept({}) == "1234");
  BOOST_TEST(kept({.area_min = 4}) == "123");
  BOOST_TEST(kept({.area_max = 9}) == "124");
  BOOST_TEST(kept({.solidity_min = 0.9}) == "124");
  BOOST_TEST(kept({.eccentricity_max = 0.95}) == "234");
  BOOST_TEST(kept({.eccentricity_min = 0.1}) == "13");
  BOOST_TEST(kept({.clear_border = true}) == "");
  BOOST_TEST(kept({.area_min = 2, .eccentricity_max = 0.99}) == "23");
}

BOOST_AUTO_TEST_CASE(filter_renumbers_in_order) {
  auto const cells = test::labels_of(std::vector{"10220", "00000", "33303"});
  auto const maps = maps_of({".....", ".....", "....."});
  BOOST_TEST((refined(sp::region_filter{.area_min = 2}, maps, cells) ==
              test::labels_of(std::vector{"00110", "00000", "22202"})));
}

BOOST_AUTO_TEST_CASE(border_is_that_of_the_part_the_net_sees) {
  // The outermost pixel is unseen: all classes are 0.
  auto const maps = maps_of({"         ",  //
                             " ....... ",  //
                             " ....... ",  //
                             " ....... ",  //
                             " ....... ",  //
                             "         "});
  auto const cells = test::labels_of(std::vector{"000000000",  //
                                                 "000002200",  //
                                                 "001000000",  //
                                                 "001003330",  //
                                                 "000000000",  //
                                                 "000000000"});
  BOOST_TEST((refined(sp::region_filter{.clear_border = true}, maps, cells) ==
              test::labels_of(std::vector{"000000000",  //
                                          "000000000",  //
                                          "001000000",  //
                                          "001000000",  //
                                          "000000000",  //
                                          "000000000"})));
}

BOOST_AUTO_TEST_CASE(cells_may_be_measured_filled_and_keep_their_holes) {
  auto const cells = test::labels_of(std::vector{"11111.2",  //
                                                 "1...1.2",  //
                                                 "1...1..",  //
                                                 "11111.."});
  auto const maps = maps_of(std::vector<std::string>(4, "......."));
  BOOST_TEST((refined(sp::region_filter{.area_min = 20, .measure_filled = true}, maps, cells) ==
              test::labels_of(std::vector{"11111..", "1...1..", "1...1..", "11111.."})));
  for (auto const label : refined(sp::region_filter{.area_min = 20}, maps, cells))
    BOOST_TEST(label == 0);
}

BOOST_AUTO_TEST_CASE(growing_cells_meet_and_never_merge) {
  auto const maps = maps_of({".......", ".......", "......."});
  auto const cells = test::labels_of(std::vector{".......", ".1...2.", "......."});
  BOOST_TEST((refined(sp::grow{.pixels = 1}, maps, cells) ==
              test::labels_of(std::vector{".1...2.", "111.222", ".1...2."})));
  BOOST_TEST((refined(sp::grow{.pixels = 5}, maps, cells) ==
              test::labels_of(std::vector{"1111222", "1111222", "1111222"})));
}

BOOST_AUTO_TEST_CASE(pipeline_runs_in_order_and_threads_change_nothing) {
  struct add_one {
    void operator()(sp::labels& cells, sp::probabilities const&, sp::image const&) const {
      for (auto& label : cells) label += label != 0 ? 1 : 0;
    }
  };
  sp::pipeline<sp::threshold<1>, sp::region_filter, add_one> const refine{
      {{.above = 0.5F}, {.area_min = 2}, {}}};
  auto const maps = maps_of({"##..#", "....."});
  BOOST_TEST((refined(refine, maps) == test::labels_of(std::vector{"22000", "00000"})));

  auto const random = [] {
    auto const pixels = test::random_mask(60, 70, 0.55, 3);
    sp::probabilities values = sp::probabilities::from_shape({60, 70, 3});
    values.fill(0.2F);
    for (std::size_t p = 0; p < pixels.size(); ++p)
      values.data()[3 * p + 1] = pixels.data()[p] != 0 ? 0.8F : 0.1F;
    return values;
  }();
  sp::pipeline<sp::threshold<1>, sp::region_filter, sp::grow> const all{
      {{.fill_holes = true}, {.area_min = 3, .clear_border = true}, {.pixels = 2}}};
  auto const one = refined(all, random);
  for (int const threads : {2, 5}) BOOST_TEST((refined(all, random, {}, threads) == one));
}

BOOST_AUTO_TEST_SUITE_END()
