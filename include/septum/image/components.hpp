#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/detail/row_runs.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Which neighbours belong together: pixels that share an edge, or an edge or a corner.
enum class connectivity : std::int32_t { four = 0, eight = 1 };

namespace detail {

/// Writes the number of each run's set into a label image; returns the number of sets.
inline std::int32_t write_components(run_table const& table, connectivity neighbours,
                                     view<std::int32_t, 2> result, exec::threads threads) {
  auto const numbered =
      connect_runs(table, static_cast<std::int32_t>(neighbours), threads).numbers();
  std::vector<std::int32_t> const& numbers = numbered.first;
  std::ptrdiff_t const columns = result.extent(1);
  for_each_range(threads, table.rows(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    std::size_t run = table.first[static_cast<std::size_t>(begin)];
    for (std::ptrdiff_t row = begin; row < end; ++row) {
      std::int32_t* const out = result.data() + row * result.stride(0);
      std::ptrdiff_t written = 0;
      for (; run < table.first[static_cast<std::size_t>(row) + 1]; ++run) {
        row_run const& pixels = table.runs[run];
        std::fill(out + written, out + pixels.begin, 0);
        std::fill(out + pixels.begin, out + pixels.end, numbers[run]);
        written = pixels.end;
      }
      std::fill(out + written, out + columns, 0);
    }
  });
  return numbered.second;
}

}  // namespace detail

/// Connected components of the pixels for which `is_set(row, column)` holds, written as 1..n in
/// raster order of their first pixels; all other pixels become 0. Axes row, column.
/// \returns n. complexity: one pass over the pixels, one over their runs.
template <std::predicate<std::ptrdiff_t, std::ptrdiff_t> IsSet>
std::int32_t connected_components(IsSet const& is_set, view<std::int32_t, 2> result,
                                  connectivity neighbours = connectivity::eight,
                                  exec::threads threads = {}) {
  std::ptrdiff_t const columns = result.extent(1);
  auto const table = detail::find_set_runs(
      result.extent(0), columns,
      [&](std::ptrdiff_t row, std::ptrdiff_t begin, std::ptrdiff_t end, std::uint8_t* bytes) {
        for (std::ptrdiff_t c = begin; c < end; ++c)
          *bytes++ = static_cast<std::uint8_t>(is_set(row, c) ? 1 : 0);
      },
      threads);
  return detail::write_components(table, neighbours, result, threads);
}

/// Connected components of a mask (non-zero is set): 1..n in raster order of their first pixels,
/// 0 elsewhere. Axes row, column.
[[nodiscard]] inline labels connected_components(mask const& pixels,
                                                 connectivity neighbours = connectivity::eight,
                                                 exec::threads threads = {}) {
  labels result = labels::from_shape(pixels.shape());
  auto const columns = static_cast<std::ptrdiff_t>(pixels.shape()[1]);
  auto const table = detail::find_set_runs(
      static_cast<std::ptrdiff_t>(pixels.shape()[0]), columns,
      [&](std::ptrdiff_t row, std::ptrdiff_t begin, std::ptrdiff_t end, std::uint8_t* bytes) {
        std::copy_n(pixels.data() + row * columns + begin, end - begin, bytes);
      },
      threads);
  detail::write_components(table, neighbours, as_view(result), threads);
  return result;
}

/// Connected components of equal non-zero value of a label image, so that a label in several
/// pieces becomes several labels: 1..n in raster order of their first pixels.
[[nodiscard]] inline labels connected_components(labels const& cells,
                                                 connectivity neighbours = connectivity::eight,
                                                 exec::threads threads = {}) {
  labels result = labels::from_shape(cells.shape());
  detail::write_components(detail::find_label_runs(as_view(cells), threads), neighbours,
                           as_view(result), threads);
  return result;
}

/// The largest label, 0 when there is none: the number of cells when labels are gapless.
/// \throws unsupported_error `septum.labels.1` on a negative label.
[[nodiscard]] inline std::int32_t largest_label(labels const& cells) {
  std::int32_t smallest = 0;
  std::int32_t largest = 0;
  for (std::int32_t const label : cells) {
    smallest = std::min(smallest, label);
    largest = std::max(largest, label);
  }
  SEPTUM_EXPECTS(smallest == 0,
                 unsupported_error("septum.labels.1",
                                   "labels: expected 0 for background and cells from 1, found " +
                                       std::to_string(smallest)));
  return largest;
}

/// Renumbers the labels to 1..n without gaps, in ascending order of the old values; 0 stays 0.
/// \returns n.
/// \throws unsupported_error `septum.labels.1` on a negative label.
inline std::int32_t relabel_sequential(labels& cells) {
  std::int32_t const largest = largest_label(cells);
  auto const table_size = static_cast<std::size_t>(largest) + 1;
  if (table_size / 4 <= cells.size()) {
    std::vector<std::int32_t> number(table_size, 0);
    for (std::int32_t const label : cells) number[static_cast<std::size_t>(label)] = 1;
    number[0] = 0;
    std::int32_t count = 0;
    for (std::int32_t& entry : number)
      if (entry != 0) entry = ++count;
    if (count != largest)
      for (std::int32_t& label : cells) label = number[static_cast<std::size_t>(label)];
    return count;
  }
  // Few pixels with large numbers: a sorted list is smaller than a table.
  std::vector<std::int32_t> present(cells.begin(), cells.end());
  present.push_back(0);
  std::sort(present.begin(), present.end());
  present.erase(std::unique(present.begin(), present.end()), present.end());
  for (std::int32_t& label : cells)
    label = static_cast<std::int32_t>(std::lower_bound(present.begin(), present.end(), label) -
                                      present.begin());
  return static_cast<std::int32_t>(present.size()) - 1;
}

}  // namespace septum::inline SEPTUM_ABI
