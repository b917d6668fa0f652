#pragma once
#include <septum/backend/problem.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/nn/transform.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// One line of a net's report: which backend runs a layer, and the time it has taken so far.
struct layer_report {
  std::string layer;           ///< e.g. "conv 64 3x3 dilation 2 relu"
  std::string_view backend;    ///< the one that was resolved, so that a fallback is never silent
  double seconds = 0.0;        ///< summed over all calls of forward
  double multiply_adds = 0.0;  ///< of one call
};

namespace detail {

template <Backend B, class L, class T>
struct layer_kernel {
  using backend = resolved_backend_t<B, typename L::kind, T>;
  static_assert(
      diagnostic::backend_has_a_kernel<!std::is_void_v<backend>, diagnostic::with_backend<B>,
                                       diagnostic::the_layer<L>, diagnostic::with_scalar<T>>::ok);
  using type = kernel<backend, typename L::kind, T>;
};

template <class L>
constexpr layer_problem make_problem(layer_row const& row, int batch) {
  return {.batch = batch,
          .in = row.in,
          .out = row.out,
          .geometry = row.geometry,
          .relu = applies_relu_v<L>,
          .dropout_rate = dropout_rate_v<L>};
}

template <class L>
std::string describe_layer(layer_row const& row) {
  std::string text{L::name};
  if (row.out.channels != row.in.channels || row.count > 0)
    text += " " + std::to_string(row.out.channels);
  if (row.geometry.kernel > 1) {
    std::string const side = std::to_string(row.geometry.kernel);
    text += " " + side + "x" + side;
  }
  if (row.geometry.dilation > 1) text += " dilation " + std::to_string(row.geometry.dilation);
  if (applies_relu_v<L>) text += " relu";
  return text;
}

template <Backend B, class T>
struct kernels_of {
  template <class... Layers>
  struct apply {
    using plans = std::tuple<typename layer_kernel<B, Layers, T>::type::plan...>;
    using packs = std::tuple<typename layer_kernel<B, Layers, T>::type::packed...>;
    using kernels = std::tuple<typename layer_kernel<B, Layers, T>::type...>;
    using backends = std::tuple<typename layer_kernel<B, Layers, T>::backend...>;
    using layers = std::tuple<Layers...>;
  };
};

}  // namespace detail

/// A stack at run time for inference: plans for one input extent and the two buffers that maps
/// alternate between. Parameters are not part of it: any number of parameter sets, packed with
/// `pack`, run through the same net. Belongs to one thread; forward allocates nothing.
/// @tparam S the form that is to run, e.g. fused_t<fully_convolutional_t<my_net>>
template <Stack S, Backend B, class T = float>
class net {
  using base = base_stack_t<S>;
  using kernels = typename base::template apply<detail::kernels_of<B, T>::template apply>;
  static constexpr std::size_t depth = static_cast<std::size_t>(base::depth);
  template <std::size_t I>
  using layer_at = std::tuple_element_t<I, typename kernels::layers>;
  template <std::size_t I>
  using kernel_at = std::tuple_element_t<I, typename kernels::kernels>;
  template <std::size_t I>
  using backend_at = std::tuple_element_t<I, typename kernels::backends>;

 public:
  /// One parameter set in the kernels' own order; valid for the extent it was packed for.
  using packed = typename kernels::packs;

  explicit net(exec::threads threads = {}) : contexts_{threads} {}

  /// Builds the plans for `batch` inputs of height x width pixels; a no-op when they are built.
  /// @throws shape_error when the input is smaller than the receptive field
  void prepare(int batch, int height, int width) {
    if (plans_ready_ && batch == batch_ && height == height_ && width == width_) return;
    SEPTUM_EXPECTS(height >= base::receptive_field && width >= base::receptive_field && batch > 0,
                   shape_error("septum.net.1",
                               "input of " + std::to_string(height) + "x" + std::to_string(width) +
                                   " pixels is smaller than the receptive field of " +
                                   std::to_string(base::receptive_field) + "x" +
                                   std::to_string(base::receptive_field)));
    plans_ready_ = false;
    rows_ = base::rows(height, width);
    batch_ = batch;
    height_ = height;
    width_ = width;
    each_layer([&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
      std::get<I>(plans_) =
          kernel_at<I>::prepare(context<I>(), detail::make_problem<layer_at<I>>(rows_[I], batch));
    });
    std::array<std::size_t, 2> wanted{};
    for (std::size_t k = 0; k + 1 < depth; ++k)
      wanted[k % 2] =
          std::max(wanted[k % 2], rows_[k].out.size() * static_cast<std::size_t>(batch));
    buffers_[0].reserve(wanted[0]);
    buffers_[1].reserve(wanted[1]);
    plans_ready_ = true;
  }

  /// Brings one parameter set into the order of the prepared kernels.
  /// @throws weights_error when the number of values is not the stack's
  [[nodiscard]] packed pack(std::span<T const> parameters) {
    SEPTUM_EXPECTS(plans_ready_,
                   shape_error("septum.net.2", "pack before prepare", fault::internal));
    SEPTUM_EXPECTS(
        parameters.size() == base::parameter_count,
        weights_error("septum.net.3", "a parameter set has " + std::to_string(parameters.size()) +
                                          " values, the net wants " +
                                          std::to_string(base::parameter_count)));
    return pack_layers(parameters, std::make_index_sequence<depth>{});
  }

  /// x (batch, row, column, channel) -> y (batch, row, column, class); both contiguous.
  void forward(packed const& parameters, view<T const, 4> x, view<T, 4> y) {
    SEPTUM_EXPECTS(
        plans_ready_ && x.extent(0) == batch_ && x.extent(1) == height_ && x.extent(2) == width_ &&
            x.extent(3) == base::input_channels &&
            y.size() == static_cast<std::ptrdiff_t>(rows_[depth - 1].out.size()) * batch_ &&
            x.contiguous() && y.contiguous(),
        shape_error("septum.net.4", "forward with views other than prepared for", fault::internal));
    T const* input = x.data();
    each_layer([&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
      auto const begin = std::chrono::steady_clock::now();
      T* const output = I + 1 == depth ? y.data() : buffers_[I % 2].data();
      kernel_at<I>::forward(context<I>(), std::get<I>(plans_), std::get<I>(parameters),
                            map<T const>(input, rows_[I].in), map<T>(output, rows_[I].out));
      input = output;
      seconds_[I] +=
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    });
  }

  /// Per layer: what it is, who runs it, and for how long so far.
  [[nodiscard]] std::vector<layer_report> report() const {
    std::vector<layer_report> lines;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (lines.push_back(
           {detail::describe_layer<layer_at<I>>(rows_[I]), backend_at<I>::name, seconds_[I],
            static_cast<double>(rows_[I].trainable) * static_cast<double>(rows_[I].out.height) *
                rows_[I].out.width * batch_}),
       ...);
    }
    (std::make_index_sequence<depth>{});
    return lines;
  }

  /// Extent of the output for the prepared input.
  [[nodiscard]] shape output() const { return rows_[depth - 1].out; }
  /// Bytes held for maps.
  [[nodiscard]] std::size_t buffer_bytes() const {
    return buffers_[0].bytes() + buffers_[1].bytes();
  }

 private:
  template <class Function>
  void each_layer(Function const& function) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (function(std::integral_constant<std::size_t, I>{}), ...);
    }
    (std::make_index_sequence<depth>{});
  }
  template <std::size_t... I>
  packed pack_layers(std::span<T const> parameters, std::index_sequence<I...>) {
    return packed{kernel_at<I>::pack(context<I>(), std::get<I>(plans_),
                                     parameters.subspan(rows_[I].offset, rows_[I].count))...};
  }
  template <std::size_t I>
  auto& context() {
    return contexts_.template get<backend_at<I>>();
  }
  template <class U>
  view<U, 4> map(U* data, shape extent) const {
    return {data, {batch_, extent.height, extent.width, extent.channels}};
  }

  context_chain<B> contexts_;
  typename kernels::plans plans_{};
  std::array<layer_row, depth> rows_ = base::patch_rows;
  std::array<double, depth> seconds_{};
  std::array<buffer<T>, 2> buffers_{};
  int batch_ = 0;
  int height_ = 0;
  int width_ = 0;
  bool plans_ready_ = false;
};

}  // namespace septum::inline SEPTUM_ABI
