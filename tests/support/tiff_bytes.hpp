#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// TIFF files put together byte by byte, right or wrong as a test wants them.
namespace test {

struct tiff_tag {
  std::uint16_t id = 0;
  std::uint16_t type = 4;  ///< 1 byte, 2 text, 3 short, 4 long, 5 rational, 16 long8
  std::vector<std::uint64_t> values{};
};

/// Writes numbers in either byte order and directories of either flavour.
class tiff_bytes {
 public:
  explicit tiff_bytes(bool big_endian = false, bool big = false)
      : big_endian_{big_endian}, big_{big} {
    bytes = big_endian ? "MM" : "II";
    number(big ? 43 : 42, 2);
    if (big) {
      number(8, 2);
      number(0, 2);
    }
    link_ = bytes.size();
    number(0, big ? 8 : 4);
  }

  std::string bytes;

  void number(std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i)
      bytes += static_cast<char>(value >> 8 * (big_endian_ ? width - 1 - i : i) & 0xFFU);
  }
  void set_number(std::size_t at, std::uint64_t value, std::size_t width) {
    std::string const kept = bytes.substr(0, at);
    std::string const after = bytes.substr(at + width);
    bytes = kept;
    number(value, width);
    bytes += after;
  }
  /// Appends data and returns where they start.
  std::uint64_t data(std::string const& text) {
    std::uint64_t const at = bytes.size();
    bytes += text;
    return at;
  }
  /// Appends a directory, links it after the one before, and returns where it starts.
  std::uint64_t directory(std::vector<tiff_tag> tags) {
    std::sort(tags.begin(), tags.end(), [](auto const& a, auto const& b) { return a.id < b.id; });
    std::size_t const room = big_ ? 8 : 4;
    std::vector<std::uint64_t> outside(tags.size(), 0);
    for (std::size_t i = 0; i < tags.size(); ++i)
      if (tags[i].values.size() * value_width(tags[i].type) > room) {
        outside[i] = bytes.size();
        values(tags[i]);
      }
    if (bytes.size() % 2 == 1) bytes += '\0';
    std::uint64_t const at = bytes.size();
    set_number(link_, at, room);
    number(tags.size(), big_ ? 8 : 2);
    for (std::size_t i = 0; i < tags.size(); ++i) {
      number(tags[i].id, 2);
      number(tags[i].type, 2);
      number(tags[i].values.size() / (tags[i].type == 5 ? 2 : 1), room);
      std::size_t const start = bytes.size();
      if (outside[i] != 0)
        number(outside[i], room);
      else
        values(tags[i]);
      bytes.resize(start + room, '\0');
    }
    link_ = bytes.size();
    number(0, room);
    return at;
  }
  /// Where the link to the next directory stands.
  [[nodiscard]] std::size_t link() const { return link_; }

 private:
  /// Of one entry in `values`: a rational is two of them.
  static std::size_t value_width(std::uint16_t type) {
    return type == 3 ? 2 : type == 4 || type == 5 ? 4 : type == 16 ? 8 : 1;
  }
  void values(tiff_tag const& tag) {
    for (std::uint64_t const value : tag.values) number(value, value_width(tag.type));
  }

  bool big_endian_;
  bool big_;
  std::size_t link_ = 0;
};

/// Tags of a page with one strip.
inline std::vector<tiff_tag> tiff_page(std::uint64_t height, std::uint64_t width,
                                       std::uint64_t bits, std::uint64_t offset, std::uint64_t size,
                                       std::vector<tiff_tag> const& more = {}) {
  std::vector<tiff_tag> tags{{256, 4, {width}}, {257, 4, {height}}, {258, 3, {bits}},
                             {259, 3, {1}},     {262, 3, {1}},      {273, 4, {offset}},
                             {277, 3, {1}},     {278, 4, {height}}, {279, 4, {size}}};
  for (tiff_tag const& tag : more) {
    auto const same =
        std::find_if(tags.begin(), tags.end(), [&](auto const& t) { return t.id == tag.id; });
    if (same == tags.end())
      tags.push_back(tag);
    else
      *same = tag;
  }
  return tags;
}

}  // namespace test
