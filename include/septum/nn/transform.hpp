#pragma once
#include <septum/nn/stack.hpp>

#include <array>
#include <cstddef>
#include <utility>

namespace septum::inline SEPTUM_ABI {
namespace detail {

template <class... Layers>
struct layer_list {};

template <class Input, class List>
struct stack_from_list;
template <class Input, class... Layers>
struct stack_from_list<Input, layer_list<Layers...>> {
  using type = stack<Input, Layers...>;
};

// ---- fully convolutional form

template <class Input, class Sequence, class... Layers>
struct remove_strides;
template <class Input, std::size_t... I, class... Layers>
struct remove_strides<Input, std::index_sequence<I...>, Layers...> {
  static constexpr auto jump = [] {
    std::array<int, sizeof...(Layers)> before{};
    int product = 1;
    std::size_t k = 0;
    ((before[k++] = product, product *= Layers::geometry.stride), ...);
    return before;
  }();
  using type = stack<Input, typename Layers::template dilated<jump[I]>...>;
};

template <class S>
struct fully_convolutional;
template <class Input, class... Layers>
struct fully_convolutional<stack<Input, Layers...>>
    : remove_strides<input<Input::channels, receptive_field<Layers...>()>,
                     std::index_sequence_for<Layers...>, Layers...> {};

// ---- fusion: layers are appended one by one, and an append may change the last layer instead

template <class L>
inline constexpr bool is_conv_v = std::is_same_v<typename L::kind, kind::conv>;

template <class List, class L>
struct replace_last;
template <class... All, class L>
struct replace_last<layer_list<All...>, L> {
  template <std::size_t... I>
  static layer_list<std::tuple_element_t<I, std::tuple<All...>>..., L> pick(
      std::index_sequence<I...>);
  using type = decltype(pick(std::make_index_sequence<sizeof...(All) - 1>{}));
};
template <class List>
struct last_of {
  using type = void;
};
template <class First, class... Rest>
struct last_of<layer_list<First, Rest...>> {
  using type = std::tuple_element_t<sizeof...(Rest), std::tuple<First, Rest...>>;
};

template <class Last>
consteval bool is_plain_conv() {
  if constexpr (std::is_void_v<Last>)
    return false;
  else
    return is_conv_v<Last> && !applies_relu_v<Last>;
}

// How the fused inference form takes up the next layer: batch_norm folds into a preceding
// convolution (fold_batch_norm changes its parameters), dropout vanishes.
struct for_inference {
  template <class... Before, class L>
  static auto append(layer_list<Before...> list, std::type_identity<L>) {
    using last = typename last_of<layer_list<Before...>>::type;
    if constexpr (std::is_same_v<typename L::kind, kind::dropout>)
      return list;
    else if constexpr (std::is_same_v<L, batch_norm> && is_plain_conv<last>())
      return list;
    else if constexpr (std::is_same_v<L, relu> && is_plain_conv<last>())
      return typename replace_last<layer_list<Before...>, with_relu<last>>::type{};
    else
      return layer_list<Before..., L>{};
  }
};

// The training form keeps every parameter; it only joins relu to the layer before it and leaves the
// last softmax to the loss.
struct for_training {
  template <class... Before, class L>
  static auto append(layer_list<Before...>, std::type_identity<L>) {
    using last = typename last_of<layer_list<Before...>>::type;
    if constexpr (std::is_same_v<L, relu> &&
                  (is_plain_conv<last>() || std::is_same_v<last, batch_norm>))
      return typename replace_last<layer_list<Before...>, with_relu<last>>::type{};
    else
      return layer_list<Before..., L>{};
  }
};

template <class Rule, class List>
struct appending {
  using list = List;
};
template <class Rule, class List, class L>
auto operator+(appending<Rule, List>, std::type_identity<L> next) {
  return appending<Rule, decltype(Rule::append(List{}, next))>{};
}

template <class Rule, class S>
struct fuse;
template <class Rule, class Input, class... Layers>
struct fuse<Rule, stack<Input, Layers...>> {
  using list = typename decltype((appending<Rule, layer_list<>>{} + ... +
                                  std::type_identity<Layers>{}))::list;
  using type = typename stack_from_list<Input, list>::type;
};

template <class S, std::size_t Count>
struct truncate;
template <class Input, class... Layers, std::size_t Count>
struct truncate<stack<Input, Layers...>, Count> {
  template <std::size_t... I>
  static stack<Input, std::tuple_element_t<I, std::tuple<Layers...>>...> pick(
      std::index_sequence<I...>);
  using type = decltype(pick(std::make_index_sequence<Count>{}));
};

template <class S>
struct ends_in_softmax;
template <class Input, class... Layers>
struct ends_in_softmax<stack<Input, Layers...>> {
  static constexpr bool value =
      std::is_same_v<typename last_of<layer_list<Layers...>>::type, softmax>;
};

}  // namespace detail

/// The same net over whole frames: strides are removed and the layers behind them dilated, so that
/// every output pixel equals the patch net at its position (numerics: exact, up to the order of
/// sums). Idempotent. Parameters, receptive field and signature are those of S.
template <Stack S>
using fully_convolutional_t = typename detail::fully_convolutional<base_stack_t<S>>::type;

/// Inference form: batch_norm folded into the convolution before it, relu applied by the
/// convolution's kernel, dropout gone. Its parameters come from fold_batch_norm
/// (net/parameters.hpp).
template <Stack S>
using fused_t = typename detail::fuse<detail::for_inference, base_stack_t<S>>::type;

/// The first Count layers of a stack.
template <Stack S, std::size_t Count>
using truncated_t = typename detail::truncate<base_stack_t<S>, Count>::type;

/// True when the last layer is softmax.
template <Stack S>
inline constexpr bool ends_in_softmax_v = detail::ends_in_softmax<base_stack_t<S>>::value;

/// Training form: all parameters of S, relu joined to the layer before it, and without the last
/// softmax, which the cross-entropy loss computes together with its gradient.
template <Stack S>
using training_t = typename detail::fuse<
    detail::for_training,
    truncated_t<S, static_cast<std::size_t>(base_stack_t<S>::depth -
                                            (ends_in_softmax_v<S> ? 1 : 0))>>::type;

}  // namespace septum::inline SEPTUM_ABI
