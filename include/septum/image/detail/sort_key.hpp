#pragma once
#include <septum/core/config.hpp>

#include <bit>
#include <cstdint>

namespace septum::inline SEPTUM_ABI::detail {

/// Order-preserving whole number of a finite value; -0 counts as 0.
[[nodiscard]] inline std::uint32_t sort_key(float value) {
  auto const bits = std::bit_cast<std::uint32_t>(value + 0.0F);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
[[nodiscard]] inline float value_of_sort_key(std::uint32_t key) {
  return std::bit_cast<float>((key & 0x80000000U) != 0 ? key & 0x7FFFFFFFU : ~key);
}

}  // namespace septum::inline SEPTUM_ABI::detail
