#pragma once
#include <septum/core/config.hpp>

/// Compile-time diagnostics. Each is a struct whose name reads as a sentence and whose
/// static_assert says what to change; the facts (where, which type, which numbers) are its further
/// arguments, so that every compiler prints them.
namespace septum::inline SEPTUM_ABI::diagnostic {

/// Facts: incomplete types that only carry names and numbers into a message.
template <int Index>
struct at_layer;
template <int Height, int Width, int Channels>
struct for_input;
template <class Layer>
struct the_layer;
template <class Backend>
struct with_backend;
template <class Scalar>
struct with_scalar;

template <bool Ok, class... Facts>
struct layer_fits_its_input {
  static_assert(Ok,
                "septum: a layer's window is larger than the map it receives. FIX: give input<> a "
                "larger patch, or drop a pooling layer; the layer and its input are named above.");
  static constexpr bool ok = true;
};

template <bool Ok, class... Facts>
struct dense_receives_one_pixel {
  static_assert(
      Ok,
      "septum: a dense layer receives a map larger than one pixel. FIX: put a conv whose "
      "window covers the whole map in front of it, or choose the patch so that the map is "
      "1x1; the map is named above.");
  static constexpr bool ok = true;
};

template <bool Ok, class... Facts>
struct gather_reads_earlier_taps {
  static_assert(
      Ok,
      "septum: a gather reads a tap that does not come before it, or receives a map larger than "
      "one pixel. FIX: put tap<N> for each of its numbers in front of it, and gather after the "
      "conv whose window covers the whole map.");
  static constexpr bool ok = true;
};

template <bool Ok, class Layer>
struct every_type_in_the_stack_is_a_layer {
  static_assert(Ok,
                "septum: a type in the stack is not a Layer. FIX: give it kind, geometry, name, "
                "out(shape), parameters(shape), trainable(shape) and dilated<D> "
                "(docs/concepts/layer.md).");
  static constexpr bool ok = true;
};

template <bool Ok, class Stack>
struct stack_ends_in_softmax {
  static_assert(Ok,
                "septum: the stack does not end in softmax, so it gives no probabilities. FIX: "
                "append softmax after the last dense layer.");
  static constexpr bool ok = true;
};

template <bool Ok, class... Facts>
struct backend_has_a_kernel {
  static_assert(Ok,
                "septum: neither this backend nor its fallbacks implement this layer. FIX: include "
                "the backend's header <septum/backend/NAME.hpp> before use, or specialise "
                "septum::kernel<Backend, Kind, Scalar>.");
  static constexpr bool ok = true;
};

template <bool Ok, class... Facts>
struct backend_trains_this_layer {
  static_assert(
      Ok,
      "septum: the kernel of this layer cannot train. FIX: add forward_train and backward "
      "to its kernel<> (backend/problem.hpp), or train with a backend that has them.");
  static constexpr bool ok = true;
};

template <bool Ok, class Backend>
struct fallbacks_share_one_memory_space {
  static_assert(
      Ok,
      "septum: a backend falls back to one in another memory space. FIX: choose a fallback "
      "with the same memory_space, or void.");
  static constexpr bool ok = true;
};

}  // namespace septum::inline SEPTUM_ABI::diagnostic
