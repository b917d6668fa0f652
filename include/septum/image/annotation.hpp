#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/distance.hpp>
#include <septum/image/morphology.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Truth for training: the class of every pixel (axes row, column), and the names of the classes.
/// Class 0 is the cell edge, the next ones are interiors of one cell type each, the last one is
/// background. A pixel without a class holds `unlabelled`.
struct annotation {
  xt::xtensor<std::uint8_t, 2> class_of_pixel;
  std::vector<std::string> class_names;

  /// Value of a pixel that belongs to no class.
  static constexpr std::uint8_t unlabelled = 255;

  /// Number of classes, background included.
  [[nodiscard]] int classes() const { return static_cast<int>(class_names.size()); }
};

/// Interior of one cell type as drawn by the annotator: non-zero where a pixel belongs to it.
struct interior_mask {
  std::string name = "interior";
  mask pixels;
};

/// Classes from drawn edges and interiors by the published rule (`DeepCell make_training_data`):
/// the edge is dilated by the 5-pixel cross and gives way to the interiors; what is neither is
/// background. A pixel of two interiors has no class. Class names: "edge", the interiors' names in
/// the given order, "background".
/// \throws shape_error `septum.annotation.1` when a mask differs in extent from the edge;
///         unsupported_error `septum.annotation.2` without interiors or with more than 253.
[[nodiscard]] inline annotation make_annotation(mask const& edge,
                                                std::vector<interior_mask> const& interiors,
                                                exec::threads threads = {}) {
  SEPTUM_EXPECTS(!interiors.empty() && interiors.size() <= 253,
                 unsupported_error("septum.annotation.2",
                                   "annotation: expected 1 to 253 interior masks, found " +
                                       std::to_string(interiors.size())));
  auto const extent_of = [](mask const& pixels) {
    return std::to_string(pixels.shape()[0]) + " x " + std::to_string(pixels.shape()[1]);
  };
  for (interior_mask const& interior : interiors)
    SEPTUM_EXPECTS(
        interior.pixels.shape() == edge.shape(),
        shape_error("septum.annotation.1",
                    "annotation: expected every mask to have the edge's extent " + extent_of(edge) +
                        ", found " + extent_of(interior.pixels) + " in '" + interior.name + "'"));

  annotation result;
  result.class_names.reserve(interiors.size() + 2);
  result.class_names.emplace_back("edge");
  for (interior_mask const& interior : interiors) result.class_names.push_back(interior.name);
  result.class_names.emplace_back("background");

  auto const background = static_cast<std::uint8_t>(interiors.size() + 1);
  mask const wide_edge = dilate(edge, cross{.radius_px = 1}, threads);
  result.class_of_pixel = xt::xtensor<std::uint8_t, 2>::from_shape(edge.shape());
  std::uint8_t* const classes = result.class_of_pixel.data();
  std::uint8_t const* const drawn = wide_edge.data();
  auto const pixels = static_cast<std::ptrdiff_t>(edge.size());
  for_each_range(threads, pixels, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t p = begin; p < end; ++p)
      classes[p] = drawn[p] != 0 ? std::uint8_t{0} : background;
    for (std::size_t k = 0; k < interiors.size(); ++k) {
      auto const own = static_cast<std::uint8_t>(k + 1);
      std::uint8_t const* const inside = interiors[k].pixels.data();
      for (std::ptrdiff_t p = begin; p < end; ++p) {
        if (inside[p] == 0) continue;
        bool const taken = classes[p] != 0 && classes[p] != background;
        classes[p] = taken ? annotation::unlabelled : own;
      }
    }
  });
  return result;
}

/// The same for one cell type: classes "edge", "interior", "background".
[[nodiscard]] inline annotation make_annotation(mask const& edge, mask const& interior,
                                                exec::threads threads = {}) {
  return make_annotation(edge, {interior_mask{.name = "interior", .pixels = interior}}, threads);
}

/// Classes from a label image: the edge is every cell pixel with a 4-neighbour of another value,
/// the interior is the rest of the cells, and then the rule of make_annotation() applies, so the
/// edge also covers the ring of background pixels around each cell. The image border is no edge.
[[nodiscard]] inline annotation annotation_from_labels(labels const& cells,
                                                       exec::threads threads = {}) {
  mask const edge = cell_outlines(cells, threads);
  mask interior = mask::from_shape(cells.shape());
  for (std::size_t p = 0; p < cells.size(); ++p)
    interior.data()[p] = static_cast<std::uint8_t>(cells.data()[p] != 0 && edge.data()[p] == 0);
  return make_annotation(edge, interior, threads);
}

/// The cells of one type, one number per cell.
struct cells_of_type {
  std::string name;
  labels cells;
};

/// One label image of all cell types, numbered 1..n type by type, each type in the order of its
/// numbers. A pixel of two cells goes to the type that comes first.
/// \throws shape_error `septum.annotation.1` on different extents, unsupported_error
///         `septum.annotation.2` without types, `septum.labels.1` on a negative label.
[[nodiscard]] inline labels merge_cell_types(std::vector<cells_of_type> const& types) {
  SEPTUM_EXPECTS(!types.empty(),
                 unsupported_error("septum.annotation.2",
                                   "annotation: expected at least one type of cells, found none"));
  labels merged = labels::from_shape(types.front().cells.shape());
  merged.fill(0);
  std::int32_t before = 0;
  for (cells_of_type const& type : types) {
    SEPTUM_EXPECTS(type.cells.shape() == merged.shape(),
                   shape_error("septum.annotation.1",
                               "annotation: expected label images of one extent, found others in "
                               "'" +
                                   type.name + "' and '" + types.front().name + "'"));
    static_cast<void>(largest_label(type.cells));
    std::vector<std::int32_t> numbers{type.cells.begin(), type.cells.end()};
    numbers.push_back(0);
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    for (std::size_t p = 0; p < merged.size(); ++p) {
      std::int32_t const label = type.cells.data()[p];
      if (label == 0 || merged.data()[p] != 0) continue;
      merged.data()[p] =
          before + static_cast<std::int32_t>(
                       std::lower_bound(numbers.begin(), numbers.end(), label) - numbers.begin());
    }
    before += static_cast<std::int32_t>(numbers.size()) - 1;
  }
  return merged;
}

/// Classes from the label images of several cell types: the edge of all cells together, an interior
/// per type, background.
/// \throws as merge_cell_types() and make_annotation()
[[nodiscard]] inline annotation annotation_from_labels(std::vector<cells_of_type> const& types,
                                                       exec::threads threads = {}) {
  labels const merged = merge_cell_types(types);
  mask const edge = cell_outlines(merged, threads);
  std::vector<interior_mask> interiors;
  for (cells_of_type const& type : types) {
    mask interior = mask::from_shape(edge.shape());
    for (std::size_t p = 0; p < edge.size(); ++p)
      interior.data()[p] =
          static_cast<std::uint8_t>(type.cells.data()[p] != 0 && edge.data()[p] == 0);
    interiors.push_back({.name = type.name, .pixels = std::move(interior)});
  }
  return make_annotation(edge, interiors, threads);
}

/// Cells from drawn edges and interiors, as far as these define them: every 4-connected part of the
/// interior is a cell, and an edge pixel goes to the nearest one that is less than two pixels away.
/// Turns edges and interiors that were made from cells back into these cells, except for cells
/// without an interior and for interiors in several parts.
/// \throws shape_error `septum.annotation.1` on different extents
[[nodiscard]] inline labels cells_from_masks(mask const& edge, mask const& interior,
                                             exec::threads threads = {}) {
  SEPTUM_EXPECTS(
      edge.shape() == interior.shape(),
      shape_error("septum.annotation.1", "annotation: expected edge and interior of one extent"));
  labels const cores = connected_components(interior, connectivity::four, threads);
  constexpr double diagonal = 1.5;
  labels cells = nearest_label(cores, diagonal, threads);
  for (std::size_t p = 0; p < cells.size(); ++p)
    if (cores.data()[p] == 0 && edge.data()[p] == 0) cells.data()[p] = 0;
  return cells;
}

}  // namespace septum::inline SEPTUM_ABI
