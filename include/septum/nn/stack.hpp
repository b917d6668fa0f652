#pragma once
#include <septum/core/diagnose.hpp>
#include <septum/nn/layers.hpp>

#include <array>
#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>

namespace septum::inline SEPTUM_ABI {

/// First element of a stack: number of input channels and, when it is not the receptive field, the
/// side of the square training patch in pixels.
template <int Channels, int Patch = 0>
struct input {
  static_assert(Channels > 0 && Patch >= 0,
                "septum: input<Channels, Patch> wants at least one channel. FIX: correct it.");
  static constexpr int channels = Channels;
  static constexpr int patch = Patch;
};

/// What one layer does to one map, and where its parameters lie in the flat blob.
struct layer_row {
  shape in;
  shape out;
  window geometry;
  std::size_t offset = 0;     ///< of the first parameter
  std::size_t count = 0;      ///< stored parameters
  std::size_t trainable = 0;  ///< the first of them that the optimizer changes
  int taps = 0;               ///< earlier maps that the layer reads besides `in`
};

namespace detail {

template <class... Layers>
constexpr int receptive_field() {
  int field = 1;
  int jump = 1;
  ((field += (Layers::geometry.extent() - 1) * jump, jump *= Layers::geometry.stride), ...);
  return field;
}

template <class... Layers>
constexpr auto layer_rows(shape in) {
  std::array<layer_row, sizeof...(Layers)> table{};
  std::size_t k = 0;
  std::size_t offset = 0;
  tapped_shapes tapped;
  ((table[k] = {in, tapped.template out<Layers>(in), Layers::geometry, offset,
                Layers::parameters(in), Layers::trainable(in), tap_count_v<Layers>},
    in = table[k].out, offset += table[k].count, ++k),
   ...);
  return table;
}

template <std::size_t N>
constexpr int first_empty(std::array<layer_row, N> const& table) {
  for (std::size_t k = 0; k < N; ++k)
    if (!table[k].out.valid()) return static_cast<int>(k);
  return -1;
}

template <class... Layers, std::size_t N>
constexpr int first_wide_dense(std::array<layer_row, N> const& table) {
  std::size_t k = 0;
  int found = -1;
  ((found = found < 0 && is_dense_v<Layers> && (table[k].in.height > 1 || table[k].in.width > 1)
                ? static_cast<int>(k)
                : found,
    ++k),
   ...);
  return found;
}

template <std::size_t N>
constexpr int first_wrong_gather(std::array<layer_row, N> const& table) {
  for (std::size_t k = 0; k < N; ++k)
    if (table[k].taps > 0 && table[k].in.valid() &&
        (!table[k].out.valid() || table[k].in.height > 1 || table[k].in.width > 1))
      return static_cast<int>(k);
  return -1;
}

constexpr std::uint64_t fnv1a(std::uint64_t hash, std::uint64_t value) {
  for (int byte = 0; byte < 8; ++byte) {
    hash ^= (value >> (8 * byte)) & 0xFFU;
    hash *= 0x100000001B3ULL;
  }
  return hash;
}

// What tells two sets of parameters apart: names, windows, widths and counts of the layers.
constexpr std::uint64_t layers_signature(int channels, std::span<std::string_view const> names,
                                         std::span<layer_row const> rows) {
  std::uint64_t hash = fnv1a(0xCBF29CE484222325ULL, static_cast<std::uint64_t>(channels));
  for (std::size_t k = 0; k < rows.size(); ++k) {
    hash = fnv1a(hash, names[k].size());
    hash = fnv1a(hash, static_cast<std::uint64_t>(names[k].front()));
    hash = fnv1a(hash, static_cast<std::uint64_t>(rows[k].geometry.kernel));
    hash = fnv1a(hash, static_cast<std::uint64_t>(rows[k].out.channels));
    hash = fnv1a(hash, rows[k].count);
  }
  return hash;
}

// Values that stand in when a composition is wrong, so that one mistake gives one message.
struct poisoned_stack {
  static constexpr int depth = 0;
  static constexpr int receptive_field = 1;
  static constexpr int patch = 1;
  static constexpr int input_channels = 1;
  static constexpr shape output{1, 1, 1};
  static constexpr std::size_t parameter_count = 0;
  static constexpr std::uint64_t signature = 0;
};

template <bool AllLayers, class Input, class... Layers>
struct checked_stack : poisoned_stack {};

template <class Input, class... Layers>
struct checked_stack<true, Input, Layers...> {
  static constexpr int depth = static_cast<int>(sizeof...(Layers));
  /// Side of the square of input pixels that one output pixel sees.
  static constexpr int receptive_field = detail::receptive_field<Layers...>();
  static constexpr int patch = Input::patch > 0 ? Input::patch : receptive_field;
  static constexpr int input_channels = Input::channels;

  /// One row per layer for an input of height x width pixels.
  static constexpr auto rows(int height, int width) {
    return detail::layer_rows<Layers...>(shape{height, width, Input::channels});
  }
  static constexpr auto patch_rows = rows(patch, patch);

 private:
  template <int Bad>
  static constexpr std::size_t shown = static_cast<std::size_t>(Bad < 0 ? 0 : Bad);
  template <int Bad>
  using shown_layer = std::tuple_element_t<shown<Bad>, std::tuple<Layers...>>;
  template <int Bad>
  using shown_input =
      diagnostic::for_input<patch_rows[shown<Bad>].in.height, patch_rows[shown<Bad>].in.width,
                            patch_rows[shown<Bad>].in.channels>;
  static constexpr int ungathered = detail::first_wrong_gather(patch_rows);
  static constexpr int empty = ungathered < 0 ? detail::first_empty(patch_rows) : -1;
  static constexpr int wide =
      empty < 0 && ungathered < 0 ? detail::first_wide_dense<Layers...>(patch_rows) : -1;

 public:
  static_assert(diagnostic::layer_fits_its_input<(empty < 0), diagnostic::at_layer<empty>,
                                                 diagnostic::the_layer<shown_layer<empty>>,
                                                 shown_input<empty>>::ok);
  static_assert(diagnostic::dense_receives_one_pixel<(wide < 0), diagnostic::at_layer<wide>,
                                                     diagnostic::the_layer<shown_layer<wide>>,
                                                     shown_input<wide>>::ok);

  static_assert(diagnostic::gather_reads_earlier_taps<
                (ungathered < 0), diagnostic::at_layer<ungathered>,
                diagnostic::the_layer<shown_layer<ungathered>>, shown_input<ungathered>>::ok);

  /// Map that a patch becomes.
  static constexpr shape output = patch_rows.back().out;
  /// Stored values of all layers, running statistics included.
  static constexpr std::size_t parameter_count = patch_rows.back().offset + patch_rows.back().count;

  /// Identifies a set of parameters: equal for the patch form and the fully convolutional form.
  static constexpr std::uint64_t signature =
      detail::layers_signature(Input::channels, std::array{Layers::name...}, patch_rows);

  /// Values of the largest map that passes between two layers for one input of height x width.
  static constexpr std::size_t largest_map(int height, int width) {
    std::size_t largest = 0;
    for (auto const& row : rows(height, width)) {
      largest = std::max({largest, row.in.size(), row.out.size()});
    }
    return largest;
  }
  /// Bytes of the two maps that have to exist at the same time, for one input of height x width.
  static constexpr std::size_t activation_bytes(int height, int width,
                                                std::size_t scalar_bytes = sizeof(float)) {
    std::size_t most = 0;
    for (auto const& row : rows(height, width))
      most = std::max(most, (row.in.size() + row.out.size()) * scalar_bytes);
    return most;
  }

  /// F<Layers...>: how algorithms get at the layers.
  template <template <class...> class F>
  using apply = F<Layers...>;
};

}  // namespace detail

/// A net as a type: input and layers in the order of execution. Shapes, receptive field, parameter
/// count and signature are constants; a wrong composition is refused with one message.
/// Name a net with a struct, which keeps symbols and messages short:
/// `struct my_net : stack<input<1>, conv<32, 4>, relu, ...> {};`
template <class Input, class... Layers>
struct stack : detail::checked_stack<
                   ((diagnostic::every_type_in_the_stack_is_a_layer<Layer<Layers>, Layers>::ok &&
                     Layer<Layers>)&&...),
                   Input, Layers...> {
  using input_type = Input;
};

namespace detail {
template <class Input, class... Layers>
stack<Input, Layers...> as_stack(stack<Input, Layers...> const*);
template <class S>
concept DerivesFromStack = requires {
  detail::as_stack(static_cast<S const*>(nullptr));
};
}  // namespace detail

/// A type that derives from exactly one stack<...>.
template <class S>
concept Stack = detail::DerivesFromStack<S>;

/// The stack<...> behind a named net.
template <Stack S>
using base_stack_t = decltype(detail::as_stack(static_cast<S const*>(nullptr)));

}  // namespace septum::inline SEPTUM_ABI
