#pragma once
#include <septum/backend/cuda.hpp>
#include <septum/backend/detail/cudnn_api.hpp>
#include <septum/backend/detail/cudnn_graph.hpp>
#include <septum/backend/detail/cudnn_plan.hpp>
#include <septum/backend/problem.hpp>
#include <septum/core/rng.hpp>
#include <septum/nn/layers.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace septum::inline SEPTUM_ABI {

/// Convolutions and dense layers by cuDNN 9's graphs, every other layer by `cuda`. Forward is one
/// fused graph (product, bias, relu); heuristics choose among the engines that give the same bytes
/// every time and for every tile. Where cuDNN has no engine for a layer on a device, septum's own
/// convolution runs it.
struct cudnn {
  using memory_space = device_space;
  using fallback = cuda;
  static constexpr std::string_view name = "cudnn";
};

/// How cuDNN is used.
struct cudnn_options {
  gpu_precision precision = gpu_precision::f32;
  /// With f32, inference multiplies on tensor cores where there are some (compute capability 8.0):
  /// each factor is split into two numbers that they take as they are, three products make one. Two
  /// to three times as fast as ordinary cores, and ten times as far from the exact sum (1e-5 of the
  /// largest value on an H100), since tensor cores do not round their sums to nearest.
  bool split_factors = false;
  /// Upper bound for the scratch memory of one layer, bytes.
  std::size_t workspace_limit = default_workspace_limit;
  /// Folder for plans that were found before; empty keeps them in memory only.
  std::filesystem::path plan_folder{};
};

namespace detail {
/// One opened cuDNN on one stream, and what it is known to have of plans.
class cudnn_session {
 public:
  /// @param device that plans are made for
  cudnn_session(std::shared_ptr<cudnn_api const> api, cuda_stream const& stream,
                device_properties const& device, cudnn_options options)
      : api_{std::move(api)},
        compute_capability_{device.compute_capability},
        options_{std::move(options)},
        store_{options_.plan_folder},
        device_{describe_device(*api_, device.ordinal)} {
    cudnn_handle::library* handle = nullptr;
    check(*api_, api_->create(&handle), "cudnnCreate");
    library_ = {handle, api_->destroy};
    check(*api_, api_->set_stream(handle, stream.get()), "cudnnSetStream");
    auto const size = device_.count(cudnn_constant::device_json, cudnn_constant::type_char);
    std::string described(static_cast<std::size_t>(size), '\0');
    device_.read(cudnn_constant::device_json, cudnn_constant::type_char,
                 std::span<char>{described});
    device_name_ = std::to_string(septum::fnv1a(std::string_view{described}));
  }

  [[nodiscard]] cudnn_options const& options() const { return options_; }
  /// True when f32 is computed from split factors in inference.
  [[nodiscard]] bool splits_factors() const {
    return options_.precision == gpu_precision::f32 && options_.split_factors &&
           compute_capability_ >= 80;
  }
  [[nodiscard]] cudnn_handle::library* library() const { return library_.get(); }

  /// The plan of a graph: from memory, from disk, or from the heuristics. Empty when cuDNN has no
  /// engine for it that is allowed.
  [[nodiscard]] std::shared_ptr<cudnn_plan const> plan(cudnn_graph const& graph) {
    return plan(graph, options_.precision);
  }
  /// The same with another precision than that of the options.
  [[nodiscard]] std::shared_ptr<cudnn_plan const> plan(cudnn_graph const& graph,
                                                       gpu_precision precision) {
    auto const key = plan_key(graph, precision, api_->get_version(), device_name_);
    auto const [known, is_new] = plans_.try_emplace(key);
    if (!is_new) return known->second;
    try {
      known->second = make(graph, precision, key);
    } catch (...) {
      plans_.erase(known);
      throw;
    }
    return known->second;
  }
  [[nodiscard]] std::size_t plans_from_disk() const { return from_disk_; }
  [[nodiscard]] std::size_t plans_from_heuristics() const { return from_heuristics_; }

 private:
  std::shared_ptr<cudnn_plan const> make(cudnn_graph const& graph, gpu_precision precision,
                                         std::string const& key) {
    if (auto const json = store_.read(key))
      if (auto restored = restore_plan(*api_, device_, *json))
        if (restored->workspace_bytes() <= options_.workspace_limit) {
          ++from_disk_;
          return std::make_shared<cudnn_plan const>(*std::move(restored));
        }
    auto found = find_plan(*api_, device_, graph, precision, options_.workspace_limit);
    if (!found) return nullptr;
    ++from_heuristics_;
    store_.write(key, found->json());
    return std::make_shared<cudnn_plan const>(*std::move(found));
  }

  std::shared_ptr<cudnn_api const> api_;
  int compute_capability_;
  cudnn_options options_;
  plan_store store_;
  cudnn_descriptor device_;
  cuda_owner<cudnn_handle::library> library_;
  std::string device_name_;
  std::map<std::string, std::shared_ptr<cudnn_plan const>> plans_;
  std::size_t from_disk_ = 0;
  std::size_t from_heuristics_ = 0;
};
}  // namespace detail

/// The device's context with cuDNN beside it. Both have to outlive it.
template <>
struct context<cudnn> {
  context(context<cuda>& on, detail::cudnn_session& with) : device{&on}, session{&with} {}
  context<cuda>* device;
  detail::cudnn_session* session;
};

/// Convolution and dense layer. `pack` keeps the view of the parameters: their order (filter, row,
/// column, channel, then biases) is the one that cuDNN's channels-last graphs read.
template <class T>
  requires(!std::is_same_v<T, double>)
struct kernel<cudnn, kind::conv, T> {
  using own = kernel<cuda, kind::conv, T>;
  using map = view<T, 4, device_space>;
  using const_map = view<T const, 4, device_space>;
  struct plan {
    layer_problem problem;
    std::shared_ptr<detail::cudnn_plan const> split;    ///< as fused, of split factors
    std::shared_ptr<detail::cudnn_plan const> fused;    ///< product, bias, relu
    std::shared_ptr<detail::cudnn_plan const> product;  ///< where nothing fused is to be had
    std::shared_ptr<detail::cudnn_plan const> data;
    std::shared_ptr<detail::cudnn_plan const> filter;
  };
  using packed = typename own::packed;
  struct saved {};

  static plan prepare(context<cudnn>& ctx, layer_problem const& problem) {
    using detail::cudnn_pass;
    plan p;
    p.problem = chosen(ctx, problem);
    if (!own_is_better(ctx, p.problem)) {
      if (std::is_same_v<T, float> && !problem.training && ctx.session->splits_factors())
        p.split =
            ctx.session->plan(detail::convolution_graph(split_problem(problem), cudnn_pass::fused,
                                                        detail::cudnn_data_type<T>),
                              gpu_precision::tf32);
      if (!p.split) p.fused = find(ctx, problem, cudnn_pass::fused);
      if (!p.split && !p.fused) p.product = find(ctx, problem, cudnn_pass::forward);
    }
    if (p.split)
      ctx.device->reserve(split_bytes(problem) + p.split->workspace_bytes());
    else if (!p.fused && !p.product)
      own::prepare(*ctx.device, p.problem);
    if (problem.training) {
      if (problem.input_gradient) p.data = find(ctx, problem, cudnn_pass::backward_data);
      if (!own::has_few_channels(problem))
        p.filter = find(ctx, problem, cudnn_pass::backward_filter);
      ctx.device->reserve(own::gradient_scratch_bytes(problem));
    }
    for (auto const& each : {p.fused, p.product, p.data, p.filter})
      if (each) ctx.device->reserve(each->workspace_bytes());
    return p;
  }
  static packed pack(context<cudnn>& ctx, plan const& p,
                     view<T const, 1, device_space> parameters) {
    return own::pack(*ctx.device, {p.problem}, parameters);
  }
  static saved make_saved(context<cudnn>&, plan const&) { return {}; }
  static int grid(context<cudnn>& ctx, layer_problem const& problem) {
    return own::grid(*ctx.device, chosen(ctx, problem));
  }

  static void forward(context<cudnn>& ctx, plan const& p, packed const& w, const_map x, map y) {
    namespace id = detail::cudnn_id;
    if constexpr (std::is_same_v<T, float>)
      if (p.split) return forward_split(ctx, p, w, x, y);
    if (p.fused)
      return p.fused->run(ctx.session->library(),
                          tensors<4>{{{id::x, x.data()},
                                      {id::w, w.parameters.data()},
                                      {id::bias, bias(p, w).data()},
                                      {id::y, y.data()}}},
                          ctx.device->scratch.data());
    if (!p.product) return own::forward(*ctx.device, {p.problem}, w, x, y);
    p.product->run(ctx.session->library(),
                   tensors<3>{{{id::x, x.data()}, {id::w, w.parameters.data()}, {id::y, y.data()}}},
                   ctx.device->scratch.data());
    ctx.device->launch(map_extent(p.problem.batch, p.problem.out),
                       bias_relu<T>{bias(p, w), y, p.problem.relu});
  }

  static void forward_train(context<cudnn>& ctx, plan const& p, packed const& w, saved&,
                            const_map x, map y, device_step) {
    forward(ctx, p, w, x, y);
  }

  static void backward(context<cudnn>& ctx, plan const& p, packed const& w, saved const&,
                       const_map x, const_map y, map dy, map dx,
                       view<T, 1, device_space> gradient) {
    namespace id = detail::cudnn_id;
    auto& device = *ctx.device;
    auto const& problem = p.problem;
    if (problem.relu)
      device.launch(flat_extent(dy.size()),
                    mask_gradient_by_relu<T>{detail::flat(y), detail::flat(dy)});
    if (problem.input_gradient && p.data)
      p.data->run(
          ctx.session->library(),
          tensors<3>{{{id::y, dy.data()}, {id::w, w.parameters.data()}, {id::x, dx.data()}}},
          device.scratch.data());
    else if (problem.input_gradient)
      device.launch(map_extent(problem.batch, problem.in),
                    convolve_input_gradient<T>{dy, w.parameters, dx, problem.geometry});
    if (p.filter)
      p.filter->run(ctx.session->library(),
                    tensors<3>{{{id::x, x.data()}, {id::y, dy.data()}, {id::w, gradient.data()}}},
                    device.scratch.data());
    else
      own::weights_gradient(device, problem, x, dy, gradient);
    own::bias_gradient(device, problem, dy, gradient);
  }

 private:
  template <std::size_t N>
  using tensors = std::array<std::pair<std::int64_t, void const*>, N>;

  // The layer with three channels, the parts of split factors, in the place of one.
  static layer_problem split_problem(layer_problem problem) {
    problem.in.channels *= 3;
    return problem;
  }
  // Scratch of split maps, behind which the split weights lie, behind which the workspace.
  static constexpr std::size_t scratch_step = 256;
  static std::size_t split_map_bytes(layer_problem const& problem) {
    std::size_t const bytes =
        3 * sizeof(float) * static_cast<std::size_t>(problem.batch) * problem.in.size();
    return (bytes + scratch_step - 1) / scratch_step * scratch_step;
  }
  static std::size_t split_bytes(layer_problem const& problem) {
    std::size_t const bytes = 3 * sizeof(float) * static_cast<std::size_t>(weights(problem));
    return split_map_bytes(problem) + (bytes + scratch_step - 1) / scratch_step * scratch_step;
  }
  static void forward_split(context<cudnn>& ctx, plan const& p, packed const& w, const_map x,
                            map y) {
    namespace id = detail::cudnn_id;
    auto const& problem = p.problem;
    auto& device = *ctx.device;
    std::byte* const scratch = device.scratch.data();
    int const channels = problem.in.channels;
    auto const rows = static_cast<int>(weights(p.problem) / channels);
    view<float, 4, device_space> const maps{
        reinterpret_cast<float*>(scratch),
        {problem.batch, problem.in.height, problem.in.width, 3 * channels}};
    view<float, 2, device_space> const factors{
        reinterpret_cast<float*>(scratch + split_map_bytes(problem)), {rows, 3 * channels}};
    device.launch(map_extent(problem.batch, problem.in), split_map<>{x, maps});
    device.launch({rows, channels},
                  split_weights<>{{w.parameters.data(), {rows, channels}}, factors});
    p.split->run(ctx.session->library(),
                 tensors<4>{{{id::x, maps.data()},
                             {id::w, factors.data()},
                             {id::bias, bias(p, w).data()},
                             {id::y, y.data()}}},
                 scratch + split_bytes(problem));
  }
  // True where factors are multiplied as they are, on ordinary cores.
  static bool whole_floats(context<cudnn> const& ctx) {
    return std::is_same_v<T, float> && ctx.session->options().precision == gpu_precision::f32 &&
           !ctx.session->splits_factors();
  }
  // The layer as it is asked for: tensor cores outrun Winograd's form.
  static layer_problem chosen(context<cudnn> const& ctx, layer_problem problem) {
    if (!whole_floats(ctx)) problem.convolution = convolution_algorithm::direct;
    return problem;
  }
  // Layers with few channels on one side leave tensor cores idle and are bound by memory. Whole
  // floats septum's own products multiply faster than cuDNN, where there are pixels enough for
  // every multiprocessor; in inference everywhere, since tiles must not change a byte.
  static bool own_is_better(context<cudnn> const& ctx, layer_problem const& problem) {
    constexpr int least_channels = 8;
    constexpr std::ptrdiff_t least_pixels = 4096;
    auto const pixels =
        static_cast<std::ptrdiff_t>(problem.batch) * problem.out.height * problem.out.width;
    bool const enough = !problem.training || pixels >= least_pixels;
    return problem.in.channels < least_channels ||
           (whole_floats(ctx) && enough && own::in_products(problem)) ||
           (!problem.training && own::few(problem));
  }
  static std::shared_ptr<detail::cudnn_plan const> find(context<cudnn>& ctx,
                                                        layer_problem const& problem,
                                                        detail::cudnn_pass pass) {
    return ctx.session->plan(
        detail::convolution_graph(as_covering_product(problem), pass, detail::cudnn_data_type<T>));
  }
  static std::ptrdiff_t weights(layer_problem const& problem) {
    return static_cast<std::ptrdiff_t>(problem.out.channels) * problem.geometry.kernel *
           problem.geometry.kernel * problem.in.channels;
  }
  static view<T const, 1, device_space> bias(plan const& p, packed const& w) {
    return w.parameters.block({weights(p.problem)}, {p.problem.out.channels});
  }
};

}  // namespace septum::inline SEPTUM_ABI
