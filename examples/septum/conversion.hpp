#pragma once
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "options.hpp"

namespace program {

/// What the user wants converted. A converter looks at the members that concern it.
struct conversion_request {
  std::vector<std::filesystem::path> inputs;
  std::filesystem::path output;

  std::string statistics_rule = "auto";  ///< of Keras weights: auto, std or variance
  std::vector<std::string> channels;     ///< names of the input channels; empty: by the field
  std::vector<std::string> classes;      ///< names of the classes; empty: edge, interior, …
  double pixel_size_um = 0.0;            ///< 0: unknown, or what the input says
  double interval_s = 0.0;               ///< between frames; 0: what the input says
  std::filesystem::path like;            ///< image or time series that areas were drawn on
};

/// One of the things that `septum convert` does.
struct converter {
  std::string what;  ///< for help: "Keras weights (.h5) to a model (.safetensors)"
  /// whether it is the one for these inputs and this output
  std::function<bool(conversion_request const&)> accepts;
  /// does it; returns what --json prints
  std::function<nlohmann::ordered_json(conversion_request const&, common_options const&)> run;
};

/// Weights of the published nets, Keras 1 on Theano: one file a net, several are an ensemble.
[[nodiscard]] converter keras_converter();

}  // namespace program
