#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <numbers>
#include <septum/image/components.hpp>
#include <septum/simulate/nuclei.hpp>
#include <set>
#include <string>
#include <vector>

namespace sp = septum;

namespace {

// Short cycles and fast nuclei: divisions, arrivals and departures in few frames.
sp::nuclei_options nuclei_settings() {
  return {.frames = 20,
          .extent = {160, 180},
          .frame_interval_min = 10,
          .count = 12,
          .cycle_h = 4,
          .mitosis_min = 30,
          .speed_um_per_h = 40,
          .seed = 2};
}

sp::simulated_movie const& nuclei_movie() {
  static sp::simulated_movie const simulated = sp::simulate_nuclei(nuclei_settings());
  return simulated;
}

sp::nucleus ellipse(double long_px, double short_px, double angle) {
  return {
      .body = 1, .centre = {40, 40}, .angle_rad = angle, .long_px = long_px, .short_px = short_px};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(nuclei)

// Counted on a fine lattice, against pi a b (1 + sum w^2 / 2).
BOOST_AUTO_TEST_CASE(area_of_a_waved_ellipse) {
  auto body = ellipse(20, 13, 0.6);
  body.wave = {0.06, -0.04, 0.08};
  body.phase = {0.3, 1.9, 4.4};
  double counted = 0;
  double const step = 0.1;
  for (double row = 0; row < 80; row += step)
    for (double column = 0; column < 80; column += step)
      if (sp::position_in(body, {row, column}).depth < 1) counted += step * step;
  BOOST_TEST(sp::nucleus_area_px2(body) == std::numbers::pi * 260 * (1 + 0.5 * 0.0116),
             boost::test_tools::tolerance(1e-12));
  BOOST_TEST(counted == sp::nucleus_area_px2(body), boost::test_tools::tolerance(2e-3));
}

// An ellipse with half axes 10 and 6, its long axis along the columns, then along the rows.
BOOST_AUTO_TEST_CASE(depth_is_one_on_the_outline) {
  auto const flat = ellipse(10, 6, 0);
  BOOST_TEST(sp::position_in(flat, {40, 50}).depth == 1, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(sp::position_in(flat, {46, 40}).depth == 1, boost::test_tools::tolerance(1e-12));
  auto const upright = ellipse(10, 6, std::numbers::pi / 2);
  BOOST_TEST(sp::position_in(upright, {50, 40}).depth == 1, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(sp::position_in(upright, {45, 40}).depth == 0.5, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(labels_and_truth_name_the_same_cells) {
  std::map<std::pair<int, std::int32_t>, std::int64_t> pixels;
  for (std::size_t f = 0; f < nuclei_movie().cells.size(); ++f) {
    std::set<std::int32_t> ids;
    for (auto const id : nuclei_movie().cells[f])
      if (id != 0) {
        ++pixels[{static_cast<int>(f), id}];
        ids.insert(id);
      }
    auto const parts = sp::connected_components(nuclei_movie().cells[f], sp::connectivity::four);
    BOOST_TEST(sp::largest_label(parts) == static_cast<std::int32_t>(ids.size()));
  }
  BOOST_TEST(nuclei_movie().truth.states.size() == pixels.size());
  for (auto const& state : nuclei_movie().truth.states) {
    auto const found = pixels.find({state.frame, state.id});
    BOOST_TEST_REQUIRE((found != pixels.end()));
    BOOST_TEST(found->second == state.pixels);
  }
}

BOOST_AUTO_TEST_CASE(lineages_are_consistent) {
  std::map<std::int32_t, std::vector<int>> frames;
  for (auto const& state : nuclei_movie().truth.states) frames[state.id].push_back(state.frame);
  std::map<std::int32_t, sp::simulated_cell> cells;
  std::int32_t expected_id = 1;
  for (auto const& cell : nuclei_movie().truth.cells) {
    BOOST_TEST(cell.id == expected_id++);
    cells[cell.id] = cell;
    auto const& seen = frames.at(cell.id);
    BOOST_TEST(seen.front() == cell.first_frame);
    BOOST_TEST(seen.back() == cell.last_frame);
    BOOST_TEST(static_cast<int>(seen.size()) == cell.last_frame - cell.first_frame + 1);
  }
  std::map<std::int32_t, int> daughters;
  int entered = 0;
  for (auto const& [id, cell] : cells) {
    if (cell.parent == 0) {
      entered += cell.first_frame > 0 ? 1 : 0;
      continue;
    }
    BOOST_TEST_REQUIRE(cells.contains(cell.parent));
    BOOST_TEST(cells.at(cell.parent).last_frame + 1 == cell.first_frame);
    ++daughters[cell.parent];
  }
  int divided = 0;
  int left = 0;
  for (auto const& [id, cell] : cells) {
    BOOST_TEST((daughters.contains(id) == (cell.fate == sp::cell_fate::divided)));
    divided += cell.fate == sp::cell_fate::divided ? 1 : 0;
    left += cell.fate == sp::cell_fate::left ? 1 : 0;
    if (cell.fate == sp::cell_fate::last_frame) BOOST_TEST(cell.last_frame == 19);
  }
  for (auto const& [id, count] : daughters) BOOST_TEST(count <= 2);
  BOOST_TEST(divided > 0);
  BOOST_TEST(left > 0);
  BOOST_TEST(entered > 0);
}

BOOST_AUTO_TEST_CASE(pixels_agree_with_the_geometry) {
  double const pixel_area = 0.65 * 0.65;
  double counted = 0;
  double exact = 0;
  for (auto const& state : nuclei_movie().truth.states) {
    if (state.row_px < 25 || state.row_px > 135 || state.column_px < 25 || state.column_px > 155)
      continue;
    counted += static_cast<double>(state.pixels) * pixel_area;
    exact += state.area_um2;
    // Exact for the unmodulated ellipse, and the waves add less than 1 %.
    BOOST_TEST(state.area_um2 == std::numbers::pi / 4 * state.length_um * state.width_um,
               boost::test_tools::tolerance(0.01));
  }
  BOOST_TEST(exact > 1000);
  BOOST_TEST(counted == exact, boost::test_tools::tolerance(0.03));
}

// Between mitoses the area grows at the stated rate.
BOOST_AUTO_TEST_CASE(areas_grow_at_the_rate_of_the_cell) {
  sp::nuclei_population population{nuclei_settings()};
  std::map<std::int64_t, double> before;
  int compared = 0;
  for (int frame = 0; frame < 20; ++frame) {
    if (frame > 0) population.advance();
    std::map<std::int64_t, double> now;
    for (std::size_t k = 0; k < population.nuclei().size(); ++k) {
      auto const& body = population.nuclei()[k];
      if (body.condensation > 0) continue;
      double const area = sp::nucleus_area_px2(body);
      now[body.body] = area;
      if (auto const earlier = before.find(body.body); earlier != before.end()) {
        BOOST_TEST(std::log(area / earlier->second) * 6 == population.growth_rate_per_h(k),
                   boost::test_tools::tolerance(1e-9));
        ++compared;
      }
    }
    before = now;
  }
  BOOST_TEST(compared > 100);
}

BOOST_AUTO_TEST_CASE(daughters_share_the_area_of_the_mother) {
  sp::nuclei_population population{nuclei_settings()};
  std::map<std::int64_t, sp::nucleus> before;
  int divisions = 0;
  for (int frame = 0; frame < 20; ++frame) {
    if (frame > 0) population.advance();
    std::map<std::int64_t, std::vector<sp::nucleus>> daughters;
    std::map<std::int64_t, sp::nucleus> now;
    for (auto const& body : population.nuclei()) {
      now[body.body] = body;
      if (body.birth_frame == frame && frame > 0) daughters[body.mother].push_back(body);
    }
    for (auto const& [mother, pair] : daughters) {
      BOOST_TEST_REQUIRE(pair.size() == 2U);
      BOOST_TEST_REQUIRE(before.contains(mother));
      BOOST_TEST(!now.contains(mother));
      // Condensing and spreading change the drawn areas; half of the mother each, within that.
      double const ratio = (sp::nucleus_area_px2(pair[0]) + sp::nucleus_area_px2(pair[1])) /
                           sp::nucleus_area_px2(before.at(mother));
      BOOST_TEST(ratio > 0.6);
      BOOST_TEST(ratio < 1.7);
      double const apart = sp::norm(pair[0].centre - pair[1].centre);
      BOOST_TEST(apart > pair[0].short_px + pair[1].short_px - 1);
      BOOST_TEST(apart < 40);
      ++divisions;
    }
    before = now;
  }
  BOOST_TEST(divisions > 5);
}

BOOST_AUTO_TEST_CASE(velocities_have_the_stated_spread) {
  // Displacements of far-apart nuclei that neither divide nor condense, over one short interval.
  auto slow = nuclei_settings();
  slow.extent = {1500, 1500};
  slow.count = 150;
  slow.cycle_h = 1000;
  slow.frame_interval_min = 3;
  slow.speed_um_per_h = 30;
  slow.persistence_min = 30;
  sp::nuclei_population population{slow};
  for (int frame = 0; frame < 60; ++frame) population.advance();  // forget the start at rest
  std::map<std::int64_t, sp::point> before;
  for (auto const& body : population.nuclei()) before[body.body] = body.centre;
  population.advance();
  double squares = 0;
  int count = 0;
  for (auto const& body : population.nuclei()) {
    auto const step = body.centre - before.at(body.body);
    squares += dot(step, step);
    count += 2;
  }
  double const expected = 30.0 / 0.65 / 60 * 3;
  BOOST_TEST(count > 300);
  BOOST_TEST(std::sqrt(squares / count) == expected, boost::test_tools::tolerance(0.12));
}

BOOST_AUTO_TEST_CASE(nuclei_are_brighter_than_the_background) {
  double inside = 0;
  double outside = 0;
  int cells = 0;
  int background = 0;
  for (std::size_t r = 0; r < 160; ++r)
    for (std::size_t c = 0; c < 180; ++c) {
      double const value = nuclei_movie().pixels(10, r, c, 0);
      bool const cell = nuclei_movie().cells[10](r, c) != 0;
      (cell ? inside : outside) += value;
      ++(cell ? cells : background);
    }
  BOOST_TEST(inside / cells > 2 * outside / background);
}

BOOST_AUTO_TEST_CASE(threads_change_no_byte_and_seeds_do) {
  auto small = nuclei_settings();
  small.frames = 4;
  small.extent = {90, 80};
  small.count = 5;
  auto const one = sp::simulate_nuclei(small);
  auto const several = sp::simulate_nuclei(small, {}, sp::exec::threads{3});
  BOOST_TEST((several.pixels == one.pixels));
  BOOST_TEST((several.cells == one.cells));
  small.seed = 5;
  auto const other = sp::simulate_nuclei(small);
  BOOST_TEST((other.pixels != one.pixels));
  BOOST_TEST((other.cells != one.cells));
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused) {
  auto const refused = [&](auto const& change) {
    auto wrong = nuclei_settings();
    change(wrong);
    try {
      auto const simulated = sp::simulate_nuclei(wrong);
    } catch (sp::unsupported_error const& e) {
      return e.id() == "septum.simulate.2";
    }
    return false;
  };
  BOOST_TEST(refused([](auto& o) { o.frames = 0; }));
  BOOST_TEST(refused([](auto& o) { o.count = 0; }));
  BOOST_TEST(refused([](auto& o) { o.axis_ratio = 1.5; }));
  BOOST_TEST(refused([](auto& o) { o.cycle_h = std::nan(""); }));
  BOOST_TEST(refused([](auto& o) { o.mitosis_min = 0; }));
}

BOOST_AUTO_TEST_SUITE_END()
