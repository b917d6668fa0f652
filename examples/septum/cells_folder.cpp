#include "cells_folder.hpp"

#include <algorithm>
#include <septum/io/overlay.hpp>
#include <septum/io/tiff.hpp>
#include <utility>

#include "row_segmentation.hpp"

namespace program {

// Small frames are drawn larger, so that cells of ten pixels can be looked at.
int overlay_scale(std::size_t height, std::size_t width) {
  constexpr std::size_t comfortable_side = 640;
  auto const side = std::max(height, width);
  return static_cast<int>(std::clamp<std::size_t>(comfortable_side / side, 1, 4));
}

cells_folder::cells_folder(septum::io::output_folder& folder, std::string lead,
                           segmentation_request const& request, common_options const& common,
                           std::vector<std::string> const& channels,
                           std::vector<std::string> const& scored_classes, bool with_spread)
    : folder_{&folder},
      lead_{std::move(lead)},
      request_{&request},
      common_{&common},
      table_{folder.file(lead_ + "cells.csv"), channels, scored_classes, with_spread} {}

std::vector<septum::region_properties> cells_folder::write(
    input_frame const& frame, septum::image const& pixels, septum::labels const& cells,
    septum::probabilities const& maps, double pixel_size_um, septum::exec::threads threads) const {
  auto regions = septum::measure_regions(cells, pixels, threads);
  septum::io::write_tiff(folder_->file(lead_ + "labels/" + frame.stem + ".tif"), cells,
                         {.pixel_size_um = pixel_size_um});
  if (request_->write_probabilities)
    septum::io::write_tiff(folder_->file(lead_ + "probabilities/" + frame.stem + ".tif"), maps,
                           {.pixel_size_um = pixel_size_um});
  if (request_->write_overlays)
    septum::io::write_overlay(folder_->file(lead_ + "overlay/" + frame.stem + ".png"), pixels,
                              cells,
                              {.scale = overlay_scale(pixels.shape()[0], pixels.shape()[1])});
  return regions;
}

std::int64_t cells_folder::add(input_frame const& frame,
                               std::span<septum::region_properties const> regions,
                               double pixel_size_um, std::span<std::string const> classes,
                               std::span<std::vector<double> const> scores,
                               std::span<septum::ensemble_spread const> spread) {
  std::vector<septum::io::net_spread> between;
  for (auto const& cell : spread) between.push_back({cell.area_sd_px, cell.interior_sd});
  table_.add(frame.source, frame.index, regions, pixel_size_um, classes, scores, between);
  return std::count_if(regions.begin(), regions.end(),
                       [](septum::region_properties const& cell) { return cell.area_px > 0; });
}

std::int64_t cells_folder::add_by_rows(
    input_frame const& frame, frame_predictor& net, double pixel_size_um,
    std::map<std::string, double>& seconds,
    std::function<void(double, std::string const&)> const& on_progress) {
  auto const labels = folder_->file(lead_ + "labels/" + frame.stem + ".tif");
  return segment_by_rows(frame, net, *request_, *common_,
                         {.folder = labels.parent_path(),
                          .labels = labels,
                          .pixel_size_um = pixel_size_um,
                          .table = &table_},
                         seconds, on_progress);
}

}  // namespace program
