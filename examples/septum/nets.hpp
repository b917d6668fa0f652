#pragma once
#include <functional>
#include <memory>
#include <septum/image/types.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/net/frame_stream.hpp>
#include <septum/net/model.hpp>
#include <septum/nn/feature_nets.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "options.hpp"

namespace program {

/// Names that --net takes.
[[nodiscard]] std::vector<std::string> net_names();

/// Calls function(std::type_identity<Net>{}) with the net type of that name, number of channels and
/// number of classes: where run-time choices become types.
/// @throws septum::unsupported_error naming what there is
template <class Function>
auto with_net(std::string const& name, std::size_t channels, std::size_t classes,
              Function const& function) {
  auto const sized = [&]<template <int, int> class Net>() {
    if (channels == 1 && classes == 3) return function(std::type_identity<Net<1, 3>>{});
    if (channels == 2 && classes == 3) return function(std::type_identity<Net<2, 3>>{});
    if (channels == 1 && classes == 4) return function(std::type_identity<Net<1, 4>>{});
    if (channels == 2 && classes == 4) return function(std::type_identity<Net<2, 4>>{});
    throw septum::unsupported_error(
        "septum.program.2", name + " with " + std::to_string(channels) + " channels and " +
                                std::to_string(classes) +
                                " classes; the program has nets for 1 or 2 channels and 3 or 4 "
                                "classes (compile your own for others: docs/tutorial.md)");
  };
  // The published nets of mouse embryos.
  if (name == "bn_feature_net_31x31" && channels == 5 && classes == 3)
    return function(std::type_identity<septum::bn_feature_net_31x31<5, 3>>{});
  if (name == "bn_feature_net_31x31")
    return sized.template operator()<septum::bn_feature_net_31x31>();
  if (name == "bn_feature_net_61x61")
    return sized.template operator()<septum::bn_feature_net_61x61>();
  std::string known;
  for (auto const& each : net_names()) known += (known.empty() ? "" : ", ") + each;
  throw septum::unsupported_error("septum.program.3",
                                  "unknown net '" + name + "'; there are " + known);
}

/// What --precision says for a backend of the host.
/// @throws septum::unsupported_error when that backend or this processor does not have it
[[nodiscard]] septum::host_precision host_precision_of(common_options const& common);

/// A trained model ready to run, its type forgotten.
struct predictor {
  int receptive_field = 0;
  std::function<septum::probabilities(septum::image const&)> predict;
  /// the same with what every net says by itself; empty on backends that do not tell
  std::function<septum::ensemble_maps(septum::image const&)> predict_each;
  std::function<std::vector<septum::layer_report>()> report;
  /// what the nets of a host run in: predicts row by row, and knows its memory
  std::shared_ptr<septum::ensemble_runner> host{};
  /// frames of a movie, many in flight; empty where a frame is predicted at once by the above
  std::shared_ptr<septum::frame_stream> stream{};
};

/// Frames that a device copies, computes and reads back at the same time.
inline constexpr int device_frames_in_flight = 3;

/// Loads a model into the net it was trained for, on the backend that the options name.
/// @param each_net  whether maps of every net are wanted as well
/// @throws septum::weights_error when the model does not fit
[[nodiscard]] predictor make_predictor(septum::model const& trained, common_options const& common,
                                       septum::inference_options inference, bool each_net = false);

}  // namespace program
