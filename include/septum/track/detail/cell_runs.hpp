#pragma once
#include <septum/core/config.hpp>
#include <septum/core/view.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Consecutive pixels [begin, end) of one row that belong to one cell.
struct cell_run {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  std::int32_t value = 0;
};

/// The pixels of all cells of a frame, row by row.
class cell_runs {
 public:
  cell_runs() = default;
  /// Runs of equal labels other than 0.
  explicit cell_runs(view<std::int32_t const, 2> cells) {
    std::ptrdiff_t const columns = cells.extent(1);
    first_.push_back(0);
    for (std::ptrdiff_t row = 0; row < cells.extent(0); ++row) {
      std::int32_t const* const values = cells.data() + row * cells.stride(0);
      for (std::ptrdiff_t c = 0; c < columns;) {
        std::int32_t const value = values[c];
        std::ptrdiff_t const begin = c;
        do ++c;
        while (c < columns && values[c] == value);
        if (value != 0)
          runs_.push_back({static_cast<std::int32_t>(begin), static_cast<std::int32_t>(c), value});
      }
      first_.push_back(runs_.size());
    }
  }

  [[nodiscard]] bool empty() const { return runs_.empty(); }
  [[nodiscard]] std::ptrdiff_t rows() const {
    return first_.empty() ? 0 : static_cast<std::ptrdiff_t>(first_.size()) - 1;
  }
  [[nodiscard]] std::span<cell_run const> row(std::ptrdiff_t r) const {
    auto const at = static_cast<std::size_t>(r);
    return {runs_.data() + first_[at], first_[at + 1] - first_[at]};
  }
  [[nodiscard]] std::span<cell_run> row(std::ptrdiff_t r) {
    auto const at = static_cast<std::size_t>(r);
    return {runs_.data() + first_[at], first_[at + 1] - first_[at]};
  }
  [[nodiscard]] std::span<cell_run const> all() const { return runs_; }

 private:
  std::vector<cell_run> runs_;
  std::vector<std::size_t> first_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
