#pragma once
#include <septum/core/config.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/simulate/detail/gaussian_blur.hpp>
#include <septum/simulate/nuclei_population.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

namespace detail {

/// Calls visit(row, column, index) for the points of a lattice with `fineness` points per pixel
/// that a nucleus can cover, cut to pixel rows [begin, end) and to `columns`. Lattice indices.
template <class Visit>
void for_each_point_of(nucleus const& body, std::ptrdiff_t begin, std::ptrdiff_t end, int columns,
                       int fineness, Visit const& visit) {
  double const reach = 1.3 * std::max(body.long_px, body.short_px) + 1;
  auto const cut = [&](double value, double low, double high) {
    return static_cast<int>(std::clamp(value, low, high)) * fineness;
  };
  auto const first = static_cast<double>(begin);
  auto const last = static_cast<double>(end);
  int const row_end = cut(std::ceil(body.centre.row + reach), first, last);
  int const column_begin = cut(std::floor(body.centre.column - reach), 0, columns);
  int const column_end = cut(std::ceil(body.centre.column + reach), 0, columns);
  for (int row = cut(std::floor(body.centre.row - reach), first, last); row < row_end; ++row)
    for (int column = column_begin; column < column_end; ++column)
      visit(row, column, point{(row + 0.5) / fineness - 0.5, (column + 0.5) / fineness - 0.5});
}

}  // namespace detail

/// One integer per pixel: `numbers[k]` where the pixel's centre lies deepest in nucleus k, 0
/// outside all. Nuclei that overlap share the overlap.
[[nodiscard]] inline labels label_nuclei(std::span<nucleus const> nuclei,
                                         std::span<std::int32_t const> numbers, extent2 extent,
                                         exec::threads threads = {}) {
  labels cells = labels::from_shape(
      {static_cast<std::size_t>(extent.rows), static_cast<std::size_t>(extent.columns)});
  cells.fill(0);
  for_each_range(threads, extent.rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    std::vector<double> deepest(static_cast<std::size_t>((end - begin) * extent.columns), 1.0);
    for (std::size_t k = 0; k < nuclei.size(); ++k)
      detail::for_each_point_of(
          nuclei[k], begin, end, extent.columns, 1, [&](int row, int column, point at) {
            double const depth = position_in(nuclei[k], at).depth;
            auto& best = deepest[static_cast<std::size_t>((row - begin) * extent.columns + column)];
            if (depth >= best) return;
            best = depth;
            cells(static_cast<std::size_t>(row), static_cast<std::size_t>(column)) = numbers[k];
          });
  });
  return cells;
}

/// Wide-field fluorescence of a nuclear stain. Nuclei differ widely in brightness, carry dark
/// nucleoli and a grain, and lie at different depths: those out of focus are blurred.
struct fluorescence {
  double brightness_sd_log = 0.7;  ///< spread of ln(brightness) between nuclei; the median is 1
  double grain = 0.07;             ///< amplitude of each wave of the grain
  double nucleolus_depth = 0.35;   ///< how much darker a nucleolus is
  double edge_softness = 0.25;     ///< exponent of (1 - depth^2), the thinning towards the outline
  double focus_blur_px = 1.0;      ///< sd in focus
  double defocus_blur_px = 3.5;    ///< sd at the largest distance from focus
  double defocus_share = 0.25;     ///< share of nuclei that are out of focus
  double haze = 0.04;              ///< light scattered over haze_px
  double haze_px = 18.0;
  double background = 0.08;  ///< intensity without nuclei
  int supersampling = 2;

  /// Relative intensity of one frame; axes row, column. The looks of a nucleus follow its `body`.
  [[nodiscard]] xt::xtensor<float, 2> operator()(std::span<nucleus const> nuclei, extent2 extent,
                                                 counter_rng const& rng,
                                                 exec::threads threads = {}) const {
    auto const shape = std::array<std::size_t, 2>{static_cast<std::size_t>(extent.rows),
                                                  static_cast<std::size_t>(extent.columns)};
    xt::xtensor<float, 2> sharp = xt::xtensor<float, 2>::from_shape(shape);
    xt::xtensor<float, 2> soft = xt::xtensor<float, 2>::from_shape(shape);
    sharp.fill(0.0F);
    soft.fill(0.0F);
    double const sample = 1.0 / (supersampling * supersampling);
    for_each_range(threads, extent.rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (auto const& body : nuclei) {
        auto const seen = looks_of(body, rng);
        detail::for_each_point_of(
            body, begin, end, extent.columns, supersampling, [&](int row, int column, point at) {
              auto const where = position_in(body, at);
              if (where.depth >= 1) return;
              auto const value = static_cast<float>(sample * emitted(seen, where));
              auto const pixel =
                  std::ptrdiff_t{row / supersampling} * extent.columns + column / supersampling;
              sharp.data()[pixel] += static_cast<float>(1 - seen.defocus) * value;
              soft.data()[pixel] += static_cast<float>(seen.defocus) * value;
            });
      }
    });
    sharp = detail::gaussian_blur(sharp, focus_blur_px, threads);
    soft = detail::gaussian_blur(soft, defocus_blur_px, threads);
    for (std::size_t pixel = 0; pixel < sharp.size(); ++pixel)
      sharp.data()[pixel] += soft.data()[pixel];
    auto const scattered = detail::gaussian_blur(sharp, haze_px, threads);
    for (std::size_t pixel = 0; pixel < sharp.size(); ++pixel)
      sharp.data()[pixel] +=
          static_cast<float>(background) + static_cast<float>(haze) * scattered.data()[pixel];
    return sharp;
  }

 private:
  static constexpr std::size_t grain_waves = 5;
  static constexpr std::size_t nucleoli = 3;

  struct looks {
    double brightness = 1.0;
    double defocus = 0.0;
    double contrast = 1.0;  ///< of the texture; condensed chromosomes are uniform
    std::array<std::array<double, 3>, grain_waves> grain{};   ///< wave vector along, across, phase
    std::array<std::array<double, 3>, nucleoli> nucleolus{};  ///< centre along, across, radius
  };

  [[nodiscard]] looks looks_of(nucleus const& body, counter_rng const& rng) const {
    auto const own = rng.fork(static_cast<std::uint64_t>(body.body));
    looks result;
    result.brightness = std::exp(brightness_sd_log * std::clamp(own.normal(0), -2.5, 2.5)) *
                        (1 + body.condensation);
    result.defocus = own.uniform(1) < defocus_share ? 0.4 + 0.6 * own.uniform(2) : 0.0;
    result.contrast = 1 - body.condensation;
    for (std::size_t k = 0; k < grain_waves; ++k) {
      double const turn = 2 * std::numbers::pi * own.uniform(10 + 3 * k);
      double const frequency = 6 + 10 * own.uniform(11 + 3 * k);
      result.grain[k] = {frequency * std::cos(turn), frequency * std::sin(turn),
                         2 * std::numbers::pi * own.uniform(12 + 3 * k)};
    }
    for (std::size_t k = 0; k < nucleoli; ++k)
      result.nucleolus[k] = {1.1 * own.uniform(40 + 3 * k) - 0.55,
                             1.1 * own.uniform(41 + 3 * k) - 0.55,
                             0.10 + 0.10 * own.uniform(42 + 3 * k)};
    return result;
  }

  [[nodiscard]] double emitted(looks const& body, nucleus_position const& at) const {
    double texture = 0;
    for (auto const& wave : body.grain)
      texture += grain * std::cos(wave[0] * at.along + wave[1] * at.across + wave[2]);
    for (auto const& spot : body.nucleolus) {
      double const along = (at.along - spot[0]) / spot[2];
      double const across = (at.across - spot[1]) / spot[2];
      texture -= nucleolus_depth * std::exp(-0.5 * (along * along + across * across));
    }
    return body.brightness * std::max(0.1, 1 + body.contrast * texture) *
           std::pow(1 - at.depth * at.depth, edge_softness);
  }
};

}  // namespace septum::inline SEPTUM_ABI
