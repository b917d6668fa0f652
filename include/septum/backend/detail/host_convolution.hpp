#pragma once
#include <septum/backend/problem.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

/// Direct convolution of channels-last float maps for processors with AVX2, found out when the
/// program runs, whatever flags it was compiled with. A block of neighbouring pixels times a block
/// of filters stays in registers while the window is walked once: no gathered copy of the windows,
/// no reordered maps. Each output is one chain of fused multiply-adds over (window row, window
/// column, channel) that starts at the bias, so its bytes depend neither on the place in the map
/// nor on threads.
namespace septum::inline SEPTUM_ABI::detail {

/// True where the direct convolution runs.
inline bool has_direct_convolution() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

/// Weights in blocks of 16 filters (the last one of 8, if that suffices), each as (window row,
/// window column, channel, filter of the block); missing filters are zero.
struct direct_weights {
  static constexpr int block = 16;
  std::vector<float> values;
  std::vector<float> bias;

  direct_weights() = default;
  /// @param parameters weights (filter, row, column, channel), then one bias per filter
  direct_weights(layer_problem const& problem, std::span<float const> parameters) {
    auto const filters = static_cast<std::size_t>(problem.out.channels);
    std::size_t const taps = parameters.size() / filters - 1;
    for (std::size_t first = 0; first < filters; first += block) {
      auto const end = first + static_cast<std::size_t>(
                                   block_width(problem.out.channels - static_cast<int>(first)));
      for (std::size_t tap = 0; tap < taps; ++tap)
        for (std::size_t f = first; f < end; ++f)
          values.push_back(f < filters ? parameters[f * taps + tap] : 0.0F);
      for (std::size_t f = first; f < end; ++f)
        bias.push_back(f < filters ? parameters[filters * taps + f] : 0.0F);
    }
  }
  /// Filters of a block, the missing ones counted, when `left` are not in blocks yet.
  static constexpr int block_width(int left) { return left <= block / 2 ? block / 2 : block; }
};

#if defined(__x86_64__)

/// One row of output pixels times one block of filters.
struct direct_row {
  float const* x;        // top left of the first window
  float const* weights;  // of the block
  float const* bias;
  float* y;  // first pixel, first filter of the block
  int pixels;
  int filters;  // of the block that exist
  int kernel;
  int channels;
  std::ptrdiff_t row_step;     // values between rows of the window
  std::ptrdiff_t column_step;  // values between columns of the window
  std::ptrdiff_t out_step;     // values between output pixels
  bool relu;
};

using avx2_lanes [[gnu::vector_size(32)]] = float;
using avx2_in_memory [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;

// The sums of Pixels x (8 * Registers) outputs from pixel `first` on. Not inlined: the callers'
// variables would push sums out of the 16 registers.
template <int Pixels, int Registers>
[[gnu::target("avx2,fma"), gnu::noinline]] inline void convolve_pixels_avx2(direct_row const& row,
                                                                            int first) {
  avx2_lanes sums[Pixels][Registers];
#  pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p)
#  pragma GCC unroll 2
    for (int v = 0; v < Registers; ++v)
      sums[p][v] = *reinterpret_cast<avx2_in_memory const*>(row.bias + v * 8);
  std::ptrdiff_t const pixel_step = row.channels;
  float const* const corner = row.x + first * pixel_step;
  float const* w = row.weights;
  for (int i = 0; i < row.kernel; ++i)
    for (int j = 0; j < row.kernel; ++j) {
      float const* const x = corner + i * row.row_step + j * row.column_step;
      for (int k = 0; k < row.channels; ++k, w += Registers * 8) {
        avx2_lanes weights[Registers];
#  pragma GCC unroll 2
        for (int v = 0; v < Registers; ++v)
          weights[v] = *reinterpret_cast<avx2_in_memory const*>(w + v * 8);
#  pragma GCC unroll 16
        for (int p = 0; p < Pixels; ++p)
#  pragma GCC unroll 2
          for (int v = 0; v < Registers; ++v) sums[p][v] += x[p * pixel_step + k] * weights[v];
      }
    }
  avx2_lanes const zero{};
#  pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) {
    float* const out = row.y + (first + p) * row.out_step;
#  pragma GCC unroll 2
    for (int v = 0; v < Registers; ++v) {
      avx2_lanes const sum = sums[p][v];
      avx2_lanes const value = row.relu ? (sum > zero ? sum : zero) : sum;
      int const exist = row.filters - v * 8;
      if (exist >= 8)
        *reinterpret_cast<avx2_in_memory*>(out + v * 8) = value;
      else
        for (int f = 0; f < exist; ++f) out[v * 8 + f] = value[f];
    }
  }
}

// Blocks of as many pixels as leave room for the weights among 16 registers, then smaller ones.
inline void convolve_row_avx2(direct_row const& row, bool two_registers) {
  int pixel = 0;
  if (two_registers) {
    for (; pixel + 6 <= row.pixels; pixel += 6) convolve_pixels_avx2<6, 2>(row, pixel);
    for (; pixel + 3 <= row.pixels; pixel += 3) convolve_pixels_avx2<3, 2>(row, pixel);
    for (; pixel < row.pixels; ++pixel) convolve_pixels_avx2<1, 2>(row, pixel);
  } else {
    for (; pixel + 12 <= row.pixels; pixel += 12) convolve_pixels_avx2<12, 1>(row, pixel);
    for (; pixel + 3 <= row.pixels; pixel += 3) convolve_pixels_avx2<3, 1>(row, pixel);
    for (; pixel < row.pixels; ++pixel) convolve_pixels_avx2<1, 1>(row, pixel);
  }
}

/// y = relu(W x + bias) or W x + bias; maps are contiguous. Only where has_direct_convolution().
inline void direct_convolve(exec::threads threads, layer_problem const& problem,
                            direct_weights const& w, view<float const, 4> x, view<float, 4> y) {
  auto const& in = problem.in;
  auto const& out = problem.out;
  std::ptrdiff_t const taps =
      static_cast<std::ptrdiff_t>(problem.geometry.kernel) * problem.geometry.kernel * in.channels;
  std::ptrdiff_t const in_row = static_cast<std::ptrdiff_t>(in.width) * in.channels;
  std::ptrdiff_t const out_row = static_cast<std::ptrdiff_t>(out.width) * out.channels;
  constexpr int block = direct_weights::block;
  std::ptrdiff_t const blocks = (out.channels + block - 1) / block;
  // Row by row, in a row block by block of filters: the rows under the window stay in the cache.
  for_each_range(
      threads, problem.batch * out.height * blocks, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t task = begin; task < end; ++task) {
          std::ptrdiff_t const n = task / blocks / out.height;
          std::ptrdiff_t const r = task / blocks % out.height;
          int const first = static_cast<int>(task % blocks) * block;
          int const width = direct_weights::block_width(out.channels - first);
          direct_row const row{
              .x = x.data() + (n * in.height + r) * in_row,
              .weights = w.values.data() + first * taps,
              .bias = w.bias.data() + first,
              .y = y.data() + (n * out.height + r) * out_row + first,
              .pixels = out.width,
              .filters = std::min(width, out.channels - first),
              .kernel = problem.geometry.kernel,
              .channels = in.channels,
              .row_step = problem.geometry.dilation * in_row,
              .column_step = static_cast<std::ptrdiff_t>(problem.geometry.dilation) * in.channels,
              .out_step = out.channels,
              .relu = problem.relu};
          convolve_row_avx2(row, width == block);
        }
      });
}

#else

inline void direct_convolve(exec::threads, layer_problem const&, direct_weights const&,
                            view<float const, 4>, view<float, 4>) {}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
