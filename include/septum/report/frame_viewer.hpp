#pragma once
#include <septum/core/text.hpp>
#include <septum/report/colour_map.hpp>
#include <septum/report/page.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace septum::inline SEPTUM_ABI::report {

/// One cell in one frame of the viewer.
struct viewer_cell {
  std::int64_t label = 0;
  std::int64_t track = 0;
  double area = std::numeric_limits<double>::quiet_NaN();
  double rate_per_h = std::numeric_limits<double>::quiet_NaN();
  std::string path{};  ///< its outline in the pixels of the viewer's pictures
};

/// One frame: its picture, the map of interior probability where there is one, and its cells.
struct viewer_frame {
  std::string name{};
  std::int64_t number = 0;
  std::string image{};        ///< data address
  std::string probability{};  ///< data address of a picture with transparency, or empty
  std::vector<viewer_cell> cells{};
};

/// A movie with a slider. All pictures have one size.
struct frame_viewer {
  int width_px = 0;
  int height_px = 0;
  double frame_interval_min = 0;
  std::string area_unit = "µm²";
  colour_map growth{};
  std::vector<viewer_frame> frames{};
};

namespace detail {

[[nodiscard]] inline std::string json_number(double value, int digits) {
  if (!std::isfinite(value)) return "null";
  return px(std::round(value * std::pow(10.0, digits)) / std::pow(10.0, digits));
}

/// JSON inside a script element: quotes and backslashes escaped, and nothing that could end the
/// element.
[[nodiscard]] inline std::string json_text(std::string_view text) {
  std::string result = "\"";
  for (char const c : printable(text, std::string::npos)) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '<')
      result += "\\u003c";
    else
      result += c;
  }
  return result + '"';
}

constexpr int viewer_shades = 64;

[[nodiscard]] inline std::string viewer_data(frame_viewer const& viewer) {
  std::string json = "{\"interval\":" + to_text(viewer.frame_interval_min) + ",\"palette\":[";
  double const span = viewer.growth.highest - viewer.growth.lowest;
  for (int k = 0; k < viewer_shades; ++k)
    json += (k == 0 ? "\"" : ",\"") +
            viewer.growth(viewer.growth.lowest + span * (k + 0.5) / viewer_shades) + "\"";
  json += "],\"frames\":[";
  for (std::size_t f = 0; f < viewer.frames.size(); ++f) {
    viewer_frame const& frame = viewer.frames[f];
    json += (f == 0 ? "\n" : ",\n") + std::string{"{\"name\":"} + json_text(frame.name) +
            ",\"number\":" + to_text(frame.number) + ",\"image\":\"" + frame.image + "\"";
    if (!frame.probability.empty()) json += ",\"probability\":\"" + frame.probability + "\"";
    json += ",\"cells\":[";
    for (std::size_t k = 0; k < frame.cells.size(); ++k) {
      viewer_cell const& cell = frame.cells[k];
      int const shade =
          std::isfinite(cell.rate_per_h)
              ? std::min(static_cast<int>(viewer.growth.part(cell.rate_per_h) * viewer_shades),
                         viewer_shades - 1)
              : -1;
      json += (k == 0 ? "[" : ",[") + to_text(cell.label) + "," + to_text(cell.track) + "," +
              to_text(shade) + "," + json_number(cell.area, 2) + "," +
              json_number(cell.rate_per_h, 2) + ",\"" + cell.path + "\"]";
    }
    json += "]}";
  }
  return json + "]}";
}

}  // namespace detail

/// Puts the viewer into a section of its own with the id `movie`.
inline void put_viewer(page& target, frame_viewer const& viewer) {
  if (viewer.frames.empty()) return;
  target.section("movie", "Movie",
                 "Outlines have the colour of their track. Click a cell to follow it here, in the "
                 "growth curves and in the lineage tree.");
  bool const has_maps = std::any_of(viewer.frames.begin(), viewer.frames.end(),
                                    [](auto const& frame) { return !frame.probability.empty(); });
  std::string const extent = to_text(viewer.width_px) + " " + to_text(viewer.height_px);
  auto const toggle = [](std::string_view id, std::string_view text, std::string_view key) {
    return "<button type=\"button\" id=\"show-" + std::string{id} + "\" title=\"Key " +
           std::string{key} + "\">" + std::string{text} + "</button>";
  };
  std::string ramp;
  for (int k = 0; k <= 10; ++k) {
    double const share = k / 10.0;
    ramp += (k == 0 ? "" : ",") +
            viewer.growth(viewer.growth.lowest * (1 - share) + viewer.growth.highest * share);
  }
  auto const entry = [](std::string_view id, std::string_view name) {
    return "<dt>" + std::string{name} + "</dt><dd id=\"" + std::string{id} + "\">–</dd>";
  };
  target.html(
      "<div class=\"viewer\"><div><div class=\"stage\" id=\"stage\" style=\"max-width:calc(66vh "
      "* " +
      to_text(static_cast<double>(viewer.width_px) / std::max(viewer.height_px, 1), 4) +
      ")\"><img id=\"image\" "
      "alt=\"Frame of the movie\" width=\"" +
      to_text(viewer.width_px) + "\" height=\"" + to_text(viewer.height_px) +
      "\"><img id=\"over\" class=\"over\" alt=\"\"><svg id=\"cells\" viewBox=\"0 0 " + extent +
      "\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Outlines of cells\"></svg></div>"
      "<div class=\"bar\"><button type=\"button\" id=\"play\" title=\"Space\">Play</button>"
      "<input type=\"range\" id=\"slider\" min=\"0\" max=\"" +
      to_text(viewer.frames.size() - 1) +
      "\" value=\"0\" step=\"1\" aria-label=\"Frame\"><output id=\"where\" "
      "for=\"slider\"></output></div><div class=\"bar\">" +
      toggle("outlines", "Outlines", "O") + toggle("growth", "Growth", "G") +
      (has_maps ? toggle("probability", "Probability", "P") : std::string{}) +
      "</div></div><div class=\"side\"><dl>" + entry("frame-cells", "cells in frame") +
      entry("cell-track", "chosen track") + entry("cell-label", "label here") +
      entry("cell-area", "area (" + detail::xml_text(viewer.area_unit) + ")") +
      entry("cell-rate", "growth (per h)") +
      "</dl><div class=\"ramp\" style=\"background:linear-gradient(90deg," + ramp +
      ")\"></div><div class=\"ramp-ends\"><span>" + to_text(viewer.growth.lowest, 2) +
      "</span><span>growth (per h)</span><span>" + to_text(viewer.growth.highest, 2) +
      "</span></div><p class=\"keys\"><kbd>←</kbd> <kbd>→</kbd> frame, with <kbd>Shift</kbd> "
      "ten<br><kbd>Home</kbd> <kbd>End</kbd> first, last<br><kbd>Space</kbd> play<br><kbd>O</kbd> "
      "outlines <kbd>G</kbd> growth" +
      (has_maps ? " <kbd>P</kbd> probability" : "") +
      "<br><kbd>Esc</kbd> no cell <kbd>T</kbd> light / dark</p></div></div>\n"
      "<script type=\"application/json\" id=\"frames\">" +
      detail::viewer_data(viewer) + "</script>\n");
}

}  // namespace septum::inline SEPTUM_ABI::report
