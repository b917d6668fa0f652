#include "../golden/contour_golden.inc"

#include "../support/shared_data.hpp"
#include "../support/text_image.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <septum/core/hash.hpp>
#include <septum/image/components.hpp>
#include <septum/image/evolve.hpp>
#include <septum/image/types.hpp>
#include <span>
#include <string>
#include <vector>
#if defined(SEPTUM_TEST_IO)
#  include <septum/io/image.hpp>
#endif

namespace {

namespace sp = septum;
using plane = xt::xtensor<float, 2>;

/// The image of make_contour_golden.py: sums, products and quotients only, so that both agree.
plane scene(std::size_t rows, std::size_t columns, double noise) {
  constexpr double blobs[4][3] = {{12, 14, 30}, {25, 31, 60}, {30, 9, 20}, {8, 36, 12}};
  plane image = plane::from_shape({rows, columns});
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) {
      auto const row = static_cast<double>(r);
      auto const column = static_cast<double>(c);
      double value = 0;
      for (int k = 0; k < 4; ++k) {
        double const dr = row - blobs[k][0];
        double const dc = column - blobs[k][1];
        value = value + (1 + k / 4.0) / (1 + (dr * dr + dc * dc) / blobs[k][2]);
      }
      double const grain = static_cast<double>((r * 7919 + c * 10473 + r * c * 31) % 997) / 997;
      image(r, c) = static_cast<float>(value + noise * grain);
    }
  return image;
}

template <class Contour, class Golden>
void compare(Contour const& contour, plane const& image, Golden const& expected) {
  sp::mask const start = test::mask_of(golden::start);
  for (int threads : {1, 2, 5}) {
    sp::mask const found = contour(sp::as_view(image), start, sp::exec::threads{threads});
    BOOST_TEST((found == test::mask_of(expected)), threads << " threads");
  }
}

std::int64_t count_of(sp::mask const& pixels) {
  std::int64_t count = 0;
  for (std::uint8_t const pixel : pixels) count += pixel;
  return count;
}

/// One published iteration straight from its definition: numerics by nested loops.
class published_iteration {
 public:
  explicit published_iteration(plane const& image, double lambda_outside = 1)
      : image_{image}, lambda_outside_{lambda_outside} {}

  void step(sp::mask& u) {
    sp::mask const keep = apart(u);
    sp::mask next = data_step(u);
    next = even_ ? lines(lines(next, false), true) : lines(lines(next, true), false);
    even_ = !even_;
    for (std::size_t p = 0; p < u.size(); ++p) u.data()[p] = next.data()[p] & keep.data()[p];
  }

 private:
  static int at(sp::mask const& u, std::ptrdiff_t r, std::ptrdiff_t c) {
    bool const inside = r >= 0 && c >= 0 && r < static_cast<std::ptrdiff_t>(u.shape()[0]) &&
                        c < static_cast<std::ptrdiff_t>(u.shape()[1]);
    return inside ? u(static_cast<std::size_t>(r), static_cast<std::size_t>(c)) : 0;
  }
  template <class Function>
  static sp::mask made(sp::mask const& u, Function const& function) {
    sp::mask result = sp::mask::from_shape(u.shape());
    for (std::size_t r = 0; r < u.shape()[0]; ++r)
      for (std::size_t c = 0; c < u.shape()[1]; ++c)
        result(r, c) = function(static_cast<std::ptrdiff_t>(r), static_cast<std::ptrdiff_t>(c));
    return result;
  }
  /// SI when `full`, else IS.
  static sp::mask lines(sp::mask const& u, bool full) {
    constexpr int steps[4][2] = {{1, 1}, {1, 0}, {1, -1}, {0, 1}};
    return made(u, [&](std::ptrdiff_t r, std::ptrdiff_t c) {
      int any_full = 0;
      int all_met = 1;
      for (auto const& step : steps) {
        int const before = at(u, r - step[0], c - step[1]);
        int const after = at(u, r + step[0], c + step[1]);
        any_full |= before & at(u, r, c) & after;
        all_met &= before | at(u, r, c) | after;
      }
      return static_cast<std::uint8_t>(full ? any_full : all_met);
    });
  }
  sp::mask data_step(sp::mask const& u) const {
    double sums[2] = {0, 0};
    double counts[2] = {0, 0};
    for (std::size_t p = 0; p < u.size(); ++p) {
      sums[u.data()[p]] += static_cast<double>(image_.data()[p]);
      counts[u.data()[p]] += 1;
    }
    double const outside = sums[0] / counts[0];
    double const inside = sums[1] / counts[1];
    auto const last_row = static_cast<std::ptrdiff_t>(u.shape()[0]) - 1;
    auto const last_column = static_cast<std::ptrdiff_t>(u.shape()[1]) - 1;
    return made(u, [&](std::ptrdiff_t r, std::ptrdiff_t c) {
      int const down =
          at(u, std::min(r + 1, last_row), c) - at(u, std::max(r - 1, std::ptrdiff_t{0}), c);
      int const right =
          at(u, r, std::min(c + 1, last_column)) - at(u, r, std::max(c - 1, std::ptrdiff_t{0}));
      auto const p =
          static_cast<double>(image_(static_cast<std::size_t>(r), static_cast<std::size_t>(c)));
      double const force =
          std::abs(down) + std::abs(right) == 0
              ? 0
              : (p - inside) * (p - inside) - lambda_outside_ * (p - outside) * (p - outside);
      return static_cast<std::uint8_t>(force < 0 ? 1 : force > 0 ? 0 : at(u, r, c));
    });
  }
  /// 1 where no 4-neighbour is nearest to another component; ties by column, then row.
  static sp::mask apart(sp::mask const& u) {
    sp::labels const component = sp::connected_components(u, sp::connectivity::four);
    sp::labels nearest = sp::labels::from_shape(u.shape());
    auto const rows = static_cast<std::ptrdiff_t>(u.shape()[0]);
    auto const columns = static_cast<std::ptrdiff_t>(u.shape()[1]);
    for (std::ptrdiff_t r = 0; r < rows; ++r)
      for (std::ptrdiff_t c = 0; c < columns; ++c) {
        std::ptrdiff_t best = std::numeric_limits<std::ptrdiff_t>::max();
        std::int32_t owner = 0;
        for (std::ptrdiff_t column = 0; column < columns; ++column)
          for (std::ptrdiff_t row = 0; row < rows; ++row) {
            std::ptrdiff_t const d = (row - r) * (row - r) + (column - c) * (column - c);
            if (at(u, row, column) == 0 || d >= best) continue;
            best = d;
            owner = component(static_cast<std::size_t>(row), static_cast<std::size_t>(column));
          }
        nearest(static_cast<std::size_t>(r), static_cast<std::size_t>(c)) = owner;
      }
    auto const owner_at = [&](std::ptrdiff_t r, std::ptrdiff_t c) {
      return nearest(static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(r, 0, rows - 1)),
                     static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(c, 0, columns - 1)));
    };
    return made(u, [&](std::ptrdiff_t r, std::ptrdiff_t c) {
      std::int32_t const own = owner_at(r, c);
      return static_cast<std::uint8_t>(owner_at(r - 1, c) == own && owner_at(r + 1, c) == own &&
                                       owner_at(r, c - 1) == own && owner_at(r, c + 1) == own);
    });
  }

  plane const& image_;
  double lambda_outside_;
  bool even_ = true;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(contours)

BOOST_AUTO_TEST_CASE(chan_vese_is_the_peers_pixel_for_pixel) {
  plane const image = scene(40, 45, 0.5);
  using contour = sp::chan_vese_contour;
  compare(contour{.iterations = 1}, image, golden::chan_vese_1);
  compare(contour{.iterations = 2}, image, golden::chan_vese_2);
  compare(contour{.iterations = 7}, image, golden::chan_vese_7);
  compare(contour{.iterations = 60}, image, golden::chan_vese_60);
  compare(contour{.smoothing = {.steps = 0}, .iterations = 9}, image, golden::chan_vese_rough);
  compare(contour{.smoothing = {.steps = 3}, .iterations = 9}, image, golden::chan_vese_smooth);
  compare(contour{.data = {.lambda_inside = 2}, .iterations = 12}, image, golden::chan_vese_inside);
  compare(contour{.data = {.lambda_outside = 1.5}, .iterations = 12}, image,
          golden::chan_vese_outside);
}

BOOST_AUTO_TEST_CASE(geodesic_is_the_peers_pixel_for_pixel) {
  plane const image = scene(40, 45, 0.2);
  using contour = sp::geodesic_contour;
  compare(contour{.iterations = 8}, image, golden::geodesic_0);
  compare(contour{.data = {.balloon = 1}, .iterations = 8}, image, golden::geodesic_grown);
  compare(contour{.data = {.balloon = -1}, .iterations = 4}, image, golden::geodesic_shrunk);
  compare(
      contour{
          .data = {.balloon = 1.5, .threshold = 0.9}, .smoothing = {.steps = 2}, .iterations = 6},
      image, golden::geodesic_threshold);
}

#if defined(SEPTUM_TEST_IO)
BOOST_AUTO_TEST_CASE(real_images_give_the_peers_masks) {
  for (auto const& each : golden::real_contours) {
    auto const image_path = test::shared_data(std::string{each.image});
    auto const start_path = test::shared_data(std::string{each.start});
    if (!image_path || !start_path) continue;
    sp::image const raw = sp::io::read_image(*image_path);
    sp::view<float const, 2> const pixels{raw.data(),
                                          {sp::as_view(raw).extent(0), sp::as_view(raw).extent(1)}};
    sp::mask const start = sp::io::read_mask(*start_path);
    sp::mask const found = each.balloon == -9
                               ? sp::chan_vese_contour{.smoothing = {.steps = each.smoothing},
                                                       .iterations = each.iterations}(pixels, start)
                               : sp::geodesic_contour{.data = {.balloon = each.balloon},
                                                      .smoothing = {.steps = each.smoothing},
                                                      .iterations = each.iterations}(pixels, start);
    BOOST_TEST(count_of(found) == each.pixels, each.image);
    BOOST_TEST(sp::fnv1a(std::as_bytes(std::span{found.data(), found.size()})) == each.hash,
               each.image << ", " << each.iterations << " iterations");
  }
}
#endif

BOOST_AUTO_TEST_CASE(goldens_of_the_original_implementation) {
  // A black image loses its contour.
  plane const black = xt::zeros<float>({11, 11});
  sp::mask disc = xt::zeros<std::uint8_t>({11, 11});
  for (int r = 0; r < 11; ++r)
    for (int c = 0; c < 11; ++c)
      if ((r - 5) * (r - 5) + (c - 5) * (c - 5) < 9)
        disc(static_cast<std::size_t>(r), static_cast<std::size_t>(c)) = 1;
  BOOST_TEST(count_of(sp::chan_vese_contour{.iterations = 6}(sp::as_view(black), disc)) == 0);
  // A Gaussian blob keeps 21 pixels.
  plane blob = plane::from_shape({11, 11});
  for (int r = 0; r < 11; ++r)
    for (int c = 0; c < 11; ++c)
      blob(static_cast<std::size_t>(r), static_cast<std::size_t>(c)) =
          static_cast<float>(std::exp(-((r - 5) * (r - 5) + (c - 5) * (c - 5)) / 10.0));
  sp::mask const kept = sp::chan_vese_contour{.iterations = 10}(sp::as_view(blob), disc);
  BOOST_TEST(count_of(kept) == 21);
  constexpr int widths[] = {3, 5, 5, 5, 3};
  for (std::size_t r = 0; r < 5; ++r) {
    int width = 0;
    for (std::size_t c = 0; c < 11; ++c) width += kept(r + 3, c);
    BOOST_TEST(width == widths[r]);
  }
  // A balloon that acts everywhere fills the image.
  sp::geodesic_contour const fill{
      .data = {.balloon = 1, .threshold = -1}, .smoothing = {.steps = 0}, .iterations = 10};
  BOOST_TEST(count_of(fill(sp::as_view(black), disc)) == 121);
}

BOOST_AUTO_TEST_CASE(lines_see_zeros_outside) {
  namespace detail = sp::detail;
  for (std::ptrdiff_t columns : {2, 3, 63, 64, 65, 128, 130}) {
    auto const width = static_cast<std::size_t>(columns);
    sp::mask ones = xt::ones<std::uint8_t>({std::size_t{5}, width});
    detail::bit_image const full{ones};
    detail::bit_image result = full;
    detail::for_each_row(full, result, detail::set_where_every_line_is_met, {});
    BOOST_TEST((result == full));
    detail::for_each_row(full, result, detail::keep_on_a_full_line, {});
    if (columns > 2) {
      ones(0, 0) = ones(4, 0) = ones(0, width - 1) = ones(4, width - 1) = 0;
      BOOST_TEST((result.to_mask() == ones));
    }
  }
}

BOOST_AUTO_TEST_CASE(published_iterations_match_their_definition) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    std::size_t const columns = seed % 2 == 0 ? 70 : 33;
    plane const image = scene(38, columns, 0.4 + 0.1 * static_cast<double>(seed));
    // Odd scenes begin from noise with many close components, even ones from small squares.
    sp::mask naive = test::random_mask(38, columns, seed % 2 == 0 ? 0.03 : 0.35, seed);
    sp::morphological_contour<sp::chan_vese, sp::curvature_smoothing, sp::separate_components> const
        contour{};
    sp::contour_evolution evolution{contour, sp::as_view(image), naive, sp::exec::threads{2}};
    published_iteration peer{image};
    for (int k = 0; k < 9; ++k) {
      evolution.step();
      peer.step(naive);
      BOOST_REQUIRE_MESSAGE((evolution.contour() == naive), "seed " << seed << " iteration " << k);
    }
  }
}

// Large cells with oblique outlines come close only here and there: what is nearest has to be known
// some rows beyond the place where two of them meet.
BOOST_AUTO_TEST_CASE(published_iterations_between_large_cells) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    sp::counter_rng const rng{.seed = seed, .stream = 9};
    sp::mask naive = sp::mask::from_shape({60, 60});
    plane image = plane::from_shape({60, 60});
    double const slope = 3 * (rng.uniform(0) - 0.5);
    double const width = 2 + 3 * rng.uniform(1);
    double const bend = 20 + 20 * rng.uniform(2);
    for (std::size_t r = 0; r < 60; ++r)
      for (std::size_t c = 0; c < 60; ++c) {
        auto const row = static_cast<double>(r);
        double const middle = 30 + slope * (row - 30) + (row > bend ? (row - bend) : 0);
        naive(r, c) =
            std::abs(static_cast<double>(c) - middle) > width + 0.2 * std::abs(row - bend);
        image(r, c) = static_cast<float>(0.8 * naive(r, c) + rng.uniform(9 + 60 * r + c));
      }
    sp::morphological_contour<sp::chan_vese, sp::curvature_smoothing, sp::separate_components> const
        contour{.data = {.lambda_outside = 4}};
    sp::contour_evolution evolution{contour, sp::as_view(image), naive, sp::exec::threads{2}};
    published_iteration peer{image, 4};
    for (int k = 0; k < 4; ++k) {
      evolution.step();
      peer.step(naive);
      BOOST_REQUIRE_MESSAGE((evolution.contour() == naive), "seed " << seed << " iteration " << k);
    }
  }
}

BOOST_AUTO_TEST_CASE(stopping_early_changes_nothing) {
  plane const image = scene(40, 45, 0.5);
  sp::mask const start = test::mask_of(golden::start);
  sp::chan_vese_contour const contour{};
  for (int iterations : {97, 98, 120}) {
    sp::contour_evolution stepwise{contour, sp::as_view(image), start};
    for (int k = 0; k < iterations; ++k) stepwise.step();
    sp::contour_evolution run{contour, sp::as_view(image), start};
    run.run(iterations);
    BOOST_TEST((run.contour() == stepwise.contour()));
    BOOST_TEST(run.steps() < iterations);
    BOOST_TEST(run.repeats());
  }
}

BOOST_AUTO_TEST_CASE(means_are_those_of_the_contour) {
  plane const image = scene(40, 45, 0.5);
  sp::chan_vese_contour const contour{};
  sp::contour_evolution evolution{contour, sp::as_view(image), test::mask_of(golden::start)};
  for (int k = 0; k < 5; ++k) evolution.step();
  double sum = 0;
  sp::mask const now = evolution.contour();
  for (std::size_t p = 0; p < now.size(); ++p)
    if (now.data()[p] != 0) sum += static_cast<double>(image.data()[p]);
  BOOST_TEST(evolution.data().mean_inside() == sum / static_cast<double>(count_of(now)),
             boost::test_tools::tolerance(1e-10));
}

BOOST_AUTO_TEST_CASE(extents_have_to_agree) {
  plane const image = scene(10, 12, 0);
  sp::mask const other = xt::zeros<std::uint8_t>({10, 11});
  sp::mask const line = xt::zeros<std::uint8_t>({1, 12});
  BOOST_CHECK_THROW(static_cast<void>(sp::chan_vese_contour{}(sp::as_view(image), other)),
                    sp::shape_error);
  plane const row = scene(1, 12, 0);
  BOOST_CHECK_THROW(static_cast<void>(sp::chan_vese_contour{}(sp::as_view(row), line)),
                    sp::shape_error);
  static_assert(sp::Evolver<sp::chan_vese_contour>);
  static_assert(sp::Evolver<sp::geodesic_contour>);
  static_assert(!sp::Evolver<sp::chan_vese>);
}

BOOST_AUTO_TEST_SUITE_END()
