#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/local_threshold.hpp>
#include <septum/image/regions.hpp>
#include <septum/image/types.hpp>
#include <septum/segment/detail/class_maps.hpp>
#include <septum/segment/detail/region_filling.hpp>
#include <septum/segment/refiners.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// A Refiner: cells are the connected components of pixels whose probability of `Class` is above
/// the median of the box around them by more than `offset`; for nuclei too dim for one threshold.
/// Replaces what the labels held. (Published rule for the plating density sets.)
template <int Class>
struct local_threshold {
  static_assert(Class >= 0,
                "septum: a class index is negative. FIX: use the enum of your net, e.g. "
                "local_threshold<my_net::interior>.");
  static constexpr int needs_class = Class;

  /// odd side of the box in pixels; borders are mirrored
  int window = 61;
  /// by how much a pixel has to exceed the median; in [0, 1]
  double offset = 0.075;
  /// whether pixels that touch at a corner belong together
  connectivity neighbours = connectivity::eight;

  /// \throws shape_error `septum.segment.2` when the probabilities have no class `Class`;
  ///         unsupported_error `septum.local_threshold.1` on an even window.
  void operator()(labels& cells, probabilities const& maps, image const&,
                  exec::threads threads = {}) const {
    auto const interior = detail::class_map<Class>(maps, threads);
    cells = connected_components(above_local_median(as_view(interior), window, offset, threads),
                                 neighbours, threads);
  }
};

/// A Refiner: the published choice among components of a nuclear mask. Each is measured with its
/// holes filled, whatever lies in them, and kept or dropped together with it; the cells themselves
/// keep their holes. Cells keep their order and are renumbered 1..n.
struct published_nuclei {
  std::int64_t area_min = 100;
  double eccentricity_max = 0.95;
  double solidity_min = 0.75;

  /// Whether a component stays, given its shape with holes filled.
  [[nodiscard]] bool keeps(region_properties const& filled) const {
    return filled.area_px > 0 && filled.area_px >= area_min &&
           filled.eccentricity <= eccentricity_max && filled.solidity >= solidity_min;
  }

  void operator()(labels& cells, probabilities const&, image const&,
                  exec::threads threads = {}) const {
    labels filled = cells;
    detail::fill_regions_in_order(filled);
    auto const regions = measure_regions(filled, threads);
    std::vector<std::uint8_t> kept(regions.size() + 1, 0);
    for (region_properties const& region : regions)
      kept[static_cast<std::size_t>(region.label)] = keeps(region) ? 1 : 0;
    for (std::size_t p = 0; p < cells.size(); ++p)
      if (kept[static_cast<std::size_t>(filled.data()[p])] == 0) cells.data()[p] = 0;
    relabel_sequential(cells);
  }
};

/// How the nuclei of a data set were found. The defaults are those of the Hela, 3T3 and MCF10A
/// sets; the co-culture takes `eccentricity_max` 1, RAW and BMDM take above 0.5, area 50 and
/// eccentricity 1, the plating densities a local threshold, eccentricity 1 and solidity 0.
struct nuclear_rule {
  /// pixels with a probability above this are nucleus; in [0, 1]
  float above = 0.75F;
  /// odd side of the box of a local threshold, which then replaces `above`; 0 for none
  int local_window = 0;
  double local_offset = 0.075;
  /// smallest area in pixels, largest eccentricity, smallest solidity of a nucleus
  std::int64_t area_min = 100;
  double eccentricity_max = 0.95;
  double solidity_min = 0.75;
};

/// A Refiner: nuclei by a nuclear_rule, from the probability of `Class`.
template <int Class>
struct find_nuclei {
  static constexpr int needs_class = Class;
  nuclear_rule rule{};

  void operator()(labels& cells, probabilities const& maps, image const& pixels,
                  exec::threads threads = {}) const {
    if (rule.local_window > 0)
      local_threshold<Class>{.window = rule.local_window, .offset = rule.local_offset}(
          cells, maps, pixels, threads);
    else
      threshold<Class>{.above = rule.above}(cells, maps, pixels, threads);
    published_nuclei{.area_min = rule.area_min,
                     .eccentricity_max = rule.eccentricity_max,
                     .solidity_min = rule.solidity_min}(cells, maps, pixels, threads);
  }
};

}  // namespace septum::inline SEPTUM_ABI
