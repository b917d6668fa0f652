#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/core/text.hpp>
#include <septum/io/output_folder.hpp>
#include <string>

#include "measurement.hpp"
#include "measuring.hpp"
#include "options.hpp"
#include "reporting.hpp"
#include "results_folder.hpp"

namespace program {
namespace {

struct measure_arguments {
  std::filesystem::path folder;
  std::filesystem::path out;
  measuring_arguments measuring;
};

void measure(measure_arguments const& given, common_options const& common) {
  auto const results = find_results(given.folder);
  auto const request = measuring_request(results, given.measuring);
  auto const out = given.out.empty() ? given.folder / "measurements" : given.out;
  septum::io::output_folder folder{out};
  auto const measured = measure_movie(request, common);
  write_measurement(folder.path(), measured);
  write_crops(folder.path() / "crops", request, measured);
  folder.commit();
  auto const summary = summary_of(measured);
  if (measured.tracked) {
    auto const mean = septum::mean_growth_rate(measured.curves);
    say(common, "Growth " + septum::to_text(mean.per_h, 3) + " per h (95 % interval " +
                    septum::to_text(mean.low_per_h, 3) + " to " +
                    septum::to_text(mean.high_per_h, 3) + ", " + std::to_string(mean.cells) +
                    " tracks); " + std::to_string(measured.audit.jumps) + " jumps in " +
                    std::to_string(measured.audit.links) + " links");
  } else {
    say(common, "No links.csv here: cells are measured, growth is not (septum track first)");
  }
  if (!measured.interval_known && measured.tracked)
    say(common,
        "septum: the images do not say the time between frames; 5 min is assumed "
        "(--interval)");
  say(common, "Measured " + std::to_string(measured.frames.size()) +
                  " frames: " + (out / "cells.csv").string());
  print_json(common, summary);
}

}  // namespace

void register_measure(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<measure_arguments>();
  CLI::App& command = *app.add_subcommand(
      "measure", "Measures cells, growth, errors and localisation of segmented movies");
  command.footer(
      "DIR is what `septum segment` wrote, with what `septum track` wrote in DIR/tracks, or a\n"
      "folder that holds both as cells/ and tracks/. Writes cells.csv (every cell, every frame),\n"
      "growth.csv, rates.csv, cycles.csv, audit.csv with crops/, translocation.csv, summary.json\n"
      "and figures/ as SVG.\n"
      "Example: septum measure cells --interval 5");
  command.add_option("DIR", given->folder, "Folder of results")
      ->required()
      ->check(CLI::ExistingDirectory);
  command.add_option("--out", given->out, "Folder for the measurements; default: DIR/measurements");
  add_measuring_options(command, given->measuring);
  add_common_options(command, common);
  command.callback([given, &common] { measure(*given, common); });
}

}  // namespace program
