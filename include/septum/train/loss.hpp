#pragma once
#include <septum/core/error.hpp>
#include <septum/core/view.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace septum::inline SEPTUM_ABI {

/// Label of an output pixel that takes no part in the loss.
inline constexpr std::uint8_t ignored_label = 255;

/// What the outputs of a batch are compared with: a class each and, where there are soft targets,
/// the probabilities of all classes, which a net learns from another one (Hinton et al. 2015,
/// distillation). Converts from labels alone.
struct output_targets {
  std::span<std::uint8_t const> labels;    ///< batch, row, column; ignored_label: not counted
  std::span<float const> probabilities{};  ///< the same and class, sums of 1; empty: labels alone

  template <std::convertible_to<std::span<std::uint8_t const>> Labels>
  output_targets(Labels const& of_outputs, std::span<float const> soft = {})
      : labels{of_outputs}, probabilities{soft} {}

  /// Those of `count` outputs from output `first` on.
  [[nodiscard]] output_targets part(std::size_t first, std::size_t count) const {
    std::size_t const classes = labels.empty() ? 0 : probabilities.size() / labels.size();
    return {labels.subspan(first, count), probabilities.subspan(first * classes, count * classes)};
  }
};

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
/// weighted per class. Against soft targets q it is -sum q_k log p_k, which is the same where q is
/// 1 at the label; an output's weight then is that of its classes on average. Logits have axes
/// batch, row, column, class; labels run over the first three.
struct cross_entropy {
  /// One weight per class, or empty for equal weights. Keras' rule: divided by their mean.
  std::span<double const> class_weights{};

  /// Loss of a batch; when `gradient` has data it receives d(mean loss)/d(logits).
  /// @throws shape_error on a label that is no class
  template <class T>
  loss_sums operator()(view<T const, 4> logits, output_targets const& targets,
                       view<T, 4> gradient) const {
    auto const& [truth, soft] = targets;
    auto const classes = logits.extent(3);
    auto const outputs = logits.size() / classes;
    SEPTUM_EXPECTS(soft.empty() || static_cast<std::ptrdiff_t>(soft.size()) == logits.size(),
                   shape_error("septum.train.6",
                               std::to_string(soft.size()) + " target probabilities for " +
                                   std::to_string(logits.size()) + " logits",
                               fault::internal));
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
      softmax const p{logits.data() + i * classes, classes};
      sums += soft.empty() ? add_output(p, label, slope)
                           : add_output(p, label, soft.data() + i * classes, slope);
    }
    if (gradient.data() != nullptr && sums.weight > 0.0)
      for (std::ptrdiff_t i = 0; i < gradient.size(); ++i)
        gradient.data()[i] = static_cast<T>(static_cast<double>(gradient.data()[i]) / sums.weight);
    return sums;
  }

 private:
  // Probabilities of one output.
  template <class T>
  struct softmax {
    T const* logits;
    std::ptrdiff_t classes;
    T const* largest = std::max_element(logits, logits + classes);
    double total = 0.0;

    softmax(T const* of_logits, std::ptrdiff_t count) : logits{of_logits}, classes{count} {
      for (std::ptrdiff_t k = 0; k < classes; ++k) total += share(k);
    }
    [[nodiscard]] double share(std::ptrdiff_t k) const {
      return std::exp(static_cast<double>(logits[k]) - static_cast<double>(*largest));
    }
    [[nodiscard]] double operator()(std::ptrdiff_t k) const { return share(k) / total; }
    [[nodiscard]] double clipped_log(std::ptrdiff_t k) const {
      return std::log(std::clamp((*this)(k), 1e-7, 1.0 - 1e-7));
    }
    [[nodiscard]] std::int64_t hits(std::uint8_t label) const {
      return largest - logits == label ? 1 : 0;
    }
  };

  [[nodiscard]] double weight_of(std::size_t k) const {
    return class_weights.empty() ? 1.0 : class_weights[k];
  }

  template <class T>
  loss_sums add_output(softmax<T> const& p, std::uint8_t label, T* slope) const {
    double const weight = weight_of(label);
    if (slope != nullptr)
      for (std::ptrdiff_t k = 0; k < p.classes; ++k)
        slope[k] = static_cast<T>(weight * (p(k) - (k == label ? 1.0 : 0.0)));
    return {-weight * p.clipped_log(label), weight, p.hits(label), 1};
  }

  template <class T>
  loss_sums add_output(softmax<T> const& p, std::uint8_t label, float const* target,
                       T* slope) const {
    loss_sums sums{.correct = p.hits(label), .count = 1};
    for (std::ptrdiff_t k = 0; k < p.classes; ++k) {
      double const share = weight_of(static_cast<std::size_t>(k)) * static_cast<double>(target[k]);
      sums.weight += share;
      sums.loss -= share * p.clipped_log(k);
      if (slope != nullptr) slope[k] = static_cast<T>(-share);
    }
    if (slope != nullptr)
      for (std::ptrdiff_t k = 0; k < p.classes; ++k)
        slope[k] = static_cast<T>(static_cast<double>(slope[k]) + sums.weight * p(k));
    return sums;
  }
};

}  // namespace septum::inline SEPTUM_ABI
