#include <septum/core/rng.hpp>
#include <septum/core/text.hpp>
#include <septum/track/two_step_tracker.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <support/shared_data.hpp>
#include <utility>
#include <vector>

namespace {

namespace sp = septum;
namespace fs = std::filesystem;

using id_pair = std::pair<std::int64_t, std::int64_t>;

std::vector<std::string> fields_of(std::string const& line) {
  std::vector<std::string> fields{""};
  for (char const c : line) {
    if (c == ',')
      fields.emplace_back();
    else if (c != '\r')
      fields.back() += c;
  }
  return fields;
}

/// Rows of a table by column name.
std::vector<std::map<std::string, double>> read_table(fs::path const& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  std::vector<std::string> const names = fields_of(line);
  std::vector<std::map<std::string, double>> rows;
  while (std::getline(file, line)) {
    std::vector<std::string> const fields = fields_of(line);
    std::map<std::string, double> row;
    for (std::size_t i = 0; i < fields.size(); ++i)
      row[names[i]] = sp::parse_number<double>(fields[i]).value();
    rows.push_back(row);
  }
  return rows;
}

std::vector<sp::frame_cells> read_spots(fs::path const& path) {
  std::map<std::int64_t, sp::frame_cells> frames;
  for (auto const& row : read_table(path)) {
    auto const frame = static_cast<std::int64_t>(row.at("frame"));
    frames[frame].frame = frame;
    frames[frame].cells.push_back({.id = static_cast<std::int64_t>(row.at("id")),
                                   .y = row.at("position_y"),
                                   .x = row.at("position_x")});
  }
  std::vector<sp::frame_cells> result;
  for (auto& [number, frame] : frames) result.push_back(std::move(frame));
  return result;
}

std::set<id_pair> ids_of(std::vector<sp::cell_link> const& links) {
  std::set<id_pair> ids;
  for (sp::cell_link const& link : links) ids.emplace(link.source, link.target);
  return ids;
}

sp::frame_cells frame_at(std::int64_t number,
                         std::vector<std::pair<double, double>> const& points) {
  sp::frame_cells frame{.frame = number, .cells = {}, .pixels = {}};
  for (auto const& [y, x] : points)
    frame.cells.push_back(
        {.id = number * 100 + static_cast<std::int64_t>(frame.cells.size()) + 1, .y = y, .x = x});
  return frame;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(two_step_tracker)

BOOST_AUTO_TEST_CASE(makes_the_links_that_trackmate_makes) {
  auto const folder = test::shared_data("trackmate");
  if (!folder) return;
  struct scenario {
    std::string name;
    sp::two_step_settings settings;
  };
  for (auto const& [name, settings] : {scenario{"without_gap_closing", {.close_gaps = false}},
                                       scenario{"with_splitting", {.splitting = true}}}) {
    auto const frames = read_spots(*folder / (name + "_spots.csv"));
    std::set<id_pair> expected;
    std::map<id_pair, double> costs;
    for (auto const& row : read_table(*folder / (name + "_edges.csv"))) {
      id_pair const ids{static_cast<std::int64_t>(row.at("spot_source_id")),
                        static_cast<std::int64_t>(row.at("spot_target_id"))};
      expected.insert(ids);
      costs[ids] = row.at("link_cost");
    }
    BOOST_TEST_CONTEXT(name) {
      auto const links = sp::trackmate_tracker(settings)(frames);
      auto const found = ids_of(links);
      BOOST_TEST(found.size() == expected.size());
      for (id_pair const& ids : expected)
        BOOST_TEST(found.contains(ids), ids.first << " -> " << ids.second << " is missing");
      for (sp::cell_link const& link : links)
        if (costs.contains({link.source, link.target}))
          BOOST_TEST(link.cost == costs.at({link.source, link.target}),
                     boost::test_tools::tolerance(1e-9));
      // LapTrack makes the same links here, those into the last frame apart (its own test leaves
      // them out).
      auto const other = ids_of(sp::laptrack_tracker(settings)(frames));
      std::set<std::int64_t> last;
      for (auto const& cell : frames.back().cells) last.insert(cell.id);
      for (id_pair const& ids : expected)
        if (!last.contains(ids.second))
          BOOST_TEST(other.contains(ids), ids.first << " -> " << ids.second << " is missing");
    }
  }
}

BOOST_AUTO_TEST_CASE(closes_gaps_within_the_limit) {
  // One cell moves; it is not seen in frame 2. Another one stays far away.
  std::vector<sp::frame_cells> const frames{
      frame_at(0, {{10, 10}, {90, 90}}), frame_at(1, {{10, 12}, {90, 91}}), frame_at(2, {{90, 92}}),
      frame_at(3, {{10, 16}, {90, 93}}), frame_at(4, {{10, 18}, {90, 94}})};
  auto const links = sp::trackmate_tracker()(frames);
  BOOST_TEST(links.size() == 7U);
  auto const gap = std::find_if(links.begin(), links.end(), [](sp::cell_link const& link) {
    return link.kind == sp::link_kind::gap;
  });
  BOOST_REQUIRE(gap != links.end());
  BOOST_TEST(gap->source == 101);
  BOOST_TEST(gap->target == 301);
  BOOST_TEST(gap->source_frame == 1);
  BOOST_TEST(gap->target_frame == 3);
  BOOST_TEST(sp::trackmate_tracker({.gap_frames = 1})(frames).size() == 6U);
  BOOST_TEST(sp::trackmate_tracker({.close_gaps = false})(frames).size() == 6U);
}

BOOST_AUTO_TEST_CASE(keeps_the_true_time_of_missing_frames) {
  // Frames 0, 1, 4, 5: three frames lie between 1 and 4.
  std::vector<sp::frame_cells> const frames{frame_at(0, {{5, 5}}), frame_at(1, {{5, 6}}),
                                            frame_at(4, {{5, 7}}), frame_at(5, {{5, 8}})};
  BOOST_TEST(sp::laptrack_tracker()(frames).size() == 2U);
  auto const links = sp::laptrack_tracker({.gap_frames = 3})(frames);
  BOOST_TEST(links.size() == 3U);
  BOOST_TEST(std::count_if(links.begin(), links.end(), [](sp::cell_link const& link) {
               return link.kind == sp::link_kind::gap;
             }) == 1);
}

BOOST_AUTO_TEST_CASE(finds_splits_and_merges) {
  // A cell splits after frame 1; the two go together again in frame 5.
  std::vector<sp::frame_cells> const frames{frame_at(0, {{20, 20}}),
                                            frame_at(1, {{20, 20}}),
                                            frame_at(2, {{18, 20}, {22, 21}}),
                                            frame_at(3, {{17, 20}, {23, 21}}),
                                            frame_at(4, {{18, 20}, {22, 21}}),
                                            frame_at(5, {{20, 20}}),
                                            frame_at(6, {{20, 20}})};
  sp::two_step_settings const both{.splitting = true, .merging = true};
  for (auto const& links :
       {sp::trackmate_tracker(both)(frames), sp::jaqaman_tracker(both)(frames)}) {
    auto const count = [&](sp::link_kind kind) {
      return std::count_if(links.begin(), links.end(),
                           [&](sp::cell_link const& link) { return link.kind == kind; });
    };
    BOOST_TEST(count(sp::link_kind::split) == 1);
    BOOST_TEST(count(sp::link_kind::merge) == 1);
    BOOST_TEST(links.size() == 10U);
  }
  BOOST_TEST(sp::trackmate_tracker()(frames).size() == 8U);
}

BOOST_AUTO_TEST_CASE(prediction_keeps_crossing_cells_apart) {
  // Two fast cells meet head-on between frames 4 and 5; nearest neighbours would swap them.
  std::vector<sp::frame_cells> frames;
  for (int t = 0; t < 10; ++t)
    frames.push_back(frame_at(t, {{50.0, 10.0 + 8 * t}, {51.0, 82.0 - 8 * t}}));
  auto const links = sp::jaqaman_tracker({.max_distance = 20})(frames);
  BOOST_TEST(links.size() == 18U);
  for (sp::cell_link const& link : links) BOOST_TEST(link.target == link.source + 100);
}

BOOST_AUTO_TEST_CASE(any_allowed_link_is_made_by_trackmate_and_not_by_a_fixed_price) {
  // With the price at 1.05 times the largest cost every allowed link pays.
  std::vector<sp::frame_cells> const frames{frame_at(0, {{0, 0}, {50, 50}}),
                                            frame_at(1, {{0, 1}, {50, 64}})};
  BOOST_TEST(sp::trackmate_tracker()(frames).size() == 2U);
  sp::frame_linker<> const fixed{.cost = {.max_distance = 15},
                                 .alternative = {.from = sp::alternative_cost::rule::fixed,
                                                 .value = 50,
                                                 .block = sp::alternative_cost::lower_block::zero}};
  auto const pairs = fixed(frames[0], frames[1]);
  BOOST_REQUIRE(pairs.size() == 1U);
  BOOST_TEST(pairs[0].source == 0);
  BOOST_TEST(pairs[0].cost == 1.0);
}

BOOST_AUTO_TEST_CASE(an_empty_frame_changes_no_link) {
  std::vector<sp::frame_cells> frames{frame_at(0, {{1, 1}, {9, 9}}), frame_at(1, {{1, 2}, {9, 8}})};
  auto const before = sp::laptrack_tracker()(frames);
  frames.push_back(frame_at(2, {}));
  BOOST_TEST((sp::laptrack_tracker()(frames) == before));
  BOOST_TEST(sp::trackmate_tracker()(std::vector<sp::frame_cells>{}).empty());
  BOOST_TEST(sp::trackmate_tracker()(std::vector<sp::frame_cells>{frame_at(3, {})}).empty());
}

BOOST_AUTO_TEST_CASE(cells_that_do_not_move_are_linked_at_cost_zero) {
  std::vector<sp::frame_cells> const frames{frame_at(0, {{10, 10}, {12, 11}}),
                                            frame_at(1, {{10, 10}, {12, 11}})};
  for (auto const& links : {sp::trackmate_tracker()(frames), sp::laptrack_tracker()(frames)}) {
    BOOST_TEST(links.size() == 2U);
    for (sp::cell_link const& link : links) {
      BOOST_TEST(link.target == link.source + 100);
      BOOST_TEST(link.cost == 0.0);
    }
  }
}

BOOST_AUTO_TEST_CASE(refuses_positions_and_frames_that_make_no_sense) {
  double const nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<sp::frame_cells> const bad{frame_at(0, {{1, 1}}), frame_at(1, {{1, nan}})};
  BOOST_CHECK_EXCEPTION(
      sp::trackmate_tracker()(bad), sp::unsupported_error, [](sp::error const& e) {
        return e.id() == "septum.track.1" &&
               std::string{e.what()}.find("frame 1, cell 101") != std::string::npos;
      });
  std::vector<sp::frame_cells> const twice{frame_at(1, {{1, 1}}), frame_at(1, {{1, 1}})};
  BOOST_CHECK_THROW(sp::trackmate_tracker()(twice), sp::unsupported_error);
  std::vector<sp::frame_cells> const good{frame_at(0, {{1, 1}}), frame_at(1, {{1, 1}})};
  BOOST_CHECK_THROW(sp::trackmate_tracker({.max_distance = 0})(good), sp::unsupported_error);
  BOOST_CHECK_THROW(sp::trackmate_tracker({.max_distance = nan})(good), sp::unsupported_error);
}

BOOST_AUTO_TEST_SUITE_END()
