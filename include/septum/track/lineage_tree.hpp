#pragma once
#include <septum/core/config.hpp>
#include <septum/core/text.hpp>
#include <septum/track/lineage.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// How a lineage is drawn: time from left to right, a line per track.
struct lineage_drawing {
  double frame_px = 8;
  double track_px = 10;
  std::size_t most_tracks = 5000;  ///< the families of the first ones; a drawing is for eyes
};

/// The family trees as a drawing in SVG: a horizontal line per track from its first to its last
/// frame, a vertical one at every division. Colours tell how a track ends.
[[nodiscard]] inline std::string to_svg(std::span<track const> tracks,
                                        lineage_drawing const& drawing = {}) {
  std::map<std::int64_t, std::vector<std::size_t>> daughters;
  std::vector<std::size_t> roots;
  for (std::size_t i = 0; i < tracks.size(); ++i)
    if (tracks[i].parent == 0)
      roots.push_back(i);
    else
      daughters[tracks[i].parent].push_back(i);
  // Leaves take a row each, in the order of a walk through every tree; a mother lies between hers.
  std::vector<double> row(tracks.size(), -1);
  std::vector<std::size_t> drawn;
  double next = 0;
  for (std::size_t const root : roots) {
    if (drawn.size() >= drawing.most_tracks) break;
    std::vector<std::pair<std::size_t, bool>> todo{{root, false}};
    while (!todo.empty()) {
      auto const [i, done] = todo.back();
      todo.pop_back();
      auto const below = daughters.find(tracks[i].id);
      if (below == daughters.end()) {
        row[i] = next++;
      } else if (done) {
        row[i] = (row[below->second.front()] + row[below->second.back()]) / 2;
      } else {
        todo.emplace_back(i, true);
        for (auto d = below->second.rbegin(); d != below->second.rend(); ++d)
          todo.emplace_back(*d, false);
        continue;
      }
      drawn.push_back(i);
    }
  }
  std::int64_t first = 0, last = 0;
  for (std::size_t const i : drawn) {
    first = i == drawn.front() ? tracks[i].first_frame : std::min(first, tracks[i].first_frame);
    last = std::max(last, tracks[i].last_frame);
  }
  auto const x = [&](double frame) {
    return to_text(20 + drawing.frame_px * (frame - static_cast<double>(first)), 1);
  };
  auto const y = [&](double at) { return to_text(20 + drawing.track_px * at, 1); };
  std::string text = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
                     x(static_cast<double>(last + 4)) + "\" height=\"" + y(next + 3) +
                     "\" font-family=\"sans-serif\" font-size=\"9\">\n";
  auto const line = [&](std::string const& x1, std::string const& y1, std::string const& x2,
                        std::string const& y2, char const* colour) {
    text += "<line x1=\"" + x1 + "\" y1=\"" + y1 + "\" x2=\"" + x2 + "\" y2=\"" + y2 +
            "\" stroke=\"" + colour + "\" stroke-width=\"2\"/>\n";
  };
  auto const colour_of = [](track const& t) {
    return t.end == track_end::lost     ? "#c0392b"
           : t.end == track_end::left   ? "#e08e0b"
           : t.end == track_end::merged ? "#8e44ad"
                                        : "#2c6e9b";
  };
  for (std::size_t const i : drawn) {
    track const& t = tracks[i];
    auto const end = static_cast<double>(t.last_frame + 1);
    line(x(static_cast<double>(t.first_frame)), y(row[i]), x(end), y(row[i]), colour_of(t));
    auto const below = daughters.find(t.id);
    if (below == daughters.end()) {
      text += "<text x=\"" + x(end + 0.5) + "\" y=\"" + y(row[i] + 0.3) + "\">" + to_text(t.id) +
              "</text>\n";
      continue;
    }
    for (std::size_t const d : below->second) {
      auto const start = static_cast<double>(tracks[d].first_frame);
      line(x(end), y(row[i]), x(start), y(row[d]), "#2c6e9b");
    }
  }
  text += "<text x=\"20\" y=\"" + y(next + 2) + "\">frames " + to_text(first) + " to " +
          to_text(last) + "; " + to_text(drawn.size()) + " of " + to_text(tracks.size()) +
          " tracks; blue: divided or to the end, orange: left the image, red: lost, violet: "
          "merged</text>\n</svg>\n";
  return text;
}

}  // namespace septum::inline SEPTUM_ABI
