#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/io/file.hpp>
#include <septum/io/frames.hpp>
#include <septum/io/tiff.hpp>
#include <septum/track/ctc_table.hpp>
#include <septum/track/lineage.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>
#include <xtensor/xtensor.hpp>

namespace septum::inline SEPTUM_ABI::io {

/// Writes `res_track.txt`.
inline void write_ctc_tracks(std::filesystem::path const& path, std::span<ctc_track const> lines) {
  std::string text;
  for (ctc_track const& line : lines)
    text += to_text(line.label) + " " + to_text(line.first_frame) + " " + to_text(line.last_frame) +
            " " + to_text(line.parent) + "\n";
  write_file(path, text);
}

/// What `read_ctc_tracks` accepts.
struct ctc_limits {
  std::size_t max_lines = 10'000'000;
  std::size_t max_line_bytes = 65536;
};

/// Reads the text of `res_track.txt`: four whole numbers per line, separated by blanks.
/// @param name  what messages call the text
/// throws     io_error that names line and track: not four numbers, a label twice or out of range,
///            an end before the beginning, a parent that is missing or ends too late
[[nodiscard]] inline std::vector<ctc_track> parse_ctc_tracks(std::string_view rest,
                                                             std::string const& name,
                                                             ctc_limits const& limits = {}) {
  std::vector<ctc_track> lines;
  std::vector<std::size_t> numbers;
  for (std::size_t number = 1; !rest.empty(); ++number) {
    std::size_t const length = std::min(rest.size(), rest.find('\n'));
    std::string_view line = rest.substr(0, length);
    rest.remove_prefix(std::min(rest.size(), length + 1));
    std::string const where = name + ": line " + to_text(number);
    if (length > limits.max_line_bytes || lines.size() >= limits.max_lines)
      throw io_error{"septum.ctc.2", where + ": expected at most " + to_text(limits.max_lines) +
                                         " lines of " + to_text(limits.max_line_bytes) + " bytes"};
    std::array<std::int64_t, 4> fields{};
    std::size_t count = 0;
    constexpr std::string_view blanks = " \t\r";
    while (true) {
      line.remove_prefix(std::min(line.size(), line.find_first_not_of(blanks)));
      if (line.empty()) break;
      std::string_view const field = line.substr(0, line.find_first_of(blanks));
      line.remove_prefix(field.size());
      auto const value = parse_number<std::int64_t>(field);
      if (!value || count == fields.size())
        throw io_error{"septum.ctc.2", where +
                                           ": expected four whole numbers (label, first frame, "
                                           "last frame, parent), found '" +
                                           printable(field, 40) + "'"};
      fields[count++] = *value;
    }
    if (count == 0) continue;
    if (count != fields.size())
      throw io_error{"septum.ctc.2", where +
                                         ": expected four whole numbers (label, first frame, "
                                         "last frame, parent), found " +
                                         to_text(count)};
    lines.push_back({fields[0], fields[1], fields[2], fields[3]});
    numbers.push_back(number);
  }
  septum::detail::check_ctc_tracks(
      lines, [&](std::size_t i) { return name + ": line " + to_text(numbers[i]); },
      [](std::string const& message) {
        throw io_error{"septum.ctc.3", message};
      });
  return lines;
}

/// Reads `res_track.txt` or `man_track.txt`; an empty file is that of a movie without cells.
/// throws     as parse_ctc_tracks
[[nodiscard]] inline std::vector<ctc_track> read_ctc_tracks(std::filesystem::path const& path,
                                                            ctc_limits const& limits = {}) {
  std::error_code failure;
  if (std::filesystem::is_regular_file(path, failure) &&
      std::filesystem::file_size(path, failure) == 0)
    return {};
  file_content const content = read_file(path);
  return parse_ctc_tracks(content.text(), detail::shown(path), limits);
}

/// Writes the label images of a tracked movie as the Cell Tracking Challenge wants them:
/// `mask000.tif` and so on, 16 bit, every cell with the number of its track part. Frames are
/// counted from the first one; a frame number that is missing from the movie becomes an image
/// without cells, so that the names keep the true time.
class ctc_writer {
 public:
  /// @param folder  an existing folder
  /// @param first_frame, last_frame  frame numbers of the movie; more than 1000 frames get names
  ///                                 with four digits
  ctc_writer(std::filesystem::path folder, std::int64_t first_frame, std::int64_t last_frame)
      : folder_{std::move(folder)},
        first_frame_{first_frame},
        next_{first_frame},
        digits_{last_frame - first_frame < 1000 ? 3U : 4U} {}

  /// Writes the next frames, ascending; several files at once on several threads.
  /// throws     io_error for a label that no cell of its `tracked` has, or above 65535
  void add(std::span<labels const> cells, std::span<tracked_frame const> tracked,
           exec::threads threads = {}) {
    SEPTUM_EXPECTS(cells.size() == tracked.size(),
                   io_error("septum.ctc.4",
                            detail::shown(folder_) + ": expected as many label images as frames",
                            fault::internal));
    for (std::size_t i = 0; i < tracked.size(); ++i) {
      SEPTUM_EXPECTS(tracked[i].frame >= next_,
                     io_error("septum.ctc.4",
                              detail::shown(folder_) + ": expected ascending frames from " +
                                  to_text(next_) + ", found " + to_text(tracked[i].frame),
                              fault::internal));
      for (; next_ < tracked[i].frame; ++next_)
        write(xt::zeros<std::uint16_t>(cells[i].shape()), next_);
      ++next_;
    }
    for_each_task(threads, static_cast<std::ptrdiff_t>(cells.size()), [&](std::ptrdiff_t i) {
      auto const at = static_cast<std::size_t>(i);
      write(renamed(cells[at], tracked[at]), tracked[at].frame);
    });
  }
  void add(labels const& cells, tracked_frame const& tracked) {
    add(std::span{&cells, 1}, std::span{&tracked, 1});
  }

  /// Writes `res_track.txt`.
  void commit(std::span<track const> tracks) const {
    write_ctc_tracks(folder_ / "res_track.txt", to_ctc(tracks, first_frame_));
  }

 private:
  using mask_image = xt::xtensor<std::uint16_t, 2>;

  [[nodiscard]] mask_image renamed(labels const& cells, tracked_frame const& tracked) const {
    mask_image mask = mask_image::from_shape(cells.shape());
    std::int32_t const* const from = cells.data();
    std::uint16_t* const to = mask.data();
    std::int32_t last_id = 0;
    std::uint16_t last_label = 0;
    for (std::size_t i = 0; i < mask.size(); ++i) {
      if (from[i] != last_id) {
        last_id = from[i];
        last_label = last_id == 0 ? std::uint16_t{0}
                                  : static_cast<std::uint16_t>(label_of(tracked, last_id));
      }
      to[i] = last_label;
    }
    return mask;
  }

  [[nodiscard]] std::int64_t label_of(tracked_frame const& tracked, std::int64_t id) const {
    auto const cell = std::lower_bound(
        tracked.cells.begin(), tracked.cells.end(), id,
        [](tracked_frame::cell const& a, std::int64_t number) { return a.id < number; });
    std::string const where = detail::shown(folder_) + ": frame " + to_text(tracked.frame);
    if (cell == tracked.cells.end() || cell->id != id)
      throw io_error{"septum.ctc.4",
                     where + ": expected a track for every label, found none for " + to_text(id),
                     fault::internal};
    if (cell->label > largest_ctc_label)
      throw io_error{"septum.ctc.1",
                     where +
                         ": expected at most 65535 labels for the Cell Tracking Challenge, "
                         "found label " +
                         to_text(cell->label) + "; use tracks.csv, or cut the movie"};
    return cell->label;
  }

  void write(mask_image const& mask, std::int64_t frame) const {
    std::string number = to_text(frame - first_frame_);
    number.insert(0, digits_ - std::min(digits_, number.size()), '0');
    write_tiff(folder_ / ("mask" + number + ".tif"), mask);
  }

  std::filesystem::path folder_;
  std::int64_t first_frame_;
  std::int64_t next_;
  std::size_t digits_;
};

/// A folder of the Cell Tracking Challenge: results (`res_track.txt`, `mask000.tif`) or truth
/// (`man_track.txt`, `man_track000.tif`, also one level below in `TRA`).
class ctc_folder {
 public:
  /// throws     io_error when the folder has no track file, no masks, or masks that are not
  ///            numbered from 0 without gaps; otherwise as read_ctc_tracks
  explicit ctc_folder(std::filesystem::path const& folder) {
    std::error_code failure;
    for (std::filesystem::path const& place : {folder, folder / "TRA"})
      for (auto const& [file, prefix] :
           {std::pair{"res_track.txt", "mask"}, std::pair{"man_track.txt", "man_track"}})
        if (!track_file_ && std::filesystem::is_regular_file(place / file, failure)) {
          track_file_ = place / file;
          find_masks(place, prefix);
        }
    if (!track_file_)
      throw io_error{"septum.ctc.5", detail::shown(folder) +
                                         ": expected res_track.txt or man_track.txt in this folder "
                                         "or in TRA below it, found neither"};
    tracks_ = read_ctc_tracks(*track_file_);
  }

  [[nodiscard]] std::vector<ctc_track> const& tracks() const { return tracks_; }
  [[nodiscard]] std::filesystem::path const& track_file() const { return *track_file_; }
  /// One file per frame, from frame 0.
  [[nodiscard]] std::vector<std::filesystem::path> const& masks() const { return masks_; }
  [[nodiscard]] labels read_mask(std::size_t frame) const {
    return read_tiff_labels(masks_.at(frame));
  }

  /// True when the folder, or TRA below it, holds a track file.
  [[nodiscard]] static bool is_one(std::filesystem::path const& folder) {
    std::error_code failure;
    for (auto const* file : {"res_track.txt", "man_track.txt", "TRA/man_track.txt"})
      if (std::filesystem::is_regular_file(folder / file, failure)) return true;
    return false;
  }

 private:
  void find_masks(std::filesystem::path const& folder, std::string_view prefix) {
    std::map<std::int64_t, std::filesystem::path> found;
    std::error_code failure;
    for (std::filesystem::directory_iterator entry{folder, failure}, end; !failure && entry != end;
         entry.increment(failure)) {
      std::string const name = entry->path().filename().native();
      if (!name.starts_with(prefix) || entry->path().extension() != ".tif") continue;
      std::string_view const digits =
          std::string_view{name}.substr(prefix.size(), name.size() - prefix.size() - 4);
      auto const number = parse_number<std::int64_t>(digits);
      if (!number || *number < 0) continue;
      if (!found.emplace(*number, entry->path()).second)
        throw io_error{
            "septum.frames.3",
            detail::shown(folder) + ": expected each frame once, found twice: " + to_text(*number)};
    }
    if (failure) detail::throw_call_failed(folder, "listing the folder", failure.value());
    if (found.empty())
      throw io_error{"septum.ctc.5", detail::shown(folder) + ": expected masks " +
                                         std::string{prefix} + "000.tif and so on, found none"};
    for (auto const& [number, path] : found) {
      if (number != static_cast<std::int64_t>(masks_.size()))
        throw io_error{"septum.ctc.5", detail::shown(folder) +
                                           ": expected frames from 0 without gaps, "
                                           "found no frame " +
                                           to_text(masks_.size())};
      masks_.push_back(path);
    }
  }

  std::optional<std::filesystem::path> track_file_;
  std::vector<ctc_track> tracks_;
  std::vector<std::filesystem::path> masks_;
};

/// Everything that the challenge's rules forbid in a folder, one line each, at most `most`; empty
/// for a valid one. Stricter than the common validators: both directions are checked in every
/// frame (a label in a mask belongs to a track of that frame, and the other way round), and the
/// files are 16-bit images of one size.
[[nodiscard]] inline std::vector<std::string> find_ctc_problems(ctc_folder const& folder,
                                                                std::size_t most = 20) {
  std::vector<std::string> problems;
  auto const report = [&](std::string const& problem) {
    if (problems.size() < most) problems.push_back(problem);
  };
  std::map<std::int64_t, ctc_track> by_label;
  std::string const table = detail::shown(folder.track_file());
  for (ctc_track const& t : folder.tracks()) {
    by_label.emplace(t.label, t);
    if (t.last_frame >= static_cast<std::int64_t>(folder.masks().size()))
      report(table + ": track " + to_text(t.label) + ": expected a last frame up to " +
             to_text(folder.masks().size() - 1) + ", found " + to_text(t.last_frame));
  }
  std::optional<std::pair<std::uint32_t, std::uint32_t>> extent;
  for (std::size_t frame = 0; frame < folder.masks().size() && problems.size() < most; ++frame) {
    tiff_reader const file{folder.masks()[frame]};
    tiff_page const& page = file.page(0);
    std::string const where = file.where(0);
    if (file.size() != 1 || page.samples != 1 || page.bits != 16)
      report(where + ": expected one page of 16-bit gray, found " + to_text(file.size()) +
             " page(s) of " + to_text(page.bits) + " bits, " + to_text(page.samples) +
             " sample(s)");
    std::pair const size{page.height, page.width};
    if (extent && *extent != size)
      report(where + ": expected the size of the first frame, " + to_text(extent->first) + " x " +
             to_text(extent->second) + ", found " + to_text(size.first) + " x " +
             to_text(size.second));
    extent = extent.value_or(size);
    std::set<std::int64_t> present;
    std::int32_t last = 0;
    for (std::int32_t const value : file.read_labels(0)) {
      if (value == last || value == 0) continue;
      last = value;
      present.insert(value);
    }
    auto const at = static_cast<std::int64_t>(frame);
    for (std::int64_t const label : present) {
      auto const t = by_label.find(label);
      if (t == by_label.end())
        report(where + ": label " + to_text(label) + ": expected a line in " + table +
               ", found none");
      else if (at < t->second.first_frame || at > t->second.last_frame)
        report(where + ": label " + to_text(label) + ": expected only in frames " +
               to_text(t->second.first_frame) + " to " + to_text(t->second.last_frame));
    }
    for (auto const& [label, t] : by_label)
      if (at >= t.first_frame && at <= t.last_frame && !present.contains(label))
        report(where + ": expected label " + to_text(label) + ", whose track covers frames " +
               to_text(t.first_frame) + " to " + to_text(t.last_frame) + ", found none");
  }
  return problems;
}

/// throws     io_error with the first problem and the number of those found
inline void expect_valid_ctc(ctc_folder const& folder) {
  auto const problems = find_ctc_problems(folder);
  if (!problems.empty())
    throw io_error{
        "septum.ctc.6",
        problems.front() + (problems.size() > 1 ? " (and " + to_text(problems.size() - 1) + " more)"
                                                : std::string{})};
}

}  // namespace septum::inline SEPTUM_ABI::io
