#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/regions.hpp>
#include <septum/image/types.hpp>
#include <septum/measure/rod_dimensions.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Percentiles that are taken of the intensities of a cell.
inline constexpr std::array<double, 5> cell_percentiles{5, 25, 50, 75, 95};

/// Intensities of one channel under one cell, in the units of the image.
struct cell_intensity {
  double mean = 0;
  double sum = 0;
  float minimum = 0;
  float maximum = 0;
  /// level of this channel outside all cells, the same for every cell of a frame
  double background = 0;
  /// values at `cell_percentiles`, interpolated linearly between ranks (as numpy.percentile)
  std::array<double, cell_percentiles.size()> percentiles{};

  [[nodiscard]] double median() const { return percentiles[2]; }
  [[nodiscard]] double mean_above_background() const { return mean - background; }
  [[nodiscard]] double sum_above_background(std::int64_t area_px) const {
    return sum - background * static_cast<double>(area_px);
  }
};

/// Everything that is measured on one cell of one frame.
struct cell_statistics {
  /// shape and border flag; its intensities stay empty, `channels` has more
  region_properties shape{};
  /// length tip to tip and width of the straight spherocylinder with the cell's area and extent
  rod_dimensions rod{};
  /// cells within the reach, ascending
  std::vector<std::int32_t> neighbours{};
  /// one entry per channel
  std::vector<cell_intensity> channels{};

  [[nodiscard]] double area_um2(double pixel_size_um) const {
    return static_cast<double>(shape.area_px) * pixel_size_um * pixel_size_um;
  }
};

/// How cells are measured.
struct cell_measuring {
  /// cells count as neighbours when two of their pixels are at most so far apart along rows and
  /// along columns; 1: they touch, at a corner suffices
  int neighbour_reach_px = 1;
  /// level of every channel outside cells; empty: the median of the pixels outside all cells
  std::vector<double> background{};
};

namespace detail {

/// Value at a rank between 0 and size - 1, with linear interpolation; moves `values` about. Ranks
/// below `from` have been asked for already and lie in place.
[[nodiscard]] inline double value_at_rank(std::span<float> values, double rank, std::size_t from) {
  auto const lower = static_cast<std::size_t>(rank);
  double const share = rank - static_cast<double>(lower);
  auto const at = values.begin() + static_cast<std::ptrdiff_t>(lower);
  std::nth_element(values.begin() + static_cast<std::ptrdiff_t>(std::min(from, lower)), at,
                   values.end());
  double const low = static_cast<double>(*at);
  if (share <= 0 || lower + 1 >= values.size()) return low;
  double const high = static_cast<double>(*std::min_element(at + 1, values.end()));
  return low + share * (high - low);
}

[[nodiscard]] inline cell_intensity describe_intensity(std::span<region_run const> runs,
                                                       view<float const, 3> pixels,
                                                       std::ptrdiff_t channel,
                                                       std::vector<float>& values) {
  std::ptrdiff_t const stride = pixels.extent(2);
  values.clear();
  for (region_run const& run : runs) {
    float const* value = &pixels(run.row, run.begin, channel);
    for (std::int32_t c = run.begin; c < run.end; ++c, value += stride) values.push_back(*value);
  }
  cell_intensity result{.minimum = values.front(), .maximum = values.front()};
  for (float const value : values) {
    result.sum += static_cast<double>(value);
    result.minimum = std::min(result.minimum, value);
    result.maximum = std::max(result.maximum, value);
  }
  result.mean = result.sum / static_cast<double>(values.size());
  std::size_t done = 0;
  for (std::size_t k = 0; k < cell_percentiles.size(); ++k) {
    double const rank = cell_percentiles[k] / 100 * static_cast<double>(values.size() - 1);
    result.percentiles[k] = value_at_rank(values, rank, done);
    done = static_cast<std::size_t>(rank);
  }
  return result;
}

/// The other cells within `reach` rows and columns of every cell.
[[nodiscard]] inline std::vector<std::vector<std::int32_t>> find_neighbours(run_table const& table,
                                                                            std::size_t count,
                                                                            std::int32_t reach) {
  std::vector<std::vector<std::int32_t>> neighbours(count);
  auto const meet = [&](std::int32_t a, std::int32_t b) {
    auto& known = neighbours[static_cast<std::size_t>(a) - 1];
    if (std::find(known.rbegin(), known.rend(), b) != known.rend()) return;
    known.push_back(b);
    neighbours[static_cast<std::size_t>(b) - 1].push_back(a);
  };
  for (std::ptrdiff_t row = 0; row < table.rows(); ++row)
    for (std::ptrdiff_t above = std::max<std::ptrdiff_t>(row - reach, 0); above <= row; ++above) {
      auto const here = table.row(row);
      auto const there = table.row(above);
      std::size_t first = 0;
      for (row_run const& run : here) {
        while (first < there.size() && there[first].end + reach <= run.begin) ++first;
        for (std::size_t i = first; i < there.size() && there[i].begin < run.end + reach; ++i)
          if (there[i].value != run.value) meet(run.value, there[i].value);
      }
    }
  for (auto& known : neighbours) std::sort(known.begin(), known.end());
  return neighbours;
}

/// Median of every channel over the pixels outside all cells; NaN where there is none.
[[nodiscard]] inline std::vector<double> background_levels(run_table const& table,
                                                           view<float const, 3> pixels) {
  std::vector<double> levels;
  std::vector<float> values;
  for (std::ptrdiff_t channel = 0; channel < pixels.extent(2); ++channel) {
    values.clear();
    for (std::ptrdiff_t row = 0; row < table.rows(); ++row) {
      std::int32_t begin = 0;
      auto const take_until = [&](std::int32_t end) {
        for (std::int32_t c = begin; c < end; ++c) values.push_back(pixels(row, c, channel));
      };
      for (row_run const& run : table.row(row)) {
        take_until(run.begin);
        begin = run.end;
      }
      take_until(static_cast<std::int32_t>(pixels.extent(1)));
    }
    levels.push_back(values.empty()
                         ? std::numeric_limits<double>::quiet_NaN()
                         : value_at_rank(values, static_cast<double>(values.size() - 1) / 2, 0));
  }
  return levels;
}

[[nodiscard]] inline std::vector<cell_statistics> describe_cells(labels const& cells,
                                                                 view<float const, 3> pixels,
                                                                 cell_measuring const& options,
                                                                 exec::threads threads) {
  SEPTUM_EXPECTS(
      options.neighbour_reach_px >= 1 && options.neighbour_reach_px <= 1000,
      unsupported_error("septum.statistics.1", "neighbour_reach_px: expected 1 to 1000, found " +
                                                   to_text(options.neighbour_reach_px)));
  auto const channels = static_cast<std::size_t>(pixels.extent(2));
  SEPTUM_EXPECTS(options.background.empty() || options.background.size() == channels,
                 shape_error("septum.statistics.2", "background: expected a level for each of " +
                                                        to_text(channels) + " channels, found " +
                                                        to_text(options.background.size())));
  run_table const table = find_label_runs(as_view(cells), threads);
  regions_by_label const groups = group_by_label(table, cells.size());
  auto neighbours = find_neighbours(table, static_cast<std::size_t>(groups.count()),
                                    static_cast<std::int32_t>(options.neighbour_reach_px));
  std::vector<double> const background =
      options.background.empty() ? background_levels(table, pixels) : options.background;
  extent2 const extent{static_cast<int>(cells.shape()[0]), static_cast<int>(cells.shape()[1])};
  std::vector<cell_statistics> result(static_cast<std::size_t>(groups.count()));
  for_each_range(threads, groups.count(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    region_scratch scratch;
    std::vector<float> values;
    for (std::ptrdiff_t k = begin; k < end; ++k) {
      auto const runs = groups.of(k);
      auto& cell = result[static_cast<std::size_t>(k)];
      cell.shape = describe_region(static_cast<std::int32_t>(k) + 1, runs, {}, extent, scratch);
      cell.neighbours = std::move(neighbours[static_cast<std::size_t>(k)]);
      if (runs.empty()) continue;
      cell.rod = rod_of(cell.shape);
      for (std::size_t channel = 0; channel < channels; ++channel) {
        cell.channels.push_back(
            describe_intensity(runs, pixels, static_cast<std::ptrdiff_t>(channel), values));
        cell.channels.back().background = background[channel];
      }
      if (channels > 0) cell.shape.mean_intensity = cell.channels.front().mean;
    }
  });
  return result;
}

}  // namespace detail

/// Statistics of every cell of a label image, without intensities; result[k] describes label k + 1.
/// A number below the largest label that no pixel carries gives an entry of area 0.
/// \throws unsupported_error `septum.statistics.1` on a reach out of range; otherwise as
///         measure_regions(). complexity: one pass over the pixels, then over runs
[[nodiscard]] inline std::vector<cell_statistics> measure_cells(labels const& cells,
                                                                cell_measuring const& options = {},
                                                                exec::threads threads = {}) {
  return detail::describe_cells(cells, {}, options, threads);
}

/// The same with the intensities of every channel of `pixels` (row, column, channel).
/// \throws shape_error `septum.labels.3` when the image has another extent, `septum.statistics.2`
///         when `background` has another number of channels
[[nodiscard]] inline std::vector<cell_statistics> measure_cells(labels const& cells,
                                                                image const& pixels,
                                                                cell_measuring const& options = {},
                                                                exec::threads threads = {}) {
  SEPTUM_EXPECTS(
      cells.shape()[0] == pixels.shape()[0] && cells.shape()[1] == pixels.shape()[1],
      shape_error("septum.labels.3",
                  "labels of " + to_text(cells.shape()[0]) + " x " + to_text(cells.shape()[1]) +
                      " pixels: expected an image of the same extent, found " +
                      to_text(pixels.shape()[0]) + " x " + to_text(pixels.shape()[1])));
  return detail::describe_cells(cells, as_view(pixels), options, threads);
}

}  // namespace septum::inline SEPTUM_ABI
