#pragma once
#include <algorithm>
#include <chrono>
#include <septum/backend/detail/instruction_set.hpp>
#include <septum/exec/for_each.hpp>

namespace benchmark {

#if defined(__x86_64__)

// Twelve independent chains of fused multiply-adds, more than two units with a latency of four
// need.
template <class Registers>
[[gnu::always_inline]] inline float multiply_and_add(long rounds) {
  using lanes = typename Registers::lanes;
  lanes sums[12];
  for (int k = 0; k < 12; ++k) sums[k] = lanes{} + static_cast<float>(k);
  lanes const factor = lanes{} + 0.999F;
  for (long i = 0; i < rounds; ++i)
#  pragma GCC unroll 12
    for (int k = 0; k < 12; ++k) sums[k] = sums[k] * factor + factor;
  float total = 0.0F;
  for (int k = 0; k < 12; ++k) total += sums[k][0];
  return total;
}
[[gnu::target("avx2,fma"), gnu::noinline]] inline float multiply_and_add_avx2(long rounds) {
  return multiply_and_add<septum::detail::avx2_registers>(rounds);
}
[[gnu::target("avx512f"), gnu::noinline]] inline float multiply_and_add_avx512(long rounds) {
  return multiply_and_add<septum::detail::avx512_registers>(rounds);
}

/// Most float operations per second of `threads` threads, measured for a tenth of a second or so;
/// 0 without AVX2.
inline double peak_flops(septum::exec::threads threads) {
  using septum::detail::instruction_set;
  auto const set = septum::detail::widest_instruction_set();
  if (set == instruction_set::none) return 0.0;
  constexpr long rounds = 10'000'000;
  double best = 0.0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    float volatile sink = 0.0F;
    auto const begin = std::chrono::steady_clock::now();
    septum::for_each_range(threads, threads.count, [&](std::ptrdiff_t first, std::ptrdiff_t last) {
      for (std::ptrdiff_t part = first; part < last; ++part)
        sink = set == instruction_set::avx512 ? multiply_and_add_avx512(rounds)
                                              : multiply_and_add_avx2(rounds);
    });
    std::chrono::duration<double> const took = std::chrono::steady_clock::now() - begin;
    double const operations = 2.0 * 12 * septum::detail::lane_count(set) * rounds * threads.count;
    best = std::max(best, operations / took.count());
  }
  return best;
}

#else

inline double peak_flops(septum::exec::threads) { return 0.0; }

#endif

}  // namespace benchmark
