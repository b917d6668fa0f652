#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <septum/image/components.hpp>
#include <septum/simulate/colony.hpp>
#include <set>
#include <string>
#include <vector>

#include "support/error_id.hpp"

namespace sp = septum;

namespace {

sp::colony_options options() {
  return {.frames = 16,
          .extent = {170, 160},
          .founders = 4,
          .founder_area = 0.5,
          .growth = {.doubling_time_min = 25},
          .seed = 3};
}

sp::simulated_movie const& movie() {
  static sp::simulated_movie const simulated = sp::simulate_colony(options());
  return simulated;
}

std::map<std::int32_t, sp::simulated_cell> cells_by_id(sp::lineage_truth const& truth) {
  std::map<std::int32_t, sp::simulated_cell> cells;
  for (auto const& cell : truth.cells) cells[cell.id] = cell;
  return cells;
}

// A movie whose cells leave: founders all over a small image.
sp::colony_options crowded() {
  auto crowd = options();
  crowd.extent = {90, 90};
  crowd.founder_area = 1;
  crowd.founders = 6;
  crowd.frames = 24;
  return crowd;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(colony)

BOOST_AUTO_TEST_CASE(labels_and_truth_name_the_same_cells) {
  for (auto const& simulated : {movie(), sp::simulate_colony(crowded())}) {
    std::map<std::pair<int, std::int32_t>, std::int64_t> pixels;
    for (std::size_t f = 0; f < simulated.cells.size(); ++f)
      for (auto const id : simulated.cells[f])
        if (id != 0) ++pixels[{static_cast<int>(f), id}];
    BOOST_TEST(simulated.truth.states.size() == pixels.size());
    for (auto const& state : simulated.truth.states) {
      auto const found = pixels.find({state.frame, state.id});
      BOOST_TEST_REQUIRE((found != pixels.end()));
      BOOST_TEST_REQUIRE(found->second == state.pixels);
    }
    std::set<std::int32_t> ids;
    for (auto const& cell : simulated.truth.cells) ids.insert(cell.id);
    for (auto const& [key, count] : pixels) BOOST_TEST_REQUIRE(ids.contains(key.second));
  }
}

BOOST_AUTO_TEST_CASE(every_label_is_one_region) {
  for (auto const& frame : movie().cells) {
    std::set<std::int32_t> ids(frame.begin(), frame.end());
    ids.erase(0);
    auto const parts = sp::connected_components(frame, sp::connectivity::four);
    BOOST_TEST(sp::largest_label(parts) == static_cast<std::int32_t>(ids.size()));
  }
}

BOOST_AUTO_TEST_CASE(records_have_no_gaps) {
  for (auto const& simulated : {movie(), sp::simulate_colony(crowded())}) {
    std::map<std::int32_t, std::vector<int>> frames;
    for (auto const& state : simulated.truth.states) frames[state.id].push_back(state.frame);
    for (auto const& cell : simulated.truth.cells) {
      auto const& seen = frames.at(cell.id);
      BOOST_TEST(seen.front() == cell.first_frame);
      BOOST_TEST(seen.back() == cell.last_frame);
      BOOST_TEST(static_cast<int>(seen.size()) == cell.last_frame - cell.first_frame + 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(mothers_exist_and_end_where_daughters_begin) {
  for (auto const& simulated : {movie(), sp::simulate_colony(crowded())}) {
    auto const cells = cells_by_id(simulated.truth);
    int const last = static_cast<int>(simulated.cells.size()) - 1;
    std::map<std::int32_t, int> daughters;
    for (auto const& [id, cell] : cells) {
      if (cell.parent == 0) {
        BOOST_TEST(cell.first_frame == 0);
        continue;
      }
      BOOST_TEST_REQUIRE(cells.contains(cell.parent));
      auto const& mother = cells.at(cell.parent);
      BOOST_TEST(mother.last_frame + 1 == cell.first_frame);
      BOOST_TEST((mother.fate == sp::cell_fate::divided));
      ++daughters[cell.parent];
    }
    for (auto const& [id, cell] : cells) {
      BOOST_TEST((daughters.contains(id) == (cell.fate == sp::cell_fate::divided)));
      if (cell.fate == sp::cell_fate::last_frame) BOOST_TEST(cell.last_frame == last);
      if (cell.fate == sp::cell_fate::left) BOOST_TEST(cell.last_frame < last);
    }
    for (auto const& [id, count] : daughters) BOOST_TEST(count <= 2);
  }
  auto const crowd = sp::simulate_colony(crowded());
  BOOST_TEST(std::ranges::count(crowd.truth.cells, sp::cell_fate::left, &sp::simulated_cell::fate) >
             0);
}

// Areas grow at the cell's own rate: ln(A2 / A1) = rate * time, exactly; and over a division the
// daughters' areas, grown back to the same moment, add up to the mother's.
BOOST_AUTO_TEST_CASE(areas_grow_exponentially) {
  std::map<std::int32_t, sp::simulated_state> before;
  auto const cells = cells_by_id(movie().truth);
  double const hours = movie().frame_interval_min / 60;
  int compared = 0;
  for (auto const& state : movie().truth.states) {
    if (auto const earlier = before.find(state.id); earlier != before.end()) {
      double const rate = std::log(state.area_um2 / earlier->second.area_um2) / hours;
      BOOST_TEST(rate == cells.at(state.id).growth_rate_per_h, boost::test_tools::tolerance(1e-9));
      ++compared;
    }
    before[state.id] = state;
  }
  BOOST_TEST(compared > 100);
}

BOOST_AUTO_TEST_CASE(area_and_length_are_conserved_at_division) {
  sp::rod_colony colony{options()};
  std::map<std::int32_t, sp::colony_rod> before;
  int divisions = 0;
  double worst_length = 0;
  for (int frame = 1; frame < 16; ++frame) {
    before.clear();
    for (auto const& cell : colony.cells()) before[cell.shape.id] = cell;
    colony.advance();
    std::map<std::int32_t, std::vector<sp::colony_rod>> daughters;
    for (auto const& cell : colony.cells())
      if (before.contains(cell.parent) && !before.contains(cell.shape.id))
        daughters[cell.parent].push_back(cell);
    for (auto const& [mother_id, pair] : daughters) {
      BOOST_TEST_REQUIRE(pair.size() == 2U);
      auto const& mother = before.at(mother_id);
      double const born = pair[0].birth_area_px2 + pair[1].birth_area_px2;
      // The mother divides in the first growth step that reaches her division area.
      double const step = 5.0 / 10 * mother.rate_per_min;
      BOOST_TEST(born >= mother.division_area_px2 * (1 - 1e-12));
      BOOST_TEST(born < mother.division_area_px2 * std::exp(step) * (1 + 1e-12));
      double const lengths = sp::rod_length_px(pair[0].birth_area_px2, mother.shape.radius_px, 0) +
                             sp::rod_length_px(pair[1].birth_area_px2, mother.shape.radius_px, 0);
      worst_length = std::max(
          worst_length, std::abs(lengths - sp::rod_length_px(born, mother.shape.radius_px, 1)));
      ++divisions;
    }
  }
  BOOST_TEST(divisions > 10);
  BOOST_TEST(worst_length < 1e-9);
}

BOOST_AUTO_TEST_CASE(the_colony_doubles_in_the_doubling_time) {
  // Without spread, total area doubles every 25 min: 15 frames of 5 min are three doublings.
  auto exact = options();
  exact.growth.rate_cv = 0;
  sp::rod_colony colony{exact};
  auto const total = [&] {
    double area = 0;
    for (auto const& cell : colony.cells()) area += cell.area_px2;
    return area;
  };
  double const start = total();
  for (int frame = 0; frame < 15; ++frame) colony.advance();
  BOOST_TEST(total() / start == 8, boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(sizes_follow_the_division_rule) {
  // Adder: area at division is birth area plus a constant, whatever the birth area. Sizer:
  // constant.
  for (auto const rule : {sp::division_rule::adder, sp::division_rule::sizer}) {
    auto plain = options();
    plain.growth.rule = rule;
    plain.growth.size_cv = 0;
    plain.growth.width_cv = 0;
    plain.growth.split_sd = 0.05;
    sp::rod_colony colony{plain};
    for (int frame = 0; frame < 15; ++frame) colony.advance();
    double const typical = sp::rod_area_px2(2.0 / 0.13, 0.45 / 0.13, 0);
    double least_birth = 1e9;
    double largest_birth = 0;
    for (auto const& cell : colony.cells()) {
      least_birth = std::min(least_birth, cell.birth_area_px2);
      largest_birth = std::max(largest_birth, cell.birth_area_px2);
      double const expected =
          rule == sp::division_rule::adder ? cell.birth_area_px2 + typical : 2 * typical;
      BOOST_TEST(cell.division_area_px2 == expected, boost::test_tools::tolerance(1e-9));
    }
    BOOST_TEST(largest_birth > 1.1 * least_birth);
  }
}

BOOST_AUTO_TEST_CASE(pixels_agree_with_the_geometry) {
  double const pixel_area = 0.13 * 0.13;
  double counted = 0;
  double exact = 0;
  for (auto const& state : movie().truth.states) {
    bool const whole =
        state.row_px > 25 && state.row_px < 145 && state.column_px > 25 && state.column_px < 135;
    if (!whole) continue;
    auto const pixels = static_cast<double>(state.pixels) * pixel_area;
    BOOST_TEST(pixels == state.area_um2, boost::test_tools::tolerance(0.14));
    counted += pixels;
    exact += state.area_um2;
    BOOST_TEST(movie().cells[static_cast<std::size_t>(state.frame)](
                   std::lround(state.row_px), std::lround(state.column_px)) == state.id);
  }
  BOOST_TEST(exact > 100);
  BOOST_TEST(counted == exact, boost::test_tools::tolerance(0.03));
}

BOOST_AUTO_TEST_CASE(cells_are_darker_than_what_lies_between) {
  auto const& last = movie().cells.back();
  double inside = 0;
  double outside = 0;
  int cells = 0;
  int background = 0;
  for (std::size_t r = 0; r < 170; ++r)
    for (std::size_t c = 0; c < 160; ++c) {
      double const value = movie().pixels(15, r, c, 0);
      BOOST_TEST_REQUIRE((value >= 0 && value <= 65535 && value == std::floor(value)));
      (last(r, c) != 0 ? inside : outside) += value;
      ++(last(r, c) != 0 ? cells : background);
    }
  BOOST_TEST(inside / cells < 0.9 * outside / background);
}

BOOST_AUTO_TEST_CASE(threads_change_no_byte_and_seeds_do) {
  auto small = options();
  small.frames = 6;
  small.extent = {90, 80};
  auto const one = sp::simulate_colony(small);
  for (int const count : {2, 5}) {
    auto const several = sp::simulate_colony(small, {}, sp::exec::threads{count});
    BOOST_TEST((several.pixels == one.pixels));
    BOOST_TEST((several.cells == one.cells));
  }
  small.seed = 4;
  auto const other = sp::simulate_colony(small);
  BOOST_TEST((other.pixels != one.pixels));
  BOOST_TEST((other.cells != one.cells));
}

BOOST_AUTO_TEST_CASE(a_shorter_movie_is_the_beginning_of_a_longer_one) {
  auto small = options();
  small.frames = 3;
  small.extent = {90, 80};
  auto const brief = sp::simulate_colony(small);
  small.frames = 5;
  auto const extended = sp::simulate_colony(small);
  BOOST_TEST(std::equal(brief.pixels.begin(), brief.pixels.end(), extended.pixels.begin()));
}

BOOST_AUTO_TEST_CASE(progress_is_told_frame_by_frame) {
  auto small = options();
  small.frames = 3;
  small.extent = {40, 40};
  std::vector<int> told;
  auto const simulated =
      sp::simulate_colony(small, {}, {}, [&](int frame) { told.push_back(frame); });
  BOOST_TEST(simulated.cells.size() == 3U);
  BOOST_TEST(told == (std::vector<int>{1, 2, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused) {
  auto const refused = [&](auto const& change) {
    auto wrong = options();
    change(wrong);
    return test::id_of([&] { return sp::simulate_colony(wrong); }) == "septum.simulate.1";
  };
  BOOST_TEST(refused([](auto& o) { o.frames = 0; }));
  BOOST_TEST(refused([](auto& o) { o.extent = {0, 10}; }));
  BOOST_TEST(refused([](auto& o) { o.founders = 0; }));
  BOOST_TEST(refused([](auto& o) { o.pixel_size_um = 0; }));
  BOOST_TEST(refused([](auto& o) { o.frame_interval_min = std::nan(""); }));
  BOOST_TEST(refused([](auto& o) { o.growth.doubling_time_min = -1; }));
  BOOST_TEST(refused([](auto& o) { o.growth.birth_length_um = 0.5; }));
  BOOST_TEST(refused([](auto& o) { o.growth.split_sd = 0.4; }));
}

BOOST_AUTO_TEST_SUITE_END()
