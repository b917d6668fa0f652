#pragma once
#include <septum/core/config.hpp>
#include <septum/exec/block_kernel.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/exec/kernel_name.hpp>

#if !defined(__CUDACC__)
#  error "septum: exec/for_each.cuh is for nvcc. FIX: include it in a .cu file."
#endif

/// Runs an index kernel over every (row, column), in strides of the grid. The one entry of every
/// functor: a kernel library holds it for each F that a source of septum_add_cuda_kernels
/// instantiates, and host code finds it by kernel_entry_name<F>(). Outside the namespace, so that
/// its name can be told from F's.
template <class F>
__global__ void septum_for_each_index(F kernel, int rows, int columns) {
  static_assert(
      septum::IndexKernel<F>,
      "septum: a kernel is a trivially copyable functor of (row, column). FIX: make it one.");
  auto const row_step = static_cast<int>(gridDim.y * blockDim.y);
  auto const column_step = static_cast<int>(gridDim.x * blockDim.x);
  for (auto row = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); row < rows;
       row += row_step)
    for (auto column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); column < columns;
         column += column_step)
      kernel(row, column);
}

/// Runs a block kernel; the entry of every such functor.
template <class F>
__global__ void __launch_bounds__(F::threads, F::residents)
    septum_for_each_block(F kernel, int rows, int columns) {
  __shared__ typename F::shared_values shared;
  int const steps = kernel.steps();
  for (auto row = static_cast<int>(blockIdx.y); row < rows; row += static_cast<int>(gridDim.y))
    for (auto column = static_cast<int>(blockIdx.x); column < columns;
         column += static_cast<int>(gridDim.x)) {
      typename F::own_values own;
      for (int step = 0; step < steps; ++step) {
        kernel({row, column, static_cast<int>(threadIdx.x), step}, shared, own);
        __syncthreads();
      }
    }
}

namespace septum::inline SEPTUM_ABI {

namespace detail {
/// The entry of F, whichever kind of kernel it is.
template <class F>
constexpr auto kernel_entry() {
  if constexpr (BlockKernel<F>)
    return &septum_for_each_block<F>;
  else
    return &septum_for_each_index<F>;
}
}  // namespace detail

/// Instantiates the entries of a list:
/// `template int septum::kernel_entries(septum::functor_list<my_functor>);` in a .cu file.
template <class... Functors>
int kernel_entries(functor_list<Functors...>) {
  return (0 + ... + static_cast<int>(detail::kernel_entry<Functors>() != nullptr));
}

}  // namespace septum::inline SEPTUM_ABI
