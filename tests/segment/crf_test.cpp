#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <septum/core/rng.hpp>
#include <septum/image/components.hpp>
#include <septum/image/types.hpp>
#include <septum/segment/crf.hpp>
#include <septum/segment/refiners.hpp>
#include <vector>

namespace {

namespace sp = septum;

static_assert(sp::Refiner<sp::after_crf<sp::threshold<1>>>);

/// A bright disc on a dark ground, both with grain.
sp::image disc(std::size_t side, std::size_t channels = 1) {
  sp::counter_rng const rng{11, 5};
  sp::image pixels = sp::image::from_shape({side, side, channels});
  double const middle = static_cast<double>(side) / 2;
  for (std::size_t r = 0; r < side; ++r)
    for (std::size_t c = 0; c < side; ++c)
      for (std::size_t k = 0; k < channels; ++k) {
        double const away =
            std::hypot(static_cast<double>(r) - middle, static_cast<double>(c) - middle);
        pixels(r, c, k) = static_cast<float>((away < middle / 2 ? 100.0 : 20.0) +
                                             10 * rng.uniform((r * side + c) * channels + k));
      }
  return pixels;
}

/// Two classes: the disc, but every pixel is wrong with probability `noise`; nothing within
/// `border`.
sp::probabilities noisy_maps(std::size_t side, double noise, std::size_t border) {
  sp::counter_rng const rng{12, 6};
  sp::probabilities maps = xt::zeros<float>({side, side, std::size_t{2}});
  double const middle = static_cast<double>(side) / 2;
  for (std::size_t r = border; r + border < side; ++r)
    for (std::size_t c = border; c + border < side; ++c) {
      bool const inside =
          std::hypot(static_cast<double>(r) - middle, static_cast<double>(c) - middle) < middle / 2;
      bool const wrong = rng.uniform(r * side + c) < noise;
      maps(r, c, 1) = inside != wrong ? 0.8F : 0.2F;
      maps(r, c, 0) = 1 - maps(r, c, 1);
    }
  return maps;
}

/// The kernel of the definition, summed over all pairs of pixels.
std::vector<double> exact_filter(sp::image const& guide, std::vector<float> const& values,
                                 double position_px, double intensity) {
  std::size_t const columns = guide.shape()[1];
  std::size_t const channels = guide.shape()[2];
  std::vector<double> out(values.size(), 0.0);
  for (std::size_t p = 0; p < values.size(); ++p)
    for (std::size_t q = 0; q < values.size(); ++q) {
      double const dr = static_cast<double>(p / columns) - static_cast<double>(q / columns);
      double const dc = static_cast<double>(p % columns) - static_cast<double>(q % columns);
      double exponent = (dr * dr + dc * dc) / (2 * position_px * position_px);
      for (std::size_t k = 0; intensity > 0 && k < channels; ++k) {
        double const di = static_cast<double>(guide.data()[p * channels + k]) -
                          static_cast<double>(guide.data()[q * channels + k]);
        exponent += di * di / (2 * intensity * intensity);
      }
      out[p] += std::exp(-exponent) * static_cast<double>(values[q]);
    }
  return out;
}

/// Largest difference between averages by the grid and by the definition.
double filter_error(sp::image const& guide, double position_px, double intensity) {
  sp::counter_rng const rng{13, 7};
  std::vector<float> values(guide.shape()[0] * guide.shape()[1]);
  for (std::size_t p = 0; p < values.size(); ++p) values[p] = rng.uniform(p) < 0.3 ? 1.0F : 0.0F;
  std::vector<float> const ones(values.size(), 1.0F);
  auto const top = exact_filter(guide, values, position_px, intensity);
  auto const bottom = exact_filter(guide, ones, position_px, intensity);
  sp::detail::bilateral_grid grid{sp::as_view(guide), position_px, intensity};
  std::vector<float> found = values;
  std::vector<float> weight = ones;
  grid.filter(found, 1, {2});
  grid.filter(weight, 1, {2});
  double worst = 0;
  for (std::size_t p = 0; p < values.size(); ++p)
    worst =
        std::max(worst, std::abs(static_cast<double>(found[p]) / static_cast<double>(weight[p]) -
                                 top[p] / bottom[p]));
  return worst;
}

std::size_t wrong_pixels(sp::probabilities const& maps, sp::probabilities const& truth) {
  std::size_t count = 0;
  for (std::size_t p = 0; p < maps.size(); p += 2)
    count +=
        (maps.data()[p] > maps.data()[p + 1]) != (truth.data()[p] > truth.data()[p + 1]) ? 1U : 0U;
  return count;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dense_random_field)

// A grid of one node per standard deviation is good to a few percent of the range of the values.
BOOST_AUTO_TEST_CASE(the_grid_filters_as_the_definition) {
  BOOST_TEST(filter_error(disc(40), 3, 0) < 0.04);
  BOOST_TEST(filter_error(disc(40), 6, 15) < 0.03);
  BOOST_TEST(filter_error(disc(36, 2), 6, 25) < 0.03);
}

// One kernel and one iteration by the formula: q ~ p exp(w average(p)).
BOOST_AUTO_TEST_CASE(one_iteration_is_the_formula) {
  std::size_t const side = 36;
  auto const maps = noisy_maps(side, 0.2, 0);
  auto const pixels = disc(side);
  auto const found = sp::dense_crf{
      .iterations = 1, .smoothness = 1.5, .smoothness_px = 3, .appearance = 0}(maps, pixels);
  std::vector<float> interior(side * side);
  for (std::size_t p = 0; p < interior.size(); ++p) interior[p] = maps.data()[2 * p + 1];
  auto const top = exact_filter(pixels, interior, 3, 0);
  auto const bottom = exact_filter(pixels, std::vector<float>(interior.size(), 1.0F), 3, 0);
  double worst = 0;
  for (std::size_t p = 0; p < interior.size(); ++p) {
    double const average = top[p] / bottom[p];
    double const one = static_cast<double>(interior[p]) * std::exp(1.5 * average);
    double const zero = (1 - static_cast<double>(interior[p])) * std::exp(1.5 * (1 - average));
    worst = std::max(worst,
                     std::abs(static_cast<double>(found.data()[2 * p + 1]) - one / (one + zero)));
  }
  BOOST_TEST(worst < 0.02);
}

BOOST_AUTO_TEST_CASE(noise_goes_and_the_outline_follows_the_image) {
  std::size_t const side = 64;
  auto const truth = noisy_maps(side, 0.0, 3);
  auto const maps = noisy_maps(side, 0.25, 3);
  auto const pixels = disc(side);
  auto const found =
      sp::dense_crf{.iterations = 10, .smoothness = 2, .appearance = 4}(maps, pixels);
  BOOST_TEST(wrong_pixels(maps, truth) > 700U);
  BOOST_TEST(wrong_pixels(found, truth) < 10U);
  // Without the image the outline is worse.
  auto const blind = sp::dense_crf{
      .iterations = 10, .smoothness = 4, .smoothness_px = 6, .appearance = 0}(maps, pixels);
  BOOST_TEST(wrong_pixels(blind, truth) > wrong_pixels(found, truth));
  for (std::size_t p = 0; p < found.size(); p += 2) {
    float const total = found.data()[p] + found.data()[p + 1];
    float const seen = maps.data()[p] + maps.data()[p + 1];
    BOOST_REQUIRE(std::abs(total - seen) < 1e-5F);
  }
}

BOOST_AUTO_TEST_CASE(nothing_to_do_and_threads) {
  auto const maps = noisy_maps(48, 0.25, 3);
  auto const pixels = disc(48, 2);
  sp::dense_crf const idle{.iterations = 3, .smoothness = 0, .appearance = 0};
  auto const same = idle(maps, pixels);
  for (std::size_t p = 0; p < maps.size(); ++p)
    BOOST_REQUIRE(std::abs(same.data()[p] - maps.data()[p]) < 1e-6F);
  auto const alone = sp::dense_crf{}(maps, pixels);
  for (int threads : {2, 5}) BOOST_TEST((sp::dense_crf{}(maps, pixels, {threads}) == alone));
}

BOOST_AUTO_TEST_CASE(cells_after_a_random_field) {
  auto const maps = noisy_maps(64, 0.25, 3);
  sp::labels raw;
  sp::threshold<1>{}(raw, maps, disc(64));
  sp::labels cells;
  sp::after_crf<sp::threshold<1>>{.crf = {.iterations = 10, .smoothness = 2, .appearance = 4}}(
      cells, maps, disc(64));
  BOOST_TEST(sp::largest_label(raw) > 20);
  BOOST_TEST(sp::largest_label(cells) == 1);
}

BOOST_AUTO_TEST_CASE(wrong_input) {
  auto const maps = noisy_maps(48, 0.25, 3);
  BOOST_CHECK_THROW(static_cast<void>(sp::dense_crf{}(maps, disc(47))), sp::shape_error);
  BOOST_CHECK_THROW(static_cast<void>(sp::dense_crf{.smoothness_px = 0}(maps, disc(48))),
                    sp::unsupported_error);
  // A constant image tells nothing, but is no error.
  sp::image const flat = xt::ones<float>({48, 48, 1});
  auto const found = sp::dense_crf{}(maps, flat);
  BOOST_TEST(std::all_of(found.begin(), found.end(), [](float p) { return std::isfinite(p); }));
}

BOOST_AUTO_TEST_SUITE_END()
