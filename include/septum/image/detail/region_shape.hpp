#pragma once
#include <septum/core/config.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Pixels [begin, end) of row `row` that belong to one region.
struct region_run {
  std::int32_t row = 0;
  std::int32_t begin = 0;
  std::int32_t end = 0;
};

/// Half-open rectangle around a region.
struct region_box {
  std::int32_t row_begin = 0;
  std::int32_t row_end = 0;
  std::int32_t column_begin = 0;
  std::int32_t column_end = 0;
};

/// Second central moments of a region divided by its area (variances of the pixel centres), and
/// its centroid. The sums are exact while they stay below 2^53.
struct region_moments {
  double area = 0;
  double row = 0;
  double column = 0;
  double row_row = 0;
  double row_column = 0;
  double column_column = 0;
  /// determinant of the variance matrix; zero exactly for pixels on one line
  double determinant = 0;
};

[[nodiscard]] inline region_moments moments_of(std::span<region_run const> runs) {
  if (runs.empty()) return {};
  // Columns are doubled so that the middle of a run is whole.
  double area = 0, sum_r = 0, sum_c = 0, sum_rr = 0, sum_rc = 0, sum_cc = 0;
  std::int64_t const origin_row = runs.front().row;
  std::int64_t const origin_column = runs.front().begin;
  for (region_run const& run : runs) {
    auto const n = static_cast<double>(run.end - run.begin);
    auto const r = static_cast<double>(run.row - origin_row);
    auto const c2 = static_cast<double>(run.begin + std::int64_t{run.end} - 1 - 2 * origin_column);
    area += n;
    sum_r += n * r;
    sum_c += n * c2;
    sum_rr += n * r * r;
    sum_rc += n * r * c2;
    sum_cc += n * c2 * c2 + n * (n * n - 1) / 3;
  }
  double const square = area * area;
  double const rr = area * sum_rr - sum_r * sum_r;
  double const rc = area * sum_rc - sum_r * sum_c;
  double const cc = area * sum_cc - sum_c * sum_c;
  return {.area = area,
          .row = static_cast<double>(origin_row) + sum_r / area,
          .column = static_cast<double>(origin_column) + sum_c / (2 * area),
          .row_row = rr / square,
          .row_column = rc / (2 * square),
          .column_column = cc / (4 * square),
          .determinant = (rr * cc - rc * rc) / (4 * square * square)};
}

/// Scratch memory of one thread for hulls and perimeters.
struct region_scratch {
  std::vector<std::int64_t> left, right;
  std::vector<std::int64_t> chain;
  std::vector<std::uint64_t> pixels, outline;
};

/// Keeps in `chain` the half-rows y whose points (y, x[y]) are corners of the convex boundary on
/// the side of small x (`sign` 1) or large x (`sign` -1).
inline void convex_boundary(std::vector<std::int64_t> const& x, std::int64_t none,
                            std::int64_t sign, std::vector<std::int64_t>& chain) {
  chain.clear();
  auto const at = [&](std::int64_t y) { return sign * x[static_cast<std::size_t>(y)]; };
  for (std::int64_t y = 0; y < static_cast<std::int64_t>(x.size()); ++y) {
    if (x[static_cast<std::size_t>(y)] == none) continue;
    while (chain.size() >= 2) {
      std::int64_t const b = chain.back();
      std::int64_t const a = chain[chain.size() - 2];
      if ((at(b) - at(a)) * (y - a) < (at(y) - at(a)) * (b - a)) break;
      chain.pop_back();
    }
    chain.push_back(y);
  }
}

/// Sum over the pixel rows (odd half-rows) of the first column on or right of the boundary, of the
/// mirrored image when `sign` is -1.
[[nodiscard]] inline std::int64_t sum_of_first_columns(std::vector<std::int64_t> const& x,
                                                       std::int64_t sign,
                                                       std::vector<std::int64_t> const& chain) {
  std::int64_t sum = 0;
  for (std::size_t k = 0; k + 1 < chain.size(); ++k) {
    std::int64_t const y0 = chain[k];
    std::int64_t const y1 = chain[k + 1];
    std::int64_t const x0 = sign * x[static_cast<std::size_t>(y0)];
    std::int64_t const x1 = sign * x[static_cast<std::size_t>(y1)];
    std::int64_t const denominator = 2 * (y1 - y0);
    // A corner on a pixel row belongs to the segment that ends there; none starts on one first.
    for (std::int64_t y = y0 + 1 + y0 % 2; y <= y1; y += 2) {
      std::int64_t const numerator = x0 * (y1 - y0) + (x1 - x0) * (y - y0);
      sum += numerator / denominator + (numerator % denominator > 0 ? 1 : 0);
    }
  }
  return sum;
}

/// Pixels whose centres lie in or on the convex hull of the middles of all pixel edges of the
/// region, in integers (scikit-image's convex_hull_image with offset coordinates).
[[nodiscard]] inline std::int64_t convex_area(std::span<region_run const> runs,
                                              region_box const& box, region_scratch& scratch) {
  constexpr std::int64_t none_left = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t none_right = std::numeric_limits<std::int64_t>::min();
  auto const half_rows = 2 * static_cast<std::size_t>(box.row_end - box.row_begin) + 1;
  scratch.left.assign(half_rows, none_left);
  scratch.right.assign(half_rows, none_right);
  for (region_run const& run : runs) {
    auto const y = 2 * static_cast<std::size_t>(run.row - box.row_begin) + 1;
    std::int64_t const first = 2 * (std::int64_t{run.begin} - box.column_begin);
    std::int64_t const last = 2 * (std::int64_t{run.end} - 1 - box.column_begin);
    scratch.left[y] = std::min(scratch.left[y], first - 1);
    scratch.right[y] = std::max(scratch.right[y], last + 1);
    for (std::size_t const side : {y - 1, y + 1}) {
      scratch.left[side] = std::min(scratch.left[side], first);
      scratch.right[side] = std::max(scratch.right[side], last);
    }
  }
  convex_boundary(scratch.left, none_left, 1, scratch.chain);
  std::int64_t const first_columns = sum_of_first_columns(scratch.left, 1, scratch.chain);
  convex_boundary(scratch.right, none_right, -1, scratch.chain);
  std::int64_t const last_columns = -sum_of_first_columns(scratch.right, -1, scratch.chain);
  return last_columns - first_columns + (box.row_end - box.row_begin);
}

/// Neighbour counts 0..4 of 64 pixels at once, one bit plane each.
struct neighbour_count {
  std::uint64_t ones, twos, fours;
  neighbour_count(std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d)
      : ones{a ^ b ^ c ^ d}, twos{(a & b) ^ (c & d) ^ ((a ^ b) & (c ^ d))}, fours{a & b & c & d} {}
};

/// Perimeter of a region by the neighbour patterns of its outline pixels (Benkrid and Crookes; as
/// scikit-image's `perimeter` with 4-neighbours): straight steps 1, diagonal steps sqrt(2), mixed
/// ones their mean.
[[nodiscard]] inline double perimeter_of(std::span<region_run const> runs, region_box const& box,
                                         region_scratch& scratch) {
  // Bit planes with an empty row and an empty bit around the region.
  auto const words = static_cast<std::size_t>(box.column_end - box.column_begin) / 64 + 1;
  auto const rows = static_cast<std::size_t>(box.row_end - box.row_begin);
  scratch.pixels.assign((rows + 2) * words, 0);
  scratch.outline.assign((rows + 2) * words, 0);
  for (region_run const& run : runs) {
    std::uint64_t* const row =
        scratch.pixels.data() + static_cast<std::size_t>(run.row - box.row_begin + 1) * words;
    auto const begin = static_cast<std::size_t>(run.begin - box.column_begin);
    auto const end = static_cast<std::size_t>(run.end - box.column_begin);
    for (std::size_t word = begin / 64; word * 64 < end; ++word) {
      std::uint64_t const from = begin > word * 64 ? begin - word * 64 : 0;
      std::uint64_t const past = std::min<std::uint64_t>(end - word * 64, 64);
      row[word] |= (~std::uint64_t{0} >> (64 - (past - from))) << from;
    }
  }
  auto const right_of = [&](std::uint64_t const* row, std::size_t w) {
    return (row[w] >> 1U) | (w + 1 < words ? row[w + 1] << 63U : 0);
  };
  auto const left_of = [&](std::uint64_t const* row, std::size_t w) {
    return (row[w] << 1U) | (w > 0 ? row[w - 1] >> 63U : 0);
  };
  for (std::size_t r = 1; r <= rows; ++r) {
    std::uint64_t const* const row = scratch.pixels.data() + r * words;
    for (std::size_t w = 0; w < words; ++w) {
      std::uint64_t const inner =
          left_of(row, w) & right_of(row, w) & (row - words)[w] & (row + words)[w];
      scratch.outline[r * words + w] = row[w] & ~inner;
    }
  }
  std::int64_t straight = 0, diagonal = 0, mixed = 0;
  for (std::size_t r = 1; r <= rows; ++r) {
    std::uint64_t const* const row = scratch.outline.data() + r * words;
    std::uint64_t const* const above = row - words;
    std::uint64_t const* const below = row + words;
    for (std::size_t w = 0; w < words; ++w) {
      if (row[w] == 0) continue;
      neighbour_count const edge{left_of(row, w), right_of(row, w), above[w], below[w]};
      neighbour_count const corner{left_of(above, w), right_of(above, w), left_of(below, w),
                                   right_of(below, w)};
      std::uint64_t const no_edge = ~(edge.ones | edge.twos | edge.fours);
      std::uint64_t const one_edge = edge.ones & ~edge.twos;
      std::uint64_t const two_corners = corner.twos & ~corner.ones;
      std::uint64_t const three_corners = corner.twos & corner.ones;
      std::uint64_t const one_corner = corner.ones & ~corner.twos;
      straight += std::popcount(row[w] & edge.twos & ~(three_corners | corner.fours));
      diagonal += std::popcount(row[w] & ((no_edge & two_corners) | (one_edge & three_corners)));
      mixed += std::popcount(row[w] & one_edge & (one_corner | two_corners));
    }
  }
  constexpr double root_2 = 1.4142135623730950488;
  return static_cast<double>(straight) + root_2 * static_cast<double>(diagonal) +
         (1 + root_2) / 2 * static_cast<double>(mixed);
}

}  // namespace septum::inline SEPTUM_ABI::detail
