#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/detail/tiff_directory.hpp>

#include <tiffio.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#if TIFFLIB_VERSION < 20221213
#  error "septum: libtiff is older than 4.5.0. FIX: install libtiff-dev 4.5 or newer."
#endif

namespace septum::inline SEPTUM_ABI::io::detail {

/// The first error that libtiff reported on one handle: the cause of those that follow. libtiff
/// never prints for our handles. Fixed memory, because libtiff's own frames pass no exceptions.
struct tiff_messages {
  std::array<char, 512> first_error{};

  [[nodiscard]] bool failed() const { return first_error.front() != '\0'; }
  [[nodiscard]] std::string text() const {
    return failed() ? printable(first_error.data()) : std::string{"the data are damaged"};
  }

  static int on_error(TIFF*, void* self, char const*, char const* format, std::va_list arguments) {
    auto& messages = *static_cast<tiff_messages*>(self);
    if (!messages.failed())
      std::vsnprintf(messages.first_error.data(), messages.first_error.size(), format, arguments);
    return 1;
  }
  static int on_warning(TIFF*, void*, char const*, char const*, std::va_list) { return 1; }
};

struct close_tiff {
  void operator()(TIFF* handle) const { ::TIFFClose(handle); }
};
using tiff_handle = std::unique_ptr<TIFF, close_tiff>;

struct free_tiff_options {
  void operator()(TIFFOpenOptions* options) const { ::TIFFOpenOptionsFree(options); }
};

/// Opens a handle whose bytes come from, or go to, the given callbacks.
[[nodiscard]] inline tiff_handle open_tiff(std::string const& name, char const* mode, void* client,
                                           TIFFReadWriteProc read, TIFFReadWriteProc write,
                                           TIFFSeekProc seek, TIFFSizeProc size,
                                           tiff_messages& messages) {
  std::unique_ptr<TIFFOpenOptions, free_tiff_options> const options{::TIFFOpenOptionsAlloc()};
  if (!options) throw std::bad_alloc{};
  ::TIFFOpenOptionsSetErrorHandlerExtR(options.get(), &tiff_messages::on_error, &messages);
  ::TIFFOpenOptionsSetWarningHandlerExtR(options.get(), &tiff_messages::on_warning, &messages);
  return tiff_handle{::TIFFClientOpenExt(
      name.c_str(), mode, client, read, write, seek, [](thandle_t) { return 0; }, size, nullptr,
      nullptr, options.get())};
}

/// Read-only bytes with a position, as libtiff wants them. An exception of the source is kept,
/// because libtiff's frames pass none.
struct tiff_input {
  byte_source bytes;
  std::uint64_t position = 0;
  std::exception_ptr failure{};

  static tmsize_t read(thandle_t self, void* target, tmsize_t size) noexcept {
    auto& input = *static_cast<tiff_input*>(self);
    if (size <= 0 || input.position >= input.bytes.size()) return 0;
    auto const count = std::min<std::uint64_t>(static_cast<std::uint64_t>(size),
                                               input.bytes.size() - input.position);
    try {
      input.bytes.copy(input.position, static_cast<std::byte*>(target), count);
    } catch (...) {
      input.failure = std::current_exception();
      return -1;
    }
    input.position += count;
    return static_cast<tmsize_t>(count);
  }
  static tmsize_t write(thandle_t, void*, tmsize_t) { return -1; }
  static toff_t seek(thandle_t self, toff_t offset, int from) {
    auto& input = *static_cast<tiff_input*>(self);
    if (from == SEEK_CUR) offset += input.position;
    if (from == SEEK_END) offset += input.bytes.size();
    return input.position = offset;
  }
  static toff_t size(thandle_t self) { return static_cast<tiff_input*>(self)->bytes.size(); }
};

/// One decoded strip or tile, cut to the page.
struct tiff_block {
  std::byte const* data = nullptr;
  std::size_t row_bytes = 0;  ///< from one row to the next
  std::uint32_t first_row = 0;
  std::uint32_t first_column = 0;
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::uint32_t first_sample = 0;
  std::uint32_t samples = 1;  ///< side by side in `data`
};

/// Decodes the strips or tiles of one page in any order.
class tiff_page_decoder {
 public:
  /// throws     io_error when libtiff reads the directory otherwise than it was checked
  tiff_page_decoder(byte_source bytes, std::string where, tiff_page const& page)
      : where_{std::move(where)},
        page_{&page},
        input_{std::make_unique<tiff_input>(tiff_input{.bytes = std::move(bytes)})},
        messages_{std::make_unique<tiff_messages>()} {
    // m: no memory map; h: only the header, so that no other page is touched; c: strips as stored.
    handle_ = open_tiff(where_, "rmhc", input_.get(), &tiff_input::read, &tiff_input::write,
                        &tiff_input::seek, &tiff_input::size, *messages_);
    if (!handle_ || ::TIFFSetSubDirectory(handle_.get(), page.offset) != 1)
      fail("the directory cannot be read");
    *messages_ = {};
    tiled_ = ::TIFFIsTiled(handle_.get()) != 0;
    block_bytes_ = static_cast<std::uint64_t>(tiled_ ? ::TIFFTileSize64(handle_.get())
                                                     : ::TIFFStripSize64(handle_.get()));
    std::uint64_t const blocks =
        tiled_ ? ::TIFFNumberOfTiles(handle_.get()) : ::TIFFNumberOfStrips(handle_.get());
    if (tiled_ != page.tiled || block_bytes_ != page.block_bytes() || blocks != page.blocks)
      fail("the directory has two meanings");
  }

  /// Blocks side by side, and rows of them, in one plane.
  [[nodiscard]] std::uint32_t across() const { return (page_->width - 1) / page_->block_width + 1; }
  [[nodiscard]] std::uint32_t down() const { return (page_->height - 1) / page_->block_height + 1; }
  [[nodiscard]] std::uint32_t planes() const { return page_->planar ? page_->samples : 1; }

  /// One block; its data are valid until the next call.
  /// throws     io_error when it cannot be decoded to exactly its number of bytes
  [[nodiscard]] tiff_block decode(std::uint32_t plane, std::uint32_t y, std::uint32_t x) {
    if (!buffer_) allocate();
    std::uint32_t const index = (plane * down() + y) * across() + x;
    std::uint64_t const row_bytes = block_bytes_ / page_->block_height;
    tiff_block block{.data = buffer_.get(),
                     .row_bytes = row_bytes,
                     .first_row = y * page_->block_height,
                     .first_column = x * page_->block_width,
                     .first_sample = plane,
                     .samples = page_->planar ? 1 : page_->samples};
    block.rows = std::min(page_->block_height, page_->height - block.first_row);
    block.columns = std::min(page_->block_width, page_->width - block.first_column);
    auto const expected = static_cast<tmsize_t>(tiled_ ? block_bytes_ : row_bytes * block.rows);
    tmsize_t const got =
        tiled_ ? ::TIFFReadEncodedTile(handle_.get(), index, buffer_.get(), expected)
               : ::TIFFReadEncodedStrip(handle_.get(), index, buffer_.get(), expected);
    if (got != expected || messages_->failed())
      fail((tiled_ ? "tile " : "strip ") + to_text(index + 1) + " of " + to_text(page_->blocks) +
           ": expected " + to_text(expected) + " bytes of pixels, found " +
           (got < 0 ? std::string{"none"} : to_text(got)));
    return block;
  }

  /// Whether `decode_rows` can read a few rows of a strip without the rest of it: those of strips
  /// that are stored as they are.
  [[nodiscard]] bool reads_rows() const {
    std::uint16_t fill_order = FILLORDER_MSB2LSB;
    ::TIFFGetFieldDefaulted(handle_.get(), TIFFTAG_FILLORDER, &fill_order);
    return page_->compression == COMPRESSION_NONE && !tiled_ && page_->bits >= 8 &&
           fill_order == FILLORDER_MSB2LSB;
  }
  /// Rows [first, first + count) of strip `y`, counted in the strip; its data are valid until the
  /// next call. For pages of which `reads_rows` holds.
  [[nodiscard]] tiff_block decode_rows(std::uint32_t plane, std::uint32_t y, std::uint32_t first,
                                       std::uint32_t count) {
    std::uint64_t const row_bytes = block_bytes_ / page_->block_height;
    std::size_t const bytes = row_bytes * count;
    rows_.resize(bytes);
    std::uint64_t const offset = ::TIFFGetStrileOffset(handle_.get(), plane * down() + y);
    input_->bytes.copy(offset + first * row_bytes, rows_.data(), bytes);
    if (::TIFFIsByteSwapped(handle_.get()) != 0) {
      std::size_t const size = page_->bits / 8;
      for (std::size_t at = 0; at < bytes; at += size)
        std::reverse(rows_.data() + at, rows_.data() + at + size);
    }
    return {.data = rows_.data(),
            .row_bytes = row_bytes,
            .first_row = y * page_->block_height + first,
            .first_column = 0,
            .rows = count,
            .columns = page_->width,
            .first_sample = plane,
            .samples = page_->planar ? 1 : page_->samples};
  }

 private:
  [[noreturn]] void fail(std::string const& what) const {
    if (input_->failure) std::rethrow_exception(input_->failure);
    throw io_error{"septum.tiff.8", where_ + ": " + what + ": " + messages_->text()};
  }
  void allocate() {
    try {
      buffer_ = std::make_unique_for_overwrite<std::byte[]>(block_bytes_);
    } catch (std::bad_alloc const&) {
      throw io_error{"septum.tiff.9",
                     where_ + ": no memory for a block of " + to_text(block_bytes_) + " bytes",
                     fault::resource};
    }
  }

  std::string where_;
  tiff_page const* page_;
  // libtiff keeps pointers to both.
  std::unique_ptr<tiff_input> input_;
  std::unique_ptr<tiff_messages> messages_;
  tiff_handle handle_;
  bool tiled_ = false;
  std::uint64_t block_bytes_ = 0;
  std::unique_ptr<std::byte[]> buffer_;
  std::vector<std::byte> rows_;
};

/// IEEE 754 half precision, stored in 16 bits, as float.
[[nodiscard]] inline float half_to_float(std::uint16_t half) {
  std::uint32_t const sign = static_cast<std::uint32_t>(half & 0x8000U) << 16U;
  std::uint32_t const exponent = (half >> 10U) & 0x1FU;
  std::uint32_t const fraction = half & 0x3FFU;
  if (exponent == 0) {
    float const magnitude = static_cast<float>(fraction) * 0x1.0p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  std::uint32_t const rebased = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | (rebased << 23U) | (fraction << 13U));
}

/// Numbers that are stored one after the other, as double, which holds each of their types exactly.
template <class Stored>
void load_tiff_numbers(std::byte const* from, std::span<double> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    Stored value;
    std::memcpy(&value, from + i * sizeof(Stored), sizeof(Stored));
    to[i] = static_cast<double>(value);
  }
}

/// The stored numbers of one row of a block, pixel by pixel and in it sample by sample.
inline void load_tiff_row(tiff_page const& page, std::byte const* from, std::span<double> to) {
  switch (page.format) {
    case sample_format::unsigned_integer:
      if (page.bits == 8) return load_tiff_numbers<std::uint8_t>(from, to);
      if (page.bits == 16) return load_tiff_numbers<std::uint16_t>(from, to);
      if (page.bits == 32) return load_tiff_numbers<std::uint32_t>(from, to);
      // One bit a pixel, the first in the highest bit.
      for (std::size_t i = 0; i < to.size(); ++i)
        to[i] = (std::to_integer<unsigned>(from[i / 8]) >> (7 - i % 8)) & 1U;
      return;
    case sample_format::signed_integer:
      if (page.bits == 8) return load_tiff_numbers<std::int8_t>(from, to);
      if (page.bits == 16) return load_tiff_numbers<std::int16_t>(from, to);
      return load_tiff_numbers<std::int32_t>(from, to);
    case sample_format::floating_point:
      if (page.bits == 32) return load_tiff_numbers<float>(from, to);
      if (page.bits == 64) return load_tiff_numbers<double>(from, to);
      for (std::size_t i = 0; i < to.size(); ++i) {
        std::uint16_t half = 0;
        std::memcpy(&half, from + i * sizeof(half), sizeof(half));
        to[i] = static_cast<double>(half_to_float(half));
      }
  }
}

/// A row of a block: stored numbers of `values.size() / samples` pixels.
struct tiff_row {
  std::uint32_t row = 0;
  std::uint32_t first_column = 0;
  std::uint32_t first_sample = 0;
  std::uint32_t samples = 1;
  std::span<double const> values;
};

/// Calls `use(tiff_row)` for the rows of a block. Compiled once per use, whatever types there are.
template <class Use>
void for_each_tiff_row(tiff_page const& page, tiff_block const& block, Use const& use) {
  std::vector<double> values(std::size_t{block.columns} * block.samples);
  for (std::uint32_t row = 0; row < block.rows; ++row) {
    load_tiff_row(page, block.data + row * block.row_bytes, values);
    use(tiff_row{block.first_row + row, block.first_column, block.first_sample, block.samples,
                 values});
  }
}

/// Decodes a page and calls `use(tiff_row)` for all its rows, block by block.
template <class Use>
void for_each_tiff_row(byte_source const& bytes, std::string const& where, tiff_page const& page,
                       Use const& use) {
  tiff_page_decoder decoder{bytes, where, page};
  for (std::uint32_t plane = 0; plane < decoder.planes(); ++plane)
    for (std::uint32_t y = 0; y < decoder.down(); ++y)
      for (std::uint32_t x = 0; x < decoder.across(); ++x)
        for_each_tiff_row(page, decoder.decode(plane, y, x), use);
}

/// How the stored numbers of a page become intensities: MinIsWhite is inverted, a palette of grays
/// looked up.
class tiff_intensities {
 public:
  /// throws     io_error without the palette that the page wants, unsupported_error for colours
  tiff_intensities(tiff_page const& page, std::string const& where) {
    // Only unsigned integers come as MinIsWhite; the double holds 2^32 - 1 exactly.
    if (page.photometric == 0) white_ = std::ldexp(1.0, static_cast<int>(page.bits)) - 1.0;
    if (page.photometric != 3) return;
    std::size_t const entries = page.palette.size() / 3;
    if (entries == 0) throw io_error{"septum.tiff.6", where + ": expected the tag ColorMap"};
    ramp_.resize(entries);
    for (std::size_t i = 0; i < entries; ++i) {
      std::uint16_t const red = page.palette[i];
      if (red != page.palette[entries + i] || red != page.palette[2 * entries + i])
        throw unsupported_error{
            "septum.tiff.7",
            where + ": expected gray pixels, found a palette of colours; convert the file to gray"};
      // 8-bit grays are stored as multiples of 257.
      ramp_[i] = page.bits <= 8 ? static_cast<float>(red) / 257.0F : static_cast<float>(red);
    }
  }

  /// Writes the intensities of a row; `first` is where its first number goes, `step` what lies
  /// between two pixels.
  void write(tiff_row const& row, float* first, std::ptrdiff_t step) const {
    for (std::size_t i = 0; i < row.values.size(); first += step)
      for (std::uint32_t sample = 0; sample < row.samples; ++sample, ++i)
        first[sample] = intensity(row.values[i]);
  }

 private:
  [[nodiscard]] float intensity(double value) const {
    if (!ramp_.empty()) return ramp_[static_cast<std::size_t>(value)];
    return static_cast<float>(white_ ? *white_ - value : value);
  }

  std::optional<double> white_;
  std::vector<float> ramp_;
};

}  // namespace septum::inline SEPTUM_ABI::io::detail
