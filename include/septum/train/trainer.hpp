#pragma once
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/net/net.hpp>
#include <septum/net/parameters.hpp>
#include <septum/train/gradient.hpp>
#include <septum/train/gradient_parts.hpp>
#include <septum/train/loss.hpp>
#include <septum/train/optimizer.hpp>
#include <septum/train/schedule.hpp>

#include <algorithm>
#include <array>
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
/// (view<float const, 4>), `labels` (a class number per output of the net, or ignored_label) and
/// `index`. Patches have one output each, crops of dense training one per pixel. Batches may have
/// `targets` as well: probabilities per output and class (std::span<float const>) to learn instead
/// of the labels, or nothing.
template <class Batches>
concept BatchSource = requires(Batches& batches) {
  { batches.batches_per_epoch() } -> std::convertible_to<std::ptrdiff_t>;
  batches.epoch(0, std::ptrdiff_t{0}).begin();
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
  std::int64_t patches = 0;  ///< outputs trained on in this epoch: patches, or pixels of crops
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
  std::int64_t patches = 0;  ///< outputs trained on in this call of run
  double seconds = 0.0;      ///< since this call of run began
};

/// What training has to know of a net's type.
struct trained_net {
  int input_channels = 0;
  int receptive_field = 0;
  int classes = 0;
  std::vector<parameter_slice> slices;
  std::vector<float> (*fold)(std::span<float const>) = nullptr;  ///< for the validation net
  std::vector<float> (*initial)(counter_rng) = nullptr;          ///< He-normal weights

  template <Stack S>
  [[nodiscard]] static trained_net of() {
    using base = base_stack_t<S>;
    return {base::input_channels,
            base::receptive_field,
            base::output.channels,
            parameter_slices<S>(),
            [](std::span<float const> parameters) { return fold_batch_norm<S, float>(parameters); },
            [](counter_rng rng) { return he_normal<S, float>(rng); }};
  }
};

namespace detail {

/// The L2 term of the loss: l2 * sum W^2 over the weights, not the biases.
[[nodiscard]] inline double l2_penalty(std::span<parameter_slice const> slices,
                                       std::span<float const> parameters, double l2) {
  double sum = 0.0;
  for (auto const& slice : slices)
    if (slice.role == parameter_role::weight)
      for (float const weight : parameters.subspan(slice.offset, slice.count))
        sum += static_cast<double>(weight) * static_cast<double>(weight);
  return l2 * sum;
}

/// Writes the record of the epoch that `at` has come to the end of, keeps its parameters if they
/// are the best so far, and makes `at` stand before the next one. `evaluate` gives the sums of the
/// validation, and is called when there are batches of it.
template <Optimizer O, class Validation, class Evaluate>
void close_epoch(training_state<O>& at, double rate, double penalty, Validation const& validation,
                 std::chrono::steady_clock::time_point begin, Evaluate const& evaluate) {
  epoch_record record{.epoch = at.epoch,
                      .rate = rate,
                      .training_loss = at.sums.mean() + penalty,
                      .training_accuracy = at.sums.accuracy(),
                      .validation_loss = std::numeric_limits<double>::quiet_NaN(),
                      .validation_accuracy = std::numeric_limits<double>::quiet_NaN(),
                      .patches = at.sums.count};
  double judged_by = record.training_loss;
  if (validation.batches_per_epoch() > 0) {
    loss_sums const sums = evaluate();
    record.validation_loss = sums.mean() + penalty;
    record.validation_accuracy = sums.accuracy();
    judged_by = record.validation_loss;
  }
  auto const spent = std::chrono::steady_clock::now() - begin;
  record.seconds = at.seconds + std::chrono::duration<double>(spent).count();
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

}  // namespace detail

/// Training by patches or by crops: epochs of batches, validation after each, the parameters of
/// least validation loss kept (paper, S1 Text). A pure function of its inputs and the schedule's
/// seed. Compiled once per optimizer, whatever nets a program has; made by trainer<> and
/// dense_trainer<>, which see.
template <Optimizer O>
class training_run {
 public:
  using state = training_state<O>;

  training_run(trained_net of_net, training_schedule schedule, O optimizer,
               gradient_network<float> gradient_of, network<float> validation_net)
      : properties_{std::move(of_net)},
        schedule_{std::move(schedule)},
        optimizer_{optimizer},
        gradient_of_{std::move(gradient_of)},
        validation_net_{std::move(validation_net)} {
    for (auto const& slice : properties_.slices)
      gradient_.resize(std::max(gradient_.size(), slice.offset + slice.count));
  }

  /// State before the first batch: He-normal weights from the schedule's seed.
  [[nodiscard]] state start() const {
    state fresh;
    fresh.parameters = properties_.initial({schedule_.seed, stream::initial_weights});
    fresh.optimizer.resize(fresh.parameters.size());
    return fresh;
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
          auto const counted = at.sums.count;
          take_step(at, batches, batch.patches, targets_of(batch));
          ++at.batch;
          patches += at.sums.count - counted;
          auto const now = clock::now();
          at.seconds += seconds_between(lap, now);
          lap = now;
          on_batch(training_progress{at.epoch, schedule_.epochs, at.batch, batches, at.sums.mean(),
                                     at.sums.accuracy(), patches, seconds_between(begin, now)});
          if (at.batch >= batches) break;
        }
      }
      finish_epoch(at, batches, validation);
      on_epoch(std::as_const(at));
    }
  }

  /// Mean loss and accuracy of parameters over all batches of a source's epoch 0, with running
  /// statistics and without dropout, weighted by class as in training.
  template <BatchSource Batches>
  [[nodiscard]] loss_sums evaluate(std::span<float const> parameters, Batches& batches) {
    auto const folded = properties_.fold(parameters);
    loss_sums sums;
    std::array<int, 3> prepared{};  // inputs, height, width
    network<float>::packed packed;
    for (auto const& batch : batches.epoch(0, std::ptrdiff_t{0})) {
      auto const count = static_cast<int>(batch.patches.extent(0));
      std::array const extent{static_cast<int>(batch.patches.extent(1)),
                              static_cast<int>(batch.patches.extent(2))};
      if (count > prepared[0] || extent != std::array{prepared[1], prepared[2]}) {
        prepared = {count, extent[0], extent[1]};
        validation_net_.prepare(count, extent[0], extent[1]);
        packed = validation_net_.pack(folded);
      }
      auto const out = outputs(prepared);
      validation_net_.forward(packed, filled_up(batch.patches, prepared[0]), out);
      sums += score({out.data(), {count, out.extent(1), out.extent(2), out.extent(3)}},
                    batch.labels, schedule_.class_weights);
    }
    return sums;
  }

  [[nodiscard]] training_schedule const& schedule() const { return schedule_; }

  /// Bytes of the maps of a step with so many inputs of height x width pixels.
  [[nodiscard]] std::size_t buffer_bytes(int batch, int height, int width) const {
    return gradient_of_.buffer_bytes(batch, height, width);
  }
  /// Bytes of the maps of validation, which are held beside those of a step.
  [[nodiscard]] std::size_t validation_bytes(int batch, int height, int width) const {
    return validation_net_.buffer_bytes(batch, height, width);
  }
  /// Deals the batch of every step out from now on.
  void deal(gradient_parts parts) { parts_ = parted_gradient{std::move(parts)}; }

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

  // Room for the probabilities of so many inputs of so many rows and columns.
  view<float, 4> outputs(std::array<int, 3> const& inputs) {
    int const lost = properties_.receptive_field - 1;
    std::ptrdiff_t const count = inputs[0];
    std::ptrdiff_t const height = inputs[1] - lost;
    std::ptrdiff_t const width = inputs[2] - lost;
    outputs_.reserve(static_cast<std::size_t>(count * height * width * properties_.classes));
    return {outputs_.data(), {count, height, width, properties_.classes}};
  }

  // The last batch of a source may be short; it is filled up, so that one plan serves all.
  view<float const, 4> filled_up(view<float const, 4> patches, std::ptrdiff_t count) {
    if (patches.extent(0) == count) return patches;
    auto const values = static_cast<std::size_t>(patches.size() / patches.extent(0) * count);
    padding_.assign(values, 0.0F);
    std::copy_n(patches.data(), patches.size(), padding_.data());
    return {padding_.data(), {count, patches.extent(1), patches.extent(2), patches.extent(3)}};
  }

  template <class Batch>
  static output_targets targets_of(Batch const& batch) {
    if constexpr (requires { batch.targets; })
      return {batch.labels, batch.targets};
    else
      return {batch.labels};
  }

  void take_step(state& at, std::ptrdiff_t batches, view<float const, 4> patches,
                 output_targets const& targets) {
    counter_rng const dropout{schedule_.seed, stream::dropout};
    auto const updates = static_cast<std::uint64_t>(at.optimizer.updates);
    cross_entropy const loss{schedule_.class_weights};
    auto const sums =
        parts_.whole()
            ? gradient_of_(at.parameters, patches, targets, loss, gradient_, dropout.fork(updates))
            : parts_(gradient_of_, properties_.slices, at.parameters, patches, targets, loss,
                     gradient_, dropout.fork(updates));
    double const rate = schedule_.rate_of(at.epoch, at.batch, batches);
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
    auto const keep = static_cast<float>(schedule_.statistics_momentum);
    auto const take = static_cast<float>(1.0 - schedule_.statistics_momentum);
    for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i) {
      statistics_.emplace_back(i, keep * parameters[i] + take * gradient_[i]);
      gradient_[i] = 0.0F;
    }
  }

  template <BatchSource Validation>
  void finish_epoch(state& at, std::ptrdiff_t batches, Validation& validation) {
    auto const begin = clock::now();
    detail::close_epoch(at, schedule_.rate_of(at.epoch, 0, batches),
                        detail::l2_penalty(properties_.slices, at.parameters, schedule_.l2),
                        validation, begin, [&] { return evaluate(at.parameters, validation); });
  }

  static bool finite(std::span<float const> values) {
    // The sum of finite numbers times zero is zero; one NaN or infinity spoils it.
    float probe = 0.0F;
    for (float const value : values) probe += value * 0.0F;
    return probe == 0.0F;
  }

  // Loss of probabilities (softmax already applied by the evaluation net).
  static loss_sums score(view<float const, 4> p, std::span<std::uint8_t const> truth,
                         std::span<double const> class_weights) {
    loss_sums sums;
    auto const classes = p.extent(3);
    for (std::size_t i = 0; i < truth.size(); ++i) {
      if (truth[i] == ignored_label) continue;
      float const* const row = p.data() + static_cast<std::ptrdiff_t>(i) * classes;
      auto const best = std::max_element(row, row + classes) - row;
      double const probability = std::clamp(static_cast<double>(row[truth[i]]), 1e-7, 1.0 - 1e-7);
      double const weight = class_weights.empty() ? 1.0 : class_weights[truth[i]];
      sums += {-weight * std::log(probability), weight, best == truth[i] ? 1 : 0, 1};
    }
    return sums;
  }

  trained_net properties_;
  training_schedule schedule_;
  O optimizer_;
  gradient_network<float> gradient_of_;
  parted_gradient parts_{{}};
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

  /// @param precision   of the passes; parameters, statistics and loss are float (host_precision)
  /// @param convolution how convolutions are computed, in all passes; the published recipe sums
  ///                    directly
  explicit trainer(training_schedule schedule, O optimizer = {}, exec::threads threads = {},
                   host_precision precision = host_precision::f32,
                   convolution_algorithm convolution = convolution_algorithm::direct)
      : training_run<O>{trained_net::of<S>(), std::move(schedule), optimizer,
                        gradient_net<S, B, float>{threads, precision, convolution},
                        net<fused_t<S>, B, float>{threads, convolution, precision}} {}
};

/// Dense training of one net type on one backend: all labelled pixels of a crop share one pass of
/// the fully convolutional form, whose parameters are those of the patch form. Batch statistics
/// are taken over all pixels of the maps of a batch of crops.
/// @tparam S net in its patch form   @tparam B backend that trains   @tparam O optimizer policy
template <Stack S, Backend B, Optimizer O = sgd>
class dense_trainer : public training_run<O> {
  using dense_form = fully_convolutional_t<S>;

 public:
  using typename training_run<O>::state;

  /// @param precision   of the passes; parameters, statistics and loss are float (host_precision)
  /// @param convolution how convolutions are computed, in all passes
  explicit dense_trainer(training_schedule schedule, O optimizer = {}, exec::threads threads = {},
                         host_precision precision = host_precision::f32,
                         convolution_algorithm convolution = convolution_algorithm::automatic)
      : training_run<O>{trained_net::of<S>(), std::move(schedule), optimizer,
                        gradient_net<dense_form, B, float>{threads, precision, convolution},
                        net<fused_t<dense_form>, B, float>{threads, convolution, precision}} {}
};

}  // namespace septum::inline SEPTUM_ABI
