#pragma once
#include <septum/core/error.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/cuda_api.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/exec/kernel_name.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

/// Owners of what a CUDA device holds. Everything goes through a table of functions (cuda_api), so
/// that tests run the same code on the host.
namespace septum::inline SEPTUM_ABI {

/// What septum asks of a device.
struct device_properties {
  int ordinal = 0;
  int compute_capability = 0;  ///< ten times major plus minor: 75, 80, 86, 90, ...
  int driver_version = 0;      ///< largest CUDA version that the driver serves, e.g. 13000
  int runtime_version = 0;
};

inline constexpr int least_compute_capability = 75;

/// Makes device `ordinal` the calling thread's and says what it is.
/// @throws device_error `septum.device.4` when there is no device or its driver is too old,
///         `septum.device.5` when the device is older than compute capability 7.5
[[nodiscard]] inline device_properties select_device(cuda_api const& api, int ordinal = 0) {
  device_properties found{.ordinal = ordinal};
  int count = 0;
  check(api, api.runtime_get_version(&found.runtime_version), "cudaRuntimeGetVersion");
  int const code = api.get_device_count(&count);
  if (api.driver_get_version(&found.driver_version) != cuda_constant::success)
    found.driver_version = 0;
  std::string const driver =
      found.driver_version == 0
          ? std::string{"no NVIDIA driver is installed"}
          : "the driver serves CUDA " + detail::cuda_version_text(found.driver_version);
  std::string const wanted = "a driver for CUDA " +
                             detail::cuda_version_text(found.runtime_version) +
                             " or newer is wanted";
  if (code != cuda_constant::success || found.driver_version == 0) {
    api.get_last_error();
    throw device_error("septum.device.4",
                       "no usable GPU: " + driver + ", " + wanted + " (" +
                           (code == cuda_constant::success ? "" : api.get_error_string(code)) + ")",
                       fault::resource);
  }
  SEPTUM_EXPECTS(ordinal >= 0 && ordinal < count,
                 device_error("septum.device.4",
                              "GPU " + std::to_string(ordinal) + ": expected a number below " +
                                  std::to_string(count) + ", the GPUs that there are",
                              fault::resource));
  check(api, api.set_device(ordinal), "cudaSetDevice");
  int major = 0;
  int minor = 0;
  check(api, api.device_get_attribute(&major, cuda_constant::compute_capability_major, ordinal),
        "cudaDeviceGetAttribute");
  check(api, api.device_get_attribute(&minor, cuda_constant::compute_capability_minor, ordinal),
        "cudaDeviceGetAttribute");
  found.compute_capability = 10 * major + minor;
  SEPTUM_EXPECTS(found.compute_capability >= least_compute_capability,
                 device_error("septum.device.5",
                              "GPU " + std::to_string(ordinal) + ": expected compute capability " +
                                  "7.5 or newer, found " + std::to_string(major) + "." +
                                  std::to_string(minor) + "; use another GPU or backend",
                              fault::resource));
  return found;
}

namespace detail {
/// A handle with the function that gives it back. Errors while giving back are not reported: they
/// belong to work that was reported before.
template <class Handle>
class cuda_owner {
 public:
  using release = int (*)(Handle*);
  cuda_owner() = default;
  cuda_owner(Handle* handle, release give_back) : handle_{handle, give_back} {}
  [[nodiscard]] Handle* get() const { return handle_.get(); }

 private:
  std::unique_ptr<Handle, release> handle_{nullptr, nullptr};
};
}  // namespace detail

/// A queue of work on the device, not synchronised with the default stream.
class cuda_stream {
 public:
  explicit cuda_stream(cuda_api const& api) : api_{&api} {
    cuda_handle::stream* handle = nullptr;
    check(api, api.stream_create(&handle, cuda_constant::stream_non_blocking),
          "cudaStreamCreateWithFlags");
    handle_ = {handle, api.stream_destroy};
  }
  [[nodiscard]] cuda_api const& api() const { return *api_; }
  [[nodiscard]] cuda_handle::stream* get() const { return handle_.get(); }
  /// Waits on the host until all work is done, and throws what went wrong in it.
  void synchronize() const {
    check(*api_, api_->stream_synchronize(get()), "cudaStreamSynchronize");
  }

 private:
  cuda_api const* api_;
  detail::cuda_owner<cuda_handle::stream> handle_;
};

/// A mark in a stream that other streams, or the host, can wait for.
class cuda_event {
 public:
  explicit cuda_event(cuda_api const& api) : api_{&api} {
    cuda_handle::event* handle = nullptr;
    check(api, api.event_create(&handle, cuda_constant::event_disable_timing),
          "cudaEventCreateWithFlags");
    handle_ = {handle, api.event_destroy};
  }
  /// Marks the end of the work that is in `stream` now.
  void record(cuda_stream const& stream) const {
    check(*api_, api_->event_record(handle_.get(), stream.get()), "cudaEventRecord");
  }
  /// Later work of `stream` waits for the mark.
  void hold(cuda_stream const& stream) const {
    check(*api_, api_->stream_wait_event(stream.get(), handle_.get(), 0), "cudaStreamWaitEvent");
  }
  /// The host waits for the mark.
  void synchronize() const {
    check(*api_, api_->event_synchronize(handle_.get()), "cudaEventSynchronize");
  }

 private:
  cuda_api const* api_;
  detail::cuda_owner<cuda_handle::event> handle_;
};

/// Uninitialised memory of the device for `size` values. Movable, not copyable.
template <class T>
class device_memory {
  static_assert(std::is_trivially_copyable_v<T>,
                "septum: device memory holds plain numbers. FIX: use a trivially copyable type.");

 public:
  device_memory() = default;
  device_memory(cuda_api const& api, std::size_t size) : size_{size} {
    if (size == 0) return;
    void* memory = nullptr;
    check(api, api.malloc(&memory, size * sizeof(T)),
          "cudaMalloc of " + std::to_string(size * sizeof(T)) + " bytes");
    memory_ = {memory, api.free};
  }
  [[nodiscard]] T* data() const { return static_cast<T*>(memory_.get()); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const { return size_ * sizeof(T); }
  [[nodiscard]] view<T, 1, device_space> values() const {
    return {data(), {static_cast<std::ptrdiff_t>(size_)}};
  }

 private:
  detail::cuda_owner<void> memory_;
  std::size_t size_ = 0;
};

/// Host memory that the device copies to and from while the host goes on.
template <class T>
class pinned_memory {
  static_assert(std::is_trivially_copyable_v<T>,
                "septum: pinned memory holds plain numbers. FIX: use a trivially copyable type.");

 public:
  pinned_memory() = default;
  pinned_memory(cuda_api const& api, std::size_t size) : size_{size} {
    if (size == 0) return;
    void* memory = nullptr;
    check(api, api.host_alloc(&memory, size * sizeof(T), 0),
          "cudaHostAlloc of " + std::to_string(size * sizeof(T)) + " bytes");
    memory_ = {memory, api.free_host};
  }
  [[nodiscard]] T* data() const { return static_cast<T*>(memory_.get()); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] view<T, 1> values() const { return {data(), {static_cast<std::ptrdiff_t>(size_)}}; }

 private:
  detail::cuda_owner<void> memory_;
  std::size_t size_ = 0;
};

/// Contiguous array in device memory, channels-last like every array of septum.
template <class T, int Rank>
class device_array {
 public:
  using extents_type = std::array<std::ptrdiff_t, Rank>;
  device_array() = default;
  device_array(cuda_api const& api, extents_type extents)
      : extents_{extents}, memory_{api, count(extents)} {}
  [[nodiscard]] extents_type const& extents() const { return extents_; }
  [[nodiscard]] view<T, Rank, device_space> values() const { return {memory_.data(), extents_}; }

 private:
  static std::size_t count(extents_type const& extents) {
    std::size_t product = 1;
    for (auto const extent : extents) product *= static_cast<std::size_t>(extent);
    return product;
  }
  extents_type extents_{};
  device_memory<T> memory_;
};

namespace detail {
template <class From, class To>
inline constexpr int copy_direction =
    std::is_same_v<From, To>           ? cuda_constant::device_to_device
    : std::is_same_v<To, device_space> ? cuda_constant::host_to_device
                                       : cuda_constant::device_to_host;
}  // namespace detail

/// Queues a copy between memory spaces (or within the device); the only way to cross. Both views
/// are contiguous and of one size. A host view that is not pinned makes the host wait.
template <class T, class U, int Rank, class From, class To>
  requires(std::same_as<std::remove_const_t<T>, U> &&
           (std::same_as<From, device_space> || std::same_as<To, device_space>))
void copy(cuda_stream const& stream, view<T, Rank, From> from, view<U, Rank, To> to) {
  SEPTUM_EXPECTS(from.extents() == to.extents() && from.contiguous() && to.contiguous(),
                 shape_error("septum.device.6", "copy between views of unlike extents or with gaps",
                             fault::internal));
  auto const bytes = static_cast<std::size_t>(from.size()) * sizeof(U);
  if (bytes == 0) return;
  auto const& api = stream.api();
  check(api,
        api.memcpy_async(to.data(), from.data(), bytes, detail::copy_direction<From, To>,
                         stream.get()),
        "cudaMemcpyAsync of " + std::to_string(bytes) + " bytes");
}

/// Queues setting all bytes of device values to zero.
template <class T, int Rank>
void set_zero(cuda_stream const& stream, view<T, Rank, device_space> values) {
  auto const bytes = static_cast<std::size_t>(values.size()) * sizeof(T);
  if (bytes == 0) return;
  auto const& api = stream.api();
  check(api, api.memset_async(values.data(), 0, bytes, stream.get()),
        "cudaMemsetAsync of " + std::to_string(bytes) + " bytes");
}

/// Work that was recorded once and is launched as a whole (a CUDA graph).
class recorded_work {
 public:
  recorded_work() = default;
  /// Calls record(), which queues work into `stream`; nothing of it runs yet.
  template <std::invocable Record>
  recorded_work(cuda_stream const& stream, Record const& record) {
    auto const& api = stream.api();
    check(api, api.stream_begin_capture(stream.get(), cuda_constant::capture_thread_local),
          "cudaStreamBeginCapture");
    cuda_handle::graph* graph = nullptr;
    try {
      record();
    } catch (...) {  // a stream must not stay in capture
      if (api.stream_end_capture(stream.get(), &graph) == cuda_constant::success)
        api.graph_destroy(graph);
      api.get_last_error();
      throw;
    }
    check(api, api.stream_end_capture(stream.get(), &graph), "cudaStreamEndCapture");
    detail::cuda_owner<cuda_handle::graph> const owner{graph, api.graph_destroy};
    cuda_handle::graph_executable* executable = nullptr;
    check(api, api.graph_instantiate(&executable, graph, 0), "cudaGraphInstantiate");
    executable_ = {executable, api.graph_executable_destroy};
  }
  [[nodiscard]] bool empty() const { return executable_.get() == nullptr; }
  void launch(cuda_stream const& stream) const {
    auto const& api = stream.api();
    check(api, api.graph_launch(executable_.get(), stream.get()), "cudaGraphLaunch");
  }

 private:
  detail::cuda_owner<cuda_handle::graph_executable> executable_;
};

/// Blocks and threads for an index space: neighbours in a row go to neighbouring threads, and a
/// grid too large for the device is walked in strides.
struct launch_shape {
  launch_extent grid;
  launch_extent block;
};
inline constexpr unsigned most_grid_rows = 65535;
[[nodiscard]] constexpr launch_shape launch_shape_of(extent2 extent) {
  constexpr unsigned threads = 256;
  auto const rows = static_cast<unsigned>(std::max(extent.rows, 1));
  auto const columns = static_cast<unsigned>(std::max(extent.columns, 1));
  unsigned across = 1;  // threads along a row: the power of two that holds it, up to a block
  while (across < columns && across < threads) across *= 2;
  unsigned const down = threads / across;
  return {{(columns + across - 1) / across, std::min((rows + down - 1) / down, most_grid_rows), 1},
          {across, down, 1}};
}

/// Compiled index kernels (a fatbin or PTX made by nvcc, CMake's septum_add_cuda_kernels) on the
/// device.
class kernel_library {
 public:
  /// @throws device_error `septum.device.7` when the program was built without kernels
  kernel_library(cuda_api const& api, std::span<unsigned char const> compiled) : api_{&api} {
    SEPTUM_EXPECTS(
        !compiled.empty(),
        device_error("septum.device.7",
                     "this program was built without kernels for GPUs; build it where nvcc 13 "
                     "is found (apt cuda-nvcc-13-0, or pip install nvidia-cuda-nvcc==13.*)",
                     fault::resource));
    cuda_handle::library* handle = nullptr;
    check(api,
          api.library_load_data(&handle, compiled.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
          "cudaLibraryLoadData of " + std::to_string(compiled.size()) + " bytes");
    library_ = {handle, api.library_unload};
  }

  /// Queues an index kernel over `extent`; the views in it are of device memory.
  /// @throws device_error when the library was compiled without this kernel
  template <IndexKernel F>
  void launch(cuda_stream const& stream, extent2 extent, F kernel) {
    launch<F>(stream, extent, kernel, launch_shape_of(extent));
  }
  /// Queues a block kernel over `blocks`.
  /// @throws device_error when the library was compiled without this kernel
  template <BlockKernel F>
  void launch(cuda_stream const& stream, extent2 blocks, F kernel) {
    launch<F>(stream, blocks, kernel,
              {{static_cast<unsigned>(blocks.columns),
                std::min(static_cast<unsigned>(blocks.rows), most_grid_rows), 1},
               {static_cast<unsigned>(F::threads), 1, 1}});
  }

 private:
  template <class F>
  void launch(cuda_stream const& stream, extent2 extent, F& kernel, launch_shape shape) {
    if (extent.rows <= 0 || extent.columns <= 0) return;
    static std::string const name = kernel_entry_name<F>();
    std::array<void*, 3> arguments{&kernel, &extent.rows, &extent.columns};
    check(
        *api_,
        api_->launch_kernel(find(name), shape.grid, shape.block, arguments.data(), 0, stream.get()),
        "launch of " + name);
  }
  cuda_handle::kernel* find(std::string const& name) {
    auto& kernel = kernels_[name];
    if (kernel == nullptr)
      check(*api_, api_->library_get_kernel(&kernel, library_.get(), name.c_str()),
            "cudaLibraryGetKernel of " + name +
                ", which has to be instantiated in a source of septum_add_cuda_kernels");
    return kernel;
  }

  cuda_api const* api_;
  detail::cuda_owner<cuda_handle::library> library_;
  std::map<std::string, cuda_handle::kernel*> kernels_;
};

}  // namespace septum::inline SEPTUM_ABI
