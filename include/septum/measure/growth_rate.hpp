#pragma once
#include <septum/core/config.hpp>
#include <septum/measure/student_t.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// An exponential rate with its uncertainty, per hour. NaN where the points do not tell.
struct growth_rate {
  double per_h = std::numeric_limits<double>::quiet_NaN();
  /// standard error: the larger of the scatter about the line and what the ensemble says
  double error_per_h = std::numeric_limits<double>::quiet_NaN();
  double low_per_h = std::numeric_limits<double>::quiet_NaN();  ///< confidence interval
  double high_per_h = std::numeric_limits<double>::quiet_NaN();
  /// standard deviation of ln(size) about the line
  double scatter = std::numeric_limits<double>::quiet_NaN();
  std::size_t points = 0;

  /// ln 2 / rate; NaN unless the cell grows.
  [[nodiscard]] double doubling_time_min() const {
    return per_h > 0 ? 60 * 0.69314718055994530942 / per_h
                     : std::numeric_limits<double>::quiet_NaN();
  }
  [[nodiscard]] bool known() const { return std::isfinite(per_h); }
};

/// One size at one time.
struct size_at_time {
  double hours = 0;
  double size = 0;
  double size_sd = 0;  ///< between the nets of an ensemble; 0 when unknown
};

/// Least-squares line through ln(size) over time: the exponential growth rate. Sizes that are not
/// above 0 are left out. The interval is Student's t with points - 2 degrees of freedom, so it
/// needs three points; the rate needs two different times. When sizes carry a standard deviation,
/// the error that it implies for the slope counts where it is larger than the scatter's.
/// @param confidence  share of intervals that hold the true rate, 0 to 1, exclusive
[[nodiscard]] inline growth_rate fit_growth_rate(std::span<size_at_time const> sizes,
                                                 double confidence = 0.95) {
  growth_rate result;
  double n = 0;
  double mean_t = 0;
  double mean_y = 0;
  for (size_at_time const& point : sizes) {
    if (!(point.size > 0)) continue;
    ++n;
    mean_t += point.hours;
    mean_y += std::log(point.size);
  }
  result.points = static_cast<std::size_t>(n);
  if (n < 2) return result;
  mean_t /= n;
  mean_y /= n;
  double tt = 0;
  double ty = 0;
  double spread = 0;  // sum of the squared errors that the ensemble implies
  for (size_at_time const& point : sizes) {
    if (!(point.size > 0)) continue;
    double const t = point.hours - mean_t;
    tt += t * t;
    ty += t * (std::log(point.size) - mean_y);
    double const relative = point.size_sd / point.size;
    spread += t * t * relative * relative;
  }
  if (!(tt > 0)) return result;
  result.per_h = ty / tt;
  double const ensemble_error = std::sqrt(spread) / tt;
  if (n < 3) {
    if (ensemble_error > 0) result.error_per_h = ensemble_error;
    return result;
  }
  double residual = 0;
  for (size_at_time const& point : sizes) {
    if (!(point.size > 0)) continue;
    double const off = std::log(point.size) - mean_y - result.per_h * (point.hours - mean_t);
    residual += off * off;
  }
  double const freedom = n - 2;
  result.scatter = std::sqrt(residual / freedom);
  result.error_per_h = std::max(result.scatter / std::sqrt(tt), ensemble_error);
  double const half = student_t_factor(confidence, freedom) * result.error_per_h;
  result.low_per_h = result.per_h - half;
  result.high_per_h = result.per_h + half;
  return result;
}

namespace detail {

/// What errors of the lag-1 autocorrelation `rho` do to a straight line through points at `t`
/// (centred, in units of the frame interval).
struct autocorrelated_line {
  double residual_squares = 0;   ///< expected sum of squared residuals per unit variance
  double residual_products = 0;  ///< expected sum of products of neighbouring residuals
  double slope_variance = 0;     ///< of the slope, times the sum of squares of t
};

/// The same by the traces of the residual maker M = 1 - 1/n - t t'/tt and the correlations R.
[[nodiscard]] inline autocorrelated_line expect_line(std::span<double const> t, double rho) {
  std::size_t const n = t.size();
  double tt = 0;
  for (double const value : t) tt += value * value;
  auto const correlation = [&](std::size_t i, std::size_t j) {
    return i == j ? 1.0 : std::pow(rho, std::abs(t[i] - t[j]));
  };
  // R, then M R, then M R M: rows and columns lose their mean and their slope.
  std::vector<double> matrix(n * n);
  autocorrelated_line result;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      matrix[i * n + j] = correlation(i, j);
      result.slope_variance += t[i] * t[j] * matrix[i * n + j] / tt;
    }
  auto const reduce = [&](std::size_t first, std::size_t step) {
    double mean = 0;
    double slope = 0;
    for (std::size_t k = 0; k < n; ++k) {
      mean += matrix[first + k * step] / static_cast<double>(n);
      slope += matrix[first + k * step] * t[k] / tt;
    }
    for (std::size_t k = 0; k < n; ++k) matrix[first + k * step] -= mean + slope * t[k];
  };
  for (std::size_t j = 0; j < n; ++j) reduce(j, n);
  for (std::size_t i = 0; i < n; ++i) reduce(i * n, 1);
  for (std::size_t i = 0; i < n; ++i) {
    result.residual_squares += matrix[i * n + i];
    if (i + 1 < n) result.residual_products += matrix[i * n + i + 1];
  }
  return result;
}

/// Times, centred and in frame intervals, and residuals about the line of one cell.
struct line_residuals {
  std::vector<double> t;
  std::vector<double> off;
};

[[nodiscard]] inline line_residuals residuals_of(std::span<size_at_time const> sizes,
                                                 double interval_h) {
  line_residuals result;
  double mean_t = 0;
  double mean_y = 0;
  for (size_at_time const& point : sizes) {
    if (!(point.size > 0)) continue;
    result.t.push_back(point.hours / interval_h);
    result.off.push_back(std::log(point.size));
    mean_t += result.t.back();
    mean_y += result.off.back();
  }
  auto const n = static_cast<double>(result.t.size());
  double tt = 0;
  double ty = 0;
  for (std::size_t i = 0; i < result.t.size(); ++i) {
    result.t[i] -= mean_t / n;
    result.off[i] -= mean_y / n;
    tt += result.t[i] * result.t[i];
    ty += result.t[i] * result.off[i];
  }
  for (std::size_t i = 0; i < result.t.size() && tt > 0; ++i)
    result.off[i] -= ty / tt * result.t[i];
  return result;
}

}  // namespace detail

/// Growth rates of many cells that were imaged and segmented alike.
struct growth_fits {
  std::vector<growth_rate> rates;
  /// of the errors of ln(size) from frame to frame, pooled over the cells; 0 to 0.95
  double autocorrelation = 0;
};

/// Growth rates of many cells. As fit_growth_rate, but the errors of a cell need not be independent
/// from frame to frame (a cell that lies still is cut into pixels in nearly the same way each
/// time): their autocorrelation is pooled over all cells, corrected for what fitting the lines
/// takes away, and widens every interval by what it does to the variance of a slope.
/// @param interval_h  between frames, in hours; above 0
[[nodiscard]] inline growth_fits fit_growth_rates(std::span<std::vector<size_at_time> const> cells,
                                                  double interval_h, double confidence = 0.95) {
  growth_fits result;
  std::vector<detail::line_residuals> residuals;
  for (auto const& sizes : cells) {
    result.rates.push_back(fit_growth_rate(sizes, confidence));
    residuals.push_back(detail::residuals_of(sizes, interval_h));
  }
  // The pooled share of neighbouring products falls with more noise alike in both terms, so each
  // cell counts by its number of degrees of freedom.
  double seen = 0;
  std::vector<std::size_t> used;
  constexpr std::size_t fewest_points = 4;
  constexpr std::size_t most_cells = 400;
  std::size_t const stride = std::max<std::size_t>(1, cells.size() / most_cells);
  for (std::size_t k = 0; k < cells.size(); k += stride) {
    auto const& off = residuals[k].off;
    if (off.size() < fewest_points || !(result.rates[k].scatter > 0)) continue;
    double squares = 0;
    double products = 0;
    for (std::size_t i = 0; i < off.size(); ++i) {
      squares += off[i] * off[i];
      if (i + 1 < off.size()) products += off[i] * off[i + 1];
    }
    seen += products / squares * static_cast<double>(off.size() - 2);
    used.push_back(k);
  }
  if (used.size() < 5) return result;
  double low = 0;
  double high = 0.95;
  for (int step = 0; step < 12; ++step) {
    double const rho = (low + high) / 2;
    double expected = 0;
    for (std::size_t const k : used) {
      auto const line = detail::expect_line(residuals[k].t, rho);
      expected += line.residual_products / line.residual_squares *
                  static_cast<double>(residuals[k].t.size() - 2);
    }
    (expected < seen ? low : high) = rho;
  }
  result.autocorrelation = (low + high) / 2;
  if (result.autocorrelation < 0.01) return result;
  for (std::size_t k = 0; k < cells.size(); ++k) {
    growth_rate& rate = result.rates[k];
    if (rate.points < 3 || !std::isfinite(rate.error_per_h)) continue;
    auto const line = detail::expect_line(residuals[k].t, result.autocorrelation);
    double const freedom = static_cast<double>(rate.points) - 2;
    double const factor = std::sqrt(line.slope_variance * freedom / line.residual_squares);
    double const half = (rate.high_per_h - rate.per_h) * std::max(factor, 1.0);
    rate.error_per_h *= std::max(factor, 1.0);
    rate.low_per_h = rate.per_h - half;
    rate.high_per_h = rate.per_h + half;
  }
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
