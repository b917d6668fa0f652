#pragma once
#include <septum/backend/detail/cudnn_api.hpp>
#include <septum/backend/problem.hpp>
#include <septum/core/half.hpp>
#include <septum/core/shape.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

/// What cuDNN is asked for, as plain values made by pure functions from a layer's problem: nothing
/// here needs a device.
namespace septum::inline SEPTUM_ABI {

/// Numbers that a net computes in on a GPU; sums are in float with all of them. f32 multiplies
/// floats; tf32 lets tensor cores round the factors to 10 bits of fraction; bf16 and f16 also store
/// maps and parameters in 16 bits.
enum class gpu_precision { f32, tf32, bf16, f16 };

[[nodiscard]] constexpr std::string_view name_of(gpu_precision precision) {
  constexpr std::string_view names[] = {"f32", "tf32", "bf16", "f16"};
  return names[static_cast<int>(precision)];
}

namespace detail {

/// A tensor with axes batch, channel, row, column in cuDNN's order and channels-last in memory;
/// weights have filter, channel, row, column.
struct cudnn_tensor {
  std::int64_t id = 0;
  std::array<std::int64_t, 4> extents{};
  std::array<std::int64_t, 4> strides{};
  int type = cudnn_constant::data_float;
  std::int64_t alignment = 16;  ///< of its address, bytes
  bool is_virtual = false;      ///< lives between two operations only
  friend bool operator==(cudnn_tensor const&, cudnn_tensor const&) = default;
};

enum class cudnn_step { forward, backward_data, backward_filter, add, relu };

/// One operation: y from x and w (convolutions), x and b (add), or x (relu).
struct cudnn_operation {
  cudnn_step step = cudnn_step::forward;
  std::int64_t x = 0;
  std::int64_t other = 0;
  std::int64_t y = 0;
  friend bool operator==(cudnn_operation const&, cudnn_operation const&) = default;
};

struct cudnn_graph {
  std::vector<cudnn_tensor> tensors;
  std::vector<cudnn_operation> operations;
  int dilation = 1;  ///< of every convolution; cuDNN counts from 1, as septum does
  int stride = 1;
  friend bool operator==(cudnn_graph const&, cudnn_graph const&) = default;

  [[nodiscard]] cudnn_tensor const& tensor(std::int64_t id) const {
    return *std::find_if(tensors.begin(), tensors.end(),
                         [&](cudnn_tensor const& each) { return each.id == id; });
  }
};

/// Passes of a convolution that cuDNN runs. The fused one adds the bias and applies relu.
enum class cudnn_pass { fused, forward, backward_data, backward_filter };

// Names of the tensors of a convolution; the virtual ones come last.
namespace cudnn_id {
inline constexpr std::int64_t x = 1;
inline constexpr std::int64_t w = 2;
inline constexpr std::int64_t bias = 3;
inline constexpr std::int64_t y = 4;
inline constexpr std::int64_t product = 5;
inline constexpr std::int64_t sum = 6;
}  // namespace cudnn_id

template <class T>
inline constexpr int cudnn_data_type = std::is_same_v<T, bfloat16>  ? cudnn_constant::data_bfloat16
                                       : std::is_same_v<T, float16> ? cudnn_constant::data_half
                                                                    : cudnn_constant::data_float;

/// Channels-last tensor of cuDNN for (batch, row, column, channel), or (filter, row, column,
/// channel).
[[nodiscard]] constexpr cudnn_tensor channels_last(std::int64_t id, int outer, shape map,
                                                   int type) {
  std::int64_t const h = map.height;
  std::int64_t const w = map.width;
  std::int64_t const c = map.channels;
  return {.id = id, .extents = {outer, c, h, w}, .strides = {h * w * c, 1, w * c, c}, .type = type};
}

/// Largest power of two up to 16 that divides `bytes`: how a tensor that begins so far behind an
/// aligned one is aligned.
[[nodiscard]] constexpr std::int64_t alignment_at(std::int64_t bytes) {
  std::int64_t alignment = 16;
  while (bytes % alignment != 0) alignment /= 2;
  return alignment;
}

[[nodiscard]] inline cudnn_graph convolution_graph(layer_problem const& problem, cudnn_pass pass,
                                                   int type) {
  std::int64_t const element = type == cudnn_constant::data_float ? 4 : 2;
  int const kernel = problem.geometry.kernel;
  int const filters = problem.out.channels;
  auto const x = channels_last(cudnn_id::x, problem.batch, problem.in, type);
  auto const w = channels_last(cudnn_id::w, filters, {kernel, kernel, problem.in.channels}, type);
  auto const y = channels_last(cudnn_id::y, problem.batch, problem.out, type);
  cudnn_graph graph{.tensors = {},
                    .operations = {},
                    .dilation = problem.geometry.dilation,
                    .stride = problem.geometry.stride};
  switch (pass) {
    case cudnn_pass::forward:
      graph.tensors = {x, w, y};
      graph.operations = {{cudnn_step::forward, x.id, w.id, y.id}};
      break;
    case cudnn_pass::backward_data:  // y stands for dy, x for dx
      graph.tensors = {y, w, x};
      graph.operations = {{cudnn_step::backward_data, y.id, w.id, x.id}};
      break;
    case cudnn_pass::backward_filter:  // w stands for dw
      graph.tensors = {x, y, w};
      graph.operations = {{cudnn_step::backward_filter, x.id, y.id, w.id}};
      break;
    case cudnn_pass::fused: {
      auto product = y;
      product.id = cudnn_id::product;
      product.type = cudnn_constant::data_float;
      product.is_virtual = true;
      auto sum = product;
      sum.id = cudnn_id::sum;
      auto bias = channels_last(cudnn_id::bias, 1, {1, 1, filters}, type);
      // The bias follows the weights in the blob of parameters.
      bias.alignment = alignment_at(w.extents[0] * w.strides[0] * element);
      graph.tensors = {x, w, bias, y, product};
      graph.operations = {{cudnn_step::forward, x.id, w.id, product.id}};
      if (problem.relu) {
        graph.tensors.push_back(sum);
        graph.operations.push_back({cudnn_step::add, product.id, bias.id, sum.id});
        graph.operations.push_back({cudnn_step::relu, sum.id, 0, y.id});
      } else {
        graph.operations.push_back({cudnn_step::add, product.id, bias.id, y.id});
      }
      break;
    }
  }
  return graph;
}

/// Text that identifies a plan: everything that it depends on.
[[nodiscard]] inline std::string plan_key(cudnn_graph const& graph, gpu_precision precision,
                                          std::size_t library_version,
                                          std::string const& device_name) {
  std::string key = "cudnn " + std::to_string(library_version) + " device " + device_name + " " +
                    std::string{name_of(precision)} + " dilation " +
                    std::to_string(graph.dilation) + " stride " + std::to_string(graph.stride);
  for (auto const& tensor : graph.tensors) {
    key += " | " + std::to_string(tensor.id) + " type " + std::to_string(tensor.type) +
           (tensor.is_virtual ? " virtual" : "") + " aligned " + std::to_string(tensor.alignment);
    for (auto const extent : tensor.extents) key += " " + std::to_string(extent);
    for (auto const stride : tensor.strides) key += " " + std::to_string(stride);
  }
  for (auto const& operation : graph.operations)
    key += " ; " + std::to_string(static_cast<int>(operation.step)) + " " +
           std::to_string(operation.x) + " " + std::to_string(operation.other) + " " +
           std::to_string(operation.y);
  return key;
}

/// Whether an engine with these numerical notes may serve: it gives the same bytes every time, and
/// for every tile of a frame (Winograd's and Fourier's sums depend on where a tile begins), adds in
/// float, and with f32 rounds no factor. Forward, cuDNN's plain loops (those that keep to the
/// letter of NaN) are refused as well, because septum's own kernels outrun them.
[[nodiscard]] inline bool engine_is_allowed(std::span<int const> notes, gpu_precision precision,
                                            bool forward) {
  namespace note = cudnn_constant;
  return std::none_of(notes.begin(), notes.end(), [&](int each) {
    bool const rounds = each == note::note_tensor_core || each == note::note_down_convert_inputs;
    bool const varies = each == note::note_nondeterministic || each == note::note_fft ||
                        (each >= note::note_winograd && each <= note::note_winograd_13x13);
    return varies || each == note::note_reduced_precision_reduction ||
           (forward && each == note::note_strict_nan) ||
           (rounds && precision == gpu_precision::f32);
  });
}

}  // namespace detail
}  // namespace septum::inline SEPTUM_ABI
