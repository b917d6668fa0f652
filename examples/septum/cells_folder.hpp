#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <septum/exec/for_each.hpp>
#include <septum/image/regions.hpp>
#include <septum/image/types.hpp>
#include <septum/io/cells.hpp>
#include <septum/io/output_folder.hpp>
#include <septum/measure/ensemble_spread.hpp>
#include <span>
#include <string>
#include <vector>

#include "inputs.hpp"
#include "options.hpp"
#include "prediction.hpp"
#include "segmentation.hpp"

namespace program {

/// How many times larger than a frame its overlay is drawn.
[[nodiscard]] int overlay_scale(std::size_t height, std::size_t width);

/// One of the folders of results: cells, or nuclei. Refers to the folder of the run, the request
/// and the options.
class cells_folder {
 public:
  /// @param lead            of its paths in the folder: empty, or "nuclei/"
  /// @param channels        of the frames
  /// @param scored_classes  that cells have scores of
  /// @param with_spread     whether cells come with what the nets of an ensemble differ in
  cells_folder(septum::io::output_folder& folder, std::string lead,
               segmentation_request const& request, common_options const& common,
               std::vector<std::string> const& channels,
               std::vector<std::string> const& scored_classes = {}, bool with_spread = false);

  /// Writes the files of a frame and measures its cells. May be called for different frames at the
  /// same time.
  /// @throws septum::io_error when a file cannot be written
  [[nodiscard]] std::vector<septum::region_properties> write(
      input_frame const& frame, septum::image const& pixels, septum::labels const& cells,
      septum::probabilities const& maps, double pixel_size_um, septum::exec::threads threads) const;
  /// Adds the cells of a frame to the table, frames in their order; returns their number.
  std::int64_t add(input_frame const& frame, std::span<septum::region_properties const> regions,
                   double pixel_size_um, std::span<std::string const> classes = {},
                   std::span<std::vector<double> const> scores = {},
                   std::span<septum::ensemble_spread const> spread = {});
  /// Segments a frame row by row; returns the number of its cells.
  /// @throws septum::error as segment_by_rows
  std::int64_t add_by_rows(input_frame const& frame, frame_predictor& net, double pixel_size_um,
                           std::map<std::string, double>& seconds,
                           std::function<void(double, std::string const&)> const& on_progress);
  /// Ends the table.
  void commit() { table_.commit(); }

 private:
  septum::io::output_folder* folder_;
  std::string lead_;
  segmentation_request const* request_;
  common_options const* common_;
  septum::io::cells_writer table_;
};

}  // namespace program
