#include <boost/test/unit_test.hpp>
#include <septum/core/rng.hpp>
#include <septum/image/adapt.hpp>
#include <septum/image/device_contour.hpp>
#include <septum/image/evolve.hpp>

#include "../support/host_gpu.hpp"

namespace {

namespace sp = septum;

struct scene {
  xt::xtensor<float, 2> pixels;
  sp::mask start;
};

// Bright discs in noise, some of them touching, and seeds in most of them and beside one.
scene random_scene(std::size_t rows, std::size_t columns, std::uint64_t seed) {
  scene made{xt::zeros<float>({rows, columns}), xt::zeros<std::uint8_t>({rows, columns})};
  sp::counter_rng const random{seed, 5};
  std::uint64_t draw = 0;
  for (int disc = 0; disc < 12; ++disc) {
    double const r0 = random.uniform(draw++) * static_cast<double>(rows);
    double const c0 = random.uniform(draw++) * static_cast<double>(columns);
    double const radius = 3 + 7 * random.uniform(draw++);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) {
        double const away = std::hypot(static_cast<double>(r) - r0, static_cast<double>(c) - c0);
        if (away < radius) made.pixels(r, c) = 0.9F;
        if (disc % 4 != 0 && away < radius / 3) made.start(r, c) = 1;
        if (disc == 3 && std::abs(away - radius - 4) < 1.5) made.start(r, c) = 1;
      }
  }
  for (float& value : made.pixels)
    value = std::abs(value + 0.2F * static_cast<float>(random.normal(draw++)));
  return made;
}

template <class Constrain>
void check(
    scene const& given,
    sp::morphological_contour<sp::chan_vese, sp::curvature_smoothing, Constrain> const& contour) {
  auto const pixels = sp::as_view(given.pixels);
  auto const expected = contour(pixels, given.start);
  for (std::uint32_t seed = 0; seed < 3; ++seed) {
    host_gpu const gpu{seed == 0 ? host_device::order::eager : host_device::order::late, seed};
    {
      auto const libraries = gpu.libraries();
      sp::device_contour<Constrain> const on_device{libraries.cuda, libraries.kernels, contour};
      static_assert(sp::Evolver<sp::device_contour<Constrain>>);
      BOOST_TEST((on_device(pixels, given.start) == expected));
      // Again with the same buffers.
      BOOST_TEST((on_device(pixels, given.start) == expected));
    }
    BOOST_TEST(gpu.clean());
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(device_contour)

BOOST_AUTO_TEST_CASE(contours_are_those_of_the_host) {
  // Extents around whole words, and iterations with and without recorded work.
  for (auto const& [rows, columns] : {std::pair{40, 64}, {33, 65}, {50, 127}, {2, 2}, {64, 3}})
    for (int const iterations : {0, 1, 5, 8, 31})
      for (int const smoothing : {0, 1, 2}) {
        auto const given =
            random_scene(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns), 7);
        BOOST_TEST_CONTEXT(rows << "x" << columns << ", " << iterations << " iterations, "
                                << smoothing << " steps of smoothing")
        check<sp::unconstrained>(given, {.data = {.lambda_outside = 1.5},
                                         .smoothing = {.steps = smoothing},
                                         .iterations = iterations});
      }
}

BOOST_AUTO_TEST_CASE(constraints_are_those_of_the_host) {
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    auto const given = random_scene(60, 90, seed);
    BOOST_TEST_CONTEXT("seed " << seed) {
      check<sp::separate_components>(given, {.iterations = 40});
      check<sp::keep_start>(given, {.data = {.lambda_outside = 0.5}, .iterations = 40});
    }
  }
}

BOOST_AUTO_TEST_CASE(empty_and_full_contours_and_dark_images) {
  scene given{xt::zeros<float>({10, 70}), xt::zeros<std::uint8_t>({10, 70})};
  check<sp::unconstrained>(given, {.iterations = 9});
  given.start.fill(1);
  check<sp::unconstrained>(given, {.iterations = 9});
  check<sp::separate_components>(given, {.iterations = 9});
}

BOOST_AUTO_TEST_CASE(extents_have_to_agree) {
  host_gpu const gpu;
  auto const libraries = gpu.libraries();
  sp::device_contour<> const contour{libraries.cuda, libraries.kernels};
  auto const given = random_scene(10, 12, 1);
  sp::mask const other = xt::zeros<std::uint8_t>({10, 11});
  BOOST_CHECK_THROW((void)contour(sp::as_view(given.pixels), other), sp::shape_error);
}

BOOST_AUTO_TEST_CASE(every_call_that_fails_is_told_and_leaves_nothing) {
  auto const given = random_scene(20, 70, 2);
  auto const run = [&](host_gpu const& gpu) {
    auto const libraries = gpu.libraries();
    sp::device_contour<> const contour{libraries.cuda, libraries.kernels, {.iterations = 10}};
    (void)contour(sp::as_view(given.pixels), given.start);
  };
  int calls = 0;
  {
    host_gpu const gpu;
    run(gpu);
    calls = gpu.device.calls;
  }
  BOOST_TEST(calls > 50);
  for (int k = 1; k <= calls; ++k) {
    host_gpu gpu;
    gpu.device.fail_at = k;
    BOOST_TEST_CONTEXT("call " << k) {
      BOOST_CHECK_THROW(run(gpu), sp::device_error);
      BOOST_TEST(gpu.clean());
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
