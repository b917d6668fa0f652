#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <septum/core/error.hpp>
#include <septum/io/model.hpp>
#include <string>
#include <utility>

#include "inputs.hpp"
#include "options.hpp"
#include "segmentation.hpp"

namespace program {
namespace {

// Options that override the preset's values where they are given.
struct overrides {
  std::optional<double> threshold;
  std::optional<std::int64_t> area_min;
  std::optional<std::int64_t> area_max;
  std::optional<double> solidity_min;
  std::optional<double> eccentricity_min;
  std::optional<double> eccentricity_max;
  std::optional<int> grow;

  void apply(refinement& to) const {
    if (threshold) to.threshold = *threshold;
    if (area_min) to.area_min_px = *area_min;
    if (area_max) to.area_max_px = *area_max;
    if (solidity_min) to.solidity_min = *solidity_min;
    if (eccentricity_min) to.eccentricity_min = *eccentricity_min;
    if (eccentricity_max) to.eccentricity_max = *eccentricity_max;
    if (grow) to.grow_px = *grow;
  }
};

struct arguments {
  image_arguments images;
  std::vector<std::filesystem::path> models;
  std::string preset = "bacteria";
  std::string pad;
  std::string nonfinite = "error";
  bool clear_border = false;
  bool keep_holes = false;
  bool no_overlays = false;
  overrides refining;
  segmentation_request request;
};

// Several files of one net are one ensemble.
septum::model read_models(std::vector<std::filesystem::path> const& paths) {
  auto all = septum::io::read_model(paths.front());
  for (std::size_t k = 1; k < paths.size(); ++k) {
    auto next = septum::io::read_model(paths[k]);
    septum::io::require_model_for(next, all.layout, all.description.signature, paths[k].string());
    for (auto& set : next.parameter_sets) all.parameter_sets.push_back(std::move(set));
  }
  return all;
}

void segment(arguments const& given, common_options const& common) {
  auto request = given.request;
  request.refining = preset_refinement(given.preset);
  given.refining.apply(request.refining);
  request.refining.clear_border = given.clear_border;
  if (given.keep_holes) request.refining.fill_holes = false;
  request.write_overlays = !given.no_overlays;
  request.pad_by_reflection = given.pad == "reflect";
  request.zero_nonfinite = given.nonfinite == "zero";
  auto const trained = read_models(given.models);
  auto const frames = list_inputs(given.images, trained.description.channels);
  auto const result = segment_frames(frames, trained, request, common);
  say(common, "Cells: " + (request.out / "cells.csv").string() + "; look at " +
                  (request.out / (request.write_overlays ? "overlay" : "labels")).string());
  print_json(common, {{"seconds",
                       {{"read", result.seconds.at("read")},
                        {"normalize", result.seconds.at("normalize")},
                        {"predict", result.seconds.at("predict")},
                        {"refine", result.seconds.at("refine")},
                        {"write", result.seconds.at("write")}}},
                      {"frames", result.frames},
                      {"cells", result.cells},
                      {"peak_bytes", result.peak_bytes}});
}

}  // namespace

void register_segment(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<arguments>();
  CLI::App& command = *app.add_subcommand("segment", "Segments images with a trained model");
  command.footer(
      "Example: septum segment movie/ --model bacteria.safetensors --out cells\n"
      "         septum segment --channel phase=p.tif --channel nuclear=n.tif --model "
      "hela.safetensors"
      " --preset cytoplasm --out cells");
  command
      .add_option("IMAGE", given->images.paths,
                  "Image files, time series, data-set folders, or folders of frames")
      ->check(CLI::ExistingPath);
  command.add_option("--channel", given->images.channels,
                     "NAME=FILE, once per channel of one image");
  command.add_flag("--allow-gaps", given->images.allow_gaps,
                   "Accept missing frame numbers in a folder of frames");
  command.add_option("--model", given->models, "Model files; several are one ensemble")
      ->required()
      ->check(CLI::ExistingFile);
  command.add_option("--out", given->request.out, "Folder for the results")->required();
  command.add_option("--preset", given->preset, "Published settings of the steps after the net")
      ->check(CLI::IsMember({"bacteria", "nuclei", "cytoplasm"}))
      ->capture_default_str();
  command.add_option("--threshold", given->refining.threshold, "Interior probability of a cell")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--area-min", given->refining.area_min, "Smallest cell in px");
  command.add_option("--area-max", given->refining.area_max, "Largest cell in px; 0: none");
  command.add_option("--solidity-min", given->refining.solidity_min, "Least area / convex area")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--eccentricity-min", given->refining.eccentricity_min, "0 circle, 1 line")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--eccentricity-max", given->refining.eccentricity_max, "0 circle, 1 line")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--grow", given->refining.grow,
                  "Grow cells by so many px without merging them: the edge class belongs to "
                  "nobody, so interiors are smaller than cells")
      ->check(CLI::Range(0, 100));
  command.add_flag("--clear-border", given->clear_border, "Drop cells at the border");
  command.add_flag("--keep-holes", given->keep_holes, "Do not fill holes in cells");
  command.add_option("--pad", given->pad, "Continue the image beyond its border")
      ->check(CLI::IsMember({"reflect"}));
  command.add_option("--nonfinite", given->nonfinite, "NaN and infinite pixels: error, or zero")
      ->check(CLI::IsMember({"error", "zero"}))
      ->capture_default_str();
  command.add_flag("--probabilities", given->request.write_probabilities,
                   "Also write class probabilities (float32, a page per class)");
  command.add_flag("--no-overlays", given->no_overlays, "Do not draw cells over the images");
  command
      .add_option("--pixel-size", given->request.pixel_size_um,
                  "Side of a pixel in um; 0: what image or model say")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--memory", given->request.memory_mb,
                  "MiB for feature maps; results do not depend on it")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 20))
      ->capture_default_str();
  add_common_options(command, common);
  command.callback([given, &common] { segment(*given, common); });
}

}  // namespace program
