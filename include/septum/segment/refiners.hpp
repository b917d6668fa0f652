#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/distance.hpp>
#include <septum/image/morphology.hpp>
#include <septum/image/regions.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace septum::inline SEPTUM_ABI {

/// A step from probabilities to cells: changes a label image (row, column; 0 is background, cells
/// are 1..n) given the probabilities (row, column, class) and the raw image (row, column, channel).
/// The first step of a pipeline receives labels of the image's extent, all 0. A refiner that reads
/// one class says so by a constant `needs_class`; one that can use threads takes exec::threads as a
/// fourth argument.
template <class R>
concept Refiner = requires(R const refine, labels& cells, probabilities const& maps,
                           image const& pixels) {
  refine(cells, maps, pixels);
};

namespace diagnostic {

/// Facts: where in a pipeline, and which type stands there.
template <int Index>
struct at_stage;
template <class Type>
struct the_refiner;

template <bool Ok, class... Facts>
struct every_stage_is_a_refiner {
  static_assert(Ok,
                "septum: a stage of the pipeline is not a Refiner. FIX: give the type named above "
                "void operator()(labels&, probabilities const&, image const&) const.");
  static constexpr bool ok = true;
};

}  // namespace diagnostic

/// Runs a refiner with threads when it takes them.
template <Refiner R>
void refine(R const& refiner, labels& cells, probabilities const& maps, image const& pixels,
            exec::threads threads = {}) {
  if constexpr (requires { refiner(cells, maps, pixels, threads); })
    refiner(cells, maps, pixels, threads);
  else
    refiner(cells, maps, pixels);
}

/// Cells are the connected components of the pixels whose probability of `Class`, or of it and
/// `More` classes together, is above a threshold. Replaces what the labels held.
template <int Class, int... More>
struct threshold {
  static_assert(Class >= 0 && ((More >= 0) && ...),
                "septum: a class index is negative. FIX: use the enum of your net, e.g. "
                "threshold<my_net::interior>.");
  static constexpr int needs_class = std::max({Class, More...});

  /// pixels with p > above are cell; in [0, 1]
  float above = 0.5F;
  /// true gives holes in a cell to the cell
  bool fill_holes = false;
  /// whether pixels that touch at a corner belong together
  connectivity neighbours = connectivity::eight;

  /// \throws shape_error `septum.segment.2` when the probabilities have too few classes.
  void operator()(labels& cells, probabilities const& maps, image const&,
                  exec::threads threads = {}) const {
    auto const source = as_view(maps);
    SEPTUM_EXPECTS(
        needs_class < source.extent(2),
        shape_error("septum.segment.2",
                    "probabilities: expected at least " + std::to_string(needs_class + 1) +
                        " classes to read class " + std::to_string(needs_class) + ", found " +
                        std::to_string(source.extent(2))));
    cells.resize({maps.shape()[0], maps.shape()[1]});
    float const* const first = source.data();
    std::ptrdiff_t const row_step = source.stride(0);
    std::ptrdiff_t const pixel_step = source.stride(1);
    connected_components(
        [=, this](std::ptrdiff_t row, std::ptrdiff_t column) {
          float const* const pixel = first + row * row_step + column * pixel_step;
          return (pixel[Class] + ... + pixel[More]) > above;
        },
        as_view(cells), neighbours, threads);
    if (fill_holes) septum::fill_holes(cells, threads);
  }
};

/// Removes cells by size, shape and position. Cells keep their order and are renumbered 1..n.
struct region_filter {
  /// smallest and largest area kept, in pixels
  std::int64_t area_min = 0;
  std::int64_t area_max = std::numeric_limits<std::int64_t>::max();
  /// smallest area / convex area kept
  double solidity_min = 0;
  /// smallest and largest eccentricity kept (0 circle, 1 line)
  double eccentricity_min = 0;
  double eccentricity_max = 1;
  /// true removes cells that touch the border of the image or of the part that the net can see
  bool clear_border = false;
  /// true measures cells with their holes filled, while the cells themselves keep the holes (the
  /// published nuclear rule)
  bool measure_filled = false;

  /// Whether a cell of an image stays. `margin` is the width of the part at the border that the net
  /// cannot see.
  [[nodiscard]] bool keeps(region_properties const& cell, extent2 extent,
                           std::int32_t margin) const {
    bool const at_border = cell.row_begin <= margin || cell.column_begin <= margin ||
                           cell.row_end >= extent.rows - margin ||
                           cell.column_end >= extent.columns - margin;
    return cell.area_px >= area_min && cell.area_px <= area_max && cell.solidity >= solidity_min &&
           cell.eccentricity >= eccentricity_min && cell.eccentricity <= eccentricity_max &&
           !(clear_border && at_border);
  }

  void operator()(labels& cells, probabilities const& maps, image const&,
                  exec::threads threads = {}) const {
    std::int32_t const margin = clear_border ? unseen_margin(maps) : 0;
    extent2 const extent{static_cast<int>(cells.shape()[0]), static_cast<int>(cells.shape()[1])};
    auto const refused = [&](region_properties const& cell) {
      return !keeps(cell, extent, margin);
    };
    if (!measure_filled) {
      remove_regions_if(cells, refused, threads);
      return;
    }
    labels filled = cells;
    fill_holes(filled, threads);
    auto const shapes = measure_regions(filled, threads);
    remove_regions_if(
        cells,
        [&](region_properties const& cell) {
          return refused(shapes[static_cast<std::size_t>(cell.label) - 1]);
        },
        threads);
  }

 private:
  /// Width of the border in which all probabilities are zero.
  [[nodiscard]] static std::int32_t unseen_margin(probabilities const& maps) {
    auto const source = as_view(maps);
    if (source.size() == 0) return 0;
    std::ptrdiff_t const limit = (std::min(source.extent(0), source.extent(1)) - 1) / 2;
    std::ptrdiff_t const middle = source.extent(1) / 2;
    for (std::ptrdiff_t margin = 0; margin <= limit; ++margin)
      for (std::ptrdiff_t k = 0; k < source.extent(2); ++k)
        if (source(margin, middle, k) != 0) return static_cast<std::int32_t>(margin);
    return 0;
  }
};

/// Grows every cell into the background by a distance; cells meet but never merge. A pixel goes to
/// the nearest cell, to the smaller label where two are equally near.
struct grow {
  /// Euclidean distance between pixel centres up to which background is taken
  double pixels = 1;

  void operator()(labels& cells, probabilities const&, image const&,
                  exec::threads threads = {}) const {
    cells = nearest_label(cells, pixels, threads);
  }
};

namespace detail {

// sizeof makes the compiler look into a diagnostic without reading a constant from it, which would
// be a second error.
template <class Indices, class... Rs>
struct check_stages;
template <std::size_t... Index, class... Rs>
struct check_stages<std::index_sequence<Index...>, Rs...> {
  static_assert(((sizeof(diagnostic::every_stage_is_a_refiner<
                         Refiner<Rs>, diagnostic::at_stage<static_cast<int>(Index)>,
                         diagnostic::the_refiner<Rs>>) > 0) &&
                 ...));
};

}  // namespace detail

/// Refiners one after the other.
template <class... Rs>
struct pipeline {
  static_assert(sizeof(detail::check_stages<std::index_sequence_for<Rs...>, Rs...>) > 0);

  std::tuple<Rs...> stages;

  void operator()(labels& cells, probabilities const& maps, image const& pixels,
                  exec::threads threads = {}) const {
    // Empty after a refusal, so that one mistake is one error.
    if constexpr ((Refiner<Rs> && ...))
      std::apply([&](auto const&... stage) { (refine(stage, cells, maps, pixels, threads), ...); },
                 stages);
  }
};

}  // namespace septum::inline SEPTUM_ABI
