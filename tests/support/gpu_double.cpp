// CUDA's runtime and cuDNN in one shared library that lives on the host: what the program opens
// when a test puts this library in place of theirs, so that the whole of `--backend cudnn` runs
// without a GPU. The environment can make it short of memory, or fail.
#include <cstdlib>
#include <string>

#include "host_gpu.hpp"

namespace {

std::size_t number_in(char const* variable, std::size_t otherwise) {
  char const* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::stoull(text);
}

host_gpu& gpu() {
  static host_gpu one{host_device::order::late};
  static bool const set = [] {
    one.device.memory_limit = number_in("SEPTUM_DOUBLE_BYTES", one.device.memory_limit);
    one.device.fail_at = static_cast<int>(number_in("SEPTUM_DOUBLE_FAIL_AT", 0));
    one.device.fail_code = static_cast<int>(number_in("SEPTUM_DOUBLE_FAIL_CODE", 700));
    return true;
  }();
  static_cast<void>(set);
  return one;
}

septum::cuda_api const& cuda() {
  static septum::cuda_api const table = (gpu(), host_device::api());
  return table;
}
septum::detail::cudnn_api const& cudnn() {
  static septum::detail::cudnn_api const table = (gpu(), host_cudnn::api());
  return table;
}

}  // namespace

extern "C" {
int cudaMalloc(void** a0, std::size_t a1) { return cuda().malloc(a0, a1); }
int cudaFree(void* a0) { return cuda().free(a0); }
int cudaHostAlloc(void** a0, std::size_t a1, unsigned a2) { return cuda().host_alloc(a0, a1, a2); }
int cudaFreeHost(void* a0) { return cuda().free_host(a0); }
int cudaMemcpyAsync(void* a0, void const* a1, std::size_t a2, int a3,
                    septum::cuda_handle::stream* a4) {
  return cuda().memcpy_async(a0, a1, a2, a3, a4);
}
int cudaMemsetAsync(void* a0, int a1, std::size_t a2, septum::cuda_handle::stream* a3) {
  return cuda().memset_async(a0, a1, a2, a3);
}
int cudaMemGetInfo(std::size_t* a0, std::size_t* a1) { return cuda().mem_get_info(a0, a1); }
int cudaStreamCreateWithFlags(septum::cuda_handle::stream** a0, unsigned a1) {
  return cuda().stream_create(a0, a1);
}
int cudaStreamDestroy(septum::cuda_handle::stream* a0) { return cuda().stream_destroy(a0); }
int cudaStreamSynchronize(septum::cuda_handle::stream* a0) { return cuda().stream_synchronize(a0); }
int cudaStreamWaitEvent(septum::cuda_handle::stream* a0, septum::cuda_handle::event* a1,
                        unsigned a2) {
  return cuda().stream_wait_event(a0, a1, a2);
}
int cudaStreamBeginCapture(septum::cuda_handle::stream* a0, int a1) {
  return cuda().stream_begin_capture(a0, a1);
}
int cudaStreamEndCapture(septum::cuda_handle::stream* a0, septum::cuda_handle::graph** a1) {
  return cuda().stream_end_capture(a0, a1);
}
int cudaEventCreateWithFlags(septum::cuda_handle::event** a0, unsigned a1) {
  return cuda().event_create(a0, a1);
}
int cudaEventDestroy(septum::cuda_handle::event* a0) { return cuda().event_destroy(a0); }
int cudaEventRecord(septum::cuda_handle::event* a0, septum::cuda_handle::stream* a1) {
  return cuda().event_record(a0, a1);
}
int cudaEventSynchronize(septum::cuda_handle::event* a0) { return cuda().event_synchronize(a0); }
int cudaGraphInstantiate(septum::cuda_handle::graph_executable** a0, septum::cuda_handle::graph* a1,
                         unsigned long long a2) {
  return cuda().graph_instantiate(a0, a1, a2);
}
int cudaGraphLaunch(septum::cuda_handle::graph_executable* a0, septum::cuda_handle::stream* a1) {
  return cuda().graph_launch(a0, a1);
}
int cudaGraphExecDestroy(septum::cuda_handle::graph_executable* a0) {
  return cuda().graph_executable_destroy(a0);
}
int cudaGraphDestroy(septum::cuda_handle::graph* a0) { return cuda().graph_destroy(a0); }
int cudaLibraryLoadData(septum::cuda_handle::library** a0, void const* a1, void* a2, void** a3,
                        unsigned a4, void* a5, void** a6, unsigned a7) {
  return cuda().library_load_data(a0, a1, a2, a3, a4, a5, a6, a7);
}
int cudaLibraryUnload(septum::cuda_handle::library* a0) { return cuda().library_unload(a0); }
int cudaLibraryGetKernel(septum::cuda_handle::kernel** a0, septum::cuda_handle::library* a1,
                         char const* a2) {
  return cuda().library_get_kernel(a0, a1, a2);
}
int cudaLaunchKernel(void const* a0, septum::launch_extent a1, septum::launch_extent a2, void** a3,
                     std::size_t a4, septum::cuda_handle::stream* a5) {
  return cuda().launch_kernel(a0, a1, a2, a3, a4, a5);
}
int cudaGetDeviceCount(int* a0) { return cuda().get_device_count(a0); }
int cudaSetDevice(int a0) { return cuda().set_device(a0); }
int cudaDeviceGetAttribute(int* a0, int a1, int a2) {
  return cuda().device_get_attribute(a0, a1, a2);
}
int cudaDriverGetVersion(int* a0) { return cuda().driver_get_version(a0); }
int cudaRuntimeGetVersion(int* a0) { return cuda().runtime_get_version(a0); }
int cudaGetLastError() { return cuda().get_last_error(); }
char const* cudaGetErrorName(int a0) { return cuda().get_error_name(a0); }
char const* cudaGetErrorString(int a0) { return cuda().get_error_string(a0); }
std::size_t cudnnGetVersion() { return cudnn().get_version(); }
char const* cudnnGetErrorString(int a0) { return cudnn().get_error_string(a0); }
void cudnnGetLastErrorString(char* a0, std::size_t a1) { cudnn().get_last_error_string(a0, a1); }
int cudnnCreate(septum::detail::cudnn_handle::library** a0) { return cudnn().create(a0); }
int cudnnDestroy(septum::detail::cudnn_handle::library* a0) { return cudnn().destroy(a0); }
int cudnnSetStream(septum::detail::cudnn_handle::library* a0, septum::cuda_handle::stream* a1) {
  return cudnn().set_stream(a0, a1);
}
int cudnnBackendCreateDescriptor(int a0, void** a1) { return cudnn().create_descriptor(a0, a1); }
int cudnnBackendDestroyDescriptor(void* a0) { return cudnn().destroy_descriptor(a0); }
int cudnnBackendFinalize(void* a0) { return cudnn().finalize(a0); }
int cudnnBackendSetAttribute(void* a0, int a1, int a2, std::int64_t a3, void const* a4) {
  return cudnn().set_attribute(a0, a1, a2, a3, a4);
}
int cudnnBackendGetAttribute(void* a0, int a1, int a2, std::int64_t a3, std::int64_t* a4,
                             void* a5) {
  return cudnn().get_attribute(a0, a1, a2, a3, a4, a5);
}
int cudnnBackendExecute(septum::detail::cudnn_handle::library* a0, void* a1, void* a2) {
  return cudnn().execute(a0, a1, a2);
}
}
