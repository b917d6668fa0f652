#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "measurement.hpp"
#include "results_folder.hpp"

namespace CLI {
class App;
}

namespace program {

/// Options that `measure`, `report` and `run` share.
struct measuring_arguments {
  std::vector<std::filesystem::path> images{};
  double pixel_size_um = 0;
  double frame_interval_min = 0;
  std::string divisions = "continued";
  int window = 7;
  int neighbour_reach_px = 3;
  double jump = 0.3;
  double disagreement = 0.1;
  int border_px = 0;
  std::string reporter{};
  std::filesystem::path nuclei{};
};

/// Adds them to a command.
void add_measuring_options(CLI::App& command, measuring_arguments& given);

/// What is to be measured in a folder of results.
/// @throws septum::error naming the file
[[nodiscard]] measurement_request measuring_request(results_folder const& results,
                                                    measuring_arguments const& given);

}  // namespace program
