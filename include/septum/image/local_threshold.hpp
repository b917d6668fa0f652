#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/border.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

namespace detail {

/// Answers for many pixels whether fewer than a given number of values in the window around them
/// lie below a level, by a histogram that slides along the rows. Values are known by their rank in
/// the whole image; bins hold equally many of them, and only a tie within one bin is looked into.
class sliding_ranks {
 public:
  /// @param rank  of each pixel, row-major  @param window  odd side of the box
  sliding_ranks(std::vector<std::int32_t> const& rank, std::ptrdiff_t rows, std::ptrdiff_t columns,
                int window)
      : rank_{rank}, rows_{rows}, columns_{columns}, reach_{window / 2} {
    while ((rank.size() >> static_cast<unsigned>(shift_)) >= bins) ++shift_;
    counts_.assign(bins, 0);
    sums_.assign(bins / bins_per_sum, 0);
  }

  /// Calls visit(column) with the window centred on (row, column) for the columns [begin, end).
  template <class Visit>
  void slide(std::ptrdiff_t row, std::ptrdiff_t begin, std::ptrdiff_t end, Visit const& visit) {
    if (begin >= end) return;
    std::fill(counts_.begin(), counts_.end(), 0U);
    std::fill(sums_.begin(), sums_.end(), 0U);
    lines_.clear();
    for (std::ptrdiff_t r = row - reach_; r <= row + reach_; ++r)
      lines_.push_back(rank_.data() + mirrored_index(r, rows_) * columns_);
    for (std::ptrdiff_t c = begin - reach_; c <= begin + reach_; ++c) add_column(c, 1U);
    for (column_ = begin; column_ < end; ++column_) {
      if (column_ > begin) {
        add_column(column_ - reach_ - 1, ~0U);
        add_column(column_ + reach_, 1U);
      }
      visit(column_);
    }
  }

  /// True when at least `wanted` ranks in the window are below `level`.
  [[nodiscard]] bool has_below(std::int64_t level, std::int64_t wanted) const {
    auto const bin = static_cast<std::size_t>(level >> shift_);
    std::int64_t below = 0;
    std::size_t const sum = bin / bins_per_sum;
    for (std::size_t k = 0; k < sum; ++k) below += sums_[k];
    for (std::size_t k = sum * bins_per_sum; k < bin; ++k) below += counts_[k];
    if (below >= wanted) return true;
    if (bin >= bins || below + counts_[bin] < wanted) return false;
    for (std::int32_t const* line : lines_)
      for (std::ptrdiff_t c = column_ - reach_; c <= column_ + reach_; ++c) {
        std::int64_t const rank = line[mirrored_index(c, columns_)];
        below += rank < level && rank >> shift_ == static_cast<std::int64_t>(bin) ? 1 : 0;
      }
    return below >= wanted;
  }

 private:
  static constexpr std::size_t bins = 4096;
  static constexpr std::size_t bins_per_sum = 64;

  /// `change` is 1 or, to take a column out, -1 in unsigned arithmetic.
  void add_column(std::ptrdiff_t column, std::uint32_t change) {
    std::ptrdiff_t const c = mirrored_index(column, columns_);
    for (std::int32_t const* line : lines_) {
      auto const bin = static_cast<std::size_t>(line[c] >> shift_);
      counts_[bin] += change;
      sums_[bin / bins_per_sum] += change;
    }
  }

  std::vector<std::int32_t> const& rank_;
  std::ptrdiff_t rows_;
  std::ptrdiff_t columns_;
  std::ptrdiff_t reach_;
  int shift_ = 0;
  std::vector<std::uint32_t> counts_;
  std::vector<std::uint32_t> sums_;
  std::vector<std::int32_t const*> lines_;
  std::ptrdiff_t column_ = 0;
};

}  // namespace detail

/// Pixels above the median of the window x window box around them by more than `offset`; borders
/// mirrored, edge pixel included. Finds dim objects that one threshold for the whole image misses.
/// Axes row, column; compared in double. (scikit-image's `threshold_local` with method "median".)
/// \throws unsupported_error `septum.local_threshold.1` on an even window or one below 1.
[[nodiscard]] inline mask above_local_median(view<float const, 2> pixels, int window, double offset,
                                             exec::threads threads = {}) {
  SEPTUM_EXPECTS(window >= 1 && window % 2 == 1,
                 unsupported_error("septum.local_threshold.1",
                                   "local threshold: expected an odd window of at least 1 pixel, "
                                   "found " +
                                       std::to_string(window)));
  std::ptrdiff_t const rows = pixels.extent(0);
  std::ptrdiff_t const columns = pixels.extent(1);
  auto const count = static_cast<std::size_t>(pixels.size());
  mask result =
      mask::from_shape({static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)});
  result.fill(0);
  if (count == 0) return result;
  auto const value = [&](std::size_t p) {
    auto const at = static_cast<std::ptrdiff_t>(p);
    return pixels.data()[at / columns * pixels.stride(0) + at % columns];
  };

  // rank: first place of a pixel's value in sorted order. level: how many places of the sorted
  // order hold values that stay below the pixel's when the offset is added to them.
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    float const va = value(a);
    float const vb = value(b);
    return va < vb || (va == vb && a < b);
  });
  std::vector<std::int32_t> rank(count);
  std::vector<std::int32_t> level(count);
  std::size_t below = 0;
  for (std::size_t k = 0; k < count; ++k) {
    std::uint32_t const p = order[k];
    bool const ties = k > 0 && value(order[k - 1]) == value(p);
    rank[p] = ties ? rank[order[k - 1]] : static_cast<std::int32_t>(k);
    while (below < count &&
           static_cast<double>(value(order[below])) + offset < static_cast<double>(value(p)))
      ++below;
    level[p] = static_cast<std::int32_t>(below);
  }

  std::int64_t const middle = (std::int64_t{window} * window) / 2 + 1;
  for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    detail::sliding_ranks ranks{rank, rows, columns, window};
    for (std::ptrdiff_t r = begin; r < end; ++r) {
      std::int32_t const* const wanted = level.data() + r * columns;
      std::ptrdiff_t first = 0;
      while (first < columns && wanted[first] == 0) ++first;
      std::ptrdiff_t last = columns;
      while (last > first && wanted[last - 1] == 0) --last;
      ranks.slide(r, first, last, [&](std::ptrdiff_t c) {
        if (wanted[c] > 0 && ranks.has_below(wanted[c], middle)) result.data()[r * columns + c] = 1;
      });
    }
  });
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
