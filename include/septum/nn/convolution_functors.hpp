#pragma once
#include <septum/core/shape.hpp>
#include <septum/core/view.hpp>
#include <septum/nn/functors.hpp>

#include <cstddef>

/// Convolution as index kernels: what a device falls back to where its library has no engine. One
/// thread adds one result in the order of the definition.
namespace septum::inline SEPTUM_ABI {

/// y = sum of w x over the window, + bias, then relu where wanted. Weights: filter, row, column,
/// channel, then biases.
template <class T, class Space = device_space>
struct convolve {
  view<T const, 4, Space> x;
  view<T const, 1, Space> parameters;
  view<T, 4, Space> y;
  window geometry;
  bool relu;
  SEPTUM_HD void operator()(int row, int column) const {
    using number = arithmetic_t<T>;
    map_cell const at{row, column, y.extent(1), y.extent(3)};
    std::ptrdiff_t const channels = x.extent(3);
    std::ptrdiff_t const taps = geometry.kernel * geometry.kernel * channels;
    std::ptrdiff_t weight = at.channel * taps;
    auto sum = static_cast<number>(parameters(y.extent(3) * taps + at.channel));
    for (int i = 0; i < geometry.kernel; ++i)
      for (int j = 0; j < geometry.kernel; ++j)
        for (std::ptrdiff_t k = 0; k < channels; ++k, ++weight)
          sum += static_cast<number>(parameters(weight)) *
                 static_cast<number>(x(at.image, at.row + i * geometry.dilation,
                                       at.column + j * geometry.dilation, k));
    y(at.image, at.row, at.column, at.channel) =
        static_cast<T>(relu && !(sum > 0) ? number{0} : sum);
  }
};

/// dx = sum of w dy over the outputs that see the cell. Index space: the map of dx.
template <class T, class Space = device_space>
struct convolve_input_gradient {
  view<T const, 4, Space> dy;
  view<T const, 1, Space> parameters;
  view<T, 4, Space> dx;
  window geometry;
  SEPTUM_HD void operator()(int row, int column) const {
    using number = arithmetic_t<T>;
    map_cell const at{row, column, dx.extent(1), dx.extent(3)};
    int const kernel = geometry.kernel;
    std::ptrdiff_t const channels = dx.extent(3);
    number sum{0};
    for (int i = 0; i < kernel; ++i) {
      int const r = at.row - i * geometry.dilation;
      if (r < 0 || r >= dy.extent(1)) continue;
      for (int j = 0; j < kernel; ++j) {
        int const c = at.column - j * geometry.dilation;
        if (c < 0 || c >= dy.extent(2)) continue;
        for (std::ptrdiff_t f = 0; f < dy.extent(3); ++f)
          sum += static_cast<number>(
                     parameters(((f * kernel + i) * kernel + j) * channels + at.channel)) *
                 static_cast<number>(dy(at.image, r, c, f));
      }
    }
    dx(at.image, at.row, at.column, at.channel) = static_cast<T>(sum);
  }
};

/// dw = sum of dy x over batch and pixels. Index space: (filter, row and column and channel of the
/// weight).
template <class T, class Space = device_space>
struct convolve_weight_gradient {
  view<T const, 4, Space> x;
  view<T const, 4, Space> dy;
  view<T, 1, Space> gradient;
  window geometry;
  SEPTUM_HD void operator()(int filter, int tap) const {
    using number = arithmetic_t<T>;
    auto const channels = static_cast<int>(x.extent(3));
    int const k = tap % channels;
    int const i = tap / channels / geometry.kernel * geometry.dilation;
    int const j = tap / channels % geometry.kernel * geometry.dilation;
    number sum{0};
    for (std::ptrdiff_t n = 0; n < dy.extent(0); ++n)
      for (std::ptrdiff_t r = 0; r < dy.extent(1); ++r)
        for (std::ptrdiff_t c = 0; c < dy.extent(2); ++c)
          sum +=
              static_cast<number>(dy(n, r, c, filter)) * static_cast<number>(x(n, r + i, c + j, k));
    auto const taps = static_cast<std::ptrdiff_t>(geometry.kernel) * geometry.kernel * channels;
    gradient(filter * taps + tap) = static_cast<T>(sum);
  }
};

}  // namespace septum::inline SEPTUM_ABI
