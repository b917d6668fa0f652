#pragma once
#include <septum/core/config.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/detail/bit_rows.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Consecutive pixels [begin, end) of one row that hold the same value.
struct row_run {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  std::int32_t value = 0;
};

/// All runs of an image in raster order; those of row r are first[r] to first[r + 1].
struct run_table {
  std::vector<row_run> runs;
  std::vector<std::size_t> first;

  [[nodiscard]] std::ptrdiff_t rows() const {
    return static_cast<std::ptrdiff_t>(first.size()) - 1;
  }
  [[nodiscard]] std::span<row_run const> row(std::ptrdiff_t r) const {
    auto const at = static_cast<std::size_t>(r);
    return {runs.data() + first[at], first[at + 1] - first[at]};
  }
};

/// Runs of the set bits of a row, with value 1.
inline void append_runs_of_bits(std::span<std::uint64_t const> words, std::int32_t columns,
                                std::vector<row_run>& runs) {
  std::uint64_t carry = 0;
  bool open = false;
  for (std::size_t w = 0; w < words.size(); ++w) {
    std::uint64_t changes = words[w] ^ ((words[w] << 1U) | carry);
    carry = words[w] >> 63U;
    for (; changes != 0; changes &= changes - 1) {
      auto const at = static_cast<std::int32_t>(w * 64) + std::countr_zero(changes);
      if (open)
        runs.back().end = at;
      else
        runs.push_back({at, columns, 1});
      open = !open;
    }
  }
}

/// First position in [begin, end) whose value differs from that at `begin`, or `end`.
template <class T>
[[nodiscard]] T const* end_of_run(T const* begin, T const* end) {
  T const value = *begin;
  T const* at = begin;
  while (end - at >= 8) {
    bool same = true;
    for (int k = 0; k < 8; ++k) same &= at[k] == value;
    if (!same) break;
    at += 8;
  }
  while (at < end && *at == value) ++at;
  return at;
}

/// Runs of a whole image; `append_row(row, runs)` appends those of one row.
template <class AppendRow>
[[nodiscard]] run_table find_runs(std::ptrdiff_t rows, AppendRow const& append_row,
                                  exec::threads threads) {
  std::ptrdiff_t const parts =
      std::clamp<std::ptrdiff_t>(threads.count, 1, std::max<std::ptrdiff_t>(rows, 1));
  std::vector<std::vector<row_run>> part_runs(static_cast<std::size_t>(parts));
  run_table table;
  table.first.assign(static_cast<std::size_t>(rows) + 1, 0);
  for_each_range(threads, parts, [&](std::ptrdiff_t first_part, std::ptrdiff_t last_part) {
    for (std::ptrdiff_t part = first_part; part < last_part; ++part) {
      auto& runs = part_runs[static_cast<std::size_t>(part)];
      std::ptrdiff_t const end = rows * (part + 1) / parts;
      for (std::ptrdiff_t row = rows * part / parts; row < end; ++row) {
        std::size_t const before = runs.size();
        append_row(row, runs);
        table.first[static_cast<std::size_t>(row) + 1] = runs.size() - before;
      }
    }
  });
  for (std::size_t row = 1; row < table.first.size(); ++row)
    table.first[row] += table.first[row - 1];
  table.runs = std::move(part_runs.front());
  table.runs.reserve(table.first.back());
  for (std::size_t part = 1; part < part_runs.size(); ++part)
    table.runs.insert(table.runs.end(), part_runs[part].begin(), part_runs[part].end());
  return table;
}

/// Runs of equal non-zero values of a label image.
[[nodiscard]] inline run_table find_label_runs(view<std::int32_t const, 2> cells,
                                               exec::threads threads) {
  return find_runs(
      cells.extent(0),
      [&](std::ptrdiff_t row, std::vector<row_run>& runs) {
        std::int32_t const* const begin = cells.data() + row * cells.stride(0);
        std::int32_t const* const end = begin + cells.extent(1);
        for (std::int32_t const* at = begin; at < end;) {
          std::int32_t const* const next = end_of_run(at, end);
          if (*at != 0)
            runs.push_back({static_cast<std::int32_t>(at - begin),
                            static_cast<std::int32_t>(next - begin), *at});
          at = next;
        }
      },
      threads);
}

/// Runs, with value 1, of the pixels that are set. `fill(row, begin, end, bytes)` writes a byte for
/// each of the columns [begin, end), at most 64: not 0 where the pixel is set.
template <class Fill>
[[nodiscard]] run_table find_set_runs(std::ptrdiff_t rows, std::ptrdiff_t columns, Fill const& fill,
                                      exec::threads threads) {
  return find_runs(
      rows,
      [&](std::ptrdiff_t row, std::vector<row_run>& runs) {
        std::uint64_t carry = 0;
        bool open = false;
        for (std::ptrdiff_t begin = 0; begin < columns; begin += 64) {
          std::array<std::uint8_t, 64> bytes;
          std::ptrdiff_t const end = std::min(columns, begin + 64);
          fill(row, begin, end, bytes.data());
          std::uint64_t word = 0;
          pack_row(bytes.data(), end - begin, &word);
          std::uint64_t changes = word ^ ((word << 1U) | carry);
          carry = word >> 63U;
          for (; changes != 0; changes &= changes - 1) {
            auto const at = static_cast<std::int32_t>(begin + std::countr_zero(changes));
            if (open)
              runs.back().end = at;
            else
              runs.push_back({at, static_cast<std::int32_t>(columns), 1});
            open = !open;
          }
        }
      },
      threads);
}

/// Disjoint sets of runs; the root of a set is its first run in raster order.
class run_sets {
 public:
  explicit run_sets(std::size_t runs) : parent_(runs) {
    for (std::size_t i = 0; i < runs; ++i) parent_[i] = static_cast<std::int32_t>(i);
  }
  [[nodiscard]] std::int32_t root(std::int32_t i) {
    while (parent(i) != i) {
      parent(i) = parent(parent(i));
      i = parent(i);
    }
    return i;
  }
  void unite(std::int32_t a, std::int32_t b) {
    a = root(a);
    b = root(b);
    if (a < b) std::swap(a, b);
    parent(a) = b;
  }
  /// Numbers the sets 1, 2, … by their first run and returns the number of each run.
  [[nodiscard]] std::pair<std::vector<std::int32_t>, std::int32_t> numbers() && {
    std::int32_t sets = 0;
    for (std::size_t i = 0; i < parent_.size(); ++i) {
      auto const above = static_cast<std::size_t>(parent_[i]);
      parent_[i] = above == i ? ++sets : parent_[above];
    }
    return {std::move(parent_), sets};
  }

 private:
  [[nodiscard]] std::int32_t& parent(std::int32_t i) {
    return parent_[static_cast<std::size_t>(i)];
  }
  std::vector<std::int32_t> parent_;
};

/// Unites runs of equal value that touch between row `r` and the row above. `reach` is 0 when
/// pixels must share an edge and 1 when a corner suffices.
inline void unite_with_row_above(run_table const& table, std::ptrdiff_t r, std::int32_t reach,
                                 run_sets& sets) {
  auto const above = table.row(r - 1);
  auto const here = table.row(r);
  auto const first_above = static_cast<std::int32_t>(table.first[static_cast<std::size_t>(r - 1)]);
  auto const first_here = static_cast<std::int32_t>(table.first[static_cast<std::size_t>(r)]);
  std::size_t start = 0;
  for (std::size_t j = 0; j < here.size(); ++j) {
    while (start < above.size() && above[start].end + reach <= here[j].begin) ++start;
    for (std::size_t i = start; i < above.size() && above[i].begin < here[j].end + reach; ++i)
      if (above[i].value == here[j].value)
        sets.unite(first_above + static_cast<std::int32_t>(i),
                   first_here + static_cast<std::int32_t>(j));
  }
}

/// Sets of runs of equal value that are connected. Blocks of rows are joined in parallel, then
/// the seams between them; roots are first runs, so the sets do not depend on the blocks.
[[nodiscard]] inline run_sets connect_runs(run_table const& table, std::int32_t reach,
                                           exec::threads threads) {
  run_sets sets{table.runs.size()};
  std::ptrdiff_t const rows = table.rows();
  std::ptrdiff_t const parts =
      std::clamp<std::ptrdiff_t>(threads.count, 1, std::max<std::ptrdiff_t>(rows, 1));
  for_each_range(threads, parts, [&](std::ptrdiff_t first_part, std::ptrdiff_t last_part) {
    for (std::ptrdiff_t part = first_part; part < last_part; ++part)
      for (std::ptrdiff_t row = rows * part / parts + 1; row < rows * (part + 1) / parts; ++row)
        unite_with_row_above(table, row, reach, sets);
  });
  for (std::ptrdiff_t part = 1; part < parts; ++part)
    unite_with_row_above(table, rows * part / parts, reach, sets);
  return sets;
}

}  // namespace septum::inline SEPTUM_ABI::detail
