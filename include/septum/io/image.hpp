#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/io/file.hpp>
#include <septum/io/npy.hpp>
#include <septum/io/npz.hpp>
#include <septum/io/png.hpp>
#include <septum/io/tiff.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

enum class image_format { tiff, png, npy, npz };

/// The format of an image by its first bytes, whatever its name.
/// throws     io_error that shows the first bytes of anything else
[[nodiscard]] inline image_format format_of(file_content const& content, std::string const& name) {
  std::string_view const text = content.text();
  if (text.starts_with("II") || text.starts_with("MM")) return image_format::tiff;
  if (text.starts_with("\x89PNG")) return image_format::png;
  if (text.starts_with("\x93NUMPY")) return image_format::npy;
  if (text.starts_with("PK")) return image_format::npz;
  throw io_error{"septum.io.1",
                 name +
                     ": expected a TIFF, PNG or NumPy image, found a file that starts "
                     "with \"" +
                     printable(text.substr(0, 8)) + "\""};
}

/// An image and the side of its pixels in micrometres, 0 when the file does not say.
struct scaled_image {
  image pixels;
  double pixel_size_um = 0.0;
};

namespace detail {

[[nodiscard]] inline image npy_image(file_content const& content, std::string const& name) {
  npy_header const header = read_npy_header(content.bytes(), name);
  auto const& shape = header.shape;
  if (shape.size() < 2 || shape.size() > 3 || content.size() == header.data_offset)
    throw io_error{"septum.io.2", name +
                                      ": expected an image with axes row, column or row, column, "
                                      "channel, found shape " +
                                      shape_text(shape)};
  image result = image::from_shape({shape[0], shape[1], shape.size() == 3 ? shape[2] : 1});
  for_each_npy_number(
      content.bytes().subspan(header.data_offset), header,
      [&](std::size_t i, auto value) { result.data()[i] = static_cast<float>(value); });
  return result;
}

[[nodiscard]] inline labels npy_labels(file_content const& content, std::string const& name) {
  npy_header const header = read_npy_header(content.bytes(), name);
  if (header.shape.size() != 2 || header.kind == 'f')
    throw io_error{"septum.io.3",
                   name +
                       ": not a label image: expected integers with axes row, column, "
                       "found type '" +
                       header.type_name() + "', shape " + shape_text(header.shape)};
  labels result = labels::from_shape({header.shape[0], header.shape[1]});
  for_each_npy_number(
      content.bytes().subspan(header.data_offset), header, [&](std::size_t i, auto value) {
        constexpr double largest = std::numeric_limits<std::int32_t>::max();
        auto const number = static_cast<double>(value);
        if (!(number >= 0.0 && number <= largest))
          throw io_error{"septum.io.3",
                         name +
                             ": not a label image: expected numbers from 0 to 2147483647, found " +
                             to_text(value)};
        result.data()[i] = static_cast<std::int32_t>(number);
      });
  return result;
}

template <class T, std::size_t Rank>
[[nodiscard]] std::string extents_text(xt::xtensor<T, Rank> const& pixels) {
  return to_text(pixels.shape()[0]) + " x " + to_text(pixels.shape()[1]);
}

}  // namespace detail

/// One image from a TIFF, PNG or NumPy file (.npz with one array): axes row, column, channel;
/// values as they are stored. The pages of a TIFF without frames are channels.
[[nodiscard]] inline scaled_image read_scaled_image(std::filesystem::path const& path) {
  file_content content = read_file(path);
  std::string const name = detail::shown(path);
  switch (format_of(content, name)) {
    case image_format::png:
      return {detail::png_image(detail::decode_png(content.bytes(), name, png_limits{}.max_pixels),
                                name),
              0.0};
    case image_format::npy:
      return {detail::npy_image(content, name), 0.0};
    case image_format::npz: {
      npz_reader const arrays{std::move(content), name};
      std::string const& array = arrays.only_name();
      return {detail::npy_image(arrays.content_of(array), name + ": " + printable(array)), 0.0};
    }
    default: {
      tiff_reader const file{std::move(content), name};
      return {read_tiff(file), file.pixel_size_um()};
    }
  }
}
[[nodiscard]] inline image read_image(std::filesystem::path const& path) {
  return read_scaled_image(path).pixels;
}

/// A label image from a TIFF (one page), gray PNG or integer NumPy file: axes row, column.
/// throws     io_error "not a label image" for fractions, negative numbers, or several channels
[[nodiscard]] inline labels read_labels(std::filesystem::path const& path) {
  file_content content = read_file(path);
  std::string const name = detail::shown(path);
  switch (format_of(content, name)) {
    case image_format::png:
      return detail::png_labels(detail::decode_png(content.bytes(), name, png_limits{}.max_pixels),
                                name);
    case image_format::npy:
      return detail::npy_labels(content, name);
    case image_format::npz: {
      npz_reader const arrays{std::move(content), name};
      std::string const& array = arrays.only_name();
      return detail::npy_labels(arrays.content_of(array), name + ": " + printable(array));
    }
    default: {
      tiff_reader const file{std::move(content), name};
      if (file.size() != 1)
        throw io_error{"septum.io.3", name + ": not a label image: expected 1 page, found " +
                                          to_text(file.size())};
      return file.read_labels(0);
    }
  }
}

/// A drawn mask: axes row, column; 1 where the image holds its one value other than 0.
/// throws     io_error when there are several such values, with one of each and its count
[[nodiscard]] inline mask read_mask(std::filesystem::path const& path) {
  image const pixels = read_image(path);
  std::string const name = detail::shown(path);
  if (pixels.shape()[2] != 1)
    throw io_error{"septum.io.4",
                   name + ": expected a mask with 1 channel, found " + to_text(pixels.shape()[2])};
  mask result = mask::from_shape({pixels.shape()[0], pixels.shape()[1]});
  std::optional<float> drawn;
  std::optional<float> other;
  std::size_t others = 0;
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    float const value = pixels.data()[i];
    result.data()[i] = value != 0.0F ? 1 : 0;
    if (value == 0.0F) continue;
    if (!drawn) drawn = value;
    if (value == *drawn) continue;
    if (!other) other = value;
    ++others;
  }
  if (others > 0)
    throw io_error{"septum.io.4", name + ": expected a mask with 0 and one other value, found " +
                                      to_text(*drawn) + " and " + to_text(*other) + " (" +
                                      to_text(others) + " pixels differ from " + to_text(*drawn) +
                                      ")"};
  return result;
}

/// throws     io_error when a pixel is NaN or infinite, with the count and the first position
inline void require_finite(image const& pixels, std::string_view name) {
  std::size_t count = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    if (std::isfinite(pixels.data()[i])) continue;
    if (count++ == 0) first = i;
  }
  if (count == 0) return;
  std::size_t const channels = pixels.shape()[2];
  std::size_t const pixel = first / channels;
  throw io_error{"septum.io.5",
                 std::string{name} + ": expected finite pixels, found " + to_text(count) +
                     " that are NaN or infinite, the first at row " +
                     to_text(pixel / pixels.shape()[1]) + ", column " +
                     to_text(pixel % pixels.shape()[1]) + ", channel " +
                     to_text(first % channels + 1) + "; each would spoil its whole neighbourhood"};
}

/// Sets NaN and infinite pixels to 0 and returns how many there were.
inline std::size_t zero_nonfinite(image& pixels) {
  std::size_t count = 0;
  for (float& value : pixels) {
    if (std::isfinite(value)) continue;
    value = 0.0F;
    ++count;
  }
  return count;
}

/// A file that holds one channel.
struct channel_file {
  std::string name;  ///< of the channel, e.g. "phase"
  std::filesystem::path path;
};

/// Images of one channel each, put side by side: axes row, column, channel in the order of `files`.
/// The pixel size is the first that a file states.
/// throws     shape_error that lists every file with its size when they differ; io_error for a file
///            with several channels
[[nodiscard]] inline scaled_image read_channels(std::vector<channel_file> const& files) {
  SEPTUM_EXPECTS(
      !files.empty(),
      unsupported_error("septum.io.6", "channels: expected at least one file, found none"));
  std::vector<scaled_image> parts;
  bool equal = true;
  for (channel_file const& file : files) {
    parts.push_back(read_scaled_image(file.path));
    image const& pixels = parts.back().pixels;
    if (pixels.shape()[2] != 1)
      throw io_error{"septum.io.7", detail::shown(file.path) + ": expected 1 channel for '" +
                                        printable(file.name) + "', found " +
                                        to_text(pixels.shape()[2]) + "; save the channel alone"};
    equal = equal && pixels.shape() == parts.front().pixels.shape();
  }
  if (!equal) {
    std::string list;
    for (std::size_t i = 0; i < files.size(); ++i)
      list += (i == 0 ? "" : ", ") + detail::shown(files[i].path) + " " +
              detail::extents_text(parts[i].pixels);
    throw shape_error{"septum.io.8", "channels: expected images of one size, found " + list};
  }
  scaled_image result{image::from_shape(
      {parts.front().pixels.shape()[0], parts.front().pixels.shape()[1], files.size()})};
  for (std::size_t channel = 0; channel < parts.size(); ++channel) {
    image const& pixels = parts[channel].pixels;
    for (std::size_t i = 0; i < pixels.size(); ++i)
      result.pixels.data()[i * files.size() + channel] = pixels.data()[i];
    if (result.pixel_size_um == 0.0) result.pixel_size_um = parts[channel].pixel_size_um;
  }
  return result;
}

}  // namespace septum::inline SEPTUM_ABI::io
