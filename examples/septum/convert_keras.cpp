#include <algorithm>
#include <nlohmann/json.hpp>
#include <septum/io/keras.hpp>
#include <septum/io/model.hpp>
#include <string>

#include "conversion.hpp"

namespace program {
namespace {

bool is_weights(std::filesystem::path const& path) {
  auto const extension = path.extension();
  return extension == ".h5" || extension == ".hdf5";
}

septum::io::statistics_rule rule_of(std::string const& name) {
  if (name == "std") return septum::io::statistics_rule::deviation;
  if (name == "variance") return septum::io::statistics_rule::variance;
  return septum::io::statistics_rule::automatic;
}

nlohmann::ordered_json convert_keras(conversion_request const& request,
                                     common_options const& common) {
  auto const trained =
      septum::io::read_keras(request.inputs, {.statistics = rule_of(request.statistics_rule),
                                              .channels = request.channels,
                                              .classes = request.classes,
                                              .pixel_size_um = request.pixel_size_um});
  septum::io::write_model(request.output, trained);
  auto const& description = trained.description;
  nlohmann::ordered_json result{
      {"model", request.output.string()},
      {"architecture", description.architecture},
      {"nets", trained.parameter_sets.size()},
      {"parameters_per_net", trained.layout.back().offset + trained.layout.back().count},
      {"channels", description.channels},
      {"classes", description.classes}};
  for (std::size_t k = 0; k < trained.parameter_sets.size(); ++k)
    result["running_std"].push_back(
        description.provenance.at("net_" + std::to_string(k) + ".running_std"));
  say(common, "Model: " + request.output.string() + ", " + description.architecture + ", " +
                  std::to_string(trained.parameter_sets.size()) +
                  (trained.parameter_sets.size() == 1 ? " net" : " nets"));
  return result;
}

}  // namespace

converter keras_converter() {
  return {"Keras 1 weights, one .h5 file a net, to a model (.safetensors); several are an ensemble",
          [](conversion_request const& request) {
            return std::all_of(request.inputs.begin(), request.inputs.end(), is_weights) &&
                   request.output.extension() == ".safetensors";
          },
          convert_keras};
}

}  // namespace program
