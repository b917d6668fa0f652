#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <septum/image/types.hpp>
#include <septum/io/image.hpp>
#include <septum/net/model.hpp>
#include <string>
#include <vector>

#include "inputs.hpp"
#include "memory_plan.hpp"
#include "nets.hpp"
#include "options.hpp"
#include "prediction.hpp"
#include "refinement.hpp"

namespace program {

/// Where the results of a run go.
struct segmentation_request {
  std::filesystem::path model;
  std::filesystem::path out;
  refinement refining{};
  /// finds the nuclei that seed contours; their results go below out/nuclei
  std::optional<septum::model> nuclear_model{};
  bool write_probabilities = false;
  bool write_overlays = true;
  std::size_t memory_mb = 512;
  septum::convolution_algorithm convolution = septum::convolution_algorithm::automatic;
  double pixel_size_um = 0.0;  ///< 0: what image or model say
  bool pad_by_reflection = false;
  bool turns = false;          ///< every frame is seen in its eight turns and reflections
  bool measure_spread = true;  ///< how far the nets of an ensemble agree about each cell
  bool zero_nonfinite = false;
  std::size_t memory_limit_mb = 0;           ///< of the whole process; 0: what is free
  std::string rows = "auto";                 ///< segment row by row: auto, always, never
  int largest_tile = 1 << 20;                ///< side of a tile in pixels
  std::optional<cascade_request> cascade{};  ///< of the net of the cells
};

/// Cells of one class.
struct class_summary {
  std::string name;  ///< empty: undecided
  std::int64_t cells = 0;
  /// number of cells by their score of the class, in equal bins over [0, 1]
  std::vector<std::int64_t> histogram;
};

/// What a run did.
struct segmentation_result {
  /// read, normalize, predict, refine, write: sums over the frames, which may overlap
  std::map<std::string, double> seconds;
  std::int64_t cells = 0;
  std::int64_t nuclei = 0;
  std::vector<class_summary> classes;  ///< where there are several to choose from
  std::size_t frames = 0;
  std::size_t peak_bytes = 0;
  std::uint64_t planned_bytes = 0;
  std::size_t frames_by_rows = 0;  ///< segmented row by row
  double computed_share = 1.0;     ///< of outputs that the net of the cells computed
  std::optional<double> cascade_threshold{};
};

/// What a run will need at most, and what it may take.
struct segmentation_plan {
  memory_plan whole;            ///< of the largest frame, segmented whole
  memory_plan by_rows;          ///< of the largest frame, segmented row by row
  std::string why_not_by_rows;  ///< empty when it can be
  std::uint64_t allowed_bytes = 0;
};

/// Plans a run without running it.
[[nodiscard]] segmentation_plan plan_segmentation(std::vector<input_frame> const& frames,
                                                  septum::model const& trained,
                                                  segmentation_request const& request,
                                                  common_options const& common);

/// Prints a plan, for people or as JSON.
void print_plan(segmentation_plan const& plan, common_options const& common);

/// Channels that the frames of a run have: those of the model, then what the nuclear one adds.
[[nodiscard]] std::vector<std::string> channels_of_run(septum::model const& trained,
                                                       segmentation_request const& request);

/// Segments frames, several at the same time, with a progress bar; the results appear complete or
/// not at all, and do not depend on how many are under way.
segmentation_result segment_frames(std::vector<input_frame> const& frames,
                                   septum::model const& trained,
                                   segmentation_request const& request,
                                   common_options const& common);

}  // namespace program
