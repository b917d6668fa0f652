#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "inputs.hpp"

namespace program {

/// The parts of a folder of results, as `segment`, `track`, `train` and `demo` leave them. Paths
/// are empty where a part is not there.
struct results_folder {
  std::filesystem::path folder;
  std::filesystem::path labels;         ///< label images, one per frame
  std::filesystem::path nuclei;         ///< those of the nuclei
  std::filesystem::path probabilities;  ///< by the same names
  std::filesystem::path cells_table;    ///< what `segment` wrote
  std::filesystem::path links;          ///< links.csv
  std::filesystem::path scores;         ///< scores.json
  std::vector<std::filesystem::path> learning_curves;
  std::vector<std::filesystem::path> models;
};

/// Finds the parts: labels/ in the folder itself or in cells/, links.csv in the folder or in
/// tracks/.
/// @throws septum::io_error when there are no label images
[[nodiscard]] results_folder find_results(std::filesystem::path const& given);

/// The raw images behind the results: those given, or those that the table of cells names, as long
/// as they are where it says or below the folder.
/// @param channels  receives the names of their channels
[[nodiscard]] std::vector<input_frame> images_of(results_folder const& results,
                                                 std::vector<std::filesystem::path> const& given,
                                                 std::vector<std::string>& channels);

}  // namespace program
