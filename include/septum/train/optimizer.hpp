#pragma once
#include <septum/core/config.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Policy that moves parameters against their gradient. Its per-run memory is the nested `state`,
/// so that a checkpoint can hold it: `slots` of the length of the parameters, and the number of
/// updates done.
template <class O>
concept Optimizer = requires(O const optimizer, typename O::state state,
                             std::span<float> parameters, std::span<float const> gradient) {
  {O::slot_count};
  optimizer.step(state, parameters, gradient, 0.01);
};

namespace detail {
/// Memory of an optimizer: Count vectors as long as the parameters.
template <int Count>
struct optimizer_state {
  std::vector<std::vector<float>> slots;
  std::int64_t updates = 0;

  void resize(std::size_t parameters) {
    slots.resize(static_cast<std::size_t>(Count));
    for (auto& slot : slots) slot.resize(parameters, 0.0F);
  }
};
}  // namespace detail

/// Stochastic gradient descent exactly as Keras 1: eta = rate / (1 + decay * updates);
/// v <- momentum v - eta g; p <- p + v, or with Nesterov p <- p + momentum v - eta g.
struct sgd {
  double momentum = 0.9;
  double decay = 1e-6;
  bool nesterov = true;

  static constexpr int slot_count = 1;
  using state = detail::optimizer_state<slot_count>;

  /// One update in place; `rate` is the epoch's learning rate.
  template <class T>
  void step(state& memory, std::span<T> parameters, std::span<T const> gradient,
            double rate) const {
    memory.resize(parameters.size());
    double const eta = rate / (1.0 + decay * static_cast<double>(memory.updates));
    auto const m = static_cast<float>(momentum);
    auto const e = static_cast<float>(eta);
    auto& velocity = memory.slots[0];
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      float const move = e * static_cast<float>(gradient[i]);
      velocity[i] = m * velocity[i] - move;
      parameters[i] += static_cast<T>(nesterov ? m * velocity[i] - move : velocity[i]);
    }
    ++memory.updates;
  }
};

/// RMSprop exactly as Keras 1: a <- rho a + (1 - rho) g^2; p <- p - rate g / (sqrt(a) + epsilon).
struct rmsprop {
  double rho = 0.9;
  double epsilon = 1e-8;

  static constexpr int slot_count = 1;
  using state = detail::optimizer_state<slot_count>;

  template <class T>
  void step(state& memory, std::span<T> parameters, std::span<T const> gradient,
            double rate) const {
    memory.resize(parameters.size());
    auto const keep = static_cast<float>(rho);
    auto& square = memory.slots[0];
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      auto const g = static_cast<float>(gradient[i]);
      square[i] = keep * square[i] + (1.0F - keep) * g * g;
      parameters[i] -= static_cast<T>(static_cast<float>(rate) * g /
                                      (std::sqrt(square[i]) + static_cast<float>(epsilon)));
    }
    ++memory.updates;
  }
};

}  // namespace septum::inline SEPTUM_ABI
