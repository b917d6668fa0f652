#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>
#include <xtensor/xtensor.hpp>

namespace septum::inline SEPTUM_ABI {

/// Lamp and camera: from relative intensity to the counts of a 16-bit file. Shot noise has the
/// variance of a Poisson count (drawn as a normal, which it is at these intensities).
struct camera {
  double counts_at_one = 7200.0;  ///< counts of relative intensity 1, without the offset
  double offset_counts = 100.0;
  double counts_per_photon = 2.5;  ///< the higher, the noisier
  double read_noise_counts = 25.0;
  double column_noise = 0.004;        ///< fixed gain of each column, relative sd
  double uneven_illumination = 0.03;  ///< sd of the smooth gain over the field
  double flicker = 0.008;             ///< sd of the lamp between frames

  /// Counts of one frame: whole numbers from 0 to 65535, axes row, column.
  /// \param intensity  relative intensity; a movie's frames share `rng` and differ in `frame`
  [[nodiscard]] xt::xtensor<float, 2> operator()(xt::xtensor<float, 2> const& intensity,
                                                 counter_rng const& rng, int frame,
                                                 exec::threads threads = {}) const {
    auto const rows = static_cast<std::ptrdiff_t>(intensity.shape()[0]);
    auto const columns = static_cast<std::ptrdiff_t>(intensity.shape()[1]);
    auto const fixed = rng.fork(0);
    auto const noise = rng.fork(static_cast<std::uint64_t>(frame) + 1);
    std::array<double, 5> field{};
    for (std::size_t k = 0; k < field.size(); ++k) field[k] = uneven_illumination * fixed.normal(k);
    double const lamp = 1 + flicker * std::clamp(noise.fork(0).normal(0), -3.0, 3.0);
    std::vector<double> column_gain;
    for (std::ptrdiff_t column = 0; column < columns; ++column)
      column_gain.push_back(
          1 + column_noise * fixed.normal(field.size() + static_cast<std::uint64_t>(column)));
    xt::xtensor<float, 2> counts = xt::xtensor<float, 2>::from_shape(intensity.shape());
    for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (auto row = begin; row < end; ++row) {
        double const y = 2.0 * static_cast<double>(row) / static_cast<double>(rows) - 1;
        for (std::ptrdiff_t column = 0; column < columns; ++column) {
          double const x = 2.0 * static_cast<double>(column) / static_cast<double>(columns) - 1;
          double const gain =
              std::max(0.1, 1 + field[0] * x + field[1] * y + field[2] * x * y +
                                field[3] * (x * x - 1.0 / 3) + field[4] * (y * y - 1.0 / 3)) *
              column_gain[static_cast<std::size_t>(column)];
          auto const pixel = row * columns + column;
          double const expected = lamp * gain * counts_at_one *
                                  std::max(0.0, static_cast<double>(intensity.data()[pixel]));
          double const sd =
              std::sqrt(counts_per_photon * expected + read_noise_counts * read_noise_counts);
          double const value =
              offset_counts + expected + sd * noise.normal(static_cast<std::uint64_t>(pixel));
          counts.data()[pixel] =
              static_cast<float>(std::clamp(std::nearbyint(value), 0.0, 65535.0));
        }
      }
    });
    return counts;
  }
};

}  // namespace septum::inline SEPTUM_ABI
