#pragma once
#include <septum/core/config.hpp>

#include <array>
#include <cmath>
#include <cstdint>

namespace septum::inline SEPTUM_ABI {

/// Philox4x32-10 (Salmon et al. 2011): 128 random bits as a pure function of a 128-bit counter and
/// a 64-bit key, the same on host and device and in any thread.
[[nodiscard]] SEPTUM_HD constexpr std::array<std::uint32_t, 4> philox4x32(
    std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t multiplier_0 = 0xD2511F53U;
  constexpr std::uint64_t multiplier_1 = 0xCD9E8D57U;
  for (int round = 0; round < 10; ++round) {
    std::uint64_t const product_0 = multiplier_0 * counter[0];
    std::uint64_t const product_1 = multiplier_1 * counter[2];
    counter = {static_cast<std::uint32_t>(product_1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product_1),
               static_cast<std::uint32_t>(product_0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product_0)};
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return counter;
}

/// Random numbers addressed by index: value = f(seed, stream, index). Has no state, so any thread
/// may draw any index in any order and a run can be resumed at any point.
/// `stream` separates uses of one seed (sampling, augmentation, initial weights, ...).
struct counter_rng {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;

  /// 64 uniform bits at `index`.
  [[nodiscard]] SEPTUM_HD constexpr std::uint64_t bits(std::uint64_t index) const {
    auto const block =
        philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                    static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
                   {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    return (static_cast<std::uint64_t>(block[1]) << 32) | block[0];
  }

  /// Uniform in [0, 1) with 53 bits.
  [[nodiscard]] SEPTUM_HD constexpr double uniform(std::uint64_t index) const {
    return static_cast<double>(bits(index) >> 11) * 0x1.0p-53;
  }

  /// Uniform integer in [0, bound); bound > 0. The bias is below bound / 2^53.
  [[nodiscard]] SEPTUM_HD constexpr std::uint64_t below(std::uint64_t index,
                                                        std::uint64_t bound) const {
    auto const scaled = static_cast<std::uint64_t>(uniform(index) * static_cast<double>(bound));
    return scaled < bound ? scaled : bound - 1;
  }

  /// Standard normal by Box and Muller; one value per index.
  [[nodiscard]] double normal(std::uint64_t index) const {
    auto const block =
        philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                    static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
                   {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    double const radius_bits =
        (static_cast<double>(block[0]) * 0x1.0p32 + static_cast<double>(block[1]) + 1.0) *
        0x1.0p-64;
    double const angle =
        (static_cast<double>(block[2]) * 0x1.0p32 + static_cast<double>(block[3])) * 0x1.0p-64;
    return std::sqrt(-2.0 * std::log(radius_bits)) * std::cos(6.283185307179586476925 * angle);
  }

  /// Independent generator for a sub-task: same seed, stream mixed with `task`.
  [[nodiscard]] SEPTUM_HD constexpr counter_rng fork(std::uint64_t task) const {
    std::uint64_t const mixed = bits(~task);
    return {seed, mixed ^ (stream * 0x9E3779B97F4A7C15ULL)};
  }
};

/// Streams of one run's seed, so that adding a draw in one place never moves another.
namespace stream {
inline constexpr std::uint64_t initial_weights = 1;
inline constexpr std::uint64_t sampling = 2;
inline constexpr std::uint64_t validation_split = 3;
inline constexpr std::uint64_t batch_order = 4;
inline constexpr std::uint64_t augmentation = 5;
inline constexpr std::uint64_t dropout = 6;
inline constexpr std::uint64_t simulation = 7;
}  // namespace stream

/// Fisher-Yates shuffle of a random-access range, a pure function of `rng`.
template <class Range>
void shuffle(Range& values, counter_rng const& rng) {
  using std::swap;
  auto const n = static_cast<std::uint64_t>(values.size());
  for (std::uint64_t i = n; i > 1; --i) {
    auto const j = rng.below(i, i);
    using index = typename Range::size_type;
    swap(values[static_cast<index>(i - 1)], values[static_cast<index>(j)]);
  }
}

}  // namespace septum::inline SEPTUM_ABI
