#pragma once
#include <septum/core/error.hpp>
#include <septum/exec/cuda_runtime.hpp>
#include <septum/net/device_contexts.hpp>
#include <septum/net/device_net.hpp>
#include <septum/net/parameters.hpp>
#include <septum/train/optimizer.hpp>
#include <septum/train/trainer.hpp>
#include <septum/train/training_functors.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Room for what a source of batches needs on the device to know which one to gather, bytes.
inline constexpr std::size_t batch_place_bytes = 64;

/// Batches that are gathered on a device (sample/device_batches.hpp). Its place_type, plain values,
/// says on the device which batch is meant.
template <class Batches>
concept DeviceBatchSource = requires(Batches& batches, view<float, 4, device_space> maps,
                                     view<std::uint8_t, 1, device_space> classes,
                                     view<typename Batches::place_type const, 1, device_space> at) {
  requires sizeof(typename Batches::place_type) <= batch_place_bytes;
  requires std::is_trivially_copyable_v<typename Batches::place_type>;
  { batches.batches_per_epoch() } -> std::convertible_to<std::ptrdiff_t>;
  { batches.count(std::ptrdiff_t{0}) } -> std::convertible_to<int>;
  { batches.options().batch_size } -> std::convertible_to<int>;
  { batches.options().window } -> std::convertible_to<int>;
  batches.classes(std::ptrdiff_t{0});
  batches.start(0);
  { batches.place(std::ptrdiff_t{0}) } -> std::same_as<typename Batches::place_type>;
  batches.gather(at, maps, classes);
  batches.gather(std::ptrdiff_t{0}, maps, classes);
};

namespace detail {

// The fused step of an optimizer, and the rate that it takes.
inline sgd_step<> device_step_of(sgd const& how, step_values<device_space> values) {
  return {values, static_cast<float>(how.momentum), how.nesterov};
}
inline rmsprop_step<> device_step_of(rmsprop const& how, step_values<device_space> values) {
  return {values, static_cast<float>(how.rho), static_cast<float>(how.epsilon)};
}
inline double rate_of_step(sgd const& how, double rate, std::int64_t updates) {
  return rate / (1.0 + how.decay * static_cast<double>(updates));
}
inline double rate_of_step(rmsprop const&, double rate, std::int64_t) { return rate; }

/// Forward and backward pass of a net in training on a device.
class device_gradient {
 public:
  using map = view<float, 4, device_space>;
  using const_map = view<float const, 4, device_space>;

  explicit device_gradient(device_assembly<float> assembly) : assembly_{std::move(assembly)} {}

  /// Plans and buffers for batches of `batch` patches.
  void prepare(cuda_api const& api, int batch, int side) {
    auto const [found, is_new] = runs_.try_emplace(batch);
    if (!is_new) return;
    try {
      auto& made = found->second;
      made.batch = batch;
      auto const rows = assembly_.rows(side, side);
      auto layers = assembly_.make_layers();
      std::array<std::size_t, 2> largest{};
      for (std::size_t k = 0; k < layers.size(); ++k) {
        std::size_t const number = k;
        auto const problem = training_problem(rows, layers, k, batch);
        if (problem.pool != window{}) ++k;  // runs within the layer before it
        auto const values = problem.out.size() * static_cast<std::size_t>(batch);
        layers[number].layer->prepare(problem);
        made.steps.push_back({number, problem.out, std::move(layers[number].layer),
                              device_memory<float>{api, values}});
        auto& buffer = largest[(made.steps.size() - 1) % 2];
        buffer = std::max(buffer, values);
      }
      for (std::size_t k = 0; k < 2; ++k) made.gradients[k] = device_memory<float>{api, largest[k]};
    } catch (...) {
      runs_.erase(found);
      throw;
    }
  }

  void forward(int batch, device_layout const& layout,
               view<float const, 1, device_space> parameters, const_map x,
               view<counter_rng const, 1, device_space> random) {
    auto& run = runs_.at(batch);
    for (std::size_t k = 0; k < run.steps.size(); ++k) {
      auto& step = run.steps[k];
      step.layer->forward_train(layout.of_layer(parameters, step.number), run.input(k, x),
                                run.output(k),
                                random.block({static_cast<std::ptrdiff_t>(step.number)}, {1}));
    }
  }
  void backward(int batch, device_layout const& layout,
                view<float const, 1, device_space> parameters, const_map x,
                view<float, 1, device_space> gradient) {
    auto& run = runs_.at(batch);
    for (std::size_t k = run.steps.size(); k-- > 0;) {
      auto& step = run.steps[k];
      step.layer->backward(layout.of_layer(parameters, step.number), run.input(k, x), run.output(k),
                           run.slope(k), k > 0 ? run.slope(k - 1) : map{},
                           layout.of_layer(gradient, step.number));
    }
  }
  /// Output of the last layer, and where its gradient has to be put.
  [[nodiscard]] const_map logits(int batch) {
    auto& run = runs_.at(batch);
    return run.output(run.steps.size() - 1);
  }
  [[nodiscard]] map logits_gradient(int batch) {
    auto& run = runs_.at(batch);
    return run.slope(run.steps.size() - 1);
  }

 private:
  // A layer, or two that run as one.
  struct prepared_step {
    std::size_t number;  // of the layer in the net
    shape out;
    std::unique_ptr<device_layer<float>> layer;
    device_memory<float> map;
  };
  struct prepared_batch {
    int batch = 0;
    std::vector<prepared_step> steps;
    std::array<device_memory<float>, 2> gradients{};

    [[nodiscard]] const_map input(std::size_t k, const_map x) const {
      return k == 0 ? x : const_map{output(k - 1)};
    }
    [[nodiscard]] map output(std::size_t k) const { return shaped(steps[k].map.data(), k); }
    // Gradient of the output of a step; two buffers take turns.
    [[nodiscard]] map slope(std::size_t k) const { return shaped(gradients[k % 2].data(), k); }

   private:
    [[nodiscard]] map shaped(float* data, std::size_t k) const {
      auto const& out = steps[k].out;
      return {data, {batch, out.height, out.width, out.channels}};
    }
  };

  // What layer k has to do, with the pooling behind it where it takes that.
  static layer_problem training_problem(std::span<layer_row const> rows,
                                        std::span<device_layer_entry<float> const> layers,
                                        std::size_t k, int batch) {
    auto problem = make_problem(rows[k], layers[k].relu, layers[k].dropout_rate, batch);
    problem.training = true;
    problem.input_gradient = k > 0;
    if (k + 1 == layers.size()) return problem;
    problem.bias_gradient = layers[k + 1].name != batch_norm::name;
    if (layers[k + 1].name != max_pool<2>::name) return problem;
    auto pooled = problem;
    pooled.pool = rows[k + 1].geometry;
    pooled.out = rows[k + 1].out;
    return layers[k].layer->takes_pool(pooled) ? pooled : problem;
  }

  device_assembly<float> assembly_;
  std::map<int, prepared_batch> runs_;
};

}  // namespace detail

/// Training on a device. Patches are gathered, passed through the net and used for a step without
/// the host waiting: it queues up to `most_batches_ahead` batches and reads their losses behind.
/// After the first batch a step is replayed as one CUDA graph; what changes from step to step lies
/// in the device's memory.
/// The state on the host is brought up to date after every epoch, when a callback throws, and from
/// time to time; between those it is older, but always whole.
/// @tparam S net in its patch form   @tparam B cudnn or cuda   @tparam O sgd or rmsprop
template <Stack S, Backend B = cudnn, Optimizer O = sgd>
class device_trainer {
  static_assert(diagnostic::stack_ends_in_softmax<ends_in_softmax_v<S>, S>::ok);

 public:
  using state = training_state<O>;
  static constexpr int most_batches_ahead = 8;

  /// @param contexts have to outlive the trainer; precision f32 or tf32
  device_trainer(device_contexts<B>& contexts, training_schedule schedule, O optimizer = {})
      : contexts_{&contexts},
        schedule_{std::move(schedule)},
        optimizer_{optimizer},
        gradient_of_{detail::assemble_on_device<training_t<S>, B, float>(contexts)},
        validation_net_{detail::assemble_on_device<fused_t<S>, B, float>(contexts)},
        layout_{training_t<S>::patch_rows, sizeof(float)},
        slots_{make_slots(contexts.api())} {
    auto const& api = contexts.api();
    parameters_ = device_memory<float>{api, layout_.size()};
    gradient_ = device_memory<float>{api, layout_.size()};
    memory_ = device_memory<float>{api, layout_.size()};
    totals_ = device_memory<double>{api, 5};
    rules_ = on_device(rules());
    class_weights_ = on_device(schedule_.class_weights);
    inputs_ = device_memory<step_inputs>{api, 1};
    found_ = device_memory<std::uint8_t>{api, parts_of_a_search};
    stop_ = device_memory<std::uint8_t>{api, 1};
    set_zero(contexts.stream(), gradient_.values());
  }

  /// State before the first batch: He-normal weights from the schedule's seed.
  [[nodiscard]] state start() const {
    state fresh;
    fresh.parameters = he_normal<S, float>({schedule_.seed, stream::initial_weights});
    fresh.optimizer.resize(fresh.parameters.size());
    return fresh;
  }

  /// As training_run::run, with sources on the device.
  /// @throws unsupported_error `septum.train.1` when the loss or a gradient is no longer finite;
  ///         the step that would have spoiled the parameters is not taken
  template <DeviceBatchSource Training, DeviceBatchSource Validation, class OnBatch, class OnEpoch>
  void run(state& at, Training& training, Validation& validation, OnBatch const& on_batch,
           OnEpoch const& on_epoch) {
    auto const all = static_cast<std::ptrdiff_t>(training.batches_per_epoch());
    SEPTUM_EXPECTS(all > 0, unsupported_error("septum.train.5", "there are no training patches"));
    auto const batches =
        schedule_.batches_per_epoch > 0 ? std::min(all, schedule_.batches_per_epoch) : all;
    auto const begin = clock::now();
    patches_ = 0;
    recorded_ = {};  // of other batches
    reserve_input(training.options().batch_size, training.options().window);
    upload(at);
    while (at.epoch < schedule_.epochs) {
      try {
        run_epoch(at, training, batches, begin, on_batch);
      } catch (...) {
        bring_home(at);
        throw;
      }
      finish_epoch(at, batches, validation);
      on_epoch(std::as_const(at));
    }
  }

  [[nodiscard]] training_schedule const& schedule() const { return schedule_; }

 private:
  using clock = std::chrono::steady_clock;
  static double seconds_between(clock::time_point begin, clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
  }
  // What changes from step to step.
  struct step_inputs {
    alignas(16) std::array<std::byte, batch_place_bytes> place;
    float rate;
    std::array<counter_rng, base_stack_t<training_t<S>>::depth> random;  // by layer
  };
  // Inputs of one batch on their way to the device, and its sums on their way back.
  struct batch_slot {
    explicit batch_slot(cuda_api const& api) : inputs{api, 1}, totals{api, 5}, done{api} {}
    pinned_memory<step_inputs> inputs;
    pinned_memory<double> totals;
    cuda_event done;
  };
  static std::vector<batch_slot> make_slots(cuda_api const& api) {
    std::vector<batch_slot> slots;
    for (int k = 0; k < most_batches_ahead; ++k) slots.emplace_back(api);
    return slots;
  }

  [[nodiscard]] std::vector<parameter_rule> rules() const {
    std::vector<float> roles(base_stack_t<S>::parameter_count, 0.0F);
    for (auto const& slice : parameter_slices<S>())
      std::fill_n(roles.begin() + static_cast<std::ptrdiff_t>(slice.offset), slice.count,
                  !slice.trainable                       ? 2.0F
                  : slice.role == parameter_role::weight ? 1.0F
                                                         : 0.0F);
    std::vector<parameter_rule> all;
    for (float const role : layout_.template spread<float>(roles))
      all.push_back(static_cast<parameter_rule>(static_cast<int>(role)));
    return all;
  }

  template <class T>
  [[nodiscard]] device_memory<T> on_device(std::vector<T> const& values) const {
    device_memory<T> memory{contexts_->api(), values.size()};
    copy(contexts_->stream(), view<T const, 1>{values.data(), {std::ssize(values)}},
         memory.values());
    contexts_->stream().synchronize();
    return memory;
  }
  void put(std::span<float const> blob, device_memory<float> const& memory) const {
    auto const values = layout_.template spread<float>(blob);
    copy(contexts_->stream(), view<float const, 1>{values.data(), {std::ssize(values)}},
         memory.values());
    contexts_->stream().synchronize();
  }
  void get(device_memory<float> const& memory, std::span<float> blob) const {
    std::vector<float> values(memory.size());
    copy(contexts_->stream(), view<float const, 1, device_space>{memory.values()},
         view<float, 1>{values.data(), {std::ssize(values)}});
    contexts_->stream().synchronize();
    layout_.template gather<float>(values, blob);
  }

  void upload(state& at) {
    at.optimizer.resize(at.parameters.size());
    put(at.parameters, parameters_);
    put(at.optimizer.slots[0], memory_);
    set_zero(contexts_->stream(), stop_.values());
    queued_ = finished_ = at.batch;
    updates_ = at.optimizer.updates;
    sums_ = at.sums;
    lap_ = last_download_ = clock::now();
    seconds_ = at.seconds;
  }
  // Everything that was queued, in the host's state.
  void download(state& at) {
    get(parameters_, at.parameters);
    get(memory_, at.optimizer.slots[0]);
    at.optimizer.updates = updates_;
    at.batch = finished_;
    at.sums = sums_;
    at.seconds = seconds_;
    last_download_ = clock::now();
  }
  // After a failure: what can be saved is; the failure itself goes on.
  void bring_home(state& at) noexcept {
    try {
      while (finished_ < queued_) finish_batch(at);
      download(at);
    } catch (...) {
      return;  // the device is gone: the state stays what it was when it was last brought home
    }
  }

  void reserve_input(int batch, int side) {
    auto const& api = contexts_->api();
    auto const values = static_cast<std::size_t>(batch) * static_cast<std::size_t>(side) *
                        static_cast<std::size_t>(side) * base_stack_t<S>::input_channels;
    if (input_.size() >= values) return;
    input_ = device_memory<float>{api, values};
    classes_ = device_memory<std::uint8_t>{api, static_cast<std::size_t>(batch)};
    set_zero(contexts_->stream(), input_.values());
  }
  [[nodiscard]] view<float, 4, device_space> input(int batch, int side) const {
    return {input_.data(), {batch, side, side, base_stack_t<S>::input_channels}};
  }

  template <class Training, class OnBatch>
  void run_epoch(state& at, Training& training, std::ptrdiff_t batches, clock::time_point begin,
                 OnBatch const& on_batch) {
    training.start(at.epoch);
    auto const one_is_done = [&] {
      auto const counted = sums_.count;
      finish_batch(at);
      patches_ += sums_.count - counted;
      auto const now = clock::now();
      seconds_ += seconds_between(lap_, now);
      lap_ = now;
      if (now - last_download_ > std::chrono::seconds{30}) {
        while (finished_ < queued_) finish_batch(at);
        download(at);
      }
      on_batch(training_progress{at.epoch, schedule_.epochs, finished_, batches, sums_.mean(),
                                 sums_.accuracy(), patches_, seconds_between(begin, now)});
    };
    while (queued_ < batches) {
      if (queued_ - finished_ == most_batches_ahead) one_is_done();
      queue_batch(at, training, batches);
    }
    while (finished_ < queued_) one_is_done();
  }

  template <class Training>
  void queue_batch(state const& at, Training& training, std::ptrdiff_t batches) {
    auto const& queue = contexts_->stream();
    auto const& slot = slots_[static_cast<std::size_t>(queued_ % most_batches_ahead)];
    int const count = training.count(queued_);
    int const side = training.options().window;
    gradient_of_.prepare(contexts_->api(), count, side);
    auto& inputs = *slot.inputs.data();
    auto const place = training.place(queued_);
    std::memcpy(inputs.place.data(), &place, sizeof place);
    inputs.rate = static_cast<float>(
        detail::rate_of_step(optimizer_, schedule_.rate_of(at.epoch, queued_, batches), updates_));
    counter_rng const dropout{schedule_.seed, stream::dropout};
    auto const random = dropout.fork(static_cast<std::uint64_t>(updates_));
    for (std::size_t k = 0; k < inputs.random.size(); ++k) inputs.random[k] = random.fork(k);
    copy(queue, view<step_inputs const, 1>{slot.inputs.values()}, inputs_.values());
    if (count == training.options().batch_size)
      queue_full_step(training, count, side);
    else
      queue_step(training, count, side);
    copy(queue, view<double const, 1, device_space>{totals_.values()}, slot.totals.values());
    slot.done.record(queue);
    ++updates_;
    ++queued_;
  }

  // The first step runs call by call, by which everything is loaded, and is recorded then; so is
  // the next one when memory that the record points to has been exchanged for larger one.
  template <class Training>
  void queue_full_step(Training& training, int count, int side) {
    addresses const here{contexts_->template get<cuda>().scratch.data(), input_.data()};
    if (!recorded_.empty() && here == recorded_with_) {
      recorded_.launch(contexts_->stream());
      return;
    }
    queue_step(training, count, side);
    recorded_ = {contexts_->stream(), [&] { queue_step(training, count, side); }};
    recorded_with_ = here;
  }

  template <class Training>
  void queue_step(Training& training, int count, int side) {
    auto& device = contexts_->template get<cuda>();
    auto const x = input(count, side);
    auto const classes = classes_.values().block({0}, {count});
    auto* const inputs = inputs_.data();  // of the device: only addresses are formed here
    auto const* const place =
        reinterpret_cast<typename Training::place_type const*>(inputs->place.data());
    training.gather({place, {1}}, x, classes);
    view<float const, 1, device_space> const parameters{parameters_.values()};
    gradient_of_.forward(
        count, layout_, parameters, x,
        {inputs->random.data(), {static_cast<std::ptrdiff_t>(inputs->random.size())}});
    device.launch({1, 1}, cross_entropy_loss<>{detail::pixels(gradient_of_.logits(count)), classes,
                                               class_weights_.values(),
                                               detail::pixels(gradient_of_.logits_gradient(count)),
                                               totals_.values()});
    gradient_of_.backward(count, layout_, parameters, x, gradient_.values());
    auto const gradient = view<float const, 1, device_space>{gradient_.values()};
    device.launch({1, parts_of_a_search}, find_not_finite<>{gradient, found_.values()});
    device.launch({1, 1}, judge_step<>{found_.values(), totals_.values(), stop_.values()});
    step_values<device_space> const values{parameters_.values(),
                                           gradient,
                                           memory_.values(),
                                           rules_.values(),
                                           stop_.values(),
                                           {&inputs->rate, {1}},
                                           static_cast<float>(2.0 * schedule_.l2),
                                           static_cast<float>(schedule_.statistics_momentum),
                                           static_cast<float>(1.0 - schedule_.statistics_momentum)};
    device.launch(flat_extent(parameters_.values().size()),
                  detail::device_step_of(optimizer_, values));
  }

  // Waits for the oldest batch that is queued and takes its sums.
  void finish_batch(state const& at) {
    auto const& slot = slots_[static_cast<std::size_t>(finished_ % most_batches_ahead)];
    slot.done.synchronize();
    double const* const totals = slot.totals.data();
    if (totals[4] != 0.0) {
      // This step and those behind it were not taken.
      auto const stopped = finished_;
      updates_ -= queued_ - finished_;
      queued_ = finished_;
      contexts_->stream().synchronize();
      throw unsupported_error("septum.train.1",
                              "epoch " + std::to_string(at.epoch + 1) + ", batch " +
                                  std::to_string(stopped + 1) +
                                  ": the loss or its gradient is not finite; lower the learning "
                                  "rate or check the images");
    }
    sums_ += {totals[0], totals[1], static_cast<std::int64_t>(totals[2]),
              static_cast<std::int64_t>(totals[3])};
    ++finished_;
  }

  template <class Validation>
  void finish_epoch(state& at, std::ptrdiff_t batches, Validation& validation) {
    auto const begin = clock::now();
    download(at);
    detail::close_epoch(at, schedule_.rate_of(at.epoch, 0, batches),
                        detail::l2_penalty(parameter_slices<S>(), at.parameters, schedule_.l2),
                        validation, begin, [&] { return evaluate(at.parameters, validation); });
    queued_ = finished_ = 0;
    sums_ = {};
    seconds_ = 0.0;
    lap_ = clock::now();
  }

  template <class Validation>
  loss_sums evaluate(std::span<float const> parameters, Validation& validation) {
    constexpr int classes = base_stack_t<S>::output.channels;
    auto const& api = contexts_->api();
    int const batch = validation.options().batch_size;
    int const side = validation.options().window;
    reserve_input(batch, side);
    validation_net_.prepare(api, batch, side, side);
    auto const folded =
        validation_net_.upload(contexts_->stream(), fold_batch_norm<S, float>(parameters));
    auto const values = static_cast<std::size_t>(batch * classes);
    device_memory<float> const out{api, values};
    std::vector<float> found(values);
    loss_sums sums;
    validation.start(0);
    for (std::ptrdiff_t index = 0; index < validation.batches_per_epoch(); ++index) {
      // The last batch may be short: what is behind it in the buffer is computed and not counted.
      int const count = validation.count(index);
      validation.gather(index, input(count, side), classes_.values().block({0}, {count}));
      validation_net_.forward(folded.values(), input(batch, side),
                              {out.data(), {batch, 1, 1, classes}});
      copy(contexts_->stream(), view<float const, 1, device_space>{out.values()},
           view<float, 1>{found.data(), {std::ssize(found)}});
      contexts_->stream().synchronize();
      auto const truth = validation.classes(index);
      for (std::size_t i = 0; i < truth.size(); ++i) {
        float const* const row = found.data() + i * classes;
        auto const best = std::max_element(row, row + classes) - row;
        double const p = std::clamp(static_cast<double>(row[truth[i]]), 1e-7, 1.0 - 1e-7);
        double const weight =
            schedule_.class_weights.empty() ? 1.0 : schedule_.class_weights[truth[i]];
        sums += {-weight * std::log(p), weight, best == truth[i] ? 1 : 0, 1};
      }
    }
    return sums;
  }

  device_contexts<B>* contexts_;
  training_schedule schedule_;
  O optimizer_;
  detail::device_gradient gradient_of_;
  device_network<float> validation_net_;
  detail::device_layout layout_;
  std::vector<batch_slot> slots_;
  device_memory<float> parameters_, gradient_, memory_, input_;
  device_memory<parameter_rule> rules_;
  device_memory<double> class_weights_, totals_;
  device_memory<step_inputs> inputs_;
  device_memory<std::uint8_t> classes_, found_, stop_;
  struct addresses {
    void const* scratch;
    void const* input;
    friend bool operator==(addresses const&, addresses const&) = default;
  };
  recorded_work recorded_;
  addresses recorded_with_{};
  // Where the run stands: batches of the epoch that are queued and finished, and what they gave.
  std::ptrdiff_t queued_ = 0;
  std::ptrdiff_t finished_ = 0;
  std::int64_t updates_ = 0;
  std::int64_t patches_ = 0;
  loss_sums sums_{};
  double seconds_ = 0.0;
  clock::time_point lap_{};
  clock::time_point last_download_{};
};

}  // namespace septum::inline SEPTUM_ABI
