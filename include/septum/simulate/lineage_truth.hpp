#pragma once
#include <septum/core/config.hpp>

#include <cstdint>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Why the record of a simulated cell ends.
enum class cell_fate {
  last_frame,  ///< still there in the last frame
  divided,     ///< two daughters took its place
  left         ///< no pixel of it was in the image any more
};

/// One simulated cell over its life. `id` is its value in the label images.
struct simulated_cell {
  std::int32_t id = 0;  ///< 1, 2, ... in the order of birth
  std::int32_t parent =
      0;                ///< id of the mother; 0 for founders and cells that came in from outside
  int first_frame = 0;  ///< first frame in which it has a pixel
  int last_frame = 0;   ///< last frame in which it has a pixel; it has one in every frame between
  cell_fate fate = cell_fate::last_frame;
  double growth_rate_per_h = 0.0;  ///< relative: d ln(area) / dt; 0 when cells do not grow
};

/// One simulated cell in one frame, from its geometry, not from its pixels.
struct simulated_state {
  std::int32_t id = 0;
  int frame = 0;
  double row_px = 0.0;  ///< centre; pixel (r, c) covers [r - 0.5, r + 0.5)
  double column_px = 0.0;
  double angle_rad = 0.0;   ///< of the long axis against the column axis, towards growing rows
  double length_um = 0.0;   ///< tip to tip, or long axis
  double width_um = 0.0;    ///< diameter, or short axis
  double area_um2 = 0.0;    ///< of the whole outline, also where it leaves the image
  std::int64_t pixels = 0;  ///< in the label image: without what neighbours or the border cover
};

/// What really happened in a simulated movie.
struct lineage_truth {
  std::vector<simulated_cell> cells;    ///< ordered by id
  std::vector<simulated_state> states;  ///< ordered by frame, then id; only cells with a pixel
};

}  // namespace septum::inline SEPTUM_ABI
