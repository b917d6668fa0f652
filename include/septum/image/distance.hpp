#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

namespace detail {

/// Distance along a column that holds no site; counting on from it does not overflow.
inline constexpr std::int32_t far_away = 1 << 30;

/// Lower envelope of the parabolas 2^shift * (x - i)^2 + height(i) over whole x: which parabola is
/// lowest, for every x, in linear time (Felzenszwalb and Huttenlocher).
class lower_envelope {
 public:
  lower_envelope(int shift, std::ptrdiff_t columns)
      : shift_{shift}, parabolas_(static_cast<std::size_t>(columns)) {}
  void clear() { count_ = 0; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  /// Adds the parabola of column `i`, which is right of all added before.
  void add(std::int64_t i, std::int64_t height) {
    std::int64_t first = std::numeric_limits<std::int64_t>::min();
    while (count_ > 0) {
      parabola const& last = parabolas_[count_ - 1];
      first = first_where_lower(i, height, last);
      if (first > last.first) break;
      first = std::numeric_limits<std::int64_t>::min();
      --count_;
    }
    parabolas_[count_++] = {i, height, first};
  }
  /// Calls visit(x, column of the lowest parabola) for x in [begin, end).
  template <class Visit>
  void for_each_column(std::int64_t begin, std::int64_t end, Visit const& visit) const {
    for (std::size_t k = 0; k < count_; ++k) {
      std::int64_t const past = k + 1 < count_ ? std::min(parabolas_[k + 1].first, end) : end;
      for (std::int64_t x = std::max(parabolas_[k].first, begin); x < past; ++x)
        visit(x, parabolas_[k].site);
    }
  }

 private:
  struct parabola {
    std::int64_t site;
    std::int64_t height;
    /// first column where it is lowest
    std::int64_t first;
  };

  /// First x at which the parabola of `i` is below `left`.
  [[nodiscard]] std::int64_t first_where_lower(std::int64_t i, std::int64_t height,
                                               parabola const& left) const {
    std::int64_t const apart = i - left.site;
    std::int64_t const numerator = (apart * (i + left.site) << shift_) + (height - left.height);
    if (apart == 1) return (numerator >> (shift_ + 1)) + 1;
    std::int64_t const denominator = apart << (shift_ + 1);
    std::int64_t const quotient = numerator / denominator;
    return (numerator % denominator < 0 ? quotient - 1 : quotient) + 1;
  }

  int shift_;
  std::size_t count_ = 0;
  std::vector<parabola> parabolas_;
};

/// Carries sites down and then up all columns, in blocks of columns. `site_row(row, begin, end)`
/// enters the sites of one row, `pass_on(from, to, begin, end)` improves row `to` by what its
/// neighbour `from` knows; both for the columns [begin, end).
template <class SiteRow, class PassOn>
void sweep_columns(std::ptrdiff_t rows, std::ptrdiff_t columns, SiteRow const& site_row,
                   PassOn const& pass_on, exec::threads threads) {
  constexpr std::ptrdiff_t block_columns = 256;
  std::ptrdiff_t const blocks = (columns + block_columns - 1) / block_columns;
  for_each_task(threads, blocks, [&](std::ptrdiff_t block) {
    std::ptrdiff_t const begin = block * block_columns;
    std::ptrdiff_t const end = std::min(columns, begin + block_columns);
    for (std::ptrdiff_t row = 0; row < rows; ++row) {
      site_row(row, begin, end);
      if (row > 0) pass_on(row - 1, row, begin, end);
    }
    for (std::ptrdiff_t row = rows - 1; row-- > 0;) pass_on(row + 1, row, begin, end);
  });
}

}  // namespace detail

/// Exact Euclidean distance in pixels from every set (non-zero) pixel to the nearest unset one; 0
/// on unset pixels, infinity everywhere when all pixels are set. Axes row, column.
/// complexity: linear in the pixels.
[[nodiscard]] inline xt::xtensor<float, 2> distance_transform(mask const& pixels,
                                                              exec::threads threads = {}) {
  auto const rows = static_cast<std::ptrdiff_t>(pixels.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(pixels.shape()[1]);
  xt::xtensor<float, 2> result = xt::xtensor<float, 2>::from_shape(pixels.shape());
  auto const vertical = std::make_unique_for_overwrite<std::int32_t[]>(pixels.size());
  detail::sweep_columns(
      rows, columns,
      [&](std::ptrdiff_t row, std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::uint8_t const* const set = pixels.data() + row * columns;
        std::int32_t* const out = vertical.get() + row * columns;
        for (std::ptrdiff_t c = begin; c < end; ++c) out[c] = set[c] == 0 ? 0 : detail::far_away;
      },
      [&](std::ptrdiff_t from, std::ptrdiff_t to, std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::int32_t const* const before = vertical.get() + from * columns;
        std::int32_t* const here = vertical.get() + to * columns;
        for (std::ptrdiff_t c = begin; c < end; ++c) here[c] = std::min(here[c], before[c] + 1);
      },
      threads);
  for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    detail::lower_envelope envelope{0, columns};
    for (std::ptrdiff_t row = begin; row < end; ++row) {
      std::int32_t const* const distance = vertical.get() + row * columns;
      float* const out = result.data() + row * columns;
      auto const squared = [&](std::int64_t c) { return std::int64_t{distance[c]} * distance[c]; };
      // Nothing beyond the unset pixels at the ends of a run of set ones is nearer than they are.
      for (std::ptrdiff_t c = 0; c < columns;) {
        if (distance[c] == 0) {
          out[c++] = 0;
          continue;
        }
        std::ptrdiff_t const first = c;
        envelope.clear();
        if (first > 0) envelope.add(first - 1, 0);
        for (; c < columns && distance[c] != 0; ++c)
          if (distance[c] < detail::far_away) envelope.add(c, squared(c));
        if (c < columns) envelope.add(c, 0);
        if (envelope.empty()) std::fill(out, out + columns, std::numeric_limits<float>::infinity());
        envelope.for_each_column(first, c, [&](std::int64_t x, std::int64_t site) {
          out[x] = std::sqrt(static_cast<float>((x - site) * (x - site) + squared(site)));
        });
      }
    }
  });
  return result;
}

/// The label of the nearest labelled pixel (Euclidean distance between pixel centres) for every
/// pixel: the Voronoi partition of the cells. The smaller label wins where two are equally near.
/// Pixels further than `reach_px` from every cell stay 0. Axes row, column.
/// \throws unsupported_error `septum.labels.1` on a negative label, `septum.distance.1` when the
///         squared diagonal times the largest label reaches 2^61.
/// complexity: linear in the pixels.
[[nodiscard]] inline labels nearest_label(labels const& cells,
                                          double reach_px = std::numeric_limits<double>::infinity(),
                                          exec::threads threads = {}) {
  auto const rows = static_cast<std::ptrdiff_t>(cells.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(cells.shape()[1]);
  // Squared distance and label are compared as one number, distance first.
  std::int32_t const largest = largest_label(cells);
  auto const shift = static_cast<int>(std::bit_width(static_cast<std::uint32_t>(largest)));
  double const squared_diagonal = static_cast<double>(rows) * static_cast<double>(rows) +
                                  static_cast<double>(columns) * static_cast<double>(columns);
  SEPTUM_EXPECTS(
      std::ldexp(squared_diagonal, shift) < 0x1.0p61,
      unsupported_error("septum.distance.1",
                        "labels up to " + std::to_string(largest) + " in an image of " +
                            std::to_string(rows) + " x " + std::to_string(columns) +
                            " pixels are too large to compare; call relabel_sequential or tile"));
  labels result = labels::from_shape(cells.shape());
  // Distance along the column in the upper half of a word, the label in the lower: the smaller word
  // is the nearer cell, or the smaller label at the same distance.
  auto const nearest = std::make_unique_for_overwrite<std::int64_t[]>(cells.size());
  constexpr std::int64_t one_row = std::int64_t{1} << 32;
  detail::sweep_columns(
      rows, columns,
      [&](std::ptrdiff_t row, std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::int32_t const* const label = cells.data() + row * columns;
        std::int64_t* const out = nearest.get() + row * columns;
        for (std::ptrdiff_t c = begin; c < end; ++c)
          out[c] = label[c] != 0 ? std::int64_t{label[c]} : detail::far_away * one_row;
      },
      [&](std::ptrdiff_t from, std::ptrdiff_t to, std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::int64_t const* const before = nearest.get() + from * columns;
        std::int64_t* const here = nearest.get() + to * columns;
        for (std::ptrdiff_t c = begin; c < end; ++c)
          here[c] = std::min(here[c], before[c] + one_row);
      },
      threads);
  double const squared_reach = reach_px * reach_px;
  for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    detail::lower_envelope envelope{shift, columns};
    for (std::ptrdiff_t row = begin; row < end; ++row) {
      std::int64_t const* const here = nearest.get() + row * columns;
      std::int32_t* const out = result.data() + row * columns;
      auto const label = [&](std::int64_t c) { return static_cast<std::int32_t>(here[c]); };
      auto const distance = [&](std::int64_t c) { return here[c] >> 32; };
      auto const add = [&](std::ptrdiff_t c) {
        std::int64_t const squared = distance(c) * distance(c);
        if (distance(c) < detail::far_away && static_cast<double>(squared) <= squared_reach)
          envelope.add(c, (squared << shift) + label(c));
      };
      // Nothing beyond the cells at the ends of a run of background is nearer than they are.
      for (std::ptrdiff_t c = 0; c < columns;) {
        if (distance(c) == 0) {
          out[c] = label(c);
          ++c;
          continue;
        }
        std::ptrdiff_t const first = c;
        envelope.clear();
        if (first > 0) add(first - 1);
        for (; c < columns && distance(c) != 0; ++c) add(c);
        if (c < columns) add(c);
        if (envelope.empty()) std::fill(out + first, out + c, 0);
        envelope.for_each_column(first, c, [&](std::int64_t x, std::int64_t site) {
          std::int64_t const away = (x - site) * (x - site) + distance(site) * distance(site);
          out[x] = static_cast<double>(away) <= squared_reach ? label(site) : 0;
        });
      }
    }
  });
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
