#pragma once
#include <septum/backend/detail/lanes.hpp>
#include <septum/core/rng.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>

/// Layers that treat every value, or every pixel, on its own; in parallel over ranges.
namespace septum::inline SEPTUM_ABI::detail {

/// Calls body(index) for [0, count).
template <class Body>
void for_each_value(exec::threads threads, std::ptrdiff_t count, Body const& body) {
  for_each_range(threads, count, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t i = begin; i < end; ++i) body(i);
  });
}

/// dy <- dy where y > 0, else 0: the gradient through a relu that a kernel applied itself.
template <class T>
void host_mask_by_relu(exec::threads threads, view<T const, 4> y, view<T, 4> dy) {
  for_each_range(threads, y.size(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for_each_lanes<T>(end - begin, [&]<class Lanes>(std::ptrdiff_t k) {
      Lanes const zero = Lanes::all(T{0});
      T* const slopes = dy.data() + begin + k;
      where_greater(Lanes::load(y.data() + begin + k), zero, Lanes::load(slopes), zero)
          .store(slopes);
    });
  });
}

/// y = exp(x) / sum of exp(x) over the channels of each pixel, from differences to the largest.
template <class T>
void host_softmax_forward(exec::threads threads, view<T const, 4> x, view<T, 4> y) {
  std::ptrdiff_t const channels = x.extent(3);
  for_each_value(threads, x.size() / channels, [&](std::ptrdiff_t pixel) {
    T const* const in = x.data() + pixel * channels;
    T* const out = y.data() + pixel * channels;
    T const largest = *std::max_element(in, in + channels);
    T sum{0};
    for (std::ptrdiff_t k = 0; k < channels; ++k) sum += out[k] = std::exp(in[k] - largest);
    for (std::ptrdiff_t k = 0; k < channels; ++k) out[k] /= sum;
  });
}

/// dx = y * (dy - sum of dy * y over the channels).
template <class T>
void host_softmax_backward(exec::threads threads, view<T const, 4> y, view<T const, 4> dy,
                           view<T, 4> dx) {
  std::ptrdiff_t const channels = y.extent(3);
  for_each_value(threads, y.size() / channels, [&](std::ptrdiff_t pixel) {
    std::ptrdiff_t const begin = pixel * channels;
    T weighted{0};
    for (std::ptrdiff_t k = begin; k < begin + channels; ++k)
      weighted += dy.data()[k] * y.data()[k];
    for (std::ptrdiff_t k = begin; k < begin + channels; ++k)
      dx.data()[k] = y.data()[k] * (dy.data()[k] - weighted);
  });
}

/// Inverted dropout: value i is zeroed where step.uniform(i) < rate, else scaled by 1 / (1 - rate).
/// The same call is its own gradient.
template <class T>
void host_dropout(exec::threads threads, double rate, counter_rng step, view<T const, 4> from,
                  view<T, 4> to) {
  auto const kept = static_cast<T>(1.0 / (1.0 - rate));
  for_each_value(threads, from.size(), [&](std::ptrdiff_t i) {
    T const factor = step.uniform(static_cast<std::uint64_t>(i)) < rate ? T{0} : kept;
    to.data()[i] = from.data()[i] * factor;
  });
}

}  // namespace septum::inline SEPTUM_ABI::detail
