#pragma once
#include <septum/core/markup.hpp>
#include <septum/core/text.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace septum::inline SEPTUM_ABI::report::detail {

/// Text for XML: markup and what XML 1.0 cannot hold is escaped, bytes that are not UTF-8 are shown
/// as \xNN.
[[nodiscard]] inline std::string xml_text(std::string_view text) {
  return escape_markup(printable(text, std::string::npos));
}

/// A coordinate in pixels: two digits after the point are finer than any screen.
[[nodiscard]] inline std::string px(double value) {
  std::string text = to_text(value, 2);
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

/// The colours of Okabe and Ito, told apart by people with any kind of colour vision.
[[nodiscard]] inline std::string_view colour_of(std::size_t index) {
  constexpr std::array<std::string_view, 7> colours{"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                    "#56B4E9", "#E69F00", "#000000"};
  return colours[index % colours.size()];
}
/// A dash pattern beside each colour, for print without colours.
[[nodiscard]] inline std::string_view dashes_of(std::size_t index) {
  constexpr std::array<std::string_view, 5> patterns{"", "7 3", "2 3", "9 3 2 3", "12 4"};
  return patterns[index % patterns.size()];
}

/// Positions of ticks and their labels.
struct tick {
  double value = 0.0;
  std::string label;
};

/// Round numbers (1, 2 or 5 times a power of ten) between `lowest` and `highest`.
[[nodiscard]] inline std::vector<tick> linear_ticks(double lowest, double highest, int wanted) {
  double const rough = (highest - lowest) / std::max(wanted, 1);
  double const power = std::pow(10.0, std::floor(std::log10(rough)));
  double const leading = rough / power;
  double const step = (leading <= 1.0   ? 1.0
                       : leading <= 2.0 ? 2.0
                       : leading <= 5.0 ? 5.0
                                        : 10.0) *
                      power;
  double const largest = std::max(std::abs(lowest), std::abs(highest));
  bool const scientific = largest >= 1e6 || step < 1e-5;
  int const digits = std::clamp(static_cast<int>(-std::floor(std::log10(step) + 1e-9)), 0, 12);
  std::vector<tick> ticks;
  // Steps are counted, not added up, so that rounding does not pile up.
  auto const first = static_cast<long long>(std::ceil(lowest / step - 1e-9));
  auto const last = static_cast<long long>(std::floor(highest / step + 1e-9));
  for (long long i = first; i <= last; ++i) {
    double const value = static_cast<double>(i) * step;
    std::string label = to_text(value, digits);
    if (scientific && value != 0.0) {
      double const exponent = std::floor(std::log10(std::abs(value)) + 1e-9);
      label = to_text(std::round(value / std::pow(10.0, exponent) * 100.0) / 100.0) + "e" +
              to_text(static_cast<int>(exponent));
    }
    ticks.push_back({value, label});
  }
  return ticks;
}

/// Powers of ten, and 2 and 5 times these when there are few.
[[nodiscard]] inline std::vector<tick> logarithmic_ticks(double lowest, double highest) {
  std::vector<tick> ticks;
  auto const first = static_cast<int>(std::floor(std::log10(lowest)));
  auto const last = static_cast<int>(std::ceil(std::log10(highest)));
  int const stride = std::max((last - first) / 8, 1);
  bool const dense = last - first <= 2;
  for (int exponent = first; exponent <= last; exponent += stride)
    for (double const leading : {1.0, 2.0, 5.0}) {
      double const value = leading * std::pow(10.0, exponent);
      bool const inside = value >= lowest * (1 - 1e-9) && value <= highest * (1 + 1e-9);
      if (!inside || (leading != 1.0 && !dense)) continue;
      bool const plain = exponent >= -3 && exponent <= 4;
      ticks.push_back({value, plain ? to_text(value, std::max(-exponent, 0))
                                    : to_text(leading, 0) + "e" + to_text(exponent)});
    }
  // Within less than a decade powers of ten are too few, and even steps nearly even.
  constexpr int enough = 5;
  return ticks.size() < 3 && highest < 10 * lowest ? linear_ticks(lowest, highest, enough) : ticks;
}

/// Builds one SVG image.
class svg_canvas {
 public:
  svg_canvas(int width, int height, std::string_view title)
      : text_{"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + to_text(width) +
              "\" height=\"" + to_text(height) + "\" viewBox=\"0 0 " + to_text(width) + " " +
              to_text(height) +
              "\" role=\"img\" font-family=\"system-ui, Helvetica, Arial, sans-serif\" "
              "font-size=\"12\"><title>" +
              xml_text(title) + "</title><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"} {}

  void line(double x1, double y1, double x2, double y2, std::string_view style) {
    text_ += "<line x1=\"" + px(x1) + "\" y1=\"" + px(y1) + "\" x2=\"" + px(x2) + "\" y2=\"" +
             px(y2) + "\" " + std::string{style} + "/>\n";
  }
  void rectangle(double x, double y, double width, double height, std::string_view style,
                 std::string_view tooltip = {}) {
    text_ += "<rect x=\"" + px(x) + "\" y=\"" + px(y) + "\" width=\"" + px(std::max(width, 0.0)) +
             "\" height=\"" + px(std::max(height, 0.0)) + "\" " + std::string{style};
    text_ += tooltip.empty() ? "/>\n" : "><title>" + xml_text(tooltip) + "</title></rect>\n";
  }
  void circle(double x, double y, double radius, std::string_view style) {
    text_ += "<circle cx=\"" + px(x) + "\" cy=\"" + px(y) + "\" r=\"" + px(radius) + "\" " +
             std::string{style} + "/>\n";
  }
  /// `path` is in SVG's path language.
  void path(std::string_view path, std::string_view style, std::string_view tooltip = {}) {
    text_ += "<path d=\"" + std::string{path} + "\" " + std::string{style};
    text_ += tooltip.empty() ? "/>\n" : "><title>" + xml_text(tooltip) + "</title></path>\n";
  }
  /// `anchor` is start, middle or end; `y` is the base line.
  void words(double x, double y, std::string_view text, std::string_view anchor,
             std::string_view style = {}) {
    text_ += "<text x=\"" + px(x) + "\" y=\"" + px(y) + "\" text-anchor=\"" + std::string{anchor} +
             "\" " + std::string{style} + ">" + xml_text(text) + "</text>\n";
  }
  void open_group(std::string_view attributes) { text_ += "<g " + std::string{attributes} + ">\n"; }
  void close_group() { text_ += "</g>\n"; }

  [[nodiscard]] std::string finish() const { return text_ + "</svg>\n"; }

 private:
  std::string text_;
};

/// Width in pixels of text in the figures' font, estimated: SVG has no way to ask.
[[nodiscard]] inline double width_of(std::string_view text) {
  constexpr double mean_advance_px = 6.6;
  auto const continuation = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80; };
  auto const letters =
      text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), continuation));
  return mean_advance_px * static_cast<double>(letters);
}

}  // namespace septum::inline SEPTUM_ABI::report::detail
