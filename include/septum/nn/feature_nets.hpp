#pragma once
#include <septum/nn/stack.hpp>

namespace septum::inline SEPTUM_ABI {

/// The paper's net with a 31x31 field (bacteria; S1 Text, Table A): batch norm after every
/// convolution and hidden dense layer, before relu.
/// @tparam Channels input channels   @tparam Classes edge, interior classes, background
template <int Channels = 1, int Classes = 3>
struct bn_feature_net_31x31 : stack<input<Channels>,                             //
                                    conv<32, 4>, batch_norm, relu, max_pool<2>,  // 31 -> 28 -> 14
                                    conv<64, 3>, batch_norm, relu,               // 12
                                    conv<64, 3>, batch_norm, relu, max_pool<2>,  // 10 -> 5
                                    conv<128, 3>, batch_norm, relu,              // 3
                                    conv<200, 3>, batch_norm, relu,              // 1
                                    dense<200>, batch_norm, relu,                //
                                    dense<Classes>, softmax> {
  static constexpr std::string_view name = "bn_feature_net_31x31";
};

/// The paper's net with a 61x61 field (nuclei and mammalian cytoplasm; S1 Text, Table A).
template <int Channels = 1, int Classes = 3>
struct bn_feature_net_61x61 : stack<input<Channels>,                             //
                                    conv<64, 3>, batch_norm, relu,               // 61 -> 59
                                    conv<64, 4>, batch_norm, relu, max_pool<2>,  // 56 -> 28
                                    conv<64, 3>, batch_norm, relu,               // 26
                                    conv<64, 3>, batch_norm, relu, max_pool<2>,  // 24 -> 12
                                    conv<64, 3>, batch_norm, relu,               // 10
                                    conv<64, 3>, batch_norm, relu, max_pool<2>,  // 8 -> 4
                                    conv<200, 4>, batch_norm, relu,              // 1
                                    dense<200>, batch_norm, relu,                //
                                    dense<Classes>, softmax> {
  static constexpr std::string_view name = "bn_feature_net_61x61";
};

}  // namespace septum::inline SEPTUM_ABI
