#pragma once
#include <septum/core/config.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace septum::inline SEPTUM_ABI {

inline constexpr std::uint64_t fnv1a_start = 0xCBF29CE484222325ULL;

/// 64-bit FNV-1a of `bytes`, continued from `hash`: for checksums and signatures, not for secrets.
/// Every step is a bijection of the state, so changing one byte always changes the result.
[[nodiscard]] constexpr std::uint64_t fnv1a(std::span<std::byte const> bytes,
                                            std::uint64_t hash = fnv1a_start) {
  for (std::byte const byte : bytes) {
    hash ^= static_cast<std::uint64_t>(byte);
    hash *= 0x100000001B3ULL;
  }
  return hash;
}

[[nodiscard]] constexpr std::uint64_t fnv1a(std::string_view text,
                                            std::uint64_t hash = fnv1a_start) {
  for (char const c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001B3ULL;
  }
  return hash;
}

}  // namespace septum::inline SEPTUM_ABI
