#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <septum/exec/for_each.hpp>
#include <string>

namespace CLI {
class App;
}

namespace program {

/// Options that every command takes.
struct common_options {
  int threads = 0;  ///< 0: as many as the machine has processors
  std::uint64_t seed = 0;
  std::string backend = "onednn";
  std::string precision = "f32";
  bool quiet = false;
  bool json = false;

  [[nodiscard]] septum::exec::threads executor() const;
};

/// Adds them to a command.
void add_common_options(CLI::App& command, common_options& options);

/// Prints a machine-readable result on standard output when --json was given.
void print_json(common_options const& options, nlohmann::ordered_json const& result);

/// A line for people on standard error unless --quiet was given.
void say(common_options const& options, std::string const& line);

/// Commands: each registers its options and, when chosen, runs. They throw septum::error.
void register_simulate(CLI::App& app, common_options& common);
void register_train(CLI::App& app, common_options& common);
void register_study(CLI::App& app, common_options& common);
void register_segment(CLI::App& app, common_options& common);
void register_track(CLI::App& app, common_options& common);
void register_evaluate(CLI::App& app, common_options& common);
void register_convert(CLI::App& app, common_options& common);
void register_measure(CLI::App& app, common_options& common);
void register_plating(CLI::App& app, common_options& common);
void register_report(CLI::App& app, common_options& common);
void register_run(CLI::App& app, common_options& common);
void register_info(CLI::App& app, common_options& common);
void register_demo(CLI::App& app, common_options& common);

}  // namespace program
