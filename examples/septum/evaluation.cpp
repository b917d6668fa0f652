#include "evaluation.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/components.hpp>
#include <septum/image/morphology.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/csv.hpp>
#include <septum/io/frames.hpp>
#include <septum/io/image.hpp>
#include <septum/io/roi_set.hpp>
#include <septum/measure/bootstrap.hpp>
#include <span>
#include <string>

#include "crop.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;

nlohmann::ordered_json value_of(std::optional<double> const& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

std::string key_of(double threshold) { return septum::to_text(threshold); }

std::string text_of(std::optional<double> const& value) {
  return value ? septum::to_text(*value, 3) : "n/a";
}

bool is_truth_folder(fs::path const& path) {
  auto const files = septum::io::list_dataset(path);
  // Without an image beside them, labels_t001.tif, labels_t002.tif, ... are frames, not cell types.
  return files.instances.has_value() || !files.interiors.empty() ||
         (!files.cell_types.empty() && !files.channels.empty());
}

// ImageJ's areas, on the image of the first channel where they do not say its size themselves.
std::vector<septum::labels> read_areas(fs::path const& path,
                                       std::vector<septum::io::channel_file> const& channels,
                                       evaluation_request const& request) {
  auto set = septum::io::read_roi_set(path);
  if (set.rows == 0 && !channels.empty()) {
    auto const pixels = septum::io::read_image(channels.front().path);
    set.rows = pixels.shape()[0];
    set.columns = pixels.shape()[1];
  }
  if (set.rows == 0)
    throw septum::unsupported_error("septum.program.44",
                                    path.string() +
                                        ": ImageJ's areas do not say the size of their image; "
                                        "turn them into labels with septum convert --like IMAGE");
  std::vector<septum::labels> frames;
  for (std::size_t frame = 0; frame < set.frames; ++frame)
    frames.push_back(
        cropped(septum::io::paint_areas(set, set.rows, set.columns, path.string(), frame).cells,
                request.crop_px));
  return frames;
}

}  // namespace

void evaluation::add(septum::labels const& truth, septum::labels const& prediction,
                     septum::exec::threads threads) {
  auto const table = septum::count_overlaps(truth, prediction);
  auto const found = septum::count_matches(table, septum::iou_thresholds);
  if (counts.empty()) {
    counts = found;
  } else {
    for (std::size_t k = 0; k < counts.size(); ++k) counts[k] += found[k];
  }
  seg += septum::seg(table);
  overlap += septum::agree_by_largest_overlap(table);
  boundary += septum::count_boundary(truth, prediction, request.boundary_tolerance_px, threads);
  for (auto const& cell : septum::cell_outcomes(table, counts.front().threshold)) {
    cells.push_back(cell);
    frame_of_cell.push_back(frames);
  }
  ++frames;
}

nlohmann::ordered_json evaluation::intervals(septum::exec::threads threads) const {
  nlohmann::ordered_json result;
  auto const add = [&](std::string const& name, auto const& score) {
    auto const interval = septum::bootstrap_interval(
        cells.size(),
        [&](std::span<std::size_t const> places) {
          return score(septum::score_outcomes(cells, places));
        },
        {.replicates = request.bootstrap_replicates, .seed = request.seed}, threads);
    result[name] = interval ? nlohmann::ordered_json{interval->low, interval->high}
                            : nlohmann::ordered_json(nullptr);
  };
  using scores = septum::outcome_scores;
  add("ap", [](scores const& each) { return each.counts.average_precision(); });
  add("f1", [](scores const& each) { return each.counts.f1(); });
  add("pq", [](scores const& each) { return each.counts.panoptic_quality(); });
  add("seg", [](scores const& each) { return each.seg.value(); });
  add("jaccard_mean", [](scores const& each) { return each.jaccard_mean(); });
  add("dice_mean", [](scores const& each) { return each.dice_mean(); });
  return result;
}

void evaluation::write_cells(fs::path const& path) const {
  septum::io::csv_writer table{path,
                               {"frame", "fate", "truth_label", "prediction_label", "truth_area_px",
                                "prediction_area_px", "iou", "seg", "jaccard", "dice"}};
  for (std::size_t k = 0; k < cells.size(); ++k) {
    auto const& cell = cells[k];
    auto const fate = cell.fate == septum::cell_verdict::found    ? "found"
                      : cell.fate == septum::cell_verdict::missed ? "missed"
                                                                  : "invented";
    table.row(frame_of_cell[k], fate, cell.truth_label, cell.prediction_label, cell.truth_area_px,
              cell.prediction_area_px, cell.iou, cell.seg, cell.jaccard, cell.dice);
  }
  table.commit();
}

nlohmann::ordered_json evaluation::to_json() const {
  nlohmann::ordered_json result;
  auto const& first = counts.front();
  result["frames"] = frames;
  result["objects_truth"] = first.true_positives + first.false_negatives;
  result["objects_prediction"] = first.true_positives + first.false_positives;
  for (auto const& each : counts) {
    auto const key = key_of(each.threshold);
    result["true_positives"][key] = each.true_positives;
    result["false_positives"][key] = each.false_positives;
    result["false_negatives"][key] = each.false_negatives;
    result["ap"][key] = value_of(each.average_precision());
    result["f1"][key] = value_of(each.f1());
  }
  result["pq"] = value_of(first.panoptic_quality());
  result["jaccard_mean"] = value_of(overlap.jaccard_mean());
  result["jaccard_sd"] = value_of(overlap.jaccard_sd());
  result["dice_mean"] = value_of(overlap.dice_mean());
  result["dice_sd"] = value_of(overlap.dice_sd());
  result["cells"] = overlap.jaccard.size();
  result["cells_dropped"] = overlap.dropped;
  result["seg"] = value_of(seg.value());
  result["boundary_f1"] = value_of(boundary.f1());
  result["boundary_precision"] = value_of(boundary.precision());
  result["boundary_recall"] = value_of(boundary.recall());
  result["boundary_tolerance_px"] = request.boundary_tolerance_px;
  return result;
}

std::string evaluation::to_lines() const {
  auto const& at_half = counts.front();
  auto const at_three_quarters =
      std::find_if(counts.begin(), counts.end(),
                   [](septum::match_counts const& each) { return each.threshold == 0.75; });
  return "AP@0.5 " + text_of(at_half.average_precision()) + " (" +
         std::to_string(at_half.true_positives) + " found, " +
         std::to_string(at_half.false_positives) + " invented, " +
         std::to_string(at_half.false_negatives) + " missed), AP@0.75 " +
         text_of(at_three_quarters->average_precision()) + ", F1@0.5 " + text_of(at_half.f1()) +
         "\nJaccard " + text_of(overlap.jaccard_mean()) + " +- " + text_of(overlap.jaccard_sd()) +
         ", Dice " + text_of(overlap.dice_mean()) + " +- " + text_of(overlap.dice_sd()) + " over " +
         std::to_string(overlap.jaccard.size()) + " cells (" + std::to_string(overlap.dropped) +
         " without overlap left out), SEG " + text_of(seg.value()) + ", PQ " +
         text_of(at_half.panoptic_quality()) + ", boundary F " + text_of(boundary.f1());
}

std::vector<septum::labels> read_cells(fs::path const& path, evaluation_request const& request) {
  if (septum::io::detail::holds_areas(path)) return read_areas(path, {}, request);
  if (!fs::is_directory(path)) return {cropped(septum::io::read_labels(path), request.crop_px)};
  if (is_truth_folder(path)) {
    auto const files = septum::io::list_dataset(path);
    if (files.instances && septum::io::detail::holds_areas(*files.instances))
      return read_areas(*files.instances, files.channels, request);
    if (files.instances)
      return {cropped(septum::io::read_labels(*files.instances), request.crop_px)};
    if (!files.cell_types.empty())
      return {cropped(*septum::io::read_dataset(path).instances, request.crop_px)};
    septum::mask interior;
    for (auto const& file : files.interiors) {
      auto const pixels = septum::io::read_mask(file.path);
      if (interior.size() == 0) interior = pixels;
      for (std::size_t i = 0; i < std::min(interior.size(), pixels.size()); ++i)
        interior.data()[i] |= pixels.data()[i];
    }
    // The crop comes first, as in the published scores.
    interior = cropped(interior, request.crop_px);
    if (request.erode_truth) interior = septum::erode(interior, septum::cross{.radius_px = 1});
    return {septum::connected_components(interior, septum::connectivity::eight)};
  }
  std::vector<septum::labels> frames;
  for (auto const& frame : septum::io::list_frames(path))
    frames.push_back(cropped(septum::io::read_labels(frame.path), request.crop_px));
  return frames;
}

}  // namespace program
