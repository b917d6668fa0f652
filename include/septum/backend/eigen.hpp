#pragma once
#include <septum/backend/detail/eigen_bfloat16.hpp>
#include <septum/backend/detail/eigen_context.hpp>
#include <septum/backend/detail/host_batch_norm.hpp>
#include <septum/backend/detail/host_inference.hpp>
#include <septum/backend/detail/host_max_pool.hpp>
#include <septum/backend/detail/host_pointwise.hpp>
#include <septum/backend/problem.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/exec/default_threads.hpp>
#include <septum/nn/layers.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Convolution and dense layer. Windows are gathered into matrices of `block` rows (im2col), which
/// one Eigen product multiplies with the weights. Blocks have the same number of rows everywhere,
/// the last one filled up with zeros, so that the place of a pixel does not change its sum.
/// Forward in float, processors with AVX2 or AVX-512 run our direct or Winograd convolution
/// instead.
template <class T>
struct kernel<eigen, kind::conv, T> {
  struct plan {
    layer_problem problem;
    detail::host_inference own{};  // float only
  };
  struct packed {
    std::vector<T> parameters;  // weights (filter, row, column, channel), then bias
    std::vector<T> transposed;  // weights (channel, row, column, filter); empty when not trained
    detail::host_inference::packed own;  // empty when not used
  };
  struct saved {};

  static plan prepare(context<eigen>& ctx, layer_problem const& problem) {
    plan p{problem};
    if constexpr (std::is_same_v<T, float>) p.own = detail::host_inference{problem};
    if (p.own.available && !problem.training)
      ctx.scratch.reserve(p.own.scratch_bytes(problem, ctx.threads));
    else
      ctx.scratch.reserve(scratch_bytes(problem, ctx.threads));
    return p;
  }
  static int grid([[maybe_unused]] layer_problem const& problem) {
    if constexpr (std::is_same_v<T, float>) return detail::host_inference::grid(problem);
    return 1;
  }

  static packed pack(context<eigen>&, plan const& p, std::span<T const> parameters) {
    packed w{{parameters.begin(), parameters.end()}, {}, {}};
    if constexpr (std::is_same_v<T, float>)
      if (p.own.available) w.own = p.own.pack(p.problem, parameters);
    if (p.problem.training && p.problem.input_gradient) {
      auto const filters = static_cast<std::size_t>(p.problem.out.channels);
      auto const channels = static_cast<std::size_t>(p.problem.in.channels);
      std::size_t const taps = tap_count(p.problem);
      w.transposed.resize(parameters.size() - filters);
      for (std::size_t f = 0; f < filters; ++f)
        for (std::size_t tap = 0; tap < taps; ++tap)
          for (std::size_t k = 0; k < channels; ++k)
            w.transposed[(k * taps + tap) * filters + f] =
                parameters[(f * taps + tap) * channels + k];
    }
    return w;
  }

  static saved make_saved(context<eigen>&, plan const&) { return {}; }

  static void forward(context<eigen>& ctx, plan const& p, packed const& w, view<T const, 4> x,
                      view<T, 4> y) {
    if constexpr (std::is_same_v<T, float>)
      if (p.own.available) return p.own.forward(ctx.threads, p.problem, w.own, ctx.scratch, x, y);
    auto const filters = static_cast<std::size_t>(p.problem.out.channels);
    T const* const bias = w.parameters.data() + w.parameters.size() - filters;
    multiply_windows(ctx, p.problem, windows{x, p.problem.out, p.problem.geometry, 1},
                     w.parameters.data(), filters, [&](std::ptrdiff_t pixel, T const* sum) {
                       T* const out = y.data() + pixel * p.problem.out.channels;
                       for (std::size_t f = 0; f < filters; ++f) {
                         T const value = sum[f] + bias[f];
                         out[f] = p.problem.relu && !(value > T{0}) ? T{0} : value;
                       }
                     });
  }

  static void forward_train(context<eigen>& ctx, plan const& p, packed const& w, saved&,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    forward(ctx, p, w, x, y);
  }

  static void backward(context<eigen>& ctx, plan const& p, packed const& w, saved const&,
                       view<T const, 4> x, view<T const, 4> y, view<T, 4> dy, view<T, 4> dx,
                       std::span<T> dparameters) {
    if (p.problem.relu) detail::host_mask_by_relu<T>(ctx.threads, y, dy);
    if (p.problem.input_gradient) {
      auto const channels = static_cast<std::size_t>(p.problem.in.channels);
      multiply_windows(ctx, p.problem, windows{dy, p.problem.in, p.problem.geometry, -1},
                       w.transposed.data(), channels, [&](std::ptrdiff_t pixel, T const* sum) {
                         std::copy_n(sum, channels, dx.data() + pixel * p.problem.in.channels);
                       });
    }
    parameter_gradient(ctx, p.problem, x, dy, dparameters);
  }

 private:
  using matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using const_map = Eigen::Map<matrix const>;
  using map = Eigen::Map<matrix>;

  static constexpr std::ptrdiff_t block = 192;
  // The gradient of the weights is summed in so many parts at most, whatever the thread count.
  static constexpr std::ptrdiff_t most_parts = 8;

  static std::size_t tap_count(layer_problem const& problem) {
    return static_cast<std::size_t>(problem.geometry.kernel * problem.geometry.kernel);
  }

  // The values that each pixel of a map `to` sees in `from`: forward (direction 1) the window that
  // starts there, backward (-1) the windows it was part of, with zeros outside.
  struct windows {
    view<T const, 4> from;
    shape to;
    window geometry;
    int direction;

    std::ptrdiff_t pixels() const { return from.extent(0) * to.height * to.width; }
    std::ptrdiff_t values() const { return from.extent(3) * geometry.kernel * geometry.kernel; }
    // The matrix of `block` windows from pixel `first` on: in `memory`, or where they lie already.
    T const* gather(std::ptrdiff_t first, T* memory) const {
      std::ptrdiff_t const channels = from.extent(3);
      if (geometry.kernel == 1 && first + block <= pixels()) return from.data() + first * channels;
      T* out = memory;
      std::ptrdiff_t const last = std::min(first + block, pixels());
      for (std::ptrdiff_t pixel = first; pixel < last; ++pixel) {
        std::ptrdiff_t const c = pixel % to.width;
        std::ptrdiff_t const r = pixel / to.width % to.height;
        std::ptrdiff_t const n = pixel / to.width / to.height;
        for (int i = 0; i < geometry.kernel; ++i)
          for (int j = 0; j < geometry.kernel; ++j, out += channels) {
            std::ptrdiff_t const row = r + direction * i * geometry.dilation;
            std::ptrdiff_t const column = c + direction * j * geometry.dilation;
            if (row >= 0 && column >= 0 && row < from.extent(1) && column < from.extent(2))
              std::copy_n(
                  from.data() + ((n * from.extent(1) + row) * from.extent(2) + column) * channels,
                  channels, out);
            else
              std::fill_n(out, channels, T{0});
          }
      }
      std::fill_n(out, (first + block - last) * values(), T{0});
      return memory;
    }
  };

  static std::ptrdiff_t block_count(std::ptrdiff_t pixels) { return (pixels + block - 1) / block; }

  // Calls body(part) for parts 0..count-1, each in one thread.
  template <class Body>
  static void for_each_part(exec::threads threads, std::ptrdiff_t count, Body const& body) {
    default_threads const serial_products{exec::threads{1}};
    for_each_range(threads, count, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t part = begin; part < end; ++part) body(part);
    });
  }

  // Values of scratch of one thread: a block of windows, and of results.
  static std::size_t block_values(layer_problem const& problem) {
    auto const widest =
        static_cast<std::size_t>(std::max(problem.in.channels, problem.out.channels));
    return static_cast<std::size_t>(block) * widest * (tap_count(problem) + 1);
  }
  static std::size_t weight_values(layer_problem const& problem) {
    return static_cast<std::size_t>(problem.out.channels) *
           (tap_count(problem) * static_cast<std::size_t>(problem.in.channels) + 1);
  }
  static std::size_t scratch_bytes(layer_problem const& problem, exec::threads threads) {
    std::size_t const parallel = static_cast<std::size_t>(std::max(threads.count, 1));
    std::size_t const run = parallel * block_values(problem);
    std::size_t const train =
        static_cast<std::size_t>(most_parts) * (block_values(problem) + weight_values(problem));
    return sizeof(T) * (problem.training ? std::max(run, train) : run);
  }
  static T* scratch(context<eigen>& ctx, layer_problem const& problem) {
    ctx.scratch.reserve(scratch_bytes(problem, ctx.threads));
    return reinterpret_cast<T*>(ctx.scratch.data());
  }

  // store(pixel, sums) for every pixel of w.to, where sums[f] = window . weights[f].
  template <class Store>
  static void multiply_windows(context<eigen>& ctx, layer_problem const& problem, windows const& w,
                               T const* weights, std::size_t filters, Store const& store) {
    T* const memory = scratch(ctx, problem);
    std::size_t const stride = block_values(problem);
    std::ptrdiff_t const pixels = w.pixels();
    std::ptrdiff_t const blocks = block_count(pixels);
    std::ptrdiff_t const parts = std::max(ctx.threads.count, 1);
    auto const columns = static_cast<Eigen::Index>(filters);
    const_map const right{weights, columns, w.values()};
    for_each_part(ctx.threads, parts, [&](std::ptrdiff_t part) {
      T* const own = memory + static_cast<std::size_t>(part) * stride;
      T* const sums = own + block * w.values();
      for (std::ptrdiff_t b = blocks * part / parts; b < blocks * (part + 1) / parts; ++b) {
        const_map const left{w.gather(b * block, own), block, w.values()};
        map{sums, block, columns}.noalias() = left * right.transpose();
        std::ptrdiff_t const last = std::min((b + 1) * block, pixels);
        for (std::ptrdiff_t pixel = b * block; pixel < last; ++pixel)
          store(pixel, sums + (pixel - b * block) * columns);
      }
    });
  }

  // dW = dy^T windows(x) and dbias = sum of dy: each part sums its own blocks, then the parts are
  // added in their order.
  static void parameter_gradient(context<eigen>& ctx, layer_problem const& problem,
                                 view<T const, 4> x, view<T const, 4> dy, std::span<T> result) {
    windows const w{x, problem.out, problem.geometry, 1};
    std::ptrdiff_t const pixels = w.pixels();
    std::ptrdiff_t const blocks = block_count(pixels);
    std::ptrdiff_t const parts = std::min(blocks, most_parts);
    std::ptrdiff_t const filters = problem.out.channels;
    T* const memory = scratch(ctx, problem);
    std::size_t const stride = block_values(problem) + weight_values(problem);
    for_each_part(ctx.threads, parts, [&](std::ptrdiff_t part) {
      T* const own = memory + static_cast<std::size_t>(part) * stride;
      T* const total = own + block_values(problem);
      std::fill_n(total, weight_values(problem), T{0});
      map weights{total, filters, w.values()};
      T* const bias = total + weights.size();
      for (std::ptrdiff_t b = blocks * part / parts; b < blocks * (part + 1) / parts; ++b) {
        std::ptrdiff_t const first = b * block;
        std::ptrdiff_t const rows = std::min(block, pixels - first);
        const_map const slopes{dy.data() + first * filters, rows, filters};
        const_map const seen{w.gather(first, own), rows, w.values()};
        weights.noalias() += slopes.transpose() * seen;
        for (std::ptrdiff_t row = 0; row < rows; ++row)
          for (std::ptrdiff_t f = 0; f < filters; ++f) bias[f] += slopes(row, f);
      }
    });
    std::copy_n(memory + block_values(problem), result.size(), result.data());
    for (std::ptrdiff_t part = 1; part < parts; ++part) {
      T const* const more =
          memory + static_cast<std::size_t>(part) * stride + block_values(problem);
      for (std::size_t i = 0; i < result.size(); ++i) result[i] += more[i];
    }
  }
};

namespace detail {

// What kernels without parameters share.
template <class T>
struct host_stateless {
  struct plan {
    layer_problem problem;
  };
  struct packed {};
  struct saved {};
  static plan prepare(context<eigen>&, layer_problem const& problem) { return {problem}; }
  static packed pack(context<eigen>&, plan const&, std::span<T const>) { return {}; }
  static saved make_saved(context<eigen>&, plan const&) { return {}; }
};

}  // namespace detail

/// Max-pooling, strided or dilated.
template <class T>
struct kernel<eigen, kind::max_pool, T> : detail::host_stateless<T> {
  using base = detail::host_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  using typename base::saved;

  static void forward(context<eigen>& ctx, plan const& p, packed const&, view<T const, 4> x,
                      view<T, 4> y) {
    detail::host_max_pool_forward<T>(ctx.threads, p.problem, x, y);
  }
  static void forward_train(context<eigen>& ctx, plan const& p, packed const& w, saved&,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    forward(ctx, p, w, x, y);
  }
  static void backward(context<eigen>& ctx, plan const& p, packed const&, saved const&,
                       view<T const, 4> x, view<T const, 4> y, view<T, 4> dy, view<T, 4> dx,
                       std::span<T>) {
    if (p.problem.input_gradient)
      detail::host_max_pool_backward<T>(ctx.threads, p.problem, x, y, dy, dx);
  }
};

/// Batch normalisation, with relu as an option.
template <class T>
struct kernel<eigen, kind::batch_norm, T> : detail::host_batch_norm_state<T> {
  using base = detail::host_batch_norm_state<T>;
  using typename base::packed;
  using typename base::plan;
  using typename base::saved;

  static plan prepare(context<eigen>& ctx, layer_problem const& problem) {
    if (problem.training) ctx.scratch.reserve(detail::batch_norm_scratch<T>::bytes(problem));
    return {problem};
  }

  static void forward(context<eigen>& ctx, plan const& p, packed const& w, view<T const, 4> x,
                      view<T, 4> y) {
    normalise(ctx, p, w.inference, x, y);
  }
  static void forward_train(context<eigen>& ctx, plan const& p, packed const& w, saved& s,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    detail::batch_statistics<T>(ctx.threads, x, base::scratch(ctx, p), s.mean, s.deviation);
    s.training.template set<double>(w.parameters, s.mean, s.deviation);
    normalise(ctx, p, s.training, x, y);
  }
  static void backward(context<eigen>& ctx, plan const& p, packed const&, saved const& s,
                       view<T const, 4> x, view<T const, 4>, view<T, 4> dy, view<T, 4> dx,
                       std::span<T> dparameters) {
    if (p.problem.relu)
      differentiate<true>(ctx, p, s, x, dy, dx, dparameters);
    else
      differentiate<false>(ctx, p, s, x, dy, dx, dparameters);
  }

 private:
  static void normalise(context<eigen>& ctx, plan const& p, detail::affine_channels<T> const& map,
                        view<T const, 4> x, view<T, 4> y) {
    if (p.problem.relu)
      detail::normalise<true, T>(ctx.threads, map, x, y);
    else
      detail::normalise<false, T>(ctx.threads, map, x, y);
  }
  template <bool Relu>
  static void differentiate(context<eigen>& ctx, plan const& p, saved const& s, view<T const, 4> x,
                            view<T const, 4> dy, view<T, 4> dx, std::span<T> dparameters) {
    auto const sums = base::scratch(ctx, p);
    detail::batch_norm_sums<Relu, T>(ctx.threads, s.training, x, dy, sums);
    detail::set_batch_norm_gradient<T>(sums, s.mean, s.deviation, dparameters);
    if (p.problem.input_gradient)
      detail::batch_norm_input_gradient<Relu, T>(ctx.threads, s.training, s.deviation, x, dy, dx,
                                                 sums);
  }
};

/// Element-wise layer from its functor.
template <class Functor, class T>
struct kernel<eigen, kind::pointwise<Functor>, T> : detail::host_stateless<T> {
  using base = detail::host_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  using typename base::saved;

  static void forward(context<eigen>& ctx, plan const&, packed const&, view<T const, 4> x,
                      view<T, 4> y) {
    detail::for_each_value(ctx.threads, x.size(),
                           [&](std::ptrdiff_t i) { y.data()[i] = Functor::value(x.data()[i]); });
  }
  static void forward_train(context<eigen>& ctx, plan const& p, packed const& w, saved&,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    forward(ctx, p, w, x, y);
  }
  static void backward(context<eigen>& ctx, plan const& p, packed const&, saved const&,
                       view<T const, 4> x, view<T const, 4> y, view<T, 4> dy, view<T, 4> dx,
                       std::span<T>) {
    if (!p.problem.input_gradient) return;
    detail::for_each_value(ctx.threads, x.size(), [&](std::ptrdiff_t i) {
      dx.data()[i] = dy.data()[i] * Functor::slope(x.data()[i], y.data()[i]);
    });
  }
};

/// Softmax over the channels of each pixel.
template <class T>
struct kernel<eigen, kind::softmax, T> : detail::host_stateless<T> {
  using base = detail::host_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  using typename base::saved;

  static void forward(context<eigen>& ctx, plan const&, packed const&, view<T const, 4> x,
                      view<T, 4> y) {
    detail::host_softmax_forward<T>(ctx.threads, x, y);
  }
  static void forward_train(context<eigen>& ctx, plan const& p, packed const& w, saved&,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    forward(ctx, p, w, x, y);
  }
  static void backward(context<eigen>& ctx, plan const& p, packed const&, saved const&,
                       view<T const, 4>, view<T const, 4> y, view<T, 4> dy, view<T, 4> dx,
                       std::span<T>) {
    if (p.problem.input_gradient) detail::host_softmax_backward<T>(ctx.threads, y, dy, dx);
  }
};

/// Dropout; which values survive is a function of the step's generator and the value's index.
template <class T>
struct kernel<eigen, kind::dropout, T> : detail::host_stateless<T> {
  using base = detail::host_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  struct saved {
    counter_rng step{};
  };
  static saved make_saved(context<eigen>&, plan const&) { return {}; }

  static void forward(context<eigen>& ctx, plan const&, packed const&, view<T const, 4> x,
                      view<T, 4> y) {
    detail::for_each_value(ctx.threads, x.size(),
                           [&](std::ptrdiff_t i) { y.data()[i] = x.data()[i]; });
  }
  static void forward_train(context<eigen>& ctx, plan const& p, packed const&, saved& s,
                            view<T const, 4> x, view<T, 4> y, counter_rng step) {
    s.step = step;
    detail::host_dropout<T>(ctx.threads, p.problem.dropout_rate, step, x, y);
  }
  static void backward(context<eigen>& ctx, plan const& p, packed const&, saved const& s,
                       view<T const, 4>, view<T const, 4>, view<T, 4> dy, view<T, 4> dx,
                       std::span<T>) {
    if (p.problem.input_gradient)
      detail::host_dropout<T>(ctx.threads, p.problem.dropout_rate, s.step, dy, dx);
  }
};

}  // namespace septum::inline SEPTUM_ABI
