#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/detail/byte_source.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// Limits that every TIFF has to respect; each is named in the error it causes.
struct tiff_limits {
  std::uint64_t max_pixels_per_page = std::uint64_t{1} << 31U;
  std::uint64_t max_pages = std::uint64_t{1} << 20U;
  std::uint64_t max_decoded_bytes = std::uint64_t{64} << 30U;
  /// Takes the whole pages of a file that was cut short, instead of refusing it.
  bool allow_truncated = false;
};

/// How the numbers of a page are stored.
enum class sample_format { unsigned_integer = 1, signed_integer = 2, floating_point = 3 };

/// Layout of one page of a TIFF, checked against the file.
struct tiff_page {
  std::uint64_t offset = 0;  ///< of the page's directory, in bytes from the start of the file
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::uint32_t samples = 1;  ///< values per pixel
  std::uint32_t bits = 1;     ///< per value
  sample_format format = sample_format::unsigned_integer;
  std::uint32_t compression = 1;
  std::uint32_t photometric = 1;
  bool planar = false;  ///< samples in blocks of their own instead of side by side
  bool tiled = false;
  std::uint32_t block_width = 0;  ///< of a tile; of a strip, the width of the page
  std::uint32_t block_height = 0;
  std::uint64_t blocks = 0;  ///< strips or tiles of all planes
  double x_resolution = 0.0;
  double y_resolution = 0.0;
  std::uint32_t resolution_unit = 2;  ///< 1 none, 2 inch, 3 centimetre
  std::string description;
  std::vector<std::uint16_t> palette;  ///< red, green, blue ramps, when the page has one

  /// Bytes of one decoded strip or tile.
  [[nodiscard]] std::uint64_t block_bytes() const {
    std::uint64_t const row_bits =
        std::uint64_t{block_width} * (planar ? 1 : samples) * std::uint64_t{bits};
    return (row_bits + 7) / 8 * block_height;
  }
};

namespace detail {

/// Name of a compression scheme, for messages.
[[nodiscard]] inline std::string tiff_compression_name(std::uint64_t scheme) {
  switch (scheme) {
    case 1:
      return "none";
    case 2:
    case 3:
    case 4:
      return "CCITT fax";
    case 5:
      return "LZW";
    case 6:
    case 7:
    case 34892:
      return "JPEG";
    case 8:
    case 32946:
      return "Deflate";
    case 32773:
      return "PackBits";
    case 33003:
    case 33005:
    case 34712:
      return "JPEG 2000";
    case 34887:
      return "LERC";
    case 34925:
      return "LZMA";
    case 50000:
    case 34926:
      return "ZSTD";
    case 50001:
    case 34927:
      return "WebP";
    case 50002:
      return "JPEG XL";
    default:
      return "unknown";
  }
}

/// The most bytes that one stored byte can become; 0 for a scheme that is not read.
[[nodiscard]] inline std::uint64_t tiff_expansion_limit(std::uint32_t scheme) {
  switch (scheme) {
    case 1:
      return 1;
    case 5:
      return 2560;
    case 8:
    case 32946:
      return 1032;
    case 32773:
      return 64;
    default:
      return 0;
  }
}

/// Walks the chain of directories of a TIFF without trusting a number in it, before any memory is
/// asked for and before libtiff sees the file.
class tiff_walk {
 public:
  tiff_walk(byte_source bytes, std::string name, tiff_limits const& limits)
      : bytes_{std::move(bytes)}, name_{std::move(name)}, limits_{limits} {
    read_header();
    while (next_ != 0) {
      try {
        read_directory();
      } catch (io_error const& failure) {
        if (!limits_.allow_truncated || failure.id() != truncated_id || pages_.empty()) throw;
        lost_ = failure.message();
        break;
      }
    }
    if (pages_.empty())
      fail("septum.tiff.3", "expected at least one page, found a header without pages");
  }

  [[nodiscard]] std::vector<tiff_page> take_pages() { return std::move(pages_); }
  /// Why the pages after the last one were left out; empty when nothing is missing.
  [[nodiscard]] std::string const& lost() const { return lost_; }

 private:
  static constexpr char const* truncated_id = "septum.tiff.1";

  struct entry {
    std::uint16_t type = 0;
    std::uint64_t count = 0;
    std::uint64_t position = 0;  ///< of the values
  };

  [[noreturn]] void fail(char const* id, std::string const& text) const {
    throw io_error{id, name_ + ": " + where_ + text};
  }
  [[noreturn]] void fail_cut(std::string_view what, std::uint64_t offset,
                             std::uint64_t size) const {
    fail(truncated_id,
         std::string{what} + " at byte " + to_text(offset) + ": expected " + to_text(size) +
             " bytes, found " + to_text(offset < bytes_.size() ? bytes_.size() - offset : 0) +
             ": the file of " + to_text(bytes_.size()) + " bytes is cut short or damaged");
  }
  void expect_inside(std::string_view what, std::uint64_t offset, std::uint64_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) fail_cut(what, offset, size);
  }

  template <std::unsigned_integral T>
  [[nodiscard]] T load(std::uint64_t offset) const {
    std::array<std::byte, sizeof(T)> stored;
    bytes_.copy(offset, stored.data(), stored.size());
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      auto const byte = std::to_integer<std::uint64_t>(stored[i]);
      auto const shift = 8 * (big_endian_ ? sizeof(T) - 1 - i : i);
      value = static_cast<T>(value | static_cast<T>(byte << shift));
    }
    return value;
  }

  /// Directories of an honest file do not overlap, so reading them all takes no more than its size;
  /// without this bound a small file could ask for hours of work.
  void walk(std::uint64_t size) {
    walked_ += size;
    if (walked_ > bytes_.size())
      fail("septum.tiff.4",
           "expected pages of their own, found that pages overlap in the file of " +
               to_text(bytes_.size()) + " bytes: it is damaged");
  }

  void read_header() {
    auto const start = [&](std::size_t n) {
      std::string text(std::min<std::uint64_t>(n, bytes_.size()), '\0');
      bytes_.copy(0, reinterpret_cast<std::byte*>(text.data()), text.size());
      return text;
    };
    std::string const order = start(2);
    if (order != "II" && order != "MM")
      fail("septum.tiff.2", "not a TIFF: starts with \"" + printable(start(4)) + "\"");
    expect_inside("header", 0, 8);
    big_endian_ = order == "MM";
    auto const version = load<std::uint16_t>(2);
    if (version == 42) {
      next_ = load<std::uint32_t>(4);
    } else if (version == 43) {
      expect_inside("header", 0, 16);
      big_ = true;
      if (load<std::uint16_t>(4) != 8 || load<std::uint16_t>(6) != 0)
        fail("septum.tiff.2", "not a TIFF: its BigTIFF header is damaged");
      next_ = load<std::uint64_t>(8);
    } else {
      fail("septum.tiff.2", "not a TIFF: expected version 42 or 43, found " + to_text(version));
    }
  }

  void read_directory() {
    std::uint64_t const offset = std::exchange(next_, 0);
    where_ = "page " + to_text(pages_.size() + 1) + ": ";
    if (!visited_.insert(offset).second)
      fail("septum.tiff.4", "expected a new page, found that the chain of pages returns to byte " +
                                to_text(offset) + ": the file is damaged");
    if (visited_.size() > limits_.max_pages)
      fail("septum.tiff.5", "expected at most " + to_text(limits_.max_pages) + " pages");
    std::uint64_t const count_size = big_ ? 8 : 2;
    std::uint64_t const entry_size = big_ ? 20 : 12;
    std::uint64_t const link_size = big_ ? 8 : 4;
    expect_inside("directory", offset, count_size);
    std::uint64_t const count = big_ ? load<std::uint64_t>(offset) : load<std::uint16_t>(offset);
    if (count == 0) fail("septum.tiff.6", "expected tags, found an empty directory");
    // No writer comes near this; it bounds the work for a damaged count.
    if (count > 65535)
      fail("septum.tiff.6", "expected at most 65535 tags, found " + to_text(count));
    expect_inside("directory", offset, count_size + count * entry_size + link_size);
    walk(count * entry_size);
    std::map<std::uint16_t, entry> tags;
    for (std::uint64_t i = 0; i < count; ++i)
      read_entry(offset + count_size + i * entry_size, tags);
    std::uint64_t const link = offset + count_size + count * entry_size;
    std::uint64_t const following = big_ ? load<std::uint64_t>(link) : load<std::uint32_t>(link);
    read_page(offset, tags);
    next_ = following;
    where_.clear();
  }

  void read_entry(std::uint64_t position, std::map<std::uint16_t, entry>& tags) const {
    auto const tag = load<std::uint16_t>(position);
    entry item;
    item.type = load<std::uint16_t>(position + 2);
    item.count = big_ ? load<std::uint64_t>(position + 4) : load<std::uint32_t>(position + 4);
    std::uint64_t const inline_size = big_ ? 8 : 4;
    std::uint64_t const inline_position = position + (big_ ? 12 : 8);
    std::uint64_t const size = type_size(item.type);
    if (size == 0) {
      if (known(tag))
        fail("septum.tiff.6", tag_name(tag) + " has the unknown type " + to_text(item.type));
      return;
    }
    if (item.count > std::numeric_limits<std::uint64_t>::max() / size)
      fail("septum.tiff.6", tag_name(tag) + " declares " + to_text(item.count) + " values");
    std::uint64_t const total = item.count * size;
    item.position = inline_position;
    if (total > inline_size) {
      item.position =
          big_ ? load<std::uint64_t>(inline_position) : load<std::uint32_t>(inline_position);
      expect_inside(tag_name(tag), item.position, total);
    }
    if (!tags.emplace(tag, item).second && known(tag))
      fail("septum.tiff.6", tag_name(tag) + " is there twice");
  }

  [[nodiscard]] static std::uint64_t type_size(std::uint16_t type) {
    constexpr std::uint8_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8};
    return type < std::size(sizes) ? sizes[type] : 0;
  }

  [[nodiscard]] static char const* known_name(std::uint16_t tag) {
    switch (tag) {
      case 254:
        return "NewSubfileType";
      case 256:
        return "ImageWidth";
      case 257:
        return "ImageLength";
      case 258:
        return "BitsPerSample";
      case 259:
        return "Compression";
      case 262:
        return "PhotometricInterpretation";
      case 266:
        return "FillOrder";
      case 270:
        return "ImageDescription";
      case 273:
        return "StripOffsets";
      case 274:
        return "Orientation";
      case 277:
        return "SamplesPerPixel";
      case 278:
        return "RowsPerStrip";
      case 279:
        return "StripByteCounts";
      case 282:
        return "XResolution";
      case 283:
        return "YResolution";
      case 284:
        return "PlanarConfiguration";
      case 296:
        return "ResolutionUnit";
      case 317:
        return "Predictor";
      case 320:
        return "ColorMap";
      case 322:
        return "TileWidth";
      case 323:
        return "TileLength";
      case 324:
        return "TileOffsets";
      case 325:
        return "TileByteCounts";
      case 339:
        return "SampleFormat";
      default:
        return nullptr;
    }
  }
  [[nodiscard]] static bool known(std::uint16_t tag) { return known_name(tag) != nullptr; }
  [[nodiscard]] static std::string tag_name(std::uint16_t tag) {
    return known(tag) ? known_name(tag) : "tag " + to_text(tag);
  }

  /// Value `index` of an integer tag.
  [[nodiscard]] std::uint64_t value(std::uint16_t tag, entry const& item,
                                    std::uint64_t index) const {
    switch (item.type) {
      case 1:
        return load<std::uint8_t>(item.position + index);
      case 3:
        return load<std::uint16_t>(item.position + 2 * index);
      case 4:
        return load<std::uint32_t>(item.position + 4 * index);
      case 16:
        return load<std::uint64_t>(item.position + 8 * index);
      default:
        fail("septum.tiff.6",
             tag_name(tag) + ": expected unsigned integers, found type " + to_text(item.type));
    }
  }

  [[nodiscard]] std::optional<std::uint64_t> number(std::map<std::uint16_t, entry> const& tags,
                                                    std::uint16_t tag) const {
    auto const found = tags.find(tag);
    if (found == tags.end()) return std::nullopt;
    if (found->second.count == 0) fail("septum.tiff.6", tag_name(tag) + " is empty");
    return value(tag, found->second, 0);
  }

  /// A number that must lie in [1, most].
  [[nodiscard]] std::uint32_t positive(std::map<std::uint16_t, entry> const& tags,
                                       std::uint16_t tag, std::optional<std::uint64_t> otherwise,
                                       std::uint64_t most) const {
    auto const found = number(tags, tag);
    if (!found && !otherwise) fail("septum.tiff.6", "expected the tag " + tag_name(tag));
    std::uint64_t const result = found ? *found : *otherwise;
    if (result == 0 || result > most)
      fail("septum.tiff.6",
           tag_name(tag) + ": expected 1 to " + to_text(most) + ", found " + to_text(result));
    return static_cast<std::uint32_t>(result);
  }

  /// One number per sample that all have to agree.
  [[nodiscard]] std::uint64_t uniform(std::map<std::uint16_t, entry> const& tags, std::uint16_t tag,
                                      std::uint64_t otherwise, std::uint32_t samples) const {
    auto const found = tags.find(tag);
    if (found == tags.end()) return otherwise;
    std::uint64_t const count = std::min<std::uint64_t>(found->second.count, samples);
    std::uint64_t const first = count == 0 ? otherwise : value(tag, found->second, 0);
    for (std::uint64_t i = 1; i < count; ++i)
      if (value(tag, found->second, i) != first)
        fail_unsupported(tag_name(tag) + ": expected the same for all samples, found " +
                         to_text(first) + " and " + to_text(value(tag, found->second, i)));
    return first;
  }

  [[noreturn]] void fail_unsupported(std::string const& text) const {
    throw unsupported_error{"septum.tiff.7", name_ + ": " + where_ + text};
  }

  [[nodiscard]] double rational(std::map<std::uint16_t, entry> const& tags,
                                std::uint16_t tag) const {
    auto const found = tags.find(tag);
    if (found == tags.end() || found->second.count == 0 || found->second.type != 5) return 0.0;
    auto const below = load<std::uint32_t>(found->second.position + 4);
    return below == 0 ? 0.0
                      : static_cast<double>(load<std::uint32_t>(found->second.position)) /
                            static_cast<double>(below);
  }

  void read_page(std::uint64_t offset, std::map<std::uint16_t, entry> const& tags) {
    // Pyramid levels and transparency masks are not pages of the recording.
    if ((number(tags, 254).value_or(0) & 5U) != 0) return;
    constexpr std::uint64_t largest = std::numeric_limits<std::uint32_t>::max();
    tiff_page page;
    page.offset = offset;
    page.width = positive(tags, 256, std::nullopt, largest);
    page.height = positive(tags, 257, std::nullopt, largest);
    if (std::uint64_t{page.width} * page.height > limits_.max_pixels_per_page)
      fail("septum.tiff.5", "expected at most " + to_text(limits_.max_pixels_per_page) +
                                " pixels, found " + to_text(page.height) + " x " +
                                to_text(page.width));
    page.samples = positive(tags, 277, 1, 65535);
    page.planar = positive(tags, 284, 1, 2) == 2 && page.samples > 1;
    page.compression = positive(tags, 259, 1, 65535);
    page.photometric = static_cast<std::uint32_t>(number(tags, 262).value_or(1));
    read_sample_type(page, tags);
    read_block_layout(page, tags);
    check_blocks(page, tags);
    page.resolution_unit = static_cast<std::uint32_t>(number(tags, 296).value_or(2));
    page.x_resolution = rational(tags, 282);
    page.y_resolution = rational(tags, 283);
    // Only the first page's description is read by anyone (ImageJ, OME).
    if (auto const found = tags.find(270);
        pages_.empty() && found != tags.end() && found->second.type == 2) {
      std::uint64_t const length = std::min<std::uint64_t>(found->second.count, 1U << 20U);
      page.description.resize(length);
      bytes_.copy(found->second.position, reinterpret_cast<std::byte*>(page.description.data()),
                  length);
      page.description.resize(std::min(page.description.size(), page.description.find('\0')));
    }
    if (auto const found = tags.find(320); found != tags.end() && page.photometric == 3) {
      std::uint64_t const expected = std::uint64_t{3} << std::min(page.bits, 16U);
      if (found->second.type != 3 || found->second.count != expected)
        fail("septum.tiff.6", "ColorMap: expected " + to_text(expected) + " 16-bit values, found " +
                                  to_text(found->second.count));
      walk(2 * expected);
      for (std::uint64_t i = 0; i < expected; ++i)
        page.palette.push_back(load<std::uint16_t>(found->second.position + 2 * i));
    }
    pages_.push_back(std::move(page));
  }

  void read_sample_type(tiff_page& page, std::map<std::uint16_t, entry> const& tags) const {
    if (tiff_expansion_limit(page.compression) == 0)
      fail_unsupported("expected no compression, PackBits, LZW or Deflate, found scheme " +
                       to_text(page.compression) + " (" + tiff_compression_name(page.compression) +
                       "); save the file again with one of these");
    if (page.photometric > 3)
      fail_unsupported("expected gray or RGB pixels, found photometric interpretation " +
                       to_text(page.photometric) + "; convert the file to gray or RGB");
    if (auto const turned = number(tags, 274).value_or(1); turned != 1)
      fail_unsupported("expected orientation 1 (first row on top), found " + to_text(turned) +
                       "; save the file again upright");
    std::uint64_t const format = uniform(tags, 339, 1, page.samples);
    std::uint64_t const bits = uniform(tags, 258, 1, page.samples);
    // Format 4 is 'undefined'; readers agree to take it as unsigned.
    if (format < 1 || format > 4)
      fail_unsupported("expected integers or floating-point numbers, found sample format " +
                       to_text(format));
    page.format =
        format == 4 ? sample_format::unsigned_integer : static_cast<sample_format>(format);
    bool const fits = page.format == sample_format::floating_point
                          ? bits == 16 || bits == 32 || bits == 64
                          : bits == 8 || bits == 16 || bits == 32 ||
                                (bits == 1 && page.format == sample_format::unsigned_integer &&
                                 page.samples == 1);
    if (!fits)
      fail_unsupported(
          "expected 1, 8, 16 or 32-bit integers or 16, 32 or 64-bit floating-point numbers, "
          "found " +
          to_text(bits) + "-bit " +
          (page.format == sample_format::floating_point ? "floating-point numbers" : "integers") +
          "; save the file again with 16 bits");
    page.bits = static_cast<std::uint32_t>(bits);
    bool const natural = page.format == sample_format::unsigned_integer;
    if (page.photometric == 0 && !natural)
      fail_unsupported(
          "expected black as the smallest value, found MinIsWhite on numbers that are "
          "not unsigned integers");
    if (page.photometric == 2 && page.samples < 3)
      fail("septum.tiff.6", "expected 3 samples per RGB pixel, found " + to_text(page.samples));
    if (page.photometric == 3 && (!natural || page.samples != 1 || page.bits > 16))
      fail("septum.tiff.6", "expected 1 unsigned index of at most 16 bits per palette pixel");
  }

  void read_block_layout(tiff_page& page, std::map<std::uint16_t, entry> const& tags) const {
    page.tiled = tags.contains(322) || tags.contains(323) || tags.contains(324);
    if (page.tiled) {
      // Tile sides are multiples of 16 by the standard; libtiff and tifffile keep to it.
      constexpr std::uint64_t largest_side = 1U << 16U;
      page.block_width = positive(tags, 322, std::nullopt, largest_side);
      page.block_height = positive(tags, 323, std::nullopt, largest_side);
    } else {
      constexpr std::uint64_t largest = std::numeric_limits<std::uint32_t>::max();
      page.block_width = page.width;
      page.block_height = std::min(positive(tags, 278, largest, largest), page.height);
    }
    auto const along = [](std::uint32_t extent, std::uint32_t block) {
      return (std::uint64_t{extent} + block - 1) / block;
    };
    // At most 2^32 * 2^32 / (block area) <= max_pixels_per_page + edges, so this cannot overflow.
    page.blocks = along(page.width, page.block_width) * along(page.height, page.block_height) *
                  (page.planar ? page.samples : 1);
  }

  /// Every strip or tile lies in the file, and the file is large enough to hold what is declared.
  void check_blocks(tiff_page const& page, std::map<std::uint16_t, entry> const& tags) {
    std::uint16_t const offsets_tag = page.tiled ? 324 : 273;
    std::uint16_t const counts_tag = page.tiled ? 325 : 279;
    for (std::uint16_t const tag : {offsets_tag, counts_tag}) {
      auto const found = tags.find(tag);
      if (found == tags.end()) fail("septum.tiff.6", "expected the tag " + tag_name(tag));
      if (found->second.count != page.blocks)
        fail("septum.tiff.6", tag_name(tag) + ": expected " + to_text(page.blocks) +
                                  " values, found " + to_text(found->second.count));
      std::uint64_t const size = page.blocks * type_size(found->second.type);
      if (size > (big_ ? 8 : 4)) walk(size);
    }
    // samples <= 2^16, bits <= 2^6, block sides <= 2^32 with an area below 2^33: below 2^55 bytes.
    std::uint64_t const block_bytes = page.block_bytes();
    if (page.blocks > limits_.max_decoded_bytes / std::max<std::uint64_t>(block_bytes, 1))
      fail("septum.tiff.5", "expected at most " + to_text(limits_.max_decoded_bytes) +
                                " bytes of pixels, found " + to_text(page.blocks) + " blocks of " +
                                to_text(block_bytes) + " bytes");
    std::uint64_t const declared = declared_bytes(page);
    decoded_ += declared;
    stored_ += declared / tiff_expansion_limit(page.compression);
    if (stored_ > bytes_.size())
      fail(truncated_id, "expected a file of at least " + to_text(stored_) + " bytes for " +
                             to_text(decoded_) + " bytes of pixels (compression " +
                             tiff_compression_name(page.compression) + "), found " +
                             to_text(bytes_.size()) + " bytes");
    if (decoded_ > limits_.max_decoded_bytes)
      fail("septum.tiff.5", "expected at most " + to_text(limits_.max_decoded_bytes) +
                                " bytes of pixels in all pages");
    entry const& offsets = tags.at(offsets_tag);
    entry const& counts = tags.at(counts_tag);
    for (std::uint64_t i = 0; i < page.blocks; ++i) {
      std::uint64_t const size = value(counts_tag, counts, i);
      // Without compression libtiff would read on behind a strip that is too short.
      std::uint64_t const least = page.compression == 1 ? stored_bytes(page, i) : 1;
      if (size < least)
        fail("septum.tiff.6", block_name(page, i) + ": expected at least " + to_text(least) +
                                  " bytes, found " + to_text(size));
      expect_inside(block_name(page, i), value(offsets_tag, offsets, i), size);
    }
  }

  /// Bytes that decoding a page yields; the last strip ends with the page.
  [[nodiscard]] static std::uint64_t declared_bytes(tiff_page const& page) {
    if (page.tiled) return page.blocks * page.block_bytes();
    std::uint64_t const row = page.block_bytes() / page.block_height;
    return row * page.height * (page.planar ? page.samples : 1);
  }

  /// Bytes of one block without compression; the last strip of a plane ends with the page.
  [[nodiscard]] static std::uint64_t stored_bytes(tiff_page const& page, std::uint64_t index) {
    if (page.tiled) return page.block_bytes();
    std::uint64_t const down = (page.height - 1) / page.block_height + 1;
    std::uint64_t const first_row = index % down * page.block_height;
    std::uint64_t const rows = std::min<std::uint64_t>(page.block_height, page.height - first_row);
    return page.block_bytes() / page.block_height * rows;
  }

  [[nodiscard]] static std::string block_name(tiff_page const& page, std::uint64_t index) {
    return (page.tiled ? "tile " : "strip ") + to_text(index + 1) + " of " + to_text(page.blocks);
  }

  byte_source bytes_;
  std::string name_;
  tiff_limits limits_;
  bool big_endian_ = false;
  bool big_ = false;
  std::uint64_t next_ = 0;
  std::uint64_t decoded_ = 0;  ///< bytes of pixels that the pages declare
  std::uint64_t stored_ = 0;   ///< the least number of bytes of a file that can hold them
  std::uint64_t walked_ = 0;   ///< bytes of directories read so far
  std::unordered_set<std::uint64_t> visited_;
  std::vector<tiff_page> pages_;
  std::string where_;
  std::string lost_;
};

}  // namespace detail
}  // namespace septum::inline SEPTUM_ABI::io
