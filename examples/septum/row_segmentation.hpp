#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <septum/io/cells.hpp>
#include <string>

#include "inputs.hpp"
#include "memory_plan.hpp"
#include "prediction.hpp"
#include "segmentation.hpp"

namespace program {

/// Why frames cannot be segmented row by row with these settings; empty when they can.
[[nodiscard]] std::string why_not_by_rows(septum::model const& trained,
                                          segmentation_request const& request,
                                          common_options const& common);

/// What segmenting one frame row by row needs.
[[nodiscard]] memory_plan plan_by_rows(input_frame const& frame, frame_predictor const& net,
                                       common_options const& common);

/// Where the results of one frame go.
struct row_results {
  std::filesystem::path folder;  ///< for temporary files: the size of the image in bits
  std::filesystem::path labels;
  double pixel_size_um = 0.0;
  septum::io::cells_writer* table = nullptr;
};

/// Segments an image larger than the memory: its rows are read as often as there are passes, and
/// what lies between two passes, a bit per pixel, is on the disk. Labels and table are those that
/// the whole image would give. Returns the number of cells.
/// @param on_progress  called with what is done, and of which step
/// @throws septum::error as segmenting the whole image, and where cells hang together so much that
///         the plan would not hold
std::int64_t segment_by_rows(input_frame const& frame, frame_predictor& net,
                             segmentation_request const& request, common_options const& common,
                             row_results const& results, std::map<std::string, double>& seconds,
                             std::function<void(double, std::string const&)> const& on_progress);

}  // namespace program
