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
#include <bit>
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

/// The bits of a number as an integer of the same order; NaN comes last or first, by its sign.
[[nodiscard]] inline std::uint32_t ordered_bits(float value) {
  auto const bits = std::bit_cast<std::uint32_t>(value);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

/// Sorts numbers only as far as they are asked for: into buckets between the least and the most,
/// and within a bucket when a rank falls into it.
class rank_finder {
 public:
  /// Takes numbers that lie between `least` and `most`; there is one at least.
  void take(std::span<float const> values, float least, float most) {
    float const scale = most > least ? static_cast<float>(buckets) / (most - least) : 0.0F;
    auto const bucket_of = [&](float value) {
      float const place = (value - least) * scale;
      return place >= 0 ? static_cast<std::size_t>(std::min(place, buckets - 1.0F)) : 0;
    };
    first_.fill(0);
    for (float const value : values) ++first_[bucket_of(value) + 1];
    for (std::size_t k = 1; k <= buckets; ++k) first_[k] += first_[k - 1];
    sorted_.resize(values.size());
    auto next = first_;
    for (float const value : values) sorted_[next[bucket_of(value)]++] = value;
    ready_.fill(false);
  }
  /// Value at a rank from 0 to size - 1, interpolated linearly.
  [[nodiscard]] double operator()(double rank) {
    auto const lower = static_cast<std::size_t>(rank);
    double const share = rank - static_cast<double>(lower);
    double const low = at(lower);
    return share > 0 && lower + 1 < sorted_.size() ? low + share * (at(lower + 1) - low) : low;
  }

 private:
  static constexpr std::size_t buckets = 256;

  [[nodiscard]] double at(std::size_t rank) {
    auto const bucket = static_cast<std::size_t>(
        std::upper_bound(first_.begin(), first_.end(), rank) - first_.begin() - 1);
    if (!ready_[bucket])
      std::sort(sorted_.begin() + static_cast<std::ptrdiff_t>(first_[bucket]),
                sorted_.begin() + static_cast<std::ptrdiff_t>(first_[bucket + 1]),
                [](float a, float b) { return ordered_bits(a) < ordered_bits(b); });
    ready_[bucket] = true;
    return static_cast<double>(sorted_[rank]);
  }

  std::vector<float> sorted_;
  std::array<std::size_t, buckets + 1> first_{};
  std::array<bool, buckets> ready_{};
};

/// Memory of one thread.
struct intensity_scratch {
  std::vector<float> values;
  rank_finder ranks;
};

[[nodiscard]] inline cell_intensity describe_intensity(std::span<region_run const> runs,
                                                       view<float const, 3> pixels,
                                                       std::ptrdiff_t channel,
                                                       intensity_scratch& scratch) {
  std::ptrdiff_t const stride = pixels.extent(2);
  std::vector<float>& values = scratch.values;
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
  scratch.ranks.take(values, result.minimum, result.maximum);
  for (std::size_t k = 0; k < cell_percentiles.size(); ++k)
    result.percentiles[k] =
        scratch.ranks(cell_percentiles[k] / 100 * static_cast<double>(values.size() - 1));
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

/// Calls `visit(value)` for one channel of every pixel outside all cells.
template <class Visit>
void for_each_outside(run_table const& table, view<float const, 3> pixels, std::ptrdiff_t channel,
                      Visit const& visit) {
  std::ptrdiff_t const stride = pixels.extent(2);
  for (std::ptrdiff_t row = 0; row < table.rows(); ++row) {
    float const* const values = &pixels(row, 0, channel);
    std::int32_t begin = 0;
    auto const visit_until = [&](std::int32_t end) {
      for (std::int32_t c = begin; c < end; ++c) visit(values[c * stride]);
    };
    for (row_run const& run : table.row(row)) {
      visit_until(run.begin);
      begin = run.end;
    }
    visit_until(static_cast<std::int32_t>(pixels.extent(1)));
  }
}

/// Median of one channel over the pixels outside all cells; NaN where there is none. Counts by the
/// leading bits say in which of 65,536 bins the middle lies; only that bin is sorted.
[[nodiscard]] inline double background_level(run_table const& table, view<float const, 3> pixels,
                                             std::ptrdiff_t channel) {
  std::vector<std::uint32_t> counts(std::size_t{1} << 16U, 0);
  std::size_t total = 0;
  for_each_outside(table, pixels, channel, [&](float value) {
    ++counts[ordered_bits(value) >> 16U];
    ++total;
  });
  if (total == 0) return std::numeric_limits<double>::quiet_NaN();
  // The two middle ranks, which are one for an odd number of pixels.
  std::size_t const lower_rank = (total - 1) / 2;
  std::size_t const upper_rank = total / 2;
  std::size_t first = 0;
  std::size_t before = 0;
  while (before + counts[first] <= lower_rank) before += counts[first++];
  std::size_t last = first;
  for (std::size_t sum = before + counts[first]; sum <= upper_rank; sum += counts[last]) ++last;
  std::vector<float> middle;
  for_each_outside(table, pixels, channel, [&](float value) {
    std::size_t const bin = ordered_bits(value) >> 16U;
    if (bin >= first && bin <= last) middle.push_back(value);
  });
  std::sort(middle.begin(), middle.end(),
            [](float a, float b) { return ordered_bits(a) < ordered_bits(b); });
  return (static_cast<double>(middle[lower_rank - before]) +
          static_cast<double>(middle[upper_rank - before])) /
         2;
}

[[nodiscard]] inline std::vector<double> background_levels(run_table const& table,
                                                           view<float const, 3> pixels,
                                                           exec::threads threads) {
  std::vector<double> levels(static_cast<std::size_t>(pixels.extent(2)));
  for_each_task(threads, pixels.extent(2), [&](std::ptrdiff_t channel) {
    levels[static_cast<std::size_t>(channel)] = background_level(table, pixels, channel);
  });
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
      options.background.empty() ? background_levels(table, pixels, threads) : options.background;
  extent2 const extent{static_cast<int>(cells.shape()[0]), static_cast<int>(cells.shape()[1])};
  std::vector<cell_statistics> result(static_cast<std::size_t>(groups.count()));
  for_each_range(threads, groups.count(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    region_scratch scratch;
    intensity_scratch intensities;
    for (std::ptrdiff_t k = begin; k < end; ++k) {
      auto const runs = groups.of(k);
      auto& cell = result[static_cast<std::size_t>(k)];
      cell.shape = describe_region(static_cast<std::int32_t>(k) + 1, runs, {}, extent, scratch);
      cell.neighbours = std::move(neighbours[static_cast<std::size_t>(k)]);
      if (runs.empty()) continue;
      cell.rod = rod_of(cell.shape);
      for (std::size_t channel = 0; channel < channels; ++channel) {
        cell.channels.push_back(
            describe_intensity(runs, pixels, static_cast<std::ptrdiff_t>(channel), intensities));
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
