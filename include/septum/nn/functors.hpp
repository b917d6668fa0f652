#pragma once
#include <septum/core/half.hpp>
#include <septum/core/rng.hpp>
#include <septum/core/shape.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/nn/layers.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

/// Index kernels of the layers, for host and device alike. Maps have axes batch, row, column,
/// channel; an index (row, column) runs over (batch and row of the map, column and channel of the
/// map) unless a kernel says otherwise. A kernel writes only its own cell, and reads no other cell
/// of what it writes, so any order gives the same bytes. T is the stored type: float, double,
/// bfloat16 or float16; sums are in float, or in double for double.
namespace septum::inline SEPTUM_ABI {

/// Type in which values stored as T are computed with.
template <class T>
using arithmetic_t = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// Index space of a map for the kernels below.
[[nodiscard]] constexpr extent2 map_extent(int batch, shape map) {
  return {batch * map.height, map.width * map.channels};
}
/// Index space of `size` values in a row, for kernels over flat arrays.
inline constexpr int flat_columns = 4096;
[[nodiscard]] constexpr extent2 flat_extent(std::ptrdiff_t size) {
  if (size < flat_columns) return {size > 0 ? 1 : 0, static_cast<int>(size)};
  return {static_cast<int>((size + flat_columns - 1) / flat_columns), flat_columns};
}
[[nodiscard]] SEPTUM_HD constexpr std::ptrdiff_t flat_index(int row, int column) {
  return static_cast<std::ptrdiff_t>(row) * flat_columns + column;
}

/// Cell of a map that an index of map_extent stands for.
struct map_cell {
  int image;
  int row;
  int column;
  int channel;
  SEPTUM_HD constexpr map_cell(int index_row, int index_column, std::ptrdiff_t height,
                               std::ptrdiff_t channels)
      : image{index_row / static_cast<int>(height)},
        row{index_row % static_cast<int>(height)},
        column{index_column / static_cast<int>(channels)},
        channel{index_column % static_cast<int>(channels)} {}
};

namespace detail {
struct window_position {
  int row;
  int column;
};
/// First largest value of the window at (r, c), in row-major order.
template <class T, class Space>
SEPTUM_HD constexpr window_position first_largest(view<T const, 4, Space> const& x, window g, int n,
                                                  int r, int c, int k) {
  using number = arithmetic_t<T>;
  window_position best{r * g.stride, c * g.stride};
  auto largest = static_cast<number>(x(n, best.row, best.column, k));
  for (int i = 0; i < g.kernel; ++i)
    for (int j = 0; j < g.kernel; ++j) {
      window_position const here{r * g.stride + i * g.dilation, c * g.stride + j * g.dilation};
      auto const value = static_cast<number>(x(n, here.row, here.column, k));
      if (value > largest) {
        largest = value;
        best = here;
      }
    }
  return best;
}
}  // namespace detail

/// y = largest value of each window, strided or dilated.
template <class T, class Space = device_space>
struct max_pool_forward {
  view<T const, 4, Space> x;
  view<T, 4, Space> y;
  window geometry;
  SEPTUM_HD void operator()(int row, int column) const {
    map_cell const at{row, column, y.extent(1), y.extent(3)};
    auto const best =
        detail::first_largest<T, Space>(x, geometry, at.image, at.row, at.column, at.channel);
    y(at.image, at.row, at.column, at.channel) = x(at.image, best.row, best.column, at.channel);
  }
};

/// dx = sum of dy over the windows whose first largest value lies in the cell, in the order of the
/// windows. Index space: the map of dx.
template <class T, class Space = device_space>
struct max_pool_backward {
  view<T const, 4, Space> x;
  view<T const, 4, Space> dy;
  view<T, 4, Space> dx;
  window geometry;
  SEPTUM_HD void operator()(int row, int column) const {
    map_cell const at{row, column, dx.extent(1), dx.extent(3)};
    arithmetic_t<T> sum{0};
    for (int i = geometry.kernel - 1; i >= 0; --i) {
      int const top = at.row - i * geometry.dilation;
      if (top < 0 || top % geometry.stride != 0 || top / geometry.stride >= dy.extent(1)) continue;
      for (int j = geometry.kernel - 1; j >= 0; --j) {
        int const left = at.column - j * geometry.dilation;
        if (left < 0 || left % geometry.stride != 0 || left / geometry.stride >= dy.extent(2))
          continue;
        int const r = top / geometry.stride;
        int const c = left / geometry.stride;
        auto const best = detail::first_largest<T, Space>(x, geometry, at.image, r, c, at.channel);
        if (best.row == at.row && best.column == at.column)
          sum += static_cast<arithmetic_t<T>>(dy(at.image, r, c, at.channel));
      }
    }
    dx(at.image, at.row, at.column, at.channel) = static_cast<T>(sum);
  }
};

/// y = Functor::value(x). Index space: flat_extent.
template <class Functor, class T, class Space = device_space>
struct pointwise_forward {
  view<T const, 1, Space> x;
  view<T, 1, Space> y;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const i = flat_index(row, column);
    if (i < y.size()) y(i) = static_cast<T>(Functor::value(static_cast<arithmetic_t<T>>(x(i))));
  }
};

/// dx = dy * Functor::slope(x, y). Index space: flat_extent.
template <class Functor, class T, class Space = device_space>
struct pointwise_backward {
  view<T const, 1, Space> x;
  view<T const, 1, Space> y;
  view<T const, 1, Space> dy;
  view<T, 1, Space> dx;
  SEPTUM_HD void operator()(int row, int column) const {
    using number = arithmetic_t<T>;
    auto const i = flat_index(row, column);
    if (i < dx.size())
      dx(i) = static_cast<T>(static_cast<number>(dy(i)) *
                             Functor::slope(static_cast<number>(x(i)), static_cast<number>(y(i))));
  }
};

/// dy becomes 0 where y is not positive: the gradient through a relu that another kernel applied.
/// Updates each cell from itself. Index space: flat_extent.
template <class T, class Space = device_space>
struct mask_gradient_by_relu {
  view<T const, 1, Space> y;
  view<T, 1, Space> dy;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const i = flat_index(row, column);
    if (i < dy.size() && !(static_cast<arithmetic_t<T>>(y(i)) > 0)) dy(i) = T{};
  }
};

/// y becomes y + bias of its channel, then relu where wanted. Updates each cell from itself.
template <class T, class Space = device_space>
struct bias_relu {
  view<T const, 1, Space> bias;
  view<T, 4, Space> y;
  bool relu;
  SEPTUM_HD void operator()(int row, int column) const {
    using number = arithmetic_t<T>;
    map_cell const at{row, column, y.extent(1), y.extent(3)};
    T& value = y(at.image, at.row, at.column, at.channel);
    auto const sum = static_cast<number>(value) + static_cast<number>(bias(at.channel));
    value = static_cast<T>(relu && !(sum > 0) ? number{0} : sum);
  }
};

/// y = exp(x_k) / sum exp(x_j) over the channels. Index space: (batch and row, column).
template <class T, class Space = device_space>
struct softmax_forward {
  view<T const, 4, Space> x;
  view<T, 4, Space> y;
  SEPTUM_HD void operator()(int row, int column) const {
    using number = arithmetic_t<T>;
    map_cell const at{row, column, y.extent(1), 1};
    auto const in = [&](std::ptrdiff_t k) {
      return static_cast<number>(x(at.image, at.row, at.column, k));
    };
    number largest = in(0);
    for (std::ptrdiff_t k = 1; k < x.extent(3); ++k)
      if (in(k) > largest) largest = in(k);
    number sum{0};
    for (std::ptrdiff_t k = 0; k < x.extent(3); ++k) sum += std::exp(in(k)-largest);
    for (std::ptrdiff_t k = 0; k < x.extent(3); ++k)
      y(at.image, at.row, at.column, k) = static_cast<T>(std::exp(in(k)-largest) / sum);
  }
};

/// dx = y (dy - sum dy y). Index space: (batch and row, column).
template <class T, class Space = device_space>
struct softmax_backward {
  view<T const, 4, Space> y;
  view<T const, 4, Space> dy;
  view<T, 4, Space> dx;
  SEPTUM_HD void operator()(int row, int column) const {
    using number = arithmetic_t<T>;
    map_cell const at{row, column, y.extent(1), 1};
    number weighted{0};
    for (std::ptrdiff_t k = 0; k < y.extent(3); ++k)
      weighted += static_cast<number>(dy(at.image, at.row, at.column, k)) *
                  static_cast<number>(y(at.image, at.row, at.column, k));
    for (std::ptrdiff_t k = 0; k < y.extent(3); ++k)
      dx(at.image, at.row, at.column, k) =
          static_cast<T>(static_cast<number>(y(at.image, at.row, at.column, k)) *
                         (static_cast<number>(dy(at.image, at.row, at.column, k)) - weighted));
  }
};

/// Random numbers of a layer in one step of training: one generator, in memory, so that work that
/// was recorded once draws others every time.
template <class Space>
using step_random = view<counter_rng const, 1, Space>;
using device_step = step_random<device_space>;

/// Inverted dropout, as every backend draws it: value i is zeroed where step.uniform(i) < rate,
/// else scaled by 1 / (1 - rate). Its own gradient. Index space: flat_extent.
template <class T, class Space = device_space>
struct dropout_values {
  view<T const, 1, Space> from;
  view<T, 1, Space> to;
  double rate;
  step_random<Space> step;
  SEPTUM_HD void operator()(int row, int column) const {
    using number = arithmetic_t<T>;
    auto const i = flat_index(row, column);
    if (i >= to.size()) return;
    number const factor = step(0).uniform(static_cast<std::uint64_t>(i)) < rate
                              ? number{0}
                              : static_cast<number>(1.0 / (1.0 - rate));
    to(i) = static_cast<T>(static_cast<number>(from(i)) * factor);
  }
};

/// to = from in another stored type. Index space: flat_extent.
template <class From, class To, class Space = device_space>
struct convert_values {
  view<From const, 1, Space> from;
  view<To, 1, Space> to;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const i = flat_index(row, column);
    if (i < to.size()) to(i) = static_cast<To>(static_cast<arithmetic_t<From>>(from(i)));
  }
};

/// Fragments of a map (Masci et al. 2013): image n becomes step x step images, each of every
/// step-th row and column, the one from (i, j) at n * step * step + i * step + j; what a fragment
/// lacks at its end is zero. A window dilated by `step` over the map is a dense one over them.
template <class T, class Space = device_space>
struct to_fragments {
  view<T const, 4, Space> map;
  view<T, 4, Space> fragments;
  int step;
  SEPTUM_HD void operator()(int row, int column) const {
    map_cell const at{row, column, fragments.extent(1), fragments.extent(3)};
    int const part = at.image % (step * step);
    int const r = at.row * step + part / step;
    int const c = at.column * step + part % step;
    bool const inside = r < map.extent(1) && c < map.extent(2);
    fragments(at.image, at.row, at.column, at.channel) =
        inside ? map(at.image / (step * step), r, c, at.channel) : T{};
  }
};

/// The map that fragments came from, or its result: the inverse of to_fragments.
template <class T, class Space = device_space>
struct from_fragments {
  view<T const, 4, Space> fragments;
  view<T, 4, Space> map;
  int step;
  SEPTUM_HD void operator()(int row, int column) const {
    map_cell const at{row, column, map.extent(1), map.extent(3)};
    int const part = at.row % step * step + at.column % step;
    map(at.image, at.row, at.column, at.channel) =
        fragments(at.image * step * step + part, at.row / step, at.column / step, at.channel);
  }
};

/// A block of a frame (row, column, channel) becomes a map of one image in the stored type.
template <class T, class Space = device_space>
struct cut_tile {
  view<float const, 3, Space> frame;
  view<T, 4, Space> tile;
  int top;
  int left;
  SEPTUM_HD void operator()(int row, int column) const {
    map_cell const at{row, column, tile.extent(1), tile.extent(3)};
    tile(0, at.row, at.column, at.channel) =
        static_cast<T>(frame(top + at.row, left + at.column, at.channel));
  }
};

/// sum = maps, or sum + maps for every net but the first. Index space: flat_extent.
template <class T, class Space = device_space>
struct add_net {
  view<T const, 1, Space> maps;
  view<float, 1, Space> sum;
  bool first;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const i = flat_index(row, column);
    if (i >= sum.size()) return;
    auto const value = static_cast<float>(maps(i));
    sum(i) = first ? value : sum(i) + value;
  }
};

/// frame (row, column, class) = sum / nets inside a tile; `top` and `left` are the tile's corner in
/// the frame. Index space: the tile.
template <class Space = device_space>
struct put_tile {
  view<float const, 4, Space> sum;
  view<float, 3, Space> frame;
  int top;
  int left;
  float nets;
  SEPTUM_HD void operator()(int row, int column) const {
    map_cell const at{row, column, sum.extent(1), sum.extent(3)};
    frame(top + at.row, left + at.column, at.channel) =
        sum(0, at.row, at.column, at.channel) / nets;
  }
};

}  // namespace septum::inline SEPTUM_ABI
