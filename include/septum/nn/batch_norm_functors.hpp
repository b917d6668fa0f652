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
/// What a layer gives for x, before relu.
SEPTUM_HD constexpr double batch_normalised(double scale, double shift, double x) {
  return x * scale + shift;
}

/// Puts mean and deviation of a channel into the statistics, and scale and shift with them.
template <class T, class Space>
SEPTUM_HD void put_statistics(view<T const, 1, Space> const& parameters,
                              view<double, 2, Space> const& statistics, int channel, double mean,
                              double deviation) {
  auto const channels = statistics.extent(1);
  auto const parameter = [&](std::ptrdiff_t which) {
    return static_cast<double>(
        static_cast<arithmetic_t<T>>(parameters(which * channels + channel)));
  };
  double const scale = parameter(0) / (deviation + batch_norm::epsilon);
  statistics(batch_statistic::mean, channel) = mean;
  statistics(batch_statistic::deviation, channel) = deviation;
  statistics(batch_statistic::scale, channel) = scale;
  statistics(batch_statistic::shift, channel) = parameter(1) - mean * scale;
}
}  // namespace detail

/// Terms: distances of the values from the channel's first one, and their squares. The variance
/// that they give in double is as good as that of a second pass: the mean is at most as many
/// deviations away as there are pixels' roots.
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
    auto const parameter = [&](std::ptrdiff_t which) {
      return static_cast<double>(
          static_cast<arithmetic_t<T>>(parameters(which * channels + channel)));
    };
    detail::put_statistics<T, Space>(parameters, statistics, channel, parameter(2), parameter(3));
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
    double scale[N];
    double shift[N];
    for (int k = 0; k < N; ++k) {
      scale[k] = statistics(batch_statistic::scale, channel + k);
      shift[k] = statistics(batch_statistic::shift, channel + k);
    }
    auto const pixels = x.extent(0);
    std::ptrdiff_t const step = (pixels + batch_norm_pixels - 1) / batch_norm_pixels;
    value_pack<T, N> values[batch_norm_pixels];
    for (int p = 0; p < batch_norm_pixels; ++p)
      if (row + p * step < pixels) values[p] = value_pack<T, N>::load(&x(row + p * step, channel));
    for (int p = 0; p < batch_norm_pixels; ++p) {
      if (row + p * step >= pixels) break;
      for (int k = 0; k < N; ++k) {
        double const value = detail::batch_normalised(
            scale[k], shift[k],
            static_cast<double>(static_cast<arithmetic_t<T>>(values[p].values[k])));
        values[p].values[k] =
            static_cast<T>(static_cast<arithmetic_t<T>>(relu && !(value > 0.0) ? 0.0 : value));
      }
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
    arithmetic_t<T> x;
    arithmetic_t<T> dy;
  };
  struct of_channel {
    view<T const, 2, Space> x;
    view<T const, 2, Space> dy;
    int channel;
    bool relu;
    double mean;
    double scale;
    double shift;
    [[nodiscard]] SEPTUM_HD pair load(std::ptrdiff_t pixel) const {
      return {static_cast<arithmetic_t<T>>(x(pixel, channel)),
              static_cast<arithmetic_t<T>>(dy(pixel, channel))};
    }
    SEPTUM_HD void add(pair const& at, double (&sums)[2]) const {
      auto const value = static_cast<double>(at.x);
      if (relu && !(detail::batch_normalised(scale, shift, value) > 0.0)) return;
      auto const slope = static_cast<double>(at.dy);
      sums[0] += slope;
      sums[1] += slope * (value - mean);
    }
  };
  [[nodiscard]] SEPTUM_HD of_channel at(int channel) const {
    return {x,
            dy,
            channel,
            relu,
            statistics(batch_statistic::mean, channel),
            statistics(batch_statistic::scale, channel),
            statistics(batch_statistic::shift, channel)};
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
    channel_factors own[N];
    for (int k = 0; k < N; ++k) own[k] = factors_of(channel + k);
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
      for (int k = 0; k < N; ++k)
        slopes[p].values[k] = gradient(own[k], values[p].values[k], slopes[p].values[k]);
      slopes[p].store(&dx(row + p * step, channel));
    }
  }

 private:
  struct channel_factors {
    double scale;
    double shift;
    double slope;
    double value;
    double constant;
  };
  [[nodiscard]] SEPTUM_HD channel_factors factors_of(int channel) const {
    return {statistics(batch_statistic::scale, channel),
            statistics(batch_statistic::shift, channel), factors(batch_gradient::slope, channel),
            factors(batch_gradient::value, channel), factors(batch_gradient::constant, channel)};
  }
  [[nodiscard]] SEPTUM_HD T gradient(channel_factors const& own, T x_value, T dy_value) const {
    using number = arithmetic_t<T>;
    auto const value = static_cast<double>(static_cast<number>(x_value));
    bool const through = !relu || detail::batch_normalised(own.scale, own.shift, value) > 0.0;
    double const slope = through ? static_cast<double>(static_cast<number>(dy_value)) : 0.0;
    return static_cast<T>(
        static_cast<number>(own.slope * slope + own.value * value + own.constant));
  }
};

}  // namespace septum::inline SEPTUM_ABI
