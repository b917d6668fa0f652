#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Writes the dialect of HDF5 that Keras 1 wrote: superblock 0, symbol tables, contiguous float32.
/// Enough for tests to make files of whole nets, and to make wrong ones.
struct hdf5_node {
  std::string name{};
  std::vector<std::pair<std::string, std::vector<std::string>>> attributes{};
  std::vector<hdf5_node> children{};
  std::vector<std::uint64_t> extents{};  ///< of a dataset; empty for a group
  std::vector<float> values{};

  hdf5_node& child(std::string_view wanted) {
    for (hdf5_node& node : children)
      if (node.name == wanted) return node;
    return children.emplace_back(hdf5_node{.name = std::string{wanted}});
  }
};

class hdf5_writer {
 public:
  [[nodiscard]] static std::string file_of(hdf5_node const& root) {
    hdf5_writer writer;
    writer.bytes_.append("\x89HDF\r\n\x1a\n", 8);
    writer.bytes_.append("\0\0\0\0\0\x08\x08\0", 8);
    writer.put<std::uint16_t>(4);
    writer.put<std::uint16_t>(16);
    writer.put<std::uint32_t>(0);
    writer.put<std::uint64_t>(0);
    writer.put(undefined);
    writer.put<std::uint64_t>(0);  // end of file, set below
    writer.put(undefined);
    writer.put<std::uint64_t>(0);
    writer.put<std::uint64_t>(0);  // root header, set below
    writer.bytes_.append(24, '\0');
    std::uint64_t const header = writer.object(root);
    writer.set(40, static_cast<std::uint64_t>(writer.bytes_.size()));
    writer.set(64, header);
    return writer.bytes_;
  }

 private:
  static constexpr std::uint64_t undefined = ~std::uint64_t{0};

  template <class T>
  void put(T value) {
    append(bytes_, value);
  }
  template <class T>
  static void append(std::string& to, T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    to.append(raw, sizeof(T));
  }
  void set(std::size_t at, std::uint64_t value) { std::memcpy(bytes_.data() + at, &value, 8); }
  static void pad(std::string& text) { text.resize((text.size() + 7) / 8 * 8); }

  static void message(std::string& header, std::uint16_t type, std::string data) {
    pad(data);
    append(header, type);
    append(header, static_cast<std::uint16_t>(data.size()));
    header.append(4, '\0');
    header += data;
  }
  static std::string space(std::vector<std::uint64_t> const& extents) {
    std::string data(1, '\x01');
    data += static_cast<char>(extents.size());
    data.append(6, '\0');
    for (std::uint64_t const extent : extents) append(data, extent);
    return data;
  }
  static std::string attribute(std::string const& name, std::vector<std::string> const& texts) {
    std::size_t width = 1;
    for (std::string const& text : texts) width = std::max(width, text.size());
    std::string type{"\x13\x01\0\0", 4};
    append(type, static_cast<std::uint32_t>(width));
    std::string const extents = space({texts.size()});
    std::string data{"\x01\0", 2};
    append(data, static_cast<std::uint16_t>(name.size() + 1));
    append(data, static_cast<std::uint16_t>(type.size()));
    append(data, static_cast<std::uint16_t>(extents.size()));
    data += name;
    data += '\0';
    pad(data);
    data += type;
    data += extents;
    for (std::string text : texts) {
      text.resize(width);
      data += text;
    }
    return data;
  }

  /// Appends an object and all below it; returns the address of its header.
  std::uint64_t object(hdf5_node const& node) {
    std::string header;
    std::uint16_t messages = 0;
    if (!node.extents.empty()) {
      std::uint64_t const data = bytes_.size();
      bytes_.append(reinterpret_cast<char const*>(node.values.data()), 4 * node.values.size());
      pad(bytes_);
      message(header, 0x01, space(node.extents));
      message(header, 0x03,
              std::string{"\x11\x20\x1f\0\x04\0\0\0\0\0\x20\0\x17\x08\0\x17\x7f\0\0\0", 20});
      std::string layout{"\x03\x01", 2};
      append(layout, data);
      append(layout, static_cast<std::uint64_t>(4 * node.values.size()));
      message(header, 0x08, layout);
      messages = 3;
    } else {
      std::string table;
      append(table, group(node));
      append(table, heap_);
      message(header, 0x11, table);
      messages = 1;
    }
    for (auto const& [name, texts] : node.attributes) {
      message(header, 0x0C, attribute(name, texts));
      ++messages;
    }
    std::uint64_t const at = bytes_.size();
    bytes_.append("\x01\0", 2);
    put(messages);
    put<std::uint32_t>(1);
    put(static_cast<std::uint32_t>(header.size()));
    put<std::uint32_t>(0);
    bytes_ += header;
    return at;
  }

  /// Appends the children, names, symbols and tree of a group; returns the tree's address and
  /// leaves the heap's in heap_.
  std::uint64_t group(hdf5_node const& node) {
    std::string names(8, '\0');
    std::string symbols{"SNOD\x01\0", 6};
    append(symbols, static_cast<std::uint16_t>(node.children.size()));
    for (hdf5_node const& child : node.children) {
      append(symbols, static_cast<std::uint64_t>(names.size()));
      append(symbols, object(child));
      symbols.append(24, '\0');
      names += child.name;
      names += '\0';
      pad(names);
    }
    std::uint64_t const heap = bytes_.size();
    bytes_.append("HEAP\0\0\0\0", 8);
    put(static_cast<std::uint64_t>(names.size()));
    put(undefined);
    put(heap + 32);
    bytes_ += names;
    std::uint64_t const table = bytes_.size();
    bytes_ += symbols;
    std::uint64_t const tree = bytes_.size();
    bytes_.append("TREE\0\0", 6);
    put<std::uint16_t>(1);
    put(undefined);
    put(undefined);
    put<std::uint64_t>(0);
    put(table);
    put<std::uint64_t>(8);
    heap_ = heap;
    return tree;
  }

  std::string bytes_;
  std::uint64_t heap_ = 0;
};
