#pragma once
#include <septum/nn/variant_nets.hpp>
#include <string>
#include <type_traits>

#include "nets.hpp"

namespace program {

/// As with_net, for the variants of the paper's nets as well, which have three classes. For host
/// backends: multi-resolution nets have no kernels elsewhere.
template <class Function>
auto with_any_net(std::string const& name, std::size_t channels, std::size_t classes,
                  Function const& function) {
  auto const sized = [&]<template <int, int> class Net>() {
    if (channels == 1 && classes == 3) return function(std::type_identity<Net<1, 3>>{});
    if (channels == 2 && classes == 3) return function(std::type_identity<Net<2, 3>>{});
    throw septum::unsupported_error(
        "septum.program.70", name + " with " + std::to_string(channels) + " channels and " +
                                 std::to_string(classes) +
                                 " classes; the program has this variant for 1 or 2 channels and 3 "
                                 "classes (compile your own for others: docs/tutorial.md)");
  };
  if (name == "feature_net_31x31") return sized.template operator()<septum::feature_net_31x31>();
  if (name == "feature_net_61x61") return sized.template operator()<septum::feature_net_61x61>();
  if (name == "dropout_feature_net_31x31")
    return sized.template operator()<septum::dropout_feature_net_31x31>();
  if (name == "dropout_feature_net_61x61")
    return sized.template operator()<septum::dropout_feature_net_61x61>();
  if (name == "multires_feature_net_31x31")
    return sized.template operator()<septum::multires_feature_net_31x31>();
  if (name == "bn_multires_feature_net_31x31")
    return sized.template operator()<septum::bn_multires_feature_net_31x31>();
  if (name == "bn_multires_feature_net_61x61")
    return sized.template operator()<septum::bn_multires_feature_net_61x61>();
  if (name == "bn_feature_net_21x21")
    return sized.template operator()<septum::bn_feature_net_21x21>();
  if (name == "bn_feature_net_41x41")
    return sized.template operator()<septum::bn_feature_net_41x41>();
  return with_net(name, channels, classes, function);
}

}  // namespace program
