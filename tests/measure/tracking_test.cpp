#include <septum/measure/tracking.hpp>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <utility>
#include <vector>

namespace {

namespace sp = septum;

/// A frame of 4 rows and 40 columns; value k fills columns [10 (k - 1), 10 (k - 1) + width).
sp::labels frame_of(std::vector<std::pair<std::int32_t, int>> const& cells, int width = 8) {
  sp::labels image = sp::labels::from_shape({4, 40});
  image.fill(0);
  for (auto const& [value, column] : cells)
    for (int r = 0; r < 4; ++r)
      for (int c = column; c < column + width; ++c) image(r, c) = value;
  return image;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tracking)

BOOST_AUTO_TEST_CASE(counts_errors_as_the_challenge_does) {
  // Two cells in two frames; one is missed in the second frame and one invented: by hand
  // DET = 1 - 11 / 40, LNK = 1 - 1.5 / 3, TRA = 1 - 12.5 / 43.
  sp::tracking_evaluator scores{{{1, 0, 1, 0}, {2, 0, 1, 0}},
                                {{1, 0, 1, 0}, {2, 0, 0, 0}, {3, 1, 1, 0}}};
  auto const truth = frame_of({{1, 0}, {2, 10}});
  scores.add_frame(sp::count_overlaps(truth, truth));
  scores.add_frame(sp::count_overlaps(truth, frame_of({{1, 0}, {3, 30}})));
  auto const errors = scores.errors();
  BOOST_TEST(errors.det().value() == 0.725, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(errors.lnk().value() == 0.5, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(errors.tra().value() == 0.709302, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(errors.missed == 1);
  BOOST_TEST(errors.invented == 1);
  BOOST_TEST(errors.missing_links == 1);
}

BOOST_AUTO_TEST_CASE(a_joined_cell_costs_a_split_and_its_links) {
  sp::tracking_evaluator scores{{{1, 0, 1, 0}, {2, 0, 1, 0}}, {{1, 0, 1, 0}, {2, 0, 0, 0}}};
  auto const truth = frame_of({{1, 0}, {2, 8}});
  scores.add_frame(sp::count_overlaps(truth, truth));
  scores.add_frame(sp::count_overlaps(truth, frame_of({{1, 0}}, 16)));
  auto const errors = scores.errors();
  BOOST_TEST(errors.merged == 1);
  BOOST_TEST(errors.missed == 0);
  BOOST_TEST(errors.missing_links == 2);
  BOOST_TEST(errors.detection_errors() == 5.0);
}

BOOST_AUTO_TEST_CASE(a_division_told_as_one_cell_is_a_link_of_the_wrong_kind) {
  // Truth: 1 divides into 2 and 3. Result: 1 goes on where 2 is, 3 appears.
  auto const mother = frame_of({{1, 10}});
  auto const daughters = frame_of({{2, 10}, {3, 20}});
  sp::tracking_evaluator scores{{{1, 0, 0, 0}, {2, 1, 1, 1}, {3, 1, 1, 1}},
                                {{1, 0, 1, 0}, {3, 1, 1, 0}}};
  scores.add_frame(sp::count_overlaps(mother, mother));
  scores.add_frame(sp::count_overlaps(daughters, frame_of({{1, 10}, {3, 20}})));
  BOOST_TEST(scores.errors().confused_links == 1);
  BOOST_TEST(scores.errors().missing_links == 1);
  auto const divisions = scores.divisions();
  BOOST_TEST(divisions.false_negatives == 1);
  BOOST_TEST(divisions.false_positives == 0);
  BOOST_TEST(divisions.f1().value() == 0.0);
}

BOOST_AUTO_TEST_CASE(divisions_may_be_off_by_the_tolerance) {
  // The result sees the division a frame late.
  std::vector<sp::ctc_track> const truth{{1, 0, 0, 0}, {2, 1, 3, 1}, {3, 1, 3, 1}};
  std::vector<sp::ctc_track> const result{{1, 0, 1, 0}, {2, 2, 3, 1}, {3, 2, 3, 1}};
  sp::tracking_evaluator scores{truth, result};
  auto const both = frame_of({{2, 10}, {3, 20}});
  scores.add_frame(sp::count_overlaps(frame_of({{1, 10}}), frame_of({{1, 10}})));
  scores.add_frame(sp::count_overlaps(both, frame_of({{1, 10}})));
  scores.add_frame(sp::count_overlaps(both, both));
  scores.add_frame(sp::count_overlaps(both, both));
  BOOST_TEST(scores.divisions(0).true_positives == 0);
  BOOST_TEST(scores.divisions(1).true_positives == 1);
  BOOST_TEST(scores.divisions(1).f1().value() == 1.0);
  BOOST_TEST(scores.complete_tracks().value().value() == 0.0);
  BOOST_TEST(scores.complete_tracks().truth == 3);
}

BOOST_AUTO_TEST_CASE(a_perfect_result_has_full_scores_and_nothing_has_none) {
  std::vector<sp::ctc_track> const tracks{{1, 0, 0, 0}, {2, 1, 1, 1}, {3, 1, 1, 1}};
  sp::tracking_evaluator scores{tracks, tracks};
  for (auto const& frame : {frame_of({{1, 10}}), frame_of({{2, 10}, {3, 20}})}) {
    auto const table = sp::count_overlaps(frame, frame);
    scores.add_frame(table);
    scores.add_segmentation(table);
  }
  BOOST_TEST(scores.errors().tra().value() == 1.0);
  BOOST_TEST(scores.seg().value() == 1.0);
  BOOST_TEST(scores.divisions().f1().value() == 1.0);
  BOOST_TEST(scores.complete_tracks().value().value() == 1.0);
  BOOST_TEST(scores.track_fractions().value() == 1.0);
  sp::tracking_evaluator nothing{{}, {}};
  nothing.add_frame(sp::count_overlaps(frame_of({}), frame_of({})));
  BOOST_TEST(!nothing.errors().tra());
  BOOST_TEST(!nothing.errors().lnk());
  BOOST_TEST(!nothing.seg());
  BOOST_TEST(!nothing.divisions().f1());
  BOOST_TEST(!nothing.complete_tracks().value());
}

BOOST_AUTO_TEST_SUITE_END()
