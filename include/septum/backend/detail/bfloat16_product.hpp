#pragma once
#include <septum/backend/detail/bfloat16_instructions.hpp>
#include <septum/core/half.hpp>

#include <cstddef>
#include <cstring>
#include <limits>

/// Blocks of outputs of a convolution in bfloat16: some pixels times one or two registers of
/// filters stay in registers while the window is walked, pair of channels by pair of channels. Each
/// output is one chain of sums in float over (window row, window column, pair), so its bytes depend
/// neither on the place in the map nor on threads.
namespace septum::inline SEPTUM_ABI::detail {

/// Filters of a block whose weights lie together.
inline constexpr int bfloat16_block = 32;

/// A run of output pixels times one block of filters.
struct bfloat16_row {
  bfloat16 const* x;        // top left of the first window
  bfloat16 const* weights;  // of the block: (window row, window column, pair, filter, 2)
  float const* start;       // what the sums begin with, per filter of the block
  void* y;                  // first pixel, first filter of the block
  int pixels;
  int filters;  // of the block that exist
  int window_rows = 1;
  int window_columns = 1;
  int pairs = 0;                // of a window's pixel
  std::ptrdiff_t row_step = 0;  // values between rows of the window
  std::ptrdiff_t column_step = 0;
  std::ptrdiff_t pair_step = 2;   // values between pairs
  std::ptrdiff_t pixel_step = 0;  // values between windows
  std::ptrdiff_t out_step = 0;    // values between output pixels
  bool relu = false;
  bool accumulate = false;  // the sums begin with what y holds, which is float
  // A run may go on over the ends of rows: of every `period` pixels the first `valid` are stored.
  int period = std::numeric_limits<int>::max();
  int valid = std::numeric_limits<int>::max();
  // What the next run reads, brought into the first cache meanwhile; or null.
  bfloat16 const* next_weights = nullptr;
};

/// Which output pixel takes the sums of a run's pixel; negative for none.
inline std::ptrdiff_t place_of(bfloat16_row const& row, int pixel) {
  if (row.period == std::numeric_limits<int>::max()) return pixel;
  int const column = pixel % row.period;
  return column < row.valid ? pixel / row.period * std::ptrdiff_t{row.valid} + column : -1;
}

#if defined(__x86_64__)

// Not inlined: the callers' variables would push sums out of the registers.
template <class Out, int Pixels, int Count, bool Prefetch>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::noinline]] inline void multiply_pixels(
    bfloat16_row const& row, int first) {
  using registers = bfloat16_registers;
  constexpr std::ptrdiff_t width = registers::width;
  __m512 sums[Pixels][Count];
#  pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p)
#  pragma GCC unroll 2
    for (int v = 0; v < Count; ++v)
      if (row.accumulate)
        sums[p][v] = registers::load(
            static_cast<float const*>(row.y) + (first + p) * row.out_step + v * width,
            row.filters - v * width);
      else
        sums[p][v] = _mm512_loadu_ps(row.start + v * width);
  std::ptrdiff_t const pixel_step = row.pixel_step;
  std::ptrdiff_t const pair_step = row.pair_step;
  bfloat16 const* const corner = row.x + first * pixel_step;
  bfloat16 const* w = row.weights;
  bfloat16 const* next = row.next_weights;
  for (int i = 0; i < row.window_rows; ++i)
    for (int j = 0; j < row.window_columns; ++j) {
      bfloat16 const* x = corner + i * row.row_step + j * row.column_step;
      for (int k = 0; k < row.pairs; ++k, w += Count * width * 2, x += pair_step) {
        if constexpr (Prefetch) {
          __builtin_prefetch(next);
          if constexpr (Count == 2) __builtin_prefetch(next + width * 2);
          next += Count * width * 2;
        }
        __m512bh weights[Count];
#  pragma GCC unroll 2
        for (int v = 0; v < Count; ++v)
          weights[v] = (__m512bh)_mm512_loadu_si512(w + v * width * 2);
#  pragma GCC unroll 16
        for (int p = 0; p < Pixels; ++p) {
          int pair;
          std::memcpy(&pair, x + p * pixel_step, sizeof pair);
          auto const both = (__m512bh)_mm512_set1_epi32(pair);
#  pragma GCC unroll 2
          for (int v = 0; v < Count; ++v)
            sums[p][v] = _mm512_dpbf16_ps(sums[p][v], both, weights[v]);
        }
      }
    }
  __m512 const zero = _mm512_setzero_ps();
#  pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) {
    std::ptrdiff_t const pixel = place_of(row, first + p);
    if (pixel < 0) continue;
    Out* const out = static_cast<Out*>(row.y) + pixel * row.out_step;
#  pragma GCC unroll 2
    for (int v = 0; v < Count; ++v) {
      __m512 const value = row.relu ? _mm512_maskz_max_ps(0xFFFF, sums[p][v], zero) : sums[p][v];
      std::ptrdiff_t const exist = row.filters - v * width;
      if (exist > 0) registers::store(out + v * width, value, exist);
    }
  }
}

template <class Out, int Count, bool Prefetch>
inline void multiply_row(bfloat16_row const& row) {
  int pixel = 0;
  for (; pixel + 14 <= row.pixels; pixel += 14)
    multiply_pixels<Out, 14, Count, Prefetch>(row, pixel);
  for (; pixel + 8 <= row.pixels; pixel += 8) multiply_pixels<Out, 8, Count, Prefetch>(row, pixel);
  for (; pixel + 4 <= row.pixels; pixel += 4) multiply_pixels<Out, 4, Count, false>(row, pixel);
  for (; pixel < row.pixels; ++pixel) multiply_pixels<Out, 1, Count, false>(row, pixel);
}

/// All pixels of a run; with Prefetch, `next_weights` is not null.
/// @tparam Out float or bfloat16
/// @param filters of the block, the missing ones counted: one or two registers
template <class Out, bool Prefetch = false>
void multiply_row(bfloat16_row const& row, int filters) {
  if (filters > bfloat16_registers::width)
    multiply_row<Out, 2, Prefetch>(row);
  else
    multiply_row<Out, 1, Prefetch>(row);
}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
