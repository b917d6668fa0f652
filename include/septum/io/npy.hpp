#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/file.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <xtensor/xtensor.hpp>

namespace septum::inline SEPTUM_ABI::io {

template <class T>
concept NpyValue = std::same_as<T, float> || std::same_as<T, double> ||
    (std::integral<T> && !std::same_as<T, bool> && sizeof(T) <= 8);

/// What a NumPy file holds; the data are not copied.
struct npy_header {
  char kind = 'f';        ///< 'f', 'i', 'u', or 'b' for boolean
  std::size_t width = 4;  ///< bytes per value
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<std::size_t> shape{};
  std::size_t data_offset = 0;

  [[nodiscard]] std::string type_name() const {
    return std::string{big_endian ? '>' : '<'} + kind + to_text(width);
  }
};

namespace detail {

template <NpyValue T>
[[nodiscard]] constexpr char npy_kind() {
  return std::floating_point<T> ? 'f' : std::unsigned_integral<T> ? 'u' : 'i';
}

[[nodiscard]] inline std::string shape_text(std::span<std::size_t const> shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + to_text(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

/// Reads the header of a .npy file: a Python dictionary of exactly three known entries.
class npy_parser {
 public:
  npy_parser(std::span<std::byte const> bytes, std::string name)
      : bytes_{bytes}, name_{std::move(name)} {}

  [[nodiscard]] npy_header parse() {
    find_dictionary();
    bool seen[3] = {};
    expect('{');
    while (!accept('}')) {
      std::string const key = string_literal();
      expect(':');
      if (key == "descr" && !std::exchange(seen[0], true))
        read_type();
      else if (key == "fortran_order" && !std::exchange(seen[1], true))
        header_.fortran_order = read_boolean();
      else if (key == "shape" && !std::exchange(seen[2], true))
        read_shape();
      else
        fail("expected each of 'descr', 'fortran_order', 'shape' once, found '" + printable(key) +
             "'");
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!text_.empty()) fail("expected the end of the header, found more text");
    if (!(seen[0] && seen[1] && seen[2]))
      fail("expected 'descr', 'fortran_order' and 'shape' in the header");
    check_size();
    return header_;
  }

 private:
  [[noreturn]] void fail(std::string const& what) const {
    throw io_error{"septum.npy.1", name_ + ": " + what};
  }

  void find_dictionary() {
    constexpr std::string_view magic = "\x93NUMPY";
    std::string_view const all{reinterpret_cast<char const*>(bytes_.data()), bytes_.size()};
    if (!all.starts_with(magic)) fail("not a NumPy array: its first bytes are others");
    auto const byte = [&](std::size_t i) { return static_cast<std::size_t>(bytes_[i]); };
    if (all.size() < 12) fail("the header is cut short");
    std::size_t const version = byte(6);
    if (version < 1 || version > 3)
      fail("expected format version 1, 2 or 3, found " + to_text(version));
    std::size_t const start = version == 1 ? 10 : 12;
    std::size_t length = byte(8) | byte(9) << 8U;
    if (version > 1) length |= byte(10) << 16U | byte(11) << 24U;
    constexpr std::size_t longest = 65535;
    if (length > longest)
      fail("expected a header of at most 65535 bytes, found " + to_text(length));
    if (length > all.size() - start) fail("the header is cut short");
    text_ = all.substr(start, length);
    header_.data_offset = start + length;
  }

  void skip_space() {
    text_.remove_prefix(std::min(text_.size(), text_.find_first_not_of(" \t\r\n")));
  }
  [[nodiscard]] bool accept(char c) {
    skip_space();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c))
      fail(std::string{"expected '"} + c + "' in the header, found \"" +
           printable(text_.substr(0, 12)) + "\"");
  }
  [[nodiscard]] std::string string_literal() {
    skip_space();
    char const quote = text_.empty() ? '\0' : text_.front();
    auto const end = text_.find(quote, 1);
    if ((quote != '\'' && quote != '"') || end == std::string_view::npos)
      fail("expected a quoted word in the header, found \"" + printable(text_.substr(0, 12)) +
           "\"");
    std::string result{text_.substr(1, end - 1)};
    text_.remove_prefix(end + 1);
    return result;
  }
  [[nodiscard]] bool read_boolean() {
    skip_space();
    for (std::string_view const word : {"True", "False"})
      if (text_.starts_with(word)) {
        text_.remove_prefix(word.size());
        return word == "True";
      }
    fail("expected True or False for 'fortran_order'");
  }

  void read_type() {
    skip_space();
    if (text_.starts_with('[')) fail("expected one number per element, found a record of fields");
    std::string const type = string_literal();
    auto const unsupported = [&] {
      throw unsupported_error{"septum.npy.2",
                              name_ +
                                  ": expected booleans, integers or 32 or 64-bit floating-point "
                                  "numbers, found type '" +
                                  printable(type) + "'" +
                                  (type.find('O') != std::string::npos
                                       ? " (Python objects, which would have to be executed)"
                                       : "")};
    };
    if (type.size() != 3) unsupported();
    char const order = type[0];
    header_.kind = type[1];
    header_.width = static_cast<std::size_t>(type[2] - '0');
    header_.big_endian = order == '>';
    bool const sized =
        header_.width == 1 || header_.width == 2 || header_.width == 4 || header_.width == 8;
    bool const real = header_.kind == 'f' && (header_.width == 4 || header_.width == 8);
    bool const whole = (header_.kind == 'i' || header_.kind == 'u') && sized;
    bool const boolean = header_.kind == 'b' && header_.width == 1;
    bool const known_order =
        order == '<' || order == '>' || order == '=' || (order == '|' && header_.width == 1);
    if (!known_order || !(real || whole || boolean)) unsupported();
  }

  void read_shape() {
    constexpr std::size_t most_axes = 32;
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::size_t const digits = std::min(text_.size(), text_.find_first_not_of("0123456789"));
      auto const extent = parse_number<std::size_t>(text_.substr(0, digits));
      if (!extent)
        fail("expected extents from 0 in 'shape', found \"" + printable(text_.substr(0, 24)) +
             "\"");
      header_.shape.push_back(*extent);
      text_.remove_prefix(digits);
      if (header_.shape.size() > most_axes) fail("expected at most 32 axes");
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  void check_size() const {
    std::size_t const available = bytes_.size() - header_.data_offset;
    std::size_t size = header_.width;
    bool const empty =
        std::find(header_.shape.begin(), header_.shape.end(), 0U) != header_.shape.end();
    for (std::size_t const extent : header_.shape) {
      if (empty) size = 0;
      if (extent != 0 && size > std::numeric_limits<std::size_t>::max() / extent)
        fail("shape " + shape_text(header_.shape) + " is larger than any file");
      size *= extent;
    }
    if (size != available)
      fail("expected " + to_text(size) + " bytes for shape " + shape_text(header_.shape) +
           " of type " + header_.type_name() + ", found " + to_text(available) +
           ": the file is cut short or damaged");
  }

  std::span<std::byte const> bytes_;
  std::string name_;
  std::string_view text_;
  npy_header header_;
};

/// Calls `set(index, value)` for every element; `index` counts in row-major order whatever the
/// order in the file, `value` has the stored type.
template <class Stored, class Set>
void for_each_npy_value(std::span<std::byte const> data, npy_header const& header, Set const& set) {
  std::size_t const count = data.size() / sizeof(Stored);
  auto const load = [&](std::size_t position) {
    std::array<std::byte, sizeof(Stored)> raw;
    std::memcpy(raw.data(), data.data() + position * sizeof(Stored), sizeof(Stored));
    if (header.big_endian) std::reverse(raw.begin(), raw.end());
    return std::bit_cast<Stored>(raw);
  };
  if (!header.fortran_order || header.shape.size() < 2) {
    for (std::size_t i = 0; i < count; ++i) set(i, load(i));
    return;
  }
  std::size_t const rank = header.shape.size();
  std::vector<std::size_t> index(rank, 0);
  std::vector<std::size_t> step(rank, 1);
  for (std::size_t axis = 1; axis < rank; ++axis)
    step[axis] = step[axis - 1] * header.shape[axis - 1];
  std::size_t position = 0;
  for (std::size_t i = 0; i < count; ++i) {
    set(i, load(position));
    // Count up the last axis first; a full axis goes back to its start and carries over.
    for (std::size_t axis = rank; axis-- > 0;) {
      position += step[axis];
      if (++index[axis] < header.shape[axis]) break;
      position -= step[axis] * header.shape[axis];
      index[axis] = 0;
    }
  }
}

/// The same for whatever type the header names.
template <class Set>
void for_each_npy_number(std::span<std::byte const> data, npy_header const& header,
                         Set const& set) {
  if (header.kind == 'f') {
    if (header.width == 4) return for_each_npy_value<float>(data, header, set);
    return for_each_npy_value<double>(data, header, set);
  }
  if (header.kind == 'i') {
    if (header.width == 1) return for_each_npy_value<std::int8_t>(data, header, set);
    if (header.width == 2) return for_each_npy_value<std::int16_t>(data, header, set);
    if (header.width == 4) return for_each_npy_value<std::int32_t>(data, header, set);
    return for_each_npy_value<std::int64_t>(data, header, set);
  }
  if (header.width == 1) return for_each_npy_value<std::uint8_t>(data, header, set);
  if (header.width == 2) return for_each_npy_value<std::uint16_t>(data, header, set);
  if (header.width == 4) return for_each_npy_value<std::uint32_t>(data, header, set);
  for_each_npy_value<std::uint64_t>(data, header, set);
}

}  // namespace detail

/// The header of a NumPy file in memory, checked against the number of bytes that follow it.
/// throws     io_error, or unsupported_error for element types other than plain numbers
[[nodiscard]] inline npy_header read_npy_header(std::span<std::byte const> bytes,
                                                std::string name) {
  return detail::npy_parser{bytes, std::move(name)}.parse();
}

namespace detail {

/// The array in the bytes of a .npy file.
template <NpyValue T, std::size_t Rank>
[[nodiscard]] xt::xtensor<T, Rank> npy_array(std::span<std::byte const> bytes,
                                             std::string const& name) {
  npy_header const header = read_npy_header(bytes, name);
  bool const same_kind =
      header.kind == npy_kind<T>() || (header.kind == 'b' && std::same_as<T, std::uint8_t>);
  if (!same_kind || header.width != sizeof(T))
    throw io_error{"septum.npy.3", name + ": expected type '<" + npy_kind<T>() +
                                       to_text(sizeof(T)) + "', found '" + header.type_name() +
                                       "'"};
  if (header.shape.size() != Rank)
    throw io_error{"septum.npy.3", name + ": expected " + to_text(Rank) + " axes, found shape " +
                                       shape_text(header.shape)};
  std::array<std::size_t, Rank> shape{};
  std::copy(header.shape.begin(), header.shape.end(), shape.begin());
  xt::xtensor<T, Rank> result = xt::xtensor<T, Rank>::from_shape(shape);
  for_each_npy_value<T>(bytes.subspan(header.data_offset), header,
                        [&](std::size_t i, T value) { result.data()[i] = value; });
  return result;
}

/// What stands before the numbers in a .npy file (format 1.0).
template <NpyValue T>
[[nodiscard]] std::string npy_lead(std::span<std::size_t const> shape) {
  std::string header = "{'descr': '";
  header += sizeof(T) == 1 ? '|' : '<';
  header += npy_kind<T>();
  header += to_text(sizeof(T)) + "', 'fortran_order': False, 'shape': " + shape_text(shape) + ", }";
  // Magic, version, length and header together fill a multiple of 64 bytes, the last a newline.
  constexpr std::size_t start = 10;
  constexpr std::size_t alignment = 64;
  header.resize((start + header.size() + alignment) / alignment * alignment - start, ' ');
  header.back() = '\n';
  std::string lead = "\x93NUMPY";
  lead += '\x01';
  lead += '\0';
  lead += static_cast<char>(header.size() & 0xFFU);
  lead += static_cast<char>(header.size() >> 8U);
  return lead + header;
}

}  // namespace detail

/// Reads a NumPy array whose element type is T and whose number of axes is Rank, in row-major (C)
/// or column-major (Fortran) order and either byte order. Booleans are read as std::uint8_t.
/// throws     io_error for a damaged file, or another type or number of axes
template <NpyValue T, std::size_t Rank>
[[nodiscard]] xt::xtensor<T, Rank> read_npy(std::filesystem::path const& path) {
  return detail::npy_array<T, Rank>(read_file(path).bytes(), detail::shown(path));
}

/// Writes a NumPy array (format 1.0, little-endian, row-major order).
/// throws     io_error when the file cannot be written
template <NpyValue T, std::size_t Rank>
void write_npy(std::filesystem::path const& path, xt::xtensor<T, Rank> const& array) {
  std::string const lead = detail::npy_lead<T>(std::span{array.shape().data(), Rank});
  atomic_file file{path};
  auto const bytes = std::as_bytes(std::span{array.data(), array.size()});
  file.expect_room(lead.size() + bytes.size());
  file.write(lead);
  file.write(bytes);
  file.commit();
}

}  // namespace septum::inline SEPTUM_ABI::io
