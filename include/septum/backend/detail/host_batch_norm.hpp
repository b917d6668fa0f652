#pragma once
#include <septum/backend/detail/lanes.hpp>
#include <septum/backend/problem.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/nn/layers.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

/// Batch normalisation of channels-last maps, optionally followed by relu, in as few passes over
/// memory as the formula allows: two to train forward, two backward. Sums run in T over fixed
/// blocks of pixels and are added up in double in the order of the blocks, so the bytes of a result
/// do not depend on the number of threads.
namespace septum::inline SEPTUM_ABI::detail {

/// Per channel: y = (x - mean) * scale + shift.
template <class T>
struct affine_channels {
  std::vector<T> mean;
  std::vector<T> scale;
  std::vector<T> shift;

  explicit affine_channels(std::size_t channels = 0)
      : mean(channels), scale(channels), shift(channels) {}

  /// From the batch's or the running statistics; `parameters` starts with gamma and beta.
  template <class Statistic>
  void set(std::span<T const> parameters, std::span<Statistic const> means,
           std::span<Statistic const> deviations) {
    for (std::size_t k = 0; k < mean.size(); ++k) {
      mean[k] = static_cast<T>(means[k]);
      scale[k] = static_cast<T>(static_cast<double>(parameters[k]) /
                                (static_cast<double>(deviations[k]) + batch_norm::epsilon));
      shift[k] = parameters[mean.size() + k];
    }
  }
};

template <class Lanes, class T>
struct affine_lanes {
  Lanes mean, scale, shift;
  affine_lanes(affine_channels<T> const& map, std::ptrdiff_t k)
      : mean{Lanes::load(map.mean.data() + k)},
        scale{Lanes::load(map.scale.data() + k)},
        shift{Lanes::load(map.shift.data() + k)} {}
  Lanes operator()(Lanes const& x) const { return (x - mean) * scale + shift; }
};

/// Pixels of one block: few enough for sums in float, and for the block to stay in the cache while
/// its channels are walked in groups.
inline constexpr std::ptrdiff_t batch_norm_block = 128;

constexpr std::ptrdiff_t batch_norm_blocks(std::ptrdiff_t pixels) {
  return (pixels + batch_norm_block - 1) / batch_norm_block;
}

/// Calls body.template operator()<Lanes>(block, first pixel, last pixel, first channel) for all
/// blocks and all groups of channels, in parallel over blocks.
template <class T, class Body>
void for_each_block(exec::threads threads, std::ptrdiff_t pixels, std::ptrdiff_t channels,
                    Body const& body) {
  for_each_range(threads, batch_norm_blocks(pixels), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t block = begin; block < end; ++block) {
      std::ptrdiff_t const first = block * batch_norm_block;
      std::ptrdiff_t const last = std::min(first + batch_norm_block, pixels);
      for_each_lanes<T>(channels, [&]<class Lanes>(std::ptrdiff_t k) {
        body.template operator()<Lanes>(block, first, last, k);
      });
    }
  });
}

/// Calls body.template operator()<Lanes>(offset, first channel) for all pixels and groups of
/// channels in the order of memory, in parallel over pixels: for passes that write a map.
template <class T, class Body>
void for_each_pixel_lanes(exec::threads threads, std::ptrdiff_t pixels, std::ptrdiff_t channels,
                          Body const& body) {
  for_each_range(threads, pixels, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t pixel = begin; pixel < end; ++pixel)
      for_each_lanes<T>(channels, [&]<class Lanes>(std::ptrdiff_t k) {
        body.template operator()<Lanes>(pixel * channels + k, k);
      });
  });
}

/// Scratch of one pass: two sums per channel, and their terms block by block.
template <class T>
struct batch_norm_scratch {
  std::span<double> sum;      // channels, then channels of the second term
  std::span<T> partial;       // blocks x 2 x channels
  std::span<T> coefficients;  // 3 x channels

  static constexpr std::size_t bytes(layer_problem const& problem) {
    auto const channels = static_cast<std::size_t>(problem.in.channels);
    auto const pixels =
        static_cast<std::ptrdiff_t>(problem.in.height) * problem.in.width * problem.batch;
    return 2 * channels * sizeof(double) +
           (static_cast<std::size_t>(batch_norm_blocks(pixels)) * 2 + 3) * channels * sizeof(T);
  }
  /// Lays the parts out in `memory`, which holds bytes(problem) bytes aligned for double.
  batch_norm_scratch(layer_problem const& problem, std::byte* memory) {
    auto const channels = static_cast<std::size_t>(problem.in.channels);
    sum = {reinterpret_cast<double*>(memory), 2 * channels};
    T* const values = reinterpret_cast<T*>(memory + 2 * channels * sizeof(double));
    coefficients = {values, 3 * channels};
    auto const count = (bytes(problem) - 2 * channels * sizeof(double)) / sizeof(T) - 3 * channels;
    partial = {values + 3 * channels, count};
  }

  /// Adds the blocks up in their order.
  void combine() const {
    std::fill(sum.begin(), sum.end(), 0.0);
    for (std::size_t i = 0; i < partial.size(); i += sum.size())
      for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += static_cast<double>(partial[i + k]);
  }
};

/// Mean and deviation sqrt(variance + epsilon) from the sums of x and of its square about the
/// pivots in scratch.coefficients.
template <class T>
void set_statistics(batch_norm_scratch<T> const& scratch, std::ptrdiff_t pixels,
                    std::span<double> mean, std::span<double> deviation) {
  auto const count = static_cast<double>(pixels);
  for (std::size_t k = 0; k < mean.size(); ++k) {
    double const offset = scratch.sum[k] / count;
    mean[k] = static_cast<double>(scratch.coefficients[k]) + offset;
    double const variance = scratch.sum[mean.size() + k] / count - offset * offset;
    deviation[k] = std::sqrt(std::max(variance, 0.0) + batch_norm::epsilon);
  }
}

/// Mean and deviation sqrt(variance + epsilon) per channel in one pass. The sums are taken about a
/// pivot near the mean (that of the first block), so that no digits cancel.
template <class T>
void batch_statistics(exec::threads threads, view<T const, 4> x,
                      batch_norm_scratch<T> const& scratch, std::span<double> mean,
                      std::span<double> deviation) {
  std::ptrdiff_t const channels = x.extent(3);
  std::ptrdiff_t const pixels = x.size() / channels;
  std::ptrdiff_t const first_block = std::min(pixels, batch_norm_block);
  T* const pivots = scratch.coefficients.data();
  std::fill(mean.begin(), mean.end(), 0.0);
  for (std::ptrdiff_t pixel = 0; pixel < first_block; ++pixel)
    for (std::size_t k = 0; k < mean.size(); ++k)
      mean[k] += static_cast<double>(x.data()[pixel * channels + static_cast<std::ptrdiff_t>(k)]);
  for (std::size_t k = 0; k < mean.size(); ++k)
    pivots[k] = static_cast<T>(mean[k] / static_cast<double>(first_block));

  for_each_block<T>(threads, pixels, channels,
                    [&]<class Lanes>(std::ptrdiff_t block, std::ptrdiff_t first,
                                     std::ptrdiff_t last, std::ptrdiff_t k) {
                      Lanes const pivot = Lanes::load(pivots + k);
                      Lanes sum = Lanes::all(T{0});
                      Lanes squares = sum;
                      for (std::ptrdiff_t pixel = first; pixel < last; ++pixel) {
                        Lanes const centred = Lanes::load(x.data() + pixel * channels + k) - pivot;
                        sum = sum + centred;
                        squares = squares + centred * centred;
                      }
                      T* const out = scratch.partial.data() + block * 2 * channels + k;
                      sum.store(out);
                      squares.store(out + channels);
                    });
  scratch.combine();
  set_statistics(scratch, pixels, mean, deviation);
}

/// y = (x - mean) * scale + shift, then relu when Relu.
template <bool Relu, class T>
void normalise(exec::threads threads, affine_channels<T> const& map, view<T const, 4> x,
               view<T, 4> y) {
  std::ptrdiff_t const channels = x.extent(3);
  for_each_pixel_lanes<T>(threads, x.size() / channels, channels,
                          [&]<class Lanes>(std::ptrdiff_t at, std::ptrdiff_t k) {
                            affine_lanes<Lanes, T> const affine{map, k};
                            Lanes const zero = Lanes::all(T{0});
                            Lanes value = affine(Lanes::load(x.data() + at));
                            if constexpr (Relu) value = where_greater(value, zero, value, zero);
                            value.store(y.data() + at);
                          });
}

/// Sums of dy and of dy * (x - mean) per channel into scratch.sum. With Relu, dy counts only where
/// the normalised value, computed once more from x, is above 0: cheaper than reading y.
template <bool Relu, class T>
void batch_norm_sums(exec::threads threads, affine_channels<T> const& map, view<T const, 4> x,
                     view<T const, 4> dy, batch_norm_scratch<T> const& scratch) {
  std::ptrdiff_t const channels = x.extent(3);
  for_each_block<T>(threads, x.size() / channels, channels,
                    [&]<class Lanes>(std::ptrdiff_t block, std::ptrdiff_t first,
                                     std::ptrdiff_t last, std::ptrdiff_t k) {
                      affine_lanes<Lanes, T> const affine{map, k};
                      Lanes const zero = Lanes::all(T{0});
                      Lanes sum = zero;
                      Lanes weighted = zero;
                      for (std::ptrdiff_t pixel = first; pixel < last; ++pixel) {
                        Lanes const here = Lanes::load(x.data() + pixel * channels + k);
                        Lanes slope = Lanes::load(dy.data() + pixel * channels + k);
                        if constexpr (Relu) slope = where_greater(affine(here), zero, slope, zero);
                        sum = sum + slope;
                        weighted = weighted + slope * (here - affine.mean);
                      }
                      T* const out = scratch.partial.data() + block * 2 * channels + k;
                      sum.store(out);
                      weighted.store(out + channels);
                    });
  scratch.combine();
}

/// Gradients of gamma and beta from the sums, and the batch's statistics in the slots of the
/// running ones.
template <class T>
void set_batch_norm_gradient(batch_norm_scratch<T> const& scratch, std::span<double const> mean,
                             std::span<double const> deviation, std::span<T> dparameters) {
  std::size_t const channels = mean.size();
  for (std::size_t k = 0; k < channels; ++k) {
    dparameters[k] =
        static_cast<T>(scratch.sum[channels + k] / (deviation[k] + batch_norm::epsilon));
    dparameters[channels + k] = static_cast<T>(scratch.sum[k]);
    dparameters[2 * channels + k] = static_cast<T>(mean[k]);
    dparameters[3 * channels + k] = static_cast<T>(deviation[k]);
  }
}

/// What dx has of every pixel and of x - mean, from the sums: offset and tilt, into
/// scratch.coefficients.
template <class T>
void set_gradient_coefficients(affine_channels<T> const& map, std::span<double const> deviation,
                               std::ptrdiff_t pixels, batch_norm_scratch<T> const& scratch) {
  auto const count = static_cast<double>(pixels);
  T* const offset = scratch.coefficients.data();
  T* const tilt = offset + deviation.size();
  for (std::size_t k = 0; k < deviation.size(); ++k) {
    auto const scale = static_cast<double>(map.scale[k]);
    offset[k] = static_cast<T>(-scale * scratch.sum[k] / count);
    tilt[k] = static_cast<T>(-scale * scratch.sum[deviation.size() + k] /
                             (count * deviation[k] * (deviation[k] + batch_norm::epsilon)));
  }
}

/// dx = scale * (dy - mean(dy) - (x - mean) * sum(dy (x - mean)) / (count * s * (s + epsilon))).
template <bool Relu, class T>
void batch_norm_input_gradient(exec::threads threads, affine_channels<T> const& map,
                               std::span<double const> deviation, view<T const, 4> x,
                               view<T const, 4> dy, view<T, 4> dx,
                               batch_norm_scratch<T> const& scratch) {
  std::ptrdiff_t const channels = x.extent(3);
  std::ptrdiff_t const pixels = x.size() / channels;
  set_gradient_coefficients(map, deviation, pixels, scratch);
  T const* const offset = scratch.coefficients.data();
  T const* const tilt = offset + channels;
  for_each_pixel_lanes<T>(
      threads, pixels, channels, [&]<class Lanes>(std::ptrdiff_t at, std::ptrdiff_t k) {
        affine_lanes<Lanes, T> const affine{map, k};
        Lanes const zero = Lanes::all(T{0});
        Lanes const centred = Lanes::load(x.data() + at) - affine.mean;
        Lanes slope = Lanes::load(dy.data() + at);
        if constexpr (Relu)
          slope = where_greater(centred * affine.scale + affine.shift, zero, slope, zero);
        (slope * affine.scale + centred * Lanes::load(tilt + k) + Lanes::load(offset + k))
            .store(dx.data() + at);
      });
}

/// What kernels of batch normalisation keep, whatever scalar their maps have; parameters are in T.
template <class T>
struct host_batch_norm_state {
  struct plan {
    layer_problem problem;
  };
  struct packed {
    std::vector<T> parameters;     // gamma, beta, running mean, running deviation
    affine_channels<T> inference;  // with the running statistics
  };
  struct saved {
    std::vector<double> mean;
    std::vector<double> deviation;
    affine_channels<T> training;  // with the batch's statistics
  };

  template <class Context>
  static packed pack(Context&, plan const& p, std::span<T const> parameters) {
    auto const channels = static_cast<std::size_t>(p.problem.in.channels);
    packed w{{parameters.begin(), parameters.end()}, affine_channels<T>{channels}};
    w.inference.template set<T>(parameters, parameters.subspan(2 * channels, channels),
                                parameters.subspan(3 * channels, channels));
    return w;
  }
  template <class Context>
  static saved make_saved(Context&, plan const& p) {
    auto const channels = static_cast<std::size_t>(p.problem.in.channels);
    return {std::vector<double>(channels), std::vector<double>(channels),
            affine_channels<T>{channels}};
  }
  template <class Context>
  static batch_norm_scratch<T> scratch(Context& ctx, plan const& p) {
    ctx.scratch.reserve(batch_norm_scratch<T>::bytes(p.problem));
    return {p.problem, ctx.scratch.data()};
  }
};

}  // namespace septum::inline SEPTUM_ABI::detail
