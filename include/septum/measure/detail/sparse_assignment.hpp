#pragma once
#include <septum/core/config.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// One pair that may be matched, and what the match is worth (not negative).
struct weighted_pair {
  std::int32_t row = 0;
  std::int32_t column = 0;
  double weight = 0;
};

/// One-to-one matching of rows to columns with the largest sum of weights; rows and columns may
/// stay alone. Pairs are sorted by row. Each row is added by a shortest augmenting path over
/// reduced costs (Jonker and Volgenant), which only visits the part of the graph it can reach.
/// \returns for each row the index of its pair, or -1.
[[nodiscard]] inline std::vector<std::int32_t> heaviest_matching(
    std::int32_t rows, std::int32_t columns, std::vector<weighted_pair> const& pairs) {
  // Staying alone is a private column of cost `heaviest`; a pair costs heaviest - weight >= 0.
  double heaviest = 0;
  for (weighted_pair const& pair : pairs) heaviest = std::max(heaviest, pair.weight);
  auto const at = [](std::int32_t i) { return static_cast<std::size_t>(i); };
  std::vector<std::int32_t> first(at(rows) + 1, 0);
  for (weighted_pair const& pair : pairs) ++first[at(pair.row) + 1];
  for (std::size_t r = 1; r < first.size(); ++r) first[r] += first[r - 1];

  constexpr std::int32_t nobody = -1;
  constexpr double unreached = std::numeric_limits<double>::infinity();
  std::size_t const all_columns = at(columns) + at(rows);
  std::vector<double> row_price(at(rows), 0);
  std::vector<double> column_price(all_columns, 0);
  std::vector<std::int32_t> row_of(all_columns, nobody);
  std::vector<std::int32_t> pair_of(at(rows), nobody);
  std::vector<double> distance(all_columns, unreached);
  std::vector<std::int32_t> came_from(all_columns, nobody);
  std::vector<std::int32_t> came_by(all_columns, nobody);
  std::vector<std::int32_t> touched;
  std::vector<std::int32_t> settled;
  using entry = std::pair<double, std::int32_t>;

  for (std::int32_t start = 0; start < rows; ++start) {
    std::priority_queue<entry, std::vector<entry>, std::greater<>> open;
    auto const relax = [&](std::int32_t row, double so_far) {
      auto const reach = [&](std::int32_t column, double cost, std::int32_t pair) {
        double const length =
            so_far + std::max(cost - row_price[at(row)] - column_price[at(column)], 0.0);
        if (length >= distance[at(column)]) return;
        if (distance[at(column)] == unreached) touched.push_back(column);
        distance[at(column)] = length;
        came_from[at(column)] = row;
        came_by[at(column)] = pair;
        open.emplace(length, column);
      };
      for (std::int32_t k = first[at(row)]; k < first[at(row) + 1]; ++k)
        reach(pairs[at(k)].column, heaviest - pairs[at(k)].weight, k);
      reach(columns + row, heaviest, nobody);
    };
    relax(start, 0);
    std::int32_t end = nobody;
    double shortest = 0;
    while (end == nobody) {
      auto const [length, column] = open.top();
      open.pop();
      if (length > distance[at(column)]) continue;
      if (row_of[at(column)] == nobody) {
        end = column;
        shortest = length;
      } else {
        settled.push_back(column);
        relax(row_of[at(column)], length);
      }
    }
    row_price[at(start)] += shortest;
    for (std::int32_t const column : settled) {
      double const slack = shortest - distance[at(column)];
      column_price[at(column)] -= slack;
      row_price[at(row_of[at(column)])] += slack;
    }
    for (std::int32_t column = end; column != nobody;) {
      std::int32_t const row = came_from[at(column)];
      std::int32_t const pair = came_by[at(column)];
      std::int32_t const left = row == start                 ? nobody
                                : pair_of[at(row)] == nobody ? columns + row
                                                             : pairs[at(pair_of[at(row)])].column;
      row_of[at(column)] = row;
      pair_of[at(row)] = pair;
      column = left;
    }
    for (std::int32_t const column : touched) distance[at(column)] = unreached;
    touched.clear();
    settled.clear();
  }
  return pair_of;
}

}  // namespace septum::inline SEPTUM_ABI::detail
