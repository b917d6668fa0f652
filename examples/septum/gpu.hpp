#pragma once
#include <septum/backend/cudnn.hpp>
#include <septum/net/model.hpp>
#include <string>

#include "nets.hpp"
#include "options.hpp"
#include "refinement.hpp"

namespace program {

/// How the options want cuDNN to be used; plans are kept in the user's cache folder.
[[nodiscard]] septum::cudnn_options gpu_options(common_options const& common);

/// Loads a model into its net on the GPU.
/// @throws septum::device_error saying what is missing and which version is wanted
[[nodiscard]] predictor make_gpu_predictor(septum::model const& trained,
                                           common_options const& common,
                                           septum::inference_options const& inference,
                                           bool each_net);

/// Where contours evolve: where the options have nets computed.
/// @throws septum::device_error as make_gpu_predictor
[[nodiscard]] contour_place place_contours(common_options const& common);

/// What this machine and this build offer for --backend cudnn: empty when all is there, else what
/// is missing.
[[nodiscard]] std::string missing_for_gpu();

}  // namespace program
