#pragma once
#include <septum/backend/detail/cuda_context.hpp>
#include <septum/nn/blocked_functors.hpp>
#include <septum/nn/convolution_functors.hpp>
#include <septum/nn/product_functors.hpp>
#include <septum/nn/weight_gradient_functors.hpp>
#include <septum/nn/winograd_functors.hpp>

#include <algorithm>
#include <cstddef>
#include <type_traits>

namespace septum::inline SEPTUM_ABI {

template <class T>
struct kernel<cuda, kind::conv, T> : detail::cuda_parametric<T> {
  using base = detail::cuda_parametric<T>;
  using typename base::packed;
  using typename base::plan;
  struct saved {};
  using map = view<T, 4, device_space>;
  using const_map = view<T const, 4, device_space>;

  static plan prepare(context<cuda>& ctx, layer_problem const& problem) {
    if (problem.training) ctx.reserve(gradient_scratch_bytes(problem));
    if constexpr (std::is_same_v<T, float>)
      if (uses_winograd(problem)) {
        ctx.reserve(winograd_convolution{ctx, problem}.bytes());
        return {problem};
      }
    if (blocked(problem))
      ctx.reserve(sizeof(float) * static_cast<std::size_t>(taps(problem) * problem.out.channels));
    return {problem};
  }
  static saved make_saved(context<cuda>&, plan const&) { return {}; }
  /// First row and column of every call's output are multiples of it in the whole map.
  static int grid(context<cuda>&, layer_problem const& problem) {
    return uses_winograd(problem) ? detail::winograd::grid(problem.geometry) : 1;
  }

  static void forward(context<cuda>& ctx, plan const& p, packed const& w, const_map x, map y) {
    auto const& problem = p.problem;
    if constexpr (std::is_same_v<T, float>)
      if (uses_winograd(problem)) return winograd_convolution{ctx, problem}.run(w.parameters, x, y);
    if (few(problem)) {
      ctx.launch({problem.batch * problem.out.height, problem.out.width},
                 multiply_few<T>{x, w.parameters, y, problem.relu});
    } else if (blocked(problem)) {
      in_blocks(ctx, problem, w.parameters, x, y);
    } else {
      ctx.launch(map_extent(problem.batch, problem.out),
                 convolve<T>{x, w.parameters, y, problem.geometry, problem.relu});
    }
  }
  /// Whether a layer is computed by Winograd's minimal filtering. `automatic` takes it from 32
  /// channels and 32 filters on: below, the transforms take longer than the products.
  static bool uses_winograd(layer_problem const& problem) {
    bool const has_form = std::is_same_v<T, float> && !problem.training &&
                          detail::winograd::has_form(problem.geometry) && in_products(problem);
    if (problem.convolution == convolution_algorithm::winograd) return has_form;
    return has_form && problem.convolution == convolution_algorithm::automatic &&
           problem.in.channels >= 32 && problem.out.channels >= 32;
  }
  /// True for a layer that multiply_few runs.
  static bool few(layer_problem const& problem) {
    return problem.geometry.kernel == 1 && problem.geometry.stride == 1 &&
           problem.out.channels <= few_filters && problem.in.channels % pack_size<T> == 0;
  }
  /// True where convolve_product takes the layer.
  static bool in_products(layer_problem const& problem) {
    return std::is_same_v<T, float> && blocked(problem) && problem.in.channels % product_depth == 0;
  }
  static void forward_train(context<cuda>& ctx, plan const& p, packed const& w, saved&, const_map x,
                            map y, device_step) {
    forward(ctx, p, w, x, y);
  }
  static void backward(context<cuda>& ctx, plan const& p, packed const& w, saved const&,
                       const_map x, const_map y, map dy, map dx,
                       view<T, 1, device_space> gradient) {
    auto const& problem = p.problem;
    if (problem.relu)
      ctx.launch(flat_extent(dy.size()),
                 mask_gradient_by_relu<T>{detail::flat(y), detail::flat(dy)});
    if (problem.input_gradient)
      ctx.launch(map_extent(problem.batch, problem.in),
                 convolve_input_gradient<T>{dy, w.parameters, dx, problem.geometry});
    weights_gradient(ctx, problem, x, dy, gradient);
    bias_gradient(ctx, problem, dy, gradient);
  }
  /// Gradient of the weights, the first of the layer's.
  static void weights_gradient(context<cuda>& ctx, layer_problem const& problem, const_map x,
                               const_map dy, view<T, 1, device_space> gradient) {
    if (has_few_channels(problem))
      few_channels(ctx, problem, x, dy, gradient);
    else
      ctx.launch({problem.out.channels, taps(problem)},
                 convolve_weight_gradient<T>{x, dy, gradient, problem.geometry});
  }
  /// Gradient of the biases, which follow the weights, where it is not known to be zero: dy summed
  /// over batch and pixels.
  static void bias_gradient(context<cuda>& ctx, layer_problem const& problem, const_map dy,
                            view<T, 1, device_space> gradient) {
    if (!problem.bias_gradient) return;
    std::ptrdiff_t const weights =
        static_cast<std::ptrdiff_t>(taps(problem)) * problem.out.channels;
    auto const values = detail::pixels(dy);
    detail::sum_over_pixels(
        ctx, values.extent(0), values.extent(1), value_terms<T>{values},
        store_channel_sums<T>{gradient.block({weights}, {problem.out.channels})});
  }
  /// Scratch of a backward pass.
  static std::size_t gradient_scratch_bytes(layer_problem const& problem) {
    int const sums = problem.out.channels * (has_few_channels(problem) ? taps(problem) : 1);
    return detail::sum_scratch::bytes(sums);
  }
  /// True for a layer whose weights' gradient has a kernel of its own.
  static bool has_few_channels(layer_problem const& problem) {
    auto const& geometry = problem.geometry;
    return std::is_same_v<T, float> && geometry.stride == 1 && geometry.dilation == 1 &&
           (geometry.kernel == 3 || geometry.kernel == 4) &&
           (problem.in.channels == 1 || problem.in.channels == 2);
  }

 private:
  // Gradient of the weights of a layer that has_few_channels.
  static void few_channels(context<cuda>& ctx, layer_problem const& problem, const_map x,
                           const_map dy, view<T, 1, device_space> gradient) {
    if constexpr (std::is_same_v<T, float>) {
      auto const with = [&]<int Kernel, int Channels>(std::integral_constant<int, Kernel>,
                                                      std::integral_constant<int, Channels>) {
        using functor = few_channel_weight_gradient<Kernel, Channels>;
        int const filters = problem.out.channels;
        int const count = functor::parts_of(problem.batch * problem.out.height);
        std::ptrdiff_t const weights = static_cast<std::ptrdiff_t>(functor::taps) * filters;
        auto const parts = detail::sum_scratch::of(ctx, weights).parts(count, 1);
        ctx.launch(functor::blocks(count, filters), functor{x, dy, parts});
        using finish = finish_channel_sums<store_channel_sums<float>>;
        ctx.launch(finish::blocks(static_cast<int>(weights)), finish{parts, {gradient}});
      };
      using one = std::integral_constant<int, 1>;
      using two = std::integral_constant<int, 2>;
      using three = std::integral_constant<int, 3>;
      using four = std::integral_constant<int, 4>;
      bool const single = problem.in.channels == 1;
      if (problem.geometry.kernel == 3) return single ? with(three{}, one{}) : with(three{}, two{});
      return single ? with(four{}, one{}) : with(four{}, two{});
    }
  }

  static int taps(layer_problem const& problem) {
    return problem.geometry.kernel * problem.geometry.kernel * problem.in.channels;
  }
  static bool blocked(layer_problem const& problem) {
    return !few(problem) && problem.out.channels % block_filters == 0;
  }
  // Layers whose threads compute blocks of results, all with the weights transposed.
  static void in_blocks(context<cuda>& ctx, layer_problem const& problem,
                        view<T const, 1, device_space> parameters, const_map x, map y) {
    int const filters = problem.out.channels;
    view<float, 2, device_space> const weights{reinterpret_cast<float*>(ctx.scratch.data()),
                                               {taps(problem), filters}};
    auto const bias =
        parameters.block({static_cast<std::ptrdiff_t>(taps(problem)) * filters}, {filters});
    ctx.launch({taps(problem), filters}, transpose_weights<T>{parameters, weights});
    if constexpr (std::is_same_v<T, float>)
      if (in_products(problem))
        return multiply(ctx, problem.geometry, problem.relu, x,
                        {weights.data(), {1, taps(problem), filters}}, bias, y);
    ctx.launch(blocked_extent(problem.batch, problem.out),
               convolve_blocked<T>{x, weights, bias, y, problem.geometry, problem.relu});
  }

  // convolve_product with as many threads side by side as suit the number of filters.
  static void multiply(context<cuda>& ctx, window geometry, bool through_relu,
                       view<float const, 4, device_space> x,
                       view<float const, 3, device_space> weights,
                       view<float const, 1, device_space> bias, view<float, 4, device_space> y) {
    auto const with = [&]<int Across>(std::integral_constant<int, Across>) {
      using product = convolve_product<Across>;
      shape const out{static_cast<int>(y.extent(1)), static_cast<int>(y.extent(2)),
                      static_cast<int>(y.extent(3))};
      ctx.launch(
          product::blocks(static_cast<int>(y.extent(0)), out, static_cast<int>(weights.extent(0))),
          product{x, weights, bias, y, geometry, through_relu});
    };
    switch (product_across(static_cast<int>(y.extent(3)))) {
      case 8:
        return with(std::integral_constant<int, 8>{});
      case 16:
        return with(std::integral_constant<int, 16>{});
      default:
        return with(std::integral_constant<int, 25>{});
    }
  }

  // A layer by Winograd's minimal filtering, in parts of its tiles whose points and products keep
  // within the limit of scratch memory. Parts change no byte.
  class winograd_convolution {
   public:
    winograd_convolution(context<cuda>& ctx, layer_problem const& problem)
        : ctx_{&ctx},
          problem_{&problem},
          tiles_{winograd_tiles::of(problem.geometry, problem.batch, problem.out)} {
      auto const count = tiles_.count();
      auto const per_tile = static_cast<std::ptrdiff_t>(sizeof(float)) * 36 *
                            (problem.in.channels + problem.out.channels);
      auto const limit = static_cast<std::ptrdiff_t>(ctx.workspace_limit);
      std::ptrdiff_t const most = std::max<std::ptrdiff_t>((limit - weight_bytes()) / per_tile, 1);
      std::ptrdiff_t const parts = (count + most - 1) / most;
      // Whole blocks of convolve_product, of any of its kinds.
      constexpr std::ptrdiff_t step = 1280;
      std::ptrdiff_t const even = (count + parts - 1) / parts;
      std::ptrdiff_t const whole = (even + step - 1) / step * step;
      part_ = static_cast<int>(whole <= most ? std::min(whole, count) : even);
    }
    [[nodiscard]] std::size_t bytes() const {
      return static_cast<std::size_t>(weight_bytes()) +
             sizeof(float) * 36 * static_cast<std::size_t>(part_) *
                 static_cast<std::size_t>(problem_->in.channels + problem_->out.channels);
    }
    void run(view<float const, 1, device_space> parameters, view<float const, 4, device_space> x,
             view<float, 4, device_space> y) const {
      int const channels = problem_->in.channels;
      int const filters = problem_->out.channels;
      auto* const scratch = reinterpret_cast<float*>(ctx_->scratch.data());
      auto* const behind_weights = scratch + weight_bytes() / static_cast<int>(sizeof(float));
      view<float, 3, device_space> const weights{scratch, {36, channels, filters}};
      ctx_->launch({channels, filters},
                   winograd_weight_points<>{parameters, weights, problem_->geometry.kernel});
      auto const count = static_cast<int>(tiles_.count());
      for (int first = 0; first < count; first += part_) {
        int const here = std::min(part_, count - first);
        view<float, 3, device_space> const points{behind_weights, {36, here, channels}};
        view<float, 3, device_space> const products{
            behind_weights + static_cast<std::ptrdiff_t>(36) * part_ * channels,
            {36, here, filters}};
        ctx_->launch({here, channels / winograd_pack},
                     winograd_input_points<>{x, points, tiles_, first});
        multiply(*ctx_, {}, false, {points.data(), {36, 1, here, channels}}, weights, {},
                 {products.data(), {36, 1, here, filters}});
        extent2 const outputs{here, filters / winograd_pack};
        auto const bias =
            parameters.block({static_cast<std::ptrdiff_t>(taps(*problem_)) * filters}, {filters});
        if (tiles_.outputs == 4)
          ctx_->launch(outputs,
                       winograd_outputs<4>{products, bias, y, tiles_, first, problem_->relu});
        else
          ctx_->launch(outputs,
                       winograd_outputs<3>{products, bias, y, tiles_, first, problem_->relu});
      }
    }

   private:
    // A multiple of 256, so that what lies behind the weights is aligned as well.
    [[nodiscard]] std::ptrdiff_t weight_bytes() const {
      std::ptrdiff_t const bytes = static_cast<std::ptrdiff_t>(sizeof(float)) * 36 *
                                   problem_->in.channels * problem_->out.channels;
      return (bytes + 255) / 256 * 256;
    }
    context<cuda>* ctx_;
    layer_problem const* problem_;
    winograd_tiles tiles_;
    int part_ = 0;
  };
};

}  // namespace septum::inline SEPTUM_ABI
