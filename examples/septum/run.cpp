#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <string>

#include "experiment.hpp"
#include "experiment_config.hpp"
#include "options.hpp"
#include "process_group.hpp"
#include "progress.hpp"

namespace program {
namespace {

struct run_arguments {
  std::filesystem::path config;
  std::filesystem::path out;
  bool list = false;
};

void list_positions(experiment_config const& config, common_options const& common) {
  nlohmann::ordered_json positions = nlohmann::ordered_json::array();
  for (auto const& one : config.positions) {
    std::string const images = one.images.empty() ? "a folder per channel" : one.images.string();
    say(common, one.name + ": " + images);
    positions.push_back(one.name);
  }
  print_json(common, {{"positions", positions}, {"out", config.out.string()}});
}

void run(run_arguments const& given, common_options const& common) {
  auto config = read_experiment(given.config);
  if (!given.out.empty()) config.out = given.out;
  if (given.list) {
    list_positions(config, common);
    return;
  }
  auto const outcome = run_experiment(config, common);
  // The first process of several reports for all.
  if (process_rank() > 0) return;
  nlohmann::ordered_json positions = nlohmann::ordered_json::array();
  int skipped = 0;
  for (auto const& one : outcome.positions) {
    skipped += one.skipped;
    positions.push_back({{"position", one.name},
                         {"frames", one.frames},
                         {"cells", one.cells},
                         {"tracks", one.tracks},
                         {"steps_done", one.done},
                         {"steps_skipped", one.skipped},
                         {"failed_step", one.step},
                         {"failure", one.failure}});
    if (!one.failure.empty())
      say(common, "septum: " + one.name + " failed at " + one.step + ": " + one.failure);
  }
  if (outcome.new_frames > 0)
    say(common,
        std::to_string(outcome.new_frames) + " frames in " + clock_text(outcome.seconds) + ", " +
            septum::to_text(
                static_cast<double>(outcome.new_frames) / std::max(outcome.seconds, 1e-9), 1) +
            " frames/s");
  if (skipped > 0)
    say(common, std::to_string(skipped) + " steps were done before and were not repeated");
  say(common, "Open " + (config.out / "summary.csv").string() +
                  (config.report ? " and report.html in the folder of a position" : ""));
  print_json(common, {{"out", config.out.string()},
                      {"positions", positions},
                      {"failed", outcome.failures()},
                      {"frames", outcome.new_frames},
                      {"seconds", outcome.seconds},
                      {"frames_per_second",
                       static_cast<double>(outcome.new_frames) / std::max(outcome.seconds, 1e-9)},
                      {"peak_bytes", outcome.peak_bytes}});
  if (outcome.failures() > 0)
    throw septum::io_error{"septum.program.75", std::to_string(outcome.failures()) + " of " +
                                                    std::to_string(outcome.positions.size()) +
                                                    " positions failed; the others are done. " +
                                                    (config.out / "summary.csv").string() +
                                                    " says why; mend them and run again"};
}

}  // namespace

void register_run(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<run_arguments>();
  CLI::App& command = *app.add_subcommand(
      "run", "Segments, tracks, measures and reports a whole experiment; goes on where it stopped");
  command.footer(
      "CONFIG.toml, with paths relative to it:\n"
      "  name = \"wild type\"\n"
      "  out = \"results\"\n"
      "  positions = \"movies\"          # every folder or TIFF in it, or [[position]] tables:\n"
      "  [[position]]\n"
      "  name = \"A01\"\n"
      "  images = \"A01/\"               # or channels = { phase = \"A01/phase\", nuclear = ... }\n"
      "  [model]\n"
      "  cells = \"bacteria.safetensors\"  # a list is an ensemble; nuclei = FILE seeds contours\n"
      "  [segment]  # preset, threshold, area_min, area_max, grow, probabilities, overlays, ...\n"
      "  [track]    # preset, max_distance, gap_frames, drift, ctc\n"
      "  [measure]  # interval_min, pixel_size_um, divisions, window, jump, reporter\n"
      "  [report]   # enabled, megabytes\n"
      "Example: septum run experiment.toml");
  command.add_option("CONFIG", given->config, "The experiment")
      ->required()
      ->check(CLI::ExistingFile);
  command.add_option("--out", given->out, "Folder for the results, instead of the file's");
  command.add_flag("--list", given->list, "Only say which positions there are");
  add_common_options(command, common);
  command.callback([given, &common] { run(*given, common); });
}

}  // namespace program
