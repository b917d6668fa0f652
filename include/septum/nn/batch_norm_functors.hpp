#pragma once
#include <septum/core/view.hpp>
#include <septum/nn/blocked_functors.hpp>
#include <septum/nn/channel_sum_functors.hpp>
#include <septum/nn/functors.hpp>
#include <septum/nn/layers.hpp>

#include <cmath>
#include <cstddef>

/// Batch normalisation (nn/layers.hpp says by which definition) for a device. Maps are views of
/// (pixel, channel); parameters are gamma, beta, running mean, running deviation. Statistics are in
/// double, summed as nn/channel_sum_functors.hpp says. What is the same for all pixels of a channel
/// is worked out once, so that a pixel costs a multiplication and a sum.
namespace septum::inline SEPTUM_ABI {

/// Rows of the statistics of a layer, by channel.
namespace batch_statistic {
inline constexpr int mean = 0;
inline constexpr int deviation = 1;
inline constexpr int scale = 2;  ///< y = scale x + shift
inline constexpr int shift = 3;
inline constexpr int count = 4;
}  // namespace batch_statistic

/// Rows of what batch_norm_input_gradient multiplies with, by channel: dx = slope dy + value x +
/// constant.
namespace batch_gradient {
inline constexpr int slope = 0;
inline constexpr int value = 1;
inline constexpr int constant = 2;
inline constexpr int count = 3;
}  // namespace batch_gradient

namespace detail {

/// Gamma, beta, running mean or running deviation of a channel.
template <class T, class Space>
SEPTUM_HD double batch_norm_parameter(view<T const, 1, Space> const& parameters,
                                      std::ptrdiff_t channels, std::ptrdiff_t which, int channel) {
  return static_cast<double>(static_cast<arithmetic_t<T>>(parameters(which * channels + channel)));
}

/// Puts mean and deviation of a channel into the statistics, and scale and shift with them.
template <class T, class Space>
SEPTUM_HD void put_statistics(view<T const, 1, Space> const& parameters,
                              view<double, 2, Space> const& statistics, int channel, double mean,
                              double deviation) {
  auto const channels = statistics.extent(1);
  double const scale = batch_norm_parameter<T, Space>(parameters, channels, 0, channel) /
                       (deviation + batch_norm::epsilon);
  statistics(batch_statistic::mean, channel) = mean;
  statistics(batch_statistic::deviation, channel) = deviation;
  statistics(batch_statistic::scale, channel) = scale;
  statistics(batch_statistic::shift, channel) =
      batch_norm_parameter<T, Space>(parameters, channels, 1, channel) - mean * scale;
}

/// What the pixels of a channel become.
template <class T>
struct channel_normaliser {
  using number = arithmetic_t<T>;
  double scale;
  double shift;
  bool relu;

  template <class Space>
  [[nodiscard]] SEPTUM_HD static channel_normaliser of(
      view<double const, 2, Space> const& statistics, int channel, bool relu) {
    return {statistics(batch_statistic::scale, channel),
            statistics(batch_statistic::shift, channel), relu};
  }
  [[nodiscard]] SEPTUM_HD T operator()(T x) const {
    double const value = before_relu(x);
    return static_cast<T>(static_cast<number>(relu && !(value > 0.0) ? 0.0 : value));
  }
  /// Whether relu lets a gradient through to x.
  [[nodiscard]] SEPTUM_HD bool lets_through(T x) const { return !relu || before_relu(x) > 0.0; }

 private:
  [[nodiscard]] SEPTUM_HD double before_relu(T x) const {
    return static_cast<double>(static_cast<number>(x)) * scale + shift;
  }
};

/// What the gradients of a channel's pixels become.
template <class T>
struct channel_gradient {
  using number = arithmetic_t<T>;
  double slope;
  double value;
  double constant;

  template <class Space>
  [[nodiscard]] SEPTUM_HD static channel_gradient of(view<double const, 2, Space> const& factors,
                                                     int channel) {
    return {factors(batch_gradient::slope, channel), factors(batch_gradient::value, channel),
            factors(batch_gradient::constant, channel)};
  }
  /// @param through whether dy came to x at all
  [[nodiscard]] SEPTUM_HD T operator()(T x, T dy, bool through) const {
    double const came = through ? static_cast<double>(static_cast<number>(dy)) : 0.0;
    return static_cast<T>(static_cast<number>(
        slope * came + value * static_cast<double>(static_cast<number>(x)) + constant));
  }
};

/// Adds what one pixel contributes to the sums of a gradient: dy and dy (x - mean), where relu lets
/// it through.
template <class T>
SEPTUM_HD void add_gradient(channel_normaliser<T> const& normalised, double mean, T x, T dy,
                            double (&sums)[2]) {
  using number = arithmetic_t<T>;
  if (!normalised.lets_through(x)) return;
  auto const slope = static_cast<double>(static_cast<number>(dy));
  sums[0] += slope;
  sums[1] += slope * (static_cast<double>(static_cast<number>(x)) - mean);
}

}  // namespace detail

/// Terms: distances of the values from the channel's first one, and their squares. The variance
/// that they give in double is as good as that of a second pass, since the first value of n is at
/// most sqrt(n) deviations away from the mean.
template <class T, class Space = device_space>
struct batch_statistic_terms {
  static constexpr int count = 2;
  view<T const, 2, Space> values;

  struct of_channel {
    view<T const, 2, Space> values;
    int channel;
    double first;
    [[nodiscard]] SEPTUM_HD arithmetic_t<T> load(std::ptrdiff_t pixel) const {
      return static_cast<arithmetic_t<T>>(values(pixel, channel));
    }
    SEPTUM_HD void add(arithmetic_t<T> value, double (&sums)[2]) const {
      double const distance = static_cast<double>(value) - first;
      sums[0] += distance;
      sums[1] += distance * distance;
    }
  };
  [[nodiscard]] SEPTUM_HD of_channel at(int channel) const {
    return {values, channel, static_cast<double>(static_cast<arithmetic_t<T>>(values(0, channel)))};
  }
};

/// Finish of batch_statistic_terms: mean and deviation of the batch, sqrt(variance + epsilon).
template <class T, class Space = device_space>
struct batch_statistics {
  static constexpr int count = 2;
  view<T const, 2, Space> values;
  view<T const, 1, Space> parameters;
  view<double, 2, Space> statistics;
  SEPTUM_HD void operator()(int channel, double const (&sums)[2]) const {
    auto const pixels = static_cast<double>(values.extent(0));
    double const first = static_cast<double>(static_cast<arithmetic_t<T>>(values(0, channel)));
    double const away = sums[0] / pixels;
    double const variance = sums[1] / pixels - away * away;
    // Rounding can make it negative where all values are alike; a NaN stays one.
    double const positive = variance < 0.0 ? 0.0 : variance;
    detail::put_statistics<T, Space>(parameters, statistics, channel, first + away,
                                     std::sqrt(positive + batch_norm::epsilon));
  }
};

/// The running statistics in the place of a batch's. Index space: (1, channels).
template <class T, class Space = device_space>
struct running_statistics {
  view<T const, 1, Space> parameters;
  view<double, 2, Space> statistics;
  SEPTUM_HD void operator()(int, int channel) const {
    auto const channels = statistics.extent(1);
    detail::put_statistics<T, Space>(
        parameters, statistics, channel,
        detail::batch_norm_parameter<T, Space>(parameters, channels, 2, channel),
        detail::batch_norm_parameter<T, Space>(parameters, channels, 3, channel));
  }
};

/// Channels that batch_normalise and batch_norm_input_gradient take together where they divide.
inline constexpr int batch_norm_pack = 4;
/// Pixels of which one thread takes the same channels, whose factors it then keeps.
inline constexpr int batch_norm_pixels = 4;

/// Index space of batch_normalise and batch_norm_input_gradient for packs of N channels: thread
/// `row` takes pixels row, row + rows, ...
[[nodiscard]] constexpr extent2 batch_norm_extent(int pixels, int packs) {
  return {(pixels + batch_norm_pixels - 1) / batch_norm_pixels, packs};
}

/// y = scale x + shift, then relu where wanted, for N channels of some pixels. Index space:
/// batch_norm_extent.
template <class T, int N, class Space = device_space>
struct batch_normalise {
  view<T const, 2, Space> x;
  view<double const, 2, Space> statistics;
  view<T, 2, Space> y;
  bool relu;
  SEPTUM_HD void operator()(int row, int pack) const {
    int const channel = pack * N;
    detail::channel_normaliser<T> normalised[N];
    for (int k = 0; k < N; ++k)
      normalised[k] = detail::channel_normaliser<T>::of(statistics, channel + k, relu);
    auto const pixels = x.extent(0);
    std::ptrdiff_t const step = (pixels + batch_norm_pixels - 1) / batch_norm_pixels;
    value_pack<T, N> values[batch_norm_pixels];
    for (int p = 0; p < batch_norm_pixels; ++p)
      if (row + p * step < pixels) values[p] = value_pack<T, N>::load(&x(row + p * step, channel));
    for (int p = 0; p < batch_norm_pixels; ++p) {
      if (row + p * step >= pixels) break;
      for (int k = 0; k < N; ++k) values[p].values[k] = normalised[k](values[p].values[k]);
      values[p].store(&y(row + p * step, channel));
    }
  }
};

/// Terms: dy and dy (x - mean), where dy counts only behind what a relu let through.
template <class T, class Space = device_space>
struct batch_gradient_terms {
  static constexpr int count = 2;
  view<T const, 2, Space> x;
  view<T const, 2, Space> dy;
  view<double const, 2, Space> statistics;
  bool relu;

  struct pair {
    T x;
    T dy;
  };
  struct of_channel {
    view<T const, 2, Space> x;
    view<T const, 2, Space> dy;
    int channel;
    double mean;
    detail::channel_normaliser<T> normalised;
    [[nodiscard]] SEPTUM_HD pair load(std::ptrdiff_t pixel) const {
      return {x(pixel, channel), dy(pixel, channel)};
    }
    SEPTUM_HD void add(pair const& at, double (&sums)[2]) const {
      detail::add_gradient(normalised, mean, at.x, at.dy, sums);
    }
  };
  [[nodiscard]] SEPTUM_HD of_channel at(int channel) const {
    return {x, dy, channel, statistics(batch_statistic::mean, channel),
            detail::channel_normaliser<T>::of(statistics, channel, relu)};
  }
};

/// Finish of batch_gradient_terms: gradients of gamma and beta, the batch's statistics in the slots
/// of the running ones, and the factors of batch_norm_input_gradient.
template <class T, class Space = device_space>
struct batch_norm_parameter_gradient {
  static constexpr int count = 2;
  view<double const, 2, Space> statistics;
  view<double, 2, Space> factors;
  view<T, 1, Space> gradient;
  double pixels;
  SEPTUM_HD void operator()(int channel, double const (&sums)[2]) const {
    double const mean = statistics(batch_statistic::mean, channel);
    double const deviation = statistics(batch_statistic::deviation, channel);
    double const denominator = deviation + batch_norm::epsilon;
    double const slope = statistics(batch_statistic::scale, channel);
    double const value = -slope * sums[1] / (pixels * deviation * denominator);
    factors(batch_gradient::slope, channel) = slope;
    factors(batch_gradient::value, channel) = value;
    factors(batch_gradient::constant, channel) = -slope * sums[0] / pixels - value * mean;
    auto const channels = statistics.extent(1);
    auto const put = [&](std::ptrdiff_t which, double number) {
      gradient(which * channels + channel) = static_cast<T>(static_cast<arithmetic_t<T>>(number));
    };
    put(0, sums[1] / denominator);
    put(1, sums[0]);
    put(2, mean);
    put(3, deviation);
  }
};

/// dx through the normalisation, the mean and the deviation, for N channels of some pixels. Index
/// space: batch_norm_extent.
template <class T, int N, class Space = device_space>
struct batch_norm_input_gradient {
  view<T const, 2, Space> x;
  view<T const, 2, Space> dy;
  view<double const, 2, Space> statistics;
  view<double const, 2, Space> factors;
  view<T, 2, Space> dx;
  bool relu;

  SEPTUM_HD void operator()(int row, int pack) const {
    using packed = value_pack<T, N>;
    int const channel = pack * N;
    detail::channel_normaliser<T> normalised[N];
    detail::channel_gradient<T> gradient[N];
    for (int k = 0; k < N; ++k) {
      normalised[k] = detail::channel_normaliser<T>::of(statistics, channel + k, relu);
      gradient[k] = detail::channel_gradient<T>::of(factors, channel + k);
    }
    auto const pixels = x.extent(0);
    std::ptrdiff_t const step = (pixels + batch_norm_pixels - 1) / batch_norm_pixels;
    packed values[batch_norm_pixels];
    packed slopes[batch_norm_pixels];
    for (int p = 0; p < batch_norm_pixels; ++p) {
      if (row + p * step >= pixels) break;
      values[p] = packed::load(&x(row + p * step, channel));
      slopes[p] = packed::load(&dy(row + p * step, channel));
    }
    for (int p = 0; p < batch_norm_pixels; ++p) {
      if (row + p * step >= pixels) break;
      for (int k = 0; k < N; ++k) {
        T const here = values[p].values[k];
        slopes[p].values[k] =
            gradient[k](here, slopes[p].values[k], normalised[k].lets_through(here));
      }
      slopes[p].store(&dx(row + p * step, channel));
    }
  }
};

}  // namespace septum::inline SEPTUM_ABI
