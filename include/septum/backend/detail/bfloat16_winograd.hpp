#pragma once
#include <septum/backend/detail/bfloat16_product.hpp>
#include <septum/backend/detail/host_winograd.hpp>
#include <septum/backend/layer_map.hpp>
#include <septum/backend/problem.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

/// Winograd's minimal filtering (host_winograd.hpp) with the products in bfloat16: tiles are
/// brought to their points in float, rounded, multiplied and summed in float, and brought back in
/// float. Of what bfloat16 costs in exactness, this is about as much again as the rounding of the
/// maps.
namespace septum::inline SEPTUM_ABI::detail {

/// Weights at the 36 points, as (block of filters, point, pair of channels, filter of the block,
/// 2).
struct bfloat16_winograd_weights {
  int filters = 0;
  int channels = 0;
  buffer<bfloat16> values;
  buffer<float> bias;

  bfloat16_winograd_weights() = default;
  /// @param parameters weights (filter, row, column, channel), then one bias per filter
  bfloat16_winograd_weights(layer_problem const& problem, std::span<float const> parameters)
      : filters{problem.out.channels}, channels{problem.in.channels} {
    // The same points as in float, two channels and then 32 filters apart.
    winograd_weights const exact{problem, parameters};
    auto const padded = static_cast<std::size_t>((filters + 15) / 16 * 16 + bfloat16_block);
    bias.reserve(padded);
    std::fill_n(bias.data(), padded, 0.0F);
    std::copy_n(exact.bias.data(), filters, bias.data());
    values.reserve(static_cast<std::size_t>(36 * channels) * padded);
    bfloat16* to = values.data();
    for (int first = 0; first < filters; first += bfloat16_block)
      for (int point = 0; point < 36; ++point)
        for (int k = 0; k < channels; k += 2)
          for (int f = first; f < first + width(first); ++f)
            for (int half = k; half < k + 2; ++half)
              *to++ = bfloat16{f < filters ? value(exact, f, point, half) : 0.0F};
  }
  [[nodiscard]] int width(int first) const {
    return filters - first <= bfloat16_block / 2 ? bfloat16_block / 2 : bfloat16_block;
  }

 private:
  [[nodiscard]] float value(winograd_weights const& exact, int f, int point, int k) const {
    int const first = f / exact.blocks.step() * exact.blocks.step();
    std::ptrdiff_t const wide = exact.blocks.width(first);
    return exact.values
        .data()[std::ptrdiff_t{36} * channels * first + (point * channels + k) * wide + f - first];
  }
};

/// How one thread's scratch is laid out: points of a block of tiles, products with one block of
/// filters, a pixel of zeros.
struct bfloat16_winograd_block {
  static constexpr int tiles = 28;
  std::ptrdiff_t input_step;   // values between two points of the input
  std::ptrdiff_t output_step;  // values between two points of the products

  explicit bfloat16_winograd_block(layer_problem const& problem)
      : input_step{static_cast<std::ptrdiff_t>(tiles) * problem.in.channels + 32},
        output_step{static_cast<std::ptrdiff_t>(tiles) * bfloat16_block + 16} {}
  [[nodiscard]] std::size_t bytes(layer_problem const& problem) const {
    auto const used = 36 * (static_cast<std::size_t>(input_step) * sizeof(bfloat16) +
                            static_cast<std::size_t>(output_step) * sizeof(float)) +
                      static_cast<std::size_t>(problem.in.channels) * sizeof(bfloat16);
    return (used + 63) / 64 * 64;
  }
};

inline std::size_t bfloat16_winograd_scratch_bytes(layer_problem const& problem,
                                                   exec::threads threads) {
  return bfloat16_winograd_block{problem}.bytes(problem) *
         static_cast<std::size_t>(std::max(threads.count, 1));
}

#if defined(__x86_64__)

/// What one thread does with one block of tiles.
struct bfloat16_winograd_job {
  layer_problem const& problem;
  bfloat16_winograd_weights const& weights;
  bfloat16_winograd_block block;
  bfloat16* input;
  float* output;
  bfloat16 const* zeros;
  std::ptrdiff_t in_row;   // values between neighbouring rows of the input
  std::ptrdiff_t out_row;  // values between neighbouring rows of the output

  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] void gather(
      winograd_tile<bfloat16> const& tile, bfloat16* to) const {
    using registers = bfloat16_registers;
    std::ptrdiff_t const channels = problem.in.channels;
    std::ptrdiff_t const dilation = problem.geometry.dilation;
    bfloat16 const* pixels[36];
    for (int i = 0; i < 6; ++i)
      for (int j = 0; j < 6; ++j)
        pixels[i * 6 + j] = i * dilation < tile.rows && j * dilation < tile.columns
                                ? tile.x + i * dilation * in_row + j * dilation * channels
                                : zeros;
    for (std::ptrdiff_t k = 0; k < channels; k += registers::width) {
      __m512 half[6][6];
#  pragma GCC unroll 6
      for (int j = 0; j < 6; ++j) {
        __m512 column[6];
        __m512 result[6];
#  pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) column[i] = registers::load(pixels[i * 6 + j] + k);
        winograd::input(column, result);
#  pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) half[i][j] = result[i];
      }
#  pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) {
        __m512 result[6];
        winograd::input(half[i], result);
#  pragma GCC unroll 6
        for (int j = 0; j < 6; ++j)
          registers::store(to + k + (i * 6 + j) * block.input_step, result[j]);
      }
    }
  }

  template <int Outputs>
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] void scatter(
      winograd_tile<bfloat16> const& tile, float const* from, int first, int width) const {
    using registers = bfloat16_registers;
    std::ptrdiff_t const filters = problem.out.channels;
    std::ptrdiff_t const dilation = problem.geometry.dilation;
    auto const rows = static_cast<int>((tile.out_rows + dilation - 1) / dilation);
    auto const columns = static_cast<int>((tile.out_columns + dilation - 1) / dilation);
    __m512 const zero = _mm512_setzero_ps();
    for (int f = 0; f < width && first + f < filters; f += registers::width) {
      __m512 half[Outputs][6];
#  pragma GCC unroll 6
      for (int j = 0; j < 6; ++j) {
        __m512 column[6];
        __m512 result[Outputs];
#  pragma GCC unroll 6
        for (int i = 0; i < 6; ++i)
          column[i] = _mm512_loadu_ps(from + f + (i * 6 + j) * block.output_step);
        winograd::output(column, result);
#  pragma GCC unroll 4
        for (int i = 0; i < Outputs; ++i) half[i][j] = result[i];
      }
      __m512 const shift = _mm512_loadu_ps(weights.bias.data() + first + f);
      std::ptrdiff_t const exist = filters - first - f;
#  pragma GCC unroll 4
      for (int i = 0; i < Outputs; ++i) {
        __m512 result[Outputs];
        winograd::output(half[i], result);
#  pragma GCC unroll 4
        for (int j = 0; j < Outputs; ++j) {
          if (i >= rows || j >= columns) continue;
          __m512 const sum = result[j] + shift;
          registers::store(tile.y + first + f + i * dilation * out_row + j * dilation * filters,
                           problem.relu ? _mm512_maskz_max_ps(0xFFFF, sum, zero) : sum, exist);
        }
      }
    }
  }

  void run(std::span<winograd_tile<bfloat16> const> tiles) const {
    constexpr float no_bias[bfloat16_block] = {};
    std::ptrdiff_t const channels = problem.in.channels;
    for (std::size_t t = 0; t < tiles.size(); ++t)
      gather(tiles[t], input + static_cast<std::ptrdiff_t>(t) * channels);
    bfloat16 const* values = weights.values.data();
    for (int first = 0; first < weights.filters; first += bfloat16_block) {
      int const width = weights.width(first);
      bool const last = first + bfloat16_block >= weights.filters;
      for (std::ptrdiff_t point = 0; point < 36; ++point, values += channels * width)
        multiply_row<float, true>({.x = input + point * block.input_step,
                                   .weights = values,
                                   .start = no_bias,
                                   .y = output + point * block.output_step,
                                   .pixels = static_cast<int>(tiles.size()),
                                   .filters = width,
                                   .pairs = static_cast<int>(channels / 2),
                                   .pixel_step = channels,
                                   .out_step = width,
                                   .next_weights = last && point == 35 ? weights.values.data()
                                                                       : values + channels * width},
                                  width);
      for (std::size_t t = 0; t < tiles.size(); ++t) {
        float const* const from = output + static_cast<std::ptrdiff_t>(t) * width;
        if (problem.geometry.kernel == 3)
          scatter<4>(tiles[t], from, first, width);
        else
          scatter<3>(tiles[t], from, first, width);
      }
    }
  }
};

/// y = relu(W x + bias) or W x + bias; maps are contiguous, their number of rows is the views', the
/// rest the problem's. Row 0 of y lies on the grid. `scratch` holds
/// bfloat16_winograd_scratch_bytes().
inline void bfloat16_winograd_convolve(exec::threads threads, layer_problem const& problem,
                                       bfloat16_winograd_weights const& weights, std::byte* scratch,
                                       view<bfloat16 const, 4> x, view<bfloat16, 4> y) {
  bfloat16_winograd_block const block{problem};
  for_each_winograd_tile<bfloat16>(
      threads, problem, x, y, bfloat16_winograd_block::tiles, [&](std::ptrdiff_t part) {
        std::byte* const own = scratch + static_cast<std::size_t>(part) * block.bytes(problem);
        auto* const output = reinterpret_cast<float*>(own);
        auto* const input = reinterpret_cast<bfloat16*>(output + 36 * block.output_step);
        bfloat16* const zeros = input + 36 * block.input_step;
        std::fill_n(zeros, problem.in.channels, bfloat16{0.0F});
        return bfloat16_winograd_job{.problem = problem,
                                     .weights = weights,
                                     .block = block,
                                     .input = input,
                                     .output = output,
                                     .zeros = zeros,
                                     .in_row = x.extent(2) * x.extent(3),
                                     .out_row = y.extent(2) * y.extent(3)};
      });
}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
