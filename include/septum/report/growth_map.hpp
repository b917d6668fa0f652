#pragma once
#include <septum/core/text.hpp>
#include <septum/image/outline.hpp>
#include <septum/image/types.hpp>
#include <septum/report/colour_map.hpp>
#include <septum/report/detail/svg.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace septum::inline SEPTUM_ABI::report {

/// The rings of a cell in SVG's path language, along pixel edges.
[[nodiscard]] inline std::string outline_path(cell_outline const& cell) {
  std::string path;
  auto const whole = [](double value) { return to_text(static_cast<std::int64_t>(value)); };
  for (ring const& points : cell.rings) {
    if (points.empty()) continue;
    path += "M" + whole(points[0].column) + " " + whole(points[0].row);
    // Corners follow each other along rows and columns in turn, so one number each is enough.
    for (std::size_t i = 1; i < points.size(); ++i) {
      bool const along_row = points[i].row == points[i - 1].row;
      path += along_row ? "h" + whole(points[i].column - points[i - 1].column)
                        : "v" + whole(points[i].row - points[i - 1].row);
    }
    path += "z";
  }
  return path;
}

/// What a map of cells shows.
struct cell_map_options {
  std::string title{};
  std::string unit{};  ///< of the colour bar
  colour_map colours{};
  double pixel_size_um = 0;  ///< 0: no scale bar
  int width_px = 640;
};

namespace detail {

/// A bar with ticks that explains the colours.
inline void draw_colour_bar(svg_canvas& canvas, double x, double y, double width,
                            colour_map const& colours, std::string_view unit) {
  constexpr int steps = 64;
  for (int k = 0; k < steps; ++k) {
    double const share = (k + 0.5) / steps;
    double const value = colours.lowest + share * (colours.highest - colours.lowest);
    canvas.rectangle(x + width * k / steps, y, width / steps + 0.6, 12,
                     "fill=\"" + colours(value) + "\"");
  }
  for (tick const& mark : linear_ticks(colours.lowest, colours.highest, 5)) {
    double const at = x + width * colours.part(mark.value);
    canvas.line(at, y + 12, at, y + 16, "stroke=\"#555\"");
    canvas.words(at, y + 28, mark.label, "middle", "fill=\"#333\"");
  }
  canvas.words(x + width / 2, y + 44, unit, "middle");
}

/// A round length in um that is at most a quarter of the image.
[[nodiscard]] inline double scale_bar_um(double image_um) {
  double const most = image_um / 4;
  double const power = std::pow(10.0, std::floor(std::log10(most)));
  return most >= 5 * power ? 5 * power : most >= 2 * power ? 2 * power : power;
}

}  // namespace detail

/// A spatial map: every cell of a frame filled by a number of its own, as a self-contained SVG
/// image (paper, Fig 3c). Cells whose number is not finite are gray.
/// @param values  by label; label k is at k, entry 0 is not used; missing ones count as NaN
[[nodiscard]] inline std::string cell_map(labels const& cells, std::span<double const> values,
                                          cell_map_options const& options) {
  auto const rows = static_cast<double>(cells.shape()[0]);
  auto const columns = static_cast<double>(cells.shape()[1]);
  double const top = options.title.empty() ? 10 : 34;
  double const scale = (options.width_px - 20.0) / columns;
  double const bottom = top + rows * scale;
  detail::svg_canvas canvas{options.width_px, static_cast<int>(std::ceil(bottom)) + 70,
                            options.title};
  if (!options.title.empty())
    canvas.words(options.width_px / 2.0, 22, options.title, "middle",
                 "font-size=\"14\" font-weight=\"600\"");
  canvas.rectangle(10, top, columns * scale, rows * scale, "fill=\"none\" stroke=\"#555\"");
  canvas.open_group("transform=\"translate(10 " + detail::px(top) + ") scale(" + to_text(scale, 5) +
                    ")\" stroke=\"#555\" stroke-width=\"" + to_text(0.6 / scale, 3) +
                    "\" fill-rule=\"evenodd\"");
  for (cell_outline const& cell : trace_outlines(cells)) {
    auto const label = static_cast<std::size_t>(cell.label);
    double const value =
        label < values.size() ? values[label] : std::numeric_limits<double>::quiet_NaN();
    canvas.path(
        outline_path(cell), "fill=\"" + options.colours(value) + "\"",
        "cell " + to_text(cell.label) +
            (std::isfinite(value) ? ": " + to_text(value, 3) + " " + options.unit : ": not known"));
  }
  canvas.close_group();
  double const bar_width = std::min(320.0, options.width_px * 0.45);
  detail::draw_colour_bar(canvas, 14, bottom + 12, bar_width, options.colours, options.unit);
  double x = 14 + bar_width + 24;
  canvas.rectangle(x, bottom + 12, 12, 12,
                   "fill=\"" + std::string{colour_map::unknown} + "\" stroke=\"#555\"");
  canvas.words(x + 18, bottom + 22, "not known", "start");
  if (options.pixel_size_um > 0) {
    double const um = detail::scale_bar_um(columns * options.pixel_size_um);
    double const length = um / options.pixel_size_um * scale;
    x = options.width_px - 14 - length;
    canvas.line(x, bottom + 18, x + length, bottom + 18, "stroke=\"#555\" stroke-width=\"4\"");
    canvas.words(x + length / 2, bottom + 36, to_text(um) + " µm", "middle");
  }
  return canvas.finish();
}

}  // namespace septum::inline SEPTUM_ABI::report
