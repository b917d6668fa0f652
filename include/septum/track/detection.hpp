#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/types.hpp>
#include <septum/track/detail/cell_runs.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// One cell in one frame, as linkers see it. Lengths are in pixels for label images and in the
/// table's own unit for tables of points.
struct detection {
  std::int64_t id = 0;  ///< label in its image, or number in its table; unique within the frame
  double y = 0;         ///< centre; the first pixel of an image is (0, 0)
  double x = 0;
  double z = 0;
  double area = 0;       ///< 0 when unknown
  double intensity = 0;  ///< mean of the first channel; 0 when unknown
  double axis_y = 0;     ///< half of the longer axis of the ellipse with the same moments, as a
  double axis_x = 0;     ///< vector; its sign means nothing
  bool at_border = false;
};

/// The cells of one frame.
struct frame_cells {
  std::int64_t frame = 0;  ///< true number of the frame: a missing frame leaves a gap
  std::vector<detection> cells;
  /// Where the cells lie: value k + 1 is cells[k]. Empty for tables of points.
  detail::cell_runs pixels;
};

namespace detail {

/// Sums over the pixels of one cell.
struct pixel_sums {
  std::int64_t area = 0;
  double y = 0, x = 0, yy = 0, xx = 0, yx = 0, intensity = 0;
  bool at_border = false;
};

/// The labels of the runs, ascending, each once.
[[nodiscard]] inline std::vector<std::int32_t> labels_of(cell_runs const& table) {
  std::vector<std::int32_t> present;
  std::int32_t last = 0;
  for (cell_run const& run : table.all()) {
    SEPTUM_EXPECTS(run.value > 0,
                   unsupported_error("septum.labels.1",
                                     "labels: expected 0 for background and cells from 1, found " +
                                         to_text(run.value)));
    if (run.value != last) present.push_back(run.value);
    last = run.value;
  }
  std::sort(present.begin(), present.end());
  present.erase(std::unique(present.begin(), present.end()), present.end());
  return present;
}

[[nodiscard]] inline detection describe(std::int32_t label, pixel_sums const& sums,
                                        bool with_intensity) {
  auto const n = static_cast<double>(sums.area);
  detection cell{.id = label,
                 .y = sums.y / n,
                 .x = sums.x / n,
                 .area = n,
                 .intensity = with_intensity ? sums.intensity / n : 0.0,
                 .at_border = sums.at_border};
  // Second moments, each pixel a square of side 1.
  double const yy = sums.yy / n - cell.y * cell.y + 1.0 / 12;
  double const xx = sums.xx / n - cell.x * cell.x + 1.0 / 12;
  double const yx = sums.yx / n - cell.y * cell.x;
  double const half_difference = (yy - xx) / 2;
  double const spread = std::hypot(half_difference, yx);
  double const half_length = 2 * std::sqrt(std::max((yy + xx) / 2 + spread, 0.0));
  // Eigenvector of the larger moment.
  double const angle = 0.5 * std::atan2(2 * yx, yy - xx);
  cell.axis_y = half_length * std::cos(angle);
  cell.axis_x = half_length * std::sin(angle);
  return cell;
}

/// `value_at(row, column)` is the intensity of a pixel.
template <class ValueAt>
[[nodiscard]] frame_cells detect(labels const& cells, std::int64_t frame, bool with_intensity,
                                 ValueAt const& value_at) {
  auto const rows = static_cast<std::int32_t>(cells.shape()[0]);
  auto const columns = static_cast<std::int32_t>(cells.shape()[1]);
  frame_cells result{.frame = frame, .cells = {}, .pixels = cell_runs{as_view(cells)}};
  std::vector<std::int32_t> const present = labels_of(result.pixels);
  std::vector<pixel_sums> sums(present.size());
  // Mostly labels are 1..n, and then a table would do; the search is the same for all of them.
  std::size_t last = 0;
  for (std::int32_t row = 0; row < rows; ++row)
    for (cell_run& run : result.pixels.row(row)) {
      if (present[last] != run.value)
        last = static_cast<std::size_t>(
            std::lower_bound(present.begin(), present.end(), run.value) - present.begin());
      pixel_sums& sum = sums[last];
      double const length = run.end - run.begin;
      double const middle = (run.begin + run.end - 1) / 2.0;
      double const along = middle * length;
      sum.area += run.end - run.begin;
      sum.y += row * length;
      sum.x += along;
      sum.yy += static_cast<double>(row) * row * length;
      sum.yx += row * along;
      sum.xx += length * (middle * middle + (length * length - 1) / 12);
      sum.at_border =
          sum.at_border || row == 0 || row == rows - 1 || run.begin == 0 || run.end == columns;
      if (with_intensity)
        for (std::int32_t c = run.begin; c < run.end; ++c) sum.intensity += value_at(row, c);
      run.value = static_cast<std::int32_t>(last) + 1;
    }
  for (std::size_t k = 0; k < present.size(); ++k)
    result.cells.push_back(describe(present[k], sums[k], with_intensity));
  return result;
}

}  // namespace detail

/// The cells of a label image, in ascending order of their labels.
/// \throws unsupported_error `septum.labels.1` on a negative label. complexity: one pass over the
///         pixels, then over their runs.
[[nodiscard]] inline frame_cells detect_cells(labels const& cells, std::int64_t frame) {
  return detail::detect(cells, frame, false, [](std::int32_t, std::int32_t) { return 0.0; });
}

/// The same with the mean of the first channel of `pixels` as intensity.
/// \throws shape_error `septum.labels.3` when the image has another extent.
[[nodiscard]] inline frame_cells detect_cells(labels const& cells, image const& pixels,
                                              std::int64_t frame) {
  SEPTUM_EXPECTS(
      cells.shape()[0] == pixels.shape()[0] && cells.shape()[1] == pixels.shape()[1] &&
          pixels.shape()[2] > 0,
      shape_error("septum.labels.3",
                  "labels of " + to_text(cells.shape()[0]) + " x " + to_text(cells.shape()[1]) +
                      " pixels: expected an image of the same extent, found " +
                      to_text(pixels.shape()[0]) + " x " + to_text(pixels.shape()[1])));
  return detail::detect(cells, frame, true, [&](std::int32_t r, std::int32_t c) {
    return static_cast<double>(pixels(r, c, 0));
  });
}

}  // namespace septum::inline SEPTUM_ABI
