#pragma once
#include <septum/net/model.hpp>

#include "nets.hpp"
#include "options.hpp"

namespace program {

/// Loads a model into its net on the GPU.
/// @throws septum::device_error saying what is missing and which version is wanted
[[nodiscard]] predictor make_gpu_predictor(septum::model const& trained,
                                           common_options const& common,
                                           septum::inference_options const& inference);

/// What this machine and this build offer for --backend cudnn: empty when all is there, else what
/// is missing.
[[nodiscard]] std::string missing_for_gpu();

}  // namespace program
