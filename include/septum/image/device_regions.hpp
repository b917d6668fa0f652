#pragma once
#include <septum/exec/cuda_runtime.hpp>
#include <septum/image/region_functors.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace septum::inline SEPTUM_ABI {

/// Labels the connected components of masks of one extent on a device, as connected_components does
/// on the host: numbers from 1 in the order of first pixels.
class device_components {
 public:
  device_components(cuda_stream const& stream, kernel_library& kernels, std::ptrdiff_t rows,
                    std::ptrdiff_t columns)
      : stream_{&stream},
        kernels_{&kernels},
        parent_{stream.api(), {rows, columns}},
        numbers_{stream.api(), {rows, columns}},
        roots_{stream.api(), {rows}},
        before_{stream.api(), {rows + 1}} {}

  /// Queues mask (non-zero is inside) -> labels; both row, column.
  void label(view<std::uint8_t const, 2, device_space> inside,
             view<std::int32_t, 2, device_space> numbered, bool diagonals = false) {
    extent2 const extent{static_cast<int>(inside.extent(0)), static_cast<int>(inside.extent(1))};
    auto const parent = parent_.values();
    kernels_->launch(*stream_, extent, plant_components<>{inside, parent});
    kernels_->launch(*stream_, extent, join_components<>{parent, diagonals});
    kernels_->launch(*stream_, {1, extent.rows}, count_roots<>{parent, roots_.values()});
    kernels_->launch(*stream_, {1, 1}, add_up_roots<>{roots_.values(), before_.values()});
    kernels_->launch(*stream_, {1, extent.rows},
                     number_roots<>{parent, before_.values(), numbers_.values()});
    kernels_->launch(*stream_, extent, label_components<>{parent, numbers_.values(), numbered});
  }
  /// Where the number of components is after `label`, one value.
  [[nodiscard]] view<std::int32_t const, 1, device_space> count() const {
    auto const all = before_.values();
    return all.block({all.extent(0) - 1}, {1});
  }

 private:
  cuda_stream const* stream_;
  kernel_library* kernels_;
  device_array<std::int32_t, 2> parent_;
  device_array<std::int32_t, 2> numbers_;
  device_array<std::int32_t, 1> roots_;
  device_array<std::int32_t, 1> before_;
};

}  // namespace septum::inline SEPTUM_ABI
