#pragma once
#include <septum/core/config.hpp>
#include <septum/track/assignment_problem.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// A cost that counts rows without a column before it counts anything else.
struct leveled_cost {
  std::int64_t level = 0;
  double value = 0;

  friend leveled_cost operator+(leveled_cost a, leveled_cost b) {
    return {a.level + b.level, a.value + b.value};
  }
  friend leveled_cost operator-(leveled_cost a, leveled_cost b) {
    return {a.level - b.level, a.value - b.value};
  }
  friend bool operator<(leveled_cost a, leveled_cost b) {
    return a.level != b.level ? a.level < b.level : a.value < b.value;
  }
};

template <class Cost>
struct cost_traits;
template <>
struct cost_traits<double> {
  static constexpr double infinity = no_limit;
  static double of(double value) { return value; }
  static double of_edge(double value) { return value; }
  static double value(double cost) { return cost; }
  static std::int64_t level(double) { return 0; }
};
template <>
struct cost_traits<leveled_cost> {
  static constexpr leveled_cost infinity{std::numeric_limits<std::int64_t>::max() / 4, 0};
  /// An infinite price of staying alone becomes one level.
  static leveled_cost of(double value) {
    return value == no_limit ? leveled_cost{1, 0.0} : leveled_cost{0, value};
  }
  static leveled_cost of_edge(double value) { return {0, value}; }
  static double value(leveled_cost cost) { return cost.value; }
  static std::int64_t level(leveled_cost cost) { return cost.level; }
};

/// What one search needs and the next can reuse; one per thread.
template <class Cost>
struct search_space {
  struct entry {
    Cost distance;
    std::int32_t column;
    /// Order of a heap with the nearest entry, then the lowest column, on top.
    friend bool operator<(entry const& a, entry const& b) {
      if (b.distance < a.distance) return true;
      return !(a.distance < b.distance) && b.column < a.column;
    }
  };
  std::vector<entry> heap;
  std::vector<std::int32_t> settled;
  std::vector<std::int32_t> waiting;
  std::int32_t search = 0;
};

/// Minimum-cost assignment over sparse edges by the ideas of Jonker and Volgenant (1987): rows
/// first bid for columns, then shortest augmenting paths with a heap place the rest. A path may
/// end in a free column or in a row that is cheaper left alone. Components of the graph touch
/// disjoint state, so they may be solved in parallel.
template <class Cost>
class augmenting_paths {
  using traits = cost_traits<Cost>;

 public:
  explicit augmenting_paths(sparse_costs const& costs)
      : costs_{costs},
        nodes_(static_cast<std::size_t>(costs.columns)),
        edge_of_row_(static_cast<std::size_t>(costs.rows), none) {
    for (std::size_t column = 0; column < nodes_.size(); ++column)
      nodes_[column].price =
          traits::of(costs.column_unassigned.empty() ? 0.0 : costs.column_unassigned[column]);
    double smallest = largest_cost, largest = 0;
    for (double const cost : costs.cost) {
      if (cost == 0 || cost == no_limit) continue;
      smallest = lower_of(std::abs(cost), smallest);
      largest = -lower_of(-std::abs(cost), -largest);
    }
    may_bid_ = largest / widest_range <= smallest;
  }

  /// Solves the component of `rows`. False when a row that must be assigned cannot be: then its
  /// price is meaningless, all others are right for the rows that have a column.
  bool solve(std::span<std::int32_t const> rows, search_space<Cost>& space) {
    space.waiting.clear();
    std::int64_t bids = 100 * static_cast<std::int64_t>(rows.size()) + 16;
    for (std::int32_t const row : rows) bid(row, bids, space.waiting);
    std::vector<std::int32_t> const again = std::exchange(space.waiting, {});
    for (std::int32_t const row : again) bid(row, bids, space.waiting);
    bool complete = true;
    for (std::int32_t const row : space.waiting) complete = augment(row, space) && complete;
    return complete;
  }

  [[nodiscard]] std::int32_t column_of_row(std::int32_t row) const {
    std::size_t const edge = edge_of_row_[at(row)];
    return edge == none ? unassigned : costs_.column[edge];
  }
  [[nodiscard]] Cost column_price(std::int32_t column) const { return nodes_[at(column)].price; }
  [[nodiscard]] std::int32_t row_of_column(std::int32_t column) const {
    return nodes_[at(column)].row;
  }
  /// What a row pays: the price at which its column, or staying alone, is as good as it gets.
  [[nodiscard]] Cost row_price(std::int32_t row) const {
    std::size_t const edge = edge_of_row_[at(row)];
    return edge == none ? limit(row) : reduced(edge);
  }
  /// Price of leaving a row alone.
  [[nodiscard]] Cost limit(std::int32_t row) const {
    return costs_.row_unassigned.empty() ? traits::of(no_limit)
                                         : traits::of(costs_.row_unassigned[at(row)]);
  }

 private:
  /// A bid lowers a price by as much as a second choice is dearer. Where costs differ by more than
  /// this factor, that would push the small ones below the rounding of the price.
  static constexpr double widest_range = 1e12;
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

  /// A column: its price, its row, and what the search under way knows of it.
  struct node {
    Cost price{};
    Cost distance{};
    std::int32_t row = unassigned;
    std::int32_t previous_row = unassigned;
    /// number of the last search that reached this column; negative once it is settled
    std::int32_t search = 0;
  };

  [[nodiscard]] static std::size_t at(std::int32_t index) {
    return static_cast<std::size_t>(index);
  }
  [[nodiscard]] node& node_of(std::size_t edge) { return nodes_[at(costs_.column[edge])]; }
  [[nodiscard]] Cost reduced(std::size_t edge) const {
    return traits::of_edge(costs_.cost[edge]) - nodes_[at(costs_.column[edge])].price;
  }

  void match(std::int32_t row, std::size_t edge) {
    edge_of_row_[at(row)] = edge;
    node_of(edge).row = row;
  }

  /// A row takes its cheapest column at the price where its second choice is as good; the row
  /// that held the column bids next. Rows that would only tie wait for a search.
  void bid(std::int32_t row, std::int64_t& bids, std::vector<std::int32_t>& waiting) {
    while (true) {
      Cost best = traits::infinity, second = traits::infinity;
      std::size_t best_edge = none, second_edge = none;
      for (std::size_t e = costs_.begin(row); e < costs_.end(row); ++e) {
        if (costs_.cost[e] == no_limit) continue;
        Cost const price = reduced(e);
        if (price < best) {
          second = std::exchange(best, price);
          second_edge = std::exchange(best_edge, e);
        } else if (price < second) {
          second = price;
          second_edge = e;
        }
      }
      Cost const alone = limit(row);
      if (best_edge == none || alone < best) {
        if (!(alone < traits::infinity)) waiting.push_back(row);
        return;
      }
      if (alone < second) {
        second = alone;
        second_edge = none;
      }
      node& column = node_of(best_edge);
      if (column.row == unassigned) return match(row, best_edge);
      if (!(best < second) && second_edge != none && node_of(second_edge).row == unassigned)
        return match(row, second_edge);
      if (!may_bid_ || !(best < second) || !(second < traits::infinity) || --bids < 0) {
        waiting.push_back(row);
        return;
      }
      std::int32_t const loser = column.row;
      column.price = column.price - (second - best);
      match(row, best_edge);
      edge_of_row_[at(loser)] = none;
      row = loser;
    }
  }

  /// Where a search ends: a free column, or a row that stays alone from now on.
  struct path_end {
    Cost distance;
    std::int32_t column = unassigned;
    std::int32_t row = unassigned;
  };

  bool augment(std::int32_t start, search_space<Cost>& space) {
    ++space.search;
    space.heap.clear();
    space.settled.clear();
    path_end end{limit(start), unassigned, start};
    relax(start, Cost{}, end, space);
    while (!space.heap.empty()) {
      auto const nearest = space.heap.front();
      if (!(nearest.distance < end.distance)) break;
      std::pop_heap(space.heap.begin(), space.heap.end());
      space.heap.pop_back();
      node& column = nodes_[at(nearest.column)];
      if (column.search < 0 || column.distance < nearest.distance) continue;
      column.search = -space.search;
      space.settled.push_back(nearest.column);
      Cost const paid = reduced(edge_of_row_[at(column.row)]);
      Cost const base = nearest.distance - paid;
      Cost const alone = base + limit(column.row);
      if (alone < end.distance) end = {alone, unassigned, column.row};
      relax(column.row, base, end, space);
    }
    if (!(end.distance < traits::infinity)) return false;
    for (std::int32_t const settled : space.settled) {
      node& column = nodes_[at(settled)];
      column.price = column.price + (column.distance - end.distance);
    }
    flip(start, end);
    return true;
  }

  void relax(std::int32_t row, Cost base, path_end& end, search_space<Cost>& space) {
    std::size_t const own = edge_of_row_[at(row)];
    for (std::size_t e = costs_.begin(row); e < costs_.end(row); ++e) {
      if (e == own || costs_.cost[e] == no_limit) continue;
      node& column = node_of(e);
      Cost const distance = base + (traits::of_edge(costs_.cost[e]) - column.price);
      if (!(distance < end.distance)) continue;
      // Rounding must not reopen a settled column.
      if (column.search == -space.search) continue;
      if (column.search == space.search && !(distance < column.distance)) continue;
      column.search = space.search;
      column.distance = distance;
      column.previous_row = row;
      if (column.row == unassigned) {
        end = {distance, costs_.column[e], unassigned};
      } else {
        space.heap.push_back({distance, costs_.column[e]});
        std::push_heap(space.heap.begin(), space.heap.end());
      }
    }
  }

  /// Moves every row along the path to the column after it.
  void flip(std::int32_t start, path_end const& end) {
    std::int32_t column = end.column;
    if (column == unassigned) {
      if (end.row == start) return;
      column = column_of_row(end.row);
      edge_of_row_[at(end.row)] = none;
    }
    while (true) {
      std::int32_t const row = nodes_[at(column)].previous_row;
      std::int32_t const left = row == start ? unassigned : column_of_row(row);
      match(row, cheapest_edge(row, column));
      if (row == start) return;
      column = left;
    }
  }

  [[nodiscard]] std::size_t cheapest_edge(std::int32_t row, std::int32_t column) const {
    std::size_t result = none;
    for (std::size_t e = costs_.begin(row); e < costs_.end(row); ++e)
      if (costs_.column[e] == column && (result == none || costs_.cost[e] < costs_.cost[result]))
        result = e;
    return result;
  }

  sparse_costs const& costs_;
  std::vector<node> nodes_;
  std::vector<std::size_t> edge_of_row_;
  bool may_bid_ = true;
};

}  // namespace septum::inline SEPTUM_ABI::detail
