#pragma once
#include <septum/core/config.hpp>
#include <septum/core/view.hpp>
#include <septum/track/assignment_problem.hpp>
#include <septum/track/detail/augmenting_paths.hpp>
#include <septum/track/detail/dense_paths.hpp>
#include <septum/track/detail/dense_rows.hpp>
#include <septum/track/detail/tie_breaking.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Solves a dense problem with at least as many columns as rows. Only a few low columns of each
/// row can be in an optimal assignment, so a sparse problem over these is solved first; its prices
/// then prove the rest of the matrix irrelevant, or name the pairs that were missing.
class dense_solver {
 public:
  explicit dense_solver(view<double const, 2> costs)
      : matrix_{costs},
        rows_{static_cast<std::int32_t>(costs.extent(0))},
        columns_{static_cast<std::int32_t>(costs.extent(1))} {}

  /// Columns of rows and prices of both; nothing when no complete assignment exists.
  [[nodiscard]] std::optional<assignment> solve() {
    pick_candidates();
    std::vector<std::int32_t> everyone(at(rows_));
    std::iota(everyone.begin(), everyone.end(), 0);
    for (int round = 0; round < most_rounds; ++round) {
      augmenting_paths<double> solver{candidates_};
      search_space<double> space;
      solver.solve(everyone, space);
      assignment found = solution_of(solver);
      std::int64_t const lost = rows_ - found.pairs;
      bool const shifted = !candidates_.column_unassigned.empty();
      if (lost > few + (shifted ? rows_ * 3 / 4 : rows_ / 3)) {
        // Rows that want the same columns: prices of columns, where these are free to choose,
        // tell them apart; else the whole matrix is needed.
        if (rows_ < columns_ || shifted) break;
        candidates_.column_unassigned = matrix_.offsets_of_columns(rows_);
        matrix_.set_offsets(candidates_.column_unassigned);
        pick_candidates();
        continue;
      }
      missing_pairs missing = find_missing(found);
      if (missing.count == 0 && lost <= few) return complete_dense(std::move(found));
      if (lost > 0) add_free_columns(found, missing);
      if (missing.count == 0) return complete_dense(std::move(found));
      merge(missing);
    }
    assignment nothing;
    nothing.column_of_row.assign(at(rows_), unassigned);
    nothing.prices.row.assign(at(rows_), 0.0);
    nothing.prices.column = candidates_.column_unassigned;
    nothing.prices.column.resize(at(columns_), 0.0);
    return complete_dense(std::move(nothing));
  }

  /// Pairs that cost nothing extra, ascending within each row.
  [[nodiscard]] tight_pairs find_ties(assignment const& result) const {
    tight_pairs pairs;
    for (std::int32_t row = 0; row < rows_; ++row) {
      for_each_tight(result, row, [&](std::int32_t column) {
        pairs.column.push_back(column);
        return true;
      });
      pairs.end_row();
    }
    pairs.row_may_rest.assign(at(rows_), 0);
    for (double const price : result.prices.column)
      pairs.column_may_rest.push_back(rows_ < columns_ && price >= 0 ? 1 : 0);
    return pairs;
  }

  /// True when every row has the lowest column that costs it nothing extra and that no row before
  /// it took: then no tie is left to break.
  [[nodiscard]] bool ties_are_broken(assignment const& result) const {
    std::vector<bool> used(at(columns_), false);
    for (std::int32_t row = 0; row < rows_; ++row) {
      std::int32_t first = unassigned;
      for_each_tight(result, row, [&](std::int32_t column) {
        if (!used[at(column)]) first = column;
        return used[at(column)];
      });
      if (first == unassigned || first != result.column_of_row[at(row)]) return false;
      used[at(first)] = true;
    }
    return true;
  }

 private:
  static constexpr int most_rounds = 12;
  static constexpr std::int64_t few = 8;

  struct missing_pairs {
    std::vector<std::pair<std::int32_t, std::int32_t>> pairs;  ///< row, column
    std::size_t count = 0;
  };

  [[nodiscard]] static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

  void pick_candidates() {
    candidates_.rows = rows_;
    candidates_.columns = columns_;
    candidates_.row_begin.assign(1, 0);
    candidates_.column.clear();
    candidates_.column.reserve(at(rows_) * std::min<std::size_t>(at(columns_), 32));
    candidates_.cost.clear();
    bound_.clear();
    bound_.reserve(at(rows_));
    for (std::int32_t row = 0; row < rows_; ++row) {
      bound_.push_back(matrix_.pick(row, candidates_.column));
      candidates_.row_begin.push_back(candidates_.column.size());
      append_costs(row);
    }
  }

  void append_costs(std::int32_t row) {
    double const* const x = matrix_.row(row);
    for (std::size_t e = candidates_.begin(row); e < candidates_.end(row); ++e)
      candidates_.cost.push_back(x[candidates_.column[e]]);
  }

  [[nodiscard]] assignment solution_of(augmenting_paths<double> const& solver) const {
    assignment found;
    for (std::int32_t row = 0; row < rows_; ++row) {
      found.column_of_row.push_back(solver.column_of_row(row));
      found.prices.row.push_back(solver.row_price(row));
      if (found.column_of_row.back() != unassigned) ++found.pairs;
    }
    for (std::int32_t column = 0; column < columns_; ++column)
      found.prices.column.push_back(solver.column_price(column));
    return found;
  }

  /// Pairs outside the candidates that the prices call better than what was found.
  [[nodiscard]] missing_pairs find_missing(assignment const& found) const {
    missing_pairs missing;
    double const* const price = found.prices.column.data();
    for (std::int32_t row = 0; row < rows_; ++row) {
      double const paid = found.prices.row[at(row)];
      // Prices of columns only fall from the offsets, so a column left out costs more than the
      // bound.
      if (found.column_of_row[at(row)] == unassigned || paid <= bound_[at(row)]) continue;
      double const* const x = matrix_.row(row);
      matrix_.for_each_tight(row, paid, price, [&](std::int32_t column) {
        constexpr double rounding = 16 * std::numeric_limits<double>::epsilon();
        double const gap = paid - (x[column] - price[column]);
        double const scale = std::abs(paid) + std::abs(price[column]);
        if (gap > rounding * scale && !is_candidate(row, column))
          missing.pairs.emplace_back(row, column);
        return true;
      });
    }
    missing.count = missing.pairs.size();
    return missing;
  }

  [[nodiscard]] bool is_candidate(std::int32_t row, std::int32_t column) const {
    auto const first = candidates_.column.begin();
    return std::binary_search(first + static_cast<std::ptrdiff_t>(candidates_.begin(row)),
                              first + static_cast<std::ptrdiff_t>(candidates_.end(row)), column);
  }

  /// Connects every free column to the rows that are nearest to it at the present prices, and
  /// every row without a column to the nearest free columns.
  void add_free_columns(assignment const& found, missing_pairs& missing) const {
    std::vector<std::int32_t> free_columns;
    std::vector<std::int32_t> const holder = found.row_of_column(columns_);
    for (std::int32_t column = 0; column < columns_; ++column)
      if (holder[at(column)] == unassigned) free_columns.push_back(column);
    std::vector<std::vector<entry>> nearest_rows(free_columns.size());
    std::vector<entry> nearest_columns;
    for (std::int32_t row = 0; row < rows_; ++row) {
      double const* const x = matrix_.row(row);
      bool const lost = found.column_of_row[at(row)] == unassigned;
      double const paid = lost ? 0.0 : found.prices.row[at(row)];
      nearest_columns.clear();
      for (std::size_t k = 0; k < free_columns.size(); ++k) {
        std::int32_t const column = free_columns[k];
        if (x[column] == no_limit || is_candidate(row, column)) continue;
        if (lost) keep_lowest(nearest_columns, {x[column], column});
        keep_lowest(nearest_rows[k], {x[column] - paid, row});
      }
      for (entry const& e : nearest_columns) missing.pairs.emplace_back(row, e.index);
    }
    for (std::size_t k = 0; k < free_columns.size(); ++k)
      for (entry const& e : nearest_rows[k]) missing.pairs.emplace_back(e.index, free_columns[k]);
    missing.count = missing.pairs.size();
  }

  struct entry {
    double cost;
    std::int32_t index;
    friend bool operator<(entry const& a, entry const& b) {
      return a.cost != b.cost ? a.cost < b.cost : a.index < b.index;
    }
  };

  static void keep_lowest(std::vector<entry>& heap, entry const& candidate) {
    constexpr std::size_t wanted = 8;
    if (heap.size() == wanted) {
      if (!(candidate < heap.front())) return;
      std::pop_heap(heap.begin(), heap.end());
      heap.pop_back();
    }
    heap.push_back(candidate);
    std::push_heap(heap.begin(), heap.end());
  }

  void merge(missing_pairs& missing) {
    std::sort(missing.pairs.begin(), missing.pairs.end());
    missing.pairs.erase(std::unique(missing.pairs.begin(), missing.pairs.end()),
                        missing.pairs.end());
    sparse_costs merged;
    merged.rows = rows_;
    merged.columns = columns_;
    merged.column_unassigned = candidates_.column_unassigned;
    merged.row_begin.push_back(0);
    auto more = missing.pairs.begin();
    for (std::int32_t row = 0; row < rows_; ++row) {
      auto const begin = static_cast<std::ptrdiff_t>(merged.column.size());
      for (std::size_t e = candidates_.begin(row); e < candidates_.end(row); ++e)
        merged.column.push_back(candidates_.column[e]);
      for (; more != missing.pairs.end() && more->first == row; ++more)
        merged.column.push_back(more->second);
      std::sort(merged.column.begin() + begin, merged.column.end());
      merged.row_begin.push_back(merged.column.size());
    }
    candidates_ = std::move(merged);
    for (std::int32_t row = 0; row < rows_; ++row) append_costs(row);
  }

  /// Places the rows that are left by searches in the whole matrix.
  [[nodiscard]] std::optional<assignment> complete_dense(assignment found) const {
    if (found.pairs == rows_) return found;
    dense_paths paths{matrix_, found, columns_};
    for (std::int32_t row = 0; row < rows_; ++row)
      if (found.column_of_row[at(row)] == unassigned && !paths.augment(row)) return std::nullopt;
    return paths.solution();
  }

  /// Calls visit(column) for the columns that cost a row nothing extra, ascending, until it returns
  /// false.
  template <class Visit>
  void for_each_tight(assignment const& result, std::int32_t row, Visit const& visit) const {
    double const paid = result.prices.row[at(row)];
    double const* const price = result.prices.column.data();
    if (paid > bound_[at(row)]) return matrix_.for_each_tight(row, paid, price, visit);
    for (std::size_t e = candidates_.begin(row); e < candidates_.end(row); ++e) {
      std::int32_t const column = candidates_.column[e];
      if (candidates_.cost[e] - price[column] <= paid && !visit(column)) return;
    }
  }

  dense_rows matrix_;
  std::int32_t rows_;
  std::int32_t columns_;
  sparse_costs candidates_;
  std::vector<double> bound_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
