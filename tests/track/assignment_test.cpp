#include <golden/assignment_golden.inc>
#include <septum/core/rng.hpp>
#include <septum/track/assignment.hpp>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace sp = septum;
constexpr double inf = std::numeric_limits<double>::infinity();

struct matrix {
  int rows = 0;
  int columns = 0;
  std::vector<double> values;

  double operator()(int r, int c) const { return values[std::size_t(r * columns + c)]; }
  double& operator()(int r, int c) { return values[std::size_t(r * columns + c)]; }
  sp::view<double const, 2> view() const { return {values.data(), {rows, columns}}; }
};

/// Deterministic numbers for one test.
struct numbers {
  sp::counter_rng rng;
  std::uint64_t next = 0;
  explicit numbers(std::uint64_t seed) : rng{.seed = seed} {}
  double uniform() { return rng.uniform(next++); }
  int below(int n) { return static_cast<int>(rng.below(next++, static_cast<std::uint64_t>(n))); }
  double normal() { return rng.normal(next++); }
};

enum class kind {
  uniform,
  negative,
  few_integers,
  integers,
  distances,
  scaled,  ///< all of one size, from 1e-300 to 1e300
  powers,  ///< of all sizes in one matrix
  forbidden,
  equal
};
constexpr std::array kinds{kind::uniform,  kind::negative,  kind::few_integers,
                           kind::integers, kind::distances, kind::scaled,
                           kind::powers,   kind::forbidden, kind::equal};

/// Which row stays alone is a matter of prices as large as the largest cost, in which small ones
/// vanish: numbers of all sizes are for problems that can be completed.
kind random_kind(numbers& draw, int rows, int columns) {
  kind const of = kinds[std::size_t(draw.below(static_cast<int>(kinds.size())))];
  return of == kind::powers && rows > columns ? kind::uniform : of;
}

matrix random_matrix(numbers& draw, int rows, int columns, kind of) {
  matrix result{rows, columns, std::vector<double>(std::size_t(rows * columns))};
  double const scale = std::pow(10.0, 598 * draw.uniform() - 299);
  for (double& value : result.values) switch (of) {
      case kind::uniform:
        value = draw.uniform();
        break;
      case kind::negative:
        value = draw.normal() * 10;
        break;
      case kind::few_integers:
        value = draw.below(3);
        break;
      case kind::integers:
        value = draw.below(1000) - 500;
        break;
      case kind::powers:
        value = std::pow(10.0, 600 * draw.uniform() - 300);
        break;
      case kind::scaled:
        value = scale * draw.normal();
        break;
      case kind::forbidden:
        value = draw.below(3) > 0 ? inf : draw.below(20);
        break;
      case kind::equal:
        value = 0.1;
        break;
      case kind::distances:
        break;
    }
  if (of == kind::distances) {
    std::vector<double> x, y;
    for (int i = 0; i < rows + columns; ++i) {
      x.push_back(30 * draw.uniform());
      y.push_back(30 * draw.uniform());
    }
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c) {
        auto const a = std::size_t(r), b = std::size_t(rows + c);
        result(r, c) = (x[a] - x[b]) * (x[a] - x[b]) + (y[a] - y[b]) * (y[a] - y[b]);
      }
  }
  return result;
}

sp::sparse_costs sparse(matrix const& m) {
  sp::sparse_costs result;
  for (int r = 0; r < m.rows; ++r) {
    result.add_row(inf);
    for (int c = 0; c < m.columns; ++c)
      if (m(r, c) < inf) result.add_edge(c, m(r, c));
  }
  result.row_unassigned.clear();
  result.columns = m.columns;
  if (m.rows == 0) result.row_begin = {0};
  return result;
}

/// Best by trying everything: most pairs first where rows must be assigned, then least cost, then
/// the lexicographically smallest list of columns.
struct exhaustive {
  int columns = 0;
  std::vector<double> row_alone, column_alone;
  std::function<double(int, int)> cost;
  std::vector<int> chosen, best;
  std::vector<bool> taken;
  int best_lost = std::numeric_limits<int>::max();
  double best_cost = inf;

  void visit(int row, int lost, double sum) {
    if (row == static_cast<int>(row_alone.size())) {
      for (int c = 0; c < columns; ++c)
        if (!taken[std::size_t(c)]) sum += column_alone[std::size_t(c)];
      bool const better = lost != best_lost ? lost < best_lost : sum < best_cost;
      if (!better) return;
      best_lost = lost;
      best_cost = sum;
      best = chosen;
      return;
    }
    for (int c = 0; c < columns; ++c) {
      if (taken[std::size_t(c)] || cost(row, c) == inf) continue;
      taken[std::size_t(c)] = true;
      chosen.push_back(c);
      visit(row + 1, lost, sum + cost(row, c));
      chosen.pop_back();
      taken[std::size_t(c)] = false;
    }
    double const alone = row_alone[std::size_t(row)];
    chosen.push_back(sp::unassigned);
    visit(row + 1, alone == inf ? lost + 1 : lost, alone == inf ? sum : sum + alone);
    chosen.pop_back();
  }
  void run() {
    taken.assign(std::size_t(columns), false);
    visit(0, 0, 0);
  }
};

exhaustive try_all(matrix const& m) {
  exhaustive all;
  all.columns = m.columns;
  all.row_alone.assign(std::size_t(m.rows), inf);
  all.column_alone.assign(std::size_t(m.columns), 0.0);
  all.cost = [&](int r, int c) { return m(r, c); };
  all.run();
  return all;
}

exhaustive try_all(sp::sparse_costs const& s) {
  exhaustive all;
  all.columns = s.columns;
  all.row_alone = s.row_unassigned;
  all.column_alone = s.column_unassigned;
  all.row_alone.resize(std::size_t(s.rows), inf);
  all.column_alone.resize(std::size_t(s.columns), 0.0);
  all.cost = [&](int r, int c) {
    double lowest = inf;
    for (auto e = s.begin(r); e < s.end(r); ++e)
      if (s.column[e] == c) lowest = std::min(lowest, s.cost[e]);
    return lowest;
  };
  all.run();
  return all;
}

/// Sums of these costs are exact, so ties are decided exactly.
bool exact(kind of) {
  return of == kind::few_integers || of == kind::integers || of == kind::forbidden;
}

double sum_of(sp::assignment const& result, matrix const& m) {
  double sum = 0;
  for (int r = 0; r < m.rows; ++r) {
    int const c = result.column_of_row[std::size_t(r)];
    if (c != sp::unassigned) sum += m(r, c);
  }
  return sum;
}

constexpr double rounding = 1e-12;

}  // namespace

BOOST_AUTO_TEST_SUITE(assignment)

BOOST_AUTO_TEST_CASE(agrees_with_scipy) {
  for (auto const& known : golden::assignment_cases) {
    double const* const costs = golden::assignment_costs + known.first_cost;
    int const* const columns = golden::assignment_columns + known.first_row;
    matrix const m{known.rows, known.columns, {costs, costs + known.rows * known.columns}};
    for (auto const& found :
         {sp::jonker_volgenant{}(m.view()), sp::sparse_assignment{}(sparse(m))}) {
      BOOST_TEST(found.cost == known.total, boost::test_tools::tolerance(1e-13));
      BOOST_TEST(found.pairs == std::min(known.rows, known.columns));
      if (known.unique)
        BOOST_CHECK_EQUAL_COLLECTIONS(found.column_of_row.begin(), found.column_of_row.end(),
                                      columns, columns + known.rows);
    }
  }
}

BOOST_AUTO_TEST_CASE(finds_what_trying_everything_finds) {
  numbers draw{1};
  for (int round = 0; round < 3000; ++round) {
    int const rows = draw.below(6), columns = draw.below(6);
    kind const of = random_kind(draw, rows, columns);
    matrix const m = random_matrix(draw, rows, columns, of);
    exhaustive const all = try_all(m);
    for (auto const& found :
         {sp::jonker_volgenant{}(m.view()), sp::sparse_assignment{}(sparse(m))}) {
      BOOST_TEST_CONTEXT("round " << round << ", " << rows << "x" << columns) {
        BOOST_TEST(found.pairs == rows - all.best_lost);
        BOOST_TEST(std::abs(found.cost - all.best_cost) <= rounding * std::abs(all.best_cost));
        if (exact(of))
          BOOST_TEST(found.column_of_row == all.best, boost::test_tools::per_element());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(finds_the_best_with_prices_of_staying_alone) {
  numbers draw{2};
  for (int round = 0; round < 3000; ++round) {
    sp::sparse_costs s;
    int const rows = draw.below(6);
    s.columns = draw.below(5);
    bool const integers = draw.below(2) == 0;
    auto const price = [&] { return integers ? draw.below(9) - 2.0 : 8 * draw.uniform() - 2; };
    for (int r = 0; r < rows; ++r) {
      s.add_row(draw.below(6) == 0 ? inf : price());
      for (int c = 0; c < s.columns; ++c)
        for (int copies = draw.below(8) == 0 ? 2 : draw.below(2); copies > 0; --copies)
          s.add_edge(c, draw.below(12) == 0 ? inf : price());
    }
    if (rows == 0) s.row_begin = {0};
    if (draw.below(2) == 0)
      for (int c = 0; c < s.columns; ++c) s.column_unassigned.push_back(price());
    exhaustive const all = try_all(s);
    auto const found = sp::sparse_assignment{}(s);
    BOOST_TEST_CONTEXT("round " << round) {
      BOOST_TEST(found.cost == all.best_cost, boost::test_tools::tolerance(1e-9));
      BOOST_TEST(sp::optimality_gap(found, s) < rounding);
      if (integers) BOOST_TEST(found.column_of_row == all.best, boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(every_result_carries_its_proof) {
  numbers draw{3};
  for (int round = 0; round < 600; ++round) {
    int const rows = 1 + draw.below(round % 20 == 0 ? 300 : 60);
    int const columns = draw.below(2) == 0 ? rows : 1 + draw.below(120);
    kind const of = random_kind(draw, rows, columns);
    matrix const m = random_matrix(draw, rows, columns, of);
    auto const dense = sp::jonker_volgenant{}(m.view());
    auto const thin = sp::sparse_assignment{}(sparse(m));
    BOOST_TEST_CONTEXT("round " << round << ", " << rows << "x" << columns) {
      // With numbers of all sizes in one matrix, small ones vanish in the prices of large ones.
      if (of != kind::powers) {
        BOOST_TEST(sp::optimality_gap(dense, m.view()) < rounding);
        BOOST_TEST(sp::optimality_gap(thin, sparse(m)) < rounding);
      }
      BOOST_TEST(dense.pairs == thin.pairs);
      BOOST_TEST(dense.cost == sum_of(dense, m));
      BOOST_TEST(std::abs(dense.cost - thin.cost) <= rounding * std::abs(dense.cost));
      if (exact(of))
        BOOST_TEST(dense.column_of_row == thin.column_of_row, boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_wrong_result_has_no_proof) {
  numbers draw{4};
  matrix const m = random_matrix(draw, 12, 15, kind::uniform);
  auto result = sp::jonker_volgenant{}(m.view());
  BOOST_TEST(sp::optimality_gap(result, m.view()) < rounding);
  auto worse = result;
  std::swap(worse.column_of_row[3], worse.column_of_row[7]);
  BOOST_TEST(sp::optimality_gap(worse, m.view()) > 1e-3);
  auto fewer = result;
  fewer.column_of_row[5] = sp::unassigned;
  BOOST_TEST(sp::optimality_gap(fewer, m.view()) == inf);
  auto twice = result;
  twice.column_of_row[2] = twice.column_of_row[4];
  BOOST_TEST(sp::optimality_gap(twice, m.view()) == inf);
  auto unproven = result;
  unproven.prices = {};
  BOOST_TEST(sp::optimality_gap(unproven, m.view()) == inf);
  auto greedy = sp::greedy_assignment{}(m.view());
  BOOST_TEST(greedy.cost >= result.cost);
}

BOOST_AUTO_TEST_CASE(does_not_depend_on_the_order_of_rows_and_columns) {
  numbers draw{5};
  for (kind const of : {kind::uniform, kind::distances, kind::integers, kind::forbidden}) {
    matrix const m = random_matrix(draw, 70, 90, of);
    std::vector<int> rows(70), columns(90);
    std::iota(rows.begin(), rows.end(), 0);
    std::iota(columns.begin(), columns.end(), 0);
    sp::shuffle(rows, {.seed = 8});
    sp::shuffle(columns, {.seed = 9});
    matrix shuffled = m, transposed{90, 70, m.values};
    for (int r = 0; r < 70; ++r)
      for (int c = 0; c < 90; ++c) {
        shuffled(r, c) = m(rows[std::size_t(r)], columns[std::size_t(c)]);
        transposed(c, r) = m(r, c);
      }
    double const cost = sp::jonker_volgenant{}(m.view()).cost;
    BOOST_TEST(sp::jonker_volgenant{}(shuffled.view()).cost == cost,
               boost::test_tools::tolerance(rounding));
    auto const flipped = sp::jonker_volgenant{}(transposed.view());
    BOOST_TEST(flipped.cost == cost, boost::test_tools::tolerance(rounding));
    BOOST_TEST(sp::optimality_gap(flipped, transposed.view()) < rounding);
  }
}

BOOST_AUTO_TEST_CASE(solves_matrices_whose_low_entries_mislead) {
  // Rows that all prefer the same columns, by offsets or by products.
  numbers draw{6};
  matrix offsets = random_matrix(draw, 200, 200, kind::uniform);
  matrix products{120, 120, std::vector<double>(120 * 120)};
  matrix wide = random_matrix(draw, 150, 260, kind::uniform);
  for (int r = 0; r < 200; ++r)
    for (int c = 0; c < 200; ++c) offsets(r, c) += 0.05 * r + 0.07 * ((c * 37) % 200);
  for (int r = 0; r < 120; ++r)
    for (int c = 0; c < 120; ++c) products(r, c) = (r + 1.0) * (c + 1.0);
  for (int r = 0; r < 150; ++r)
    for (int c = 0; c < 260; ++c) wide(r, c) += 0.1 * c;
  for (matrix const* m : {&offsets, &products, &wide}) {
    auto const found = sp::jonker_volgenant{}(m->view());
    BOOST_TEST(found.pairs == m->rows);
    BOOST_TEST(sp::optimality_gap(found, m->view()) < rounding);
  }
  // Large with large is dearest, so the optimum reverses the order.
  auto const reversed = sp::jonker_volgenant{}(products.view());
  for (int r = 0; r < 120; ++r) BOOST_TEST(reversed.column_of_row[std::size_t(r)] == 119 - r);
}

BOOST_AUTO_TEST_CASE(leaves_rows_alone_where_nothing_else_is_possible) {
  // Two rows want column 0 and nothing else; the cheaper one gets it.
  matrix const m{3, 3, {5, inf, inf, 1, inf, inf, 2, 3, inf}};
  for (auto const& found : {sp::jonker_volgenant{}(m.view()), sp::sparse_assignment{}(sparse(m))}) {
    std::vector<int> const expected{sp::unassigned, 0, 1};
    BOOST_TEST(found.column_of_row == expected, boost::test_tools::per_element());
    BOOST_TEST(found.cost == 4.0);
    BOOST_TEST(found.pairs == 2);
    BOOST_TEST(!found.prices.row_level.empty());
    BOOST_TEST(sp::optimality_gap(found, m.view()) == 0.0);
  }
  matrix const nothing{2, 3, std::vector<double>(6, inf)};
  auto const found = sp::jonker_volgenant{}(nothing.view());
  BOOST_TEST(found.pairs == 0);
  BOOST_TEST(found.cost == 0.0);
  BOOST_TEST(sp::optimality_gap(found, nothing.view()) == 0.0);
}

BOOST_AUTO_TEST_CASE(ties_go_to_the_lowest_index) {
  matrix const equal{3, 5, std::vector<double>(15, 0.1)};
  std::vector<int> const identity{0, 1, 2};
  BOOST_TEST(sp::jonker_volgenant{}(equal.view()).column_of_row == identity,
             boost::test_tools::per_element());
  BOOST_TEST(sp::sparse_assignment{}(sparse(equal)).column_of_row == identity,
             boost::test_tools::per_element());
  matrix const tall{5, 3, std::vector<double>(15, 0.1)};
  std::vector<int> const first_rows{0, 1, 2, sp::unassigned, sp::unassigned};
  BOOST_TEST(sp::jonker_volgenant{}(tall.view()).column_of_row == first_rows,
             boost::test_tools::per_element());
  // A link that costs as much as staying alone is made.
  sp::sparse_costs even;
  even.columns = 1;
  even.add_row(2.0);
  even.add_edge(0, 2.0);
  BOOST_TEST(sp::sparse_assignment{}(even).column_of_row[0] == 0);
  // Hundreds of equal columns, in the dense solver's own territory.
  numbers draw{7};
  matrix const large = random_matrix(draw, 220, 300, kind::few_integers);
  BOOST_TEST(sp::jonker_volgenant{}(large.view()).column_of_row ==
                 sp::sparse_assignment{}(sparse(large)).column_of_row,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(empty_problems_have_empty_answers) {
  for (auto const& [rows, columns] : {std::pair{0, 0}, {0, 4}, {4, 0}}) {
    matrix const m{rows, columns, {}};
    auto const found = sp::jonker_volgenant{}(m.view());
    BOOST_TEST(found.column_of_row.size() == std::size_t(rows));
    BOOST_TEST(found.pairs == 0);
    BOOST_TEST(sp::optimality_gap(found, m.view()) == 0.0);
    BOOST_TEST(sp::greedy_assignment{}(m.view()).pairs == 0);
  }
  BOOST_TEST(sp::sparse_assignment{}(sp::sparse_costs{}).column_of_row.empty());
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_cost) {
  double const nan = std::numeric_limits<double>::quiet_NaN();
  for (double const bad : {nan, -inf, 1e301, -1e301, std::numeric_limits<double>::max()})
    for (int const size : {3, 100}) {
      numbers draw{8};
      matrix m = random_matrix(draw, size, size + 1, kind::uniform);
      m(2, size) = bad;
      m(0, 1) = inf;
      auto const names_the_place = [&](sp::error const& e) {
        std::string const what = e.what();
        return e.id() == "septum.assignment.1" &&
               what.find("row 2, column " + std::to_string(size)) != std::string::npos;
      };
      BOOST_CHECK_EXCEPTION(sp::jonker_volgenant{}(m.view()), sp::unsupported_error,
                            names_the_place);
      // NaN is not below +inf, so it must not get lost on the way to a sparse problem either.
      sp::sparse_costs s = sparse(m);
      s.add_edge(0, bad);
      s.row_begin.back() = s.column.size();
      BOOST_CHECK_THROW(sp::sparse_assignment{}(s), sp::unsupported_error);
      BOOST_CHECK_EXCEPTION(sp::greedy_assignment{}(m.view()), sp::unsupported_error,
                            names_the_place);
    }
  sp::sparse_costs s;
  s.columns = 2;
  s.add_row(nan);
  BOOST_CHECK_THROW(sp::sparse_assignment{}(s), sp::unsupported_error);
  s.row_unassigned = {1.0};
  s.column_unassigned = {0.0, inf};
  BOOST_CHECK_THROW(sp::sparse_assignment{}(s), sp::unsupported_error);
  s.column_unassigned = {0.0};
  BOOST_CHECK_THROW(sp::sparse_assignment{}(s), sp::shape_error);
  s.column_unassigned.clear();
  s.add_edge(2, 1.0);
  BOOST_CHECK_THROW(sp::sparse_assignment{}(s), sp::shape_error);
}

BOOST_AUTO_TEST_CASE(threads_do_not_change_the_result) {
  numbers draw{9};
  sp::sparse_costs s;
  s.columns = 4000;
  // Many small components and a few large ones.
  for (int r = 0; r < 4000; ++r) {
    s.add_row(1.5);
    for (int k = 0; k < 4; ++k) {
      int const spread = r < 2000 ? 40 : 2000;
      s.add_edge(std::min(3999, r / spread * spread + draw.below(spread)), draw.uniform());
    }
  }
  auto const serial = sp::sparse_assignment{}(s);
  BOOST_TEST(sp::optimality_gap(serial, s) < rounding);
  for (int const count : {2, 5}) {
    auto const parallel = sp::sparse_assignment{}(s, sp::exec::threads{count});
    BOOST_TEST(parallel.column_of_row == serial.column_of_row, boost::test_tools::per_element());
    BOOST_TEST(parallel.prices.column == serial.prices.column, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(greedy_takes_the_cheapest_pair_first) {
  matrix const m{2, 2, {1, 2, 3, 100}};
  auto const found = sp::greedy_assignment{}(m.view());
  std::vector<int> const expected{0, 1};
  BOOST_TEST(found.column_of_row == expected, boost::test_tools::per_element());
  BOOST_TEST(found.cost == 101.0);
  BOOST_TEST(sp::jonker_volgenant{}(m.view()).cost == 5.0);
  sp::sparse_costs s = sparse(m);
  s.row_unassigned = {10.0, 10.0};
  BOOST_TEST(sp::greedy_assignment{}(s).cost == 11.0);
}

BOOST_AUTO_TEST_SUITE_END()
