#pragma once
#include <septum/core/shape.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/nn/blocked_functors.hpp>
#include <septum/nn/winograd.hpp>

#include <cstddef>

/// Winograd's transforms of whole maps in float, as index kernels; the 36 products between them are
/// convolve_product's. The pixels of a tile lie as far apart as the window's dilation says, so no
/// map is split into fragments. Tiles start at fixed rows and columns of the map, and a tile that
/// leaves it reads zeros there: a pixel's bytes depend on where the grid lies, on nothing else.
namespace septum::inline SEPTUM_ABI {

/// The tiles of a layer's output: cells of winograd::grid rows and columns, in each a tile for
/// every phase of the dilation. They are numbered in the order of their top left pixels, row by
/// row of a cell.
struct winograd_tiles {
  int dilation = 1;
  int outputs = 4;  ///< side of a tile of output
  int across = 0;   ///< cells
  int down = 0;
  int images = 0;

  [[nodiscard]] static constexpr winograd_tiles of(window geometry, int batch, shape out) {
    int const cell = detail::winograd::grid(geometry);
    return {geometry.dilation, detail::winograd::outputs(geometry.kernel),
            (out.width + cell - 1) / cell, (out.height + cell - 1) / cell, batch};
  }
  [[nodiscard]] constexpr std::ptrdiff_t count() const {
    return static_cast<std::ptrdiff_t>(images) * down * across * dilation * dilation;
  }
  /// Top left pixel of a tile.
  struct corner {
    int image;
    int row;
    int column;
  };
  [[nodiscard]] SEPTUM_HD constexpr corner at(int tile) const {
    int const in_row = across * dilation;
    int const cell = outputs * dilation;
    int const line = tile / in_row;
    int const column = tile % in_row;
    int const lines = down * dilation;
    return {line / lines, line % lines / dilation * cell + line % dilation,
            column / dilation * cell + column % dilation};
  }
};

/// Values that one thread of the transforms moves together.
inline constexpr int winograd_pack = 2;

/// Weights (filter, row, column, channel) -> (point, channel, filter). Index space: (channel,
/// filter).
template <class Space = device_space>
struct winograd_weight_points {
  view<float const, 1, Space> parameters;
  view<float, 3, Space> points;
  int kernel;
  SEPTUM_HD void operator()(int channel, int filter) const {
    std::ptrdiff_t const channels = points.extent(1);
    int const taps = kernel * kernel;
    double window[16];
    for (int tap = 0; tap < taps; ++tap)
      window[tap] = static_cast<double>(
          parameters((static_cast<std::ptrdiff_t>(filter) * taps + tap) * channels + channel));
    double all[36];
    detail::winograd::window_points(window, kernel, all);
    for (int point = 0; point < 36; ++point)
      points(point, channel, filter) = static_cast<float>(all[point]);
  }
};

/// Tiles of x from number `first` on -> (point, tile, channel). Index space: (tile, pack of
/// channels).
template <class Space = device_space>
struct winograd_input_points {
  view<float const, 4, Space> x;
  view<float, 3, Space> points;
  winograd_tiles tiles;
  int first;
  SEPTUM_HD void operator()(int tile, int column) const {
    using pack = value_pack<float, winograd_pack>;
    auto const corner = tiles.at(first + tile);
    std::ptrdiff_t const row_step = tiles.dilation * x.stride(1);
    std::ptrdiff_t const column_step = tiles.dilation * x.stride(2);
    auto const rows = static_cast<int>(x.extent(1)) - corner.row;  // that exist, from the corner on
    auto const columns = static_cast<int>(x.extent(2)) - corner.column;
    float const* const from = x.data() + corner.image * x.stride(0) + corner.row * x.stride(1) +
                              corner.column * x.stride(2) + column * winograd_pack;
    float half[winograd_pack][6][6];
    for (int j = 0; j < 6; ++j) {
      pack in[6];
      for (int i = 0; i < 6; ++i) {
        in[i] = pack{};
        if (i * tiles.dilation < rows && j * tiles.dilation < columns)
          in[i] = pack::load(from + i * row_step + j * column_step);
      }
      for (int e = 0; e < winograd_pack; ++e) {
        float values[6];
        float result[6];
        for (int i = 0; i < 6; ++i) values[i] = in[i].values[e];
        detail::winograd::input(values, result);
        for (int i = 0; i < 6; ++i) half[e][i][j] = result[i];
      }
    }
    float* const to = points.data() + tile * points.stride(1) + column * winograd_pack;
    for (int i = 0; i < 6; ++i) {
      float result[winograd_pack][6];
      for (int e = 0; e < winograd_pack; ++e) detail::winograd::input(half[e][i], result[e]);
      for (int j = 0; j < 6; ++j) {
        pack out;
        for (int e = 0; e < winograd_pack; ++e) out.values[e] = result[e][j];
        out.store(to + (i * 6 + j) * points.stride(0));
      }
    }
  }
};

/// Products (point, tile, filter) -> the tiles of y from number `first` on, with bias and relu.
/// Index space: (tile, pack of filters).
/// @tparam Outputs side of a tile of output
template <int Outputs, class Space = device_space>
struct winograd_outputs {
  view<float const, 3, Space> products;
  view<float const, 1, Space> bias;
  view<float, 4, Space> y;
  winograd_tiles tiles;
  int first;
  bool relu;
  SEPTUM_HD void operator()(int tile, int column) const {
    using pack = value_pack<float, winograd_pack>;
    auto const corner = tiles.at(first + tile);
    auto const rows = static_cast<int>(y.extent(1)) - corner.row;  // that exist, from the corner on
    auto const columns = static_cast<int>(y.extent(2)) - corner.column;
    if (rows <= 0 || columns <= 0) return;
    int const filter = column * winograd_pack;
    float const* const from = products.data() + tile * products.stride(1) + filter;
    float half[winograd_pack][Outputs][6];
    for (int j = 0; j < 6; ++j) {
      pack in[6];
      for (int i = 0; i < 6; ++i) in[i] = pack::load(from + (i * 6 + j) * products.stride(0));
      for (int e = 0; e < winograd_pack; ++e) {
        float values[6];
        float result[Outputs];
        for (int i = 0; i < 6; ++i) values[i] = in[i].values[e];
        detail::winograd::output(values, result);
        for (int i = 0; i < Outputs; ++i) half[e][i][j] = result[i];
      }
    }
    float* const to = y.data() + corner.image * y.stride(0) + corner.row * y.stride(1) +
                      corner.column * y.stride(2) + filter;
    for (int i = 0; i < Outputs; ++i) {
      float result[winograd_pack][Outputs];
      for (int e = 0; e < winograd_pack; ++e) detail::winograd::output(half[e][i], result[e]);
      for (int j = 0; j < Outputs; ++j) {
        if (i * tiles.dilation >= rows || j * tiles.dilation >= columns) continue;
        pack out;
        for (int e = 0; e < winograd_pack; ++e) {
          float const sum = result[e][j] + bias(filter + e);
          out.values[e] = relu && !(sum > 0) ? 0.0F : sum;
        }
        out.store(to + i * tiles.dilation * y.stride(1) + j * tiles.dilation * y.stride(2));
      }
    }
  }
};

}  // namespace septum::inline SEPTUM_ABI
