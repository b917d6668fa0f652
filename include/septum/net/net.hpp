#pragma once
#include <septum/core/error.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/net/layer_executor.hpp>
#include <septum/nn/transform.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// One line of a net's report: which backend runs a layer, and the time it has taken so far.
struct layer_report {
  std::string layer;           ///< e.g. "conv 64 3x3 dilation 2 relu"
  std::string_view backend;    ///< the one that was resolved, so that a fallback is never silent
  double seconds = 0.0;        ///< summed over all calls of forward
  double multiply_adds = 0.0;  ///< of one call
};

/// What a net does at run time, whatever its type: plans for one input extent and the two buffers
/// that maps alternate between. Parameters are not part of it: any number of sets, brought into the
/// kernels' order by `pack`, run through the same plans. Made by net<>, which see.
template <class T>
class network {
 public:
  /// One parameter set in the kernels' own order; valid for the extent it was packed for.
  using packed = std::vector<std::shared_ptr<void const>>;

  explicit network(detail::layer_assembly<T> assembly)
      : assembly_{std::move(assembly)},
        layers_{assembly_.make_layers()},
        seconds_(layers_.size(), 0.0) {}

  /// Builds the plans for `batch` inputs of height x width pixels; a no-op when they are built.
  /// @throws shape_error when the input is smaller than the receptive field
  void prepare(int batch, int height, int width) {
    if (ready_ && batch == batch_ && height == height_ && width == width_) return;
    int const field = assembly_.receptive_field;
    SEPTUM_EXPECTS(height >= field && width >= field && batch > 0,
                   shape_error("septum.net.1",
                               "input of " + std::to_string(height) + "x" + std::to_string(width) +
                                   " pixels is smaller than the receptive field of " +
                                   std::to_string(field) + "x" + std::to_string(field)));
    ready_ = false;
    rows_ = assembly_.rows(height, width);
    batch_ = batch;
    height_ = height;
    width_ = width;
    std::array<std::size_t, 2> wanted{};
    for (std::size_t k = 0; k < layers_.size(); ++k) {
      layers_[k].executor->prepare(
          detail::make_problem(rows_[k], layers_[k].relu, layers_[k].dropout_rate, batch));
      if (k + 1 < layers_.size())
        wanted[k % 2] =
            std::max(wanted[k % 2], rows_[k].out.size() * static_cast<std::size_t>(batch));
    }
    for (std::size_t k = 0; k < 2; ++k) buffers_[k].reserve(wanted[k]);
    ready_ = true;
  }

  /// Brings one parameter set into the order of the prepared kernels.
  /// @throws weights_error when the number of values is not the stack's
  [[nodiscard]] packed pack(std::span<T const> parameters) {
    SEPTUM_EXPECTS(ready_, shape_error("septum.net.2", "pack before prepare", fault::internal));
    SEPTUM_EXPECTS(
        parameters.size() == assembly_.parameter_count,
        weights_error("septum.net.3", "a parameter set has " + std::to_string(parameters.size()) +
                                          " values, the net wants " +
                                          std::to_string(assembly_.parameter_count)));
    packed set;
    for (std::size_t k = 0; k < layers_.size(); ++k)
      set.push_back(layers_[k].executor->pack(parameters.subspan(rows_[k].offset, rows_[k].count)));
    return set;
  }

  /// x (batch, row, column, channel) -> y (batch, row, column, class); both contiguous. Allocates
  /// nothing.
  void forward(packed const& parameters, view<T const, 4> x, view<T, 4> y) {
    SEPTUM_EXPECTS(
        ready_ && parameters.size() == layers_.size() && x.extent(0) == batch_ &&
            x.extent(1) == height_ && x.extent(2) == width_ &&
            x.extent(3) == assembly_.input_channels &&
            y.size() == static_cast<std::ptrdiff_t>(rows_.back().out.size()) * batch_ &&
            x.contiguous() && y.contiguous(),
        shape_error("septum.net.4", "forward with views other than prepared for", fault::internal));
    using clock = std::chrono::steady_clock;
    T const* input = x.data();
    auto begin = clock::now();
    for (std::size_t k = 0; k < layers_.size(); ++k) {
      T* const result = k + 1 == layers_.size() ? y.data() : buffers_[k % 2].data();
      layers_[k].executor->forward(parameters[k].get(), map(input, rows_[k].in),
                                   map(result, rows_[k].out));
      input = result;
      auto const end = clock::now();
      seconds_[k] += std::chrono::duration<double>(end - begin).count();
      begin = end;
    }
  }

  /// Per layer: what it is, who runs it, and for how long so far.
  [[nodiscard]] std::vector<layer_report> report() const {
    std::vector<layer_report> lines;
    auto const rows = rows_.empty()
                          ? assembly_.rows(assembly_.receptive_field, assembly_.receptive_field)
                          : rows_;
    for (std::size_t k = 0; k < layers_.size(); ++k)
      lines.push_back({detail::describe_layer(layers_[k].name, rows[k], layers_[k].relu),
                       layers_[k].backend, seconds_[k],
                       static_cast<double>(rows[k].trainable) * rows[k].out.height *
                           rows[k].out.width * batch_});
    return lines;
  }

  /// Extent of the output for the prepared input.
  [[nodiscard]] shape output() const { return rows_.empty() ? shape{} : rows_.back().out; }
  /// Bytes held for maps.
  [[nodiscard]] std::size_t buffer_bytes() const {
    return buffers_[0].bytes() + buffers_[1].bytes();
  }

 private:
  template <class U>
  view<U, 4> map(U* data, shape extent) const {
    return {data, {batch_, extent.height, extent.width, extent.channels}};
  }

  detail::layer_assembly<T> assembly_;
  std::vector<detail::layer_entry<T>> layers_;
  std::vector<layer_row> rows_;
  std::vector<double> seconds_;
  std::array<buffer<T>, 2> buffers_{};
  int batch_ = 0;
  int height_ = 0;
  int width_ = 0;
  bool ready_ = false;
};

/// A stack at run time for inference: its layers' kernels looked up by traits at compile time, run
/// by network<T>. Belongs to one thread.
/// @tparam S the form that is to run, e.g. fused_t<fully_convolutional_t<my_net>>
template <Stack S, Backend B, class T = float>
class net : public network<T> {
 public:
  explicit net(exec::threads threads = {})
      : network<T>{detail::assemble<S, B, T, false>(threads)} {}
};

}  // namespace septum::inline SEPTUM_ABI
