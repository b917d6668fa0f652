#include "results_folder.hpp"

#include <algorithm>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/csv.hpp>
#include <set>
#include <system_error>

namespace program {
namespace {

namespace fs = std::filesystem;

bool is_folder(fs::path const& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

fs::path first_that_exists(std::vector<fs::path> const& candidates) {
  auto const found = std::find_if(candidates.begin(), candidates.end(), [](fs::path const& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
  });
  return found == candidates.end() ? fs::path{} : *found;
}

// A path as the table has it, or the same file name where demonstrations keep their frames.
fs::path find_image(std::string const& named, fs::path const& folder) {
  fs::path const name = fs::path{named}.filename();
  return first_that_exists({named, folder / "movie" / "frames" / name, folder / "frames" / name,
                            folder.parent_path() / "frames" / name});
}

}  // namespace

results_folder find_results(fs::path const& given) {
  results_folder result;
  fs::path const folder = fs::absolute(given).lexically_normal();
  result.folder = folder;
  result.labels = first_that_exists({folder / "labels", folder / "cells" / "labels"});
  if (!is_folder(result.labels))
    throw septum::io_error{"septum.program.61",
                           given.string() +
                               ": expected labels/ or cells/labels/ in this folder, found neither; "
                               "name the folder that `septum segment` wrote"};
  fs::path const cells = result.labels.parent_path();
  result.nuclei = first_that_exists({cells / "nuclei" / "labels"});
  result.probabilities = first_that_exists({cells / "probabilities"});
  result.cells_table = first_that_exists({cells / "cells.csv"});
  result.links = first_that_exists(
      {folder / "links.csv", folder / "tracks" / "links.csv", cells / "links.csv"});
  result.scores = first_that_exists({folder / "scores.json"});
  for (auto const& entry : fs::directory_iterator{folder}) {
    std::string const name = entry.path().filename().string();
    if (name.ends_with(".curves.csv")) result.learning_curves.push_back(entry.path());
    if (name.ends_with(".safetensors")) result.models.push_back(entry.path());
  }
  std::sort(result.learning_curves.begin(), result.learning_curves.end());
  std::sort(result.models.begin(), result.models.end());
  return result;
}

std::vector<input_frame> images_of(results_folder const& results,
                                   std::vector<fs::path> const& given,
                                   std::vector<std::string>& channels) {
  std::vector<fs::path> paths = given;
  if (!results.cells_table.empty()) {
    septum::io::csv_table const table{results.cells_table};
    constexpr std::string_view mean = "mean_";
    for (auto const& column : table.columns())
      if (column.starts_with(mean)) channels.push_back(column.substr(mean.size()));
    std::set<std::string> seen;
    auto const column = table.column("image");
    for (std::size_t row = 0; row < (given.empty() ? table.rows() : 0); ++row) {
      std::string const named{table.text(row, column)};
      if (!seen.insert(named).second) continue;
      if (auto const path = find_image(named, results.folder); !path.empty()) paths.push_back(path);
    }
  }
  if (paths.empty()) return {};
  // Without names, images have one channel as far as anyone knows.
  return list_inputs({.paths = paths, .channels = {}, .allow_gaps = true},
                     channels.empty() ? std::vector<std::string>{"phase"} : channels);
}

}  // namespace program
