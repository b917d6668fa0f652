#pragma once
#include <septum/core/config.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/track/assignment_problem.hpp>
#include <septum/track/detail/augmenting_paths.hpp>
#include <septum/track/detail/tie_breaking.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

namespace detail {

/// Rows grouped by connected component of the graph of edges; rows ascend within a component.
struct row_components {
  std::vector<std::int32_t> rows;
  std::vector<std::size_t> begin{0};

  [[nodiscard]] std::size_t count() const { return begin.size() - 1; }
  [[nodiscard]] std::span<std::int32_t const> of(std::size_t component) const {
    return {rows.data() + begin[component], begin[component + 1] - begin[component]};
  }
};

[[nodiscard]] inline row_components find_row_components(sparse_costs const& costs) {
  auto const rows = static_cast<std::size_t>(costs.rows);
  // Disjoint sets of columns; a row joins all of its columns.
  std::vector<std::int32_t> parent(static_cast<std::size_t>(costs.columns));
  std::iota(parent.begin(), parent.end(), 0);
  auto const root = [&](std::int32_t i) {
    auto const up = [&](std::int32_t j) -> std::int32_t& {
      return parent[static_cast<std::size_t>(j)];
    };
    while (up(i) != i) i = up(i) = up(up(i));
    return i;
  };
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t e = costs.row_begin[row] + 1; e < costs.row_begin[row + 1]; ++e) {
      std::int32_t const a = root(costs.column[e - 1]);
      std::int32_t const b = root(costs.column[e]);
      parent[static_cast<std::size_t>(std::max(a, b))] = std::min(a, b);
    }
  // Components are numbered by their first row; a row without edges is one of its own.
  std::vector<std::int32_t> number(parent.size(), -1);
  std::vector<std::int32_t> component_of(rows);
  std::int32_t components = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    if (costs.row_begin[row] == costs.row_begin[row + 1]) {
      component_of[row] = components++;
      continue;
    }
    std::int32_t& known =
        number[static_cast<std::size_t>(root(costs.column[costs.row_begin[row]]))];
    if (known < 0) known = components++;
    component_of[row] = known;
  }
  row_components result;
  result.begin.assign(static_cast<std::size_t>(components) + 1, 0);
  for (std::int32_t const c : component_of) ++result.begin[static_cast<std::size_t>(c) + 1];
  std::partial_sum(result.begin.begin(), result.begin.end(), result.begin.begin());
  result.rows.resize(rows);
  std::vector<std::size_t> fill(result.begin.begin(), result.begin.end() - 1);
  for (std::size_t row = 0; row < rows; ++row)
    result.rows[fill[static_cast<std::size_t>(component_of[row])]++] =
        static_cast<std::int32_t>(row);
  return result;
}

/// Copies what a solver found for some rows, and for the columns they reach, into the result.
template <class Cost>
void copy_solution(augmenting_paths<Cost> const& solver, sparse_costs const& costs,
                   std::span<std::int32_t const> rows, assignment& result) {
  using traits = cost_traits<Cost>;
  bool const leveled = !result.prices.row_level.empty();
  for (std::int32_t const row : rows) {
    auto const r = static_cast<std::size_t>(row);
    result.column_of_row[r] = solver.column_of_row(row);
    Cost const paid = solver.row_price(row);
    result.prices.row[r] = traits::value(paid);
    if (leveled) result.prices.row_level[r] = traits::level(paid);
    for (std::size_t e = costs.row_begin[r]; e < costs.row_begin[r + 1]; ++e) {
      auto const column = static_cast<std::size_t>(costs.column[e]);
      Cost const price = solver.column_price(costs.column[e]);
      result.prices.column[column] = traits::value(price);
      if (leveled) result.prices.column_level[column] = traits::level(price);
    }
  }
}

/// The tight pairs of a solved problem.
[[nodiscard]] inline tight_pairs find_tight_pairs(assignment const& result,
                                                  sparse_costs const& costs) {
  dual_prices const& prices = result.prices;
  bool const leveled = !prices.row_level.empty();
  tight_pairs tight;
  for (std::size_t row = 0; row < result.column_of_row.size(); ++row) {
    std::size_t const begin = tight.column.size();
    for (std::size_t e = costs.row_begin[row]; e < costs.row_begin[row + 1]; ++e) {
      auto const column = static_cast<std::size_t>(costs.column[e]);
      bool const level_fits = !leveled || prices.row_level[row] + prices.column_level[column] == 0;
      if (costs.cost[e] == no_limit || !level_fits) continue;
      if (costs.column[e] == result.column_of_row[row] ||
          !(prices.row[row] < costs.cost[e] - prices.column[column]))
        tight.column.push_back(costs.column[e]);
    }
    auto const first = tight.column.begin() + static_cast<std::ptrdiff_t>(begin);
    std::sort(first, tight.column.end());
    tight.column.erase(std::unique(first, tight.column.end()), tight.column.end());
    tight.end_row();
    double const limit = costs.row_unassigned.empty() ? no_limit : costs.row_unassigned[row];
    bool const rests = limit == no_limit ? leveled && prices.row_level[row] == 1
                                         : (!leveled || prices.row_level[row] == 0);
    double const alone = limit == no_limit ? 0.0 : limit;
    tight.row_may_rest.push_back(rests && prices.row[row] >= alone ? 1 : 0);
  }
  for (std::size_t column = 0; column < prices.column.size(); ++column) {
    double const alone = costs.column_unassigned.empty() ? 0.0 : costs.column_unassigned[column];
    bool const rests = !leveled || prices.column_level[column] == 0;
    tight.column_may_rest.push_back(rests && prices.column[column] >= alone ? 1 : 0);
  }
  return tight;
}

/// Prices and cost of an assignment whose column prices are known.
inline void complete_result(assignment& result, sparse_costs const& costs) {
  std::vector<bool> taken(static_cast<std::size_t>(costs.columns), false);
  result.cost = 0;
  result.pairs = 0;
  for (std::size_t row = 0; row < result.column_of_row.size(); ++row) {
    std::int32_t const column = result.column_of_row[row];
    double const limit = costs.row_unassigned.empty() ? no_limit : costs.row_unassigned[row];
    if (column == unassigned) {
      if (limit < no_limit) result.cost += limit;
      continue;
    }
    double paid = no_limit;
    for (std::size_t e = costs.row_begin[row]; e < costs.row_begin[row + 1]; ++e)
      if (costs.column[e] == column) paid = std::min(paid, costs.cost[e]);
    result.cost += paid;
    result.prices.row[row] = paid - result.prices.column[static_cast<std::size_t>(column)];
    ++result.pairs;
    taken[static_cast<std::size_t>(column)] = true;
  }
  for (std::size_t column = 0; column < costs.column_unassigned.size(); ++column)
    if (!taken[column]) result.cost += costs.column_unassigned[column];
}

}  // namespace detail

/// Optimal assignment over the pairs that exist: minimises the sum of the costs of the pairs, of
/// rows left unassigned and of columns left unassigned. The graph is split into connected
/// components; each is solved by bidding and shortest augmenting paths with a heap. A row whose
/// price of staying alone is +inf stays alone only where no complete assignment exists; among the
/// assignments with most pairs the cheapest is taken.
///
/// Ties: of all optimal assignments the one whose list of columns is lexicographically smallest,
/// "unassigned" counting as the highest column (exact where sums of costs are exact). The result
/// does not depend on the number of threads.
///
/// complexity  one search per row that bidding left over, O(edges log edges) each at worst
/// throws      unsupported_error for NaN, -inf and numbers beyond 1e300; shape_error for arrays
///             that do not fit together
/// see         Jonker and Volgenant (1987), Computing 38, 325-340
struct sparse_assignment {
  [[nodiscard]] assignment operator()(sparse_costs const& costs, exec::threads threads = {}) const {
    detail::expect_valid(costs);
    auto const rows = static_cast<std::size_t>(costs.rows);
    assignment result;
    result.column_of_row.assign(rows, unassigned);
    result.prices.row.assign(rows, 0.0);
    result.prices.column = costs.column_unassigned;
    result.prices.column.resize(static_cast<std::size_t>(costs.columns), 0.0);
    if (rows == 0) {
      detail::complete_result(result, costs);
      return result;
    }
    detail::row_components const components = detail::find_row_components(costs);
    detail::augmenting_paths<double> solver{costs};
    std::vector<std::uint8_t> complete(components.count(), 0);
    for_each_range(threads, static_cast<std::ptrdiff_t>(components.count()),
                   [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                     detail::search_space<double> space;
                     for (auto c = static_cast<std::size_t>(begin);
                          c < static_cast<std::size_t>(end); ++c)
                       complete[c] = solver.solve(components.of(c), space) ? 1 : 0;
                   });
    bool const all_complete = std::count(complete.begin(), complete.end(), 0) == 0;
    if (!all_complete) {
      result.prices.row_level.assign(rows, 0);
      result.prices.column_level.assign(result.prices.column.size(), 0);
    }
    std::optional<detail::augmenting_paths<detail::leveled_cost>> leveled_solver;
    detail::search_space<detail::leveled_cost> space;
    for (std::size_t c = 0; c < components.count(); ++c) {
      auto const members = components.of(c);
      if (complete[c] != 0) {
        detail::copy_solution(solver, costs, members, result);
        continue;
      }
      if (!leveled_solver) leveled_solver.emplace(costs);
      leveled_solver->solve(members, space);
      detail::copy_solution(*leveled_solver, costs, members, result);
    }
    detail::tight_pairs const tight = detail::find_tight_pairs(result, costs);
    detail::tie_breaker{tight, result.column_of_row}.run();
    detail::complete_result(result, costs);
    return result;
  }
};

}  // namespace septum::inline SEPTUM_ABI
