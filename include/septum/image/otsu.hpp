#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// The value that best splits numbers into a dark and a bright group: of the middles of `bins`
/// equal bins between smallest and largest number, the one that makes the variance between the
/// groups largest, the first of several (Otsu 1979; as scikit-image's `threshold_otsu` on
/// floating-point images). What is bright is above it. Equal numbers are their own threshold.
/// \throws unsupported_error `septum.otsu.1` without numbers, on NaN or infinity, or on fewer than
///         2 bins. complexity: linear in the numbers.
[[nodiscard]] inline float otsu_threshold(std::span<float const> values, int bins = 256) {
  SEPTUM_EXPECTS(
      !values.empty() && bins >= 2,
      unsupported_error("septum.otsu.1",
                        "Otsu's threshold: expected numbers and at least 2 bins, found " +
                            std::to_string(values.size()) + " and " + std::to_string(bins)));
  float lowest = values.front();
  float highest = lowest;
  for (float const value : values) {
    SEPTUM_EXPECTS(std::isfinite(value),
                   unsupported_error("septum.otsu.1",
                                     "Otsu's threshold: expected finite numbers, found NaN or "
                                     "infinity"));
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
  }
  if (lowest == highest) return lowest;
  auto const count = static_cast<std::size_t>(bins);
  double const low = static_cast<double>(lowest);
  double const width = (static_cast<double>(highest) - low) / bins;
  auto const edge = [&](std::size_t k) {
    return k == count ? static_cast<double>(highest) : low + width * static_cast<double>(k);
  };
  std::vector<std::int64_t> counts(count, 0);
  for (float const each : values) {
    auto const value = static_cast<double>(each);
    auto bin = std::min(static_cast<std::size_t>((value - low) / width), count - 1);
    // The division rounds; the edges decide.
    if (value < edge(bin)) --bin;
    if (bin + 1 < count && value >= edge(bin + 1)) ++bin;
    ++counts[bin];
  }
  auto const middle = [&](std::size_t k) { return (edge(k) + edge(k + 1)) / 2; };
  double all = 0;
  double all_sum = 0;
  for (std::size_t k = 0; k < count; ++k) {
    all += static_cast<double>(counts[k]);
    all_sum += static_cast<double>(counts[k]) * middle(k);
  }
  double below = 0;
  double below_sum = 0;
  double best = -1;
  std::size_t best_bin = 0;
  for (std::size_t k = 0; k + 1 < count; ++k) {
    below += static_cast<double>(counts[k]);
    below_sum += static_cast<double>(counts[k]) * middle(k);
    // The first and the last bin are not empty, so neither group is.
    double const apart = below_sum / below - (all_sum - below_sum) / (all - below);
    double const variance = below * (all - below) * apart * apart;
    if (variance > best) {
      best = variance;
      best_bin = k;
    }
  }
  return static_cast<float>(middle(best_bin));
}

}  // namespace septum::inline SEPTUM_ABI
