#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/file.hpp>
#include <septum/io/model.hpp>
#include <septum/io/output_folder.hpp>
#include <string>
#include <vector>

#include "nets.hpp"
#include "options.hpp"
#include "process_group.hpp"
#include "training.hpp"
#include "training_curves.hpp"

namespace program {
namespace {

struct train_arguments {
  std::vector<std::filesystem::path> datasets;
  std::vector<std::string> channels;
  std::filesystem::path model;
  training_request request;
};

nlohmann::ordered_json curves_json(std::vector<std::vector<septum::epoch_record>> const& curves) {
  auto all = nlohmann::ordered_json::array();
  for (std::size_t net = 0; net < curves.size(); ++net)
    for (auto const& record : curves[net])
      all.push_back({{"net", net},
                     {"epoch", record.epoch},
                     {"rate", record.rate},
                     {"training_loss", record.training_loss},
                     {"training_accuracy", record.training_accuracy},
                     {"validation_loss", record.validation_loss},
                     {"validation_accuracy", record.validation_accuracy},
                     {"seconds", record.seconds},
                     {"patches", record.patches}});
  return all;
}

double best_validation_error(std::vector<std::vector<septum::epoch_record>> const& curves) {
  double best = 1.0;
  for (auto const& net : curves)
    for (auto const& record : net) best = std::min(best, 1.0 - record.validation_accuracy);
  return best;
}

void train(train_arguments const& given, common_options const& common) {
  auto const threads = common.executor();
  auto request = given.request;
  request.checkpoint = given.model;
  request.checkpoint += ".checkpoint";
  // Held and probed first, so that hours of work do not end at a folder that cannot be written. Of
  // several processes the first one writes.
  std::optional<septum::io::output_lock> lock;
  if (process_rank() == 0) {
    lock.emplace(given.model);
    septum::io::atomic_file{given.model};
  }
  std::vector<septum::io::dataset> datasets;
  for (auto const& experiment : given.datasets)
    for (auto const& folder : septum::io::list_datasets(experiment)) {
      datasets.push_back(septum::io::read_dataset(folder, given.channels, threads));
      for (auto const& warning : datasets.back().warnings) say(common, "septum: " + warning);
    }
  auto const result = train_model(std::move(datasets), request, common);
  if (process_rank() > 0) return;
  septum::io::write_model(given.model, result.trained);
  write_training_curves(given.model, result);
  remove_checkpoints(request);
  say(common, "Model: " + given.model.string() + " (" +
                  std::to_string(result.trained.parameter_sets.size()) + " nets, " +
                  septum::to_text(result.patches_per_second, 0) +
                  (request.dense() ? " pixels/s" : " patches/s") +
                  "); learning curves: " + curves_path(given.model, ".svg").string());
  print_json(common, {{"model", given.model.string()},
                      {"mode", request.mode},
                      {"patches_per_second", result.patches_per_second},
                      {"best_validation_error", best_validation_error(result.curves)},
                      {"seconds", result.seconds},
                      {"planned_bytes", result.planned_bytes},
                      {"peak_bytes", result.peak_bytes},
                      {"epochs", curves_json(result.curves)}});
}

}  // namespace

void register_train(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<train_arguments>();
  auto& request = given->request;
  CLI::App& command = *app.add_subcommand("train", "Trains a net on annotated images");
  command.footer(
      "A data set is a folder: channels as phase.tif, nuclear.tif, ... and edge.png + "
      "interior.png,\n"
      "or labels.tif with one integer per cell.\n"
      "Example: septum train day1/ --net bn_feature_net_31x31 --ensemble 5 --model "
      "bacteria.safetensors");
  command.add_option("DATASET", given->datasets, "Folders of annotated images")
      ->required()
      ->check(CLI::ExistingDirectory);
  command.add_option("--model", given->model, "File to write (.safetensors)")->required();
  command.add_option("--net", request.net, "Net to train")
      ->check(CLI::IsMember(net_names()))
      ->capture_default_str();
  command.add_option("--channels", given->channels,
                     "Channels in the order the net sees them; all by name when not given");
  command
      .add_option("--ensemble", request.ensemble, "Number of nets, with seeds SEED, SEED+1, ...")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  auto* const mode =
      command
          .add_option("--mode", request.mode,
                      "How the net sees the images: 'dense', whole crops at once, or 'patch', one "
                      "window per labelled pixel as the paper did; an option that only patches "
                      "have chooses 'patch'")
          ->check(CLI::IsMember({"dense", "patch"}))
          ->capture_default_str();
  command.add_option("--steps", request.steps, "dense: steps per net")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  command.add_option("--crop", request.crop, "dense: labelled pixels per side of a crop")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      .add_option("--crops", request.crops,
                  "dense: crops per step; 0: 1, or 4 for nets with a field above 40")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command
      .add_option("--balance", request.balance,
                  "dense: how rare classes are made to count: 'weights' of inverse frequency, a "
                  "'mask' that leaves as many pixels of every class in a crop, or 'none'")
      ->check(CLI::IsMember({"weights", "mask", "none"}))
      ->capture_default_str();
  command
      .add_option("--scale", request.scale,
                  "dense: crops are shown up to this part larger or smaller; 0: as they are")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--shear", request.shear,
                  "dense: largest shear of a crop, columns per row; 0: none")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_flag("--rotate", request.rotate,
                   "dense: turn crops by any angle, not by quarter turns alone");
  std::vector<CLI::Option*> const of_patches{
      command.add_option("--epochs", request.epochs, "patch: passes over the sampled patches")
          ->check(CLI::Range(1, 100000))
          ->capture_default_str(),
      command
          .add_option("--patches", request.patches,
                      "patch: budget per net instead of --epochs, ten equal epochs (rounded down)")
          ->check(CLI::Range(std::int64_t{20}, std::int64_t{1} << 40)),
      command.add_option("--batch", request.batch, "patch: patches per step")
          ->check(CLI::Range(2, 65536))
          ->capture_default_str(),
      command
          .add_option("--limit-per-class", request.limit_per_class,
                      "patch: patches per class and image; 0: the smallest number of edge pixels")
          ->check(CLI::NonNegativeNumber)
          ->capture_default_str()};
  auto* const teacher = command.add_option(
      "--teacher", request.teacher,
      "Distillation: learn the mean class probabilities of these models instead of the labels, at "
      "every pixel that they see; held-out labels choose the epoch. Files, or names as for segment "
      "--model; several are one ensemble");
  command
      .add_option("--label-weight", request.label_weight,
                  "Share of the labels in what is learned beside a teacher; 0: the teacher alone")
      ->check(CLI::Range(0.0, 1.0))
      ->needs(teacher)
      ->capture_default_str();
  command
      .add_option("--unlabelled", request.unlabelled,
                  "Images without annotation that a teacher is asked about as well: files, time "
                  "series, data-set folders, or folders of frames")
      ->check(CLI::ExistingPath)
      ->needs(teacher);
  command
      .add_option("--schedule", request.schedule,
                  "Learning rate over time: 'one_cycle' (dense), or 'decay' by --rate-factor per "
                  "epoch (patch, as published)")
      ->check(CLI::IsMember({"one_cycle", "decay"}));
  command
      .add_option(
          "--rate", request.rate,
          "Learning rate at the peak of the cycle (0.05, or 0.03 for fields above 40) or in "
          "the first epoch (0.01)")
      ->check(CLI::PositiveNumber);
  command.add_option("--rate-factor", request.rate_factor, "decay: factor of the rate per epoch")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--l2", request.l2, "Weight decay: adds l2 * sum W^2 to the loss")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--optimizer", request.optimizer, "How weights are moved")
      ->check(CLI::IsMember({"sgd", "rmsprop"}))
      ->capture_default_str();
  command
      .add_option("--validation", request.validation,
                  "What is held out to choose the best epoch: 'pixels' at random (the paper), or "
                  "a 'region' that shares no pixel with what is trained on (honest error)")
      ->check(CLI::IsMember({"pixels", "region"}))
      ->capture_default_str();
  command.add_option("--normalizer", request.normalizer, "How intensities are made comparable")
      ->check(CLI::IsMember({"median_box", "standard_deviation", "max", "none", "channel_whitening",
                             "patch_whitening", "patch_standard_deviation"}))
      ->capture_default_str();
  command
      .add_option("--pixel-size", request.pixel_size_um,
                  "Side of a pixel in um; 0: what the images say")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--memory-limit", request.memory_limit_mb,
                  "MiB that the whole program may take; 0: what is free")
      ->check(CLI::Range(std::size_t{0}, std::size_t{1} << 24));
  command
      .add_option("--parts", request.parts,
                  "Parts of a batch, each with batch statistics of its own, that the processes of "
                  "mpirun share; 0: as many as there are processes")
      ->check(CLI::Range(0, 1024));
  command.add_flag("--resume", request.resume, "Go on where a stopped run of this model left off");
  add_common_options(command, common);
  command.callback([given, &common, mode, of_patches] {
    if (mode->count() == 0)
      for (auto const* option : of_patches)
        if (option->count() > 0) given->request.mode = "patch";
    try {
      train(*given, common);
    } catch (septum::interrupted_error const&) {
      throw;
    } catch (septum::error const& failure) {
      // The others would wait for this process's part of a batch.
      if (process_count() > 1) {
        say(common, "septum: " + failure.message() + " [" + failure.id() + "]");
        abandon_processes(static_cast<int>(failure.kind()));
      }
      throw;
    }
  });
}

}  // namespace program
