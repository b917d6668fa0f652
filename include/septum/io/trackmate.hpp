#pragma once
#include <septum/core/error.hpp>
#include <septum/core/markup.hpp>
#include <septum/core/text.hpp>
#include <septum/io/detail/xml.hpp>
#include <septum/io/file.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/link.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <numbers>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// What the numbers of a TrackMate file mean.
struct trackmate_units {
  double pixel_size = 1.0;      ///< length of a pixel; positions are multiplied by it
  double frame_interval = 1.0;  ///< time from frame to frame
  std::string length_unit = "pixel";
  std::string time_unit = "frame";
  std::int64_t rows = 0;  ///< of the image; 0 when unknown
  std::int64_t columns = 0;
};

/// Points and links of a TrackMate file. Positions are in the file's unit of length.
struct trackmate_model {
  std::vector<frame_cells> frames;  ///< ascending; `detection::id` is the spot's number
  std::vector<cell_link> links;     ///< ordered by source frame, source, target
  trackmate_units units;
};

namespace detail {

/// Numbers of spots: a table of points has its own, unique ones; cells of label images are counted.
class spot_numbers {
 public:
  explicit spot_numbers(std::span<frame_cells const> frames) {
    std::set<std::int64_t> seen;
    for (frame_cells const& frame : frames)
      for (detection const& cell : frame.cells) unique_ = seen.insert(cell.id).second && unique_;
    std::int64_t next = 0;
    for (frame_cells const& frame : frames)
      for (detection const& cell : frame.cells)
        number_[{frame.frame, cell.id}] = unique_ ? cell.id : next++;
  }
  /// throws     io_error when there is no such cell
  [[nodiscard]] std::int64_t of(std::int64_t frame, std::int64_t id) const {
    auto const found = number_.find({frame, id});
    if (found == number_.end())
      throw io_error{"septum.trackmate.1",
                     "link: expected cell " + to_text(id) + " in frame " + to_text(frame),
                     fault::internal};
    return found->second;
  }

 private:
  bool unique_ = true;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> number_;
};

/// Links grouped into connected sets, each the edges of one track.
[[nodiscard]] inline std::vector<std::vector<cell_link>> connected_links(
    std::span<cell_link const> links) {
  using cell = std::pair<std::int64_t, std::int64_t>;
  std::map<cell, std::size_t> index;
  std::vector<std::size_t> parent;
  auto const root = [&](std::size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  auto const find = [&](cell const& c) {
    auto const [entry, is_new] = index.emplace(c, parent.size());
    if (is_new) parent.push_back(parent.size());
    return entry->second;
  };
  for (cell_link const& link : links) {
    std::size_t const a = root(find({link.source_frame, link.source}));
    std::size_t const b = root(find({link.target_frame, link.target}));
    parent[std::max(a, b)] = std::min(a, b);
  }
  std::map<std::size_t, std::vector<cell_link>> groups;
  for (cell_link const& link : links)
    groups[root(find({link.source_frame, link.source}))].push_back(link);
  std::vector<std::vector<cell_link>> result;
  for (auto& [key, group] : groups) result.push_back(std::move(group));
  return result;
}

inline constexpr std::string_view trackmate_features =
    "    <FeatureDeclarations>\n"
    "      <SpotFeatures>\n"
    "        <Feature feature=\"QUALITY\" name=\"Quality\" shortname=\"Quality\" "
    "dimension=\"QUALITY\" isint=\"false\" />\n"
    "        <Feature feature=\"POSITION_X\" name=\"X\" shortname=\"X\" dimension=\"POSITION\" "
    "isint=\"false\" />\n"
    "        <Feature feature=\"POSITION_Y\" name=\"Y\" shortname=\"Y\" dimension=\"POSITION\" "
    "isint=\"false\" />\n"
    "        <Feature feature=\"POSITION_Z\" name=\"Z\" shortname=\"Z\" dimension=\"POSITION\" "
    "isint=\"false\" />\n"
    "        <Feature feature=\"POSITION_T\" name=\"T\" shortname=\"T\" dimension=\"TIME\" "
    "isint=\"false\" />\n"
    "        <Feature feature=\"FRAME\" name=\"Frame\" shortname=\"Frame\" dimension=\"NONE\" "
    "isint=\"true\" />\n"
    "        <Feature feature=\"RADIUS\" name=\"Radius\" shortname=\"R\" dimension=\"LENGTH\" "
    "isint=\"false\" />\n"
    "        <Feature feature=\"VISIBILITY\" name=\"Visibility\" shortname=\"Visibility\" "
    "dimension=\"NONE\" isint=\"true\" />\n"
    "      </SpotFeatures>\n"
    "      <EdgeFeatures>\n"
    "        <Feature feature=\"SPOT_SOURCE_ID\" name=\"Source spot ID\" shortname=\"Source ID\" "
    "dimension=\"NONE\" isint=\"true\" />\n"
    "        <Feature feature=\"SPOT_TARGET_ID\" name=\"Target spot ID\" shortname=\"Target ID\" "
    "dimension=\"NONE\" isint=\"true\" />\n"
    "        <Feature feature=\"LINK_COST\" name=\"Edge cost\" shortname=\"Cost\" "
    "dimension=\"COST\" isint=\"false\" />\n"
    "        <Feature feature=\"EDGE_TIME\" name=\"Edge time\" shortname=\"Edge T\" "
    "dimension=\"TIME\" isint=\"false\" />\n"
    "      </EdgeFeatures>\n"
    "      <TrackFeatures>\n"
    "        <Feature feature=\"TRACK_INDEX\" name=\"Track index\" shortname=\"Index\" "
    "dimension=\"NONE\" isint=\"true\" />\n"
    "        <Feature feature=\"TRACK_ID\" name=\"Track ID\" shortname=\"ID\" dimension=\"NONE\" "
    "isint=\"true\" />\n"
    "      </TrackFeatures>\n"
    "    </FeatureDeclarations>\n";

/// No filter leaves anything out, and no analyzer has to be run again. Readers expect all of them.
inline constexpr std::string_view trackmate_settings =
    "    <InitialSpotFilter feature=\"QUALITY\" value=\"0.0\" isabove=\"true\" />\n"
    "    <SpotFilterCollection />\n"
    "    <TrackFilterCollection />\n"
    "    <AnalyzerCollection>\n"
    "      <SpotAnalyzers />\n"
    "      <EdgeAnalyzers />\n"
    "      <TrackAnalyzers />\n"
    "    </AnalyzerCollection>\n"
    "  </Settings>\n"
    "  <GUIState state=\"ConfigureViews\" />\n"
    "</TrackMate>\n";

}  // namespace detail

/// Writes points or cells and their links as TrackMate's XML. A spot's radius is that of a disc of
/// the cell's area.
inline void write_trackmate(std::filesystem::path const& path, std::span<frame_cells const> frames,
                            std::span<cell_link const> links, trackmate_units const& units = {}) {
  detail::spot_numbers const number{frames};
  std::size_t spots = 0;
  std::int64_t last_frame = 0;
  for (frame_cells const& frame : frames) {
    spots += frame.cells.size();
    last_frame = std::max(last_frame, frame.frame);
  }
  auto const quoted = [](auto const& value) { return "\"" + to_text(value) + "\""; };
  atomic_file file{path};
  std::string text =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<TrackMate version=\"7.11.1\">\n"
      "  <Model spatialunits=\"" +
      escape_markup(units.length_unit) + "\" timeunits=\"" + escape_markup(units.time_unit) +
      "\">\n";
  text += detail::trackmate_features;
  text += "    <AllSpots nspots=" + quoted(spots) + ">\n";
  auto const flush = [&](std::size_t least) {
    if (text.size() < least) return;
    file.write(std::as_bytes(std::span{text}));
    text.clear();
  };
  constexpr std::size_t enough = std::size_t{1} << 18U;
  for (frame_cells const& frame : frames) {
    text += "      <SpotsInFrame frame=" + quoted(frame.frame) + ">\n";
    for (detection const& cell : frame.cells) {
      std::string const id = to_text(number.of(frame.frame, cell.id));
      double const radius = cell.area > 0 ? std::sqrt(cell.area / std::numbers::pi) : 1.0;
      text += "        <Spot ID=\"" + id + "\" name=\"ID" + id + "\" QUALITY=\"1.0\" POSITION_T=" +
              quoted(units.frame_interval * static_cast<double>(frame.frame)) +
              " FRAME=" + quoted(frame.frame) +
              " VISIBILITY=\"1\" RADIUS=" + quoted(radius * units.pixel_size) +
              " POSITION_X=" + quoted(cell.x * units.pixel_size) +
              " POSITION_Y=" + quoted(cell.y * units.pixel_size) +
              " POSITION_Z=" + quoted(cell.z * units.pixel_size) + " />\n";
    }
    text += "      </SpotsInFrame>\n";
    flush(enough);
  }
  text += "    </AllSpots>\n    <AllTracks>\n";
  auto const tracks = detail::connected_links(links);
  for (std::size_t t = 0; t < tracks.size(); ++t) {
    text += "      <Track name=\"Track_" + to_text(t) + "\" TRACK_ID=" + quoted(t) +
            " TRACK_INDEX=" + quoted(t) + ">\n";
    for (cell_link const& link : tracks[t])
      text += "        <Edge SPOT_SOURCE_ID=" + quoted(number.of(link.source_frame, link.source)) +
              " SPOT_TARGET_ID=" + quoted(number.of(link.target_frame, link.target)) +
              " LINK_COST=" + quoted(link.cost) + " EDGE_TIME=" +
              quoted(units.frame_interval *
                     static_cast<double>(link.source_frame + link.target_frame) / 2) +
              " />\n";
    text += "      </Track>\n";
    flush(enough);
  }
  text += "    </AllTracks>\n    <FilteredTracks>\n";
  for (std::size_t t = 0; t < tracks.size(); ++t)
    text += "      <TrackID TRACK_ID=" + quoted(t) + " />\n";
  text +=
      "    </FilteredTracks>\n  </Model>\n  <Settings>\n    <ImageData filename=\"\" "
      "folder=\"\" width=" +
      quoted(units.columns) + " height=" + quoted(units.rows) +
      " nslices=\"1\" nframes=" + quoted(last_frame + 1) +
      " pixelwidth=" + quoted(units.pixel_size) + " pixelheight=" + quoted(units.pixel_size) +
      " voxeldepth=\"1.0\" timeinterval=" + quoted(units.frame_interval) +
      " />\n    <BasicSettings xstart=\"0\" xend=" +
      quoted(std::max<std::int64_t>(units.columns - 1, 0)) +
      " ystart=\"0\" yend=" + quoted(std::max<std::int64_t>(units.rows - 1, 0)) +
      " zstart=\"0\" zend=\"0\" tstart=\"0\" tend=" + quoted(last_frame) + " />\n";
  text += detail::trackmate_settings;
  flush(0);
  file.commit();
}

/// Reads spots and edges from the text of a TrackMate file. Edges are turned forward in time; an
/// edge over more than one frame is a gap; among several from one spot all but the first are
/// splits, and among several into one spot all but the first are merges.
/// @param name  what messages call the text
/// throws     io_error that names the line: damaged XML, an attribute that is missing or no number,
///            a spot twice, an edge from or to a spot that is not there or within one frame
[[nodiscard]] inline trackmate_model parse_trackmate(std::string_view document,
                                                     std::string const& name) {
  detail::xml_walk walk{document, name};
  detail::xml_tag tag;
  auto const text_of = [&](std::string const& key) -> std::string const& {
    auto const found = tag.attributes.find(key);
    if (found == tag.attributes.end())
      walk.fail("<" + tag.name + ">: expected an attribute " + key + ", found none");
    return found->second;
  };
  auto const number_of = [&]<class T>(std::string const& key, T) {
    std::string const& written = text_of(key);
    auto const value = parse_number<T>(written);
    if (!value)
      walk.fail("<" + tag.name + "> " + key + ": expected a number, found '" +
                printable(written, 40) + "'");
    return *value;
  };
  trackmate_model model;
  std::map<std::int64_t, frame_cells> frames;
  std::map<std::int64_t, std::int64_t> frame_of;
  std::set<std::pair<std::int64_t, std::int64_t>> known;
  bool is_trackmate = false;
  while (walk.next(tag)) {
    if (tag.closing) continue;
    if (tag.name == "TrackMate") is_trackmate = true;
    if (!is_trackmate) walk.fail("expected <TrackMate>, found <" + printable(tag.name, 40) + ">");
    if (tag.name == "Model") {
      if (tag.attributes.contains("spatialunits"))
        model.units.length_unit = text_of("spatialunits");
      if (tag.attributes.contains("timeunits")) model.units.time_unit = text_of("timeunits");
    } else if (tag.name == "ImageData") {
      model.units.pixel_size = number_of("pixelwidth", 0.0);
      model.units.frame_interval = number_of("timeinterval", 0.0);
      model.units.rows = number_of("height", std::int64_t{});
      model.units.columns = number_of("width", std::int64_t{});
    } else if (tag.name == "Spot") {
      std::int64_t const id = number_of("ID", std::int64_t{});
      double const frame = number_of("FRAME", 0.0);
      detection cell{.id = id,
                     .y = number_of("POSITION_Y", 0.0),
                     .x = number_of("POSITION_X", 0.0),
                     .z = tag.attributes.contains("POSITION_Z") ? number_of("POSITION_Z", 0.0) : 0};
      if (!std::isfinite(cell.x) || !std::isfinite(cell.y) || !std::isfinite(cell.z) ||
          std::abs(frame) > 1e15 || frame != std::floor(frame))
        walk.fail("<Spot>: expected a whole frame and a finite position");
      auto const at = static_cast<std::int64_t>(frame);
      if (!frame_of.emplace(id, at).second)
        walk.fail("expected every spot once, found " + to_text(id) + " twice");
      frames[at].frame = at;
      frames[at].cells.push_back(cell);
    } else if (tag.name == "Edge") {
      cell_link link;
      link.source = number_of("SPOT_SOURCE_ID", std::int64_t{});
      link.target = number_of("SPOT_TARGET_ID", std::int64_t{});
      if (tag.attributes.contains("LINK_COST")) link.cost = number_of("LINK_COST", 0.0);
      auto const from = frame_of.find(link.source), to = frame_of.find(link.target);
      if (from == frame_of.end() || to == frame_of.end())
        walk.fail("<Edge>: expected spots of the file, found " + to_text(link.source) + " to " +
                  to_text(link.target));
      link.source_frame = from->second;
      link.target_frame = to->second;
      if (link.source_frame > link.target_frame) {
        std::swap(link.source, link.target);
        std::swap(link.source_frame, link.target_frame);
      }
      if (link.source_frame == link.target_frame)
        walk.fail("<Edge>: expected spots of two frames, found two of frame " +
                  to_text(link.source_frame));
      if (!known.emplace(link.source, link.target).second)
        walk.fail("<Edge>: expected every edge once, found " + to_text(link.source) + " to " +
                  to_text(link.target) + " twice");
      model.links.push_back(link);
    }
  }
  if (!is_trackmate) walk.fail("expected <TrackMate>, found none");
  for (auto& [number, frame] : frames) model.frames.push_back(std::move(frame));
  std::sort(model.links.begin(), model.links.end(), [](cell_link const& a, cell_link const& b) {
    return std::tie(a.source_frame, a.source, a.target_frame, a.target) <
           std::tie(b.source_frame, b.source, b.target_frame, b.target);
  });
  model.links = with_kinds(std::move(model.links));
  return model;
}

/// The same from a file.
[[nodiscard]] inline trackmate_model read_trackmate(std::filesystem::path const& path) {
  file_content const content = read_file(path);
  return parse_trackmate(content.text(), detail::shown(path));
}

}  // namespace septum::inline SEPTUM_ABI::io
