#include "inputs.hpp"

#include <algorithm>
#include <memory>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/frames.hpp>
#include <septum/io/tiff.hpp>
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

input_frame one_image(fs::path const& path, std::int64_t index) {
  return {path.string(), path.stem().string(), index,
          [path] { return septum::io::read_scaled_image(path); }};
}

void append_dataset(std::vector<input_frame>& frames, fs::path const& folder,
                    std::vector<std::string> const& wanted) {
  auto const files = septum::io::list_dataset(folder);
  std::vector<septum::io::channel_file> chosen;
  for (auto const& name : wanted)
    chosen.push_back(*std::find_if(files.channels.begin(), files.channels.end(),
                                   [&](auto const& file) { return file.name == name; }));
  auto const name = fs::absolute(folder / ".").parent_path().filename().string();
  frames.push_back(
      {folder.string(), name, 0, [chosen] { return septum::io::read_channels(chosen); }});
}

// A TIFF with more pages than the net has channels is a time series.
bool append_series(std::vector<input_frame>& frames, fs::path const& path,
                   std::size_t wanted_channels) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension != ".tif" && extension != ".tiff") return false;
  auto const reader = std::make_shared<septum::io::tiff_reader const>(path);
  auto const axes = reader->axes();
  bool const series =
      axes ? axes->frames > 1 : reader->size() > 1 && reader->size() != wanted_channels;
  if (!series) return false;
  auto const all = std::make_shared<septum::movie const>(septum::io::read_tiff_movie(*reader));
  auto const count = all->shape()[0];
  double const pixel_size = reader->pixel_size_um();
  for (std::size_t t = 0; t < count; ++t)
    frames.push_back(
        {path.string(), path.stem().string() + "_t" + padded(t, count),
         static_cast<std::int64_t>(t), [all, t, pixel_size] {
           auto const& shape = all->shape();
           septum::image frame = septum::image::from_shape({shape[1], shape[2], shape[3]});
           std::copy_n(all->data() + t * frame.size(), frame.size(), frame.data());
           return septum::io::scaled_image{std::move(frame), pixel_size};
         }});
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
                      [ordered] { return septum::io::read_channels(ordered); }});
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
