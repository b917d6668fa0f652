#pragma once
#include <septum/core/view.hpp>
#include <septum/nn/blocked_functors.hpp>
#include <septum/nn/convolution_functors.hpp>
#include <septum/nn/functors.hpp>
#include <septum/nn/layers.hpp>

#include <cmath>
#include <cstddef>

/// Batch normalisation (nn/layers.hpp says by which definition) as index kernels. Maps are views of
/// (pixel, channel); parameters are gamma, beta, running mean, running deviation. Statistics are in
/// double: two passes, sums split as in nn/convolution_functors.hpp. What is the same for all
/// pixels of a channel is worked out once, so that a pixel costs a multiplication and a sum.
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

/// Mean of the batch. Index space: (1, channels).
template <class Space = device_space>
struct batch_mean {
  view<double const, 2, Space> parts;
  view<double, 2, Space> statistics;
  double count;
  SEPTUM_HD void operator()(int, int channel) const {
    statistics(batch_statistic::mean, channel) = detail::sum_of_parts(parts, channel) / count;
  }
};

/// parts = sums of squared distances to the mean. Index space: (parts_of_a_sum, channels).
template <class T, class Space = device_space>
struct sum_squared_distances {
  view<T const, 2, Space> values;
  view<double const, 2, Space> statistics;
  view<double, 2, Space> parts;
  SEPTUM_HD void operator()(int part, int channel) const {
    detail::pixel_range const range{values.extent(0), part};
    double const mean = statistics(batch_statistic::mean, channel);
    double sum = 0;
    detail::add_in_order(
        range.first, range.last,
        [&](std::ptrdiff_t i) { return static_cast<arithmetic_t<T>>(values(i, channel)); },
        [&](arithmetic_t<T> value) {
          double const centred = static_cast<double>(value) - mean;
          sum += centred * centred;
        });
    parts(part, channel) = sum;
  }
};

/// Deviation of the batch, sqrt(variance + epsilon), and with it scale and shift; without parts,
/// those of the running statistics. Index space: (1, channels).
template <class T, class Space = device_space>
struct batch_norm_scale {
  view<double const, 2, Space> parts;
  view<T const, 1, Space> parameters;
  view<double, 2, Space> statistics;
  double count;
  SEPTUM_HD void operator()(int, int channel) const {
    auto const channels = statistics.extent(1);
    auto const parameter = [&](int which) {
      return static_cast<double>(
          static_cast<arithmetic_t<T>>(parameters(which * channels + channel)));
    };
    if (parts.data() == nullptr) {
      statistics(batch_statistic::mean, channel) = parameter(2);
      statistics(batch_statistic::deviation, channel) = parameter(3);
    } else {
      statistics(batch_statistic::deviation, channel) =
          std::sqrt(detail::sum_of_parts(parts, channel) / count + batch_norm::epsilon);
    }
    double const scale =
        parameter(0) / (statistics(batch_statistic::deviation, channel) + batch_norm::epsilon);
    statistics(batch_statistic::scale, channel) = scale;
    statistics(batch_statistic::shift, channel) =
        parameter(1) - statistics(batch_statistic::mean, channel) * scale;
  }
};

namespace detail {
/// What a layer with these statistics gives for x, before relu.
template <class Space>
SEPTUM_HD double batch_normalised(view<double const, 2, Space> const& statistics, int channel,
                                  double x) {
  return x * statistics(batch_statistic::scale, channel) +
         statistics(batch_statistic::shift, channel);
}
}  // namespace detail

/// Channels that batch_normalise and batch_norm_input_gradient take together where they divide.
inline constexpr int batch_norm_pack = 4;

/// y = scale x + shift, then relu where wanted, for N channels of a pixel. Index space: (pixels,
/// channels / N).
template <class T, int N, class Space = device_space>
struct batch_normalise {
  view<T const, 2, Space> x;
  view<double const, 2, Space> statistics;
  view<T, 2, Space> y;
  bool relu;
  SEPTUM_HD void operator()(int pixel, int pack) const {
    auto values = value_pack<T, N>::load(&x(pixel, pack * N));
    for (int k = 0; k < N; ++k) {
      double const value = detail::batch_normalised(
          statistics, pack * N + k,
          static_cast<double>(static_cast<arithmetic_t<T>>(values.values[k])));
      values.values[k] =
          static_cast<T>(static_cast<arithmetic_t<T>>(relu && !(value > 0.0) ? 0.0 : value));
    }
    values.store(&y(pixel, pack * N));
  }
};

/// parts of the sums of dy and of dy (x - mean), where dy counts only behind what a relu let
/// through. Index space: (parts_of_a_sum, channels).
template <class T, class Space = device_space>
struct sum_batch_norm_gradients {
  view<T const, 2, Space> x;
  view<T const, 2, Space> dy;
  view<double const, 2, Space> statistics;
  view<double, 2, Space> parts;
  view<double, 2, Space> centred_parts;
  bool relu;
  SEPTUM_HD void operator()(int part, int channel) const {
    using number = arithmetic_t<T>;
    struct pair {
      number x;
      number dy;
    };
    detail::pixel_range const range{x.extent(0), part};
    double const mean = statistics(batch_statistic::mean, channel);
    double sum = 0;
    double sum_centred = 0;
    detail::add_in_order(
        range.first, range.last,
        [&](std::ptrdiff_t i) {
          return pair{static_cast<number>(x(i, channel)), static_cast<number>(dy(i, channel))};
        },
        [&](pair const& at) {
          auto const value = static_cast<double>(at.x);
          if (relu && !(detail::batch_normalised(statistics, channel, value) > 0.0)) return;
          auto const slope = static_cast<double>(at.dy);
          sum += slope;
          sum_centred += slope * (value - mean);
        });
    parts(part, channel) = sum;
    centred_parts(part, channel) = sum_centred;
  }
};

/// Gradients of gamma and beta, the batch's statistics in the slots of the running ones, and the
/// factors of batch_norm_input_gradient. Index space: (1, channels).
template <class T, class Space = device_space>
struct batch_norm_parameter_gradient {
  view<double const, 2, Space> parts;
  view<double const, 2, Space> centred_parts;
  view<double const, 2, Space> statistics;
  view<double, 2, Space> factors;
  view<T, 1, Space> gradient;
  double count;
  SEPTUM_HD void operator()(int, int channel) const {
    double const sum = detail::sum_of_parts(parts, channel);
    double const sum_centred = detail::sum_of_parts(centred_parts, channel);
    double const mean = statistics(batch_statistic::mean, channel);
    double const deviation = statistics(batch_statistic::deviation, channel);
    double const denominator = deviation + batch_norm::epsilon;
    double const slope = statistics(batch_statistic::scale, channel);
    double const value = -slope * sum_centred / (count * deviation * denominator);
    factors(batch_gradient::slope, channel) = slope;
    factors(batch_gradient::value, channel) = value;
    factors(batch_gradient::constant, channel) = -slope * sum / count - value * mean;
    auto const channels = parts.extent(1);
    auto const put = [&](int which, double number) {
      gradient(which * channels + channel) = static_cast<T>(static_cast<arithmetic_t<T>>(number));
    };
    put(0, sum_centred / denominator);
    put(1, sum);
    put(2, mean);
    put(3, deviation);
  }
};

/// dx through the normalisation, the mean and the deviation, for N channels of a pixel. Index
/// space: (pixels, channels / N).
template <class T, int N, class Space = device_space>
struct batch_norm_input_gradient {
  view<T const, 2, Space> x;
  view<T const, 2, Space> dy;
  view<double const, 2, Space> statistics;
  view<double const, 2, Space> factors;
  view<T, 2, Space> dx;
  bool relu;
  SEPTUM_HD void operator()(int pixel, int pack) const {
    using number = arithmetic_t<T>;
    auto const values = value_pack<T, N>::load(&x(pixel, pack * N));
    auto slopes = value_pack<T, N>::load(&dy(pixel, pack * N));
    for (int k = 0; k < N; ++k) {
      int const channel = pack * N + k;
      auto const value = static_cast<double>(static_cast<number>(values.values[k]));
      bool const through = !relu || detail::batch_normalised(statistics, channel, value) > 0.0;
      double const slope =
          through ? static_cast<double>(static_cast<number>(slopes.values[k])) : 0.0;
      slopes.values[k] =
          static_cast<T>(static_cast<number>(factors(batch_gradient::slope, channel) * slope +
                                             factors(batch_gradient::value, channel) * value +
                                             factors(batch_gradient::constant, channel)));
    }
    slopes.store(&dx(pixel, pack * N));
  }
};

}  // namespace septum::inline SEPTUM_ABI
