#pragma once
#include <septum/core/view.hpp>
#include <septum/nn/convolution_functors.hpp>
#include <septum/nn/functors.hpp>
#include <septum/nn/layers.hpp>

#include <cmath>
#include <cstddef>

/// Batch normalisation (nn/layers.hpp says by which definition) as index kernels. Maps are views of
/// (pixel, channel); parameters are gamma, beta, running mean, running deviation. Statistics are in
/// double: two passes, sums split as in nn/convolution_functors.hpp.
namespace septum::inline SEPTUM_ABI {

/// statistics (0, channel) = mean of the batch. Index space: (1, channels).
template <class Space = device_space>
struct batch_mean {
  view<double const, 2, Space> parts;
  view<double, 2, Space> statistics;
  double count;
  SEPTUM_HD void operator()(int, int channel) const {
    double sum = 0;
    for (std::ptrdiff_t part = 0; part < parts.extent(0); ++part) sum += parts(part, channel);
    statistics(0, channel) = sum / count;
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
    double const mean = statistics(0, channel);
    double sum = 0;
    for (auto i = range.first; i < range.last; ++i) {
      double const centred =
          static_cast<double>(static_cast<arithmetic_t<T>>(values(i, channel))) - mean;
      sum += centred * centred;
    }
    parts(part, channel) = sum;
  }
};

/// statistics (1, channel) = sqrt(variance + epsilon). Index space: (1, channels).
template <class Space = device_space>
struct batch_deviation {
  view<double const, 2, Space> parts;
  view<double, 2, Space> statistics;
  double count;
  SEPTUM_HD void operator()(int, int channel) const {
    double sum = 0;
    for (std::ptrdiff_t part = 0; part < parts.extent(0); ++part) sum += parts(part, channel);
    statistics(1, channel) = std::sqrt(sum / count + batch_norm::epsilon);
  }
};

/// y = (x - mean) gamma / (deviation + epsilon) + beta, then relu where wanted. Statistics of the
/// batch, or with no data the running ones. Index space: (pixels, channels).
template <class T, class Space = device_space>
struct batch_normalise {
  view<T const, 2, Space> x;
  view<T const, 1, Space> parameters;
  view<double const, 2, Space> statistics;
  view<T, 2, Space> y;
  bool relu;
  SEPTUM_HD void operator()(int pixel, int channel) const {
    auto const channels = x.extent(1);
    auto const parameter = [&](int which) {
      return static_cast<double>(
          static_cast<arithmetic_t<T>>(parameters(which * channels + channel)));
    };
    bool const running = statistics.data() == nullptr;
    double const mean = running ? parameter(2) : statistics(0, channel);
    double const deviation = running ? parameter(3) : statistics(1, channel);
    double const value =
        (static_cast<double>(static_cast<arithmetic_t<T>>(x(pixel, channel))) - mean) *
            parameter(0) / (deviation + batch_norm::epsilon) +
        parameter(1);
    y(pixel, channel) =
        static_cast<T>(static_cast<arithmetic_t<T>>(relu && !(value > 0.0) ? 0.0 : value));
  }
};

/// parts of the sums of dy (rows 0 to parts_of_a_sum) and of dy (x - mean) (the rows below). Index
/// space: (parts_of_a_sum, channels).
template <class T, class Space = device_space>
struct sum_batch_norm_gradients {
  view<T const, 2, Space> x;
  view<T const, 2, Space> dy;
  view<double const, 2, Space> statistics;
  view<double, 2, Space> parts;
  view<double, 2, Space> centred_parts;
  SEPTUM_HD void operator()(int part, int channel) const {
    detail::pixel_range const range{x.extent(0), part};
    double const mean = statistics(0, channel);
    double sum = 0;
    double sum_centred = 0;
    for (auto i = range.first; i < range.last; ++i) {
      auto const slope = static_cast<double>(static_cast<arithmetic_t<T>>(dy(i, channel)));
      sum += slope;
      sum_centred +=
          slope * (static_cast<double>(static_cast<arithmetic_t<T>>(x(i, channel))) - mean);
    }
    parts(part, channel) = sum;
    centred_parts(part, channel) = sum_centred;
  }
};

/// Gradients of gamma and beta, and the batch's statistics in the slots of the running ones; sums
/// (0 and 1, channel) of dy and dy (x - mean) are left for batch_norm_input_gradient. Index space:
/// (1, channels).
template <class T, class Space = device_space>
struct batch_norm_parameter_gradient {
  view<double const, 2, Space> parts;
  view<double const, 2, Space> centred_parts;
  view<double const, 2, Space> statistics;
  view<double, 2, Space> sums;
  view<T, 1, Space> gradient;
  SEPTUM_HD void operator()(int, int channel) const {
    double sum = 0;
    double sum_centred = 0;
    for (std::ptrdiff_t part = 0; part < parts.extent(0); ++part) {
      sum += parts(part, channel);
      sum_centred += centred_parts(part, channel);
    }
    sums(0, channel) = sum;
    sums(1, channel) = sum_centred;
    auto const channels = parts.extent(1);
    auto const put = [&](int which, double value) {
      gradient(which * channels + channel) = static_cast<T>(static_cast<arithmetic_t<T>>(value));
    };
    put(0, sum_centred / (statistics(1, channel) + batch_norm::epsilon));
    put(1, sum);
    put(2, statistics(0, channel));
    put(3, statistics(1, channel));
  }
};

/// dx through the normalisation, the mean and the deviation. Index space: (pixels, channels).
template <class T, class Space = device_space>
struct batch_norm_input_gradient {
  view<T const, 2, Space> x;
  view<T const, 2, Space> dy;
  view<T const, 1, Space> parameters;
  view<double const, 2, Space> statistics;
  view<double const, 2, Space> sums;
  view<T, 2, Space> dx;
  SEPTUM_HD void operator()(int pixel, int channel) const {
    auto const count = static_cast<double>(x.extent(0));
    double const deviation = statistics(1, channel);
    double const denominator = deviation + batch_norm::epsilon;
    double const centred = static_cast<double>(static_cast<arithmetic_t<T>>(x(pixel, channel))) -
                           statistics(0, channel);
    double const through_deviation = centred * sums(1, channel) / (count * deviation * denominator);
    double const gamma = static_cast<double>(static_cast<arithmetic_t<T>>(parameters(channel)));
    double const value = gamma / denominator *
                         (static_cast<double>(static_cast<arithmetic_t<T>>(dy(pixel, channel))) -
                          sums(0, channel) / count - through_deviation);
    dx(pixel, channel) = static_cast<T>(static_cast<arithmetic_t<T>>(value));
  }
};

}  // namespace septum::inline SEPTUM_ABI
