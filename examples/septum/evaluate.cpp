#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/core/error.hpp>
#include <string>

#include "evaluation.hpp"
#include "options.hpp"

namespace program {
namespace {

struct arguments {
  std::filesystem::path prediction;
  std::filesystem::path truth;
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
  auto const predictions = read_cells(labels_of(given.prediction), request);
  auto const truths = read_cells(given.truth, request);
  if (predictions.size() != truths.size())
    throw septum::shape_error("septum.program.16", given.prediction.string() + " has " +
                                                       std::to_string(predictions.size()) +
                                                       " frames, " + given.truth.string() +
                                                       " has " + std::to_string(truths.size()));
  evaluation scores;
  for (std::size_t k = 0; k < truths.size(); ++k) scores.add(truths[k], predictions[k]);
  say(common, scores.to_lines());
  print_json(common, scores.to_json());
}

}  // namespace

void register_evaluate(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<arguments>();
  CLI::App& command = *app.add_subcommand("evaluate", "Scores a segmentation against truth");
  command.footer(
      "AP and F1 as StarDist counts them (IoU >= threshold, one to one), Jaccard and Dice as the\n"
      "paper takes them, SEG of the Cell Tracking Challenge; counts beside every mean.\n"
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
  add_common_options(command, common);
  command.callback([given, &common] { evaluate(*given, common); });
}

}  // namespace program
