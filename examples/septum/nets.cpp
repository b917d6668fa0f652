#include "nets.hpp"

#include <septum/backend/eigen.hpp>
#include <septum/backend/onednn.hpp>
#include <septum/backend/reference.hpp>
#include <septum/core/error.hpp>
#include <utility>

#include "all_nets.hpp"
#include "gpu.hpp"

namespace program {
namespace {

template <class Net, septum::Backend B>
predictor erase(septum::model const& trained, septum::inference_options inference) {
  std::shared_ptr<septum::ensemble_runner> const nets =
      std::make_shared<septum::ensemble<Net, B>>(trained, std::move(inference));
  return {septum::base_stack_t<Net>::receptive_field,
          [nets](septum::image const& pixels) { return nets->predict(pixels); },
          [nets](septum::image const& pixels) { return nets->predict_each(pixels); },
          [nets] { return nets->report(); }, nets};
}

}  // namespace

septum::host_precision host_precision_of(common_options const& common) {
  if (common.precision == "f32") return septum::host_precision::f32;
  if (common.precision != "bf16" || common.backend == "reference")
    throw septum::unsupported_error("septum.program.50",
                                    "--precision " + common.precision + " with --backend " +
                                        common.backend +
                                        "; there are f32 for every backend, bf16 for onednn, eigen "
                                        "and cudnn, tf32 and f16 for cudnn");
  if (!septum::has_host_bfloat16())
    throw septum::unsupported_error(
        "septum.program.53",
        "--precision bf16: this processor has no AVX512_BF16 instructions; use --precision f32");
  return septum::host_precision::bf16;
}

std::vector<std::string> net_names() {
  return {"bn_feature_net_31x31",
          "bn_feature_net_61x61",
          "feature_net_31x31",
          "feature_net_61x61",
          "dropout_feature_net_31x31",
          "dropout_feature_net_61x61",
          "multires_feature_net_31x31",
          "bn_multires_feature_net_31x31",
          "bn_multires_feature_net_61x61",
          "bn_feature_net_21x21",
          "bn_feature_net_41x41"};
}

predictor make_predictor(septum::model const& trained, common_options const& common,
                         septum::inference_options inference, bool each_net) {
  if (common.backend == "cudnn") return make_gpu_predictor(trained, common, inference, each_net);
  inference.precision = host_precision_of(common);
  auto const& description = trained.description;
  return with_any_net(description.architecture, description.channels.size(),
                      description.classes.size(), [&]<class Net>(std::type_identity<Net>) {
                        if (common.backend == "reference")
                          return erase<Net, septum::reference>(trained, inference);
                        if (common.backend == "eigen")
                          return erase<Net, septum::eigen>(trained, inference);
                        return erase<Net, septum::onednn>(trained, inference);
                      });
}

}  // namespace program
