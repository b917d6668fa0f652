#include <septum/measure/bootstrap.hpp>
#include <septum/measure/cell_outcome.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

namespace sp = septum;

BOOST_AUTO_TEST_SUITE(bootstrap)

BOOST_AUTO_TEST_CASE(the_interval_of_a_mean_is_that_of_the_normal_law) {
  // 400 numbers of mean 0 and variance 1: the mean has a standard deviation of 1 / 20.
  std::vector<double> values;
  for (int k = 0; k < 200; ++k)
    for (double const sign : {-1.0, 1.0}) values.push_back(sign);
  auto const mean = [&](std::span<std::size_t const> places) {
    double sum = 0;
    for (std::size_t const place : places) sum += values[place];
    return std::optional{sum / static_cast<double>(places.size())};
  };
  auto const interval =
      sp::bootstrap_interval(values.size(), mean, {.replicates = 4000, .level = 0.95, .seed = 1});
  BOOST_REQUIRE(interval.has_value());
  BOOST_TEST(interval->low == -0.098, boost::test_tools::tolerance(0.06));
  BOOST_TEST(interval->high == 0.098, boost::test_tools::tolerance(0.06));
  auto const narrow =
      sp::bootstrap_interval(values.size(), mean, {.replicates = 4000, .level = 0.5, .seed = 1});
  BOOST_TEST(narrow->high == 0.0337, boost::test_tools::tolerance(0.12));
}

BOOST_AUTO_TEST_CASE(the_seed_decides_and_threads_do_not) {
  auto const first = [](std::span<std::size_t const> places) {
    return std::optional{static_cast<double>(places.front())};
  };
  auto const with = [&](std::uint64_t seed, int threads) {
    return *sp::bootstrap_interval(50, first, {.replicates = 200, .seed = seed}, {threads});
  };
  BOOST_TEST((with(3, 1) == with(3, 2)));
  BOOST_TEST((with(3, 1) == with(3, 5)));
  bool differs = false;
  for (std::uint64_t seed = 4; seed < 9; ++seed)
    differs = differs || !(with(3, 1) == with(seed, 1));
  BOOST_TEST(differs);
}

BOOST_AUTO_TEST_CASE(what_has_no_score_has_no_interval) {
  auto const nothing = [](std::span<std::size_t const>) { return std::optional<double>{}; };
  BOOST_TEST(!sp::bootstrap_interval(5, nothing).has_value());
  auto const one = [](std::span<std::size_t const>) { return std::optional{1.0}; };
  BOOST_TEST(!sp::bootstrap_interval(0, one).has_value());
  auto const constant = sp::bootstrap_interval(3, one);
  BOOST_TEST(constant->low == 1.0);
  BOOST_TEST(constant->high == 1.0);
  BOOST_CHECK_THROW(static_cast<void>(sp::bootstrap_interval(3, one, {.replicates = 0})),
                    sp::unsupported_error);
  BOOST_CHECK_THROW(static_cast<void>(sp::bootstrap_interval(3, one, {.level = 1.0})),
                    sp::unsupported_error);
}

BOOST_AUTO_TEST_CASE(every_cell_has_a_fate) {
  constexpr char const* truth[] = {"1111..22", "1111..22", "......22", "333....."};
  constexpr char const* found[] = {"5555..77", "5555..7.", "........", "...99..."};
  auto const cells =
      sp::cell_outcomes(sp::count_overlaps(test::labels_of(truth), test::labels_of(found)), 0.5);
  BOOST_REQUIRE(cells.size() == 4U);
  BOOST_TEST((cells[0].fate == sp::cell_verdict::found));
  BOOST_TEST(cells[0].iou == 1.0);
  BOOST_TEST(cells[0].prediction_label == 5);
  BOOST_TEST((cells[1].fate == sp::cell_verdict::found));
  BOOST_TEST(cells[1].iou == 0.5);
  BOOST_TEST(cells[1].seg == 0.0);  // exactly half is not more than half
  BOOST_TEST(*cells[1].dice == 2.0 / 3.0);
  BOOST_TEST((cells[2].fate == sp::cell_verdict::missed));
  BOOST_TEST(!cells[2].jaccard.has_value());
  BOOST_TEST((cells[3].fate == sp::cell_verdict::invented));
  BOOST_TEST(cells[3].prediction_label == 9);
  BOOST_TEST(cells[3].prediction_area_px == 2);
}

BOOST_AUTO_TEST_CASE(cells_add_up_to_the_scores_of_the_frame) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    auto const truth = test::random_cells(90, 90, 30, seed);
    auto prediction = test::random_cells(90, 90, 30, seed);
    for (std::size_t p = 0; p < prediction.size(); p += 3) prediction.data()[p] = 0;
    auto const table = sp::count_overlaps(truth, prediction);
    auto const cells = sp::cell_outcomes(table, 0.5);
    sp::outcome_scores scores;
    for (auto const& cell : cells) scores.add(cell);
    auto const counts = sp::count_matches(table, 0.5);
    BOOST_TEST(scores.counts.true_positives == counts.true_positives);
    BOOST_TEST(scores.counts.false_positives == counts.false_positives);
    BOOST_TEST(scores.counts.false_negatives == counts.false_negatives);
    BOOST_TEST(*scores.counts.panoptic_quality() == *counts.panoptic_quality(),
               boost::test_tools::tolerance(1e-12));
    BOOST_TEST(*scores.seg.value() == *sp::seg(table).value(), boost::test_tools::tolerance(1e-12));
    BOOST_TEST(*scores.dice_mean() == *sp::agree_by_largest_overlap(table).dice_mean(),
               boost::test_tools::tolerance(1e-12));
  }
}

BOOST_AUTO_TEST_SUITE_END()
