#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/evolve.hpp>
#include <septum/image/morphology.hpp>
#include <septum/image/types.hpp>
#include <septum/image/watershed.hpp>
#include <septum/segment/detail/class_maps.hpp>
#include <septum/segment/detail/region_filling.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace septum::inline SEPTUM_ABI {

/// Where contours evolve: a policy that turns a contour of the host into an Evolver with the same
/// results. host_contours, or device_contours (segment/device_contours.hpp).
template <class P>
concept ContourPlace = std::copyable<P> && requires(
    P const place, morphological_contour<chan_vese> const& free,
    morphological_contour<chan_vese, curvature_smoothing, keep_start> const& kept,
    morphological_contour<chan_vese, curvature_smoothing, separate_components> const& parted) {
  { place(free) } -> Evolver;
  { place(kept) } -> Evolver;
  { place(parted) } -> Evolver;
};

/// Contours evolve on the host, as they are.
struct host_contours {
  template <Evolver E>
  [[nodiscard]] E operator()(E const& contour) const {
    return contour;
  }
};

namespace detail {

/// \throws shape_error `septum.segment.4` when seeds and probabilities differ in extent.
inline void require_seed_extent(labels const& seeds, probabilities const& maps) {
  SEPTUM_EXPECTS(
      seeds.shape()[0] == maps.shape()[0] && seeds.shape()[1] == maps.shape()[1],
      shape_error("septum.segment.4", "seeds of " + std::to_string(seeds.shape()[0]) + " x " +
                                          std::to_string(seeds.shape()[1]) +
                                          " pixels: expected the extent of the probabilities, " +
                                          std::to_string(maps.shape()[0]) + " x " +
                                          std::to_string(maps.shape()[1])));
}

}  // namespace detail

/// A Refiner that grows the given labels (nuclei) into cells exactly as the paper's program did:
/// one binary Chan-Vese contour over the summed probabilities of the interior `Classes`, started
/// from all nuclei, its components kept apart by a gap of two pixels; then what holds no nucleus
/// goes, holes are filled, and the 8-connected components that remain are the cells. A cell may
/// hold several nuclei, and its label is not theirs.
template <int... Classes>
struct published_contours {
  static constexpr int needs_class = std::max({Classes...});

  int iterations = 120;
  /// smoothing steps of each iteration
  int smoothing = 1;

  /// The contour that grows; an Evolver, which device_contour takes to a GPU.
  [[nodiscard]] auto contour() const {
    return morphological_contour<chan_vese, curvature_smoothing, separate_components>{
        .smoothing = {.steps = smoothing}, .iterations = iterations};
  }

  /// \throws shape_error `septum.segment.2` without one of the classes, `septum.segment.4` on seeds
  ///         of another extent.
  void operator()(labels& cells, probabilities const& maps, image const&,
                  exec::threads threads = {}) const {
    grow(cells, maps, contour(), threads);
  }
  /// The same with contours that evolve at `place`.
  template <ContourPlace Place>
  void grow_at(Place const& place, labels& cells, probabilities const& maps,
               exec::threads threads = {}) const {
    grow(cells, maps, place(contour()), threads);
  }
  /// The same with another Evolver in place of contour().
  template <Evolver E>
  void grow(labels& cells, probabilities const& maps, E const& evolve,
            exec::threads threads = {}) const {
    detail::require_seed_extent(cells, maps);
    auto const interior = detail::class_map<Classes...>(maps, threads);
    mask const nuclei = detail::mask_of(cells);
    xt::xtensor<std::uint16_t, 2> const flat = xt::zeros<std::uint16_t>(cells.shape());
    labels regions =
        watershed(flat, connected_components(nuclei, connectivity::eight, threads),
                  evolve(as_view(interior), nuclei, threads), {.ties = tie_order::scikit_image});
    detail::fill_regions_in_order(regions);
    connected_components(
        [&](std::ptrdiff_t r, std::ptrdiff_t c) {
          return regions.data()[r * static_cast<std::ptrdiff_t>(regions.shape()[1]) + c] != 0;
        },
        as_view(cells), connectivity::eight, threads);
  }
};

/// A Refiner that grows the given labels (nuclei) into cells, each with the label of its nucleus:
/// one Chan-Vese contour over the summed probabilities of the interior `Classes` evolves from all
/// nuclei at once, and its inside is dealt to the nuclei by a watershed of the same probabilities.
/// So cells that touch are divided where the net sees an edge, without a gap; they never merge, and
/// no pixel of a nucleus goes to another cell. A nucleus from which the contour withdraws gives no
/// cell, unless nuclei are kept.
template <int... Classes>
struct labels_contours {
  static constexpr int needs_class = std::max({Classes...});

  int iterations = 120;
  /// smoothing steps of each iteration
  int smoothing = 1;
  /// weights of the contour's data term; a larger weight outside grows the cells
  chan_vese data{.lambda_outside = 1.5};
  /// true holds every pixel of every nucleus inside its cell
  bool keep_nuclei = false;

  /// The contour that grows, when nuclei are not kept; an Evolver, which device_contour takes to a
  /// GPU. `contour<keep_start>()` keeps them.
  template <Constraint Constrain = unconstrained>
  [[nodiscard]] auto contour() const {
    return morphological_contour<chan_vese, curvature_smoothing, Constrain>{
        .data = data, .smoothing = {.steps = smoothing}, .iterations = iterations};
  }

  /// \throws shape_error `septum.segment.2` without one of the classes, `septum.segment.4` on seeds
  ///         of another extent; unsupported_error `septum.labels.1` on a negative seed.
  void operator()(labels& cells, probabilities const& maps, image const&,
                  exec::threads threads = {}) const {
    grow_at(host_contours{}, cells, maps, threads);
  }
  /// The same with contours that evolve at `place`.
  template <ContourPlace Place>
  void grow_at(Place const& place, labels& cells, probabilities const& maps,
               exec::threads threads = {}) const {
    if (keep_nuclei)
      grow(cells, maps, place(contour<keep_start>()), threads);
    else
      grow(cells, maps, place(contour()), threads);
  }
  /// The same with another Evolver in place of contour().
  template <Evolver E>
  void grow(labels& cells, probabilities const& maps, E const& evolve,
            exec::threads threads = {}) const {
    detail::require_seed_extent(cells, maps);
    auto interior = detail::class_map<Classes...>(maps, threads);
    mask const inside = evolve(as_view(interior), detail::mask_of(cells), threads);
    for (float& height : interior) height = -height;
    cells = watershed(interior, cells, inside);
    fill_holes(cells, threads);
  }
};

/// Which of the two ways to grow nuclei into cells.
enum class contour_mode {
  published,       ///< the paper's masks, pixel for pixel
  separate_labels  ///< no gaps, no merging, one cell for each nucleus
};

/// The two behind one type, so that the mode can be chosen at run time.
template <int... Classes>
struct cell_contours {
  static constexpr int needs_class = std::max({Classes...});

  contour_mode mode = contour_mode::separate_labels;
  int iterations = 120;
  int smoothing = 1;

  void operator()(labels& cells, probabilities const& maps, image const&,
                  exec::threads threads = {}) const {
    grow_at(host_contours{}, cells, maps, threads);
  }
  /// The same with contours that evolve at `place`.
  template <ContourPlace Place>
  void grow_at(Place const& place, labels& cells, probabilities const& maps,
               exec::threads threads = {}) const {
    if (mode == contour_mode::published)
      published_contours<Classes...>{.iterations = iterations, .smoothing = smoothing}.grow_at(
          place, cells, maps, threads);
    else
      labels_contours<Classes...>{.iterations = iterations, .smoothing = smoothing}.grow_at(
          place, cells, maps, threads);
  }
};

}  // namespace septum::inline SEPTUM_ABI
