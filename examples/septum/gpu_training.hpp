#pragma once
#include <functional>
#include <memory>
#include <septum/core/view.hpp>
#include <septum/sample/batches.hpp>
#include <septum/sample/patch_index.hpp>
#include <septum/train/trainer.hpp>
#include <string>
#include <vector>

#include "options.hpp"

namespace program {

/// Patches of normalised images, before they are copied to the GPU.
struct gpu_patches {
  std::vector<septum::view<float const, 3>> images;
  std::vector<septum::patch_index> patches;
  septum::batch_options options;
};

/// Training of the net of a name on the GPU, its type forgotten; used like septum::training_run.
template <septum::Optimizer O>
class gpu_trainer {
 public:
  using state = septum::training_state<O>;
  using on_batch = std::function<void(septum::training_progress const&)>;
  using on_epoch = std::function<void(state const&)>;

  /// @throws septum::device_error saying what is missing and which version is wanted
  gpu_trainer(std::string const& net, std::size_t channels, std::size_t classes,
              septum::training_schedule schedule, O const& optimizer, common_options const& common);

  [[nodiscard]] state start() const { return start_(); }
  void run(state& at, gpu_patches const& training, gpu_patches const& validation,
           on_batch const& batch_done, on_epoch const& epoch_done) {
    run_(at, training, validation, batch_done, epoch_done);
  }

 private:
  std::function<state()> start_;
  std::function<void(state&, gpu_patches const&, gpu_patches const&, on_batch const&,
                     on_epoch const&)>
      run_;
};

}  // namespace program
