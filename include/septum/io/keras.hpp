#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/detail/hdf5_file.hpp>
#include <septum/io/detail/known_nets.hpp>
#include <septum/io/file.hpp>
#include <septum/net/model.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// What the array `running_std` of a file holds. Keras up to 1.0.6 stored the standard deviation,
/// Keras 1.0.7 and later the variance under the same name; `automatic` goes by the attribute
/// `keras_version`, which only the later ones write.
enum class statistics_rule { automatic, deviation, variance };

/// How to read the published weights, and what they say nothing about.
struct keras_options {
  statistics_rule statistics = statistics_rule::automatic;
  /// Names of the input channels; default "phase" for the 31x31 field and "nuclear" for the 61x61
  /// field of one channel, "phase" and "nuclear" for two.
  std::vector<std::string> channels{};
  /// Names of the classes; default "edge", "interior" (or "interior_1", ...), "background".
  std::vector<std::string> classes{};
  /// Side of a pixel in micrometres; 0 when unknown.
  double pixel_size_um = 0.0;
};

namespace detail {

/// A layer of a Keras file: its name, the kind it stands for (a name of nn/layers.hpp) and its
/// weights in the order of the file.
struct keras_layer {
  std::string name;
  std::string_view kind;
  std::vector<std::pair<std::string, hdf5_dataset const*>> weights;
};

struct keras_file {
  std::filesystem::path path{};
  std::string version{};  ///< of Keras; empty in files of 2016
  double epsilon = 0;     ///< added to the variance inside the root
  bool holds_variance = false;
  std::vector<keras_layer> layers{};
  int channels = 0;
  int classes = 0;
};

[[nodiscard]] inline std::string_view keras_kind(std::string_view layer) {
  std::string_view const type = layer.substr(0, layer.rfind('_'));
  if (type == "convolution2d") return "conv";
  if (type == "dense") return "dense";
  if (type == "batchnormalization") return "batch_norm";
  if (type == "maxpooling2d") return "max_pool";
  if (type == "activation") return "relu";
  if (type == "flatten" || type == "dropout") return "nothing";
  return {};
}

[[nodiscard]] inline std::vector<std::string_view> keras_weights_of(std::string_view kind) {
  if (kind == "conv" || kind == "dense") return {"_W", "_b"};
  if (kind == "batch_norm") return {"_gamma", "_beta", "_running_mean", "_running_std"};
  return {};
}

[[noreturn]] inline void refuse_keras(std::filesystem::path const& path, std::string const& text) {
  throw weights_error{"septum.keras.1", shown(path) + ": " + text};
}

[[nodiscard]] inline keras_layer read_keras_layer(std::filesystem::path const& path,
                                                  std::string const& name,
                                                  hdf5_group const& group) {
  keras_layer layer{name, keras_kind(name), {}};
  std::string const place = "layer " + printable(name) + ": ";
  if (layer.kind.empty())
    refuse_keras(path, place +
                           "expected convolution2d, dense, batchnormalization, activation, "
                           "maxpooling2d, flatten or dropout, found another kind of layer");
  auto const listed = group.attributes.find("weight_names");
  if (listed == group.attributes.end())
    refuse_keras(path, place + "expected the attribute weight_names, found none");
  auto const endings = keras_weights_of(layer.kind);
  if (listed->second.size() != endings.size() || group.datasets.size() != endings.size() ||
      !group.groups.empty())
    refuse_keras(path, place + "expected " + to_text(endings.size()) + " tensors, found " +
                           to_text(listed->second.size()) + " names and " +
                           to_text(group.datasets.size()) + " tensors");
  for (std::size_t k = 0; k < endings.size(); ++k) {
    std::string const& tensor = listed->second[k];
    if (!tensor.ends_with(endings[k]))
      refuse_keras(path, place + "expected a tensor named ..." + std::string{endings[k]} +
                             ", found " + printable(tensor));
    auto const stored = group.datasets.find(tensor);
    if (stored == group.datasets.end())
      refuse_keras(path, place + "expected the tensor " + printable(tensor) + ", found none");
    layer.weights.emplace_back(tensor, &stored->second);
  }
  return layer;
}

/// Epsilon inside the root: 0 up to Keras 1.0.7, then what the file's own description says.
[[nodiscard]] inline double keras_epsilon(std::filesystem::path const& path,
                                          std::string const& version,
                                          std::vector<std::string> const& config) {
  if (version.empty() || version == "1.0.7") return 0.0;
  if (!version.starts_with("1."))
    refuse_keras(path, "expected weights of Keras 1, found keras_version " + printable(version));
  constexpr int max_depth = 32;
  auto const shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return depth <= max_depth;
  };
  auto const text = config.empty() ? std::string{} : config.front();
  auto const description = nlohmann::json::parse(text, shallow, false);
  std::optional<double> epsilon;
  if (description.is_object() && description.contains("config") && description["config"].is_array())
    for (auto const& layer : description["config"])
      if (layer.is_object() &&
          layer.value("class_name", nlohmann::json{}) == "BatchNormalization" &&
          layer.contains("config") && layer["config"].is_object() &&
          layer["config"].contains("epsilon") && layer["config"]["epsilon"].is_number())
        epsilon = layer["config"]["epsilon"].template get<double>();
  if (!epsilon || !(*epsilon >= 0))
    refuse_keras(path,
                 "expected the epsilon of BatchNormalization in the attribute model_config, "
                 "found none");
  return *epsilon;
}

[[nodiscard]] inline std::string text_of(std::vector<std::int64_t> const& extents) {
  std::string text = "(";
  for (std::size_t k = 0; k < extents.size(); ++k)
    text += (k == 0 ? "" : ", ") + to_text(extents[k]);
  return text + ")";
}

[[nodiscard]] inline keras_file read_keras_layers(std::filesystem::path const& path,
                                                  hdf5_group const& root,
                                                  statistics_rule statistics) {
  keras_file file{.path = path};
  hdf5_group const* weights = &root;
  if (auto const found = root.groups.find("model_weights"); found != root.groups.end())
    weights = &found->second;
  auto const names = weights->attributes.find("layer_names");
  if (names == weights->attributes.end() || names->second.empty())
    refuse_keras(path, "expected weights of a Keras 1 model, found no attribute layer_names");
  for (std::string const& name : names->second) {
    auto const group = weights->groups.find(name);
    if (group == weights->groups.end())
      refuse_keras(path, "layer " + printable(name) + ": expected a group, found none");
    file.layers.push_back(read_keras_layer(path, name, group->second));
  }
  for (auto const& [name, group] : weights->groups)
    if (std::find(names->second.begin(), names->second.end(), name) == names->second.end())
      refuse_keras(path, "expected only the layers of layer_names, found " + printable(name));
  if (!weights->datasets.empty())
    refuse_keras(path, "expected tensors inside layers, found " +
                           printable(weights->datasets.begin()->first) + " beside them");
  std::erase_if(file.layers, [](keras_layer const& layer) { return layer.kind == "nothing"; });
  // The last activation of a classifier is softmax; old files do not tell it from relu.
  if (!file.layers.empty() && file.layers.back().kind == "relu")
    file.layers.back().kind = "softmax";

  std::string const none;
  auto const version = root.attributes.find("keras_version");
  if (version != root.attributes.end())
    file.version = version->second.empty() ? "unknown" : version->second.front();
  file.holds_variance =
      statistics == statistics_rule::variance ||
      (statistics == statistics_rule::automatic && version != root.attributes.end());
  if (file.holds_variance) {
    auto const config = root.attributes.find("model_config");
    file.epsilon = keras_epsilon(
        path, file.version,
        config == root.attributes.end() ? std::vector<std::string>{} : config->second);
  }
  return file;
}

/// The net of the table whose layers the file has.
[[nodiscard]] inline known_net const& find_net(keras_file const& file,
                                               std::vector<known_net> const& nets) {
  auto const& layers = file.layers;
  known_net const* closest = nullptr;
  std::size_t most_equal = 0;
  for (known_net const& net : nets) {
    std::size_t equal = 0;
    while (equal < layers.size() && equal < net.layer_names.size() &&
           layers[equal].kind == net.layer_names[equal])
      ++equal;
    if (equal == layers.size() && equal == net.layer_names.size()) return net;
    if (closest == nullptr || equal > most_equal) {
      closest = &net;
      most_equal = equal;
    }
  }
  std::string const expected = most_equal < closest->layer_names.size()
                                   ? std::string{closest->layer_names[most_equal]}
                                   : "the end";
  std::string const found =
      most_equal < layers.size() ? printable(layers[most_equal].name) : "the end";
  std::string const after =
      most_equal > 0 ? "after layer " + printable(layers[most_equal - 1].name) + ": " : "";
  std::string known;
  for (known_net const& net : nets)
    known += (known.empty() ? "" : ", ") + std::string{net.architecture};
  refuse_keras(file.path, after + "expected " + expected + " as in " +
                              std::string{closest->architecture} + ", found " + found +
                              "; nets that can be read: " + known);
}

/// Extents of a tensor of the blob as Keras stores it.
[[nodiscard]] inline std::vector<std::int64_t> keras_extents(
    std::vector<std::int64_t> const& extents, std::string_view kind) {
  if (extents.size() == 1) return extents;
  if (kind == "dense") return {extents[3], extents[0]};
  return {extents[0], extents[3], extents[1], extents[2]};
}

/// Theano's convolution turns the kernel by 180 degrees, septum's is a cross-correlation; and
/// septum keeps the input channel last.
inline void copy_conv(std::vector<float> const& from, std::vector<std::int64_t> const& extents,
                      std::span<float> to) {
  auto const filters = static_cast<std::size_t>(extents[0]);
  auto const side = static_cast<std::size_t>(extents[1]);
  auto const channels = static_cast<std::size_t>(extents[3]);
  std::size_t next = 0;
  for (std::size_t f = 0; f < filters; ++f)
    for (std::size_t r = 0; r < side; ++r)
      for (std::size_t c = 0; c < side; ++c)
        for (std::size_t i = 0; i < channels; ++i)
          to[next++] = from[((f * channels + i) * side + (side - 1 - r)) * side + (side - 1 - c)];
}

inline void copy_dense(std::vector<float> const& from, std::vector<std::int64_t> const& extents,
                       std::span<float> to) {
  auto const units = static_cast<std::size_t>(extents[0]);
  auto const channels = static_cast<std::size_t>(extents[3]);
  for (std::size_t u = 0; u < units; ++u)
    for (std::size_t i = 0; i < channels; ++i) to[u * channels + i] = from[i * units + u];
}

/// The statistics as septum's batch_norm stores them: y = (x - m) gamma / (s + 1e-6) + beta.
inline void copy_deviation(keras_file const& file, std::string const& tensor,
                           std::vector<float> const& from, std::span<float> to) {
  for (std::size_t k = 0; k < from.size(); ++k) {
    double const value = static_cast<double>(from[k]);
    if (value < 0)
      refuse_keras(file.path, "tensor " + printable(tensor) +
                                  ": expected values of at least 0, found " + to_text(from[k]));
    double const root = std::sqrt(value + file.epsilon) - (file.epsilon > 0 ? 1e-6 : 0.0);
    to[k] = file.holds_variance ? static_cast<float>(root) : from[k];
  }
}

[[nodiscard]] inline std::vector<float> keras_parameters(keras_file const& file,
                                                         std::vector<tensor_slice> const& layout) {
  std::string differences;
  std::size_t next = 0;
  for (keras_layer const& layer : file.layers)
    for (auto const& [name, tensor] : layer.weights) {
      auto const wanted = keras_extents(layout[next++].extents, layer.kind);
      if (tensor->extents != wanted && differences.size() < 1000)
        differences += (differences.empty() ? "" : "; ") + std::string{"tensor "} +
                       printable(name) + ": expected " + text_of(wanted) + ", found " +
                       text_of(tensor->extents);
    }
  if (!differences.empty()) refuse_keras(file.path, differences);

  std::vector<float> parameters(layout.back().offset + layout.back().count);
  next = 0;
  for (keras_layer const& layer : file.layers)
    for (auto const& [name, tensor] : layer.weights) {
      tensor_slice const& slice = layout[next++];
      auto const values = tensor->values();
      for (float const value : values)
        if (!std::isfinite(value))
          refuse_keras(file.path, "tensor " + printable(name) + ": expected finite values, found " +
                                      to_text(value));
      auto const to = std::span{parameters}.subspan(slice.offset, slice.count);
      if (slice.extents.size() == 1)
        name.ends_with("_running_std")
            ? copy_deviation(file, name, values, to)
            : static_cast<void>(std::copy(values.begin(), values.end(), to.begin()));
      else if (layer.kind == "dense")
        copy_dense(values, slice.extents, to);
      else
        copy_conv(values, slice.extents, to);
    }
  return parameters;
}

/// Input channels and classes, from the first and the last tensor with two or more axes.
inline void find_widths(keras_file& file) {
  for (keras_layer const& layer : file.layers) {
    if (layer.weights.empty()) continue;
    auto const& extents = layer.weights.front().second->extents;
    if (file.channels == 0 && extents.size() == 4)
      file.channels = static_cast<int>(std::clamp<std::int64_t>(extents[1], 0, 1024));
    if (layer.kind == "dense" && extents.size() == 2)
      file.classes = static_cast<int>(std::clamp<std::int64_t>(extents[1], 0, 255));
  }
  if (file.channels == 0 || file.classes < 2)
    refuse_keras(file.path, "expected at least one input channel and two classes, found " +
                                to_text(file.channels) + " and " + to_text(file.classes));
}

[[nodiscard]] inline std::vector<std::string> default_channels(int count, int field) {
  if (count == 1) return {field == 31 ? "phase" : "nuclear"};
  if (count == 2) return {"phase", "nuclear"};
  std::vector<std::string> names;
  for (int k = 1; k <= count; ++k) names.push_back("channel_" + to_text(k));
  return names;
}

[[nodiscard]] inline std::vector<std::string> default_classes(int count) {
  std::vector<std::string> names{"edge"};
  for (int k = 1; k + 1 < count; ++k)
    names.push_back(count == 3 ? std::string{"interior"} : "interior_" + to_text(k));
  names.emplace_back("background");
  return names;
}

inline void take_names(std::vector<std::string> const& wanted, int count, std::string_view what,
                       std::vector<std::string>& names) {
  if (wanted.empty()) return;
  if (wanted.size() != static_cast<std::size_t>(count))
    throw unsupported_error{"septum.keras.2", "expected names of " + to_text(count) + " " +
                                                  std::string{what} + ", found " +
                                                  to_text(wanted.size())};
  names = wanted;
}

}  // namespace detail

/// Reads the published weights of one net, or of several as an ensemble in the given order: HDF5
/// files of Keras 1 on Theano. Convolution kernels are turned by 180 degrees (Theano convolves,
/// septum correlates) and brought to (filter, row, column, channel), dense weights are transposed,
/// variances become deviations.
/// @throws io_error `septum.file.*`, `septum.hdf5.*` for a path or file that cannot be read;
///         weights_error `septum.keras.1` for another net, a missing or an unknown tensor;
///         unsupported_error `septum.keras.2` for options that do not fit the net
[[nodiscard]] inline model read_keras(std::span<std::filesystem::path const> files,
                                      keras_options const& options = {}) {
  constexpr std::uint64_t max_bytes = std::uint64_t{1} << 28U;
  SEPTUM_EXPECTS(!files.empty(),
                 unsupported_error("septum.keras.2", "expected at least one file of weights"));
  auto const nets = detail::known_nets();
  model result;
  std::string first_widths;
  for (std::size_t k = 0; k < files.size(); ++k) {
    file_content const content = read_file(files[k], {.max_bytes = max_bytes});
    detail::hdf5_group const root =
        detail::hdf5_parser{files[k], content.bytes(), "optimizer_weights"}.parse();
    detail::keras_file file = detail::read_keras_layers(files[k], root, options.statistics);
    detail::known_net const& net = detail::find_net(file, nets);
    detail::find_widths(file);
    std::string const widths = std::string{net.architecture} + " of " + to_text(file.channels) +
                               " channels and " + to_text(file.classes) + " classes";
    if (k == 0) {
      first_widths = widths;
      result.layout = net.layout(file.channels, file.classes);
      model_description& description = result.description;
      description.architecture = net.architecture;
      description.signature = net.signature(file.channels, file.classes);
      description.receptive_field = net.receptive_field;
      description.channels = detail::default_channels(file.channels, net.receptive_field);
      description.classes = detail::default_classes(file.classes);
      detail::take_names(options.channels, file.channels, "channels", description.channels);
      detail::take_names(options.classes, file.classes, "classes", description.classes);
      description.normalizer = "median_box";
      description.normalizer_window = net.receptive_field;
      description.pixel_size_um = options.pixel_size_um;
    } else if (widths != first_widths) {
      detail::refuse_keras(files[k], "expected the net of " + detail::shown(files[0]) + ", " +
                                         first_widths + ", found " + widths);
    }
    result.parameter_sets.push_back(detail::keras_parameters(file, result.layout));
    std::string const prefix = "net_" + to_text(k) + ".";
    result.description.provenance[prefix + "file"] = detail::shown(files[k].filename());
    result.description.provenance[prefix + "keras_version"] =
        file.version.empty() ? "up to 1.0.6" : printable(file.version, 32);
    result.description.provenance[prefix + "running_std"] =
        file.holds_variance ? "variance" : "deviation";
  }
  return result;
}
/// The same for the file of one net.
[[nodiscard]] inline model read_keras(std::filesystem::path const& file,
                                      keras_options const& options = {}) {
  return read_keras(std::span{&file, 1}, options);
}

}  // namespace septum::inline SEPTUM_ABI::io
