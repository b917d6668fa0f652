#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>

#include <Eigen/Core>
#include <Eigen/LU>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Numbers and how often each occurs, ascending.
struct weighted_values {
  std::vector<double> values;
  std::vector<double> counts;

  [[nodiscard]] double total() const {
    double sum = 0;
    for (double const count : counts) sum += count;
    return sum;
  }
};

/// How often each number occurs. Up to `most_bins` different numbers stay as they are (camera
/// counts of a cell are few); more are put into that many bins of equal width, each at the mean of
/// what it holds.
/// throws     unsupported_error `septum.mixture.1` on a number that is not finite
[[nodiscard]] inline weighted_values count_values(std::span<float const> numbers,
                                                  std::size_t most_bins = 2048) {
  weighted_values result;
  if (numbers.empty()) return result;
  auto const [least, most] = std::minmax_element(numbers.begin(), numbers.end());
  double const low = *least;
  double const span = static_cast<double>(*most) - low;
  bool finite = std::isfinite(span);
  bool whole = finite && span < static_cast<double>(most_bins) && low == std::floor(low);
  for (float const number : numbers) {
    finite = finite && std::isfinite(number);
    whole = whole && number == std::floor(number);
  }
  SEPTUM_EXPECTS(finite, unsupported_error("septum.mixture.1",
                                           "mixture: expected finite numbers, found NaN or "
                                           "infinity among " +
                                               to_text(numbers.size())));
  // Whole numbers in a small range have a bin each; others get one by their place in the range.
  std::size_t const bins = whole ? static_cast<std::size_t>(span) + 1 : most_bins;
  double const per_unit = whole ? 1.0 : span > 0 ? static_cast<double>(bins) / span : 0.0;
  std::vector<double> sums(bins, 0.0);
  std::vector<double> counts(bins, 0.0);
  for (float const number : numbers) {
    auto const bin = std::min(
        static_cast<std::size_t>((static_cast<double>(number) - low) * per_unit), bins - 1);
    sums[bin] += static_cast<double>(number);
    ++counts[bin];
  }
  for (std::size_t k = 0; k < bins; ++k) {
    if (counts[k] == 0) continue;
    result.values.push_back(sums[k] / counts[k]);
    result.counts.push_back(counts[k]);
  }
  return result;
}

/// One bell of a mixture.
struct gaussian_component {
  double weight = 0;  ///< share of the numbers, 0 to 1
  double mean = 0;
  double sd = 0;
  double mean_error = std::numeric_limits<double>::quiet_NaN();  ///< standard error of the mean
};

/// Whether a mixture can be believed.
enum class mixture_fit : std::uint8_t {
  good,
  few_values,     ///< too few numbers to fit two components: both are the whole sample
  one_component,  ///< the components coincide, or one is nearly empty
  not_converged   ///< the last iteration still moved a parameter by more than the tolerance
};

/// A mixture of two normal distributions; `low` has the smaller mean.
struct gaussian_mixture {
  gaussian_component low{};
  gaussian_component high{};
  double log_likelihood = 0;  ///< mean per number
  int iterations = 0;
  mixture_fit fit = mixture_fit::few_values;

  /// Distance of the means in pooled standard deviations (Ashman's D); above 2 the bells separate.
  [[nodiscard]] double separation() const {
    return std::numbers::sqrt2 * (high.mean - low.mean) /
           std::sqrt(high.sd * high.sd + low.sd * low.sd);
  }
};

/// How a mixture is fitted.
struct mixture_options {
  /// an iteration that moves no parameter by more (in standard deviations of the sample) is the
  /// last
  double tolerance = 1e-8;
  int most_iterations = 5000;
  double sd_floor = 1e-3;         ///< smallest standard deviation, as a share of the whole sample's
  double fewest_values = 50;      ///< below: no fit
  double least_weight = 0.02;     ///< of a component that counts as one
  double least_separation = 0.5;  ///< of the means, in pooled standard deviations
};

namespace detail {

using mixture_array = Eigen::ArrayXd;

/// Mean and standard deviation of weighted numbers.
[[nodiscard]] inline std::pair<double, double> moments(mixture_array const& x,
                                                       mixture_array const& count) {
  double const total = count.sum();
  double const mean = (x * count).sum() / total;
  return {mean, std::sqrt(((x - mean).square() * count).sum() / total)};
}

/// The two means of the best cut of sorted numbers that 2-means reaches from the 25th and 75th
/// percentile: how many of the smallest numbers (of the table) belong to the lower one.
[[nodiscard]] inline Eigen::Index cut_by_two_means(mixture_array const& x,
                                                   mixture_array const& count) {
  double const total = count.sum();
  auto const percentile = [&](double share) {
    double sum = 0;
    Eigen::Index k = 0;
    while (k + 1 < x.size() && (sum += count[k]) < share * total) ++k;
    return x[k];
  };
  double low = percentile(0.25);
  double high = percentile(0.75);
  Eigen::Index cut = 0;
  for (int iteration = 0; iteration < 100; ++iteration) {
    double const middle = (low + high) / 2;
    Eigen::Index next = 0;
    while (next < x.size() && x[next] <= middle) ++next;
    next = std::clamp<Eigen::Index>(next, 1, x.size() - 1);
    if (next == cut) break;
    cut = next;
    low = (x.head(cut) * count.head(cut)).sum() / count.head(cut).sum();
    high = (x.tail(x.size() - cut) * count.tail(x.size() - cut)).sum() /
           count.tail(x.size() - cut).sum();
  }
  return cut;
}

/// ln of weight * normal density.
[[nodiscard]] inline mixture_array log_density(mixture_array const& x,
                                               gaussian_component const& component) {
  double const constant =
      std::log(component.weight) - std::log(component.sd) - 0.5 * std::log(2 * std::numbers::pi);
  return constant - 0.5 * ((x - component.mean) / component.sd).square();
}

/// Weight, mean and deviation of the share of the numbers that a component owns.
[[nodiscard]] inline gaussian_component component_of(mixture_array const& x,
                                                     mixture_array const& owned, double total,
                                                     double sd_floor) {
  double const weight = owned.sum();
  if (!(weight > 0)) return {.weight = 0, .mean = x.mean(), .sd = sd_floor};
  double const mean = (owned * x).sum() / weight;
  double const variance = (owned * (x - mean).square()).sum() / weight;
  return {.weight = weight / total,
          .mean = mean,
          .sd = std::max(std::sqrt(std::max(variance, 0.0)), sd_floor)};
}

/// Two components, and as a point that may be moved in any direction.
struct two_bells {
  gaussian_component low;
  gaussian_component high;

  using point = Eigen::Array<double, 5, 1>;
  [[nodiscard]] point coordinates() const {
    point at;
    at << std::log(high.weight / low.weight), low.mean, std::log(low.sd), high.mean,
        std::log(high.sd);
    return at;
  }
  [[nodiscard]] static two_bells from(point const& at) {
    double const weight = 1 / (1 + std::exp(-at[0]));
    return {.low = {.weight = 1 - weight, .mean = at[1], .sd = std::exp(at[2])},
            .high = {.weight = weight, .mean = at[3], .sd = std::exp(at[4])}};
  }
  [[nodiscard]] bool usable() const { return low.weight > 0 && high.weight > 0; }
};

/// Expectation and maximisation on one sample.
class mixture_steps {
 public:
  mixture_steps(mixture_array const& x, mixture_array const& count, double sd_floor)
      : x_{x}, count_{count}, total_{count.sum()}, sd_floor_{sd_floor} {}

  /// Which share of each number the upper component owns; \returns the mean log-likelihood.
  double expect(two_bells const& bells) {
    mixture_array const below = log_density(x_, bells.low);
    mixture_array const above = log_density(x_, bells.high);
    // ln(e^a + e^b) from the larger of both, so that far values keep their digits.
    mixture_array const ratio = (-(below - above).abs()).exp();
    upper = (above >= below).select(1 / (1 + ratio), ratio / (1 + ratio));
    return (count_ * (below.max(above) + (1 + ratio).log())).sum() / total_;
  }
  [[nodiscard]] two_bells maximise() const {
    return {.low = component_of(x_, count_ * (1 - upper), total_, sd_floor_),
            .high = component_of(x_, count_ * upper, total_, sd_floor_)};
  }

  mixture_array upper;

 private:
  mixture_array const& x_;
  mixture_array const& count_;
  double total_;
  double sd_floor_;
};

/// Iterates to the optimum. After every two steps the squared extrapolation of Varadhan and Roland
/// (2008) is tried and dropped again if the likelihood falls: components that overlap converge in
/// tens of steps instead of thousands.
/// \returns whether it converged
inline bool iterate(mixture_steps& steps, two_bells& bells, mixture_options const& options,
                    int& iterations) {
  two_bells fallback = bells;
  double least = -std::numeric_limits<double>::infinity();
  while (iterations < options.most_iterations) {
    double likelihood = steps.expect(bells);
    if (!(likelihood >= least)) {
      bells = fallback;
      (void)steps.expect(bells);
    }
    two_bells const once = steps.maximise();
    ++iterations;
    if (!once.usable()) return false;
    likelihood = steps.expect(once);
    two_bells const twice = steps.maximise();
    ++iterations;
    if (!twice.usable()) return false;
    two_bells::point const start = bells.coordinates();
    two_bells::point const step = once.coordinates() - start;
    two_bells::point const next = twice.coordinates() - once.coordinates();
    fallback = bells = twice;
    if (next.abs().maxCoeff() < options.tolerance) return true;
    two_bells::point const bend = next - step;
    double const bend_norm = std::sqrt(bend.square().sum());
    double const length = std::sqrt(step.square().sum()) / std::max(bend_norm, 1e-300);
    least = likelihood;
    if (!(length > 1) || !std::isfinite(length)) continue;
    two_bells const far = two_bells::from(start + 2 * length * step + length * length * bend);
    if (far.usable() && far.coordinates().isFinite().all()) bells = far;
  }
  return false;
}

/// Standard errors of both means from the observed information: the sum over numbers of the squared
/// gradient of ln density by weight, means and deviations.
inline void estimate_errors(mixture_array const& x, mixture_array const& count,
                            mixture_array const& upper, gaussian_mixture& mixture) {
  std::array<mixture_array, 5> gradient;
  mixture_array const lower = 1 - upper;
  gaussian_component const& low = mixture.low;
  gaussian_component const& high = mixture.high;
  mixture_array const low_z = (x - low.mean) / low.sd;
  mixture_array const high_z = (x - high.mean) / high.sd;
  gradient[0] = upper / high.weight - lower / low.weight;
  gradient[1] = lower * low_z / low.sd;
  gradient[2] = upper * high_z / high.sd;
  gradient[3] = lower * (low_z.square() - 1) / low.sd;
  gradient[4] = upper * (high_z.square() - 1) / high.sd;
  Eigen::Matrix<double, 5, 5> information;
  for (Eigen::Index i = 0; i < 5; ++i)
    for (Eigen::Index j = 0; j < 5; ++j)
      information(i, j) =
          (gradient[static_cast<std::size_t>(i)] * gradient[static_cast<std::size_t>(j)] * count)
              .sum();
  Eigen::FullPivLU<Eigen::Matrix<double, 5, 5>> const factors{information};
  if (!factors.isInvertible()) return;
  Eigen::Matrix<double, 5, 5> const covariance = factors.inverse();
  if (covariance(1, 1) > 0) mixture.low.mean_error = std::sqrt(covariance(1, 1));
  if (covariance(2, 2) > 0) mixture.high.mean_error = std::sqrt(covariance(2, 2));
}

}  // namespace detail

/// Fits two normal distributions by expectation maximisation on a table of values, from the 2-means
/// cut that starts at the 25th and 75th percentile: no randomness. A sample that is too small, or
/// whose components coincide, is flagged and both components are given its own mean and deviation.
[[nodiscard]] inline gaussian_mixture fit_mixture(weighted_values const& sample,
                                                  mixture_options const& options = {}) {
  gaussian_mixture result;
  if (sample.values.empty()) return result;
  auto const size = static_cast<Eigen::Index>(sample.values.size());
  // Standardised, so that neither large camera counts nor small floats lose digits.
  detail::mixture_array x = Eigen::Map<Eigen::ArrayXd const>(sample.values.data(), size);
  detail::mixture_array const count = Eigen::Map<Eigen::ArrayXd const>(sample.counts.data(), size);
  double const total = count.sum();
  std::pair<double, double> const whole = detail::moments(x, count);
  double const mean = whole.first;
  double const sd = whole.second;
  auto const as_one = [&](mixture_fit why) {
    double const error = sd / std::sqrt(total);
    result.low = result.high = {.weight = 0.5, .mean = mean, .sd = sd, .mean_error = error};
    result.fit = why;
    return result;
  };
  if (total < options.fewest_values) return as_one(mixture_fit::few_values);
  if (size < 3 || !(sd > 0)) return as_one(mixture_fit::one_component);
  x = (x - mean) / sd;

  detail::mixture_steps steps{x, count, options.sd_floor};
  Eigen::Index const cut = detail::cut_by_two_means(x, count);
  steps.upper = detail::mixture_array::Zero(size);
  steps.upper.tail(size - cut).setOnes();
  detail::two_bells bells = steps.maximise();
  if (!bells.usable()) return as_one(mixture_fit::one_component);
  bool const converged = detail::iterate(steps, bells, options, result.iterations);
  if (bells.low.mean > bells.high.mean) std::swap(bells.low, bells.high);
  result.low = bells.low;
  result.high = bells.high;
  bool const thin = std::min(result.low.weight, result.high.weight) < options.least_weight;
  bool const close = !(result.separation() >= options.least_separation);
  if (thin || close) return as_one(mixture_fit::one_component);
  result.fit = converged ? mixture_fit::good : mixture_fit::not_converged;
  double const likelihood = steps.expect(bells);
  detail::estimate_errors(x, count, steps.upper, result);
  for (gaussian_component* component : {&result.low, &result.high}) {
    component->mean = mean + sd * component->mean;
    component->sd *= sd;
    component->mean_error *= sd;
  }
  result.log_likelihood = likelihood - std::log(sd);
  return result;
}

/// The same for numbers as they come.
[[nodiscard]] inline gaussian_mixture fit_mixture(std::span<float const> numbers,
                                                  mixture_options const& options = {}) {
  return fit_mixture(count_values(numbers), options);
}

}  // namespace septum::inline SEPTUM_ABI
