#pragma once
#include <septum/core/config.hpp>
#include <septum/image/types.hpp>
#include <septum/simulate/lineage_truth.hpp>

#include <vector>

namespace septum::inline SEPTUM_ABI {

/// A movie with everything that is true about it.
struct simulated_movie {
  movie pixels;               ///< camera counts, 0 to 65535; axes frame, row, column, channel
  std::vector<labels> cells;  ///< one label image per frame; values are `simulated_cell::id`
  lineage_truth truth;
  double pixel_size_um = 0.0;
  double frame_interval_min = 0.0;
};

}  // namespace septum::inline SEPTUM_ABI
