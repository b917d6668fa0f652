#pragma once
#include <septum/core/config.hpp>

#include <cstdlib>
#include <string_view>

/// The vector instructions that the kernels of this folder are compiled for, found out when the
/// program runs, whatever flags it was compiled with.
namespace septum::inline SEPTUM_ABI::detail {

/// In ascending order; `none` leaves the work to the portable kernels.
enum class instruction_set { none, avx2, avx512 };

/// The widest set of this processor. The environment variable ONEDNN_MAX_CPU_ISA (AVX2 or a lesser
/// name), which holds oneDNN to narrower instructions, holds our kernels to them as well.
inline instruction_set widest_instruction_set() {
#if defined(__x86_64__)
  static instruction_set const widest = [] {
    char const* const limit = std::getenv("ONEDNN_MAX_CPU_ISA");
    std::string_view const name = limit == nullptr ? "" : limit;
    if (name == "SSE41" || name == "AVX") return instruction_set::none;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
      return instruction_set::none;
    bool const narrow = name == "AVX2" || name == "AVX2_VNNI";
    return !narrow && __builtin_cpu_supports("avx512f") ? instruction_set::avx512
                                                        : instruction_set::avx2;
  }();
  return widest;
#else
  return instruction_set::none;
#endif
}

/// Floats in a register; 0 for none.
constexpr int lane_count(instruction_set set) {
  if (set == instruction_set::none) return 0;
  return set == instruction_set::avx2 ? 8 : 16;
}

#if defined(__x86_64__)

/// A register of each set, and the same as it lies in an array of floats.
struct avx2_registers {
  using lanes [[gnu::vector_size(32)]] = float;
  using in_memory [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
  static constexpr int width = 8;
};
struct avx512_registers {
  using lanes [[gnu::vector_size(64)]] = float;
  using in_memory [[gnu::vector_size(64), gnu::aligned(4), gnu::may_alias]] = float;
  static constexpr int width = 16;
};

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
