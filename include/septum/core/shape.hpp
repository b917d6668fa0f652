#pragma once
#include <septum/core/config.hpp>

#include <cstddef>

namespace septum::inline SEPTUM_ABI {

/// Extent of one feature map in channels-last order: rows, columns, channels.
struct shape {
  int height = 0;
  int width = 0;
  int channels = 0;
  friend constexpr bool operator==(shape, shape) = default;
  /// True when the map has at least one value.
  [[nodiscard]] constexpr bool valid() const { return height > 0 && width > 0 && channels > 0; }
  /// Number of values.
  [[nodiscard]] constexpr std::size_t size() const {
    return valid() ? static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
                         static_cast<std::size_t>(channels)
                   : 0;
  }
};

/// Square sliding window without padding ('valid'). `dilation` counts from 1 (1 = dense window).
struct window {
  int kernel = 1;
  int stride = 1;
  int dilation = 1;
  friend constexpr bool operator==(window, window) = default;
  /// Pixels spanned along one axis: (kernel - 1) * dilation + 1.
  [[nodiscard]] constexpr int extent() const { return (kernel - 1) * dilation + 1; }
  /// Number of window positions along an axis of n pixels; a remainder at the end is dropped.
  [[nodiscard]] constexpr int out(int n) const {
    return n < extent() ? 0 : (n - extent()) / stride + 1;
  }
};

}  // namespace septum::inline SEPTUM_ABI
