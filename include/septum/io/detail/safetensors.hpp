#pragma once
#include <septum/core/error.hpp>
#include <septum/core/hash.hpp>
#include <septum/core/text.hpp>
#include <septum/io/file.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io::detail {

/// One tensor of a safetensors file; the bytes belong to someone else.
struct stored_tensor {
  std::string name;
  std::string type;  ///< "F32", "F64", "I64", ... as the format spells it
  std::vector<std::int64_t> extents{};
  std::span<std::byte const> bytes{};
};

/// The format's limits, each named in its error.
struct safetensors_limits {
  std::size_t max_header_bytes = std::size_t{1} << 20U;
  std::size_t max_tensors = 4096;
  std::size_t max_axes = 8;
};

/// Key of the checksum of the header; "checksum.<tensor>" is that of a tensor's bytes. All are
/// FNV-1a as 16 hexadecimal digits; the header is summed with its own digits set to 0.
inline constexpr std::string_view checksum_key = "checksum";

[[nodiscard]] inline std::string hexadecimal(std::uint64_t value) {
  std::string digits(16, '0');
  for (std::size_t i = 0; i < digits.size(); ++i)
    digits[i] = "0123456789abcdef"[(value >> (60 - 4 * i)) & 0xFU];
  return digits;
}
[[nodiscard]] inline std::optional<std::uint64_t> parse_hexadecimal(std::string_view text) {
  std::uint64_t value = 0;
  if (text.size() != 16) return std::nullopt;
  for (char const c : text) {
    auto const digit = std::string_view{"0123456789abcdef"}.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value << 4U | digit;
  }
  return value;
}

/// Receives the events of the JSON parser; never builds a tree, so that a key that is there twice
/// is noticed and nothing grows beyond the header.
class safetensors_header {
 public:
  struct entry {
    std::string type;
    std::vector<std::uint64_t> extents;
    std::vector<std::uint64_t> offsets;
  };

  safetensors_header(std::string name, safetensors_limits const& limits)
      : name_{std::move(name)}, limits_{limits} {}

  [[nodiscard]] std::map<std::string, std::string>& metadata() { return metadata_; }
  [[nodiscard]] std::map<std::string, entry> const& tensors() const { return tensors_; }

  bool null() { return fail("null"); }
  bool boolean(bool) { return fail("a boolean"); }
  bool number_integer(std::int64_t) { return fail("a negative number"); }
  bool number_float(double, std::string const&) { return fail("a fraction"); }
  bool binary(std::vector<std::uint8_t>&) { return fail("binary data"); }
  bool number_unsigned(std::uint64_t value) {
    if (list_ == nullptr) return fail("a number");
    if (list_->size() >= limits_.max_axes)
      return fail("more than " + to_text(limits_.max_axes) + " axes");
    list_->push_back(value);
    return true;
  }
  bool string(std::string& value) {
    if (depth_ == 2 && in_metadata_ && list_ == nullptr) {
      metadata_[key_] = value;
      return true;
    }
    if (depth_ == 2 && key_ == "dtype" && list_ == nullptr) {
      tensors_[tensor_].type = value;
      return true;
    }
    return fail("a text");
  }
  bool start_object(std::size_t) {
    if (list_ != nullptr || depth_ >= 2 || (depth_ == 1 && key_.empty())) return fail("an object");
    ++depth_;
    if (depth_ == 2) {
      keys_.clear();
      in_metadata_ = key_ == "__metadata__";
      tensor_ = key_;
      if (!in_metadata_) tensors_[tensor_];
      if (tensors_.size() > limits_.max_tensors)
        return fail("more than " + to_text(limits_.max_tensors) + " tensors");
    }
    return true;
  }
  bool end_object() {
    --depth_;
    return true;
  }
  bool key(std::string& value) {
    auto& seen = depth_ == 1 ? names_ : keys_;
    if (!seen.insert(value).second) return fail("'" + printable(value) + "' twice");
    if (value.empty()) return fail("an empty name");
    if (depth_ == 2 && !in_metadata_ && value != "dtype" && value != "shape" &&
        value != "data_offsets")
      return fail("'" + printable(value) + "' in tensor '" + printable(tensor_) + "'");
    key_ = value;
    return true;
  }
  bool start_array(std::size_t) {
    if (depth_ != 2 || in_metadata_ || list_ != nullptr) return fail("a list");
    if (key_ == "shape") list_ = &tensors_[tensor_].extents;
    if (key_ == "data_offsets") list_ = &tensors_[tensor_].offsets;
    return list_ != nullptr || fail("a list");
  }
  bool end_array() {
    list_ = nullptr;
    return true;
  }
  bool parse_error(std::size_t position, std::string const& token,
                   nlohmann::json::exception const&) {
    throw io_error{"septum.model.1", name_ + ": header at byte " + to_text(8 + position) +
                                         ": expected JSON, found \"" + printable(token, 40) + "\""};
  }

 private:
  [[nodiscard]] bool fail(std::string const& found) const {
    throw io_error{
        "septum.model.1",
        name_ + ": header: expected tensors with dtype, shape and data_offsets, found " + found};
  }

  std::string name_;
  safetensors_limits limits_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, entry> tensors_;
  std::set<std::string> names_;
  std::set<std::string> keys_;
  std::string key_;
  std::string tensor_;
  std::vector<std::uint64_t>* list_ = nullptr;
  int depth_ = 0;
  bool in_metadata_ = false;
};

/// A whole safetensors file, everything in its header checked against the file.
class safetensors_file {
 public:
  /// throws     io_error: not such a file, damaged, cut short, a wrong checksum
  explicit safetensors_file(std::filesystem::path const& path,
                            safetensors_limits const& limits = {})
      : safetensors_file{read_file(path), shown(path), limits} {}

  /// `name` stands for the file in messages.
  safetensors_file(file_content content, std::string name, safetensors_limits const& limits = {})
      : name_{std::move(name)}, content_{std::move(content)} {
    constexpr std::size_t prefix = 8;
    auto const bytes = content_.bytes();
    std::uint64_t length = 0;
    if (bytes.size() >= prefix) std::memcpy(&length, bytes.data(), prefix);
    if (bytes.size() < prefix || length < 2 || length > limits.max_header_bytes)
      throw io_error{"septum.model.2", name_ + ": not a model file: expected a header of 2 to " +
                                           to_text(limits.max_header_bytes) + " bytes, found " +
                                           to_text(length)};
    if (length > bytes.size() - prefix)
      throw io_error{"septum.model.3", name_ + ": header: expected " + to_text(length) +
                                           " bytes, found " + to_text(bytes.size() - prefix) +
                                           ": the file is cut short"};
    std::string_view const text = content_.text().substr(prefix, length);
    if (!text.starts_with('{'))
      throw io_error{"septum.model.2", name_ + ": not a model file: its header is not JSON"};
    safetensors_header header{name_, limits};
    nlohmann::json::sax_parse(text, &header);
    metadata_ = std::move(header.metadata());
    place_tensors(header, bytes.subspan(prefix + length));
    check_sums(std::string{text});
  }

  [[nodiscard]] std::string const& name() const { return name_; }
  /// True when the file states checksums; all of them have been found right.
  [[nodiscard]] bool verified() const { return verified_; }
  /// Without the checksums.
  [[nodiscard]] std::map<std::string, std::string> const& metadata() const { return metadata_; }
  /// In the order of their bytes.
  [[nodiscard]] std::vector<stored_tensor> const& tensors() const { return tensors_; }

 private:
  [[nodiscard]] static std::uint64_t width_of(std::string_view type) {
    constexpr std::array<std::pair<std::string_view, int>, 13> widths{{{"F64", 8},
                                                                       {"F32", 4},
                                                                       {"F16", 2},
                                                                       {"BF16", 2},
                                                                       {"I64", 8},
                                                                       {"I32", 4},
                                                                       {"I16", 2},
                                                                       {"I8", 1},
                                                                       {"U64", 8},
                                                                       {"U32", 4},
                                                                       {"U16", 2},
                                                                       {"U8", 1},
                                                                       {"BOOL", 1}}};
    for (auto const& [name, width] : widths)
      if (name == type) return static_cast<std::uint64_t>(width);
    return 0;
  }

  [[noreturn]] void fail_tensor(std::string const& tensor, std::string const& what) const {
    throw io_error{"septum.model.4", name_ + ": tensor '" + printable(tensor) + "': " + what};
  }

  void place_tensors(safetensors_header const& header, std::span<std::byte const> data) {
    std::vector<std::pair<std::uint64_t, std::string const*>> order;
    for (auto const& [tensor, entry] : header.tensors()) {
      std::uint64_t const width = width_of(entry.type);
      if (width == 0)
        fail_tensor(tensor, "expected a known dtype, found '" + printable(entry.type) + "'");
      if (entry.offsets.size() != 2 || entry.offsets[0] > entry.offsets[1] ||
          entry.offsets[1] > data.size())
        fail_tensor(tensor, "expected two ascending data_offsets up to " + to_text(data.size()) +
                                ": the file is cut short or damaged");
      std::uint64_t size = width;
      for (std::uint64_t const extent : entry.extents) {
        if (extent > std::uint64_t{std::numeric_limits<std::int64_t>::max()} ||
            (extent != 0 && size > std::numeric_limits<std::uint64_t>::max() / extent))
          fail_tensor(tensor, "its shape is larger than any file");
        size *= extent;
      }
      if (size != entry.offsets[1] - entry.offsets[0])
        fail_tensor(tensor, "expected " + to_text(size) + " bytes for its shape, found " +
                                to_text(entry.offsets[1] - entry.offsets[0]));
      order.emplace_back(entry.offsets[0], &tensor);
    }
    // Empty tensors may share an offset with the next one; they come first.
    std::sort(order.begin(), order.end(), [&](auto const& a, auto const& b) {
      auto const end_a = header.tensors().at(*a.second).offsets[1];
      auto const end_b = header.tensors().at(*b.second).offsets[1];
      return std::tie(a.first, end_a, *a.second) < std::tie(b.first, end_b, *b.second);
    });
    std::uint64_t position = 0;
    for (auto const& [begin, tensor] : order) {
      auto const& entry = header.tensors().at(*tensor);
      if (begin != position)
        fail_tensor(*tensor, "expected its data at byte " + to_text(position) + ", found " +
                                 to_text(begin) + ": tensors overlap or leave a hole");
      position = entry.offsets[1];
      tensors_.push_back({*tensor,
                          entry.type,
                          {entry.extents.begin(), entry.extents.end()},
                          data.subspan(begin, position - begin)});
    }
    if (position != data.size())
      throw io_error{"septum.model.3", name_ + ": expected " + to_text(position) +
                                           " bytes of tensors, found " + to_text(data.size()) +
                                           ": the file is damaged"};
  }

  /// A file with one checksum has them all.
  void check_sums(std::string header) {
    auto const own = metadata_.find(std::string{checksum_key});
    if (own == metadata_.end()) return;
    verified_ = true;
    std::string const stated = own->second;
    metadata_.erase(own);
    if (auto const at = header.find(stated); !stated.empty() && at != std::string::npos)
      std::fill_n(header.begin() + static_cast<std::ptrdiff_t>(at), stated.size(), '0');
    if (std::string const found = hexadecimal(fnv1a(header)); found != stated)
      throw io_error{"septum.model.5", name_ + ": header: expected the checksum " +
                                           printable(stated) + ", found " + found +
                                           ": the file is damaged"};
    for (stored_tensor const& tensor : tensors_) {
      auto const sum = metadata_.extract(std::string{checksum_key} + "." + tensor.name);
      std::string const expected = sum ? sum.mapped() : "none";
      if (std::string const found = hexadecimal(fnv1a(tensor.bytes)); found != expected)
        throw io_error{"septum.model.5", name_ + ": tensor '" + printable(tensor.name) +
                                             "': expected the checksum " + printable(expected) +
                                             ", found " + found + ": the file is damaged"};
    }
  }

  std::string name_;
  file_content content_;
  std::map<std::string, std::string> metadata_;
  std::vector<stored_tensor> tensors_;
  bool verified_ = false;
};

[[nodiscard]] inline std::string json_text(std::string_view text) {
  // Bytes that are not UTF-8 (they occur in file names) become U+FFFD.
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// The length of the header and the header itself, ready to be followed by the tensors' bytes.
[[nodiscard]] inline std::string safetensors_lead(std::map<std::string, std::string> metadata,
                                                  std::vector<stored_tensor> const& tensors,
                                                  std::string const& name) {
  for (stored_tensor const& tensor : tensors)
    metadata[std::string{checksum_key} + "." + tensor.name] = hexadecimal(fnv1a(tensor.bytes));
  std::string const zeros(16, '0');
  std::string header = "{\"__metadata__\":{\"" + std::string{checksum_key} + "\":\"" + zeros + "\"";
  std::size_t const digits_at = header.size() - 1 - zeros.size();
  for (auto const& [key, value] : metadata) header += "," + json_text(key) + ":" + json_text(value);
  header += "}";
  std::uint64_t position = 0;
  for (stored_tensor const& tensor : tensors) {
    header += "," + json_text(tensor.name) + ":{\"dtype\":\"" + tensor.type + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.extents.size(); ++i)
      header += (i == 0 ? "" : ",") + to_text(tensor.extents[i]);
    header += "],\"data_offsets\":[" + to_text(position) + ",";
    position += tensor.bytes.size();
    header += to_text(position) + "]}";
  }
  header += "}";
  // Padding puts the data at a multiple of 8 bytes, as other readers like it.
  header.resize((header.size() + 7) / 8 * 8, ' ');
  safetensors_limits const limits;
  if (header.size() > limits.max_header_bytes || tensors.size() > limits.max_tensors)
    throw io_error{"septum.model.6",
                   name + ": expected at most " + to_text(limits.max_header_bytes) +
                       " bytes of names and metadata and " + to_text(limits.max_tensors) +
                       " tensors, found " + to_text(header.size()) + " and " +
                       to_text(tensors.size())};
  header.replace(digits_at, zeros.size(), hexadecimal(fnv1a(header)));
  std::uint64_t const length = header.size();
  std::string lead(8, '\0');
  std::memcpy(lead.data(), &length, lead.size());
  return lead + header;
}

/// Writes a safetensors file with checksums into `file`; the caller commits it.
inline void write_safetensors(atomic_file& file, std::map<std::string, std::string> const& metadata,
                              std::vector<stored_tensor> const& tensors) {
  std::string const lead = safetensors_lead(metadata, tensors, shown(file.target()));
  std::uint64_t total = lead.size();
  for (stored_tensor const& tensor : tensors) total += tensor.bytes.size();
  file.expect_room(total);
  file.write(lead);
  for (stored_tensor const& tensor : tensors) file.write(tensor.bytes);
}

}  // namespace septum::inline SEPTUM_ABI::io::detail
