#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/core/view.hpp>
#include <septum/io/detail/tiff_codec.hpp>
#include <septum/io/detail/tiff_description.hpp>
#include <septum/io/detail/tiff_directory.hpp>
#include <septum/io/file.hpp>
#include <septum/io/tiff.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// Limits for images that are read a few rows at a time: 2^40 pixels a page.
[[nodiscard]] inline tiff_limits streamed_tiff_limits() {
  return {.max_pixels_per_page = std::uint64_t{1} << 40U,
          .max_decoded_bytes = std::uint64_t{1} << 44U};
}

/// A TIFF or BigTIFF read a few rows at a time, for images larger than the memory: of the file only
/// the strips or tiles under those rows are in memory. Reads what tiff_reader does, to the same
/// values. Belongs to one thread.
class tiff_row_reader {
 public:
  /// throws     as tiff_reader
  explicit tiff_row_reader(std::filesystem::path const& path,
                           tiff_limits const& limits = streamed_tiff_limits())
      : bytes_{path}, name_{detail::shown(path)} {
    pages_ = detail::tiff_walk{bytes_, name_, limits}.take_pages();
    states_.resize(pages_.size());
  }

  [[nodiscard]] std::size_t size() const { return pages_.size(); }
  [[nodiscard]] tiff_page const& page(std::size_t index) const { return pages_.at(index); }
  [[nodiscard]] std::string const& name() const { return name_; }
  /// What the pages are, where ImageJ or OME metadata say it.
  [[nodiscard]] std::optional<tiff_axes> axes() const {
    return detail::axes_of(pages_.front().description, pages_.size(), pages_.front().samples,
                           name_);
  }
  /// Side of a pixel in micrometres; 0 when the file does not say.
  [[nodiscard]] double pixel_size_um() const { return detail::pixel_size_of(pages_.front()); }

  /// throws     shape_error unless all pages have the extents of the first
  void expect_equal_pages() const { detail::expect_equal_pages(pages_, name_); }

  /// Most bytes that reading a page holds in memory, `rows` rows at a time.
  [[nodiscard]] std::size_t buffer_bytes(std::size_t index, std::uint32_t rows) {
    tiff_page const& source = pages_.at(index);
    if (state_of(index).decoder->reads_rows())
      return source.block_bytes() / source.block_height * rows;
    return source.block_bytes() +
           std::size_t{source.block_height} * source.width * source.samples * sizeof(float);
  }

  /// Rows from `first` on into `target` (row, column, sample), which says how many. Rows in
  /// ascending order decode every strip or tile once.
  /// throws     io_error for a damaged strip or tile, shape_error for a target of another width
  void read(std::size_t index, std::uint32_t first, view<float, 3> target) {
    tiff_page const& source = pages_.at(index);
    auto const count = static_cast<std::uint32_t>(target.extent(0));
    SEPTUM_EXPECTS(
        target.extent(1) == source.width && target.extent(2) == source.samples &&
            first <= source.height && count <= source.height - first,
        shape_error("septum.tiff.12", name_ + ": the target has other extents", fault::internal));
    page_state& state = state_of(index);
    bool const direct = state.decoder->reads_rows();
    for (std::uint32_t row = first; row < first + count;) {
      std::uint32_t const block = row / source.block_height;
      std::uint32_t const block_end = std::min(source.height, (block + 1) * source.block_height);
      std::uint32_t const end = std::min(first + count, block_end);
      view<float, 3> const part = rows_of(target, row - first, end - row);
      if (direct) {
        for (std::uint32_t plane = 0; plane < state.decoder->planes(); ++plane)
          store(index,
                state.decoder->decode_rows(plane, block, row - block * source.block_height,
                                           end - row),
                row, part);
      } else {
        hold(index, state, block);
        std::size_t const row_values = std::size_t{source.width} * source.samples;
        for (std::uint32_t r = row; r < end; ++r)
          std::copy_n(state.held.data() + (r - block * source.block_height) * row_values,
                      row_values, &target(r - first, 0, 0));
      }
      row = end;
    }
  }

 private:
  struct page_state {
    std::unique_ptr<detail::tiff_page_decoder> decoder{};
    std::optional<detail::tiff_intensities> intensities{};
    std::vector<float> held{};       // one row of blocks
    std::uint32_t held_block = ~0U;  // none yet
  };

  page_state& state_of(std::size_t index) {
    page_state& state = states_.at(index);
    if (state.decoder) return state;
    std::string const where = detail::tiff_page_name(name_, index, pages_.size());
    state.intensities.emplace(pages_[index], where);
    state.decoder = std::make_unique<detail::tiff_page_decoder>(bytes_, where, pages_[index]);
    return state;
  }

  [[nodiscard]] static view<float, 3> rows_of(view<float, 3> target, std::uint32_t first,
                                              std::uint32_t count) {
    return {&target(first, 0, 0),
            {static_cast<std::ptrdiff_t>(count), target.extent(1), target.extent(2)},
            target.strides()};
  }

  void hold(std::size_t index, page_state& state, std::uint32_t block) {
    if (state.held_block == block) return;
    tiff_page const& source = pages_[index];
    std::uint32_t const first = block * source.block_height;
    std::uint32_t const rows = std::min(source.block_height, source.height - first);
    state.held.resize(std::size_t{rows} * source.width * source.samples);
    state.held_block = ~0U;
    view<float, 3> const target{
        state.held.data(),
        {static_cast<std::ptrdiff_t>(rows), static_cast<std::ptrdiff_t>(source.width),
         static_cast<std::ptrdiff_t>(source.samples)}};
    for (std::uint32_t plane = 0; plane < state.decoder->planes(); ++plane)
      for (std::uint32_t x = 0; x < state.decoder->across(); ++x)
        store(index, state.decoder->decode(plane, block, x), first, target);
    state.held_block = block;
  }

  void store(std::size_t index, detail::tiff_block const& block, std::uint32_t first,
             view<float, 3> target) const {
    detail::for_each_tiff_row(pages_[index], block, [&](detail::tiff_row const& row) {
      states_[index].intensities->write(
          row, &target(row.row - first, row.first_column, row.first_sample), target.stride(1));
    });
  }

  detail::byte_source bytes_;
  std::string name_;
  std::vector<tiff_page> pages_;
  std::vector<page_state> states_;
};

/// Frame `t` of a series: axes row, column, channel.
[[nodiscard]] inline image read_tiff_frame(tiff_row_reader& file, tiff_axes const& axes,
                                           std::size_t t) {
  tiff_page const& first = file.page(0);
  std::size_t const samples = first.samples;
  std::size_t const channels = axes.channels * samples;
  image result = image::from_shape({first.height, first.width, channels});
  image plane = image::from_shape({first.height, first.width, samples});
  for (std::size_t channel = 0; channel < axes.channels; ++channel) {
    std::size_t const page =
        axes.channels_first ? t * axes.channels + channel : channel * axes.frames + t;
    if (axes.channels == 1) {
      file.read(page, 0, as_view(result));
      continue;
    }
    file.read(page, 0, as_view(plane));
    for (std::size_t pixel = 0; pixel < plane.size() / samples; ++pixel)
      std::copy_n(plane.data() + pixel * samples, samples,
                  result.data() + pixel * channels + channel * samples);
  }
  return result;
}

/// Writes a label image row by row as a tiled TIFF: 16 bits when the largest label fits, else 32;
/// BigTIFF where the pixels take more than 4 GB. The file appears complete or not at all.
class tiff_label_writer {
 public:
  static constexpr std::uint32_t tile_side = 256;  ///< in pixels

  /// throws     io_error when the file cannot be written, shape_error for an image without pixels
  tiff_label_writer(std::filesystem::path const& path, std::uint32_t height, std::uint32_t width,
                    std::int32_t largest_label, tiff_write_options const& options = {})
      : height_{height},
        width_{width},
        narrow_{largest_label <= std::numeric_limits<std::uint16_t>::max()},
        writer_{path, std::uint64_t{height} * width * (narrow_ ? 2 : 4)} {
    SEPTUM_EXPECTS(height > 0 && width > 0,
                   shape_error("septum.tiff.17",
                               detail::shown(path) + ": expected at least one pixel to write"));
    detail::tiff_text const text{
        .frames = 1,
        .height = height,
        .width = width,
        .channels = 1,
        .pixel_size_um = options.pixel_size_um,
        .interval_s = options.interval_s,
        .type = narrow_ ? detail::ome_type<std::uint16_t>() : detail::ome_type<std::uint32_t>(),
        .channel_names = options.channel_names};
    std::string const description = detail::imagej_description(text);
    if (narrow_)
      writer_.begin_tiled_page<std::uint16_t>(height, width, tile_side, options, description);
    else
      writer_.begin_tiled_page<std::uint32_t>(height, width, tile_side, options, description);
    band_.resize(std::size_t{tile_side} * width, 0);
  }

  /// Bytes held for an image of that width.
  [[nodiscard]] static std::size_t buffer_bytes(std::uint32_t width) {
    return std::size_t{tile_side} * (width + tile_side) * sizeof(std::int32_t);
  }

  /// The next row; labels from 0 to the largest given.
  void add_row(std::span<std::int32_t const> row) {
    SEPTUM_EXPECTS(
        row.size() == width_ && rows_ < height_,
        shape_error("septum.tiff.12", "a row of labels has another length than the image",
                    fault::internal));
    std::copy(row.begin(), row.end(), band_.data() + std::size_t{rows_ % tile_side} * width_);
    if (++rows_ % tile_side == 0 || rows_ == height_) write_band();
  }

  /// throws     shape_error when rows are missing
  void commit() {
    SEPTUM_EXPECTS(rows_ == height_,
                   shape_error("septum.tiff.12", "rows of labels are missing", fault::internal));
    writer_.end_page();
    writer_.commit();
  }

 private:
  void write_band() {
    if (narrow_)
      write_tiles<std::uint16_t>();
    else
      write_tiles<std::uint32_t>();
    std::fill(band_.begin(), band_.end(), 0);
  }
  template <class T>
  void write_tiles() {
    std::vector<T> tile(std::size_t{tile_side} * tile_side);
    for (std::uint32_t left = 0; left < width_; left += tile_side) {
      std::uint32_t const columns = std::min(tile_side, width_ - left);
      std::fill(tile.begin(), tile.end(), T{0});
      for (std::uint32_t r = 0; r < tile_side; ++r)
        for (std::uint32_t c = 0; c < columns; ++c)
          tile[std::size_t{r} * tile_side + c] =
              static_cast<T>(band_[std::size_t{r} * width_ + left + c]);
      writer_.add_tile<T>(tile);
    }
  }

  std::uint32_t height_;
  std::uint32_t width_;
  bool narrow_;
  std::uint32_t rows_ = 0;
  detail::tiff_writer writer_;
  std::vector<std::int32_t> band_;
};

}  // namespace septum::inline SEPTUM_ABI::io
