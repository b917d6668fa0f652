#pragma once
#include <septum/backend/detail/bfloat16_amx.hpp>
#include <septum/backend/detail/bfloat16_product.hpp>
#include <septum/backend/layer_map.hpp>
#include <septum/backend/problem.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

/// Direct convolution of channels-last maps in bfloat16 for processors with AVX512_BF16, forward
/// and backward, by matrix registers where they have AMX. Products are exact, sums are in float.
namespace septum::inline SEPTUM_ABI::detail {

/// How the sums of a layer walk a window: steps of some values each that lie side by side. Without
/// dilation a row of the window is one step.
struct bfloat16_walk {
  int rows = 1;
  int columns = 1;
  int pairs = 0;  // of a step
  bool by_amx = false;

  bfloat16_walk() = default;
  /// @param channels of a pixel of the map, even
  bfloat16_walk(window geometry, int channels, bool has_amx = has_amx_instructions())
      : rows{geometry.kernel}, columns{geometry.kernel}, pairs{channels / 2} {
    if (geometry.dilation == 1) {
      pairs *= columns;
      columns = 1;
    }
    by_amx = has_amx && suits_amx(pairs);
  }
  /// Pairs of a step that there are weights for.
  [[nodiscard]] int padded() const { return by_amx ? amx_pieces{pairs}.padded() : pairs; }
  /// The pair that one of those meets; negative for none.
  [[nodiscard]] int pair(int padded_pair) const {
    return by_amx ? amx_pieces{pairs}.pair(padded_pair) : padded_pair;
  }
};

/// Weights in blocks of filters, each as (step of the window, pair, filter of the block, 2);
/// missing filters and the missing half of a last pair are zero.
struct bfloat16_weights {
  bfloat16_walk walk;
  int filters = 0;
  std::ptrdiff_t terms = 0;  // pairs of a whole window
  buffer<bfloat16> values;
  buffer<float> start;  // bias per filter

  bfloat16_weights() = default;
  /// @param channels of a pixel that have weights
  /// @param weight   callable (filter, tap, channel) -> float
  /// @param bias     callable (filter) -> float
  template <class Weight, class Bias>
  bfloat16_weights(window geometry, int filter_count, int channels, Weight const& weight,
                   Bias const& bias)
      : walk{geometry, (channels + 1) / 2 * 2}, filters{filter_count} {
    int const wide = (channels + 1) / 2 * 2;
    int const steps = walk.rows * walk.columns;
    int const step_taps = geometry.kernel / walk.columns;
    terms = static_cast<std::ptrdiff_t>(steps) * walk.padded();
    auto const padded = static_cast<std::size_t>(last_block() + width(last_block()));
    values.reserve(padded * static_cast<std::size_t>(terms) * 2);
    start.reserve(padded);
    bfloat16* to = values.data();
    for (int first = 0; first < filters; first += bfloat16_block)
      for (int step = 0; step < steps; ++step)
        for (int k = 0; k < walk.padded(); ++k, to += 2 * width(first)) {
          std::fill_n(to, 2 * width(first), bfloat16{});
          int const pair = walk.pair(k);
          int const tap = step * step_taps + 2 * pair / wide;
          int const channel = 2 * pair % wide;
          if (pair < 0) continue;
          for (int f = 0; f < std::min(width(first), filters - first); ++f) {
            to[2 * f] = bfloat16{weight(first + f, tap, channel)};
            if (channel + 1 < channels)
              to[2 * f + 1] = bfloat16{weight(first + f, tap, channel + 1)};
          }
        }
    for (int f = 0; f < static_cast<int>(padded); ++f)
      start.data()[f] = f < filters ? bias(f) : 0.0F;
  }
  /// Of the block that starts with filter `first`, the missing ones counted.
  [[nodiscard]] int width(int first) const {
    return filters - first <= bfloat16_block / 2 ? bfloat16_block / 2 : bfloat16_block;
  }
  [[nodiscard]] bfloat16 const* block(int first) const { return values.data() + first * terms * 2; }

 private:
  [[nodiscard]] int last_block() const { return (filters - 1) / bfloat16_block * bfloat16_block; }
};

/// Weights of a layer as `parameters` has them: (filter, row, column, channel), then biases.
inline bfloat16_weights forward_weights(layer_problem const& problem,
                                        std::span<float const> parameters) {
  auto const channels = static_cast<std::size_t>(problem.in.channels);
  auto const taps = static_cast<std::size_t>(problem.geometry.kernel * problem.geometry.kernel);
  float const* const bias = parameters.data() + parameters.size() - problem.out.channels;
  return {problem.geometry, problem.out.channels, problem.in.channels,
          [&](int f, int tap, int k) {
            return parameters[(static_cast<std::size_t>(f) * taps + static_cast<std::size_t>(tap)) *
                                  channels +
                              static_cast<std::size_t>(k)];
          },
          [&](int f) { return bias[f]; }};
}
/// Weights that bring the gradient of the output back: windows turned around, channels for filters.
inline bfloat16_weights turned_weights(layer_problem const& problem,
                                       std::span<float const> parameters) {
  auto const channels = static_cast<std::size_t>(problem.in.channels);
  int const taps = problem.geometry.kernel * problem.geometry.kernel;
  return {problem.geometry, problem.in.channels, problem.out.channels,
          [&](int k, int tap, int f) {
            return parameters[(static_cast<std::size_t>(f) * static_cast<std::size_t>(taps) +
                               static_cast<std::size_t>(taps - 1 - tap)) *
                                  channels +
                              static_cast<std::size_t>(k)];
          },
          [](int) { return 0.0F; }};
}

/// Windows that cover their whole input as one product: one row of images whose pixels have all the
/// values.
inline layer_problem as_product(layer_problem const& problem) {
  auto product = as_covering_product(problem);
  if (!covers_its_input(problem)) return product;
  product.in = {1, problem.batch, product.in.channels};
  product.out = {1, problem.batch, problem.out.channels};
  product.batch = 1;
  return product;
}

#if defined(__x86_64__)

template <class Out>
void multiply_run(amx_registers& amx, bool by_amx, bfloat16_row const& row, int filters) {
  if (by_amx)
    multiply_by_amx<Out>(amx, row, filters);
  else
    multiply_row<Out>(row, filters);
}

/// y = relu(W x + bias) or W x + bias for x without gaps whose pixels have an even number of
/// channels (a missing one is given as zero), y of either scalar. The number of rows is the maps',
/// the rest the problem's.
inline void bfloat16_convolve(exec::threads threads, window geometry, bool relu,
                              bfloat16_weights const& w, view<bfloat16 const, 4> x, layer_map y) {
  std::ptrdiff_t const channels = x.extent(3);
  std::ptrdiff_t const height = y.extent(1);
  std::ptrdiff_t const width = y.extent(2);
  std::ptrdiff_t const in_row = x.extent(2) * channels;
  // A run is some pixels of a row with all filters, whose input stays in the second cache; where
  // rows are short it is a whole image, and what lies beyond the ends of rows is left out.
  bool const is_short = width < 28;
  std::ptrdiff_t const most_pixels = w.walk.by_amx ? 8 * amx_side : 8 * 14;
  std::ptrdiff_t const across = is_short ? 1 : (width + most_pixels - 1) / most_pixels;
  std::ptrdiff_t const runs = is_short ? 1 : height * across;
  std::size_t const value_bytes = bytes_of(y.scalar());
  for_each_range(threads, y.extent(0) * runs, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    amx_registers amx;
    for (std::ptrdiff_t run = begin; run < end; ++run) {
      std::ptrdiff_t const n = run / runs;
      std::ptrdiff_t const r = run % runs / across;
      std::ptrdiff_t const c = run % across * most_pixels;
      std::ptrdiff_t const pixels =
          is_short ? (height - 1) * x.extent(2) + width : std::min(most_pixels, width - c);
      for (int first = 0; first < w.filters; first += bfloat16_block) {
        auto const at =
            static_cast<std::size_t>(((n * height + r) * width + c) * w.filters + first);
        bfloat16_row row{.x = x.data() + (n * x.extent(1) + r) * in_row + c * channels,
                         .weights = w.block(first),
                         .start = w.start.data() + first,
                         .y = static_cast<std::byte*>(y.data()) + at * value_bytes,
                         .pixels = static_cast<int>(pixels),
                         .filters = std::min(bfloat16_block, w.filters - first),
                         .window_rows = w.walk.rows,
                         .window_columns = w.walk.columns,
                         .pairs = w.walk.pairs,
                         .row_step = geometry.dilation * in_row,
                         .column_step = geometry.dilation * channels,
                         .pixel_step = channels,
                         .out_step = w.filters,
                         .relu = relu};
        if (is_short) {
          row.period = static_cast<int>(x.extent(2));
          row.valid = static_cast<int>(width);
        }
        if (y.scalar() == map_scalar::bf16)
          multiply_run<bfloat16>(amx, w.walk.by_amx, row, w.width(first));
        else
          multiply_run<float>(amx, w.walk.by_amx, row, w.width(first));
      }
    }
  });
}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
