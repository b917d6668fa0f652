#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <septum/image/types.hpp>
#include <septum/measure/agreement.hpp>
#include <string>
#include <vector>

#include "options.hpp"

namespace program {

/// How predictions are compared with truth.
struct evaluation_request {
  int crop_px = 0;          ///< cut off on every side of both before scoring
  bool erode_truth = true;  ///< of drawn interiors: eroded by the 5-pixel cross, as published
};

/// Scores of one or many frames, pooled.
struct evaluation {
  std::vector<septum::match_counts> counts;  ///< one entry per IoU threshold
  septum::seg_score seg{};
  septum::overlap_agreement overlap{};
  std::int64_t frames = 0;

  /// Adds one frame.
  void add(septum::labels const& truth, septum::labels const& prediction);
  /// The contract of `evaluate --json`.
  [[nodiscard]] nlohmann::ordered_json to_json() const;
  /// A few lines for people.
  [[nodiscard]] std::string to_lines() const;
};

/// Cells of a label image, of a data-set folder (labels.tif, or the 8-connected components of the
/// drawn interior), or of the label images of a folder, without the margin that is cut off.
[[nodiscard]] std::vector<septum::labels> read_cells(std::filesystem::path const& path,
                                                     evaluation_request const& request);

}  // namespace program
