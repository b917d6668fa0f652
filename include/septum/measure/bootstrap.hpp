#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// How a bootstrap draws.
struct bootstrap_options {
  int replicates = 1000;
  /// probability that the interval covers, in (0, 1)
  double level = 0.95;
  std::uint64_t seed = 0;
};

/// An interval of scores.
struct confidence_interval {
  double low = 0;
  double high = 0;
  friend bool operator==(confidence_interval const&, confidence_interval const&) = default;
};

/// Percentile interval of a score over `units` cells (Efron 1979): cells are drawn with
/// replacement, as many as there are, and `score(places)` is taken of each draw, `places` being the
/// cells drawn. Draws whose score has no value are left out; without any there is no interval.
/// Quantiles between two scores are interpolated linearly. The same seed gives the same interval at
/// any number of threads.
/// \throws unsupported_error `septum.bootstrap.1` on options out of range.
template <class Score>
requires std::is_invocable_r_v<
    std::optional<double>, Score const&,
    std::span<std::size_t const>> [[nodiscard]] std::optional<confidence_interval>
bootstrap_interval(std::size_t units, Score const& score, bootstrap_options const& options = {},
                   exec::threads threads = {}) {
  SEPTUM_EXPECTS(options.replicates >= 1 && options.level > 0 && options.level < 1,
                 unsupported_error("septum.bootstrap.1",
                                   "bootstrap: expected at least 1 replicate and a level between "
                                   "0 and 1, found " +
                                       std::to_string(options.replicates) + " and " +
                                       std::to_string(options.level)));
  if (units == 0) return std::nullopt;
  // A stream of its own keeps these draws apart from all others of the seed.
  constexpr std::uint64_t stream = 0x626F6F74;
  counter_rng const rng{.seed = options.seed, .stream = stream};
  std::vector<std::optional<double>> drawn(static_cast<std::size_t>(options.replicates));
  for_each_range(threads, options.replicates, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    std::vector<std::size_t> places(units);
    for (std::ptrdiff_t replicate = begin; replicate < end; ++replicate) {
      std::uint64_t const first = static_cast<std::uint64_t>(replicate) * units;
      for (std::size_t k = 0; k < units; ++k)
        places[k] = static_cast<std::size_t>(rng.below(first + k, units));
      drawn[static_cast<std::size_t>(replicate)] = score(std::span<std::size_t const>{places});
    }
  });
  std::vector<double> scores;
  for (auto const& each : drawn)
    if (each) scores.push_back(*each);
  if (scores.empty()) return std::nullopt;
  std::sort(scores.begin(), scores.end());
  auto const quantile = [&](double part) {
    double const place = part * static_cast<double>(scores.size() - 1);
    auto const below = static_cast<std::size_t>(place);
    std::size_t const above = std::min(below + 1, scores.size() - 1);
    return scores[below] + (place - static_cast<double>(below)) * (scores[above] - scores[below]);
  };
  double const tail = (1 - options.level) / 2;
  return confidence_interval{quantile(tail), quantile(1 - tail)};
}

}  // namespace septum::inline SEPTUM_ABI
