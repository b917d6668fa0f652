#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/detail/safetensors.hpp>
#include <septum/io/file.hpp>
#include <septum/net/model.hpp>
#include <septum/net/parameters.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// Version of the layout of model files that this code writes; it reads this one and older ones.
inline constexpr int model_format_version = 1;

namespace detail {

inline constexpr std::string_view provenance_lead = "provenance.";

[[nodiscard]] inline std::string list_text(std::vector<std::string> const& words) {
  return nlohmann::json(words).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Turns the metadata of a file into a description; every key has to be a known one, so that a
/// damaged key cannot pass as a missing one.
class model_metadata {
 public:
  model_metadata(std::map<std::string, std::string> const& values, std::string name)
      : values_{values}, name_{std::move(name)} {}

  [[nodiscard]] model_description read() {
    if (take("format") != "septum-model") fail("format", "septum-model");
    if (int const version = number<int>("format_version", 1); version > model_format_version)
      throw io_error{"septum.model.7", name_ + ": expected format version up to " +
                                           to_text(model_format_version) + ", found " +
                                           to_text(version) + ": written by a newer septum"};
    model_description result;
    result.architecture = take("architecture");
    auto const signature = parse_hexadecimal(take("signature"));
    if (!signature) fail("signature", "16 hexadecimal digits");
    result.signature = *signature;
    result.receptive_field = number<int>("receptive_field", 1);
    result.channels = list("channels");
    result.classes = list("classes");
    result.normalizer = take("normalizer");
    result.normalizer_window = number<int>("normalizer_window", 0);
    result.pixel_size_um = number<double>("pixel_size_um", 0.0);
    for (auto const& [key, value] : values_)
      if (key.starts_with(provenance_lead))
        result.provenance[key.substr(provenance_lead.size())] = value;
      else if (!used_.contains(key))
        throw io_error{"septum.model.8",
                       name_ + ": metadata: unknown key '" + printable(key) + "'"};
    return result;
  }

 private:
  [[noreturn]] void fail(std::string const& key, std::string const& expected) const {
    auto const found = values_.find(key);
    throw io_error{"septum.model.8",
                   name_ + ": metadata '" + key + "': expected " + expected + ", found " +
                       (found == values_.end() ? "nothing; not a septum model?"
                                               : "'" + printable(found->second, 80) + "'")};
  }
  [[nodiscard]] std::string take(std::string const& key) {
    auto const found = values_.find(key);
    if (found == values_.end()) fail(key, "a value");
    used_.insert(key);
    return found->second;
  }
  template <class T>
  [[nodiscard]] T number(std::string const& key, T least) {
    auto const value = parse_number<T>(take(key));
    if (!value || !(*value >= least) || !std::isfinite(static_cast<double>(*value)))
      fail(key, "a number from " + to_text(least));
    return *value;
  }
  [[nodiscard]] std::vector<std::string> list(std::string const& key) {
    constexpr std::size_t most_bytes = 65536;
    std::string const text = take(key);
    // A flat list of texts cannot be nested; refusing braces bounds what the parser builds.
    if (text.size() <= most_bytes && text.find_first_of("{}") == std::string::npos) {
      auto const json = nlohmann::json::parse(text, nullptr, false);
      bool const texts =
          json.is_array() && !json.empty() &&
          std::all_of(json.begin(), json.end(), [](auto const& item) { return item.is_string(); });
      if (texts) return json.get<std::vector<std::string>>();
    }
    fail(key, "a JSON list of texts");
  }

  std::map<std::string, std::string> const& values_;
  std::string name_;
  std::set<std::string> used_;
};

[[nodiscard]] inline std::string net_lead(std::size_t net) { return "net" + to_text(net) + "."; }

[[nodiscard]] inline std::string extents_list(std::vector<std::int64_t> const& extents) {
  std::string text = "[";
  for (std::size_t i = 0; i < extents.size(); ++i)
    text += (i == 0 ? "" : ", ") + to_text(extents[i]);
  return text + "]";
}

inline void require_finite_values(std::span<float const> values, tensor_slice const& slice,
                                  std::size_t net, std::string const& name) {
  for (std::size_t i = 0; i < slice.count; ++i)
    if (!std::isfinite(values[slice.offset + i]))
      throw weights_error{"septum.model.9", name + ": net " + to_text(net) + ", tensor '" +
                                                printable(slice.name) + "', value " + to_text(i) +
                                                ": expected a finite number, found " +
                                                to_text(values[slice.offset + i])};
}

/// The layout names every value of every set exactly once.
inline void require_consistent(model const& trained, std::string const& name) {
  auto const fail = [&](std::string const& what) {
    throw weights_error{"septum.model.10", name + ": " + what, fault::internal};
  };
  if (trained.parameter_sets.empty() || trained.layout.empty())
    fail("the model holds no parameters");
  std::size_t position = 0;
  std::set<std::string> names;
  for (tensor_slice const& slice : trained.layout) {
    std::int64_t count = 1;
    for (std::int64_t const extent : slice.extents) count *= extent;
    if (slice.offset != position || std::cmp_not_equal(slice.count, count) || slice.name.empty() ||
        !names.insert(slice.name).second)
      fail("tensor '" + printable(slice.name) + "' does not fit the layout");
    position += slice.count;
  }
  for (std::size_t net = 0; net < trained.parameter_sets.size(); ++net) {
    if (trained.parameter_sets[net].size() != position)
      fail("net " + to_text(net) + ": expected " + to_text(position) + " values, found " +
           to_text(trained.parameter_sets[net].size()));
    for (tensor_slice const& slice : trained.layout)
      require_finite_values(trained.parameter_sets[net], slice, net, name);
  }
}

}  // namespace detail

/// Writes one net or an ensemble as one .safetensors file: tensors `net0.<slice name>`, ...;
/// description and checksums as metadata. Complete or not at all.
/// throws     weights_error when layout and blobs disagree or a value is not finite; io_error
inline void write_model(std::filesystem::path const& path, model const& trained) {
  detail::require_consistent(trained, detail::shown(path));
  model_description const& description = trained.description;
  std::map<std::string, std::string> metadata{
      {"format", "septum-model"},
      {"format_version", to_text(model_format_version)},
      {"architecture", description.architecture},
      {"signature", detail::hexadecimal(description.signature)},
      {"receptive_field", to_text(description.receptive_field)},
      {"channels", detail::list_text(description.channels)},
      {"classes", detail::list_text(description.classes)},
      {"normalizer", description.normalizer},
      {"normalizer_window", to_text(description.normalizer_window)},
      {"pixel_size_um", to_text(description.pixel_size_um)}};
  for (auto const& [key, value] : description.provenance)
    metadata[std::string{detail::provenance_lead} + key] = value;
  std::vector<detail::stored_tensor> tensors;
  for (std::size_t net = 0; net < trained.parameter_sets.size(); ++net)
    for (tensor_slice const& slice : trained.layout)
      tensors.push_back({detail::net_lead(net) + slice.name, "F32", slice.extents,
                         std::as_bytes(std::span{trained.parameter_sets[net]}.subspan(
                             slice.offset, slice.count))});
  atomic_file file{path};
  detail::write_safetensors(file, metadata, tensors);
  file.commit();
}

/// Reads a model file: nothing of a damaged one is ever returned.
/// @param name  stands for the file in messages
/// throws     io_error for a damaged, foreign or newer file; weights_error when its nets have
///            different tensors or hold NaN or infinity
[[nodiscard]] inline model read_model(file_content content, std::string const& name) {
  detail::safetensors_file const file{std::move(content), name};
  model result;
  result.description = detail::model_metadata{file.metadata(), file.name()}.read();
  for (detail::stored_tensor const& tensor : file.tensors()) {
    auto const fail = [&](std::string const& expected) {
      throw weights_error{"septum.model.11", file.name() + ": tensor '" + printable(tensor.name) +
                                                 "': expected " + expected};
    };
    if (tensor.type != "F32") fail("dtype F32, found " + tensor.type);
    std::size_t net = result.parameter_sets.size();
    // The tensors of one net follow each other, so the name says whether a new net starts.
    if (net > 0 && tensor.name.starts_with(detail::net_lead(net - 1))) --net;
    if (!tensor.name.starts_with(detail::net_lead(net)))
      fail("a name that starts with \"" + detail::net_lead(net) + "\"");
    if (net == result.parameter_sets.size()) result.parameter_sets.emplace_back();
    auto& values = result.parameter_sets[net];
    std::size_t const count = tensor.bytes.size() / sizeof(float);
    tensor_slice const slice{tensor.name.substr(detail::net_lead(net).size()), tensor.extents,
                             values.size(), count};
    values.resize(values.size() + count);
    if (count > 0)
      std::memcpy(values.data() + slice.offset, tensor.bytes.data(), tensor.bytes.size());
    detail::require_finite_values(values, slice, net, file.name());
    if (net == 0) {
      result.layout.push_back(slice);
    } else if (std::find(result.layout.begin(), result.layout.end(), slice) ==
               result.layout.end()) {
      fail("the same tensors in every net, with the same shapes and order as in net 0");
    }
  }
  for (std::size_t net = 0; net < result.parameter_sets.size(); ++net)
    if (result.parameter_sets[net].size() != result.parameter_sets[0].size())
      throw weights_error{"septum.model.11",
                          file.name() + ": net " + to_text(net) + " lacks tensors that net 0 has"};
  if (result.parameter_sets.empty())
    throw weights_error{"septum.model.11", file.name() + ": expected at least one net, found none"};
  return result;
}
[[nodiscard]] inline model read_model(std::filesystem::path const& path) {
  return read_model(read_file(path), detail::shown(path));
}

/// Refuses a model that belongs to another net, listing every tensor that differs.
/// throws     weights_error
inline void require_model_for(model const& trained, std::vector<tensor_slice> const& layout,
                              std::uint64_t signature, std::string const& name = "model") {
  std::string differences;
  auto const add = [&](std::string const& text) {
    differences += (differences.empty() ? "" : "; ") + text;
  };
  auto const find = [](std::vector<tensor_slice> const& slices, std::string const& tensor) {
    return std::find_if(slices.begin(), slices.end(),
                        [&](tensor_slice const& slice) { return slice.name == tensor; });
  };
  for (tensor_slice const& expected : layout) {
    auto const found = find(trained.layout, expected.name);
    if (found == trained.layout.end())
      add("'" + expected.name + "' " + detail::extents_list(expected.extents) + " is missing");
    else if (found->extents != expected.extents)
      add("'" + expected.name + "' expected " + detail::extents_list(expected.extents) +
          ", found " + detail::extents_list(found->extents));
    else if (found->offset != expected.offset && differences.empty())
      add("'" + expected.name + "' stands in another place");
  }
  for (tensor_slice const& found : trained.layout)
    if (find(layout, found.name) == layout.end())
      add("'" + printable(found.name) + "' " + detail::extents_list(found.extents) +
          " is not expected");
  if (trained.description.signature != signature)
    add("signature expected " + detail::hexadecimal(signature) + ", found " +
        detail::hexadecimal(trained.description.signature));
  if (!differences.empty())
    throw weights_error{"septum.model.12", name + ": trained for another net ('" +
                                               printable(trained.description.architecture) +
                                               "'): " + differences +
                                               "; load it with the net it was trained for"};
}

/// Reads the model of the net S; `nets` is the number of nets it must hold, 0 for any.
/// throws     as read_model and require_model_for; weights_error for another number of nets
template <Stack S>
[[nodiscard]] model read_model(std::filesystem::path const& path, std::size_t nets = 0) {
  model result = read_model(path);
  require_model_for(result, tensor_layout<S>(), base_stack_t<S>::signature, detail::shown(path));
  if (nets != 0 && result.parameter_sets.size() != nets)
    throw weights_error{"septum.model.13", detail::shown(path) + ": expected " + to_text(nets) +
                                               " nets, found " +
                                               to_text(result.parameter_sets.size())};
  return result;
}

}  // namespace septum::inline SEPTUM_ABI::io
