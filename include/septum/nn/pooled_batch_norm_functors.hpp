#pragma once
#include <septum/core/view.hpp>
#include <septum/nn/batch_norm_functors.hpp>
#include <septum/nn/blocked_functors.hpp>

#include <cstddef>
#include <cstdint>

/// Batch normalisation, relu and max pooling of windows of 2x2 side by side in one: the normalised
/// map is never stored, and going back what was largest is found again from x. Numbers and ties are
/// those of the layers one after the other. Statistics are those of batch_statistic_terms.
namespace septum::inline SEPTUM_ABI {

/// Where the pixels of a window lie in a map that windows cover without rest.
struct pool_windows {
  static constexpr int side = 2;
  static constexpr int pixels = side * side;
  std::uint32_t across = 1;  ///< windows in a row

  [[nodiscard]] SEPTUM_HD constexpr std::ptrdiff_t corner(std::ptrdiff_t window) const {
    std::uint32_t const row = static_cast<std::uint32_t>(window) / across;
    std::uint32_t const column = static_cast<std::uint32_t>(window) - row * across;
    return (static_cast<std::ptrdiff_t>(row) * side * across + column) * side;
  }
  /// Pixel `at` of the window, row by row, behind its corner.
  [[nodiscard]] SEPTUM_HD constexpr std::ptrdiff_t behind(int at) const {
    return static_cast<std::ptrdiff_t>(at / side) * side * across + at % side;
  }
};

namespace detail {

/// The pixel of a window that is the first largest once it is normalised.
template <class T>
struct pooled_pixel {
  int at;
  T y;  ///< normalised
  T x;
};
template <class T>
[[nodiscard]] SEPTUM_HD pooled_pixel<T> first_largest(channel_normaliser<T> const& normalised,
                                                      T const (&x)[pool_windows::pixels]) {
  using number = arithmetic_t<T>;
  pooled_pixel<T> best{0, normalised(x[0]), x[0]};
  for (int at = 1; at < pool_windows::pixels; ++at) {
    T const here = normalised(x[at]);
    if (static_cast<number>(here) > static_cast<number>(best.y)) best = {at, here, x[at]};
  }
  return best;
}

}  // namespace detail

/// y (window, channel) = largest value of the normalised window, for N channels. Index space:
/// (windows, channels / N).
template <class T, int N, class Space = device_space>
struct batch_normalise_pool {
  view<T const, 2, Space> x;
  view<double const, 2, Space> statistics;
  view<T, 2, Space> y;
  pool_windows windows;
  bool relu;
  SEPTUM_HD void operator()(int window, int pack) const {
    int const first = pack * N;
    std::ptrdiff_t const corner = windows.corner(window);
    value_pack<T, N> values[pool_windows::pixels];
    for (int at = 0; at < pool_windows::pixels; ++at)
      values[at] = value_pack<T, N>::load(&x(corner + windows.behind(at), first));
    value_pack<T, N> result;
    for (int k = 0; k < N; ++k) {
      auto const normalised = detail::channel_normaliser<T>::of(statistics, first + k, relu);
      T const column[pool_windows::pixels] = {values[0].values[k], values[1].values[k],
                                              values[2].values[k], values[3].values[k]};
      result.values[k] = detail::first_largest(normalised, column).y;
    }
    result.store(&y(window, first));
  }
};

/// Terms: batch_gradient_terms of a map whose gradient comes through the pooling. A pixel stands
/// for a window here.
template <class T, class Space = device_space>
struct pooled_gradient_terms {
  static constexpr int count = 2;
  view<T const, 2, Space> x;
  view<T const, 2, Space> dy;
  view<double const, 2, Space> statistics;
  pool_windows windows;
  bool relu;

  struct window {
    T x[pool_windows::pixels];
    T dy;
  };
  struct of_channel {
    view<T const, 2, Space> x;
    view<T const, 2, Space> dy;
    pool_windows windows;
    int channel;
    double mean;
    detail::channel_normaliser<T> normalised;
    [[nodiscard]] SEPTUM_HD window load(std::ptrdiff_t number) const {
      std::ptrdiff_t const corner = windows.corner(number);
      window found;
      for (int at = 0; at < pool_windows::pixels; ++at)
        found.x[at] = x(corner + windows.behind(at), channel);
      found.dy = dy(number, channel);
      return found;
    }
    SEPTUM_HD void add(window const& here, double (&sums)[2]) const {
      detail::add_gradient(normalised, mean, detail::first_largest(normalised, here.x).x, here.dy,
                           sums);
    }
  };
  [[nodiscard]] SEPTUM_HD of_channel at(int channel) const {
    return {x,
            dy,
            windows,
            channel,
            statistics(batch_statistic::mean, channel),
            detail::channel_normaliser<T>::of(statistics, channel, relu)};
  }
};

/// batch_norm_input_gradient where dy comes through the pooling, for N channels of a window. Index
/// space: (windows, channels / N).
template <class T, int N, class Space = device_space>
struct pooled_input_gradient {
  view<T const, 2, Space> x;
  view<T const, 2, Space> dy;
  view<double const, 2, Space> statistics;
  view<double const, 2, Space> factors;
  view<T, 2, Space> dx;
  pool_windows windows;
  bool relu;
  SEPTUM_HD void operator()(int window, int pack) const {
    using packed = value_pack<T, N>;
    int const first = pack * N;
    std::ptrdiff_t const corner = windows.corner(window);
    packed values[pool_windows::pixels];
    for (int at = 0; at < pool_windows::pixels; ++at)
      values[at] = packed::load(&x(corner + windows.behind(at), first));
    packed const slopes = packed::load(&dy(window, first));
    for (int k = 0; k < N; ++k) {
      auto const normalised = detail::channel_normaliser<T>::of(statistics, first + k, relu);
      auto const gradient = detail::channel_gradient<T>::of(factors, first + k);
      T const column[pool_windows::pixels] = {values[0].values[k], values[1].values[k],
                                              values[2].values[k], values[3].values[k]};
      int const best = detail::first_largest(normalised, column).at;
      for (int at = 0; at < pool_windows::pixels; ++at)
        values[at].values[k] = gradient(column[at], slopes.values[k],
                                        at == best && normalised.lets_through(column[at]));
    }
    for (int at = 0; at < pool_windows::pixels; ++at)
      values[at].store(&dx(corner + windows.behind(at), first));
  }
};

}  // namespace septum::inline SEPTUM_ABI
