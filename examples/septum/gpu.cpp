#include "gpu.hpp"

#include <cstdlib>
#include <filesystem>
#include <septum/core/error.hpp>
#include <septum/exec/cuda_kernel_image.hpp>
#include <septum/net/device_ensemble.hpp>
#include <utility>

namespace program {
namespace {

// Plans of cuDNN are kept where the user's other caches are.
std::filesystem::path plan_folder() {
  if (char const* const cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0')
    return std::filesystem::path{cache} / "septum";
  if (char const* const home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return std::filesystem::path{home} / ".cache" / "septum";
  return {};
}

septum::gpu_precision precision_named(std::string const& name) {
  if (name == "tf32") return septum::gpu_precision::tf32;
  if (name == "bf16") return septum::gpu_precision::bf16;
  if (name == "f16") return septum::gpu_precision::f16;
  return septum::gpu_precision::f32;
}

// Layers run on the GPU one behind the other, unmeasured: only their names are reported.
template <class Net>
predictor erase(septum::model const& trained, septum::device_libraries libraries,
                septum::device_inference_options options) {
  bool const each_net = options.each_net;
  auto const nets = std::make_shared<septum::device_ensemble<Net>>(trained, std::move(libraries),
                                                                   std::move(options));
  predictor made{septum::base_stack_t<Net>::receptive_field,
                 [nets](septum::image const& pixels) { return nets->predict(pixels); },
                 {},
                 [nets] {
                   std::vector<septum::layer_report> lines;
                   for (auto const& [layer, backend] : nets->report())
                     lines.push_back({.layer = layer, .backend = backend});
                   return lines;
                 },
                 {},
                 {nets, &nets->frames()}};
  if (each_net)
    made.predict_each = [nets](septum::image const& pixels) { return nets->predict_each(pixels); };
  return made;
}

}  // namespace

septum::cudnn_options gpu_options(common_options const& common) {
  return {.precision = precision_named(common.precision), .plan_folder = plan_folder()};
}

predictor make_gpu_predictor(septum::model const& trained, common_options const& common,
                             septum::inference_options const& inference, bool each_net) {
  auto const libraries = septum::open_device_libraries(septum::cuda_kernel_image());
  septum::device_inference_options const options{
      .cudnn = gpu_options(common),
      .convolution = inference.convolution,
      .frames_in_flight = device_frames_in_flight,
      .budget_bytes = inference.budget_bytes,
      .each_net = each_net,
      .on_less_memory = [&common](std::string const& what) {
        say(common, "septum: the GPU's memory ran out; going on with " + what);
      }};
  auto const& description = trained.description;
  return with_net(
      description.architecture, description.channels.size(), description.classes.size(),
      [&]<class Net>(std::type_identity<Net>) { return erase<Net>(trained, libraries, options); });
}

contour_place place_contours(common_options const& common) {
  if (common.backend != "cudnn") return septum::host_contours{};
  auto const libraries = septum::open_device_libraries(septum::cuda_kernel_image());
  return septum::device_contours{libraries.cuda, libraries.kernels, [&common] {
                                   say(common,
                                       "septum: the GPU's memory ran out; contours go on on the "
                                       "processor");
                                 }};
}

std::string missing_for_gpu() {
  try {
    (void)septum::open_device_libraries(septum::cuda_kernel_image());
    return {};
  } catch (septum::device_error const& failure) {
    return failure.message();
  }
}

}  // namespace program
