#pragma once
#include <septum/core/config.hpp>

#include <span>

namespace septum::inline SEPTUM_ABI {

/// The compiled kernels that CMake's septum_add_cuda_kernels(target) put into this program; empty
/// when it was built without nvcc. Defined by that function.
[[nodiscard]] std::span<unsigned char const> cuda_kernel_image();

}  // namespace septum::inline SEPTUM_ABI
