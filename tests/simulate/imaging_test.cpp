#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numeric>
#include <septum/simulate/camera.hpp>
#include <septum/simulate/detail/gaussian_blur.hpp>
#include <septum/simulate/phase_contrast.hpp>
#include <utility>

namespace sp = septum;

namespace {

xt::xtensor<float, 2> filled(std::size_t rows, std::size_t columns, float value) {
  xt::xtensor<float, 2> result = xt::xtensor<float, 2>::from_shape({rows, columns});
  result.fill(value);
  return result;
}

std::pair<double, double> mean_and_sd(xt::xtensor<float, 2> const& values) {
  double sum = 0;
  double squares = 0;
  for (float const value : values) {
    sum += value;
    squares += double{value} * value;
  }
  auto const n = static_cast<double>(values.size());
  return {sum / n, std::sqrt(squares / n - sum / n * (sum / n))};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(imaging)

BOOST_AUTO_TEST_CASE(a_blurred_point_is_a_gaussian) {
  auto spot = filled(41, 41, 0);
  spot(20, 20) = 1;
  double const sd = 2.5;
  auto const blurred = sp::detail::gaussian_blur(spot, sd, {});
  for (auto const& [r, c] : {std::pair{20, 20}, {20, 23}, {17, 22}, {24, 16}}) {
    double const squared = (r - 20) * (r - 20) + (c - 20) * (c - 20);
    double const expected = std::exp(-squared / (2 * sd * sd)) / (2 * 3.14159265 * sd * sd);
    BOOST_TEST(double{blurred(r, c)} == expected, boost::test_tools::tolerance(0.01));
  }
}

BOOST_AUTO_TEST_CASE(blurring_keeps_the_sum_also_in_small_images) {
  for (auto const& [rows, columns] : {std::pair{30U, 25U}, {5U, 40U}, {1U, 1U}, {3U, 2U}}) {
    auto noise = filled(rows, columns, 0);
    float value = 0;
    for (auto& pixel : noise) pixel = std::fmod(value += 0.37F, 1.0F);
    auto const blurred = sp::detail::gaussian_blur(noise, 4.0, {});
    BOOST_TEST(mean_and_sd(blurred).first == mean_and_sd(noise).first,
               boost::test_tools::tolerance(1e-5));
  }
}

BOOST_AUTO_TEST_CASE(camera_noise_has_the_stated_variance) {
  sp::camera const plain{.counts_at_one = 5000,
                         .offset_counts = 100,
                         .counts_per_photon = 3,
                         .read_noise_counts = 40,
                         .column_noise = 0,
                         .uneven_illumination = 0,
                         .flicker = 0};
  auto const counts = plain(filled(300, 300, 0.8F), {5, 0}, 2);
  auto const [mean, sd] = mean_and_sd(counts);
  BOOST_TEST(mean == 4100, boost::test_tools::tolerance(5e-4));
  BOOST_TEST(sd == std::sqrt(3 * 4000 + 40 * 40), boost::test_tools::tolerance(0.02));
  for (float const value : counts) BOOST_TEST_REQUIRE(value == std::floor(value));
}

BOOST_AUTO_TEST_CASE(counts_stay_in_sixteen_bits) {
  sp::camera const bright{.counts_at_one = 60000};
  for (float const value : bright(filled(40, 40, 2.0F), {1, 0}, 0)) BOOST_TEST(value == 65535);
  sp::camera const dark{.offset_counts = 0};
  for (float const value : dark(filled(40, 40, 0.0F), {1, 0}, 0)) BOOST_TEST(value >= 0);
}

BOOST_AUTO_TEST_CASE(frames_share_the_field_but_not_the_noise) {
  sp::camera const detector{.flicker = 0};
  auto const flat = filled(64, 64, 1.0F);
  auto const first = detector(flat, {9, 0}, 0);
  auto const second = detector(flat, {9, 0}, 1);
  BOOST_TEST((first != second));
  BOOST_TEST((first == detector(flat, {9, 0}, 0, sp::exec::threads{3})));
  // Correlation of the two frames is that of the common field.
  auto const smooth_first = sp::detail::gaussian_blur(first, 6, {});
  auto const smooth_second = sp::detail::gaussian_blur(second, 6, {});
  double difference = 0;
  for (std::size_t k = 0; k < smooth_first.size(); ++k)
    difference =
        std::max(difference, std::abs(double{smooth_first.data()[k]} - smooth_second.data()[k]));
  BOOST_TEST(difference < 0.2 * mean_and_sd(smooth_first).second);
}

// Uniform thickness t: every blur leaves it, so a = 1 + (halo - contrast) t.
BOOST_AUTO_TEST_CASE(uniform_thickness_follows_the_formula) {
  sp::phase_contrast const optics{.contrast = 0.4, .halo = 0.3, .medium_texture = 0};
  sp::extent2 const extent{50, 60};
  auto const intensity = optics(filled(50, 60, 0.5F), optics.medium(extent, {}), {}, 0);
  for (float const value : intensity)
    BOOST_TEST(double{value} == 0.95 * 0.95, boost::test_tools::tolerance(1e-5));
}

BOOST_AUTO_TEST_CASE(cells_are_dark_and_their_surroundings_bright) {
  sp::phase_contrast const optics{.medium_texture = 0};
  auto thickness = filled(120, 120, 0);
  for (int r = 57; r < 64; ++r)
    for (int c = 50; c < 70; ++c) thickness(r, c) = 1;
  auto const intensity = optics(thickness, optics.medium({120, 120}, {}), {}, 0);
  BOOST_TEST(intensity(60, 60) < 0.8F);
  BOOST_TEST(intensity(68, 60) > 1.05F);
  BOOST_TEST(double{intensity(5, 5)} == 1, boost::test_tools::tolerance(0.01));
}

BOOST_AUTO_TEST_CASE(the_medium_has_the_stated_texture) {
  sp::phase_contrast const optics{.medium_texture = 0.02, .medium_grain_px = 2};
  auto const [mean, sd] = mean_and_sd(optics.medium({300, 300}, {3, 0}));
  BOOST_TEST(std::abs(mean) < 0.002);
  BOOST_TEST(sd == 0.02, boost::test_tools::tolerance(0.06));
}

BOOST_AUTO_TEST_SUITE_END()
