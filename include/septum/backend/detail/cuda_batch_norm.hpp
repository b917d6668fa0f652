#pragma once
#include <septum/backend/detail/cuda_context.hpp>
#include <septum/nn/batch_norm_functors.hpp>
#include <septum/nn/pooled_batch_norm_functors.hpp>

#include <cstddef>
#include <cstdint>

namespace septum::inline SEPTUM_ABI {

/// In training also with a max pooling behind it (layer_problem::pool).
template <class T>
struct kernel<cuda, kind::batch_norm, T> : detail::cuda_parametric<T> {
  using base = detail::cuda_parametric<T>;
  using typename base::packed;
  using typename base::plan;
  struct saved {
    device_array<double, 2> statistics;  // rows: batch_statistic
  };
  using map = view<T, 4, device_space>;
  using const_map = view<T const, 4, device_space>;

  /// Whether the layer runs a pooling behind it as its own.
  static bool takes_pool(layer_problem const& problem) {
    auto const& pool = problem.pool;
    return pool.kernel == pool_windows::side && pool.stride == pool.kernel && pool.dilation == 1 &&
           problem.in.height % pool.stride == 0 && problem.in.width % pool.stride == 0 &&
           problem.in.channels % batch_norm_pack == 0;
  }
  static plan prepare(context<cuda>& ctx, layer_problem const& problem) {
    int const channels = problem.in.channels;
    ctx.reserve(problem.training
                    ? detail::sum_scratch::bytes(channels)
                    : sizeof(double) * static_cast<std::size_t>(batch_statistic::count * channels));
    return {problem};
  }
  static saved make_saved(context<cuda>& ctx, plan const& p) {
    return {device_array<double, 2>{ctx.api(), {batch_statistic::count, p.problem.in.channels}}};
  }

  static void forward(context<cuda>& ctx, plan const& p, packed const& w, const_map x, map y) {
    int const channels = p.problem.in.channels;
    view<double, 2, device_space> const statistics{reinterpret_cast<double*>(ctx.scratch.data()),
                                                   {batch_statistic::count, channels}};
    ctx.launch({1, channels}, running_statistics<T>{w.parameters, statistics});
    normalise(ctx, p, statistics, x, y);
  }
  static void forward_train(context<cuda>& ctx, plan const& p, packed const& w, saved& s,
                            const_map x, map y, device_step) {
    auto const values = detail::pixels(x);
    auto const statistics = s.statistics.values();
    detail::sum_over_pixels(ctx, values.extent(0), values.extent(1),
                            batch_statistic_terms<T>{values},
                            batch_statistics<T>{values, w.parameters, statistics});
    if (takes_pool(p.problem))
      ctx.launch(pooled_extent(p.problem),
                 batch_normalise_pool<T, batch_norm_pack>{values, statistics, detail::pixels(y),
                                                          windows(p.problem), p.problem.relu});
    else
      normalise(ctx, p, statistics, x, y);
  }
  static void backward(context<cuda>& ctx, plan const& p, packed const&, saved const& s,
                       const_map x, const_map, map dy, map dx, view<T, 1, device_space> gradient) {
    bool const through_relu = p.problem.relu;
    auto const statistics = s.statistics.values();
    auto const values = detail::pixels(x);
    auto const slopes = detail::pixels(const_map{dy});
    auto const factors = detail::sum_scratch::of(ctx, values.extent(1)).factors();
    batch_norm_parameter_gradient<T> const finish{statistics, factors, gradient,
                                                  static_cast<double>(values.extent(0))};
    if (takes_pool(p.problem)) {
      detail::sum_over_pixels(
          ctx, slopes.extent(0), slopes.extent(1),
          pooled_gradient_terms<T>{values, slopes, statistics, windows(p.problem), through_relu},
          finish);
      if (p.problem.input_gradient)
        ctx.launch(pooled_extent(p.problem),
                   pooled_input_gradient<T, batch_norm_pack>{values, slopes, statistics, factors,
                                                             detail::pixels(dx), windows(p.problem),
                                                             through_relu});
      return;
    }
    detail::sum_over_pixels(ctx, values.extent(0), values.extent(1),
                            batch_gradient_terms<T>{values, slopes, statistics, through_relu},
                            finish);
    if (!p.problem.input_gradient) return;
    in_packs(ctx, values, [&]<int N>() {
      return batch_norm_input_gradient<T, N>{
          values, slopes, statistics, factors, detail::pixels(dx), through_relu};
    });
  }

 private:
  static pool_windows windows(layer_problem const& problem) {
    return {static_cast<std::uint32_t>(problem.out.width)};
  }
  static extent2 pooled_extent(layer_problem const& problem) {
    return {problem.batch * problem.out.height * problem.out.width,
            problem.out.channels / batch_norm_pack};
  }
  static void normalise(context<cuda>& ctx, plan const& p,
                        view<double const, 2, device_space> statistics, const_map x, map y) {
    auto const values = detail::pixels(x);
    in_packs(ctx, values, [&]<int N>() {
      return batch_normalise<T, N>{values, statistics, detail::pixels(y), p.problem.relu};
    });
  }
  // Launches make.operator()<N>() with the largest N that divides the channels.
  template <class Make>
  static void in_packs(context<cuda>& ctx, view<T const, 2, device_space> values,
                       Make const& make) {
    auto const pixels = static_cast<int>(values.extent(0));
    auto const channels = static_cast<int>(values.extent(1));
    if (channels % batch_norm_pack == 0)
      ctx.launch(batch_norm_extent(pixels, channels / batch_norm_pack),
                 make.template operator()<batch_norm_pack>());
    else
      ctx.launch(batch_norm_extent(pixels, channels), make.template operator()<1>());
  }
};

}  // namespace septum::inline SEPTUM_ABI
