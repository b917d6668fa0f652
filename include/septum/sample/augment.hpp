#pragma once
#include <septum/core/config.hpp>
#include <septum/core/rng.hpp>
#include <septum/image/dihedral.hpp>

#include <cstdint>

namespace septum::inline SEPTUM_ABI {

/// The symmetry applied to patch number `patch` in the epoch that `rng` belongs to: uniform over
/// the eight, independent of batch, order and thread.
[[nodiscard]] constexpr dihedral draw_dihedral(counter_rng const& rng, std::uint64_t patch) {
  return {static_cast<int>(rng.bits(patch) & 7U)};
}

}  // namespace septum::inline SEPTUM_ABI
