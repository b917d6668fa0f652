#include "published_evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/components.hpp>
#include <septum/image/morphology.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/csv.hpp>
#include <septum/io/frames.hpp>
#include <septum/io/image.hpp>
#include <septum/measure/cell_class.hpp>
#include <utility>

#include "crop.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;

// The only label image of a folder, or the file itself; nothing when there are several.
std::optional<fs::path> single_label_image(fs::path path) {
  if (fs::is_directory(path / "labels")) path = path / "labels";
  if (!fs::is_directory(path)) return path;
  auto const frames = septum::io::list_frames(path);
  return frames.size() == 1 ? std::optional{frames.front().path} : std::nullopt;
}

std::optional<fs::path> nuclei_of(published_request const& request) {
  if (!request.nuclei.empty()) return single_label_image(request.nuclei);
  if (!fs::is_directory(request.prediction / "nuclei")) return std::nullopt;
  return single_label_image(request.prediction / "nuclei");
}

template <class Reference, class Pixels>
void require_same_extents(Reference const& reference, Pixels const& pixels, fs::path const& path) {
  auto const text = [](auto const& each) {
    return std::to_string(each.shape()[0]) + "x" + std::to_string(each.shape()[1]);
  };
  if (reference.shape()[0] != pixels.shape()[0] || reference.shape()[1] != pixels.shape()[1])
    throw septum::shape_error("septum.program.37", path.string() + ": expected " + text(reference) +
                                                       " pixels, found " + text(pixels));
}

// All drawn interiors together.
septum::mask drawn_interior(septum::io::dataset_files const& files) {
  septum::mask interior = septum::io::read_mask(files.interiors.front().path);
  for (auto const& file : files.interiors) {
    auto const pixels = septum::io::read_mask(file.path);
    require_same_extents(interior, pixels, file.path);
    for (std::size_t p = 0; p < pixels.size(); ++p) interior.data()[p] |= pixels.data()[p];
  }
  return interior;
}

// An image file in the truth's folder by its name, or a file anywhere.
fs::path marker_file(fs::path const& folder, std::string const& name) {
  if (fs::is_directory(folder))
    for (auto const& channel : septum::io::list_dataset(folder).channels)
      if (channel.name == name) return channel.path;
  return name;
}

struct class_marker {
  std::string name;
  fs::path file;
};

std::vector<class_marker> markers_of(published_request const& request) {
  std::vector<class_marker> markers;
  for (auto const& text : request.classes) {
    auto const equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      throw septum::unsupported_error(
          "septum.program.35",
          "--classes " + septum::printable(text) + ": expected CLASS=CHANNEL, e.g. interior_1=cfp");
    markers.push_back(
        {text.substr(0, equals), marker_file(request.truth, text.substr(equals + 1))});
  }
  if (markers.size() < 2)
    throw septum::unsupported_error(
        "septum.program.35",
        "--classes: expected two or more classes, found " + std::to_string(markers.size()));
  return markers;
}

// Scores of every cell from the table that `segment` wrote; entry k is label k + 1.
std::vector<septum::cell_class> decided_classes(fs::path const& folder, std::int32_t count,
                                                std::vector<class_marker> const& markers,
                                                double score_min) {
  septum::io::csv_table const table{folder / "cells.csv"};
  auto const label_column = table.column("label");
  std::vector<std::size_t> columns;
  for (auto const& marker : markers) columns.push_back(table.column("score_" + marker.name));
  std::vector<septum::cell_class> cells(static_cast<std::size_t>(count));
  for (std::size_t k = 0; k < cells.size(); ++k) {
    cells[k].label = static_cast<std::int32_t>(k + 1);
    cells[k].shares.assign(columns.size(), 0.0);
  }
  for (std::size_t row = 0; row < table.rows(); ++row) {
    auto const label = table.number<std::int32_t>(row, label_column);
    if (label < 1 || label > count) continue;
    auto& cell = cells[static_cast<std::size_t>(label - 1)];
    for (std::size_t k = 0; k < columns.size(); ++k)
      cell.shares[k] = table.number<double>(row, columns[k]);
    auto const leading = std::max_element(cell.shares.begin(), cell.shares.end());
    if (*leading > 0 && *leading >= score_min)
      cell.decision = static_cast<int>(leading - cell.shares.begin());
  }
  return cells;
}

nlohmann::ordered_json confusion_json(septum::class_confusion const& counts,
                                      std::vector<class_marker> const& markers) {
  nlohmann::ordered_json result;
  for (std::size_t k = 0; k < markers.size(); ++k) {
    auto& entry = result[markers[k].name];
    entry["correct"] = counts.right(k);
    entry["wrong"] = counts.wrong(k);
    entry["undecided"] = counts.undecided[k];
    auto const accuracy = counts.accuracy(k);
    entry["accuracy"] =
        accuracy ? nlohmann::ordered_json(*accuracy) : nlohmann::ordered_json(nullptr);
  }
  return result;
}

}  // namespace

std::optional<published_result> published_scores(published_request const& request,
                                                 evaluation_request const& protocol) {
  if (!fs::is_directory(request.truth)) return std::nullopt;
  auto const files = septum::io::list_dataset(request.truth);
  if (files.interiors.empty()) return std::nullopt;
  auto const prediction = single_label_image(request.prediction);
  if (!prediction) return std::nullopt;
  auto interior = cropped(drawn_interior(files), protocol.crop_px);
  if (protocol.erode_truth) interior = septum::erode(interior, septum::cross{.radius_px = 1});
  auto truth = septum::connected_components(interior, septum::connectivity::eight);
  auto const cells = septum::connected_components(
      cropped(septum::io::read_labels(*prediction), protocol.crop_px), septum::connectivity::eight);
  auto const counts =
      septum::count_matches(septum::count_overlaps(truth, cells), std::nextafter(0.5, 1.0));
  std::int64_t dropped = 0;
  if (auto const nuclei_file = nuclei_of(request)) {
    auto const nuclei = cropped(septum::io::read_labels(*nuclei_file), protocol.crop_px);
    require_same_extents(truth, nuclei, *nuclei_file);
    std::vector<std::uint8_t> kept(static_cast<std::size_t>(septum::largest_label(truth)) + 1, 0);
    for (std::size_t p = 0; p < truth.size(); ++p)
      if (nuclei.data()[p] != 0) kept[static_cast<std::size_t>(truth.data()[p])] = 1;
    dropped = std::count(kept.begin() + 1, kept.end(), 0);
    for (std::int32_t& label : truth)
      if (kept[static_cast<std::size_t>(label)] == 0) label = 0;
  }
  auto agreement = septum::agree_by_largest_overlap(septum::count_overlaps(truth, cells));
  agreement.without_nucleus = dropped;
  return published_result{std::move(agreement), counts};
}

void add_published_scores(published_result const& scores, nlohmann::ordered_json& result) {
  result["cells_without_nucleus"] = scores.overlap.without_nucleus;
  result["published_counts"] = {{"true_positives", scores.counts.true_positives},
                                {"false_positives", scores.counts.false_positives},
                                {"false_negatives", scores.counts.false_negatives}};
  result["jaccard_per_cell"] = scores.overlap.jaccard;
  result["dice_per_cell"] = scores.overlap.dice;
}

nlohmann::ordered_json class_scores(published_request const& request) {
  auto const markers = markers_of(request);
  auto const prediction = single_label_image(request.prediction);
  if (!prediction || !fs::is_directory(request.prediction))
    throw septum::unsupported_error("septum.program.36",
                                    request.prediction.string() +
                                        ": expected a folder that septum segment wrote for one "
                                        "image; --classes reads its cells.csv");
  auto const cells = septum::io::read_labels(*prediction);
  std::vector<septum::io::channel_file> channels;
  std::vector<int> classes;
  for (auto const& marker : markers) {
    channels.push_back({marker.name, marker.file});
    classes.push_back(static_cast<int>(classes.size()));
  }
  auto const truth =
      septum::classify_cells_by_markers(cells, septum::io::read_channels(channels).pixels, classes);
  auto const decided = decided_classes(request.prediction, static_cast<std::int32_t>(truth.size()),
                                       markers, request.class_score_min);
  nlohmann::ordered_json result;
  result["cells"] = std::count_if(truth.begin(), truth.end(),
                                  [](auto const& cell) { return cell.decision.has_value(); });
  result["classes"] = confusion_json(septum::compare_classes(truth, decided, classes), markers);
  std::span const all_truth{truth};
  std::span const all_decided{decided};
  std::size_t const most = truth.empty() ? 0 : truth.size() - 1;
  result["classes_without_last_cell"] = confusion_json(
      septum::compare_classes(all_truth.first(most), all_decided.first(most), classes), markers);
  constexpr std::size_t bins = 20;
  auto const last = classes.back();
  auto& histogram = result["score_histogram"];
  histogram["score_of"] = markers.back().name;
  for (std::size_t k = 0; k < markers.size(); ++k) {
    std::vector<septum::cell_class> of_class;
    for (std::size_t cell = 0; cell < truth.size(); ++cell)
      if (truth[cell].decision == classes[k]) of_class.push_back(decided[cell]);
    histogram["true_" + markers[k].name] =
        septum::share_histogram(of_class, static_cast<std::size_t>(last), bins);
  }
  return result;
}

std::string class_lines(nlohmann::ordered_json const& scores) {
  std::string lines = "Classes:";
  for (auto const& [name, counts] : scores.at("classes").items())
    lines += " " + name + " " + counts.at("correct").dump() + " right, " +
             counts.at("wrong").dump() + " wrong, " + counts.at("undecided").dump() + " undecided;";
  lines.back() = '.';
  return lines;
}

}  // namespace program
