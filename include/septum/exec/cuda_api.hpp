#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/detail/shared_library.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

/// The part of the CUDA runtime (13) that septum calls, as a table of functions that is filled at
/// run time from the system's library, or by tests with functions that run on the host. No header
/// of CUDA is needed; tests/cuda compares every declaration with CUDA's own where it is installed.
namespace septum::inline SEPTUM_ABI {

namespace cuda_handle {
struct stream;
struct event;
struct graph;
struct graph_executable;
struct library;
struct kernel;
}  // namespace cuda_handle

/// Numbers of CUDA's own enumerations.
namespace cuda_constant {
inline constexpr int success = 0;
inline constexpr int out_of_memory = 2;
inline constexpr int insufficient_driver = 35;
inline constexpr int no_device = 100;
inline constexpr int host_to_device = 1;
inline constexpr int device_to_host = 2;
inline constexpr int device_to_device = 3;
inline constexpr int compute_capability_major = 75;
inline constexpr int compute_capability_minor = 76;
inline constexpr int capture_thread_local = 1;
inline constexpr unsigned stream_non_blocking = 1;
inline constexpr unsigned event_disable_timing = 2;
}  // namespace cuda_constant

/// Blocks of a grid, or threads of a block.
struct launch_extent {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
  friend constexpr bool operator==(launch_extent, launch_extent) = default;
};

/// The functions, named as in CUDA without the prefix; each returns CUDA's error number.
struct cuda_api {
  int (*malloc)(void**, std::size_t) = nullptr;
  int (*free)(void*) = nullptr;
  int (*host_alloc)(void**, std::size_t, unsigned) = nullptr;
  int (*free_host)(void*) = nullptr;
  int (*memcpy_async)(void*, void const*, std::size_t, int, cuda_handle::stream*) = nullptr;
  int (*memset_async)(void*, int, std::size_t, cuda_handle::stream*) = nullptr;
  int (*mem_get_info)(std::size_t*, std::size_t*) = nullptr;
  int (*stream_create)(cuda_handle::stream**, unsigned) = nullptr;
  int (*stream_destroy)(cuda_handle::stream*) = nullptr;
  int (*stream_synchronize)(cuda_handle::stream*) = nullptr;
  int (*stream_wait_event)(cuda_handle::stream*, cuda_handle::event*, unsigned) = nullptr;
  int (*stream_begin_capture)(cuda_handle::stream*, int) = nullptr;
  int (*stream_end_capture)(cuda_handle::stream*, cuda_handle::graph**) = nullptr;
  int (*event_create)(cuda_handle::event**, unsigned) = nullptr;
  int (*event_destroy)(cuda_handle::event*) = nullptr;
  int (*event_record)(cuda_handle::event*, cuda_handle::stream*) = nullptr;
  int (*event_synchronize)(cuda_handle::event*) = nullptr;
  int (*graph_instantiate)(cuda_handle::graph_executable**, cuda_handle::graph*,
                           unsigned long long) = nullptr;
  int (*graph_launch)(cuda_handle::graph_executable*, cuda_handle::stream*) = nullptr;
  int (*graph_executable_destroy)(cuda_handle::graph_executable*) = nullptr;
  int (*graph_destroy)(cuda_handle::graph*) = nullptr;
  int (*library_load_data)(cuda_handle::library**, void const*, void*, void**, unsigned, void*,
                           void**, unsigned) = nullptr;
  int (*library_unload)(cuda_handle::library*) = nullptr;
  int (*library_get_kernel)(cuda_handle::kernel**, cuda_handle::library*, char const*) = nullptr;
  int (*launch_kernel)(void const*, launch_extent, launch_extent, void**, std::size_t,
                       cuda_handle::stream*) = nullptr;
  int (*get_device_count)(int*) = nullptr;
  int (*set_device)(int) = nullptr;
  int (*device_get_attribute)(int*, int, int) = nullptr;
  int (*driver_get_version)(int*) = nullptr;
  int (*runtime_get_version)(int*) = nullptr;
  int (*get_last_error)() = nullptr;
  char const* (*get_error_name)(int) = nullptr;
  char const* (*get_error_string)(int) = nullptr;
};

/// Calls visit(name of the symbol, pointer to the table's entry) for every function.
template <class Visitor>
void for_each_function(cuda_api& api, Visitor const& visit) {
  visit("cudaMalloc", api.malloc);
  visit("cudaFree", api.free);
  visit("cudaHostAlloc", api.host_alloc);
  visit("cudaFreeHost", api.free_host);
  visit("cudaMemcpyAsync", api.memcpy_async);
  visit("cudaMemsetAsync", api.memset_async);
  visit("cudaMemGetInfo", api.mem_get_info);
  visit("cudaStreamCreateWithFlags", api.stream_create);
  visit("cudaStreamDestroy", api.stream_destroy);
  visit("cudaStreamSynchronize", api.stream_synchronize);
  visit("cudaStreamWaitEvent", api.stream_wait_event);
  visit("cudaStreamBeginCapture", api.stream_begin_capture);
  visit("cudaStreamEndCapture", api.stream_end_capture);
  visit("cudaEventCreateWithFlags", api.event_create);
  visit("cudaEventDestroy", api.event_destroy);
  visit("cudaEventRecord", api.event_record);
  visit("cudaEventSynchronize", api.event_synchronize);
  visit("cudaGraphInstantiate", api.graph_instantiate);
  visit("cudaGraphLaunch", api.graph_launch);
  visit("cudaGraphExecDestroy", api.graph_executable_destroy);
  visit("cudaGraphDestroy", api.graph_destroy);
  visit("cudaLibraryLoadData", api.library_load_data);
  visit("cudaLibraryUnload", api.library_unload);
  visit("cudaLibraryGetKernel", api.library_get_kernel);
  visit("cudaLaunchKernel", api.launch_kernel);
  visit("cudaGetDeviceCount", api.get_device_count);
  visit("cudaSetDevice", api.set_device);
  visit("cudaDeviceGetAttribute", api.device_get_attribute);
  visit("cudaDriverGetVersion", api.driver_get_version);
  visit("cudaRuntimeGetVersion", api.runtime_get_version);
  visit("cudaGetLastError", api.get_last_error);
  visit("cudaGetErrorName", api.get_error_name);
  visit("cudaGetErrorString", api.get_error_string);
}

namespace detail {

/// Opens one of `names` and fills `api` with all its functions; the table keeps the library open.
/// @throws device_error `id` when there is no such library or it lacks a function
template <class Api, std::size_t N>
[[nodiscard]] std::shared_ptr<Api const> load_api(std::array<char const*, N> const& names,
                                                  char const* id, std::string const& wanted) {
  struct opened {
    shared_library library;
    Api api;
  };
  auto const all = std::make_shared<opened>();
  all->library = shared_library{names};
  SEPTUM_EXPECTS(all->library.is_open(),
                 device_error(id,
                              wanted + ", found none (" + all->library.why() +
                                  "); install it, or put its folder into LD_LIBRARY_PATH",
                              fault::resource));
  std::string missing;
  for_each_function(all->api, [&](char const* name, auto*& function) {
    if (missing.empty() && !all->library.find(name, function)) missing = name;
  });
  SEPTUM_EXPECTS(missing.empty(),
                 device_error(id, wanted + ", found one without " + missing + "; it is too old",
                              fault::resource));
  return {all, &all->api};
}

[[nodiscard]] inline std::string cuda_version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace detail

/// The CUDA runtime of this machine.
/// @throws device_error `septum.device.1` saying what is missing and which version is wanted
[[nodiscard]] inline std::shared_ptr<cuda_api const> load_cuda_api() {
  return detail::load_api<cuda_api>(
      std::array{"libcudart.so.13"}, "septum.device.11",
      "CUDA runtime: expected libcudart.so.13 (CUDA 13; apt cuda-cudart-13-0, or pip install "
      "nvidia-cuda-runtime==13.*)");
}

/// Throws what CUDA reports. `call` is the text of the call, e.g. "cudaMalloc of 4096 bytes".
/// @throws device_error `septum.device.2`; out of memory is `septum.device.3`
inline void check(cuda_api const& api, int code, std::string_view call) {
  if (code == cuda_constant::success) return;
  api.get_last_error();  // an error that was seen must not show up at a later call
  bool const memory = code == cuda_constant::out_of_memory;
  throw device_error(memory ? "septum.device.3" : "septum.device.2",
                     std::string{call} + ": CUDA error " + std::to_string(code) + " (" +
                         api.get_error_name(code) + "): " + api.get_error_string(code) +
                         (memory ? "; use smaller tiles or batches" : ""),
                     fault::resource);
}

/// True for the errors that smaller tiles or batches can cure.
[[nodiscard]] inline bool is_out_of_memory(error const& failure) {
  return failure.id() == "septum.device.3";
}

}  // namespace septum::inline SEPTUM_ABI
