#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/measure/agreement.hpp>
#include <septum/measure/cell_outcome.hpp>
#include <string>
#include <vector>

#include "options.hpp"

namespace program {

/// How predictions are compared with truth.
struct evaluation_request {
  int crop_px = 0;          ///< cut off on every side of both before scoring
  bool erode_truth = true;  ///< of drawn interiors: eroded by the 5-pixel cross, as published
  double boundary_tolerance_px = 2.0;  ///< how near an outline is met
  int bootstrap_replicates = 1000;     ///< of the confidence intervals; 0: none
  std::uint64_t seed = 0;
};

/// Scores of one or many frames, pooled.
struct evaluation {
  std::vector<septum::match_counts> counts;  ///< one entry per IoU threshold
  septum::seg_score seg{};
  septum::overlap_agreement overlap{};
  septum::boundary_counts boundary{};
  /// every cell at the first threshold, and the frame that it lies in
  std::vector<septum::cell_outcome> cells{};
  std::vector<std::int64_t> frame_of_cell{};
  std::int64_t frames = 0;
  evaluation_request request{};

  /// Adds one frame.
  void add(septum::labels const& truth, septum::labels const& prediction,
           septum::exec::threads threads = {});
  /// Confidence intervals of some scores by bootstrap over cells, by the keys of `to_json`.
  [[nodiscard]] nlohmann::ordered_json intervals(septum::exec::threads threads = {}) const;
  /// One row per true cell and per invented one.
  void write_cells(std::filesystem::path const& path) const;
  /// The contract of `evaluate --json`.
  [[nodiscard]] nlohmann::ordered_json to_json() const;
  /// A few lines for people.
  [[nodiscard]] std::string to_lines() const;
};

/// Cells of a label image, of a data-set folder (labels.tif, ImageJ areas, or the 8-connected
/// components of the drawn interior), or of the label images of a folder, without the margin that
/// is cut off.
[[nodiscard]] std::vector<septum::labels> read_cells(std::filesystem::path const& path,
                                                     evaluation_request const& request);

}  // namespace program
