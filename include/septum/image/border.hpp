#pragma once
#include <septum/core/config.hpp>

#include <cstddef>

namespace septum::inline SEPTUM_ABI {

/// Index in [0, n) of position `i` when an axis of n pixels is mirrored beyond its ends, the end
/// pixel included (d c b a | a b c d | d c b a), as often as needed. n > 0.
[[nodiscard]] constexpr std::ptrdiff_t mirrored_index(std::ptrdiff_t i, std::ptrdiff_t n) {
  i %= 2 * n;
  if (i < 0) i += 2 * n;
  return i < n ? i : 2 * n - 1 - i;
}

}  // namespace septum::inline SEPTUM_ABI
