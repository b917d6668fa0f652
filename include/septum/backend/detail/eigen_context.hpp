#pragma once
#include <septum/backend/reference.hpp>
#include <septum/exec/backend.hpp>
#include <septum/exec/buffer.hpp>

#include <cstddef>
#include <string_view>

namespace septum::inline SEPTUM_ABI {

/// Every layer on the processor without a vendor library: convolutions as Eigen products of
/// gathered windows, the other layers as loops at the speed of memory. Float and double, forward
/// and backward, and maps in bfloat16 where the processor has AVX512_BF16. Results have the same
/// bytes for any thread count and any tile extent.
struct eigen {
  using memory_space = host_space;
  using fallback = reference;
  static constexpr std::string_view name = "eigen";
};

/// Threads, and the scratch memory that all kernels share. Moves, does not copy.
template <>
struct context<eigen> {
  exec::threads threads{};
  buffer<std::byte> scratch{};
};

}  // namespace septum::inline SEPTUM_ABI
