#pragma once
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/exec/kernel_name.hpp>
#include <septum/nn/functors.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>

/// Loss and optimizer steps as index kernels, by the definitions in train/loss.hpp and
/// train/optimizer.hpp.
namespace septum::inline SEPTUM_ABI {

/// What a step does with a value of the blob of parameters.
enum class parameter_rule : std::uint8_t {
  trained,  ///< moves along its gradient
  decayed,  ///< also along the gradient of l2 * value^2
  averaged  ///< a running statistic: follows the batch's own, which stands in the gradient
};

/// Loss terms of one output each (loss, weight, correct, count), and weight * (p - truth) as the
/// gradient of its logits. Label 255 is ignored. Index space: flat_extent(outputs).
template <class Space = device_space>
struct cross_entropy_outputs {
  view<float const, 2, Space> logits;  // output, class
  view<std::uint8_t const, 1, Space> truth;
  view<double const, 1, Space> class_weights;  // empty: equal
  view<float, 2, Space> gradient;
  view<double, 2, Space> terms;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const i = flat_index(row, column);
    if (i >= truth.size()) return;
    auto const classes = logits.extent(1);
    auto const label = static_cast<std::ptrdiff_t>(truth(i));
    if (label >= classes) {
      for (std::ptrdiff_t k = 0; k < classes; ++k) gradient(i, k) = 0.0F;
      for (int term = 0; term < 4; ++term) terms(i, term) = 0.0;
      return;
    }
    std::ptrdiff_t largest = 0;
    for (std::ptrdiff_t k = 1; k < classes; ++k)
      if (logits(i, k) > logits(i, largest)) largest = k;
    auto const share = [&](std::ptrdiff_t k) {
      return std::exp(static_cast<double>(logits(i, k)) - static_cast<double>(logits(i, largest)));
    };
    double total = 0.0;
    for (std::ptrdiff_t k = 0; k < classes; ++k) total += share(k);
    double const weight = class_weights.size() == 0 ? 1.0 : class_weights(label);
    for (std::ptrdiff_t k = 0; k < classes; ++k)
      gradient(i, k) = static_cast<float>(weight * (share(k) / total - (k == label ? 1.0 : 0.0)));
    double p = share(label) / total;
    // Clipped as Keras does; a NaN stays one, so that it is noticed.
    if (p < 1e-7) p = 1e-7;
    if (p > 1.0 - 1e-7) p = 1.0 - 1e-7;
    terms(i, 0) = -weight * std::log(p);
    terms(i, 1) = weight;
    terms(i, 2) = largest == label ? 1.0 : 0.0;
    terms(i, 3) = 1.0;
  }
};

/// totals (term) = sum of the terms of all outputs in their order. Index space: (1, 4).
template <class Space = device_space>
struct add_terms {
  view<double const, 2, Space> terms;
  view<double, 1, Space> totals;
  SEPTUM_HD void operator()(int, int term) const {
    double sum = 0.0;
    for (std::ptrdiff_t i = 0; i < terms.extent(0); ++i) sum += terms(i, term);
    totals(term) = sum;
  }
};

/// gradient becomes that of the mean loss: divided by the sum of weights. Updates each cell from
/// itself. Index space: flat_extent.
template <class Space = device_space>
struct divide_by_weight {
  view<double const, 1, Space> totals;
  view<float, 1, Space> gradient;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const i = flat_index(row, column);
    if (i < gradient.size() && totals(1) > 0.0)
      gradient(i) = static_cast<float>(static_cast<double>(gradient(i)) / totals(1));
  }
};

/// How many parts of the gradient are searched for values that are not finite.
inline constexpr int parts_of_a_search = 1024;

/// found (part) = 1 where the part has a value that is not finite. Index space: (1, parts).
template <class Space = device_space>
struct find_not_finite {
  view<float const, 1, Space> values;
  view<std::uint8_t, 1, Space> found;
  SEPTUM_HD void operator()(int, int part) const {
    float probe = 0.0F;  // finite numbers times zero add up to zero
    for (std::ptrdiff_t i = part; i < values.size(); i += parts_of_a_search)
      probe += values(i) * 0.0F;
    found(part) = probe == 0.0F ? 0 : 1;
  }
};

/// Sets `stop` when a part was found or the loss is not finite; once set it stays, and no step is
/// taken any more. Leaves it behind the four sums of the batch for the host. Index space: (1, 1).
template <class Space = device_space>
struct judge_step {
  view<std::uint8_t const, 1, Space> found;
  view<double, 1, Space> totals;  // loss, weight, correct, count, stopped
  view<std::uint8_t, 1, Space> stop;
  SEPTUM_HD void operator()(int, int) const {
    bool bad = !(totals(0) * 0.0 == 0.0);
    for (std::ptrdiff_t part = 0; part < found.size(); ++part) bad = bad || found(part) != 0;
    if (bad) stop(0) = 1;
    totals(4) = stop(0) != 0 ? 1.0 : 0.0;
  }
};

/// What a fused step does before the optimizer's own rule: the gradient with its decay, or the
/// average of a running statistic. Shared by the steps below.
template <class Space>
struct step_values {
  view<float, 1, Space> parameters;
  view<float const, 1, Space> gradient;
  view<float, 1, Space> memory;
  view<parameter_rule const, 1, Space> rules;
  view<std::uint8_t const, 1, Space> stop;
  float decay;         ///< 2 * l2
  float keep_average;  ///< share of a running statistic that stays
  float take_average;

  /// True, with the gradient in `slope`, where the optimizer's rule applies.
  SEPTUM_HD bool moves(std::ptrdiff_t i, float& slope) const {
    if (i >= parameters.size() || stop(0) != 0) return false;
    if (rules(i) == parameter_rule::averaged) {
      parameters(i) = keep_average * parameters(i) + take_average * gradient(i);
      return false;
    }
    slope = gradient(i);
    if (rules(i) == parameter_rule::decayed) slope += decay * parameters(i);
    return true;
  }
};

/// sgd::step with decay and running statistics in one pass. Updates each cell from itself. Index
/// space: flat_extent.
template <class Space = device_space>
struct sgd_step {
  step_values<Space> values;
  float momentum;
  float eta;
  bool nesterov;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const i = flat_index(row, column);
    float slope = 0.0F;
    if (!values.moves(i, slope)) return;
    float const move = eta * slope;
    float& velocity = values.memory(i);
    velocity = momentum * velocity - move;
    values.parameters(i) += nesterov ? momentum * velocity - move : velocity;
  }
};

/// rmsprop::step likewise.
template <class Space = device_space>
struct rmsprop_step {
  step_values<Space> values;
  float rho;
  float rate;
  float epsilon;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const i = flat_index(row, column);
    float slope = 0.0F;
    if (!values.moves(i, slope)) return;
    float& square = values.memory(i);
    square = rho * square + (1.0F - rho) * slope * slope;
    values.parameters(i) -= rate * slope / (std::sqrt(square) + epsilon);
  }
};

using training_functors = functor_list<cross_entropy_outputs<>, add_terms<>, divide_by_weight<>,
                                       find_not_finite<>, judge_step<>, sgd_step<>, rmsprop_step<>>;

}  // namespace septum::inline SEPTUM_ABI
