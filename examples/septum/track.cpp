#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/core/error.hpp>
#include <string>
#include <vector>

#include "label_movie.hpp"
#include "options.hpp"
#include "tracking.hpp"

namespace program {
namespace {

struct track_arguments {
  std::vector<std::filesystem::path> labels;
  std::filesystem::path points;
  bool no_ctc = false;
  bool allow_gaps = false;
  tracking_request request;
};

void refuse(bool wrong, std::string const& message) {
  if (wrong) throw septum::unsupported_error{"septum.program.84", message};
}

void track(track_arguments const& given, common_options const& common) {
  bool const has_points = !given.points.empty();
  refuse(has_points == !given.labels.empty(),
         has_points ? "track: expected label images or --points, found both"
                    : "track: nothing to track; name label images, or --points FILE");
  auto request = given.request;
  if (request.preset.empty()) request.preset = has_points ? "trackmate" : "bacteria";
  bool const is_cells = request.preset == "bacteria" || request.preset == "nuclei";
  refuse(is_cells && (request.splitting || request.merging),
         "--splitting and --merging: expected a preset trackmate, laptrack or jaqaman; " +
             request.preset + " finds divisions by itself");
  refuse(!request.checkpoint.empty() && (!is_cells || has_points),
         "--checkpoint: expected label images and a preset bacteria or nuclei; the others see the "
         "whole movie at once");
  request.write_masks = !given.no_ctc;
  tracking_summary summary;
  if (has_points) {
    summary = track_points(given.points, request, common);
  } else {
    auto const movie = open_label_movie(given.labels, given.allow_gaps);
    if (request.pixel_size_um == 0) request.pixel_size_um = movie.pixel_size_um;
    summary = track_labels(movie, request, common);
  }
  say(common, std::to_string(summary.cells) + " cells in " + std::to_string(summary.frames) +
                  " frames: " + std::to_string(summary.tracks) + " tracks, " +
                  std::to_string(summary.divisions) + " divisions; " +
                  (request.out / "tracks.csv").string() + ", " +
                  (request.out / "lineage.svg").string());
  print_json(common, {{"frames", summary.frames},
                      {"cells", summary.cells},
                      {"tracks", summary.tracks},
                      {"divisions", summary.divisions},
                      {"links", summary.links},
                      {"starts", summary.starts},
                      {"ends", summary.ends},
                      {"seconds", summary.seconds},
                      {"peak_bytes", summary.peak_bytes}});
}

}  // namespace

void register_track(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<track_arguments>();
  auto& request = given->request;
  CLI::App& command = *app.add_subcommand("track", "Tracks cells and finds their lineages");
  command.footer(
      "Writes links.csv, tracks.csv, lineage.newick, lineage.svg and, for label images, ctc/ "
      "(masks\n"
      "and res_track.txt of the Cell Tracking Challenge).\n"
      "Example: septum track cells/labels --out tracks\n"
      "         septum track --points spots.csv --preset trackmate --max-distance 15 --out tracks");
  command
      .add_option("LABELS", given->labels,
                  "Label images: a folder, a multi-page TIFF, or files in any order")
      ->check(CLI::ExistingPath);
  command
      .add_option("--points", given->points,
                  "Table of points (id, frame, x, y and maybe z) or a TrackMate file (.xml)")
      ->check(CLI::ExistingFile);
  command.add_option("--out", request.out, "Folder for the results")->required();
  command
      .add_option("--preset", request.preset,
                  "Tracker and its settings; bacteria for label images, trackmate for points")
      ->check(CLI::IsMember({"trackmate", "laptrack", "jaqaman", "bacteria", "nuclei"}));
  command
      .add_option("--max-distance", request.max_distance,
                  "Farthest link in px, or in the unit of the points; 15, for nuclei 30")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--gap-frames", request.gap_frames,
                  "Most frames from one sighting to the next; 0 closes no gaps; 2, for cells 3")
      ->check(CLI::Range(0, 1000));
  command.add_flag("--splitting", request.splitting, "Let tracks split (two-step presets)");
  command.add_flag("--merging", request.merging, "Let tracks merge (two-step presets)");
  command.add_flag("--drift", request.correct_drift, "Align frames by phase correlation first");
  command.add_flag("--allow-gaps", given->allow_gaps,
                   "Accept missing frame numbers and keep the true times");
  command.add_flag("--no-ctc", given->no_ctc, "Leave out ctc/, which holds at most 65535 labels");
  command.add_flag("--trackmate", request.write_trackmate, "Write trackmate.xml as well");
  command.add_flag("--geff", request.write_geff,
                   "Write tracks.geff as well, a graph in Zarr (Graph Exchange File Format)");
  command
      .add_option("--pixel-size", request.pixel_size_um,
                  "um per pixel, for trackmate.xml and tracks.geff")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--frame-interval", request.frame_interval_min,
                  "min, for trackmate.xml and tracks.geff")
      ->check(CLI::PositiveNumber);
  command.add_option("--checkpoint", request.checkpoint,
                     "File to go on from when it exists; written every 50 frames");
  add_common_options(command, common);
  command.callback([given, &common] { track(*given, common); });
}

}  // namespace program
