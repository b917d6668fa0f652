#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

namespace detail {

/// Distance along a column that holds no site; counting on from it does not overflow.
inline constexpr std::int32_t far_away = 1 << 30;

/// Lower envelope of the parabolas weight * (x - i)^2 + height(i) over whole x: which parabola is
/// lowest, for every x, in linear time (Felzenszwalb and Huttenlocher).
class lower_envelope {
 public:
  lower_envelope(std::int64_t weight, std::ptrdiff_t columns) : weight_{weight} {
    site_.reserve(static_cast<std::size_t>(columns));
    height_.reserve(static_cast<std::size_t>(columns));
    first_.reserve(static_cast<std::size_t>(columns));
  }
  void clear() {
    site_.clear();
    height_.clear();
    first_.clear();
  }
  [[nodiscard]] bool empty() const { return site_.empty(); }
  /// Adds the parabola of column `i`, which is right of all added before.
  void add(std::int64_t i, std::int64_t height) {
    std::int64_t first = std::numeric_limits<std::int64_t>::min();
    while (!site_.empty()) {
      first = first_where_lower(i, height);
      if (first > first_.back()) break;
      site_.pop_back();
      height_.pop_back();
      first_.pop_back();
      first = std::numeric_limits<std::int64_t>::min();
    }
    site_.push_back(i);
    height_.push_back(height);
    first_.push_back(first);
  }
  /// Calls visit(x, column of the lowest parabola) for x = 0 ... columns - 1.
  template <class Visit>
  void for_each_column(std::int64_t columns, Visit const& visit) const {
    for (std::size_t k = 0; k < site_.size(); ++k) {
      std::int64_t const begin = std::max<std::int64_t>(first_[k], 0);
      std::int64_t const end = k + 1 < site_.size() ? std::min(first_[k + 1], columns) : columns;
      for (std::int64_t x = begin; x < end; ++x) visit(x, site_[k]);
    }
  }

 private:
  /// First x at which the parabola of `i` is below the last one added.
  [[nodiscard]] std::int64_t first_where_lower(std::int64_t i, std::int64_t height) const {
    std::int64_t const last = site_.back();
    std::int64_t const numerator = weight_ * (i - last) * (i + last) + (height - height_.back());
    std::int64_t const denominator = 2 * weight_ * (i - last);
    std::int64_t const quotient = numerator / denominator;
    return (numerator % denominator < 0 ? quotient - 1 : quotient) + 1;
  }

  std::int64_t weight_;
  std::vector<std::int64_t> site_;
  std::vector<std::int64_t> height_;
  std::vector<std::int64_t> first_;
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
  std::vector<std::int32_t> vertical(pixels.size());
  detail::sweep_columns(
      rows, columns,
      [&](std::ptrdiff_t row, std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::uint8_t const* const set = pixels.data() + row * columns;
        std::int32_t* const out = vertical.data() + row * columns;
        for (std::ptrdiff_t c = begin; c < end; ++c) out[c] = set[c] == 0 ? 0 : detail::far_away;
      },
      [&](std::ptrdiff_t from, std::ptrdiff_t to, std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::int32_t const* const before = vertical.data() + from * columns;
        std::int32_t* const here = vertical.data() + to * columns;
        for (std::ptrdiff_t c = begin; c < end; ++c) here[c] = std::min(here[c], before[c] + 1);
      },
      threads);
  for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    detail::lower_envelope envelope{1, columns};
    for (std::ptrdiff_t row = begin; row < end; ++row) {
      std::int32_t const* const distance = vertical.data() + row * columns;
      float* const out = result.data() + row * columns;
      envelope.clear();
      for (std::ptrdiff_t c = 0; c < columns; ++c)
        if (distance[c] < detail::far_away)
          envelope.add(c, std::int64_t{distance[c]} * distance[c]);
      if (envelope.empty()) std::fill(out, out + columns, std::numeric_limits<float>::infinity());
      envelope.for_each_column(columns, [&](std::int64_t x, std::int64_t site) {
        std::int64_t const height = std::int64_t{distance[site]} * distance[site];
        out[x] = std::sqrt(static_cast<float>((x - site) * (x - site) + height));
      });
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
  std::int64_t const weight = std::int64_t{largest_label(cells)} + 1;
  double const squared_diagonal = static_cast<double>(rows) * static_cast<double>(rows) +
                                  static_cast<double>(columns) * static_cast<double>(columns);
  SEPTUM_EXPECTS(
      squared_diagonal * static_cast<double>(weight) < 0x1.0p61,
      unsupported_error("septum.distance.1",
                        "labels up to " + std::to_string(weight - 1) + " in an image of " +
                            std::to_string(rows) + " x " + std::to_string(columns) +
                            " pixels are too large to compare; call relabel_sequential or tile"));
  labels result = labels::from_shape(cells.shape());
  std::vector<std::int32_t> vertical(cells.size());
  std::vector<std::int32_t> owner(cells.size());
  detail::sweep_columns(
      rows, columns,
      [&](std::ptrdiff_t row, std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::int32_t const* const label = cells.data() + row * columns;
        std::copy(label + begin, label + end, owner.data() + row * columns + begin);
        std::int32_t* const out = vertical.data() + row * columns;
        for (std::ptrdiff_t c = begin; c < end; ++c) out[c] = label[c] != 0 ? 0 : detail::far_away;
      },
      [&](std::ptrdiff_t from, std::ptrdiff_t to, std::ptrdiff_t begin, std::ptrdiff_t end) {
        std::int32_t const* const before = vertical.data() + from * columns;
        std::int32_t const* const before_owner = owner.data() + from * columns;
        std::int32_t* const here = vertical.data() + to * columns;
        std::int32_t* const here_owner = owner.data() + to * columns;
        for (std::ptrdiff_t c = begin; c < end; ++c) {
          std::int32_t const passed = before[c] + 1;
          bool const nearer = passed < here[c];
          bool const tie = passed == here[c] && before_owner[c] < here_owner[c];
          here[c] = nearer ? passed : here[c];
          here_owner[c] = nearer || tie ? before_owner[c] : here_owner[c];
        }
      },
      threads);
  double const squared_reach = reach_px * reach_px;
  for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    detail::lower_envelope envelope{weight, columns};
    for (std::ptrdiff_t row = begin; row < end; ++row) {
      std::int32_t const* const distance = vertical.data() + row * columns;
      std::int32_t const* const label = owner.data() + row * columns;
      std::int32_t* const out = result.data() + row * columns;
      envelope.clear();
      for (std::ptrdiff_t c = 0; c < columns; ++c)
        if (distance[c] < detail::far_away)
          envelope.add(c, std::int64_t{distance[c]} * distance[c] * weight + label[c]);
      if (envelope.empty()) std::fill(out, out + columns, 0);
      envelope.for_each_column(columns, [&](std::int64_t x, std::int64_t site) {
        std::int64_t const squared =
            (x - site) * (x - site) + std::int64_t{distance[site]} * distance[site];
        out[x] = static_cast<double>(squared) <= squared_reach ? label[site] : 0;
      });
    }
  });
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
