#include <septum/core/rng.hpp>
#include <septum/image/cores.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "support/error_id.hpp"

namespace sp = septum;

namespace {

using heights = xt::xtensor<float, 2>;

// Rows all alike.
heights ridge(std::size_t rows, std::vector<float> const& across) {
  heights map = heights::from_shape({rows, across.size()});
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < across.size(); ++c) map(r, c) = across[c];
  return map;
}

// The definition, level by level: what hangs together and is large enough becomes a core unless one
// lies in it.
sp::labels cores_by_definition(heights const& map, sp::core_rule const& rule) {
  std::set<float, std::greater<>> levels;
  for (float const value : map)
    if (value > rule.above) levels.insert(std::min(value, rule.joined_above));
  sp::labels cores = xt::zeros<std::int32_t>({map.shape()[0], map.shape()[1]});
  sp::labels parts = cores;
  std::int32_t count = 0;
  for (float const level : levels) {
    bool const joined = level == rule.joined_above;
    sp::connected_components(
        [&](std::ptrdiff_t r, std::ptrdiff_t c) {
          float const value = map(r, c);
          return value > rule.above && (value >= level || (joined && value > rule.joined_above));
        },
        sp::as_view(parts), rule.neighbours);
    std::map<std::int32_t, std::int64_t> area;
    std::set<std::int32_t> taken;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      ++area[parts.data()[p]];
      if (cores.data()[p] != 0) taken.insert(parts.data()[p]);
    }
    for (auto const& [part, pixels] : area) {
      if (part == 0 || pixels < rule.area_min || taken.contains(part)) continue;
      ++count;
      for (std::size_t p = 0; p < parts.size(); ++p)
        if (parts.data()[p] == part) cores.data()[p] = count;
    }
  }
  return cores;
}

// Whether two label images are the same but for the numbers.
bool same_parts(sp::labels const& a, sp::labels const& b) {
  std::map<std::int32_t, std::int32_t> to;
  std::map<std::int32_t, std::int32_t> back;
  for (std::size_t p = 0; p < a.size(); ++p) {
    if (to.try_emplace(a.data()[p], b.data()[p]).first->second != b.data()[p]) return false;
    if (back.try_emplace(b.data()[p], a.data()[p]).first->second != a.data()[p]) return false;
  }
  return to.contains(0) ? to.at(0) == 0 : !back.contains(0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cores)

BOOST_AUTO_TEST_CASE(summits_of_enough_pixels_before_they_meet_are_two) {
  // Two summits below the height at which all is one, and a third above it with a dent.
  auto const map = ridge(
      5, {0.1F, 0.7F, 0.7F, 0.65F, 0.7F, 0.7F, 0.7F, 0.1F, 0.9F, 0.85F, 0.95F, 0.4F, 0.1F, 0.6F});
  auto const of = [&](std::int64_t area) {
    return sp::find_cores(sp::as_view(map), {.area_min = area});
  };
  auto const two = of(10);
  BOOST_TEST(sp::largest_label(two) == 3);
  BOOST_TEST(two(2, 1) == two(4, 2));
  BOOST_TEST(two(2, 1) != two(2, 4));
  BOOST_TEST(two(2, 3) == 0);
  BOOST_TEST(two(2, 8) == two(2, 10));
  BOOST_TEST(two(2, 11) == 0);
  BOOST_TEST(two(2, 13) == 0);
  // The smaller one is too small by itself, and belongs to what it meets.
  auto const one = of(11);
  BOOST_TEST(sp::largest_label(one) == 2);
  BOOST_TEST(one(2, 1) == 0);
  BOOST_TEST(one(2, 4) != 0);
  // Neither is large enough: they are a core where they meet.
  auto const late = of(16);
  BOOST_TEST(sp::largest_label(late) == 1);
  BOOST_TEST(late(2, 1) == late(2, 6));
  BOOST_TEST(late(2, 3) == late(2, 6));
}

BOOST_AUTO_TEST_CASE(agree_with_their_definition) {
  for (std::uint64_t round = 0; round < 40; ++round) {
    sp::counter_rng const rng{round, 5};
    std::size_t const rows = 12 + rng.below(0, 30);
    std::size_t const columns = 12 + rng.below(1, 30);
    // Smoothed noise, in few levels every other time, so that many pixels have one.
    heights map = heights::from_shape({rows, columns});
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) {
        double sum = 0.0;
        for (std::uint64_t i = 0; i < 3; ++i)
          for (std::uint64_t k = 0; k < 3; ++k)
            sum += rng.uniform(100 + (r + i) * (columns + 2) + c + k) / 9.0;
        map(r, c) =
            static_cast<float>(round % 2 == 0 ? sum : static_cast<double>(int(sum * 12)) / 12.0);
      }
    map(3, 3) = std::numeric_limits<float>::quiet_NaN();
    for (auto const neighbours : {sp::connectivity::four, sp::connectivity::eight})
      for (std::int64_t const area : {1, 4, 15}) {
        sp::core_rule const rule{
            .above = 0.45F, .joined_above = 0.55F, .area_min = area, .neighbours = neighbours};
        auto const found = sp::find_cores(sp::as_view(map), rule);
        BOOST_TEST_REQUIRE(same_parts(found, cores_by_definition(map, rule)),
                           "round " << round << ", area " << area);
        BOOST_TEST(found(3, 3) == 0);
      }
  }
}

BOOST_AUTO_TEST_CASE(negative_heights_keep_their_order) {
  auto const map = ridge(2, {-3.0F, -1.0F, -2.0F, -1.5F, -4.0F});
  auto const found =
      sp::find_cores(sp::as_view(map), {.above = -3.5F, .joined_above = 0.0F, .area_min = 2});
  BOOST_TEST(sp::largest_label(found) == 2);
  BOOST_TEST(found(0, 1) == 1);
  BOOST_TEST(found(0, 3) == 2);
}

BOOST_AUTO_TEST_CASE(maps_without_a_core) {
  auto const low = ridge(4, {0.1F, 0.2F, 0.3F});
  BOOST_TEST(sp::largest_label(sp::find_cores(sp::as_view(low), {})) == 0);
  heights const nothing = heights::from_shape({0, 0});
  BOOST_TEST(sp::find_cores(sp::as_view(nothing), {}).size() == 0U);
  BOOST_TEST(
      test::id_of([] {
        static_cast<void>(sp::find_cores(sp::view<float const, 2>{nullptr, {70000, 70000}}, {}));
      }) == "septum.cores.1");
}

BOOST_AUTO_TEST_SUITE_END()
