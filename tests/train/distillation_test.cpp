// Learning from soft targets: the loss in closed form, its gradient against central differences,
// and a net that learns from another one without a single label.
#include <septum/image/types.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/sample/crops.hpp>
#include <septum/sample/soft_targets.hpp>
#include <septum/train/gradient_parts.hpp>
#include <septum/train/trainer.hpp>
#include <support/types.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "../support/gradient_check.hpp"

namespace sp = septum;

namespace {

struct small_net
    : sp::stack<sp::input<1>, sp::conv<3, 4>, sp::batch_norm, sp::relu, sp::max_pool<2>,
                sp::conv<4, 3>, sp::relu, sp::dense<6>, sp::relu, sp::dense<3>, sp::softmax> {};
// Nothing in it looks across a batch.
struct plain_net : sp::stack<sp::input<1>, sp::conv<3, 4>, sp::relu, sp::max_pool<2>,
                             sp::conv<4, 3>, sp::relu, sp::dense<3>, sp::softmax> {};
constexpr int field = small_net::receptive_field;
static_assert(plain_net::receptive_field <= field);

// Probabilities of three classes per output, different everywhere.
std::vector<float> random_targets(std::size_t outputs, std::uint64_t seed) {
  sp::counter_rng const rng{seed, 6};
  std::vector<float> all;
  for (std::size_t i = 0; i < outputs; ++i) {
    double const a = 0.05 + rng.uniform(3 * i);
    double const b = 0.05 + rng.uniform(3 * i + 1);
    double const c = 0.05 + rng.uniform(3 * i + 2);
    for (double const share : {a, b, c}) all.push_back(static_cast<float>(share / (a + b + c)));
  }
  return all;
}

// Two crops of 3 x 3 outputs; some outputs take no part.
struct crops_with_targets {
  std::vector<double> parameters = sp::he_normal<small_net, double>({3, 1});
  std::vector<double> pixels;
  std::vector<std::uint8_t> labels;
  std::vector<float> targets = random_targets(18, 7);

  crops_with_targets() {
    sp::counter_rng const rng{11, 4};
    constexpr int seen = 3 + field - 1;
    for (std::size_t i = 0; i < 2 * seen * seen; ++i) pixels.push_back(rng.normal(i));
    for (std::size_t i = 0; i < 18; ++i)
      labels.push_back(i % 5 == 4 ? sp::ignored_label : static_cast<std::uint8_t>(i % 3));
  }
  [[nodiscard]] sp::loss_sums evaluate(std::vector<double> const& at,
                                       std::vector<double>& gradient) const {
    static std::vector<double> const weights{0.4, 2.0, 1.1};
    constexpr int seen = 3 + field - 1;
    sp::gradient_net<sp::fully_convolutional_t<small_net>, sp::reference, double> net;
    gradient.assign(at.size(), 0.0);
    return net(at, {pixels.data(), {2, seen, seen, 1}}, {labels, targets},
               sp::cross_entropy{weights}, gradient, {21, sp::stream::dropout});
  }
};

// Stripes of three classes in noise, and a teacher that is right about them.
struct scene {
  sp::image pixels = sp::image::from_shape({60, 64, 1});
  sp::annotation truth{sp::mask::from_shape({60, 64}), {"edge", "interior", "background"}};
  sp::probabilities teacher = sp::probabilities::from_shape({60, 64, 3});

  scene() {
    sp::counter_rng const rng{5, 1};
    for (std::size_t r = 0; r < 60; ++r)
      for (std::size_t c = 0; c < 64; ++c) {
        auto const stripe = c / 8 % 3;
        pixels(r, c, 0) =
            static_cast<float>(static_cast<double>(stripe) - 1.0 + 0.1 * rng.normal(r * 64 + c));
        truth.class_of_pixel(r, c) = sp::annotation::unlabelled;
        for (std::size_t k = 0; k < 3; ++k) teacher(r, c, k) = k == stripe ? 0.8F : 0.1F;
      }
  }
};

struct lesson {
  scene data;
  sp::annotation filled = sp::label_by_teacher(data.truth, data.teacher);
  sp::probabilities targets = sp::soft_targets{}(data.teacher, data.truth);

  [[nodiscard]] sp::crop_batches batches(int per_epoch) const {
    sp::crop_batches all{{sp::as_view(data.pixels)},
                         {sp::as_view(filled.class_of_pixel)},
                         {.window = field,
                          .side = 11,
                          .batches_per_epoch = per_epoch,
                          .warping = {.scale = 0.15, .shear = 0.1},
                          .seed = 2}};
    all.set_targets({sp::as_view(targets)});
    return all;
  }
};

sp::training_schedule const short_run{
    .epochs = 4, .rate = 0.05, .cycle = sp::one_cycle{}, .statistics_momentum = 0.8, .seed = 9};

auto const ignore = [](auto const&) {};

}  // namespace

BOOST_AUTO_TEST_SUITE(distillation)

BOOST_AUTO_TEST_CASE(gradient_equals_central_differences) {
  crops_with_targets const given;
  std::vector<double> gradient;
  std::vector<double> unused;
  BOOST_TEST(given.evaluate(given.parameters, gradient).count == 15);
  compare_with_central_differences<small_net>(given.parameters, gradient, [&](auto const& moved) {
    return given.evaluate(moved, unused).mean();
  });
}

BOOST_AUTO_TEST_CASE(loss_in_closed_form) {
  // Logits (ln 1, ln 2, ln 5): probabilities 1/8, 2/8, 5/8.
  std::vector<double> const logits{std::log(1.0), std::log(2.0), std::log(5.0)};
  std::vector<double> const weights{1.0, 2.0, 4.0};
  std::vector<float> const targets{0.5F, 0.25F, 0.25F};
  std::vector<std::uint8_t> const labels{2};
  std::vector<double> slope(3);
  auto const sums = sp::cross_entropy{weights}.operator()<double>(
      {logits.data(), {1, 1, 1, 3}}, {labels, targets}, {slope.data(), {1, 1, 1, 3}});
  auto const close = boost::test_tools::tolerance(1e-12);
  BOOST_TEST(sums.loss == 0.5 * std::log(8.0) + 0.5 * std::log(4.0) + std::log(1.6), close);
  BOOST_TEST(sums.weight == 2.0, close);
  BOOST_TEST(sums.correct == 1);
  // Weight times p less the weighted target, divided by the weight.
  BOOST_TEST(slope[0] == 0.125 - 0.25, close);
  BOOST_TEST(slope[1] == 0.25 - 0.25, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(slope[2] == 0.625 - 0.5, close);
}

BOOST_AUTO_TEST_CASE(targets_that_are_certain_are_labels) {
  crops_with_targets given;
  std::fill(given.targets.begin(), given.targets.end(), 0.0F);
  for (std::size_t i = 0; i < given.labels.size(); ++i)
    if (given.labels[i] != sp::ignored_label) given.targets[3 * i + given.labels[i]] = 1.0F;
  std::vector<double> soft;
  std::vector<double> hard;
  auto const of_targets = given.evaluate(given.parameters, soft);
  given.targets.clear();
  auto const of_labels = given.evaluate(given.parameters, hard);
  BOOST_TEST(of_targets.loss == of_labels.loss, boost::test_tools::tolerance(1e-13));
  BOOST_TEST(of_targets.weight == of_labels.weight, boost::test_tools::tolerance(1e-13));
  BOOST_TEST(of_targets.correct == of_labels.correct);
  for (std::size_t i = 0; i < soft.size(); ++i) BOOST_REQUIRE_SMALL(soft[i] - hard[i], 1e-13);
  given.targets.resize(5);
  BOOST_CHECK_THROW((void)given.evaluate(given.parameters, soft), sp::shape_error);
}

BOOST_AUTO_TEST_CASE(parts_of_a_batch_take_their_targets_along) {
  constexpr int side = plain_net::receptive_field;
  sp::counter_rng const rng{5, 5};
  std::vector<float> pixels(7 * side * side);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(rng.normal(i));
  std::vector<std::uint8_t> const labels{0, 1, 2, sp::ignored_label, 1, 2, 0};
  auto const targets = random_targets(7, 8);
  sp::view<float const, 4> const x{pixels.data(), {7, side, side, 1}};
  sp::gradient_net<plain_net, sp::reference> gradient_of;
  auto const parameters = sp::he_normal<plain_net>({3, 3});
  std::vector<float> whole(parameters.size());
  auto const expected = gradient_of(parameters, x, {labels, targets}, sp::cross_entropy{}, whole,
                                    sp::counter_rng{1, 1});
  for (int const count : {2, 3}) {
    sp::parted_gradient parted{{.count = count, .first = 0, .last = count}};
    std::vector<float> dealt(parameters.size());
    auto const sums = parted(gradient_of, sp::parameter_slices<plain_net>(), parameters, x,
                             {labels, targets}, sp::cross_entropy{}, dealt, sp::counter_rng{1, 1});
    BOOST_TEST(sums.loss == expected.loss, boost::test_tools::tolerance(1e-6));
    for (std::size_t i = 0; i < whole.size(); ++i) BOOST_REQUIRE_SMALL(dealt[i] - whole[i], 1e-6F);
  }
}

BOOST_AUTO_TEST_CASE(a_net_learns_from_a_teacher_without_labels) {
  lesson const given;
  auto training = given.batches(300);
  auto nothing = sp::crop_batches::fixed({sp::as_view(given.data.pixels)},
                                         {sp::as_view(given.filled.class_of_pixel)}, {},
                                         {.window = field, .side = 11});
  sp::dense_trainer<small_net, sp::reference> trainer{short_run};
  auto state = trainer.start();
  trainer.run(state, training, nothing, ignore, ignore);
  BOOST_TEST(state.history[0].patches > 300 * 100);
  // Certain answers would be worse than the teacher's 0.8, whose own entropy is 0.639.
  BOOST_TEST(state.history.back().training_loss > 0.639);
  BOOST_TEST(state.history.back().training_loss < 0.85);
  sp::ensemble<small_net, sp::reference> student{{state.best_parameters}};
  auto const said = student.predict(given.data.pixels);
  double sum = 0.0;
  std::size_t count = 0;
  for (std::size_t r = field; r + field < 60; ++r)
    for (std::size_t c = field; c + field < 64; ++c, ++count)
      sum += static_cast<double>(said(r, c, c / 8 % 3));
  BOOST_TEST(sum / static_cast<double>(count) > 0.6);
  BOOST_TEST(sum / static_cast<double>(count) < 0.85);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(threads_and_stops_do_not_change_a_byte, B, tested_backends) {
  lesson const given;
  auto nothing = sp::crop_batches::fixed({sp::as_view(given.data.pixels)},
                                         {sp::as_view(given.filled.class_of_pixel)}, {},
                                         {.window = field, .side = 11});
  auto const trained = [&](int threads, int stop_after) {
    auto training = given.batches(15);
    sp::dense_trainer<small_net, B> trainer{short_run, {}, sp::exec::threads{threads}};
    auto state = trainer.start();
    int batches = 0;
    auto const stop = [&](sp::training_progress const&) {
      if (++batches == stop_after) throw std::runtime_error{"stop"};
    };
    try {
      trainer.run(state, training, nothing, stop, ignore);
    } catch (std::runtime_error const&) {
      trainer.run(state, training, nothing, ignore, ignore);
    }
    return state;
  };
  auto const one = trained(1, 0);
  for (auto const& [threads, stop_after] : {std::pair{2, 0}, {3, 7}, {1, 15}}) {
    auto const other = trained(threads, stop_after);
    BOOST_TEST((other.parameters == one.parameters), threads << ", " << stop_after);
    BOOST_TEST((other.best_parameters == one.best_parameters));
  }
}

BOOST_AUTO_TEST_SUITE_END()
