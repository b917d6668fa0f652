#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/link.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Why a track begins.
enum class track_start : std::uint8_t {
  movie_start,  ///< the cell is there in the first frame
  division,     ///< one of the two daughters of its parent
  entered,      ///< first seen at the border of the image
  appeared      ///< first seen elsewhere: a birth without a mother, or a missed detection
};

/// Why a track ends.
enum class track_end : std::uint8_t {
  movie_end,  ///< the cell is there in the last frame
  division,   ///< two daughters follow
  left,       ///< last seen at the border of the image
  lost,       ///< last seen elsewhere: a death, or a missed detection
  merged      ///< went into another cell
};

[[nodiscard]] constexpr std::string_view to_string(track_start start) {
  constexpr std::string_view names[] = {"movie_start", "division", "entered", "appeared"};
  return names[static_cast<std::size_t>(start)];
}
[[nodiscard]] constexpr std::string_view to_string(track_end end) {
  constexpr std::string_view names[] = {"movie_end", "division", "left", "lost", "merged"};
  return names[static_cast<std::size_t>(end)];
}

/// Part of a track without missing frames. Label images number these parts (Cell Tracking
/// Challenge), so a track with a gap has more than one; the first has the track's own number.
struct track_part {
  std::int64_t label = 0;
  std::int64_t first_frame = 0;
  std::int64_t last_frame = 0;
};

/// One cell from its birth to its division or disappearance.
struct track {
  std::int64_t id = 0;      ///< from 1
  std::int64_t parent = 0;  ///< 0 for none; a parent has exactly two daughters
  std::int64_t first_frame = 0;
  std::int64_t last_frame = 0;
  track_start start = track_start::appeared;
  track_end end = track_end::lost;
  std::int64_t merged_into = 0;  ///< the track it went into, 0 for none
  std::vector<track_part> parts;
};

/// Which track every cell of one frame belongs to.
struct tracked_frame {
  struct cell {
    std::int64_t id = 0;     ///< the cell's label in its image
    std::int64_t track = 0;  ///< its track
    std::int64_t label = 0;  ///< the part of the track, its number in a tracked label image
  };
  std::int64_t frame = 0;
  std::vector<cell> cells;  ///< ascending id
};

/// Builds tracks from cells and links, frame by frame, so that no invalid lineage can come out: a
/// cell has one predecessor and at most two successors, a division has two daughters, a single
/// successor continues its track whatever kind of link leads to it, every parent exists and ends
/// before its daughters begin. Keeps only the frames that later links may start from.
class lineage_builder {
 public:
  /// @param window  a link may start at most this many frames before the one it ends in
  explicit lineage_builder(std::int64_t window = 3) : window_{std::max<std::int64_t>(window, 1)} {}

  /// Adds the next frame and all links that end in it.
  /// \returns the frames that no later link can change any more
  /// throws     unsupported_error: frames out of order, two cells of one number, a link from or to
  ///            a cell that does not exist, two predecessors, more than two successors
  std::vector<tracked_frame> push(frame_cells const& frame, std::span<cell_link const> links) {
    expect(frames_.empty() || frames_.back().number < frame.frame, "septum.lineage.1",
           "frame " + to_text(frame.frame), "expected ascending frames");
    add_frame(frame);
    std::vector<cell_link> ordered(links.begin(), links.end());
    std::sort(ordered.begin(), ordered.end(), [](cell_link const& a, cell_link const& b) {
      return std::tie(a.source_frame, a.source, a.target) <
             std::tie(b.source_frame, b.source, b.target);
    });
    for (cell_link const& link : ordered)
      if (link.kind != link_kind::merge) follow(link);
    for (cell_link const& link : ordered)
      if (link.kind == link_kind::merge) merge(link);
    begin_tracks(frame);
    std::vector<tracked_frame> done;
    while (frames_.front().number <= frame.frame - window_) done.push_back(take_front());
    return done;
  }

  /// Ends the movie. \returns the frames that were kept until now
  std::vector<tracked_frame> finish() {
    std::vector<tracked_frame> done;
    std::int64_t const last = frames_.empty() ? 0 : frames_.back().number;
    while (!frames_.empty()) done.push_back(take_front());
    for (std::size_t i = 0; i < tracks_.size(); ++i)
      if (tracks_[i].end == track_end::lost)
        tracks_[i].end = tracks_[i].last_frame == last ? track_end::movie_end
                         : ends_at_border_[i]          ? track_end::left
                                                       : track_end::lost;
    return done;
  }

  /// All tracks, by number; their ends are final after `finish`.
  [[nodiscard]] std::vector<track> tracks() const {
    std::vector<track> result = tracks_;
    std::sort(result.begin(), result.end(),
              [](track const& a, track const& b) { return a.id < b.id; });
    return result;
  }

 private:
  struct place {
    std::int64_t frame = 0;
    std::size_t cell = 0;
  };
  struct cell_state {
    std::int64_t id = 0;
    bool at_border = false;
    bool has_predecessor = false;
    bool has_merged = false;
    int successors = 0;
    place successor{};  ///< the first one
    std::int64_t track = 0;
    std::int64_t label = 0;
  };
  struct frame_state {
    std::int64_t number = 0;
    std::vector<cell_state> cells;  ///< ascending id
  };

  static void expect(bool holds, char const* id, std::string const& where,
                     std::string const& message) {
    SEPTUM_EXPECTS(holds, unsupported_error(id, where + ": " + message));
  }
  [[nodiscard]] static std::string name_of(cell_link const& link) {
    return "link from frame " + to_text(link.source_frame) + ", cell " + to_text(link.source) +
           " to frame " + to_text(link.target_frame) + ", cell " + to_text(link.target);
  }

  void add_frame(frame_cells const& frame) {
    frame_state state{.number = frame.frame, .cells = {}};
    for (detection const& cell : frame.cells)
      state.cells.push_back({.id = cell.id, .at_border = cell.at_border});
    std::sort(state.cells.begin(), state.cells.end(),
              [](cell_state const& a, cell_state const& b) { return a.id < b.id; });
    for (std::size_t i = 1; i < state.cells.size(); ++i)
      expect(state.cells[i - 1].id < state.cells[i].id, "septum.lineage.2",
             "frame " + to_text(frame.frame),
             "expected every number once, found two cells " + to_text(state.cells[i].id));
    if (frames_.empty()) first_frame_ = frame.frame;
    frames_.push_back(std::move(state));
  }

  [[nodiscard]] std::optional<place> find(std::int64_t frame, std::int64_t id) const {
    auto const state = std::lower_bound(
        frames_.begin(), frames_.end(), frame,
        [](frame_state const& a, std::int64_t number) { return a.number < number; });
    if (state == frames_.end() || state->number != frame) return std::nullopt;
    auto const cell =
        std::lower_bound(state->cells.begin(), state->cells.end(), id,
                         [](cell_state const& a, std::int64_t number) { return a.id < number; });
    if (cell == state->cells.end() || cell->id != id) return std::nullopt;
    return place{frame, static_cast<std::size_t>(cell - state->cells.begin())};
  }
  [[nodiscard]] cell_state& at(place where) {
    auto const state = std::lower_bound(
        frames_.begin(), frames_.end(), where.frame,
        [](frame_state const& a, std::int64_t number) { return a.number < number; });
    return state->cells[where.cell];
  }
  [[nodiscard]] track& track_of(std::int64_t id) {
    return tracks_[static_cast<std::size_t>(row_of_.at(id))];
  }

  [[nodiscard]] std::pair<place, place> ends_of(cell_link const& link) const {
    expect(link.source_frame < link.target_frame && link.target_frame == frames_.back().number,
           "septum.lineage.3", name_of(link),
           "expected a link forward in time into frame " + to_text(frames_.back().number));
    auto const source = find(link.source_frame, link.source);
    auto const target = find(link.target_frame, link.target);
    expect(source.has_value(), "septum.lineage.4", name_of(link),
           "expected its first cell in the last " + to_text(window_) + " frames, found none");
    expect(target.has_value(), "septum.lineage.4", name_of(link),
           "expected its second cell in the frame, found none");
    return {*source, *target};
  }

  /// The target goes on as the source, or as one of its two daughters.
  void follow(cell_link const& link) {
    auto const [from, to] = ends_of(link);
    cell_state& source = at(from);
    cell_state& target = at(to);
    expect(!target.has_predecessor, "septum.lineage.5", name_of(link),
           "expected one predecessor, found a second one");
    expect(source.successors < 2, "septum.lineage.6", name_of(link),
           "expected at most two successors, found a third one");
    target.has_predecessor = true;
    ++source.successors;
    if (source.successors == 1) {
      source.successor = to;
      continue_track(source, from.frame, target, to.frame);
      return;
    }
    divide(source, from.frame);
    begin_track(target, to.frame, source.track, track_start::division);
  }

  void continue_track(cell_state const& source, std::int64_t from, cell_state& target,
                      std::int64_t to) {
    track& own = track_of(source.track);
    own.last_frame = to;
    target.track = source.track;
    target.label = source.label;
    if (to - from == 1) {
      own.parts.back().last_frame = to;
    } else {
      target.label = ++last_number_;
      own.parts.push_back({target.label, to, to});
    }
    set_border(source.track, target.at_border);
  }

  /// The track of a cell ends with it: what has followed so far becomes the first daughter.
  void divide(cell_state const& source, std::int64_t frame) {
    std::int64_t const daughter = ++last_number_;
    add_row(daughter);
    track& mother = track_of(source.track);
    track& first = track_of(daughter);
    first = {.id = daughter,
             .parent = mother.id,
             .first_frame = source.successor.frame,
             .last_frame = mother.last_frame,
             .start = track_start::division,
             .end = mother.end,
             .merged_into = mother.merged_into,
             .parts = {}};
    ends_at_border_[static_cast<std::size_t>(row_of_.at(daughter))] =
        ends_at_border_[static_cast<std::size_t>(row_of_.at(mother.id))];
    std::vector<track_part> kept;
    std::int64_t renamed = 0;
    for (track_part const& part : mother.parts) {
      if (part.first_frame <= frame)
        kept.push_back({part.label, part.first_frame, std::min(part.last_frame, frame)});
      if (part.last_frame <= frame) continue;
      // The daughter's first part has the daughter's number.
      bool const is_first = first.parts.empty();
      if (is_first) renamed = part.label;
      first.parts.push_back({is_first ? daughter : part.label,
                             std::max(part.first_frame, first.first_frame), part.last_frame});
    }
    mother.parts = std::move(kept);
    mother.last_frame = frame;
    mother.end = track_end::division;
    mother.merged_into = 0;
    // What has followed may have divided already, or others may have gone into it.
    if (first.end == track_end::division || has_merges_)
      for (track& other : tracks_) {
        if (other.parent == mother.id && other.id != daughter) other.parent = daughter;
        if (other.merged_into == mother.id && other.last_frame >= frame)
          other.merged_into = daughter;
      }
    place where = source.successor;
    while (true) {
      cell_state& cell = at(where);
      if (cell.track != mother.id) break;
      cell.track = daughter;
      if (cell.label == renamed) cell.label = daughter;
      if (cell.successors == 0) break;
      where = cell.successor;
    }
  }

  /// The source ends in the target, which has its own past.
  void merge(cell_link const& link) {
    auto const [from, to] = ends_of(link);
    cell_state& source = at(from);
    expect(source.successors == 0 && !source.has_merged, "septum.lineage.6", name_of(link),
           "expected no other successor of a cell that merges, found one");
    source.has_merged = has_merges_ = true;
    merges_.emplace_back(source.track, to);
  }

  void begin_tracks(frame_cells const& frame) {
    for (cell_state& cell : frames_.back().cells) {
      if (cell.has_predecessor) continue;
      begin_track(cell, frame.frame, 0,
                  frame.frame == first_frame_ ? track_start::movie_start
                  : cell.at_border            ? track_start::entered
                                              : track_start::appeared);
    }
    for (auto const& [from, to] : merges_) {
      track& own = track_of(from);
      own.end = track_end::merged;
      own.merged_into = at(to).track;
    }
    merges_.clear();
  }

  void begin_track(cell_state& cell, std::int64_t frame, std::int64_t parent, track_start start) {
    std::int64_t const id = ++last_number_;
    add_row(id);
    track_of(id) = {.id = id,
                    .parent = parent,
                    .first_frame = frame,
                    .last_frame = frame,
                    .start = start,
                    .end = track_end::lost,
                    .merged_into = 0,
                    .parts = {{id, frame, frame}}};
    cell.track = cell.label = id;
    set_border(id, cell.at_border);
  }

  void add_row(std::int64_t id) {
    row_of_.emplace(id, static_cast<std::int64_t>(tracks_.size()));
    tracks_.emplace_back();
    ends_at_border_.push_back(false);
  }
  void set_border(std::int64_t id, bool at_border) {
    ends_at_border_[static_cast<std::size_t>(row_of_.at(id))] = at_border;
  }

  [[nodiscard]] tracked_frame take_front() {
    tracked_frame done{.frame = frames_.front().number, .cells = {}};
    for (cell_state const& cell : frames_.front().cells)
      done.cells.push_back({cell.id, cell.track, cell.label});
    frames_.pop_front();
    return done;
  }

  std::int64_t window_;
  std::int64_t first_frame_ = 0;
  std::int64_t last_number_ = 0;
  std::deque<frame_state> frames_;
  std::vector<track> tracks_;
  std::vector<bool> ends_at_border_;
  std::map<std::int64_t, std::int64_t> row_of_;
  std::vector<std::pair<std::int64_t, place>> merges_;
  bool has_merges_ = false;
};

/// Tracks of a whole movie, and the track of every cell.
struct lineage {
  std::vector<track> tracks;  ///< ascending id
  std::vector<tracked_frame> frames;
};

/// Tracks from the cells of a movie (ascending frames) and the links between them, in any order.
/// throws     as lineage_builder::push
[[nodiscard]] inline lineage make_lineage(std::span<frame_cells const> frames,
                                          std::span<cell_link const> links) {
  std::int64_t window = 1;
  for (cell_link const& link : links)
    window = std::max(window, link.target_frame - link.source_frame);
  std::vector<cell_link> ordered(links.begin(), links.end());
  std::stable_sort(ordered.begin(), ordered.end(), [](cell_link const& a, cell_link const& b) {
    return a.target_frame < b.target_frame;
  });
  lineage_builder builder{window};
  lineage result;
  auto const keep = [&](std::vector<tracked_frame> done) {
    for (tracked_frame& frame : done) result.frames.push_back(std::move(frame));
  };
  auto next = ordered.begin();
  for (frame_cells const& frame : frames) {
    auto const begin = next;
    while (next != ordered.end() && next->target_frame <= frame.frame) ++next;
    keep(builder.push(frame, {begin, next}));
  }
  SEPTUM_EXPECTS(
      next == ordered.end(),
      unsupported_error("septum.lineage.4", "link into frame " + to_text(next->target_frame) +
                                                ": expected a frame of the movie"));
  keep(builder.finish());
  result.tracks = builder.tracks();
  return result;
}

/// The family trees in Newick format, one per line: `(daughter,daughter)number:length;` with
/// lengths in frames from the first to the last, inclusive.
[[nodiscard]] inline std::string to_newick(std::span<track const> tracks) {
  // A daughter begins after its mother, so latest first has every daughter before its mother.
  std::vector<std::size_t> order(tracks.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair{-tracks[a].first_frame, tracks[a].id} <
           std::pair{-tracks[b].first_frame, tracks[b].id};
  });
  std::map<std::int64_t, std::string> below;
  std::map<std::int64_t, std::string> roots;
  for (std::size_t const i : order) {
    track const& t = tracks[i];
    auto const inner = below.extract(t.id);
    std::string text = inner.empty() ? std::string{} : "(" + inner.mapped() + ")";
    text += to_text(t.id) + ":" + to_text(t.last_frame - t.first_frame + 1);
    if (t.parent == 0) {
      roots[t.id] = std::move(text);
      continue;
    }
    std::string& siblings = below[t.parent];
    siblings += (siblings.empty() ? "" : ",") + text;
  }
  std::string result;
  for (auto const& [id, text] : roots) result += text + ";\n";
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
