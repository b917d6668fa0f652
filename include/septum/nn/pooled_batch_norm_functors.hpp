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

/// What a channel's pixels become, and which pixel of a window is the first largest.
template <class T>
struct normalised_window {
  using number = arithmetic_t<T>;
  double scale;
  double shift;
  bool relu;

  [[nodiscard]] SEPTUM_HD number stored(T x) const {
    double const value =
        batch_normalised(scale, shift, static_cast<double>(static_cast<number>(x)));
    return static_cast<number>(
        static_cast<T>(static_cast<number>(relu && !(value > 0.0) ? 0.0 : value)));
  }
  struct found_pixel {
    int at;
    number value;  ///< stored(x)
    T x;
  };
  [[nodiscard]] SEPTUM_HD found_pixel first_largest(T const (&x)[pool_windows::pixels]) const {
    found_pixel best{0, stored(x[0]), x[0]};
    for (int at = 1; at < pool_windows::pixels; ++at) {
      number const here = stored(x[at]);
      if (here > best.value) best = {at, here, x[at]};
    }
    return best;
  }
  /// Whether relu lets a gradient through to x.
  [[nodiscard]] SEPTUM_HD bool lets_through(T x) const {
    return !relu ||
           batch_normalised(scale, shift, static_cast<double>(static_cast<number>(x))) > 0.0;
  }
};

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
      detail::normalised_window<T> const channel{statistics(batch_statistic::scale, first + k),
                                                 statistics(batch_statistic::shift, first + k),
                                                 relu};
      T const column[pool_windows::pixels] = {values[0].values[k], values[1].values[k],
                                              values[2].values[k], values[3].values[k]};
      result.values[k] = static_cast<T>(channel.first_largest(column).value);
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
    detail::normalised_window<T> normalised;
    [[nodiscard]] SEPTUM_HD window load(std::ptrdiff_t number) const {
      std::ptrdiff_t const corner = windows.corner(number);
      window found;
      for (int at = 0; at < pool_windows::pixels; ++at)
        found.x[at] = x(corner + windows.behind(at), channel);
      found.dy = dy(number, channel);
      return found;
    }
    SEPTUM_HD void add(window const& here, double (&sums)[2]) const {
      using number = arithmetic_t<T>;
      T const x_of_largest = normalised.first_largest(here.x).x;
      if (!normalised.lets_through(x_of_largest)) return;
      auto const slope = static_cast<double>(static_cast<number>(here.dy));
      sums[0] += slope;
      sums[1] += slope * (static_cast<double>(static_cast<number>(x_of_largest)) - mean);
    }
  };
  [[nodiscard]] SEPTUM_HD of_channel at(int channel) const {
    return {x,
            dy,
            windows,
            channel,
            statistics(batch_statistic::mean, channel),
            {statistics(batch_statistic::scale, channel),
             statistics(batch_statistic::shift, channel), relu}};
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
    using number = arithmetic_t<T>;
    using packed = value_pack<T, N>;
    int const first = pack * N;
    std::ptrdiff_t const corner = windows.corner(window);
    packed values[pool_windows::pixels];
    for (int at = 0; at < pool_windows::pixels; ++at)
      values[at] = packed::load(&x(corner + windows.behind(at), first));
    packed const slopes = packed::load(&dy(window, first));
    for (int k = 0; k < N; ++k) {
      int const channel = first + k;
      detail::normalised_window<T> const normalised{statistics(batch_statistic::scale, channel),
                                                    statistics(batch_statistic::shift, channel),
                                                    relu};
      double const slope = factors(batch_gradient::slope, channel);
      double const value = factors(batch_gradient::value, channel);
      double const constant = factors(batch_gradient::constant, channel);
      T const column[pool_windows::pixels] = {values[0].values[k], values[1].values[k],
                                              values[2].values[k], values[3].values[k]};
      int const best = normalised.first_largest(column).at;
      for (int at = 0; at < pool_windows::pixels; ++at) {
        bool const through = at == best && normalised.lets_through(column[at]);
        double const came =
            through ? static_cast<double>(static_cast<number>(slopes.values[k])) : 0.0;
        auto const x_value = static_cast<double>(static_cast<number>(column[at]));
        values[at].values[k] =
            static_cast<T>(static_cast<number>(slope * came + value * x_value + constant));
      }
    }
    for (int at = 0; at < pool_windows::pixels; ++at)
      values[at].store(&dx(corner + windows.behind(at), first));
  }
};

}  // namespace septum::inline SEPTUM_ABI
