#pragma once
#include <septum/core/config.hpp>
#include <septum/core/view.hpp>
#include <septum/track/assignment_problem.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Lowest of eight neighbours, in an order that compilers turn into vector code.
[[nodiscard]] inline double lowest_of_eight(double const* x) {
  std::array<double, 4> low;
  for (std::size_t k = 0; k < 4; ++k) low[k] = lower_of(x[k], x[k + 4]);
  return lower_of(lower_of(low[0], low[2]), lower_of(low[1], low[3]));
}

/// Reads rows of a dense cost matrix a few times only: once to pick the columns that can matter,
/// and again only for rows whose proof needs it.
class dense_rows {
 public:
  explicit dense_rows(view<double const, 2> costs)
      : costs_{costs},
        columns_{costs.extent(1)},
        block_lowest_(static_cast<std::size_t>(columns_ / 8)) {}

  /// From now on `pick` sees every column cheaper by its offset.
  void set_offsets(std::vector<double> offsets) { offset_ = std::move(offsets); }

  /// For every column, the least by which an entry is above the lowest of its row.
  [[nodiscard]] std::vector<double> offsets_of_columns(std::int32_t rows) const {
    std::vector<double> result(static_cast<std::size_t>(columns_), no_limit);
    for (std::int32_t index = 0; index < rows; ++index) {
      double const* const x = row(index);
      double lowest = no_limit;
      for (std::ptrdiff_t j = 0; j < columns_; ++j) lowest = lower_of(x[j], lowest);
      if (lowest == no_limit) continue;
      for (std::size_t j = 0; j < result.size(); ++j)
        result[j] = lower_of(x[j] - lowest, result[j]);
    }
    for (double& offset : result)
      if (offset == no_limit) offset = 0;
    return result;
  }

  [[nodiscard]] double const* row(std::int32_t row) const {
    return costs_.data() + row * costs_.stride(0);
  }

  /// Picks about twenty low columns of a row, ascending. Every column left out costs, less its
  /// offset, more than the value returned. Checks the numbers of the row on the way.
  double pick(std::int32_t index, std::vector<std::int32_t>& picked) {
    double const* const x = offset_.empty() ? row(index) : shifted(index);
    std::ptrdiff_t const blocks = columns_ / 8;
    double magnitude = 0;
    for (std::ptrdiff_t b = 0; b < blocks; ++b) {
      block_lowest_[static_cast<std::size_t>(b)] = lowest_of_eight(x + 8 * b);
      std::array<double, 4> sum;
      for (std::size_t k = 0; k < 4; ++k)
        sum[k] = std::abs(x[8 * b + static_cast<std::ptrdiff_t>(k)]) +
                 std::abs(x[8 * b + static_cast<std::ptrdiff_t>(k) + 4]);
      magnitude += (sum[0] + sum[2]) + (sum[1] + sum[3]);
    }
    for (std::ptrdiff_t j = 8 * blocks; j < columns_; ++j) magnitude += std::abs(x[j]);
    // NaN, infinities and huge numbers all show in the sum.
    if (!(magnitude < largest_cost) && offset_.empty()) expect_costs(index);
    double const bound = columns_ < small_row ? no_limit : bound_of_blocks();
    std::size_t const first = picked.size();
    auto const keep = [&](std::ptrdiff_t j) { picked.push_back(static_cast<std::int32_t>(j)); };
    std::size_t const blocks_below =
        static_cast<std::size_t>(std::count_if(block_lowest_.begin(), block_lowest_.end(),
                                               [&](double lowest) { return lowest <= bound; }));
    if (blocks_below <= most_blocks || bound == no_limit) {
      for_each_block(bound, [&](std::ptrdiff_t j) {
        if (x[j] <= bound && x[j] < no_limit) keep(j);
      });
      return bound;
    }
    // Many columns tie at the bound. Of those, a few are kept, from a place that differs from row
    // to row, so that equal rows do not all ask for the same columns.
    for_each_block(std::nextafter(bound, -no_limit), [&](std::ptrdiff_t j) {
      if (x[j] < bound) keep(j);
    });
    std::size_t ties = std::max(least_picked, picked.size() - first + 8) - (picked.size() - first);
    for (std::ptrdiff_t step = 0; step < columns_ && ties > 0; ++step) {
      std::ptrdiff_t const j = (index + step) % columns_;
      if (x[j] != bound) continue;
      keep(j);
      --ties;
    }
    std::sort(picked.begin() + static_cast<std::ptrdiff_t>(first), picked.end());
    return std::nextafter(bound, -no_limit);
  }

  /// Calls visit(column) for columns whose cost minus price is at most `limit`, ascending, until it
  /// returns false.
  template <class Visit>
  void for_each_tight(std::int32_t index, double limit, double const* price,
                      Visit const& visit) const {
    double const* const x = row(index);
    std::ptrdiff_t j = 0;
    for (; j + 8 <= columns_; j += 8) {
      std::array<double, 8> reduced;
      for (std::size_t k = 0; k < 8; ++k)
        reduced[k] =
            x[j + static_cast<std::ptrdiff_t>(k)] - price[j + static_cast<std::ptrdiff_t>(k)];
      if (lowest_of_eight(reduced.data()) > limit) continue;
      for (std::size_t k = 0; k < 8; ++k)
        if (reduced[k] <= limit && !visit(static_cast<std::int32_t>(j + static_cast<int>(k))))
          return;
    }
    for (; j < columns_; ++j)
      if (x[j] - price[j] <= limit && !visit(static_cast<std::int32_t>(j))) return;
  }

 private:
  static constexpr std::ptrdiff_t small_row = 64;
  static constexpr std::size_t most_blocks = 96;
  static constexpr std::size_t least_picked = 16;

  void expect_costs(std::int32_t index) const {
    double const* const x = row(index);
    bool valid = true;
    for (std::ptrdiff_t j = 0; j < columns_; ++j) valid = valid && is_cost(x[j]);
    for (std::ptrdiff_t j = 0; j < columns_ && !valid; ++j) expect_cost(x[j], index, j);
  }

  [[nodiscard]] double const* shifted(std::int32_t index) {
    double const* const x = row(index);
    shifted_row_.resize(offset_.size());
    for (std::size_t j = 0; j < offset_.size(); ++j) shifted_row_[j] = x[j] - offset_[j];
    return shifted_row_.data();
  }

  /// The largest of eight minima over an eighth of the blocks each: eight entries or more are not
  /// above it, and about 22 when the costs are unordered.
  [[nodiscard]] double bound_of_blocks() const {
    std::array<double, 8> low;
    low.fill(no_limit);
    std::size_t b = 0;
    for (; b + 8 <= block_lowest_.size(); b += 8)
      for (std::size_t k = 0; k < 8; ++k) low[k] = lower_of(block_lowest_[b + k], low[k]);
    for (std::size_t k = 0; b < block_lowest_.size(); ++b, ++k)
      low[k] = lower_of(block_lowest_[b], low[k]);
    return *std::max_element(low.begin(), low.end());
  }

  /// Calls visit(column) for the columns of blocks that hold an entry up to `bound`.
  template <class Visit>
  void for_each_block(double bound, Visit const& visit) const {
    for (std::size_t b = 0; b < block_lowest_.size(); ++b)
      if (block_lowest_[b] <= bound)
        for (std::ptrdiff_t k = 0; k < 8; ++k) visit(8 * static_cast<std::ptrdiff_t>(b) + k);
    for (std::ptrdiff_t j = columns_ / 8 * 8; j < columns_; ++j) visit(j);
  }

  view<double const, 2> costs_;
  std::ptrdiff_t columns_;
  std::vector<double> block_lowest_;
  std::vector<double> offset_;
  std::vector<double> shifted_row_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
