#include <septum/measure/tracking.hpp>
#include <septum/simulate/colony.hpp>
#include <septum/simulate/detection_errors.hpp>
#include <septum/track/cell_tracker.hpp>
#include <septum/track/lineage.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace {

namespace sp = septum;
struct box {
  std::int32_t label;
  int row, column, height, width;
};

sp::frame_cells frame_of(std::int64_t number, std::vector<box> const& boxes) {
  sp::labels cells = sp::labels::from_shape({100, 100});
  cells.fill(0);
  for (box const& b : boxes)
    for (int r = b.row; r < b.row + b.height; ++r)
      for (int c = b.column; c < b.column + b.width; ++c) cells(r, c) = b.label;
  return sp::detect_cells(cells, number);
}

std::vector<sp::cell_link> track(std::vector<sp::frame_cells> const& frames) {
  sp::cell_tracker<> tracker = sp::bacteria_tracker();
  std::vector<sp::cell_link> links;
  for (sp::frame_cells const& frame : frames)
    for (sp::cell_link const& link : tracker.push(frame)) links.push_back(link);
  return links;
}

bool has(std::vector<sp::cell_link> const& links, std::int64_t from, std::int64_t a,
         std::int64_t to, std::int64_t b, sp::link_kind of) {
  return std::any_of(links.begin(), links.end(), [&](sp::cell_link const& link) {
    return link.source_frame == from && link.source == a && link.target_frame == to &&
           link.target == b && link.kind == of;
  });
}

struct tracked_movie {
  std::vector<sp::ctc_track> truth;
  sp::lineage result;
  std::vector<sp::labels> seen;
};

tracked_movie track_colony(sp::simulated_movie const& movie, sp::detection_errors const& faults) {
  tracked_movie all;
  for (auto const& cell : movie.truth.cells)
    all.truth.push_back({cell.id, cell.first_frame, cell.last_frame, cell.parent});
  std::vector<sp::frame_cells> frames;
  for (std::size_t f = 0; f < movie.cells.size(); ++f) {
    all.seen.push_back(faults(movie.cells[f], static_cast<std::int64_t>(f)));
    frames.push_back(sp::detect_cells(all.seen.back(), static_cast<std::int64_t>(f)));
  }
  all.result = sp::make_lineage(frames, track(frames));
  return all;
}

sp::tracking_evaluator score(sp::simulated_movie const& movie, tracked_movie const& all) {
  sp::tracking_evaluator scores{all.truth, sp::to_ctc(all.result.tracks)};
  for (std::size_t f = 0; f < movie.cells.size(); ++f) {
    std::map<std::int64_t, std::int64_t> label_of;
    for (auto const& cell : all.result.frames[f].cells) label_of[cell.id] = cell.label;
    sp::labels mask = all.seen[f];
    for (std::int32_t& value : mask)
      if (value > 0) value = static_cast<std::int32_t>(label_of.at(value));
    scores.add_frame(sp::count_overlaps(movie.cells[f], mask));
  }
  return scores;
}

sp::simulated_movie const& colony() {
  static sp::simulated_movie const movie =
      sp::simulate_colony({.frames = 22, .extent = {260, 260}, .founders = 6, .seed = 3});
  return movie;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cell_tracker)

BOOST_AUTO_TEST_CASE(finds_a_division) {
  auto const links =
      track({frame_of(0, {{1, 40, 20, 8, 40}, {2, 60, 20, 8, 30}}),
             frame_of(1, {{3, 40, 18, 8, 44}, {4, 60, 20, 8, 31}}),
             frame_of(2, {{5, 40, 17, 8, 22}, {6, 40, 41, 8, 23}, {7, 60, 20, 8, 32}})});
  BOOST_TEST(links.size() == 5U);
  BOOST_TEST(has(links, 0, 1, 1, 3, sp::link_kind::link));
  BOOST_TEST(has(links, 1, 4, 2, 7, sp::link_kind::link));
  BOOST_TEST((has(links, 1, 3, 2, 5, sp::link_kind::split) ||
              has(links, 1, 3, 2, 6, sp::link_kind::split)));
}

BOOST_AUTO_TEST_CASE(a_missed_cell_is_no_division_and_no_birth) {
  auto const links = track({frame_of(0, {{1, 40, 20, 8, 30}, {2, 50, 20, 8, 30}}),
                            frame_of(1, {{1, 40, 20, 8, 31}}),
                            frame_of(2, {{1, 40, 20, 8, 32}, {2, 50, 20, 8, 32}})});
  BOOST_TEST(links.size() == 3U);
  BOOST_TEST(has(links, 0, 2, 2, 2, sp::link_kind::gap));
}

BOOST_AUTO_TEST_CASE(cells_that_were_joined_for_a_frame_stay_themselves) {
  auto const links = track({frame_of(0, {{1, 40, 20, 8, 30}, {2, 48, 20, 8, 30}}),
                            frame_of(1, {{9, 40, 20, 16, 31}}),
                            frame_of(2, {{1, 40, 20, 8, 32}, {2, 48, 20, 8, 32}})});
  BOOST_TEST(links.size() == 3U);
  for (sp::cell_link const& link : links) BOOST_TEST((link.kind != sp::link_kind::split));
  bool const first_went_on = has(links, 0, 1, 1, 9, sp::link_kind::link);
  BOOST_TEST(has(links, 1, 9, 2, first_went_on ? 1 : 2, sp::link_kind::link));
  BOOST_TEST(has(links, 0, first_went_on ? 2 : 1, 2, first_went_on ? 2 : 1, sp::link_kind::gap));
}

BOOST_AUTO_TEST_CASE(a_daughter_seen_late_still_has_its_mother) {
  auto const links = track({frame_of(0, {{1, 40, 20, 8, 44}}), frame_of(1, {{2, 40, 18, 8, 23}}),
                            frame_of(2, {{3, 40, 17, 8, 24}, {4, 40, 42, 8, 24}})});
  BOOST_TEST(has(links, 0, 1, 1, 2, sp::link_kind::link));
  BOOST_TEST(has(links, 1, 2, 2, 3, sp::link_kind::link));
  BOOST_TEST(has(links, 0, 1, 2, 4, sp::link_kind::split));
}

BOOST_AUTO_TEST_CASE(a_perfect_segmentation_gives_the_true_lineage) {
  auto const scores = score(colony(), track_colony(colony(), {}));
  BOOST_TEST(scores.errors().tra().value() >= 0.999);
  BOOST_TEST(scores.divisions(0).f1().value() >= 0.98);
  BOOST_TEST(scores.complete_tracks().value().value() >= 0.95);
}

BOOST_AUTO_TEST_CASE(faults_of_the_segmentation_cost_few_divisions) {
  auto const all = track_colony(colony(), {.missed = 0.02, .merged = 0.02, .seed = 5});
  auto const scores = score(colony(), all);
  BOOST_TEST(scores.divisions(1).f1().value() >= 0.85);
  BOOST_TEST(scores.errors().missed > 0);
  BOOST_TEST(scores.errors().merged > 0);
}

BOOST_AUTO_TEST_CASE(goes_on_from_a_saved_state_as_if_nothing_had_happened) {
  sp::detection_errors const faults{.missed = 0.05, .merged = 0.05, .seed = 1};
  sp::cell_tracker<> whole = sp::bacteria_tracker();
  sp::cell_tracker<> part = sp::bacteria_tracker();
  for (std::size_t f = 0; f < colony().cells.size(); ++f) {
    auto const number = static_cast<std::int64_t>(f);
    auto const cells = sp::detect_cells(faults(colony().cells[f], number), number);
    BOOST_TEST((whole.push(cells) == part.push(cells, {}, sp::exec::threads{3})));
    sp::cell_tracker<> next = sp::bacteria_tracker();
    next.restore(part.state());
    part = next;
  }
}

BOOST_AUTO_TEST_CASE(remembers_no_more_than_the_last_frames) {
  sp::cell_tracker<> tracker = sp::bacteria_tracker();
  for (std::int64_t f = 0; f < 200; ++f) {
    // Cells that appear anywhere and never come back.
    int const place = static_cast<int>(f * 37 % 90);
    static_cast<void>(tracker.push(frame_of(f, {{1, place, (place * 53) % 90, 4, 4}})));
    BOOST_TEST(tracker.state().cells.size() <= 5U);
  }
}

BOOST_AUTO_TEST_CASE(refuses_frames_out_of_order) {
  sp::cell_tracker<> tracker = sp::bacteria_tracker();
  static_cast<void>(tracker.push(frame_of(3, {})));
  BOOST_CHECK_THROW(static_cast<void>(tracker.push(frame_of(3, {}))), sp::unsupported_error);
  BOOST_TEST(tracker.push(frame_of(4, {})).empty());
  tracker.link.max_distance = 0;
  tracker.divisions = false;
  BOOST_CHECK_THROW(static_cast<void>(tracker.push(frame_of(5, {{1, 1, 1, 4, 4}}))),
                    sp::unsupported_error);
}

BOOST_AUTO_TEST_SUITE_END()
