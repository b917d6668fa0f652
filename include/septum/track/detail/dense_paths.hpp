#pragma once
#include <septum/core/config.hpp>
#include <septum/track/assignment_problem.hpp>
#include <septum/track/detail/dense_rows.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Shortest augmenting paths over a full matrix with at least as many columns as rows, without a
/// heap: O(columns) per row visited (Crouse 2016 describes this form). Continues from an incomplete
/// assignment whose prices no pair violates.
class dense_paths {
 public:
  dense_paths(dense_rows const& costs, assignment const& begun, std::int32_t columns)
      : costs_{costs},
        column_of_row_{begun.column_of_row},
        row_of_column_{begun.row_of_column(columns)},
        price_{begun.prices.column},
        distance_(price_.size()),
        open_price_(price_.size()),
        previous_row_(price_.size()),
        block_lowest_((price_.size() + 7) / 8) {}

  /// Gives `start` a column, moving other rows where that is cheaper. False when none can be had.
  bool augment(std::int32_t start) {
    std::fill(distance_.begin(), distance_.end(), no_limit);
    open_price_ = price_;
    settled_.clear();
    std::int32_t row = start;
    std::int32_t column = unassigned;
    double base = 0;
    while (true) {
      column = relax(row, base);
      if (column == unassigned) return false;
      if (row_of_column_[at(column)] == unassigned) break;
      row = row_of_column_[at(column)];
      base = distance_[at(column)] - (costs_.row(row)[column] - price_[at(column)]);
      settled_.push_back({column, distance_[at(column)]});
      // A settled column is out of reach from now on.
      open_price_[at(column)] = -no_limit;
      distance_[at(column)] = no_limit;
    }
    double const shortest = distance_[at(column)];
    for (settled_column const& s : settled_) price_[at(s.column)] += s.distance - shortest;
    while (true) {
      std::int32_t const taker = previous_row_[at(column)];
      std::int32_t const left = column_of_row_[at(taker)];
      column_of_row_[at(taker)] = column;
      row_of_column_[at(column)] = taker;
      if (taker == start) return true;
      column = left;
    }
  }

  /// Columns of rows and prices of both.
  [[nodiscard]] assignment solution() const {
    assignment result;
    result.column_of_row = column_of_row_;
    result.prices.column = price_;
    for (std::size_t row = 0; row < column_of_row_.size(); ++row) {
      std::int32_t const column = column_of_row_[row];
      result.prices.row.push_back(costs_.row(static_cast<std::int32_t>(row))[column] -
                                  price_[at(column)]);
    }
    result.pairs = static_cast<std::int64_t>(column_of_row_.size());
    return result;
  }

 private:
  struct settled_column {
    std::int32_t column;
    double distance;
  };

  [[nodiscard]] static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

  /// Extends all paths by the columns of one row; returns the nearest column that is not settled,
  /// a free one before others, the lowest first.
  std::int32_t relax(std::int32_t row, double base) {
    double const* const cost = costs_.row(row);
    double const* const price = open_price_.data();
    double* const distance = distance_.data();
    std::int32_t* const previous = previous_row_.data();
    std::size_t const columns = price_.size();
    double lowest = no_limit;
    for (std::size_t block = 0; block < block_lowest_.size(); ++block) {
      std::size_t const first = 8 * block;
      std::size_t const last = std::min(first + 8, columns);
      double block_lowest = no_limit;
      if (last - first == 8) {
        std::array<double, 8> reached;
        for (std::size_t k = 0; k < 8; ++k)
          reached[k] = base + (cost[first + k] - price[first + k]);
        for (std::size_t k = 0; k < 8; ++k) {
          previous[first + k] = reached[k] < distance[first + k] ? row : previous[first + k];
          distance[first + k] = lower_of(reached[k], distance[first + k]);
        }
        block_lowest = lowest_of_eight(distance + first);
      } else {
        for (std::size_t j = first; j < last; ++j) {
          double const reached = base + (cost[j] - price[j]);
          previous[j] = reached < distance[j] ? row : previous[j];
          distance[j] = lower_of(reached, distance[j]);
          block_lowest = lower_of(distance[j], block_lowest);
        }
      }
      block_lowest_[block] = block_lowest;
      lowest = lower_of(block_lowest, lowest);
    }
    if (!(lowest < no_limit)) return unassigned;
    std::int32_t nearest = unassigned;
    for (std::size_t block = 0; block < block_lowest_.size(); ++block) {
      if (block_lowest_[block] != lowest) continue;
      for (std::size_t j = 8 * block; j < std::min(8 * block + 8, columns); ++j) {
        if (distance[j] != lowest) continue;
        if (row_of_column_[j] == unassigned) return static_cast<std::int32_t>(j);
        if (nearest == unassigned) nearest = static_cast<std::int32_t>(j);
      }
    }
    return nearest;
  }

  dense_rows const& costs_;
  std::vector<std::int32_t> column_of_row_;
  std::vector<std::int32_t> row_of_column_;
  std::vector<double> price_;
  std::vector<double> distance_;
  std::vector<double> open_price_;
  std::vector<std::int32_t> previous_row_;
  std::vector<double> block_lowest_;
  std::vector<settled_column> settled_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
