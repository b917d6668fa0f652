#pragma once
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/net/net.hpp>
#include <septum/net/parameters.hpp>
#include <septum/train/gradient.hpp>
#include <septum/train/loss.hpp>
#include <septum/train/optimizer.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Something that gives labelled batches epoch by epoch and can start at any batch, so that a run
/// can be resumed: `epoch(number, first_batch)` is a range of values with `patches`
/// (view<float const, 4>), `labels` (span of class numbers) and `index`.
template <class Batches>
concept BatchSource = requires(Batches& batches) {
  { batches.batches_per_epoch() } -> std::convertible_to<std::ptrdiff_t>;
  batches.epoch(0, std::ptrdiff_t{0}).begin();
};

/// The paper's schedule by default (S1 Text; published-net template).
struct training_schedule {
  int epochs = 25;
  double rate = 0.01;                    ///< learning rate of epoch 0
  double rate_factor = 0.95;             ///< rate of epoch e is rate * rate_factor^e
  double l2 = 1e-5;                      ///< adds l2 * sum W^2 to the loss; weights only
  std::ptrdiff_t batches_per_epoch = 0;  ///< stop an epoch after so many; 0: all of them
  std::vector<double> class_weights{};   ///< empty: equal
  std::uint64_t seed = 0;                ///< of initial weights and dropout

  [[nodiscard]] double rate_of(int epoch) const { return rate * std::pow(rate_factor, epoch); }
};

/// One line of the learning curves. Losses include the L2 term, as Keras reports them.
struct epoch_record {
  int epoch = 0;
  double rate = 0.0;
  double training_loss = 0.0;
  double training_accuracy = 0.0;
  double validation_loss = 0.0;      ///< NaN without validation patches
  double validation_accuracy = 0.0;  ///< NaN without validation patches
  double seconds = 0.0;
  std::int64_t patches = 0;  ///< patches trained on in this epoch
};

/// Everything a run needs to go on as if it had never stopped.
template <Optimizer O>
struct training_state {
  std::vector<float> parameters;
  typename O::state optimizer;
  int epoch = 0;             ///< the one under way
  std::ptrdiff_t batch = 0;  ///< next batch of it
  loss_sums sums{};          ///< of its batches so far
  double seconds = 0.0;      ///< spent in it so far
  std::vector<float> best_parameters;
  double best_validation_loss = std::numeric_limits<double>::infinity();
  int best_epoch = -1;
  std::vector<epoch_record> history;
};

/// Where a run stands; given to the callback after every batch.
struct training_progress {
  int epoch = 0;
  int epochs = 0;
  std::ptrdiff_t batch = 0;
  std::ptrdiff_t batches = 0;
  double loss = 0.0;         ///< mean of the epoch so far, without the L2 term
  double accuracy = 0.0;     ///< mean of the epoch so far
  std::int64_t patches = 0;  ///< trained on in this call of run
  double seconds = 0.0;      ///< since this call of run began
};

/// Patch training: epochs of batches, validation after each, the parameters of least validation
/// loss kept (paper, S1 Text). A pure function of its inputs and the schedule's seed. Compiled once
/// per optimizer, whatever nets a program has; made by trainer<>, which see.
template <Optimizer O>
class training_run {
 public:
  using state = training_state<O>;

  /// What a run has to know of the net's type.
  struct properties {
    int input_channels = 0;
    int classes = 0;
    std::vector<parameter_slice> slices;
    std::vector<float> (*fold)(std::span<float const>) = nullptr;  // for the validation net
  };

  training_run(properties net_properties, training_schedule schedule, O optimizer,
               gradient_network<float> gradient_of, network<float> validation_net)
      : properties_{std::move(net_properties)},
        schedule_{std::move(schedule)},
        optimizer_{optimizer},
        gradient_of_{std::move(gradient_of)},
        validation_net_{std::move(validation_net)} {
    for (auto const& slice : properties_.slices)
      gradient_.resize(std::max(gradient_.size(), slice.offset + slice.count));
  }

  /// Trains until the schedule's last epoch is done. Callbacks: `on_batch(training_progress)` after
  /// every batch and `on_epoch(state)` after every epoch; either may throw to stop, and the state
  /// then holds all that was done, ready to be passed to run again.
  /// @throws unsupported_error when the loss or a gradient is no longer finite; the step that
  ///         would have spoiled the parameters is not taken
  template <BatchSource Training, BatchSource Validation, class OnBatch, class OnEpoch>
  void run(state& at, Training& training, Validation& validation, OnBatch const& on_batch,
           OnEpoch const& on_epoch) {
    auto const batches = batches_of(training);
    auto const begin = clock::now();
    std::int64_t patches = 0;
    while (at.epoch < schedule_.epochs) {
      auto lap = clock::now();
      if (at.batch < batches) {
        for (auto const& batch : training.epoch(at.epoch, at.batch)) {
          take_step(at, batch.patches, batch.labels);
          ++at.batch;
          patches += batch.patches.extent(0);
          auto const now = clock::now();
          at.seconds += seconds_between(lap, now);
          lap = now;
          on_batch(training_progress{at.epoch, schedule_.epochs, at.batch, batches, at.sums.mean(),
                                     at.sums.accuracy(), patches, seconds_between(begin, now)});
          if (at.batch >= batches) break;
        }
      }
      finish_epoch(at, validation);
      on_epoch(std::as_const(at));
    }
  }

  /// Mean loss and accuracy of parameters over all batches of a source's epoch 0, with running
  /// statistics and without dropout.
  template <BatchSource Batches>
  [[nodiscard]] loss_sums evaluate(std::span<float const> parameters, Batches& batches) {
    auto const folded = properties_.fold(parameters);
    int const classes = properties_.classes;
    int const channels = properties_.input_channels;
    loss_sums sums;
    int prepared = 0;
    network<float>::packed packed;
    for (auto const& batch : batches.epoch(0, std::ptrdiff_t{0})) {
      auto const count = static_cast<int>(batch.patches.extent(0));
      auto const side = static_cast<int>(batch.patches.extent(1));
      auto const values = static_cast<std::size_t>(side) * static_cast<std::size_t>(side) *
                          static_cast<std::size_t>(channels);
      float const* patches = batch.patches.data();
      if (prepared == 0) {
        validation_net_.prepare(count, side, side);
        packed = validation_net_.pack(folded);
        outputs_.reserve(static_cast<std::size_t>(count) * static_cast<std::size_t>(classes));
        prepared = count;
      }
      if (count < prepared) {  // the last batch is filled up, so that one plan serves all
        padding_.assign(static_cast<std::size_t>(prepared) * values, 0.0F);
        std::copy_n(patches, static_cast<std::size_t>(count) * values, padding_.data());
        patches = padding_.data();
      }
      validation_net_.forward(packed, {patches, {prepared, side, side, channels}},
                              {outputs_.data(), {prepared, 1, 1, classes}});
      sums += score({outputs_.data(), {count, 1, 1, classes}}, batch.labels);
    }
    return sums;
  }

  [[nodiscard]] training_schedule const& schedule() const { return schedule_; }

 private:
  using clock = std::chrono::steady_clock;
  static double seconds_between(clock::time_point begin, clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
  }

  template <BatchSource Training>
  std::ptrdiff_t batches_of(Training& training) const {
    auto const all = static_cast<std::ptrdiff_t>(training.batches_per_epoch());
    SEPTUM_EXPECTS(all > 0, unsupported_error("septum.train.5", "there are no training patches"));
    return schedule_.batches_per_epoch > 0 ? std::min(all, schedule_.batches_per_epoch) : all;
  }

  void take_step(state& at, view<float const, 4> patches, std::span<std::uint8_t const> classes) {
    counter_rng const dropout{schedule_.seed, stream::dropout};
    auto const updates = static_cast<std::uint64_t>(at.optimizer.updates);
    auto const sums =
        gradient_of_(at.parameters, patches, classes, cross_entropy{schedule_.class_weights},
                     gradient_, dropout.fork(updates));
    double const rate = schedule_.rate_of(at.epoch);
    SEPTUM_EXPECTS(
        std::isfinite(sums.loss) && finite(gradient_),
        unsupported_error("septum.train.1",
                          "epoch " + std::to_string(at.epoch + 1) + ", batch " +
                              std::to_string(at.batch + 1) +
                              ": the loss or its gradient is not finite at learning rate " +
                              std::to_string(rate) + "; lower the rate or check the images"));
    statistics_.clear();
    for (auto const& slice : properties_.slices) {
      if (slice.role == parameter_role::weight) {
        auto const decay = static_cast<float>(2.0 * schedule_.l2);
        for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i)
          gradient_[i] += decay * at.parameters[i];
      } else if (!slice.trainable) {
        average_statistics(at.parameters, slice);
      }
    }
    optimizer_.template step<float>(at.optimizer, at.parameters, gradient_, rate);
    for (auto const& [index, value] : statistics_) at.parameters[index] = value;
    at.sums += sums;
  }

  // Running statistics follow the batch's own (left in the gradient by batch_norm) and are no
  // business of the optimizer.
  void average_statistics(std::span<float const> parameters, parameter_slice const& slice) {
    for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i) {
      statistics_.emplace_back(i,
                               static_cast<float>(batch_norm::momentum) * parameters[i] +
                                   static_cast<float>(1.0 - batch_norm::momentum) * gradient_[i]);
      gradient_[i] = 0.0F;
    }
  }

  template <BatchSource Validation>
  void finish_epoch(state& at, Validation& validation) {
    auto const begin = clock::now();
    double const penalty = l2_penalty(at.parameters);
    epoch_record record{.epoch = at.epoch,
                        .rate = schedule_.rate_of(at.epoch),
                        .training_loss = at.sums.mean() + penalty,
                        .training_accuracy = at.sums.accuracy(),
                        .validation_loss = std::numeric_limits<double>::quiet_NaN(),
                        .validation_accuracy = std::numeric_limits<double>::quiet_NaN(),
                        .patches = at.sums.count};
    double judged_by = record.training_loss;
    if (validation.batches_per_epoch() > 0) {
      auto const sums = evaluate(at.parameters, validation);
      record.validation_loss = sums.mean() + penalty;
      record.validation_accuracy = sums.accuracy();
      judged_by = record.validation_loss;
    }
    record.seconds = at.seconds + seconds_between(begin, clock::now());
    if (judged_by < at.best_validation_loss) {
      at.best_validation_loss = judged_by;
      at.best_parameters = at.parameters;
      at.best_epoch = at.epoch;
    }
    at.history.push_back(record);
    ++at.epoch;
    at.batch = 0;
    at.sums = {};
    at.seconds = 0.0;
  }

  [[nodiscard]] double l2_penalty(std::span<float const> parameters) const {
    double sum = 0.0;
    for (auto const& slice : properties_.slices)
      if (slice.role == parameter_role::weight)
        for (float const weight : parameters.subspan(slice.offset, slice.count))
          sum += static_cast<double>(weight) * static_cast<double>(weight);
    return schedule_.l2 * sum;
  }

  static bool finite(std::span<float const> values) {
    // The sum of finite numbers times zero is zero; one NaN or infinity spoils it.
    float probe = 0.0F;
    for (float const value : values) probe += value * 0.0F;
    return probe == 0.0F;
  }

  // Loss of probabilities (softmax already applied by the evaluation net).
  static loss_sums score(view<float const, 4> p, std::span<std::uint8_t const> truth) {
    loss_sums sums;
    auto const classes = p.extent(3);
    for (std::size_t i = 0; i < truth.size(); ++i) {
      float const* const row = p.data() + static_cast<std::ptrdiff_t>(i) * classes;
      auto const best = std::max_element(row, row + classes) - row;
      double const probability = std::clamp(static_cast<double>(row[truth[i]]), 1e-7, 1.0 - 1e-7);
      sums += {-std::log(probability), 1.0, best == truth[i] ? 1 : 0, 1};
    }
    return sums;
  }

  properties properties_;
  training_schedule schedule_;
  O optimizer_;
  gradient_network<float> gradient_of_;
  network<float> validation_net_;
  std::vector<float> gradient_;
  std::vector<std::pair<std::size_t, float>> statistics_;
  std::vector<float> padding_;
  buffer<float> outputs_;
};

/// Patch training of one net type on one backend.
/// @tparam S net in its patch form   @tparam B backend that trains   @tparam O optimizer policy
template <Stack S, Backend B, Optimizer O = sgd>
class trainer : public training_run<O> {
 public:
  using typename training_run<O>::state;

  explicit trainer(training_schedule schedule, O optimizer = {}, exec::threads threads = {})
      : training_run<O>{{base_stack_t<S>::input_channels, base_stack_t<S>::output.channels,
                         parameter_slices<S>(),
                         [](std::span<float const> parameters) {
                           return fold_batch_norm<S, float>(parameters);
                         }},
                        std::move(schedule),
                        optimizer,
                        gradient_net<S, B, float>{threads},
                        net<fused_t<S>, B, float>{threads}} {}

  /// State before the first batch: He-normal weights from the schedule's seed.
  [[nodiscard]] state start() const {
    state fresh;
    fresh.parameters = he_normal<S, float>({this->schedule().seed, stream::initial_weights});
    fresh.optimizer.resize(fresh.parameters.size());
    return fresh;
  }
};

}  // namespace septum::inline SEPTUM_ABI
