#pragma once
#include <septum/core/config.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/simulate/detail/gaussian_blur.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <xtensor/xtensor.hpp>

namespace septum::inline SEPTUM_ABI {

/// Positive phase contrast of thin objects. With optical thickness t, the focus blur P and the
/// phase ring's low-pass H (the light of large structures that the ring treats as background), the
/// amplitude relative to empty medium is
///
///   a = 1 - contrast * (P t) + halo * (H t),      intensity = a^2:
///
/// cells are dark, their surroundings bright (halo), gaps in a dense colony brightest, and cells in
/// the middle of a colony paler than single ones (shade-off). H is a mixture of two Gaussians.
struct phase_contrast {
  double contrast = 0.40;
  double halo = 0.52;
  double focus_blur_px = 1.1;  ///< sd of P
  double focus_jitter = 0.08;  ///< relative sd of the focus blur between frames
  double near_halo_px = 4.0;   ///< sd of the two parts of H
  double far_halo_px = 13.0;
  double near_share = 0.25;       ///< weight of the narrow part
  double medium_texture = 0.012;  ///< sd of the amplitude of empty medium (agar), fixed in place
  double medium_grain_px = 3.0;   ///< size of its grains

  /// Relative intensity of one frame, 1 in empty medium on average; axes row, column.
  /// \param thickness  optical thickness, 1 at the axis of a typical cell
  /// \param grain      what medium() gave for this movie, of the same extent
  /// \param rng        a movie's frames share it and differ in `frame`
  [[nodiscard]] xt::xtensor<float, 2> operator()(xt::xtensor<float, 2> const& thickness,
                                                 xt::xtensor<float, 2> const& grain,
                                                 counter_rng const& rng, int frame,
                                                 exec::threads threads = {}) const {
    double const jitter =
        1 + focus_jitter * std::clamp(rng.normal(static_cast<std::uint64_t>(frame)), -3.0, 3.0);
    auto const sharp = detail::gaussian_blur(thickness, focus_blur_px * jitter, threads);
    auto const near = detail::gaussian_blur(thickness, near_halo_px, threads);
    auto const far = detail::gaussian_blur(thickness, far_halo_px, threads);
    xt::xtensor<float, 2> intensity = xt::xtensor<float, 2>::from_shape(thickness.shape());
    for (std::size_t pixel = 0; pixel < thickness.size(); ++pixel) {
      double const amplitude =
          1 - contrast * sharp.data()[pixel] +
          halo * (near_share * near.data()[pixel] + (1 - near_share) * far.data()[pixel]) +
          grain.data()[pixel];
      intensity.data()[pixel] = static_cast<float>(amplitude * amplitude);
    }
    return intensity;
  }

  /// Amplitude by which empty medium differs from 1, the same in all frames of a movie.
  [[nodiscard]] xt::xtensor<float, 2> medium(extent2 extent, counter_rng const& rng,
                                             exec::threads threads = {}) const {
    xt::xtensor<float, 2> noise = xt::xtensor<float, 2>::from_shape(
        {static_cast<std::size_t>(extent.rows), static_cast<std::size_t>(extent.columns)});
    noise.fill(0.0F);
    if (medium_texture <= 0) return noise;
    for_each_range(threads, static_cast<std::ptrdiff_t>(noise.size()),
                   [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                     for (auto pixel = begin; pixel < end; ++pixel)
                       noise.data()[pixel] =
                           static_cast<float>(rng.normal(static_cast<std::uint64_t>(pixel)));
                   });
    // Blurring white noise of unit variance leaves a variance of 1 / (4 pi sd^2).
    double const grain = std::max(medium_grain_px, 0.5);
    auto const scale = static_cast<float>(medium_texture * grain * 2 / std::numbers::inv_sqrtpi);
    auto smooth = detail::gaussian_blur(noise, grain, threads);
    for (auto& value : smooth) value *= scale;
    return smooth;
  }
};

}  // namespace septum::inline SEPTUM_ABI
