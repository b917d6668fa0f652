#include <septum/image/normalize.hpp>

#include <boost/test/unit_test.hpp>
#include <golden/image_golden.inc>
#include <support/text_image.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace sp = septum;

namespace {

static_assert(sp::Normalizer<sp::median_box_normalizer> && sp::Normalizer<sp::max_normalizer> &&
              sp::Normalizer<sp::standard_deviation_normalizer> &&
              sp::Normalizer<sp::identity_normalizer>);
static_assert(!sp::Normalizer<int>);

template <std::size_t N>
sp::image image_of(double const (&values)[N], std::size_t columns) {
  sp::image pixels = sp::image::from_shape({N / columns, columns, 1});
  std::transform(values, values + N, pixels.begin(),
                 [](double value) { return static_cast<float>(value); });
  return pixels;
}

sp::image random_image(std::size_t rows, std::size_t columns, std::size_t channels,
                       std::uint64_t seed) {
  sp::counter_rng const rng{.seed = seed, .stream = 9};
  sp::image pixels = sp::image::from_shape({rows, columns, channels});
  for (std::size_t k = 0; k < pixels.size(); ++k)
    pixels.data()[k] = static_cast<float>(100 + 900 * rng.uniform(k));
  return pixels;
}

double largest_difference(sp::image const& a, sp::image const& b) {
  BOOST_REQUIRE((a.shape() == b.shape()));
  double largest = 0;
  for (std::size_t k = 0; k < a.size(); ++k)
    largest = std::max(
        largest, std::abs(static_cast<double>(a.data()[k]) - static_cast<double>(b.data()[k])));
  return largest;
}

/// Box mean of the mirrored image by looking at every pixel of every box.
sp::image box_mean_by_definition(sp::image const& pixels, int window) {
  sp::image result = pixels;
  auto const mirrored = [](std::ptrdiff_t i, std::ptrdiff_t n) {
    while (i < 0 || i >= n) i = i < 0 ? -1 - i : 2 * n - 1 - i;
    return static_cast<std::size_t>(i);
  };
  auto const rows = static_cast<std::ptrdiff_t>(pixels.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(pixels.shape()[1]);
  for (std::ptrdiff_t r = 0; r < rows; ++r)
    for (std::ptrdiff_t c = 0; c < columns; ++c)
      for (std::size_t k = 0; k < pixels.shape()[2]; ++k) {
        double sum = 0;
        for (std::ptrdiff_t dr = -window / 2; dr <= window / 2; ++dr)
          for (std::ptrdiff_t dc = -window / 2; dc <= window / 2; ++dc)
            sum +=
                static_cast<double>(pixels(mirrored(r + dr, rows), mirrored(c + dc, columns), k));
        result(r, c, k) = static_cast<float>(sum / (window * window));
      }
  return result;
}

template <class Normalizer>
sp::image normalized(Normalizer const& normalizer, sp::image pixels, int threads = 1) {
  normalizer(sp::as_view(pixels), {threads});
  return pixels;
}

bool has_id(sp::error const& e, std::string const& id, std::string const& part) {
  BOOST_TEST_CONTEXT(e.what()) BOOST_TEST(e.message().find(part) != std::string::npos);
  return e.id() == id;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(normalize)

BOOST_AUTO_TEST_CASE(median_and_box_equal_numpy_and_scipy) {
  // float32 values near 1: a few units in the last place.
  BOOST_TEST(largest_difference(
                 normalized(sp::median_box_normalizer{.window = 5}, image_of(golden::raw_even, 14)),
                 image_of(golden::normalized_even_5, 14)) < 3e-7);
  BOOST_TEST(largest_difference(normalized(sp::median_box_normalizer{.window = 31},
                                           image_of(golden::raw_even, 14)),
                                image_of(golden::normalized_even_31, 14)) < 3e-7);
  BOOST_TEST(largest_difference(
                 normalized(sp::median_box_normalizer{.window = 3}, image_of(golden::raw_odd, 5)),
                 image_of(golden::normalized_odd_3, 5)) < 3e-7);
}

BOOST_AUTO_TEST_CASE(channels_are_independent_and_the_box_is_the_definition) {
  auto const raw = random_image(13, 29, 3, 1);
  for (int const window : {1, 3, 31, 61}) {
    auto const result = normalized(sp::median_box_normalizer{.window = window}, raw);
    for (std::size_t k = 0; k < 3; ++k) {
      std::vector<float> values;
      for (std::size_t p = k; p < raw.size(); p += 3) values.push_back(raw.data()[p]);
      std::sort(values.begin(), values.end());
      float const median = values[values.size() / 2];
      sp::image scaled = sp::image::from_shape({13, 29, 1});
      sp::image own = sp::image::from_shape({13, 29, 1});
      for (std::size_t p = 0; p < scaled.size(); ++p) {
        scaled.data()[p] = raw.data()[3 * p + k] / median;
        own.data()[p] = result.data()[3 * p + k];
      }
      auto const box = box_mean_by_definition(scaled, window);
      for (std::size_t p = 0; p < scaled.size(); ++p) scaled.data()[p] -= box.data()[p];
      BOOST_TEST(largest_difference(own, scaled) < 5e-7);
    }
  }
}

BOOST_AUTO_TEST_CASE(median_for_any_values) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    auto pixels = random_image(1 + seed % 5, 1 + seed % 7, 1, seed);
    // Ties, negative values, zeros of both signs, and very different magnitudes.
    for (std::size_t p = 0; p < pixels.size(); ++p) {
      float& value = pixels.data()[p];
      if (seed % 4 == 1) value = std::floor(value / 300);
      if (seed % 4 == 2) value = (p % 2 == 0 ? -1.0F : 1.0F) * value;
      if (seed % 4 == 3) value = p % 3 == 0 ? -0.0F : value * std::pow(10.0F, float(p % 30));
    }
    std::vector<float> values(pixels.begin(), pixels.end());
    std::sort(values.begin(), values.end());
    double const expected = (static_cast<double>(values[(values.size() - 1) / 2]) +
                             static_cast<double>(values[values.size() / 2])) /
                            2;
    for (int const threads : {1, 3})
      BOOST_TEST(sp::detail::channel_median(sp::as_view(pixels), 0, {threads}) == expected);
  }
}

BOOST_AUTO_TEST_CASE(thread_count_changes_no_bit) {
  auto const raw = random_image(300, 41, 2, 3);
  auto const check = [&](auto const& normalizer) {
    auto const one = normalized(normalizer, raw, 1);
    for (int const threads : {2, 3, 8}) BOOST_TEST((normalized(normalizer, raw, threads) == one));
  };
  check(sp::median_box_normalizer{.window = 31});
  check(sp::standard_deviation_normalizer{.window = 31});
  check(sp::max_normalizer{});
}

BOOST_AUTO_TEST_CASE(long_columns_do_not_drift) {
  auto const raw = random_image(700, 5, 1, 4);
  auto const result = normalized(sp::median_box_normalizer{.window = 3}, raw);
  sp::image scaled = raw;
  double const median = sp::detail::channel_median(sp::as_view(raw), 0, {});
  for (auto& value : scaled) value = static_cast<float>(static_cast<double>(value) / median);
  auto const box = box_mean_by_definition(scaled, 3);
  for (std::size_t p = 0; p < scaled.size(); ++p) scaled.data()[p] -= box.data()[p];
  BOOST_TEST(largest_difference(result, scaled) < 3e-7);
}

BOOST_AUTO_TEST_CASE(standard_deviation_is_one_afterwards) {
  auto const result =
      normalized(sp::standard_deviation_normalizer{.window = 11}, random_image(40, 50, 2, 5));
  for (std::size_t k = 0; k < 2; ++k) {
    double sum = 0, squares = 0;
    for (std::size_t p = k; p < result.size(); p += 2) {
      sum += static_cast<double>(result.data()[p]);
      squares += static_cast<double>(result.data()[p]) * static_cast<double>(result.data()[p]);
    }
    double const n = static_cast<double>(result.size()) / 2;
    BOOST_TEST(std::sqrt(squares / n - sum / n * sum / n) == 1.0,
               boost::test_tools::tolerance(1e-6));
  }
}

BOOST_AUTO_TEST_CASE(maximum_becomes_one) {
  sp::image pixels = sp::image::from_shape({1, 3, 2});
  std::copy_n(std::vector<float>{1, 10, 4, 40, -2, 30}.begin(), 6, pixels.begin());
  auto const result = normalized(sp::max_normalizer{}, pixels);
  std::vector<float> const expected{0.25F, 0.25F, 1, 1, -0.5F, 0.75F};
  BOOST_TEST(std::vector<float>(result.begin(), result.end()) == expected,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(constant_image_becomes_zero) {
  sp::image pixels = sp::image::from_shape({8, 9, 1});
  pixels.fill(700);
  for (float const value : normalized(sp::median_box_normalizer{.window = 5}, pixels))
    BOOST_TEST(value == 0.0F);
}

BOOST_AUTO_TEST_CASE(zero_median_names_the_channel) {
  sp::image pixels = random_image(4, 4, 2, 6);
  for (std::size_t p = 1; p < pixels.size(); p += 2)
    if (p % 3 != 0) pixels.data()[p] = 0;
  BOOST_CHECK_EXCEPTION(normalized(sp::median_box_normalizer{.window = 3}, pixels),
                        sp::unsupported_error, [](sp::error const& e) {
                          return has_id(e, "septum.normalize.3",
                                        "channel 1: expected a positive median");
                        });
  sp::image flat = sp::image::from_shape({4, 4, 1});
  flat.fill(0);
  BOOST_CHECK_EXCEPTION(
      normalized(sp::standard_deviation_normalizer{.window = 3}, flat), sp::unsupported_error,
      [](sp::error const& e) { return has_id(e, "septum.normalize.3", "standard deviation"); });
  BOOST_CHECK_EXCEPTION(
      normalized(sp::max_normalizer{}, flat), sp::unsupported_error,
      [](sp::error const& e) { return has_id(e, "septum.normalize.3", "maximum"); });
}

BOOST_AUTO_TEST_CASE(not_finite_pixels_are_counted_and_located) {
  sp::image pixels = random_image(5, 6, 2, 7);
  pixels(2, 3, 1) = std::numeric_limits<float>::quiet_NaN();
  pixels(4, 0, 0) = -std::numeric_limits<float>::infinity();
  auto const check = [&](auto const& normalizer) {
    for (int const threads : {1, 3})
      BOOST_CHECK_EXCEPTION(normalized(normalizer, pixels, threads), sp::unsupported_error,
                            [](sp::error const& e) {
                              return has_id(e, "septum.normalize.1",
                                            "found 2 NaN or infinite values, the first at row 2, "
                                            "column 3, channel 1");
                            });
  };
  check(sp::median_box_normalizer{.window = 3});
  check(sp::standard_deviation_normalizer{.window = 3});
  check(sp::max_normalizer{});
  check(sp::identity_normalizer{});
}

BOOST_AUTO_TEST_CASE(even_window_is_refused_and_no_pixels_are_fine) {
  for (int const window : {0, -1, 30})
    BOOST_CHECK_EXCEPTION(
        normalized(sp::median_box_normalizer{.window = window}, random_image(2, 2, 1, 8)),
        sp::unsupported_error,
        [](sp::error const& e) { return has_id(e, "septum.normalize.2", "odd window"); });
  BOOST_TEST(normalized(sp::median_box_normalizer{}, sp::image::from_shape({0, 5, 1})).size() ==
             0U);
}

BOOST_AUTO_TEST_SUITE_END()
