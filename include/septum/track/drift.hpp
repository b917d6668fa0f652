#pragma once
#include <septum/core/config.hpp>
#include <septum/track/detail/fourier.hpp>
#include <septum/track/detail/overlap.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/displacement.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Displacement of a whole frame since the one before, in whole pixels, by phase correlation of
/// where cells are (the paper aligns its frames so). Frames larger than `most_side` are looked at
/// in blocks first; then the shift is refined to the one that lets most pixels of cells overlap.
/// Frames without cells have not moved.
struct phase_correlation {
  std::size_t most_side = 512;

  [[nodiscard]] displacement operator()(frame_cells const& before, frame_cells const& after) const {
    if (before.pixels.empty() || after.pixels.empty()) return {};
    std::size_t const side = std::max(side_of(before), side_of(after));
    std::size_t block = 1;
    while ((side + block - 1) / block > most_side) ++block;
    // Twice the side, so that a shift does not come round from the other end.
    std::size_t const padded = std::bit_ceil(2 * ((side + block - 1) / block));
    auto a = occupancy(before, block, padded), b = occupancy(after, block, padded);
    detail::fourier_transform(a, padded, padded, false);
    detail::fourier_transform(b, padded, padded, false);
    for (std::size_t i = 0; i < a.size(); ++i) {
      std::complex<double> const cross = std::conj(a[i]) * b[i];
      double const size = std::abs(cross);
      // The square root keeps edges from counting for more than cells do.
      a[i] = size > 1e-12 ? cross / std::sqrt(size) : 0.0;
    }
    detail::fourier_transform(a, padded, padded, true);
    auto const peak = std::max_element(
        a.begin(), a.end(), [](auto const& x, auto const& y) { return x.real() < y.real(); });
    auto const at = static_cast<std::size_t>(peak - a.begin());
    auto const scale = static_cast<std::int32_t>(block);
    return refined(before, after, scale * signed_shift(at / padded, padded),
                   scale * signed_shift(at % padded, padded), scale);
  }

 private:
  [[nodiscard]] static std::size_t side_of(frame_cells const& frame) {
    std::int32_t columns = 0;
    for (detail::cell_run const& run : frame.pixels.all()) columns = std::max(columns, run.end);
    return std::max(static_cast<std::size_t>(frame.pixels.rows()),
                    static_cast<std::size_t>(columns));
  }

  [[nodiscard]] static std::vector<std::complex<double>> occupancy(frame_cells const& frame,
                                                                   std::size_t block,
                                                                   std::size_t padded) {
    std::vector<std::complex<double>> values(padded * padded);
    for (std::ptrdiff_t row = 0; row < frame.pixels.rows(); ++row)
      for (detail::cell_run const& run : frame.pixels.row(row))
        for (std::int32_t c = run.begin; c < run.end; ++c)
          values[static_cast<std::size_t>(row) / block * padded +
                 static_cast<std::size_t>(c) / block] += 1.0;
    return values;
  }

  [[nodiscard]] static std::int32_t signed_shift(std::size_t index, std::size_t padded) {
    auto const shift = static_cast<std::int32_t>(index);
    return index < padded / 2 ? shift : shift - static_cast<std::int32_t>(padded);
  }

  [[nodiscard]] static displacement refined(frame_cells const& before, frame_cells const& after,
                                            std::int32_t dy, std::int32_t dx, std::int32_t around) {
    std::int64_t most = -1;
    displacement best;
    for (std::int32_t y = dy - around; y <= dy + around; ++y)
      for (std::int32_t x = dx - around; x <= dx + around; ++x) {
        std::int64_t common = 0;
        for (detail::pixel_overlap const& o :
             detail::count_pixel_overlaps(before.pixels, after.pixels, y, x))
          common += o.pixels;
        if (common <= most) continue;
        most = common;
        best = {static_cast<double>(y), static_cast<double>(x), 0};
      }
    return best;
  }
};

}  // namespace septum::inline SEPTUM_ABI
