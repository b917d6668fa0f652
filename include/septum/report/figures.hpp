#pragma once
#include <septum/core/text.hpp>
#include <septum/report/detail/svg.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::report {

/// One axis of a figure: its label with the unit, its scale, and its range unless the data decide.
struct axis {
  std::string label{};
  bool logarithmic = false;  ///< only positive numbers are drawn
  std::optional<double> lowest{};
  std::optional<double> highest{};
};

enum class mark { line, points, line_and_points, steps };

/// One set of points; NaN breaks a line. `low` and `high` are drawn as a band when they are given.
struct series {
  std::string name{};
  std::vector<double> x{};
  std::vector<double> y{};
  std::vector<double> low{};
  std::vector<double> high{};
  mark shape = mark::line;
};

/// What is drawn around the data, and how large.
struct figure_options {
  std::string title{};
  axis x{};
  axis y{};
  int width_px = 640;
  int height_px = 400;
};

namespace detail {

/// Maps numbers to pixels along one axis.
struct scale {
  double lowest = 0.0;
  double highest = 1.0;
  double from_px = 0.0;
  double to_px = 1.0;
  bool logarithmic = false;

  [[nodiscard]] bool shows(double value) const {
    return std::isfinite(value) && (!logarithmic || value > 0.0);
  }
  [[nodiscard]] double operator()(double value) const {
    double const part = logarithmic ? std::log(value / lowest) / std::log(highest / lowest)
                                    : (value - lowest) / (highest - lowest);
    // Far outside points stay where SVG's single precision can hold them.
    return from_px + std::clamp(part, -10.0, 10.0) * (to_px - from_px);
  }
  [[nodiscard]] std::vector<tick> ticks(int wanted) const {
    return logarithmic ? logarithmic_ticks(lowest, highest) : linear_ticks(lowest, highest, wanted);
  }
};

/// The smallest range that holds all numbers which the axis can show.
class range_finder {
 public:
  explicit range_finder(axis const& settings) : settings_{settings} {}
  void add(double value) {
    if (!std::isfinite(value) || (settings_.logarithmic && value <= 0.0)) return;
    lowest_ = std::min(lowest_, value);
    highest_ = std::max(highest_, value);
  }
  /// @param margin  part of the range to leave free at both ends
  [[nodiscard]] scale finish(double from_px, double to_px, double margin) const {
    bool const log = settings_.logarithmic;
    double low = lowest_ <= highest_ ? lowest_ : (log ? 0.1 : 0.0);
    double high = lowest_ <= highest_ ? highest_ : 1.0;
    if (log) {
      double const factor = high > low ? std::pow(high / low, margin) : 2.0;
      low /= factor;
      high *= factor;
    } else {
      // Halves first: the whole span of huge numbers may not be a number.
      double const span = high / 2 - low / 2;
      double const free = high > low ? 2 * margin * span : std::max(std::abs(low) * 0.1, 0.5);
      bool const natural_zero = low >= 0.0 && low <= free;
      low = natural_zero ? 0.0 : low - free;
      high += free;
    }
    if (settings_.lowest && (!log || *settings_.lowest > 0.0)) low = *settings_.lowest;
    if (settings_.highest) high = *settings_.highest;
    bool const usable = std::isfinite(low) && std::isfinite(high) && std::isfinite(high - low) &&
                        high - low > 1e-12 * std::max(std::abs(low), std::abs(high)) &&
                        high - low > std::numeric_limits<double>::min() * 1e20;
    if (!usable) return {log ? 0.1 : 0.0, 1.0, from_px, to_px, log};
    return {low, high, from_px, to_px, log};
  }

 private:
  axis settings_;
  double lowest_ = std::numeric_limits<double>::infinity();
  double highest_ = -std::numeric_limits<double>::infinity();
};

[[nodiscard]] inline std::string stroke_of(std::size_t index) {
  std::string style = "fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\" stroke=\"" +
                      std::string{colour_of(index)} + "\"";
  if (!dashes_of(index).empty())
    style += " stroke-dasharray=\"" + std::string{dashes_of(index)} + "\"";
  return style;
}

/// The frame of a figure: title, legend, axes; what is inside is drawn by the caller.
class plot_area {
 public:
  plot_area(figure_options const& options, range_finder const& x, range_finder const& y,
            std::vector<std::string> const& names)
      : options_{options}, canvas_{options.width_px, options.height_px, options.title} {
    double top = 14.0;
    if (!options.title.empty()) {
      canvas_.words(options.width_px / 2.0, top + 8, options.title, "middle",
                    "font-size=\"14\" font-weight=\"600\"");
      top += 22.0;
    }
    top = draw_legend(names, top);
    double const bottom = options.height_px - (options.x.label.empty() ? 30.0 : 48.0);
    vertical = y.finish(bottom, top + 6, 0.05);
    auto const y_ticks = vertical.ticks(static_cast<int>((bottom - top) / 55.0));
    double label_width = 0.0;
    for (tick const& mark : y_ticks) label_width = std::max(label_width, width_of(mark.label));
    double const left = 14.0 + label_width + (options.y.label.empty() ? 6.0 : 26.0);
    horizontal = x.finish(left, options.width_px - 20.0, 0.02);
    draw_axes(y_ticks, left, bottom, top);
  }

  [[nodiscard]] svg_canvas& canvas() { return canvas_; }
  [[nodiscard]] std::string finish(bool empty) {
    if (empty)
      canvas_.words((horizontal.from_px + horizontal.to_px) / 2,
                    (vertical.from_px + vertical.to_px) / 2, "no data", "middle", "fill=\"#777\"");
    return canvas_.finish();
  }

  scale horizontal;
  scale vertical;

 private:
  [[nodiscard]] double draw_legend(std::vector<std::string> const& names, double top) {
    bool const wanted =
        std::any_of(names.begin(), names.end(), [](auto const& name) { return !name.empty(); });
    if (!wanted) return top;
    double x = 60.0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      double const width = 34.0 + width_of(names[i]) + 14.0;
      if (x + width > options_.width_px - 10.0 && x > 60.0) {
        x = 60.0;
        top += 17.0;
      }
      canvas_.line(x, top + 4, x + 26, top + 4, stroke_of(i));
      canvas_.words(x + 31, top + 8, names[i], "start");
      x += width;
    }
    return top + 18.0;
  }

  void draw_axes(std::vector<tick> const& y_ticks, double left, double bottom, double top) {
    double const right = horizontal.to_px;
    for (tick const& mark : y_ticks) {
      double const y = vertical(mark.value);
      canvas_.line(left, y, right, y, "stroke=\"#e4e4e4\"");
      canvas_.words(left - 7, y + 4, mark.label, "end", "fill=\"#333\"");
    }
    for (tick const& mark : horizontal.ticks(static_cast<int>((right - left) / 80.0))) {
      double const x = horizontal(mark.value);
      canvas_.line(x, bottom, x, bottom + 5, "stroke=\"#555\"");
      canvas_.words(x, bottom + 18, mark.label, "middle", "fill=\"#333\"");
    }
    canvas_.line(left, bottom, right, bottom, "stroke=\"#555\"");
    if (!options_.x.label.empty())
      canvas_.words((left + right) / 2, options_.height_px - 10.0, options_.x.label, "middle");
    if (!options_.y.label.empty())
      canvas_.words(0, 0, options_.y.label, "middle",
                    "transform=\"translate(16 " + px((top + bottom) / 2) + ") rotate(-90)\"");
  }

  figure_options options_;
  svg_canvas canvas_;
};

/// Points of a line in SVG's path language; values that cannot be shown break it.
[[nodiscard]] inline std::string line_path(series const& data, scale const& x, scale const& y) {
  std::string path;
  bool pen_down = false;
  double last_y = 0.0;
  for (std::size_t i = 0; i < std::min(data.x.size(), data.y.size()); ++i) {
    if (!x.shows(data.x[i]) || !y.shows(data.y[i])) {
      pen_down = false;
      continue;
    }
    double const here_x = x(data.x[i]);
    double const here_y = y(data.y[i]);
    if (pen_down && data.shape == mark::steps) path += "L" + px(here_x) + " " + px(last_y);
    path += (pen_down ? "L" : "M") + px(here_x) + " " + px(here_y);
    pen_down = true;
    last_y = here_y;
  }
  return path;
}

/// The area between `low` and `high`, forwards along one and back along the other.
[[nodiscard]] inline std::string band_path(series const& data, scale const& x, scale const& y) {
  std::string forward;
  std::string back;
  std::size_t const count = std::min({data.x.size(), data.low.size(), data.high.size()});
  for (std::size_t i = 0; i < count; ++i) {
    if (!x.shows(data.x[i]) || !y.shows(data.low[i]) || !y.shows(data.high[i])) continue;
    std::string const at = px(x(data.x[i])) + " ";
    forward += (forward.empty() ? "M" : "L") + at + px(y(data.high[i]));
    back = "L" + at + px(y(data.low[i])) + back;
  }
  return forward.empty() ? forward : forward + back + "Z";
}

}  // namespace detail

/// Lines, points or steps as a self-contained SVG image.
[[nodiscard]] inline std::string line_plot(figure_options const& options,
                                           std::vector<series> const& lines) {
  detail::range_finder x{options.x};
  detail::range_finder y{options.y};
  bool empty = true;
  std::vector<std::string> names;
  for (series const& data : lines) {
    names.push_back(data.name);
    for (double const value : data.x) x.add(value);
    for (double const value : data.y) y.add(value);
    for (double const value : data.low) y.add(value);
    for (double const value : data.high) y.add(value);
    empty = empty && data.y.empty();
  }
  detail::plot_area area{options, x, y, names};
  detail::scale const& sx = area.horizontal;
  detail::scale const& sy = area.vertical;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    series const& data = lines[i];
    std::string const colour{detail::colour_of(i)};
    if (std::string const band = detail::band_path(data, sx, sy); !band.empty())
      area.canvas().path(band, "fill=\"" + colour + "\" fill-opacity=\"0.18\" stroke=\"none\"");
    if (data.shape != mark::points)
      area.canvas().path(detail::line_path(data, sx, sy), detail::stroke_of(i));
    if (data.shape == mark::points || data.shape == mark::line_and_points) {
      std::string const style = "fill=\"" + colour + "\" fill-opacity=\"0.75\"";
      for (std::size_t k = 0; k < std::min(data.x.size(), data.y.size()); ++k)
        if (sx.shows(data.x[k]) && sy.shows(data.y[k]))
          area.canvas().circle(sx(data.x[k]), sy(data.y[k]), 3.0, style);
    }
  }
  return area.finish(empty);
}

/// Counts of numbers in bins of one width. `edges` has one entry more than `counts`.
struct histogram_bins {
  std::vector<double> edges{};
  std::vector<std::int64_t> counts{};
  bool open_below = false;  ///< the first bin also holds what lies below it
  bool open_above = false;  ///< the last bin also holds what lies above it
};

/// Sorts finite numbers into bins of equal width that cover them; the last bin holds its upper
/// edge.
/// @param bins  their number; 0 chooses 2 n^(1/3), between 5 and 60 (Rice's rule)
/// @param tail  share of the numbers at either end that the bins need not cover, so that a few
///              outliers do not press all others into one bar; the outermost bins hold them
[[nodiscard]] inline histogram_bins bin_values(std::span<double const> values, int bins = 0,
                                               double tail = 0) {
  std::vector<double> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite),
               [](double value) { return std::isfinite(value); });
  if (finite.empty()) return {};
  auto const [least, most] = std::minmax_element(finite.begin(), finite.end());
  double low = *least;
  double high = *most;
  histogram_bins result;
  if (tail > 0) {
    std::sort(finite.begin(), finite.end());
    auto const last = static_cast<double>(finite.size() - 1);
    double const inner_low = finite[static_cast<std::size_t>(tail * last)];
    double const inner_high = finite[static_cast<std::size_t>((1 - tail) * last)];
    double const margin = (inner_high - inner_low) / 4;
    result.open_below = low < inner_low - margin && margin > 0;
    result.open_above = high > inner_high + margin && margin > 0;
    if (result.open_below) low = inner_low - margin;
    if (result.open_above) high = inner_high + margin;
  }
  if (!(high - low > 1e-12 * std::max(std::abs(low), std::abs(high)))) {
    double const half = std::max(std::abs(low) * 0.05, 0.5);
    low -= half;
    high += half;
  }
  if (bins <= 0)
    bins = std::clamp(
        static_cast<int>(std::ceil(2 * std::cbrt(static_cast<double>(finite.size())))), 5, 60);
  result.counts.assign(static_cast<std::size_t>(bins), 0);
  for (int i = 0; i <= bins; ++i) {
    double const part = static_cast<double>(i) / bins;
    result.edges.push_back(low * (1 - part) + high * part);
  }
  for (double const value : finite) {
    // Halves, because the distance of huge numbers may not be a number.
    double const part = (value / 2 - low / 2) / (high / 2 - low / 2);
    auto const bin = static_cast<int>(std::clamp(part, 0.0, 1.0) * bins);
    ++result.counts[static_cast<std::size_t>(std::clamp(bin, 0, bins - 1))];
  }
  return result;
}

/// A histogram as a self-contained SVG image; every bar says its range and count when pointed at.
[[nodiscard]] inline std::string histogram_plot(figure_options const& options,
                                                histogram_bins const& data) {
  detail::range_finder x{options.x};
  detail::range_finder y{options.y};
  y.add(options.y.logarithmic ? 0.5 : 0.0);
  for (double const edge : data.edges) x.add(edge);
  for (std::int64_t const count : data.counts) y.add(static_cast<double>(count));
  detail::plot_area area{options, x, y, {}};
  double const base = area.vertical.from_px;
  for (std::size_t i = 0; i < data.counts.size(); ++i) {
    double const left = area.horizontal(data.edges[i]);
    double const right = area.horizontal(data.edges[i + 1]);
    auto const count = static_cast<double>(data.counts[i]);
    if (!area.vertical.shows(count) || data.counts[i] == 0) continue;
    double const top = std::min(area.vertical(count), base);
    bool const below = data.open_below && i == 0;
    bool const above = data.open_above && i + 1 == data.counts.size();
    std::string const range =
        below   ? "below " + to_text(data.edges[i + 1], 3)
        : above ? to_text(data.edges[i], 3) + " and above"
                : to_text(data.edges[i], 3) + " to " + to_text(data.edges[i + 1], 3);
    area.canvas().rectangle(left + 0.5, top, right - left - 1.0, base - top,
                            below || above ? "fill=\"#56B4E9\"" : "fill=\"#0072B2\"",
                            range + ": " + to_text(data.counts[i]));
  }
  return area.finish(data.counts.empty());
}

/// One line of the learning curves of a net.
struct learning_point {
  double epoch = 0.0;
  double training = 0.0;
  double validation = 0.0;  ///< NaN without validation
};

/// Learning curves as a self-contained SVG image; `what` labels the vertical axis, e.g. "error".
[[nodiscard]] inline std::string learning_curves(std::span<learning_point const> points,
                                                 std::string const& what,
                                                 std::string const& title = "Learning curves") {
  series training{.name = "training", .shape = mark::line_and_points};
  series validation{.name = "validation", .shape = mark::line_and_points};
  for (learning_point const& point : points) {
    training.x.push_back(point.epoch);
    training.y.push_back(point.training);
    if (!std::isfinite(point.validation)) continue;
    validation.x.push_back(point.epoch);
    validation.y.push_back(point.validation);
  }
  std::vector<series> lines{std::move(training)};
  if (!validation.x.empty()) lines.push_back(std::move(validation));
  return line_plot({.title = title, .x = {.label = "epoch"}, .y = {.label = what}}, lines);
}

}  // namespace septum::inline SEPTUM_ABI::report
