#pragma once
#include <septum/core/text.hpp>
#include <septum/report/detail/page_script.hpp>
#include <septum/report/detail/page_style.hpp>
#include <septum/report/detail/svg.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::report {

/// Bytes as a `data:` address, so that a page holds its pictures itself.
[[nodiscard]] inline std::string data_uri(std::string_view media_type,
                                          std::span<std::byte const> bytes) {
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text = "data:" + std::string{media_type} + ";base64,";
  text.reserve(text.size() + (bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    std::size_t const here = std::min<std::size_t>(bytes.size() - i, 3);
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8U | (k < here ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      text += k <= here ? alphabet[(group >> (18 - 6 * k)) & 63U] : '=';
  }
  return text;
}

/// One number in large letters.
struct card {
  std::string label{};
  std::string value{};
  std::string note{};
};

/// A picture of one cell that is worth a look, and the frame and track that a click leads to.
struct gallery_picture {
  std::string image{};  ///< a data address
  std::string reason{};
  std::string caption{};
  std::int64_t frame = 0;
  std::int64_t track = 0;
};

/// Where a figure stands.
enum class figure_place {
  half,  ///< two side by side where there is room
  wide,  ///< over the whole width, no higher than the window
  tall   ///< over the whole width, scrolled where it is higher than the window
};

/// A table; columns of numbers stand to the right.
struct page_table {
  std::vector<std::string> head{};  ///< empty: none
  std::vector<std::vector<std::string>> rows{};
  std::vector<bool> numeric{};  ///< by column; missing ones are text
};

/// One self-contained HTML file: no address outside itself, readable on screen and in print, light
/// and dark. Text is escaped; figures are SVG images as report/figures.hpp draws them.
class page {
 public:
  page(std::string_view title, std::string_view subtitle)
      : title_{detail::xml_text(title)}, subtitle_{detail::xml_text(subtitle)} {}

  /// Begins a section that the bar at the top leads to. `id` is a word of its own.
  void section(std::string_view id, std::string_view title, std::string_view introduction = {}) {
    close_figures();
    links_ += "<a href=\"#" + std::string{id} + "\">" + detail::xml_text(title) + "</a>";
    body_ += "<h2 id=\"" + std::string{id} + "\">" + detail::xml_text(title) + "</h2>\n";
    if (!introduction.empty()) paragraph(introduction);
  }
  void paragraph(std::string_view text) {
    close_figures();
    body_ += "<p>" + detail::xml_text(text) + "</p>\n";
  }
  void cards(std::span<card const> cards) {
    close_figures();
    body_ += "<div class=\"cards\">\n";
    for (card const& one : cards) {
      body_ += "<div class=\"card\"><div class=\"value\">" + detail::xml_text(one.value) +
               "</div><div class=\"label\">" + detail::xml_text(one.label) + "</div>";
      if (!one.note.empty())
        body_ += "<div class=\"note\">" + detail::xml_text(one.note) + "</div>";
      body_ += "</div>\n";
    }
    body_ += "</div>\n";
  }
  /// @param name  of the figure, a word of its own; an SVG file saved from the page has it
  void figure(std::string_view name, std::string_view svg, std::string_view caption,
              figure_place place = figure_place::half) {
    if (!figures_open_) body_ += "<div class=\"figures\">\n";
    figures_open_ = true;
    body_ += "<figure id=\"figure-" + std::string{name} + "\" data-save=\"" + std::string{name} +
             "\" class=\"" +
             (place == figure_place::half   ? ""
              : place == figure_place::wide ? "wide"
                                            : "wide tall") +
             "\"><div class=\"body\">" + std::string{svg} + "</div><figcaption>" +
             detail::xml_text(caption) + "</figcaption></figure>\n";
  }
  void gallery(std::span<gallery_picture const> pictures) {
    close_figures();
    body_ += "<div class=\"gallery\" id=\"gallery\">\n";
    for (gallery_picture const& one : pictures)
      body_ += "<button type=\"button\" data-frame=\"" + to_text(one.frame) + "\" data-pick=\"" +
               to_text(one.track) + "\"><img alt=\"\" src=\"" + one.image +
               "\"><span class=\"why\">" + detail::xml_text(one.reason) + "</span><small>" +
               detail::xml_text(one.caption) + "</small></button>\n";
    body_ += "</div>\n";
  }
  void table(page_table const& content) {
    close_figures();
    body_ += "<div class=\"table\"><table>\n";
    auto const put_row = [&](std::vector<std::string> const& cells, std::string_view tag) {
      body_ += "<tr>";
      for (std::size_t k = 0; k < cells.size(); ++k) {
        bool const numeric = k < content.numeric.size() && content.numeric[k];
        body_ += "<" + std::string{tag} + (numeric ? " class=\"number\">" : ">") +
                 detail::xml_text(cells[k]) + "</" + std::string{tag} + ">";
      }
      body_ += "</tr>\n";
    };
    if (!content.head.empty()) put_row(content.head, "th");
    for (auto const& row : content.rows) put_row(row, "td");
    body_ += "</table></div>\n";
  }
  /// Puts HTML as it is; for parts with a header of their own.
  void html(std::string_view text) {
    close_figures();
    body_ += text;
  }

  [[nodiscard]] std::string finish() {
    close_figures();
    // Nothing may be loaded from elsewhere; browsers hold the page to that.
    return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src "
           "data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
           "<link rel=\"icon\" href=\"data:,\">\n<title>" +
           title_ + "</title>\n<style>" + std::string{detail::page_style} +
           "</style>\n</head>\n<body>\n<header class=\"top\"><b>septum</b><nav "
           "aria-label=\"Sections\">" +
           links_ +
           "</nav><button type=\"button\" id=\"theme\" title=\"Light or dark (T)\">"
           "Light / dark</button></header>\n<main>\n<h1>" +
           title_ + "</h1>\n<p class=\"sub\">" + subtitle_ + "</p>\n" + body_ +
           "</main>\n<script>" + std::string{detail::page_script} + "</script>\n</body>\n</html>\n";
  }

 private:
  void close_figures() {
    if (figures_open_) body_ += "</div>\n";
    figures_open_ = false;
  }

  std::string title_;
  std::string subtitle_;
  std::string links_;
  std::string body_;
  bool figures_open_ = false;
};

}  // namespace septum::inline SEPTUM_ABI::report
