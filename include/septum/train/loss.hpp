#pragma once
#include <septum/core/error.hpp>
#include <septum/core/view.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace septum::inline SEPTUM_ABI {

/// Label of an output pixel that takes no part in the loss.
inline constexpr std::uint8_t ignored_label = 255;

/// Sums over the counted outputs of one batch.
struct loss_sums {
  double loss = 0.0;         ///< sum of weight * -log p(label)
  double weight = 0.0;       ///< sum of weights; the mean loss is loss / weight
  std::int64_t correct = 0;  ///< outputs whose largest probability is at their label
  std::int64_t count = 0;    ///< outputs that were counted

  loss_sums& operator+=(loss_sums const& other) {
    loss += other.loss;
    weight += other.weight;
    correct += other.correct;
    count += other.count;
    return *this;
  }
  [[nodiscard]] double mean() const { return weight > 0.0 ? loss / weight : 0.0; }
  [[nodiscard]] double accuracy() const {
    return count > 0 ? static_cast<double>(correct) / static_cast<double>(count) : 0.0;
  }
};

/// Softmax and cross-entropy in one, so that neither overflows: the loss is -log p(label) with p
/// clipped to [1e-7, 1 - 1e-7] as Keras reports it (paper, softmax cost function), optionally
/// weighted per class. Logits have axes batch, row, column, class; truth runs over the first three.
struct cross_entropy {
  /// One weight per class, or empty for equal weights. Keras' rule: divided by their mean.
  std::span<double const> class_weights{};

  /// Loss of a batch; when `gradient` has data it receives d(mean loss)/d(logits).
  /// @throws shape_error on a label that is no class
  template <class T>
  loss_sums operator()(view<T const, 4> logits, std::span<std::uint8_t const> truth,
                       view<T, 4> gradient) const {
    auto const classes = logits.extent(3);
    auto const outputs = logits.size() / classes;
    SEPTUM_EXPECTS(static_cast<std::ptrdiff_t>(truth.size()) == outputs,
                   shape_error("septum.train.2",
                               std::to_string(truth.size()) + " labels for " +
                                   std::to_string(outputs) + " outputs",
                               fault::internal));
    loss_sums sums;
    for (std::ptrdiff_t i = 0; i < outputs; ++i) {
      auto const label = truth[static_cast<std::size_t>(i)];
      T* const slope = gradient.data() == nullptr ? nullptr : gradient.data() + i * classes;
      if (label == ignored_label) {
        if (slope != nullptr) std::fill(slope, slope + classes, T{0});
        continue;
      }
      SEPTUM_EXPECTS(label < classes,
                     shape_error("septum.train.3", "label " + std::to_string(label) +
                                                       " for a net of " + std::to_string(classes) +
                                                       " classes; train a net with more classes"));
      sums += add_output(logits.data() + i * classes, classes, label, slope);
    }
    if (gradient.data() != nullptr && sums.weight > 0.0)
      for (std::ptrdiff_t i = 0; i < gradient.size(); ++i)
        gradient.data()[i] = static_cast<T>(static_cast<double>(gradient.data()[i]) / sums.weight);
    return sums;
  }

 private:
  template <class T>
  loss_sums add_output(T const* logits, std::ptrdiff_t classes, std::uint8_t label,
                       T* slope) const {
    T const* const largest = std::max_element(logits, logits + classes);
    double total = 0.0;
    for (std::ptrdiff_t k = 0; k < classes; ++k)
      total += std::exp(static_cast<double>(logits[k]) - static_cast<double>(*largest));
    double const weight = class_weights.empty() ? 1.0 : class_weights[label];
    auto const probability = [&](std::ptrdiff_t k) {
      return std::exp(static_cast<double>(logits[k]) - static_cast<double>(*largest)) / total;
    };
    if (slope != nullptr)
      for (std::ptrdiff_t k = 0; k < classes; ++k)
        slope[k] = static_cast<T>(weight * (probability(k) - (k == label ? 1.0 : 0.0)));
    double const clipped = std::clamp(probability(label), 1e-7, 1.0 - 1e-7);
    return {-weight * std::log(clipped), weight, largest - logits == label ? 1 : 0, 1};
  }
};

}  // namespace septum::inline SEPTUM_ABI
