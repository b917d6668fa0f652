#pragma once
#include <septum/backend/detail/bfloat16_instructions.hpp>
#include <septum/backend/problem.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <cstddef>

/// Max-pooling of channels-last maps in bfloat16, strided or dilated; bound by memory.
namespace septum::inline SEPTUM_ABI::detail {

#if defined(__x86_64__)

/// 32 numbers in bfloat16 as integers of the same order: -0 is below 0, and there are no NaN.
struct ordered_bfloat16 {
  static constexpr std::ptrdiff_t width = 32;

  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] static inline __m512i
  load(bfloat16 const* from, std::ptrdiff_t count) {
    return turned(_mm512_maskz_loadu_epi16(first(count), from));
  }
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] static inline void
  store(bfloat16* to, __m512i values, std::ptrdiff_t count) {
    _mm512_mask_storeu_epi16(to, first(count), turned(values));
  }

 private:
  // The order of negative numbers turned around; its own inverse.
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] static inline __m512i
  turned(__m512i bits) {
    __m512i const below = _mm512_srli_epi16(_mm512_srai_epi16(bits, 15), 1);
    return _mm512_xor_si512(bits, below);
  }
  static constexpr __mmask32 first(std::ptrdiff_t count) {
    return count >= width ? ~__mmask32{0} : (__mmask32{1} << count) - 1;
  }
};

// out = largest of the windows' values, for `values` windows that follow each other.
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void largest_of_windows(
    bfloat16 const* corner, int kernel, std::ptrdiff_t row_step, std::ptrdiff_t column_step,
    std::ptrdiff_t values, bfloat16* out) {
  using lanes = ordered_bfloat16;
  for (std::ptrdiff_t k = 0; k < values; k += lanes::width) {
    __m512i best = lanes::load(corner + k, values - k);
    for (int i = 0; i < kernel; ++i)
      for (int j = 0; j < kernel; ++j)
        best = _mm512_max_epi16(
            best, lanes::load(corner + i * row_step + j * column_step + k, values - k));
    lanes::store(out + k, best, values - k);
  }
}

/// y = largest value of each window. The number of rows is the views', the rest the problem's.
inline void bfloat16_max_pool_forward(exec::threads threads, layer_problem const& problem,
                                      view<bfloat16 const, 4> x, view<bfloat16, 4> y) {
  auto const& g = problem.geometry;
  std::ptrdiff_t const channels = x.extent(3);
  std::ptrdiff_t const row_values = x.extent(2) * channels;
  std::ptrdiff_t const height = y.extent(1);
  std::ptrdiff_t const width = y.extent(2);
  // Without a stride the windows of a row are shifts of one another: the row is one long pixel.
  std::ptrdiff_t const pixels = g.stride == 1 ? 1 : width;
  std::ptrdiff_t const values = g.stride == 1 ? width * channels : channels;
  for_each_range(threads, y.extent(0) * height, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t row = begin; row < end; ++row) {
      bfloat16 const* const top =
          x.data() + (row / height * x.extent(1) + row % height * g.stride) * row_values;
      for (std::ptrdiff_t pixel = 0; pixel < pixels; ++pixel)
        largest_of_windows(top + pixel * g.stride * channels, g.kernel, g.dilation * row_values,
                           g.dilation * channels, values,
                           y.data() + (row * width + pixel) * channels);
    }
  });
}

// The gradient of one window goes to its first maximum in row-major order. `is_new`: dx is written,
// else added to.
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void spread_to_first_maximum(
    bfloat16 const* x, bfloat16 const* y, bfloat16 const* dy, bfloat16* dx, int kernel,
    std::ptrdiff_t row_step, std::ptrdiff_t column_step, std::ptrdiff_t channels, bool is_new) {
  using registers = bfloat16_registers;
  for (std::ptrdiff_t k = 0; k < channels; k += registers::width) {
    std::ptrdiff_t const count = channels - k;
    __m512 const largest = registers::load(y + k, count);
    __m512 const slope = registers::load(dy + k, count);
    __mmask16 left = 0xFFFF;
    for (int i = 0; i < kernel; ++i)
      for (int j = 0; j < kernel; ++j) {
        std::ptrdiff_t const at = i * row_step + j * column_step + k;
        __mmask16 const here =
            _mm512_mask_cmp_ps_mask(left, registers::load(x + at, count), largest, _CMP_EQ_OQ);
        left = static_cast<__mmask16>(left & ~here);
        if (is_new)
          registers::store(dx + at, _mm512_maskz_mov_ps(here, slope), count);
        else if (here != 0)
          registers::store(
              dx + at,
              _mm512_add_ps(registers::load(dx + at, count), _mm512_maskz_mov_ps(here, slope)),
              count);
      }
  }
}

/// dx: the gradient of each window goes to its first maximum. Windows that overlap are added in
/// their order, one image by one thread.
inline void bfloat16_max_pool_backward(exec::threads threads, layer_problem const& problem,
                                       view<bfloat16 const, 4> x, view<bfloat16 const, 4> y,
                                       view<bfloat16 const, 4> dy, view<bfloat16, 4> dx) {
  auto const& g = problem.geometry;
  bool const tiled = g.dilation == 1 && g.stride == g.kernel;
  std::ptrdiff_t const channels = x.extent(3);
  std::ptrdiff_t const row_values = x.extent(2) * channels;
  std::ptrdiff_t const image = x.extent(1) * row_values;
  std::ptrdiff_t const height = y.extent(1);
  std::ptrdiff_t const width = y.extent(2);
  // Overlapping windows of one image are the business of one task; a task has some channels.
  std::ptrdiff_t const groups = tiled || x.extent(0) >= threads.count
                                    ? 1
                                    : std::min<std::ptrdiff_t>(threads.count, (channels + 31) / 32);
  std::ptrdiff_t const group = (channels + groups - 1) / groups / 16 * 16 + 16;
  for_each_range(threads, x.extent(0) * groups, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t task = begin; task < end; ++task) {
      std::ptrdiff_t const n = task / groups;
      std::ptrdiff_t const first = groups == 1 ? 0 : std::min(task % groups * group, channels);
      std::ptrdiff_t const count = groups == 1 ? channels : std::min(group, channels - first);
      if (groups == 1)
        std::fill_n(dx.data() + n * image, image, bfloat16{0.0F});
      else
        for (std::ptrdiff_t at = n * image + first; at < (n + 1) * image; at += channels)
          std::fill_n(dx.data() + at, count, bfloat16{0.0F});
      for (std::ptrdiff_t r = 0; r < height; ++r)
        for (std::ptrdiff_t c = 0; c < width; ++c) {
          std::ptrdiff_t const corner =
              n * image + r * g.stride * row_values + c * g.stride * channels + first;
          std::ptrdiff_t const out = ((n * height + r) * width + c) * channels + first;
          spread_to_first_maximum(x.data() + corner, y.data() + out, dy.data() + out,
                                  dx.data() + corner, g.kernel, g.dilation * row_values,
                                  g.dilation * channels, count, tiled);
        }
    }
  });
}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
