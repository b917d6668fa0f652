#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "label_movie.hpp"
#include "options.hpp"

namespace program {

/// What to track and how.
struct tracking_request {
  std::filesystem::path out;
  std::string preset = "bacteria";
  std::optional<double> max_distance;
  std::optional<int> gap_frames;
  bool splitting = false;
  bool merging = false;
  bool correct_drift = false;
  bool write_masks = true;  ///< the folder in the format of the Cell Tracking Challenge
  bool write_trackmate = false;
  bool write_geff = false;
  double pixel_size_um = 0.0;  ///< 0: unknown
  double frame_interval_min = 0.0;
  std::filesystem::path checkpoint;  ///< empty: none
};

/// What came out.
struct tracking_summary {
  std::size_t frames = 0;
  std::int64_t cells = 0;
  std::int64_t tracks = 0;
  std::int64_t divisions = 0;
  std::map<std::string, std::int64_t> links;   ///< by kind
  std::map<std::string, std::int64_t> starts;  ///< tracks by how they begin
  std::map<std::string, std::int64_t> ends;
  std::map<std::string, double> seconds;
  std::size_t peak_bytes = 0;
};

/// Tracks the cells of label images: links.csv, tracks.csv, the family trees and ctc/.
tracking_summary track_labels(label_movie const& movie, tracking_request const& request,
                              common_options const& common);

/// Tracks a table of points (CSV with id, frame, x, y), or the spots of a TrackMate file.
tracking_summary track_points(std::filesystem::path const& points, tracking_request const& request,
                              common_options const& common);

}  // namespace program
