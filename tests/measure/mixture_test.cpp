#include <septum/core/rng.hpp>
#include <septum/measure/mixture.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <golden/mixture_golden.inc>
#include <limits>
#include <vector>

namespace sp = septum;

namespace {

template <std::size_t N>
std::vector<float> numbers_of(int const (&table)[N][2]) {
  std::vector<float> numbers;
  for (auto const& [value, count] : table)
    for (int k = 0; k < count; ++k) numbers.push_back(static_cast<float>(value));
  return numbers;
}

void check(sp::gaussian_mixture const& found, double const* expected, double scale, double shift) {
  auto const close = boost::test_tools::tolerance(1e-4);
  BOOST_TEST((found.fit == sp::mixture_fit::good));
  BOOST_TEST(found.low.weight == expected[0], close);
  BOOST_TEST((found.low.mean - shift) / scale == expected[1], close);
  BOOST_TEST(found.low.sd / scale == expected[2], close);
  BOOST_TEST(found.high.weight == expected[3], close);
  BOOST_TEST((found.high.mean - shift) / scale == expected[4], close);
  BOOST_TEST(found.high.sd / scale == expected[5], close);
  BOOST_TEST(found.log_likelihood + std::log(scale) == expected[6], close);
}

template <std::size_t N>
void check_case(int const (&table)[N][2], double const* expected) {
  auto numbers = numbers_of(table);
  check(sp::fit_mixture(numbers), expected, 1, 0);
  // Floats that fill bins: the same to the same tolerance.
  for (float& number : numbers) number = 0.001F * number + 0.5F;
  check(sp::fit_mixture(numbers), expected, 0.001, 0.5);
}

/// Two bells whose numbers are drawn from a seed.
std::vector<float> draw(std::uint64_t seed, int low, int high, double distance) {
  sp::counter_rng const rng{seed, 3};
  std::vector<float> numbers;
  for (int i = 0; i < low + high; ++i)
    numbers.push_back(
        static_cast<float>(rng.normal(static_cast<std::uint64_t>(i)) + (i < low ? 0 : distance)));
  return numbers;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mixture)

BOOST_AUTO_TEST_CASE(as_scikit_learn_fits) {
  check_case(golden::apart_numbers, golden::apart_mixture);
  check_case(golden::overlapping_numbers, golden::overlapping_mixture);
  check_case(golden::unequal_numbers, golden::unequal_mixture);
}

BOOST_AUTO_TEST_CASE(tables_of_values) {
  std::vector<float> const numbers{3, 1, 3, 7, 1, 1};
  auto const table = sp::count_values(numbers);
  std::vector<double> const values{1, 3, 7};
  std::vector<double> const counts{3, 2, 1};
  BOOST_TEST(table.values == values, boost::test_tools::per_element());
  BOOST_TEST(table.counts == counts, boost::test_tools::per_element());
  auto const binned = sp::count_values(std::vector<float>{0.0F, 0.1F, 0.9F, 1.0F}, 2);
  BOOST_REQUIRE_EQUAL(binned.values.size(), 2U);
  BOOST_TEST(binned.values[0] == 0.05, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(binned.total() == 4.0);
  BOOST_TEST(sp::count_values({}).values.empty());
  float const nan = std::numeric_limits<float>::quiet_NaN();
  BOOST_CHECK_THROW((void)sp::count_values(std::vector<float>{1, nan, 2}), sp::unsupported_error);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_believed_is_flagged) {
  auto const few = sp::fit_mixture(draw(1, 20, 20, 9));
  BOOST_TEST((few.fit == sp::mixture_fit::few_values));
  BOOST_TEST(few.low.mean == few.high.mean);
  auto const one = sp::fit_mixture(std::vector<float>(100, 4.0F));
  BOOST_TEST((one.fit == sp::mixture_fit::one_component));
  BOOST_TEST(one.high.mean == 4.0);
  auto const lonely = draw(2, 500, 3, 40);
  auto const thin = sp::fit_mixture(lonely);
  BOOST_TEST((thin.fit == sp::mixture_fit::one_component));
  double mean = 0;
  for (float const number : lonely) mean += static_cast<double>(number) / 503;
  BOOST_TEST(thin.high.mean == mean, boost::test_tools::tolerance(1e-9));
  auto const hurried = sp::fit_mixture(draw(3, 500, 400, 3), {.most_iterations = 2});
  BOOST_TEST((hurried.fit == sp::mixture_fit::not_converged));
  BOOST_TEST((sp::fit_mixture(sp::weighted_values{}).fit == sp::mixture_fit::few_values));
}

BOOST_AUTO_TEST_CASE(standard_errors_cover_the_truth) {
  int inside = 0;
  constexpr int samples = 300;
  for (int k = 0; k < samples; ++k) {
    auto const found = sp::fit_mixture(draw(static_cast<std::uint64_t>(k) + 10, 600, 400, 4));
    BOOST_REQUIRE((found.fit == sp::mixture_fit::good));
    inside += std::abs(found.high.mean - 4) < 1.96 * found.high.mean_error ? 1 : 0;
  }
  // 95 %, give or take four standard deviations of 300 draws.
  BOOST_TEST(inside > 0.90 * samples);
  BOOST_TEST(inside <= samples);
}

BOOST_AUTO_TEST_CASE(separation_of_equal_bells) {
  sp::gaussian_mixture bells;
  bells.low = {.weight = 0.5, .mean = 0, .sd = 2};
  bells.high = {.weight = 0.5, .mean = 6, .sd = 2};
  BOOST_TEST(bells.separation() == 3.0, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_SUITE_END()
