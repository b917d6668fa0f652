#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <septum/image/types.hpp>
#include <septum/measure/audit.hpp>
#include <septum/measure/cell_cycle.hpp>
#include <septum/measure/cell_statistics.hpp>
#include <septum/measure/growth.hpp>
#include <septum/measure/translocation.hpp>
#include <string>
#include <utility>
#include <vector>

#include "inputs.hpp"
#include "options.hpp"

namespace program {

/// Stands for what is not known, in numbers that files and figures take.
inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// What is measured, and how.
struct measurement_request {
  std::filesystem::path labels;       ///< folder of label images, one per frame
  std::filesystem::path links;        ///< links.csv; empty: no growth
  std::filesystem::path nuclei;       ///< label images of nuclei by the same names; empty: none
  std::filesystem::path cells_table;  ///< cells.csv of the segmentation; empty: none
  std::vector<input_frame> images;    ///< matched to label images by stem, or else by number
  std::vector<std::string> channels;  ///< of the images
  std::string reporter;               ///< channel of a translocation reporter; empty: none
  double pixel_size_um = 0;           ///< 0: what the label images say
  double frame_interval_min = 0;      ///< 0: what the images say, else the paper's 5 min
  septum::across_division divisions = septum::across_division::continued;
  int window = 7;
  int neighbour_reach_px = 3;  ///< segmentation leaves a rim between cells that touch
  int border_px = 0;           ///< width of the rim that the net cannot see: cells in it may be cut
  septum::audit_limits audit{};
};

/// One frame of a measured movie.
struct measured_frame {
  std::int64_t number = 0;
  std::string stem;
  std::filesystem::path labels;
  std::optional<std::size_t> image;  ///< its place in the request's images
};

/// Everything measured on one movie.
struct measurement {
  double pixel_size_um = 0;  ///< 0: not known, so areas and lengths are in pixels
  double frame_interval_min = 5;
  bool interval_known = false;
  bool tracked = false;
  bool spread_known = false;  ///< whether an ensemble's nets said how far they agree
  std::vector<std::string> channels;
  std::vector<measured_frame> frames;
  std::vector<std::vector<septum::cell_statistics>> cells;  ///< by frame; area 0: no such cell
  /// standard deviation of areas between the nets, px, by frame and label; without unknown ones
  std::vector<std::map<std::int32_t, double>> area_sd_px;
  std::vector<septum::cell_series> series;
  std::vector<septum::growth_curve> curves;
  std::vector<septum::growth_curve> published;  ///< each daughter against its mother (S12)
  std::vector<septum::cell_cycle> cycles;
  septum::audit_report audit;
  std::vector<std::vector<septum::translocation>> reporters;  ///< by frame; empty without reporter

  /// The track of every cell, by frame number and label.
  [[nodiscard]] std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> track_of_cell() const;
  [[nodiscard]] std::string area_unit() const { return pixel_size_um > 0 ? "um2" : "px2"; }
  [[nodiscard]] std::string length_unit() const { return pixel_size_um > 0 ? "um" : "px"; }
};

/// Measures a movie, frame by frame and with its tracks.
/// @throws septum::error that names the file
[[nodiscard]] measurement measure_movie(measurement_request const& request,
                                        common_options const& common);

/// Writes cells.csv, and where there are tracks growth.csv, rates.csv, cycles.csv and audit.csv,
/// translocation.csv with a reporter, summary.json, and figures/ into a folder.
void write_measurement(std::filesystem::path const& folder, measurement const& measured);

/// Counts and means for scripts and for the report.
[[nodiscard]] nlohmann::ordered_json summary_of(measurement const& measured);

/// One raw frame, or nothing where there is no image of it.
[[nodiscard]] std::optional<septum::image> image_of(measurement_request const& request,
                                                    measured_frame const& frame);

}  // namespace program
