#include <support/types.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <septum/net/ensemble.hpp>
#include <septum/sample/crops.hpp>
#include <septum/sample/label_maps.hpp>
#include <septum/train/trainer.hpp>
#include <stdexcept>
#include <vector>

#include "../support/gradient_check.hpp"

namespace sp = septum;

namespace {

// Two pools, even and odd windows, batch norm and dropout.
struct small_net : sp::stack<sp::input<2>, sp::conv<3, 4>, sp::batch_norm, sp::relu,
                             sp::max_pool<2>, sp::conv<4, 3>, sp::relu, sp::max_pool<2>,
                             sp::conv<5, 2>, sp::batch_norm, sp::relu, sp::dropout<30>,
                             sp::dense<6>, sp::batch_norm, sp::relu, sp::dense<3>, sp::softmax> {};
using dense_net = sp::fully_convolutional_t<small_net>;
constexpr int field = small_net::receptive_field;

// Two crops of side x side outputs, some of them without a class.
struct crops {
  int side;
  std::vector<double> parameters = sp::he_normal<small_net, double>({3, 1});
  std::vector<double> pixels;
  std::vector<std::uint8_t> labels;

  explicit crops(int outputs) : side{outputs} {
    sp::counter_rng const rng{11, 4};
    for (auto const& slice : sp::parameter_slices<small_net>())
      if (slice.role != sp::parameter_role::weight)
        for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i)
          parameters[i] += 0.3 * rng.uniform(1000 + i);
    int const seen = side + field - 1;
    pixels.resize(static_cast<std::size_t>(2 * seen * seen * 2));
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = rng.normal(i);
    labels.resize(static_cast<std::size_t>(2 * side * side));
    for (std::size_t i = 0; i < labels.size(); ++i) {
      auto const drawn = rng.below(5000 + i, 5);
      labels[i] = drawn < 3 ? static_cast<std::uint8_t>(drawn) : sp::ignored_label;
    }
  }
  [[nodiscard]] sp::loss_sums evaluate(std::vector<double> const& at,
                                       std::vector<double>& gradient) const {
    static std::vector<double> const weights{0.4, 2.0, 1.1};
    int const seen = side + field - 1;
    sp::gradient_net<dense_net, sp::reference, double> net;
    gradient.assign(at.size(), 0.0);
    return net(at, {pixels.data(), {2, seen, seen, 2}}, labels, sp::cross_entropy{weights},
               gradient, {21, sp::stream::dropout});
  }
};

// A blob per class: bright, dark, or neither.
struct scene {
  sp::image pixels = sp::image::from_shape({70, 64, 2});
  sp::mask classes = sp::mask::from_shape({70, 64});

  scene() {
    sp::counter_rng const rng{5, 1};
    for (std::size_t r = 0; r < 70; ++r)
      for (std::size_t c = 0; c < 64; ++c) {
        bool const bright = (r / 9 + c / 9) % 4 == 0;
        bool const dark = (r / 9 + c / 9) % 4 == 2;
        classes(r, c) = static_cast<std::uint8_t>(bright ? 0 : dark ? 1 : 2);
        for (std::size_t k = 0; k < 2; ++k)
          pixels(r, c, k) = static_cast<float>((bright ? 1.0
                                                : dark ? -1.0
                                                       : 0.0) +
                                               0.4 * rng.normal((r * 64 + c) * 2 + k));
      }
  }
  [[nodiscard]] sp::crop_batches batches(int per_epoch) const {
    return {{sp::as_view(pixels)},
            {sp::as_view(classes)},
            {.window = field, .side = 11, .batches_per_epoch = per_epoch, .seed = 2}};
  }
  [[nodiscard]] sp::crop_batches grid() const {
    std::vector<sp::view<std::uint8_t const, 2>> const maps{sp::as_view(classes)};
    return sp::crop_batches::fixed({sp::as_view(pixels)}, maps, sp::crop_grid(maps, field, 11, 6),
                                   {.window = field, .side = 11, .batch_size = 4});
  }
};

sp::training_schedule const short_run{.epochs = 4,
                                      .rate = 0.05,
                                      .cycle = sp::one_cycle{},
                                      .class_weights = {1.0, 1.0, 0.5},
                                      .statistics_momentum = 0.8,
                                      .seed = 9};

auto const ignore = [](auto const&) {};

}  // namespace

BOOST_AUTO_TEST_SUITE(dense_training)

BOOST_AUTO_TEST_CASE(gradient_equals_central_differences) {
  crops const given{3};
  std::vector<double> gradient;
  std::vector<double> unused;
  auto const sums = given.evaluate(given.parameters, gradient);
  BOOST_TEST(sums.count == std::count_if(given.labels.begin(), given.labels.end(),
                                         [](auto label) { return label < 3; }));
  BOOST_TEST(sums.count < std::ssize(given.labels));
  compare_with_central_differences<small_net>(given.parameters, gradient, [&](auto const& moved) {
    return given.evaluate(moved, unused).mean();
  });
}

BOOST_AUTO_TEST_CASE(a_crop_of_one_output_is_a_patch) {
  crops given{1};
  given.labels = {2, 0};
  std::vector<double> dense;
  std::vector<double> patch(given.parameters.size());
  auto const sums = given.evaluate(given.parameters, dense);
  sp::gradient_net<small_net, sp::reference, double> net;
  std::vector<double> const weights{0.4, 2.0, 1.1};
  auto const expected =
      net(given.parameters, {given.pixels.data(), {2, field, field, 2}}, given.labels,
          sp::cross_entropy{weights}, patch, {21, sp::stream::dropout});
  BOOST_TEST(sums.loss == expected.loss, boost::test_tools::tolerance(1e-12));
  for (std::size_t i = 0; i < patch.size(); ++i) BOOST_REQUIRE_SMALL(dense[i] - patch[i], 1e-12);
}

BOOST_AUTO_TEST_CASE(learns_and_gives_the_patch_nets_parameters) {
  scene const data;
  auto training = data.batches(30);
  auto validation = data.grid();
  sp::dense_trainer<small_net, sp::reference> trainer{short_run};
  auto state = trainer.start();
  auto const untrained = trainer.evaluate(state.parameters, validation);
  trainer.run(state, training, validation, ignore, ignore);
  BOOST_TEST(state.history.size() == 4U);
  BOOST_TEST(state.history.back().validation_loss < 0.7 * untrained.mean());
  BOOST_TEST(state.history.back().validation_accuracy > 0.6);
  BOOST_TEST(state.history[0].patches == 30 * 121);
  BOOST_TEST(state.history[0].rate == 0.05 * 0.04, boost::test_tools::tolerance(1e-12));
  // The parameters serve both forms: frame and patches agree at every pixel.
  sp::ensemble<small_net, sp::reference> frame{{state.best_parameters}};
  auto const map = frame.predict(data.pixels);
  sp::net<sp::base_stack_t<small_net>, sp::reference> patch;
  patch.prepare(1, field, field);
  auto const packed = patch.pack(state.best_parameters);
  for (std::size_t r = 0; r + field <= 70; r += 5)
    for (std::size_t c = 0; c + field <= 64; c += 7) {
      std::vector<float> window;
      for (std::size_t i = 0; i < field; ++i)
        for (std::size_t j = 0; j < field; ++j)
          for (std::size_t k = 0; k < 2; ++k) window.push_back(data.pixels(r + i, c + j, k));
      std::vector<float> single(3);
      patch.forward(packed, {window.data(), {1, field, field, 2}}, {single.data(), {1, 1, 1, 3}});
      for (std::size_t k = 0; k < 3; ++k)
        BOOST_REQUIRE_SMALL(map(r + field / 2, c + field / 2, k) - single[k], 1e-5F);
    }
}

BOOST_AUTO_TEST_CASE(a_stopped_run_resumes_to_the_same_bytes) {
  scene const data;
  auto training = data.batches(5);
  auto validation = data.grid();
  sp::dense_trainer<small_net, sp::reference> whole{short_run};
  auto expected = whole.start();
  whole.run(expected, training, validation, ignore, ignore);
  for (int const stop_after : {1, 4, 5, 6, 17}) {
    auto state = whole.start();
    int batches = 0;
    auto const stop = [&](sp::training_progress const&) {
      if (++batches == stop_after) throw std::runtime_error{"stop"};
    };
    sp::dense_trainer<small_net, sp::reference> first{short_run};
    BOOST_CHECK_THROW(first.run(state, training, validation, stop, ignore), std::runtime_error);
    sp::dense_trainer<small_net, sp::reference> second{short_run};
    second.run(state, training, validation, ignore, ignore);
    BOOST_TEST_CONTEXT("stopped after batch " << stop_after) {
      BOOST_TEST((state.parameters == expected.parameters));
      BOOST_TEST((state.best_parameters == expected.best_parameters));
      BOOST_TEST(state.best_epoch == expected.best_epoch);
      BOOST_TEST(state.history[1].training_loss == expected.history[1].training_loss);
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(threads_do_not_change_a_byte, B, tested_backends) {
  scene const data;
  auto const trained = [&](int threads) {
    auto training = data.batches(6);
    auto validation = data.grid();
    sp::dense_trainer<small_net, B> trainer{short_run, {}, sp::exec::threads{threads}};
    auto state = trainer.start();
    trainer.run(state, training, validation, ignore, ignore);
    return state;
  };
  auto const one = trained(1);
  for (int const threads : {2, 3}) {
    auto const more = trained(threads);
    BOOST_TEST((more.parameters == one.parameters));
    BOOST_TEST((more.best_parameters == one.best_parameters));
    BOOST_TEST(more.best_validation_loss == one.best_validation_loss);
  }
}

BOOST_AUTO_TEST_CASE(one_cycle_goes_up_and_down_by_cosines) {
  sp::one_cycle const cycle{.warm_up = 0.25, .first = 0.2, .last = 0.01};
  auto const close = boost::test_tools::tolerance(1e-12);
  BOOST_TEST(cycle(0.0) == 0.2, close);
  BOOST_TEST(cycle(0.125) == 0.6, close);
  BOOST_TEST(cycle(0.25) == 1.0, close);
  // A third of the way down: (1 + cos 60 degrees) / 2 = 3/4 of the fall is left.
  BOOST_TEST(cycle(0.5) == 0.01 + 0.99 * 0.75, close);
  BOOST_TEST(cycle(1.0) == 0.01, close);
  BOOST_TEST((sp::one_cycle{.warm_up = 0.0, .last = 0.0}(0.5)) == 0.5, close);
  sp::training_schedule const schedule{.epochs = 4, .rate = 2.0, .cycle = cycle};
  BOOST_TEST(schedule.rate_of(0, 5, 10) == 1.2, close);
  BOOST_TEST(schedule.rate_of(2, 0, 10) == 2.0 * cycle(0.5), close);
}

BOOST_AUTO_TEST_SUITE_END()
