#include "training.hpp"

#include <algorithm>
#include <chrono>
#include <septum/core/error.hpp>
#include <septum/core/hash.hpp>
#include <septum/core/text.hpp>
#include <septum/io/checkpoint.hpp>
#include <septum/sample/batches.hpp>
#include <septum/sample/crops.hpp>
#include <septum/sample/label_maps.hpp>
#include <septum/sample/split.hpp>
#include <span>
#include <utility>

#include "checkpoints.hpp"
#include "distillation.hpp"
#include "gpu_training.hpp"
#include "memory_plan.hpp"
#include "process_group.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "trainable_nets.hpp"
#include "training_data.hpp"

namespace program {
namespace {

// Batch statistics need two patches at least.
septum::batch_options training_batches(training_request const& request, int field,
                                       std::uint64_t seed) {
  return {.window = field,
          .batch_size = request.batch,
          .seed = seed,
          .patches_per_epoch = static_cast<std::ptrdiff_t>(request.patches / 10),
          .smallest_batch = 2};
}

septum::training_schedule make_schedule(training_request const& request, std::uint64_t seed) {
  septum::training_schedule schedule{.epochs = request.epochs,
                                     .rate = request.rate,
                                     .rate_factor = request.rate_factor,
                                     .l2 = request.l2,
                                     .seed = seed};
  if (request.cycles()) schedule.cycle = septum::one_cycle{};
  if (request.dense()) {
    // Maps of one crop are fewer than those of a batch of patches: average over more of them.
    schedule.statistics_momentum = 0.97;
    // Each ends with a validation, which costs as much as a few steps.
    schedule.epochs = std::clamp(request.steps / 100, std::min(request.steps, 4), 24);
    while (request.steps % schedule.epochs != 0) --schedule.epochs;
    schedule.batches_per_epoch = request.steps / schedule.epochs;
  } else if (request.patches > 0) {
    schedule.epochs = 10;
  }
  return schedule;
}

// What a resumed run must share with the one that wrote the checkpoint; file contents included.
std::string recipe_text(prepared_data const& data, training_request const& request,
                        std::uint64_t seed) {
  std::string text =
      request.net + " mode " + request.mode + " seed " + std::to_string(seed) + " epochs " +
      std::to_string(request.epochs) + " patches " + std::to_string(request.patches) + " batch " +
      std::to_string(request.batch) + " steps " + std::to_string(request.steps) + " crop " +
      std::to_string(request.crop) + " x " + std::to_string(request.crops) + " balance " +
      request.balance + " parts " + std::to_string(request.parts) + " scale " +
      septum::to_text(request.scale) + " shear " + septum::to_text(request.shear) +
      (request.rotate ? " rotated" : "") + " rate " + septum::to_text(request.rate) +
      (request.cycles() ? " cycle" : " x ") + septum::to_text(request.rate_factor) + " decay " +
      septum::to_text(request.decay) + " momentum " + septum::to_text(request.momentum) + " l2 " +
      septum::to_text(request.l2) + " optimizer " + request.optimizer + " validation " +
      request.validation + " limit " + std::to_string(request.limit_per_class) + " normalizer " +
      request.normalizer;
  for (std::size_t k = 0; k < data.images.size(); ++k) {
    auto const& pixels = data.images[k];
    auto const& classes = data.truths[k].class_of_pixel;
    auto const hash = septum::fnv1a(std::as_bytes(std::span{pixels.data(), pixels.size()}));
    auto const truth = septum::fnv1a(std::as_bytes(std::span{classes.data(), classes.size()}));
    text += " image " + std::to_string(hash) + " truth " + std::to_string(truth);
  }
  if (!data.teacher.empty())
    text += " teacher " + data.teacher + " labels x " + septum::to_text(request.label_weight);
  return text;
}

std::string rate_text(double outputs_per_second, bool dense) {
  return septum::to_text(outputs_per_second, 0) + (dense ? " pixels/s" : " patches/s");
}

std::filesystem::path checkpoint_of(training_request const& request, int net) {
  auto path = request.checkpoint;
  if (!path.empty()) path += "." + std::to_string(net);
  return path;
}

// What one net of an ensemble is called, and where its checkpoint lies.
struct net_run {
  int index = 0;
  std::uint64_t seed = 0;
  std::filesystem::path checkpoint;
};

// What learns from which batches, and how a run is watched and saved.
template <septum::Optimizer O, class Training, class Validation, class Trainer>
void run_training(prepared_data const& data, training_request const& request,
                  common_options const& common, net_run const& net, Training& training,
                  Validation& validation, Trainer& trainer, septum::training_state<O>& state,
                  double& seconds, std::int64_t& patches) {
  // Of runs in float nothing is said, as before there were others.
  auto const recipe = recipe_text(data, request, net.seed) +
                      (common.precision == "f32" ? "" : " precision " + common.precision);
  if (request.resume) load_checkpoint(net.checkpoint, recipe, state);

  progress_bar bar{"net " + std::to_string(net.index + 1) + "/" + std::to_string(request.ensemble),
                   !common.quiet && process_rank() == 0};
  auto last_saved = std::chrono::steady_clock::now();
  std::int64_t seen = 0;
  double elapsed = 0.0;
  auto const save = [&] {
    if (!net.checkpoint.empty() && process_rank() == 0)
      save_checkpoint(net.checkpoint, recipe, state);
    last_saved = std::chrono::steady_clock::now();
  };
  auto const on_batch = [&](septum::training_progress const& now) {
    seen = now.patches;
    elapsed = now.seconds;
    bar.update((now.epoch + static_cast<double>(now.batch) / static_cast<double>(now.batches)) /
                   now.epochs,
               "epoch " + std::to_string(now.epoch + 1) + "/" + std::to_string(now.epochs) +
                   "  loss " + septum::to_text(now.loss, 4) + "  " +
                   rate_text(static_cast<double>(now.patches) / std::max(now.seconds, 1e-9),
                             request.dense()));
    if (std::chrono::steady_clock::now() - last_saved > std::chrono::minutes{1}) save();
    if (caught_signal() != 0) save();
    stop_if_interrupted();
  };
  auto const on_epoch = [&](septum::training_state<O> const& reached) {
    auto const& record = reached.history.back();
    bar.finish("net " + std::to_string(net.index + 1) + " epoch " +
               std::to_string(record.epoch + 1) + ": training loss " +
               septum::to_text(record.training_loss, 4) + ", validation loss " +
               septum::to_text(record.validation_loss, 4) + ", accuracy " +
               septum::to_text(record.validation_accuracy, 4) + ", " +
               rate_text(static_cast<double>(record.patches) / std::max(record.seconds, 1e-9),
                         request.dense()));
    save();
  };
  trainer.run(state, training, validation, on_batch, on_epoch);
  seconds += elapsed;
  patches += seen;
}

// What the nets of an ensemble have in common.
struct training_setup {
  prepared_data const& data;
  training_request const& request;
  common_options const& common;
  net_properties const& net;
  std::uint64_t* planned_bytes;

  [[nodiscard]] int field() const { return net.training.receptive_field; }
  template <septum::Optimizer O>
  [[nodiscard]] septum::training_run<O> make_run(septum::training_schedule schedule,
                                                 O const& optimizer) const {
    auto passes =
        make_trainable(request.net, static_cast<std::size_t>(net.training.input_channels),
                       static_cast<std::size_t>(net.training.classes), request.dense(), common);
    return {net.training, std::move(schedule), optimizer, std::move(passes.gradient),
            std::move(passes.validation)};
  }
};

// Most inputs of one step and of one pass of validation.
struct batch_counts {
  int step = 0;
  int validation = 0;
};

int largest_batch(septum::patch_batches const& batches) {
  return static_cast<int>(
      std::min<std::ptrdiff_t>(batches.options().batch_size, batches.patches_per_epoch()));
}

// Refuses a run that would not fit. Beside the maps of a step and of validation: what kernels keep
// of a step's for the way back, the weights' gradient of every thread, and the parameters with
// their copies.
template <class Trainer>
void require_memory(training_setup const& setup, Trainer const& trainer, batch_counts inputs) {
  auto const& [data, request, common, properties, planned] = setup;
  int const side = setup.field() + (request.dense() ? request.crop - 1 : 0);
  std::uint64_t const maps =
      trainer.buffer_bytes((inputs.step + request.parts - 1) / request.parts, side, side);
  std::uint64_t parameters = 0;
  for (auto const& slice : properties.layout) parameters += slice.count * sizeof(float);
  auto const threads = static_cast<std::uint64_t>(common.executor().count);
  memory_plan plan;
  plan.add("program and images", resident_bytes());
  plan.add("maps of a step", maps + maps / 2);
  plan.add("maps of validation", trainer.validation_bytes(inputs.validation, side, side));
  plan.add("parameters",
           parameters * (24 + 2 * threads + static_cast<std::uint64_t>(request.parts)));
  plan.add("batches", 4 * static_cast<std::uint64_t>(std::max(inputs.step, inputs.validation)) *
                          static_cast<std::uint64_t>(side) * static_cast<std::uint64_t>(side) *
                          sizeof(float) *
                          static_cast<std::uint64_t>(properties.training.input_channels));
  plan.add("overhead", overhead_bytes(common.executor().count, plan.total() - resident_bytes()));
  *planned = std::max(*planned, plan.total());
  std::uint64_t const allowed = allowed_bytes(request.memory_limit_mb);
  if (plan.total() > allowed)
    throw septum::unsupported_error(
        "septum.program.106",
        "this training needs " + bytes_text(plan.total()) + " (" + std::to_string(plan.total()) +
            " bytes) of memory, there are " + bytes_text(allowed) + " (" + std::to_string(allowed) +
            " bytes); give smaller " + (request.dense() ? "--crop or --crops" : "--batch"),
        septum::fault::resource);
}

template <septum::Optimizer O>
septum::training_state<O> train_patches_on_gpu(training_setup const& setup, net_run const& run,
                                               septum::patch_split const& split, O const& optimizer,
                                               double& seconds, std::int64_t& patches) {
  auto const& [data, request, common, properties, planned] = setup;
  if (request.parts > 1)
    throw septum::unsupported_error("septum.program.105",
                                    "--backend cudnn trains in one process and one part");
  int const field = setup.field();
  gpu_trainer<O> trainer{request.net,
                         static_cast<std::size_t>(properties.training.input_channels),
                         static_cast<std::size_t>(properties.training.classes),
                         make_schedule(request, run.seed),
                         optimizer,
                         common};
  gpu_patches const training{data.views(), split.training,
                             training_batches(request, field, run.seed)};
  gpu_patches const validation{
      data.views(),
      split.validation,
      {.window = field, .batch_size = request.batch, .shuffle = false, .augment = false}};
  auto state = trainer.start();
  run_training<O>(data, request, common, run, training, validation, trainer, state, seconds,
                  patches);
  return state;
}

template <septum::Optimizer O>
septum::training_state<O> train_by_patches(training_setup const& setup, net_run const& run,
                                           O const& optimizer, double& seconds,
                                           std::int64_t& patches) {
  auto const& [data, request, common, properties, planned] = setup;
  int const field = setup.field();
  auto const threads = common.executor();
  auto const split = split_patches(data, request, field, run.seed);
  if (common.backend == "cudnn")
    return train_patches_on_gpu(setup, run, split, optimizer, seconds, patches);
  septum::patch_batches training{data.views(), split.training,
                                 training_batches(request, field, run.seed), threads};
  if (!data.targets.empty()) training.set_targets(data.target_views());
  septum::patch_batches validation{
      data.views(),
      split.validation,
      {.window = field, .batch_size = request.batch, .shuffle = false, .augment = false},
      threads};
  auto trainer = setup.make_run(make_schedule(request, run.seed), optimizer);
  trainer.deal(deal_parts(request.parts));
  require_memory(setup, trainer,
                 {.step = largest_batch(training), .validation = largest_batch(validation)});
  auto state = trainer.start();
  run_training<O>(data, request, common, run, training, validation, trainer, state, seconds,
                  patches);
  return state;
}

std::vector<septum::view<std::uint8_t const, 2>> map_views(std::vector<septum::mask> const& maps) {
  std::vector<septum::view<std::uint8_t const, 2>> all;
  for (auto const& map : maps) all.push_back(septum::as_view(map));
  return all;
}

template <septum::Optimizer O>
septum::training_state<O> train_by_crops(training_setup const& setup, net_run const& run,
                                         O const& optimizer, double& seconds,
                                         std::int64_t& patches) {
  auto const& [data, request, common, properties, planned] = setup;
  if (common.backend == "cudnn")
    throw septum::unsupported_error(
        "septum.program.52",
        "--backend cudnn trains by patches; give --mode patch, or train dense on "
        "the processor");
  int const field = setup.field();
  auto const threads = common.executor();
  auto const maps = split_maps(data, request, field, run.seed);
  auto schedule = make_schedule(request, run.seed);
  if (request.balance == "weights")
    schedule.class_weights =
        septum::inverse_frequency_weights(maps.training, data.truths.front().class_names.size());
  septum::crop_batches training{
      data.views(),
      map_views(maps.training),
      {.window = field,
       .side = request.crop,
       .batch_size = request.crops,
       .batches_per_epoch = static_cast<int>(schedule.batches_per_epoch),
       .warping = {.scale = request.scale, .shear = request.shear, .rotate = request.rotate},
       .balance = request.balance == "mask",
       .seed = run.seed},
      threads};
  if (!data.targets.empty()) training.set_targets(data.target_views());
  // Enough to compare epochs by, and a small part of the time.
  constexpr std::size_t most_validation_crops = 16;
  auto const held_out = map_views(maps.validation);
  auto validation = septum::crop_batches::fixed(
      data.views(), held_out,
      septum::crop_grid(held_out, field, training.options().side, most_validation_crops),
      {.window = field, .side = request.crop}, threads);
  auto trainer = setup.make_run(std::move(schedule), optimizer);
  trainer.deal(deal_parts(request.parts));
  require_memory(setup, trainer,
                 {.step = request.crops, .validation = validation.options().batch_size});
  auto state = trainer.start();
  run_training<O>(data, request, common, run, training, validation, trainer, state, seconds,
                  patches);
  return state;
}

septum::model_description describe(std::vector<septum::io::dataset> const& datasets,
                                   training_request const& request, common_options const& common,
                                   int field, std::uint64_t signature) {
  septum::model_description description{.architecture = request.net,
                                        .signature = signature,
                                        .receptive_field = field,
                                        .channels = datasets.front().channels,
                                        .classes = datasets.front().truth.class_names,
                                        .normalizer = request.normalizer,
                                        .normalizer_window = field,
                                        .pixel_size_um = request.pixel_size_um > 0.0
                                                             ? request.pixel_size_um
                                                             : datasets.front().pixel_size_um,
                                        .provenance = {}};
  std::string names;
  for (auto const& dataset : datasets) names += (names.empty() ? "" : ", ") + dataset.name;
  description.provenance = {
      {"data_sets", names},
      {"mode", request.mode},
      {"epochs", std::to_string(make_schedule(request, common.seed).epochs)},
      {"optimizer", request.optimizer},
      {"schedule", request.cycles() ? "one_cycle" : "decay"},
      {"rate", septum::to_text(request.rate)},
      {"l2", septum::to_text(request.l2)},
      {"seed", std::to_string(common.seed)},
      {"validation", request.validation},
      {"backend", common.backend},
      {"precision", common.precision},
  };
  auto& provenance = description.provenance;
  if (!request.teacher.empty()) {
    for (auto const& file : request.teacher)
      provenance["teacher"] +=
          (provenance["teacher"].empty() ? "" : ", ") + file.filename().string();
    provenance["label_weight"] = septum::to_text(request.label_weight);
  }
  if (request.parts > 1) provenance["parts"] = std::to_string(request.parts);
  if (!request.cycles()) provenance["rate_factor"] = septum::to_text(request.rate_factor);
  if (request.dense()) {
    provenance["steps"] = std::to_string(request.steps);
    provenance["crop"] = std::to_string(request.crop);
    provenance["crops"] = std::to_string(request.crops);
    provenance["balance"] = request.balance;
    if (request.scale > 0.0) provenance["scale"] = septum::to_text(request.scale);
    if (request.shear > 0.0) provenance["shear"] = septum::to_text(request.shear);
    if (request.rotate) provenance["rotate"] = "true";
  } else {
    provenance["batch"] = std::to_string(request.batch);
    if (request.patches > 0) provenance["patches"] = std::to_string(request.patches);
  }
  return description;
}

// Fills in what depends on the net. Large fields are for large cells, of which one crop shows too
// few to learn from at a high rate.
training_request completed(training_request request, int field) {
  bool const large = field > 40;
  if (request.parts == 0) request.parts = process_count();
  if (request.crops == 0) request.crops = std::max(large ? 4 : 1, request.parts);
  if (request.rate == 0.0) request.rate = !request.cycles() ? 0.01 : large ? 0.03 : 0.05;
  return request;
}

template <septum::Optimizer O>
training_result train_ensemble(std::vector<septum::io::dataset>& datasets,
                               training_request const& given, common_options const& common,
                               O const& optimizer) {
  auto const net = properties_of(given.net, datasets.front().channels.size(),
                                 datasets.front().truth.class_names.size());
  auto const request = completed(given, net.training.receptive_field);
  training_result result;
  int const field = net.training.receptive_field;
  result.trained.description = describe(datasets, request, common, field, net.signature);
  result.trained.layout = net.layout;
  auto const data = prepare(datasets, request, field, common);
  std::int64_t patches = 0;
  for (int k = 0; k < request.ensemble; ++k) {
    net_run const run{k, common.seed + static_cast<std::uint64_t>(k), checkpoint_of(request, k)};
    training_setup const setup{data, request, common, net, &result.planned_bytes};
    auto state = request.dense()
                     ? train_by_crops<O>(setup, run, optimizer, result.seconds, patches)
                     : train_by_patches<O>(setup, run, optimizer, result.seconds, patches);
    result.trained.parameter_sets.push_back(std::move(state.best_parameters));
    result.curves.push_back(std::move(state.history));
  }
  result.patches_per_second = static_cast<double>(patches) / std::max(result.seconds, 1e-9);
  result.peak_bytes = peak_memory_bytes();
  return result;
}

}  // namespace

training_result train_model(std::vector<septum::io::dataset> datasets,
                            training_request const& request, common_options const& common) {
  require_equal_datasets(datasets);
  for (auto& unlabelled : read_unlabelled(request, datasets.front(), common))
    datasets.push_back(std::move(unlabelled));
  if (request.optimizer == "rmsprop")
    return train_ensemble(datasets, request, common, septum::rmsprop{});
  return train_ensemble(datasets, request, common,
                        septum::sgd{.momentum = request.momentum, .decay = request.decay});
}

void remove_checkpoints(training_request const& request) {
  for (int k = 0; k < request.ensemble; ++k) {
    auto const path = checkpoint_of(request, k);
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    std::filesystem::remove(septum::io::previous_checkpoint(path), ignored);
  }
}

}  // namespace program
