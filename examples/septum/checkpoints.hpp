#pragma once
#include <filesystem>
#include <septum/core/error.hpp>
#include <septum/io/checkpoint.hpp>
#include <septum/train/trainer.hpp>
#include <string>
#include <utility>
#include <vector>

namespace program {
namespace detail {

// One row per epoch; the order of the columns is the order of the fields of epoch_record.
inline std::vector<double> history_columns(std::vector<septum::epoch_record> const& history) {
  std::vector<double> values;
  for (auto const& record : history)
    values.insert(values.end(),
                  {static_cast<double>(record.epoch), record.rate, record.training_loss,
                   record.training_accuracy, record.validation_loss, record.validation_accuracy,
                   record.seconds, static_cast<double>(record.patches)});
  return values;
}

inline std::vector<septum::epoch_record> history_of(std::vector<double> const& values) {
  std::vector<septum::epoch_record> history;
  for (std::size_t i = 0; i + 8 <= values.size(); i += 8)
    history.push_back({.epoch = static_cast<int>(values[i]),
                       .rate = values[i + 1],
                       .training_loss = values[i + 2],
                       .training_accuracy = values[i + 3],
                       .validation_loss = values[i + 4],
                       .validation_accuracy = values[i + 5],
                       .seconds = values[i + 6],
                       .patches = static_cast<std::int64_t>(values[i + 7])});
  return history;
}

}  // namespace detail

/// Writes everything that a run needs to go on; `recipe` is what must not differ on resuming.
template <septum::Optimizer O>
void save_checkpoint(std::filesystem::path const& path, std::string const& recipe,
                     septum::training_state<O> const& state) {
  septum::io::checkpoint saved;
  saved.texts["recipe"] = recipe;
  saved.floats["parameters"] = state.parameters;
  saved.floats["best_parameters"] = state.best_parameters;
  for (std::size_t k = 0; k < state.optimizer.slots.size(); ++k)
    saved.floats["optimizer" + std::to_string(k)] = state.optimizer.slots[k];
  saved.doubles["sums"] = {state.sums.loss, state.sums.weight};
  saved.doubles["best_validation_loss"] = {state.best_validation_loss};
  saved.doubles["seconds"] = {state.seconds};
  saved.doubles["history"] = detail::history_columns(state.history);
  saved.integers["progress"] = {state.epoch,        state.batch,      state.optimizer.updates,
                                state.sums.correct, state.sums.count, state.best_epoch};
  septum::io::write_checkpoint(path, saved);
}

/// Continues where a checkpoint stopped.
/// @throws septum::io_error when there is none, septum::weights_error when it is another run's
template <septum::Optimizer O>
void load_checkpoint(std::filesystem::path const& path, std::string const& recipe,
                     septum::training_state<O>& state) {
  auto const saved = septum::io::read_checkpoint(path);
  auto const refuse = [&](std::string const& what) {
    throw septum::weights_error("septum.program.10", path.string() + ": " + what +
                                                         "; resume with the options and data of "
                                                         "the run that wrote it, or start anew");
  };
  if (!saved.texts.contains("recipe") || saved.texts.at("recipe") != recipe)
    refuse("this checkpoint belongs to another run");
  auto const floats = [&](std::string const& name) -> std::vector<float> const& {
    if (!saved.floats.contains(name)) refuse("the checkpoint has no '" + name + "'");
    return saved.floats.at(name);
  };
  auto const doubles = [&](std::string const& name, std::size_t count) {
    if (!saved.doubles.contains(name) || saved.doubles.at(name).size() < count)
      refuse("the checkpoint has no complete '" + name + "'");
    return saved.doubles.at(name);
  };
  if (!saved.integers.contains("progress") || saved.integers.at("progress").size() != 6 ||
      floats("parameters").size() != state.parameters.size())
    refuse("the checkpoint is of another net");
  auto const& progress = saved.integers.at("progress");
  state.parameters = floats("parameters");
  state.best_parameters = floats("best_parameters");
  for (std::size_t k = 0; k < state.optimizer.slots.size(); ++k) {
    state.optimizer.slots[k] = floats("optimizer" + std::to_string(k));
    if (state.optimizer.slots[k].size() != state.parameters.size())
      refuse("the checkpoint is of another optimizer");
  }
  auto const sums = doubles("sums", 2);
  state.epoch = static_cast<int>(progress[0]);
  state.batch = static_cast<std::ptrdiff_t>(progress[1]);
  state.optimizer.updates = progress[2];
  state.sums = {sums[0], sums[1], progress[3], progress[4]};
  state.best_epoch = static_cast<int>(progress[5]);
  state.best_validation_loss = doubles("best_validation_loss", 1)[0];
  state.seconds = doubles("seconds", 1)[0];
  state.history = detail::history_of(doubles("history", 0));
}

}  // namespace program
