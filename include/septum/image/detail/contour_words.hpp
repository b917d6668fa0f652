#pragma once
#include <septum/core/config.hpp>

#include <cstddef>
#include <cstdint>

/// Steps of morphological contours on words of 64 pixels, for host and device alike. A word is
/// given by pointers to it in its row and in the rows above and below; the words beside it exist.
namespace septum::inline SEPTUM_ABI::detail {

/// The left and the right neighbours of the pixels of a word.
[[nodiscard]] SEPTUM_HD constexpr std::uint64_t left_neighbours(std::uint64_t const* word) {
  return (word[0] << 1U) | (word[-1] >> 63U);
}
[[nodiscard]] SEPTUM_HD constexpr std::uint64_t right_neighbours(std::uint64_t const* word) {
  return (word[0] >> 1U) | (word[1] << 63U);
}

/// The neighbours of the pixels of a word; at the image's border the pixel itself stands in.
struct contour_neighbours {
  std::uint64_t left;
  std::uint64_t right;
  std::uint64_t above;
  std::uint64_t below;
  std::uint64_t band;  ///< pixels whose left and right, or upper and lower, neighbours differ
};
/// @param above, below  `here` itself in the first and the last row
/// @param is_first      whether the word is the first of its row
/// @param valid         pixels of the word that belong to the image, the last of them in the last
///                      column when `is_last`
[[nodiscard]] SEPTUM_HD constexpr contour_neighbours neighbours_of(std::uint64_t const* above,
                                                                   std::uint64_t const* here,
                                                                   std::uint64_t const* below,
                                                                   bool is_first, bool is_last,
                                                                   std::uint64_t valid) {
  contour_neighbours all{left_neighbours(here), right_neighbours(here), above[0], below[0], 0};
  if (is_first) all.left = (all.left & ~std::uint64_t{1}) | (here[0] & 1U);
  if (is_last) {
    std::uint64_t const last = valid ^ (valid >> 1U);
    all.right = (all.right & ~last) | (here[0] & last);
  }
  all.band = ((all.left ^ all.right) | (all.above ^ all.below)) & valid;
  return all;
}

/// The four lines of three pixels through each pixel: both diagonals, vertical, horizontal.
/// SI: a pixel stays where all of at least one line is set ("sup inf").
[[nodiscard]] SEPTUM_HD constexpr std::uint64_t kept_on_a_full_line(std::uint64_t const* above,
                                                                    std::uint64_t const* here,
                                                                    std::uint64_t const* below) {
  return here[0] & ((left_neighbours(above) & right_neighbours(below)) | (above[0] & below[0]) |
                    (right_neighbours(above) & left_neighbours(below)) |
                    (left_neighbours(here) & right_neighbours(here)));
}
/// IS: a pixel is set where at least one pixel of every line is set ("inf sup").
[[nodiscard]] SEPTUM_HD constexpr std::uint64_t met_by_every_line(std::uint64_t const* above,
                                                                  std::uint64_t const* here,
                                                                  std::uint64_t const* below) {
  return here[0] | ((left_neighbours(above) | right_neighbours(below)) & (above[0] | below[0]) &
                    (right_neighbours(above) | left_neighbours(below)) &
                    (left_neighbours(here) | right_neighbours(here)));
}

/// Place of the lowest set bit, of which there is one.
[[nodiscard]] SEPTUM_HD inline int lowest_bit(std::uint64_t bits) {
#if defined(__CUDA_ARCH__)
  return __ffsll(static_cast<long long>(bits)) - 1;
#else
  return __builtin_ctzll(bits);
#endif
}
/// Calls visit(bit) for every set bit, lowest first.
template <class Visit>
SEPTUM_HD void for_each_bit(std::uint64_t bits, Visit const& visit) {
  for (; bits != 0; bits &= bits - 1) visit(lowest_bit(bits));
}

/// Products and differences that no compiler may fuse, so that host and device round alike.
[[nodiscard]] SEPTUM_HD inline double rounded_product(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}
[[nodiscard]] SEPTUM_HD inline double rounded_difference(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dsub_rn(a, b);
#else
  return a - b;
#endif
}

/// Chan and Vese's force on a pixel: below 0 it belongs inside, above 0 outside.
[[nodiscard]] SEPTUM_HD inline double chan_vese_force(double value, double mean_inside,
                                                      double mean_outside, double lambda_inside,
                                                      double lambda_outside) {
  double const inside = rounded_difference(value, mean_inside);
  double const outside = rounded_difference(value, mean_outside);
  return rounded_difference(rounded_product(lambda_inside, rounded_product(inside, inside)),
                            rounded_product(lambda_outside, rounded_product(outside, outside)));
}

}  // namespace septum::inline SEPTUM_ABI::detail
