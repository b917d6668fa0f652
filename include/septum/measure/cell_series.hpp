#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/track/lineage.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// One cell in one frame, as growth and audits see it. Areas and lengths are in um when the pixel
/// size is known, in pixels otherwise; the table's header says which.
struct cell_observation {
  std::int64_t frame = 0;
  std::int64_t label = 0;
  double area = 0;
  double length = 0;
  double width = 0;
  double row_px = 0;  ///< centroid
  double column_px = 0;
  bool at_border = false;  ///< part of the cell may be outside the image
  /// standard deviation of the area between the nets of an ensemble, each thresholded by itself; 0
  /// when unknown
  double area_sd = 0;
};

/// One track with what was measured along it.
struct cell_series {
  std::int64_t track = 0;
  std::int64_t parent = 0;  ///< 0 for none
  track_start start = track_start::appeared;
  track_end end = track_end::lost;
  std::vector<cell_observation> points;  ///< ascending frames; missing frames leave a gap
};

/// Sorts observations into tracks. Every cell of the lineage needs its observation; observations
/// that no track holds are left out.
/// throws     unsupported_error `septum.series.1` on a tracked cell without observation,
///            `septum.series.2` on two observations of one cell
[[nodiscard]] inline std::vector<cell_series> make_series(
    lineage const& tracked, std::span<cell_observation const> observations) {
  std::map<std::pair<std::int64_t, std::int64_t>, std::size_t> place;
  for (std::size_t i = 0; i < observations.size(); ++i)
    SEPTUM_EXPECTS(
        place.emplace(std::pair{observations[i].frame, observations[i].label}, i).second,
        unsupported_error("septum.series.2", "frame " + to_text(observations[i].frame) +
                                                 ": expected every cell once, found two cells " +
                                                 to_text(observations[i].label)));
  std::map<std::int64_t, std::size_t> index_of;
  std::vector<cell_series> result;
  for (track const& t : tracked.tracks) {
    index_of[t.id] = result.size();
    result.push_back(
        {.track = t.id, .parent = t.parent, .start = t.start, .end = t.end, .points = {}});
  }
  for (tracked_frame const& frame : tracked.frames)
    for (auto const& cell : frame.cells) {
      auto const found = place.find({frame.frame, cell.id});
      SEPTUM_EXPECTS(
          found != place.end(),
          unsupported_error("septum.series.1",
                            "frame " + to_text(frame.frame) + ": cell " + to_text(cell.id) +
                                " is tracked but was not measured; measure the label "
                                "images that were tracked"));
      result[index_of.at(cell.track)].points.push_back(observations[found->second]);
    }
  return result;
}

/// Places of the daughters of every series, two per mother at most.
struct family {
  std::vector<std::vector<std::size_t>> daughters;  ///< by place of the mother
  std::vector<std::size_t> mother;  ///< by place of the daughter; npos where there is none
  static constexpr std::size_t npos = std::numeric_limits<std::size_t>::max();
};

[[nodiscard]] inline family find_family(std::span<cell_series const> series) {
  std::map<std::int64_t, std::size_t> index_of;
  for (std::size_t i = 0; i < series.size(); ++i) index_of[series[i].track] = i;
  family result{.daughters = std::vector<std::vector<std::size_t>>(series.size()),
                .mother = std::vector<std::size_t>(series.size(), family::npos)};
  for (std::size_t i = 0; i < series.size(); ++i) {
    auto const mother = index_of.find(series[i].parent);
    if (series[i].parent == 0 || mother == index_of.end()) continue;
    result.mother[i] = mother->second;
    result.daughters[mother->second].push_back(i);
  }
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
