#pragma once
#include <septum/core/error.hpp>
#include <septum/exec/cuda_runtime.hpp>
#include <septum/net/device_contexts.hpp>
#include <septum/net/layer_executor.hpp>
#include <septum/net/tiled.hpp>
#include <septum/nn/transform.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

namespace detail {

/// The kernel of one layer on a device, its type forgotten.
template <class T>
class device_layer {
 public:
  using map = view<T, 4, device_space>;
  using const_map = view<T const, 4, device_space>;
  virtual ~device_layer() = default;
  virtual void prepare(layer_problem const& problem) = 0;
  /// First row and column of every call's output are multiples of it in the whole map.
  [[nodiscard]] virtual int grid(layer_problem const& problem) = 0;
  /// Whether the layer runs the pooling of the problem as its own.
  [[nodiscard]] virtual bool takes_pool(layer_problem const& problem) const = 0;
  virtual void forward(view<T const, 1, device_space> parameters, const_map x, map y) = 0;
  virtual void forward_train(view<T const, 1, device_space> parameters, const_map x, map y,
                             device_step step) = 0;
  virtual void backward(view<T const, 1, device_space> parameters, const_map x, const_map y, map dy,
                        map dx, view<T, 1, device_space> gradient) = 0;
};

template <class B, class Kind, class T>
class device_kernel_layer final : public device_layer<T> {
  using kernel_type = kernel<B, Kind, T>;
  using typename device_layer<T>::map;
  using typename device_layer<T>::const_map;
  using values = view<T const, 1, device_space>;

 public:
  explicit device_kernel_layer(context<B>& context) : context_{&context} {}
  void prepare(layer_problem const& problem) override {
    plan_ = kernel_type::prepare(*context_, problem);
    if (problem.training) saved_ = kernel_type::make_saved(*context_, plan_);
  }
  int grid([[maybe_unused]] layer_problem const& problem) override {
    if constexpr (requires { kernel_type::grid(*context_, problem); })
      return kernel_type::grid(*context_, problem);
    return 1;
  }
  bool takes_pool([[maybe_unused]] layer_problem const& problem) const override {
    if constexpr (requires { kernel_type::takes_pool(problem); })
      return kernel_type::takes_pool(problem);
    return false;
  }
  void forward(values parameters, const_map x, map y) override {
    kernel_type::forward(*context_, plan_, kernel_type::pack(*context_, plan_, parameters), x, y);
  }
  void forward_train(values parameters, const_map x, map y, device_step step) override {
    kernel_type::forward_train(*context_, plan_, kernel_type::pack(*context_, plan_, parameters),
                               saved_, x, y, step);
  }
  void backward(values parameters, const_map x, const_map y, map dy, map dx,
                view<T, 1, device_space> gradient) override {
    kernel_type::backward(*context_, plan_, kernel_type::pack(*context_, plan_, parameters), saved_,
                          x, y, dy, dx, gradient);
  }

 private:
  context<B>* context_;
  typename kernel_type::plan plan_{};
  typename kernel_type::saved saved_{};
};

template <class T>
struct device_layer_entry {
  std::string_view name;
  std::string_view backend;
  bool relu = false;
  double dropout_rate = 0.0;
  std::unique_ptr<device_layer<T>> layer;
};

template <Backend B, class T>
struct device_layer_factory {
  template <class L>
  static device_layer_entry<T> make(device_contexts<B>& contexts) {
    using resolved = resolved_backend_t<B, typename L::kind, T>;
    static_assert(
        diagnostic::backend_has_a_kernel<!std::is_void_v<resolved>, diagnostic::with_backend<B>,
                                         diagnostic::the_layer<L>, diagnostic::with_scalar<T>>::ok);
    return {L::name, resolved::name, applies_relu_v<L>, dropout_rate_v<L>,
            std::make_unique<device_kernel_layer<resolved, typename L::kind, T>>(
                contexts.template get<resolved>())};
  }
  template <class... Layers>
  struct with_layers {
    static std::vector<device_layer_entry<T>> all(device_contexts<B>& contexts) {
      std::vector<device_layer_entry<T>> entries;
      entries.reserve(sizeof...(Layers));
      (entries.push_back(make<Layers>(contexts)), ...);
      return entries;
    }
  };
};

/// Where the slices of a flat blob of parameters lie on the device: each begins at a multiple of
/// 256 bytes, as libraries like it.
class device_layout {
 public:
  device_layout() = default;
  device_layout(std::span<layer_row const> rows, std::size_t scalar_bytes) {
    std::size_t const step = 256 / scalar_bytes;
    for (auto const& row : rows) {
      slices_.push_back({row.offset, size_, row.count});
      size_ += (row.count + step - 1) / step * step;
    }
  }
  struct slice {
    std::size_t host_offset;
    std::size_t offset;
    std::size_t count;
  };
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] slice const& operator[](std::size_t layer) const { return slices_[layer]; }
  /// A host blob in the device's order and type; gaps are zero.
  template <class T>
  [[nodiscard]] std::vector<T> spread(std::span<float const> blob) const {
    std::vector<T> values(size_, T{});
    for (auto const& each : slices_)
      for (std::size_t i = 0; i < each.count; ++i)
        values[each.offset + i] = static_cast<T>(blob[each.host_offset + i]);
    return values;
  }
  /// The inverse of spread.
  template <class T>
  void gather(std::span<T const> values, std::span<float> blob) const {
    for (auto const& each : slices_)
      for (std::size_t i = 0; i < each.count; ++i)
        blob[each.host_offset + i] = static_cast<float>(values[each.offset + i]);
  }
  template <class U>
  [[nodiscard]] view<U, 1, device_space> of_layer(view<U, 1, device_space> all,
                                                  std::size_t layer) const {
    auto const& each = slices_[layer];
    return all.block({static_cast<std::ptrdiff_t>(each.offset)},
                     {static_cast<std::ptrdiff_t>(each.count)});
  }

 private:
  std::vector<slice> slices_;
  std::size_t size_ = 0;
};

/// Multiply-adds of a convolution or dense layer, else 0.
[[nodiscard]] inline double multiply_adds_of(layer_row const& row) {
  std::size_t const weights = static_cast<std::size_t>(row.geometry.kernel) *
                              static_cast<std::size_t>(row.geometry.kernel) *
                              static_cast<std::size_t>(row.in.channels) *
                              static_cast<std::size_t>(row.out.channels);
  bool const multiplies = row.count == weights + static_cast<std::size_t>(row.out.channels);
  return multiplies ? static_cast<double>(weights) * row.out.height * row.out.width : 0.0;
}

/// What of a net's type a device has to know.
template <class T>
struct device_assembly {
  int input_channels = 0;
  int receptive_field = 0;
  std::size_t parameter_count = 0;
  std::vector<layer_row> (*rows)(int height, int width) = nullptr;
  std::function<std::vector<device_layer_entry<T>>()> make_layers;
};

/// @param contexts  has to outlive the layers
template <Stack S, Backend B, class T>
[[nodiscard]] device_assembly<T> assemble_on_device(device_contexts<B>& contexts) {
  using base = base_stack_t<S>;
  using layers = typename base::template apply<device_layer_factory<B, T>::template with_layers>;
  return {base::input_channels, base::receptive_field, base::parameter_count, &row_vector<S>,
          [&contexts] { return layers::all(contexts); }};
}

}  // namespace detail

/// How long one layer takes on a device.
struct device_layer_time {
  std::string layer;           ///< e.g. "conv 64 3x3 dilation 2 relu"
  std::string_view backend;    ///< the one that was resolved
  double seconds = 0.0;        ///< of one run over the prepared extent
  double multiply_adds = 0.0;  ///< of one run; 0 for layers that are bound by memory
};

/// A net on a device for one input extent: layer by layer, maps alternating between two buffers.
/// Parameters are given with each call, in the device's order (upload).
template <class T>
class device_network {
 public:
  using map = view<T, 4, device_space>;
  using const_map = view<T const, 4, device_space>;

  explicit device_network(detail::device_assembly<T> assembly,
                          convolution_algorithm convolution = convolution_algorithm::direct)
      : assembly_{std::move(assembly)},
        layers_{assembly_.make_layers()},
        convolution_{convolution} {
    auto const rows = assembly_.rows(assembly_.receptive_field, assembly_.receptive_field);
    layout_ = {rows, sizeof(T)};
  }

  /// Builds the plans and takes the buffers. What was there before is given back first.
  /// @throws device_error `septum.device.3` when memory runs out
  void prepare(cuda_api const& api, int batch, int height, int width) {
    buffers_ = {};
    rows_ = assembly_.rows(height, width);
    batch_ = batch;
    for (std::size_t k = 0; k < layers_.size(); ++k)
      layers_[k].layer->prepare(problem(k, rows_[k], batch));
    auto const values = buffer_values(rows_, batch);
    for (std::size_t k = 0; k < 2; ++k) buffers_[k] = device_memory<T>{api, values[k]};
  }

  /// Queues x (batch, row, column, channel) -> y (batch, row, column, class).
  void forward(view<T const, 1, device_space> parameters, const_map x, map y) {
    const_map input = x;
    for (std::size_t k = 0; k < layers_.size(); ++k) {
      bool const last = k + 1 == layers_.size();
      map const result = last ? y : map_of(buffers_[k % 2].data(), rows_[k].out);
      layers_[k].layer->forward(layout_.of_layer(parameters, k), input, result);
      input = result;
    }
  }

  /// Runs the prepared net layer by layer, each `repeats` times, and says how long each layer
  /// takes.
  [[nodiscard]] std::vector<device_layer_time> measure(cuda_stream const& stream,
                                                       view<T const, 1, device_space> parameters,
                                                       const_map x, map y, int repeats) {
    std::vector<device_layer_time> times;
    const_map input = x;
    for (std::size_t k = 0; k < layers_.size(); ++k) {
      auto const& row = rows_[k];
      map const result = k + 1 == layers_.size() ? y : map_of(buffers_[k % 2].data(), row.out);
      auto const run = [&] {
        layers_[k].layer->forward(layout_.of_layer(parameters, k), input, result);
      };
      run();
      stream.synchronize();
      auto const begin = std::chrono::steady_clock::now();
      for (int repeat = 0; repeat < repeats; ++repeat) run();
      stream.synchronize();
      std::chrono::duration<double> const taken = std::chrono::steady_clock::now() - begin;
      times.push_back({.layer = detail::describe_layer(layers_[k].name, row, layers_[k].relu),
                       .backend = layers_[k].backend,
                       .seconds = taken.count() / repeats,
                       .multiply_adds = batch_ * detail::multiply_adds_of(row)});
      input = result;
    }
    return times;
  }

  /// A host blob of parameters as the device holds it.
  /// @throws weights_error when the number of values is not the stack's
  [[nodiscard]] device_memory<T> upload(cuda_stream const& stream,
                                        std::span<float const> parameters) const {
    SEPTUM_EXPECTS(
        parameters.size() == assembly_.parameter_count,
        weights_error("septum.net.3", "a parameter set has " + std::to_string(parameters.size()) +
                                          " values, the net wants " +
                                          std::to_string(assembly_.parameter_count)));
    auto const values = layout_.template spread<T>(parameters);
    device_memory<T> memory{stream.api(), values.size()};
    copy(stream, view<T const, 1>{values.data(), {std::ssize(values)}}, memory.values());
    stream.synchronize();
    return memory;
  }

  [[nodiscard]] shape output() const { return rows_.back().out; }
  /// Where an input may be cut without changing a byte of the result.
  [[nodiscard]] tile_grid output_grid() const {
    int const field = assembly_.receptive_field;
    auto const rows = assembly_.rows(field, field);
    std::vector<int> grids;
    for (std::size_t k = 0; k < layers_.size(); ++k)
      grids.push_back(layers_[k].layer->grid(problem(k, rows[k], 1)));
    return detail::common_grid(rows, grids, field);
  }
  /// Bytes of the maps for one input of height x width pixels.
  [[nodiscard]] std::size_t buffer_bytes(int height, int width) const {
    auto const values = buffer_values(assembly_.rows(height, width), 1);
    return (values[0] + values[1]) * sizeof(T);
  }
  /// Per layer: what it is and which backend was resolved for it.
  [[nodiscard]] std::vector<std::pair<std::string, std::string_view>> report() const {
    auto const rows = assembly_.rows(assembly_.receptive_field, assembly_.receptive_field);
    std::vector<std::pair<std::string, std::string_view>> lines;
    for (std::size_t k = 0; k < layers_.size(); ++k)
      lines.emplace_back(detail::describe_layer(layers_[k].name, rows[k], layers_[k].relu),
                         layers_[k].backend);
    return lines;
  }

 private:
  [[nodiscard]] layer_problem problem(std::size_t k, layer_row const& row, int batch) const {
    auto made = detail::make_problem(row, layers_[k].relu, layers_[k].dropout_rate, batch);
    made.convolution = convolution_;
    return made;
  }
  static std::array<std::size_t, 2> buffer_values(std::span<layer_row const> rows, int batch) {
    std::array<std::size_t, 2> values{};
    for (std::size_t k = 0; k + 1 < rows.size(); ++k)
      values[k % 2] = std::max(values[k % 2], rows[k].out.size() * static_cast<std::size_t>(batch));
    return values;
  }
  map map_of(T* data, shape extent) const {
    return {data, {batch_, extent.height, extent.width, extent.channels}};
  }

  detail::device_assembly<T> assembly_;
  std::vector<detail::device_layer_entry<T>> layers_;
  convolution_algorithm convolution_;
  detail::device_layout layout_;
  std::vector<layer_row> rows_;
  std::array<device_memory<T>, 2> buffers_{};
  int batch_ = 0;
};

}  // namespace septum::inline SEPTUM_ABI
