#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/csv.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/lineage.hpp>
#include <septum/track/lineage_tree.hpp>
#include <septum/track/link.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// Writes links between cells of label images, frame by frame: `source_frame, source_label,
/// target_frame, target_label, kind`.
class links_writer {
 public:
  explicit links_writer(std::filesystem::path const& path)
      : table_{path, {"source_frame", "source_label", "target_frame", "target_label", "kind"}} {}

  void add(std::span<cell_link const> links) {
    for (cell_link const& link : links)
      table_.row(link.source_frame, link.source, link.target_frame, link.target,
                 to_string(link.kind));
  }
  void commit() { table_.commit(); }

 private:
  csv_writer table_;
};

inline void write_links(std::filesystem::path const& path, std::span<cell_link const> links) {
  links_writer writer{path};
  writer.add(links);
  writer.commit();
}

/// Writes links between rows of a table of points: `source_id, target_id, kind`.
inline void write_point_links(std::filesystem::path const& path, std::span<cell_link const> links) {
  csv_writer table{path, {"source_id", "target_id", "kind"}};
  for (cell_link const& link : links) table.row(link.source, link.target, to_string(link.kind));
  table.commit();
}

/// Writes `track, parent, first_frame, last_frame, start, end`; parent 0 for none.
inline void write_tracks(std::filesystem::path const& path, std::span<track const> tracks) {
  csv_writer table{path, {"track", "parent", "first_frame", "last_frame", "start", "end"}};
  for (track const& t : tracks)
    table.row(t.id, t.parent, t.first_frame, t.last_frame, to_string(t.start), to_string(t.end));
  table.commit();
}

/// Writes the family trees as Newick text, one tree per line.
inline void write_newick(std::filesystem::path const& path, std::span<track const> tracks) {
  write_file(path, to_newick(tracks));
}

/// Draws the family trees (SVG).
inline void write_lineage_svg(std::filesystem::path const& path, std::span<track const> tracks,
                              lineage_drawing const& drawing = {}) {
  write_file(path, to_svg(tracks, drawing));
}

namespace detail {

/// The value whose name stands in a field.
template <class Enum>
[[nodiscard]] Enum named_value(csv_table const& table, std::size_t row, std::size_t column,
                               std::span<Enum const> values) {
  std::string_view const text = table.text(row, column);
  std::string known;
  for (Enum const value : values) {
    if (to_string(value) == text) return value;
    known += (known.empty() ? "" : ", ") + std::string{to_string(value)};
  }
  throw io_error{"septum.tracks.1", table.name() + ": line " + to_text(table.line(row)) +
                                        ": expected one of " + known + ", found '" +
                                        printable(text, 40) + "'"};
}

inline constexpr std::array link_kinds{link_kind::link, link_kind::gap, link_kind::split,
                                       link_kind::merge};
inline constexpr std::array track_starts{track_start::movie_start, track_start::division,
                                         track_start::entered, track_start::appeared};
inline constexpr std::array track_ends{track_end::movie_end, track_end::division, track_end::left,
                                       track_end::lost, track_end::merged};

}  // namespace detail

/// Reads what `write_links` writes. throws     io_error that names the line
[[nodiscard]] inline std::vector<cell_link> read_links(std::filesystem::path const& path) {
  csv_table const table{path};
  std::array const columns{table.column("source_frame"), table.column("source_label"),
                           table.column("target_frame"), table.column("target_label"),
                           table.column("kind")};
  std::vector<cell_link> links;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    cell_link link;
    link.source_frame = table.number<std::int64_t>(row, columns[0]);
    link.source = table.number<std::int64_t>(row, columns[1]);
    link.target_frame = table.number<std::int64_t>(row, columns[2]);
    link.target = table.number<std::int64_t>(row, columns[3]);
    link.kind = detail::named_value<link_kind>(table, row, columns[4], detail::link_kinds);
    if (link.source_frame >= link.target_frame)
      throw io_error{"septum.tracks.2", table.name() + ": line " + to_text(table.line(row)) +
                                            ": expected a link forward in time, found frame " +
                                            to_text(link.source_frame) + " to " +
                                            to_text(link.target_frame)};
    links.push_back(link);
  }
  return links;
}

/// Reads what `write_tracks` writes, without the parts of the tracks.
/// throws     io_error that names the line and the track: a number twice, a missing parent, a
///            track that ends before it begins or begins before its parent ends, three daughters
[[nodiscard]] inline std::vector<track> read_tracks(std::filesystem::path const& path) {
  csv_table const table{path};
  std::array const columns{table.column("track"),       table.column("parent"),
                           table.column("first_frame"), table.column("last_frame"),
                           table.column("start"),       table.column("end")};
  std::vector<track> tracks;
  std::map<std::int64_t, std::size_t> row_of;
  auto const expect = [&](bool holds, std::size_t row, std::string const& message) {
    if (!holds)
      throw io_error{"septum.tracks.3", table.name() + ": line " + to_text(table.line(row)) +
                                            ": track " + to_text(tracks[row].id) + ": " + message};
  };
  for (std::size_t row = 0; row < table.rows(); ++row) {
    track t;
    t.id = table.number<std::int64_t>(row, columns[0]);
    t.parent = table.number<std::int64_t>(row, columns[1]);
    t.first_frame = table.number<std::int64_t>(row, columns[2]);
    t.last_frame = table.number<std::int64_t>(row, columns[3]);
    t.start = detail::named_value<track_start>(table, row, columns[4], detail::track_starts);
    t.end = detail::named_value<track_end>(table, row, columns[5], detail::track_ends);
    tracks.push_back(t);
    expect(t.id > 0, row, "expected a number above 0");
    expect(row_of.emplace(t.id, row).second, row, "expected every track once, found it twice");
    expect(t.first_frame <= t.last_frame, row,
           "expected a last frame from " + to_text(t.first_frame) + ", found " +
               to_text(t.last_frame));
  }
  std::map<std::int64_t, int> daughters;
  for (std::size_t row = 0; row < tracks.size(); ++row) {
    track const& t = tracks[row];
    if (t.parent == 0) continue;
    auto const parent = row_of.find(t.parent);
    expect(parent != row_of.end(), row,
           "expected its parent " + to_text(t.parent) + " in the table, found none");
    std::int64_t const ended = tracks[parent->second].last_frame;
    expect(ended < t.first_frame, row,
           "expected a first frame after the last of its parent, " + to_text(ended) + ", found " +
               to_text(t.first_frame));
    expect(++daughters[t.parent] <= 2, row,
           "expected at most two daughters of " + to_text(t.parent) + ", found a third one");
  }
  return tracks;
}

/// Reads a table of points: columns id, frame, x, y and, where present, z; also position_x and so
/// on, in lower or upper case. Frames come in ascending order, points in the order of the table.
/// throws     io_error that names the line: a column that is missing, a number twice, a position
///            that is no number
[[nodiscard]] inline std::vector<frame_cells> read_points(std::filesystem::path const& path) {
  csv_table const table{path};
  auto const find = [&](std::string const& lower) -> std::optional<std::size_t> {
    std::string upper = lower;
    for (char& c : upper)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    for (std::string const& name : {lower, "position_" + lower, upper, "POSITION_" + upper})
      if (auto const column = table.find_column(name)) return column;
    return std::nullopt;
  };
  auto const required = [&](std::string const& name) {
    auto const column = find(name);
    return column ? *column : table.column(name);
  };
  std::size_t const id = required("id"), frame = required("frame"), x = required("x"),
                    y = required("y");
  auto const z = find("z");
  std::map<std::int64_t, frame_cells> frames;
  std::set<std::int64_t> known;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    auto const number = table.number<std::int64_t>(row, frame);
    detection cell{.id = table.number<std::int64_t>(row, id),
                   .y = table.number<double>(row, y),
                   .x = table.number<double>(row, x),
                   .z = z ? table.number<double>(row, *z) : 0.0};
    auto const where = [&] { return table.name() + ": line " + to_text(table.line(row)); };
    if (!known.insert(cell.id).second)
      throw io_error{"septum.tracks.4",
                     where() + ": expected every id once, found " + to_text(cell.id) + " twice"};
    if (!std::isfinite(cell.y) || !std::isfinite(cell.x) || !std::isfinite(cell.z))
      throw io_error{"septum.tracks.5", where() + ": expected a finite position, found " +
                                            to_text(cell.x) + ", " + to_text(cell.y)};
    frames[number].frame = number;
    frames[number].cells.push_back(cell);
  }
  std::vector<frame_cells> result;
  for (auto& [number, cells] : frames) result.push_back(std::move(cells));
  return result;
}

}  // namespace septum::inline SEPTUM_ABI::io
