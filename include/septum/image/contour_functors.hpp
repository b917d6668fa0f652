#pragma once
#include <septum/core/view.hpp>
#include <septum/exec/atomic.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/exec/kernel_name.hpp>
#include <septum/image/detail/contour_words.hpp>
#include <septum/image/region_functors.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>

/// Morphological Chan-Vese contours as index kernels, on the same bits as those of the host
/// (image/evolve.hpp) and with its results to the byte. Contours are views of words, 64 pixels to a
/// word, with a row and a word of zeros around them; word (row, column) of the image is
/// (row + 1, column + 1) of the view. Kernels that gather say so; they do by sums and minima of
/// integers only.
namespace septum::inline SEPTUM_ABI {

template <class Space>
using contour_bits = view<std::uint64_t, 2, Space>;
template <class Space>
using const_contour_bits = view<std::uint64_t const, 2, Space>;

/// Whether a pixel of the image lies inside.
template <class Space>
[[nodiscard]] SEPTUM_HD bool is_inside(const_contour_bits<Space> const& contour, int row,
                                       int column) {
  return ((contour(row + 1, column / 64 + 1) >> static_cast<unsigned>(column % 64)) & 1U) != 0;
}

/// Where the sums of a contour lie.
namespace contour_sum {
inline constexpr int all = 0;     ///< intensity of the image
inline constexpr int inside = 1;  ///< intensity inside
inline constexpr int pixels = 2;  ///< pixels inside
inline constexpr int count = 3;
}  // namespace contour_sum

/// Words from a mask. Index space: (rows, words).
template <class Space = device_space>
struct pack_contour {
  view<std::uint8_t const, 2, Space> mask;
  contour_bits<Space> contour;
  SEPTUM_HD void operator()(int row, int word) const {
    auto const columns = static_cast<int>(mask.extent(1));
    std::uint64_t bits = 0;
    for (int bit = 0; bit < 64 && 64 * word + bit < columns; ++bit)
      bits |= static_cast<std::uint64_t>(mask(row, 64 * word + bit) != 0)
              << static_cast<unsigned>(bit);
    contour(row + 1, word + 1) = bits;
  }
};

/// The reverse: 1 inside, 0 outside. Index space: the image.
template <class Space = device_space>
struct unpack_contour {
  const_contour_bits<Space> contour;
  view<std::uint8_t, 2, Space> mask;
  SEPTUM_HD void operator()(int row, int column) const {
    mask(row, column) = is_inside<Space>(contour, row, column) ? 1 : 0;
  }
};

/// Rows that one thread of the two kernels below adds up.
inline constexpr int intensity_rows = 64;
[[nodiscard]] constexpr extent2 intensity_extent(std::ptrdiff_t rows, std::ptrdiff_t columns) {
  return {static_cast<int>((rows + intensity_rows - 1) / intensity_rows),
          static_cast<int>(columns)};
}

/// least = minimum of -|intensity| as the bits of a float, which are ordered as integers. Gathers.
/// Index space: intensity_extent.
template <class Space = device_space>
struct largest_intensity {
  view<float const, 2, Space> pixels;
  view<std::int32_t, 1, Space> least;
  SEPTUM_HD void operator()(int block, int column) const {
    float largest = 0.0F;
    for (int r = block * intensity_rows; r < (block + 1) * intensity_rows && r < pixels.extent(0);
         ++r) {
      float const value = std::fabs(pixels(r, column));
      largest = value > largest ? value : largest;
    }
    atomic_minimum(&least(0),
                   -static_cast<std::int32_t>(__builtin_bit_cast(std::uint32_t, largest)));
  }
};

/// Adds the intensities of the image, and of the inside, in units of 1 / scale. Gathers. Index
/// space: intensity_extent.
template <class Space = device_space>
struct sum_intensity {
  view<float const, 2, Space> pixels;
  const_contour_bits<Space> contour;
  view<std::int64_t, 1, Space> sums;
  double scale;
  SEPTUM_HD void operator()(int block, int column) const {
    std::int64_t all = 0;
    std::int64_t inside = 0;
    std::int64_t count = 0;
    for (int r = block * intensity_rows; r < (block + 1) * intensity_rows && r < pixels.extent(0);
         ++r) {
      std::int64_t const value = std::llrint(static_cast<double>(pixels(r, column)) * scale);
      all += value;
      if (!is_inside<Space>(contour, r, column)) continue;
      inside += value;
      ++count;
    }
    atomic_sum(&sums(contour_sum::all), all);
    atomic_sum(&sums(contour_sum::inside), inside);
    atomic_sum(&sums(contour_sum::pixels), count);
  }
};

/// means = (inside, outside), with 1e-8 beside the counts as in image/evolve.hpp. Index space: (1,
/// 1).
template <class Space = device_space>
struct contour_means {
  view<std::int64_t const, 1, Space> sums;
  view<double, 1, Space> means;
  double pixels;  ///< of the image
  double unit;    ///< 1 / scale
  SEPTUM_HD void operator()(int, int) const {
    auto const count = static_cast<double>(sums(contour_sum::pixels));
    auto const inside = sums(contour_sum::inside);
    means(0) = static_cast<double>(inside) * unit / (count + 1e-8);
    means(1) = static_cast<double>(sums(contour_sum::all) - inside) * unit /
               (detail::rounded_difference(pixels, count) + 1e-8);
  }
};

/// One step of the data term: pixels at the contour go to the side whose mean they are nearer to.
/// Index space: (rows, words).
template <class Space = device_space>
struct vote_contour {
  view<float const, 2, Space> pixels;
  view<double const, 1, Space> means;
  const_contour_bits<Space> from;
  contour_bits<Space> to;
  double lambda_inside;
  double lambda_outside;
  SEPTUM_HD void operator()(int row, int word) const {
    std::ptrdiff_t const stride = from.stride(0);
    std::uint64_t const* const here = &from(row + 1, word + 1);
    auto const rows = static_cast<int>(pixels.extent(0));
    auto const columns = static_cast<int>(pixels.extent(1));
    int const beyond = 64 * (word + 1) - columns;
    std::uint64_t const valid = ~std::uint64_t{0} >> static_cast<unsigned>(beyond > 0 ? beyond : 0);
    std::uint64_t const band =
        detail::neighbours_of(row > 0 ? here - stride : here, here,
                              row + 1 < rows ? here + stride : here, word == 0, beyond >= 0, valid)
            .band;
    std::uint64_t next = here[0];
    if (band != 0) {
      double const mean_inside = means(0);
      double const mean_outside = means(1);
      detail::for_each_bit(band, [&](int bit) {
        double const force =
            detail::chan_vese_force(static_cast<double>(pixels(row, 64 * word + bit)), mean_inside,
                                    mean_outside, lambda_inside, lambda_outside);
        std::uint64_t const at = std::uint64_t{1} << static_cast<unsigned>(bit);
        if (force < 0) next |= at;
        if (force > 0) next &= ~at;
      });
    }
    to(row + 1, word + 1) = next;
  }
};

/// Half a step of curvature smoothing: IS or SI. Index space: (rows, words).
template <class Space = device_space>
struct smooth_contour {
  const_contour_bits<Space> from;
  contour_bits<Space> to;
  std::ptrdiff_t columns;
  bool fill;  ///< IS; else SI
  SEPTUM_HD void operator()(int row, int word) const {
    std::ptrdiff_t const stride = from.stride(0);
    std::uint64_t const* const here = &from(row + 1, word + 1);
    std::uint64_t next = fill ? detail::met_by_every_line(here - stride, here, here + stride)
                              : detail::kept_on_a_full_line(here - stride, here, here + stride);
    std::ptrdiff_t const beyond = 64 * (word + 1) - columns;
    if (beyond > 0) next &= ~std::uint64_t{0} >> static_cast<unsigned>(beyond);
    to(row + 1, word + 1) = next;
  }
};

/// What the first contour held stays inside. Updates each word from itself. Index space: (rows,
/// words).
template <class Space = device_space>
struct keep_contour {
  const_contour_bits<Space> start;
  contour_bits<Space> contour;
  SEPTUM_HD void operator()(int row, int word) const {
    contour(row + 1, word + 1) |= start(row + 1, word + 1);
  }
};

/// Follows a contour in the sums. Gathers. Index space: (rows, words).
template <class Space = device_space>
struct follow_contour {
  view<float const, 2, Space> pixels;
  const_contour_bits<Space> before;
  const_contour_bits<Space> after;
  view<std::int64_t, 1, Space> sums;
  double scale;
  SEPTUM_HD void operator()(int row, int word) const {
    std::uint64_t const now = after(row + 1, word + 1);
    std::uint64_t const changed = now ^ before(row + 1, word + 1);
    if (changed == 0) return;
    std::int64_t inside = 0;
    std::int64_t count = 0;
    detail::for_each_bit(changed, [&](int bit) {
      std::int64_t const sign = ((now >> static_cast<unsigned>(bit)) & 1U) != 0 ? 1 : -1;
      inside += sign * std::llrint(static_cast<double>(pixels(row, 64 * word + bit)) * scale);
      count += sign;
    });
    atomic_sum(&sums(contour_sum::inside), inside);
    atomic_sum(&sums(contour_sum::pixels), count);
  }
};

/// plant_components (image/region_functors.hpp) for a contour. Index space: the image.
template <class Space = device_space>
struct plant_contour {
  const_contour_bits<Space> contour;
  view<std::int32_t, 2, Space> parent;
  SEPTUM_HD void operator()(int row, int column) const {
    parent(row, column) = is_inside<Space>(contour, row, column)
                              ? static_cast<std::int32_t>(row * parent.extent(1) + column)
                              : -1;
  }
};

/// Clears the pixels of a contour that have a 4-neighbour nearer to another component of the
/// contour before it, as separate_components does (image/evolve.hpp). Updates each word from
/// itself. Index space: (rows, words).
template <class Space = device_space>
struct part_contour {
  view<std::int32_t const, 2, Space> parent;  ///< of the contour before, joined
  const_contour_bits<Space> before;
  contour_bits<Space> contour;
  SEPTUM_HD void operator()(int row, int word) const {
    std::uint64_t const now = contour(row + 1, word + 1);
    if (now == 0) return;
    std::ptrdiff_t const stride = before.stride(0);
    std::uint64_t const* const here = &before(row + 1, word + 1);
    // Deep inside, all five pixels belong to one component.
    std::uint64_t const deep = here[0] & here[-stride] & here[stride] &
                               detail::left_neighbours(here) & detail::right_neighbours(here);
    std::uint64_t cleared = 0;
    detail::for_each_bit(now & ~deep, [&](int bit) {
      if (meets_another(row, 64 * word + bit))
        cleared |= std::uint64_t{1} << static_cast<unsigned>(bit);
    });
    if (cleared != 0) contour(row + 1, word + 1) = now & ~cleared;
  }

 private:
  SEPTUM_HD bool meets_another(int row, int column) const {
    auto const rows = static_cast<int>(parent.extent(0));
    auto const columns = static_cast<int>(parent.extent(1));
    std::int32_t const own = nearest(row, column);
    return (row > 0 && nearest(row - 1, column) != own) ||
           (row + 1 < rows && nearest(row + 1, column) != own) ||
           (column > 0 && nearest(row, column - 1) != own) ||
           (column + 1 < columns && nearest(row, column + 1) != own);
  }
  SEPTUM_HD std::int32_t component(int row, int column) const {
    return join_components<Space>::root_of(
        parent.data(), static_cast<std::int32_t>(row * parent.extent(1) + column));
  }
  /// Component of the nearest pixel of the contour before, up to sqrt(10) pixels away; of equally
  /// near ones the smaller column, then the smaller row counts.
  SEPTUM_HD std::int32_t nearest(int row, int column) const {
    if (parent(row, column) >= 0) return component(row, column);
    auto const rows = static_cast<int>(parent.extent(0));
    auto const columns = static_cast<int>(parent.extent(1));
    constexpr int squares[] = {1, 2, 4, 5, 8, 9, 10};
    for (int const squared : squares)
      for (int c = -3; c <= 3; ++c)
        for (int r = -3; r <= 3; ++r) {
          if (r * r + c * c != squared || row + r < 0 || column + c < 0 || row + r >= rows ||
              column + c >= columns || parent(row + r, column + c) < 0)
            continue;
          return component(row + r, column + c);
        }
    return -1;
  }
};

using contour_functors =
    functor_list<pack_contour<>, unpack_contour<>, largest_intensity<>, sum_intensity<>,
                 contour_means<>, vote_contour<>, smooth_contour<>, keep_contour<>,
                 follow_contour<>, plant_contour<>, part_contour<>>;

}  // namespace septum::inline SEPTUM_ABI
