#include "models.hpp"

#include <algorithm>
#include <cstdlib>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/model.hpp>
#include <utility>

namespace program {
namespace {

namespace fs = std::filesystem;

constexpr char const* extension = ".safetensors";

}  // namespace

std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders;
  std::error_code ignored;
  auto const add = [&](fs::path const& folder) {
    if (fs::is_directory(folder, ignored)) folders.push_back(folder);
  };
  if (char const* const chosen = std::getenv("SEPTUM_MODELS")) add(chosen);
  auto const program = fs::read_symlink("/proc/self/exe", ignored);
  if (!program.empty()) add(program.parent_path().parent_path() / "share" / "septum" / "models");
#if defined(SEPTUM_MODEL_DIR)
  add(SEPTUM_MODEL_DIR);
#endif
  return folders;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (auto const& folder : model_folders()) {
    std::error_code ignored;
    for (auto const& entry : fs::directory_iterator{folder, ignored})
      if (entry.path().extension() == extension) names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

fs::path find_model(fs::path const& given) {
  std::error_code ignored;
  if (fs::exists(given, ignored)) return given;
  bool const is_name = !given.has_parent_path() && !given.has_extension();
  if (is_name)
    for (auto const& folder : model_folders()) {
      auto const file = folder / (given.string() + extension);
      if (fs::exists(file, ignored)) return file;
    }
  std::string known;
  for (auto const& name : model_names()) known += (known.empty() ? "" : ", ") + name;
  throw septum::io_error("septum.program.72", septum::printable(given.string()) + ": no such file" +
                                                  (is_name ? ", and no model of that name" : "") +
                                                  "; give a model that 'septum train' " +
                                                  "wrote, or one of those that come with septum: " +
                                                  (known.empty() ? "none found" : known));
}

septum::model read_models(std::vector<fs::path> const& paths) {
  auto all = septum::io::read_model(find_model(paths.front()));
  for (std::size_t k = 1; k < paths.size(); ++k) {
    auto next = septum::io::read_model(find_model(paths[k]));
    septum::io::require_model_for(next, all.layout, all.description.signature, paths[k].string());
    for (auto& set : next.parameter_sets) all.parameter_sets.push_back(std::move(set));
  }
  return all;
}

}  // namespace program
