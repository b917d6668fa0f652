#include "inputs.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <optional>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/frames.hpp>
#include <septum/io/tiff.hpp>
#include <septum/io/tiff_rows.hpp>
#include <set>
#include <utility>

namespace program {
namespace {

namespace fs = std::filesystem;

std::string padded(std::size_t number, std::size_t count) {
  std::string text = std::to_string(number);
  std::size_t const digits = std::max<std::size_t>(3, std::to_string(count - 1).size());
  return std::string(digits > text.size() ? digits - text.size() : 0, '0') + text;
}

bool is_dataset_with(fs::path const& folder, std::vector<std::string> const& wanted) {
  try {
    auto const files = septum::io::list_dataset(folder);
    return std::all_of(wanted.begin(), wanted.end(), [&](std::string const& name) {
      return std::any_of(files.channels.begin(), files.channels.end(),
                         [&](auto const& file) { return file.name == name; });
    });
  } catch (septum::error const&) {
    return false;
  }
}

std::vector<fs::path> paths_of(std::vector<septum::io::channel_file> const& files) {
  std::vector<fs::path> paths;
  for (auto const& file : files) paths.push_back(file.path);
  return paths;
}

bool starts_like_tiff(fs::path const& path) {
  // Opening a pipe would wait for its writer.
  if (!fs::is_regular_file(path)) return false;
  std::ifstream file{path, std::ios::binary};
  char start[2] = {};
  file.read(start, 2);
  return (start[0] == 'I' && start[1] == 'I') || (start[0] == 'M' && start[1] == 'M');
}

// Extents of a PNG from its first chunk; nothing for another file.
std::optional<frame_header> png_header(fs::path const& path) {
  if (!fs::is_regular_file(path)) return std::nullopt;
  std::ifstream file{path, std::ios::binary};
  std::array<unsigned char, 26> start{};
  file.read(reinterpret_cast<char*>(start.data()), start.size());
  if (!file || start[0] != 0x89 || start[1] != 'P' || start[2] != 'N' || start[3] != 'G')
    return std::nullopt;
  auto const number = [&](std::size_t at) {
    std::size_t value = 0;
    for (std::size_t k = 0; k < 4; ++k) value = value << 8U | start[at + k];
    return value;
  };
  // Gray, RGB, indices of a palette, gray and RGB with alpha.
  constexpr std::array<std::size_t, 7> samples{1, 1, 3, 1, 2, 1, 4};
  return frame_header{.height = number(20),
                      .width = number(16),
                      .channels = samples[std::min<std::size_t>(start[25], 6)]};
}

// Extents of a frame of PNGs, one with all channels or one each; nothing for other files, nor for
// PNGs that do not fit together, which reading them refuses with their names.
std::optional<frame_header> png_header(std::vector<fs::path> const& files) {
  std::optional<frame_header> whole;
  for (auto const& file : files) {
    auto const part = png_header(file);
    if (!part) return std::nullopt;
    if (files.size() > 1 && part->channels != 1) return std::nullopt;
    if (whole && (whole->height != part->height || whole->width != part->width))
      return std::nullopt;
    if (whole)
      ++whole->channels;
    else
      whole = part;
  }
  return whole;
}

input_frame one_image(fs::path const& path, std::int64_t index) {
  return {path.string(),
          path.stem().string(),
          index,
          [path] { return septum::io::read_scaled_image(path); },
          {path}};
}

void append_dataset(std::vector<input_frame>& frames, fs::path const& folder,
                    std::vector<std::string> const& wanted) {
  auto const files = septum::io::list_dataset(folder);
  std::vector<septum::io::channel_file> chosen;
  for (auto const& name : wanted)
    chosen.push_back(*std::find_if(files.channels.begin(), files.channels.end(),
                                   [&](auto const& file) { return file.name == name; }));
  auto const name = fs::absolute(folder / ".").parent_path().filename().string();
  frames.push_back({folder.string(), name, 0,
                    [chosen] { return septum::io::read_channels(chosen); }, paths_of(chosen)});
}

// A TIFF with more pages than the net has channels is a time series.
bool append_series(std::vector<input_frame>& frames, fs::path const& path,
                   std::size_t wanted_channels) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension != ".tif" && extension != ".tiff") return false;
  if (!starts_like_tiff(path)) return false;
  auto const reader = std::make_shared<septum::io::tiff_row_reader>(path);
  auto const described = reader->axes();
  bool const series =
      described ? described->frames > 1 : reader->size() > 1 && reader->size() != wanted_channels;
  if (!series) return false;
  reader->expect_equal_pages();
  auto const axes =
      described.value_or(septum::io::tiff_axes{.frames = reader->size(), .channels = 1});
  auto const& first = reader->page(0);
  frame_header const header{
      .height = first.height, .width = first.width, .channels = axes.channels * first.samples};
  for (std::size_t t = 0; t < axes.frames; ++t)
    frames.push_back({path.string(),
                      path.stem().string() + "_t" + padded(t, axes.frames),
                      static_cast<std::int64_t>(t),
                      [reader, axes, t] {
                        return septum::io::scaled_image{
                            septum::io::read_tiff_frame(*reader, axes, t), reader->pixel_size_um()};
                      },
                      {},
                      header});
  return true;
}

}  // namespace

septum::io::channel_file parse_channel(std::string const& text) {
  auto const equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    throw septum::unsupported_error("septum.program.7", "--channel " + septum::printable(text) +
                                                            ": expected NAME=FILE, e.g. "
                                                            "--channel phase=phase.tif");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

frame_header read_header(input_frame const& frame) {
  if (frame.header) return *frame.header;
  frame_header header;
  for (auto const& file : frame.files)
    if (fs::is_regular_file(file))
      header.file_bytes = std::max<std::uint64_t>(header.file_bytes, fs::file_size(file));
  if (!frame.files.empty() &&
      std::all_of(frame.files.begin(), frame.files.end(), starts_like_tiff)) {
    frame_rows source{frame};
    auto const rows = source.rows();
    header.height = static_cast<std::size_t>(rows.rows);
    header.width = static_cast<std::size_t>(rows.columns);
    header.channels = static_cast<std::size_t>(rows.channels);
    header.by_rows = true;
    return header;
  }
  if (auto const png = png_header(frame.files)) {
    header.height = png->height;
    header.width = png->width;
    header.channels = png->channels;
    return header;
  }
  auto const shape = frame.load().pixels.shape();
  header.height = shape[0];
  header.width = shape[1];
  header.channels = shape[2];
  return header;
}

frame_rows::frame_rows(input_frame const& frame) {
  for (auto const& path : frame.files) {
    files_.push_back(std::make_unique<septum::io::tiff_row_reader>(path));
    files_.back()->expect_equal_pages();
    for (std::size_t page = 0; page < files_.back()->size(); ++page)
      planes_.push_back({files_.size() - 1, page});
  }
  auto const& first = files_.front()->page(0);
  height_ = first.height;
  width_ = first.width;
  samples_ = first.samples;
  for (auto const& file : files_)
    if (file->page(0).height != first.height || file->page(0).width != first.width ||
        file->page(0).samples != first.samples)
      throw septum::shape_error(
          "septum.program.100",
          file->name() + ": expected the extent of " + files_.front()->name() + ", " +
              std::to_string(height_) + " x " + std::to_string(width_) + ", found " +
              std::to_string(file->page(0).height) + " x " + std::to_string(file->page(0).width));
}

septum::image_rows frame_rows::rows() {
  auto const planes = static_cast<std::ptrdiff_t>(planes_.size());
  return {height_, width_, planes * samples_,
          [this, planes](std::ptrdiff_t first, septum::view<float, 3> target) {
            auto const row = static_cast<std::uint32_t>(first);
            if (planes == 1) return files_.front()->read(0, row, target);
            std::ptrdiff_t const pixels = target.extent(0) * width_;
            plane_rows_.resize(static_cast<std::size_t>(pixels * samples_));
            for (std::ptrdiff_t k = 0; k < planes; ++k) {
              auto const& own = planes_[static_cast<std::size_t>(k)];
              files_[own.file]->read(own.page, row,
                                     {plane_rows_.data(), {target.extent(0), width_, samples_}});
              for (std::ptrdiff_t i = 0; i < pixels; ++i)
                std::copy_n(plane_rows_.data() + i * samples_, samples_,
                            target.data() + (i * planes + k) * samples_);
            }
          }};
}

std::size_t frame_rows::buffer_bytes(std::ptrdiff_t count) {
  std::size_t bytes = static_cast<std::size_t>(count * width_ * samples_) * sizeof(float);
  for (auto const& own : planes_)
    bytes += files_[own.file]->buffer_bytes(own.page, static_cast<std::uint32_t>(count));
  return bytes;
}

std::vector<input_frame> list_inputs(image_arguments const& arguments,
                                     std::vector<std::string> const& wanted) {
  std::vector<input_frame> frames;
  if (!arguments.channels.empty()) {
    std::vector<septum::io::channel_file> given;
    for (auto const& text : arguments.channels) given.push_back(parse_channel(text));
    std::vector<septum::io::channel_file> ordered;
    for (auto const& name : wanted) {
      auto const found = std::find_if(given.begin(), given.end(),
                                      [&](auto const& file) { return file.name == name; });
      if (found == given.end())
        throw septum::shape_error(
            "septum.program.8",
            "the model wants channel '" + name + "'; give it with --channel " + name + "=FILE");
      ordered.push_back(*found);
    }
    frames.push_back({ordered.front().path.string(), ordered.front().path.stem().string(), 0,
                      [ordered] { return septum::io::read_channels(ordered); }, paths_of(ordered)});
  }
  for (fs::path const& path : arguments.paths) {
    if (fs::is_directory(path)) {
      if (is_dataset_with(path, wanted)) {
        append_dataset(frames, path, wanted);
      } else {
        for (auto const& frame : septum::io::list_frames(path, arguments.allow_gaps))
          frames.push_back(one_image(frame.path, frame.index));
      }
    } else if (!append_series(frames, path, wanted.size())) {
      frames.push_back(one_image(path, 0));
    }
  }
  if (frames.empty())
    throw septum::unsupported_error("septum.program.9",
                                    "no image given; name files, a folder, or --channel NAME=FILE");
  std::set<std::string> stems;
  for (auto& frame : frames) {
    std::string const first = frame.stem;
    for (int copy = 2; !stems.insert(frame.stem).second; ++copy)
      frame.stem = first + "_" + std::to_string(copy);
  }
  return frames;
}

}  // namespace program
