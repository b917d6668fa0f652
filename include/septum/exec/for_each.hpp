#pragma once
#include <septum/core/config.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <numeric>
#include <type_traits>

namespace septum::inline SEPTUM_ABI {

/// Extent of a two-dimensional index space.
struct extent2 {
  int rows = 0;
  int columns = 0;
};

/// A functor that may run for every (row, column) in any order and any thread, on host or device:
/// trivially copyable, and it writes only cell (row, column) of outputs that are not inputs.
template <class F>
concept IndexKernel = std::is_trivially_copyable_v<F> && requires(F const f, int row, int column) {
  f(row, column);
};

/// Executors: how an index space is walked. Results never depend on the choice.
namespace exec {
/// Row by row in one thread; the oracle.
struct serial {};
/// Visits every cell once in no useful order; tests use it to catch kernels that depend on order.
struct shuffled {
  std::uint32_t seed = 1;
};
/// Blocks of rows over `count` OpenMP threads (the runtime that oneDNN and Eigen use as well).
struct threads {
  int count = 1;
};
}  // namespace exec

/// Calls body(begin, end) for consecutive ranges that cover [0, count): one range per thread.
/// Bodies must not throw across threads; the first exception is rethrown by the caller's thread.
template <std::invocable<std::ptrdiff_t, std::ptrdiff_t> Body>
void for_each_range(exec::threads executor, std::ptrdiff_t count, Body const& body) {
  auto const parts =
      std::min<std::ptrdiff_t>(std::max(executor.count, 1), std::max<std::ptrdiff_t>(count, 1));
  if (parts == 1) {
    if (count > 0) body(std::ptrdiff_t{0}, count);
    return;
  }
  std::exception_ptr failure;
#if defined(_OPENMP)
#  pragma omp parallel for schedule(static, 1) num_threads(static_cast <int>(parts))
#endif
  for (std::ptrdiff_t part = 0; part < parts; ++part) {
    try {
      body(count * part / parts, count * (part + 1) / parts);
    } catch (...) {
#if defined(_OPENMP)
#  pragma omp critical(septum_for_each_range)
#endif
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

/// Calls body(index) for every index of [0, count), handed out one at a time: for tasks of unequal
/// cost.
template <std::invocable<std::ptrdiff_t> Body>
void for_each_task(exec::threads executor, std::ptrdiff_t count, Body const& body) {
  std::exception_ptr failure;
  [[maybe_unused]] int const parts = std::max(executor.count, 1);
#if defined(_OPENMP)
#  pragma omp parallel for schedule(dynamic, 1) num_threads(parts) if (parts > 1 && count > 1)
#endif
  for (std::ptrdiff_t index = 0; index < count; ++index) {
    try {
      body(index);
    } catch (...) {
#if defined(_OPENMP)
#  pragma omp critical(septum_for_each_range)
#endif
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

/// Runs an index kernel over every (row, column) of `extent`.
template <IndexKernel F>
void for_each_index(exec::serial, extent2 extent, F const& kernel) {
  for (int row = 0; row < extent.rows; ++row)
    for (int column = 0; column < extent.columns; ++column) kernel(row, column);
}

template <IndexKernel F>
void for_each_index(exec::threads executor, extent2 extent, F const& kernel) {
  for_each_range(executor, extent.rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (auto row = static_cast<int>(begin); row < static_cast<int>(end); ++row)
      for (int column = 0; column < extent.columns; ++column) kernel(row, column);
  });
}

template <IndexKernel F>
void for_each_index(exec::shuffled executor, extent2 extent, F const& kernel) {
  auto const cells = static_cast<std::int64_t>(extent.rows) * extent.columns;
  if (cells <= 0) return;
  // A step coprime to the number of cells makes the walk visit each cell exactly once.
  std::int64_t step =
      cells > 1 ? static_cast<std::int64_t>(2654435761U ^ executor.seed) % cells : 1;
  step = std::max<std::int64_t>(step, 1);
  while (std::gcd(step, cells) != 1) ++step;
  std::int64_t cell = executor.seed % cells;
  for (std::int64_t visited = 0; visited < cells; ++visited) {
    kernel(static_cast<int>(cell / extent.columns), static_cast<int>(cell % extent.columns));
    cell = (cell + step) % cells;
  }
}

}  // namespace septum::inline SEPTUM_ABI
