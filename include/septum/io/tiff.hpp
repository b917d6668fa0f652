#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/io/detail/tiff_codec.hpp>
#include <septum/io/detail/tiff_description.hpp>
#include <septum/io/detail/tiff_directory.hpp>
#include <septum/io/file.hpp>

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include <xtensor/xtensor.hpp>

namespace septum::inline SEPTUM_ABI::io {

/// A TIFF or BigTIFF in memory, its pages checked against the file before any is decoded. Reads
/// 1, 8, 16, 32-bit unsigned and 8, 16, 32-bit signed integers, 16, 32, 64-bit floating-point
/// numbers; strips and tiles; both byte orders; no compression, PackBits, LZW, Deflate, with or
/// without predictor; samples side by side or in planes. MinIsWhite is inverted; a palette of grays
/// is looked up. Safe to read from several threads.
class tiff_reader {
 public:
  /// throws     io_error for a damaged or truncated file, unsupported_error for an encoding that is
  ///            not read; both name the page and what was found
  explicit tiff_reader(std::filesystem::path const& path, tiff_limits const& limits = {})
      : tiff_reader{read_file(path), detail::shown(path), limits} {}

  /// `name` stands for the file in messages.
  tiff_reader(file_content content, std::string name, tiff_limits const& limits = {})
      : content_{std::move(content)}, name_{std::move(name)} {
    detail::tiff_walk walk{detail::byte_source{content_.bytes()}, name_, limits};
    lost_ = walk.lost();
    pages_ = walk.take_pages();
    axes_ =
        detail::axes_of(pages_.front().description, pages_.size(), pages_.front().samples, name_);
  }

  [[nodiscard]] std::size_t size() const { return pages_.size(); }
  [[nodiscard]] tiff_page const& page(std::size_t index) const { return pages_.at(index); }
  /// What the pages are, where ImageJ or OME metadata say it.
  [[nodiscard]] std::optional<tiff_axes> const& axes() const { return axes_; }
  /// Side of a pixel in micrometres; 0 when the file does not say.
  [[nodiscard]] double pixel_size_um() const { return detail::pixel_size_of(pages_.front()); }
  /// Seconds from one frame to the next; 0 when the file does not say.
  [[nodiscard]] double interval_s() const {
    return detail::interval_of(pages_.front().description);
  }
  /// With `allow_truncated`: why pages are missing; else empty.
  [[nodiscard]] std::string const& lost() const { return lost_; }

  /// One page: axes row, column, sample.
  [[nodiscard]] image read(std::size_t index) const {
    tiff_page const& source = pages_.at(index);
    image result = image::from_shape({source.height, source.width, source.samples});
    read_into(index, as_view(result));
    return result;
  }

  /// One page into the last axis of `target`, which has the page's extents.
  void read_into(std::size_t index, view<float, 3> target) const {
    tiff_page const& source = pages_.at(index);
    SEPTUM_EXPECTS(target.extent(0) == source.height && target.extent(1) == source.width &&
                       target.extent(2) == source.samples,
                   shape_error("septum.tiff.12", where(index) + ": the target has other extents",
                               fault::internal));
    detail::tiff_intensities const intensities{source, where(index)};
    detail::for_each_tiff_row(detail::byte_source{content_.bytes()}, where(index), source,
                              [&](detail::tiff_row const& row) {
                                intensities.write(
                                    row, &target(row.row, row.first_column, row.first_sample),
                                    target.stride(1));
                              });
  }

  /// One page as a label image: axes row, column. Whole numbers from 0 to 2^31 - 1, whatever type
  /// they are stored in; palette indices are taken as they are.
  /// throws     io_error when the page holds other numbers or several samples
  [[nodiscard]] labels read_labels(std::size_t index) const {
    tiff_page const& source = pages_.at(index);
    if (source.samples != 1)
      throw io_error{"septum.tiff.13",
                     where(index) + ": not a label image: expected 1 integer per pixel, found " +
                         to_text(source.samples) + " samples"};
    labels result = labels::from_shape({source.height, source.width});
    double const white = std::ldexp(1.0, static_cast<int>(source.bits)) - 1.0;
    constexpr double largest = std::numeric_limits<std::int32_t>::max();
    detail::for_each_tiff_row(
        detail::byte_source{content_.bytes()}, where(index), source,
        [&](detail::tiff_row const& row) {
          std::int32_t* to = result.data() + std::size_t{row.row} * source.width + row.first_column;
          std::uint32_t column = row.first_column;
          for (double const stored : row.values) {
            double const value = source.photometric == 0 ? white - stored : stored;
            if (!(value >= 0.0 && value <= largest) || value != std::floor(value))
              throw io_error{
                  "septum.tiff.13",
                  where(index) +
                      ": not a label image: expected whole numbers from 0 to 2147483647, found " +
                      to_text(value) + " at row " + to_text(row.row) + ", column " +
                      to_text(column)};
            *to++ = static_cast<std::int32_t>(value);
            ++column;
          }
        });
    return result;
  }

  /// The file and the page (counted from 1), for messages.
  [[nodiscard]] std::string where(std::size_t index) const {
    return detail::tiff_page_name(name_, index, pages_.size());
  }
  [[nodiscard]] std::string const& name() const { return name_; }

  /// throws     shape_error unless all pages have the extents of the first
  void expect_equal_pages() const { detail::expect_equal_pages(pages_, name_); }

 private:
  file_content content_;
  std::string name_;
  std::vector<tiff_page> pages_;
  std::optional<tiff_axes> axes_;
  std::string lost_;
};

/// One image: axes row, column, channel. Several pages of one frame are its channels.
/// throws     as tiff_reader; shape_error when pages differ in size; unsupported_error for a movie
[[nodiscard]] inline image read_tiff(tiff_reader const& file) {
  file.expect_equal_pages();
  if (file.axes() && file.axes()->frames > 1)
    throw unsupported_error{"septum.tiff.15", file.name() +
                                                  ": expected one image, found a movie of " +
                                                  to_text(file.axes()->frames) + " frames"};
  if (file.size() == 1) return file.read(0);
  tiff_page const& first = file.page(0);
  image result = image::from_shape({first.height, first.width, file.size() * first.samples});
  for (std::size_t page = 0; page < file.size(); ++page) {
    image const plane = file.read(page);
    for (std::size_t i = 0; i < plane.size(); i += first.samples)
      for (std::size_t sample = 0; sample < first.samples; ++sample)
        result.data()[i * file.size() + page * first.samples + sample] = plane.data()[i + sample];
  }
  return result;
}
[[nodiscard]] inline image read_tiff(std::filesystem::path const& path,
                                     tiff_limits const& limits = {}) {
  return read_tiff(tiff_reader{path, limits});
}

/// A time series: axes frame, row, column, channel. Without ImageJ or OME metadata every page is a
/// frame. Pages are decoded in parallel.
[[nodiscard]] inline movie read_tiff_movie(tiff_reader const& file, exec::threads threads = {}) {
  file.expect_equal_pages();
  tiff_axes const axes = file.axes().value_or(tiff_axes{.frames = file.size(), .channels = 1});
  tiff_page const& first = file.page(0);
  std::size_t const samples = first.samples;
  std::size_t const channels = axes.channels * samples;
  movie result = movie::from_shape({axes.frames, first.height, first.width, channels});
  std::size_t const pixels = std::size_t{first.height} * first.width;
  for_each_task(threads, static_cast<std::ptrdiff_t>(file.size()), [&](std::ptrdiff_t index) {
    auto const page = static_cast<std::size_t>(index);
    std::size_t const frame = axes.channels_first ? page / axes.channels : page % axes.frames;
    std::size_t const channel = axes.channels_first ? page % axes.channels : page / axes.frames;
    image const plane = file.read(page);
    float* const target = result.data() + frame * pixels * channels + channel * samples;
    for (std::size_t pixel = 0; pixel < pixels; ++pixel)
      for (std::size_t sample = 0; sample < samples; ++sample)
        target[pixel * channels + sample] = plane.data()[pixel * samples + sample];
  });
  return result;
}
[[nodiscard]] inline movie read_tiff_movie(std::filesystem::path const& path,
                                           exec::threads threads = {},
                                           tiff_limits const& limits = {}) {
  return read_tiff_movie(tiff_reader{path, limits}, threads);
}

/// A label image of one page: axes row, column.
[[nodiscard]] inline labels read_tiff_labels(std::filesystem::path const& path,
                                             tiff_limits const& limits = {}) {
  tiff_reader const file{path, limits};
  if (file.size() != 1)
    throw unsupported_error{"septum.tiff.15", file.name() + ": expected one label image, found " +
                                                  to_text(file.size()) + " pages"};
  return file.read_labels(0);
}

/// How images are written.
struct tiff_write_options {
  bool compress = true;        ///< Deflate with the predictor that suits the type
  double pixel_size_um = 0.0;  ///< side of a pixel in micrometres; 0 when unknown
  int label_bits = 0;          ///< 16 or 32 for labels; 0 chooses the narrower one that fits
  double interval_s = 0.0;     ///< seconds from one frame to the next; 0 when unknown
  /// describes axes, pixel size and interval by OME-XML instead of ImageJ's words
  bool ome = false;
  std::vector<std::string> channel_names = {};  ///< for OME; empty when they have none
};

template <class T>
concept TiffValue = std::same_as<T, std::uint8_t> || std::same_as<T, std::uint16_t> ||
    std::same_as<T, std::uint32_t> || std::same_as<T, float>;

namespace detail {

/// Writes pages of one size through libtiff into a file that appears complete or not at all.
class tiff_writer {
 public:
  tiff_writer(std::filesystem::path const& path, std::uint64_t expected_bytes)
      : file_{path}, name_{shown(path)} {
    // ImageJ opens classic files only, so BigTIFF is for what cannot be classic.
    constexpr std::uint64_t largest_classic = 4'000'000'000;
    handle_ = open_tiff(name_, expected_bytes > largest_classic ? "w8l" : "wl", this, &read, &write,
                        &seek, &size, messages_);
    check(handle_ != nullptr);
  }

  template <TiffValue T>
  void add_page(view<T const, 2> pixels, tiff_write_options const& options,
                std::string const& description) {
    auto const height = static_cast<std::uint32_t>(pixels.extent(0));
    auto const width = static_cast<std::uint32_t>(pixels.extent(1));
    std::size_t const row_bytes = width * sizeof(T);
    constexpr std::size_t strip_bytes = std::size_t{1} << 18U;
    auto const strip_rows =
        static_cast<std::uint32_t>(std::clamp<std::size_t>(strip_bytes / row_bytes, 1, height));
    set_tags<T>(height, width, options, description);
    set(TIFFTAG_ROWSPERSTRIP, strip_rows);
    // libtiff applies the predictor in place, so it gets a copy of each strip.
    std::vector<std::byte> strip(strip_rows * row_bytes);
    for (std::uint32_t row = 0, index = 0; row < height; row += strip_rows, ++index) {
      std::uint32_t const rows = std::min(strip_rows, height - row);
      for (std::uint32_t i = 0; i < rows; ++i)
        std::memcpy(strip.data() + i * row_bytes, &pixels(row + i, 0), row_bytes);
      auto const count = static_cast<tmsize_t>(rows * row_bytes);
      check(::TIFFWriteEncodedStrip(handle_.get(), index, strip.data(), count) == count);
    }
    check(::TIFFWriteDirectory(handle_.get()) == 1);
  }

  /// Starts a page of square tiles, which `add_tile` then gives in row-major order.
  template <TiffValue T>
  void begin_tiled_page(std::uint32_t height, std::uint32_t width, std::uint32_t side,
                        tiff_write_options const& options, std::string const& description) {
    set_tags<T>(height, width, options, description);
    set(TIFFTAG_TILEWIDTH, side);
    set(TIFFTAG_TILELENGTH, side);
    next_tile_ = 0;
  }
  /// A whole tile; its values may be changed.
  template <TiffValue T>
  void add_tile(std::span<T> values) {
    auto const count = static_cast<tmsize_t>(values.size_bytes());
    check(::TIFFWriteEncodedTile(handle_.get(), next_tile_++, values.data(), count) == count);
  }
  void end_page() { check(::TIFFWriteDirectory(handle_.get()) == 1); }

  void commit() {
    check(::TIFFFlush(handle_.get()) == 1);
    handle_.reset();
    check(true);
    file_.commit();
  }

 private:
  template <class Value>
  void set(std::uint32_t tag, Value value) {
    check(::TIFFSetField(handle_.get(), tag, value) == 1);
  }

  template <TiffValue T>
  void set_tags(std::uint32_t height, std::uint32_t width, tiff_write_options const& options,
                std::string const& description) {
    constexpr bool real = std::floating_point<T>;
    set(TIFFTAG_IMAGEWIDTH, width);
    set(TIFFTAG_IMAGELENGTH, height);
    set(TIFFTAG_BITSPERSAMPLE, static_cast<int>(8 * sizeof(T)));
    set(TIFFTAG_SAMPLESPERPIXEL, 1);
    set(TIFFTAG_SAMPLEFORMAT, real ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_UINT);
    set(TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    set(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    set(TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
    set(TIFFTAG_COMPRESSION, options.compress ? COMPRESSION_ADOBE_DEFLATE : COMPRESSION_NONE);
    if (options.compress)
      set(TIFFTAG_PREDICTOR, real ? PREDICTOR_FLOATINGPOINT : PREDICTOR_HORIZONTAL);
    if (!description.empty()) set(TIFFTAG_IMAGEDESCRIPTION, description.c_str());
    if (options.pixel_size_um > 0.0) {
      // With ImageJ's description, which names the unit, pixels per micrometre; else per
      // centimetre.
      imagej_ = imagej_ || is_imagej(description);
      double const per_unit = (imagej_ ? 1.0 : 10000.0) / options.pixel_size_um;
      set(TIFFTAG_RESOLUTIONUNIT, imagej_ ? RESUNIT_NONE : RESUNIT_CENTIMETER);
      set(TIFFTAG_XRESOLUTION, per_unit);
      set(TIFFTAG_YRESOLUTION, per_unit);
    }
  }

  void check(bool succeeded) {
    if (failure_) std::rethrow_exception(failure_);
    if (!succeeded || messages_.failed())
      throw io_error{"septum.tiff.16", name_ + ": writing: " + messages_.text(), fault::internal};
  }

  /// Runs a call of the file inside a callback of libtiff, whose frames pass no exceptions.
  template <class Call>
  static auto guarded(thandle_t self, Call const& call) noexcept
      -> decltype(call(*static_cast<tiff_writer*>(self))) {
    auto& writer = *static_cast<tiff_writer*>(self);
    try {
      if (!writer.failure_) return call(writer);
    } catch (...) {
      writer.failure_ = std::current_exception();
    }
    return static_cast<decltype(call(writer))>(-1);
  }
  static tmsize_t read(thandle_t self, void* data, tmsize_t count) {
    return guarded(self, [&](tiff_writer& writer) {
      return static_cast<tmsize_t>(
          writer.file_.read({static_cast<std::byte*>(data), static_cast<std::size_t>(count)}));
    });
  }
  static tmsize_t write(thandle_t self, void* data, tmsize_t count) {
    return guarded(self, [&](tiff_writer& writer) {
      writer.file_.write(std::span<std::byte const>{static_cast<std::byte const*>(data),
                                                    static_cast<std::size_t>(count)});
      return count;
    });
  }
  static toff_t seek(thandle_t self, toff_t offset, int from) {
    return guarded(self, [&](tiff_writer& writer) {
      if (from == SEEK_CUR) offset += writer.file_.position();
      if (from == SEEK_END) offset += writer.file_.size();
      writer.file_.seek(offset);
      return offset;
    });
  }
  static toff_t size(thandle_t self) { return static_cast<tiff_writer*>(self)->file_.size(); }

  atomic_file file_;
  std::string name_;
  std::exception_ptr failure_;
  bool imagej_ = false;
  std::uint32_t next_tile_ = 0;
  tiff_messages messages_;
  tiff_handle handle_;
};

/// OME's name of a type.
template <TiffValue T>
[[nodiscard]] constexpr std::string_view ome_type() {
  return std::floating_point<T> ? "float"
         : sizeof(T) == 1       ? "uint8"
         : sizeof(T) == 2       ? "uint16"
                                : "uint32";
}

template <TiffValue T>
void write_tiff_pages(std::filesystem::path const& path, T const* data,
                      std::array<std::size_t, 4> extents, tiff_write_options const& options) {
  auto const [frames, height, width, channels] = extents;
  constexpr std::size_t largest = std::numeric_limits<std::int32_t>::max();
  if (frames * height * width * channels == 0 || height > largest || width > largest)
    throw shape_error{"septum.tiff.17",
                      shown(path) + ": expected at least one pixel to write, found " +
                          to_text(frames) + " frames of " + to_text(height) + " x " +
                          to_text(width) + " pixels, " + to_text(channels) + " channels"};
  std::size_t const pixels = height * width;
  std::size_t const pages = frames * channels;
  std::uint64_t const bytes = std::uint64_t{pages} * (pixels * sizeof(T) + 1024);
  tiff_writer writer{path, bytes};
  tiff_text const text{.frames = frames,
                       .height = height,
                       .width = width,
                       .channels = channels,
                       .pixel_size_um = options.pixel_size_um,
                       .interval_s = options.interval_s,
                       .type = ome_type<T>(),
                       .channel_names = options.channel_names};
  std::string const description = options.ome ? ome_description(text) : imagej_description(text);
  std::vector<T> plane(channels > 1 ? pixels : 0);
  for (std::size_t frame = 0; frame < frames; ++frame)
    for (std::size_t channel = 0; channel < channels; ++channel) {
      T const* source = data + frame * pixels * channels;
      if (channels > 1) {
        for (std::size_t i = 0; i < pixels; ++i) plane[i] = source[i * channels + channel];
        source = plane.data();
      }
      bool const first = frame == 0 && channel == 0;
      writer.add_page(
          view<T const, 2>{
              source, {static_cast<std::ptrdiff_t>(height), static_cast<std::ptrdiff_t>(width)}},
          options, first ? description : std::string{});
    }
  writer.commit();
}

}  // namespace detail

/// Writes an array with axes row, column; row, column, channel; or frame, row, column, channel.
/// Every channel of every frame is a page, the channels of a frame after each other. Deterministic:
/// equal arrays give equal files.
/// throws     io_error when the file cannot be written, shape_error for an array without pixels
template <TiffValue T, std::size_t Rank>
  requires(Rank >= 2 && Rank <= 4)
void write_tiff(std::filesystem::path const& path, xt::xtensor<T, Rank> const& array,
                tiff_write_options const& options = {}) {
  auto const& shape = array.shape();
  std::array<std::size_t, 4> extents{1, shape[0], shape[1], 1};
  if constexpr (Rank == 3) extents[3] = shape[2];
  if constexpr (Rank == 4) extents = {shape[0], shape[1], shape[2], shape[3]};
  detail::write_tiff_pages(path, array.data(), extents, options);
}

/// Writes a label image with 16 bits, or with 32 when a label is above 65535.
/// throws     io_error for a negative label, or one that `options.label_bits` cannot hold
inline void write_tiff(std::filesystem::path const& path, labels const& cells,
                       tiff_write_options const& options = {}) {
  std::int32_t largest = 0;
  for (std::int32_t const value : cells) {
    if (value < 0)
      throw io_error{"septum.tiff.18",
                     detail::shown(path) + ": expected labels from 0, found " + to_text(value)};
    largest = std::max(largest, value);
  }
  bool const fits = largest <= std::numeric_limits<std::uint16_t>::max();
  if (!fits && options.label_bits == 16)
    throw io_error{"septum.tiff.18",
                   detail::shown(path) +
                       ": expected labels up to 65535 for a 16-bit image, found " +
                       to_text(largest)};
  std::array<std::size_t, 4> const extents{1, cells.shape()[0], cells.shape()[1], 1};
  if (fits && options.label_bits != 32) {
    xt::xtensor<std::uint16_t, 2> const narrow = xt::cast<std::uint16_t>(cells);
    detail::write_tiff_pages(path, narrow.data(), extents, options);
  } else {
    xt::xtensor<std::uint32_t, 2> const wide = xt::cast<std::uint32_t>(cells);
    detail::write_tiff_pages(path, wide.data(), extents, options);
  }
}

}  // namespace septum::inline SEPTUM_ABI::io
