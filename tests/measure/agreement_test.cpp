#include <septum/measure/agreement.hpp>

#include <boost/test/unit_test.hpp>
#include <golden/agreement_golden.inc>
#include <support/text_image.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

namespace sp = septum;

namespace {

auto const nearly = boost::test_tools::tolerance(1e-12);

template <class Truth, class Prediction>
void check_case(Truth const& truth_rows, Prediction const& prediction_rows,
                golden::scores const& expected) {
  auto const truth = test::labels_of(truth_rows);
  auto const prediction = test::labels_of(prediction_rows);
  auto const table = sp::count_overlaps(truth, prediction);
  auto const& value = expected.values;
  BOOST_TEST(static_cast<double>(table.truth_labels.size()) == value[0]);
  BOOST_TEST(static_cast<double>(table.prediction_labels.size()) == value[1]);
  BOOST_TEST(sp::seg(table).jaccard_sum == value[2], nearly);
  BOOST_TEST(*sp::seg(table).value() == value[2] / value[0], nearly);

  auto const best = sp::agree_by_largest_overlap(table);
  BOOST_TEST(static_cast<double>(best.jaccard.size()) == value[3]);
  BOOST_TEST(best.dropped == best.truth_cells - static_cast<std::int64_t>(best.jaccard.size()));
  BOOST_TEST(*best.jaccard_mean() == value[4], nearly);
  BOOST_TEST(*best.jaccard_sd() == value[5], nearly);
  for (std::size_t k = 0; k < best.jaccard.size(); ++k)
    BOOST_TEST(best.dice[k] == 2 * best.jaccard[k] / (1 + best.jaccard[k]), nearly);

  auto const outlines = sp::count_boundary(truth, prediction, 1.5);
  BOOST_TEST(static_cast<double>(outlines.truth) == value[6]);
  BOOST_TEST(static_cast<double>(outlines.truth_near) == value[7]);
  BOOST_TEST(static_cast<double>(outlines.prediction) == value[8]);
  BOOST_TEST(static_cast<double>(outlines.prediction_near) == value[9]);

  for (auto const& at : expected.at) {
    BOOST_TEST_CONTEXT("threshold " << at.threshold) {
      auto const counts = sp::count_matches(table, at.threshold);
      BOOST_TEST(counts.true_positives == at.true_positives);
      BOOST_TEST(static_cast<double>(counts.false_positives) == value[1] - at.true_positives);
      BOOST_TEST(static_cast<double>(counts.false_negatives) == value[0] - at.true_positives);
      BOOST_TEST(counts.iou_sum == at.iou_sum, nearly);
    }
  }
}

/// The heaviest matching by trying everything.
double heaviest_by_search(std::vector<std::vector<double>> const& weight, std::size_t row,
                          std::vector<bool>& used) {
  if (row == weight.size()) return 0;
  double best = heaviest_by_search(weight, row + 1, used);
  for (std::size_t column = 0; column < used.size(); ++column) {
    if (used[column] || weight[row][column] < 0) continue;
    used[column] = true;
    best = std::max(best, weight[row][column] + heaviest_by_search(weight, row + 1, used));
    used[column] = false;
  }
  return best;
}

sp::mask square_at(std::size_t size, std::size_t begin, std::size_t end) {
  sp::mask pixels = sp::mask::from_shape({size, size});
  pixels.fill(0);
  for (std::size_t r = begin; r < end; ++r)
    for (std::size_t c = begin; c < end; ++c) pixels(r, c) = 255;
  return pixels;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(agreement)

BOOST_AUTO_TEST_CASE(scores_equal_numpy_and_scipy) {
  check_case(golden::shifted_truth, golden::shifted_prediction, golden::shifted_scores);
  check_case(golden::crowded_truth, golden::crowded_prediction, golden::crowded_scores);
  check_case(golden::noise_truth, golden::noise_prediction, golden::noise_scores);
  check_case(golden::halves_truth, golden::halves_prediction, golden::halves_scores);
}

BOOST_AUTO_TEST_CASE(matching_is_the_heaviest_one) {
  sp::counter_rng const rng{.seed = 4, .stream = 0};
  std::uint64_t draw = 0;
  for (int trial = 0; trial < 300; ++trial) {
    auto const rows = static_cast<std::size_t>(1 + rng.below(draw++, 6));
    auto const columns = static_cast<std::size_t>(1 + rng.below(draw++, 6));
    std::vector<std::vector<double>> weight(rows, std::vector<double>(columns, -1));
    std::vector<sp::detail::weighted_pair> pairs;
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) {
        if (rng.uniform(draw++) < 0.4) continue;
        // Few different values, so that there are many ties.
        weight[r][c] = static_cast<double>(rng.below(draw++, trial % 2 == 0 ? 3 : 1000)) / 7;
        pairs.push_back({static_cast<std::int32_t>(r), static_cast<std::int32_t>(c), weight[r][c]});
      }
    auto const chosen = sp::detail::heaviest_matching(static_cast<std::int32_t>(rows),
                                                      static_cast<std::int32_t>(columns), pairs);
    double total = 0;
    std::vector<int> taken(columns, 0);
    for (std::size_t r = 0; r < rows; ++r) {
      if (chosen[r] < 0) continue;
      auto const& pair = pairs[static_cast<std::size_t>(chosen[r])];
      BOOST_TEST(static_cast<std::size_t>(pair.row) == r);
      BOOST_TEST(++taken[static_cast<std::size_t>(pair.column)] == 1);
      total += pair.weight;
    }
    std::vector<bool> used(columns, false);
    BOOST_TEST(std::abs(total - heaviest_by_search(weight, 0, used)) < 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(an_image_agrees_with_itself_under_any_numbering) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    auto const cells = test::random_cells(50, 60, 30, seed);
    sp::labels renumbered = cells;
    for (auto& label : renumbered) label = label == 0 ? 0 : 2147483647 - 13 * label;
    auto const table = sp::count_overlaps(cells, renumbered);
    for (auto const& counts : sp::count_matches(table, sp::iou_thresholds)) {
      BOOST_TEST(*counts.average_precision() == 1.0);
      BOOST_TEST(*counts.panoptic_quality() == 1.0);
    }
    BOOST_TEST(*sp::seg(table).value() == 1.0);
    BOOST_TEST(*sp::agree_by_largest_overlap(table).dice_mean() == 1.0);
    BOOST_TEST(*sp::count_boundary(cells, renumbered, 0).f1() == 1.0);
  }
}

BOOST_AUTO_TEST_CASE(matches_name_the_original_labels) {
  auto const table = sp::count_overlaps(sp::labels{{900, 900, 0, 5}}, sp::labels{{0, 7, 0, 70000}});
  auto const matches = sp::match_cells(table, 0.5);
  BOOST_REQUIRE_EQUAL(matches.size(), 2U);
  BOOST_TEST(matches[0].truth_label == 5);
  BOOST_TEST(matches[0].prediction_label == 70000);
  BOOST_TEST(matches[1].truth_label == 900);
  BOOST_TEST(matches[1].prediction_label == 7);
  BOOST_TEST(matches[1].iou == 0.5);
}

BOOST_AUTO_TEST_CASE(pooled_counts_are_sums_and_ratios_follow) {
  sp::match_counts pooled{.threshold = 0.5,
                          .true_positives = 3,
                          .false_positives = 1,
                          .false_negatives = 2,
                          .iou_sum = 2.4};
  pooled += {.threshold = 0.5,
             .true_positives = 1,
             .false_positives = 0,
             .false_negatives = 1,
             .iou_sum = 0.6};
  BOOST_TEST(*pooled.precision() == 4.0 / 5, nearly);
  BOOST_TEST(*pooled.recall() == 4.0 / 7, nearly);
  BOOST_TEST(*pooled.f1() == 8.0 / 12, nearly);
  BOOST_TEST(*pooled.average_precision() == 4.0 / 8, nearly);
  BOOST_TEST(*pooled.panoptic_quality() == 3.0 / 6, nearly);
  BOOST_TEST(*pooled.mean_matched() == 3.0 / 4, nearly);
  BOOST_TEST(*pooled.mean_true() == 3.0 / 7, nearly);
}

BOOST_AUTO_TEST_CASE(empty_images_have_no_score_instead_of_nan) {
  sp::labels const nothing{{0, 0, 0}};
  sp::labels const one{{0, 4, 4}};
  auto const both = sp::count_matches(sp::count_overlaps(nothing, nothing), 0.5);
  for (auto const& score : {both.precision(), both.recall(), both.f1(), both.average_precision(),
                            both.panoptic_quality(), both.mean_matched(), both.mean_true()})
    BOOST_TEST(!score.has_value());
  BOOST_TEST(!sp::seg(sp::count_overlaps(nothing, one)).value().has_value());
  BOOST_TEST(!sp::agree_by_largest_overlap(sp::count_overlaps(one, nothing)).jaccard_sd());
  BOOST_TEST(!sp::count_boundary(nothing, nothing, 2).f1().has_value());

  auto const missed = sp::count_matches(sp::count_overlaps(one, nothing), 0.3);
  BOOST_TEST(*missed.recall() == 0.0);
  BOOST_TEST(!missed.precision().has_value());
  BOOST_TEST(*missed.average_precision() == 0.0);
  BOOST_TEST(*sp::seg(sp::count_overlaps(one, nothing)).value() == 0.0);
  BOOST_TEST(*sp::count_boundary(one, nothing, 2).f1() == 0.0);
  BOOST_TEST(sp::agree_by_largest_overlap(sp::count_overlaps(one, nothing)).dropped == 1);
  BOOST_TEST(sp::count_overlaps(sp::labels::from_shape({0, 0}), sp::labels::from_shape({0, 0}))
                 .overlaps.empty());
}

BOOST_AUTO_TEST_CASE(seg_wants_more_than_half) {
  BOOST_TEST(*sp::seg(sp::count_overlaps(sp::labels{{1, 1}}, sp::labels{{3, 0}})).value() == 0.0);
  BOOST_TEST(
      *sp::seg(sp::count_overlaps(sp::labels{{1, 1, 1}}, sp::labels{{3, 3, 0}})).value() == 2.0 / 3,
      nearly);
  // One prediction may hold two true cells; both count.
  BOOST_TEST(
      *sp::seg(sp::count_overlaps(sp::labels{{1, 1, 2, 2}}, sp::labels{{5, 5, 5, 5}})).value() ==
          0.5,
      nearly);
}

BOOST_AUTO_TEST_CASE(published_protocol_by_hand) {
  // 20 x 20 pixels, margin 2: the inner truth is 10 x 10, eroded to 8 x 8; the prediction 9 x 9.
  auto const interior = square_at(20, 5, 15);
  auto const prediction = square_at(20, 5, 14);
  auto const scores = sp::published_agreement(interior, prediction, 2);
  BOOST_REQUIRE_EQUAL(scores.jaccard.size(), 1U);
  BOOST_TEST(scores.jaccard[0] == 64.0 / 81, nearly);
  BOOST_TEST(scores.dice[0] == 128.0 / 145, nearly);
  BOOST_TEST(*scores.jaccard_sd() == 0.0);

  auto const filtered = sp::published_agreement(interior, prediction, square_at(20, 0, 6), 2);
  BOOST_TEST(filtered.without_nucleus == 1);
  BOOST_TEST(filtered.truth_cells == 0);
  BOOST_TEST(!filtered.jaccard_mean().has_value());
  auto const kept = sp::published_agreement(interior, prediction, square_at(20, 0, 7), 2);
  BOOST_TEST(kept.without_nucleus == 0);
  BOOST_TEST(kept.jaccard[0] == 64.0 / 81, nearly);
}

BOOST_AUTO_TEST_CASE(truth_at_the_cut_is_not_eroded_from_there) {
  auto const cells = sp::published_cells(square_at(12, 0, 12), square_at(12, 0, 12), 3);
  BOOST_TEST(cells.truth.shape()[0] == 6U);
  for (auto const label : cells.truth) BOOST_TEST(label == 1);
}

BOOST_AUTO_TEST_CASE(extents_must_agree_and_leave_something) {
  auto const refused = [](auto const& call, std::string const& id) {
    BOOST_CHECK_EXCEPTION(call(), sp::shape_error,
                          [&](sp::error const& e) { return e.id() == id; });
  };
  sp::labels const a = sp::labels::from_shape({3, 4});
  sp::labels const b = sp::labels::from_shape({4, 3});
  refused([&] { static_cast<void>(sp::count_overlaps(a, b)); }, "septum.agreement.1");
  refused([&] { static_cast<void>(sp::count_boundary(a, b, 1)); }, "septum.agreement.1");
  auto const small = square_at(8, 2, 4);
  refused([&] { static_cast<void>(sp::published_agreement(small, small, 4)); },
          "septum.agreement.2");
  refused([&] { static_cast<void>(sp::published_agreement(small, square_at(9, 1, 2), 1)); },
          "septum.agreement.1");
}

BOOST_AUTO_TEST_SUITE_END()
