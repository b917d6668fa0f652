#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/detail/bit_rows.hpp>
#include <septum/image/detail/region_shape.hpp>
#include <septum/image/detail/row_runs.hpp>
#include <septum/image/mask_rows.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Runs of the unset bits of a row, given those of the set ones.
inline void append_gaps(std::span<row_run const> runs, std::int32_t columns,
                        std::vector<row_run>& gaps) {
  std::int32_t begin = 0;
  for (row_run const& run : runs) {
    if (run.begin > begin) gaps.push_back({begin, run.begin, 1});
    begin = run.end;
  }
  if (begin < columns) gaps.push_back({begin, columns, 1});
}

inline void set_bits(std::span<std::uint64_t> words, std::int32_t begin, std::int32_t end) {
  for (auto at = static_cast<std::uint32_t>(begin); at < static_cast<std::uint32_t>(end);) {
    std::uint32_t const word = at / 64;
    std::uint32_t const past =
        std::min<std::uint32_t>(static_cast<std::uint32_t>(end), (word + 1) * 64);
    words[word] |= (~std::uint64_t{0} >> (64 - (past - at))) << (at % 64);
    at = past;
  }
}

/// Gives every run of a row a number by the runs of the row above that it touches: what
/// `touch(number, other)` makes of those of all it touches, or `fresh()` when there is none.
template <class Touch, class Fresh>
void number_runs(std::span<row_run const> above, std::span<row_run> here, std::int32_t reach,
                 Touch const& touch, Fresh const& fresh) {
  std::size_t start = 0;
  for (row_run& run : here) {
    while (start < above.size() && above[start].end + reach <= run.begin) ++start;
    run.value = 0;
    for (std::size_t i = start; i < above.size() && above[i].begin < run.end + reach; ++i)
      run.value = run.value == 0 ? above[i].value : touch(run.value, above[i].value);
    if (run.value == 0) run.value = fresh();
  }
}

/// Sets of numbers from 1 that grow while they are joined; a set's root is its smallest number.
/// Asks for address space for all it may hold, and for memory only as it grows.
class growing_sets {
 public:
  explicit growing_sets(std::size_t limit) : limit_{limit} {
    parent_.reserve(limit + 1);
    parent_.push_back(0);
  }
  /// A new set of one number, which is returned.
  [[nodiscard]] std::int32_t add() {
    SEPTUM_EXPECTS(
        parent_.size() <= limit_,
        unsupported_error("septum.components.1",
                          "expected at most " + to_text(limit_) +
                              " pieces of cells or gaps in the image, found more; is the "
                              "threshold in the noise?",
                          fault::resource));
    parent_.push_back(static_cast<std::int32_t>(parent_.size()));
    return parent_.back();
  }
  [[nodiscard]] std::int32_t root(std::int32_t i) {
    while (at(i) != i) {
      at(i) = at(at(i));
      i = at(i);
    }
    return i;
  }
  /// Joins two roots and returns the root of both.
  std::int32_t unite(std::int32_t a, std::int32_t b) {
    if (a > b) std::swap(a, b);
    at(b) = a;
    return a;
  }
  [[nodiscard]] std::size_t size() const { return parent_.size(); }

  /// Replaces every number by the rank of its set among those that `keep(root)` keeps, from 1 and
  /// in the order of roots, 0 for the others. \returns how many are kept.
  template <class Keep>
  std::int32_t number(Keep const& keep) {
    std::int32_t count = 0;
    for (std::size_t i = 1; i < parent_.size(); ++i) {
      auto const above = static_cast<std::size_t>(parent_[i]);
      // A parent is smaller than its child, so it is numbered already.
      parent_[i] = above == i ? (keep(static_cast<std::int32_t>(i)) ? ++count : 0) : parent_[above];
    }
    return count;
  }
  [[nodiscard]] std::vector<std::int32_t> take() && { return std::move(parent_); }

 private:
  [[nodiscard]] std::int32_t& at(std::int32_t i) { return parent_[static_cast<std::size_t>(i)]; }
  std::size_t limit_;
  std::vector<std::int32_t> parent_;
};

/// What is gathered about open sets: one State each, joined when sets are joined, handed out when
/// the set has ended. State has `join(State&&)`.
template <class State>
class open_sets {
 public:
  /// @param limit  largest root
  explicit open_sets(std::size_t limit) { place_.reserve(limit + 1); }

  struct entry {
    std::int32_t root = 0;
    std::int32_t last_row = 0;
    State state{};
  };

  State& of(std::int32_t root, std::int32_t row) {
    entry& own = find(root);
    own.last_row = row;
    return own.state;
  }
  /// As `of`, for what was there before: leaves the last row of the set.
  State& at(std::int32_t root, std::int32_t row) {
    entry& own = find(root);
    own.last_row = std::max(own.last_row, row);
    return own.state;
  }
  void join(std::int32_t kept, std::int32_t gone) {
    auto const place = place_of(gone);
    entry& from = entries_[place];
    find(kept).state.join(std::move(from.state));
    from = {};
    free_.push_back(place);
    place_[static_cast<std::size_t>(gone)] = 0;
  }
  /// Hands out and forgets every set that has nothing in `row`: ended(root, state).
  template <class Ended>
  void end_before(std::int32_t row, Ended const& ended) {
    for (std::size_t place = 0; place < entries_.size(); ++place) {
      entry& own = entries_[place];
      if (own.root == 0 || own.last_row >= row) continue;
      ended(own.root, std::move(own.state));
      place_[static_cast<std::size_t>(own.root)] = 0;
      own = {};
      free_.push_back(place);
    }
  }

 private:
  [[nodiscard]] std::size_t place_of(std::int32_t root) const {
    return static_cast<std::size_t>(place_[static_cast<std::size_t>(root)]) - 1;
  }
  entry& find(std::int32_t root) {
    auto const key = static_cast<std::size_t>(root);
    if (key >= place_.size()) place_.resize(key + 1, 0);
    if (place_[key] == 0) {
      if (free_.empty()) {
        free_.push_back(entries_.size());
        entries_.emplace_back();
      }
      place_[key] = static_cast<std::int32_t>(free_.back()) + 1;
      entries_[free_.back()].root = root;
      free_.pop_back();
    }
    return entries_[place_of(root)];
  }

  std::vector<entry> entries_;
  std::vector<std::size_t> free_;
  std::vector<std::int32_t> place_;  // of a root, from 1
};

/// Joins the sets of two numbers and what is gathered about them; returns the root of both.
template <class State>
std::int32_t unite_open(growing_sets& sets, open_sets<State>& open, std::int32_t a,
                        std::int32_t b) {
  a = sets.root(a);
  b = sets.root(b);
  if (a == b) return a;
  open.join(std::min(a, b), std::max(a, b));
  return sets.unite(a, b);
}

/// The pixels of an open component, in no order.
struct component_runs {
  std::vector<region_run> runs{};

  void join(component_runs&& other) {
    if (runs.size() < other.runs.size()) runs.swap(other.runs);
    runs.insert(runs.end(), other.runs.begin(), other.runs.end());
  }
  void sort() {
    std::sort(runs.begin(), runs.end(), [](region_run const& a, region_run const& b) {
      return a.row != b.row ? a.row < b.row : a.begin < b.begin;
    });
  }
};

/// Counts the runs of components that have not ended, which are what grows with the size of cells.
class run_budget {
 public:
  explicit run_budget(std::size_t limit) : limit_{limit} {}
  void take(std::size_t runs, std::int32_t row) {
    held_ += runs;
    SEPTUM_EXPECTS(held_ <= limit_,
                   unsupported_error("septum.components.2",
                                     "expected cells of at most " + to_text(limit_) +
                                         " rows together at any row, found more at row " +
                                         to_text(row) + ": the cells are connected to each other",
                                     fault::resource));
  }
  void give(std::size_t runs) { held_ -= runs; }

 private:
  std::size_t limit_;
  std::size_t held_ = 0;
};

/// Runs of the rows of a mask, the last two of them.
class run_rows {
 public:
  explicit run_rows(mask_rows const& source)
      : source_{&source}, words_(static_cast<std::size_t>(words_of(source.columns))) {}

  /// Reads the next row.
  void advance() {
    above_.swap(here_);
    here_.clear();
    source_->read(row_ + 1, words_);
    ++row_;
    append_runs_of_bits(words_, source_->columns, here_);
  }
  [[nodiscard]] std::int32_t row() const { return row_; }
  [[nodiscard]] std::span<row_run const> above() const { return above_; }
  [[nodiscard]] std::span<row_run> here() { return here_; }

 private:
  mask_rows const* source_;
  std::vector<std::uint64_t> words_;
  std::vector<row_run> above_;
  std::vector<row_run> here_;
  std::int32_t row_ = -1;
};

}  // namespace septum::inline SEPTUM_ABI::detail
