#pragma once
#include <septum/backend/detail/bfloat16_instructions.hpp>
#include <septum/backend/detail/host_batch_norm.hpp>
#include <septum/backend/problem.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

/// Batch normalisation of maps in bfloat16, optionally followed by relu. Statistics, sums and
/// parameters are those of host_batch_norm.hpp: float over blocks of pixels, then double.
namespace septum::inline SEPTUM_ABI::detail {

#if defined(__x86_64__)

/// (x - mean) * scale + shift of a register of channels.
struct bfloat16_affine {
  __m512 mean;
  __m512 scale;
  __m512 shift;

  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"),
    gnu::always_inline]] static inline bfloat16_affine
  load(affine_channels<float> const& map, std::ptrdiff_t k, std::ptrdiff_t count) {
    using registers = bfloat16_registers;
    return {registers::load(map.mean.data() + k, count),
            registers::load(map.scale.data() + k, count),
            registers::load(map.shift.data() + k, count)};
  }
  /// dy where relu lets a value pass, else 0; `centred` is x - mean.
  [[nodiscard]] [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"),
                  gnu::always_inline]] inline __m512
  let_through(__m512 centred, __m512 dy) const {
    return _mm512_maskz_mov_ps(
        _mm512_cmp_ps_mask(_mm512_fmadd_ps(centred, scale, shift), _mm512_setzero_ps(), _CMP_GT_OQ),
        dy);
  }
};

// Sums over a block of pixels, about the pivots, of x and of its square.
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void add_up_block(
    bfloat16 const* x, std::ptrdiff_t pixels, std::ptrdiff_t channels, float const* pivots,
    float* sums, float* squares) {
  using registers = bfloat16_registers;
  for (std::ptrdiff_t k = 0; k < channels; k += registers::width) {
    std::ptrdiff_t const count = channels - k;
    __m512 const pivot = registers::load(pivots + k, count);
    // Two chains each, so that additions need not wait for one another.
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    __m512 square[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (std::ptrdiff_t p = 0; p < pixels; ++p) {
      __m512 const centred = registers::load(x + p * channels + k, count) - pivot;
      sum[p & 1] = sum[p & 1] + centred;
      square[p & 1] = _mm512_fmadd_ps(centred, centred, square[p & 1]);
    }
    registers::store(sums + k, sum[0] + sum[1], count);
    registers::store(squares + k, square[0] + square[1], count);
  }
}

// The same of dy and of dy * (x - mean), dy only where relu lets it pass.
template <bool Relu>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void add_up_block_gradient(
    affine_channels<float> const& map, bfloat16 const* x, bfloat16 const* dy, std::ptrdiff_t pixels,
    std::ptrdiff_t channels, float* sums, float* weighted) {
  using registers = bfloat16_registers;
  __m512 const zero = _mm512_setzero_ps();
  for (std::ptrdiff_t k = 0; k < channels; k += registers::width) {
    std::ptrdiff_t const count = channels - k;
    auto const affine = bfloat16_affine::load(map, k, count);
    __m512 sum[2] = {zero, zero};
    __m512 product[2] = {zero, zero};
    for (std::ptrdiff_t p = 0; p < pixels; ++p) {
      __m512 const centred = registers::load(x + p * channels + k, count) - affine.mean;
      __m512 slope = registers::load(dy + p * channels + k, count);
      if constexpr (Relu) slope = affine.let_through(centred, slope);
      sum[p & 1] = sum[p & 1] + slope;
      product[p & 1] = _mm512_fmadd_ps(slope, centred, product[p & 1]);
    }
    registers::store(sums + k, sum[0] + sum[1], count);
    registers::store(weighted + k, product[0] + product[1], count);
  }
}

template <bool Relu>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void normalise_pixels(
    affine_channels<float> const& map, bfloat16 const* x, std::ptrdiff_t pixels,
    std::ptrdiff_t channels, bfloat16* y) {
  using registers = bfloat16_registers;
  __m512 const zero = _mm512_setzero_ps();
  for (std::ptrdiff_t p = 0; p < pixels; ++p)
    for (std::ptrdiff_t k = 0; k < channels; k += registers::width) {
      std::ptrdiff_t const count = channels - k;
      std::ptrdiff_t const at = p * channels + k;
      auto const affine = bfloat16_affine::load(map, k, count);
      __m512 const value =
          _mm512_fmadd_ps(registers::load(x + at, count) - affine.mean, affine.scale, affine.shift);
      registers::store(y + at, Relu ? _mm512_maskz_max_ps(0xFFFF, value, zero) : value, count);
    }
}

template <bool Relu>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void differentiate_pixels(
    affine_channels<float> const& map, float const* tilt, float const* offset, bfloat16 const* x,
    bfloat16 const* dy, std::ptrdiff_t pixels, std::ptrdiff_t channels, bfloat16* dx) {
  using registers = bfloat16_registers;
  for (std::ptrdiff_t p = 0; p < pixels; ++p)
    for (std::ptrdiff_t k = 0; k < channels; k += registers::width) {
      std::ptrdiff_t const count = channels - k;
      std::ptrdiff_t const at = p * channels + k;
      auto const affine = bfloat16_affine::load(map, k, count);
      __m512 const centred = registers::load(x + at, count) - affine.mean;
      __m512 slope = registers::load(dy + at, count);
      if constexpr (Relu) slope = affine.let_through(centred, slope);
      __m512 const rest = _mm512_fmadd_ps(centred, registers::load(tilt + k, count),
                                          registers::load(offset + k, count));
      registers::store(dx + at, _mm512_fmadd_ps(slope, affine.scale, rest), count);
    }
}

/// Calls body(block, first pixel, pixels) for all blocks, in parallel.
template <class Body>
void for_each_bfloat16_block(exec::threads threads, std::ptrdiff_t pixels, Body const& body) {
  for_each_range(threads, batch_norm_blocks(pixels), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t block = begin; block < end; ++block) {
      std::ptrdiff_t const first = block * batch_norm_block;
      body(block, first, std::min(batch_norm_block, pixels - first));
    }
  });
}

/// Mean and deviation sqrt(variance + epsilon) per channel (host_batch_norm.hpp).
inline void bfloat16_batch_statistics(exec::threads threads, view<bfloat16 const, 4> x,
                                      batch_norm_scratch<float> const& scratch,
                                      std::span<double> mean, std::span<double> deviation) {
  std::ptrdiff_t const channels = x.extent(3);
  std::ptrdiff_t const pixels = x.size() / channels;
  float* const pivots = scratch.coefficients.data();
  float* const partial = scratch.partial.data();
  std::ptrdiff_t const first_block = std::min(pixels, batch_norm_block);
  std::fill_n(pivots, channels, 0.0F);
  add_up_block(x.data(), first_block, channels, pivots, partial, partial + channels);
  for (std::ptrdiff_t k = 0; k < channels; ++k)
    pivots[k] = partial[k] / static_cast<float>(first_block);
  for_each_bfloat16_block(
      threads, pixels, [&](std::ptrdiff_t block, std::ptrdiff_t first, std::ptrdiff_t count) {
        float* const out = partial + block * 2 * channels;
        add_up_block(x.data() + first * channels, count, channels, pivots, out, out + channels);
      });
  scratch.combine();
  set_statistics<float>(scratch, pixels, mean, deviation);
}

/// y = (x - mean) * scale + shift, then relu when Relu.
template <bool Relu>
void bfloat16_normalise(exec::threads threads, affine_channels<float> const& map,
                        view<bfloat16 const, 4> x, view<bfloat16, 4> y) {
  std::ptrdiff_t const channels = x.extent(3);
  for_each_range(threads, x.size() / channels, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    normalise_pixels<Relu>(map, x.data() + begin * channels, end - begin, channels,
                           y.data() + begin * channels);
  });
}

/// Sums of dy and of dy * (x - mean) per channel into scratch.sum.
template <bool Relu>
void bfloat16_batch_norm_sums(exec::threads threads, affine_channels<float> const& map,
                              view<bfloat16 const, 4> x, view<bfloat16 const, 4> dy,
                              batch_norm_scratch<float> const& scratch) {
  std::ptrdiff_t const channels = x.extent(3);
  for_each_bfloat16_block(threads, x.size() / channels,
                          [&](std::ptrdiff_t block, std::ptrdiff_t first, std::ptrdiff_t count) {
                            float* const out = scratch.partial.data() + block * 2 * channels;
                            add_up_block_gradient<Relu>(map, x.data() + first * channels,
                                                        dy.data() + first * channels, count,
                                                        channels, out, out + channels);
                          });
  scratch.combine();
}

/// dx from the sums (batch_norm_input_gradient in host_batch_norm.hpp).
template <bool Relu>
void bfloat16_batch_norm_input_gradient(exec::threads threads, affine_channels<float> const& map,
                                        std::span<double const> deviation,
                                        view<bfloat16 const, 4> x, view<bfloat16 const, 4> dy,
                                        view<bfloat16, 4> dx,
                                        batch_norm_scratch<float> const& scratch) {
  std::ptrdiff_t const channels = x.extent(3);
  std::ptrdiff_t const pixels = x.size() / channels;
  set_gradient_coefficients<float>(map, deviation, pixels, scratch);
  float const* const offset = scratch.coefficients.data();
  float const* const tilt = offset + channels;
  for_each_range(threads, pixels, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    differentiate_pixels<Relu>(map, tilt, offset, x.data() + begin * channels,
                               dy.data() + begin * channels, end - begin, channels,
                               dx.data() + begin * channels);
  });
}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
