#pragma once
#include <septum/core/config.hpp>
#include <septum/core/view.hpp>
#include <septum/track/assignment_problem.hpp>
#include <septum/track/detail/dense_solver.hpp>
#include <septum/track/detail/tie_breaking.hpp>
#include <septum/track/sparse_assignment.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

namespace detail {

[[nodiscard]] inline std::vector<double> transposed(view<double const, 2> matrix) {
  constexpr std::ptrdiff_t tile = 32;
  std::ptrdiff_t const rows = matrix.extent(0), columns = matrix.extent(1);
  std::vector<double> result(static_cast<std::size_t>(rows * columns));
  for (std::ptrdiff_t r0 = 0; r0 < rows; r0 += tile)
    for (std::ptrdiff_t c0 = 0; c0 < columns; c0 += tile)
      for (std::ptrdiff_t c = c0; c < std::min(c0 + tile, columns); ++c)
        for (std::ptrdiff_t r = r0; r < std::min(r0 + tile, rows); ++r)
          result[static_cast<std::size_t>(c * rows + r)] = matrix(r, c);
  return result;
}

/// Rows and columns change places.
inline void transpose(assignment& result, std::int32_t columns) {
  result.column_of_row = result.row_of_column(columns);
  std::swap(result.prices.row, result.prices.column);
}

[[nodiscard]] inline tight_pairs transposed(tight_pairs const& pairs) {
  tight_pairs result;
  result.row_may_rest = pairs.column_may_rest;
  result.column_may_rest = pairs.row_may_rest;
  result.row_begin.assign(result.row_may_rest.size() + 1, 0);
  for (std::int32_t const c : pairs.column) ++result.row_begin[static_cast<std::size_t>(c) + 1];
  for (std::size_t c = 0; c + 1 < result.row_begin.size(); ++c)
    result.row_begin[c + 1] += result.row_begin[c];
  result.column.resize(pairs.column.size());
  std::vector<std::size_t> fill(result.row_begin.begin(), result.row_begin.end() - 1);
  for (std::size_t row = 0; row + 1 < pairs.row_begin.size(); ++row)
    for (std::size_t e = pairs.row_begin[row]; e < pairs.row_begin[row + 1]; ++e)
      result.column[fill[static_cast<std::size_t>(pairs.column[e])]++] =
          static_cast<std::int32_t>(row);
  return result;
}

/// Pairs, cost and row prices of a dense assignment whose columns and column prices are known.
inline void complete_result(assignment& result, view<double const, 2> costs) {
  result.cost = 0;
  result.pairs = 0;
  for (std::size_t row = 0; row < result.column_of_row.size(); ++row) {
    std::int32_t const column = result.column_of_row[row];
    if (column == unassigned) continue;
    double const paid = costs(row, column);
    result.cost += paid;
    result.prices.row[row] = paid - result.prices.column[static_cast<std::size_t>(column)];
    ++result.pairs;
  }
}

}  // namespace detail

/// Optimal assignment of a dense, possibly rectangular matrix of costs: min(rows, columns) pairs of
/// least total cost. +inf is a forbidden pair; where no complete assignment exists, the result is
/// the cheapest among those with most pairs, and `prices` prove it by levels.
///
/// Shortest augmenting paths as Jonker and Volgenant's, over the few low columns of each row first:
/// the prices found there prove that the rest of the matrix does not matter, or name the pairs that
/// do. Ties as in `sparse_assignment`.
///
/// throws      unsupported_error for NaN, -inf and numbers beyond 1e300
/// complexity  one pass over the matrix in ordinary cases, O(n^3) at worst; 30 bytes per row and
///             column beside the matrix, and a copy of the matrix when it has more rows than
///             columns
/// see         Jonker and Volgenant (1987), Computing 38, 325-340; Crouse (2016), IEEE TAES 52
struct jonker_volgenant {
  [[nodiscard]] assignment operator()(view<double const, 2> costs) const {
    std::ptrdiff_t const rows = costs.extent(0), columns = costs.extent(1);
    detail::expect_extents(rows, columns);
    if (rows == 0 || columns == 0) {
      assignment nothing;
      nothing.column_of_row.assign(static_cast<std::size_t>(rows), unassigned);
      nothing.prices.row.assign(static_cast<std::size_t>(rows), 0.0);
      nothing.prices.column.assign(static_cast<std::size_t>(columns), 0.0);
      return nothing;
    }
    bool const flip = rows > columns;
    std::vector<double> const copy = flip ? detail::transposed(costs) : std::vector<double>{};
    view<double const, 2> const wide =
        flip ? view<double const, 2>{copy.data(), {columns, rows}} : costs;
    detail::dense_solver solver{wide};
    std::optional<assignment> found = solver.solve();
    if (!found) return sparse_assignment{}(detail::all_pairs(costs));
    if (flip) {
      detail::tight_pairs const tight = detail::transposed(solver.find_ties(*found));
      detail::transpose(*found, static_cast<std::int32_t>(rows));
      detail::tie_breaker{tight, found->column_of_row}.run();
    } else if (!solver.ties_are_broken(*found)) {
      detail::tight_pairs const tight = solver.find_ties(*found);
      detail::tie_breaker{tight, found->column_of_row}.run();
    }
    detail::complete_result(*found, costs);
    return *std::move(found);
  }
};

}  // namespace septum::inline SEPTUM_ABI
