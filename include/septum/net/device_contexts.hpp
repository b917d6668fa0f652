#pragma once
#include <septum/backend/cudnn.hpp>
#include <septum/exec/cuda_runtime.hpp>

#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace septum::inline SEPTUM_ABI {

/// What a program needs to run on a GPU: two libraries of the system and its own compiled kernels.
/// Tests put tables of functions of their own here.
struct device_libraries {
  std::shared_ptr<cuda_api const> cuda;
  std::shared_ptr<detail::cudnn_api const> cudnn;  ///< empty when only `cuda` is used
  /// Image made by CMake's septum_add_cuda_kernels; empty in a program built without nvcc.
  std::span<unsigned char const> kernels;
};

/// Opens what backend B needs and looks for a device.
/// @throws device_error saying what is missing and which version is wanted: `septum.device.1`
///         (CUDA runtime), `septum.device.4` and `.5` (driver, GPU), `septum.device.7` (kernels of
///         this program), `septum.device.8` (cuDNN)
template <Backend B = cudnn>
[[nodiscard]] device_libraries open_device_libraries(std::span<unsigned char const> kernels,
                                                     int ordinal = 0) {
  device_libraries all{load_cuda_api(), nullptr, kernels};
  if constexpr (std::is_same_v<B, septum::cudnn>) all.cudnn = detail::load_cudnn_api();
  (void)select_device(*all.cuda, ordinal);
  SEPTUM_EXPECTS(!kernels.empty(),
                 device_error("septum.device.7",
                              "this program was built without kernels for GPUs; build it where "
                              "nvcc 13 is found (apt cuda-nvcc-13-0, or pip install "
                              "nvidia-cuda-nvcc==13.*)",
                              fault::resource));
  return all;
}

/// The contexts of cudnn and cuda on one stream of one device, and all that they refer to.
template <Backend B>
class device_contexts {
  static_assert(std::is_same_v<B, cuda> || std::is_same_v<B, cudnn>,
                "septum: contexts on a device are those of cuda or cudnn. FIX: name one of them.");

 public:
  explicit device_contexts(device_libraries libraries, cudnn_options options = {}, int ordinal = 0)
      : libraries_{std::move(libraries)},
        properties_{select_device(*libraries_.cuda, ordinal)},
        stream_{*libraries_.cuda},
        kernels_{*libraries_.cuda, libraries_.kernels},
        own_{stream_, kernels_} {
    SEPTUM_EXPECTS(options.precision != gpu_precision::bf16 || properties_.compute_capability >= 80,
                   unsupported_error(
                       "septum.device.10",
                       "bf16: expected a GPU of compute capability 8.0 or newer, found " +
                           std::to_string(properties_.compute_capability / 10) + "." +
                           std::to_string(properties_.compute_capability % 10) + "; use f16 or f32",
                       fault::resource));
    own_.workspace_limit = options.workspace_limit;
    if constexpr (std::is_same_v<B, cudnn>) {
      session_ = std::make_unique<detail::cudnn_session>(libraries_.cudnn, stream_, properties_,
                                                         std::move(options));
      library_ = std::make_unique<context<cudnn>>(own_, *session_);
    }
  }
  device_contexts(device_contexts const&) = delete;
  device_contexts& operator=(device_contexts const&) = delete;
  ~device_contexts() = default;

  /// The context of R, which is B or its fallback.
  template <class R>
  [[nodiscard]] context<R>& get() {
    if constexpr (std::is_same_v<R, cuda>)
      return own_;
    else
      return *library_;
  }
  [[nodiscard]] cuda_api const& api() const { return *libraries_.cuda; }
  [[nodiscard]] cuda_stream const& stream() const { return stream_; }
  [[nodiscard]] device_properties const& properties() const { return properties_; }

 private:
  device_libraries libraries_;
  device_properties properties_;
  cuda_stream stream_;
  kernel_library kernels_;
  context<cuda> own_;
  std::unique_ptr<detail::cudnn_session> session_;
  std::unique_ptr<context<cudnn>> library_;
};

}  // namespace septum::inline SEPTUM_ABI
