#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <string>
#include <vector>

#include "evaluation.hpp"
#include "options.hpp"
#include "published_evaluation.hpp"
#include "tracking_evaluation.hpp"

namespace program {
namespace {

struct evaluate_arguments {
  std::filesystem::path prediction;
  std::filesystem::path truth;
  std::filesystem::path cells;
  bool uneroded = false;
  std::filesystem::path nuclei;
  std::vector<std::string> classes;
  double class_score_min = 0.0;
  evaluation_request request;
};

// The folder that `segment` wrote holds its label images one level down.
std::filesystem::path labels_of(std::filesystem::path const& path) {
  return std::filesystem::is_directory(path / "labels") ? path / "labels" : path;
}

// Accuracy of classes, which needs no drawn truth.
void evaluate_classes(published_request const& request, common_options const& common) {
  auto const scores = class_scores(request);
  say(common, class_lines(scores));
  print_json(common, scores);
}

void evaluate(evaluate_arguments const& given, common_options const& common) {
  published_request const published{given.prediction, given.truth, given.nuclei, given.classes,
                                    given.class_score_min};
  if (!given.classes.empty()) {
    evaluate_classes(published, common);
    return;
  }
  auto request = given.request;
  request.erode_truth = !given.uneroded;
  request.seed = common.seed;
  if (is_tracked_movie(given.prediction) && is_tracked_movie(given.truth)) {
    print_json(common, evaluate_tracked(given.prediction, given.truth, request, common));
    return;
  }
  auto const threads = common.executor();
  auto const predictions = read_cells(labels_of(given.prediction), request);
  auto const truths = read_cells(given.truth, request);
  if (predictions.size() != truths.size())
    throw septum::shape_error("septum.program.16", given.prediction.string() + " has " +
                                                       std::to_string(predictions.size()) +
                                                       " frames, " + given.truth.string() +
                                                       " has " + std::to_string(truths.size()));
  evaluation scores;
  scores.request = request;
  for (std::size_t k = 0; k < truths.size(); ++k) scores.add(truths[k], predictions[k], threads);
  auto const paper = published_scores(published, request);
  if (paper) scores.overlap = paper->overlap;
  if (!given.cells.empty()) scores.write_cells(given.cells);
  say(common, scores.to_lines());
  auto result = scores.to_json();
  if (paper) add_published_scores(*paper, result);
  if (request.bootstrap_replicates > 0) {
    auto const intervals = scores.intervals(threads);
    result["intervals_95"] = intervals;
    std::string line = "95 % intervals by bootstrap over cells:";
    for (auto const& [name, ends] : intervals.items())
      if (!ends.is_null())
        line += " " + name + " " + septum::to_text(ends[0].get<double>(), 3) + " to " +
                septum::to_text(ends[1].get<double>(), 3) + ",";
    line.pop_back();
    say(common, line);
  }
  print_json(common, result);
}

}  // namespace

void register_evaluate(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<evaluate_arguments>();
  CLI::App& command = *app.add_subcommand("evaluate", "Scores a segmentation against truth");
  command.footer(
      "AP and F1 as StarDist counts them (IoU >= threshold, one to one), Jaccard and Dice as the\n"
      "paper takes them, SEG of the Cell Tracking Challenge, PQ, boundary F; counts beside every "
      "mean, and\n"
      "confidence intervals by bootstrap over cells. For tracked movies (folders of the Cell "
      "Tracking\n"
      "Challenge, of septum track or simulate) also DET, TRA, LNK, divisions and complete tracks.\n"
      "Example: septum evaluate cells/labels/frame7.tif truth/frame7.tif --json");
  command.add_option("PREDICTION", given->prediction, "Label image, or folder of them")
      ->required()
      ->check(CLI::ExistingPath);
  command.add_option("TRUTH", given->truth, "Label image, folder of them, or data-set folder")
      ->required()
      ->check(CLI::ExistingPath);
  command
      .add_option("--crop", given->request.crop_px,
                  "Pixels to leave out on every side, e.g. 15 for a net with a field of 31")
      ->check(CLI::Range(0, 10000))
      ->capture_default_str();
  command.add_flag("--uneroded", given->uneroded,
                   "Take drawn interiors as they are, not eroded by the 5-pixel cross");
  command
      .add_option("--nuclei", given->nuclei,
                  "Label image of nuclei: true cells without one are left out of Jaccard and Dice, "
                  "as published; by default those below PREDICTION/nuclei")
      ->check(CLI::ExistingPath);
  command
      .add_option("--classes", given->classes,
                  "CLASS=CHANNEL for every class, a marker in the folder TRUTH: scores the classes "
                  "in PREDICTION/cells.csv instead of outlines")
      ->delimiter(',');
  command
      .add_option("--class-score-min", given->class_score_min,
                  "Leave cells with a lower class score undecided")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--cells", given->cells,
                     "CSV file to write: a row per true cell and per invented one");
  command
      .add_option("--boundary-tolerance", given->request.boundary_tolerance_px,
                  "Distance in px at which an outline counts as met")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--bootstrap", given->request.bootstrap_replicates,
                  "Draws of the cells for the confidence intervals; 0: none")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  add_common_options(command, common);
  command.callback([given, &common] { evaluate(*given, common); });
}

}  // namespace program
