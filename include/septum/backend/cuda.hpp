#pragma once
#include <septum/backend/detail/cuda_batch_norm.hpp>
#include <septum/backend/detail/cuda_context.hpp>
#include <septum/backend/detail/cuda_convolution.hpp>
#include <septum/backend/problem.hpp>
#include <septum/nn/blocked_functors.hpp>
#include <septum/nn/functors.hpp>
#include <septum/nn/layers.hpp>

#include <cstddef>

namespace septum::inline SEPTUM_ABI {

template <class T>
struct kernel<cuda, kind::max_pool, T> : detail::cuda_stateless<T> {
  using base = detail::cuda_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  using typename base::saved;
  using map = view<T, 4, device_space>;
  using const_map = view<T const, 4, device_space>;

  static void forward(context<cuda>& ctx, plan const& p, packed const&, const_map x, map y) {
    auto const& problem = p.problem;
    shape packs = problem.out;
    packs.channels /= pack_size<T>;
    if (packs.channels * pack_size<T> == problem.out.channels)
      ctx.launch(map_extent(problem.batch, packs), max_pool_packs<T>{x, y, problem.geometry});
    else
      ctx.launch(map_extent(problem.batch, problem.out),
                 max_pool_forward<T>{x, y, problem.geometry});
  }
  static void forward_train(context<cuda>& ctx, plan const& p, packed const& w, saved&, const_map x,
                            map y, device_step) {
    forward(ctx, p, w, x, y);
  }
  static void backward(context<cuda>& ctx, plan const& p, packed const&, saved const&, const_map x,
                       const_map, map dy, map dx, view<T, 1, device_space>) {
    auto const& problem = p.problem;
    if (!problem.input_gradient) return;
    using packs = max_pool_backward_packs<T>;
    bool const side_by_side =
        problem.geometry.stride == problem.geometry.kernel && problem.geometry.dilation == 1;
    if (side_by_side && problem.in.channels % pack_size<T> == 0)
      ctx.launch(packs::side_by_side_extent(problem.batch, problem.in, problem.geometry.stride),
                 packs{x, dy, dx, problem.geometry.stride});
    else
      ctx.launch(map_extent(problem.batch, problem.in),
                 max_pool_backward<T>{x, dy, dx, problem.geometry});
  }
};

template <class Functor, class T>
struct kernel<cuda, kind::pointwise<Functor>, T> : detail::cuda_stateless<T> {
  using base = detail::cuda_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  using typename base::saved;
  using map = view<T, 4, device_space>;
  using const_map = view<T const, 4, device_space>;

  static void forward(context<cuda>& ctx, plan const&, packed const&, const_map x, map y) {
    ctx.launch(flat_extent(y.size()),
               pointwise_forward<Functor, T>{detail::flat(x), detail::flat(y)});
  }
  static void forward_train(context<cuda>& ctx, plan const& p, packed const& w, saved&, const_map x,
                            map y, device_step) {
    forward(ctx, p, w, x, y);
  }
  static void backward(context<cuda>& ctx, plan const& p, packed const&, saved const&, const_map x,
                       const_map y, map dy, map dx, view<T, 1, device_space>) {
    if (p.problem.input_gradient)
      ctx.launch(flat_extent(dx.size()),
                 pointwise_backward<Functor, T>{detail::flat(x), detail::flat(y),
                                                detail::flat(const_map{dy}), detail::flat(dx)});
  }
};

template <class T>
struct kernel<cuda, kind::softmax, T> : detail::cuda_stateless<T> {
  using base = detail::cuda_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  using typename base::saved;
  using map = view<T, 4, device_space>;
  using const_map = view<T const, 4, device_space>;

  static void forward(context<cuda>& ctx, plan const& p, packed const&, const_map x, map y) {
    ctx.launch({p.problem.batch * p.problem.out.height, p.problem.out.width},
               softmax_forward<T>{x, y});
  }
  static void forward_train(context<cuda>& ctx, plan const& p, packed const& w, saved&, const_map x,
                            map y, device_step) {
    forward(ctx, p, w, x, y);
  }
  static void backward(context<cuda>& ctx, plan const& p, packed const&, saved const&, const_map,
                       const_map y, map dy, map dx, view<T, 1, device_space>) {
    if (p.problem.input_gradient)
      ctx.launch({p.problem.batch * p.problem.out.height, p.problem.out.width},
                 softmax_backward<T>{y, dy, dx});
  }
};

template <class T>
struct kernel<cuda, kind::dropout, T> : detail::cuda_stateless<T> {
  using base = detail::cuda_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  struct saved {
    device_step step{};
  };
  using map = view<T, 4, device_space>;
  using const_map = view<T const, 4, device_space>;

  static saved make_saved(context<cuda>&, plan const&) { return {}; }
  static void forward(context<cuda>& ctx, plan const&, packed const&, const_map x, map y) {
    copy(*ctx.stream, x, y);
  }
  static void forward_train(context<cuda>& ctx, plan const& p, packed const&, saved& s, const_map x,
                            map y, device_step step) {
    s.step = step;
    drop(ctx, p, step, x, y);
  }
  static void backward(context<cuda>& ctx, plan const& p, packed const&, saved const& s, const_map,
                       const_map, map dy, map dx, view<T, 1, device_space>) {
    if (p.problem.input_gradient) drop(ctx, p, s.step, dy, dx);
  }

 private:
  static void drop(context<cuda>& ctx, plan const& p, device_step const& step, const_map from,
                   map to) {
    ctx.launch(flat_extent(to.size()), dropout_values<T>{detail::flat(from), detail::flat(to),
                                                         p.problem.dropout_rate, step});
  }
};

}  // namespace septum::inline SEPTUM_ABI
