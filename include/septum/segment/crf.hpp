#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/segment/detail/bilateral_grid.hpp>
#include <septum/segment/refiners.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// A fully connected conditional random field over the class probabilities: every pixel is drawn to
/// the classes of pixels near it, and more to those near it that look alike. Mean field
/// approximation with Gaussian kernels, each normalised by its sum (Krahenbuhl and Koltun 2011).
/// Gives new probabilities; pixels without any (the border a net cannot see) stay without.
struct dense_crf {
  int iterations = 5;
  /// pull of near pixels, in units of log probability; 0 switches the kernel off
  double smoothness = 1.0;
  double smoothness_px = 3.0;
  /// pull of near pixels that look alike; 0 switches the kernel off
  double appearance = 2.0;
  double appearance_px = 12.0;
  /// how alike, in standard deviations of each channel over the image
  double appearance_intensity = 0.5;

  /// @param maps    row, column, class
  /// @param pixels  row, column, channel; the first two channels guide the appearance kernel
  /// \throws shape_error `septum.crf.1` on different extents, unsupported_error `septum.crf.2` on
  ///         widths that are not positive.
  [[nodiscard]] probabilities operator()(probabilities const& maps, image const& pixels,
                                         exec::threads threads = {}) const {
    SEPTUM_EXPECTS(
        maps.shape()[0] == pixels.shape()[0] && maps.shape()[1] == pixels.shape()[1] &&
            maps.size() > 0 && pixels.size() > 0,
        shape_error("septum.crf.1",
                    "random field: expected an image of the probabilities' extent, " +
                        std::to_string(maps.shape()[0]) + " x " + std::to_string(maps.shape()[1]) +
                        ", found " + std::to_string(pixels.shape()[0]) + " x " +
                        std::to_string(pixels.shape()[1])));
    SEPTUM_EXPECTS(
        smoothness_px > 0 && appearance_px > 0 && appearance_intensity > 0,
        unsupported_error("septum.crf.2", "random field: expected positive widths of its kernels"));
    std::size_t const classes = maps.shape()[2];
    std::size_t const count = maps.shape()[0] * maps.shape()[1];
    image const guide = in_standard_deviations(pixels);
    std::vector<kernel_filter> kernels;
    if (smoothness > 0)
      kernels.emplace_back(detail::bilateral_grid{as_view(guide), smoothness_px, 0.0}, smoothness);
    if (appearance > 0)
      kernels.emplace_back(
          detail::bilateral_grid{as_view(guide), appearance_px, appearance_intensity}, appearance);

    std::vector<float> unary(maps.size());
    std::vector<float> seen(count, 0.0F);
    for (std::size_t p = 0; p < count; ++p) {
      float total = 0;
      for (std::size_t k = 0; k < classes; ++k) total += maps.data()[p * classes + k];
      seen[p] = total > 0 ? 1.0F : 0.0F;
      for (std::size_t k = 0; k < classes; ++k)
        unary[p * classes + k] = std::log(std::max(maps.data()[p * classes + k], 1e-6F));
    }
    for (kernel_filter& kernel : kernels) {
      kernel.sum = seen;
      kernel.grid.filter(kernel.sum, 1, threads);
    }
    probabilities result = maps;
    std::vector<float> message(maps.size());
    std::vector<float> score(maps.size());
    for (int iteration = 0; iteration < iterations; ++iteration) {
      score = unary;
      for (kernel_filter& kernel : kernels) {
        std::copy(result.begin(), result.end(), message.begin());
        kernel.grid.filter(message, classes, threads);
        for (std::size_t p = 0; p < count; ++p) {
          if (!(kernel.sum[p] > 0)) continue;
          float const gain = static_cast<float>(kernel.weight) / kernel.sum[p];
          for (std::size_t k = 0; k < classes; ++k)
            score[p * classes + k] += gain * message[p * classes + k];
        }
      }
      for (std::size_t p = 0; p < count; ++p)
        if (seen[p] > 0)
          set_softmax(score.data() + p * classes, result.data() + p * classes, classes);
    }
    return result;
  }

 private:
  struct kernel_filter {
    kernel_filter(detail::bilateral_grid filter, double pull)
        : grid{std::move(filter)}, weight{pull} {}
    detail::bilateral_grid grid;
    double weight;
    std::vector<float> sum{};
  };

  static void set_softmax(float const* score, float* out, std::size_t classes) {
    float const top = *std::max_element(score, score + classes);
    float total = 0;
    for (std::size_t k = 0; k < classes; ++k) total += out[k] = std::exp(score[k] - top);
    for (std::size_t k = 0; k < classes; ++k) out[k] /= total;
  }
  /// Each channel divided by its standard deviation, far values cut at 4 of them from the mean.
  [[nodiscard]] static image in_standard_deviations(image const& pixels) {
    std::size_t const channels = pixels.shape()[2];
    image guide = pixels;
    for (std::size_t k = 0; k < channels; ++k) {
      double sum = 0;
      double squares = 0;
      for (std::size_t p = k; p < pixels.size(); p += channels) {
        auto const value = static_cast<double>(pixels.data()[p]);
        sum += value;
        squares += value * value;
      }
      std::size_t const plane = pixels.size() / channels;
      auto const count = static_cast<double>(plane);
      double const mean = sum / count;
      double const deviation = std::sqrt(std::max(squares / count - mean * mean, 0.0));
      for (std::size_t p = k; p < pixels.size(); p += channels)
        guide.data()[p] =
            deviation > 0
                ? static_cast<float>(std::clamp(
                      (static_cast<double>(pixels.data()[p]) - mean) / deviation, -4.0, 4.0))
                : 0.0F;
    }
    return guide;
  }
};

/// A Refiner that runs another on probabilities which a random field has sharpened first:
/// `after_crf<threshold<1>>{.crf = {.iterations = 5}, .refiner = {.above = 0.5F}}`.
template <Refiner R>
struct after_crf {
  dense_crf crf{};
  R refiner{};

  void operator()(labels& cells, probabilities const& maps, image const& pixels,
                  exec::threads threads = {}) const {
    refine(refiner, cells, crf(maps, pixels, threads), pixels, threads);
  }
};

}  // namespace septum::inline SEPTUM_ABI
