#pragma once
#include <septum/core/half.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

/// Largest difference allowed between a backend and the oracle in double, relative to the largest
/// magnitude of the compared array.
/// float: sums of up to a few thousand products in another order, some of them fused
/// multiply-adds: 24 bits less about 5 bits of rounding walk. double: the same with 53 bits.
template <class B, class T>
inline constexpr double tolerance_of = std::is_same_v<T, float> ? 2e-6 : 5e-15;

/// The same on a device, whose numbers of 16 bits round every stored value: half a unit of 8
/// (bfloat16) or 11 bits (float16), and dx and dparameters are sums of such.
template <class B, class T>
inline constexpr double device_tolerance_of = std::is_same_v<T, float> ? tolerance_of<B, float>
                                              : std::is_same_v<T, septum::bfloat16> ? 1.5e-2
                                                                                    : 2e-3;

/// Largest absolute difference over the largest magnitude; infinite for different sizes or a value
/// that is not finite.
template <class A, class B>
double relative_difference(std::vector<A> const& found, std::vector<B> const& expected) {
  double const infinite = std::numeric_limits<double>::infinity();
  if (found.size() != expected.size()) return infinite;
  double largest = 0.0;
  double scale = 0.0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    double const difference =
        std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
    if (!std::isfinite(difference)) return infinite;
    largest = std::max(largest, difference);
    scale = std::max(scale, std::abs(static_cast<double>(expected[i])));
  }
  return scale > 0.0 ? largest / scale : largest;
}
