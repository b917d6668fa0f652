#pragma once
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/net/model.hpp>
#include <septum/nn/transform.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// What a range of the parameter blob is: decides its initial value, whether it decays, and whether
/// the optimizer or an average moves it.
enum class parameter_role { weight, bias, scale, shift, running_mean, running_deviation, other };

/// A named range of the flat parameter blob.
struct parameter_slice {
  std::string name;  ///< e.g. "conv0.weight"
  parameter_role role = parameter_role::other;
  std::vector<std::int64_t> extents;  ///< conv: filter, row, column, channel
  std::size_t offset = 0;
  std::size_t count = 0;
  bool trainable = true;
};

namespace detail {

template <class L>
void append_slices(std::vector<parameter_slice>& slices, layer_row const& row, int index) {
  std::string const prefix = std::string{L::name} + std::to_string(index) + ".";
  auto const channels = static_cast<std::size_t>(row.out.channels);
  auto const add = [&](char const* name, parameter_role role, std::vector<std::int64_t> extents,
                       std::size_t offset, std::size_t count, bool trainable) {
    slices.push_back(
        {prefix + name, role, std::move(extents), row.offset + offset, count, trainable});
  };
  if constexpr (std::is_same_v<typename L::kind, kind::conv>) {
    std::int64_t const side = row.geometry.kernel;
    add("weight", parameter_role::weight, {row.out.channels, side, side, row.in.channels}, 0,
        row.count - channels, true);
    add("bias", parameter_role::bias, {row.out.channels}, row.count - channels, channels, true);
  } else if constexpr (std::is_same_v<typename L::kind, kind::batch_norm>) {
    std::int64_t const width = row.out.channels;
    add("gamma", parameter_role::scale, {width}, 0, channels, true);
    add("beta", parameter_role::shift, {width}, channels, channels, true);
    add("running_mean", parameter_role::running_mean, {width}, 2 * channels, channels, false);
    add("running_deviation", parameter_role::running_deviation, {width}, 3 * channels, channels,
        false);
  } else if (row.count > 0) {
    if (row.trainable > 0)
      add("values", parameter_role::other, {static_cast<std::int64_t>(row.trainable)}, 0,
          row.trainable, true);
    if (row.count > row.trainable)
      add("statistics", parameter_role::other,
          {static_cast<std::int64_t>(row.count - row.trainable)}, row.trainable,
          row.count - row.trainable, false);
  }
}

template <class... Layers>
struct slices_of {
  template <std::size_t N>
  static std::vector<parameter_slice> list(std::array<layer_row, N> const& rows) {
    std::vector<parameter_slice> slices;
    std::size_t k = 0;
    int convs = 0;
    int denses = 0;
    int norms = 0;
    int others = 0;
    ((append_slices<Layers>(slices, rows[k],
                            is_dense_v<Layers>                                        ? denses++
                            : std::is_same_v<typename Layers::kind, kind::conv>       ? convs++
                            : std::is_same_v<typename Layers::kind, kind::batch_norm> ? norms++
                                                                                      : others++),
      ++k),
     ...);
    return slices;
  }
};

}  // namespace detail

/// The parameters of a stack in the order of the blob, each tensor with its name, axes and role.
template <Stack S>
[[nodiscard]] std::vector<parameter_slice> parameter_slices() {
  using base = base_stack_t<S>;
  return base::template apply<detail::slices_of>::list(base::patch_rows);
}

/// The same as plain description of a file's tensors (net/model.hpp).
template <Stack S>
[[nodiscard]] std::vector<tensor_slice> tensor_layout() {
  std::vector<tensor_slice> layout;
  for (auto const& slice : parameter_slices<S>())
    layout.push_back({slice.name, slice.extents, slice.offset, slice.count});
  return layout;
}

/// Initial parameters as Keras' `he_normal`: weights N(0, sqrt(2 / fan_in)), not truncated; biases
/// and shifts 0; scales and running deviations 1. A pure function of `rng`.
template <Stack S, class T = float>
[[nodiscard]] std::vector<T> he_normal(counter_rng rng) {
  std::vector<T> parameters(base_stack_t<S>::parameter_count, T{0});
  for (auto const& slice : parameter_slices<S>()) {
    auto const values = std::span{parameters}.subspan(slice.offset, slice.count);
    if (slice.role == parameter_role::weight) {
      auto const fan_in = static_cast<double>(slice.count) / static_cast<double>(slice.extents[0]);
      double const deviation = std::sqrt(2.0 / fan_in);
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<T>(deviation * rng.normal(slice.offset + i));
    } else if (slice.role == parameter_role::scale ||
               slice.role == parameter_role::running_deviation) {
      for (T& value : values) value = T{1};
    }
  }
  return parameters;
}

/// Checks a blob against a stack: number of values, and every one finite.
/// @throws weights_error naming the first tensor that is wrong
template <Stack S, class T>
void require_parameters(std::span<T const> parameters) {
  constexpr std::size_t wanted = base_stack_t<S>::parameter_count;
  SEPTUM_EXPECTS(
      parameters.size() == wanted,
      weights_error("septum.weights.1", "a parameter set has " + std::to_string(parameters.size()) +
                                            " values, the net wants " + std::to_string(wanted) +
                                            "; load it with the net it was trained for"));
  for (auto const& slice : parameter_slices<S>())
    for (T const value : parameters.subspan(slice.offset, slice.count))
      SEPTUM_EXPECTS(
          std::isfinite(value),
          weights_error("septum.weights.2", "tensor " + slice.name +
                                                " has a value that is not finite; the "
                                                "training diverged or the file is damaged"));
}

namespace detail {

template <class... Layers>
struct batch_norm_folding {
  template <class T, std::size_t N>
  static std::vector<T> fold(std::array<layer_row, N> const& rows, std::span<T const> parameters) {
    std::vector<T> folded;
    layer_row const* open_conv = nullptr;  // a convolution that a batch_norm may still change
    std::size_t open_begin = 0;
    std::size_t k = 0;
    auto const take = [&]<class L>(std::type_identity<L>) {
      layer_row const& row = rows[k++];
      auto const values = parameters.subspan(row.offset, row.count);
      if constexpr (std::is_same_v<L, batch_norm>) {
        if (open_conv != nullptr) {
          scale(std::span{folded}.subspan(open_begin), values, *open_conv);
          return;
        }
      }
      if constexpr (std::is_same_v<typename L::kind, kind::dropout>) return;
      open_conv = is_plain_conv<L>() ? &row : nullptr;
      open_begin = folded.size();
      folded.insert(folded.end(), values.begin(), values.end());
    };
    (take(std::type_identity<Layers>{}), ...);
    return folded;
  }

 private:
  // W' = g W, b' = (b - mean) g + beta with g = gamma / (deviation + epsilon), in double.
  template <class T>
  static void scale(std::span<T> conv, std::span<T const> norm, layer_row const& row) {
    auto const filters = static_cast<std::size_t>(row.out.channels);
    std::size_t const fan_in = row.count / filters - 1;
    for (std::size_t f = 0; f < filters; ++f) {
      double const gain = static_cast<double>(norm[f]) /
                          (static_cast<double>(norm[3 * filters + f]) + batch_norm::epsilon);
      for (std::size_t i = 0; i < fan_in; ++i) {
        T& weight = conv[f * fan_in + i];
        weight = static_cast<T>(static_cast<double>(weight) * gain);
      }
      T& bias = conv[filters * fan_in + f];
      bias = static_cast<T>(
          (static_cast<double>(bias) - static_cast<double>(norm[2 * filters + f])) * gain +
          static_cast<double>(norm[filters + f]));
    }
  }
};

}  // namespace detail

/// Parameters of fused_t<S> from those of S: batch norm's running statistics folded into the
/// weights and bias of the convolution before it.
template <Stack S, class T>
[[nodiscard]] std::vector<T> fold_batch_norm(std::span<T const> parameters) {
  using base = base_stack_t<S>;
  require_parameters<S, T>(parameters);
  auto folded = base::template apply<detail::batch_norm_folding>::template fold<T>(base::patch_rows,
                                                                                   parameters);
  static_assert(fused_t<S>::parameter_count <= base::parameter_count);
  return folded;
}

}  // namespace septum::inline SEPTUM_ABI
