#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/detail/system_calls.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

/// A reader of the one dialect of HDF5 that Keras 1 wrote with the library's default settings:
/// superblock 0, symbol-table groups, contiguous little-endian 32-bit floats, string attributes.
/// No links, filters, chunks, external or virtual storage: a file that has one is refused by name.
/// After the published "HDF5 File Format Specification", version 1.0 and 2.0 structures.
namespace septum::inline SEPTUM_ABI::io::detail {

/// What a hostile file may not exceed.
struct hdf5_limits {
  int max_depth = 16;
  std::size_t max_objects = 4096;
};

/// A dataset: its extents and its bytes inside the file's memory (float32, little endian).
struct hdf5_dataset {
  std::vector<std::int64_t> extents;
  std::span<std::byte const> bytes;

  [[nodiscard]] std::size_t size() const { return bytes.size() / sizeof(float); }
  [[nodiscard]] std::vector<float> values() const {
    std::vector<float> result(size());
    if (!result.empty()) std::memcpy(result.data(), bytes.data(), bytes.size());
    return result;
  }
};

/// A group and all that lies below it. Attributes that are not strings have no texts.
struct hdf5_group {
  std::map<std::string, std::vector<std::string>, std::less<>> attributes;
  std::map<std::string, hdf5_group, std::less<>> groups;
  std::map<std::string, hdf5_dataset, std::less<>> datasets;
};

/// Parses a whole file held in memory, which has to outlive the result.
class hdf5_parser {
 public:
  /// @param path  only for messages
  /// @param skip  children of the root group that are not looked at
  hdf5_parser(std::filesystem::path const& path, std::span<std::byte const> bytes,
              std::string_view skip = {}, hdf5_limits limits = {})
      : path_{path}, bytes_{bytes}, skip_{skip}, limits_{limits} {}

  /// @throws io_error `septum.hdf5.1` (not HDF5), `.2` (a feature outside the dialect), `.3` (cut,
  ///         contradicts itself, or above a limit), each with the object's path
  [[nodiscard]] hdf5_group parse() {
    constexpr std::string_view magic = "\x89HDF\r\n\x1a\n";
    if (bytes_.size() < 8 || std::memcmp(bytes_.data(), magic.data(), magic.size()) != 0)
      throw io_error{"septum.hdf5.1",
                     shown(path_) + ": expected an HDF5 file, found one that starts with \"" +
                         printable(text_at(0, std::min<std::size_t>(bytes_.size(), 8))) + "\""};
    auto const version = number<std::uint8_t>(8, "superblock");
    if (version != 0) refuse("superblock", "superblock version 0", "version " + to_text(version));
    if (number<std::uint8_t>(13, "superblock") != 8 || number<std::uint8_t>(14, "superblock") != 8)
      refuse("superblock", "offsets and lengths of 8 bytes", "others");
    if (number<std::uint64_t>(24, "superblock") != 0)
      refuse("superblock", "base address 0", "another");
    auto const end = number<std::uint64_t>(40, "superblock");
    if (end > bytes_.size())
      damaged("superblock", "a file of " + to_text(end) + " bytes, found " +
                                to_text(bytes_.size()) + ": the file was cut short");
    object const root = parse_object(number<std::uint64_t>(64, "superblock"), "/", 0);
    if (!root.is_group) damaged("/", "a group, found a dataset");
    return root.group;
  }

 private:
  struct object {
    bool is_group = false;
    hdf5_group group;
    hdf5_dataset dataset;
  };
  struct message {
    std::uint16_t type = 0;
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
  };
  struct text_type {
    std::uint64_t bytes = 0;  ///< of one element in the file
    bool variable = false;
  };

  [[noreturn]] void refuse(std::string_view object_path, std::string_view expected,
                           std::string const& found) const {
    throw io_error{"septum.hdf5.2", shown(path_) + ": object " + printable(object_path) +
                                        ": expected " + std::string{expected} + ", found " + found +
                                        "; rewrite the file with h5py's defaults"};
  }
  [[noreturn]] void damaged(std::string_view object_path, std::string const& text) const {
    throw io_error{"septum.hdf5.3",
                   shown(path_) + ": object " + printable(object_path) + ": expected " + text};
  }

  /// Checks that [begin, begin + size) lies inside the file.
  void expect_inside(std::uint64_t begin, std::uint64_t size, std::string_view object_path) const {
    if (begin > bytes_.size() || size > bytes_.size() - begin)
      damaged(object_path, "bytes " + to_text(begin) + " to +" + to_text(size) +
                               ", found a file of " + to_text(bytes_.size()) + " bytes");
  }
  template <std::unsigned_integral T>
  [[nodiscard]] T number(std::uint64_t at, std::string_view object_path) const {
    expect_inside(at, sizeof(T), object_path);
    T value{};
    std::memcpy(&value, bytes_.data() + at, sizeof(T));
    return value;
  }
  [[nodiscard]] std::string_view text_at(std::uint64_t begin, std::uint64_t size) const {
    return {reinterpret_cast<char const*>(bytes_.data()) + begin, static_cast<std::size_t>(size)};
  }
  void expect_signature(std::uint64_t at, std::string_view wanted,
                        std::string_view object_path) const {
    expect_inside(at, wanted.size(), object_path);
    if (text_at(at, wanted.size()) != wanted)
      damaged(object_path, "\"" + std::string{wanted} + "\" at byte " + to_text(at) + ", found \"" +
                               printable(text_at(at, wanted.size())) + "\"");
  }
  /// Each structure may be reached once: anything else is a cycle or a hard link.
  void visit(std::uint64_t at, std::string_view object_path) {
    if (!visited_.insert(at).second)
      damaged(object_path, "a tree, found byte " + to_text(at) + " referred to twice");
    if (visited_.size() > 16 * limits_.max_objects)
      damaged(object_path,
              "at most " + to_text(16 * limits_.max_objects) + " structures, found more");
  }

  [[nodiscard]] object parse_object(std::uint64_t at, std::string const& object_path, int depth) {
    if (depth > limits_.max_depth)
      damaged(object_path, "at most " + to_text(limits_.max_depth) + " nested groups, found more");
    if (++objects_ > limits_.max_objects)
      damaged(object_path, "at most " + to_text(limits_.max_objects) + " objects, found more");
    visit(at, object_path);
    auto const version = number<std::uint8_t>(at, object_path);
    if (version != 1) refuse(object_path, "object header version 1", "version " + to_text(version));
    object result;
    std::optional<message> symbol_table, data_space, data_type, layout;
    for (message const& part : list_messages(at, object_path)) {
      switch (part.type) {
        case 0x01:
          keep_once(data_space, part, object_path);
          break;
        case 0x03:
          keep_once(data_type, part, object_path);
          break;
        case 0x08:
          keep_once(layout, part, object_path);
          break;
        case 0x0C:
          parse_attribute(part, object_path, result.group);
          break;
        case 0x11:
          keep_once(symbol_table, part, object_path);
          break;
        case 0x02:
        case 0x06:
          refuse(object_path, "a group with a symbol table", "links of a newer format");
        case 0x07:
          refuse(object_path, "data inside the file", "external storage");
        case 0x0B:
          refuse(object_path, "data without filters", "a filter");
        case 0x00:
        case 0x04:
        case 0x05:
        case 0x0D:
        case 0x0E:
        case 0x12:
          break;
        default:
          refuse(object_path, "a header message of a plain group or dataset",
                 "message type " + to_text(part.type));
      }
    }
    if (symbol_table && !layout) {
      result.is_group = true;
      parse_group(*symbol_table, object_path, depth, result.group);
    } else if (layout && data_space && data_type && !symbol_table) {
      result.dataset = parse_dataset(*data_space, *data_type, *layout, object_path);
    } else {
      damaged(object_path, "a group or a dataset, found a header that is neither");
    }
    return result;
  }

  void keep_once(std::optional<message>& kept, message const& part,
                 std::string_view object_path) const {
    if (kept)
      damaged(object_path, "one header message of type " + to_text(part.type) + ", found two");
    kept = part;
  }

  [[nodiscard]] std::vector<message> list_messages(std::uint64_t at,
                                                   std::string const& object_path) {
    auto const count = number<std::uint16_t>(at + 2, object_path);
    struct block {
      std::uint64_t begin, size;
    };
    std::vector<block> blocks{{at + 16, number<std::uint32_t>(at + 8, object_path)}};
    std::vector<message> messages;
    std::size_t seen = 0;
    for (std::size_t k = 0; k < blocks.size(); ++k) {
      auto const [begin, size] = blocks[k];
      expect_inside(begin, size, object_path);
      std::uint64_t position = begin;
      while (seen < count && position + 8 <= begin + size) {
        message const part{number<std::uint16_t>(position, object_path), position + 8,
                           number<std::uint16_t>(position + 2, object_path)};
        auto const flags = number<std::uint8_t>(position + 4, object_path);
        if (part.begin + part.size > begin + size)
          damaged(object_path, "header messages inside their block, found one beyond it");
        if ((flags & 2U) != 0) refuse(object_path, "messages of its own", "a shared message");
        ++seen;
        position = part.begin + part.size;
        if (part.type != 0x10) {
          messages.push_back(part);
          continue;
        }
        expect_size(part, 16, object_path);
        blocks.push_back({number<std::uint64_t>(part.begin, object_path),
                          number<std::uint64_t>(part.begin + 8, object_path)});
        visit(blocks.back().begin, object_path);
      }
    }
    if (seen != count)
      damaged(object_path, to_text(count) + " header messages, found " + to_text(seen));
    return messages;
  }

  void expect_size(message const& part, std::uint64_t size, std::string_view object_path) const {
    if (part.size < size)
      damaged(object_path, "a header message of at least " + to_text(size) + " bytes, found " +
                               to_text(part.size));
  }

  /// Extents of a simple or scalar data space; a message of `size` bytes at `at`.
  [[nodiscard]] std::vector<std::int64_t> parse_extents(message const& part,
                                                        std::string_view object_path) const {
    expect_size(part, 4, object_path);
    auto const version = number<std::uint8_t>(part.begin, object_path);
    auto const rank = number<std::uint8_t>(part.begin + 1, object_path);
    if (version != 1) refuse(object_path, "data space version 1", "version " + to_text(version));
    if (rank > 8) damaged(object_path, "at most 8 axes, found " + to_text(rank));
    expect_size(part, 8 + 8 * std::uint64_t{rank}, object_path);
    std::vector<std::int64_t> extents;
    std::uint64_t product = 1;
    for (std::uint64_t axis = 0; axis < rank; ++axis) {
      auto const extent = number<std::uint64_t>(part.begin + 8 + 8 * axis, object_path);
      // Every element needs a byte of the file, so larger products cannot be true.
      if (extent > bytes_.size() || (extent != 0 && product > bytes_.size() / extent))
        damaged(object_path, "extents that fit into a file of " + to_text(bytes_.size()) +
                                 " bytes, found larger ones");
      product *= extent;
      extents.push_back(static_cast<std::int64_t>(extent));
    }
    return extents;
  }

  [[nodiscard]] static std::uint64_t product_of(std::vector<std::int64_t> const& extents) {
    std::uint64_t product = 1;
    for (std::int64_t const extent : extents) product *= static_cast<std::uint64_t>(extent);
    return product;
  }

  [[nodiscard]] hdf5_dataset parse_dataset(message const& data_space, message const& data_type,
                                           message const& layout, std::string const& object_path) {
    // Class 1 version 1, little endian, 4 bytes; precision, exponent, mantissa and bias of float32.
    constexpr std::array<unsigned char, 20> float32{0x11, 0x20, 0x1F, 0, 4, 0,  0,   0, 0, 0,
                                                    32,   0,    23,   8, 0, 23, 127, 0, 0, 0};
    expect_size(data_type, float32.size(), object_path);
    expect_inside(data_type.begin, float32.size(), object_path);
    if (std::memcmp(bytes_.data() + data_type.begin, float32.data(), float32.size()) != 0)
      refuse(object_path, "little-endian 32-bit floats", "another type of number");
    hdf5_dataset result;
    result.extents = parse_extents(data_space, object_path);
    expect_size(layout, 18, object_path);
    auto const version = number<std::uint8_t>(layout.begin, object_path);
    if (version != 3) refuse(object_path, "data layout version 3", "version " + to_text(version));
    auto const kind = number<std::uint8_t>(layout.begin + 1, object_path);
    if (kind != 1)
      refuse(object_path, "contiguous data",
             kind == 0   ? "compact data"
             : kind == 2 ? "chunked data"
             : kind == 3 ? "virtual data"
                         : "data layout " + to_text(kind));
    auto const begin = number<std::uint64_t>(layout.begin + 2, object_path);
    auto const size = number<std::uint64_t>(layout.begin + 10, object_path);
    std::uint64_t const wanted = sizeof(float) * product_of(result.extents);
    if (size != wanted)
      damaged(object_path, to_text(wanted) + " bytes of data, found " + to_text(size));
    expect_inside(begin, size, object_path);
    if (size > bytes_.size() - data_bytes_)
      damaged(object_path, "datasets of at most the file's size, found more");
    data_bytes_ += size;
    result.bytes = bytes_.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(size));
    return result;
  }

  void parse_group(message const& symbol_table, std::string const& object_path, int depth,
                   hdf5_group& group) {
    expect_size(symbol_table, 16, object_path);
    auto const tree = number<std::uint64_t>(symbol_table.begin, object_path);
    auto const heap = number<std::uint64_t>(symbol_table.begin + 8, object_path);
    expect_signature(heap, "HEAP", object_path);
    auto const heap_size = number<std::uint64_t>(heap + 8, object_path);
    auto const heap_data = number<std::uint64_t>(heap + 24, object_path);
    expect_inside(heap_data, heap_size, object_path);
    parse_tree_node(tree, -1, text_at(heap_data, heap_size), object_path, depth, group);
  }

  /// `level` is that of this node, or -1 for the root, which may have any.
  void parse_tree_node(std::uint64_t at, int level, std::string_view names,
                       std::string const& object_path, int depth, hdf5_group& group) {
    visit(at, object_path);
    expect_signature(at, "TREE", object_path);
    if (number<std::uint8_t>(at + 4, object_path) != 0)
      damaged(object_path, "a tree of names, found a tree of chunks");
    int const own_level = number<std::uint8_t>(at + 5, object_path);
    if (level >= 0 && own_level != level)
      damaged(object_path, "tree level " + to_text(level) + ", found " + to_text(own_level));
    if (own_level > limits_.max_depth)
      damaged(object_path, "a tree of at most " + to_text(limits_.max_depth) + " levels, found " +
                               to_text(own_level));
    auto const used = number<std::uint16_t>(at + 6, object_path);
    for (std::uint64_t k = 0; k < used; ++k) {
      auto const child = number<std::uint64_t>(at + 32 + 16 * k, object_path);
      if (own_level > 0)
        parse_tree_node(child, own_level - 1, names, object_path, depth, group);
      else
        parse_symbols(child, names, object_path, depth, group);
    }
  }

  void parse_symbols(std::uint64_t at, std::string_view names, std::string const& object_path,
                     int depth, hdf5_group& group) {
    visit(at, object_path);
    expect_signature(at, "SNOD", object_path);
    auto const count = number<std::uint16_t>(at + 6, object_path);
    for (std::uint64_t k = 0; k < count; ++k) {
      std::uint64_t const entry = at + 8 + 40 * k;
      auto const name_at = number<std::uint64_t>(entry, object_path);
      std::string_view const rest = name_at < names.size()
                                        ? names.substr(static_cast<std::size_t>(name_at))
                                        : std::string_view{};
      std::size_t const length = rest.find('\0');
      std::string const name{rest.substr(0, length == std::string_view::npos ? 0 : length)};
      if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
        damaged(object_path, "children with names, found \"" + printable(name) + "\"");
      std::string const child_path = (depth == 0 ? "/" : object_path + "/") + name;
      if (group.groups.contains(name) || group.datasets.contains(name))
        damaged(child_path, "one object of this name, found two");
      if (depth == 0 && name == skip_) continue;
      if (number<std::uint32_t>(entry + 16, object_path) > 1)
        refuse(child_path, "an object inside the file", "a link");
      object child =
          parse_object(number<std::uint64_t>(entry + 8, object_path), child_path, depth + 1);
      if (child.is_group)
        group.groups.emplace(name, std::move(child.group));
      else
        group.datasets.emplace(name, std::move(child.dataset));
    }
  }

  void parse_attribute(message const& part, std::string const& object_path, hdf5_group& group) {
    expect_size(part, 8, object_path);
    auto const version = number<std::uint8_t>(part.begin, object_path);
    if (version != 1) refuse(object_path, "attribute version 1", "version " + to_text(version));
    auto const padded = [](std::uint64_t size) { return (size + 7) / 8 * 8; };
    auto const name_size = number<std::uint16_t>(part.begin + 2, object_path);
    auto const type_size = number<std::uint16_t>(part.begin + 4, object_path);
    auto const space_size = number<std::uint16_t>(part.begin + 6, object_path);
    std::uint64_t const type_at = part.begin + 8 + padded(name_size);
    std::uint64_t const space_at = type_at + padded(type_size);
    std::uint64_t const data_at = space_at + padded(space_size);
    std::uint64_t const end = part.begin + part.size;
    if (data_at > end) damaged(object_path, "attributes inside their messages, found one beyond");
    std::string_view const stored_name = text_at(part.begin + 8, name_size);
    std::string const name{stored_name.substr(0, stored_name.find('\0'))};
    auto& values = group.attributes[name];
    auto const type = parse_text_type({0x03, type_at, type_size}, object_path);
    if (!type) return;
    std::uint64_t const count =
        product_of(parse_extents({0x01, space_at, space_size}, object_path));
    if (type->bytes == 0 || count > (end - data_at) / type->bytes)
      damaged(object_path,
              "attribute " + printable(name) + " inside its message, found one beyond");
    for (std::uint64_t k = 0; k < count; ++k) {
      std::uint64_t const at = data_at + k * type->bytes;
      std::string_view const text =
          type->variable ? text_in_global_heap(at, object_path) : text_at(at, type->bytes);
      values.emplace_back(text.substr(0, text.find('\0')));
    }
  }

  /// What a data type message says when it is a string, of fixed or variable length.
  [[nodiscard]] std::optional<text_type> parse_text_type(message const& part,
                                                         std::string_view object_path) const {
    expect_size(part, 8, object_path);
    auto const kind = number<std::uint8_t>(part.begin, object_path) & 0x0FU;
    auto const flags = number<std::uint8_t>(part.begin + 1, object_path);
    auto const bytes = number<std::uint32_t>(part.begin + 4, object_path);
    if (kind == 3) return text_type{bytes, false};
    if (kind == 9 && (flags & 0x0FU) == 1 && bytes == 16) return text_type{bytes, true};
    return std::nullopt;
  }

  /// A variable-length string: length, collection and index at byte `at`.
  [[nodiscard]] std::string_view text_in_global_heap(std::uint64_t at,
                                                     std::string_view object_path) const {
    auto const length = number<std::uint32_t>(at, object_path);
    auto const collection = number<std::uint64_t>(at + 4, object_path);
    auto const index = number<std::uint32_t>(at + 12, object_path);
    if (length == 0) return {};
    expect_signature(collection, "GCOL", object_path);
    auto const size = number<std::uint64_t>(collection + 8, object_path);
    expect_inside(collection, size, object_path);
    std::uint64_t position = collection + 16;
    while (position + 16 <= collection + size) {
      auto const found = number<std::uint16_t>(position, object_path);
      auto const bytes = number<std::uint64_t>(position + 8, object_path);
      if (found == 0 || bytes > collection + size - position - 16) break;
      if (found == index) {
        if (length > bytes) break;
        return text_at(position + 16, length);
      }
      position += 16 + (bytes + 7) / 8 * 8;
    }
    damaged(object_path, "a string in the heap at byte " + to_text(collection) + ", found none");
  }

  std::filesystem::path const& path_;
  std::span<std::byte const> bytes_;
  std::string_view skip_;
  hdf5_limits limits_;
  std::unordered_set<std::uint64_t> visited_;
  std::size_t objects_ = 0;
  std::uint64_t data_bytes_ = 0;
};

}  // namespace septum::inline SEPTUM_ABI::io::detail
