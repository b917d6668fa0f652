#include "gpu_training.hpp"

#include <memory>
#include <septum/core/error.hpp>
#include <septum/exec/cuda_kernel_image.hpp>
#include <septum/net/device_contexts.hpp>
#include <septum/sample/device_batches.hpp>
#include <septum/train/device_trainer.hpp>
#include <utility>

#include "gpu.hpp"

namespace program {

template <septum::Optimizer O>
gpu_trainer<O>::gpu_trainer(std::string const& net, std::size_t channels, std::size_t classes,
                            septum::training_schedule schedule, O const& optimizer,
                            common_options const& common) {
  auto const options = gpu_options(common);
  if (options.precision != septum::gpu_precision::f32 &&
      options.precision != septum::gpu_precision::tf32)
    throw septum::unsupported_error("septum.program.51", "--precision " + common.precision +
                                                             ": expected f32 or tf32 for training");
  auto const contexts = std::make_shared<septum::device_contexts<septum::cudnn>>(
      septum::open_device_libraries(septum::cuda_kernel_image()), options);
  with_net(net, channels, classes, [&]<class Net>(std::type_identity<Net>) {
    auto const trainer = std::make_shared<septum::device_trainer<Net, septum::cudnn, O>>(
        *contexts, std::move(schedule), optimizer);
    start_ = [contexts, trainer] { return trainer->start(); };
    run_ = [contexts, trainer](state& at, gpu_patches const& training,
                               gpu_patches const& validation, on_batch const& batch_done,
                               on_epoch const& epoch_done) {
      septum::kernel_library kernels{contexts->api(), septum::cuda_kernel_image()};
      auto const on_gpu = [&](gpu_patches const& given) {
        return septum::device_patch_batches{contexts->stream(), kernels, given.images,
                                            given.patches, given.options};
      };
      auto batches = on_gpu(training);
      auto held_out = on_gpu(validation);
      trainer->run(at, batches, held_out, batch_done, epoch_done);
    };
  });
}

template class gpu_trainer<septum::sgd>;
template class gpu_trainer<septum::rmsprop>;

}  // namespace program
