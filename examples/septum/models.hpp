#pragma once
#include <filesystem>
#include <septum/net/model.hpp>
#include <string>
#include <vector>

namespace program {

/// Folders that hold trained models by name: $SEPTUM_MODELS, share/septum/models beside the
/// program's folder, and the sources that the program was built from; those that exist.
[[nodiscard]] std::vector<std::filesystem::path> model_folders();

/// Names of the models that there are, e.g. "bacteria".
[[nodiscard]] std::vector<std::string> model_names();

/// The file behind what a user gave: itself when it is a file, else NAME.safetensors in the first
/// of the folders that has it.
/// @throws septum::io_error naming the models that there are
[[nodiscard]] std::filesystem::path find_model(std::filesystem::path const& given);

/// The model in one file, or the ensemble that several files of one net make up; each as for
/// find_model.
/// @throws septum::error naming a file that cannot be read or is of another net than the first
[[nodiscard]] septum::model read_models(std::vector<std::filesystem::path> const& paths);

}  // namespace program
