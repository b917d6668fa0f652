#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/simulate/colony.hpp>
#include <septum/simulate/nuclei.hpp>
#include <string>

#include "options.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "simulation.hpp"

namespace program {
namespace {

struct simulate_arguments {
  std::string kind = "bacteria";
  int frames = 30;
  std::string size = "400x400";
  int founders = 8;
  double missed = 0.0;
  double merged = 0.0;
  std::filesystem::path out;
};

septum::extent2 parse_size(std::string const& text) {
  auto const cross = text.find('x');
  auto const height = septum::parse_number<int>(std::string_view{text}.substr(0, cross));
  auto const width = cross == std::string::npos
                         ? std::nullopt
                         : septum::parse_number<int>(std::string_view{text}.substr(cross + 1));
  if (!height || !width || *height < 64 || *width < 64 || *height > 16384 || *width > 16384)
    throw septum::unsupported_error("septum.program.14",
                                    "--size " + septum::printable(text) +
                                        ": expected HEIGHTxWIDTH with sides of 64 to 16384 pixels");
  return {*height, *width};
}

void simulate(simulate_arguments const& given, common_options const& common) {
  auto const movie =
      simulate_movie(given.kind, given.frames, parse_size(given.size), given.founders, common);
  write_simulation(given.out, given.kind, movie,
                   {.missed = given.missed, .merged = given.merged, .seed = common.seed});
  say(common, "Movie of " + std::to_string(given.frames) + " frames and " +
                  std::to_string(movie.truth.cells.size()) + " cells in " + given.out.string());
  print_json(common, {{"frames", given.frames},
                      {"cells", movie.truth.cells.size()},
                      {"pixel_size_um", movie.pixel_size_um},
                      {"frame_interval_min", movie.frame_interval_min}});
}

}  // namespace

void register_simulate(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<simulate_arguments>();
  CLI::App& command =
      *app.add_subcommand("simulate", "Makes a movie of cells with labels and lineage truth");
  command.footer(
      "Writes frames/, truth/ (label images), lineage.csv and states.csv, and with --missed or\n"
      "--merged labels/, as a segmentation with such faults would see the cells.\n"
      "Example: septum simulate bacteria --frames 30 --size 400x400 --out colony");
  command.add_option("KIND", given->kind, "What is filmed")
      ->required()
      ->check(CLI::IsMember({"bacteria", "nuclei"}));
  command.add_option("--frames", given->frames, "Number of frames")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_option("--size", given->size, "HEIGHTxWIDTH in pixels")->capture_default_str();
  command.add_option("--founders", given->founders, "Cells in the first frame")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_option("--missed", given->missed, "Share of cells that labels/ misses in a frame")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--merged", given->merged,
                  "Share of cells that labels/ joins with a neighbour in a frame")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--out", given->out, "Folder for the movie")->required();
  add_common_options(command, common);
  command.callback([given, &common] { simulate(*given, common); });
}

}  // namespace program
