#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/model.hpp>
#include <septum/io/output_folder.hpp>
#include <string>
#include <utility>
#include <vector>

#include "evaluation.hpp"
#include "inputs.hpp"
#include "options.hpp"
#include "segmentation.hpp"
#include "simulation.hpp"
#include "training.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;

struct arguments {
  fs::path out = "quickstart";
  int frames = 24;
  int side = 320;
  std::int64_t patches = 200'000;
};

// The annotated frame: another colony, seen late, when cells touch.
septum::io::dataset annotated_frame(arguments const& given, common_options const& common,
                                    fs::path const& folder) {
  auto other = common;
  other.seed = common.seed + 1'000;
  auto const movie = simulate_movie("bacteria", given.frames, {given.side, given.side}, 8, other);
  auto const last = movie.cells.size() - 1;
  write_dataset(folder, channel_of("bacteria"), frame_of(movie, last), movie.cells[last],
                movie.pixel_size_um);
  return septum::io::read_dataset(folder);
}

void demo(arguments const& given, common_options const& common) {
  septum::io::output_folder folder{given.out};
  say(common, "1/4  A colony with known truth, simulated");
  auto const movie = simulate_movie("bacteria", given.frames, {given.side, given.side}, 8, common);
  write_simulation_files(folder.path() / "movie", "bacteria", movie);

  say(common, "2/4  A net, trained on one annotated frame of another colony");
  std::vector<septum::io::dataset> datasets;
  datasets.push_back(annotated_frame(given, common, folder.path() / "training"));
  training_request recipe;
  recipe.mode = "patch";
  recipe.patches = given.patches;
  auto const training = train_model(std::move(datasets), recipe, common);
  auto const model = folder.path() / "bacteria.safetensors";
  septum::io::write_model(model, training.trained);
  write_training_curves(model, training);

  say(common, "3/4  The movie, segmented");
  segmentation_request request;
  request.out = folder.path() / "cells";
  request.refining = preset_refinement("bacteria");
  // Labels leave a rim of two pixels between cells that touch; a strict threshold keeps it open.
  request.refining.threshold = 0.8;
  request.refining.grow_px = 1;
  auto const frames = list_inputs({.paths = {folder.path() / "movie" / "frames"}, .channels = {}},
                                  training.trained.description.channels);
  auto const segmented = segment_frames(frames, training.trained, request, common);

  say(common, "4/4  Scored against the truth");
  evaluation scores;
  evaluation_request const scoring{.crop_px =
                                       (training.trained.description.receptive_field - 1) / 2};
  auto const truths = read_cells(folder.path() / "movie" / "truth", scoring);
  auto const cells = read_cells(request.out / "labels", scoring);
  for (std::size_t k = 0; k < truths.size(); ++k) scores.add(truths[k], cells[k]);
  septum::io::write_file(folder.file("scores.json"), scores.to_json().dump(2) + "\n");
  folder.commit();

  say(common, scores.to_lines());
  auto result = scores.to_json();
  result["patches_per_second"] = training.patches_per_second;
  result["training_seconds"] = training.seconds;
  result["cells_segmented"] = segmented.cells;
  print_json(common, result);
  auto const last = frames.back().stem + ".png";
  say(common, "Open " + (given.out / "cells" / "overlay" / last).string() + " (cells) and " +
                  (given.out / "bacteria.curves.svg").string() + " (learning curves)");
}

}  // namespace

void register_demo(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<arguments>();
  CLI::App& command = *app.add_subcommand(
      "demo", "The whole job on a simulated colony: simulate, train, segment, score");
  command.footer("Example: septum demo --out quickstart");
  command.add_option("--out", given->out, "Folder for the results")->capture_default_str();
  command.add_option("--frames", given->frames, "Frames of the movie")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  command.add_option("--side", given->side, "Height and width of a frame in pixels")
      ->check(CLI::Range(96, 4096))
      ->capture_default_str();
  command.add_option("--patches", given->patches, "Patches to train on")
      ->check(CLI::Range(std::int64_t{2'560}, std::int64_t{1} << 32))
      ->capture_default_str();
  add_common_options(command, common);
  command.callback([given, &common] { demo(*given, common); });
}

}  // namespace program
