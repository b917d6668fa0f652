#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/csv.hpp>
#include <septum/io/output_folder.hpp>
#include <septum/measure/plating.hpp>
#include <septum/report/translocation_figures.hpp>
#include <string>
#include <vector>

#include "evaluation.hpp"
#include "options.hpp"

namespace program {
namespace {

struct plating_arguments {
  std::vector<std::string> wells;
  std::filesystem::path out = "plating";
  evaluation_request scoring{.crop_px = 30};
};

septum::plating_curve score_wells(plating_arguments const& given) {
  if (given.wells.size() % 3 != 0)
    throw septum::unsupported_error{"septum.program.64",
                                    "expected DENSITY PREDICTION TRUTH for every well, found " +
                                        std::to_string(given.wells.size()) + " plating_arguments"};
  std::vector<septum::plating_point> points;
  for (std::size_t k = 0; k < given.wells.size(); k += 3) {
    auto const density = septum::parse_number<double>(given.wells[k]);
    if (!density || !(*density > 0))
      throw septum::unsupported_error{
          "septum.program.64",
          septum::printable(given.wells[k]) + ": expected cells per well, a number above 0"};
    auto const predictions = read_cells(given.wells[k + 1], given.scoring);
    auto const truths = read_cells(given.wells[k + 2], given.scoring);
    if (predictions.size() != truths.size())
      throw septum::shape_error{"septum.program.16", given.wells[k + 1] + " has " +
                                                         std::to_string(predictions.size()) +
                                                         " images, " + given.wells[k + 2] +
                                                         " has " + std::to_string(truths.size())};
    for (std::size_t i = 0; i < truths.size(); ++i)
      points.push_back({.cells_per_well = *density,
                        .agreement = septum::agree_by_largest_overlap(
                            septum::count_overlaps(truths[i], predictions[i]))});
  }
  return septum::make_plating_curve(std::move(points));
}

void plating(plating_arguments const& given, common_options const& common) {
  auto const curve = score_wells(given);
  septum::io::output_folder folder{given.out};
  septum::io::csv_writer table{
      folder.file("plating.csv"),
      {"cells_per_well", "scored_cells", "true_cells", "dropped", "jaccard_mean", "jaccard_sd",
       "jaccard_error", "dice_mean", "dice_sd"}};
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (auto const& point : curve.points) {
    auto const& agreement = point.agreement;
    table.row(point.cells_per_well, agreement.jaccard.size(), agreement.truth_cells,
              agreement.dropped, agreement.jaccard_mean(), agreement.jaccard_sd(),
              point.jaccard_error(), agreement.dice_mean(), agreement.dice_sd());
    rows.push_back({{"cells_per_well", point.cells_per_well},
                    {"scored_cells", agreement.jaccard.size()},
                    {"true_cells", agreement.truth_cells},
                    {"jaccard_mean", agreement.jaccard_mean().value_or(0)},
                    {"dice_mean", agreement.dice_mean().value_or(0)}});
    say(common, septum::to_text(point.cells_per_well) + " cells per well: Jaccard " +
                    septum::to_text(agreement.jaccard_mean().value_or(0), 3) + ", Dice " +
                    septum::to_text(agreement.dice_mean().value_or(0), 3) + ", " +
                    std::to_string(agreement.jaccard.size()) + " cells");
  }
  table.commit();
  septum::io::write_file(folder.file("plating.svg"), septum::report::plating_plot(curve));
  folder.commit();
  nlohmann::ordered_json result{{"wells", rows}};
  if (auto const limit = curve.stable_up_to()) result["stable_up_to"] = *limit;
  print_json(common, result);
}

}  // namespace

void register_plating(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<plating_arguments>();
  CLI::App& command = *app.add_subcommand(
      "plating", "Scores segmentations against truth as a function of plating density");
  command.footer(
      "Jaccard and Dice index per cell as the paper takes them; writes plating.csv and "
      "plating.svg.\n"
      "Example: septum plating 1250 sparse/labels.tif truth/1250 20000 dense/labels.tif "
      "truth/20000");
  command
      .add_option("WELLS", given->wells,
                  "For every well: cells plated, label image or folder of the prediction, label "
                  "image or data-set folder of the truth")
      ->required();
  command.add_option("--out", given->out, "Folder for the results")->capture_default_str();
  command
      .add_option("--crop", given->scoring.crop_px,
                  "Pixels to leave out on every side, half of the net's field")
      ->check(CLI::Range(0, 10000))
      ->capture_default_str();
  add_common_options(command, common);
  command.callback([given, &common] { plating(*given, common); });
}

}  // namespace program
