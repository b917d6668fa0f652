#pragma once
#include <septum/core/shape.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/block_kernel.hpp>
#include <septum/nn/blocked_functors.hpp>
#include <septum/nn/channel_sum_functors.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

/// Gradients of a convolution's weights as block kernels.
namespace septum::inline SEPTUM_ABI {

/// dw of a net's first layer, whose input has one or two channels: libraries' kernels for many
/// channels spend their time on what is not there. A warp takes rows of dy, a thread one filter
/// with all its weights, and the window of x moves through registers along a row. Parts of the rows
/// are added up by finish_channel_sums, whose channel is (filter, tap and channel of the weight).
/// Dilation and stride are 1.
template <int Kernel, int Channels, class Space = device_space>
struct few_channel_weight_gradient {
  static constexpr int threads = 256;
  static constexpr int across = 32;              ///< threads over filters
  static constexpr int down = threads / across;  ///< threads over rows
  static constexpr int taps = Kernel * Kernel * Channels;
  static constexpr int residents = taps <= 20 ? 3 : 2;

  view<float const, 4, Space> x;
  view<float const, 4, Space> dy;
  view<double, 3, Space> parts;  ///< (part, 0, weight)

  struct shared_values {
    float sums[down][taps][across];
  };
  struct own_values {};

  /// Parts of so many rows of dy: two rows for every thread that takes rows.
  [[nodiscard]] static constexpr int parts_of(int rows) {
    int const parts = rows / (2 * down);
    return parts < 1 ? 1 : parts < most_sum_parts ? parts : most_sum_parts;
  }
  [[nodiscard]] static constexpr extent2 blocks(int parts, int filters) {
    return {parts, (filters + across - 1) / across};
  }
  [[nodiscard]] SEPTUM_HD int steps() const { return 2; }

  SEPTUM_HD void operator()(block_call call, shared_values& shared, own_values&) const {
    auto const filters = static_cast<int>(dy.extent(3));
    int const first = call.column * across;
    int const lane = call.thread % across;
    int const group = call.thread / across;
    if (call.step == 0) {
      float sums[taps] = {};
      if (first + lane < filters) {
        std::ptrdiff_t const rows = dy.extent(0) * dy.extent(1);
        std::ptrdiff_t const last = rows * (call.row + 1) / parts.extent(0);
        for (std::ptrdiff_t row = rows * call.row / parts.extent(0) + group; row < last;
             row += down)
          add_row(row / dy.extent(1), row % dy.extent(1), first + lane, sums);
      }
      for (int tap = 0; tap < taps; ++tap) shared.sums[group][tap][lane] = sums[tap];
      return;
    }
    for (int index = call.thread; index < taps * across; index += threads) {
      int const tap = index / across;
      int const filter = first + index % across;
      if (filter >= filters) continue;
      double sum = 0.0;
      for (int from = 0; from < down; ++from)
        sum += static_cast<double>(shared.sums[from][tap][index % across]);
      parts(call.row, 0, filter * taps + tap) = sum;
    }
  }

 private:
  using pixel = value_pack<float, Channels>;
  // Columns of the window; the one that leaves it makes room for the next.
  using window_columns = pixel[Kernel][Kernel];

  SEPTUM_HD void load_column(window_columns& columns, int slot, float const* corner,
                             std::ptrdiff_t column) const {
    for (int i = 0; i < Kernel; ++i)
      columns[slot][i] = pixel::load(corner + i * x.stride(1) + column * Channels);
  }
  template <int Shift>
  SEPTUM_HD static void add_window(window_columns const& columns, float slope,
                                   float (&sums)[taps]) {
    for (int i = 0; i < Kernel; ++i)
      for (int j = 0; j < Kernel; ++j)
        for (int k = 0; k < Channels; ++k)
          sums[(i * Kernel + j) * Channels + k] +=
              slope * columns[(Shift + j) % Kernel][i].values[k];
  }
  SEPTUM_HD void add_row(std::ptrdiff_t n, std::ptrdiff_t row, int filter,
                         float (&sums)[taps]) const {
    float const* const corner = x.data() + n * x.stride(0) + row * x.stride(1);
    float const* const slopes = dy.data() + n * dy.stride(0) + row * dy.stride(1) + filter;
    std::ptrdiff_t const width = dy.extent(2);
    std::ptrdiff_t const filters = dy.extent(3);
    window_columns columns;
    for (int j = 0; j + 1 < Kernel; ++j) load_column(columns, j, corner, j);
    std::ptrdiff_t at = 0;
    for (; at + Kernel <= width; at += Kernel)
      add_group(columns, corner, slopes, at, filters, sums);
    // What is left of the row, pixel by pixel: columns move on to their places in the window.
    for (; at < width; ++at) {
      load_column(columns, Kernel - 1, corner, at + Kernel - 1);
      add_window<0>(columns, slopes[at * filters], sums);
      for (int j = 0; j + 1 < Kernel; ++j)
        for (int i = 0; i < Kernel; ++i) columns[j][i] = columns[j + 1][i];
    }
  }
  // As many pixels as the window has columns, which so keep their places in registers. All is
  // loaded before the first of it is used: a thread waits long for each.
  SEPTUM_HD void add_group(window_columns& columns, float const* corner, float const* slopes,
                           std::ptrdiff_t at, std::ptrdiff_t filters, float (&sums)[taps]) const {
    window_columns next;
    float slope[Kernel];
    for (int j = 0; j < Kernel; ++j) {
      load_column(next, j, corner, at + j + Kernel - 1);
      slope[j] = slopes[(at + j) * filters];
    }
    auto const step = [&]<int Shift>(std::integral_constant<int, Shift>) {
      for (int i = 0; i < Kernel; ++i) columns[(Shift + Kernel - 1) % Kernel][i] = next[Shift][i];
      add_window<Shift>(columns, slope[Shift], sums);
    };
    [&]<int... Shift>(std::integer_sequence<int, Shift...>) {
      (step(std::integral_constant<int, Shift>{}), ...);
    }
    (std::make_integer_sequence<int, Kernel>{});
  }
};

}  // namespace septum::inline SEPTUM_ABI
