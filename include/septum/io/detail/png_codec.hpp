#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>

#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI::io::detail {

/// A decoded PNG as it is stored: rows from the top, channels side by side, 16-bit numbers in the
/// machine's byte order, palette images as indices of 8 bits.
struct png_pixels {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::uint32_t channels = 0;
  std::uint32_t bits = 0;  ///< 8 or 16 in `data`; 1, 2, 4-bit numbers take a byte each
  std::vector<std::byte> data{};
  std::vector<std::array<std::uint8_t, 3>> palette{};  ///< empty unless the image has one
};

/// Where libpng reads from or writes to, and what it said when it gave up. libpng reports errors by
/// longjmp, so the functions that set the jump hold no object with a destructor.
struct png_state {
  std::span<std::byte const> source{};
  std::size_t position = 0;
  std::vector<std::byte>* sink = nullptr;
  std::array<char, 256> message{};

  static void on_error(png_structp png, png_const_charp text) {
    auto& state = *static_cast<png_state*>(::png_get_error_ptr(png));
    std::strncpy(state.message.data(), text, state.message.size() - 1);
    ::png_longjmp(png, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}
  static void read(png_structp png, png_bytep target, std::size_t count) {
    auto& state = *static_cast<png_state*>(::png_get_io_ptr(png));
    if (count > state.source.size() - state.position) ::png_error(png, "the file is cut short");
    std::memcpy(target, state.source.data() + state.position, count);
    state.position += count;
  }
  static void write(png_structp png, png_bytep source, std::size_t count) {
    auto& state = *static_cast<png_state*>(::png_get_io_ptr(png));
    if (!state.append({reinterpret_cast<std::byte const*>(source), count}))
      ::png_error(png, "out of memory");
  }
  static void flush(png_structp) {}

  [[nodiscard]] bool append(std::span<std::byte const> bytes) noexcept {
    try {
      sink->insert(sink->end(), bytes.begin(), bytes.end());
      return true;
    } catch (std::bad_alloc const&) {
      return false;
    }
  }
};

/// Owns the two structures of libpng.
struct png_reader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  explicit png_reader(png_state& state) {
    png = ::png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, &png_state::on_error,
                                   &png_state::on_warning);
    if (png != nullptr) info = ::png_create_info_struct(png);
  }
  png_reader(png_reader const&) = delete;
  png_reader& operator=(png_reader const&) = delete;
  ~png_reader() { ::png_destroy_read_struct(&png, &info, nullptr); }
};
struct png_writer {
  png_structp png = nullptr;
  png_infop info = nullptr;
  explicit png_writer(png_state& state) {
    png = ::png_create_write_struct(PNG_LIBPNG_VER_STRING, &state, &png_state::on_error,
                                    &png_state::on_warning);
    if (png != nullptr) info = ::png_create_info_struct(png);
  }
  png_writer(png_writer const&) = delete;
  png_writer& operator=(png_writer const&) = delete;
  ~png_writer() { ::png_destroy_write_struct(&png, &info); }
};

/// Reads up to the first pixel and asks for whole bytes. False when libpng gave up.
[[nodiscard]] inline bool start_png(png_structp png, png_infop info, png_state* state) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  ::png_set_read_fn(png, state, &png_state::read);
  // What a text or colour chunk may take; pixels have limits of their own.
  ::png_set_chunk_malloc_max(png, png_alloc_size_t{8} << 20U);
  // Exactly the checks that make a damaged file an error.
  ::png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  ::png_read_info(png, info);
  ::png_set_packing(png);
  ::png_set_swap(png);
  static_cast<void>(::png_set_interlace_handling(png));
  ::png_read_update_info(png, info);
  return true;
}

/// Reads all rows and the end of the file.
[[nodiscard]] inline bool finish_png(png_structp png, png_infop info, png_bytepp rows) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  ::png_read_image(png, rows);
  ::png_read_end(png, info);
  return true;
}

/// throws     io_error that names the file and what libpng found
[[nodiscard]] inline png_pixels decode_png(std::span<std::byte const> bytes,
                                           std::string const& name, std::uint64_t max_pixels) {
  constexpr std::size_t signature_size = 8;
  if (bytes.size() < signature_size ||
      ::png_sig_cmp(reinterpret_cast<png_const_bytep>(bytes.data()), 0, signature_size) != 0)
    throw io_error{"septum.png.1", name + ": not a PNG: its first bytes are others"};
  png_state state{.source = bytes};
  png_reader reader{state};
  if (reader.info == nullptr) throw std::bad_alloc{};
  auto const fail = [&] {
    throw io_error{"septum.png.2", name + ": byte " + to_text(state.position) +
                                       ": the PNG is damaged: " + printable(state.message.data())};
  };
  if (!start_png(reader.png, reader.info, &state)) fail();
  png_pixels result;
  result.width = ::png_get_image_width(reader.png, reader.info);
  result.height = ::png_get_image_height(reader.png, reader.info);
  result.channels = ::png_get_channels(reader.png, reader.info);
  result.bits = ::png_get_bit_depth(reader.png, reader.info);
  std::uint64_t const pixels = std::uint64_t{result.width} * result.height;
  if (pixels > max_pixels)
    throw io_error{"septum.png.3", name + ": expected at most " + to_text(max_pixels) +
                                       " pixels, found " + to_text(result.height) + " x " +
                                       to_text(result.width)};
  std::uint64_t const row_bytes = ::png_get_rowbytes(reader.png, reader.info);
  // Packed bits unfold into bytes by at most 8; Deflate unfolds by at most 1032.
  constexpr std::uint64_t most_unfolding = 8 * 1032;
  if (row_bytes * result.height / most_unfolding > bytes.size())
    throw io_error{"septum.png.4", name + ": expected a larger file for " + to_text(result.height) +
                                       " x " + to_text(result.width) + " pixels, found " +
                                       to_text(bytes.size()) +
                                       " bytes: it is cut short or damaged"};
  try {
    result.data.resize(row_bytes * result.height);
  } catch (std::bad_alloc const&) {
    throw io_error{
        "septum.png.5",
        name + ": no memory for " + to_text(row_bytes * result.height) + " bytes of pixels",
        fault::resource};
  }
  std::vector<png_bytep> rows(result.height);
  for (std::size_t row = 0; row < rows.size(); ++row)
    rows[row] = reinterpret_cast<png_bytep>(result.data.data()) + row * row_bytes;
  png_colorp colours = nullptr;
  int count = 0;
  if (::png_get_PLTE(reader.png, reader.info, &colours, &count) != 0 &&
      ::png_get_color_type(reader.png, reader.info) == PNG_COLOR_TYPE_PALETTE)
    for (png_color const& colour : std::span{colours, static_cast<std::size_t>(count)})
      result.palette.push_back({colour.red, colour.green, colour.blue});
  if (!finish_png(reader.png, reader.info, rows.data())) fail();
  return result;
}

/// Writes a whole PNG; `rows` are in the machine's byte order.
[[nodiscard]] inline bool write_png_rows(png_structp png, png_infop info, png_state* state,
                                         png_pixels const* shape, int colour_type,
                                         png_bytepp rows) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  ::png_set_write_fn(png, state, &png_state::write, &png_state::flush);
  ::png_set_IHDR(png, info, shape->width, shape->height, static_cast<int>(shape->bits), colour_type,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  // Measured on overlays: a quarter of the time of libpng's default, and smaller files.
  ::png_set_compression_level(png, 2);
  ::png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_SUB);
  ::png_write_info(png, info);
  if (shape->bits == 16) ::png_set_swap(png);
  ::png_write_image(png, rows);
  ::png_write_end(png, info);
  return true;
}

/// The bytes of a PNG with the pixels of `source` (8 or 16 bits, 1 to 4 channels).
[[nodiscard]] inline std::vector<std::byte> encode_png(png_pixels& source,
                                                       std::string const& name) {
  constexpr std::array<int, 4> colour_types{PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                            PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
  std::vector<std::byte> result;
  png_state state{.sink = &result};
  png_writer writer{state};
  if (writer.info == nullptr) throw std::bad_alloc{};
  std::size_t const row_bytes =
      std::size_t{source.width} * source.channels * (source.bits == 16 ? 2 : 1);
  std::vector<png_bytep> rows(source.height);
  for (std::size_t row = 0; row < rows.size(); ++row)
    rows[row] = reinterpret_cast<png_bytep>(source.data.data()) + row * row_bytes;
  if (!write_png_rows(writer.png, writer.info, &state, &source,
                      colour_types.at(source.channels - 1), rows.data()))
    throw io_error{"septum.png.6", name + ": writing: " + printable(state.message.data()),
                   fault::resource};
  return result;
}

}  // namespace septum::inline SEPTUM_ABI::io::detail
