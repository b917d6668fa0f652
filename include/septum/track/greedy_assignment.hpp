#pragma once
#include <septum/core/config.hpp>
#include <septum/core/view.hpp>
#include <septum/track/assignment_problem.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <tuple>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Takes the cheapest pair whose row and column are both still free, again and again; equal costs
/// by lowest row, then lowest column. Not optimal and without prices: for comparison, and for
/// costs so well separated that it does not matter. A pair is taken only if it is cheaper than
/// leaving its row and its column unassigned.
///
/// throws     as sparse_assignment
struct greedy_assignment {
  [[nodiscard]] assignment operator()(sparse_costs const& costs) const {
    detail::expect_valid(costs);
    auto const rows = static_cast<std::size_t>(costs.rows);
    std::vector<std::int32_t> row_of_edge(costs.cost.size());
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t e = costs.row_begin[row]; e < costs.row_begin[row + 1]; ++e)
        row_of_edge[e] = static_cast<std::int32_t>(row);
    auto const row_alone = [&](std::size_t row) {
      return costs.row_unassigned.empty() ? detail::no_limit : costs.row_unassigned[row];
    };
    auto const column_alone = [&](std::size_t column) {
      return costs.column_unassigned.empty() ? 0.0 : costs.column_unassigned[column];
    };
    std::vector<std::size_t> order;
    for (std::size_t e = 0; e < costs.cost.size(); ++e)
      if (costs.cost[e] < detail::no_limit &&
          costs.cost[e] <= row_alone(static_cast<std::size_t>(row_of_edge[e])) +
                               column_alone(static_cast<std::size_t>(costs.column[e])))
        order.push_back(e);
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::tie(costs.cost[a], row_of_edge[a], costs.column[a]) <
             std::tie(costs.cost[b], row_of_edge[b], costs.column[b]);
    });
    assignment result;
    result.column_of_row.assign(rows, unassigned);
    std::vector<bool> taken(static_cast<std::size_t>(costs.columns), false);
    for (std::size_t const e : order) {
      auto const column = static_cast<std::size_t>(costs.column[e]);
      std::int32_t& own = result.column_of_row[static_cast<std::size_t>(row_of_edge[e])];
      if (own != unassigned || taken[column]) continue;
      own = costs.column[e];
      taken[column] = true;
      result.cost += costs.cost[e];
      ++result.pairs;
    }
    for (std::size_t row = 0; row < rows; ++row)
      if (result.column_of_row[row] == unassigned && row_alone(row) < detail::no_limit)
        result.cost += row_alone(row);
    for (std::size_t column = 0; column < taken.size(); ++column)
      if (!taken[column]) result.cost += column_alone(column);
    return result;
  }

  /// The same for a dense matrix: +inf is no pair.
  [[nodiscard]] assignment operator()(view<double const, 2> costs) const {
    return (*this)(detail::all_pairs(costs));
  }
};

}  // namespace septum::inline SEPTUM_ABI
