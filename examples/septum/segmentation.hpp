#pragma once
#include <filesystem>
#include <map>
#include <septum/image/types.hpp>
#include <septum/io/image.hpp>
#include <septum/net/model.hpp>
#include <string>
#include <vector>

#include "inputs.hpp"
#include "nets.hpp"
#include "options.hpp"

namespace program {

/// What turns probabilities into cells. Names and units as on the command line.
struct refinement {
  double threshold = 0.6;
  std::int64_t area_min_px = 25;
  std::int64_t area_max_px = 0;  ///< 0: none
  double solidity_min = 0.0;
  double eccentricity_min = 0.0;
  double eccentricity_max = 1.0;
  bool clear_border = false;
  bool fill_holes = true;
  int grow_px = 0;  ///< dilates cells into background without merging them
};

/// The published settings per application (published nets: post-processing).
/// @throws septum::unsupported_error on an unknown name
[[nodiscard]] refinement preset_refinement(std::string const& name);

/// Threshold, components, holes, region filters, growth.
[[nodiscard]] septum::labels refine(septum::probabilities const& classes, septum::image const& raw,
                                    refinement const& options);

/// Where the results of a run go.
struct segmentation_request {
  std::filesystem::path model;
  std::filesystem::path out;
  refinement refining{};
  bool write_probabilities = false;
  bool write_overlays = true;
  std::size_t memory_mb = 512;
  double pixel_size_um = 0.0;  ///< 0: what image or model say
  bool pad_by_reflection = false;
  bool zero_nonfinite = false;
};

/// What a run did.
struct segmentation_result {
  std::map<std::string, double> seconds;  ///< read, normalize, predict, refine, write
  std::int64_t cells = 0;
  std::size_t frames = 0;
  std::size_t peak_bytes = 0;
};

/// Segments frames one by one with a progress bar; the results appear complete or not at all.
segmentation_result segment_frames(std::vector<input_frame> const& frames,
                                   septum::model const& trained,
                                   segmentation_request const& request,
                                   common_options const& common);

/// Largest resident memory of this process so far, in bytes.
[[nodiscard]] std::size_t peak_memory_bytes();

}  // namespace program
