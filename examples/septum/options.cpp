#include "options.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <septum/core/text.hpp>
#include <thread>

namespace program {

septum::exec::threads common_options::executor() const {
  if (threads > 0) return {threads};
  auto const usable = static_cast<int>(std::thread::hardware_concurrency());
  // Processes that mpirun started on this machine share its processors, unless they are bound to
  // some of them already.
  char const* const beside = std::getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
  int const processes = beside == nullptr ? 1 : septum::parse_number<int>(beside).value_or(1);
  bool const bound = usable < static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  return {std::max(1, bound ? usable : usable / std::max(processes, 1))};
}

void add_common_options(CLI::App& command, common_options& options) {
  command.add_option("--threads", options.threads, "Threads; 0 takes all processors")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command.add_option("--seed", options.seed, "Seed of everything random")->capture_default_str();
  command.add_option("--backend", options.backend, "Kernels that compute the net")
      ->check(CLI::IsMember({"onednn", "eigen", "reference", "cudnn"}))
      ->capture_default_str();
  command
      .add_option("--precision", options.precision,
                  "Numbers that the net computes in; bf16 wants a processor with AVX512_BF16 or "
                  "--backend cudnn, tf32 and f16 the latter")
      ->check(CLI::IsMember({"f32", "tf32", "bf16", "f16"}))
      ->capture_default_str();
  command.add_flag("--quiet", options.quiet, "No progress on standard error");
  command.add_flag("--json", options.json, "Machine-readable result on standard output");
}

void print_json(common_options const& options, nlohmann::ordered_json const& result) {
  if (options.json) std::cout << result.dump(2) << std::endl;
}

void say(common_options const& options, std::string const& line) {
  if (!options.quiet) std::cerr << line << std::endl;
}

}  // namespace program
