#pragma once
#include <septum/core/config.hpp>

#include <cmath>
#include <limits>

namespace septum::inline SEPTUM_ABI {

namespace detail {

/// Regularised incomplete beta function I_x(a, b) by its continued fraction (modified Lentz).
[[nodiscard]] inline double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges fast below the mean; above it, the other tail is computed.
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);
  double const front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x)) /
                       a;
  constexpr double tiny = 1e-300;
  double c = 1;
  double d = 0;
  double fraction = 1;
  for (int i = 0; i <= 300; ++i) {
    int const half = i / 2;
    double const m = half;
    double term = 1;
    if (i > 0 && i % 2 == 0)
      term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    else if (i > 0)
      term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 + term * d;
    if (std::abs(d) < tiny) d = tiny;
    d = 1 / d;
    c = 1 + term / c;
    if (std::abs(c) < tiny) c = tiny;
    fraction *= c * d;
    if (std::abs(1 - c * d) < 1e-15) break;
  }
  return front * (fraction - 1);
}

}  // namespace detail

/// Probability that Student's t with `freedom` degrees of freedom is below `t`.
[[nodiscard]] inline double student_t_cdf(double t, double freedom) {
  double const tail = detail::incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2;
  return t > 0 ? 1 - tail : tail;
}

/// Half-width, in standard errors, of the two-sided interval that holds `confidence` (0 to 1,
/// exclusive) of Student's t; infinity without a degree of freedom.
[[nodiscard]] inline double student_t_factor(double confidence, double freedom) {
  if (!(freedom > 0)) return std::numeric_limits<double>::infinity();
  double const wanted = (1 + confidence) / 2;
  double low = 0;
  double high = 1;
  while (student_t_cdf(high, freedom) < wanted && high < 1e12) high *= 2;
  for (int k = 0; k < 80; ++k) {
    double const middle = (low + high) / 2;
    (student_t_cdf(middle, freedom) < wanted ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace septum::inline SEPTUM_ABI
