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

/// Flat structuring element, symmetric in both axes and without gaps in a row: `radius_px` rows
/// reach up and down, and row `dr` (-radius_px..radius_px) covers the columns -h..h with
/// h = half_width(dr).
template <class E>
concept StructuringElement = std::copyable<E> && requires(E const element, int dr) {
  { element.radius_px } -> std::convertible_to<int>;
  { element.half_width(dr) } -> std::same_as<int>;
};

/// Plus sign with arms of `radius_px` pixels; radius 1 is the 5-pixel cross of the paper's
/// protocol.
struct cross {
  int radius_px = 1;
  [[nodiscard]] constexpr int half_width(int dr) const { return dr == 0 ? radius_px : 0; }
};

/// Pixels whose centres lie at most `radius_px` from the centre; radius 1 is the 5-pixel cross.
struct disk {
  int radius_px = 1;
  [[nodiscard]] constexpr int half_width(int dr) const {
    std::int64_t const radius = radius_px;
    std::int64_t half = radius;
    while (half > 0 && half * half + std::int64_t{dr} * dr > radius * radius) --half;
    return static_cast<int>(half);
  }
};

/// Square of 2 radius_px + 1 pixels a side.
struct square {
  int radius_px = 1;
  [[nodiscard]] constexpr int half_width(int) const { return radius_px; }
};

namespace detail {

/// Dilation of the pixels that are set, or with `complement` of those that are not; nothing lies
/// outside. Rows are bits: each input row is widened step by step, and every width that the element
/// has goes to the output rows that want it.
template <StructuringElement Element>
[[nodiscard]] mask dilate_pixels(mask const& pixels, Element const& element, bool complement,
                                 exec::threads threads) {
  SEPTUM_EXPECTS(element.radius_px >= 0,
                 unsupported_error("septum.morphology.1",
                                   "structuring element: expected a radius of at least 0, found " +
                                       std::to_string(element.radius_px) + " pixels"));
  auto const rows = static_cast<std::ptrdiff_t>(pixels.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(pixels.shape()[1]);
  std::ptrdiff_t const radius = std::min<std::ptrdiff_t>(element.radius_px, rows);
  std::vector<std::vector<std::ptrdiff_t>> offsets_of_width;
  for (std::ptrdiff_t dr = -radius; dr <= radius; ++dr) {
    auto const width = static_cast<std::size_t>(
        std::min<std::ptrdiff_t>(element.half_width(static_cast<int>(dr)), columns));
    if (offsets_of_width.size() <= width) offsets_of_width.resize(width + 1);
    offsets_of_width[width].push_back(dr);
  }
  mask result = mask::from_shape(pixels.shape());
  std::ptrdiff_t const words = words_of(columns);
  for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    std::vector<std::uint64_t> out(static_cast<std::size_t>((end - begin) * words), 0);
    std::vector<std::uint64_t> line(static_cast<std::size_t>(words));
    std::vector<std::uint64_t> wider(static_cast<std::size_t>(words));
    std::ptrdiff_t const last = std::min(rows, end + radius);
    for (std::ptrdiff_t row = std::max<std::ptrdiff_t>(0, begin - radius); row < last; ++row) {
      pack_row(pixels.data() + row * columns, columns, line.data());
      if (complement) complement_row(line.data(), columns);
      for (std::size_t width = 0; width < offsets_of_width.size(); ++width) {
        if (width > 0) {
          widen_by_one(line.data(), words, wider.data());
          line.swap(wider);
        }
        for (std::ptrdiff_t const dr : offsets_of_width[width]) {
          if (row + dr < begin || row + dr >= end) continue;
          std::uint64_t* const target = out.data() + (row + dr - begin) * words;
          for (std::ptrdiff_t w = 0; w < words; ++w) target[w] |= line[static_cast<std::size_t>(w)];
        }
      }
    }
    for (std::ptrdiff_t row = begin; row < end; ++row) {
      std::uint64_t* const bits = out.data() + (row - begin) * words;
      if (complement) complement_row(bits, columns);
      unpack_row(bits, columns, result.data() + row * columns);
    }
  });
  return result;
}

}  // namespace detail

/// Binary dilation: a pixel is set when the element, centred on it, meets a set (non-zero) pixel.
/// Pixels outside the image count as not set. Axes row, column; the result is 0 or 1.
/// \throws unsupported_error `septum.morphology.1` on a negative radius.
template <StructuringElement Element>
[[nodiscard]] mask dilate(mask const& pixels, Element const& element, exec::threads threads = {}) {
  return detail::dilate_pixels(pixels, element, false, threads);
}

/// Binary erosion: a pixel stays when all pixels under the element are set (non-zero). Pixels
/// outside the image are ignored, so a cell at the image border is not eroded from there (as
/// scikit-image does). Axes row, column; the result is 0 or 1.
/// \throws unsupported_error `septum.morphology.1` on a negative radius.
template <StructuringElement Element>
[[nodiscard]] mask erode(mask const& pixels, Element const& element, exec::threads threads = {}) {
  return detail::dilate_pixels(pixels, element, true, threads);
}

namespace detail {

/// 4-connected components of the unset pixels of an image: their runs, the component of each run
/// (from 1), and whether a component touches the image border and so is no hole.
struct background_components {
  run_table table;
  std::vector<std::int32_t> component;
  std::vector<std::uint8_t> open;
};

template <class T>
[[nodiscard]] background_components components_of_background(view<T const, 2> pixels,
                                                             exec::threads threads) {
  std::ptrdiff_t const rows = pixels.extent(0);
  std::ptrdiff_t const columns = pixels.extent(1);
  background_components result;
  result.table = find_set_runs(
      rows, columns,
      [&](std::ptrdiff_t row, std::ptrdiff_t begin, std::ptrdiff_t end, std::uint8_t* bytes) {
        T const* const values = pixels.data() + row * columns;
        for (std::ptrdiff_t c = begin; c < end; ++c)
          *bytes++ = static_cast<std::uint8_t>(values[c] == 0 ? 1 : 0);
      },
      threads);
  auto numbered = connect_runs(result.table, 0, threads).numbers();
  result.component = std::move(numbered.first);
  result.open.assign(static_cast<std::size_t>(numbered.second) + 1, 0);
  for (std::ptrdiff_t row = 0; row < rows; ++row)
    for (std::size_t run = result.table.first[static_cast<std::size_t>(row)];
         run < result.table.first[static_cast<std::size_t>(row) + 1]; ++run) {
      row_run const& gap = result.table.runs[run];
      if (row == 0 || row + 1 == rows || gap.begin == 0 || gap.end == columns)
        result.open[static_cast<std::size_t>(result.component[run])] = 1;
    }
  return result;
}

}  // namespace detail

/// Sets every hole: unset pixels from which no 4-connected path of unset pixels leads to the image
/// border. Axes row, column; the result is 0 or 1.
[[nodiscard]] inline mask fill_holes(mask const& pixels, exec::threads threads = {}) {
  auto const background = detail::components_of_background(as_view(pixels), threads);
  mask result = mask::from_shape(pixels.shape());
  auto const columns = static_cast<std::ptrdiff_t>(pixels.shape()[1]);
  for_each_range(threads, background.table.rows(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    std::size_t run = background.table.first[static_cast<std::size_t>(begin)];
    std::fill(result.data() + begin * columns, result.data() + end * columns, std::uint8_t{1});
    for (std::ptrdiff_t row = begin; row < end; ++row)
      for (; run < background.table.first[static_cast<std::size_t>(row) + 1]; ++run)
        if (background.open[static_cast<std::size_t>(background.component[run])] != 0) {
          auto const& gap = background.table.runs[run];
          std::uint8_t* const out = result.data() + row * columns;
          std::fill(out + gap.begin, out + gap.end, std::uint8_t{0});
        }
  });
  return result;
}

/// Gives every hole of a cell to that cell: a 4-connected piece of background that touches neither
/// the image border nor a second cell. Gaps between several cells stay background.
inline void fill_holes(labels& cells, exec::threads threads = {}) {
  auto const pixels = as_view(static_cast<labels const&>(cells));
  auto const background = detail::components_of_background(pixels, threads);
  std::ptrdiff_t const columns = pixels.extent(1);
  constexpr std::int32_t nobody = 0;
  constexpr std::int32_t several = -1;
  std::vector<std::int32_t> owner(background.open.size(), nobody);
  auto const for_each_enclosed_run = [&](auto const& visit) {
    for (std::ptrdiff_t row = 1; row + 1 < background.table.rows(); ++row)
      for (std::size_t run = background.table.first[static_cast<std::size_t>(row)];
           run < background.table.first[static_cast<std::size_t>(row) + 1]; ++run) {
        auto const component = static_cast<std::size_t>(background.component[run]);
        if (background.open[component] == 0)
          visit(row, background.table.runs[run], owner[component]);
      }
  };
  for_each_enclosed_run(
      [&](std::ptrdiff_t row, detail::row_run const& gap, std::int32_t& gap_owner) {
        std::int32_t const* const here = pixels.data() + row * columns;
        auto const meet = [&](std::int32_t label) {
          if (label == 0 || label == gap_owner) return;
          gap_owner = gap_owner == nobody ? label : several;
        };
        meet(here[gap.begin - 1]);
        meet(here[gap.end]);
        for (std::int32_t c = gap.begin; c < gap.end; ++c) {
          meet(here[c - columns]);
          meet(here[c + columns]);
        }
      });
  for_each_enclosed_run([&](std::ptrdiff_t row, detail::row_run const& gap, std::int32_t label) {
    if (label == several) return;
    std::int32_t* const here = cells.data() + row * columns;
    std::fill(here + gap.begin, here + gap.end, label);
  });
}

/// The outline pixels of every cell: those with a 4-neighbour of another value. The image border is
/// no neighbour. Axes row, column; the result is 0 or 1.
[[nodiscard]] inline mask cell_outlines(labels const& cells, exec::threads threads = {}) {
  auto const rows = static_cast<std::ptrdiff_t>(cells.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(cells.shape()[1]);
  mask result = mask::from_shape(cells.shape());
  for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t row = begin; row < end; ++row) {
      std::int32_t const* const here = cells.data() + row * columns;
      std::int32_t const* const above = row > 0 ? here - columns : here;
      std::int32_t const* const below = row + 1 < rows ? here + columns : here;
      std::uint8_t* const out = result.data() + row * columns;
      auto const outline = [&](std::ptrdiff_t left, std::ptrdiff_t c, std::ptrdiff_t right) {
        bool const differs = (above[c] != here[c]) | (below[c] != here[c]) |
                             (here[left] != here[c]) | (here[right] != here[c]);
        return static_cast<std::uint8_t>(differs & (here[c] != 0));
      };
      if (columns == 0) continue;
      std::ptrdiff_t const last = columns - 1;
      out[0] = outline(0, 0, std::min<std::ptrdiff_t>(1, last));
      for (std::ptrdiff_t c = 1; c < last; ++c) out[c] = outline(c - 1, c, c + 1);
      if (last > 0) out[last] = outline(last - 1, last, last);
    }
  });
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
