#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/core/view.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// What a row without a column holds in `assignment::column_of_row`.
inline constexpr std::int32_t unassigned = -1;

/// An assignment problem over the pairs that exist: a pair that is not listed is forbidden. Edges
/// of row r are [row_begin[r], row_begin[r + 1]). Every row may stay unassigned at a price of its
/// own (the death of a cell), and so may every column (a birth); +inf means that it stays
/// unassigned only where no complete assignment exists. Costs may be negative; +inf is the same as
/// an absent edge.
struct sparse_costs {
  std::int32_t rows = 0;
  std::int32_t columns = 0;
  std::vector<std::size_t> row_begin;  ///< rows + 1 ascending offsets into `column` and `cost`
  std::vector<std::int32_t> column;
  std::vector<double> cost;
  std::vector<double> row_unassigned;     ///< one price per row; empty: +inf for all
  std::vector<double> column_unassigned;  ///< one finite price per column; empty: 0 for all

  /// Edges of one row, as positions in `column` and `cost`.
  [[nodiscard]] std::size_t begin(std::int32_t row) const {
    return row_begin[static_cast<std::size_t>(row)];
  }
  [[nodiscard]] std::size_t end(std::int32_t row) const {
    return row_begin[static_cast<std::size_t>(row) + 1];
  }
  /// Appends an edge to the last row that was begun with `add_row`.
  void add_edge(std::int32_t to, double price) {
    column.push_back(to);
    cost.push_back(price);
    row_begin.back() = column.size();
  }
  /// Begins the next row; `price` is what it costs to leave it unassigned.
  void add_row(double price) {
    if (row_begin.empty()) row_begin.push_back(0);
    row_begin.push_back(row_begin.back());
    row_unassigned.push_back(price);
    ++rows;
  }
};

/// Prices of rows and columns that prove an assignment optimal (linear-programming duals): for
/// every pair row + column <= cost, with equality on the pairs chosen; no price is above that of
/// staying unassigned, and it is equal where the row or column is unassigned.
/// Where no complete assignment exists, a price is a pair (level, value) compared level first: the
/// level counts how many rows would be left over. Then the level vectors are not empty.
struct dual_prices {
  std::vector<double> row;
  std::vector<double> column;
  std::vector<std::int64_t> row_level;
  std::vector<std::int64_t> column_level;
};

/// Who is assigned to whom.
struct assignment {
  std::vector<std::int32_t> column_of_row;  ///< a column, or `unassigned`
  double cost = 0;         ///< sum over the pairs, and over the finite prices of the unassigned
  std::int64_t pairs = 0;  ///< rows that have a column
  dual_prices prices;      ///< empty for a solver that proves nothing

  /// The other direction: the row of every column, or `unassigned`.
  [[nodiscard]] std::vector<std::int32_t> row_of_column(std::int32_t columns) const {
    std::vector<std::int32_t> result(static_cast<std::size_t>(columns), unassigned);
    for (std::size_t row = 0; row < column_of_row.size(); ++row)
      if (column_of_row[row] >= 0)
        result[static_cast<std::size_t>(column_of_row[row])] = static_cast<std::int32_t>(row);
    return result;
  }
};

namespace detail {

inline constexpr double no_limit = std::numeric_limits<double>::infinity();

[[nodiscard]] inline double lower_of(double a, double b) { return a < b ? a : b; }

/// Larger numbers stand for "never" in other programs, and their sums overflow.
inline constexpr double largest_cost = 1e300;

[[nodiscard]] inline bool is_cost(double value) {
  return (value >= -largest_cost && value <= largest_cost) || value == no_limit;
}

/// NaN and -inf are refused, +inf is an absent pair.
inline void expect_cost(double value, std::ptrdiff_t row, std::ptrdiff_t column) {
  SEPTUM_EXPECTS(is_cost(value),
                 unsupported_error("septum.assignment.1",
                                   "cost of row " + to_text(row) + ", column " + to_text(column) +
                                       ": expected a number from -1e300 to 1e300, or +inf where "
                                       "there is no pair, found " +
                                       to_text(value)));
}

inline void expect_unassigned_price(double value, bool may_be_infinite, std::string const& what) {
  SEPTUM_EXPECTS((std::abs(value) <= largest_cost) || (may_be_infinite && value == no_limit),
                 unsupported_error(
                     "septum.assignment.2",
                     "price of an unassigned " + what + ": expected a number from -1e300 to 1e300" +
                         (may_be_infinite ? " or +inf" : "") + ", found " + to_text(value)));
}

/// throws     shape_error or unsupported_error when the arrays do not fit together
inline void expect_valid(sparse_costs const& costs) {
  auto const rows = static_cast<std::size_t>(std::max(costs.rows, 0));
  auto const columns = static_cast<std::size_t>(std::max(costs.columns, 0));
  auto const shape = [](bool fits, std::string const& message) {
    SEPTUM_EXPECTS(fits, shape_error("septum.assignment.3", "sparse costs: " + message));
  };
  shape(costs.rows >= 0 && costs.columns >= 0, "expected no negative number of rows or columns");
  shape(costs.row_begin.size() == rows + 1 || (rows == 0 && costs.row_begin.empty()),
        "expected " + to_text(rows + 1) + " row offsets, found " + to_text(costs.row_begin.size()));
  shape(costs.column.size() == costs.cost.size(), "expected one cost per edge");
  shape(costs.row_unassigned.empty() || costs.row_unassigned.size() == rows,
        "expected one price per unassigned row");
  shape(costs.column_unassigned.empty() || costs.column_unassigned.size() == columns,
        "expected one price per unassigned column");
  if (rows > 0)
    shape(costs.row_begin.front() == 0 && costs.row_begin.back() == costs.column.size(),
          "expected offsets from 0 to the number of edges");
  for (std::size_t row = 0; row < rows; ++row) {
    shape(costs.row_begin[row] <= costs.row_begin[row + 1], "expected ascending row offsets");
    for (std::size_t e = costs.row_begin[row]; e < costs.row_begin[row + 1]; ++e) {
      shape(costs.column[e] >= 0 && costs.column[e] < costs.columns,
            "row " + to_text(row) + ": expected columns below " + to_text(costs.columns) +
                ", found " + to_text(costs.column[e]));
      expect_cost(costs.cost[e], static_cast<std::ptrdiff_t>(row), costs.column[e]);
    }
  }
  for (double const price : costs.row_unassigned) expect_unassigned_price(price, true, "row");
  for (double const price : costs.column_unassigned)
    expect_unassigned_price(price, false, "column");
}

inline void expect_extents(std::ptrdiff_t rows, std::ptrdiff_t columns) {
  constexpr std::ptrdiff_t most = std::numeric_limits<std::int32_t>::max();
  SEPTUM_EXPECTS(rows >= 0 && columns >= 0 && rows <= most && columns <= most,
                 shape_error("septum.assignment.3",
                             "costs: expected 0 to 2147483647 rows and columns, found " +
                                 to_text(rows) + " and " + to_text(columns)));
}

/// A dense problem as a sparse one: every finite entry is an edge; prices of staying alone are left
/// empty.
[[nodiscard]] inline sparse_costs all_pairs(view<double const, 2> costs) {
  expect_extents(costs.extent(0), costs.extent(1));
  sparse_costs result;
  result.rows = static_cast<std::int32_t>(costs.extent(0));
  result.columns = static_cast<std::int32_t>(costs.extent(1));
  result.row_begin.push_back(0);
  for (std::int32_t row = 0; row < result.rows; ++row) {
    for (std::int32_t column = 0; column < result.columns; ++column) {
      double const cost = costs(row, column);
      expect_cost(cost, row, column);
      if (cost == no_limit) continue;
      result.column.push_back(column);
      result.cost.push_back(cost);
    }
    result.row_begin.push_back(result.column.size());
  }
  return result;
}

/// How far one inequality of the proof is violated, relative to the numbers in it.
class proof_check {
 public:
  explicit proof_check(dual_prices const& prices) : prices_{prices} {}

  /// row + column <= cost, with equality when the pair is chosen.
  void pair(std::size_t row, std::size_t column, double cost, bool chosen) {
    if (cost == no_limit && !chosen) return;
    compare(level(prices_.row_level, row) + level(prices_.column_level, column), 0,
            prices_.row[row] + prices_.column[column], cost,
            std::abs(prices_.row[row]) + std::abs(prices_.column[column]), chosen);
  }
  /// price <= limit, with equality when unassigned. An infinite limit is (level 1, 0); in a proof
  /// without levels it forbids to stay unassigned and leaves the price free.
  void row(std::size_t index, double limit, bool alone) {
    single(prices_.row_level, prices_.row[index], index, limit, alone);
  }
  void column(std::size_t index, double limit, bool alone) {
    single(prices_.column_level, prices_.column[index], index, limit, alone);
  }
  void fail() { worst_ = no_limit; }
  [[nodiscard]] double worst() const { return worst_; }

 private:
  [[nodiscard]] static std::int64_t level(std::vector<std::int64_t> const& levels, std::size_t i) {
    return levels.empty() ? 0 : levels[i];
  }
  void single(std::vector<std::int64_t> const& levels, double price, std::size_t index,
              double limit, bool alone) {
    bool const mandatory = limit == no_limit;
    if (mandatory && levels.empty()) {
      if (alone) fail();
      return;
    }
    compare(level(levels, index), mandatory ? 1 : 0, price, mandatory ? 0.0 : limit,
            std::abs(price), alone);
  }
  void compare(std::int64_t left_level, std::int64_t right_level, double left, double right,
               double scale, bool equal) {
    if (left_level != right_level) {
      if (equal || left_level > right_level) worst_ = no_limit;
      return;
    }
    double const gap = equal ? std::abs(left - right) : std::max(left - right, 0.0);
    // A gap of a few units in the last place of the terms is rounding, not a better assignment.
    if (gap > 0) worst_ = std::max(worst_, gap / (scale + std::abs(right)));
    if (std::isnan(gap)) worst_ = no_limit;
  }

  dual_prices const& prices_;
  double worst_ = 0;
};

[[nodiscard]] inline bool fits(assignment const& result, std::size_t rows, std::size_t columns) {
  bool ok = result.column_of_row.size() == rows && result.prices.row.size() == rows &&
            result.prices.column.size() == columns;
  std::vector<bool> taken(columns, false);
  for (std::int32_t const column : result.column_of_row) {
    if (!ok || column == unassigned) continue;
    auto const at = static_cast<std::size_t>(column);
    ok = column >= 0 && at < columns && !taken[at];
    if (ok) taken[at] = true;
  }
  return ok;
}

}  // namespace detail

/// Checks the proof that comes with an assignment: 0 or a few 1e-16 when it is optimal; the largest
/// violation relative to the numbers compared otherwise; +inf when it is no assignment or has no
/// proof. Independent of how the assignment was found.
[[nodiscard]] inline double optimality_gap(assignment const& result, sparse_costs const& costs) {
  auto const rows = static_cast<std::size_t>(costs.rows);
  auto const columns = static_cast<std::size_t>(costs.columns);
  if (!detail::fits(result, rows, columns)) return detail::no_limit;
  detail::proof_check check{result.prices};
  std::vector<bool> taken(columns, false);
  for (std::size_t row = 0; row < rows; ++row) {
    std::int32_t const chosen = result.column_of_row[row];
    double chosen_cost = detail::no_limit;
    for (std::size_t e = costs.row_begin[row]; e < costs.row_begin[row + 1]; ++e) {
      check.pair(row, static_cast<std::size_t>(costs.column[e]), costs.cost[e], false);
      if (costs.column[e] == chosen) chosen_cost = std::min(chosen_cost, costs.cost[e]);
    }
    double const limit =
        costs.row_unassigned.empty() ? detail::no_limit : costs.row_unassigned[row];
    check.row(row, limit, chosen == unassigned);
    if (chosen == unassigned) continue;
    if (chosen_cost == detail::no_limit) check.fail();
    check.pair(row, static_cast<std::size_t>(chosen), chosen_cost, true);
    taken[static_cast<std::size_t>(chosen)] = true;
  }
  for (std::size_t column = 0; column < columns; ++column)
    check.column(column, costs.column_unassigned.empty() ? 0.0 : costs.column_unassigned[column],
                 !taken[column]);
  return check.worst();
}

/// The same for a dense problem, where min(rows, columns) pairs are wanted and +inf is no pair.
[[nodiscard]] inline double optimality_gap(assignment const& result, view<double const, 2> costs) {
  auto const rows = static_cast<std::size_t>(costs.extent(0));
  auto const columns = static_cast<std::size_t>(costs.extent(1));
  if (!detail::fits(result, rows, columns)) return detail::no_limit;
  detail::proof_check check{result.prices};
  std::vector<bool> taken(columns, false);
  for (std::size_t row = 0; row < rows; ++row) {
    std::int32_t const chosen = result.column_of_row[row];
    for (std::size_t column = 0; column < columns; ++column)
      check.pair(row, column, costs(row, column), static_cast<std::int32_t>(column) == chosen);
    if (chosen != unassigned) taken[static_cast<std::size_t>(chosen)] = true;
    check.row(row, rows > columns ? 0.0 : detail::no_limit, chosen == unassigned);
  }
  // Of rows and columns, the fewer ones have to be assigned; of the more, some may stay alone.
  bool const may_stay_alone =
      rows < columns || (rows == columns && !result.prices.row_level.empty());
  for (std::size_t column = 0; column < columns; ++column)
    check.column(column, may_stay_alone ? 0.0 : detail::no_limit, !taken[column]);
  return check.worst();
}

}  // namespace septum::inline SEPTUM_ABI
