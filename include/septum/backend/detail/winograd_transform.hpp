#pragma once
#include <septum/backend/detail/instruction_set.hpp>

#include <array>
#include <cstddef>

/// Winograd's minimal filtering with six points: F(4,3) and F(3,4) in one dimension, nested for
/// F(4x4,3x3) and F(3x3,4x4). A tile of 6x6 input values and a window of kernel x kernel weights
/// are brought to 36 points each, where the convolution is one product per point, a quarter of the
/// direct form's; the products come back as outputs x outputs values, outputs = 7 - kernel
/// (Winograd 1980; Lavin and Gray 2016, section 4). The points are 0, +-5/8, +-3/2 and infinity:
/// nearer to 1 than the usual 0, +-1, +-2, they halve the rounding error, and all constants but the
/// quotients of the weights are exact in float.
namespace septum::inline SEPTUM_ABI::detail {

struct winograd {
  static constexpr int points = 6;  // in one dimension, and side of a tile of input
  static constexpr float near = 0.625F;
  static constexpr float far = 1.5F;
  static constexpr float near2 = near * near;
  static constexpr float far2 = far * far;
  static constexpr float sum2 = near2 + far2;
  static constexpr float product2 = near2 * far2;

  /// Side of a tile of output.
  static constexpr int outputs(int kernel) { return points + 1 - kernel; }

  /// One dimension of the weights' transform: g of `kernel` values, `step` apart -> 6 points.
  static void weights(double const* g, int kernel, std::ptrdiff_t step, std::array<double, 6>& u) {
    constexpr double place[] = {0.0, near, -near, far, -far};
    constexpr double near_divisor = 2.0 * near2 * (near2 - far2);
    constexpr double far_divisor = 2.0 * far2 * (far2 - near2);
    constexpr double divisor[] = {product2, near_divisor, near_divisor, far_divisor, far_divisor};
    for (std::size_t k = 0; k < 5; ++k) {
      double value = 0.0;
      for (int j = kernel - 1; j >= 0; --j) value = value * place[k] + g[j * step];
      u[k] = value / divisor[k];
    }
    u[5] = g[(kernel - 1) * step];
  }

  /// One dimension of the input's transform.
  template <class Lanes>
  [[gnu::always_inline]] static inline void input(Lanes const (&d)[6], Lanes (&v)[6]) {
    Lanes const even_near = d[4] - far2 * d[2];
    Lanes const odd_near = near * (d[3] - far2 * d[1]);
    Lanes const even_far = d[4] - near2 * d[2];
    Lanes const odd_far = far * (d[3] - near2 * d[1]);
    v[0] = d[4] - sum2 * d[2] + product2 * d[0];
    v[1] = even_near + odd_near;
    v[2] = even_near - odd_near;
    v[3] = even_far + odd_far;
    v[4] = even_far - odd_far;
    v[5] = d[5] - sum2 * d[3] + product2 * d[1];
  }

  /// One dimension of the way back.
  template <class Lanes, int Outputs>
  [[gnu::always_inline]] static inline void output(Lanes const (&m)[6], Lanes (&y)[Outputs]) {
    static_assert(Outputs == 3 || Outputs == 4);
    Lanes const near_sum = m[1] + m[2];
    Lanes const near_difference = near * (m[1] - m[2]);
    Lanes const far_sum = m[3] + m[4];
    Lanes const far_difference = far * (m[3] - m[4]);
    y[0] = m[0] + near_sum + far_sum;
    y[1] = near_difference + far_difference;
    y[2] = near2 * near_sum + far2 * far_sum;
    if constexpr (Outputs == 4)
      y[3] = near2 * near_difference + far2 * far_difference + m[5];
    else
      y[2] += m[5];
  }
};

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

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
