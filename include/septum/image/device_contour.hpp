#pragma once
#include <septum/core/error.hpp>
#include <septum/exec/cuda_runtime.hpp>
#include <septum/image/contour_functors.hpp>
#include <septum/image/evolve.hpp>
#include <septum/image/types.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Chan-Vese contours of one extent on a device: the buffers, and the work that evolves them. What
/// comes out is what morphological_contour gives on the host, to the byte.
class device_contour_buffers {
 public:
  device_contour_buffers(cuda_stream const& stream, kernel_library& kernels, std::ptrdiff_t rows,
                         std::ptrdiff_t columns)
      : stream_{&stream},
        kernels_{&kernels},
        rows_{rows},
        columns_{columns},
        words_{(columns + 63) / 64},
        start_{make_bits()},
        now_{make_bits()},
        next_{make_bits()},
        scratch_{make_bits()},
        parent_{stream.api(), {rows, columns}},
        least_{stream.api(), {1}},
        sums_{stream.api(), {contour_sum::count}},
        means_{stream.api(), {2}} {}

  /// Queues the evolution of `start` (non-zero is inside) over `pixels` into `result` (1 inside, 0
  /// outside); all row, column. Waits once, for the largest intensity.
  template <Constraint Constrain>
  void evolve(morphological_contour<chan_vese, curvature_smoothing, Constrain> const& contour,
              view<float const, 2, device_space> pixels,
              view<std::uint8_t const, 2, device_space> start,
              view<std::uint8_t, 2, device_space> result) {
    static_assert(std::is_same_v<Constrain, unconstrained> ||
                      std::is_same_v<Constrain, separate_components> ||
                      std::is_same_v<Constrain, keep_start>,
                  "septum: a contour on a device has one of septum's own constraints. FIX: use "
                  "unconstrained, separate_components or keep_start, or evolve it on the host.");
    begin(pixels, start);
    auto const step = [&](int number) { this->step(contour, pixels, number); };
    int left = contour.iterations;
    if (left >= least_recorded) {
      step(0), step(1);  // loads what is loaded at first use, which must not happen while recording
      stream_->synchronize();
      recorded_work const pair{*stream_, [&] { step(0), step(1); }};
      for (left -= 2; left >= 2; left -= 2) pair.launch(*stream_);
      stream_->synchronize();  // the recorded work is given back here
    }
    for (int number = 0; number < left; ++number) step(number);
    auto const& last = left % 2 == 1 ? next_ : now_;
    kernels_->launch(*stream_, {static_cast<int>(rows_), static_cast<int>(columns_)},
                     unpack_contour<>{last.values(), result});
  }

 private:
  // Shorter evolutions are queued call by call. An even number.
  static constexpr int least_recorded = 8;

  using bits = device_array<std::uint64_t, 2>;

  [[nodiscard]] bits make_bits() const {
    bits made{stream_->api(), {rows_ + 2, words_ + 2}};
    set_zero(*stream_, made.values());
    return made;
  }
  [[nodiscard]] extent2 word_extent() const {
    return {static_cast<int>(rows_), static_cast<int>(words_)};
  }

  void begin(view<float const, 2, device_space> pixels,
             view<std::uint8_t const, 2, device_space> start) {
    kernels_->launch(*stream_, word_extent(), pack_contour<>{start, start_.values()});
    copy(*stream_, view<std::uint64_t const, 2, device_space>{start_.values()}, now_.values());
    set_zero(*stream_, least_.values());
    set_zero(*stream_, sums_.values());
    kernels_->launch(*stream_, intensity_extent(rows_, columns_),
                     largest_intensity<>{pixels, least_.values()});
    std::int32_t least = 0;
    copy(*stream_, view<std::int32_t const, 1, device_space>{least_.values()},
         view<std::int32_t, 1>{&least, {1}});
    stream_->synchronize();
    float const largest = std::bit_cast<float>(-least);
    exponent_ = detail::intensity_exponent(largest, rows_ * columns_);
    kernels_->launch(*stream_, intensity_extent(rows_, columns_),
                     sum_intensity<>{pixels, now_.values(), sums_.values(), scale()});
    find_means();
  }
  [[nodiscard]] double scale() const { return std::ldexp(1.0, exponent_); }
  void find_means() {
    kernels_->launch(
        *stream_, {1, 1},
        contour_means<>{sums_.values(), means_.values(), static_cast<double>(rows_ * columns_),
                        std::ldexp(1.0, -exponent_)});
  }

  // Iteration `number`; two of them end in the buffers in which they began.
  template <Constraint Constrain>
  void step(morphological_contour<chan_vese, curvature_smoothing, Constrain> const& contour,
            view<float const, 2, device_space> pixels, int number) {
    auto const from = (number % 2 == 0 ? now_ : next_).values();
    auto const to = (number % 2 == 0 ? next_ : now_).values();
    auto const scratch = scratch_.values();
    extent2 const all{static_cast<int>(rows_), static_cast<int>(columns_)};
    if constexpr (std::is_same_v<Constrain, separate_components>) {
      kernels_->launch(*stream_, all, plant_contour<>{from, parent_.values()});
      kernels_->launch(*stream_, all, join_components<>{parent_.values(), false});
    }
    kernels_->launch(*stream_, word_extent(),
                     vote_contour<>{pixels, means_.values(), from, to, contour.data.lambda_inside,
                                    contour.data.lambda_outside});
    for (int k = 0; k < contour.smoothing.steps; ++k) {
      bool const fill_first = (number * contour.smoothing.steps + k) % 2 == 0;
      kernels_->launch(*stream_, word_extent(),
                       smooth_contour<>{to, scratch, columns_, fill_first});
      kernels_->launch(*stream_, word_extent(),
                       smooth_contour<>{scratch, to, columns_, !fill_first});
    }
    if constexpr (std::is_same_v<Constrain, separate_components>)
      kernels_->launch(*stream_, word_extent(), part_contour<>{parent_.values(), from, to});
    if constexpr (std::is_same_v<Constrain, keep_start>)
      kernels_->launch(*stream_, word_extent(), keep_contour<>{start_.values(), to});
    kernels_->launch(*stream_, word_extent(),
                     follow_contour<>{pixels, from, to, sums_.values(), scale()});
    find_means();
  }

  cuda_stream const* stream_;
  kernel_library* kernels_;
  std::ptrdiff_t rows_;
  std::ptrdiff_t columns_;
  std::ptrdiff_t words_;
  bits start_;
  bits now_;
  bits next_;
  bits scratch_;
  device_array<std::int32_t, 2> parent_;
  device_array<std::int32_t, 1> least_;
  device_array<std::int64_t, 1> sums_;
  device_array<double, 1> means_;
  int exponent_ = 0;
};

/// What contours on one device share: a stream, the kernels, and the buffers of the last extent.
/// Threads take turns.
class contour_device {
 public:
  /// @param cuda, kernels  as in device_libraries (net/device_contexts.hpp)
  /// @throws device_error as select_device, and `septum.device.7` without kernels
  contour_device(std::shared_ptr<cuda_api const> cuda, std::span<unsigned char const> kernels,
                 int ordinal = 0)
      : api_{std::move(cuda)},
        properties_{select_device(*api_, ordinal)},
        stream_{*api_},
        kernels_{*api_, kernels} {}
  contour_device(contour_device const&) = delete;
  contour_device& operator=(contour_device const&) = delete;

  /// @param pixels, start  of one extent, at least 2 x 2 pixels
  template <Constraint Constrain>
  [[nodiscard]] mask evolve(
      morphological_contour<chan_vese, curvature_smoothing, Constrain> const& contour,
      view<float const, 2> pixels, mask const& start) {
    std::lock_guard const turn{mutex_};
    std::ptrdiff_t const rows = pixels.extent(0);
    std::ptrdiff_t const columns = pixels.extent(1);
    try {
      if (!buffers_ || intensity_.extents()[0] != rows || intensity_.extents()[1] != columns) {
        forget_buffers();
        intensity_ = {*api_, {rows, columns}};
        binary_ = {*api_, {rows, columns}};
        buffers_ = std::make_unique<device_contour_buffers>(stream_, kernels_, rows, columns);
      }
      std::vector<float> values;  // the view may be strided
      values.reserve(static_cast<std::size_t>(pixels.size()));
      for (std::ptrdiff_t r = 0; r < rows; ++r)
        values.insert(values.end(), &pixels(r, 0), &pixels(r, 0) + columns);
      copy(stream_, view<float const, 2>{values.data(), {rows, columns}}, intensity_.values());
      copy(stream_, view<std::uint8_t const, 2>{start.data(), {rows, columns}}, binary_.values());
      buffers_->evolve(contour, intensity_.values(), binary_.values(), binary_.values());
      mask result = mask::from_shape(start.shape());
      copy(stream_, view<std::uint8_t const, 2, device_space>{binary_.values()},
           view<std::uint8_t, 2>{result.data(), {rows, columns}});
      stream_.synchronize();
      return result;
    } catch (...) {
      // Work may still use the buffers; its errors are of no interest any more.
      api_->stream_synchronize(stream_.get());
      forget_buffers();
      throw;
    }
  }

 private:
  void forget_buffers() {
    buffers_.reset();
    intensity_ = {};
    binary_ = {};
  }

  std::mutex mutex_;
  std::shared_ptr<cuda_api const> api_;
  device_properties properties_;
  cuda_stream stream_;
  kernel_library kernels_;
  device_array<float, 2> intensity_{};
  device_array<std::uint8_t, 2> binary_{};
  std::unique_ptr<device_contour_buffers> buffers_{};
};

/// Evolves contours on a GPU: an Evolver, made from one of the host, with the same results. Copies
/// share the device.
template <Constraint Constrain = unconstrained>
class device_contour {
 public:
  using contour_type = morphological_contour<chan_vese, curvature_smoothing, Constrain>;

  explicit device_contour(std::shared_ptr<contour_device> device, contour_type contour = {})
      : contour_{contour}, device_{std::move(device)} {}
  /// @throws device_error as contour_device
  device_contour(std::shared_ptr<cuda_api const> cuda, std::span<unsigned char const> kernels,
                 contour_type contour = {}, int ordinal = 0)
      : device_contour{std::make_shared<contour_device>(std::move(cuda), kernels, ordinal),
                       contour} {}

  /// \returns 1 inside, 0 outside.
  /// \throws shape_error `septum.evolve.1` when extents differ or a side is below 2 pixels
  [[nodiscard]] mask operator()(view<float const, 2> pixels, mask const& start,
                                exec::threads /*threads*/ = {}) const {
    detail::require_contour_extent(pixels, static_cast<std::ptrdiff_t>(start.shape()[0]),
                                   static_cast<std::ptrdiff_t>(start.shape()[1]));
    return device_->evolve(contour_, pixels, start);
  }

 private:
  contour_type contour_;
  std::shared_ptr<contour_device> device_;
};

}  // namespace septum::inline SEPTUM_ABI
