#pragma once
#include <septum/backend/layer_map.hpp>
#include <septum/core/shape.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/backend.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

namespace septum::inline SEPTUM_ABI {

/// How convolutions are computed. `direct` sums window by window; `winograd` takes
/// Winograd's minimal filtering for every layer that has such a form, with a quarter of the
/// multiplications and about three times the rounding error; `automatic` takes it where it is
/// faster. Which layers those are depends on the net and the processor's instructions, never on
/// the extent of an image, on tiles or on threads. `compensated` sums window by window in short
/// chains and keeps what the additions lose, so that little more than the rounding of maps and
/// weights is left; half as long again as `direct`. Without AVX2 it is `direct`.
enum class convolution_algorithm { automatic, direct, winograd, compensated };

/// What a net on the processor holds between its layers and multiplies. `bf16`: numbers of 16 bits
/// with 8 bits of exponent, products summed in float; the net's input, its last convolution's
/// result, parameters, statistics and the loss stay in float. Wants a processor with AVX512_BF16.
enum class host_precision { f32, bf16 };

/// One layer at run time: everything a kernel needs to know to prepare itself. The same struct
/// serves every kind of layer, so that a user's kernel is prepared like the built-in ones.
struct layer_problem {
  int batch = 1;
  shape in{};
  shape out{};
  window geometry{};
  bool relu = false;           ///< the output passes through relu
  bool training = false;       ///< forward_train and backward will be called
  bool input_gradient = true;  ///< backward has to compute dx (false for the first layer)
  /// False where a batch_norm follows, which takes the mean away: the gradient of the bias is zero
  /// then, and a kernel may leave its place as it is.
  bool bias_gradient = true;
  /// batch_norm only, where its kernel says that it takes it: what passes through relu passes
  /// through this max pooling as well, and `out` is what that leaves.
  window pool{};
  double dropout_rate = 0.0;                                          ///< dropout only
  convolution_algorithm convolution = convolution_algorithm::direct;  ///< convolutions only
  map_scalar in_scalar = map_scalar::f32;   ///< kernels for bfloat16 only: of x and dx
  map_scalar out_scalar = map_scalar::f32;  ///< the same of y and dy
};

/// Whether the one window of a convolution is its whole input.
[[nodiscard]] constexpr bool covers_its_input(layer_problem const& problem) {
  return problem.out.height == 1 && problem.out.width == 1 && problem.geometry.dilation == 1 &&
         problem.in.height == problem.geometry.kernel &&
         problem.in.width == problem.geometry.kernel;
}
/// A convolution that covers its input as a product: a window of one pixel over pixels that have
/// all the values. Maps and parameters have the same bytes either way. Others stay as they are.
[[nodiscard]] constexpr layer_problem as_covering_product(layer_problem problem) {
  if (!covers_its_input(problem)) return problem;
  problem.in = {1, 1, static_cast<int>(problem.in.size())};
  problem.geometry.kernel = 1;
  return problem;
}

// The contract of kernel<B, Kind, T>. Maps are contiguous view<T, 4> with axes batch, row, column,
// channel. `parameters` is the layer's slice of the flat blob (nn/layers.hpp says its order).
//
//   struct plan;     what depends on the problem alone: primitives, sizes; shared by an ensemble
//   struct packed;   one parameter set in the kernel's own order
//   static plan   prepare(context<B>&, layer_problem const&);
//   static packed pack(context<B>&, plan const&, std::span<T const> parameters);
//   static void   forward(context<B>&, plan const&, packed const&, view<T const, 4> x,
//                         view<T, 4> y);            inference: running statistics, no dropout
//
// A kernel whose calls have to start at certain rows and columns adds
//
//   static int    grid(layer_problem const&);   first row and column of y are multiples of it in
//                                               the whole map; the views may have fewer rows than
//                                               the problem says
//
// A kernel whose scratch memory may be larger than the layer's maps adds
//
//   static std::size_t scratch_bytes(context<B> const&, layer_problem const&);
//
// A kernel of batch_norm that can run a max_pool behind it as its own adds
//
//   static bool   takes_pool(layer_problem const&);
//
// A kernel that trains adds
//
//   struct saved;    what forward_train leaves for backward
//   static saved  make_saved(context<B>&, plan const&);
//   static void   forward_train(context<B>&, plan const&, packed const&, saved&,
//                               view<T const, 4> x, view<T, 4> y, counter_rng step);
//   static void   backward(context<B>&, plan const&, packed const&, saved const&,
//                          view<T const, 4> x, view<T const, 4> y, view<T, 4> dy, view<T, 4> dx,
//                          std::span<T> dparameters);
//
// kernel<B, Kind, bfloat16> is for nets that hold maps in bfloat16: parameters and their gradients
// are float, and maps come as const_layer_map and layer_map with the scalars of the problem. It
// adds
//
//   static constexpr bool converts;  whether x and y may be of different scalars; else both are
//                                    bfloat16
//   static bool   takes(layer_problem const&);  whether it can run this layer with an x in bfloat16
//
// backward may overwrite dy; dx has no data (nullptr) when problem.input_gradient is false; dx and
// dy never overlap. dparameters is overwritten: the gradient in the trainable part, and the batch's
// own statistics in the rest (batch_norm: mean and deviation), which the optimizer averages.
// Neither forward nor backward allocates after the first call, and both give the same bytes for
// any thread count unless a vendor library's sums say otherwise (docs/backends.md).

/// True where kernel<B, Kind, T> can train.
template <class B, class Kind, class T>
concept Trains = Implements<B, Kind, T> && requires {
  typename kernel<B, Kind, T>::saved;
};

/// True where kernel<B, Kind, bfloat16> exists and takes maps of either scalar.
template <class B, class Kind>
concept HoldsBfloat16 = requires(layer_problem const& problem) {
  { kernel<B, Kind, bfloat16>::takes(problem) } -> std::same_as<bool>;
};

namespace detail {

template <class B, class Kind>
consteval auto resolve_bfloat16() {
  if constexpr (std::is_void_v<B>)
    return std::type_identity<void>{};
  else if constexpr (HoldsBfloat16<typename unwrap_strict<B>::type, Kind>)
    return std::type_identity<typename unwrap_strict<B>::type>{};
  else
    return resolve_bfloat16<typename B::fallback, Kind>();
}

}  // namespace detail

/// The first backend of B, B::fallback, ... with a kernel for maps in bfloat16; void for none.
template <class B, class Kind>
using bfloat16_backend_t = typename decltype(detail::resolve_bfloat16<B, Kind>())::type;

}  // namespace septum::inline SEPTUM_ABI
