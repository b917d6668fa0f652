#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/core/text.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/model.hpp>
#include <septum/io/output_folder.hpp>
#include <string>
#include <utility>
#include <vector>

#include "evaluation.hpp"
#include "inputs.hpp"
#include "label_movie.hpp"
#include "measurement.hpp"
#include "measuring.hpp"
#include "options.hpp"
#include "reporting.hpp"
#include "results_folder.hpp"
#include "segmentation.hpp"
#include "simulation.hpp"
#include "tracking.hpp"
#include "training.hpp"
#include "training_curves.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;

struct demo_arguments {
  fs::path out = "quickstart";
  int frames = 24;
  int side = 320;
  std::int64_t patches = 200'000;
};

// The annotated frame: another colony, seen late, when cells touch.
septum::io::dataset annotated_frame(demo_arguments const& given, common_options const& common,
                                    fs::path const& folder) {
  auto other = common;
  other.seed = common.seed + 1'000;
  auto const movie = simulate_movie("bacteria", given.frames, {given.side, given.side}, 8, other);
  auto const last = movie.cells.size() - 1;
  write_dataset(folder, channel_of("bacteria"), frame_of(movie, last), movie.cells[last],
                movie.pixel_size_um);
  return septum::io::read_dataset(folder);
}

// Mean over the cells of the movie of the rate at which each really grew.
double true_growth_per_h(septum::simulated_movie const& movie) {
  double sum = 0;
  for (auto const& cell : movie.truth.cells) sum += cell.growth_rate_per_h;
  return sum / std::max<double>(static_cast<double>(movie.truth.cells.size()), 1);
}

// Tables, figures and the page, into the folder that is not in place yet.
measurement measure_and_report(fs::path const& folder, std::vector<input_frame> const& frames,
                               double frame_interval_min, int border_px,
                               common_options const& common) {
  auto const results = find_results(folder);
  auto request = measuring_request(results, {.frame_interval_min = frame_interval_min});
  request.images = frames;
  request.border_px = border_px;
  auto measured = measure_movie(request, common);
  write_measurement(folder / "measurements", measured);
  write_crops(folder / "measurements" / "crops", request, measured);
  septum::io::write_file(folder / "report.html",
                         make_report(results, request, measured,
                                     {.title = "A simulated colony, segmented and tracked"}));
  return measured;
}

void demo(demo_arguments const& given, common_options const& common) {
  septum::io::output_folder folder{given.out};
  say(common, "1/6  A colony with known truth, simulated");
  auto const movie = simulate_movie("bacteria", given.frames, {given.side, given.side}, 8, common);
  write_simulation_files(folder.path() / "movie", "bacteria", movie);

  say(common, "2/6  A net, trained on one annotated frame of another colony");
  std::vector<septum::io::dataset> datasets;
  datasets.push_back(annotated_frame(given, common, folder.path() / "training"));
  training_request recipe;
  recipe.mode = "patch";
  recipe.patches = given.patches;
  auto const training = train_model(std::move(datasets), recipe, common);
  auto const model = folder.path() / "bacteria.safetensors";
  septum::io::write_model(model, training.trained);
  write_training_curves(model, training);

  say(common, "3/6  The movie, segmented");
  segmentation_request request;
  request.out = folder.path() / "cells";
  request.write_probabilities = true;
  request.refining = preset_refinement("bacteria");
  // Labels leave a rim of two pixels between cells that touch; a strict threshold keeps it open.
  request.refining.threshold = 0.8;
  request.refining.grow_px = 1;
  auto const frames = list_inputs({.paths = {folder.path() / "movie" / "frames"}, .channels = {}},
                                  training.trained.description.channels);
  auto const segmented = segment_frames(frames, training.trained, request, common);

  say(common, "4/6  The cells, tracked");
  tracking_request tracking;
  tracking.out = folder.path() / "tracks";
  tracking.pixel_size_um = movie.pixel_size_um;
  tracking.frame_interval_min = movie.frame_interval_min;
  auto const tracked =
      track_labels(open_label_movie({request.out / "labels"}, false), tracking, common);

  say(common, "5/6  Scored against the truth");
  evaluation scores;
  evaluation_request const scoring{.crop_px =
                                       (training.trained.description.receptive_field - 1) / 2};
  auto const truths = read_cells(folder.path() / "movie" / "truth", scoring);
  auto const cells = read_cells(request.out / "labels", scoring);
  for (std::size_t k = 0; k < truths.size(); ++k) scores.add(truths[k], cells[k]);
  septum::io::write_file(folder.file("scores.json"), scores.to_json().dump(2) + "\n");

  say(common, "6/6  Growth, and a report");
  auto const measured =
      measure_and_report(folder.path(), frames, movie.frame_interval_min, scoring.crop_px, common);
  folder.commit();

  say(common, scores.to_lines());
  auto const growth = septum::mean_growth_rate(measured.curves);
  say(common, std::to_string(tracked.tracks) + " tracks, " + std::to_string(tracked.divisions) +
                  " divisions; growth " + septum::to_text(growth.per_h, 2) +
                  " per h (95 % interval " + septum::to_text(growth.low_per_h, 2) + " to " +
                  septum::to_text(growth.high_per_h, 2) + "), truth " +
                  septum::to_text(true_growth_per_h(movie), 2));
  auto result = scores.to_json();
  result["patches_per_second"] = training.patches_per_second;
  result["training_seconds"] = training.seconds;
  result["cells_segmented"] = segmented.cells;
  result["measurements"] = summary_of(measured);
  result["true_growth_per_h"] = true_growth_per_h(movie);
  print_json(common, result);
  say(common, "Open " + (given.out / "report.html").string() + " in a browser");
}

}  // namespace

void register_demo(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<demo_arguments>();
  CLI::App& command = *app.add_subcommand(
      "demo",
      "The whole job on a simulated colony: simulate, train, segment, track, score, report");
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
