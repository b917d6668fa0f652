#include "experiment.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <septum/core/error.hpp>
#include <septum/core/hash.hpp>
#include <septum/core/text.hpp>
#include <septum/io/csv.hpp>
#include <septum/io/file.hpp>
#include <septum/io/frames.hpp>
#include <septum/io/model.hpp>
#include <septum/io/output_folder.hpp>
#include <septum/version.hpp>
#include <system_error>
#include <thread>

#include "label_movie.hpp"
#include "measurement.hpp"
#include "process_group.hpp"
#include "progress.hpp"
#include "reporting.hpp"
#include "results_folder.hpp"
#include "signals.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;

std::string size_and_time(fs::path const& path) {
  std::error_code ignored;
  auto const time = fs::last_write_time(path, ignored).time_since_epoch().count();
  return path.filename().string() + " " + septum::to_text(fs::file_size(path, ignored)) + " " +
         septum::to_text(static_cast<long long>(time)) + "\n";
}

// Names, sizes and times of the files behind a path, without reading them.
std::string inputs_text(fs::path const& path) {
  if (!fs::is_directory(path)) return size_and_time(path);
  std::vector<fs::path> files;
  for (auto const& entry : fs::directory_iterator{path}) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::string text;
  for (auto const& file : files) text += size_and_time(file);
  return text;
}

std::string hex(std::uint64_t value) {
  std::string text(16, '0');
  for (std::size_t i = 0; i < text.size(); ++i)
    text[i] = "0123456789abcdef"[(value >> (60 - 4 * i)) & 0xFU];
  return text;
}

std::string content_hash(fs::path const& file) {
  return hex(septum::fnv1a(septum::io::read_file(file).bytes()));
}

septum::model read_ensemble(std::vector<fs::path> const& paths) {
  auto all = septum::io::read_model(paths.front());
  for (std::size_t k = 1; k < paths.size(); ++k) {
    auto next = septum::io::read_model(paths[k]);
    septum::io::require_model_for(next, all.layout, all.description.signature, paths[k].string());
    for (auto& set : next.parameter_sets) all.parameter_sets.push_back(std::move(set));
  }
  return all;
}

// Frames whose channels lie in folders of their own, by their numbers.
std::vector<input_frame> frames_of_channels(position const& where,
                                            std::vector<std::string> const& wanted,
                                            bool allow_gaps) {
  std::map<std::int64_t, std::vector<septum::io::channel_file>> by_number;
  for (auto const& name : wanted) {
    auto const folder = where.channels.find(name);
    if (folder == where.channels.end())
      throw septum::shape_error{"septum.program.8", "the model wants channel '" + name +
                                                        "'; give its folder in channels = { " +
                                                        name + " = ... }"};
    for (auto const& file : septum::io::list_frames(folder->second, allow_gaps))
      by_number[file.index].push_back({name, file.path});
  }
  std::vector<input_frame> frames;
  for (auto const& [number, files] : by_number) {
    if (files.size() != wanted.size())
      throw septum::io_error{"septum.program.74",
                             "frame " + septum::to_text(number) + ": expected a file in each of " +
                                 septum::to_text(wanted.size()) + " channel folders, found " +
                                 septum::to_text(files.size())};
    std::vector<fs::path> paths;
    for (auto const& file : files) paths.push_back(file.path);
    frames.push_back({files.front().path.string(), files.front().path.stem().string(), number,
                      [chosen = files] { return septum::io::read_channels(chosen); },
                      std::move(paths)});
  }
  return frames;
}

/// Runs the steps of positions; what all of them share is read once.
class experiment_runner {
 public:
  experiment_runner(experiment_config const& config, common_options const& common)
      : config_{&config}, quiet_{common}, trained_{read_ensemble(config.models)} {
    quiet_.quiet = true;
    quiet_.json = false;
    for (auto const& path : config.models) models_ += content_hash(path) + "\n";
    if (!config.nuclear_model.empty()) {
      nuclear_ = septum::io::read_model(config.nuclear_model);
      models_ += content_hash(config.nuclear_model) + "\n";
    }
    for (auto const& [name, value] : config.settings) settings_ += name + " = " + value + "\n";
  }

  /// @param on_step  called with the name of each step before it
  void run(position const& where, position_outcome& outcome,
           std::function<void(std::string const&)> const& on_step) {
    fs::path const folder = config_->out / where.name;
    segmentation_request segmentation = config_->segmentation;
    segmentation.out = folder / "cells";
    segmentation.pixel_size_um = config_->measuring.pixel_size_um;
    segmentation.nuclear_model = nuclear_;
    outcome.step = "inputs";
    auto const channels = channels_of_run(trained_, segmentation);
    auto const frames =
        where.channels.empty()
            ? list_inputs(
                  {.paths = {where.images}, .channels = {}, .allow_gaps = config_->allow_gaps},
                  channels)
            : frames_of_channels(where, channels, config_->allow_gaps);
    outcome.frames = static_cast<std::int64_t>(frames.size());
    std::string seal = "septum " + std::to_string(SEPTUM_VERSION_MAJOR) + "." +
                       std::to_string(SEPTUM_VERSION_MINOR) + "." +
                       std::to_string(SEPTUM_VERSION_PATCH) + "\nseed " +
                       std::to_string(quiet_.seed) + "\nbackend " + quiet_.backend + " " +
                       quiet_.precision + "\n" + settings_ + models_;
    for (auto const& [name, path] : where.channels) seal += name + ":\n" + inputs_text(path);
    if (where.channels.empty()) seal += inputs_text(where.images);
    seal = hex(septum::fnv1a(std::as_bytes(std::span{seal.data(), seal.size()}))) + "\n";

    step(folder, "cells", seal, outcome, on_step, [&] {
      segment_frames(frames, trained_, segmentation, quiet_);
      new_frames += outcome.frames;
    });
    if (config_->track)
      step(folder, "tracks", seal, outcome, on_step, [&] {
        tracking_request tracking = config_->tracking;
        tracking.out = folder / "tracks";
        track_labels(open_label_movie({segmentation.out / "labels"}, true), tracking, quiet_);
      });
    measure(folder, frames, channels, seal, outcome, on_step);
    read_summary(folder, outcome);
    outcome.step.clear();
  }

  std::int64_t new_frames = 0;

 private:
  /// A step is done when its folder is there and its seal says that it was made with the same
  /// inputs, models, settings and version. The seal is written last.
  template <class Work>
  void step(fs::path const& folder, std::string const& name, std::string const& seal,
            position_outcome& outcome, std::function<void(std::string const&)> const& on_step,
            Work const& work) {
    stop_if_interrupted();
    outcome.step = name;
    fs::path const sealed = folder / (".septum-" + name + ".done");
    if (is_sealed(sealed, seal) && fs::exists(folder / name)) {
      ++outcome.skipped;
      return;
    }
    on_step(name);
    std::error_code ignored;
    fs::remove(sealed, ignored);
    work();
    septum::io::write_file(sealed, seal);
    ++outcome.done;
  }

  [[nodiscard]] static bool is_sealed(fs::path const& path, std::string const& seal) {
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored) || fs::file_size(path, ignored) == 0) return false;
    return septum::io::read_file(path).text() == seal;
  }

  void measure(fs::path const& folder, std::vector<input_frame> const& frames,
               std::vector<std::string> const& channels, std::string const& seal,
               position_outcome& outcome, std::function<void(std::string const&)> const& on_step) {
    std::optional<measurement> measured;
    auto const request = [&] {
      auto wanted = measuring_request(find_results(folder), config_->measuring);
      wanted.images = frames;
      wanted.channels = channels;
      if (!config_->segmentation.pad_by_reflection)
        wanted.border_px = (trained_.description.receptive_field - 1) / 2;
      return wanted;
    };
    step(folder, "measurements", seal, outcome, on_step, [&] {
      auto const wanted = request();
      septum::io::output_folder target{folder / "measurements"};
      measured = measure_movie(wanted, quiet_);
      write_measurement(target.path(), *measured);
      write_crops(target.path() / "crops", wanted, *measured);
      target.commit();
    });
    if (!config_->report) return;
    step(folder, "report.html", seal, outcome, on_step, [&] {
      auto const wanted = request();
      if (!measured) measured = measure_movie(wanted, quiet_);
      auto provenance = config_->settings;
      for (auto const& path : config_->models)
        provenance.emplace_back("model file", path.filename().string());
      auto const html =
          make_report(find_results(folder), wanted, *measured,
                      {.title = config_->name + ", " + folder.filename().string(),
                       .time = {},
                       .provenance = std::move(provenance),
                       .byte_budget = static_cast<std::size_t>(config_->report_megabytes * 1e6)});
      septum::io::write_file(folder / "report.html", html);
    });
  }

  static void read_summary(fs::path const& folder, position_outcome& outcome) {
    auto const summary = nlohmann::json::parse(
        septum::io::read_file(folder / "measurements" / "summary.json").text());
    outcome.cells = summary.at("cells").get<std::int64_t>();
    auto const number = [](nlohmann::json const& value) {
      return value.is_number() ? value.get<double>() : std::nan("");
    };
    outcome.growth_per_h = outcome.jump_rate = std::nan("");
    if (!summary.contains("tracks")) return;
    outcome.tracks = summary.at("tracks").get<std::int64_t>();
    outcome.growth_per_h = number(summary.at("growth").at("mean_per_h"));
    outcome.jump_rate = number(summary.at("audit").at("jump_rate"));
  }

  experiment_config const* config_;
  common_options quiet_;
  septum::model trained_;
  std::optional<septum::model> nuclear_;
  std::string models_;
  std::string settings_;
};

void write_summary(experiment_config const& config, experiment_outcome const& outcome) {
  septum::io::csv_writer table{config.out / "summary.csv",
                               {"position", "status", "frames", "cells", "tracks", "growth_per_h",
                                "jump_rate", "failed_step", "reason"}};
  for (auto const& one : outcome.positions) {
    bool const failed = !one.failure.empty();
    double const unknown = std::nan("");
    table.row(one.name, failed ? "failed" : "done", one.frames, one.cells, one.tracks,
              failed ? unknown : one.growth_per_h, failed ? unknown : one.jump_rate,
              failed ? one.step : std::string{}, one.failure);
  }
  table.commit();
}

}  // namespace

std::size_t experiment_outcome::failures() const {
  return static_cast<std::size_t>(
      std::count_if(positions.begin(), positions.end(),
                    [](position_outcome const& one) { return !one.failure.empty(); }));
}

namespace {

// A position's folder is held by the process that works on it; the lock goes with the process,
// however it ends.
class position_queue {
 public:
  position_queue(experiment_config const& config, experiment_runner& runner, progress_bar& bar)
      : config_{&config}, runner_{&runner}, bar_{&bar}, token_{run_token()} {}

  // Works through all positions, beginning with this process's share: what another process has in
  // hand is looked at again at the end, and done here if that process is gone.
  std::vector<position_outcome> run() {
    auto const count = config_->positions.size();
    std::vector<std::optional<position_outcome>> outcomes(count);
    std::size_t const first = count * static_cast<std::size_t>(process_rank()) /
                              static_cast<std::size_t>(process_count());
    while (true) {
      std::size_t missing = 0;
      for (std::size_t k = 0; k < count; ++k) {
        std::size_t const index = (first + k) % count;
        if (!outcomes[index]) outcomes[index] = attempt(index);
        missing += outcomes[index] ? 0 : 1;
      }
      if (missing == 0) break;
      stop_if_interrupted();
      std::this_thread::sleep_for(std::chrono::milliseconds{100});
    }
    std::vector<position_outcome> all;
    for (auto& one : outcomes) all.push_back(std::move(*one));
    return all;
  }

  void forget_failures() const {
    for (auto const& where : config_->positions) {
      std::error_code ignored;
      fs::remove(failure_note(where), ignored);
    }
  }

 private:
  [[nodiscard]] fs::path failure_note(position const& where) const {
    return config_->out / where.name / (".septum-failed-" + token_);
  }

  // Nothing when another process has the position in hand.
  std::optional<position_outcome> attempt(std::size_t index) {
    auto const& where = config_->positions[index];
    std::optional<septum::io::output_lock> lock;
    if (process_count() > 1) {
      fs::create_directories(config_->out / where.name);
      try {
        lock.emplace(config_->out / where.name);
      } catch (septum::error const& held) {
        if (held.kind() == septum::fault::locked) return std::nullopt;
        throw;
      }
    }
    position_outcome one;
    one.name = where.name;
    // What failed in another process of this run would fail here as well.
    if (std::error_code ignored; fs::exists(failure_note(where), ignored)) {
      std::string const note{septum::io::read_file(failure_note(where)).text()};
      one.step = note.substr(0, note.find('\n'));
      one.failure = note.substr(std::min(note.size(), note.find('\n') + 1));
      return one;
    }
    constexpr double steps = 4;
    try {
      runner_->run(where, one, [&](std::string const& step) {
        bar_->update((static_cast<double>(index) + (one.done + one.skipped) / steps) /
                         static_cast<double>(config_->positions.size()),
                     "position " + std::to_string(index + 1) + "/" +
                         std::to_string(config_->positions.size()) + "  " + where.name + ": " +
                         step);
      });
    } catch (septum::interrupted_error const&) {
      throw;
    } catch (septum::error const& failure) {
      one.failure = failure.message() + " [" + failure.id() + "]";
    } catch (std::exception const& failure) {
      one.failure = failure.what();
    }
    if (!one.failure.empty() && process_count() > 1)
      septum::io::write_file(failure_note(where), one.step + "\n" + one.failure);
    return one;
  }

  experiment_config const* config_;
  experiment_runner* runner_;
  progress_bar* bar_;
  std::string token_;
};

}  // namespace

experiment_outcome run_experiment(experiment_config const& config, common_options const& common) {
  auto const begin = std::chrono::steady_clock::now();
  experiment_runner runner{config, common};
  fs::create_directories(config.out);
  std::optional<septum::io::output_lock> lock;
  if (process_rank() == 0) lock.emplace(config.out);
  progress_bar bar{"running", !common.quiet && process_rank() == 0};
  position_queue queue{config, runner, bar};
  experiment_outcome outcome;
  outcome.positions = queue.run();
  if (process_rank() == 0) {
    write_summary(config, outcome);
    queue.forget_failures();
  }
  outcome.new_frames = runner.new_frames;
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  outcome.peak_bytes = peak_memory_bytes();
  bar.finish("Ran " + std::to_string(config.positions.size()) + " positions, " +
             std::to_string(outcome.failures()) + " failed");
  return outcome;
}

}  // namespace program
