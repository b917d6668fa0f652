#pragma once
#include <septum/core/config.hpp>

#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Discrete Fourier transform of `count` numbers, `stride` apart; `count` is a power of two.
inline void fourier_line(std::complex<double>* values, std::size_t count, std::size_t stride,
                         bool inverse) {
  for (std::size_t i = 1, j = 0; i < count; ++i) {
    std::size_t bit = count >> 1U;
    for (; (j & bit) != 0; bit >>= 1U) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(values[i * stride], values[j * stride]);
  }
  for (std::size_t length = 2; length <= count; length *= 2) {
    double const angle = (inverse ? 2 : -2) * std::numbers::pi / static_cast<double>(length);
    std::vector<std::complex<double>> turns(length / 2);
    for (std::size_t k = 0; k < turns.size(); ++k)
      turns[k] = std::polar(1.0, angle * static_cast<double>(k));
    for (std::size_t start = 0; start < count; start += length)
      for (std::size_t k = 0; k < length / 2; ++k) {
        auto& even = values[(start + k) * stride];
        auto& odd = values[(start + k + length / 2) * stride];
        auto const turned = turns[k] * odd;
        odd = even - turned;
        even += turned;
      }
  }
}

/// In place, over rows and columns, without a factor; both sides are powers of two.
inline void fourier_transform(std::vector<std::complex<double>>& values, std::size_t rows,
                              std::size_t columns, bool inverse) {
  for (std::size_t r = 0; r < rows; ++r)
    fourier_line(values.data() + r * columns, columns, 1, inverse);
  for (std::size_t c = 0; c < columns; ++c) fourier_line(values.data() + c, rows, columns, inverse);
}

}  // namespace septum::inline SEPTUM_ABI::detail
