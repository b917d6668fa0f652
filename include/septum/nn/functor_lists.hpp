#pragma once
#include <septum/core/half.hpp>
#include <septum/exec/kernel_name.hpp>
#include <septum/nn/batch_norm_functors.hpp>
#include <septum/nn/blocked_functors.hpp>
#include <septum/nn/channel_sum_functors.hpp>
#include <septum/nn/convolution_functors.hpp>
#include <septum/nn/functors.hpp>
#include <septum/nn/pooled_batch_norm_functors.hpp>
#include <septum/nn/product_functors.hpp>
#include <septum/nn/weight_gradient_functors.hpp>
#include <septum/nn/winograd_functors.hpp>

namespace septum::inline SEPTUM_ABI {

/// Kernels of the layers that hold maps as T.
template <class T>
using layer_functors = functor_list<
    max_pool_forward<T>, max_pool_backward<T>, pointwise_forward<rectify, T>,
    pointwise_backward<rectify, T>, mask_gradient_by_relu<T>, bias_relu<T>, softmax_forward<T>,
    softmax_backward<T>, dropout_values<T>, to_fragments<T>, from_fragments<T>, cut_tile<T>,
    add_net<T>, convolve<T>, convolve_input_gradient<T>, convolve_weight_gradient<T>,
    max_pool_packs<T>, max_pool_backward_packs<T>, multiply_few<T>, transpose_weights<T>,
    convolve_blocked<T>, sum_channel_parts<value_terms<T>>,
    finish_channel_sums<store_channel_sums<T>>, sum_channel_parts<batch_statistic_terms<T>>,
    finish_channel_sums<batch_statistics<T>>, running_statistics<T>, batch_normalise<T, 1>,
    batch_normalise<T, batch_norm_pack>, sum_channel_parts<batch_gradient_terms<T>>,
    finish_channel_sums<batch_norm_parameter_gradient<T>>, batch_norm_input_gradient<T, 1>,
    batch_norm_input_gradient<T, batch_norm_pack>, batch_normalise_pool<T, batch_norm_pack>,
    sum_channel_parts<pooled_gradient_terms<T>>, pooled_input_gradient<T, batch_norm_pack>>;

/// Kernels that belong to no stored type.
using common_functors =
    functor_list<split_map<>, split_weights<>, put_tile<>, winograd_weight_points<>,
                 winograd_input_points<>, winograd_outputs<4>, winograd_outputs<3>,
                 convolve_product<8>, convolve_product<16>, convolve_product<25>,
                 few_channel_weight_gradient<3, 1>, few_channel_weight_gradient<3, 2>,
                 few_channel_weight_gradient<4, 1>, few_channel_weight_gradient<4, 2>,
                 convert_values<float, bfloat16>, convert_values<float, float16>>;

}  // namespace septum::inline SEPTUM_ABI
