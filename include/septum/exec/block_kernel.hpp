#pragma once
#include <septum/exec/for_each.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <type_traits>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Which call of a block kernel this is: block (row, column) of an extent2 of blocks, the thread in
/// the block, and the step.
struct block_call {
  int row = 0;
  int column = 0;
  int thread = 0;
  int step = 0;
};

/// A functor whose threads work in blocks: every thread of a block is called once per step, and
/// between two steps all see what the others have put into `shared_values`. Within one step no
/// thread reads what another one writes. `own_values` are a thread's own, from its first step to
/// its last; both begin uninitialised. Trivially copyable, and on the device shared_values are at
/// most 48 KiB.
///
///   static constexpr int threads;    of a block, a multiple of 32
///   static constexpr int residents;  blocks that one multiprocessor shall hold at a time, which
///                                    bounds the registers of a thread
///   int steps() const;
template <class F>
concept BlockKernel = std::is_trivially_copyable_v<F> &&
    requires(F const f, block_call call, typename F::shared_values& shared,
             typename F::own_values& own) {
  { F::threads } -> std::convertible_to<int>;
  { F::residents } -> std::convertible_to<int>;
  { f.steps() } -> std::same_as<int>;
  f(call, shared, own);
};

/// Runs a block kernel over every (row, column) of blocks, on the host: within a step the threads
/// take turns in an order that `seed` shuffles (0: ascending), so that a kernel that depends on the
/// order is caught.
template <BlockKernel F>
void for_each_block(extent2 blocks, F const& kernel, std::uint32_t seed = 0) {
  using count = std::ptrdiff_t;
  count const threads = F::threads;
  count stride = 1 + static_cast<count>(seed % static_cast<std::uint32_t>(F::threads));
  while (std::gcd(stride, threads) != 1) ++stride;
  auto const shared = std::make_unique<typename F::shared_values>();
  std::vector<typename F::own_values> own(static_cast<std::size_t>(threads));
  for (int row = 0; row < blocks.rows; ++row)
    for (int column = 0; column < blocks.columns; ++column)
      for (int step = 0; step < kernel.steps(); ++step)
        for (count turn = 0; turn < threads; ++turn) {
          auto const thread = static_cast<int>((turn * stride + seed) % threads);
          kernel({row, column, thread, step}, *shared, own[static_cast<std::size_t>(thread)]);
        }
}

}  // namespace septum::inline SEPTUM_ABI
