#pragma once
#include <septum/core/config.hpp>
#include <septum/nn/layers.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// One cycle of the learning rate over a whole run (Smith and Topin 2018), with halves of a cosine:
/// up from `first` to the schedule's rate, then down to `last`. Both are shares of that rate.
struct one_cycle {
  double warm_up = 0.3;  ///< share of the steps on the way up, in [0, 1)
  double first = 0.04;   ///< rate of step 0
  double last = 4e-6;    ///< rate after the last step

  /// Share of the peak rate at `progress` in [0, 1] of the run.
  [[nodiscard]] double operator()(double progress) const {
    auto const between = [](double from, double to, double part) {
      return to + (from - to) * 0.5 * (1.0 + std::cos(3.141592653589793238463 * part));
    };
    double const at = std::clamp(progress, 0.0, 1.0);
    return at < warm_up ? between(first, 1.0, at / warm_up)
                        : between(1.0, last, (at - warm_up) / (1.0 - warm_up));
  }
};

/// The paper's schedule by default (S1 Text; published-net template).
struct training_schedule {
  int epochs = 25;
  double rate = 0.01;                    ///< learning rate of epoch 0, or the peak of the cycle
  double rate_factor = 0.95;             ///< rate of epoch e is rate * rate_factor^e
  std::optional<one_cycle> cycle{};      ///< takes the place of rate_factor
  double l2 = 1e-5;                      ///< adds l2 * sum W^2 to the loss; weights only
  std::ptrdiff_t batches_per_epoch = 0;  ///< stop an epoch after so many; 0: all of them
  std::vector<double> class_weights{};   ///< empty: equal
  /// Share of the running statistics that a step keeps.
  double statistics_momentum = batch_norm::momentum;
  std::uint64_t seed = 0;  ///< of initial weights and dropout

  /// Rate of a step: `batch` of `batches` in epoch `epoch`.
  [[nodiscard]] double rate_of(int epoch, std::ptrdiff_t batch, std::ptrdiff_t batches) const {
    if (!cycle) return rate * std::pow(rate_factor, epoch);
    auto const done = static_cast<double>(epoch) * static_cast<double>(batches);
    return rate * (*cycle)((done + static_cast<double>(batch)) /
                           (static_cast<double>(epochs) * static_cast<double>(batches)));
  }
};

}  // namespace septum::inline SEPTUM_ABI
