#pragma once
#include <septum/backend/detail/instruction_set.hpp>
#include <septum/nn/winograd.hpp>

#include <cstddef>

/// Winograd's transforms (nn/winograd.hpp) on vector registers.
namespace septum::inline SEPTUM_ABI::detail {

#if defined(__x86_64__)

/// 6x6 pixels of one register of channels, from channel `k` on -> 36 points, `step` values apart.
template <class Registers>
[[gnu::always_inline]] inline void winograd_input_tile(float const* const* pixels, std::ptrdiff_t k,
                                                       float* points, std::ptrdiff_t step) {
  using lanes = typename Registers::lanes;
  using in_memory = typename Registers::in_memory;
  lanes half[6][6];
#  pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) {
    lanes column[6];
    lanes result[6];
#  pragma GCC unroll 6
    for (int i = 0; i < 6; ++i)
      column[i] = *reinterpret_cast<in_memory const*>(pixels[i * 6 + j] + k);
    winograd::input(column, result);
#  pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) half[i][j] = result[i];
  }
#  pragma GCC unroll 6
  for (int i = 0; i < 6; ++i) {
    lanes result[6];
    winograd::input(half[i], result);
#  pragma GCC unroll 6
    for (int j = 0; j < 6; ++j)
      *reinterpret_cast<in_memory*>(points + (i * 6 + j) * step) = result[j];
  }
}

/// Where one tile of one register of filters goes.
struct winograd_target {
  float* y;                    // top left pixel, first filter of the register
  std::ptrdiff_t row_step;     // values between the tile's rows
  std::ptrdiff_t column_step;  // values between its columns
  int rows;                    // of the tile that exist
  int columns;
  int filters;  // of the register that exist
  bool relu;
};

/// 36 points of one register of filters, `step` values apart -> Outputs x Outputs pixels.
template <class Registers, int Outputs>
[[gnu::always_inline]] inline void winograd_output_tile(float const* points, std::ptrdiff_t step,
                                                        float const* bias,
                                                        winograd_target const& to) {
  using lanes = typename Registers::lanes;
  using in_memory = typename Registers::in_memory;
  constexpr int width = Registers::width;
  lanes half[Outputs][6];
#  pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) {
    lanes column[6];
    lanes result[Outputs];
#  pragma GCC unroll 6
    for (int i = 0; i < 6; ++i)
      column[i] = *reinterpret_cast<in_memory const*>(points + (i * 6 + j) * step);
    winograd::output(column, result);
#  pragma GCC unroll 4
    for (int i = 0; i < Outputs; ++i) half[i][j] = result[i];
  }
  lanes const shift = *reinterpret_cast<in_memory const*>(bias);
  lanes const zero{};
#  pragma GCC unroll 4
  for (int i = 0; i < Outputs; ++i) {
    lanes result[Outputs];
    winograd::output(half[i], result);
#  pragma GCC unroll 4
    for (int j = 0; j < Outputs; ++j) {
      if (i >= to.rows || j >= to.columns) continue;
      lanes const sum = result[j] + shift;
      lanes const value = to.relu ? (sum > zero ? sum : zero) : sum;
      float* const out = to.y + i * to.row_step + j * to.column_step;
      if (to.filters >= width)
        *reinterpret_cast<in_memory*>(out) = value;
      else
        for (int f = 0; f < to.filters; ++f) out[f] = value[f];
    }
  }
}

/// Slopes of a loss by Outputs x Outputs pixels of one register of filters, from filter `f` on, of
/// which `exist` exist -> by 36 points, `step` values apart.
template <class Registers, int Outputs>
[[gnu::always_inline]] inline void winograd_slope_tile(float const* const* pixels, std::ptrdiff_t f,
                                                       std::ptrdiff_t exist, float* points,
                                                       std::ptrdiff_t step) {
  using lanes = typename Registers::lanes;
  using in_memory = typename Registers::in_memory;
  lanes half[6][Outputs];
#  pragma GCC unroll 4
  for (int j = 0; j < Outputs; ++j) {
    lanes column[Outputs];
    lanes result[6];
#  pragma GCC unroll 4
    for (int i = 0; i < Outputs; ++i) {
      float const* const from = pixels[i * Outputs + j] + f;
      if (exist >= Registers::width) {
        column[i] = *reinterpret_cast<in_memory const*>(from);
      } else {
        column[i] = lanes{};
        for (std::ptrdiff_t k = 0; k < exist; ++k) column[i][k] = from[k];
      }
    }
    winograd::output_slopes(column, result);
#  pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) half[i][j] = result[i];
  }
#  pragma GCC unroll 6
  for (int i = 0; i < 6; ++i) {
    lanes result[6];
    winograd::output_slopes(half[i], result);
#  pragma GCC unroll 6
    for (int j = 0; j < 6; ++j)
      *reinterpret_cast<in_memory*>(points + (i * 6 + j) * step) = result[j];
  }
}

/// One register of windows, `tap_step` values between their taps -> 36 points.
template <class Registers, int Kernel>
[[gnu::always_inline]] inline void winograd_window(float const* taps, std::ptrdiff_t tap_step,
                                                   typename Registers::lanes (&points)[36]) {
  using lanes = typename Registers::lanes;
  using in_memory = typename Registers::in_memory;
  lanes half[6][Kernel];
#  pragma GCC unroll 4
  for (int j = 0; j < Kernel; ++j) {
    lanes column[Kernel];
    lanes result[6];
#  pragma GCC unroll 4
    for (int i = 0; i < Kernel; ++i)
      column[i] = *reinterpret_cast<in_memory const*>(taps + (i * Kernel + j) * tap_step);
    winograd::weights(column, result);
#  pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) half[i][j] = result[i];
  }
#  pragma GCC unroll 6
  for (int i = 0; i < 6; ++i) {
    lanes result[6];
    winograd::weights(half[i], result);
#  pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) points[i * 6 + j] = result[j];
  }
}

/// Slopes of a loss by 36 points of one register of windows -> by their taps, `tap_step` apart.
template <class Registers, int Kernel>
[[gnu::always_inline]] inline void winograd_window_slopes(
    typename Registers::lanes const (&points)[36], float* taps, std::ptrdiff_t tap_step) {
  using lanes = typename Registers::lanes;
  using in_memory = typename Registers::in_memory;
  lanes half[Kernel][6];
#  pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) {
    lanes column[6];
    lanes result[Kernel];
#  pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) column[i] = points[i * 6 + j];
    winograd::weight_slopes(column, result);
#  pragma GCC unroll 4
    for (int i = 0; i < Kernel; ++i) half[i][j] = result[i];
  }
#  pragma GCC unroll 4
  for (int i = 0; i < Kernel; ++i) {
    lanes result[Kernel];
    winograd::weight_slopes(half[i], result);
#  pragma GCC unroll 4
    for (int j = 0; j < Kernel; ++j)
      *reinterpret_cast<in_memory*>(taps + (i * Kernel + j) * tap_step) = result[j];
  }
}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
