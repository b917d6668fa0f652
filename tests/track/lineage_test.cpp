#include <septum/core/rng.hpp>
#include <septum/track/lineage.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace sp = septum;
/// A frame with cells of the given numbers; negative numbers lie at the border.
sp::frame_cells frame_with(std::int64_t number, std::vector<std::int64_t> const& ids) {
  sp::frame_cells frame{.frame = number, .cells = {}, .pixels = {}};
  for (std::int64_t const id : ids)
    frame.cells.push_back({.id = std::abs(id), .at_border = id < 0});
  return frame;
}

sp::cell_link link(std::int64_t from, std::int64_t a, std::int64_t to, std::int64_t b,
                   sp::link_kind of = sp::link_kind::link) {
  return {from, a, to, b, of, 0.0};
}

sp::track const& track_of(sp::lineage const& all, std::int64_t frame, std::int64_t id) {
  for (auto const& f : all.frames)
    for (auto const& cell : f.cells)
      if (f.frame == frame && cell.id == id)
        return all.tracks.at(static_cast<std::size_t>(cell.track - 1));
  throw std::runtime_error{"no such cell"};
}

/// What holds for every lineage, whatever the links.
void check_valid(sp::lineage const& all, std::vector<sp::frame_cells> const& frames) {
  std::map<std::int64_t, sp::track const*> by_id;
  std::map<std::int64_t, int> daughters;
  std::set<std::int64_t> labels;
  for (std::size_t i = 0; i < all.tracks.size(); ++i) {
    auto const& t = all.tracks[i];
    BOOST_TEST(by_id.emplace(t.id, &t).second);
    BOOST_TEST(t.first_frame <= t.last_frame);
    if (t.parent != 0) ++daughters[t.parent];
    BOOST_TEST((t.start == sp::track_start::division) == (t.parent != 0));
    BOOST_REQUIRE(!t.parts.empty());
    BOOST_TEST(t.parts.front().label == t.id);
    BOOST_TEST(t.parts.front().first_frame == t.first_frame);
    BOOST_TEST(t.parts.back().last_frame == t.last_frame);
    for (std::size_t k = 0; k < t.parts.size(); ++k) {
      BOOST_TEST(labels.insert(t.parts[k].label).second);
      BOOST_TEST(t.parts[k].first_frame <= t.parts[k].last_frame);
      if (k > 0) BOOST_TEST(t.parts[k - 1].last_frame < t.parts[k].first_frame - 1);
    }
  }
  for (auto const& t : all.tracks) {
    if (t.parent == 0) continue;
    BOOST_REQUIRE(by_id.contains(t.parent));
    BOOST_TEST(by_id.at(t.parent)->last_frame < t.first_frame);
    BOOST_TEST(daughters.at(t.parent) == 2);
    BOOST_TEST((by_id.at(t.parent)->end == sp::track_end::division));
  }
  for (auto const& t : all.tracks)
    BOOST_TEST((t.end == sp::track_end::division) == daughters.contains(t.id));
  // Every cell is in exactly the part that covers its frame, and every part is complete.
  std::map<std::pair<std::int64_t, std::int64_t>, int> seen;
  BOOST_TEST(all.frames.size() == frames.size());
  for (std::size_t f = 0; f < frames.size(); ++f) {
    BOOST_TEST(all.frames[f].frame == frames[f].frame);
    BOOST_TEST(all.frames[f].cells.size() == frames[f].cells.size());
    for (auto const& cell : all.frames[f].cells) {
      auto const& t = *by_id.at(cell.track);
      auto const part = std::find_if(t.parts.begin(), t.parts.end(),
                                     [&](auto const& p) { return p.label == cell.label; });
      BOOST_REQUIRE(part != t.parts.end());
      BOOST_TEST(part->first_frame <= all.frames[f].frame);
      BOOST_TEST(part->last_frame >= all.frames[f].frame);
      ++seen[{cell.label, all.frames[f].frame}];
    }
  }
  for (auto const& t : all.tracks)
    for (auto const& part : t.parts)
      for (std::int64_t f = part.first_frame; f <= part.last_frame; ++f)
        BOOST_TEST((seen[{part.label, f}]) == 1);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lineage)

BOOST_AUTO_TEST_CASE(tells_starts_and_ends_apart) {
  std::vector<sp::frame_cells> const frames{frame_with(0, {1, -2, 3}), frame_with(1, {1, -2, 4}),
                                            frame_with(2, {1, 5, 6, -7}), frame_with(3, {1, 5, 6})};
  std::vector<sp::cell_link> const links{link(0, 1, 1, 1),
                                         link(0, 2, 1, 2),
                                         link(1, 1, 2, 1),
                                         link(1, 4, 2, 5),
                                         link(1, 4, 2, 6, sp::link_kind::split),
                                         link(2, 1, 3, 1),
                                         link(2, 5, 3, 5),
                                         link(2, 6, 3, 6)};
  auto const all = sp::make_lineage(frames, links);
  check_valid(all, frames);
  auto const& stays = track_of(all, 0, 1);
  BOOST_TEST((stays.start == sp::track_start::movie_start));
  BOOST_TEST((stays.end == sp::track_end::movie_end));
  BOOST_TEST((track_of(all, 0, 2).end == sp::track_end::left));
  BOOST_TEST((track_of(all, 0, 3).end == sp::track_end::lost));
  auto const& mother = track_of(all, 1, 4);
  BOOST_TEST((mother.start == sp::track_start::appeared));
  BOOST_TEST((mother.end == sp::track_end::division));
  BOOST_TEST(track_of(all, 2, 5).parent == mother.id);
  BOOST_TEST(track_of(all, 2, 6).parent == mother.id);
  BOOST_TEST((track_of(all, 2, 6).start == sp::track_start::division));
  BOOST_TEST((track_of(all, 2, 7).start == sp::track_start::entered));
}

BOOST_AUTO_TEST_CASE(a_gap_is_no_division) {
  std::vector<sp::frame_cells> const frames{frame_with(0, {1}), frame_with(1, {}),
                                            frame_with(2, {8}), frame_with(3, {9})};
  std::vector<sp::cell_link> const links{link(0, 1, 2, 8, sp::link_kind::gap), link(2, 8, 3, 9)};
  auto const all = sp::make_lineage(frames, links);
  check_valid(all, frames);
  BOOST_REQUIRE(all.tracks.size() == 1U);
  BOOST_TEST(all.tracks[0].last_frame == 3);
  BOOST_REQUIRE(all.tracks[0].parts.size() == 2U);
  BOOST_TEST(all.tracks[0].parts[1].label == 2);
  // A split with one daughter only is no division either.
  auto const single =
      sp::make_lineage(std::vector<sp::frame_cells>{frame_with(0, {1}), frame_with(1, {2})},
                       std::vector<sp::cell_link>{link(0, 1, 1, 2, sp::link_kind::split)});
  BOOST_TEST(single.tracks.size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_daughter_found_late_ends_its_mother_in_time) {
  // 1 goes on as 2; the other daughter is first seen a frame later.
  std::vector<sp::frame_cells> const frames{frame_with(0, {1}), frame_with(1, {2}),
                                            frame_with(2, {3, 4}), frame_with(3, {5, 6})};
  std::vector<sp::cell_link> const links{link(0, 1, 1, 2), link(1, 2, 2, 3),
                                         link(0, 1, 2, 4, sp::link_kind::split), link(2, 3, 3, 5),
                                         link(2, 4, 3, 6)};
  auto const all = sp::make_lineage(frames, links);
  check_valid(all, frames);
  auto const& mother = track_of(all, 0, 1);
  BOOST_TEST(mother.last_frame == 0);
  BOOST_TEST(track_of(all, 1, 2).parent == mother.id);
  BOOST_TEST(track_of(all, 1, 2).first_frame == 1);
  BOOST_TEST(track_of(all, 3, 6).parent == mother.id);
  BOOST_TEST(track_of(all, 3, 6).first_frame == 2);
}

BOOST_AUTO_TEST_CASE(a_merged_track_says_where_it_went) {
  std::vector<sp::frame_cells> const frames{frame_with(0, {1, 2}), frame_with(1, {3})};
  std::vector<sp::cell_link> const links{link(0, 1, 1, 3), link(0, 2, 1, 3, sp::link_kind::merge)};
  auto const all = sp::make_lineage(frames, links);
  check_valid(all, frames);
  BOOST_TEST((track_of(all, 0, 2).end == sp::track_end::merged));
  BOOST_TEST(track_of(all, 0, 2).merged_into == track_of(all, 1, 3).id);
}

BOOST_AUTO_TEST_CASE(refuses_links_that_make_no_lineage) {
  std::vector<sp::frame_cells> const frames{frame_with(0, {1, 2}), frame_with(1, {3, 4, 5}),
                                            frame_with(2, {6})};
  auto const refused = [&](std::vector<sp::cell_link> const& links, std::string const& id) {
    BOOST_CHECK_EXCEPTION(sp::make_lineage(frames, links), sp::unsupported_error,
                          [&](sp::error const& e) { return e.id() == id; });
  };
  refused({link(0, 1, 1, 3), link(0, 2, 1, 3)}, "septum.lineage.5");
  refused({link(0, 1, 1, 3), link(0, 1, 1, 4), link(0, 1, 1, 5)}, "septum.lineage.6");
  refused({link(1, 3, 0, 1)}, "septum.lineage.3");
  refused({link(1, 3, 1, 4)}, "septum.lineage.3");
  refused({link(0, 9, 1, 3)}, "septum.lineage.4");
  refused({link(0, 1, 1, 9)}, "septum.lineage.4");
  refused({link(0, 1, 7, 9)}, "septum.lineage.4");
  refused({link(0, 1, 1, 3), link(0, 1, 1, 4, sp::link_kind::merge)}, "septum.lineage.6");
  BOOST_CHECK_THROW(sp::make_lineage(std::vector<sp::frame_cells>{frame_with(0, {1, 1})}, {}),
                    sp::unsupported_error);
  BOOST_CHECK_THROW(
      sp::make_lineage(std::vector<sp::frame_cells>{frame_with(1, {1}), frame_with(1, {1})}, {}),
      sp::unsupported_error);
}

BOOST_AUTO_TEST_CASE(every_lineage_from_random_links_is_valid) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    sp::counter_rng const rng{.seed = seed};
    std::uint64_t next = 0;
    auto const below = [&](std::size_t n) {
      return static_cast<std::size_t>(rng.below(next++, n));
    };
    std::vector<sp::frame_cells> frames;
    std::vector<sp::cell_link> links;
    std::map<std::pair<std::int64_t, std::int64_t>, int> successors;
    std::int64_t number = 0;
    for (int f = 0; f < 12; ++f, number += 1 + static_cast<std::int64_t>(below(6) == 0)) {
      std::vector<std::int64_t> ids;
      for (std::int64_t id = 1; id <= static_cast<std::int64_t>(below(9)); ++id)
        ids.push_back(below(5) == 0 ? -id : id);
      frames.push_back(frame_with(number, ids));
      for (std::int64_t const id : ids) {
        if (below(4) == 0 || f == 0) continue;
        // From any cell of the last three frames that has a place left.
        auto const& from =
            frames[static_cast<std::size_t>(std::max(f - 1 - static_cast<int>(below(3)), 0))];
        if (from.cells.empty()) continue;
        std::int64_t const source = from.cells[below(from.cells.size())].id;
        if (successors[{from.frame, source}]++ < 2)
          links.push_back(
              link(from.frame, source, number, std::abs(id), static_cast<sp::link_kind>(below(3))));
      }
    }
    BOOST_TEST_CONTEXT("seed " << seed) {
      auto const all = sp::make_lineage(frames, links);
      check_valid(all, frames);
      // One tree per track without a parent.
      auto const newick = sp::to_newick(all.tracks);
      BOOST_TEST(std::count(newick.begin(), newick.end(), ';') ==
                 std::count_if(all.tracks.begin(), all.tracks.end(),
                               [](auto const& t) { return t.parent == 0; }));
    }
  }
}

BOOST_AUTO_TEST_CASE(frames_come_out_once_nothing_can_change_them) {
  sp::lineage_builder builder{2};
  BOOST_TEST(builder.push(frame_with(0, {1}), {}).empty());
  std::vector<sp::cell_link> const first{link(0, 1, 1, 1)};
  BOOST_TEST(builder.push(frame_with(1, {1}), first).empty());
  std::vector<sp::cell_link> const second{link(1, 1, 2, 1)};
  auto const done = builder.push(frame_with(2, {1}), second);
  BOOST_REQUIRE(done.size() == 1U);
  BOOST_TEST(done[0].frame == 0);
  BOOST_TEST(builder.finish().size() == 2U);
}

BOOST_AUTO_TEST_CASE(trees_are_written_in_newick_format) {
  std::vector<sp::frame_cells> const frames{frame_with(0, {1, 9}), frame_with(1, {1}),
                                            frame_with(2, {2, 3}), frame_with(3, {2, 4, 5})};
  std::vector<sp::cell_link> const links{
      link(0, 1, 1, 1), link(1, 1, 2, 2), link(1, 1, 2, 3, sp::link_kind::split),
      link(2, 2, 3, 2), link(2, 3, 3, 4), link(2, 3, 3, 5, sp::link_kind::split)};
  auto const all = sp::make_lineage(frames, links);
  check_valid(all, frames);
  // Numbers in the order of creation: 1 and 2 in frame 0, daughters of 1 in frame 2, of these in 3.
  BOOST_TEST(sp::to_newick(all.tracks) == "(3:2,(5:1,6:1)4:1)1:2;\n2:1;\n");
}

BOOST_AUTO_TEST_SUITE_END()
