#pragma once
#include <septum/core/view.hpp>
#include <septum/exec/atomic.hpp>
#include <septum/exec/kernel_name.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>

/// Connected components and sums over regions as index kernels. Those that say so change cells
/// other than their own, but only by minima and sums of integers, so that any order gives the same
/// bytes.
namespace septum::inline SEPTUM_ABI {

/// Every pixel of a component is its own tree; background has none. Index space: the image.
template <class Space = device_space>
struct plant_components {
  view<std::uint8_t const, 2, Space> mask;
  view<std::int32_t, 2, Space> parent;
  SEPTUM_HD void operator()(int row, int column) const {
    parent(row, column) =
        mask(row, column) != 0 ? static_cast<std::int32_t>(row * parent.extent(1) + column) : -1;
  }
};

/// Joins the tree of a pixel with those of its neighbours to the left and above; the pixel that
/// comes first stays the root. Changes roots by minima. Index space: the image.
template <class Space = device_space>
struct join_components {
  view<std::int32_t, 2, Space> parent;
  bool diagonals;  ///< 8-connected
  SEPTUM_HD void operator()(int row, int column) const {
    if (parent(row, column) < 0) return;
    join_with(row, column, row, column - 1);
    join_with(row, column, row - 1, column);
    if (!diagonals) return;
    join_with(row, column, row - 1, column - 1);
    join_with(row, column, row - 1, column + 1);
  }

  SEPTUM_HD static std::int32_t root_of(std::int32_t const* parents, std::int32_t pixel) {
    for (std::int32_t up = atomic_read(parents + pixel); up != pixel;
         up = atomic_read(parents + pixel))
      pixel = up;
    return pixel;
  }

 private:
  SEPTUM_HD void join_with(int row, int column, int other_row, int other_column) const {
    if (other_row < 0 || other_column < 0 || other_column >= parent.extent(1) ||
        atomic_read(&parent(other_row, other_column)) < 0)
      return;
    std::int32_t* const parents = parent.data();
    auto const columns = static_cast<std::int32_t>(parent.extent(1));
    std::int32_t one = root_of(parents, row * columns + column);
    std::int32_t other = root_of(parents, other_row * columns + other_column);
    while (one != other) {
      std::int32_t const later = one > other ? one : other;
      std::int32_t const earlier = one > other ? other : one;
      std::int32_t const before = atomic_minimum(parents + later, earlier);
      if (before == later) return;  // it was still a root
      one = root_of(parents, before);
      other = root_of(parents, earlier);
    }
  }
};

/// Roots of each row. Index space: (1, rows).
template <class Space = device_space>
struct count_roots {
  view<std::int32_t const, 2, Space> parent;
  view<std::int32_t, 1, Space> roots;
  SEPTUM_HD void operator()(int, int row) const {
    std::int32_t count = 0;
    for (std::ptrdiff_t column = 0; column < parent.extent(1); ++column)
      count += parent(row, column) == row * parent.extent(1) + column ? 1 : 0;
    roots(row) = count;
  }
};

/// before (row) = roots of the rows above; one more entry holds the sum of all. Index space: (1,
/// 1).
template <class Space = device_space>
struct add_up_roots {
  view<std::int32_t const, 1, Space> roots;
  view<std::int32_t, 1, Space> before;
  SEPTUM_HD void operator()(int, int) const {
    std::int32_t sum = 0;
    for (std::ptrdiff_t row = 0; row < roots.extent(0); ++row) {
      before(row) = sum;
      sum += roots(row);
    }
    before(roots.extent(0)) = sum;
  }
};

/// Numbers the roots of a row in their order, from 1 over the whole image. Index space: (1, rows).
template <class Space = device_space>
struct number_roots {
  view<std::int32_t const, 2, Space> parent;
  view<std::int32_t const, 1, Space> before;
  view<std::int32_t, 2, Space> numbers;
  SEPTUM_HD void operator()(int, int row) const {
    std::int32_t next = before(row) + 1;
    for (std::ptrdiff_t column = 0; column < parent.extent(1); ++column)
      if (parent(row, column) == row * parent.extent(1) + column) numbers(row, column) = next++;
  }
};

/// Label of a pixel = number of its root; 0 outside. Index space: the image.
template <class Space = device_space>
struct label_components {
  view<std::int32_t const, 2, Space> parent;
  view<std::int32_t const, 2, Space> numbers;
  view<std::int32_t, 2, Space> labels;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const columns = static_cast<std::int32_t>(parent.extent(1));
    labels(row, column) =
        parent(row, column) < 0
            ? 0
            : numbers
                  .data()[join_components<Space>::root_of(parent.data(), row * columns + column)];
  }
};

/// Sums of regions: area, rows, columns, and intensity in units of 1 / scale, by label. Adds to the
/// region's cells. Index space: the image.
template <class Space = device_space>
struct sum_regions {
  view<std::int32_t const, 2, Space> labels;
  view<float const, 2, Space> intensity;
  view<std::int64_t, 2, Space> sums;  // label, (area, rows, columns, intensity)
  double scale;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const label = labels(row, column);
    if (label <= 0 || label >= sums.extent(0)) return;
    atomic_sum(&sums(label, 0), 1);
    atomic_sum(&sums(label, 1), row);
    atomic_sum(&sums(label, 2), column);
    atomic_sum(&sums(label, 3), static_cast<std::int64_t>(std::llrint(
                                    static_cast<double>(intensity(row, column)) * scale)));
  }
};

using region_functors =
    functor_list<plant_components<>, join_components<>, count_roots<>, add_up_roots<>,
                 number_roots<>, label_components<>, sum_regions<>>;

}  // namespace septum::inline SEPTUM_ABI
