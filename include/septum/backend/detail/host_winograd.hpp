#pragma once
#include <septum/backend/detail/host_convolution.hpp>
#include <septum/backend/detail/winograd_transform.hpp>
#include <septum/backend/problem.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/nn/winograd.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <vector>

/// Convolution of channels-last float maps by Winograd's minimal filtering, for processors with
/// AVX2 or AVX-512. The pixels of a tile lie as far apart as the window's dilation says, so no map
/// is split into fragments. Blocks of tiles pass through all steps while they are in the second
/// cache. Tiles start at multiples of `grid` output rows and columns, and a tile that leaves the
/// map reads zeros there: a pixel's bytes depend on where the grid lies, not on threads or on how
/// many rows a call computes, as long as calls start on the grid.
namespace septum::inline SEPTUM_ABI::detail {

/// True where a layer can be computed this way.
inline bool has_winograd_form(layer_problem const& problem) {
  return widest_instruction_set() != instruction_set::none &&
         winograd::has_form(problem.geometry) && problem.in.channels % 16 == 0;
}

/// Whether a layer is computed this way. `automatic` takes it where measurements say that the
/// transforms are worth it: from 32 channels and 32 filters on.
inline bool uses_winograd(layer_problem const& problem) {
  if (problem.training || !has_winograd_form(problem)) return false;
  if (problem.convolution == convolution_algorithm::winograd) return true;
  return problem.convolution == convolution_algorithm::automatic && problem.in.channels >= 32 &&
         problem.out.channels >= 32;
}

/// Rows and columns of output that a call's first row and column must be a multiple of.
inline int winograd_grid(layer_problem const& problem) { return winograd::grid(problem.geometry); }

/// Weights at the 36 points, as (block of filters, point, channel, filter of the block).
struct winograd_weights {
  filter_blocks blocks;
  buffer<float> values;
  buffer<float> bias;

  winograd_weights() = default;
  /// @param parameters weights (filter, row, column, channel), then one bias per filter
  winograd_weights(layer_problem const& problem, std::span<float const> parameters)
      : blocks{.filters = problem.out.channels} {
    int const kernel = problem.geometry.kernel;
    int const channels = problem.in.channels;
    auto const taps = static_cast<std::size_t>(kernel * kernel);
    auto const padded = static_cast<std::size_t>(blocks.padded());
    values.reserve(36 * padded * static_cast<std::size_t>(channels));
    bias.reserve(padded);
    std::fill_n(values.data(), values.size(), 0.0F);
    std::fill_n(bias.data(), padded, 0.0F);
    std::copy_n(parameters.end() - blocks.filters, blocks.filters, bias.data());
    std::vector<double> window(taps);
    for (int f = 0; f < blocks.filters; ++f) {
      int const first = f / blocks.step() * blocks.step();
      std::ptrdiff_t const width = blocks.width(first);
      float* const block = values.data() + std::ptrdiff_t{36} * channels * first;
      for (int k = 0; k < channels; ++k) {
        for (std::size_t tap = 0; tap < taps; ++tap)
          window[tap] = static_cast<double>(parameters[(static_cast<std::size_t>(f) * taps + tap) *
                                                           static_cast<std::size_t>(channels) +
                                                       static_cast<std::size_t>(k)]);
        double points[36];
        winograd::window_points(window.data(), kernel, points);
        for (std::ptrdiff_t point = 0; point < 36; ++point)
          block[(point * channels + k) * width + (f - first)] = static_cast<float>(points[point]);
      }
    }
  }
};

/// How one thread's scratch is laid out: the points of a block of tiles, the products with one
/// block of filters, and a pixel of zeros. Points are a little more than a power of two apart, or
/// all of them would meet in the same lines of the first cache.
struct winograd_block {
  int tiles;
  std::ptrdiff_t input_step;   // values between two points of the input
  std::ptrdiff_t output_step;  // values between two points of the products

  explicit winograd_block(layer_problem const& problem) {
    tiles = widest_instruction_set() == instruction_set::avx512 ? 14 : 12;
    input_step = static_cast<std::ptrdiff_t>(tiles) * problem.in.channels + 16;
    output_step = static_cast<std::ptrdiff_t>(tiles) * widest_filters + 16;
  }
  [[nodiscard]] std::size_t values(layer_problem const& problem) const {
    return static_cast<std::size_t>(36 * (input_step + output_step) + problem.in.channels);
  }

 private:
  static constexpr int widest_filters = 32;
};

/// Bytes of scratch for winograd_convolve.
inline std::size_t winograd_scratch_bytes(layer_problem const& problem, exec::threads threads) {
  return sizeof(float) * winograd_block{problem}.values(problem) *
         static_cast<std::size_t>(std::max(threads.count, 1));
}

#if defined(__x86_64__)

/// @tparam T scalar of the maps
template <class T>
struct winograd_tile {
  T const* x;  // top left pixel of input
  T* y;        // top left pixel of output
  int rows;    // of the input, from x on, that exist
  int columns;
  int out_rows;  // the same of the output
  int out_columns;
};

/// Walks the tiles of a map, cut into so many parts: cells of the grid in row-major order, in each
/// one tile per phase of the dilation. Of every part a job is made, make_job(part), and given up to
/// `at_once` tiles at a time: job.run(std::span<winograd_tile<T> const>).
template <class T, class MakeJob>
void for_each_winograd_tile(exec::threads threads, std::ptrdiff_t parts,
                            layer_problem const& problem, view<T const, 4> x, view<T, 4> y,
                            std::size_t at_once, MakeJob const& make_job) {
  constexpr std::size_t most_at_once = 64;
  std::ptrdiff_t const dilation = problem.geometry.dilation;
  std::ptrdiff_t const side = winograd_grid(problem);
  std::ptrdiff_t const height = y.extent(1);
  std::ptrdiff_t const width = y.extent(2);
  std::ptrdiff_t const in_height = x.extent(1);
  std::ptrdiff_t const in_row = x.extent(2) * x.extent(3);
  std::ptrdiff_t const out_row = width * y.extent(3);
  std::ptrdiff_t const across = (width + side - 1) / side;
  std::ptrdiff_t const down = (height + side - 1) / side;
  std::ptrdiff_t const phases = dilation * dilation;
  std::ptrdiff_t const count = y.extent(0) * down * across * phases;
  auto const tile_at = [&](std::ptrdiff_t index) {
    std::ptrdiff_t const cell = index / phases;
    std::ptrdiff_t const r = cell / across % down * side + index % phases / dilation;
    std::ptrdiff_t const c = cell % across * side + index % dilation;
    std::ptrdiff_t const n = cell / across / down;
    return winograd_tile<T>{.x = x.data() + (n * in_height + r) * in_row + c * x.extent(3),
                            .y = y.data() + (n * height + r) * out_row + c * y.extent(3),
                            .rows = static_cast<int>(in_height - r),
                            .columns = static_cast<int>(x.extent(2) - c),
                            .out_rows = static_cast<int>(height - r),
                            .out_columns = static_cast<int>(width - c)};
  };
  for_each_range(threads, parts, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t part = begin; part < end; ++part) {
      auto const job = make_job(part);
      std::array<winograd_tile<T>, most_at_once> tiles{};
      std::size_t held = 0;
      for (std::ptrdiff_t index = count * part / parts; index < count * (part + 1) / parts;
           ++index) {
        auto const tile = tile_at(index);
        if (tile.out_rows > 0 && tile.out_columns > 0) tiles[held++] = tile;
        if (held == at_once) {
          job.run({tiles.data(), held});
          held = 0;
        }
      }
      if (held > 0) job.run({tiles.data(), held});
    }
  });
}

/// A part of the tiles for every thread.
template <class T, class MakeJob>
void for_each_winograd_tile(exec::threads threads, layer_problem const& problem, view<T const, 4> x,
                            view<T, 4> y, std::size_t at_once, MakeJob const& make_job) {
  for_each_winograd_tile<T>(threads, std::max(threads.count, 1), problem, x, y, at_once, make_job);
}

/// Where the side x side pixels of a tile lie, from `corner` on; those that do not exist are
/// `zeros`.
struct winograd_pixels {
  int side;
  std::ptrdiff_t dilation;
  std::ptrdiff_t row_step;     // values between neighbouring rows of the map
  std::ptrdiff_t column_step;  // and columns
  float const* zeros;

  [[gnu::always_inline]] inline void find(float const* corner, int rows, int columns,
                                          float const** pixels) const {
    for (int i = 0; i < side; ++i)
      for (int j = 0; j < side; ++j)
        pixels[i * side + j] = i * dilation < rows && j * dilation < columns
                                   ? corner + dilation * (i * row_step + j * column_step)
                                   : zeros;
  }
};

/// What one thread does with one block of tiles.
struct winograd_job {
  layer_problem const& problem;
  winograd_weights const& weights;
  winograd_block block;
  float* input;
  float* output;
  float const* zeros;
  std::ptrdiff_t in_row;   // values between neighbouring rows of the input
  std::ptrdiff_t out_row;  // values between neighbouring rows of the output

  template <class Registers>
  [[gnu::always_inline]] inline void gather(winograd_tile<float> const& tile, float* to) const {
    std::ptrdiff_t const channels = problem.in.channels;
    float const* pixels[36];
    winograd_pixels{6, problem.geometry.dilation, in_row, channels, zeros}.find(
        tile.x, tile.rows, tile.columns, pixels);
    for (std::ptrdiff_t k = 0; k < channels; k += Registers::width)
      winograd_input_tile<Registers>(pixels, k, to + k, block.input_step);
  }
  template <class Registers, int Outputs>
  [[gnu::always_inline]] inline void scatter(winograd_tile<float> const& tile, float const* from,
                                             int first, int width) const {
    std::ptrdiff_t const filters = problem.out.channels;
    std::ptrdiff_t const dilation = problem.geometry.dilation;
    auto const count = [dilation](int exist) {
      return static_cast<int>((exist + dilation - 1) / dilation);
    };
    for (int f = 0; f < width && first + f < filters; f += Registers::width)
      winograd_output_tile<Registers, Outputs>(from + f, block.output_step,
                                               weights.bias.data() + first + f,
                                               {.y = tile.y + first + f,
                                                .row_step = dilation * out_row,
                                                .column_step = dilation * filters,
                                                .rows = count(tile.out_rows),
                                                .columns = count(tile.out_columns),
                                                .filters = static_cast<int>(filters) - first - f,
                                                .relu = problem.relu});
  }

  [[gnu::target("avx2,fma")]] void gather_avx2(std::span<winograd_tile<float> const> tiles) const {
    for (std::size_t t = 0; t < tiles.size(); ++t)
      gather<avx2_registers>(tiles[t],
                             input + static_cast<std::ptrdiff_t>(t) * problem.in.channels);
  }
  [[gnu::target("avx512f")]] void gather_avx512(std::span<winograd_tile<float> const> tiles) const {
    for (std::size_t t = 0; t < tiles.size(); ++t)
      gather<avx512_registers>(tiles[t],
                               input + static_cast<std::ptrdiff_t>(t) * problem.in.channels);
  }
  template <int Outputs>
  [[gnu::target("avx2,fma")]] void scatter_avx2(std::span<winograd_tile<float> const> tiles,
                                                int first, int width) const {
    for (std::size_t t = 0; t < tiles.size(); ++t)
      scatter<avx2_registers, Outputs>(tiles[t], output + static_cast<std::ptrdiff_t>(t) * width,
                                       first, width);
  }
  template <int Outputs>
  [[gnu::target("avx512f")]] void scatter_avx512(std::span<winograd_tile<float> const> tiles,
                                                 int first, int width) const {
    for (std::size_t t = 0; t < tiles.size(); ++t)
      scatter<avx512_registers, Outputs>(tiles[t], output + static_cast<std::ptrdiff_t>(t) * width,
                                         first, width);
  }
  template <int Outputs>
  void scatter_all(std::span<winograd_tile<float> const> tiles, int first, int width) const {
    if (weights.blocks.set == instruction_set::avx512)
      scatter_avx512<Outputs>(tiles, first, width);
    else
      scatter_avx2<Outputs>(tiles, first, width);
  }

  void run(std::span<winograd_tile<float> const> tiles) const {
    constexpr float no_bias[32] = {};
    filter_blocks const& blocks = weights.blocks;
    int const channels = problem.in.channels;
    int const filters = problem.out.channels;
    if (blocks.set == instruction_set::avx512)
      gather_avx512(tiles);
    else
      gather_avx2(tiles);
    float const* values = weights.values.data();
    for (int first = 0; first < filters; first += blocks.step()) {
      int const width = blocks.width(first);
      bool const last = first + blocks.step() >= filters;
      for (std::ptrdiff_t point = 0; point < 36; ++point, values += channels * width)
        convolve_row<summation::prefetching>(
            blocks.set,
            {.x = input + point * block.input_step,
             .weights = values,
             .bias = no_bias,
             .y = output + point * block.output_step,
             .pixels = static_cast<int>(tiles.size()),
             .filters = width,
             .window_rows = 1,
             .window_columns = 1,
             .channels = channels,
             .row_step = 0,
             .column_step = 0,
             .pixel_step = channels,
             .out_step = width,
             .relu = false,
             .next_weights =
                 last && point == 35 ? weights.values.data() : values + channels * width,
             .next_x = input + (point + 1) % 36 * block.input_step},
            width);
      if (problem.geometry.kernel == 3)
        scatter_all<4>(tiles, first, width);
      else
        scatter_all<3>(tiles, first, width);
    }
  }
};

/// y = relu(W x + bias) or W x + bias; maps are contiguous, their number of rows is the views', the
/// rest the problem's. Row 0 of y lies on the grid. `scratch` holds winograd_scratch_bytes().
inline void winograd_convolve(exec::threads threads, layer_problem const& problem,
                              winograd_weights const& weights, float* scratch,
                              view<float const, 4> x, view<float, 4> y) {
  winograd_block const block{problem};
  for_each_winograd_tile<float>(
      threads, problem, x, y, static_cast<std::size_t>(block.tiles), [&](std::ptrdiff_t part) {
        float* const own = scratch + static_cast<std::size_t>(part) * block.values(problem);
        float* const zeros = own + 36 * (block.input_step + block.output_step);
        std::fill_n(zeros, problem.in.channels, 0.0F);
        return winograd_job{.problem = problem,
                            .weights = weights,
                            .block = block,
                            .input = own,
                            .output = own + 36 * block.input_step,
                            .zeros = zeros,
                            .in_row = x.extent(2) * x.extent(3),
                            .out_row = y.extent(2) * y.extent(3)};
      });
}

#else

inline void winograd_convolve(exec::threads, layer_problem const&, winograd_weights const&, float*,
                              view<float const, 4>, view<float, 4>) {}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
