#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/detail/tiff_directory.hpp>

#include <tiffio.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
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

/// Read-only bytes with a position, as libtiff wants them.
struct tiff_memory {
  std::span<std::byte const> bytes;
  std::uint64_t position = 0;

  static tmsize_t read(thandle_t self, void* target, tmsize_t size) {
    auto& memory = *static_cast<tiff_memory*>(self);
    if (size <= 0 || memory.position >= memory.bytes.size()) return 0;
    auto const count = std::min<std::uint64_t>(static_cast<std::uint64_t>(size),
                                               memory.bytes.size() - memory.position);
    std::memcpy(target, memory.bytes.data() + memory.position, count);
    memory.position += count;
    return static_cast<tmsize_t>(count);
  }
  static tmsize_t write(thandle_t, void*, tmsize_t) { return -1; }
  static toff_t seek(thandle_t self, toff_t offset, int from) {
    auto& memory = *static_cast<tiff_memory*>(self);
    if (from == SEEK_CUR) offset += memory.position;
    if (from == SEEK_END) offset += memory.bytes.size();
    return memory.position = offset;
  }
  static toff_t size(thandle_t self) { return static_cast<tiff_memory*>(self)->bytes.size(); }
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

/// Decodes every strip or tile of `page` and hands it to `visit(tiff_block)`.
/// throws     io_error when a block cannot be decoded to exactly its number of bytes
template <class Visit>
void decode_tiff_page(std::span<std::byte const> bytes, std::string const& where,
                      tiff_page const& page, Visit const& visit) {
  tiff_memory memory{bytes};
  tiff_messages messages;
  auto const fail = [&](std::string const& what) {
    throw io_error{"septum.tiff.8", where + ": " + what + ": " + messages.text()};
  };
  // m: no memory map; h: only the header, so that no other page is touched.
  tiff_handle const handle =
      open_tiff(where, "rmhc", &memory, &tiff_memory::read, &tiff_memory::write, &tiff_memory::seek,
                &tiff_memory::size, messages);
  if (!handle || ::TIFFSetSubDirectory(handle.get(), page.offset) != 1)
    fail("the directory cannot be read");
  messages = {};

  bool const tiled = ::TIFFIsTiled(handle.get()) != 0;
  auto const block_bytes = static_cast<std::uint64_t>(tiled ? ::TIFFTileSize64(handle.get())
                                                            : ::TIFFStripSize64(handle.get()));
  std::uint64_t const blocks =
      tiled ? ::TIFFNumberOfTiles(handle.get()) : ::TIFFNumberOfStrips(handle.get());
  if (tiled != page.tiled || block_bytes != page.block_bytes() || blocks != page.blocks)
    fail("the directory has two meanings");

  std::unique_ptr<std::byte[]> buffer;
  try {
    buffer = std::make_unique_for_overwrite<std::byte[]>(block_bytes);
  } catch (std::bad_alloc const&) {
    throw io_error{"septum.tiff.9",
                   where + ": no memory for a block of " + to_text(block_bytes) + " bytes",
                   fault::resource};
  }
  std::uint32_t const across = (page.width - 1) / page.block_width + 1;
  std::uint32_t const down = (page.height - 1) / page.block_height + 1;
  std::uint32_t const planes = page.planar ? page.samples : 1;
  std::uint64_t const row_bytes = block_bytes / page.block_height;
  std::uint32_t index = 0;
  for (std::uint32_t plane = 0; plane < planes; ++plane)
    for (std::uint32_t y = 0; y < down; ++y)
      for (std::uint32_t x = 0; x < across; ++x, ++index) {
        tiff_block block{.data = buffer.get(),
                         .row_bytes = row_bytes,
                         .first_row = y * page.block_height,
                         .first_column = x * page.block_width,
                         .first_sample = plane,
                         .samples = page.planar ? 1 : page.samples};
        block.rows = std::min(page.block_height, page.height - block.first_row);
        block.columns = std::min(page.block_width, page.width - block.first_column);
        auto const expected = static_cast<tmsize_t>(tiled ? block_bytes : row_bytes * block.rows);
        tmsize_t const got =
            tiled ? ::TIFFReadEncodedTile(handle.get(), index, buffer.get(), expected)
                  : ::TIFFReadEncodedStrip(handle.get(), index, buffer.get(), expected);
        if (got != expected || messages.failed())
          fail((tiled ? "tile " : "strip ") + to_text(index + 1) + " of " + to_text(page.blocks) +
               ": expected " + to_text(expected) + " bytes of pixels, found " +
               (got < 0 ? std::string{"none"} : to_text(got)));
        visit(static_cast<tiff_block const&>(block));
      }
}

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

/// A sample type of 16-bit floating-point numbers.
struct half {
  std::uint16_t bits = 0;
  explicit operator float() const { return half_to_float(bits); }
  explicit operator double() const { return static_cast<double>(half_to_float(bits)); }
};

/// Calls `set(row, column, sample, value)` for every value of a block, `value` of type Stored.
template <class Stored, class Set>
void for_each_tiff_value(tiff_block const& block, Set const& set) {
  for (std::uint32_t row = 0; row < block.rows; ++row) {
    std::byte const* at = block.data + row * block.row_bytes;
    for (std::uint32_t column = 0; column < block.columns; ++column)
      for (std::uint32_t sample = 0; sample < block.samples; ++sample, at += sizeof(Stored)) {
        Stored value;
        std::memcpy(&value, at, sizeof(Stored));
        set(block.first_row + row, block.first_column + column, block.first_sample + sample, value);
      }
  }
}

/// The same for values of one bit, first pixel in the highest bit.
template <class Set>
void for_each_tiff_bit(tiff_block const& block, Set const& set) {
  for (std::uint32_t row = 0; row < block.rows; ++row)
    for (std::uint32_t column = 0; column < block.columns; ++column) {
      auto const byte = std::to_integer<unsigned>(block.data[row * block.row_bytes + column / 8]);
      set(block.first_row + row, block.first_column + column, block.first_sample,
          static_cast<std::uint8_t>((byte >> (7 - column % 8)) & 1U));
    }
}

/// Decodes a page and calls `set(row, column, sample, value)` with the stored numbers.
template <class Set>
void for_each_tiff_pixel(std::span<std::byte const> bytes, std::string const& where,
                         tiff_page const& page, Set const& set) {
  decode_tiff_page(bytes, where, page, [&](tiff_block const& block) {
    switch (page.format) {
      case sample_format::unsigned_integer:
        if (page.bits == 1) return for_each_tiff_bit(block, set);
        if (page.bits == 8) return for_each_tiff_value<std::uint8_t>(block, set);
        if (page.bits == 16) return for_each_tiff_value<std::uint16_t>(block, set);
        return for_each_tiff_value<std::uint32_t>(block, set);
      case sample_format::signed_integer:
        if (page.bits == 8) return for_each_tiff_value<std::int8_t>(block, set);
        if (page.bits == 16) return for_each_tiff_value<std::int16_t>(block, set);
        return for_each_tiff_value<std::int32_t>(block, set);
      case sample_format::floating_point:
        if (page.bits == 16) return for_each_tiff_value<half>(block, set);
        if (page.bits == 32) return for_each_tiff_value<float>(block, set);
        return for_each_tiff_value<double>(block, set);
    }
  });
}

}  // namespace septum::inline SEPTUM_ABI::io::detail
