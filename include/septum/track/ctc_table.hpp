#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/track/lineage.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// One line of `res_track.txt`: a label, the first and last frame that show it (from 0,
/// inclusive), and the label of its parent or 0.
struct ctc_track {
  std::int64_t label = 0;
  std::int64_t first_frame = 0;
  std::int64_t last_frame = 0;
  std::int64_t parent = 0;
  friend bool operator==(ctc_track const&, ctc_track const&) = default;
};

/// Labels are 16-bit numbers in the Cell Tracking Challenge.
inline constexpr std::int64_t largest_ctc_label = 65535;

/// The lines of a lineage. Each part of a track is a line; a part after a gap has the part before
/// as its parent. Frames are counted from `first_frame`.
/// throws     unsupported_error with the number of labels when there are more than 65535
[[nodiscard]] inline std::vector<ctc_track> to_ctc(std::span<track const> tracks,
                                                   std::int64_t first_frame = 0) {
  std::map<std::int64_t, std::int64_t> last_label;
  std::int64_t largest = 0, parts = 0;
  for (track const& t : tracks) {
    last_label[t.id] = t.parts.empty() ? t.id : t.parts.back().label;
    for (track_part const& part : t.parts) {
      largest = std::max(largest, part.label);
      ++parts;
    }
  }
  if (largest > largest_ctc_label)
    throw unsupported_error{"septum.ctc.1",
                            "lineage: expected at most 65535 labels for the Cell Tracking "
                            "Challenge, found " +
                                to_text(parts) + " with numbers up to " + to_text(largest) +
                                "; use tracks.csv, or cut the movie"};
  std::vector<ctc_track> lines;
  for (track const& t : tracks) {
    std::int64_t parent = t.parent == 0 ? 0 : last_label.at(t.parent);
    for (track_part const& part : t.parts) {
      lines.push_back(
          {part.label, part.first_frame - first_frame, part.last_frame - first_frame, parent});
      parent = part.label;
    }
  }
  std::sort(lines.begin(), lines.end(),
            [](ctc_track const& a, ctc_track const& b) { return a.label < b.label; });
  return lines;
}

namespace detail {

/// What makes a table of tracks invalid by itself; `where` names each line.
template <class Where, class Report>
void check_ctc_tracks(std::span<ctc_track const> lines, Where const& where, Report const& report) {
  std::map<std::int64_t, std::size_t> line_of;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    ctc_track const& t = lines[i];
    if (t.label <= 0 || t.label > largest_ctc_label)
      report(where(i) + ": expected a label from 1 to 65535, found " + to_text(t.label));
    if (!line_of.emplace(t.label, i).second)
      report(where(i) + ": expected every label once, found " + to_text(t.label) + " twice");
    if (t.first_frame < 0)
      report(where(i) + ": track " + to_text(t.label) + ": expected a first frame from 0, found " +
             to_text(t.first_frame));
    if (t.last_frame < t.first_frame)
      report(where(i) + ": track " + to_text(t.label) + ": expected a last frame from " +
             to_text(t.first_frame) + ", found " + to_text(t.last_frame));
  }
  for (std::size_t i = 0; i < lines.size(); ++i) {
    ctc_track const& t = lines[i];
    if (t.parent == 0) continue;
    auto const parent = line_of.find(t.parent);
    if (parent == line_of.end()) {
      report(where(i) + ": track " + to_text(t.label) + ": expected its parent " +
             to_text(t.parent) + " in the file, found none");
      continue;
    }
    // Ending before the daughter begins also excludes cycles and self-parents.
    std::int64_t const ended = lines[parent->second].last_frame;
    if (ended >= t.first_frame)
      report(where(i) + ": track " + to_text(t.label) +
             ": expected a first frame after the last of its parent " + to_text(t.parent) + ", " +
             to_text(ended) + ", found " + to_text(t.first_frame));
  }
}

}  // namespace detail

}  // namespace septum::inline SEPTUM_ABI
