#pragma once
#include <septum/core/error.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/net/detail/row_stream.hpp>
#include <septum/net/layer_executor.hpp>
#include <septum/net/map_scalars.hpp>
#include <septum/net/tiled.hpp>
#include <septum/nn/transform.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
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

/// What a net does at run time, whatever its type: plans for one input extent and the buffers for
/// its maps. A large frame runs a few rows at a time through all layers; patches, batches and
/// small frames run layer by layer, their maps alternating between two buffers. The bytes of the
/// result are the same. Parameters are not part of it: any number of sets, brought into the
/// kernels' order by `pack`, run through the same plans. Made by net<>, which see.
template <class T>
class network {
 public:
  /// One parameter set in the kernels' own order; valid for the extent it was packed for.
  using packed = std::vector<std::shared_ptr<void const>>;

  explicit network(detail::layer_assembly<T> assembly)
      : assembly_{std::move(assembly)},
        layers_{assembly_.make_layers()},
        seconds_(layers_.size(), 0.0) {
    int const field = assembly_.receptive_field;
    std::vector<layer_problem> problems;
    auto const rows = assembly_.rows(field, field);
    for (std::size_t k = 0; k < layers_.size(); ++k) problems.push_back(problem(k, rows[k], 1));
    scalars_ = {layers_, problems, assembly_.precision};
  }

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
    auto const maps = plan_storage(batch, rows_);
    streams_ = maps.streams;
    auto const strips = plan_strips(rows_);
    if (streams_) stream_ = detail::row_stream{rows_, strips};
    for (std::size_t k = 0; k < layers_.size(); ++k) {
      layer_row part = rows_[k];
      if (streams_) {
        part.out.height = strips[k].rows;
        part.in.height = strips[k].rows + part.geometry.extent() - 1;
      }
      executor(k).prepare(problem(k, part, batch));
    }
    buffers_.resize(maps.bytes.size());
    for (std::size_t k = 0; k < maps.bytes.size(); ++k) buffers_[k].reserve(maps.bytes[k]);
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
      set.push_back(executor(k).pack(parameters.subspan(rows_[k].offset, rows_[k].count)));
    return set;
  }

  /// x (batch, row, column, channel) -> y (batch, row, column, class); both contiguous. Allocates
  /// nothing.
  /// @param poll called between parts of the work with the rows of y that are done; may throw to
  /// stop
  void forward(packed const& parameters, view<T const, 4> x, view<T, 4> y,
               std::function<void(int)> const& poll = {}) {
    SEPTUM_EXPECTS(
        ready_ && parameters.size() == layers_.size() && x.extent(0) == batch_ &&
            x.extent(1) == height_ && x.extent(2) == width_ &&
            x.extent(3) == assembly_.input_channels &&
            y.size() == static_cast<std::ptrdiff_t>(rows_.back().out.size()) * batch_ &&
            x.contiguous() && y.contiguous(),
        shape_error("septum.net.4", "forward with views other than prepared for", fault::internal));
    if (streams_)
      forward_rows(parameters, x, y, poll);
    else
      forward_layers(parameters, x, y);
    if (poll && !streams_) poll(rows_.back().out.height);
  }

  /// Per layer: what it is, who runs it, and for how long so far.
  [[nodiscard]] std::vector<layer_report> report() const {
    std::vector<layer_report> lines;
    auto const rows = rows_.empty()
                          ? assembly_.rows(assembly_.receptive_field, assembly_.receptive_field)
                          : rows_;
    for (std::size_t k = 0; k < layers_.size(); ++k)
      lines.push_back({detail::describe_layer(layers_[k].name, rows[k], layers_[k].relu) +
                           (scalars_.is_reduced(k) ? " bf16" : ""),
                       layers_[k].backend, seconds_[k],
                       static_cast<double>(rows[k].trainable) * rows[k].out.height *
                           rows[k].out.width * batch_});
    return lines;
  }

  /// Where an input may be cut without changing a byte of the result.
  [[nodiscard]] tile_grid output_grid() const {
    int const field = assembly_.receptive_field;
    auto const rows = assembly_.rows(field, field);
    std::vector<int> grids;
    for (std::size_t k = 0; k < layers_.size(); ++k)
      grids.push_back(executor(k).grid(problem(k, rows[k], 1)));
    return detail::common_grid(rows, grids, field);
  }

  /// Extent of the output for the prepared input.
  [[nodiscard]] shape output() const { return rows_.empty() ? shape{} : rows_.back().out; }
  /// Bytes held for maps.
  [[nodiscard]] std::size_t buffer_bytes() const {
    std::size_t bytes = 0;
    for (auto const& one : buffers_) bytes += one.bytes();
    return bytes;
  }
  /// Bytes that maps would take for one input of height x width pixels; in strips, which large
  /// frames run in, this depends on the width only.
  [[nodiscard]] std::size_t buffer_bytes(int height, int width) const {
    return buffer_bytes(1, height, width);
  }
  /// The same for a batch of inputs.
  [[nodiscard]] std::size_t buffer_bytes(int batch, int height, int width) const {
    return plan_storage(batch, assembly_.rows(height, width)).total();
  }

 private:
  [[nodiscard]] layer_problem problem(std::size_t k, layer_row const& row, int batch) const {
    auto made = detail::make_problem(row, layers_[k].relu, layers_[k].dropout_rate, batch);
    made.convolution = assembly_.convolution;
    if (!scalars_.empty()) {
      made.in_scalar = scalars_.in(k);
      made.out_scalar = scalars_.out(k);
    }
    return made;
  }
  // Few rows stay in the caches; every thread wants some of them. A layer on a grid takes whole
  // cells of it.
  [[nodiscard]] std::vector<detail::row_strip> plan_strips(std::span<layer_row const> rows) const {
    int const height = rows.back().out.height;
    int const wanted = std::clamp(2 * assembly_.threads.count, 4, 32);
    std::vector<detail::row_strip> strips;
    for (std::size_t k = 0; k < rows.size(); ++k) {
      int const cell = executor(k).grid(problem(k, rows[k], 1));
      int const cells = (std::max(wanted, least_grid_rows) + cell - 1) / cell;
      if (cell > 1)
        strips.push_back({std::min(cells * cell, rows[k].out.height), true});
      else
        strips.push_back({std::min(wanted, height), false});
    }
    return strips;
  }
  // How maps are held: the two buffers that take turns, or one of some rows behind every layer.
  struct storage {
    bool streams = false;
    std::vector<std::size_t> bytes;
    [[nodiscard]] std::size_t total() const {
      return std::accumulate(bytes.begin(), bytes.end(), std::size_t{0});
    }
  };
  [[nodiscard]] storage plan_storage(int batch, std::span<layer_row const> rows) const {
    storage whole{false, std::vector<std::size_t>(2)};
    for (std::size_t k = 0; k + 1 < rows.size(); ++k)
      whole.bytes[k % 2] =
          std::max(whole.bytes[k % 2],
                   rows[k].out.size() * static_cast<std::size_t>(batch) * value_bytes(k));
    if (batch > 1 || !detail::row_stream::possible(rows)) return whole;
    storage few{true, {}};
    auto const strips = plan_strips(rows);
    for (std::size_t k = 0; k < rows.size(); ++k)
      few.bytes.push_back(static_cast<std::size_t>(detail::row_stream::capacity(rows, k, strips)) *
                          row_values(rows[k].out) * value_bytes(k));
    return few.total() < whole.total() ? few : whole;
  }
  // Of the map behind a layer.
  [[nodiscard]] std::size_t value_bytes(std::size_t layer) const {
    return bytes_of(scalars_.out(layer));
  }
  static std::size_t row_values(shape map) {
    return static_cast<std::size_t>(map.width) * static_cast<std::size_t>(map.channels);
  }

  void run_layer(std::size_t k, packed const& parameters, const_layer_map x, layer_map y) {
    using clock = std::chrono::steady_clock;
    auto const begin = clock::now();
    executor(k).forward(parameters[k].get(), x, y);
    seconds_[k] += std::chrono::duration<double>(clock::now() - begin).count();
  }

  void forward_layers(packed const& parameters, view<T const, 4> x, view<T, 4> y) {
    const_layer_map input{x};
    for (std::size_t k = 0; k < layers_.size(); ++k) {
      void* const result = k + 1 == layers_.size() ? y.data() : bytes_of_buffer(k % 2, 0);
      layer_map const out = map_behind(k, result, rows_[k].out);
      run_layer(k, parameters, input, out);
      input = out;
    }
  }

  void forward_rows(packed const& parameters, view<T const, 4> x, view<T, 4> y,
                    std::function<void(int)> const& poll) {
    stream_.run(
        [&](detail::row_stream::call const& call) {
          std::size_t const k = call.layer;
          bool const last = k + 1 == layers_.size();
          shape in = rows_[k].in;
          shape out = rows_[k].out;
          in.height = call.rows + rows_[k].geometry.extent() - 1;
          out.height = call.rows;
          auto const skipped = static_cast<std::size_t>(call.input_offset) * row_values(in);
          auto const written = static_cast<std::size_t>(call.output_offset) * row_values(out);
          const_layer_map const input =
              k == 0 ? const_layer_map{map(x.data() + skipped, in)}
                     : const_layer_map{map_behind(k - 1, bytes_of_buffer(k - 1, skipped), in)};
          run_layer(k, parameters, input,
                    map_behind(k, last ? y.data() + written : bytes_of_buffer(k, written), out));
          if (last && poll) poll(call.output_row + call.rows);
        },
        [&](detail::row_stream::move const& move) {
          auto const bytes = static_cast<std::ptrdiff_t>(row_values(rows_[move.layer].out) *
                                                         value_bytes(move.layer));
          std::byte* const to = buffers_[move.layer].data();
          std::byte* const from = to + move.from * bytes;
          bool const apart = move.from >= move.count;
          for_each_range(apart ? assembly_.threads : exec::threads{}, move.count * bytes,
                         [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                           std::copy(from + begin, from + end, to + begin);
                         });
        });
  }

  template <class U>
  view<U, 4> map(U* data, shape extent) const {
    return {data, {batch_, extent.height, extent.width, extent.channels}};
  }
  layer_map map_behind(std::size_t layer, void* data, shape extent) const {
    return {data, {batch_, extent.height, extent.width, extent.channels}, scalars_.out(layer)};
  }
  // Where value `offset` of a buffer lies; in strips, buffer k holds the map behind layer k.
  void* bytes_of_buffer(std::size_t k, std::size_t offset) {
    return buffers_[k].data() + (streams_ ? offset * value_bytes(k) : 0);
  }
  detail::layer_executor<T>& executor(std::size_t k) const { return scalars_.executor(layers_, k); }

  static constexpr int least_grid_rows = 8;  // fewer would start threads too often

  detail::layer_assembly<T> assembly_;
  std::vector<detail::layer_entry<T>> layers_;
  std::vector<layer_row> rows_;
  std::vector<double> seconds_;
  detail::map_scalars<T> scalars_;
  std::vector<buffer<std::byte>> buffers_;
  detail::row_stream stream_;
  bool streams_ = false;
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
  /// @throws unsupported_error when B has no kernels for the precision
  explicit net(exec::threads threads = {},
               convolution_algorithm convolution = convolution_algorithm::direct,
               host_precision precision = host_precision::f32)
      : network<T>{detail::assemble<S, B, T, false>(threads, convolution, precision)} {}
};

}  // namespace septum::inline SEPTUM_ABI
