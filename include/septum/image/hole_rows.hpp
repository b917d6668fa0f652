#pragma once
#include <septum/core/config.hpp>
#include <septum/image/component_rows.hpp>
#include <septum/image/detail/open_components.hpp>
#include <septum/image/mask_rows.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Which holes of a mask are filled: all of them, or those in which no second component lies.
enum class hole_rule { all, own };

/// Holes of a mask that is read row by row: 4-connected pieces of background that do not touch the
/// border. The mask with its holes filled comes in a second pass.
class row_holes {
 public:
  /// Reads the mask once.
  /// \throws unsupported_error `septum.components.1` above the limits
  row_holes(mask_rows const& source, hole_rule rule, component_limits limits) {
    detail::growing_sets cells{rule == hole_rule::own ? limits.pieces : 0};
    detail::growing_sets gaps{limits.pieces};
    detail::open_sets<gap_state> open{limits.pieces};
    detail::run_rows rows{source};
    std::vector<detail::row_run> gaps_above;
    std::vector<detail::row_run> gaps_here;
    std::vector<bool> filled;
    filled.reserve(limits.pieces + 1);
    auto const ended = [&](std::int32_t root, gap_state&& gap) {
      filled.resize(std::max(filled.size(), static_cast<std::size_t>(root) + 1), false);
      if (rule == hole_rule::own) gap.simplify(cells);
      filled[static_cast<std::size_t>(root)] =
          !gap.at_border && (rule == hole_rule::all || gap.owners.size() == 1);
    };
    while (rows.row() + 1 < source.rows) {
      rows.advance();
      std::int32_t const row = rows.row();
      gaps_above.swap(gaps_here);
      gaps_here.clear();
      detail::append_gaps(rows.here(), source.columns, gaps_here);
      detail::number_runs(
          gaps_above, std::span{gaps_here}, 0,
          [&](std::int32_t a, std::int32_t b) { return detail::unite_open(gaps, open, a, b); },
          [&] { return gaps.add(); });
      for (detail::row_run& gap : gaps_here) {
        gap.value = gaps.root(gap.value);
        if (row == 0 || row + 1 == source.rows || gap.begin == 0 || gap.end == source.columns)
          open.of(gap.value, row).reach_border();
        else
          open.of(gap.value, row);
      }
      if (rule == hole_rule::own) {
        detail::number_runs(
            rows.above(), rows.here(), 1,
            [&](std::int32_t a, std::int32_t b) {
              a = cells.root(a);
              b = cells.root(b);
              return a == b ? a : cells.unite(a, b);
            },
            [&] { return cells.add(); });
        meet_owners(rows, gaps_above, gaps_here, cells, gaps, open);
      }
      open.end_before(row, ended);
    }
    open.end_before(source.rows, ended);
    filled.resize(gaps.size(), false);
    gaps.number([&](std::int32_t root) { return filled[static_cast<std::size_t>(root)]; });
    numbers_ = std::move(gaps).take();
  }

  /// Reads the same mask again: visit(row, words) with the holes filled.
  template <class Visit>
  void fill(mask_rows const& source, Visit const& visit) const {
    detail::run_rows rows{source};
    std::vector<detail::row_run> above;
    std::vector<detail::row_run> here;
    std::vector<std::uint64_t> words(static_cast<std::size_t>(detail::words_of(source.columns)));
    std::size_t next = 1;
    while (rows.row() + 1 < source.rows) {
      rows.advance();
      above.swap(here);
      here.clear();
      detail::append_gaps(rows.here(), source.columns, here);
      detail::number_runs(
          above, std::span{here}, 0, [](std::int32_t a, std::int32_t) { return a; },
          [&] { return numbers_[next++] + 1; });
      std::fill(words.begin(), words.end(), 0);
      for (detail::row_run const& run : rows.here()) detail::set_bits(words, run.begin, run.end);
      for (detail::row_run const& gap : here)
        if (gap.value > 1) detail::set_bits(words, gap.begin, gap.end);
      visit(rows.row(), std::span<std::uint64_t const>{words});
    }
  }

 private:
  struct gap_state {
    bool at_border = false;
    std::vector<std::int32_t> owners{};  // components that it meets; may name one twice

    void reach_border() {
      at_border = true;
      owners = {};
    }
    void join(gap_state&& other) {
      if (at_border || other.at_border) return reach_border();
      if (owners.size() < other.owners.size()) owners.swap(other.owners);
      owners.insert(owners.end(), other.owners.begin(), other.owners.end());
    }
    void meet(std::int32_t cell, detail::growing_sets& cells) {
      if (at_border || (!owners.empty() && cells.root(owners.back()) == cells.root(cell))) return;
      owners.push_back(cell);
      constexpr std::size_t many = 64;
      if (owners.size() % many == 0) simplify(cells);
    }
    void simplify(detail::growing_sets& cells) {
      for (std::int32_t& owner : owners) owner = cells.root(owner);
      std::sort(owners.begin(), owners.end());
      owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
    }
  };

  // Tells every gap of this row and the one above which components lie beside, above or below it.
  static void meet_owners(detail::run_rows& rows, std::span<detail::row_run const> gaps_above,
                          std::span<detail::row_run const> gaps_here, detail::growing_sets& cells,
                          detail::growing_sets& gaps, detail::open_sets<gap_state>& open) {
    auto const cells_here = rows.here();
    auto const meet = [&](detail::row_run const& gap, std::int32_t row,
                          detail::row_run const& cell) {
      open.at(gaps.root(gap.value), row).meet(cell.value, cells);
    };
    std::int32_t const row = rows.row();
    std::size_t beside = 0;
    for (detail::row_run const& gap : gaps_here) {
      while (beside < cells_here.size() && cells_here[beside].end < gap.begin) ++beside;
      for (std::size_t i = beside; i < cells_here.size() && cells_here[i].begin <= gap.end; ++i)
        meet(gap, row, cells_here[i]);
    }
    for_each_overlap(gaps_here, rows.above(),
                     [&](auto const& gap, auto const& cell) { meet(gap, row, cell); });
    for_each_overlap(gaps_above, cells_here,
                     [&](auto const& gap, auto const& cell) { meet(gap, row - 1, cell); });
  }

  template <class Visit>
  static void for_each_overlap(std::span<detail::row_run const> first,
                               std::span<detail::row_run const> second, Visit const& visit) {
    std::size_t start = 0;
    for (detail::row_run const& a : first) {
      while (start < second.size() && second[start].end <= a.begin) ++start;
      for (std::size_t i = start; i < second.size() && second[i].begin < a.end; ++i)
        visit(a, second[i]);
    }
  }

  std::vector<std::int32_t> numbers_;
};

}  // namespace septum::inline SEPTUM_ABI
