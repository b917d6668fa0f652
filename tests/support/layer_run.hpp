#pragma once
#include <septum/backend/problem.hpp>
#include <septum/core/rng.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// What one layer computes from given arrays.
template <class T>
struct layer_result {
  std::vector<T> inference;    ///< forward
  std::vector<T> output;       ///< forward_train
  std::vector<T> dx;           ///< backward
  std::vector<T> dparameters;  ///< backward
  friend bool operator==(layer_result const&, layer_result const&) = default;
};

/// Inputs of one layer in double; run_layer converts them.
struct layer_case {
  septum::layer_problem problem;
  std::vector<double> parameters;
  std::vector<double> x;
  std::vector<double> dy;
};

inline std::vector<double> normal_values(std::size_t count, std::uint64_t stream) {
  septum::counter_rng const random{2024, stream};
  std::vector<double> values(count);
  // Rounded to float, so that a float and a double kernel see the same numbers.
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<double>(static_cast<float>(random.normal(i)));
  return values;
}

inline std::vector<float> normal_floats(std::size_t count, std::uint64_t stream) {
  auto const values = normal_values(count, stream);
  return {values.begin(), values.end()};
}

/// Small integers: sums of their products are exact in float.
inline std::vector<double> integer_values(std::size_t count, std::uint64_t stream) {
  septum::counter_rng const random{2025, stream};
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<double>(random.below(i, 9)) - 4.0;
  return values;
}

/// A case for `problem` with values from `fill(count, stream)`.
template <class Fill>
layer_case make_case(septum::layer_problem const& problem, std::size_t parameters,
                     Fill const& fill) {
  auto const batch = static_cast<std::size_t>(problem.batch);
  return {problem, fill(parameters, 1), fill(problem.in.size() * batch, 2),
          fill(problem.out.size() * batch, 3)};
}

/// A convolution whose output has rows x columns pixels.
inline septum::layer_problem conv_problem(int batch, int rows, int columns, int channels,
                                          int filters, int kernel, int dilation, bool relu) {
  septum::window const window{kernel, 1, dilation};
  return {.batch = batch,
          .in = {rows + window.extent() - 1, columns + window.extent() - 1, channels},
          .out = {rows, columns, filters},
          .geometry = window,
          .relu = relu,
          .training = true};
}
inline std::size_t conv_parameters(septum::layer_problem const& problem) {
  auto const side = static_cast<std::size_t>(problem.geometry.kernel);
  return static_cast<std::size_t>(problem.out.channels) *
         (side * side * static_cast<std::size_t>(problem.in.channels) + 1);
}

/// Every pass of kernel<B, Kind, T>; outputs start as NaN, so that a value never written shows.
template <class B, class Kind, class T>
layer_result<T> run_layer(layer_case const& given, int threads = 1,
                          septum::counter_rng step = {7, 8}) {
  using kernel = septum::kernel<B, Kind, T>;
  auto const& problem = given.problem;
  auto const unset = static_cast<T>(NAN);
  auto const converted = [](std::vector<double> const& values) {
    return std::vector<T>(values.begin(), values.end());
  };
  std::vector<T> const parameters = converted(given.parameters);
  std::vector<T> const x = converted(given.x);
  std::vector<T> dy = converted(given.dy);
  std::vector<T> inference(dy.size(), unset);
  std::vector<T> output(dy.size(), unset);
  std::vector<T> dx(problem.input_gradient ? x.size() : 0, unset);
  std::vector<T> dparameters(parameters.size(), unset);
  auto const map = [&]<class U>(U* data, septum::shape s) {
    return septum::view<U, 4>{data, {problem.batch, s.height, s.width, s.channels}};
  };
  auto const in = map(x.data(), problem.in);

  septum::context<B> context{septum::exec::threads{threads}};
  auto const plan = kernel::prepare(context, problem);
  auto const packed = kernel::pack(context, plan, std::span<T const>{parameters});
  kernel::forward(context, plan, packed, in, map(inference.data(), problem.out));
  if (problem.training) {
    auto saved = kernel::make_saved(context, plan);
    kernel::forward_train(context, plan, packed, saved, in, map(output.data(), problem.out), step);
    kernel::backward(context, plan, packed, saved, in,
                     map(static_cast<T const*>(output.data()), problem.out),
                     map(dy.data(), problem.out),
                     problem.input_gradient ? map(dx.data(), problem.in) : septum::view<T, 4>{},
                     std::span<T>{dparameters});
  }
  return {inference, output, dx, dparameters};
}
