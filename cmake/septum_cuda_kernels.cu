// The index kernels that septum's own GPU code launches, compiled by septum_add_cuda_kernels.
#include <septum/exec/for_each.cuh>
#include <septum/nn/functor_lists.hpp>

template int septum::kernel_entries(septum::layer_functors<float>);
template int septum::kernel_entries(septum::layer_functors<septum::bfloat16>);
template int septum::kernel_entries(septum::layer_functors<septum::float16>);
template int septum::kernel_entries(septum::common_functors);
