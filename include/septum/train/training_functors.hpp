#pragma once
#include <septum/core/view.hpp>
#include <septum/exec/block_kernel.hpp>
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

/// Loss of a batch and the gradient of its logits, weight * (p - truth) divided by the sum of
/// weights; totals become loss, weight, correct and count. Label 255 is ignored. Outputs are added
/// in an order that depends on their number alone. One block.
template <class Space = device_space>
struct cross_entropy_loss {
  static constexpr int threads = 256;
  static constexpr int residents = 1;
  static constexpr int sums = 4;
  static constexpr int runs = 16;  ///< of threads' sums that are added first

  view<float const, 2, Space> logits;  // output, class
  view<std::uint8_t const, 1, Space> truth;
  view<double const, 1, Space> class_weights;  // empty: equal
  view<float, 2, Space> gradient;
  view<double, 1, Space> totals;

  struct shared_values {
    double terms[threads][sums];
    double runs_of[runs][sums];
    double all[sums];
  };
  struct own_values {};
  [[nodiscard]] SEPTUM_HD int steps() const { return 4; }

  SEPTUM_HD void operator()(block_call call, shared_values& shared, own_values&) const {
    int const thread = call.thread;
    if (call.step == 0) {
      double terms[sums] = {};
      for (std::ptrdiff_t i = thread; i < truth.size(); i += threads) add_output(i, terms);
      for (int which = 0; which < sums; ++which) shared.terms[thread][which] = terms[which];
    } else if (call.step == 1 && thread < runs * sums) {
      double sum = 0.0;
      for (int k = 0; k < threads / runs; ++k)
        sum += shared.terms[thread / sums * (threads / runs) + k][thread % sums];
      shared.runs_of[thread / sums][thread % sums] = sum;
    } else if (call.step == 2 && thread < sums) {
      double sum = 0.0;
      for (int run = 0; run < runs; ++run) sum += shared.runs_of[run][thread];
      shared.all[thread] = sum;
      totals(thread) = sum;
    } else if (call.step == 3 && shared.all[1] > 0.0) {
      for (std::ptrdiff_t i = thread; i < truth.size(); i += threads)
        for (std::ptrdiff_t k = 0; k < logits.extent(1); ++k)
          gradient(i, k) = static_cast<float>(static_cast<double>(gradient(i, k)) / shared.all[1]);
    }
  }

 private:
  SEPTUM_HD void add_output(std::ptrdiff_t i, double (&terms)[sums]) const {
    auto const classes = logits.extent(1);
    auto const label = static_cast<std::ptrdiff_t>(truth(i));
    if (label >= classes) {
      for (std::ptrdiff_t k = 0; k < classes; ++k) gradient(i, k) = 0.0F;
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
    terms[0] += -weight * std::log(p);
    terms[1] += weight;
    terms[2] += largest == label ? 1.0 : 0.0;
    terms[3] += 1.0;
  }
};

/// How many blocks search a gradient for values that are not finite.
inline constexpr int parts_of_a_search = 128;

/// found (part) = 1 where the part has a value that is not finite. Blocks: (1, parts).
template <class Space = device_space>
struct find_not_finite {
  static constexpr int threads = 256;
  static constexpr int residents = 4;
  view<float const, 1, Space> values;
  view<std::uint8_t, 1, Space> found;
  struct shared_values {
    float probes[threads];
  };
  struct own_values {};
  [[nodiscard]] SEPTUM_HD int steps() const { return 2; }
  SEPTUM_HD void operator()(block_call call, shared_values& shared, own_values&) const {
    float probe = 0.0F;  // finite numbers times zero add up to zero
    if (call.step == 0) {
      for (std::ptrdiff_t i = call.column * threads + call.thread; i < values.size();
           i += parts_of_a_search * threads)
        probe += values(i) * 0.0F;
      shared.probes[call.thread] = probe;
    } else if (call.thread == 0) {
      for (int k = 0; k < threads; ++k) probe += shared.probes[k];
      found(call.column) = probe == 0.0F ? 0 : 1;
    }
  }
};

/// Sets `stop` when a part was found or the loss is not finite; once set it stays, and no step is
/// taken any more. Leaves it behind the four sums of the batch for the host. One block.
template <class Space = device_space>
struct judge_step {
  static constexpr int threads = parts_of_a_search;
  static constexpr int residents = 1;
  view<std::uint8_t const, 1, Space> found;
  view<double, 1, Space> totals;  // loss, weight, correct, count, stopped
  view<std::uint8_t, 1, Space> stop;
  struct shared_values {
    std::uint8_t found[threads];
  };
  struct own_values {};
  [[nodiscard]] SEPTUM_HD int steps() const { return 2; }
  SEPTUM_HD void operator()(block_call call, shared_values& shared, own_values&) const {
    if (call.step == 0) {
      shared.found[call.thread] = found(call.thread);
    } else if (call.thread == 0) {
      bool bad = !(totals(0) * 0.0 == 0.0);
      for (int part = 0; part < threads; ++part) bad = bad || shared.found[part] != 0;
      if (bad) stop(0) = 1;
      totals(4) = stop(0) != 0 ? 1.0 : 0.0;
    }
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
  view<float const, 1, Space> rate;  ///< one number, of this step
  float decay;                       ///< 2 * l2
  float keep_average;                ///< share of a running statistic that stays
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
  bool nesterov;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const i = flat_index(row, column);
    float slope = 0.0F;
    if (!values.moves(i, slope)) return;
    float const move = values.rate(0) * slope;
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
  float epsilon;
  SEPTUM_HD void operator()(int row, int column) const {
    auto const i = flat_index(row, column);
    float slope = 0.0F;
    if (!values.moves(i, slope)) return;
    float& square = values.memory(i);
    square = rho * square + (1.0F - rho) * slope * slope;
    values.parameters(i) -= values.rate(0) * slope / (std::sqrt(square) + epsilon);
  }
};

using training_functors =
    functor_list<cross_entropy_loss<>, find_not_finite<>, judge_step<>, sgd_step<>, rmsprop_step<>>;

}  // namespace septum::inline SEPTUM_ABI
