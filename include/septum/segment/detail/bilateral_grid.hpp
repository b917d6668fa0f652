#pragma once
#include <septum/core/config.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Gaussian filter over position and intensity together, of any number of values per pixel:
/// out_i = sum_j exp(-|p_i - p_j|^2 / 2 s^2 - |I_i - I_j|^2 / 2 t^2) in_j, up to a constant factor.
/// Values are spread over a coarse grid with one node per standard deviation and axis, smoothed
/// there, and read back by linear interpolation (Chen, Paris and Durand 2007).
class bilateral_grid {
 public:
  /// @param guide         intensities (row, column, channel), at most two channels are used
  /// @param position_px   standard deviation in pixels
  /// @param intensity     standard deviation in units of the guide; 0 ignores intensities
  bilateral_grid(view<float const, 3> guide, double position_px, double intensity)
      : rows_{guide.extent(0)}, columns_{guide.extent(1)} {
    add_axis(static_cast<double>(rows_ - 1) / position_px);
    add_axis(static_cast<double>(columns_ - 1) / position_px);
    std::ptrdiff_t const channels =
        intensity > 0 ? std::min<std::ptrdiff_t>(guide.extent(2), max_axes - 2) : 0;
    std::array<float, max_axes> low{};
    for (std::ptrdiff_t k = 0; k < channels; ++k) {
      float least = guide(0, 0, k);
      float most = least;
      for (std::ptrdiff_t r = 0; r < rows_; ++r)
        for (std::ptrdiff_t c = 0; c < columns_; ++c) {
          least = std::min(least, guide(r, c, k));
          most = std::max(most, guide(r, c, k));
        }
      low[static_cast<std::size_t>(k)] = least;
      add_axis((static_cast<double>(most) - static_cast<double>(least)) / intensity);
    }
    nodes_ = 1;
    for (std::size_t axis = axes_; axis-- > 0;) {
      stride_[axis] = nodes_;
      nodes_ *= extent_[axis];
    }
    auto const pixels = static_cast<std::size_t>(rows_ * columns_);
    node_.resize(pixels);
    part_.resize(pixels * axes_);
    for (std::ptrdiff_t r = 0; r < rows_; ++r)
      for (std::ptrdiff_t c = 0; c < columns_; ++c) {
        auto const p = static_cast<std::size_t>(r * columns_ + c);
        std::size_t node = 0;
        for (std::size_t axis = 0; axis < axes_; ++axis) {
          auto const channel = static_cast<std::ptrdiff_t>(axis) - 2;
          double const at = axis == 0 ? static_cast<double>(r) / position_px
                            : axis == 1
                                ? static_cast<double>(c) / position_px
                                : (static_cast<double>(guide(r, c, channel)) -
                                   static_cast<double>(low[static_cast<std::size_t>(channel)])) /
                                      intensity;
          // One node of margin on each side, so that smoothing loses nothing at the ends.
          double const whole = std::floor(at);
          node += (static_cast<std::size_t>(whole) + margin) * stride_[axis];
          part_[p * axes_ + axis] = static_cast<float>(at - whole);
        }
        node_[p] = node;
      }
  }

  /// Filters `values` values per pixel, interleaved, in place.
  void filter(std::span<float> pixels, std::size_t values, exec::threads threads) {
    grid_.resize(nodes_ * values);
    line_.resize(nodes_ * values);
    std::size_t const corners = std::size_t{1} << axes_;
    // Each value has nodes of its own, so that the order of its sums does not depend on threads.
    for_each_task(threads, static_cast<std::ptrdiff_t>(values), [&](std::ptrdiff_t index) {
      auto const k = static_cast<std::size_t>(index);
      float* const grid = grid_.data() + k * nodes_;
      std::fill(grid, grid + nodes_, 0.0F);
      for (std::size_t p = 0; p < node_.size(); ++p)
        for (std::size_t corner = 0; corner < corners; ++corner)
          grid[node_[p] + offset(corner)] += weight(p, corner) * pixels[p * values + k];
      for (std::size_t axis = 0; axis < axes_; ++axis)
        smooth(grid, line_.data() + k * nodes_, axis);
    });
    for_each_range(threads, static_cast<std::ptrdiff_t>(node_.size()),
                   [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                     for (auto p = static_cast<std::size_t>(begin);
                          p < static_cast<std::size_t>(end); ++p)
                       for (std::size_t k = 0; k < values; ++k) {
                         float const* const grid = grid_.data() + k * nodes_;
                         float sum = 0;
                         for (std::size_t corner = 0; corner < corners; ++corner)
                           sum += weight(p, corner) * grid[node_[p] + offset(corner)];
                         pixels[p * values + k] = sum;
                       }
                   });
  }

 private:
  static constexpr std::size_t max_axes = 4;
  static constexpr std::size_t margin = 2;

  /// An axis over [0, length] standard deviations.
  void add_axis(double length) {
    extent_[axes_++] = static_cast<std::size_t>(std::floor(length)) + 2 + 2 * margin;
  }
  [[nodiscard]] std::size_t offset(std::size_t corner) const {
    std::size_t sum = 0;
    for (std::size_t axis = 0; axis < axes_; ++axis) sum += ((corner >> axis) & 1U) * stride_[axis];
    return sum;
  }
  [[nodiscard]] float weight(std::size_t pixel, std::size_t corner) const {
    float product = 1;
    for (std::size_t axis = 0; axis < axes_; ++axis) {
      float const part = part_[pixel * axes_ + axis];
      product *= ((corner >> axis) & 1U) != 0 ? part : 1 - part;
    }
    return product;
  }
  /// Five taps of a Gaussian along one axis. Spreading and reading back linearly each add a
  /// variance of about 1/6, so the taps carry the remaining 2/3.
  void smooth(float* grid, float* scratch, std::size_t axis) const {
    constexpr float near = 0.47236655F;  // exp(-1 / (2 * 2/3))
    constexpr float far = 0.049787067F;  // exp(-4 / (2 * 2/3))
    std::size_t const step = stride_[axis];
    std::copy(grid, grid + nodes_, scratch);
    for (std::size_t node = 0; node < nodes_; ++node) {
      std::size_t const at = node / step % extent_[axis];
      float sum = scratch[node];
      if (at >= 1) sum += near * scratch[node - step];
      if (at >= 2) sum += far * scratch[node - 2 * step];
      if (at + 1 < extent_[axis]) sum += near * scratch[node + step];
      if (at + 2 < extent_[axis]) sum += far * scratch[node + 2 * step];
      grid[node] = sum;
    }
  }

  std::ptrdiff_t rows_;
  std::ptrdiff_t columns_;
  std::size_t axes_ = 0;
  std::array<std::size_t, max_axes> extent_{};
  std::array<std::size_t, max_axes> stride_{};
  std::size_t nodes_ = 0;
  std::vector<std::size_t> node_;
  std::vector<float> part_;
  std::vector<float> grid_;
  std::vector<float> line_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
