#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/io/image.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// One frame of a time series that is stored as a file per frame.
struct frame_file {
  std::int64_t index = 0;  ///< the frame's number as its name says: true time, never renumbered
  std::filesystem::path path;
};

namespace detail {

/// A file name cut into texts and the numbers between them: texts.size() == numbers.size() + 1.
struct numbered_name {
  std::vector<std::string> texts{1};
  std::vector<std::int64_t> numbers;
};

[[nodiscard]] inline numbered_name split_name(std::string_view name) {
  numbered_name result;
  auto const digit = [](char c) { return c >= '0' && c <= '9'; };
  while (!name.empty()) {
    auto const length =
        static_cast<std::size_t>(std::find_if_not(name.begin(), name.end(), digit) - name.begin());
    // More digits than a frame number can have are part of the text.
    constexpr std::size_t most_digits = 18;
    auto const number =
        length > most_digits ? std::nullopt : parse_number<std::int64_t>(name.substr(0, length));
    if (number) {
      result.numbers.push_back(*number);
      result.texts.emplace_back();
    } else {
      result.texts.back() += name.substr(0, std::max<std::size_t>(length, 1));
    }
    name.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

[[nodiscard]] inline bool has_image_extension(fs::path const& path) {
  std::string extension = path.extension().native();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return extension == ".tif" || extension == ".tiff" || extension == ".png" ||
         extension == ".npy" || extension == ".npz";
}

/// Which of the numbers counts the frames: the only one that differs between the names.
[[nodiscard]] inline std::size_t frame_field(std::vector<numbered_name> const& names,
                                             std::vector<fs::path> const& paths,
                                             fs::path const& folder) {
  auto const name_of = [&](std::size_t i) { return shown(paths[i].filename()); };
  std::optional<std::size_t> field;
  for (std::size_t i = 1; i < names.size(); ++i) {
    if (names[i].texts != names[0].texts)
      throw io_error{"septum.frames.1",
                     shown(folder) + ": expected frames whose names differ in one number, found " +
                         name_of(0) + " and " + name_of(i) +
                         "; put other images into a folder of their own"};
    for (std::size_t k = 0; k < names[i].numbers.size(); ++k) {
      if (names[i].numbers[k] == names[0].numbers[k]) continue;
      if (field && *field != k)
        throw io_error{"septum.frames.1",
                       shown(folder) +
                           ": expected frames whose names differ in one number, found "
                           "two that change (" +
                           name_of(0) + ", " + name_of(i) +
                           "); keep channels and positions in folders of their own"};
      field = k;
    }
  }
  return field.value_or(names[0].numbers.empty() ? 0 : names[0].numbers.size() - 1);
}

[[nodiscard]] inline std::string listed(std::vector<std::int64_t> const& numbers) {
  constexpr std::size_t most = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(numbers.size(), most); ++i)
    text += (i == 0 ? "" : ", ") + to_text(numbers[i]);
  return numbers.size() > most ? text + ", ... (" + to_text(numbers.size()) + " in all)" : text;
}

}  // namespace detail

/// Images in the order of their frame number, the only number in which their names differ.
/// @param place  what messages call the whole series
/// throws     io_error when names differ in more than one number, when a number occurs twice, or,
///            unless `allow_gaps`, when one is missing
[[nodiscard]] inline std::vector<frame_file> order_frames(std::vector<std::filesystem::path> paths,
                                                          std::filesystem::path const& place,
                                                          bool allow_gaps = false) {
  if (paths.empty()) return {};
  std::sort(paths.begin(), paths.end());
  std::vector<detail::numbered_name> names;
  for (std::filesystem::path const& path : paths)
    names.push_back(detail::split_name(path.stem().native()));
  std::size_t const field = detail::frame_field(names, paths, place);
  std::vector<frame_file> frames;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    auto const& numbers = names[i].numbers;
    if (numbers.empty() && paths.size() > 1)
      throw io_error{"septum.frames.1",
                     detail::shown(place) + ": expected a frame number in the name of " +
                         detail::shown(paths[i].filename()) + " and its neighbours"};
    frames.push_back({numbers.empty() ? 0 : numbers[field], paths[i]});
  }
  std::stable_sort(frames.begin(), frames.end(),
                   [](frame_file const& a, frame_file const& b) { return a.index < b.index; });
  std::vector<std::int64_t> doubled;
  std::vector<std::int64_t> missing;
  // More gaps than this need no list; a damaged name must not ask for a list of 10^18 numbers.
  constexpr std::size_t most_missing = 1000;
  for (std::size_t i = 1; i < frames.size(); ++i) {
    if (frames[i].index == frames[i - 1].index) doubled.push_back(frames[i].index);
    for (std::int64_t k = frames[i - 1].index + 1;
         k < frames[i].index && missing.size() < most_missing; ++k)
      missing.push_back(k);
  }
  if (!doubled.empty())
    throw io_error{"septum.frames.3",
                   detail::shown(place) +
                       ": expected each frame once, found twice: " + detail::listed(doubled)};
  if (!missing.empty() && !allow_gaps)
    throw io_error{"septum.frames.4", detail::shown(place) + ": expected frames " +
                                          to_text(frames.front().index) + " to " +
                                          to_text(frames.back().index) +
                                          ", missing: " + detail::listed(missing) +
                                          "; add them, or allow gaps to keep the true times"};
  return frames;
}

/// The images of a folder in the order of their frame number, e.g. t1.tif, t2.tif, t10.tif.
/// throws     io_error when the folder has no image; otherwise as order_frames
[[nodiscard]] inline std::vector<frame_file> list_frames(std::filesystem::path const& folder,
                                                         bool allow_gaps = false) {
  std::error_code failure;
  std::vector<std::filesystem::path> paths;
  for (std::filesystem::directory_iterator entry{folder, failure}, end; !failure && entry != end;
       entry.increment(failure)) {
    bool const hidden = entry->path().filename().native().starts_with('.');
    if (!hidden && detail::has_image_extension(entry->path())) paths.push_back(entry->path());
  }
  if (failure) detail::throw_call_failed(folder, "listing the folder", failure.value());
  if (paths.empty())
    throw io_error{
        "septum.frames.2",
        detail::shown(folder) + ": expected .tif, .png or .npy images in this folder, found none"};
  return order_frames(std::move(paths), folder, allow_gaps);
}

/// A time series and the true number of each of its frames.
struct recording {
  movie frames;  ///< axes frame, row, column, channel
  std::vector<std::int64_t> indices;
  double pixel_size_um = 0.0;
  double interval_s = 0.0;  ///< seconds from one frame to the next; 0 when unknown
};

/// A movie from a folder with one image per frame, or from a multi-page TIFF.
/// throws     shape_error when frames differ in size, naming both files; otherwise as list_frames
[[nodiscard]] inline recording read_recording(std::filesystem::path const& path,
                                              bool allow_gaps = false, exec::threads threads = {}) {
  recording result;
  if (std::error_code ignored; !std::filesystem::is_directory(path, ignored)) {
    tiff_reader const file{path};
    result.frames = read_tiff_movie(file, threads);
    result.pixel_size_um = file.pixel_size_um();
    result.interval_s = file.interval_s();
    for (std::size_t i = 0; i < result.frames.shape()[0]; ++i)
      result.indices.push_back(static_cast<std::int64_t>(i));
    return result;
  }
  std::vector<frame_file> const files = list_frames(path, allow_gaps);
  scaled_image const first = read_scaled_image(files.front().path);
  result.pixel_size_um = first.pixel_size_um;
  auto const& shape = first.pixels.shape();
  result.frames = movie::from_shape({files.size(), shape[0], shape[1], shape[2]});
  for (frame_file const& file : files) result.indices.push_back(file.index);
  for_each_task(threads, static_cast<std::ptrdiff_t>(files.size()), [&](std::ptrdiff_t i) {
    auto const& file = files[static_cast<std::size_t>(i)];
    image const pixels = i == 0 ? first.pixels : read_image(file.path);
    if (pixels.shape() != shape)
      throw shape_error{"septum.frames.5", detail::shown(file.path) + ": expected the size of " +
                                               detail::shown(files.front().path.filename()) + ", " +
                                               detail::extents_text(first.pixels) + " x " +
                                               to_text(shape[2]) + ", found " +
                                               detail::extents_text(pixels) + " x " +
                                               to_text(pixels.shape()[2])};
    std::copy(pixels.begin(), pixels.end(),
              result.frames.data() + i * static_cast<std::ptrdiff_t>(pixels.size()));
  });
  return result;
}

}  // namespace septum::inline SEPTUM_ABI::io
