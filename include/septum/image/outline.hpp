#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/image/components.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// A point in an image, in pixels: (0, 0) is the outer corner of the first pixel, whose centre is
/// (0.5, 0.5).
struct outline_point {
  double row = 0;
  double column = 0;
  friend bool operator==(outline_point const&, outline_point const&) = default;
};

/// A closed line; the last point is joined to the first.
using ring = std::vector<outline_point>;

/// The border of one labelled cell along the edges of its pixels: a ring around each 4-connected
/// part and one around each hole.
struct cell_outline {
  std::int32_t label = 0;
  std::vector<ring> rings;
};

namespace detail {

/// Walks along the edges of the pixels of one label, the label on the right-hand side.
class outline_walk {
 public:
  explicit outline_walk(labels const& cells)
      : cells_{cells},
        rows_{static_cast<std::ptrdiff_t>(cells.shape()[0])},
        columns_{static_cast<std::ptrdiff_t>(cells.shape()[1])},
        seen_(cells.size(), 0) {}

  [[nodiscard]] std::int32_t at(std::ptrdiff_t row, std::ptrdiff_t column) const {
    bool const inside = row >= 0 && column >= 0 && row < rows_ && column < columns_;
    return inside ? cells_.data()[row * columns_ + column] : 0;
  }
  /// True when the upper edge of this pixel is a border that no walk has passed.
  [[nodiscard]] bool starts_at(std::ptrdiff_t row, std::ptrdiff_t column) const {
    std::int32_t const label = at(row, column);
    return label != 0 && at(row - 1, column) != label && seen_[index(row, column)] == 0;
  }
  /// The ring that runs along the upper edge of this pixel from left to right; corners only.
  [[nodiscard]] ring walk(std::ptrdiff_t row, std::ptrdiff_t column) {
    std::int32_t const label = at(row, column);
    std::ptrdiff_t const first_row = row;
    std::ptrdiff_t const first_column = column;
    ring result;
    // Directions: 0 right, 1 down, 2 left, 3 up. The pixels ahead of a corner lie at these offsets.
    constexpr std::ptrdiff_t row_step[] = {0, 1, 0, -1};
    constexpr std::ptrdiff_t column_step[] = {1, 0, -1, 0};
    constexpr std::ptrdiff_t right_row[] = {0, 0, -1, -1};
    constexpr std::ptrdiff_t right_column[] = {0, -1, -1, 0};
    constexpr std::ptrdiff_t left_row[] = {-1, 0, 0, -1};
    constexpr std::ptrdiff_t left_column[] = {0, 0, -1, -1};
    std::size_t direction = 0;
    // The start is a corner of the ring only where the walk turns into it, so it is added at the
    // end.
    do {
      if (direction == 0) seen_[index(row, column)] = 1;
      row += row_step[direction];
      column += column_step[direction];
      std::size_t turn = 0;
      if (at(row + right_row[direction], column + right_column[direction]) != label)
        turn = 1;
      else if (at(row + left_row[direction], column + left_column[direction]) == label)
        turn = 3;
      if (turn != 0) {
        result.push_back({static_cast<double>(row), static_cast<double>(column)});
        direction = (direction + turn) % 4;
      }
    } while (row != first_row || column != first_column || direction != 0);
    return result;
  }

 private:
  [[nodiscard]] std::size_t index(std::ptrdiff_t row, std::ptrdiff_t column) const {
    return static_cast<std::size_t>(row * columns_ + column);
  }

  labels const& cells_;
  std::ptrdiff_t rows_;
  std::ptrdiff_t columns_;
  std::vector<std::uint8_t> seen_;
};

}  // namespace detail

/// The outlines of all cells along pixel edges, by ascending label; corners only, so a single pixel
/// has 4 points. Filling an outline gives back exactly the pixels of the cell.
/// \throws unsupported_error `septum.labels.1` on a negative label.
/// complexity: linear in the pixels.
[[nodiscard]] inline std::vector<cell_outline> trace_outlines(labels const& cells) {
  static_cast<void>(largest_label(cells));
  detail::outline_walk walker{cells};
  std::vector<std::pair<std::int32_t, ring>> rings;
  auto const rows = static_cast<std::ptrdiff_t>(cells.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(cells.shape()[1]);
  for (std::ptrdiff_t row = 0; row < rows; ++row)
    for (std::ptrdiff_t column = 0; column < columns; ++column)
      if (walker.starts_at(row, column))
        rings.emplace_back(walker.at(row, column), walker.walk(row, column));
  std::stable_sort(rings.begin(), rings.end(),
                   [](auto const& a, auto const& b) { return a.first < b.first; });
  std::vector<cell_outline> result;
  for (auto& [label, points] : rings) {
    if (result.empty() || result.back().label != label) result.push_back({label, {}});
    result.back().rings.push_back(std::move(points));
  }
  return result;
}

/// Most crossings of rows and lines that one shape may have when it is filled.
inline constexpr std::size_t most_outline_crossings = std::size_t{1} << 27U;

/// Calls `visit(row, begin, end)` for every run of pixels whose centres lie inside the rings by the
/// even-odd rule, within an image of `rows` x `columns` pixels. A centre on a line belongs to what
/// lies right of and below it.
/// \throws unsupported_error `septum.outline.1` for a shape with too many crossings, or with points
///         that are not finite.
template <class Visit>
void for_each_run_inside(std::span<ring const> rings, std::ptrdiff_t rows, std::ptrdiff_t columns,
                         Visit const& visit) {
  struct crossing {
    std::ptrdiff_t row;
    double column;
  };
  std::vector<crossing> crossings;
  auto const limited = [](double value, std::ptrdiff_t most) {
    return static_cast<std::ptrdiff_t>(std::clamp(value, 0.0, static_cast<double>(most)));
  };
  for (ring const& points : rings)
    for (std::size_t i = 0; i < points.size(); ++i) {
      outline_point const& a = points[i];
      outline_point const& b = points[i + 1 < points.size() ? i + 1 : 0];
      SEPTUM_EXPECTS(std::isfinite(a.row) && std::isfinite(a.column),
                     unsupported_error("septum.outline.1",
                                       "outline: expected finite points, found NaN or infinity"));
      double const low = std::min(a.row, b.row);
      double const high = std::max(a.row, b.row);
      // Rows whose centre r + 0.5 lies in [low, high).
      std::ptrdiff_t const begin = limited(std::ceil(low - 0.5), rows);
      std::ptrdiff_t const end = limited(std::ceil(high - 0.5), rows);
      SEPTUM_EXPECTS(
          crossings.size() + static_cast<std::size_t>(end - begin) <= most_outline_crossings,
          unsupported_error("septum.outline.1", "outline: expected at most " +
                                                    std::to_string(most_outline_crossings) +
                                                    " crossings of lines and rows"));
      for (std::ptrdiff_t row = begin; row < end; ++row) {
        double const part = (static_cast<double>(row) + 0.5 - a.row) / (b.row - a.row);
        crossings.push_back({row, a.column + part * (b.column - a.column)});
      }
    }
  std::sort(crossings.begin(), crossings.end(), [](crossing const& a, crossing const& b) {
    return a.row < b.row || (a.row == b.row && a.column < b.column);
  });
  for (std::size_t i = 0; i + 1 < crossings.size(); i += 2) {
    std::ptrdiff_t const begin = limited(std::ceil(crossings[i].column - 0.5), columns);
    std::ptrdiff_t const end = limited(std::ceil(crossings[i + 1].column - 0.5), columns);
    if (begin < end) visit(crossings[i].row, begin, end);
  }
}

/// Pixels whose centres lie inside the rings by the even-odd rule: axes row, column.
[[nodiscard]] inline mask fill_outline(std::span<ring const> rings, std::size_t rows,
                                       std::size_t columns) {
  mask result = mask::from_shape({rows, columns});
  result.fill(0);
  for_each_run_inside(
      rings, static_cast<std::ptrdiff_t>(rows), static_cast<std::ptrdiff_t>(columns),
      [&](std::ptrdiff_t row, std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::uint8_t* const line = result.data() + row * static_cast<std::ptrdiff_t>(columns);
        std::fill(line + begin, line + end, std::uint8_t{1});
      });
  return result;
}

/// An ellipse with axes along rows and columns as a ring of `points` points.
[[nodiscard]] inline ring ellipse_outline(outline_point centre, double half_height,
                                          double half_width, int points) {
  constexpr double turn = 6.283185307179586476925;
  ring result;
  result.reserve(static_cast<std::size_t>(points));
  for (int k = 0; k < points; ++k) {
    double const angle = turn * k / points;
    result.push_back(
        {centre.row + half_height * std::sin(angle), centre.column + half_width * std::cos(angle)});
  }
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
