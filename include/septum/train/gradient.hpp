#pragma once
#include <septum/backend/problem.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/net/net.hpp>
#include <septum/train/loss.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <utility>

namespace septum::inline SEPTUM_ABI {

/// Forward and backward pass of a net in training: batch statistics, dropout, and the gradient of
/// the mean cross-entropy with respect to every parameter. Belongs to one thread.
/// @tparam S a net that ends in softmax, in its patch form or fully convolutional
template <Stack S, Backend B, class T = float>
class gradient_net {
  static_assert(diagnostic::stack_ends_in_softmax<ends_in_softmax_v<S>, S>::ok);
  using form = training_t<S>;
  using kernels = typename form::template apply<detail::kernels_of<B, T>::template apply>;
  static constexpr std::size_t depth = static_cast<std::size_t>(form::depth);
  template <std::size_t I>
  using layer_at = std::tuple_element_t<I, typename kernels::layers>;
  template <std::size_t I>
  using kernel_at = std::tuple_element_t<I, typename kernels::kernels>;
  template <std::size_t I>
  using backend_at = std::tuple_element_t<I, typename kernels::backends>;

  template <class Kernels>
  struct saved_of;
  template <class... Kernels>
  struct saved_of<std::tuple<Kernels...>> {
    using type = std::tuple<typename Kernels::saved...>;
  };

 public:
  static constexpr std::size_t parameter_count = form::parameter_count;

  explicit gradient_net(exec::threads threads = {}) : contexts_{threads} {}

  /// Loss of one batch and its gradient.
  /// @param parameters flat blob of the net
  /// @param x          batch, row, column, channel; contiguous
  /// @param labels     class of every output (batch, row, column), 255 to ignore it
  /// @param gradient   receives d(mean loss)/d(parameter); in the slots of running statistics the
  ///                   batch's own statistics
  /// @param step       source of dropout's random numbers in this step
  loss_sums operator()(std::span<T const> parameters, view<T const, 4> x,
                       std::span<std::uint8_t const> labels, cross_entropy const& loss,
                       std::span<T> gradient, counter_rng step) {
    auto& run = prepared(static_cast<int>(x.extent(0)), static_cast<int>(x.extent(1)),
                         static_cast<int>(x.extent(2)));
    pack(run, parameters);
    forward(run, x, step);
    auto const& out = run.rows[depth - 1].out;
    view<T, 4> const slope = map(run, gradients_[(depth - 1) % 2].data(), out);
    auto const sums =
        loss.template operator()<T>(map<T const>(run, maps_[depth - 1].data(), out), labels, slope);
    backward(run, x, gradient);
    return sums;
  }

 private:
  struct prepared_batch {
    int batch = 0;
    std::array<layer_row, depth> rows{};
    typename kernels::plans plans{};
    typename kernels::packs packs{};
    typename saved_of<typename kernels::kernels>::type saved{};
  };

  // The last batch of an epoch is smaller than the others, so plans are kept per extent.
  prepared_batch& prepared(int batch, int height, int width) {
    auto const [found, inserted] = runs_.try_emplace(std::array{batch, height, width});
    auto& run = found->second;
    if (!inserted) return run;
    run.batch = batch;
    run.rows = form::rows(height, width);
    std::array<std::size_t, 2> widest{};
    for_layers([&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
      static_assert(
          diagnostic::backend_trains_this_layer<
              Trains<backend_at<I>, typename layer_at<I>::kind, T>,
              diagnostic::with_backend<backend_at<I>>, diagnostic::the_layer<layer_at<I>>>::ok);
      auto problem = detail::make_problem<layer_at<I>>(run.rows[I], batch);
      problem.training = true;
      problem.input_gradient = I > 0;
      std::get<I>(run.plans) = kernel_at<I>::prepare(context<I>(), problem);
      std::get<I>(run.saved) = kernel_at<I>::make_saved(context<I>(), std::get<I>(run.plans));
      auto const size = run.rows[I].out.size() * static_cast<std::size_t>(batch);
      maps_[I].reserve(size);
      widest[I % 2] = std::max(widest[I % 2], size);
    });
    gradients_[0].reserve(widest[0]);
    gradients_[1].reserve(widest[1]);
    return run;
  }

  void pack(prepared_batch& run, std::span<T const> parameters) {
    SEPTUM_EXPECTS(parameters.size() == parameter_count,
                   weights_error("septum.train.4",
                                 std::to_string(parameters.size()) + " parameters for a net of " +
                                     std::to_string(parameter_count),
                                 fault::internal));
    for_layers([&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
      std::get<I>(run.packs) =
          kernel_at<I>::pack(context<I>(), std::get<I>(run.plans),
                             parameters.subspan(run.rows[I].offset, run.rows[I].count));
    });
  }

  void forward(prepared_batch& run, view<T const, 4> x, counter_rng step) {
    for_layers([&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
      kernel_at<I>::forward_train(context<I>(), std::get<I>(run.plans), std::get<I>(run.packs),
                                  std::get<I>(run.saved), input_map<I>(run, x),
                                  map(run, maps_[I].data(), run.rows[I].out), step.fork(I));
    });
  }

  void backward(prepared_batch& run, view<T const, 4> x, std::span<T> gradient) {
    for_layers([&]<std::size_t Reversed>(std::integral_constant<std::size_t, Reversed>) {
      constexpr std::size_t I = depth - 1 - Reversed;
      auto const& row = run.rows[I];
      view<T, 4> dx{};
      if constexpr (I > 0) dx = map(run, gradients_[(I - 1) % 2].data(), row.in);
      kernel_at<I>::backward(
          context<I>(), std::get<I>(run.plans), std::get<I>(run.packs), std::get<I>(run.saved),
          input_map<I>(run, x), map<T const>(run, maps_[I].data(), row.out),
          map(run, gradients_[I % 2].data(), row.out), dx, gradient.subspan(row.offset, row.count));
    });
  }

  template <std::size_t I>
  view<T const, 4> input_map(prepared_batch const& run, view<T const, 4> x) const {
    if constexpr (I == 0)
      return x;
    else
      return map<T const>(run, maps_[I - 1].data(), run.rows[I].in);
  }
  template <class U>
  view<U, 4> map(prepared_batch const& run, U* data, shape extent) const {
    return {data, {run.batch, extent.height, extent.width, extent.channels}};
  }
  template <class Function>
  void for_layers(Function const& function) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (function(std::integral_constant<std::size_t, I>{}), ...);
    }
    (std::make_index_sequence<depth>{});
  }
  template <std::size_t I>
  auto& context() {
    return contexts_.template get<backend_at<I>>();
  }

  context_chain<B> contexts_;
  std::map<std::array<int, 3>, prepared_batch> runs_;
  std::array<buffer<T>, depth> maps_{};
  std::array<buffer<T>, 2> gradients_{};
};

}  // namespace septum::inline SEPTUM_ABI
