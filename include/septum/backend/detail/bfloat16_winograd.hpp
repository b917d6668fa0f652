#pragma once
#include <septum/backend/detail/bfloat16_amx.hpp>
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
/// 2), the pairs in pieces where matrix registers (AMX) multiply.
struct bfloat16_winograd_weights {
  int filters = 0;
  int channels = 0;
  bool has_amx = false;
  buffer<bfloat16> values;
  buffer<float> bias;

  bfloat16_winograd_weights() = default;
  /// @param parameters weights (filter, row, column, channel), then one bias per filter
  bfloat16_winograd_weights(layer_problem const& problem, std::span<float const> parameters,
                            bool with_amx = has_amx_instructions())
      : filters{problem.out.channels}, channels{problem.in.channels}, has_amx{with_amx} {
    // The same points as in float, two channels and then 32 filters apart.
    winograd_weights const exact{problem, parameters};
    auto const padded = static_cast<std::size_t>((filters + 15) / 16 * 16 + bfloat16_block);
    bias.reserve(padded);
    std::fill_n(bias.data(), padded, 0.0F);
    std::copy_n(exact.bias.data(), filters, bias.data());
    values.reserve(static_cast<std::size_t>(36 * 2 * pairs()) * padded);
    bfloat16* to = values.data();
    for (int first = 0; first < filters; first += bfloat16_block)
      for (int point = 0; point < 36; ++point)
        for (int k = 0; k < pairs(); ++k) {
          int const pair = has_amx ? amx_pieces{channels / 2}.pair(k) : k;
          for (int f = first; f < first + width(first); ++f)
            for (int half = 2 * pair; half < 2 * pair + 2; ++half)
              *to++ = bfloat16{f < filters && half >= 0 ? value(exact, f, point, half) : 0.0F};
        }
  }
  /// Pairs of channels that there are weights for.
  [[nodiscard]] int pairs() const {
    return has_amx ? amx_pieces{channels / 2}.padded() : channels / 2;
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
  int tiles;                   // a multiple of 14, or of 16 for matrix registers
  std::ptrdiff_t input_step;   // values between two points of the input
  std::ptrdiff_t output_step;  // values between two points of the products

  bfloat16_winograd_block(layer_problem const& problem, bool has_amx)
      : tiles{has_amx ? 4 * amx_side : 28},
        input_step{static_cast<std::ptrdiff_t>(tiles) * problem.in.channels + 32},
        output_step{static_cast<std::ptrdiff_t>(tiles) * bfloat16_block + 16} {}
  [[nodiscard]] std::size_t bytes(layer_problem const& problem) const {
    auto const used = 36 * (static_cast<std::size_t>(input_step) * sizeof(bfloat16) +
                            static_cast<std::size_t>(output_step) * sizeof(float)) +
                      static_cast<std::size_t>(problem.in.channels) * sizeof(bfloat16);
    return (used + 63) / 64 * 64;
  }
};

inline std::size_t bfloat16_winograd_scratch_bytes(layer_problem const& problem,
                                                   exec::threads threads,
                                                   bool has_amx = has_amx_instructions()) {
  return bfloat16_winograd_block{problem, has_amx}.bytes(problem) *
         static_cast<std::size_t>(std::max(threads.count, 1));
}

#if defined(__x86_64__)

/// What one thread does with one block of tiles.
/// @tparam Registers that multiply where the weights are for AMX
template <class Registers>
struct bfloat16_winograd_job {
  layer_problem const& problem;
  bfloat16_winograd_weights const& weights;
  bfloat16_winograd_block block;
  bfloat16* input;
  float* output;
  bfloat16 const* zeros;
  std::ptrdiff_t in_row;   // values between neighbouring rows of the input
  std::ptrdiff_t out_row;  // values between neighbouring rows of the output
  mutable Registers amx{};

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

  // The outputs of one tile for one register of filters, whose products lie at `from`.
  template <int Outputs>
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] inline void finish(
      float const* from, __m512 shift, __m512 (&done)[Outputs][Outputs]) const {
    __m512 const zero = _mm512_setzero_ps();
    __m512 half[Outputs][6];
#  pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
      __m512 column[6];
      __m512 result[Outputs];
#  pragma GCC unroll 6
      for (int i = 0; i < 6; ++i)
        column[i] = _mm512_loadu_ps(from + (i * 6 + j) * block.output_step);
      winograd::output(column, result);
#  pragma GCC unroll 4
      for (int i = 0; i < Outputs; ++i) half[i][j] = result[i];
    }
#  pragma GCC unroll 4
    for (int i = 0; i < Outputs; ++i) {
      __m512 result[Outputs];
      winograd::output(half[i], result);
#  pragma GCC unroll 4
      for (int j = 0; j < Outputs; ++j) {
        __m512 const sum = result[j] + shift;
        done[i][j] = problem.relu ? _mm512_maskz_max_ps(0xFFFF, sum, zero) : sum;
      }
    }
  }

  // Filters of one or two registers, so that a pixel's are stored at once.
  template <int Outputs, int Count>
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] void scatter(
      winograd_tile<bfloat16> const& tile, float const* from, int first) const {
    std::ptrdiff_t const filters = problem.out.channels;
    std::ptrdiff_t const dilation = problem.geometry.dilation;
    auto const rows = static_cast<int>((tile.out_rows + dilation - 1) / dilation);
    auto const columns = static_cast<int>((tile.out_columns + dilation - 1) / dilation);
    __m512 done[Count][Outputs][Outputs];
#  pragma GCC unroll 2
    for (int v = 0; v < Count; ++v)
      finish<Outputs>(from + v * bfloat16_registers::width,
                      _mm512_loadu_ps(weights.bias.data() + first + v * bfloat16_registers::width),
                      done[v]);
    __mmask32 const exist = first_bits(filters - first);
#  pragma GCC unroll 4
    for (int i = 0; i < Outputs; ++i)
#  pragma GCC unroll 4
      for (int j = 0; j < Outputs; ++j) {
        if (i >= rows || j >= columns) continue;
        __m512 values[Count];
        for (int v = 0; v < Count; ++v) values[v] = done[v][i][j];
        store_values<Count>(values, exist,
                            tile.y + first + i * dilation * out_row + j * dilation * filters);
      }
  }
  template <int Outputs>
  void scatter(winograd_tile<bfloat16> const& tile, float const* from, int first, int width) const {
    if (width == bfloat16_block)
      scatter<Outputs, 2>(tile, from, first);
    else
      scatter<Outputs, 1>(tile, from, first);
  }

  void run(std::span<winograd_tile<bfloat16> const> tiles) const {
    constexpr float no_bias[bfloat16_block] = {};
    std::ptrdiff_t const channels = problem.in.channels;
    for (std::size_t t = 0; t < tiles.size(); ++t)
      gather(tiles[t], input + static_cast<std::ptrdiff_t>(t) * channels);
    bfloat16 const* values = weights.values.data();
    auto const count = static_cast<int>(tiles.size());
    for (int first = 0; first < weights.filters; first += bfloat16_block) {
      int const width = weights.width(first);
      bool const last = first + bfloat16_block >= weights.filters;
      std::ptrdiff_t const step = std::ptrdiff_t{2} * weights.pairs() * width;
      for (std::ptrdiff_t point = 0; point < 36; ++point, values += step) {
        bfloat16_row row{
            .x = input + point * block.input_step,
            .weights = values,
            .start = no_bias,
            .y = output + point * block.output_step,
            .pixels = count,
            .filters = width,
            .pairs = static_cast<int>(channels / 2),
            .pixel_step = channels,
            .out_step = width,
            .next_weights = last && point == 35 ? weights.values.data() : values + step};
        if (weights.has_amx) {
          // What lies behind the tiles is multiplied as well, and left alone.
          row.pixels = (count + amx_side - 1) / amx_side * amx_side;
          sum_by_amx(amx, row, width);
        } else {
          multiply_row<float, true>(row, width);
        }
      }
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
/// @tparam Registers that multiply where the weights are for AMX
template <class Registers = amx_registers>
void bfloat16_winograd_convolve(exec::threads threads, layer_problem const& problem,
                                bfloat16_winograd_weights const& weights, std::byte* scratch,
                                view<bfloat16 const, 4> x, view<bfloat16, 4> y) {
  bfloat16_winograd_block const block{problem, weights.has_amx};
  for_each_winograd_tile<bfloat16>(
      threads, problem, x, y, static_cast<std::size_t>(block.tiles), [&](std::ptrdiff_t part) {
        std::byte* const own = scratch + static_cast<std::size_t>(part) * block.bytes(problem);
        auto* const output = reinterpret_cast<float*>(own);
        auto* const input = reinterpret_cast<bfloat16*>(output + 36 * block.output_step);
        bfloat16* const zeros = input + 36 * block.input_step;
        std::fill_n(zeros, problem.in.channels, bfloat16{0.0F});
        return bfloat16_winograd_job<Registers>{.problem = problem,
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
