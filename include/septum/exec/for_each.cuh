#pragma once
#include <septum/core/config.hpp>
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

namespace septum::inline SEPTUM_ABI {

/// Instantiates the entries of a list:
/// `template int septum::kernel_entries(septum::functor_list<my_functor>);` in a .cu file.
template <class... Functors>
int kernel_entries(functor_list<Functors...>) {
  return (0 + ... + static_cast<int>(&septum_for_each_index<Functors> != nullptr));
}

}  // namespace septum::inline SEPTUM_ABI
