#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "measuring.hpp"
#include "segmentation.hpp"
#include "tracking.hpp"

namespace program {

/// One position of an experiment: one movie.
struct position {
  std::string name;  ///< of its folder of results
  /// a folder of frames or a time series; empty when every channel has its own
  std::filesystem::path images;
  /// folder of frames or time series of every channel
  std::map<std::string, std::filesystem::path> channels;
};

/// A whole experiment as its TOML file describes it. Paths are relative to that file.
struct experiment_config {
  std::filesystem::path file;
  std::string name;
  std::filesystem::path out;
  std::vector<std::filesystem::path> models;  ///< several are one ensemble
  std::filesystem::path nuclear_model;        ///< seeds contours; empty: none
  std::vector<position> positions;
  segmentation_request segmentation;  ///< without model and folder
  bool track = true;
  tracking_request tracking;  ///< without folder
  measuring_arguments measuring;
  bool report = true;
  double report_megabytes = 16;
  bool allow_gaps = false;
  /// every setting by its name in the file, for provenance and to know what a result was made with
  std::vector<std::pair<std::string, std::string>> settings;
};

/// Reads an experiment.
/// @throws septum::io_error with file and line, septum::unsupported_error on unknown keys, values
/// of
///         another type or out of range, positions of one name
[[nodiscard]] experiment_config read_experiment(std::filesystem::path const& file);

}  // namespace program
