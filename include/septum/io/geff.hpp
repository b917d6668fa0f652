#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/file.hpp>
#include <septum/io/output_folder.hpp>
#include <septum/io/trackmate.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/link.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

namespace detail {

/// Writes a Zarr 2 hierarchy whose arrays are one uncompressed chunk each.
class zarr_writer {
 public:
  /// @param folder  an existing folder
  explicit zarr_writer(std::filesystem::path folder) : folder_{std::move(folder)} {
    static_assert(std::endian::native == std::endian::little, "arrays are little-endian");
  }

  void group(std::filesystem::path const& name, nlohmann::ordered_json const& attributes) const {
    std::filesystem::path const place = made(name);
    write_file(place / ".zgroup", "{\"zarr_format\": 2}\n");
    write_file(place / ".zattrs", attributes.dump(2) + "\n");
  }

  /// @param columns  0 for an array of one axis
  template <class T>
  void array(std::filesystem::path const& name, std::span<T const> values,
             std::size_t columns = 0) const {
    constexpr std::string_view type = std::is_floating_point_v<T> ? "<f8"
                                      : std::is_signed_v<T>       ? "<i8"
                                                                  : "<u8";
    static_assert(sizeof(T) == 8);
    std::vector<std::size_t> shape{columns > 0 ? values.size() / columns : values.size()};
    if (columns > 0) shape.push_back(columns);
    auto chunks = shape;
    // A chunk has at least one entry, also in an array without any.
    chunks[0] = std::max<std::size_t>(chunks[0], 1);
    std::filesystem::path const place = made(name);
    write_file(place / ".zarray", nlohmann::ordered_json{{"zarr_format", 2},
                                                         {"shape", shape},
                                                         {"chunks", chunks},
                                                         {"dtype", type},
                                                         {"compressor", nullptr},
                                                         {"fill_value", 0},
                                                         {"order", "C"},
                                                         {"filters", nullptr}}
                                          .dump(2) +
                                      "\n");
    if (values.empty()) return;
    atomic_file file{place / (columns > 0 ? "0.0" : "0")};
    file.write(std::as_bytes(values));
    file.commit();
  }

 private:
  [[nodiscard]] std::filesystem::path made(std::filesystem::path const& name) const {
    std::filesystem::path place = folder_ / name;
    make_folders(place);
    return place;
  }

  std::filesystem::path folder_;
};

}  // namespace detail

/// Writes cells or points and their links as a GEFF 1.0 graph (Graph Exchange File Format, Zarr 2):
/// a node per cell with t, y, x (z for points in space), frame, label and area in pixels, and an
/// edge per link with its cost. Positions and times are in the units given; a unit that is only
/// "pixel" or "frame" is left open.
/// @param folder  an existing, empty folder; by custom its name ends in .geff or .zarr
/// throws     io_error when a file cannot be written
inline void write_geff(std::filesystem::path const& folder, std::span<frame_cells const> frames,
                       std::span<cell_link const> links, trackmate_units const& units = {}) {
  detail::spot_numbers const number{frames};
  std::vector<std::uint64_t> ids;
  std::vector<std::int64_t> frame_of, label;
  std::vector<double> t, y, x, z, area;
  bool in_space = false;
  for (frame_cells const& frame : frames)
    for (detection const& cell : frame.cells) {
      ids.push_back(static_cast<std::uint64_t>(number.of(frame.frame, cell.id)));
      frame_of.push_back(frame.frame);
      label.push_back(cell.id);
      t.push_back(units.frame_interval * static_cast<double>(frame.frame));
      y.push_back(units.pixel_size * cell.y);
      x.push_back(units.pixel_size * cell.x);
      z.push_back(units.pixel_size * cell.z);
      area.push_back(cell.area);
      in_space = in_space || cell.z != 0;
    }
  std::vector<std::uint64_t> edges;
  std::vector<double> cost;
  for (cell_link const& link : links) {
    edges.push_back(static_cast<std::uint64_t>(number.of(link.source_frame, link.source)));
    edges.push_back(static_cast<std::uint64_t>(number.of(link.target_frame, link.target)));
    cost.push_back(link.cost);
  }
  using json = nlohmann::ordered_json;
  json axes = json::array();
  json node_properties = json::object();
  auto const describe = [](json& properties, char const* name, bool whole) {
    properties[name] = {
        {"identifier", name}, {"dtype", whole ? "int64" : "float64"}, {"varlength", false}};
  };
  detail::zarr_writer const zarr{folder};
  auto const axis = [&](char const* name, char const* type, json const& unit,
                        std::vector<double> const& values) {
    axes.push_back({{"name", name}, {"type", type}, {"unit", unit}});
    describe(node_properties, name, false);
    zarr.array<double>("nodes/props/" + std::string{name} + "/values", values);
  };
  json const length = units.length_unit == "micron" ? json("micrometer") : json(nullptr);
  axis("t", "time", units.time_unit == "min" ? json("minute") : json(nullptr), t);
  if (in_space) axis("z", "space", length, z);
  axis("y", "space", length, y);
  axis("x", "space", length, x);
  describe(node_properties, "frame", true);
  zarr.array<std::int64_t>("nodes/props/frame/values", frame_of);
  describe(node_properties, "label", true);
  zarr.array<std::int64_t>("nodes/props/label/values", label);
  describe(node_properties, "area", false);
  zarr.array<double>("nodes/props/area/values", area);
  zarr.array<std::uint64_t>("nodes/ids", ids);
  json edge_properties = json::object();
  describe(edge_properties, "cost", false);
  zarr.array<double>("edges/props/cost/values", cost);
  zarr.array<std::uint64_t>("edges/ids", edges, 2);
  json const empty = json::object();
  for (auto const& property : node_properties.items())
    zarr.group("nodes/props/" + property.key(), empty);
  for (auto const& property : edge_properties.items())
    zarr.group("edges/props/" + property.key(), empty);
  for (char const* name : {"nodes", "nodes/props", "edges", "edges/props"}) zarr.group(name, empty);
  zarr.group("", {{"geff",
                   {{"geff_version", "1.0"},
                    {"directed", true},
                    {"axes", axes},
                    {"node_props_metadata", node_properties},
                    {"edge_props_metadata", edge_properties}}}});
}

}  // namespace septum::inline SEPTUM_ABI::io
