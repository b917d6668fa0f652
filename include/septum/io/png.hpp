#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/types.hpp>
#include <septum/io/detail/png_codec.hpp>
#include <septum/io/file.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>
#include <xtensor/xtensor.hpp>

namespace septum::inline SEPTUM_ABI::io {

/// What `read_png` accepts.
struct png_limits {
  std::uint64_t max_pixels = std::uint64_t{1} << 31U;
};

namespace detail {

/// Calls `set(index, value)` for every stored number in row, column, channel order.
template <class Set>
void for_each_png_value(png_pixels const& pixels, Set const& set) {
  std::size_t const count = std::size_t{pixels.width} * pixels.height * pixels.channels;
  for (std::size_t i = 0; i < count; ++i) {
    if (pixels.bits == 16) {
      std::uint16_t value = 0;
      std::memcpy(&value, pixels.data.data() + 2 * i, sizeof value);
      set(i, value);
    } else {
      set(i, std::to_integer<std::uint16_t>(pixels.data[i]));
    }
  }
}

[[nodiscard]] inline image png_image(png_pixels const& pixels, std::string const& name) {
  image result = image::from_shape({pixels.height, pixels.width, pixels.channels});
  for (auto const& [red, green, blue] : pixels.palette)
    if (red != green || green != blue)
      throw unsupported_error{"septum.png.7", name +
                                                  ": expected gray or RGB pixels, found a palette "
                                                  "of colours; convert the file to gray or RGB"};
  for_each_png_value(pixels, [&](std::size_t i, std::uint16_t value) {
    if (pixels.palette.empty()) {
      result.data()[i] = static_cast<float>(value);
      return;
    }
    if (value >= pixels.palette.size())
      throw io_error{"septum.png.2", name + ": the PNG is damaged: palette index " +
                                         to_text(value) + " of " + to_text(pixels.palette.size())};
    result.data()[i] = static_cast<float>(pixels.palette[value][0]);
  });
  return result;
}

[[nodiscard]] inline labels png_labels(png_pixels const& pixels, std::string const& name) {
  if (pixels.channels != 1)
    throw io_error{"septum.png.8", name +
                                       ": not a label image: expected 1 integer per pixel, found " +
                                       to_text(pixels.channels) + " channels"};
  labels result = labels::from_shape({pixels.height, pixels.width});
  for_each_png_value(pixels, [&](std::size_t i, std::uint16_t value) { result.data()[i] = value; });
  return result;
}

}  // namespace detail

/// A PNG with 1 to 16 bits as it is stored, without gamma or scaling: axes row, column, channel
/// (gray; gray and alpha; red, green, blue; red, green, blue, alpha). A palette of grays is looked
/// up. throws     io_error for a damaged file, unsupported_error for a palette of colours
[[nodiscard]] inline image read_png(std::filesystem::path const& path,
                                    png_limits const& limits = {}) {
  file_content const content = read_file(path);
  std::string const name = detail::shown(path);
  return detail::png_image(detail::decode_png(content.bytes(), name, limits.max_pixels), name);
}

/// A gray PNG as a label image: axes row, column. Palette indices are taken as they are.
[[nodiscard]] inline labels read_png_labels(std::filesystem::path const& path,
                                            png_limits const& limits = {}) {
  file_content const content = read_file(path);
  std::string const name = detail::shown(path);
  return detail::png_labels(detail::decode_png(content.bytes(), name, limits.max_pixels), name);
}

/// Numbers that a PNG holds.
template <class T>
concept PngPixel = std::same_as<T, std::uint8_t> || std::same_as<T, std::uint16_t>;

/// The bytes of a PNG with 8-bit or 16-bit pixels: axes row, column, or row, column, channel with 1
/// (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGBA) channels. Equal arrays give equal bytes.
/// @param name  of the picture in messages
/// throws     shape_error for other extents
template <PngPixel T, std::size_t Rank>
  requires(Rank == 2 || Rank == 3)
[[nodiscard]] std::vector<std::byte> encode_png(xt::xtensor<T, Rank> const& array,
                                                std::string const& name) {
  auto const& shape = array.shape();
  std::size_t const channels = Rank == 3 ? shape[Rank - 1] : 1;
  // The standard's limit on a side.
  constexpr std::size_t largest = std::numeric_limits<std::int32_t>::max();
  if (array.size() == 0 || shape[0] > largest || shape[1] > largest || channels > 4)
    throw shape_error{"septum.png.9",
                      name + ": expected pixels with 1 to 4 channels to write, found " +
                          to_text(shape[0]) + " x " + to_text(shape[1]) + " with " +
                          to_text(channels)};
  detail::png_pixels pixels{.width = static_cast<std::uint32_t>(shape[1]),
                            .height = static_cast<std::uint32_t>(shape[0]),
                            .channels = static_cast<std::uint32_t>(channels),
                            .bits = 8 * sizeof(T)};
  pixels.data.resize(array.size() * sizeof(T));
  std::memcpy(pixels.data.data(), array.data(), pixels.data.size());
  return detail::encode_png(pixels, name);
}

/// Writes what encode_png() gives.
/// throws     io_error when the file cannot be written, shape_error as encode_png()
template <PngPixel T, std::size_t Rank>
  requires(Rank == 2 || Rank == 3)
void write_png(std::filesystem::path const& path, xt::xtensor<T, Rank> const& array) {
  write_file(path, encode_png(array, detail::shown(path)));
}

}  // namespace septum::inline SEPTUM_ABI::io
