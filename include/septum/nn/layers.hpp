#pragma once
#include <septum/core/shape.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>

namespace septum::inline SEPTUM_ABI {

/// Tags that select a kernel: kernel<Backend, kind::conv, float>. Sizes are run-time values of the
/// kernel, so all convolutions of a program share one instantiation.
namespace kind {
struct conv;
struct max_pool;
struct batch_norm;
struct softmax;
struct dropout;
template <class Functor>
struct pointwise;
template <int Number, int Jump>
struct tap;
template <int... Numbers>
struct gather;
}  // namespace kind

/// A layer is an empty type; everything about it is constant. `parameters` counts stored values,
/// of which the first `trainable` are changed by the optimizer and the rest are running statistics.
/// `dilated<D>` is the layer with its window dilated D times further and its stride removed.
template <class L>
concept Layer = requires(shape s) {
  typename L::kind;
  { L::geometry } -> std::convertible_to<window>;
  { L::name } -> std::convertible_to<std::string_view>;
  { L::out(s) } -> std::same_as<shape>;
  { L::parameters(s) } -> std::same_as<std::size_t>;
  { L::trainable(s) } -> std::same_as<std::size_t>;
  typename L::template dilated<2>;
};

/// Convolution without padding, stride 1, with bias: y = sum W x + b (cross-correlation).
/// Parameters: weights as (filter, row, column, channel), then one bias per filter.
template <int Filters, int Kernel, int Dilation = 1>
struct conv {
  static_assert(
      Filters > 0 && Kernel > 0 && Dilation > 0,
      "septum: conv<Filters, Kernel, Dilation> wants positive numbers. FIX: correct them.");
  using kind = kind::conv;
  static constexpr std::string_view name = "conv";
  static constexpr window geometry{Kernel, 1, Dilation};
  static constexpr shape out(shape in) {
    return {geometry.out(in.height), geometry.out(in.width), Filters};
  }
  static constexpr std::size_t parameters(shape in) {
    return static_cast<std::size_t>(Filters) *
           (static_cast<std::size_t>(in.channels) * static_cast<std::size_t>(Kernel * Kernel) + 1);
  }
  static constexpr std::size_t trainable(shape in) { return parameters(in); }
  template <int Factor>
  using dilated = conv<Filters, Kernel, Dilation * Factor>;
};

/// Fully connected layer over the channels of a 1x1 map; over a larger map (the fully convolutional
/// form) the same weights act at every pixel. Parameters: weights (unit, channel), then biases.
template <int Units>
struct dense {
  static_assert(Units > 0, "septum: dense<Units> wants a positive number. FIX: correct it.");
  using kind = kind::conv;
  static constexpr std::string_view name = "dense";
  static constexpr window geometry{};
  static constexpr shape out(shape in) { return {in.height, in.width, Units}; }
  static constexpr std::size_t parameters(shape in) {
    return static_cast<std::size_t>(Units) * (static_cast<std::size_t>(in.channels) + 1);
  }
  static constexpr std::size_t trainable(shape in) { return parameters(in); }
  template <int Factor>
  using dilated = dense;
};

/// Maximum over a Kernel x Kernel window. The fully convolutional form keeps stride 1 and dilates
/// the offsets (d-regularly sparse kernels, Li, Zhao and Wang 2014).
template <int Kernel, int Stride = Kernel, int Dilation = 1>
struct max_pool {
  static_assert(
      Kernel > 0 && Stride > 0 && Dilation > 0,
      "septum: max_pool<Kernel, Stride, Dilation> wants positive numbers. FIX: correct them.");
  using kind = kind::max_pool;
  static constexpr std::string_view name = "max_pool";
  static constexpr window geometry{Kernel, Stride, Dilation};
  static constexpr shape out(shape in) {
    return {geometry.out(in.height), geometry.out(in.width), in.channels};
  }
  static constexpr std::size_t parameters(shape) { return 0; }
  static constexpr std::size_t trainable(shape) { return 0; }
  template <int Factor>
  using dilated = max_pool<Kernel, 1, Dilation * Factor>;
};

/// Batch normalisation per channel as Keras 1.0.6 defines it, which trained the published nets:
/// deviation s = sqrt(var + epsilon) over batch, rows and columns (biased), y = (x - mean) * gamma
/// / (s + epsilon) + beta; the running mean and running *deviation* follow with `momentum`.
/// Parameters, one value per channel each: gamma, beta (trainable), running mean, running
/// deviation.
struct batch_norm {
  using kind = kind::batch_norm;
  static constexpr std::string_view name = "batch_norm";
  static constexpr window geometry{};
  static constexpr double epsilon = 1e-6;
  static constexpr double momentum = 0.9;
  static constexpr shape out(shape in) { return in; }
  static constexpr std::size_t parameters(shape in) {
    return 4 * static_cast<std::size_t>(in.channels);
  }
  static constexpr std::size_t trainable(shape in) {
    return 2 * static_cast<std::size_t>(in.channels);
  }
  template <int Factor>
  using dilated = batch_norm;
};

/// Inverted dropout: in training each value is zeroed with probability Percent/100 and the others
/// are scaled by 1/(1 - Percent/100); the identity otherwise.
template <int Percent>
struct dropout {
  static_assert(Percent >= 0 && Percent < 100,
                "septum: dropout<Percent> wants 0 to 99. FIX: give the rate in percent.");
  using kind = kind::dropout;
  static constexpr std::string_view name = "dropout";
  static constexpr window geometry{};
  static constexpr double rate = Percent / 100.0;
  static constexpr shape out(shape in) { return in; }
  static constexpr std::size_t parameters(shape) { return 0; }
  static constexpr std::size_t trainable(shape) { return 0; }
  template <int Factor>
  using dilated = dropout;
};

/// Element-wise layer from a functor with `name`, `value(x)` and `slope(x, y)` (derivative at x,
/// where y = value(x)): forward, backward and every host backend follow from it.
template <class Functor>
struct pointwise {
  using kind = kind::pointwise<Functor>;
  static constexpr std::string_view name = Functor::name;
  static constexpr window geometry{};
  static constexpr shape out(shape in) { return in; }
  static constexpr std::size_t parameters(shape) { return 0; }
  static constexpr std::size_t trainable(shape) { return 0; }
  template <int Factor>
  using dilated = pointwise;
};

/// max(0, x); its slope at 0 is 0.
struct rectify {
  static constexpr std::string_view name = "relu";
  template <class T>
  [[nodiscard]] SEPTUM_HD static constexpr T value(T x) {
    return x > T{0} ? x : T{0};
  }
  template <class T>
  [[nodiscard]] SEPTUM_HD static constexpr T slope(T, T y) {
    return y > T{0} ? T{1} : T{0};
  }
};
using relu = pointwise<rectify>;

/// exp(x_k) / sum exp(x_j) over the channels of each pixel.
struct softmax {
  using kind = kind::softmax;
  static constexpr std::string_view name = "softmax";
  static constexpr window geometry{};
  static constexpr shape out(shape in) { return in; }
  static constexpr std::size_t parameters(shape) { return 0; }
  static constexpr std::size_t trainable(shape) { return 0; }
  template <int Factor>
  using dilated = softmax;
};

/// Marks a map that a later gather reads, and passes it on unchanged. `Jump` is the distance in
/// input pixels between neighbours of the map in the patch form (made by the transforms).
template <int Number, int Jump = 1>
struct tap {
  static_assert(Number >= 0 && Number < 8 && Jump > 0,
                "septum: tap<Number> wants a number from 0 to 7. FIX: correct it.");
  using kind = kind::tap<Number, Jump>;
  static constexpr std::string_view name = "tap";
  static constexpr int number = Number;
  static constexpr window geometry{};
  static constexpr shape out(shape in) { return in; }
  static constexpr std::size_t parameters(shape) { return 0; }
  static constexpr std::size_t trainable(shape) { return 0; }
  template <int Factor>
  using dilated = tap<Number, Jump * Factor>;
};

/// Appends to a map of one pixel the middle pixels of earlier maps, marked by tap<Number>, along
/// the channels: the dense layers behind it see several scales (the paper's multi-resolution nets;
/// S1 Text, Table B). The middle of n pixels is the one with (n - 1) / 2 before it, rounded down.
template <int... Numbers>
struct gather {
  static_assert(sizeof...(Numbers) > 0,
                "septum: gather<Numbers...> wants at least one tap. FIX: name the taps.");
  using kind = kind::gather<Numbers...>;
  static constexpr std::string_view name = "gather";
  static constexpr window geometry{};
  /// Without the taps, whose channels a stack adds.
  static constexpr shape out(shape in) { return in; }
  static constexpr std::size_t parameters(shape) { return 0; }
  static constexpr std::size_t trainable(shape) { return 0; }
  template <int Factor>
  using dilated = gather;
};

namespace detail {

/// Maps that gather layers may read, by number.
struct tapped_shapes {
  std::array<shape, 8> maps{};

  /// What a layer makes of `in`, with the channels that a gather adds.
  template <class L>
  constexpr shape out(shape in) {
    return add(static_cast<L*>(nullptr), in, L::out(in));
  }

 private:
  constexpr shape add(void*, shape, shape result) const { return result; }
  template <int Number, int Jump>
  constexpr shape add(tap<Number, Jump>*, shape in, shape result) {
    maps[static_cast<std::size_t>(Number)] = in;
    return result;
  }
  template <int... Numbers>
  constexpr shape add(gather<Numbers...>*, shape, shape result) const {
    ((result.channels += maps[static_cast<std::size_t>(Numbers)].channels), ...);
    // A tap that does not come first has no channels: the empty map is refused with a message.
    bool const all = (maps[static_cast<std::size_t>(Numbers)].valid() && ...);
    return all ? result : shape{};
  }
};

template <class L>
inline constexpr int tap_count_v = 0;
template <int... Numbers>
inline constexpr int tap_count_v<gather<Numbers...>> = static_cast<int>(sizeof...(Numbers));

}  // namespace detail

/// A layer whose output passes through relu within the same kernel. Made by the transforms of
/// nn/transform.hpp, not written by users.
template <Layer L>
struct with_relu {
  using kind = typename L::kind;
  using plain = L;
  static constexpr std::string_view name = L::name;
  static constexpr window geometry = L::geometry;
  static constexpr shape out(shape in) { return L::out(in); }
  static constexpr std::size_t parameters(shape in) { return L::parameters(in); }
  static constexpr std::size_t trainable(shape in) { return L::trainable(in); }
  template <int Factor>
  using dilated = with_relu<typename L::template dilated<Factor>>;
};

/// True for layers made by with_relu.
template <class L>
inline constexpr bool applies_relu_v = false;
template <class L>
inline constexpr bool applies_relu_v<with_relu<L>> = true;

/// True for dense layers, with or without relu.
template <class L>
inline constexpr bool is_dense_v = false;
template <int Units>
inline constexpr bool is_dense_v<dense<Units>> = true;
template <class L>
inline constexpr bool is_dense_v<with_relu<L>> = is_dense_v<L>;

/// Dropout rate of a layer; 0 for every other kind.
template <class L>
inline constexpr double dropout_rate_v = 0.0;
template <int Percent>
inline constexpr double dropout_rate_v<dropout<Percent>> = dropout<Percent>::rate;

}  // namespace septum::inline SEPTUM_ABI
