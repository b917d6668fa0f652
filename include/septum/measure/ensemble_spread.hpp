#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/distance.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// How far the nets of an ensemble agree about one cell. NaN where fewer than two nets say
/// something.
struct ensemble_spread {
  std::int32_t label = 0;
  /// standard deviation between the nets of the area that each alone gives to the cell, px
  double area_sd_px = std::numeric_limits<double>::quiet_NaN();
  /// standard deviation between the nets of the mean interior probability of the cell's pixels
  double interior_sd = std::numeric_limits<double>::quiet_NaN();
};

/// What one net of an ensemble says about a frame.
struct net_opinion {
  labels const& cells;        ///< segmented by this net alone: pixels above 0 are cells
  probabilities const& maps;  ///< row, column, class
};

namespace detail {

[[nodiscard]] inline double deviation_between(std::span<double const> values) {
  auto const n = static_cast<double>(values.size());
  if (n < 2) return std::numeric_limits<double>::quiet_NaN();
  double mean = 0;
  for (double const value : values) mean += value / n;
  double squares = 0;
  for (double const value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / (n - 1));
}

}  // namespace detail

/// How the nets of an ensemble differ about each cell of the ensemble's own segmentation. A net's
/// pixels of cells belong to the nearest cell within `reach_px`, so a net that joins two cells
/// still gives each its own area, and one that misses a cell gives it none.
/// @param cells      of the ensemble
/// @param interiors  classes of the maps whose sum is the interior probability
/// \returns entry k is label k + 1; numbers that no pixel carries stay NaN
/// \throws shape_error `septum.spread.1` when the extents differ or there is no such class
/// complexity: one pass over the pixels per net
[[nodiscard]] inline std::vector<ensemble_spread> measure_ensemble_spread(
    labels const& cells, std::span<net_opinion const> nets, std::span<std::size_t const> interiors,
    double reach_px = 5, exec::threads threads = {}) {
  labels const zones = nearest_label(cells, reach_px, threads);
  std::int32_t const largest = largest_label(cells);
  std::vector<ensemble_spread> result(static_cast<std::size_t>(largest));
  std::vector<double> pixels(result.size());
  for (std::int32_t const label : cells)
    if (label > 0) ++pixels[static_cast<std::size_t>(label) - 1];
  // By cell, then by net.
  std::vector<double> areas(result.size() * nets.size());
  std::vector<double> means(areas.size());
  for (std::size_t n = 0; n < nets.size(); ++n) {
    auto const& maps = nets[n].maps;
    std::size_t const classes = maps.shape()[2];
    bool const fits =
        nets[n].cells.shape() == cells.shape() && maps.shape()[0] == cells.shape()[0] &&
        maps.shape()[1] == cells.shape()[1] &&
        std::all_of(interiors.begin(), interiors.end(), [&](std::size_t c) { return c < classes; });
    SEPTUM_EXPECTS(fits,
                   shape_error("septum.spread.1",
                               "ensemble: expected labels and maps of the cells' extents, " +
                                   to_text(cells.shape()[0]) + " x " + to_text(cells.shape()[1]) +
                                   " pixels, with every interior class, found others for "
                                   "net " +
                                   to_text(n)));
    for (std::size_t p = 0; p < cells.size(); ++p) {
      std::int32_t const zone = zones.data()[p];
      if (zone == 0) continue;
      std::size_t const at = (static_cast<std::size_t>(zone) - 1) * nets.size() + n;
      areas[at] += nets[n].cells.data()[p] > 0 ? 1 : 0;
      if (cells.data()[p] != zone) continue;
      for (std::size_t const c : interiors)
        means[at] += static_cast<double>(maps.data()[p * classes + c]) /
                     pixels[static_cast<std::size_t>(zone) - 1];
    }
  }
  for (std::size_t k = 0; k < result.size(); ++k) {
    result[k].label = static_cast<std::int32_t>(k) + 1;
    if (pixels[k] == 0) continue;
    std::span const own{areas.data() + k * nets.size(), nets.size()};
    result[k].area_sd_px = detail::deviation_between(own);
    result[k].interior_sd =
        detail::deviation_between(std::span{means.data() + k * nets.size(), nets.size()});
  }
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
