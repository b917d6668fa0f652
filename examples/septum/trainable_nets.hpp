#pragma once
#include <cstdint>
#include <septum/net/model.hpp>
#include <septum/train/trainer.hpp>
#include <string>
#include <vector>

#include "options.hpp"

namespace program {

/// What a net's type decides about training and its model file.
struct net_properties {
  septum::trained_net training;
  std::uint64_t signature = 0;
  std::vector<septum::tensor_slice> layout;
};

/// Properties of the net of that name, number of channels and number of classes.
/// @throws septum::unsupported_error naming what there is
[[nodiscard]] net_properties properties_of(std::string const& name, std::size_t channels,
                                           std::size_t classes);

/// The passes of a net in training, its type forgotten.
struct trainable_net {
  septum::gradient_network<float> gradient;
  septum::network<float> validation;
};

/// The net of that name on the backend that the options name, for patches or for crops.
/// @throws septum::unsupported_error naming what there is
[[nodiscard]] trainable_net make_trainable(std::string const& name, std::size_t channels,
                                           std::size_t classes, bool dense,
                                           common_options const& common);

}  // namespace program
