#pragma once
#include <septum/image/contour_functors.hpp>
#include <septum/image/region_functors.hpp>
#include <septum/net/device_contexts.hpp>
#include <septum/nn/functor_lists.hpp>
#include <septum/sample/patch_functors.hpp>
#include <septum/train/training_functors.hpp>

#include <memory>

#include "host_cudnn.hpp"
#include "host_device.hpp"

/// A device and cuDNN on the host with all of septum's kernels.
struct host_gpu {
  explicit host_gpu(host_device::order when = host_device::order::eager, std::uint32_t seed = 1)
      : device{when, seed} {
    device.add(septum::layer_functors<float>{});
    device.add(septum::layer_functors<septum::bfloat16>{});
    device.add(septum::layer_functors<septum::float16>{});
    device.add(septum::common_functors{});
    device.add(septum::patch_functors{});
    device.add(septum::training_functors{});
    device.add(septum::region_functors{});
    device.add(septum::contour_functors{});
  }
  [[nodiscard]] septum::device_libraries libraries() const {
    static unsigned char const image[1] = {0};
    return {std::make_shared<septum::cuda_api const>(host_device::api()),
            std::make_shared<septum::detail::cudnn_api const>(host_cudnn::api()), image};
  }
  /// True when everything was given back and nothing was misused.
  [[nodiscard]] bool clean() const {
    return device.alive() == 0 && library.descriptors == 0 && library.libraries == 0 &&
           device.faults.empty();
  }
  host_device device;
  host_cudnn library{device};
};
