#pragma once
#include <septum/core/error.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/cuda_api.hpp>
#include <septum/image/device_contour.hpp>
#include <septum/image/evolve.hpp>
#include <septum/image/types.hpp>
#include <septum/segment/contours.hpp>
#include <septum/segment/refiners.hpp>

#include <functional>
#include <memory>
#include <span>
#include <utility>

namespace septum::inline SEPTUM_ABI {

/// Contours evolve on a GPU; where its memory does not suffice, on the host, and `on_less_memory`
/// is told. Copies share the device, and threads take turns.
class device_contours {
 public:
  /// @param cuda, kernels  as in device_libraries (net/device_contexts.hpp)
  /// @throws device_error as contour_device
  device_contours(std::shared_ptr<cuda_api const> cuda, std::span<unsigned char const> kernels,
                  std::function<void()> on_less_memory = {}, int ordinal = 0)
      : device_{std::make_shared<contour_device>(std::move(cuda), kernels, ordinal)},
        on_less_memory_{std::move(on_less_memory)} {}

  /// The Evolver that comes of a contour.
  template <Constraint Constrain>
  class evolver {
   public:
    using contour_type = morphological_contour<chan_vese, curvature_smoothing, Constrain>;

    evolver(contour_type contour, std::shared_ptr<contour_device> device,
            std::function<void()> on_less_memory)
        : contour_{contour},
          on_device_{std::move(device), contour},
          on_less_memory_{std::move(on_less_memory)} {}

    [[nodiscard]] mask operator()(view<float const, 2> pixels, mask const& start,
                                  exec::threads threads = {}) const {
      try {
        return on_device_(pixels, start);
      } catch (device_error const& failure) {
        if (!is_out_of_memory(failure)) throw;
      }
      if (on_less_memory_) on_less_memory_();
      return contour_(pixels, start, threads);
    }

   private:
    contour_type contour_;
    device_contour<Constrain> on_device_;
    std::function<void()> on_less_memory_;
  };

  template <Constraint Constrain>
  [[nodiscard]] evolver<Constrain> operator()(
      morphological_contour<chan_vese, curvature_smoothing, Constrain> const& contour) const {
    return {contour, device_, on_less_memory_};
  }

 private:
  std::shared_ptr<contour_device> device_;
  std::function<void()> on_less_memory_;
};

/// A refiner of contours (published_contours, labels_contours, cell_contours) whose contours evolve
/// at a place: a Refiner with the same results.
///
///     placed_contours<labels_contours<1>, device_contours> refine{{.iterations = 120}, place};
template <Refiner R, ContourPlace Place>
struct placed_contours {
  static constexpr int needs_class = R::needs_class;

  R refiner;
  Place place;

  void operator()(labels& cells, probabilities const& maps, image const&,
                  exec::threads threads = {}) const {
    refiner.grow_at(place, cells, maps, threads);
  }
};

}  // namespace septum::inline SEPTUM_ABI
