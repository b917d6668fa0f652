#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/regions.hpp>
#include <septum/io/csv.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// How far the nets of an ensemble agree about a cell; NaN where it is not known.
struct net_spread {
  double area_sd_px = 0;   ///< standard deviation of its area between the nets
  double interior_sd = 0;  ///< of its mean interior probability
};

/// Writes `cells.csv`: one row per cell per frame, units in the header. Columns: image, frame,
/// label, class, area_px, area_um2, centroid_y_px, centroid_x_px, major_axis_px, minor_axis_px,
/// eccentricity, solidity, orientation_rad, perimeter_px, touches_border, mean_<channel> of every
/// channel, score_<class> of every class to choose from, and for ensembles area_sd_px and
/// interior_sd. Fields that are not known (area_um2
/// without a pixel size, class) are empty.
class cells_writer {
 public:
  cells_writer(std::filesystem::path const& path, std::vector<std::string> const& channels,
               std::vector<std::string> const& scored_classes = {}, bool with_spread = false)
      : channels_{channels.size()},
        scores_{scored_classes.size()},
        with_spread_{with_spread},
        table_{path, columns(channels, scored_classes, with_spread)} {}

  /// Appends the cells of one frame; regions of area 0 (numbers that no pixel carries) are left
  /// out.
  /// @param name           of the image, as the user knows it
  /// @param cells          as measure_regions gives them
  /// @param pixel_size_um  0 when unknown
  /// @param classes        name of the class of every entry of `cells`, or empty
  /// @param scores         of every scored class, for every entry of `cells`
  /// @param spread         for every entry of `cells`, or empty
  /// throws     shape_error when a cell lacks the intensity of a channel or a score, or `classes`,
  ///            `scores` or `spread` have another length
  void add(std::string_view name, std::int64_t frame, std::span<region_properties const> cells,
           double pixel_size_um = 0.0, std::span<std::string const> classes = {},
           std::span<std::vector<double> const> scores = {},
           std::span<net_spread const> spread = {}) {
    SEPTUM_EXPECTS(spread.empty() || spread.size() == cells.size(),
                   shape_error("septum.cells.4", "cells: expected the spread of each of " +
                                                     to_text(cells.size()) + " cells, found " +
                                                     to_text(spread.size())));
    SEPTUM_EXPECTS(classes.empty() || classes.size() == cells.size(),
                   shape_error("septum.cells.1", "cells: expected a class for each of " +
                                                     to_text(cells.size()) + " cells, found " +
                                                     to_text(classes.size())));
    for (std::size_t i = 0; i < (scores_ > 0 ? cells.size() : 0); ++i)
      SEPTUM_EXPECTS(scores.size() == cells.size() && scores[i].size() == scores_,
                     shape_error("septum.cells.3", "cells: expected " + to_text(scores_) +
                                                       " scores for each of " +
                                                       to_text(cells.size()) + " cells"));
    for (std::size_t i = 0; i < cells.size(); ++i) {
      region_properties const& cell = cells[i];
      if (cell.area_px == 0) continue;
      SEPTUM_EXPECTS(
          cell.intensity.size() >= channels_,
          shape_error("septum.cells.2", "cells: expected the intensity of " + to_text(channels_) +
                                            " channels, found " + to_text(cell.intensity.size())));
      std::string const area_um2 =
          pixel_size_um > 0.0
              ? csv_field(static_cast<double>(cell.area_px) * pixel_size_um * pixel_size_um)
              : std::string{};
      std::vector<std::string> fields{std::string{name},
                                      to_text(frame),
                                      to_text(cell.label),
                                      classes.empty() ? std::string{} : classes[i],
                                      to_text(cell.area_px),
                                      area_um2,
                                      csv_field(cell.centroid_row_px),
                                      csv_field(cell.centroid_column_px),
                                      csv_field(cell.major_axis_px),
                                      csv_field(cell.minor_axis_px),
                                      csv_field(cell.eccentricity),
                                      csv_field(cell.solidity),
                                      csv_field(cell.orientation_rad),
                                      csv_field(cell.perimeter_px),
                                      csv_field(cell.touches_border)};
      for (std::size_t channel = 0; channel < channels_; ++channel)
        fields.push_back(csv_field(cell.intensity[channel].mean));
      for (std::size_t k = 0; k < scores_; ++k) fields.push_back(csv_field(scores[i][k]));
      if (with_spread_) {
        fields.push_back(spread.empty() ? std::string{} : csv_field(spread[i].area_sd_px));
        fields.push_back(spread.empty() ? std::string{} : csv_field(spread[i].interior_sd));
      }
      table_.row_of(fields);
      ++rows_;
    }
  }

  /// Rows written so far.
  [[nodiscard]] std::size_t rows() const { return rows_; }
  void commit() { table_.commit(); }

 private:
  [[nodiscard]] static std::vector<std::string> columns(
      std::vector<std::string> const& channels, std::vector<std::string> const& scored_classes,
      bool with_spread) {
    std::vector<std::string> names{
        "image",        "frame",         "label",           "class",         "area_px",
        "area_um2",     "centroid_y_px", "centroid_x_px",   "major_axis_px", "minor_axis_px",
        "eccentricity", "solidity",      "orientation_rad", "perimeter_px",  "touches_border"};
    for (std::string const& channel : channels) names.push_back("mean_" + channel);
    for (std::string const& name : scored_classes) names.push_back("score_" + name);
    if (with_spread) names.insert(names.end(), {"area_sd_px", "interior_sd"});
    return names;
  }

  std::size_t channels_;
  std::size_t scores_;
  bool with_spread_;
  csv_writer table_;
  std::size_t rows_ = 0;
};

}  // namespace septum::inline SEPTUM_ABI::io
