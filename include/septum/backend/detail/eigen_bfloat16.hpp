#pragma once
#include <septum/backend/detail/bfloat16_batch_norm.hpp>
#include <septum/backend/detail/bfloat16_convolution.hpp>
#include <septum/backend/detail/bfloat16_gradient.hpp>
#include <septum/backend/detail/bfloat16_max_pool.hpp>
#include <septum/backend/detail/bfloat16_winograd.hpp>
#include <septum/backend/detail/bordered_map.hpp>
#include <septum/backend/detail/eigen_context.hpp>
#include <septum/backend/detail/host_convolution.hpp>
#include <septum/backend/detail/host_pointwise.hpp>
#include <septum/backend/problem.hpp>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/nn/layers.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Whether nets can hold maps in bfloat16 on this processor (host_precision::bf16).
[[nodiscard]] inline bool has_host_bfloat16() { return detail::has_bfloat16_instructions(); }

namespace detail {

inline void require_bfloat16_instructions() {
  SEPTUM_EXPECTS(has_bfloat16_instructions(),
                 unsupported_error("septum.backend.1",
                                   "this processor has no AVX512_BF16 instructions, which nets in "
                                   "bfloat16 want; use float"));
}

}  // namespace detail

#if defined(__x86_64__)

/// Convolution and dense layer. Inference runs by Winograd's filtering or directly, as in float; a
/// layer whose input is float multiplies floats and rounds its output. Training runs directly.
template <>
struct kernel<eigen, kind::conv, bfloat16> {
  static constexpr bool converts = true;
  static bool takes(layer_problem const& problem) { return problem.in.channels % 2 == 0; }

  struct plan {
    layer_problem problem;
    bool winograd = false;
  };
  struct packed {
    detail::bfloat16_weights direct;             // one of the three forward
    detail::bfloat16_winograd_weights winograd;  //
    detail::direct_weights of_floats;            //
    detail::bfloat16_weights turned;             // for the input gradient; empty when not trained
  };
  struct saved {};

  static plan prepare(context<eigen>& ctx, layer_problem const& problem) {
    detail::require_bfloat16_instructions();
    plan p{problem.training ? detail::as_product(problem) : problem, uses_winograd(problem)};
    ctx.scratch.reserve(scratch_bytes(ctx, p));
    return p;
  }
  static int grid(layer_problem const& problem) {
    return uses_winograd(problem) ? detail::winograd_grid(problem) : 1;
  }
  static packed pack(context<eigen>&, plan const& p, std::span<float const> parameters) {
    packed w;
    if (p.winograd)
      w.winograd = {p.problem, parameters};
    else if (p.problem.in_scalar == map_scalar::bf16)
      w.direct = detail::forward_weights(p.problem, parameters);
    else
      w.of_floats = {p.problem, parameters};
    if (p.problem.training && p.problem.input_gradient)
      w.turned = detail::turned_weights(p.problem, parameters);
    return w;
  }
  static saved make_saved(context<eigen>&, plan const&) { return {}; }

  static void forward(context<eigen>& ctx, plan const& p, packed const& w, const_layer_map given,
                      layer_map result) {
    auto const x = reshaped(given, p.problem.in, p.problem);
    auto const y = reshaped(result, p.problem.out, p.problem);
    ctx.scratch.reserve(scratch_bytes(ctx, p));
    if (p.winograd)
      detail::bfloat16_winograd_convolve(ctx.threads, p.problem, w.winograd, ctx.scratch.data(),
                                         x.as<bfloat16>(), y.as<bfloat16>());
    else if (x.scalar() == map_scalar::bf16)
      detail::bfloat16_convolve(ctx.threads, p.problem.geometry, p.problem.relu, w.direct,
                                x.as<bfloat16>(), y);
    else
      convolve_floats(ctx, p, w, x.as<float>(), y.as<bfloat16>());
  }
  static void forward_train(context<eigen>& ctx, plan const& p, packed const& w, saved&,
                            const_layer_map x, layer_map y, counter_rng) {
    forward(ctx, p, w, x, y);
  }
  static void backward(context<eigen>& ctx, plan const& p, packed const& w, saved const&,
                       const_layer_map given_x, const_layer_map given_y, layer_map given_dy,
                       layer_map given_dx, std::span<float> dparameters) {
    auto const x = reshaped(given_x, p.problem.in, p.problem);
    auto const y = reshaped(given_y, p.problem.out, p.problem);
    auto const dy = reshaped(given_dy, p.problem.out, p.problem);
    ctx.scratch.reserve(scratch_bytes(ctx, p));
    backward_scratch const memory{p.problem, ctx.scratch.data()};
    if (p.problem.relu) mask_by_relu(ctx.threads, y, dy);
    bool const is_spread = memory.border > 0 || memory.channels != p.problem.out.channels ||
                           dy.scalar() != map_scalar::bf16;
    if (is_spread) spread(ctx.threads, p.problem, memory, dy);
    view<bfloat16 const, 4> const spread_dy{
        is_spread ? memory.slopes : static_cast<bfloat16 const*>(dy.data()),
        {p.problem.batch, p.problem.out.height + 2 * memory.border,
         p.problem.out.width + 2 * memory.border, memory.channels}};
    if (p.problem.input_gradient)
      detail::bfloat16_convolve(ctx.threads, p.problem.geometry, false, w.turned, spread_dy,
                                reshaped(given_dx, p.problem.in, p.problem));
    std::ptrdiff_t const row = spread_dy.stride(1);
    detail::bfloat16_rows const rows{spread_dy.data() + memory.border * (row + memory.channels),
                                     spread_dy.stride(0), row, memory.channels};
    auto input = x.as<bfloat16>();
    if (x.scalar() == map_scalar::f32) {
      for_each_range(ctx.threads, x.size(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        detail::round_to_bfloat16(x.as<float>().data() + begin, end - begin, memory.input + begin);
      });
      input = {memory.input, x.extents()};
    }
    detail::bfloat16_weights_gradient(ctx.threads, p.problem, input, rows, dparameters,
                                      memory.parts);
  }

 private:
  static bool uses_winograd(layer_problem const& problem) {
    return problem.in_scalar == map_scalar::bf16 && problem.out_scalar == map_scalar::bf16 &&
           detail::uses_winograd(problem) && !is_faster_directly(problem);
  }

  // Matrix registers multiply so fast that Winograd's transforms pay for many products only.
  static bool is_faster_directly(layer_problem const& problem) {
    constexpr int least_products = 64 * 128;  // of channels and filters
    return problem.convolution == convolution_algorithm::automatic &&
           detail::has_amx_instructions() &&
           problem.in.channels * problem.out.channels < least_products;
  }

  // A map as the plan's problem sees it; a call in inference may have fewer rows.
  template <class Map>
  static Map reshaped(Map map, shape extent, layer_problem const& problem) {
    if (!problem.training) return map;
    return {
        map.data(), {problem.batch, extent.height, extent.width, extent.channels}, map.scalar()};
  }

  // A layer whose input is float has one or two channels as a rule; it runs row by row in float.
  static void convolve_floats(context<eigen>& ctx, plan const& p, packed const& w,
                              view<float const, 4> x, view<bfloat16, 4> y) {
    std::ptrdiff_t const height = y.extent(1);
    std::ptrdiff_t const out_row = y.extent(2) * y.extent(3);
    std::ptrdiff_t const parts = std::max(ctx.threads.count, 1);
    for_each_range(ctx.threads, parts, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t part = begin; part < end; ++part) {
        float* const sums = reinterpret_cast<float*>(ctx.scratch.data()) + part * out_row;
        std::ptrdiff_t const rows = y.extent(0) * height;
        for (std::ptrdiff_t row = rows * part / parts; row < rows * (part + 1) / parts; ++row) {
          view<float const, 4> const from{
              &x(row / height, row % height, 0, 0),
              {1, p.problem.geometry.extent(), x.extent(2), x.extent(3)}};
          detail::direct_convolve(exec::threads{1}, p.problem, w.of_floats, from,
                                  {sums, {1, 1, y.extent(2), y.extent(3)}});
          detail::round_to_bfloat16(sums, out_row, y.data() + row * out_row);
        }
      }
    });
  }

  // Where the backward pass has its gradient with a border of zeros and an even number of channels,
  // its input where that is float, and the parts of the weights' gradient.
  struct backward_scratch {
    int border;
    int channels;
    bfloat16* slopes;
    bfloat16* input;
    std::byte* parts;
    std::size_t bytes;

    backward_scratch(layer_problem const& problem, std::byte* memory)
        : border{problem.input_gradient ? problem.geometry.extent() - 1 : 0},
          channels{(problem.out.channels + 1) / 2 * 2} {
      auto const batch = static_cast<std::size_t>(problem.batch);
      auto const lines = [](std::size_t values) { return (values * 2 + 63) / 64 * 64; };
      shape const wide{problem.out.height + 2 * border, problem.out.width + 2 * border, channels};
      std::size_t const slope_bytes = lines(wide.size() * batch);
      std::size_t const input_bytes =
          problem.in_scalar == map_scalar::f32 ? lines(problem.in.size() * batch) : 0;
      detail::bfloat16_gradient_layout const layout{problem};
      slopes = reinterpret_cast<bfloat16*>(memory);
      input = reinterpret_cast<bfloat16*>(memory + slope_bytes);
      parts = memory + slope_bytes + input_bytes;
      bytes = slope_bytes + input_bytes + static_cast<std::size_t>(layout.parts()) * layout.bytes();
    }
  };
  static std::size_t scratch_bytes(context<eigen> const& ctx, plan const& p) {
    if (p.winograd) return detail::bfloat16_winograd_scratch_bytes(p.problem, ctx.threads);
    std::size_t const row = p.problem.in_scalar == map_scalar::f32
                                ? static_cast<std::size_t>(p.problem.out.width) *
                                      static_cast<std::size_t>(p.problem.out.channels) *
                                      static_cast<std::size_t>(std::max(ctx.threads.count, 1)) *
                                      sizeof(float)
                                : 0;
    return p.problem.training ? std::max(row, backward_scratch{p.problem, nullptr}.bytes) : row;
  }

  static void mask_by_relu(exec::threads threads, const_layer_map y, layer_map dy) {
    if (y.scalar() == map_scalar::f32)
      return detail::host_mask_by_relu<float>(threads, y.as<float>(), dy.as<float>());
    // Outputs of relu are positive or +0, whose bits are 0.
    detail::for_each_value(threads, y.size(), [&](std::ptrdiff_t i) {
      if (y.as<bfloat16>().data()[i].bits == 0) dy.as<bfloat16>().data()[i] = bfloat16{};
    });
  }

  // The gradient with a border of zeros, in bfloat16.
  static void spread(exec::threads threads, layer_problem const& problem,
                     backward_scratch const& memory, layer_map dy) {
    std::ptrdiff_t const filters = problem.out.channels;
    bool const is_float = dy.scalar() == map_scalar::f32;
    detail::spread_over_border(
        threads, problem.batch, problem.out, memory.border, memory.channels, memory.slopes,
        [&](std::ptrdiff_t pixel, bfloat16* to) {
          if (is_float)
            detail::round_to_bfloat16(dy.as<float>().data() + pixel * filters, filters, to);
          else
            std::copy_n(dy.as<bfloat16>().data() + pixel * filters, filters, to);
        });
  }
};

/// Max-pooling, strided or dilated.
template <>
struct kernel<eigen, kind::max_pool, bfloat16> {
  static constexpr bool converts = false;
  static bool takes(layer_problem const&) { return true; }

  struct plan {
    layer_problem problem;
  };
  struct packed {};
  struct saved {};
  static plan prepare(context<eigen>&, layer_problem const& problem) {
    detail::require_bfloat16_instructions();
    return {problem};
  }
  static packed pack(context<eigen>&, plan const&, std::span<float const>) { return {}; }
  static saved make_saved(context<eigen>&, plan const&) { return {}; }

  static void forward(context<eigen>& ctx, plan const& p, packed const&, const_layer_map x,
                      layer_map y) {
    detail::bfloat16_max_pool_forward(ctx.threads, p.problem, x.as<bfloat16>(), y.as<bfloat16>());
  }
  static void forward_train(context<eigen>& ctx, plan const& p, packed const& w, saved&,
                            const_layer_map x, layer_map y, counter_rng) {
    forward(ctx, p, w, x, y);
  }
  static void backward(context<eigen>& ctx, plan const& p, packed const&, saved const&,
                       const_layer_map x, const_layer_map y, layer_map dy, layer_map dx,
                       std::span<float>) {
    if (p.problem.input_gradient)
      detail::bfloat16_max_pool_backward(ctx.threads, p.problem, x.as<bfloat16>(), y.as<bfloat16>(),
                                         dy.as<bfloat16>(), dx.as<bfloat16>());
  }
};

/// Batch normalisation, with relu as an option.
template <>
struct kernel<eigen, kind::batch_norm, bfloat16> : detail::host_batch_norm_state<float> {
  using base = detail::host_batch_norm_state<float>;
  using typename base::packed;
  using typename base::plan;
  using typename base::saved;
  static constexpr bool converts = false;
  static bool takes(layer_problem const&) { return true; }

  static plan prepare(context<eigen>& ctx, layer_problem const& problem) {
    detail::require_bfloat16_instructions();
    if (problem.training) ctx.scratch.reserve(detail::batch_norm_scratch<float>::bytes(problem));
    return {problem};
  }

  static void forward(context<eigen>& ctx, plan const& p, packed const& w, const_layer_map x,
                      layer_map y) {
    normalise(ctx, p, w.inference, x, y);
  }
  static void forward_train(context<eigen>& ctx, plan const& p, packed const& w, saved& s,
                            const_layer_map x, layer_map y, counter_rng) {
    detail::bfloat16_batch_statistics(ctx.threads, x.as<bfloat16>(), base::scratch(ctx, p), s.mean,
                                      s.deviation);
    s.training.set<double>(w.parameters, s.mean, s.deviation);
    normalise(ctx, p, s.training, x, y);
  }
  static void backward(context<eigen>& ctx, plan const& p, packed const&, saved const& s,
                       const_layer_map x, const_layer_map, layer_map dy, layer_map dx,
                       std::span<float> dparameters) {
    if (p.problem.relu)
      differentiate<true>(ctx, p, s, x, dy, dx, dparameters);
    else
      differentiate<false>(ctx, p, s, x, dy, dx, dparameters);
  }

 private:
  static void normalise(context<eigen>& ctx, plan const& p,
                        detail::affine_channels<float> const& map, const_layer_map x, layer_map y) {
    if (p.problem.relu)
      detail::bfloat16_normalise<true>(ctx.threads, map, x.as<bfloat16>(), y.as<bfloat16>());
    else
      detail::bfloat16_normalise<false>(ctx.threads, map, x.as<bfloat16>(), y.as<bfloat16>());
  }
  template <bool Relu>
  static void differentiate(context<eigen>& ctx, plan const& p, saved const& s, const_layer_map x,
                            const_layer_map dy, layer_map dx, std::span<float> dparameters) {
    auto const sums = base::scratch(ctx, p);
    detail::bfloat16_batch_norm_sums<Relu>(ctx.threads, s.training, x.as<bfloat16>(),
                                           dy.as<bfloat16>(), sums);
    detail::set_batch_norm_gradient<float>(sums, s.mean, s.deviation, dparameters);
    if (p.problem.input_gradient)
      detail::bfloat16_batch_norm_input_gradient<Relu>(ctx.threads, s.training, s.deviation,
                                                       x.as<bfloat16>(), dy.as<bfloat16>(),
                                                       dx.as<bfloat16>(), sums);
  }
};

#endif

}  // namespace septum::inline SEPTUM_ABI
