#pragma once
#include <septum/image/normalize.hpp>

#include <Eigen/Dense>

#include <cstddef>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// The published rule (median_box_normalizer), then PCA whitening of the channels: the values of a
/// pixel are turned so that over the whole image channels are uncorrelated and of unit variance, by
/// the symmetric root of the inverse covariance (ZCA). One linear map for all pixels, so whole
/// frames still run in one pass; whitening of patches would not allow that (paper, normalisation).
/// \throws what median_box_normalizer throws; unsupported_error `septum.normalize.4` when channels
///         are multiples of one another
struct channel_whitening_normalizer {
  int window = 61;      ///< odd side of the box in pixels: the receptive field of the net
  double floor = 1e-6;  ///< least variance of a direction, as a share of the largest

  void operator()(view<float, 3> pixels, exec::threads threads = {}) const {
    median_box_normalizer{.window = window}(pixels, threads);
    if (pixels.size() == 0) return;
    auto const channels = static_cast<Eigen::Index>(pixels.extent(2));
    auto const statistics = moments(pixels);
    auto const& mean = statistics.mean;
    auto const& covariance = statistics.covariance;
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> const directions{covariance};
    double const largest = directions.eigenvalues()(channels - 1);
    SEPTUM_EXPECTS(
        directions.eigenvalues()(0) > floor * largest,
        unsupported_error("septum.normalize.4",
                          "expected channels that differ, found a combination of them that is the "
                          "same everywhere; leave one out or use another normaliser"));
    Eigen::MatrixXd const turn = directions.operatorInverseSqrt();
    for_each_range(threads, pixels.extent(0), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      Eigen::VectorXd values(channels);
      for (std::ptrdiff_t r = begin; r < end; ++r)
        for (std::ptrdiff_t c = 0; c < pixels.extent(1); ++c) {
          for (Eigen::Index k = 0; k < channels; ++k)
            values(k) = static_cast<double>(pixels(r, c, k)) - mean(k);
          for (Eigen::Index k = 0; k < channels; ++k)
            pixels(r, c, k) = static_cast<float>(turn.row(k).dot(values));
        }
    });
  }

 private:
  struct image_moments {
    Eigen::VectorXd mean;
    Eigen::MatrixXd covariance;
  };
  // Over all pixels, in double, in the order of memory.
  static image_moments moments(view<float const, 3> pixels) {
    auto const channels = static_cast<Eigen::Index>(pixels.extent(2));
    auto const count =
        static_cast<double>(pixels.extent(0)) * static_cast<double>(pixels.extent(1));
    image_moments result{Eigen::VectorXd::Zero(channels),
                         Eigen::MatrixXd::Zero(channels, channels)};
    Eigen::VectorXd values(channels);
    auto const for_each_pixel = [&](auto const& body) {
      for (std::ptrdiff_t r = 0; r < pixels.extent(0); ++r)
        for (std::ptrdiff_t c = 0; c < pixels.extent(1); ++c) {
          for (Eigen::Index k = 0; k < channels; ++k)
            values(k) = static_cast<double>(pixels(r, c, k));
          body();
        }
    };
    for_each_pixel([&] { result.mean += values; });
    result.mean /= count;
    for_each_pixel([&] {
      values -= result.mean;
      result.covariance += values * values.transpose();
    });
    result.covariance /= count;
    return result;
  }
};

}  // namespace septum::inline SEPTUM_ABI
