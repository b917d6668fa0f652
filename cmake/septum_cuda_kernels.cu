// The index kernels that septum's own GPU code launches, compiled by septum_add_cuda_kernels.
#include <septum/exec/for_each.cuh>
#include <septum/image/contour_functors.hpp>
#include <septum/image/region_functors.hpp>
#include <septum/nn/functor_lists.hpp>
#include <septum/sample/patch_functors.hpp>
#include <septum/train/training_functors.hpp>

template int septum::kernel_entries(septum::layer_functors<float>);
template int septum::kernel_entries(septum::layer_functors<septum::bfloat16>);
template int septum::kernel_entries(septum::layer_functors<septum::float16>);
template int septum::kernel_entries(septum::common_functors);
template int septum::kernel_entries(septum::patch_functors);
template int septum::kernel_entries(septum::training_functors);
template int septum::kernel_entries(septum::region_functors);
template int septum::kernel_entries(septum::contour_functors);
