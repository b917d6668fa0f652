#pragma once
#include <septum/core/config.hpp>
#include <septum/track/assignment_problem.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// The pairs that cost nothing extra under optimal prices. Every optimal assignment uses only
/// these, and leaves alone only rows and columns that may be.
struct tight_pairs {
  std::vector<std::size_t> row_begin{0};
  std::vector<std::int32_t> column;        ///< ascending within a row
  std::vector<std::uint8_t> row_may_rest;  ///< staying alone costs this row nothing extra
  std::vector<std::uint8_t> column_may_rest;

  void end_row() { row_begin.push_back(column.size()); }
};

/// Turns one optimal assignment into the one whose list of columns is lexicographically smallest
/// among all optimal ones (unassigned counts as the highest column), so that ties go to the lowest
/// index whatever algorithm found the assignment.
///
/// Moves happen along closed walks "row takes what the next row holds"; one extra node, the pool,
/// stands for everything that is free. Only rows within one strongly connected part can move, and
/// these parts do not depend on the assignment (Dulmage and Mendelsohn).
class tie_breaker {
 public:
  tie_breaker(tight_pairs const& pairs, std::vector<std::int32_t>& column_of_row)
      : pairs_{pairs},
        column_of_row_{column_of_row},
        owner_(pairs.column_may_rest.size(), unassigned),
        pool_{static_cast<std::int32_t>(column_of_row.size())} {
    for (std::int32_t row = 0; row < pool_; ++row)
      if (column(row) != unassigned) owner_[at(column(row))] = row;
  }

  void run() {
    find_parts();
    collect_candidates();
    for (std::int32_t const row : movable_) improve(row);
  }

 private:
  static constexpr std::int32_t nobody = -1;
  static constexpr std::int32_t alone = -2;

  [[nodiscard]] static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] std::int32_t column(std::int32_t row) const { return column_of_row_[at(row)]; }
  [[nodiscard]] std::int32_t const* begin(std::int32_t row) const {
    return pairs_.column.data() + pairs_.row_begin[at(row)];
  }
  [[nodiscard]] std::int32_t const* end(std::int32_t row) const {
    return pairs_.column.data() + pairs_.row_begin[at(row) + 1];
  }
  [[nodiscard]] bool wants(std::int32_t row, std::int32_t other) const {
    return column(row) == unassigned || other < column(row);
  }
  /// What the row holds may become free: its own rest place always, its column where it may rest.
  [[nodiscard]] bool may_release(std::int32_t row) const {
    return column(row) == unassigned || pairs_.column_may_rest[at(column(row))] != 0;
  }
  [[nodiscard]] bool may_rest(std::int32_t row) const {
    return pairs_.row_may_rest[at(row)] != 0 && column(row) != unassigned;
  }

  /// Calls visit(next) for every node from which this node could take something.
  template <class Visit>
  void for_each_next(std::int32_t node, std::size_t& position, Visit const& visit) const {
    if (node == pool_) {
      for (; position < at(pool_); ++position)
        if (may_release(static_cast<std::int32_t>(position)))
          if (!visit(static_cast<std::int32_t>(position))) return;
      return;
    }
    auto const count = static_cast<std::size_t>(end(node) - begin(node));
    for (; position < count; ++position) {
      std::int32_t const other = begin(node)[position];
      if (other == column(node)) continue;
      std::int32_t const holder = owner_[at(other)];
      if (!visit(holder == unassigned ? pool_ : holder)) return;
    }
    if (position == count && may_rest(node))
      if (!visit(pool_)) return;
  }

  /// Strongly connected parts by Tarjan's algorithm with an explicit stack.
  void find_parts() {
    std::size_t const nodes = at(pool_) + 1;
    std::vector<std::int32_t> index(nodes, -1), lowest(nodes, 0), stack;
    std::vector<std::pair<std::int32_t, std::size_t>> calls;
    part_.assign(nodes, -1);
    std::int32_t next_index = 0, parts = 0;
    std::vector<bool> single;
    auto const open = [&](std::int32_t node) {
      index[at(node)] = lowest[at(node)] = next_index++;
      stack.push_back(node);
      calls.emplace_back(node, 0);
    };
    for (std::int32_t root = 0; root <= pool_; ++root) {
      if (index[at(root)] >= 0) continue;
      open(root);
      while (!calls.empty()) {
        auto& [node, position] = calls.back();
        std::int32_t const current = node;
        std::int32_t descend = nobody;
        for_each_next(current, position, [&](std::int32_t next) {
          if (index[at(next)] < 0) {
            descend = next;
            return false;
          }
          if (part_[at(next)] < 0)
            lowest[at(current)] = std::min(lowest[at(current)], index[at(next)]);
          return true;
        });
        if (descend != nobody) {
          // The position stays on the child, so that its result is read when it is done.
          open(descend);
          continue;
        }
        calls.pop_back();
        if (!calls.empty()) {
          std::int32_t const parent = calls.back().first;
          lowest[at(parent)] = std::min(lowest[at(parent)], lowest[at(current)]);
        }
        if (lowest[at(current)] != index[at(current)]) continue;
        std::int32_t member = nobody;
        std::size_t const before = stack.size();
        do {
          member = stack.back();
          stack.pop_back();
          part_[at(member)] = parts;
        } while (member != current);
        single.push_back(before - stack.size() == 1);
        ++parts;
      }
    }
    for (std::int32_t& part : part_)
      if (single[at(part)]) part = alone;
  }

  /// Rows that can move, ascending, and for every column the rows that could take it.
  void collect_candidates() {
    takers_begin_.assign(owner_.size() + 1, 0);
    for (std::int32_t row = 0; row < pool_; ++row) {
      if (part_[at(row)] == alone) continue;
      movable_.push_back(row);
      for (auto const* c = begin(row); c != end(row); ++c) ++takers_begin_[at(*c) + 1];
    }
    for (std::size_t c = 0; c < owner_.size(); ++c) takers_begin_[c + 1] += takers_begin_[c];
    takers_.resize(takers_begin_.back());
    std::vector<std::size_t> fill(takers_begin_.begin(), takers_begin_.end() - 1);
    for (std::int32_t const row : movable_)
      for (auto const* c = begin(row); c != end(row); ++c) takers_[fill[at(*c)]++] = row;
    visited_.assign(at(pool_), nobody);
    goes_to_.assign(at(pool_), nobody);
  }

  /// Gives the row the lowest column it can get from rows above it in number.
  void improve(std::int32_t row) {
    // Rows above keep what they have.
    auto const obtainable = [&](std::int32_t wanted) {
      std::int32_t const holder = owner_[at(wanted)];
      return holder == unassigned || holder > row;
    };
    std::int32_t const* const best = std::find_if(begin(row), end(row), obtainable);
    if (best == end(row) || !wants(row, *best)) return;
    reach_.clear();
    pool_reached_ = false;
    pool_from_ = nobody;
    if (may_release(row)) reach_pool(row, nobody);
    if (column(row) != unassigned) reach_column(row, column(row));
    for (std::size_t next = 0; next < reach_.size() && !available(row, *best); ++next) {
      std::int32_t const giver = reach_[next];
      if (may_release(giver)) reach_pool(row, giver);
      if (column(giver) != unassigned) reach_column(row, column(giver));
    }
    for (auto const* c = best; c != end(row) && wants(row, *c); ++c)
      if (available(row, *c)) return shift(row, *c);
  }

  [[nodiscard]] bool available(std::int32_t row, std::int32_t wanted) const {
    std::int32_t const holder = owner_[at(wanted)];
    return holder == unassigned ? pool_reached_ : visited_[at(holder)] == row;
  }
  void reach_column(std::int32_t row, std::int32_t given) {
    auto const first = takers_.begin() + static_cast<std::ptrdiff_t>(takers_begin_[at(given)]);
    auto const last = takers_.begin() + static_cast<std::ptrdiff_t>(takers_begin_[at(given) + 1]);
    for (auto taker = std::upper_bound(first, last, row); taker != last; ++taker)
      reach_row(row, *taker, given);
  }
  void reach_row(std::int32_t row, std::int32_t taker, std::int32_t given) {
    if (taker <= row || visited_[at(taker)] == row || part_[at(taker)] != part_[at(row)]) return;
    visited_[at(taker)] = row;
    goes_to_[at(taker)] = given;
    reach_.push_back(taker);
  }
  /// Something becomes free: whoever can live with a free column, or alone, may give up its own.
  void reach_pool(std::int32_t row, std::int32_t giver) {
    if (pool_reached_) return;
    pool_reached_ = true;
    pool_from_ = giver;
    for (auto taker = std::upper_bound(movable_.begin(), movable_.end(), row);
         taker != movable_.end(); ++taker) {
      for (auto const* c = begin(*taker); c != end(*taker); ++c)
        if (owner_[at(*c)] == unassigned) {
          reach_row(row, *taker, *c);
          break;
        }
      if (may_rest(*taker)) reach_row(row, *taker, unassigned);
    }
  }

  void shift(std::int32_t row, std::int32_t wanted) {
    std::int32_t const given = column(row);
    std::int32_t taker = row;
    std::int32_t target = wanted;
    bool pool_used = false;
    while (true) {
      std::int32_t const holder = target == unassigned ? unassigned : owner_[at(target)];
      column_of_row_[at(taker)] = target;
      if (target != unassigned) owner_[at(target)] = taker;
      if (target != unassigned && target == given && taker != row) return;
      if (holder == unassigned) {
        // The walk goes through the pool: whoever released something into it moves next.
        if (pool_used || pool_from_ == nobody) break;
        pool_used = true;
        taker = pool_from_;
        if (column(taker) != unassigned) owner_[at(column(taker))] = unassigned;
      } else {
        taker = holder;
      }
      target = goes_to_[at(taker)];
    }
    if (given != unassigned && owner_[at(given)] == row) owner_[at(given)] = unassigned;
  }

  tight_pairs const& pairs_;
  std::vector<std::int32_t>& column_of_row_;
  std::vector<std::int32_t> owner_;
  std::int32_t pool_;
  std::vector<std::int32_t> part_;
  std::vector<std::int32_t> movable_;
  std::vector<std::size_t> takers_begin_;
  std::vector<std::int32_t> takers_;
  std::vector<std::int32_t> visited_;  ///< the row whose search reached this row last
  std::vector<std::int32_t> goes_to_;
  std::vector<std::int32_t> reach_;
  bool pool_reached_ = false;
  std::int32_t pool_from_ = nobody;
};

}  // namespace septum::inline SEPTUM_ABI::detail
