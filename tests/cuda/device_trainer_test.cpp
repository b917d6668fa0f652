#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <optional>
#include <septum/backend/reference.hpp>
#include <septum/sample/batches.hpp>
#include <septum/sample/device_batches.hpp>
#include <septum/train/device_trainer.hpp>
#include <septum/train/trainer.hpp>
#include <vector>

#include "../support/device_layer_run.hpp"
#include "../support/host_gpu.hpp"

namespace {

namespace sp = septum;

// Field of 7 pixels; every kind of layer that trains.
struct small_net : sp::stack<sp::input<2>, sp::conv<4, 2>, sp::batch_norm, sp::relu,
                             sp::max_pool<2>, sp::conv<6, 3>, sp::relu, sp::dropout<25>,
                             sp::dense<5>, sp::batch_norm, sp::relu, sp::dense<3>, sp::softmax> {};
static_assert(small_net::receptive_field == 7);

// Without batch normalisation, behind which gradients of biases are nothing but rounding, whose
// sign alone decides rmsprop's step.
struct plain_net
    : sp::stack<sp::input<2>, sp::conv<4, 2>, sp::relu, sp::max_pool<2>, sp::conv<6, 3>, sp::relu,
                sp::dense<5>, sp::relu, sp::dense<3>, sp::softmax> {};

struct problem {
  std::vector<float> pixels[2];
  std::vector<sp::view<float const, 3>> images;
  std::vector<sp::patch_index> patches;

  problem() {
    sp::counter_rng const random{3, 1};
    std::uint64_t draw = 0;
    std::ptrdiff_t const extents[2][2] = {{15, 19}, {22, 12}};
    for (std::size_t k = 0; k < 2; ++k) {
      pixels[k].resize(static_cast<std::size_t>(extents[k][0] * extents[k][1] * 2));
      for (float& value : pixels[k]) value = static_cast<float>(random.normal(draw++));
      images.push_back({pixels[k].data(), {extents[k][0], extents[k][1], 2}});
    }
    for (int k = 0; k < 41; ++k) {
      auto const image = static_cast<std::int32_t>(random.below(draw++, 2));
      auto const row = 3 + random.below(draw++, static_cast<std::uint64_t>(extents[image][0]) - 6);
      auto const column =
          3 + random.below(draw++, static_cast<std::uint64_t>(extents[image][1]) - 6);
      auto const label = random.below(draw++, 3);
      patches.push_back({image, static_cast<std::int32_t>(row), static_cast<std::int32_t>(column),
                         static_cast<std::uint8_t>(label)});
    }
  }
  [[nodiscard]] sp::batch_options training() const {
    return {.window = 7, .batch_size = 12, .seed = 4};
  }
  [[nodiscard]] sp::batch_options validation() const {
    return {.window = 7, .batch_size = 16, .shuffle = false, .augment = false};
  }
  [[nodiscard]] std::vector<sp::patch_index> some() const {
    return {patches.begin(), patches.begin() + 21};
  }
};

sp::training_schedule short_schedule() {
  return {.epochs = 3, .rate = 0.02, .l2 = 1e-3, .class_weights = {0.5, 1.5, 1.0}, .seed = 11};
}

// What makes a device with its data for one test.
struct gpu_training {
  explicit gpu_training(problem const& of, host_device::order when = host_device::order::late)
      : gpu{when}, given{of} {}

  template <sp::Stack Net = small_net, sp::Optimizer O, class OnBatch, class OnEpoch>
  void run(O optimizer, sp::training_schedule const& schedule, sp::training_state<O>& state,
           OnBatch const& on_batch, OnEpoch const& on_epoch) {
    sp::device_contexts<sp::cudnn> contexts{gpu.libraries()};
    static unsigned char const image[1] = {0};
    sp::kernel_library kernels{contexts.api(), image};
    sp::device_patch_batches training{contexts.stream(), kernels, given.images, given.patches,
                                      given.training()};
    sp::device_patch_batches validation{contexts.stream(), kernels, given.images, given.some(),
                                        given.validation()};
    sp::device_trainer<Net, sp::cudnn, O> trainer{contexts, schedule, optimizer};
    if (state.parameters.empty()) state = trainer.start();
    trainer.run(state, training, validation, on_batch, on_epoch);
  }
  host_gpu gpu;
  problem const& given;
};

template <sp::Stack Net, sp::Optimizer O>
sp::training_state<O> train_on_host(problem const& given, O optimizer,
                                    sp::training_schedule const& schedule) {
  sp::patch_batches training{given.images, given.patches, given.training()};
  sp::patch_batches validation{given.images, given.some(), given.validation()};
  sp::trainer<Net, sp::reference, O> trainer{schedule, optimizer};
  auto state = trainer.start();
  trainer.run(
      state, training, validation, [](auto const&) {}, [](auto const&) {});
  return state;
}

double largest_distance(std::vector<float> const& a, std::vector<float> const& b) {
  if (a.size() != b.size()) return 1e9;
  double most = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double const difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= most)) most = difference;
  }
  return most;
}

template <sp::Stack Net, sp::Optimizer O>
void check_equal_training(O optimizer) {
  problem const given;
  auto const wanted = train_on_host<Net>(given, optimizer, short_schedule());
  sp::training_state<O> found;
  gpu_training device{given};
  std::vector<std::ptrdiff_t> seen;
  device.run<Net>(
      optimizer, short_schedule(), found,
      [&](sp::training_progress const& now) { seen.push_back(now.batch); }, [](auto const&) {});
  // Twelve steps: sums in another order, which batch normalisation and the steps carry on.
  BOOST_TEST(largest_distance(found.parameters, wanted.parameters) < 2e-4);
  BOOST_TEST(largest_distance(found.best_parameters, wanted.best_parameters) < 2e-4);
  BOOST_TEST(found.optimizer.updates == wanted.optimizer.updates);
  BOOST_TEST(seen == (std::vector<std::ptrdiff_t>{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}),
             boost::test_tools::per_element());
  BOOST_TEST_REQUIRE(found.history.size() == wanted.history.size());
  for (std::size_t k = 0; k < wanted.history.size(); ++k) {
    BOOST_TEST(std::abs(found.history[k].training_loss - wanted.history[k].training_loss) < 1e-4);
    BOOST_TEST(std::abs(found.history[k].validation_loss - wanted.history[k].validation_loss) <
               1e-4);
    BOOST_TEST(found.history[k].training_accuracy == wanted.history[k].training_accuracy);
    BOOST_TEST(found.history[k].patches == wanted.history[k].patches);
    BOOST_TEST(found.history[k].rate == wanted.history[k].rate);
  }
  BOOST_TEST(device.gpu.clean());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(device_training)

BOOST_AUTO_TEST_CASE(batches_are_those_of_the_host_byte_by_byte) {
  problem const given;
  for (bool const augment : {false, true}) {
    auto options = given.training();
    options.augment = augment;
    sp::patch_batches host{given.images, given.patches, options};
    host_gpu gpu{host_device::order::late};
    auto const libraries = gpu.libraries();
    sp::cuda_stream const stream{*libraries.cuda};
    sp::kernel_library kernels{*libraries.cuda, libraries.kernels};
    sp::device_patch_batches device{stream, kernels, given.images, given.patches, options};
    BOOST_TEST(device.batches_per_epoch() == 4);
    sp::device_memory<float> const maps{*libraries.cuda, 12 * 7 * 7 * 2};
    sp::device_memory<std::uint8_t> const classes{*libraries.cuda, 12};
    for (int const epoch : {0, 1, 5}) {
      device.start(epoch);
      for (auto const& batch : host.epoch(epoch)) {
        auto const count = batch.patches.extent(0);
        BOOST_TEST(device.count(batch.index) == count);
        device.gather(batch.index, {maps.data(), {count, 7, 7, 2}},
                      classes.values().block({0}, {count}));
        auto const found = download(stream, maps);
        auto const labels = download(stream, classes);
        BOOST_TEST(std::equal(batch.patches.data(), batch.patches.data() + batch.patches.size(),
                              found.begin()));
        BOOST_TEST(std::equal(batch.labels.begin(), batch.labels.end(), labels.begin()));
        auto const on_host = device.classes(batch.index);
        BOOST_TEST(on_host == std::vector<std::uint8_t>(batch.labels.begin(), batch.labels.end()),
                   boost::test_tools::per_element());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(sgd_trains_as_on_the_host) {
  check_equal_training<small_net>(sp::sgd{.momentum = 0.9, .decay = 1e-3});
}
BOOST_AUTO_TEST_CASE(plain_momentum_trains_as_on_the_host) {
  check_equal_training<small_net>(sp::sgd{.momentum = 0.5, .nesterov = false});
}
BOOST_AUTO_TEST_CASE(rmsprop_trains_as_on_the_host) {
  check_equal_training<plain_net>(sp::rmsprop{});
}

BOOST_AUTO_TEST_CASE(a_run_that_is_stopped_and_resumed_gives_the_same_bytes) {
  problem const given;
  sp::training_state<sp::sgd> whole;
  gpu_training{given, host_device::order::eager}.run(
      sp::sgd{}, short_schedule(), whole, [](auto const&) {}, [](auto const&) {});
  struct stop {};
  for (int const after : {1, 3, 4, 5, 9}) {
    sp::training_state<sp::sgd> state;
    gpu_training device{given};
    int batches = 0;
    BOOST_CHECK_THROW(device.run(
                          sp::sgd{}, short_schedule(), state,
                          [&](auto const&) {
                            if (++batches == after) throw stop{};
                          },
                          [](auto const&) {}),
                      stop);
    // What was queued when the callback threw is done and counted.
    BOOST_TEST(state.epoch * 4 + state.batch >= after);
    BOOST_TEST(state.optimizer.updates == state.epoch * 4 + state.batch);
    BOOST_TEST(device.gpu.clean());
    device.run(
        sp::sgd{}, short_schedule(), state, [](auto const&) {}, [](auto const&) {});
    BOOST_TEST((state.parameters == whole.parameters));
    BOOST_TEST(state.history.back().training_loss == whole.history.back().training_loss);
  }
}

BOOST_AUTO_TEST_CASE(a_step_that_would_spoil_the_parameters_is_not_taken) {
  problem given;
  given.pixels[1][100] = std::numeric_limits<float>::infinity();
  sp::training_state<sp::sgd> state;
  gpu_training device{given};
  BOOST_CHECK_EXCEPTION(
      device.run(
          sp::sgd{}, short_schedule(), state, [](auto const&) {}, [](auto const&) {}),
      sp::unsupported_error, [](auto const& failure) { return failure.id() == "septum.train.1"; });
  for (float const value : state.parameters) BOOST_TEST(std::isfinite(value));
  BOOST_TEST(state.optimizer.updates == state.batch);
  BOOST_TEST(device.gpu.clean());
}

BOOST_AUTO_TEST_CASE(every_call_that_fails_is_reported_and_nothing_stays_behind) {
  problem const given;
  auto schedule = short_schedule();
  schedule.epochs = 1;
  schedule.batches_per_epoch = 2;
  int calls = 0;
  {
    sp::training_state<sp::sgd> state;
    gpu_training device{given};
    device.run(
        sp::sgd{}, schedule, state, [](auto const&) {}, [](auto const&) {});
    calls = device.gpu.device.calls;
  }
  BOOST_TEST(calls > 500);
  int reported = 0;
  // Every call of the beginning, where things are made, then every seventh.
  for (int k = 1; k <= calls; k += k < 120 ? 1 : 7) {
    sp::training_state<sp::sgd> state;
    gpu_training device{given};
    device.gpu.device.fail_at = k;
    BOOST_TEST_CONTEXT("call " << k) {
      try {
        device.run(
            sp::sgd{}, schedule, state, [](auto const&) {}, [](auto const&) {});
      } catch (sp::device_error const&) {
        ++reported;
      }
      BOOST_TEST(device.gpu.clean());
      for (float const value : state.parameters)
        if (!std::isfinite(value)) BOOST_TEST_REQUIRE(false, "parameters are spoiled");
    }
  }
  BOOST_TEST(reported > 50);
}

BOOST_AUTO_TEST_SUITE_END()
