#pragma once
#include <septum/backend/problem.hpp>
#include <septum/exec/cuda_runtime.hpp>
#include <septum/nn/batch_norm_functors.hpp>
#include <septum/nn/channel_sum_functors.hpp>
#include <septum/nn/functors.hpp>
#include <septum/nn/layers.hpp>

#include <cstddef>
#include <string_view>

namespace septum::inline SEPTUM_ABI {

/// Every layer by septum's own index kernels on a CUDA device: complete, and the fallback of cudnn,
/// whose library has no dilated pooling and another batch normalisation. Stored types float,
/// bfloat16 and float16. Its kernels follow backend/problem.hpp with three differences: views are
/// of device memory, `pack` takes the layer's parameters as a device view, which it keeps, and
/// `forward_train` a device_step.
struct cuda {
  using memory_space = device_space;
  using fallback = void;
  static constexpr std::string_view name = "cuda";
};

/// Scratch memory of one layer where nothing else is said, bytes.
inline constexpr std::size_t default_workspace_limit = std::size_t{3} << 29;

/// Stream, compiled kernels and scratch memory of one device. What it refers to has to outlive it.
template <>
struct context<cuda> {
  context(cuda_stream const& queue, kernel_library& library) : stream{&queue}, kernels{&library} {}

  [[nodiscard]] cuda_api const& api() const { return stream->api(); }
  /// Queues an index kernel over `extent`, or a block kernel over an extent of blocks.
  template <class F>
    requires(IndexKernel<F> || BlockKernel<F>)
  void launch(extent2 extent, F const& kernel) const { kernels->launch(*stream, extent, kernel); }
  /// Makes room for `bytes` of scratch memory that all layers share, one after the other. Called by
  /// `prepare` only: work that is recorded keeps the address.
  void reserve(std::size_t bytes) {
    if (bytes <= scratch.bytes()) return;
    scratch = {};  // before the larger one is asked for
    scratch = device_memory<std::byte>{api(), bytes};
  }

  cuda_stream const* stream;
  kernel_library* kernels;
  device_memory<std::byte> scratch{};
  /// What a layer that chooses how much scratch memory it takes keeps within, bytes.
  std::size_t workspace_limit = default_workspace_limit;
};

namespace detail {

template <class T>
[[nodiscard]] view<T, 1, device_space> flat(view<T, 4, device_space> map) {
  return {map.data(), {map.size()}};
}
/// (pixel, channel) of a map.
template <class T>
[[nodiscard]] view<T, 2, device_space> pixels(view<T, 4, device_space> map) {
  return {map.data(), {map.size() / map.extent(3), map.extent(3)}};
}

/// Scratch of sums over pixels: parts of at most two sums, and the factors of a gradient.
struct sum_scratch {
  double* values;
  std::ptrdiff_t channels;
  /// (part, which sum, channel)
  [[nodiscard]] view<double, 3, device_space> parts(int count, int sums) const {
    return {values, {count, sums, channels}};
  }
  [[nodiscard]] view<double, 2, device_space> factors() const {
    return {values + 2 * most_sum_parts * channels, {batch_gradient::count, channels}};
  }
  [[nodiscard]] static std::size_t bytes(int channels) {
    return sizeof(double) * static_cast<std::size_t>(channels) *
           static_cast<std::size_t>(2 * most_sum_parts + batch_gradient::count);
  }
  static sum_scratch of(context<cuda> const& ctx, std::ptrdiff_t channels) {
    return {reinterpret_cast<double*>(ctx.scratch.data()), channels};
  }
};

/// Sums `terms` over so many pixels and gives what comes out to `finish`, channel by channel.
template <class Terms, class Finish>
void sum_over_pixels(context<cuda>& ctx, std::ptrdiff_t pixels, std::ptrdiff_t channels,
                     Terms const& terms, Finish const& finish) {
  int const count = sum_parts_of(pixels);
  auto const parts = sum_scratch::of(ctx, channels).parts(count, Terms::count);
  auto const width = static_cast<int>(channels);
  ctx.launch(sum_channel_parts<Terms>::blocks(count, width),
             sum_channel_parts<Terms>{terms, parts, pixels});
  ctx.launch(finish_channel_sums<Finish>::blocks(width),
             finish_channel_sums<Finish>{parts, finish});
}

// What device kernels without parameters share.
template <class T>
struct cuda_stateless {
  struct plan {
    layer_problem problem;
  };
  struct packed {};
  struct saved {};
  static plan prepare(context<cuda>&, layer_problem const& problem) { return {problem}; }
  static packed pack(context<cuda>&, plan const&, view<T const, 1, device_space>) { return {}; }
  static saved make_saved(context<cuda>&, plan const&) { return {}; }
};

// What device kernels with parameters share.
template <class T>
struct cuda_parametric {
  struct plan {
    layer_problem problem;
  };
  struct packed {
    view<T const, 1, device_space> parameters;
  };
  static packed pack(context<cuda>&, plan const&, view<T const, 1, device_space> parameters) {
    return {parameters};
  }
};

}  // namespace detail

}  // namespace septum::inline SEPTUM_ABI
