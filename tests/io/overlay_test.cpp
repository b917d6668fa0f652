#include <septum/io/overlay.hpp>
#include <support/hostile.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>

namespace io = septum::io;
namespace sp = septum;

BOOST_AUTO_TEST_SUITE(overlay)

BOOST_AUTO_TEST_CASE(gray_is_stretched_and_outlines_lie_on_the_cells) {
  sp::labels cells = sp::labels::from_shape({8, 9});
  cells.fill(0);
  for (std::size_t r = 2; r < 7; ++r)
    for (std::size_t c = 2; c < 7; ++c) cells(r, c) = 1;
  sp::image pixels = sp::image::from_shape({8, 9, 2});
  for (std::size_t i = 0; i < 72; ++i) {
    pixels.data()[2 * i] = -1.0F;
    pixels.data()[2 * i + 1] = static_cast<float>(i);
  }
  auto const drawn = io::draw_overlay(
      pixels, cells, {.channel = 1, .dark_percentile = 0, .light_percentile = 100});
  BOOST_TEST(static_cast<int>(drawn(0, 0, 0)) == 0);
  BOOST_TEST(static_cast<int>(drawn(7, 8, 2)) == 255);
  for (std::size_t r = 0; r < 8; ++r)
    for (std::size_t c = 0; c < 9; ++c) {
      bool const gray = drawn(r, c, 0) == drawn(r, c, 1) && drawn(r, c, 1) == drawn(r, c, 2);
      bool const ring = cells(r, c) == 1 && (r == 2 || r == 6 || c == 2 || c == 6);
      BOOST_TEST(gray != ring);
    }
  auto const large =
      io::draw_overlay(pixels, cells, {.channel = 1, .scale = 3}, sp::exec::threads{2});
  BOOST_TEST(large.shape()[0] == 24U);
  BOOST_TEST(large(6, 6, 0) != large(6, 6, 2));
  BOOST_TEST(large(7, 7, 0) == large(7, 7, 2));
}

BOOST_AUTO_TEST_CASE(neighbours_and_threads) {
  sp::labels const cells = test::random_cells(40, 50, 20, 5);
  sp::image pixels = sp::image::from_shape({40, 50, 1});
  pixels.fill(3.0F);
  pixels(3, 3, 0) = std::nanf("");
  auto const one = io::draw_overlay(pixels, cells, {.scale = 2});
  BOOST_TEST((one == io::draw_overlay(pixels, cells, {.scale = 2}, sp::exec::threads{3})));
  BOOST_TEST((io::detail::outline_colour(1) != io::detail::outline_colour(2)));
}

BOOST_AUTO_TEST_CASE(wrong_inputs_are_refused) {
  sp::image const pixels = sp::image::from_shape({4, 5, 1});
  BOOST_CHECK_THROW(io::draw_overlay(pixels, sp::labels::from_shape({5, 4})), sp::shape_error);
  sp::labels const cells = sp::labels::from_shape({4, 5});
  BOOST_CHECK_THROW(io::draw_overlay(pixels, cells, {.channel = 1}), sp::shape_error);
  BOOST_CHECK_THROW(io::draw_overlay(pixels, cells, {.scale = 0}), sp::unsupported_error);
}

BOOST_AUTO_TEST_SUITE_END()
