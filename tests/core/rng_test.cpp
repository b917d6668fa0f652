#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numeric>
#include <septum/core/rng.hpp>
#include <set>
#include <vector>

namespace sp = septum;

BOOST_AUTO_TEST_SUITE(rng)

BOOST_AUTO_TEST_CASE(philox_known_answers) {
  // Known-answer vectors of the Random123 distribution for philox4x32-10.
  using block = std::array<std::uint32_t, 4>;
  BOOST_TEST((sp::philox4x32({0, 0, 0, 0}, {0, 0}) ==
              block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t ones = 0xffffffff;
  BOOST_TEST((sp::philox4x32({ones, ones, ones, ones}, {ones, ones}) ==
              block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  BOOST_TEST(
      (sp::philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
       block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

BOOST_AUTO_TEST_CASE(moments) {
  sp::counter_rng const rng{42, 3};
  constexpr int count = 200'000;
  double sum = 0.0;
  double squares = 0.0;
  double fourth = 0.0;
  double uniform = 0.0;
  for (std::uint64_t i = 0; i < count; ++i) {
    double const x = rng.normal(i);
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
    uniform += rng.uniform(i);
  }
  BOOST_TEST(std::abs(sum / count) < 0.01);
  BOOST_TEST(std::abs(squares / count - 1.0) < 0.02);
  BOOST_TEST(std::abs(fourth / count - 3.0) < 0.15);
  BOOST_TEST(std::abs(uniform / count - 0.5) < 0.005);
}

BOOST_AUTO_TEST_CASE(below_stays_below_and_reaches_all) {
  sp::counter_rng const rng{1, 1};
  std::array<int, 7> hits{};
  for (std::uint64_t i = 0; i < 7'000; ++i) {
    auto const value = rng.below(i, 7);
    BOOST_REQUIRE(value < 7U);
    ++hits[value];
  }
  for (int const hit : hits) BOOST_TEST(std::abs(hit - 1000) < 150);
}

BOOST_AUTO_TEST_CASE(streams_and_forks_differ) {
  std::set<std::uint64_t> seen;
  for (std::uint64_t stream = 0; stream < 20; ++stream)
    seen.insert(sp::counter_rng{5, stream}.bits(0));
  for (std::uint64_t task = 0; task < 20; ++task)
    seen.insert(sp::counter_rng{5, 100}.fork(task).bits(0));
  BOOST_TEST(seen.size() == 40U);
}

BOOST_AUTO_TEST_CASE(shuffle_is_a_permutation_and_fair) {
  std::array<int, 4> first{};
  for (std::uint64_t seed = 0; seed < 4'000; ++seed) {
    std::vector<int> values{0, 1, 2, 3};
    sp::shuffle(values, {seed, 2});
    ++first[static_cast<std::size_t>(values[0])];
    BOOST_REQUIRE(std::accumulate(values.begin(), values.end(), 0) == 6);
    BOOST_REQUIRE((std::set<int>{values.begin(), values.end()}.size()) == 4U);
  }
  for (int const hit : first) BOOST_TEST(std::abs(hit - 1000) < 130);
}

BOOST_AUTO_TEST_SUITE_END()
