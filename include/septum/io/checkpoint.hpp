#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/detail/safetensors.hpp>
#include <septum/io/file.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// Version of the layout of checkpoints that this code writes; it reads this one and older ones.
inline constexpr int checkpoint_format_version = 1;

/// Everything that a run needs to go on, as named lists of numbers and texts. Bits are kept: NaN,
/// infinities and negative zeros come back as they were.
struct checkpoint {
  std::map<std::string, std::string> texts;
  std::map<std::string, std::vector<float>> floats;
  std::map<std::string, std::vector<double>> doubles;
  std::map<std::string, std::vector<std::int64_t>> integers;
};

/// The generation before the latest one, kept beside it.
[[nodiscard]] inline std::filesystem::path previous_checkpoint(std::filesystem::path const& path) {
  std::filesystem::path result = path;
  result += ".previous";
  return result;
}

namespace detail {

template <class T>
[[nodiscard]] constexpr char const* tensor_type() {
  return std::same_as<T, float> ? "F32" : std::same_as<T, double> ? "F64" : "I64";
}

/// Keeps the file that is about to be replaced under another name; at every moment `path` is there.
inline void keep_previous(fs::path const& path) {
  std::error_code failure;
  if (!fs::exists(path, failure)) return;
  fs::path const kept = previous_checkpoint(path);
  fs::path const fresh = folder_of(path) / temporary_name("file");
  fs::create_hard_link(path, fresh, failure);
  // Some file systems have no hard links.
  if (failure) fs::copy_file(path, fresh, failure);
  if (failure) throw_call_failed(kept, "keeping the previous checkpoint", failure.value());
  try {
    rename_path(fresh, kept);
  } catch (error const&) {
    fs::remove(fresh, failure);
    throw;
  }
  // After a write that failed late, both names may already be one file, and rename leaves them.
  fs::remove(fresh, failure);
}

}  // namespace detail

/// Writes a checkpoint; the one it replaces stays as `previous_checkpoint(path)`.
/// throws     io_error; the files on the disk then are those of before
inline void write_checkpoint(std::filesystem::path const& path, checkpoint const& state) {
  std::map<std::string, std::string> metadata{
      {"format", "septum-checkpoint"}, {"format_version", to_text(checkpoint_format_version)}};
  for (auto const& [key, value] : state.texts) metadata["text." + key] = value;
  std::vector<detail::stored_tensor> tensors;
  auto const add = [&]<class T>(std::map<std::string, std::vector<T>> const& lists) {
    for (auto const& [name, values] : lists)
      tensors.push_back({std::string{detail::tensor_type<T>()} + "." + name,
                         detail::tensor_type<T>(),
                         {static_cast<std::int64_t>(values.size())},
                         std::as_bytes(std::span{values})});
  };
  add(state.doubles);
  add(state.integers);
  add(state.floats);
  atomic_file file{path};
  detail::write_safetensors(file, metadata, tensors);
  detail::keep_previous(path);
  file.commit();
}

/// Reads a checkpoint whose every byte is as it was written.
/// throws     io_error for a damaged, foreign or newer file; the message names the previous
///            generation when there is one, which is never taken unasked
[[nodiscard]] inline checkpoint read_checkpoint(std::filesystem::path const& path) {
  try {
    detail::safetensors_file const file{path};
    auto const& metadata = file.metadata();
    auto const text = [&](std::string const& key) {
      auto const found = metadata.find(key);
      return found == metadata.end() ? std::string{} : found->second;
    };
    if (text("format") != "septum-checkpoint")
      throw io_error{"septum.checkpoint.1", file.name() + ": not a checkpoint of septum"};
    auto const version = parse_number<int>(text("format_version"));
    if (!version || *version < 1 || *version > checkpoint_format_version)
      throw io_error{"septum.checkpoint.2", file.name() + ": expected format version up to " +
                                                to_text(checkpoint_format_version) + ", found '" +
                                                printable(text("format_version")) +
                                                "': written by a newer septum"};
    if (!file.verified())
      throw io_error{"septum.checkpoint.1", file.name() + ": expected checksums, found none"};
    checkpoint state;
    for (auto const& [key, value] : metadata)
      if (key.starts_with("text.")) state.texts[key.substr(5)] = value;
    for (detail::stored_tensor const& tensor : file.tensors()) {
      auto const take = [&]<class T>(std::map<std::string, std::vector<T>>& lists) {
        std::string const lead = std::string{detail::tensor_type<T>()} + ".";
        if (tensor.type != detail::tensor_type<T>() || !tensor.name.starts_with(lead)) return false;
        std::vector<T>& values = lists[tensor.name.substr(lead.size())];
        values.resize(tensor.bytes.size() / sizeof(T));
        if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
        return true;
      };
      if (!take(state.floats) && !take(state.doubles) && !take(state.integers))
        throw io_error{"septum.checkpoint.1", file.name() + ": tensor '" + printable(tensor.name) +
                                                  "': expected F32, F64 or I64 with its type as "
                                                  "first word of the name"};
    }
    return state;
  } catch (io_error const& failure) {
    std::error_code ignored;
    std::filesystem::path const kept = previous_checkpoint(path);
    if (!std::filesystem::exists(kept, ignored)) throw;
    throw io_error{failure.id(),
                   failure.message() + "; the checkpoint before it is kept as " +
                       detail::shown(kept) + ": rename it to go on from there",
                   failure.kind()};
  }
}

}  // namespace septum::inline SEPTUM_ABI::io
