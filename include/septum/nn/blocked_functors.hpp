#pragma once
#include <septum/core/half.hpp>
#include <septum/core/shape.hpp>
#include <septum/core/view.hpp>
#include <septum/nn/functors.hpp>

#include <cstddef>
#include <cstdint>

/// The layers that a whole frame spends its time in, as index kernels that do the work of many
/// cells at a time: 16 bytes to a load, blocks of results that share what was loaded. Each result
/// is added up in the order of the plain kernels (functors.hpp, convolution_functors.hpp), so on
/// the host the bytes are the same. Maps are contiguous and begin at multiples of 16 bytes.
namespace septum::inline SEPTUM_ABI {

/// Values that one 16-byte load brings.
template <class T>
inline constexpr int pack_size = static_cast<int>(16 / sizeof(T));

/// N values that are loaded and stored together.
template <class T, int N = pack_size<T>>
struct alignas(N * sizeof(T)) value_pack {
  T values[N];

  // The device's compiler makes one access of a cast and several of a copy; the host's is not
  // allowed the cast.
  [[nodiscard]] SEPTUM_HD static value_pack load(T const* from) {
#if defined(__CUDA_ARCH__)
    return *reinterpret_cast<value_pack const*>(from);
#else
    value_pack all;
    for (int k = 0; k < N; ++k) all.values[k] = from[k];
    return all;
#endif
  }
  SEPTUM_HD void store(T* to) const {
#if defined(__CUDA_ARCH__)
    *reinterpret_cast<value_pack*>(to) = *this;
#else
    for (int k = 0; k < N; ++k) to[k] = values[k];
#endif
  }
};

/// max_pool_forward for channels that are a multiple of pack_size<T>. Index space: batch and row of
/// y, column and pack of channels (map_extent of packs).
template <class T, class Space = device_space>
struct max_pool_packs {
  view<T const, 4, Space> x;
  view<T, 4, Space> y;
  window geometry;
  SEPTUM_HD void operator()(int row, int column) const {
    using number = arithmetic_t<T>;
    using pack = value_pack<T>;
    std::ptrdiff_t const channels = y.extent(3);
    map_cell const at{row, column, y.extent(1), channels / pack_size<T>};
    std::ptrdiff_t const first = static_cast<std::ptrdiff_t>(at.channel) * pack_size<T>;
    T const* const corner = x.data() + at.image * x.stride(0) +
                            at.row * geometry.stride * x.stride(1) +
                            at.column * geometry.stride * channels + first;
    pack largest = pack::load(corner);
    for (int i = 0; i < geometry.kernel; ++i)
      for (int j = 0; j < geometry.kernel; ++j) {
        pack const here = pack::load(corner + i * geometry.dilation * x.stride(1) +
                                     j * geometry.dilation * channels);
        for (int k = 0; k < pack_size<T>; ++k)
          if (static_cast<number>(here.values[k]) > static_cast<number>(largest.values[k]))
            largest.values[k] = here.values[k];
      }
    largest.store(y.data() + at.image * y.stride(0) + at.row * y.stride(1) + at.column * channels +
                  first);
  }
};

/// max_pool_backward for windows side by side and channels that are a multiple of pack_size<T>:
/// each thread finds the largest values of one window and writes all of the window's gradients.
/// Index space: (batch and row of windows, column of windows and pack), the windows that the map's
/// end cuts included (side_by_side_extent).
template <class T, class Space = device_space>
struct max_pool_backward_packs {
  view<T const, 4, Space> x;
  view<T const, 4, Space> dy;
  view<T, 4, Space> dx;
  int stride;  ///< and side of a window

  [[nodiscard]] static constexpr extent2 side_by_side_extent(int batch, shape in, int stride) {
    return {batch * ((in.height + stride - 1) / stride),
            (in.width + stride - 1) / stride * (in.channels / pack_size<T>)};
  }

  SEPTUM_HD void operator()(int row, int column) const {
    using number = arithmetic_t<T>;
    using pack = value_pack<T>;
    auto const channels = static_cast<int>(dx.extent(3));
    auto const height = static_cast<int>(dx.extent(1));
    auto const width = static_cast<int>(dx.extent(2));
    int const down = (height + stride - 1) / stride;
    int const n = row / down;
    int const r = row % down;
    int const c = column / (channels / pack_size<T>);
    int const first = column % (channels / pack_size<T>)*pack_size<T>;
    bool const whole = r < dy.extent(1) && c < dy.extent(2);
    int best[pack_size<T>];
    for (int k = 0; k < pack_size<T>; ++k) best[k] = whole ? 0 : -1;
    pack slope{};
    if (whole) {
      slope = pack::load(&dy(n, r, c, first));
      pack largest = pack::load(&x(n, r * stride, c * stride, first));
      for (int at = 1; at < stride * stride; ++at) {
        pack const here =
            pack::load(&x(n, r * stride + at / stride, c * stride + at % stride, first));
        for (int k = 0; k < pack_size<T>; ++k)
          if (static_cast<number>(here.values[k]) > static_cast<number>(largest.values[k])) {
            largest.values[k] = here.values[k];
            best[k] = at;
          }
      }
    }
    for (int at = 0; at < stride * stride; ++at) {
      int const to_row = r * stride + at / stride;
      int const to_column = c * stride + at % stride;
      if (to_row >= height || to_column >= width) continue;
      pack gradient{};
      for (int k = 0; k < pack_size<T>; ++k)
        if (best[k] == at) gradient.values[k] = slope.values[k];
      gradient.store(&dx(n, to_row, to_column, first));
    }
  }
};

/// Most filters of a layer that multiply_few runs.
inline constexpr int few_filters = 4;

/// convolve for windows of one pixel and at most few_filters filters, as the last layer of a net
/// has; channels are a multiple of pack_size<T>. Index space: (batch and row, column) of y.
template <class T, class Space = device_space>
struct multiply_few {
  view<T const, 4, Space> x;
  view<T const, 1, Space> parameters;  ///< weights (filter, channel), then biases
  view<T, 4, Space> y;
  bool relu;
  SEPTUM_HD void operator()(int row, int column) const {
    using number = arithmetic_t<T>;
    using pack = value_pack<T>;
    auto const channels = static_cast<int>(x.extent(3));
    auto const filters = static_cast<int>(y.extent(3));
    auto const pixel = static_cast<std::ptrdiff_t>(row) * y.extent(2) + column;
    T const* const in = x.data() + pixel * channels;
    number sums[few_filters];
    for (int f = 0; f < few_filters; ++f)
      sums[f] = f < filters ? static_cast<number>(parameters(filters * channels + f)) : number{0};
    for (int k = 0; k < channels; k += pack_size<T>) {
      pack const values = pack::load(in + k);
      for (int f = 0; f < few_filters; ++f) {
        if (f >= filters) continue;
        // Later slices of weights begin at multiples of 16 bytes because channels are packs.
        pack const weights = pack::load(parameters.data() + f * channels + k);
        for (int e = 0; e < pack_size<T>; ++e)
          sums[f] += static_cast<number>(weights.values[e]) * static_cast<number>(values.values[e]);
      }
    }
    for (int f = 0; f < few_filters; ++f)
      if (f < filters)
        y.data()[pixel * filters + f] =
            static_cast<T>(relu && !(sums[f] > 0) ? number{0} : sums[f]);
  }
};

/// A float as the sum of two numbers that tensor cores take as they are (10 bits of fraction): what
/// is left out is below 2^-21 of it. Infinite values and NaN stay, with nothing beside them.
struct split_float {
  float high;
  float low;
  SEPTUM_HD explicit split_float(float value) : high{rounded(value)}, low{rounded(value - high)} {
    if (!(low - low == 0.0F)) {
      high = value;
      low = 0.0F;
    }
  }

 private:
  SEPTUM_HD static float rounded(float value) {
    std::uint32_t const bits = detail::float_bits(value);
    return detail::float_from_bits((bits + 0xFFFU + ((bits >> 13U) & 1U)) & ~0x1FFFU);
  }
};

/// Three maps in the place of one: high, low and high parts of its channels. With the weights of
/// split_weights, tensor cores that round factors to 10 bits give x w to 21 bits: high high + low
/// high + high low. Index space: map_extent of x.
template <class Space = device_space>
struct split_map {
  view<float const, 4, Space> x;
  view<float, 4, Space> parts;
  SEPTUM_HD void operator()(int row, int column) const {
    map_cell const at{row, column, x.extent(1), x.extent(3)};
    std::ptrdiff_t const channels = x.extent(3);
    split_float const value{x(at.image, at.row, at.column, at.channel)};
    parts(at.image, at.row, at.column, at.channel) = value.high;
    parts(at.image, at.row, at.column, channels + at.channel) = value.low;
    parts(at.image, at.row, at.column, 2 * channels + at.channel) = value.high;
  }
};

/// The weights for split_map: (filter and tap, channel) become high, high and low parts. Index
/// space: (filters and taps, channels).
template <class Space = device_space>
struct split_weights {
  view<float const, 2, Space> weights;
  view<float, 2, Space> parts;
  SEPTUM_HD void operator()(int row, int channel) const {
    std::ptrdiff_t const channels = weights.extent(1);
    split_float const value{weights(row, channel)};
    parts(row, channel) = value.high;
    parts(row, channels + channel) = value.high;
    parts(row, 2 * channels + channel) = value.low;
  }
};

/// Pixels of a row and filters whose sums one thread of convolve_blocked keeps.
inline constexpr int block_pixels = 8;
inline constexpr int block_filters = 8;

/// Weights (filter, tap and channel) become (tap and channel, filter). Index space: (tap and
/// channel, filter).
template <class T, class Space = device_space>
struct transpose_weights {
  view<T const, 1, Space> parameters;
  view<float, 2, Space> weights;
  SEPTUM_HD void operator()(int tap, int filter) const {
    weights(tap, filter) = static_cast<float>(parameters(filter * weights.extent(0) + tap));
  }
};

/// Index space of convolve_blocked.
[[nodiscard]] constexpr extent2 blocked_extent(int batch, shape out) {
  return {batch * out.height,
          (out.width + block_pixels - 1) / block_pixels * (out.channels / block_filters)};
}

/// convolve for filters that are a multiple of block_filters, with the weights in the order of
/// transpose_weights. Index space: blocked_extent.
template <class T, class Space = device_space>
struct convolve_blocked {
  view<T const, 4, Space> x;
  view<float const, 2, Space> weights;
  view<T const, 1, Space> bias;
  view<T, 4, Space> y;
  window geometry;
  bool relu;

  SEPTUM_HD void operator()(int row, int column) const {
    auto const filters = static_cast<int>(y.extent(3));
    auto const channels = static_cast<int>(x.extent(3));
    auto const height = static_cast<int>(y.extent(1));
    auto const width = static_cast<int>(y.extent(2));
    int const groups = filters / block_filters;
    int const filter = column % groups * block_filters;
    int const left = column / groups * block_pixels;

    float sums[block_pixels][block_filters];
    for (int p = 0; p < block_pixels; ++p)
      for (int f = 0; f < block_filters; ++f) sums[p][f] = static_cast<float>(bias(filter + f));
    // What lies beyond the row is computed from its last pixel and not stored.
    int offsets[block_pixels];
    for (int p = 0; p < block_pixels; ++p) {
      int const at = left + p < width ? left + p : width - 1;
      offsets[p] = at * geometry.stride * channels;
    }
    float const* weight = weights.data() + filter;
    for (int i = 0; i < geometry.kernel; ++i)
      for (int j = 0; j < geometry.kernel; ++j) {
        T const* const line =
            x.data() + row / height * x.stride(0) +
            (row % height * geometry.stride + i * geometry.dilation) * x.stride(1) +
            static_cast<std::ptrdiff_t>(j) * geometry.dilation * channels;
        if (channels % few == 0)
          for (int k = 0; k < channels; k += few)
            add<few>(line + k, offsets, weight, filters, sums);
        else
          for (int k = 0; k < channels; ++k) add<1>(line + k, offsets, weight, filters, sums);
      }

    T* const out = y.data() + (static_cast<std::ptrdiff_t>(row) * width + left) * filters + filter;
    for (int p = 0; p < block_pixels; ++p) {
      if (left + p >= width) break;
      for (int f = 0; f < block_filters; f += pack_size<T>) {
        value_pack<T> result;
        for (int e = 0; e < pack_size<T>; ++e) {
          float const sum = sums[p][f + e];
          result.values[e] = static_cast<T>(relu && !(sum > 0) ? 0.0F : sum);
        }
        result.store(out + static_cast<std::ptrdiff_t>(p) * filters + f);
      }
    }
  }

 private:
  // Channels that are loaded together: more take registers from threads that would hide the wait.
  static constexpr int few = static_cast<int>(8 / sizeof(T));

  /// Adds the products of N channels; moves `weight` behind them.
  template <int N>
  SEPTUM_HD static void add(T const* line, int const (&offsets)[block_pixels], float const*& weight,
                            int filters, float (&sums)[block_pixels][block_filters]) {
    value_pack<T, N> values[block_pixels];
    for (int p = 0; p < block_pixels; ++p) values[p] = value_pack<T, N>::load(line + offsets[p]);
    for (int e = 0; e < N; ++e, weight += filters) {
      using half = value_pack<float, block_filters / 2>;
      half const halves[2] = {half::load(weight), half::load(weight + block_filters / 2)};
      for (int p = 0; p < block_pixels; ++p) {
        auto const value = static_cast<float>(values[p].values[e]);
        for (int f = 0; f < block_filters; ++f)
          sums[p][f] += halves[f / (block_filters / 2)].values[f % (block_filters / 2)] * value;
      }
    }
  }
};

}  // namespace septum::inline SEPTUM_ABI
