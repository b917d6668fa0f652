#pragma once
#include <septum/backend/detail/instruction_set.hpp>
#include <septum/backend/problem.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

/// Direct convolution of channels-last float maps for processors with AVX2 or AVX-512. A block of
/// neighbouring pixels times a block of filters stays in registers while the window is walked once:
/// no gathered copy of the windows, no reordered maps. Each output is one chain of fused
/// multiply-adds over (window row, window column, channel) that starts at the bias, or,
/// compensated, chains of so many terms that are added up with what the additions lose. Its bytes
/// depend neither on the place in the map nor on threads nor on the width of the registers.
namespace septum::inline SEPTUM_ABI::detail {

/// True where the direct convolution runs.
inline bool has_direct_convolution() { return widest_instruction_set() != instruction_set::none; }

/// Filters in blocks of two registers, the last one of one register if that suffices.
struct filter_blocks {
  instruction_set set = widest_instruction_set();
  int filters = 0;

  /// Filters of a whole block.
  [[nodiscard]] int step() const { return 2 * lane_count(set); }
  /// Filters of the block that starts with filter `first`, the missing ones counted.
  [[nodiscard]] int width(int first) const {
    return filters - first <= lane_count(set) ? lane_count(set) : step();
  }
  [[nodiscard]] int count() const { return (filters + step() - 1) / step(); }
  /// Filters of all blocks, the missing ones counted.
  [[nodiscard]] int padded() const {
    int const last = (count() - 1) * step();
    return last + width(last);
  }
};

/// Weights in blocks of filters, each as (window row, window column, channel, filter of the block);
/// missing filters are zero.
struct direct_weights {
  filter_blocks blocks;
  buffer<float> values;
  buffer<float> bias;

  direct_weights() = default;
  /// @param parameters weights (filter, row, column, channel), then one bias per filter
  direct_weights(layer_problem const& problem, std::span<float const> parameters)
      : blocks{.filters = problem.out.channels} {
    auto const filters = static_cast<std::size_t>(blocks.filters);
    auto const padded = static_cast<std::size_t>(blocks.padded());
    std::size_t const taps = parameters.size() / filters - 1;
    values.reserve(padded * taps);
    bias.reserve(padded);
    float* to = values.data();
    for (int first = 0; first < blocks.filters; first += blocks.step()) {
      auto const begin = static_cast<std::size_t>(first);
      auto const end = begin + static_cast<std::size_t>(blocks.width(first));
      for (std::size_t tap = 0; tap < taps; ++tap)
        for (std::size_t f = begin; f < end; ++f)
          *to++ = f < filters ? parameters[f * taps + tap] : 0.0F;
    }
    for (std::size_t f = 0; f < padded; ++f)
      bias.data()[f] = f < filters ? parameters[filters * taps + f] : 0.0F;
  }
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
  int window_rows;
  int window_columns;
  int channels;                // of a window's pixel
  std::ptrdiff_t row_step;     // values between rows of the window
  std::ptrdiff_t column_step;  // values between columns of the window
  std::ptrdiff_t pixel_step;   // values between windows
  std::ptrdiff_t out_step;     // values between output pixels
  bool relu;
  // What the next call reads, brought into the first cache meanwhile, as much of it as this call
  // has weights; or null.
  float const* next_weights = nullptr;
  float const* next_x = nullptr;
};

/// How a block of outputs is summed: in one chain, in one chain while the next operands are brought
/// into the first cache, or in chains of `chain_length` terms that are added with compensation.
enum class summation { plain, prefetching, compensated };
inline constexpr int chain_length = 16;

// The chains of Pixels x Count registers that are done: their sum, and what the additions lost
// (Ogita, Rump and Oishi 2005, algorithm 4.4).
template <class Registers, int Pixels, int Count>
struct chain_totals {
  using lanes = typename Registers::lanes;
  lanes sum[Pixels][Count];
  lanes lost[Pixels][Count];

  // The first chain is the bias. Leaves zeros.
  [[gnu::always_inline]] inline void start(lanes (&chain)[Pixels][Count]) {
    for (int p = 0; p < Pixels; ++p)
      for (int v = 0; v < Count; ++v) {
        sum[p][v] = chain[p][v];
        lost[p][v] = chain[p][v] = lanes{};
      }
  }
  [[gnu::always_inline]] inline void take(lanes (&chain)[Pixels][Count]) {
    for (int p = 0; p < Pixels; ++p)
      for (int v = 0; v < Count; ++v) {
        lanes const more = chain[p][v];
        lanes const before = sum[p][v];
        lanes const total = before + more;
        lanes const added = total - before;
        lost[p][v] += (before - (total - added)) + (more - added);
        sum[p][v] = total;
        chain[p][v] = lanes{};
      }
  }
  [[gnu::always_inline]] inline void finish(lanes (&chain)[Pixels][Count]) {
    take(chain);
    for (int p = 0; p < Pixels; ++p)
      for (int v = 0; v < Count; ++v) chain[p][v] = sum[p][v] + lost[p][v];
  }
};

// The sums of Pixels x (lanes * Count) outputs from pixel `first` on.
template <class Registers, int Pixels, int Count, summation Sum>
[[gnu::always_inline]] inline void convolve_pixels(direct_row const& row, int first) {
  constexpr bool prefetch = Sum == summation::prefetching;
  constexpr bool compensate = Sum == summation::compensated;
  using lanes = typename Registers::lanes;
  using in_memory = typename Registers::in_memory;
  constexpr int width = Registers::width;
  lanes sums[Pixels][Count];
#  pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p)
#  pragma GCC unroll 2
    for (int v = 0; v < Count; ++v)
      sums[p][v] = *reinterpret_cast<in_memory const*>(row.bias + v * width);
  std::ptrdiff_t const pixel_step = row.pixel_step;
  float const* const corner = row.x + first * pixel_step;
  float const* w = row.weights;
  float const* next_w = row.next_weights;
  float const* next_x = prefetch ? row.next_x + first * pixel_step : nullptr;
  chain_totals<Registers, Pixels, Count> totals;
  int room = chain_length;  // terms that the chains still take up
  if constexpr (compensate) totals.start(sums);
  for (int i = 0; i < row.window_rows; ++i)
    for (int j = 0; j < row.window_columns; ++j) {
      float const* const x = corner + i * row.row_step + j * row.column_step;
      for (int k = 0; k < row.channels;) {
        int end = row.channels;
        if constexpr (compensate) {
          if (room == 0) {
            totals.take(sums);
            room = chain_length;
          }
          end = std::min(end, k + room);
          room -= end - k;
        }
        for (; k < end; ++k, w += Count * width) {
          if constexpr (prefetch) {
            __builtin_prefetch(next_w);
            if constexpr (Count * width > 16) __builtin_prefetch(next_w + 16);
            __builtin_prefetch(next_x);
            next_w += Count * width;
            next_x += Pixels;
          }
          lanes weights[Count];
#  pragma GCC unroll 2
          for (int v = 0; v < Count; ++v)
            weights[v] = *reinterpret_cast<in_memory const*>(w + v * width);
#  pragma GCC unroll 16
          for (int p = 0; p < Pixels; ++p)
#  pragma GCC unroll 2
            for (int v = 0; v < Count; ++v) sums[p][v] += x[p * pixel_step + k] * weights[v];
        }
      }
    }
  if constexpr (compensate) totals.finish(sums);
  lanes const zero{};
#  pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) {
    float* const out = row.y + (first + p) * row.out_step;
#  pragma GCC unroll 2
    for (int v = 0; v < Count; ++v) {
      lanes const sum = sums[p][v];
      lanes const value = row.relu ? (sum > zero ? sum : zero) : sum;
      int const exist = row.filters - v * width;
      if (exist >= width)
        *reinterpret_cast<in_memory*>(out + v * width) = value;
      else
        for (int f = 0; f < exist; ++f) out[v * width + f] = value[f];
    }
  }
}

// Not inlined: the callers' variables would push sums out of the registers.
template <int Pixels, int Count, summation Sum>
[[gnu::target("avx2,fma"), gnu::noinline]] inline void convolve_pixels_avx2(direct_row const& row,
                                                                            int first) {
  convolve_pixels<avx2_registers, Pixels, Count, Sum>(row, first);
}
template <int Pixels, int Count, summation Sum>
[[gnu::target("avx512f"), gnu::noinline]] inline void convolve_pixels_avx512(direct_row const& row,
                                                                             int first) {
  convolve_pixels<avx512_registers, Pixels, Count, Sum>(row, first);
}

constexpr summation without_prefetching(summation sum) {
  return sum == summation::prefetching ? summation::plain : sum;
}
// Blocks of as many pixels as leave room for the weights among 16 registers, then smaller ones.
template <summation Sum>
void convolve_row_avx2(direct_row const& row, bool two_registers) {
  constexpr summation rest = without_prefetching(Sum);
  int pixel = 0;
  if (two_registers) {
    for (; pixel + 6 <= row.pixels; pixel += 6) convolve_pixels_avx2<6, 2, Sum>(row, pixel);
    for (; pixel + 3 <= row.pixels; pixel += 3) convolve_pixels_avx2<3, 2, rest>(row, pixel);
    for (; pixel < row.pixels; ++pixel) convolve_pixels_avx2<1, 2, rest>(row, pixel);
  } else {
    for (; pixel + 12 <= row.pixels; pixel += 12) convolve_pixels_avx2<12, 1, Sum>(row, pixel);
    for (; pixel + 3 <= row.pixels; pixel += 3) convolve_pixels_avx2<3, 1, rest>(row, pixel);
    for (; pixel < row.pixels; ++pixel) convolve_pixels_avx2<1, 1, rest>(row, pixel);
  }
}
// The same among 32 registers.
template <summation Sum>
void convolve_row_avx512(direct_row const& row, bool two_registers) {
  constexpr summation rest = without_prefetching(Sum);
  int pixel = 0;
  if (two_registers) {
    for (; pixel + 14 <= row.pixels; pixel += 14) convolve_pixels_avx512<14, 2, Sum>(row, pixel);
    for (; pixel + 4 <= row.pixels; pixel += 4) convolve_pixels_avx512<4, 2, rest>(row, pixel);
    for (; pixel < row.pixels; ++pixel) convolve_pixels_avx512<1, 2, rest>(row, pixel);
  } else {
    for (; pixel + 14 <= row.pixels; pixel += 14) convolve_pixels_avx512<14, 1, Sum>(row, pixel);
    for (; pixel + 4 <= row.pixels; pixel += 4) convolve_pixels_avx512<4, 1, rest>(row, pixel);
    for (; pixel < row.pixels; ++pixel) convolve_pixels_avx512<1, 1, rest>(row, pixel);
  }
}
/// All pixels of a row; prefetching, `next_weights` and `next_x` are not null.
template <summation Sum>
void convolve_row(instruction_set set, direct_row const& row, int filters) {
  bool const two_registers = filters > lane_count(set);
  if (set == instruction_set::avx512)
    convolve_row_avx512<Sum>(row, two_registers);
  else
    convolve_row_avx2<Sum>(row, two_registers);
}

/// y = relu(W x + bias) or W x + bias; maps are contiguous, their number of rows is the views', the
/// rest the problem's. Only where has_direct_convolution().
inline void direct_convolve(exec::threads threads, layer_problem const& problem,
                            direct_weights const& w, view<float const, 4> x, view<float, 4> y) {
  auto const& in = problem.in;
  auto const& out = problem.out;
  std::ptrdiff_t const in_height = x.extent(1);
  std::ptrdiff_t const height = y.extent(1);
  std::ptrdiff_t const taps =
      static_cast<std::ptrdiff_t>(problem.geometry.kernel) * problem.geometry.kernel * in.channels;
  std::ptrdiff_t const in_row = static_cast<std::ptrdiff_t>(in.width) * in.channels;
  std::ptrdiff_t const out_row = static_cast<std::ptrdiff_t>(out.width) * out.channels;
  // Some pixels of a row with all filters: what is under their windows stays in the second cache.
  constexpr std::ptrdiff_t pixels = 8 * 14;
  std::ptrdiff_t const across = (out.width + pixels - 1) / pixels;
  // Without dilation, a row of the window is one run of values.
  bool const joined = problem.geometry.dilation == 1;
  bool const compensated = problem.convolution == convolution_algorithm::compensated;
  for_each_range(
      threads, y.extent(0) * height * across, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t task = begin; task < end; ++task) {
          std::ptrdiff_t const n = task / across / height;
          std::ptrdiff_t const r = task / across % height;
          std::ptrdiff_t const c = task % across * pixels;
          for (int first = 0; first < out.channels; first += w.blocks.step()) {
            int const width = w.blocks.width(first);
            direct_row const row{
                .x = x.data() + (n * in_height + r) * in_row + c * in.channels,
                .weights = w.values.data() + first * taps,
                .bias = w.bias.data() + first,
                .y = y.data() + (n * height + r) * out_row + c * out.channels + first,
                .pixels = static_cast<int>(std::min(pixels, out.width - c)),
                .filters = std::min(width, out.channels - first),
                .window_rows = problem.geometry.kernel,
                .window_columns = joined ? 1 : problem.geometry.kernel,
                .channels = joined ? problem.geometry.kernel * in.channels : in.channels,
                .row_step = problem.geometry.dilation * in_row,
                .column_step = static_cast<std::ptrdiff_t>(problem.geometry.dilation) * in.channels,
                .pixel_step = in.channels,
                .out_step = out.channels,
                .relu = problem.relu};
            if (compensated)
              convolve_row<summation::compensated>(w.blocks.set, row, width);
            else
              convolve_row<summation::plain>(w.blocks.set, row, width);
          }
        }
      });
}

#else

inline void direct_convolve(exec::threads, layer_problem const&, direct_weights const&,
                            view<float const, 4>, view<float, 4>) {}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
