#pragma once
#include <septum/core/config.hpp>

#include <cstddef>

namespace septum::inline SEPTUM_ABI {

/// One of the eight symmetries of the square (the group D4), as an index map on a rectangle of
/// pixels: first, for elements 4 to 7, a reflection of the columns (left becomes right), then
/// `element % 4` quarter turns counter-clockwise. dihedral{0} is the identity. dihedral{k} for k <
/// 4 equals numpy.rot90(patch, k), dihedral{k} for k >= 4 equals numpy.rot90(numpy.fliplr(patch), k
/// - 4).
struct dihedral {
  int element = 0;  ///< 0 to 7

  static constexpr int order = 8;

  /// Source offset = origin + row * row_step + column * column_step of the pixel that appears at
  /// (row, column) of the transformed patch.
  struct walk {
    std::ptrdiff_t origin = 0;
    std::ptrdiff_t row_step = 0;
    std::ptrdiff_t column_step = 0;
  };

  /// Whether rows become columns.
  [[nodiscard]] constexpr bool swaps_axes() const { return (element & 1) != 0; }

  /// The map for patches of `side` pixels in an array whose rows and pixels are `row_stride` and
  /// `pixel_stride` elements apart.
  [[nodiscard]] constexpr walk over(std::ptrdiff_t side, std::ptrdiff_t row_stride,
                                    std::ptrdiff_t pixel_stride) const {
    return over(side, side, row_stride, pixel_stride);
  }

  /// The same for a source of `rows` x `columns` pixels.
  [[nodiscard]] constexpr walk over(std::ptrdiff_t rows, std::ptrdiff_t columns,
                                    std::ptrdiff_t row_stride, std::ptrdiff_t pixel_stride) const {
    // How the source row and the source column move with the row and the column of the result; an
    // index that moves backward starts at side - 1.
    struct step {
      int row, column;
    };
    constexpr step source_row[4] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
    constexpr step source_column[4] = {{0, 1}, {-1, 0}, {0, -1}, {1, 0}};
    step const of_row = source_row[element & 3];
    step of_column = source_column[element & 3];
    if ((element & 4) != 0) of_column = {-of_column.row, -of_column.column};
    auto const start = [](step s, std::ptrdiff_t extent) {
      return s.row + s.column < 0 ? extent - 1 : 0;
    };
    return {start(of_row, rows) * row_stride + start(of_column, columns) * pixel_stride,
            of_row.row * row_stride + of_column.row * pixel_stride,
            of_row.column * row_stride + of_column.column * pixel_stride};
  }

  /// Same effect as applying `first`, then `second`.
  [[nodiscard]] static constexpr dihedral compose(dihedral first, dihedral second) {
    // A reflection reverses the turns that come before it.
    int const turns_first = first.element & 3;
    int const turns =
        (second.element & 4) != 0 ? second.element - turns_first : second.element + turns_first;
    return {((turns % 4 + 4) & 3) | ((first.element ^ second.element) & 4)};
  }

  [[nodiscard]] constexpr dihedral inverse() const {
    return (element & 4) != 0 ? *this : dihedral{(4 - element) & 3};
  }

  friend constexpr bool operator==(dihedral, dihedral) = default;
};

}  // namespace septum::inline SEPTUM_ABI
