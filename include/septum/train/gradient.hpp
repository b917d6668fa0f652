#pragma once
#include <septum/core/rng.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/net/layer_executor.hpp>
#include <septum/net/map_scalars.hpp>
#include <septum/nn/transform.hpp>
#include <septum/train/loss.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Forward and backward pass of a net in training, whatever its type: batch statistics, dropout,
/// and the gradient of the mean cross-entropy with respect to every parameter. Belongs to one
/// thread. Made by gradient_net<>, which see.
template <class T>
class gradient_network {
 public:
  explicit gradient_network(detail::layer_assembly<T> assembly) : assembly_{std::move(assembly)} {}

  /// Loss of one batch and its gradient.
  /// @param parameters flat blob of the net
  /// @param x          batch, row, column, channel; contiguous
  /// @param targets    class of every output (batch, row, column), 255 to ignore it; or those and
  ///                   soft targets
  /// @param gradient   receives d(mean loss)/d(parameter); in the slots of running statistics the
  ///                   batch's own statistics
  /// @param step       source of dropout's random numbers in this step
  loss_sums operator()(std::span<T const> parameters, view<T const, 4> x,
                       output_targets const& targets, cross_entropy const& loss,
                       std::span<T> gradient, counter_rng step) {
    auto& run = prepared(static_cast<int>(x.extent(0)), static_cast<int>(x.extent(1)),
                         static_cast<int>(x.extent(2)));
    pack(run, parameters);
    forward(run, x, step);
    std::size_t const last = run.layers.size() - 1;
    auto const& out = run.rows[last].out;
    auto const sums = loss.template operator()<T>(
        map_behind(run, last, maps_[last], out).template as<T>(), targets,
        map_behind(run, last, gradients_[last % 2], out).template as<T>());
    backward(run, x, gradient);
    return sums;
  }

  /// Bytes of the maps, of their gradients and of scratch for a batch of inputs of height x width
  /// pixels: most of what a step of training takes.
  [[nodiscard]] std::size_t buffer_bytes(int batch, int height, int width) const {
    auto const rows = assembly_.rows(height, width);
    auto const layers = assembly_.make_layers();
    auto const problems = problems_of(layers, rows, batch);
    std::size_t values = 0;
    std::size_t scratch = 0;
    std::array<std::size_t, 2> gradients{};
    for (std::size_t k = 0; k < rows.size(); ++k) {
      values += rows[k].out.size();
      gradients[k % 2] = std::max(gradients[k % 2], rows[k].out.size());
      scratch = std::max(scratch, layers[k].executor->scratch_bytes(problems[k]));
    }
    return (values + gradients[0] + gradients[1]) * static_cast<std::size_t>(batch) * sizeof(T) +
           scratch;
  }

 private:
  struct prepared_batch {
    int batch = 0;
    std::vector<layer_row> rows;
    std::vector<detail::layer_entry<T>> layers;
    detail::map_scalars<T> scalars;
    std::vector<std::shared_ptr<void const>> packed;

    [[nodiscard]] detail::layer_executor<T>& executor(std::size_t k) const {
      return scalars.executor(layers, k);
    }
  };

  [[nodiscard]] std::vector<layer_problem> problems_of(
      std::span<detail::layer_entry<T> const> layers, std::span<layer_row const> rows,
      int batch) const {
    std::vector<layer_problem> problems;
    for (std::size_t k = 0; k < layers.size(); ++k) {
      problems.push_back(
          detail::make_problem(rows[k], layers[k].relu, layers[k].dropout_rate, batch));
      problems.back().training = true;
      problems.back().convolution = assembly_.convolution;
      problems.back().input_gradient = k > 0;
    }
    return problems;
  }

  // The last batch of an epoch is smaller than the others, so plans are kept per extent.
  prepared_batch& prepared(int batch, int height, int width) {
    auto const [found, inserted] = runs_.try_emplace(std::array{batch, height, width});
    auto& run = found->second;
    if (!inserted) return run;
    run.batch = batch;
    run.rows = assembly_.rows(height, width);
    run.layers = assembly_.make_layers();
    run.packed.resize(run.layers.size());
    maps_.resize(run.layers.size());
    auto problems = problems_of(run.layers, run.rows, batch);
    run.scalars = {run.layers, problems, assembly_.precision};
    for (std::size_t k = 0; k < run.layers.size(); ++k) {
      problems[k].in_scalar = run.scalars.in(k);
      problems[k].out_scalar = run.scalars.out(k);
      run.executor(k).prepare(problems[k]);
      auto const bytes =
          run.rows[k].out.size() * static_cast<std::size_t>(batch) * bytes_of(run.scalars.out(k));
      maps_[k].reserve(bytes);
      gradients_[k % 2].reserve(bytes);
    }
    return run;
  }

  void pack(prepared_batch& run, std::span<T const> parameters) {
    SEPTUM_EXPECTS(parameters.size() == assembly_.parameter_count,
                   weights_error("septum.train.4",
                                 std::to_string(parameters.size()) + " parameters for a net of " +
                                     std::to_string(assembly_.parameter_count),
                                 fault::internal));
    for (std::size_t k = 0; k < run.layers.size(); ++k)
      run.packed[k] =
          run.executor(k).pack(parameters.subspan(run.rows[k].offset, run.rows[k].count));
  }

  void forward(prepared_batch& run, view<T const, 4> x, counter_rng step) {
    for (std::size_t k = 0; k < run.layers.size(); ++k)
      run.executor(k).forward_train(run.packed[k].get(), input_of(run, k, x),
                                    map_behind(run, k, maps_[k], run.rows[k].out), step.fork(k));
  }

  void backward(prepared_batch& run, view<T const, 4> x, std::span<T> gradient) {
    for (std::size_t k = run.layers.size(); k-- > 0;) {
      auto const& row = run.rows[k];
      auto const dx =
          k > 0 ? map_behind(run, k - 1, gradients_[(k - 1) % 2], row.in) : layer_map{view<T, 4>{}};
      run.executor(k).backward(run.packed[k].get(), input_of(run, k, x),
                               map_behind(run, k, maps_[k], row.out),
                               map_behind(run, k, gradients_[k % 2], row.out), dx,
                               gradient.subspan(row.offset, row.count));
    }
  }

  const_layer_map input_of(prepared_batch const& run, std::size_t k, view<T const, 4> x) const {
    if (k == 0) return x;
    return map_behind(run, k - 1, maps_[k - 1], run.rows[k].in);
  }
  // The map behind a layer, or its gradient.
  layer_map map_behind(prepared_batch const& run, std::size_t layer,
                       buffer<std::byte> const& memory, shape extent) const {
    return {memory.data(),
            {run.batch, extent.height, extent.width, extent.channels},
            run.scalars.out(layer)};
  }

  detail::layer_assembly<T> assembly_;
  std::map<std::array<int, 3>, prepared_batch> runs_;
  std::vector<buffer<std::byte>> maps_;
  std::array<buffer<std::byte>, 2> gradients_{};
};

/// Training passes of a stack with its layers' kernels looked up by traits at compile time.
/// @tparam S a net that ends in softmax, in its patch form or fully convolutional
template <Stack S, Backend B, class T = float>
class gradient_net : public gradient_network<T> {
  static_assert(diagnostic::stack_ends_in_softmax<ends_in_softmax_v<S>, S>::ok);

 public:
  static constexpr std::size_t parameter_count = base_stack_t<S>::parameter_count;

  /// @throws unsupported_error from the first step when B has no kernels for the precision
  explicit gradient_net(exec::threads threads = {}, host_precision precision = host_precision::f32,
                        convolution_algorithm convolution = convolution_algorithm::automatic)
      : gradient_network<T>{
            detail::assemble<training_t<S>, B, T, true>(threads, convolution, precision)} {}
};

}  // namespace septum::inline SEPTUM_ABI
