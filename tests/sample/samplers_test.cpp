#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <septum/sample/samplers.hpp>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "support/error_id.hpp"

namespace sp = septum;

static_assert(sp::Sampler<sp::class_balanced>);
static_assert(sp::Sampler<sp::all_pixels>);
static_assert(sp::Sampler<sp::edge_weighted>);
static_assert(!sp::Sampler<int>);

namespace {

sp::annotation filled(int rows, int columns, std::uint8_t label,
                      std::vector<std::string> names = {"edge", "interior", "background"}) {
  sp::annotation truth;
  truth.class_of_pixel = xt::xtensor<std::uint8_t, 2>::from_shape(
      {static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)});
  truth.class_of_pixel.fill(label);
  truth.class_names = std::move(names);
  return truth;
}

// Columns in turn edge, interior, interior, background, background, background: class counts in any
// rectangle can be written down.
sp::annotation striped(int rows, int columns) {
  auto truth = filled(rows, columns, 2);
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column) {
      int const phase = column % 6;
      truth.class_of_pixel(row, column) = static_cast<std::uint8_t>(phase == 0  ? 0
                                                                    : phase < 3 ? 1
                                                                                : 2);
    }
  return truth;
}

std::map<std::pair<int, int>, int> counts(std::vector<sp::patch_index> const& patches) {
  std::map<std::pair<int, int>, int> of_image_and_class;
  for (auto const& patch : patches) ++of_image_and_class[{patch.image, patch.label}];
  return of_image_and_class;
}

sp::counter_rng const rng{17, sp::stream::sampling};

}  // namespace

BOOST_AUTO_TEST_SUITE(samplers)

// 40 x 50 image, window 7 (reach 3): candidates are rows 4..36 and columns 4..46; the edge count
// leaves out row 36 and column 46. Edge columns 6, 12, ..., 42 are 7 columns in both ranges, so
// n = 32 * 7 = 224, with 33 * 7 = 231 edge candidates.
BOOST_AUTO_TEST_CASE(the_published_count_is_taken_from_the_smallest_edge) {
  std::vector<sp::annotation> const truths{striped(40, 50), striped(80, 50)};
  auto const patches = sp::class_balanced{.window = 7}(truths, rng);
  auto const found = counts(patches);
  BOOST_TEST(found.size() == 6U);
  for (auto const& [key, count] : found) BOOST_TEST(count == 224);
}

BOOST_AUTO_TEST_CASE(an_edge_in_the_last_row_is_a_candidate_but_not_counted) {
  // Edges only in row 6 (counted) and in row 8, the last candidate row of 12 rows at reach 3.
  auto truth = filled(12, 20, 2);
  for (int column = 0; column < 20; ++column) {
    truth.class_of_pixel(6, column) = 0;
    truth.class_of_pixel(7, column) = 1;
    truth.class_of_pixel(8, column) = 0;
  }
  std::vector<sp::annotation> const truths{truth};
  // Columns 4..16 are 13 candidates, of which 4..15 are counted: n = 12.
  auto const patches = sp::class_balanced{.window = 7}(truths, rng);
  auto const found = counts(patches);
  BOOST_TEST(found.at({0, 0}) == 12);
  BOOST_TEST(found.at({0, 1}) == 12);
  BOOST_TEST(found.at({0, 2}) == 12);
  auto const all = sp::class_balanced{.window = 7, .limit_per_class = 1000}(truths, rng);
  BOOST_TEST(counts(all).at({0, 0}) == 26);
  BOOST_TEST(counts(all).at({0, 1}) == 13);
  BOOST_TEST(counts(all).at({0, 2}) == 5 * 13 - 3 * 13);
}

BOOST_AUTO_TEST_CASE(patches_are_distinct_carry_their_class_and_stay_inside) {
  std::vector<sp::annotation> const truths{striped(40, 50), striped(33, 61)};
  for (int const window : {1, 5, 15}) {
    auto const patches = sp::class_balanced{.window = window}(truths, rng);
    BOOST_TEST(!patches.empty());
    std::set<std::tuple<int, int, int>> positions;
    for (auto const& patch : patches) {
      auto const& classes = truths[static_cast<std::size_t>(patch.image)].class_of_pixel;
      BOOST_TEST_REQUIRE(int{patch.label} == int{classes(patch.row, patch.column)});
      sp::region const pixels = sp::window_of(patch, window);
      BOOST_TEST_REQUIRE(pixels.row_end - pixels.row_begin == window);
      BOOST_TEST_REQUIRE(pixels.row_begin >= 1);
      BOOST_TEST_REQUIRE(pixels.column_begin >= 1);
      BOOST_TEST_REQUIRE(pixels.row_end <= static_cast<int>(classes.shape()[0]));
      BOOST_TEST_REQUIRE(pixels.column_end <= static_cast<int>(classes.shape()[1]));
      positions.insert({patch.image, patch.row, patch.column});
    }
    BOOST_TEST(positions.size() == patches.size());
  }
}

BOOST_AUTO_TEST_CASE(a_region_is_treated_as_the_image) {
  // The pattern repeats every 6 columns, so the crop at column 12 is the same stripes.
  std::vector<sp::annotation> const truths{striped(60, 70)};
  std::vector<sp::annotation> const cropped{striped(25, 40)};
  sp::region const inside{.row_begin = 30, .row_end = 55, .column_begin = 12, .column_end = 52};
  auto const patches = sp::class_balanced{.window = 9, .within = inside}(truths, rng);
  auto expected = sp::class_balanced{.window = 9}(cropped, rng);
  for (auto& patch : expected) {
    patch.row += 30;
    patch.column += 12;
  }
  BOOST_TEST(!patches.empty());
  BOOST_TEST((patches == expected));
  for (auto const& patch : patches) BOOST_TEST(inside.contains(sp::window_of(patch, 9)));
  BOOST_TEST(
      test::id_of([&] {
        return sp::class_balanced{.window = 9, .within = sp::region{0, 61, 0, 70}}(truths, rng);
      }) == "septum.sample.2");
}

BOOST_AUTO_TEST_CASE(draws_are_a_function_of_the_seed) {
  std::vector<sp::annotation> const truths{striped(40, 50), striped(80, 50)};
  sp::class_balanced const sampler{.window = 7, .limit_per_class = 50};
  auto const first = sampler(truths, rng);
  BOOST_TEST((first == sampler(truths, rng)));
  BOOST_TEST((first != sampler(truths, sp::counter_rng{18, sp::stream::sampling})));
}

BOOST_AUTO_TEST_CASE(every_pixel_of_a_class_is_drawn_equally_often) {
  std::vector<sp::annotation> const truths{striped(16, 20)};
  sp::class_balanced const sampler{.window = 3, .limit_per_class = 10};
  std::map<std::pair<int, int>, int> hits;
  int const draws = 4000;
  for (int k = 0; k < draws; ++k)
    for (auto const& patch : sampler(truths, rng.fork(static_cast<std::uint64_t>(k))))
      if (patch.label == 1) ++hits[{patch.row, patch.column}];
  // Rows 2..14 times the interior columns 2, 7, 8, 13, 14: 65 pixels, 10 drawn each time.
  BOOST_TEST(hits.size() == 65U);
  double const expected = draws * 10.0 / 65.0;
  double const sd = std::sqrt(draws * (10.0 / 65.0) * (55.0 / 65.0));
  for (auto const& [pixel, count] : hits) BOOST_TEST(std::abs(count - expected) < 4.5 * sd);
}

BOOST_AUTO_TEST_CASE(pixels_without_a_class_are_never_drawn) {
  auto truth = striped(40, 50);
  for (int row = 0; row < 40; ++row)
    for (int column = 0; column < 25; ++column)
      truth.class_of_pixel(row, column) = sp::annotation::unlabelled;
  std::vector<sp::annotation> const truths{truth};
  for (auto const& patch : sp::class_balanced{.window = 7}(truths, rng))
    BOOST_TEST(patch.column >= 25);
  for (auto const& patch : sp::all_pixels{.window = 7}(truths, rng)) BOOST_TEST(patch.column >= 25);
}

BOOST_AUTO_TEST_CASE(a_missing_class_is_refused_by_image_and_class) {
  std::vector<sp::annotation> truths{striped(40, 50), striped(40, 50)};
  for (auto& label : truths[1].class_of_pixel)
    if (label == 0) label = 2;
  std::vector<std::string> const names{"day 1", "day 2"};
  try {
    auto const patches = sp::class_balanced{.window = 7}(truths, rng, names);
    BOOST_TEST(false, "an image without edges was accepted");
  } catch (sp::unsupported_error const& e) {
    BOOST_TEST(e.id() == "septum.sample.4");
    std::string const text = e.what();
    BOOST_TEST(text.find("day 2") != std::string::npos);
    BOOST_TEST(text.find("'edge'") != std::string::npos);
  }
  // A class that only touches the border counts as missing: no window around it fits.
  std::vector<sp::annotation> border{filled(20, 20, 2)};
  border[0].class_of_pixel(10, 10) = 0;
  border[0].class_of_pixel(1, 1) = 1;
  try {
    auto const patches = sp::class_balanced{.window = 7}(border, rng);
    BOOST_TEST(false, "a class at the border was accepted");
  } catch (sp::unsupported_error const& e) {
    std::string const text = e.what();
    BOOST_TEST(text.find("image 1 of 1") != std::string::npos);
    BOOST_TEST(text.find("'interior'") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(classes_may_be_spread_over_images_when_asked) {
  std::vector<sp::annotation> truths{striped(40, 50), striped(40, 50)};
  for (auto& label : truths[0].class_of_pixel)
    if (label == 1) label = 2;
  sp::class_balanced const sampler{.window = 7, .every_class = false};
  auto const found = counts(sampler(truths, rng));
  BOOST_TEST(found.count({0, 1}) == 0U);
  BOOST_TEST(found.at({1, 1}) == 224);
  BOOST_TEST(found.at({0, 2}) == 224);
  truths.pop_back();
  BOOST_TEST(test::id_of([&] { return sampler(truths, rng); }) == "septum.sample.4");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_sampled_is_refused) {
  std::vector<sp::annotation> const truths{striped(40, 50)};
  BOOST_TEST(test::id_of([&] { return sp::class_balanced{.window = 8}(truths, rng); }) ==
             "septum.sample.1");
  BOOST_TEST(test::id_of([&] { return sp::class_balanced{.window = 41}(truths, rng); }) ==
             "septum.sample.4");
  BOOST_TEST(test::id_of([&] { return sp::class_balanced{}({}, rng); }) == "septum.sample.5");
  auto other = striped(40, 50);
  other.class_names = {"edge", "nucleus", "background"};
  std::vector<sp::annotation> const mixed{striped(40, 50), other};
  BOOST_TEST(test::id_of([&] { return sp::class_balanced{.window = 7}(mixed, rng); }) ==
             "septum.sample.6");
  auto unnamed = striped(40, 50);
  unnamed.class_of_pixel(20, 20) = 3;
  std::vector<sp::annotation> const wrong{unnamed};
  BOOST_TEST(test::id_of([&] { return sp::class_balanced{.window = 7}(wrong, rng); }) ==
             "septum.sample.3");
}

// Every pixel whose window fits: (40 - 6) * (50 - 6).
BOOST_AUTO_TEST_CASE(all_pixels_lists_each_once) {
  std::vector<sp::annotation> const truths{striped(40, 50)};
  auto const patches = sp::all_pixels{.window = 7}(truths, rng);
  std::set<std::pair<int, int>> positions;
  for (auto const& patch : patches) {
    positions.insert({patch.row, patch.column});
    BOOST_TEST_REQUIRE((sp::region{0, 40, 0, 50}.contains(sp::window_of(patch, 7))));
  }
  BOOST_TEST(patches.size() == 34U * 44U);
  BOOST_TEST(positions.size() == patches.size());
  sp::region const inside{.row_begin = 10, .row_end = 20, .column_begin = 5, .column_end = 25};
  BOOST_TEST((sp::all_pixels{.window = 7, .within = inside}(truths, rng).size()) == 4U * 14U);
}

BOOST_AUTO_TEST_CASE(edge_weighted_draws_by_distance_to_the_edge) {
  // One edge column, 25: the distance of every pixel is its column's.
  auto truth = filled(60, 51, 2);
  for (int row = 0; row < 60; ++row) truth.class_of_pixel(row, 25) = 0;
  std::vector<sp::annotation> const truths{truth};
  sp::edge_weighted const sampler{
      .window = 3, .count_per_image = 20, .falloff_px = 3, .floor = 0.1};
  std::map<int, double> hits;
  int const draws = 3000;
  for (int k = 0; k < draws; ++k) {
    auto const patches = sampler(truths, rng.fork(static_cast<std::uint64_t>(k)));
    BOOST_TEST_REQUIRE(patches.size() == 20U);
    for (auto const& patch : patches) ++hits[std::abs(patch.column - 25)];
  }
  // 20 of 2842 pixels: replacement hardly matters, so rates are as the weights. There are two
  // columns at each distance but 0.
  auto const weight = [](int d) { return 0.1 + std::exp(-0.5 * d * d / 9.0); };
  for (int const d : {1, 3, 6, 15})
    BOOST_TEST(hits[d] / (2 * hits[0]) == weight(d) / weight(0), boost::test_tools::tolerance(0.1));
}

BOOST_AUTO_TEST_CASE(edge_weighted_takes_all_when_asked_for_more) {
  std::vector<sp::annotation> const truths{striped(20, 30), striped(25, 30)};
  auto const patches = sp::edge_weighted{.window = 7, .count_per_image = 100000}(truths, rng);
  auto const all = sp::all_pixels{.window = 7}(truths, rng);
  BOOST_TEST((patches == all));
  BOOST_TEST((sp::edge_weighted{.window = 7, .count_per_image = 5}(truths, rng).size()) == 10U);
}

BOOST_AUTO_TEST_CASE(edge_weighted_refuses_what_it_cannot_weigh) {
  std::vector<sp::annotation> const truths{striped(20, 30), filled(20, 30, 2)};
  BOOST_TEST(test::id_of([&] { return sp::edge_weighted{.window = 7}(truths, rng); }) ==
             "septum.sample.4");
  std::vector<sp::annotation> const one{striped(20, 30)};
  BOOST_TEST(test::id_of([&] {
               return sp::edge_weighted{.window = 7, .falloff_px = 0}(one, rng);
             }) == "septum.sample.7");
  BOOST_TEST(test::id_of([&] {
               return sp::edge_weighted{.window = 7, .count_per_image = 0}(one, rng);
             }) == "septum.sample.7");
}

BOOST_AUTO_TEST_SUITE_END()
