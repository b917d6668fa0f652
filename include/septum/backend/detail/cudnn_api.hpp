#pragma once
#include <septum/exec/cuda_api.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

/// The part of cuDNN 9 that septum calls: the graph interface ("backend" in cuDNN's headers), as a
/// table of functions that is filled at run time. No header of cuDNN is needed; tests/cuda compares
/// every declaration and number with cuDNN's own where it is installed.
namespace septum::inline SEPTUM_ABI::detail {

namespace cudnn_handle {
struct library;
}  // namespace cudnn_handle

/// Oldest version with everything that is used; the first for CUDA 13.
inline constexpr std::size_t least_cudnn_version = 91200;

/// Numbers of cuDNN's enumerations, under cuDNN's names without their common prefixes.
namespace cudnn_constant {
// descriptor types
inline constexpr int pointwise_descriptor = 0;
inline constexpr int convolution_descriptor = 1;
inline constexpr int engine_descriptor = 2;
inline constexpr int engine_configuration_descriptor = 3;
inline constexpr int heuristic_descriptor = 4;
inline constexpr int plan_descriptor = 5;
inline constexpr int convolution_forward_descriptor = 10;
inline constexpr int convolution_backward_filter_descriptor = 11;
inline constexpr int convolution_backward_data_descriptor = 12;
inline constexpr int operation_pointwise_descriptor = 13;
inline constexpr int graph_descriptor = 15;
inline constexpr int variant_pack_descriptor = 16;
inline constexpr int tensor_descriptor = 17;
inline constexpr int device_descriptor = 38;
// types of attributes
inline constexpr int type_data_type = 1;
inline constexpr int type_boolean = 2;
inline constexpr int type_int64 = 3;
inline constexpr int type_float = 4;
inline constexpr int type_pointer = 6;
inline constexpr int type_convolution_mode = 7;
inline constexpr int type_heuristic_mode = 8;
inline constexpr int type_numerical_note = 11;
inline constexpr int type_pointwise_mode = 14;
inline constexpr int type_descriptor = 15;
inline constexpr int type_int32 = 23;
inline constexpr int type_char = 24;
// attributes
inline constexpr int pointwise_mode = 0;
inline constexpr int pointwise_precision = 1;
inline constexpr int convolution_compute_type = 100;
inline constexpr int convolution_mode = 101;
inline constexpr int convolution_dilations = 102;
inline constexpr int convolution_strides = 103;
inline constexpr int convolution_post_paddings = 104;
inline constexpr int convolution_pre_paddings = 105;
inline constexpr int convolution_spatial_dimensions = 106;
inline constexpr int heuristic_mode = 200;
inline constexpr int heuristic_graph = 201;
inline constexpr int heuristic_results = 202;
inline constexpr int heuristic_device = 204;
inline constexpr int configuration_engine = 300;
inline constexpr int plan_configuration = 401;
inline constexpr int plan_workspace_size = 402;
inline constexpr int plan_json = 405;
inline constexpr int plan_device = 407;
inline constexpr int forward_alpha = 700;
inline constexpr int forward_beta = 701;
inline constexpr int forward_convolution = 702;
inline constexpr int forward_w = 703;
inline constexpr int forward_x = 704;
inline constexpr int forward_y = 705;
inline constexpr int backward_data_alpha = 706;
inline constexpr int backward_data_beta = 707;
inline constexpr int backward_data_convolution = 708;
inline constexpr int backward_data_w = 709;
inline constexpr int backward_data_dx = 710;
inline constexpr int backward_data_dy = 711;
inline constexpr int backward_filter_alpha = 712;
inline constexpr int backward_filter_beta = 713;
inline constexpr int backward_filter_convolution = 714;
inline constexpr int backward_filter_dw = 715;
inline constexpr int backward_filter_x = 716;
inline constexpr int backward_filter_dy = 717;
inline constexpr int operation_pointwise = 750;
inline constexpr int operation_pointwise_x = 751;
inline constexpr int operation_pointwise_b = 752;
inline constexpr int operation_pointwise_y = 753;
inline constexpr int graph_operations = 801;
inline constexpr int tensor_alignment = 900;
inline constexpr int tensor_data_type = 901;
inline constexpr int tensor_dimensions = 902;
inline constexpr int tensor_strides = 903;
inline constexpr int tensor_unique_id = 906;
inline constexpr int tensor_is_virtual = 907;
inline constexpr int variant_pack_unique_ids = 1000;
inline constexpr int variant_pack_pointers = 1001;
inline constexpr int variant_pack_workspace = 1003;
inline constexpr int engine_numerical_note = 1303;
inline constexpr int device_ordinal = 2700;
inline constexpr int device_json = 2702;
// values
inline constexpr int success = 0;
inline constexpr int data_float = 0;
inline constexpr int data_half = 2;
inline constexpr int data_bfloat16 = 9;
inline constexpr int cross_correlation = 1;
inline constexpr int pointwise_add = 0;
inline constexpr int pointwise_relu_forward = 100;
inline constexpr int heuristics_fallback = 2;
inline constexpr int heuristics_a = 3;
inline constexpr int note_tensor_core = 0;
inline constexpr int note_down_convert_inputs = 1;
inline constexpr int note_reduced_precision_reduction = 2;
inline constexpr int note_fft = 3;
inline constexpr int note_nondeterministic = 4;
inline constexpr int note_winograd = 5;
inline constexpr int note_winograd_4x4 = 6;
inline constexpr int note_winograd_6x6 = 7;
inline constexpr int note_winograd_13x13 = 8;
inline constexpr int note_strict_nan = 9;
inline constexpr int note_count = 10;
}  // namespace cudnn_constant

struct cudnn_api {
  std::size_t (*get_version)() = nullptr;
  char const* (*get_error_string)(int) = nullptr;
  void (*get_last_error_string)(char*, std::size_t) = nullptr;
  int (*create)(cudnn_handle::library**) = nullptr;
  int (*destroy)(cudnn_handle::library*) = nullptr;
  int (*set_stream)(cudnn_handle::library*, septum::cuda_handle::stream*) = nullptr;
  int (*create_descriptor)(int, void**) = nullptr;
  int (*destroy_descriptor)(void*) = nullptr;
  int (*finalize)(void*) = nullptr;
  int (*set_attribute)(void*, int, int, std::int64_t, void const*) = nullptr;
  int (*get_attribute)(void*, int, int, std::int64_t, std::int64_t*, void*) = nullptr;
  int (*execute)(cudnn_handle::library*, void*, void*) = nullptr;
};

template <class Visitor>
void for_each_function(cudnn_api& api, Visitor const& visit) {
  visit("cudnnGetVersion", api.get_version);
  visit("cudnnGetErrorString", api.get_error_string);
  visit("cudnnGetLastErrorString", api.get_last_error_string);
  visit("cudnnCreate", api.create);
  visit("cudnnDestroy", api.destroy);
  visit("cudnnSetStream", api.set_stream);
  visit("cudnnBackendCreateDescriptor", api.create_descriptor);
  visit("cudnnBackendDestroyDescriptor", api.destroy_descriptor);
  visit("cudnnBackendFinalize", api.finalize);
  visit("cudnnBackendSetAttribute", api.set_attribute);
  visit("cudnnBackendGetAttribute", api.get_attribute);
  visit("cudnnBackendExecute", api.execute);
}

[[nodiscard]] inline std::string cudnn_version_text(std::size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version % 10000 / 100) + "." +
         std::to_string(version % 100);
}

/// cuDNN of this machine.
/// @throws device_error `septum.device.8` saying what is missing and which version is wanted
[[nodiscard]] inline std::shared_ptr<cudnn_api const> load_cudnn_api() {
  std::string const wanted = "cuDNN: expected libcudnn.so.9 of version " +
                             cudnn_version_text(least_cudnn_version) +
                             " or newer for CUDA 13 (apt libcudnn9-cuda-13, or pip install "
                             "nvidia-cudnn-cu13)";
  auto api = load_api<cudnn_api>(std::array{"libcudnn.so.9"}, "septum.device.8", wanted);
  auto const version = api->get_version();
  SEPTUM_EXPECTS(
      version >= least_cudnn_version,
      device_error("septum.device.8", wanted + ", found version " + cudnn_version_text(version),
                   fault::resource));
  return api;
}

/// @throws device_error `septum.device.9` with cuDNN's own words
inline void check(cudnn_api const& api, int status, std::string const& call) {
  if (status == cudnn_constant::success) return;
  std::array<char, 512> said{};
  api.get_last_error_string(said.data(), said.size());
  throw device_error("septum.device.9",
                     call + ": cuDNN status " + std::to_string(status) + " (" +
                         api.get_error_string(status) + "): " + said.data(),
                     fault::resource);
}

}  // namespace septum::inline SEPTUM_ABI::detail
