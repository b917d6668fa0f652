#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/cores.hpp>
#include <septum/image/distance.hpp>
#include <septum/image/local_threshold.hpp>
#include <septum/image/morphology.hpp>
#include <septum/image/otsu.hpp>
#include <septum/image/regions.hpp>
#include <septum/image/types.hpp>
#include <septum/image/watershed.hpp>
#include <septum/segment/detail/class_maps.hpp>
#include <septum/segment/refiners.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Cells are the connected components of the pixels whose probability of `Class` is above Otsu's
/// threshold of these probabilities, for images whose probabilities are shifted as a whole.
/// Replaces what the labels held.
template <int Class>
struct otsu {
  static_assert(Class >= 0,
                "septum: a class index is negative. FIX: use the enum of your net, e.g. "
                "otsu<my_net::interior>.");
  static constexpr int needs_class = Class;

  /// true gives holes in a cell to the cell
  bool fill_holes = false;
  /// whether pixels that touch at a corner belong together
  connectivity neighbours = connectivity::eight;

  /// \throws shape_error `septum.segment.2` when the probabilities have no class `Class`.
  void operator()(labels& cells, probabilities const& maps, image const& pixels,
                  exec::threads threads = {}) const {
    std::size_t const classes = maps.shape()[2];
    if (static_cast<std::size_t>(Class) < classes && maps.size() > 0) {
      std::vector<float> values;
      values.reserve(maps.size() / classes);
      for (std::size_t i = static_cast<std::size_t>(Class); i < maps.size(); i += classes)
        values.push_back(maps.data()[i]);
      threshold<Class>{.above = otsu_threshold(values),
                       .fill_holes = fill_holes,
                       .neighbours = neighbours}(cells, maps, pixels, threads);
      return;
    }
    threshold<Class>{}(cells, maps, pixels, threads);
  }
};

/// Cells grow from cores: the parts that the pixels whose probability of `Class`, or of it and
/// `More` classes together, is above a low threshold fall into at any higher one up to a high one,
/// each of at least some pixels (find_cores), flood what is above the low one, from high
/// probabilities to low (watershed). Neighbours that hang together by a thread of doubtful pixels,
/// which a single threshold joins, stay apart, and each keeps its doubtful rim. What is above the
/// low threshold and holds no core is a cell by itself. With `core_above` at or below `above` the
/// same as threshold<>. Replaces what the labels held.
template <int Class, int... More>
struct grown_cores {
  static constexpr int needs_class = threshold<Class, More...>::needs_class;

  /// pixels with p > above are cell; in [0, 1]
  float above = 0.5F;
  /// connected pixels with p > core_above belong to one cell; in [0, 1]
  float core_above = 0.9F;
  /// parts of fewer pixels are no core
  std::int64_t core_area_min = 25;
  /// true gives holes in a cell to the cell
  bool fill_holes = false;
  /// whether pixels that touch at a corner belong together
  connectivity neighbours = connectivity::eight;

  /// \throws shape_error `septum.segment.2` when the probabilities have too few classes.
  void operator()(labels& cells, probabilities const& maps, image const& pixels,
                  exec::threads threads = {}) const {
    threshold<Class, More...> const low{.above = above, .neighbours = neighbours};
    low(cells, maps, pixels, threads);
    if (core_above > above) {
      auto height = detail::class_map<Class, More...>(maps, threads);
      labels cores = find_cores(as_view(height),
                                {.above = above,
                                 .joined_above = core_above,
                                 .area_min = core_area_min,
                                 .neighbours = neighbours},
                                threads);
      flood_from(cores, cells, std::move(height), threads);
    }
    if (fill_holes) septum::fill_holes(cells, threads);
  }

 private:
  void flood_from(labels& cores, labels& cells, xt::xtensor<float, 2> height,
                  exec::threads threads) const {
    std::vector<bool> has_core(static_cast<std::size_t>(largest_label(cells)) + 1, false);
    for (std::size_t p = 0; p < cells.size(); ++p)
      if (cores.data()[p] != 0) has_core[static_cast<std::size_t>(cells.data()[p])] = true;
    std::int32_t const before = largest_label(cores);
    for (std::size_t p = 0; p < cells.size(); ++p) {
      std::int32_t const cell = cells.data()[p];
      if (cell != 0 && !has_core[static_cast<std::size_t>(cell)]) cores.data()[p] = before + cell;
    }
    for (float& value : height) value = -value;
    cells = watershed(height, cores, detail::mask_of(cells), {.neighbours = neighbours}, threads);
    // In raster order of their first pixels, as those of threshold<>.
    std::vector<std::int32_t> number(static_cast<std::size_t>(largest_label(cells)) + 1, 0);
    std::int32_t count = 0;
    for (auto& cell : cells) {
      if (cell == 0) continue;
      auto& mine = number[static_cast<std::size_t>(cell)];
      if (mine == 0) mine = ++count;
      cell = mine;
    }
  }
};

/// Cells are the connected components of the pixels of one channel that are brighter than the
/// median of the box around them: objects that are found by their brightness alone. Replaces what
/// the labels held.
struct bright_objects {
  std::size_t channel = 0;
  /// side of the box in pixels, odd
  int window = 61;
  /// how far above the median, in the image's units
  double offset = 0;
  connectivity neighbours = connectivity::eight;

  /// \throws shape_error `septum.segment.2` when the image has no such channel; as
  ///         above_local_median().
  void operator()(labels& cells, probabilities const&, image const& pixels,
                  exec::threads threads = {}) const {
    SEPTUM_EXPECTS(channel < pixels.shape()[2],
                   shape_error("septum.segment.7",
                               "image: expected at least " + std::to_string(channel + 1) +
                                   " channels, found " + std::to_string(pixels.shape()[2])));
    xt::xtensor<float, 2> plane =
        xt::xtensor<float, 2>::from_shape({pixels.shape()[0], pixels.shape()[1]});
    for (std::size_t p = 0; p < plane.size(); ++p)
      plane.data()[p] = pixels.data()[p * pixels.shape()[2] + channel];
    mask const bright = above_local_median(as_view(std::as_const(plane)), window, offset, threads);
    cells = connected_components(bright, neighbours, threads);
  }
};

namespace detail {

/// The largest value within `reach` pixels along rows and columns (a square window).
[[nodiscard]] inline xt::xtensor<float, 2> square_maximum(xt::xtensor<float, 2> const& values,
                                                          std::ptrdiff_t reach) {
  auto const rows = static_cast<std::ptrdiff_t>(values.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(values.shape()[1]);
  xt::xtensor<float, 2> along = values;
  for (std::ptrdiff_t r = 0; r < rows; ++r)
    for (std::ptrdiff_t c = 0; c < columns; ++c) {
      float const* const row = values.data() + r * columns;
      along.data()[r * columns + c] = *std::max_element(
          row + std::max<std::ptrdiff_t>(c - reach, 0), row + std::min(c + reach + 1, columns));
    }
  xt::xtensor<float, 2> result = along;
  for (std::ptrdiff_t r = 0; r < rows; ++r)
    for (std::ptrdiff_t k = std::max<std::ptrdiff_t>(r - reach, 0);
         k < std::min(r + reach + 1, rows); ++k)
      for (std::ptrdiff_t c = 0; c < columns; ++c)
        result.data()[r * columns + c] =
            std::max(result.data()[r * columns + c], along.data()[k * columns + c]);
  return result;
}

}  // namespace detail

/// Splits cells that touch where they are narrow: every cell is flooded by itself from its deepest
/// places, the distance to its border being the depth. The border of the image is no border of a
/// cell. Cells are renumbered 1..n, the parts of one after the other in the cells' order.
struct split_touching {
  /// of the deep places of a cell, those with a deeper one nearer than this (along rows and
  /// columns) are no seeds; in pixels, about the radius of the smallest cell
  int apart_px = 5;

  /// \throws unsupported_error `septum.segment.4` on a negative distance, `septum.labels.1` and
  ///         `septum.labels.2` on labels that are negative or larger than the image.
  void operator()(labels& cells, probabilities const&, image const&,
                  exec::threads threads = {}) const {
    SEPTUM_EXPECTS(
        apart_px >= 0,
        unsupported_error("septum.segment.6", "split_touching: expected a distance from 0, found " +
                                                  std::to_string(apart_px)));
    auto const shapes = measure_regions(cells, threads);
    std::vector<labels> parts(shapes.size());
    for_each_task(threads, static_cast<std::ptrdiff_t>(shapes.size()), [&](std::ptrdiff_t k) {
      auto const at = static_cast<std::size_t>(k);
      if (shapes[at].area_px > 0) parts[at] = split(cells, shapes[at]);
    });
    std::int32_t before = 0;
    for (std::size_t k = 0; k < shapes.size(); ++k) {
      if (shapes[k].area_px == 0) continue;
      for (std::size_t r = 0; r < parts[k].shape()[0]; ++r)
        for (std::size_t c = 0; c < parts[k].shape()[1]; ++c)
          if (parts[k](r, c) != 0)
            cells(first_row(shapes[k]) + r, first_column(shapes[k]) + c) = before + parts[k](r, c);
      before += largest_label(parts[k]);
    }
  }

 private:
  [[nodiscard]] static std::size_t first_row(region_properties const& cell) {
    return static_cast<std::size_t>(std::max(cell.row_begin - 1, 0));
  }
  [[nodiscard]] static std::size_t first_column(region_properties const& cell) {
    return static_cast<std::size_t>(std::max(cell.column_begin - 1, 0));
  }

  /// The parts of one cell, numbered from 1, in a box with a margin where the image has one.
  [[nodiscard]] labels split(labels const& cells, region_properties const& cell) const {
    std::size_t const rows =
        std::min(static_cast<std::size_t>(cell.row_end) + 1, cells.shape()[0]) - first_row(cell);
    std::size_t const columns =
        std::min(static_cast<std::size_t>(cell.column_end) + 1, cells.shape()[1]) -
        first_column(cell);
    mask inside = mask::from_shape({rows, columns});
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c)
        inside(r, c) = cells(first_row(cell) + r, first_column(cell) + c) == cell.label ? 1 : 0;
    xt::xtensor<float, 2> depth = distance_transform(inside);
    // A cell that fills the image has no border at all.
    for (float& value : depth)
      if (std::isinf(value)) value = 1;
    auto const highest = detail::square_maximum(depth, apart_px);
    mask top = mask::from_shape({rows, columns});
    for (std::size_t p = 0; p < top.size(); ++p)
      top.data()[p] = inside.data()[p] != 0 && depth.data()[p] == highest.data()[p] ? 1 : 0;
    labels const seeds = connected_components(top, connectivity::eight);
    for (float& value : depth) value = -value;
    return watershed(depth, seeds, inside, {.neighbours = connectivity::eight});
  }
};

}  // namespace septum::inline SEPTUM_ABI
