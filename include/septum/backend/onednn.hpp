#pragma once
#include <septum/backend/detail/onednn_library.hpp>
#include <septum/backend/eigen.hpp>
#include <septum/backend/problem.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/exec/default_threads.hpp>
#include <septum/nn/layers.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Convolutions and dense layers by oneDNN (2.6 or 3), which picks its code for the processor at
/// run time; every other layer by the fallback. Float only; double goes to the fallback.
struct onednn {
  using memory_space = host_space;
  using fallback = eigen;
  static constexpr std::string_view name = "onednn";
};

/// Threads, stream and the scratch memory that all primitives share. Moves, does not copy.
template <>
struct context<onednn> {
  explicit context(exec::threads count = {}) : threads{count} {}
  context(context&&) = default;
  context& operator=(context&&) = default;

  exec::threads threads;
  dnnl::engine engine = detail::onednn_engine();
  dnnl::stream stream{engine};
  buffer<std::byte> scratch{};
};

/// Convolution and dense layer. Maps stay channels-last; `pack` puts the weights into the order the
/// primitive asks for. In training, a layer whose window covers its whole input (dense layers, and
/// the last convolution of a patch net) is a matrix product of the maps as they lie. In inference
/// on processors with AVX2 only, our direct convolution takes the place of the library's, which on
/// channels-last maps is 5 to 20 % slower there.
template <>
struct kernel<onednn, kind::conv, float> {
  struct plan {
    layer_problem problem;
    dnnl::memory::desc x, y, weights, bias;  // as the caller holds them
    dnnl::convolution_forward::primitive_desc forward_description;
    dnnl::convolution_forward forward;
    std::optional<dnnl::convolution_backward_data::primitive_desc> data_description;
    std::optional<dnnl::convolution_backward_data> data;
    std::optional<dnnl::convolution_backward_weights::primitive_desc> weights_description;
    std::optional<dnnl::convolution_backward_weights> backward_weights;
    std::size_t scratch_bytes = 0;  // of the largest primitive
    bool is_product = false;        // no primitives then
    bool direct = false;            // nor then
  };
  struct packed {
    dnnl::memory weights, bias;
    dnnl::memory data_weights;      // for the input gradient; empty when not trained
    std::vector<float> parameters;  // as given; only for a product
    detail::direct_weights direct;
  };
  struct saved {};

  static plan prepare(context<onednn>& ctx, layer_problem const& problem) {
    if (covers_its_input(problem)) {
      plan p;
      p.problem = problem;
      p.is_product = true;
      return p;
    }
    default_threads const scope{ctx.threads};
    plan p =
        detail::checked_onednn("prepare a convolution", [&] { return describe(ctx, problem); });
    p.direct = !problem.training && detail::has_direct_convolution() &&
               std::string_view{p.forward_description.impl_info_str()}.ends_with(":avx2");
    return p;
  }

  static packed pack(context<onednn>& ctx, plan const& p, std::span<float const> parameters) {
    if (p.is_product) {
      packed result;
      result.parameters.assign(parameters.begin(), parameters.end());
      return result;
    }
    if (p.direct) {
      packed result;
      result.direct = {p.problem, parameters};
      return result;
    }
    default_threads const scope{ctx.threads};
    return detail::checked_onednn("pack the weights of a convolution", [&] {
      // The library takes non-const handles also for what it only reads.
      auto* const values = const_cast<float*>(parameters.data());
      dnnl::memory const weights{p.weights, ctx.engine, values};
      packed result;
      result.weights = reordered(ctx, weights, p.forward_description.weights_desc());
      result.bias = reordered(ctx,
                              dnnl::memory{p.bias, ctx.engine,
                                           values + parameters.size() -
                                               static_cast<std::size_t>(p.problem.out.channels)},
                              p.bias);
      if (p.data) result.data_weights = reordered(ctx, weights, p.data_description->weights_desc());
      ctx.stream.wait();
      return result;
    });
  }

  static saved make_saved(context<onednn>&, plan const&) { return {}; }

  static void forward(context<onednn>& ctx, plan const& p, packed const& w, view<float const, 4> x,
                      view<float, 4> y) {
    if (p.direct) return detail::direct_convolve(ctx.threads, p.problem, w.direct, x, y);
    default_threads const scope{ctx.threads};
    if (p.is_product) return multiply(p, w, x, y);
    detail::checked_onednn("run a convolution", [&] {
      p.forward.execute(ctx.stream,
                        {{DNNL_ARG_SRC, bind(ctx, p.x, x.data())},
                         {DNNL_ARG_WEIGHTS, w.weights},
                         {DNNL_ARG_BIAS, w.bias},
                         {DNNL_ARG_DST, bind(ctx, p.y, y.data())},
                         {DNNL_ARG_SCRATCHPAD, scratchpad(ctx, p, p.forward_description)}});
      ctx.stream.wait();
    });
  }

  static void forward_train(context<onednn>& ctx, plan const& p, packed const& w, saved&,
                            view<float const, 4> x, view<float, 4> y, counter_rng) {
    forward(ctx, p, w, x, y);
  }

  static void backward(context<onednn>& ctx, plan const& p, packed const& w, saved const&,
                       view<float const, 4> x, view<float const, 4> y, view<float, 4> dy,
                       view<float, 4> dx, std::span<float> dparameters) {
    if (p.problem.relu) detail::host_mask_by_relu<float>(ctx.threads, y, dy);
    default_threads const scope{ctx.threads};
    if (p.is_product) return multiply_gradients(p, w, x, dy, dx, dparameters);
    detail::checked_onednn("run the gradient of a convolution", [&] {
      if (p.data)
        p.data->execute(ctx.stream,
                        {{DNNL_ARG_DIFF_DST, bind(ctx, p.y, dy.data())},
                         {DNNL_ARG_WEIGHTS, w.data_weights},
                         {DNNL_ARG_DIFF_SRC, bind(ctx, p.x, dx.data())},
                         {DNNL_ARG_SCRATCHPAD, scratchpad(ctx, p, *p.data_description)}});
      auto const own_order = p.weights_description->diff_weights_desc();
      auto const pad_bytes = whole_lines(p.weights_description->scratchpad_desc().get_size());
      std::byte* const base = scratch(ctx, p);
      dnnl::memory own{own_order, ctx.engine, base + pad_bytes};
      float* const dbias = dparameters.data() + dparameters.size() -
                           static_cast<std::size_t>(p.problem.out.channels);
      p.backward_weights->execute(
          ctx.stream, {{DNNL_ARG_SRC, bind(ctx, p.x, x.data())},
                       {DNNL_ARG_DIFF_DST, bind(ctx, p.y, dy.data())},
                       {DNNL_ARG_DIFF_WEIGHTS, own},
                       {DNNL_ARG_DIFF_BIAS, bind(ctx, p.bias, dbias)},
                       {DNNL_ARG_SCRATCHPAD, scratchpad(ctx, p, *p.weights_description)}});
      dnnl::memory given{p.weights, ctx.engine, dparameters.data()};
      dnnl::reorder{own, given}.execute(ctx.stream, own, given);
      ctx.stream.wait();
    });
  }

 private:
  static bool covers_its_input(layer_problem const& problem) {
    return problem.training && problem.out.height == 1 && problem.out.width == 1 &&
           problem.geometry.dilation == 1 && problem.in.height == problem.geometry.kernel &&
           problem.in.width == problem.geometry.kernel;
  }

  // y = x W^T + bias with one row per image.
  static void multiply(plan const& p, packed const& w, view<float const, 4> x, view<float, 4> y) {
    std::ptrdiff_t const filters = p.problem.out.channels;
    auto const depth = static_cast<std::ptrdiff_t>(p.problem.in.size());
    float const* const bias = w.parameters.data() + filters * depth;
    for (std::ptrdiff_t n = 0; n < p.problem.batch; ++n)
      std::copy_n(bias, filters, y.data() + n * filters);
    detail::onednn_product('N', 'T', p.problem.batch, filters, depth, x.data(), w.parameters.data(),
                           1.0F, y.data());
    if (p.problem.relu)
      for (std::ptrdiff_t i = 0; i < y.size(); ++i) y.data()[i] = std::max(y.data()[i], 0.0F);
  }
  static void multiply_gradients(plan const& p, packed const& w, view<float const, 4> x,
                                 view<float const, 4> dy, view<float, 4> dx,
                                 std::span<float> dparameters) {
    std::ptrdiff_t const filters = p.problem.out.channels;
    auto const depth = static_cast<std::ptrdiff_t>(p.problem.in.size());
    if (p.problem.input_gradient)
      detail::onednn_product('N', 'N', p.problem.batch, depth, filters, dy.data(),
                             w.parameters.data(), 0.0F, dx.data());
    detail::onednn_product('T', 'N', filters, depth, p.problem.batch, dy.data(), x.data(), 0.0F,
                           dparameters.data());
    float* const dbias = dparameters.data() + filters * depth;
    std::fill_n(dbias, filters, 0.0F);
    for (std::ptrdiff_t n = 0; n < p.problem.batch; ++n)
      for (std::ptrdiff_t f = 0; f < filters; ++f) dbias[f] += dy.data()[n * filters + f];
  }

  static plan describe(context<onednn>& ctx, layer_problem const& problem) {
    using dnnl::memory;
    using tag = memory::format_tag;
    auto constexpr f32 = memory::data_type::f32;
    memory::dims const x_extents{problem.batch, problem.in.channels, problem.in.height,
                                 problem.in.width};
    memory::dims const y_extents{problem.batch, problem.out.channels, problem.out.height,
                                 problem.out.width};
    int const side = problem.geometry.kernel;
    memory::dims const w_extents{problem.out.channels, problem.in.channels, side, side};
    memory::dims const strides{problem.geometry.stride, problem.geometry.stride};
    memory::dims const dilation{problem.geometry.dilation - 1, problem.geometry.dilation - 1};
    memory::dims const padding{0, 0};
    memory::desc const x{x_extents, f32, tag::nhwc};
    memory::desc const y{y_extents, f32, tag::nhwc};
    memory::desc const any{w_extents, f32, tag::any};
    memory::desc const bias{{problem.out.channels}, f32, tag::a};
    auto constexpr direct = dnnl::algorithm::convolution_direct;
    auto const use =
        problem.training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;

    auto const forward = detail::describe_forward<dnnl::convolution_forward>(
        ctx.engine, detail::onednn_attributes(problem.relu), use, direct, x, any, bias, y, strides,
        dilation, padding, padding);
    plan p{problem,
           x,
           y,
           memory::desc{w_extents, f32, tag::ohwi},
           bias,
           forward,
           dnnl::convolution_forward{forward},
           {},
           {},
           {},
           {},
           0};
    p.scratch_bytes = forward.scratchpad_desc().get_size();
    if (problem.training) {
      auto const plain = detail::onednn_attributes(false);
      if (problem.input_gradient) {
        p.data_description = detail::describe_backward<dnnl::convolution_backward_data>(
            ctx.engine, plain, forward, direct, x, any, y, strides, dilation, padding, padding);
        p.data.emplace(*p.data_description);
        p.scratch_bytes =
            std::max(p.scratch_bytes, p.data_description->scratchpad_desc().get_size());
      }
      p.weights_description = detail::describe_backward<dnnl::convolution_backward_weights>(
          ctx.engine, plain, forward, direct, x, any, bias, y, strides, dilation, padding, padding);
      p.backward_weights.emplace(*p.weights_description);
      p.scratch_bytes = std::max(p.scratch_bytes,
                                 whole_lines(p.weights_description->scratchpad_desc().get_size()) +
                                     p.weights_description->diff_weights_desc().get_size());
    }
    ctx.scratch.reserve(p.scratch_bytes);
    return p;
  }

  static dnnl::memory bind(context<onednn>& ctx, dnnl::memory::desc const& d, float const* values) {
    return {d, ctx.engine, const_cast<float*>(values)};
  }
  // A plan may run with another context than the one it was prepared with, so every call asks.
  static std::byte* scratch(context<onednn>& ctx, plan const& p) {
    ctx.scratch.reserve(p.scratch_bytes);
    return ctx.scratch.data();
  }
  static constexpr std::size_t whole_lines(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
  template <class Description>
  static dnnl::memory scratchpad(context<onednn>& ctx, plan const& p, Description const& d) {
    return {d.scratchpad_desc(), ctx.engine, scratch(ctx, p)};
  }
  static dnnl::memory reordered(context<onednn>& ctx, dnnl::memory from,
                                dnnl::memory::desc const& order) {
    dnnl::memory to{order, ctx.engine};
    dnnl::reorder{from, to}.execute(ctx.stream, from, to);
    return to;
  }
};

}  // namespace septum::inline SEPTUM_ABI
