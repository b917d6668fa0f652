#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/file.hpp>
#include <string>
#include <utility>
#include <vector>

#include "evaluation.hpp"
#include "inputs.hpp"
#include "options.hpp"
#include "refinement.hpp"
#include "segmentation.hpp"
#include "training.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;

struct study_arguments {
  std::vector<fs::path> training;
  fs::path test;
  fs::path out;
  std::vector<std::string> variants;
  std::vector<std::string> channels;
  int seeds = 3;
  int field = 31;
  int steps = 600;
  int crop = 64;
  std::string preset = "bacteria";
  double threshold = 0.0;
};

// What one variant changes in the recipe; `field` is "31x31" or "61x61".
using recipe_change = std::function<void(training_request&, std::string const& field)>;

std::vector<std::pair<std::string, recipe_change>> const& all_variants() {
  auto const net = [](std::string const& prefix) {
    return [prefix](training_request& request, std::string const& field) {
      request.net = prefix + "feature_net_" + field;
    };
  };
  auto const normalizer = [](std::string const& name) {
    return [name](training_request& request, std::string const&) { request.normalizer = name; };
  };
  auto const balance = [](std::string const& name) {
    return [name](training_request& request, std::string const&) { request.balance = name; };
  };
  static std::vector<std::pair<std::string, recipe_change>> const variants{
      {"batch-norm", [](training_request&, std::string const&) {}},
      {"plain", net("")},
      {"dropout", net("dropout_")},
      {"multi-resolution", net("multires_")},
      {"batch-norm+multi-resolution", net("bn_multires_")},
      {"shear",
       [](training_request& request, std::string const&) {
         request.scale = 0.0;
         request.shear = 0.2;
       }},
      {"no-warp",
       [](training_request& request, std::string const&) {
         request.scale = 0.0;
         request.shear = 0.0;
       }},
      {"rmsprop",
       [](training_request& request, std::string const&) {
         request.optimizer = "rmsprop";
         request.rate = 0.002;
       }},
      {"published-rate",
       [](training_request& request, std::string const&) { request.schedule = "decay"; }},
      {"class-mask", balance("mask")},
      {"no-balance", balance("none")},
      {"standard-deviation", normalizer("standard_deviation")},
      {"maximum", normalizer("max")},
      {"no-normalization", normalizer("none")},
      {"field-21",
       [](training_request& request, std::string const&) { request.net = "bn_feature_net_21x21"; }},
      {"field-41", [](training_request& request, std::string const&) {
         request.net = "bn_feature_net_41x41";
       }}};
  return variants;
}

std::vector<std::string> variant_names() {
  std::vector<std::string> names;
  for (auto const& [name, change] : all_variants()) names.push_back(name);
  return names;
}

training_request recipe_of(study_arguments const& given, std::string const& variant) {
  std::string const side = std::to_string(given.field);
  training_request request;
  request.net = "bn_feature_net_" + side + "x" + side;
  request.steps = given.steps;
  request.crop = given.crop;
  for (auto const& [name, change] : all_variants())
    if (name == variant) change(request, side + "x" + side);
  return request;
}

// Trains a variant with one seed, segments the test image with it and scores that.
nlohmann::ordered_json run(study_arguments const& given, std::string const& variant, int seed,
                           common_options const& common) {
  auto own = common;
  own.seed = common.seed + static_cast<std::uint64_t>(seed);
  auto const recipe = recipe_of(given, variant);
  std::vector<septum::io::dataset> datasets;
  for (auto const& folder : given.training)
    datasets.push_back(septum::io::read_dataset(folder, given.channels, own.executor()));
  auto const training = train_model(std::move(datasets), recipe, own);

  segmentation_request request;
  request.out = given.out / (variant + "_" + std::to_string(seed));
  request.refining = preset_refinement(given.preset);
  if (given.threshold > 0.0) {
    request.refining.threshold = given.threshold;
    request.refining.nuclei.above = static_cast<float>(given.threshold);
  }
  auto const channels = channels_of_run(training.trained, request);
  segment_frames(list_inputs({.paths = {given.test}, .channels = {}}, channels), training.trained,
                 request, own);
  // The border that the largest field cannot see is cut off for every variant alike.
  evaluation scores;
  scores.request = {.crop_px = (given.field - 1) / 2, .erode_truth = given.preset != "bacteria"};
  auto const truths = read_cells(given.test, scores.request);
  auto const cells = read_cells(request.out / "labels", scores.request);
  for (std::size_t k = 0; k < truths.size(); ++k) scores.add(truths[k], cells[k], own.executor());
  auto result = scores.to_json();
  result["variant"] = variant;
  result["seed"] = own.seed;
  result["training_seconds"] = training.seconds;
  double best = std::numeric_limits<double>::infinity();
  for (auto const& record : training.curves.front()) best = std::min(best, record.validation_loss);
  result["best_validation_loss"] = best;
  return result;
}

// What a kept run must share with the one that is asked for.
std::string settings_of(study_arguments const& given, std::string const& variant,
                        common_options const& common) {
  std::string text = variant + " field " + std::to_string(given.field) + " steps " +
                     std::to_string(given.steps) + " crop " + std::to_string(given.crop) +
                     " preset " + given.preset + " threshold " + septum::to_text(given.threshold) +
                     " seed " + std::to_string(common.seed) + " test " + given.test.string();
  for (auto const& folder : given.training) text += " training " + folder.string();
  return text;
}

// Runs that were done before are taken over, so that a study can be stopped at any time.
nlohmann::ordered_json run_or_kept(study_arguments const& given, std::string const& variant,
                                   int seed, common_options const& common) {
  auto const file = given.out / (variant + "_" + std::to_string(seed) + ".json");
  auto const settings = settings_of(given, variant, common);
  if (fs::exists(file)) {
    auto const content = septum::io::read_file(file);
    auto const kept = nlohmann::ordered_json::parse(content.text(), nullptr, false);
    if (kept.is_object() && kept.value("settings", "") == settings) return kept;
  }
  auto result = run(given, variant, seed, common);
  result["settings"] = settings;
  septum::io::write_file(file, result.dump(2) + "\n");
  return result;
}

struct statistic {
  std::vector<double> values;
  [[nodiscard]] double mean() const {
    double sum = 0.0;
    for (double const value : values) sum += value;
    return sum / static_cast<double>(values.size());
  }
  // Of a sample; 0 for a single value.
  [[nodiscard]] double deviation() const {
    if (values.size() < 2) return 0.0;
    double sum = 0.0;
    for (double const value : values) sum += (value - mean()) * (value - mean());
    return std::sqrt(sum / static_cast<double>(values.size() - 1));
  }
  [[nodiscard]] std::string text() const {
    return septum::to_text(mean(), 3) + " +- " + septum::to_text(deviation(), 3);
  }
};

double number(nlohmann::ordered_json const& value) {
  return value.is_number() ? value.get<double>() : 0.0;
}

void study(study_arguments given, common_options const& common) {
  fs::create_directories(given.out);
  if (given.variants.empty()) given.variants = variant_names();
  std::string csv =
      "variant,seed,ap_0.5,f1_0.5,jaccard_mean,dice_mean,best_validation_loss,training_seconds\n";
  std::string table =
      "| variant | AP@0.5 | Jaccard | Dice | validation loss | s per net "
      "|\n|---|---|---|---|---|---|\n";
  auto rows = nlohmann::ordered_json::array();
  for (auto const& variant : given.variants) {
    std::map<std::string, statistic> all;
    for (int seed = 0; seed < given.seeds; ++seed) {
      say(common,
          variant + ", seed " + std::to_string(seed + 1) + " of " + std::to_string(given.seeds));
      auto const result = run_or_kept(given, variant, seed, common);
      std::map<std::string, double> const values{
          {"ap", number(result.at("ap").at("0.5"))},
          {"f1", number(result.at("f1").at("0.5"))},
          {"jaccard", number(result.at("jaccard_mean"))},
          {"dice", number(result.at("dice_mean"))},
          {"loss", number(result.at("best_validation_loss"))},
          {"seconds", number(result.at("training_seconds"))}};
      csv += variant + "," + std::to_string(result.at("seed").get<std::uint64_t>());
      for (auto const* name : {"ap", "f1", "jaccard", "dice", "loss", "seconds"}) {
        all[name].values.push_back(values.at(name));
        csv += "," + septum::to_text(values.at(name));
      }
      csv += "\n";
      septum::io::write_file(given.out / "study.csv", csv);
    }
    table += "| " + variant + " | " + all["ap"].text() + " | " + all["jaccard"].text() + " | " +
             all["dice"].text() + " | " + all["loss"].text() + " | " +
             septum::to_text(all["seconds"].mean(), 0) + " |\n";
    septum::io::write_file(given.out / "study.md", table);
    rows.push_back(
        {{"variant", variant},
         {"ap", {{"mean", all["ap"].mean()}, {"sd", all["ap"].deviation()}}},
         {"jaccard", {{"mean", all["jaccard"].mean()}, {"sd", all["jaccard"].deviation()}}},
         {"dice", {{"mean", all["dice"].mean()}, {"sd", all["dice"].deviation()}}},
         {"seeds", given.seeds}});
  }
  say(common, table);
  print_json(common, {{"steps", given.steps}, {"variants", rows}});
}

}  // namespace

void register_study(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<study_arguments>();
  CLI::App& command =
      *app.add_subcommand("study", "Compares variants of net and recipe on one test image");
  command.footer(
      "Trains every variant with several seeds, segments the test image and prints a table of the\n"
      "scores: mean +- standard deviation over the seeds. Runs that are there are taken over.\n"
      "Example: septum study day1/ --test day2/ --variants batch-norm plain dropout --out study");
  command.add_option("DATASET", given->training, "Folders of annotated images to train on")
      ->required()
      ->check(CLI::ExistingDirectory);
  command.add_option("--test", given->test, "Annotated image that no variant sees in training")
      ->required()
      ->check(CLI::ExistingDirectory);
  command.add_option("--out", given->out, "Folder for study.csv, study.md and a file per run")
      ->required();
  command.add_option("--variants", given->variants, "Variants; all when not given")
      ->check(CLI::IsMember(variant_names()));
  command.add_option("--channels", given->channels, "Channels in the order the net sees them");
  command.add_option("--seeds", given->seeds, "Runs of each variant")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--field", given->field, "Receptive field of the nets that are varied")
      ->check(CLI::IsMember({31, 61}))
      ->capture_default_str();
  command.add_option("--steps", given->steps, "Steps of dense training per run")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  command.add_option("--crop", given->crop, "Labelled pixels per side of a crop")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--preset", given->preset, "How probabilities become cells")
      ->check(CLI::IsMember({"bacteria", "nuclei", "cytoplasm"}))
      ->capture_default_str();
  command.add_option("--threshold", given->threshold, "Interior probability; 0: the preset's")
      ->check(CLI::Range(0.0, 1.0));
  add_common_options(command, common);
  command.callback([given, &common] { study(*given, common); });
}

}  // namespace program
