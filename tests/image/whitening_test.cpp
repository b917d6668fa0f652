#include <boost/test/unit_test.hpp>
#include <cmath>
#include <septum/core/rng.hpp>
#include <septum/image/whitening.hpp>

namespace sp = septum;

namespace {

sp::image correlated() {
  sp::counter_rng const rng{4, 4};
  sp::image pixels = sp::image::from_shape({80, 70, 2});
  for (std::size_t i = 0; i < 80 * 70; ++i) {
    double const a = rng.normal(2 * i);
    double const b = rng.normal(2 * i + 1);
    pixels.data()[2 * i] = static_cast<float>(100.0 + 5.0 * a);
    pixels.data()[2 * i + 1] = static_cast<float>(50.0 + 4.0 * a + 0.5 * b);
  }
  return pixels;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(whitening)

BOOST_AUTO_TEST_CASE(channels_become_uncorrelated_with_unit_variance) {
  auto pixels = correlated();
  sp::channel_whitening_normalizer{.window = 31}(sp::as_view(pixels), sp::exec::threads{2});
  double mean[2] = {0, 0};
  double product[2][2] = {{0, 0}, {0, 0}};
  constexpr double count = 80 * 70;
  for (std::size_t i = 0; i < 80 * 70; ++i)
    for (std::size_t a = 0; a < 2; ++a) {
      mean[a] += static_cast<double>(pixels.data()[2 * i + a]) / count;
      for (std::size_t b = 0; b < 2; ++b)
        product[a][b] += static_cast<double>(pixels.data()[2 * i + a]) *
                         static_cast<double>(pixels.data()[2 * i + b]) / count;
    }
  for (double const value : mean) BOOST_TEST(std::abs(value) < 1e-5);
  BOOST_TEST(std::abs(product[0][0] - 1.0) < 1e-4);
  BOOST_TEST(std::abs(product[1][1] - 1.0) < 1e-4);
  BOOST_TEST(std::abs(product[0][1]) < 1e-4);
}

BOOST_AUTO_TEST_CASE(one_channel_is_divided_by_its_deviation) {
  sp::image pixels = sp::image::from_shape({40, 40, 1});
  sp::counter_rng const rng{4, 4};
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels.data()[i] = static_cast<float>(10.0 + rng.uniform(i));
  auto expected = pixels;
  sp::median_box_normalizer{.window = 11}(sp::as_view(expected));
  double mean = 0;
  double squares = 0;
  for (float const value : expected) mean += static_cast<double>(value) / 1600;
  for (float const value : expected)
    squares += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean) / 1600;
  sp::channel_whitening_normalizer{.window = 11}(sp::as_view(pixels));
  for (std::size_t i = 0; i < pixels.size(); ++i)
    BOOST_REQUIRE_SMALL(static_cast<double>(pixels.data()[i]) -
                            (static_cast<double>(expected.data()[i]) - mean) / std::sqrt(squares),
                        1e-4);
}

BOOST_AUTO_TEST_CASE(channels_that_are_multiples_are_refused) {
  auto pixels = correlated();
  for (std::size_t i = 0; i < 80 * 70; ++i) pixels.data()[2 * i + 1] = 2.0F * pixels.data()[2 * i];
  try {
    sp::channel_whitening_normalizer{.window = 31}(sp::as_view(pixels));
    BOOST_FAIL("equal channels were whitened");
  } catch (sp::unsupported_error const& failure) {
    BOOST_TEST(failure.id() == "septum.normalize.4");
  }
}

BOOST_AUTO_TEST_SUITE_END()
