#pragma once
#include <septum/nn/stack.hpp>

/// Variants of the paper's nets (nn/feature_nets.hpp) that S1 Text, Table B and S13 Fig compare:
/// without batch norm, with dropout between the dense layers, with dense layers that see several
/// scales, and with other receptive fields.
namespace septum::inline SEPTUM_ABI {

/// The 31x31 net without batch norm.
template <int Channels = 1, int Classes = 3>
struct feature_net_31x31 : stack<input<Channels>, conv<32, 4>, relu, max_pool<2>, conv<64, 3>, relu,
                                 conv<64, 3>, relu, max_pool<2>, conv<128, 3>, relu, conv<200, 3>,
                                 relu, dense<200>, relu, dense<Classes>, softmax> {
  static constexpr std::string_view name = "feature_net_31x31";
};

/// The 61x61 net without batch norm.
template <int Channels = 1, int Classes = 3>
struct feature_net_61x61
    : stack<input<Channels>, conv<64, 3>, relu, conv<64, 4>, relu, max_pool<2>, conv<64, 3>, relu,
            conv<64, 3>, relu, max_pool<2>, conv<64, 3>, relu, conv<64, 3>, relu, max_pool<2>,
            conv<200, 4>, relu, dense<200>, relu, dense<Classes>, softmax> {
  static constexpr std::string_view name = "feature_net_61x61";
};

/// The 31x31 net with dropout of one half around the hidden dense layer in place of batch norm.
template <int Channels = 1, int Classes = 3>
struct dropout_feature_net_31x31
    : stack<input<Channels>, conv<32, 4>, relu, max_pool<2>, conv<64, 3>, relu, conv<64, 3>, relu,
            max_pool<2>, conv<128, 3>, relu, conv<200, 3>, relu, dropout<50>, dense<200>, relu,
            dropout<50>, dense<Classes>, softmax> {
  static constexpr std::string_view name = "dropout_feature_net_31x31";
};

/// The 61x61 net with dropout of one half around the hidden dense layer in place of batch norm.
template <int Channels = 1, int Classes = 3>
struct dropout_feature_net_61x61
    : stack<input<Channels>, conv<64, 3>, relu, conv<64, 4>, relu, max_pool<2>, conv<64, 3>, relu,
            conv<64, 3>, relu, max_pool<2>, conv<64, 3>, relu, conv<64, 3>, relu, max_pool<2>,
            conv<200, 4>, relu, dropout<50>, dense<200>, relu, dropout<50>, dense<Classes>,
            softmax> {
  static constexpr std::string_view name = "dropout_feature_net_61x61";
};

/// The 31x31 net whose dense layers also see what leaves both pools.
template <int Channels = 1, int Classes = 3>
struct multires_feature_net_31x31
    : stack<input<Channels>, conv<32, 4>, relu, max_pool<2>, tap<0>, conv<64, 3>, relu, conv<64, 3>,
            relu, max_pool<2>, tap<1>, conv<128, 3>, relu, conv<200, 3>, relu, gather<0, 1>,
            dense<200>, relu, dense<Classes>, softmax> {
  static constexpr std::string_view name = "multires_feature_net_31x31";
};

/// The 31x31 net with batch norm whose dense layers also see what leaves both pools.
template <int Channels = 1, int Classes = 3>
struct bn_multires_feature_net_31x31
    : stack<input<Channels>, conv<32, 4>, batch_norm, relu, max_pool<2>, tap<0>, conv<64, 3>,
            batch_norm, relu, conv<64, 3>, batch_norm, relu, max_pool<2>, tap<1>, conv<128, 3>,
            batch_norm, relu, conv<200, 3>, batch_norm, relu, gather<0, 1>, dense<200>, batch_norm,
            relu, dense<Classes>, softmax> {
  static constexpr std::string_view name = "bn_multires_feature_net_31x31";
};

/// The 61x61 net with batch norm whose dense layers also see what leaves its three pools.
template <int Channels = 1, int Classes = 3>
struct bn_multires_feature_net_61x61
    : stack<input<Channels>, conv<64, 3>, batch_norm, relu, conv<64, 4>, batch_norm, relu,
            max_pool<2>, tap<0>, conv<64, 3>, batch_norm, relu, conv<64, 3>, batch_norm, relu,
            max_pool<2>, tap<1>, conv<64, 3>, batch_norm, relu, conv<64, 3>, batch_norm, relu,
            max_pool<2>, tap<2>, conv<200, 4>, batch_norm, relu, gather<0, 1, 2>, dense<200>,
            batch_norm, relu, dense<Classes>, softmax> {
  static constexpr std::string_view name = "bn_multires_feature_net_61x61";
};

/// A smaller field, for cells of about 20 pixels.
template <int Channels = 1, int Classes = 3>
struct bn_feature_net_21x21
    : stack<input<Channels>, conv<32, 4>, batch_norm, relu, max_pool<2>, conv<64, 4>, batch_norm,
            relu, max_pool<2>, conv<200, 3>, batch_norm, relu, dense<200>, batch_norm, relu,
            dense<Classes>, softmax> {
  static constexpr std::string_view name = "bn_feature_net_21x21";
};

/// A field between the published ones (S13 Fig compares it with 61x61 on HeLa cells).
template <int Channels = 1, int Classes = 3>
struct bn_feature_net_41x41
    : stack<input<Channels>, conv<64, 3>, batch_norm, relu, conv<64, 4>, batch_norm, relu,
            max_pool<2>, conv<64, 3>, batch_norm, relu, conv<64, 3>, batch_norm, relu, max_pool<2>,
            conv<64, 3>, batch_norm, relu, conv<64, 3>, batch_norm, relu, conv<200, 3>, batch_norm,
            relu, dense<200>, batch_norm, relu, dense<Classes>, softmax> {
  static constexpr std::string_view name = "bn_feature_net_41x41";
};

}  // namespace septum::inline SEPTUM_ABI
