#pragma once
#include <septum/core/rng.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/kernel_name.hpp>
#include <septum/sample/augment.hpp>
#include <septum/sample/patch_index.hpp>

#include <cstddef>
#include <cstdint>

/// Gathering of training patches as index kernels: what patch_batches::gather does, on host and
/// device.
namespace septum::inline SEPTUM_ABI {

/// Which patches make a batch, and the random numbers that turn them. In memory, so that work that
/// was recorded once gathers another batch every time.
struct batch_place {
  std::ptrdiff_t first = 0;  ///< of the epoch's order
  counter_rng turns{};
};

/// Patch number `order(first + k)` of the list, turned by its draw, becomes patch k of a batch.
/// Index space: (patches of the batch, values of a patch).
template <class Space = device_space>
struct gather_patches {
  view<view<float const, 3, Space> const, 1, Space> images;
  view<patch_index const, 1, Space> patches;
  view<std::uint32_t const, 1, Space> order;
  view<float, 4, Space> batch;
  view<batch_place const, 1, Space> place;
  bool augment;
  SEPTUM_HD void operator()(int k, int value) const {
    auto const number = order(place(0).first + k);
    patch_index const patch = patches(number);
    auto const& pixels = images(patch.image);
    std::ptrdiff_t const side = batch.extent(1);
    auto const channels = static_cast<int>(batch.extent(3));
    auto const path = (augment ? draw_dihedral(place(0).turns, number) : dihedral{})
                          .over(side, pixels.stride(0), pixels.stride(1));
    int const channel = value % channels;
    int const column = value / channels % static_cast<int>(side);
    int const row = value / channels / static_cast<int>(side);
    float const* const corner = &pixels(patch.row - side / 2, patch.column - side / 2, 0);
    batch(k, row, column, channel) =
        corner[path.origin + row * path.row_step + column * path.column_step + channel];
  }
};

/// Classes of the patches of a batch. Index space: (1, patches of the batch).
template <class Space = device_space>
struct gather_classes {
  view<patch_index const, 1, Space> patches;
  view<std::uint32_t const, 1, Space> order;
  view<std::uint8_t, 1, Space> classes;
  view<batch_place const, 1, Space> place;
  SEPTUM_HD void operator()(int, int k) const {
    classes(k) = patches(order(place(0).first + k)).label;
  }
};

using patch_functors = functor_list<gather_patches<>, gather_classes<>>;

}  // namespace septum::inline SEPTUM_ABI
