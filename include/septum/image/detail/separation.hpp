#pragma once
#include <septum/core/config.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/detail/bit_image.hpp>
#include <septum/image/detail/row_runs.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// A step from one pixel to another.
struct pixel_offset {
  std::int32_t row = 0;
  std::int32_t column = 0;
};

/// Steps of up to sqrt(10) pixels: shortest first, then smaller column, then smaller row.
inline constexpr std::array<pixel_offset, 36> offsets_up_to_root_10 = [] {
  std::array<pixel_offset, 36> list{};
  std::size_t count = 0;
  for (std::int32_t const squared : {1, 2, 4, 5, 8, 9, 10})
    for (std::int32_t column = -3; column <= 3; ++column)
      for (std::int32_t row = -3; row <= 3; ++row)
        if (row * row + column * column == squared) list[count++] = {row, column};
  return list;
}();

/// Keeps the 4-connected components of a contour apart: pixels with a 4-neighbour that is nearer to
/// another component are cleared. One iteration moves a contour by less than the distance below, so
/// nearest components are looked for only that far, and only where two components are close.
class component_separation {
 public:
  component_separation() = default;
  component_separation(std::ptrdiff_t rows, std::ptrdiff_t columns)
      : close_{rows, columns},
        marks_{rows, columns},
        component_(static_cast<std::size_t>(rows * columns), 0),
        columns_{columns} {}

  /// Finds the components of the contour, and where two of them come close.
  void prepare(bit_image const& contour, exec::threads threads) {
    contour_ = &contour;
    table_ = find_runs(
        contour.rows(),
        [&](std::ptrdiff_t row, std::vector<row_run>& runs) {
          append_runs_of_bits({contour.row(row), static_cast<std::size_t>(contour.words())},
                              static_cast<std::int32_t>(contour.columns()), runs);
        },
        threads);
    numbers_ = connect_runs(table_, 0, threads).numbers().first;
    mark_close_runs(threads);
    for_each_range(threads, contour.rows(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t r = begin; r < end; ++r) {
        widen_marks(r);
        if (!row_is_close(r)) continue;
        for (std::size_t run = table_.first[static_cast<std::size_t>(r)];
             run < table_.first[static_cast<std::size_t>(r) + 1]; ++run)
          std::fill(component_.data() + r * columns_ + table_.runs[run].begin,
                    component_.data() + r * columns_ + table_.runs[run].end, numbers_[run]);
      }
    });
  }

  /// Clears the pixels between components. `contour` may reach beyond the one that was prepared by
  /// up to sqrt(5) pixels.
  void apply(bit_image& contour, exec::threads threads) const {
    for_each_range(threads, contour.rows(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t r = begin; r < end; ++r)
        for (std::ptrdiff_t k = 0; k < contour.words(); ++k) {
          std::uint64_t cleared = 0;
          for_each_bit(contour.row(r)[k] & close_.row(r)[k], [&](int bit) {
            if (meets_another(r, 64 * k + bit))
              cleared |= std::uint64_t{1} << static_cast<unsigned>(bit);
          });
          contour.row(r)[k] &= ~cleared;
        }
    });
  }

 private:
  /// A pixel of the new contour is at most sqrt(5) from the old one, its neighbours sqrt(10); so
  /// two components matter to each other up to 2 + 1 + 3 rows or columns apart.
  static constexpr std::int32_t reach = 6;

  /// Marks the columns between runs of different components that are within reach of each other, in
  /// the rows of both.
  void mark_close_runs(exec::threads threads) {
    std::ptrdiff_t const rows = table_.rows();
    marks_.clear();
    for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t r = begin; r < end; ++r)
        for (std::ptrdiff_t other = std::max<std::ptrdiff_t>(r - reach, 0);
             other <= std::min(r + reach, rows - 1); ++other)
          mark_row(r, other);
    });
  }
  void mark_row(std::ptrdiff_t r, std::ptrdiff_t other) {
    auto const here = table_.row(r);
    auto const there = table_.row(other);
    std::size_t const here_first = table_.first[static_cast<std::size_t>(r)];
    std::size_t const there_first = table_.first[static_cast<std::size_t>(other)];
    std::size_t start = 0;
    for (std::size_t i = 0; i < here.size(); ++i) {
      while (start < there.size() && there[start].end + reach <= here[i].begin) ++start;
      for (std::size_t j = start; j < there.size() && there[j].begin < here[i].end + reach; ++j) {
        if (numbers_[here_first + i] == numbers_[there_first + j]) continue;
        auto const [low, high] = std::minmax(
            {std::max(here[i].begin, there[j].begin), std::min(here[i].end, there[j].end)});
        marks_.set_range(r, std::max<std::ptrdiff_t>(low - 4, 0),
                         std::min<std::ptrdiff_t>(high + 4, columns_));
      }
    }
  }
  void widen_marks(std::ptrdiff_t r) {
    for (std::ptrdiff_t k = 0; k < marks_.words(); ++k) {
      std::uint64_t word = 0;
      for (std::ptrdiff_t row = std::max<std::ptrdiff_t>(r - 3, 0);
           row <= std::min(r + 3, marks_.rows() - 1); ++row)
        word |= marks_.row(row)[k];
      close_.row(r)[k] = word;
    }
  }
  /// Whether components of the row are asked for: a pixel within 3 rows of a mark asks for what is
  /// nearest to its neighbours, up to 4 rows from itself.
  [[nodiscard]] bool row_is_close(std::ptrdiff_t r) const {
    std::uint64_t any = 0;
    for (std::ptrdiff_t row = std::max<std::ptrdiff_t>(r - 7, 0);
         row <= std::min(r + 7, marks_.rows() - 1); ++row)
      for (std::ptrdiff_t k = 0; k < marks_.words(); ++k) any |= marks_.row(row)[k];
    return any != 0;
  }

  [[nodiscard]] bool meets_another(std::ptrdiff_t r, std::ptrdiff_t c) const {
    std::int32_t const own = nearest(r, c);
    return (r > 0 && nearest(r - 1, c) != own) ||
           (r + 1 < contour_->rows() && nearest(r + 1, c) != own) ||
           (c > 0 && nearest(r, c - 1) != own) || (c + 1 < columns_ && nearest(r, c + 1) != own);
  }
  /// Component of the nearest pixel of the prepared contour.
  [[nodiscard]] std::int32_t nearest(std::ptrdiff_t r, std::ptrdiff_t c) const {
    if ((*contour_)(r, c)) return component_[static_cast<std::size_t>(r * columns_ + c)];
    for (pixel_offset const step : offsets_up_to_root_10) {
      std::ptrdiff_t const row = r + step.row;
      std::ptrdiff_t const column = c + step.column;
      if (row < 0 || column < 0 || row >= contour_->rows() || column >= columns_) continue;
      if ((*contour_)(row, column))
        return component_[static_cast<std::size_t>(row * columns_ + column)];
    }
    return 0;
  }

  bit_image close_;
  bit_image marks_;
  std::vector<std::int32_t> component_;
  std::ptrdiff_t columns_ = 0;
  bit_image const* contour_ = nullptr;
  run_table table_;
  std::vector<std::int32_t> numbers_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
