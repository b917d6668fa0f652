#pragma once
#include <septum/core/rng.hpp>
#include <septum/exec/cuda_runtime.hpp>
#include <septum/sample/batches.hpp>
#include <septum/sample/patch_functors.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// patch_batches on a device: the images and the list of patches are copied there once, and a batch
/// is gathered there when it is asked for, so that nothing but an epoch's order crosses. The same
/// patches in the same order with the same turns as patch_batches. What it is made on has to
/// outlive it.
class device_patch_batches {
 public:
  using place_type = batch_place;
  /// @throws shape_error, unsupported_error as patch_batches
  device_patch_batches(cuda_stream const& stream, kernel_library& kernels,
                       std::vector<view<float const, 3>> const& images,
                       std::vector<patch_index> const& patches, batch_options options)
      : stream_{&stream}, kernels_{&kernels}, host_{images, patches, options} {
    auto const& api = stream.api();
    std::vector<view<float const, 3, device_space>> views;
    for (auto const& pixels : images) {
      std::vector<float> values;  // images may be strided
      values.reserve(static_cast<std::size_t>(pixels.size()));
      for (std::ptrdiff_t row = 0; row < pixels.extent(0); ++row)
        for (std::ptrdiff_t column = 0; column < pixels.extent(1); ++column)
          for (std::ptrdiff_t channel = 0; channel < pixels.extent(2); ++channel)
            values.push_back(pixels(row, column, channel));
      pixels_.push_back(on_device(values));
      views.emplace_back(pixels_.back().data(), pixels.extents());
    }
    views_ = on_device(views);
    patches_ = on_device(patches);
    auto const visits = static_cast<std::size_t>(host_.patches_per_epoch());
    order_ = device_memory<std::uint32_t>{api, visits};
    place_ = device_memory<batch_place>{api, 1};
    host_order_ = pinned_memory<std::uint32_t>{api, visits};
  }

  [[nodiscard]] std::ptrdiff_t batches_per_epoch() const { return host_.batches_per_epoch(); }
  [[nodiscard]] std::ptrdiff_t patch_count() const { return host_.patch_count(); }
  [[nodiscard]] batch_options const& options() const { return host_.options(); }
  [[nodiscard]] std::ptrdiff_t channels() const { return host_.channels(); }
  /// Patches of batch `index`: all but the last of an epoch are full.
  [[nodiscard]] int count(std::ptrdiff_t index) const {
    auto const size = static_cast<std::ptrdiff_t>(options().batch_size);
    return static_cast<int>(std::min(size, host_.patches_per_epoch() - index * size));
  }
  /// Classes of the patches of a batch, on the host.
  [[nodiscard]] std::vector<std::uint8_t> classes(std::ptrdiff_t index) const {
    std::vector<std::uint8_t> classes_of_batch;
    for (int k = 0; k < count(index); ++k)
      classes_of_batch.push_back(
          host_.patches()[host_order_.data()[index * options().batch_size + k]].label);
    return classes_of_batch;
  }

  /// Copies the order of an epoch to the device; the epoch's batches may be gathered then.
  void start(int epoch) {
    stream_->synchronize();  // batches of the epoch before may still read the order
    auto const order = host_.order(epoch);
    std::copy(order.begin(), order.end(), host_order_.data());
    copy(*stream_, view<std::uint32_t const, 1>{host_order_.values()}, order_.values());
    turns_ =
        counter_rng{options().seed, stream::augmentation}.fork(static_cast<std::uint64_t>(epoch));
  }
  /// Which patches batch `index` is made of.
  [[nodiscard]] batch_place place(std::ptrdiff_t index) const {
    return {index * options().batch_size, turns_};
  }
  /// Queues the gathering of the batch at `place`, one value in the device's memory, into maps
  /// (batch, row, column, channel) and classes, one for each.
  void gather(view<batch_place const, 1, device_space> place, view<float, 4, device_space> batch,
              view<std::uint8_t, 1, device_space> classes_of) {
    auto const patches = static_cast<int>(batch.extent(0));
    auto const values = static_cast<int>(batch.size() / batch.extent(0));
    kernels_->launch(*stream_, {patches, values},
                     gather_patches<>{views_.values(), patches_.values(), order_.values(), batch,
                                      place, options().augment});
    kernels_->launch(*stream_, {1, patches},
                     gather_classes<>{patches_.values(), order_.values(), classes_of, place});
  }
  /// The same for batch `index`; waits until it is gathered.
  void gather(std::ptrdiff_t index, view<float, 4, device_space> batch,
              view<std::uint8_t, 1, device_space> classes_of) {
    batch_place const here = place(index);
    copy(*stream_, view<batch_place const, 1>{&here, {1}}, place_.values());
    gather(view<batch_place const, 1, device_space>{place_.values()}, batch, classes_of);
    stream_->synchronize();
  }

 private:
  template <class T>
  [[nodiscard]] device_memory<T> on_device(std::vector<T> const& values) const {
    device_memory<T> memory{stream_->api(), values.size()};
    copy(*stream_, view<T const, 1>{values.data(), {std::ssize(values)}}, memory.values());
    stream_->synchronize();
    return memory;
  }

  cuda_stream const* stream_;
  kernel_library* kernels_;
  patch_batches host_;  // checks, and draws the orders
  std::vector<device_memory<float>> pixels_;
  device_memory<view<float const, 3, device_space>> views_;
  device_memory<patch_index> patches_;
  device_memory<std::uint32_t> order_;
  device_memory<batch_place> place_;
  pinned_memory<std::uint32_t> host_order_;
  counter_rng turns_{};
};

}  // namespace septum::inline SEPTUM_ABI
