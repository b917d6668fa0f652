#pragma once
#include <septum/core/text.hpp>
#include <septum/measure/cell_series.hpp>
#include <septum/report/colour_map.hpp>
#include <septum/report/detail/svg.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::report {

/// What a lineage tree shows.
struct lineage_tree_options {
  std::string title{};
  double frame_interval_min = 5;
  int width_px = 900;
  int row_px = 9;               ///< height of a line of descent
  std::size_t most_rows = 160;  ///< larger trees first, until so many lines of descent are drawn
};

/// A lineage tree as a self-contained SVG image, and how much of the movie is in it.
struct lineage_figure {
  std::string svg;
  std::size_t shown = 0;  ///< tracks
  std::size_t all = 0;
};

namespace detail {

/// Places every track of the trees that fit on a line.
class tree_layout {
 public:
  tree_layout(std::span<cell_series const> series, std::size_t most_rows)
      : series_{series}, kin_{find_family(series)}, row(series.size(), -1) {
    std::vector<std::pair<std::size_t, std::size_t>> roots;
    for (std::size_t k = 0; k < series.size(); ++k)
      if (kin_.mother[k] == family::npos && !series[k].points.empty())
        roots.emplace_back(leaves(k), k);
    std::stable_sort(roots.begin(), roots.end(),
                     [](auto const& a, auto const& b) { return a.first > b.first; });
    for (auto const& [count, root] : roots) {
      if (rows > 0 && rows + count > most_rows) continue;
      place(root);
    }
  }

  [[nodiscard]] family const& kin() const { return kin_; }

 private:
  [[nodiscard]] std::size_t leaves(std::size_t root) const {
    std::size_t count = 0;
    std::vector<std::size_t> open{root};
    while (!open.empty()) {
      std::size_t const here = open.back();
      open.pop_back();
      if (kin_.daughters[here].empty()) ++count;
      for (std::size_t const d : kin_.daughters[here]) open.push_back(d);
    }
    return count;
  }
  /// Daughters first, then the mother between them; without recursion, as trees may be deep.
  void place(std::size_t root) {
    std::vector<std::pair<std::size_t, bool>> open{{root, false}};
    while (!open.empty()) {
      auto const [here, ready] = open.back();
      open.pop_back();
      auto const& daughters = kin_.daughters[here];
      if (daughters.empty()) {
        row[here] = static_cast<double>(rows++);
      } else if (ready) {
        row[here] = (row[daughters.front()] + row[daughters.back()]) / 2;
      } else {
        open.emplace_back(here, true);
        for (std::size_t k = daughters.size(); k-- > 0;) open.emplace_back(daughters[k], false);
      }
    }
  }

  std::span<cell_series const> series_;
  family kin_;

 public:
  std::vector<double> row;  ///< of every track; -1: not drawn
  std::size_t rows = 0;
};

}  // namespace detail

/// Time runs to the right, each line is a cell, and lines part where it divides. A cross marks a
/// track that was lost, an open circle one that left the image, a square one that appeared.
[[nodiscard]] inline lineage_figure lineage_tree(std::span<cell_series const> series,
                                                 lineage_tree_options const& options = {}) {
  detail::tree_layout const layout{series, options.most_rows};
  double last_h = 0;
  for (cell_series const& track : series)
    if (!track.points.empty())
      last_h = std::max(last_h, static_cast<double>(track.points.back().frame + 1) *
                                    options.frame_interval_min / 60);
  double const top = options.title.empty() ? 12 : 36;
  double const bottom =
      top + static_cast<double>(std::max<std::size_t>(layout.rows, 3)) * options.row_px;
  detail::svg_canvas canvas{options.width_px, static_cast<int>(bottom) + 46, options.title};
  if (!options.title.empty())
    canvas.words(options.width_px / 2.0, 22, options.title, "middle",
                 "font-size=\"14\" font-weight=\"600\"");
  double const left = 20;
  double const right = options.width_px - 20.0;
  auto const x_of = [&](std::int64_t frame) {
    double const hours = static_cast<double>(frame) * options.frame_interval_min / 60;
    return left + (right - left) * hours / std::max(last_h, 1e-9);
  };
  for (detail::tick const& mark : detail::linear_ticks(0, std::max(last_h, 1e-9), 8)) {
    double const x = left + (right - left) * mark.value / std::max(last_h, 1e-9);
    canvas.line(x, top - 4, x, bottom, "stroke=\"#e4e4e4\"");
    canvas.words(x, bottom + 16, mark.label, "middle", "fill=\"#333\"");
  }
  canvas.words((left + right) / 2, bottom + 36, "time (h)", "middle");
  lineage_figure result{.svg = {}, .shown = 0, .all = 0};
  for (std::size_t k = 0; k < series.size(); ++k) {
    cell_series const& track = series[k];
    if (track.points.empty()) continue;
    ++result.all;
    if (layout.row[k] < 0) continue;
    ++result.shown;
    auto const y_of = [&](std::size_t index) {
      return top + (layout.row[index] + 0.5) * options.row_px;
    };
    double const y = y_of(k);
    auto const& daughters = layout.kin().daughters[k];
    double const begin = x_of(track.points.front().frame);
    double const end = x_of(daughters.empty() ? track.points.back().frame + 1
                                              : series[daughters[0]].points.front().frame);
    std::string path = "M" + detail::px(begin) + " " + detail::px(y) + "H" + detail::px(end);
    if (!daughters.empty())
      path += "M" + detail::px(end) + " " + detail::px(y_of(daughters.front())) + "V" +
              detail::px(y_of(daughters.back()));
    canvas.path(path,
                "fill=\"none\" stroke=\"#0072B2\" stroke-width=\"1.6\" data-track=\"" +
                    to_text(track.track) + "\"",
                "track " + to_text(track.track) + ", frames " +
                    to_text(track.points.front().frame) + " to " +
                    to_text(track.points.back().frame));
    std::string const broken = "fill=\"none\" stroke=\"#D55E00\" stroke-width=\"1.6\"";
    if (track.end == track_end::lost)
      canvas.path("M" + detail::px(end - 3) + " " + detail::px(y - 3) + "l6 6m0 -6l-6 6", broken);
    if (track.end == track_end::left) canvas.circle(end + 3, y, 2.6, broken);
    if (track.start == track_start::appeared)
      canvas.rectangle(begin - 2.5, y - 2.5, 5, 5, "fill=\"#D55E00\"");
  }
  result.svg = canvas.finish();
  return result;
}

}  // namespace septum::inline SEPTUM_ABI::report
