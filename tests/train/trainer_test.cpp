#include <boost/test/unit_test.hpp>
#include <cmath>
#include <septum/backend/reference.hpp>
#include <septum/train/trainer.hpp>
#include <stdexcept>
#include <vector>

namespace sp = septum;

namespace {

struct tiny_net
    : sp::stack<sp::input<1>, sp::conv<4, 3>, sp::batch_norm, sp::relu, sp::dense<2>, sp::softmax> {
};
using tiny_trainer = sp::trainer<tiny_net, sp::reference>;

// Patches of 3x3: class 1 where the middle column is bright, class 0 where the middle row is.
class bars {
 public:
  struct batch {
    sp::view<float const, 4> patches;
    std::span<std::uint8_t const> labels;
    std::ptrdiff_t index;
  };
  bars(int count, int batch_size, std::uint64_t seed) : batch_size_{batch_size} {
    sp::counter_rng const rng{seed, 8};
    for (int n = 0; n < count; ++n) {
      auto const label = static_cast<std::uint8_t>(rng.bits(static_cast<std::uint64_t>(n)) & 1U);
      labels_.push_back(label);
      for (int i = 0; i < 9; ++i)
        pixels_.push_back(
            static_cast<float>(0.3 * rng.normal(static_cast<std::uint64_t>(100 + 9 * n + i)) +
                               ((label == 1 ? i % 3 == 1 : i / 3 == 1) ? 1.0 : 0.0)));
    }
  }
  [[nodiscard]] std::ptrdiff_t batches_per_epoch() const {
    return (static_cast<std::ptrdiff_t>(labels_.size()) + batch_size_ - 1) / batch_size_;
  }
  [[nodiscard]] std::vector<batch> epoch(int, std::ptrdiff_t first) const {
    std::vector<batch> all;
    for (auto k = first; k < batches_per_epoch(); ++k) {
      auto const from = static_cast<std::size_t>(k * batch_size_);
      auto const size = std::min(static_cast<std::size_t>(batch_size_), labels_.size() - from);
      all.push_back({{pixels_.data() + from * 9, {static_cast<std::ptrdiff_t>(size), 3, 3, 1}},
                     std::span{labels_}.subspan(from, size),
                     k});
    }
    return all;
  }

 private:
  int batch_size_;
  std::vector<float> pixels_;
  std::vector<std::uint8_t> labels_;
};

auto const ignore = [](auto const&) {};

}  // namespace

BOOST_AUTO_TEST_SUITE(trainer)

BOOST_AUTO_TEST_CASE(learns_two_kinds_of_bars) {
  bars training{300, 32, 1};
  bars validation{90, 32, 2};
  tiny_trainer trainer{{.epochs = 8, .seed = 5}};
  auto state = trainer.start();
  trainer.run(state, training, validation, ignore, ignore);
  BOOST_TEST(state.history.size() == 8U);
  BOOST_TEST(state.history.back().validation_accuracy > 0.95);
  BOOST_TEST(state.history.back().validation_loss < 0.5 * state.history.front().validation_loss);
  BOOST_TEST(state.history.back().patches == 300);
  BOOST_TEST(state.history[3].rate == 0.01 * 0.95 * 0.95 * 0.95,
             boost::test_tools::tolerance(1e-12));
  for (auto const& record : state.history)
    BOOST_TEST(state.best_validation_loss <= record.validation_loss);
  auto const again = trainer.evaluate(state.best_parameters, validation);
  BOOST_TEST(again.count == 90);
  auto const best = state.history[static_cast<std::size_t>(state.best_epoch)];
  BOOST_TEST(again.accuracy() == best.validation_accuracy);
}

BOOST_AUTO_TEST_CASE(a_stopped_run_resumes_to_the_same_bytes) {
  bars training{100, 16, 1};
  bars validation{40, 16, 2};
  sp::training_schedule const schedule{.epochs = 3, .seed = 9};
  tiny_trainer whole{schedule};
  auto expected = whole.start();
  whole.run(expected, training, validation, ignore, ignore);
  for (int stop_after : {1, 6, 7, 8, 13}) {
    auto state = tiny_trainer{schedule}.start();
    int batches = 0;
    auto const stop = [&](sp::training_progress const&) {
      if (++batches == stop_after) throw std::runtime_error{"stop"};
    };
    tiny_trainer first{schedule};
    BOOST_CHECK_THROW(first.run(state, training, validation, stop, ignore), std::runtime_error);
    tiny_trainer second{schedule};
    second.run(state, training, validation, ignore, ignore);
    BOOST_TEST_CONTEXT("stopped after batch " << stop_after) {
      BOOST_TEST((state.parameters == expected.parameters));
      BOOST_TEST((state.best_parameters == expected.best_parameters));
      BOOST_TEST(state.history.size() == 3U);
      BOOST_TEST(state.history[0].training_loss == expected.history[0].training_loss);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_diverging_run_stops_before_it_spoils_the_parameters) {
  bars training{64, 16, 1};
  bars validation{16, 16, 2};
  tiny_trainer trainer{{.epochs = 3, .rate = 1e30}};
  auto state = trainer.start();
  try {
    trainer.run(state, training, validation, ignore, ignore);
    BOOST_FAIL("a rate of 1e30 was accepted");
  } catch (sp::error const& failure) {
    BOOST_TEST(failure.id() == "septum.train.1");
    BOOST_TEST(failure.message().find("epoch 1") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(sgd_as_keras_computes_it) {
  // Two steps by hand: rate .1, momentum .9, decay .5; gradients 1 then -2.
  for (bool nesterov : {true, false}) {
    sp::sgd const optimizer{.momentum = 0.9, .decay = 0.5, .nesterov = nesterov};
    sp::sgd::state memory;
    std::vector<float> p{1.0F};
    optimizer.step<float>(memory, p, std::vector<float>{1.0F}, 0.1);
    // v = -.1; p = 1 + .9 * -.1 - .1 = .81, plain: .9
    BOOST_TEST(p[0] == (nesterov ? 0.81F : 0.9F), boost::test_tools::tolerance(1e-6F));
    optimizer.step<float>(memory, p, std::vector<float>{-2.0F}, 0.1);
    // eta = .1 / 1.5; v = -.09 + .133333 = .043333; p += .9 v + .133333, plain: v
    BOOST_TEST(p[0] == (nesterov ? 0.9823333F : 0.9433333F), boost::test_tools::tolerance(1e-6F));
    BOOST_TEST(memory.updates == 2);
  }
}

BOOST_AUTO_TEST_CASE(rmsprop_as_keras_computes_it) {
  sp::rmsprop const optimizer{};
  sp::rmsprop::state memory;
  std::vector<float> p{1.0F};
  optimizer.step<float>(memory, p, std::vector<float>{2.0F}, 0.001);
  // a = .1 * 4 = .4; p = 1 - .001 * 2 / sqrt(.4)
  BOOST_TEST(p[0] == 1.0F - 0.002F / std::sqrt(0.4F), boost::test_tools::tolerance(1e-6F));
}

BOOST_AUTO_TEST_CASE(l2_moves_weights_only) {
  bars training{16, 16, 1};
  bars validation{16, 16, 2};
  tiny_trainer plain{{.epochs = 1, .l2 = 0.0}};
  tiny_trainer decayed{{.epochs = 1, .l2 = 0.5}};
  auto a = plain.start();
  auto b = decayed.start();
  auto const first = a.parameters;
  plain.run(a, training, validation, ignore, ignore);
  decayed.run(b, training, validation, ignore, ignore);
  for (auto const& slice : sp::parameter_slices<tiny_net>())
    for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i) {
      bool const weight = slice.role == sp::parameter_role::weight;
      // Nesterov's first step is -(1 + momentum) * rate * gradient.
      float const expected = a.parameters[i] - (weight ? 1.9F * 0.01F * first[i] : 0.0F);
      BOOST_TEST(std::abs(b.parameters[i] - expected) < 1e-6F);
    }
}

BOOST_AUTO_TEST_SUITE_END()
