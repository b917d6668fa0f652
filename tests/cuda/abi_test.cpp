#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <septum/backend/detail/cudnn_api.hpp>
#include <septum/exec/cuda_api.hpp>
#include <type_traits>
#if __has_include(<cuda_runtime_api.h>)
#  include <cuda_runtime_api.h>
#  define SEPTUM_TEST_CUDA_HEADERS 1
#endif
#if __has_include(<cudnn.h>)
#  include <cudnn.h>
#  define SEPTUM_TEST_CUDNN_HEADERS 1
#endif

/// septum's declarations of CUDA's and cuDNN's interfaces against those in their own headers.
namespace {

// A type as the calling convention sees it: enumerations are int, handles are pointers.
template <class T>
struct plain {
  using type = T;
};
template <class T>
  requires std::is_enum_v<T>
struct plain<T> {
  using type = int;
};
template <class T>
  requires(std::is_pointer_v<T> && !std::is_same_v<T, char const*>)
struct plain<T> {
  using type = void*;
};
template <class T>
  requires(std::is_class_v<T>)
struct plain<T> {  // launch_extent and dim3
  static_assert(sizeof(T) == sizeof(septum::launch_extent));
  using type = septum::launch_extent;
};
template <class F>
struct signature;
template <class R, class... A>
struct signature<R (*)(A...)> {
  using type = typename plain<R>::type (*)(typename plain<A>::type...);
};

template <class Own, class Theirs>
inline constexpr bool same_call =
    std::is_same_v<typename signature<Own>::type, typename signature<Theirs>::type>;

}  // namespace

BOOST_AUTO_TEST_SUITE(vendor_declarations)

BOOST_AUTO_TEST_CASE(cuda_functions_and_numbers) {
#if defined(SEPTUM_TEST_CUDA_HEADERS)
  using api = septum::cuda_api;
  static_assert(same_call<decltype(api::malloc), cudaError_t (*)(void**, std::size_t)>);
  static_assert(same_call<decltype(api::free), decltype(&cudaFree)>);
  static_assert(
      same_call<decltype(api::host_alloc), cudaError_t (*)(void**, std::size_t, unsigned)>);
  static_assert(same_call<decltype(api::free_host), decltype(&cudaFreeHost)>);
  static_assert(same_call<decltype(api::memcpy_async), decltype(&cudaMemcpyAsync)>);
  static_assert(same_call<decltype(api::memset_async), decltype(&cudaMemsetAsync)>);
  static_assert(same_call<decltype(api::mem_get_info), decltype(&cudaMemGetInfo)>);
  static_assert(same_call<decltype(api::stream_create), decltype(&cudaStreamCreateWithFlags)>);
  static_assert(same_call<decltype(api::stream_destroy), decltype(&cudaStreamDestroy)>);
  static_assert(same_call<decltype(api::stream_synchronize), decltype(&cudaStreamSynchronize)>);
  static_assert(same_call<decltype(api::stream_wait_event), decltype(&cudaStreamWaitEvent)>);
  static_assert(same_call<decltype(api::stream_begin_capture), decltype(&cudaStreamBeginCapture)>);
  static_assert(same_call<decltype(api::stream_end_capture), decltype(&cudaStreamEndCapture)>);
  static_assert(same_call<decltype(api::event_create), cudaError_t (*)(cudaEvent_t*, unsigned)>);
  static_assert(same_call<decltype(api::event_destroy), decltype(&cudaEventDestroy)>);
  static_assert(same_call<decltype(api::event_record), decltype(&cudaEventRecord)>);
  static_assert(same_call<decltype(api::event_synchronize), decltype(&cudaEventSynchronize)>);
  static_assert(same_call<decltype(api::graph_instantiate), decltype(&cudaGraphInstantiate)>);
  static_assert(same_call<decltype(api::graph_launch), decltype(&cudaGraphLaunch)>);
  static_assert(
      same_call<decltype(api::graph_executable_destroy), decltype(&cudaGraphExecDestroy)>);
  static_assert(same_call<decltype(api::graph_destroy), decltype(&cudaGraphDestroy)>);
  static_assert(same_call<decltype(api::library_load_data), decltype(&cudaLibraryLoadData)>);
  static_assert(same_call<decltype(api::library_unload), decltype(&cudaLibraryUnload)>);
  static_assert(
      same_call<decltype(api::launch_kernel),
                cudaError_t (*)(void const*, dim3, dim3, void**, std::size_t, cudaStream_t)>);
  static_assert(same_call<decltype(api::get_device_count), decltype(&cudaGetDeviceCount)>);
  static_assert(same_call<decltype(api::set_device), decltype(&cudaSetDevice)>);
  static_assert(same_call<decltype(api::device_get_attribute), decltype(&cudaDeviceGetAttribute)>);
  static_assert(same_call<decltype(api::driver_get_version), decltype(&cudaDriverGetVersion)>);
  static_assert(same_call<decltype(api::runtime_get_version), decltype(&cudaRuntimeGetVersion)>);
  static_assert(same_call<decltype(api::get_last_error), decltype(&cudaGetLastError)>);
  static_assert(same_call<decltype(api::get_error_name), decltype(&cudaGetErrorName)>);
  static_assert(same_call<decltype(api::get_error_string), decltype(&cudaGetErrorString)>);
  namespace is = septum::cuda_constant;
  BOOST_TEST(is::success == static_cast<int>(cudaSuccess));
  BOOST_TEST(is::out_of_memory == static_cast<int>(cudaErrorMemoryAllocation));
  BOOST_TEST(is::insufficient_driver == static_cast<int>(cudaErrorInsufficientDriver));
  BOOST_TEST(is::no_device == static_cast<int>(cudaErrorNoDevice));
  BOOST_TEST(is::host_to_device == static_cast<int>(cudaMemcpyHostToDevice));
  BOOST_TEST(is::device_to_host == static_cast<int>(cudaMemcpyDeviceToHost));
  BOOST_TEST(is::device_to_device == static_cast<int>(cudaMemcpyDeviceToDevice));
  BOOST_TEST(is::compute_capability_major == static_cast<int>(cudaDevAttrComputeCapabilityMajor));
  BOOST_TEST(is::compute_capability_minor == static_cast<int>(cudaDevAttrComputeCapabilityMinor));
  BOOST_TEST(is::capture_thread_local == static_cast<int>(cudaStreamCaptureModeThreadLocal));
  BOOST_TEST(is::stream_non_blocking == static_cast<unsigned>(cudaStreamNonBlocking));
  BOOST_TEST(is::event_disable_timing == static_cast<unsigned>(cudaEventDisableTiming));
#else
  BOOST_TEST_MESSAGE("skipped: the headers of the CUDA runtime are not installed");
#endif
}

BOOST_AUTO_TEST_CASE(cudnn_functions_and_numbers) {
#if defined(SEPTUM_TEST_CUDNN_HEADERS)
  using api = septum::detail::cudnn_api;
  static_assert(same_call<decltype(api::get_version), decltype(&cudnnGetVersion)>);
  static_assert(same_call<decltype(api::get_error_string), decltype(&cudnnGetErrorString)>);
  static_assert(
      same_call<decltype(api::get_last_error_string), decltype(&cudnnGetLastErrorString)>);
  static_assert(same_call<decltype(api::create), decltype(&cudnnCreate)>);
  static_assert(same_call<decltype(api::destroy), decltype(&cudnnDestroy)>);
  static_assert(same_call<decltype(api::set_stream), decltype(&cudnnSetStream)>);
  static_assert(
      same_call<decltype(api::create_descriptor), decltype(&cudnnBackendCreateDescriptor)>);
  static_assert(
      same_call<decltype(api::destroy_descriptor), decltype(&cudnnBackendDestroyDescriptor)>);
  static_assert(same_call<decltype(api::finalize), decltype(&cudnnBackendFinalize)>);
  static_assert(same_call<decltype(api::set_attribute), decltype(&cudnnBackendSetAttribute)>);
  static_assert(same_call<decltype(api::get_attribute), decltype(&cudnnBackendGetAttribute)>);
  static_assert(same_call<decltype(api::execute), decltype(&cudnnBackendExecute)>);
  namespace is = septum::detail::cudnn_constant;
#  define SEPTUM_TEST_EQUAL(own, theirs) BOOST_TEST(is::own == static_cast<int>(CUDNN_##theirs))
  SEPTUM_TEST_EQUAL(pointwise_descriptor, BACKEND_POINTWISE_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(convolution_descriptor, BACKEND_CONVOLUTION_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(engine_descriptor, BACKEND_ENGINE_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(engine_configuration_descriptor, BACKEND_ENGINECFG_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(heuristic_descriptor, BACKEND_ENGINEHEUR_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(plan_descriptor, BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(convolution_forward_descriptor,
                    BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(convolution_backward_filter_descriptor,
                    BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(convolution_backward_data_descriptor,
                    BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(operation_pointwise_descriptor, BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(graph_descriptor, BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(variant_pack_descriptor, BACKEND_VARIANT_PACK_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(tensor_descriptor, BACKEND_TENSOR_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(device_descriptor, BACKEND_DEVICEPROP_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(type_data_type, TYPE_DATA_TYPE);
  SEPTUM_TEST_EQUAL(type_boolean, TYPE_BOOLEAN);
  SEPTUM_TEST_EQUAL(type_int64, TYPE_INT64);
  SEPTUM_TEST_EQUAL(type_float, TYPE_FLOAT);
  SEPTUM_TEST_EQUAL(type_pointer, TYPE_VOID_PTR);
  SEPTUM_TEST_EQUAL(type_convolution_mode, TYPE_CONVOLUTION_MODE);
  SEPTUM_TEST_EQUAL(type_heuristic_mode, TYPE_HEUR_MODE);
  SEPTUM_TEST_EQUAL(type_numerical_note, TYPE_NUMERICAL_NOTE);
  SEPTUM_TEST_EQUAL(type_pointwise_mode, TYPE_POINTWISE_MODE);
  SEPTUM_TEST_EQUAL(type_descriptor, TYPE_BACKEND_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(type_int32, TYPE_INT32);
  SEPTUM_TEST_EQUAL(type_char, TYPE_CHAR);
  SEPTUM_TEST_EQUAL(pointwise_mode, ATTR_POINTWISE_MODE);
  SEPTUM_TEST_EQUAL(pointwise_precision, ATTR_POINTWISE_MATH_PREC);
  SEPTUM_TEST_EQUAL(convolution_compute_type, ATTR_CONVOLUTION_COMP_TYPE);
  SEPTUM_TEST_EQUAL(convolution_mode, ATTR_CONVOLUTION_CONV_MODE);
  SEPTUM_TEST_EQUAL(convolution_dilations, ATTR_CONVOLUTION_DILATIONS);
  SEPTUM_TEST_EQUAL(convolution_strides, ATTR_CONVOLUTION_FILTER_STRIDES);
  SEPTUM_TEST_EQUAL(convolution_post_paddings, ATTR_CONVOLUTION_POST_PADDINGS);
  SEPTUM_TEST_EQUAL(convolution_pre_paddings, ATTR_CONVOLUTION_PRE_PADDINGS);
  SEPTUM_TEST_EQUAL(convolution_spatial_dimensions, ATTR_CONVOLUTION_SPATIAL_DIMS);
  SEPTUM_TEST_EQUAL(heuristic_mode, ATTR_ENGINEHEUR_MODE);
  SEPTUM_TEST_EQUAL(heuristic_graph, ATTR_ENGINEHEUR_OPERATION_GRAPH);
  SEPTUM_TEST_EQUAL(heuristic_results, ATTR_ENGINEHEUR_RESULTS);
  SEPTUM_TEST_EQUAL(heuristic_device, ATTR_ENGINEHEUR_DEVICEPROP);
  SEPTUM_TEST_EQUAL(configuration_engine, ATTR_ENGINECFG_ENGINE);
  SEPTUM_TEST_EQUAL(plan_configuration, ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  SEPTUM_TEST_EQUAL(plan_workspace_size, ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
  SEPTUM_TEST_EQUAL(plan_json, ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
  SEPTUM_TEST_EQUAL(plan_device, ATTR_EXECUTION_PLAN_DEVICEPROP);
  SEPTUM_TEST_EQUAL(forward_alpha, ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA);
  SEPTUM_TEST_EQUAL(forward_beta, ATTR_OPERATION_CONVOLUTION_FORWARD_BETA);
  SEPTUM_TEST_EQUAL(forward_convolution, ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
  SEPTUM_TEST_EQUAL(forward_w, ATTR_OPERATION_CONVOLUTION_FORWARD_W);
  SEPTUM_TEST_EQUAL(forward_x, ATTR_OPERATION_CONVOLUTION_FORWARD_X);
  SEPTUM_TEST_EQUAL(forward_y, ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
  SEPTUM_TEST_EQUAL(backward_data_alpha, ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA);
  SEPTUM_TEST_EQUAL(backward_data_beta, ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA);
  SEPTUM_TEST_EQUAL(backward_data_convolution, ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC);
  SEPTUM_TEST_EQUAL(backward_data_w, ATTR_OPERATION_CONVOLUTION_BWD_DATA_W);
  SEPTUM_TEST_EQUAL(backward_data_dx, ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX);
  SEPTUM_TEST_EQUAL(backward_data_dy, ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY);
  SEPTUM_TEST_EQUAL(backward_filter_alpha, ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA);
  SEPTUM_TEST_EQUAL(backward_filter_beta, ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA);
  SEPTUM_TEST_EQUAL(backward_filter_convolution, ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC);
  SEPTUM_TEST_EQUAL(backward_filter_dw, ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW);
  SEPTUM_TEST_EQUAL(backward_filter_x, ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X);
  SEPTUM_TEST_EQUAL(backward_filter_dy, ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY);
  SEPTUM_TEST_EQUAL(operation_pointwise, ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
  SEPTUM_TEST_EQUAL(operation_pointwise_x, ATTR_OPERATION_POINTWISE_XDESC);
  SEPTUM_TEST_EQUAL(operation_pointwise_b, ATTR_OPERATION_POINTWISE_BDESC);
  SEPTUM_TEST_EQUAL(operation_pointwise_y, ATTR_OPERATION_POINTWISE_YDESC);
  SEPTUM_TEST_EQUAL(graph_operations, ATTR_OPERATIONGRAPH_OPS);
  SEPTUM_TEST_EQUAL(tensor_alignment, ATTR_TENSOR_BYTE_ALIGNMENT);
  SEPTUM_TEST_EQUAL(tensor_data_type, ATTR_TENSOR_DATA_TYPE);
  SEPTUM_TEST_EQUAL(tensor_dimensions, ATTR_TENSOR_DIMENSIONS);
  SEPTUM_TEST_EQUAL(tensor_strides, ATTR_TENSOR_STRIDES);
  SEPTUM_TEST_EQUAL(tensor_unique_id, ATTR_TENSOR_UNIQUE_ID);
  SEPTUM_TEST_EQUAL(tensor_is_virtual, ATTR_TENSOR_IS_VIRTUAL);
  SEPTUM_TEST_EQUAL(variant_pack_unique_ids, ATTR_VARIANT_PACK_UNIQUE_IDS);
  SEPTUM_TEST_EQUAL(variant_pack_pointers, ATTR_VARIANT_PACK_DATA_POINTERS);
  SEPTUM_TEST_EQUAL(variant_pack_workspace, ATTR_VARIANT_PACK_WORKSPACE);
  SEPTUM_TEST_EQUAL(engine_numerical_note, ATTR_ENGINE_NUMERICAL_NOTE);
  SEPTUM_TEST_EQUAL(device_ordinal, ATTR_DEVICEPROP_DEVICE_ID);
  SEPTUM_TEST_EQUAL(device_json, ATTR_DEVICEPROP_JSON_REPRESENTATION);
  SEPTUM_TEST_EQUAL(success, STATUS_SUCCESS);
  SEPTUM_TEST_EQUAL(data_float, DATA_FLOAT);
  SEPTUM_TEST_EQUAL(data_half, DATA_HALF);
  SEPTUM_TEST_EQUAL(data_bfloat16, DATA_BFLOAT16);
  SEPTUM_TEST_EQUAL(cross_correlation, CROSS_CORRELATION);
  SEPTUM_TEST_EQUAL(pointwise_add, POINTWISE_ADD);
  SEPTUM_TEST_EQUAL(pointwise_relu_forward, POINTWISE_RELU_FWD);
  SEPTUM_TEST_EQUAL(heuristics_fallback, HEUR_MODE_FALLBACK);
  SEPTUM_TEST_EQUAL(heuristics_a, HEUR_MODE_A);
  SEPTUM_TEST_EQUAL(note_tensor_core, NUMERICAL_NOTE_TENSOR_CORE);
  SEPTUM_TEST_EQUAL(note_down_convert_inputs, NUMERICAL_NOTE_DOWN_CONVERT_INPUTS);
  SEPTUM_TEST_EQUAL(note_reduced_precision_reduction, NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION);
  SEPTUM_TEST_EQUAL(note_fft, NUMERICAL_NOTE_FFT);
  SEPTUM_TEST_EQUAL(note_nondeterministic, NUMERICAL_NOTE_NONDETERMINISTIC);
  SEPTUM_TEST_EQUAL(note_winograd, NUMERICAL_NOTE_WINOGRAD);
  SEPTUM_TEST_EQUAL(note_winograd_4x4, NUMERICAL_NOTE_WINOGRAD_TILE_4x4);
  SEPTUM_TEST_EQUAL(note_winograd_6x6, NUMERICAL_NOTE_WINOGRAD_TILE_6x6);
  SEPTUM_TEST_EQUAL(note_winograd_13x13, NUMERICAL_NOTE_WINOGRAD_TILE_13x13);
  SEPTUM_TEST_EQUAL(note_strict_nan, NUMERICAL_NOTE_STRICT_NAN_PROP);
  BOOST_TEST(is::note_count >= static_cast<int>(CUDNN_NUMERICAL_NOTE_TYPE_COUNT));
#  undef SEPTUM_TEST_EQUAL
#else
  BOOST_TEST_MESSAGE("skipped: the headers of cuDNN are not installed");
#endif
}

BOOST_AUTO_TEST_SUITE_END()
