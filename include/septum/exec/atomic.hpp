#pragma once
#include <septum/core/config.hpp>

#include <cstdint>

/// Atomic operations for index kernels that gather results in shared cells. Only operations whose
/// outcome does not depend on their order: sums and minima of integers.
namespace septum::inline SEPTUM_ABI {

/// target = min(target, value); returns what was there before.
SEPTUM_HD inline std::int32_t atomic_minimum(std::int32_t* target, std::int32_t value) {
#if defined(__CUDA_ARCH__)
  return atomicMin(target, value);
#else
  std::int32_t before = __atomic_load_n(target, __ATOMIC_RELAXED);
  while (value < before && !__atomic_compare_exchange_n(target, &before, value, true,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return before;
#endif
}

/// target = target + value.
SEPTUM_HD inline void atomic_sum(std::int64_t* target, std::int64_t value) {
#if defined(__CUDA_ARCH__)
  // Two's complement: the sum of the bits as unsigned numbers is that of the signed ones.
  atomicAdd(reinterpret_cast<unsigned long long*>(target), static_cast<unsigned long long>(value));
#else
  __atomic_fetch_add(target, value, __ATOMIC_RELAXED);
#endif
}

/// What other threads may be changing at the same time.
[[nodiscard]] SEPTUM_HD inline std::int32_t atomic_read(std::int32_t const* source) {
#if defined(__CUDA_ARCH__)
  return *static_cast<std::int32_t const volatile*>(source);
#else
  return __atomic_load_n(source, __ATOMIC_RELAXED);
#endif
}

}  // namespace septum::inline SEPTUM_ABI
