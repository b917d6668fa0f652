#pragma once
#include <septum/backend/detail/host_winograd_training.hpp>
#include <septum/backend/detail/onednn_library.hpp>
#include <septum/backend/eigen.hpp>
#include <septum/backend/problem.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/exec/default_threads.hpp>
#include <septum/nn/layers.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
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
/// the last convolution of a patch net) is a matrix product of the maps as they lie. On processors
/// with AVX2 or AVX-512 our own kernels take the place of the library's: in inference, where it is
/// 5 to 20 % slower on channels-last maps, has no Winograd form with dilation, and allocates in
/// every call; in training where a layer has a Winograd form that pays.
template <>
struct kernel<onednn, kind::conv, float> {
  // The weights' gradient is summed in parts that are the same for any thread count, each in one
  // thread, and the parts are added in their order. A part is some images, or some rows of one.
  struct weights_part {
    std::ptrdiff_t image = 0;
    std::ptrdiff_t row = 0;
    dnnl::memory::desc x, y;
    dnnl::convolution_backward_weights::primitive_desc description;
    dnnl::convolution_backward_weights primitive;
  };
  struct plan {
    layer_problem problem;
    dnnl::memory::desc x, y, weights, bias;  // as the caller holds them
    dnnl::convolution_forward::primitive_desc forward_description;
    dnnl::convolution_forward forward;
    std::optional<dnnl::convolution_backward_data::primitive_desc> data_description;
    std::optional<dnnl::convolution_backward_data> data;
    // In place of `data` where the library has no kernel of its own for it: the same sums as a
    // convolution of the gradient with the windows turned around, over a border of zeros.
    std::optional<dnnl::convolution_forward::primitive_desc> turned_description;
    std::optional<dnnl::convolution_forward> turned;
    std::vector<weights_part> parts;                    // of the weights' gradient
    std::size_t scratch_bytes = 0;                      // of the largest primitive
    bool is_product = false;                            // no primitives then
    detail::host_inference own{};                       // nor then
    std::optional<detail::winograd_training> winograd;  // nor then
  };
  struct packed {
    dnnl::memory weights, bias;
    dnnl::memory data_weights;      // for the input gradient; empty when not trained
    std::vector<float> parameters;  // as given; only for a product
    detail::host_inference::packed own;
    detail::winograd_training::packed winograd;
  };
  struct saved {};

  static plan prepare(context<onednn>& ctx, layer_problem const& problem) {
    if (covers_its_input(problem)) {
      plan p;
      p.problem = problem;
      p.is_product = true;
      return p;
    }
    if (!problem.training && detail::has_direct_convolution()) {
      plan p;
      p.problem = problem;
      p.own = detail::host_inference{problem};
      ctx.scratch.reserve(p.own.scratch_bytes(problem, ctx.threads));
      return p;
    }
    if (detail::trains_by_winograd(problem)) {
      plan p;
      p.problem = problem;
      p.winograd.emplace(problem);
      ctx.scratch.reserve(p.winograd->scratch_bytes(ctx.threads));
      return p;
    }
    default_threads const scope{ctx.threads};
    return detail::checked_onednn("prepare a convolution", [&] { return describe(ctx, problem); });
  }
  static int grid(layer_problem const& problem) { return detail::host_inference::grid(problem); }
  static std::size_t scratch_bytes(context<onednn> const& ctx, layer_problem const& problem) {
    bool const own = !covers_its_input(problem) && detail::trains_by_winograd(problem);
    return own ? detail::winograd_training{problem}.scratch_bytes(ctx.threads) : 0;
  }

  static packed pack(context<onednn>& ctx, plan const& p, std::span<float const> parameters) {
    if (p.is_product) {
      packed result;
      result.parameters.assign(parameters.begin(), parameters.end());
      return result;
    }
    if (p.own.available) {
      packed result;
      result.own = p.own.pack(p.problem, parameters);
      return result;
    }
    if (p.winograd) {
      packed result;
      result.winograd = p.winograd->pack(ctx.threads, parameters);
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
      if (p.turned) result.data_weights = turned_weights(ctx, p, parameters);
      ctx.stream.wait();
      return result;
    });
  }

  static saved make_saved(context<onednn>&, plan const&) { return {}; }

  static void forward(context<onednn>& ctx, plan const& p, packed const& w, view<float const, 4> x,
                      view<float, 4> y) {
    if (p.own.available) return p.own.forward(ctx.threads, p.problem, w.own, ctx.scratch, x, y);
    if (p.is_product) return multiply(ctx, p, w, x, y);
    if (p.winograd) {
      ctx.scratch.reserve(p.winograd->scratch_bytes(ctx.threads));
      return p.winograd->forward(ctx.threads, w.winograd, ctx.scratch.data(), x, y);
    }
    default_threads const scope{ctx.threads};
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
    if (p.is_product) return multiply_gradients(ctx, p, w, x, dy, dx, dparameters);
    if (p.winograd) {
      ctx.scratch.reserve(p.winograd->scratch_bytes(ctx.threads));
      return p.winograd->backward(ctx.threads, w.winograd, ctx.scratch.data(), x, dy, dx,
                                  dparameters);
    }
    if (p.problem.input_gradient) {
      default_threads const scope{ctx.threads};
      detail::checked_onednn("run the gradient of a convolution's input", [&] {
        if (p.data)
          p.data->execute(ctx.stream,
                          {{DNNL_ARG_DIFF_DST, bind(ctx, p.y, dy.data())},
                           {DNNL_ARG_WEIGHTS, w.data_weights},
                           {DNNL_ARG_DIFF_SRC, bind(ctx, p.x, dx.data())},
                           {DNNL_ARG_SCRATCHPAD, scratchpad(ctx, p, *p.data_description)}});
        else
          p.turned->execute(ctx.stream,
                            {{DNNL_ARG_SRC, bind(ctx, p.y, dy.data())},
                             {DNNL_ARG_WEIGHTS, w.data_weights},
                             {DNNL_ARG_DST, bind(ctx, p.x, dx.data())},
                             {DNNL_ARG_SCRATCHPAD, scratchpad(ctx, p, *p.turned_description)}});
        ctx.stream.wait();
      });
    }
    weights_gradient(ctx, p, x, dy, dparameters);
  }

 private:
  // Parts of a sum, whatever the thread count.
  static constexpr std::ptrdiff_t most_parts = 4;

  static bool covers_its_input(layer_problem const& problem) {
    return problem.training && problem.out.height == 1 && problem.out.width == 1 &&
           problem.geometry.dilation == 1 && problem.in.height == problem.geometry.kernel &&
           problem.in.width == problem.geometry.kernel;
  }

  // Calls body(first, count) for parts of [0, total) that do not depend on the thread count.
  template <class Body>
  static void for_each_part(context<onednn>& ctx, std::ptrdiff_t total, Body const& body) {
    default_threads const serial_products{exec::threads{1}};
    std::ptrdiff_t const parts = std::min(total, most_parts);
    for_each_range(ctx.threads, parts, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t part = begin; part < end; ++part) {
        std::ptrdiff_t const first = total * part / parts;
        body(first, total * (part + 1) / parts - first);
      }
    });
  }

  // y = x W^T + bias with one row per image.
  static void multiply(context<onednn>& ctx, plan const& p, packed const& w, view<float const, 4> x,
                       view<float, 4> y) {
    std::ptrdiff_t const filters = p.problem.out.channels;
    auto const depth = static_cast<std::ptrdiff_t>(p.problem.in.size());
    float const* const bias = w.parameters.data() + filters * depth;
    for_each_part(ctx, p.problem.batch, [&](std::ptrdiff_t first, std::ptrdiff_t count) {
      float* const to = y.data() + first * filters;
      for (std::ptrdiff_t n = 0; n < count; ++n) std::copy_n(bias, filters, to + n * filters);
      detail::onednn_product('N', 'T', count, filters, depth, x.data() + first * depth, depth,
                             w.parameters.data(), 1.0F, to);
      if (p.problem.relu)
        for (std::ptrdiff_t i = 0; i < count * filters; ++i) to[i] = std::max(to[i], 0.0F);
    });
  }
  static void multiply_gradients(context<onednn>& ctx, plan const& p, packed const& w,
                                 view<float const, 4> x, view<float const, 4> dy, view<float, 4> dx,
                                 std::span<float> dparameters) {
    std::ptrdiff_t const filters = p.problem.out.channels;
    auto const depth = static_cast<std::ptrdiff_t>(p.problem.in.size());
    if (p.problem.input_gradient)
      for_each_part(ctx, p.problem.batch, [&](std::ptrdiff_t first, std::ptrdiff_t count) {
        detail::onednn_product('N', 'N', count, depth, filters, dy.data() + first * filters,
                               filters, w.parameters.data(), 0.0F, dx.data() + first * depth);
      });
    for_each_part(ctx, filters, [&](std::ptrdiff_t first, std::ptrdiff_t count) {
      detail::onednn_product('T', 'N', count, depth, p.problem.batch, dy.data() + first, filters,
                             x.data(), 0.0F, dparameters.data() + first * depth);
    });
    float* const dbias = dparameters.data() + filters * depth;
    std::fill_n(dbias, filters, 0.0F);
    for (std::ptrdiff_t n = 0; n < p.problem.batch; ++n)
      for (std::ptrdiff_t f = 0; f < filters; ++f) dbias[f] += dy.data()[n * filters + f];
  }

  // Where a part's sums lie in scratch memory: the library's own, the weights, the bias.
  struct part_layout {
    std::size_t pad = 0;
    std::size_t weights = 0;
    std::size_t stride = 0;
    explicit part_layout(plan const& p) {
      for (auto const& part : p.parts) {
        pad = std::max(pad, whole_lines(part.description.scratchpad_desc().get_size()));
        weights = std::max(weights, whole_lines(part.description.diff_weights_desc().get_size()));
      }
      stride = pad + weights +
               whole_lines(static_cast<std::size_t>(p.problem.out.channels) * sizeof(float));
    }
  };

  static void weights_gradient(context<onednn>& ctx, plan const& p, view<float const, 4> x,
                               view<float const, 4> dy, std::span<float> dparameters) {
    part_layout const layout{p};
    std::byte* const base = scratch(ctx, p);
    auto const sums_of = [&](std::size_t part) {
      return reinterpret_cast<float*>(base + part * layout.stride + layout.pad);
    };
    auto const values = layout.weights / sizeof(float);
    std::ptrdiff_t const filters = p.problem.out.channels;
    {
      default_threads const serial_parts{exec::threads{1}};
      for_each_range(
          ctx.threads, std::ssize(p.parts), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (auto k = static_cast<std::size_t>(begin); k < static_cast<std::size_t>(end); ++k)
              run_part(ctx, p.parts[k], x, dy, base + k * layout.stride, sums_of(k),
                       sums_of(k) + values);
          });
    }
    float* const total = sums_of(0);
    auto const count = static_cast<std::ptrdiff_t>(values) + filters;
    for_each_range(ctx.threads, count, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::size_t k = 1; k < p.parts.size(); ++k) {
        float const* const more = sums_of(k);
        for (std::ptrdiff_t i = begin; i < end; ++i) total[i] += more[i];
      }
    });
    default_threads const scope{ctx.threads};
    detail::checked_onednn("bring a gradient into our order", [&] {
      dnnl::memory own{p.parts.front().description.diff_weights_desc(), ctx.engine, total};
      dnnl::memory given{p.weights, ctx.engine, dparameters.data()};
      dnnl::reorder{own, given}.execute(ctx.stream, own, given);
      ctx.stream.wait();
    });
    std::copy_n(total + values, filters, dparameters.data() + std::ssize(dparameters) - filters);
  }

  static void run_part(context<onednn>& ctx, weights_part const& part, view<float const, 4> x,
                       view<float const, 4> dy, std::byte* pad, float* weights, float* bias) {
    detail::checked_onednn("run the gradient of a convolution's weights", [&] {
      auto const& d = part.description;
      dnnl::stream stream{ctx.engine};
      part.primitive.execute(
          stream,
          {{DNNL_ARG_SRC, bind(ctx, part.x, &x(part.image, part.row, 0, 0))},
           {DNNL_ARG_DIFF_DST, bind(ctx, part.y, &dy(part.image, part.row, 0, 0))},
           {DNNL_ARG_DIFF_WEIGHTS, bind(ctx, d.diff_weights_desc(), weights)},
           {DNNL_ARG_DIFF_BIAS, bind(ctx, d.diff_bias_desc(), bias)},
           {DNNL_ARG_SCRATCHPAD, bind(ctx, d.scratchpad_desc(), reinterpret_cast<float*>(pad))}});
      stream.wait();
    });
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
           {},
           0,
           false,
           {},
           {}};
    p.scratch_bytes = forward.scratchpad_desc().get_size();
    if (problem.training) {
      auto const plain = detail::onednn_attributes(false);
      if (problem.input_gradient) {
        p.data_description = detail::describe_backward<dnnl::convolution_backward_data>(
            ctx.engine, plain, forward, direct, x, any, y, strides, dilation, padding, padding);
        if (std::string_view{p.data_description->impl_info_str()}.starts_with("jit")) {
          p.data.emplace(*p.data_description);
          p.scratch_bytes =
              std::max(p.scratch_bytes, p.data_description->scratchpad_desc().get_size());
        } else {
          int const border = problem.geometry.extent() - 1;
          memory::desc const turned{
              {problem.in.channels, problem.out.channels, side, side}, f32, tag::any};
          memory::desc const no_bias{};
          p.turned_description = detail::describe_forward<dnnl::convolution_forward>(
              ctx.engine, plain, dnnl::prop_kind::forward_inference, direct, y, turned, no_bias, x,
              strides, dilation, memory::dims{border, border}, memory::dims{border, border});
          p.turned.emplace(*p.turned_description);
          p.scratch_bytes =
              std::max(p.scratch_bytes, p.turned_description->scratchpad_desc().get_size());
        }
      }
      describe_parts(ctx, p, forward);
      p.scratch_bytes = std::max(p.scratch_bytes, p.parts.size() * part_layout{p}.stride);
    }
    ctx.scratch.reserve(p.scratch_bytes);
    return p;
  }

  static void describe_parts(context<onednn>& ctx, plan& p,
                             dnnl::convolution_forward::primitive_desc const& forward) {
    using dnnl::memory;
    using tag = memory::format_tag;
    auto constexpr f32 = memory::data_type::f32;
    auto const& problem = p.problem;
    std::ptrdiff_t const batch = problem.batch;
    std::ptrdiff_t const height = problem.out.height;
    std::ptrdiff_t const image_parts = std::min(batch, most_parts);
    std::ptrdiff_t const row_parts =
        batch >= most_parts ? 1 : std::min(height, (most_parts + batch - 1) / batch);
    memory::dims const strides{1, 1};
    memory::dims const dilation{problem.geometry.dilation - 1, problem.geometry.dilation - 1};
    memory::dims const padding{0, 0};
    int const side = problem.geometry.kernel;
    memory::dims const extents{problem.out.channels, problem.in.channels, side, side};
    // All parts leave their sums in the order that the first one chooses.
    memory::desc order{extents, f32, tag::any};
    default_threads const serial_parts{exec::threads{1}};
    for (std::ptrdiff_t i = 0; i < image_parts; ++i)
      for (std::ptrdiff_t r = 0; r < row_parts; ++r) {
        std::ptrdiff_t const first = batch * i / image_parts;
        std::ptrdiff_t const images = batch * (i + 1) / image_parts - first;
        std::ptrdiff_t const row = height * r / row_parts;
        std::ptrdiff_t const rows = height * (r + 1) / row_parts - row;
        memory::desc const x{
            {images, problem.in.channels, rows + problem.geometry.extent() - 1, problem.in.width},
            f32,
            tag::nhwc};
        memory::desc const y{
            {images, problem.out.channels, rows, problem.out.width}, f32, tag::nhwc};
        auto const description = detail::describe_backward<dnnl::convolution_backward_weights>(
            ctx.engine, detail::onednn_attributes(false), forward,
            dnnl::algorithm::convolution_direct, x, order, p.bias, y, strides, dilation, padding,
            padding);
        order = description.diff_weights_desc();
        p.parts.push_back(
            {first, row, x, y, description, dnnl::convolution_backward_weights{description}});
      }
  }

  // Weights (channel, filter, row, column) with the windows turned around.
  static dnnl::memory turned_weights(context<onednn>& ctx, plan const& p,
                                     std::span<float const> parameters) {
    auto const filters = static_cast<std::size_t>(p.problem.out.channels);
    auto const channels = static_cast<std::size_t>(p.problem.in.channels);
    auto const side = static_cast<std::size_t>(p.problem.geometry.kernel);
    std::size_t const taps = side * side;
    std::vector<float> values(filters * taps * channels);
    for (std::size_t f = 0; f < filters; ++f)
      for (std::size_t tap = 0; tap < taps; ++tap)
        for (std::size_t k = 0; k < channels; ++k)
          values[((taps - 1 - tap) * filters + f) * channels + k] =
              parameters[(f * taps + tap) * channels + k];
    dnnl::memory::desc const given{{p.problem.in.channels, p.problem.out.channels,
                                    p.problem.geometry.kernel, p.problem.geometry.kernel},
                                   dnnl::memory::data_type::f32,
                                   dnnl::memory::format_tag::hwio};
    // hwio names the extents of ordinary weights: here the outputs are channels, the inputs
    // filters.
    auto const turned = reordered(ctx, dnnl::memory{given, ctx.engine, values.data()},
                                  p.turned_description->weights_desc());
    ctx.stream.wait();
    return turned;
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
