#pragma once
#include <cstddef>
#include <septum/backend/problem.hpp>
#include <septum/image/types.hpp>
#include <septum/net/model.hpp>
#include <string>
#include <vector>

#include "nets.hpp"
#include "options.hpp"

namespace program {

/// How a net meets an image.
struct prediction_request {
  std::size_t memory_mb = 512;
  bool pad_by_reflection = false;
  bool each_net = false;  ///< whether an ensemble's nets are asked one by one
  septum::convolution_algorithm convolution = septum::convolution_algorithm::automatic;
};

/// A model that predicts frames of a run: picks its channels, normalises and, where asked,
/// continues the image by its mirror image.
class frame_predictor {
 public:
  /// @param channels  of the frames, among which are those of the model
  /// @throws septum::shape_error when the frames lack a channel of the model
  frame_predictor(septum::model const& trained, std::vector<std::string> const& channels,
                  prediction_request const& request, common_options const& common);

  /// Class probabilities (row, column, class) of a raw frame; all zero when a channel is constant.
  /// Those of every net only where `each_net` was asked for, the model has several, and the
  /// backend tells. Adds the seconds taken.
  /// @throws septum::shape_error on a frame of other channels or smaller than the receptive field
  [[nodiscard]] septum::ensemble_maps operator()(septum::image const& raw,
                                                 std::string const& source,
                                                 double& seconds_normalize,
                                                 double& seconds_predict);
  /// Whether frames come with the probabilities of every net.
  [[nodiscard]] bool each_net() const { return each_; }

  [[nodiscard]] septum::model const& trained() const { return *trained_; }

 private:
  septum::model const* trained_;
  common_options const* common_;
  std::vector<std::string> frame_channels_;
  std::vector<std::size_t> own_channels_;
  bool pad_;
  predictor net_;
  bool each_;
};

}  // namespace program
