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
SEPTUM_HD void for_each_set_bit(std::uint64_t bits, Visit const& visit) {
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
