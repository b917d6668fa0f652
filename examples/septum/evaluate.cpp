#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <string>

#include "evaluation.hpp"
#include "options.hpp"

namespace program {
namespace {

struct arguments {
  std::filesystem::path prediction;
  std::filesystem::path truth;
  std::filesystem::path cells;
  bool uneroded = false;
  evaluation_request request;
};

// The folder that `segment` wrote holds its label images one level down.
std::filesystem::path labels_of(std::filesystem::path const& path) {
  return std::filesystem::is_directory(path / "labels") ? path / "labels" : path;
}

void evaluate(arguments const& given, common_options const& common) {
  auto request = given.request;
  request.erode_truth = !given.uneroded;
  request.seed = common.seed;
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
  if (!given.cells.empty()) scores.write_cells(given.cells);
  say(common, scores.to_lines());
  auto result = scores.to_json();
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
  auto const given = std::make_shared<arguments>();
  CLI::App& command = *app.add_subcommand("evaluate", "Scores a segmentation against truth");
  command.footer(
      "AP and F1 as StarDist counts them (IoU >= threshold, one to one), Jaccard and Dice as the\n"
      "paper takes them, SEG of the Cell Tracking Challenge, PQ, boundary F; counts beside every "
      "mean, and\n"
      "confidence intervals by bootstrap over cells.\n"
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
