#include "tracking_evaluation.hpp"

#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/csv.hpp>
#include <septum/io/ctc.hpp>
#include <septum/io/frames.hpp>
#include <septum/io/image.hpp>
#include <septum/measure/tracking.hpp>
#include <string>
#include <utility>
#include <vector>

#include "progress.hpp"
#include "signals.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;
namespace sp = septum;

/// A movie whose labels are tracks.
struct tracked_movie {
  std::vector<sp::ctc_track> tracks;
  std::vector<fs::path> masks;
  std::map<std::int64_t, fs::path> segmentation;  ///< true outlines, where they are kept apart
};

bool is_ctc(fs::path const& path) {
  for (fs::path const& place : {path, path / "TRA"})
    if (fs::is_regular_file(place / "res_track.txt") ||
        fs::is_regular_file(place / "man_track.txt"))
      return true;
  return false;
}

bool is_simulation(fs::path const& path) {
  return fs::is_regular_file(path / "lineage.csv") && fs::is_directory(path / "truth");
}

std::optional<fs::path> ctc_in(fs::path const& path) {
  for (fs::path const& place : {path, path / "ctc"})
    if (is_ctc(place)) return place;
  return std::nullopt;
}

tracked_movie read_simulation(fs::path const& path) {
  tracked_movie movie;
  sp::io::csv_table const table{path / "lineage.csv"};
  std::array const columns{table.column("id"), table.column("first_frame"),
                           table.column("last_frame"), table.column("parent")};
  for (std::size_t row = 0; row < table.rows(); ++row)
    movie.tracks.push_back(
        {table.number<std::int64_t>(row, columns[0]), table.number<std::int64_t>(row, columns[1]),
         table.number<std::int64_t>(row, columns[2]), table.number<std::int64_t>(row, columns[3])});
  for (auto const& frame : sp::io::list_frames(path / "truth")) movie.masks.push_back(frame.path);
  return movie;
}

tracked_movie read_ctc(fs::path const& path) {
  sp::io::ctc_folder const folder{path};
  sp::io::expect_valid_ctc(folder);
  tracked_movie movie{folder.tracks(), folder.masks(), {}};
  // True outlines lie beside TRA, for some frames only.
  for (fs::path const& place : {path / "SEG", path.parent_path() / "SEG"}) {
    if (!fs::is_directory(place)) continue;
    for (auto const& frame : sp::io::list_frames(place, true))
      movie.segmentation.emplace(frame.index, frame.path);
    break;
  }
  return movie;
}

tracked_movie read_movie(fs::path const& path) {
  auto const ctc = ctc_in(path);
  return ctc ? read_ctc(*ctc) : read_simulation(path);
}

nlohmann::ordered_json value_of(std::optional<double> const& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}
std::string text_of(std::optional<double> const& value) {
  return value ? sp::to_text(*value, 4) : "n/a";
}
std::optional<double> mean_of(std::optional<double> a, std::optional<double> b) {
  return a && b ? std::optional{(*a + *b) / 2} : std::nullopt;
}

}  // namespace

bool is_tracked_movie(fs::path const& path) {
  return fs::is_directory(path) && (ctc_in(path) || is_simulation(path));
}

nlohmann::ordered_json evaluate_tracked(fs::path const& prediction, fs::path const& truth,
                                        evaluation_request const& request,
                                        common_options const& common) {
  auto const found = read_movie(prediction);
  auto const wanted = read_movie(truth);
  if (found.masks.size() != wanted.masks.size())
    throw sp::shape_error{"septum.program.85", prediction.string() + ": expected " +
                                                   std::to_string(wanted.masks.size()) +
                                                   " frames as in " + truth.string() + ", found " +
                                                   std::to_string(found.masks.size())};
  sp::tracking_evaluator tracking{wanted.tracks, found.tracks};
  evaluation objects;
  objects.request = request;
  progress_bar bar{"comparing", !common.quiet};
  for (std::size_t f = 0; f < wanted.masks.size(); ++f) {
    stop_if_interrupted();
    auto const predicted = sp::io::read_labels(found.masks[f]);
    auto const marked = sp::io::read_labels(wanted.masks[f]);
    objects.add(marked, predicted, common.executor());
    auto const table = sp::count_overlaps(marked, predicted);
    tracking.add_frame(table);
    auto const outlines = wanted.segmentation.find(static_cast<std::int64_t>(f));
    if (wanted.segmentation.empty())
      tracking.add_segmentation(table);
    else if (outlines != wanted.segmentation.end())
      tracking.add_segmentation(
          sp::count_overlaps(sp::io::read_labels(outlines->second), predicted));
    bar.update(static_cast<double>(f + 1) / static_cast<double>(wanted.masks.size()),
               "frame " + std::to_string(f + 1));
  }
  auto const errors = tracking.errors();
  constexpr std::int64_t tolerance = 1;
  auto const divisions = tracking.divisions(tolerance);
  auto result = objects.to_json();
  result["seg"] = value_of(tracking.seg());
  result["det"] = value_of(errors.det());
  result["tra"] = value_of(errors.tra());
  result["lnk"] = value_of(errors.lnk());
  result["op_csb"] = value_of(mean_of(tracking.seg(), errors.det()));
  result["op_ctb"] = value_of(mean_of(tracking.seg(), errors.tra()));
  result["division_f1"] = value_of(divisions.f1());
  result["divisions"] = {{"tolerance_frames", tolerance},
                         {"true_positives", divisions.true_positives},
                         {"false_positives", divisions.false_positives},
                         {"false_negatives", divisions.false_negatives}};
  for (std::int64_t frames = 0; frames <= 3; ++frames)
    result["branching_correctness"][std::to_string(frames)] =
        value_of(tracking.divisions(frames).f1());
  auto const complete = tracking.complete_tracks();
  result["complete_tracks"] = value_of(complete.value());
  result["track_fractions"] = value_of(tracking.track_fractions());
  result["tracks_truth"] = complete.truth;
  result["tracks_prediction"] = complete.result;
  result["graph_errors"] = {
      {"cells_missed", errors.missed},     {"cells_invented", errors.invented},
      {"cells_joined", errors.merged},     {"links_missing", errors.missing_links},
      {"links_wrong", errors.wrong_links}, {"links_of_wrong_kind", errors.confused_links}};
  say(common, objects.to_lines());
  say(common, "SEG " + text_of(tracking.seg()) + ", DET " + text_of(errors.det()) + ", TRA " +
                  text_of(errors.tra()) + ", LNK " + text_of(errors.lnk()) + "; divisions F1 " +
                  text_of(divisions.f1()) + " within 1 frame (" +
                  std::to_string(divisions.true_positives) + " found, " +
                  std::to_string(divisions.false_positives) + " invented, " +
                  std::to_string(divisions.false_negatives) + " missed); complete tracks " +
                  text_of(complete.value()));
  return result;
}

}  // namespace program
