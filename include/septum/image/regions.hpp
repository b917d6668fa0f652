#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/detail/region_shape.hpp>
#include <septum/image/detail/row_runs.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Intensities of one channel under one region.
struct channel_intensity {
  double mean = 0;
  double sum = 0;
  float minimum = 0;
  float maximum = 0;
};

/// Shape and intensity of one labelled region, defined as scikit-image's `regionprops` does.
struct region_properties {
  std::int32_t label = 0;
  /// number of pixels
  std::int64_t area_px = 0;
  /// mean of the pixel centres; the first pixel of the image is (0, 0)
  double centroid_row_px = 0;
  double centroid_column_px = 0;
  /// half-open bounding box
  std::int32_t row_begin = 0;
  std::int32_t row_end = 0;
  std::int32_t column_begin = 0;
  std::int32_t column_end = 0;
  /// axes of the ellipse with the same second moments; 0 for a single pixel
  double major_axis_px = 0;
  double minor_axis_px = 0;
  /// sqrt(1 - (minor / major)^2), in [0, 1]; 0 for a single pixel
  double eccentricity = 0;
  /// angle from the row axis to the major axis, counter-clockwise, in [-pi/2, pi/2]
  double orientation_rad = 0;
  /// pixels in or on the convex hull of the middles of all pixel edges; exact, while scikit-image
  /// decides about pixels on the hull in floating point and may miss one
  std::int64_t convex_area_px = 0;
  /// area / convex area, in (0, 1]
  double solidity = 0;
  /// length of the line through the outline pixels (Benkrid and Crookes)
  double perimeter_px = 0;
  /// true when a pixel lies in the first or last row or column of the image
  bool touches_border = false;
  /// mean of the first channel; 0 when no image was given
  double mean_intensity = 0;
  /// one entry per channel; empty when no image was given
  std::vector<channel_intensity> intensity;
};

namespace detail {

/// The runs of every label, raster order within a label; those of label k are first[k - 1] to
/// first[k].
struct regions_by_label {
  std::vector<region_run> runs;
  std::vector<std::size_t> first;

  [[nodiscard]] std::ptrdiff_t count() const {
    return static_cast<std::ptrdiff_t>(first.size()) - 1;
  }
  [[nodiscard]] std::span<region_run const> of(std::ptrdiff_t index) const {
    auto const at = static_cast<std::size_t>(index);
    return {runs.data() + first[at], first[at + 1] - first[at]};
  }
};

/// Sorts the runs of a label image of `pixels` pixels by label.
[[nodiscard]] inline regions_by_label group_by_label(run_table const& table, std::size_t pixels) {
  std::int32_t largest = 0;
  for (row_run const& run : table.runs) {
    SEPTUM_EXPECTS(run.value > 0,
                   unsupported_error("septum.labels.1",
                                     "labels: expected 0 for background and cells from 1, found " +
                                         std::to_string(run.value)));
    largest = std::max(largest, run.value);
  }
  SEPTUM_EXPECTS(
      static_cast<std::size_t>(largest) <= pixels,
      unsupported_error("septum.labels.2", "labels: found label " + std::to_string(largest) +
                                               " in an image of " + std::to_string(pixels) +
                                               " pixels; call relabel_sequential first"));
  regions_by_label groups;
  groups.first.assign(static_cast<std::size_t>(largest) + 1, 0);
  for (row_run const& run : table.runs) ++groups.first[static_cast<std::size_t>(run.value)];
  for (std::size_t k = 1; k < groups.first.size(); ++k) groups.first[k] += groups.first[k - 1];
  groups.runs.resize(table.runs.size());
  // first[k] is now the end of label k; filling each label from its end keeps raster order.
  std::vector<std::size_t> next(groups.first.begin(), groups.first.end());
  for (std::ptrdiff_t row = table.rows(); row-- > 0;) {
    auto const here = table.row(row);
    for (std::size_t i = here.size(); i-- > 0;)
      groups.runs[--next[static_cast<std::size_t>(here[i].value)]] = {
          static_cast<std::int32_t>(row), here[i].begin, here[i].end};
  }
  return groups;
}

[[nodiscard]] inline channel_intensity intensity_of(std::span<region_run const> runs,
                                                    view<float const, 3> pixels,
                                                    std::ptrdiff_t channel) {
  std::ptrdiff_t const channels = pixels.extent(2);
  float const first =
      pixels(runs.front().row, runs.front().begin, static_cast<std::ptrdiff_t>(channel));
  channel_intensity result{.mean = 0, .sum = 0, .minimum = first, .maximum = first};
  double area = 0;
  for (region_run const& run : runs) {
    float const* value = &pixels(run.row, run.begin, channel);
    for (std::int32_t c = run.begin; c < run.end; ++c, value += channels) {
      result.sum += static_cast<double>(*value);
      result.minimum = std::min(result.minimum, *value);
      result.maximum = std::max(result.maximum, *value);
    }
    area += run.end - run.begin;
  }
  result.mean = result.sum / area;
  return result;
}

[[nodiscard]] inline region_properties describe_region(std::int32_t label,
                                                       std::span<region_run const> runs,
                                                       view<float const, 3> pixels, extent2 extent,
                                                       region_scratch& scratch) {
  region_properties result;
  result.label = label;
  if (runs.empty()) return result;
  region_box box{runs.front().row, runs.back().row + 1, runs.front().begin, runs.front().end};
  for (region_run const& run : runs) {
    result.area_px += run.end - run.begin;
    box.column_begin = std::min(box.column_begin, run.begin);
    box.column_end = std::max(box.column_end, run.end);
  }
  result.row_begin = box.row_begin;
  result.row_end = box.row_end;
  result.column_begin = box.column_begin;
  result.column_end = box.column_end;
  result.touches_border = box.row_begin == 0 || box.column_begin == 0 ||
                          box.row_end == extent.rows || box.column_end == extent.columns;

  region_moments const moments = moments_of(runs);
  result.centroid_row_px = moments.row;
  result.centroid_column_px = moments.column;
  double const half_sum = (moments.row_row + moments.column_column) / 2;
  double const half_difference = (moments.column_column - moments.row_row) / 2;
  double const large = half_sum + std::hypot(half_difference, moments.row_column);
  double const small = large > 0 ? std::max(moments.determinant, 0.0) / large : 0;
  result.major_axis_px = 4 * std::sqrt(large);
  result.minor_axis_px = 4 * std::sqrt(small);
  result.eccentricity = large > 0 ? std::sqrt(std::max(1 - small / large, 0.0)) : 0;
  constexpr double quarter_pi = 0.78539816339744830962;
  if (half_difference == 0)
    result.orientation_rad = moments.row_column > 0 ? quarter_pi : -quarter_pi;
  else
    result.orientation_rad = 0.5 * std::atan2(2 * moments.row_column, -2 * half_difference);

  result.convex_area_px = convex_area(runs, box, scratch);
  result.solidity =
      static_cast<double>(result.area_px) / static_cast<double>(result.convex_area_px);
  result.perimeter_px = perimeter_of(runs, box, scratch);

  for (std::ptrdiff_t channel = 0; channel < pixels.extent(2); ++channel)
    result.intensity.push_back(intensity_of(runs, pixels, channel));
  if (!result.intensity.empty()) result.mean_intensity = result.intensity.front().mean;
  return result;
}

[[nodiscard]] inline std::vector<region_properties> describe_regions(labels const& cells,
                                                                     view<float const, 3> pixels,
                                                                     exec::threads threads) {
  regions_by_label const groups =
      group_by_label(find_label_runs(as_view(cells), threads), cells.size());
  extent2 const extent{static_cast<int>(cells.shape()[0]), static_cast<int>(cells.shape()[1])};
  std::vector<region_properties> result(static_cast<std::size_t>(groups.count()));
  for_each_range(threads, groups.count(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    region_scratch scratch;
    for (std::ptrdiff_t k = begin; k < end; ++k)
      result[static_cast<std::size_t>(k)] =
          describe_region(static_cast<std::int32_t>(k) + 1, groups.of(k), pixels, extent, scratch);
  });
  return result;
}

}  // namespace detail

/// Shape of every labelled region; result[k] describes label k + 1. A number below the largest
/// label that no pixel carries gives an entry of area 0.
/// \throws unsupported_error `septum.labels.1` on a negative label, `septum.labels.2` on a label
///         above the number of pixels. complexity: one pass over the pixels, then over runs.
[[nodiscard]] inline std::vector<region_properties> measure_regions(labels const& cells,
                                                                    exec::threads threads = {}) {
  return detail::describe_regions(cells, {}, threads);
}

/// Shape of every labelled region and its intensity in every channel of `pixels` (row, column,
/// channel).
/// \throws shape_error `septum.labels.3` when the image has another extent; otherwise as above.
[[nodiscard]] inline std::vector<region_properties> measure_regions(labels const& cells,
                                                                    image const& pixels,
                                                                    exec::threads threads = {}) {
  SEPTUM_EXPECTS(
      cells.shape()[0] == pixels.shape()[0] && cells.shape()[1] == pixels.shape()[1],
      shape_error("septum.labels.3", "labels of " + std::to_string(cells.shape()[0]) + " x " +
                                         std::to_string(cells.shape()[1]) +
                                         " pixels: expected an image of the same extent, found " +
                                         std::to_string(pixels.shape()[0]) + " x " +
                                         std::to_string(pixels.shape()[1])));
  return detail::describe_regions(cells, as_view(pixels), threads);
}

namespace detail {

template <class Predicate>
std::int32_t remove_described_regions(labels& cells, std::vector<region_properties> const& regions,
                                      Predicate& predicate, exec::threads threads) {
  std::vector<std::int32_t> number(regions.size() + 1, 0);
  std::int32_t kept = 0;
  std::int32_t removed = 0;
  for (region_properties const& region : regions) {
    if (region.area_px == 0) continue;
    if (predicate(region))
      ++removed;
    else
      number[static_cast<std::size_t>(region.label)] = ++kept;
  }
  if (static_cast<std::size_t>(kept) == regions.size()) return 0;
  std::int32_t* const pixels = cells.data();
  for_each_range(threads, static_cast<std::ptrdiff_t>(cells.size()),
                 [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                   for (std::ptrdiff_t p = begin; p < end; ++p)
                     pixels[p] = number[static_cast<std::size_t>(pixels[p])];
                 });
  return removed;
}

}  // namespace detail

/// Sets every region for which `predicate(region_properties const&)` holds to background and
/// renumbers the others to 1..n in their old order.
/// \returns the number of regions removed. \throws as measure_regions().
template <class Predicate>
  requires std::predicate<Predicate&, region_properties const&> std::int32_t remove_regions_if(
      labels& cells, Predicate predicate, exec::threads threads = {}) {
    return detail::remove_described_regions(cells, measure_regions(cells, threads), predicate,
                                            threads);
  }

/// The same with the intensities of `pixels` (row, column, channel) known to the predicate.
template <class Predicate>
  requires std::predicate<Predicate&, region_properties const&> std::int32_t remove_regions_if(
      labels& cells, image const& pixels, Predicate predicate, exec::threads threads = {}) {
    return detail::remove_described_regions(cells, measure_regions(cells, pixels, threads),
                                            predicate, threads);
  }

}  // namespace septum::inline SEPTUM_ABI
