#pragma once
#include <filesystem>
#include <string>

#include "training.hpp"

namespace program {

/// MODEL.curves.csv or MODEL.curves.svg: where the learning curves of a model go.
[[nodiscard]] std::filesystem::path curves_path(std::filesystem::path const& model,
                                                std::string const& extension);

/// Writes the learning curves beside the model, as a table and as a figure.
/// @throws septum::io_error when a file cannot be written
void write_training_curves(std::filesystem::path const& model, training_result const& result);

}  // namespace program
