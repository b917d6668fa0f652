#pragma once
#include <septum/core/config.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/simulate/rod.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

namespace detail {

struct box {
  int row_begin, row_end, column_begin, column_end;
};

/// Pixels that a rod can touch, cut to rows [row_begin, row_end) and to the image.
[[nodiscard]] inline box pixels_of(rod const& cell, int row_begin, int row_end, int columns) {
  double low_row = cell.axis[0].row, high_row = low_row;
  double low_column = cell.axis[0].column, high_column = low_column;
  for (auto const& node : cell.axis) {
    low_row = std::min(low_row, node.row);
    high_row = std::max(high_row, node.row);
    low_column = std::min(low_column, node.column);
    high_column = std::max(high_column, node.column);
  }
  auto const cut = [](double value, int low, int high) {
    return static_cast<int>(std::clamp(value, static_cast<double>(low), static_cast<double>(high)));
  };
  double const reach = cell.radius_px + 1;
  return {cut(std::floor(low_row - reach), row_begin, row_end),
          cut(std::ceil(high_row + reach) + 1, row_begin, row_end),
          cut(std::floor(low_column - reach), 0, columns),
          cut(std::ceil(high_column + reach) + 1, 0, columns)};
}

/// Deepest waist that is drawn into labels: a deeper one would cut a mother into two parts.
inline constexpr double deepest_label_waist = 0.5;

}  // namespace detail

/// One integer per pixel: the id of the rod whose outline the pixel's centre lies deepest in, by
/// distance to the axis over the radius there; 0 outside. Rods that overlap share the overlap, so
/// labels never do.
[[nodiscard]] inline labels label_rods(std::span<rod const> rods, extent2 extent,
                                       exec::threads threads = {}) {
  labels cells = labels::from_shape(
      {static_cast<std::size_t>(extent.rows), static_cast<std::size_t>(extent.columns)});
  cells.fill(0);
  for_each_range(threads, extent.rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    std::vector<float> depth(static_cast<std::size_t>((end - begin) * extent.columns), 1.0F);
    for (auto cell : rods) {
      cell.constriction = std::min(cell.constriction, detail::deepest_label_waist);
      auto const area =
          detail::pixels_of(cell, static_cast<int>(begin), static_cast<int>(end), extent.columns);
      for (int row = area.row_begin; row < area.row_end; ++row)
        for (int column = area.column_begin; column < area.column_end; ++column) {
          auto const at =
              nearest_on_axis(cell, {static_cast<double>(row), static_cast<double>(column)});
          if (at.distance_px >= cell.radius_px) continue;
          auto const ratio = static_cast<float>(at.distance_px / radius_at(cell, at.along_px));
          auto const pixel = (row - begin) * extent.columns + column;
          if (ratio >= depth[static_cast<std::size_t>(pixel)]) continue;
          depth[static_cast<std::size_t>(pixel)] = ratio;
          cells.data()[row * static_cast<std::ptrdiff_t>(extent.columns) + column] = cell.id;
        }
    }
  });
  return cells;
}

/// How cells differ inside, as seen by light.
struct rod_texture {
  double density_cv = 0.08;   ///< between cells
  double granularity = 0.06;  ///< relative sd along the axis of one cell
  /// Thickness falls from the axis to the outline as (1 - (d / r)^2)^flatness: 0.5 is the chord of
  /// a cylinder; smaller values, as micrographs show, darken the cell up to its outline.
  double flatness = 0.3;
};

/// Optical thickness: 1 at the axis of a typical rod, falling to 0 at its outline, averaged over
/// `supersampling` squared points per pixel. Where rods overlap the thicker one counts.
[[nodiscard]] inline xt::xtensor<float, 2> rod_thickness(std::span<rod const> rods, extent2 extent,
                                                         rod_texture const& texture,
                                                         counter_rng const& rng,
                                                         int supersampling = 3,
                                                         exec::threads threads = {}) {
  xt::xtensor<float, 2> thickness = xt::xtensor<float, 2>::from_shape(
      {static_cast<std::size_t>(extent.rows), static_cast<std::size_t>(extent.columns)});
  double const step = 1.0 / supersampling;
  for_each_range(threads, extent.rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    auto const fine_columns = static_cast<std::size_t>(extent.columns * supersampling);
    std::vector<float> fine(static_cast<std::size_t>(end - begin) *
                                static_cast<std::size_t>(supersampling) * fine_columns,
                            0.0F);
    for (auto const& cell : rods) {
      auto const own = rng.fork(static_cast<std::uint64_t>(cell.id));
      double const density = 1 + texture.density_cv * std::clamp(own.normal(0), -2.5, 2.5);
      double const phase[2] = {6.283 * own.uniform(1), 6.283 * own.uniform(2)};
      double const weight[2] = {texture.granularity * own.normal(3),
                                texture.granularity * own.normal(4)};
      auto const area =
          detail::pixels_of(cell, static_cast<int>(begin), static_cast<int>(end), extent.columns);
      for (int row = area.row_begin * supersampling; row < area.row_end * supersampling; ++row)
        for (int column = area.column_begin * supersampling;
             column < area.column_end * supersampling; ++column) {
          point const at{(row + 0.5) * step - 0.5, (column + 0.5) * step - 0.5};
          auto const near = nearest_on_axis(cell, at);
          if (near.distance_px >= cell.radius_px) continue;
          double const radius = radius_at(cell, near.along_px);
          double const ratio = near.distance_px / radius;
          if (ratio >= 1) continue;
          double const along = near.along_px / cell.radius_px;
          double const value = density *
                               (1 + weight[0] * std::sin(1.1 * along + phase[0]) +
                                weight[1] * std::sin(2.3 * along + phase[1])) *
                               std::pow(1 - ratio * ratio, texture.flatness) * radius /
                               cell.radius_px;
          auto& sample =
              fine[static_cast<std::size_t>(row - static_cast<int>(begin) * supersampling) *
                       fine_columns +
                   static_cast<std::size_t>(column)];
          sample = std::max(sample, static_cast<float>(value));
        }
    }
    auto const samples = static_cast<float>(supersampling * supersampling);
    for (auto row = begin; row < end; ++row)
      for (int column = 0; column < extent.columns; ++column) {
        float sum = 0;
        for (int r = 0; r < supersampling; ++r)
          for (int c = 0; c < supersampling; ++c)
            sum += fine[static_cast<std::size_t>((row - begin) * supersampling + r) * fine_columns +
                        static_cast<std::size_t>(column * supersampling + c)];
        thickness.data()[row * extent.columns + column] = sum / samples;
      }
  });
  return thickness;
}

}  // namespace septum::inline SEPTUM_ABI
