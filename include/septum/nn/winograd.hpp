#pragma once
#include <septum/core/config.hpp>
#include <septum/core/shape.hpp>

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

  /// True for windows that have such a form.
  static constexpr bool has_form(window geometry) {
    return (geometry.kernel == 3 || geometry.kernel == 4) && geometry.stride == 1;
  }
  /// Side of a tile of output.
  SEPTUM_HD static constexpr int outputs(int kernel) { return points + 1 - kernel; }
  /// Rows and columns of output that one cell of the tiles' grid covers: a tile for each phase of
  /// the dilation.
  static constexpr int grid(window geometry) {
    return outputs(geometry.kernel) * geometry.dilation;
  }

  /// One dimension of the weights' transform: g of `kernel` values, `step` apart -> 6 points.
  SEPTUM_HD static void weights(double const* g, int kernel, std::ptrdiff_t step, double* u) {
    constexpr double place[] = {0.0, near, -near, far, -far};
    constexpr double near_divisor = 2.0 * near2 * (near2 - far2);
    constexpr double far_divisor = 2.0 * far2 * (far2 - near2);
    constexpr double divisor[] = {product2, near_divisor, near_divisor, far_divisor, far_divisor};
    for (int k = 0; k < 5; ++k) {
      double value = 0.0;
      for (int j = kernel - 1; j >= 0; --j) value = value * place[k] + g[j * step];
      u[k] = value / divisor[k];
    }
    u[5] = g[(kernel - 1) * step];
  }
  /// Both dimensions of it: kernel x kernel weights, row by row -> 36 points.
  SEPTUM_HD static void window_points(double const* window, int kernel, double (&u)[36]) {
    double half[4][points];  // column of the window -> points of its rows
    for (int j = 0; j < kernel; ++j) weights(window + j, kernel, kernel, half[j]);
    for (int i = 0; i < points; ++i) {
      double row[4];
      for (int j = 0; j < kernel; ++j) row[j] = half[j][i];
      weights(row, kernel, 1, u + i * points);
    }
  }

  /// One dimension of the weights' transform for registers of weights, in their own precision.
  template <class Lanes, int Kernel>
  [[gnu::always_inline]] static inline void weights(Lanes const (&g)[Kernel], Lanes (&u)[6]) {
    static_assert(Kernel == 3 || Kernel == 4);
    Lanes const even = g[0] + near2 * g[2];
    Lanes const even_far = g[0] + far2 * g[2];
    Lanes odd = near * g[1];
    Lanes odd_far = far * g[1];
    if constexpr (Kernel == 4) {
      odd += near * near2 * g[3];
      odd_far += far * far2 * g[3];
    }
    u[0] = part * g[0];
    u[1] = near_part * (even + odd);
    u[2] = near_part * (even - odd);
    u[3] = far_part * (even_far + odd_far);
    u[4] = far_part * (even_far - odd_far);
    u[5] = g[Kernel - 1];
  }
  /// Its transpose: slopes of a loss by the 6 points -> by the window's values.
  template <class Lanes, int Kernel>
  [[gnu::always_inline]] static inline void weight_slopes(Lanes const (&u)[6], Lanes (&g)[Kernel]) {
    static_assert(Kernel == 3 || Kernel == 4);
    Lanes const near_sum = near_part * (u[1] + u[2]);
    Lanes const near_difference = near_part * near * (u[1] - u[2]);
    Lanes const far_sum = far_part * (u[3] + u[4]);
    Lanes const far_difference = far_part * far * (u[3] - u[4]);
    g[0] = part * u[0] + near_sum + far_sum;
    g[1] = near_difference + far_difference;
    g[2] = near2 * near_sum + far2 * far_sum;
    if constexpr (Kernel == 4)
      g[3] = near2 * near_difference + far2 * far_difference + u[5];
    else
      g[2] += u[5];
  }

  /// One dimension of the input's transform.
  template <class Lanes>
  [[gnu::always_inline]] SEPTUM_HD static inline void input(Lanes const (&d)[6], Lanes (&v)[6]) {
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
  [[gnu::always_inline]] SEPTUM_HD static inline void output(Lanes const (&m)[6],
                                                             Lanes (&y)[Outputs]) {
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
  /// Its transpose: slopes of a loss by the outputs of a tile -> by the 6 points.
  template <class Lanes, int Outputs>
  [[gnu::always_inline]] static inline void output_slopes(Lanes const (&y)[Outputs],
                                                          Lanes (&m)[6]) {
    static_assert(Outputs == 3 || Outputs == 4);
    Lanes const even_near = y[0] + near2 * y[2];
    Lanes const even_far = y[0] + far2 * y[2];
    Lanes odd_near = near * y[1];
    Lanes odd_far = far * y[1];
    if constexpr (Outputs == 4) {
      odd_near += near * near2 * y[3];
      odd_far += far * far2 * y[3];
    }
    m[0] = y[0];
    m[1] = even_near + odd_near;
    m[2] = even_near - odd_near;
    m[3] = even_far + odd_far;
    m[4] = even_far - odd_far;
    m[5] = y[Outputs - 1];
  }

 private:
  // What the weights' transform divides by, the other way round.
  static constexpr float part = static_cast<float>(1.0 / (double{near2} * double{far2}));
  static constexpr float near_part =
      static_cast<float>(1.0 / (2.0 * double{near2} * (double{near2} - double{far2})));
  static constexpr float far_part =
      static_cast<float>(1.0 / (2.0 * double{far2} * (double{far2} - double{near2})));
};

}  // namespace septum::inline SEPTUM_ABI::detail
