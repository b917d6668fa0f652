#pragma once
#include <septum/backend/detail/lanes.hpp>
#include <septum/backend/problem.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <cstddef>

/// Max-pooling over channels-last maps: strided, as patches are trained, or with stride 1 and
/// dilated offsets, as whole frames run. Bound by memory, so each map is read and written once.
namespace septum::inline SEPTUM_ABI::detail {

/// y = largest value of each window.
template <class T>
void host_max_pool_forward(exec::threads threads, layer_problem const& problem, view<T const, 4> x,
                           view<T, 4> y) {
  int const kernel = problem.geometry.kernel;
  int const stride = problem.geometry.stride;
  int const dilation = problem.geometry.dilation;
  std::ptrdiff_t const channels = problem.in.channels;
  std::ptrdiff_t const row_values = problem.in.width * channels;
  // Without a stride the windows of a row are shifts of one another: the row is one long pixel.
  std::ptrdiff_t const pixels = stride == 1 ? 1 : problem.out.width;
  std::ptrdiff_t const values = stride == 1 ? problem.out.width * channels : channels;
  for_each_range(
      threads, static_cast<std::ptrdiff_t>(problem.batch) * problem.out.height,
      [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t row = begin; row < end; ++row) {
          std::ptrdiff_t const n = row / problem.out.height;
          std::ptrdiff_t const r = row % problem.out.height;
          T const* const top = x.data() + (n * problem.in.height + r * stride) * row_values;
          for (std::ptrdiff_t pixel = 0; pixel < pixels; ++pixel) {
            T const* const corner = top + pixel * stride * channels;
            T* const out = y.data() + (row * problem.out.width + pixel) * channels;
            for_each_lanes<T>(values, [&]<class Lanes>(std::ptrdiff_t k) {
              Lanes best = Lanes::load(corner + k);
              for (int i = 0; i < kernel; ++i)
                for (int j = 0; j < kernel; ++j) {
                  Lanes const here =
                      Lanes::load(corner + i * dilation * row_values + j * dilation * channels + k);
                  best = where_greater(here, best, here, best);
                }
              best.store(out + k);
            });
          }
        }
      });
}

/// dx of windows that tile the map (stride = kernel): every value of dx is written once.
template <class T>
void host_max_pool_backward_tiled(exec::threads threads, layer_problem const& problem,
                                  view<T const, 4> x, view<T const, 4> y, view<T const, 4> dy,
                                  view<T, 4> dx) {
  int const kernel = problem.geometry.kernel;
  std::ptrdiff_t const channels = problem.in.channels;
  std::ptrdiff_t const row_values = problem.in.width * channels;
  std::ptrdiff_t const covered = static_cast<std::ptrdiff_t>(problem.out.width) * kernel * channels;
  for_each_range(threads, static_cast<std::ptrdiff_t>(problem.batch) * problem.out.height,
                 [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                   for (std::ptrdiff_t row = begin; row < end; ++row) {
                     std::ptrdiff_t const n = row / problem.out.height;
                     std::ptrdiff_t const r = row % problem.out.height;
                     std::ptrdiff_t const top = (n * problem.in.height + r * kernel) * row_values;
                     for (std::ptrdiff_t c = 0; c < problem.out.width; ++c) {
                       std::ptrdiff_t const corner = top + c * kernel * channels;
                       std::ptrdiff_t const out = (row * problem.out.width + c) * channels;
                       for_each_lanes<T>(channels, [&]<class Lanes>(std::ptrdiff_t k) {
                         Lanes const zero = Lanes::all(T{0});
                         Lanes const largest = Lanes::load(y.data() + out + k);
                         Lanes slope = Lanes::load(dy.data() + out + k);
                         for (int i = 0; i < kernel; ++i)
                           for (int j = 0; j < kernel; ++j) {
                             std::ptrdiff_t const at = corner + i * row_values + j * channels + k;
                             Lanes const here = Lanes::load(x.data() + at);
                             // The first maximum takes the gradient; nothing is left for a second
                             // one.
                             where_equal(here, largest, slope, zero).store(dx.data() + at);
                             slope = where_equal(here, largest, zero, slope);
                           }
                       });
                     }
                     // Pixels that no window covers: the remainder at the end of the rows and below
                     // them.
                     for (int i = 0; i < kernel; ++i)
                       std::fill(dx.data() + top + i * row_values + covered,
                                 dx.data() + top + (i + 1) * row_values, T{0});
                     if (r + 1 == problem.out.height)
                       std::fill(dx.data() + top + kernel * row_values,
                                 dx.data() + (n + 1) * problem.in.height * row_values, T{0});
                   }
                 });
}

/// dx of windows that overlap. Channels are independent, so each task owns some of one image's and
/// adds in the order of the windows.
template <class T>
void host_max_pool_backward_overlapping(exec::threads threads, layer_problem const& problem,
                                        view<T const, 4> x, view<T const, 4> y, view<T const, 4> dy,
                                        view<T, 4> dx) {
  int const kernel = problem.geometry.kernel;
  int const stride = problem.geometry.stride;
  int const dilation = problem.geometry.dilation;
  std::ptrdiff_t const channels = problem.in.channels;
  std::ptrdiff_t const row_values = problem.in.width * channels;
  constexpr std::ptrdiff_t line = line_lanes<T>::width;
  // As many tasks as threads: the longer a task's run of channels, the fewer lines it touches.
  std::ptrdiff_t const wanted = std::clamp<std::ptrdiff_t>(
      (threads.count + problem.batch - 1) / problem.batch, 1, (channels + line - 1) / line);
  std::ptrdiff_t const group = (channels / wanted + line - 1) / line * line;
  std::ptrdiff_t const groups = (channels + group - 1) / group;
  for_each_range(threads, problem.batch * groups, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t task = begin; task < end; ++task) {
      std::ptrdiff_t const n = task / groups;
      std::ptrdiff_t const first = task % groups * group;
      std::ptrdiff_t const count = std::min(group, channels - first);
      std::ptrdiff_t const image = n * problem.in.height * row_values;
      for (std::ptrdiff_t pixel = 0; pixel < problem.in.height * problem.in.width; ++pixel)
        std::fill_n(dx.data() + image + pixel * channels + first, count, T{0});
      for (std::ptrdiff_t r = 0; r < problem.out.height; ++r)
        for (std::ptrdiff_t c = 0; c < problem.out.width; ++c) {
          std::ptrdiff_t const corner =
              image + r * stride * row_values + c * stride * channels + first;
          std::ptrdiff_t const out =
              ((n * problem.out.height + r) * problem.out.width + c) * channels + first;
          for_each_lanes<T>(count, [&]<class Lanes>(std::ptrdiff_t k) {
            Lanes const zero = Lanes::all(T{0});
            Lanes const largest = Lanes::load(y.data() + out + k);
            Lanes slope = Lanes::load(dy.data() + out + k);
            for (int i = 0; i < kernel; ++i)
              for (int j = 0; j < kernel; ++j) {
                std::ptrdiff_t const at =
                    corner + i * dilation * row_values + j * dilation * channels + k;
                Lanes const here = Lanes::load(x.data() + at);
                // The first maximum takes the gradient; nothing is left for a second one.
                (Lanes::load(dx.data() + at) + where_equal(here, largest, slope, zero))
                    .store(dx.data() + at);
                slope = where_equal(here, largest, zero, slope);
              }
          });
        }
    }
  });
}

/// The gradient of each window goes to its first maximum in row-major order.
template <class T>
void host_max_pool_backward(exec::threads threads, layer_problem const& problem, view<T const, 4> x,
                            view<T const, 4> y, view<T const, 4> dy, view<T, 4> dx) {
  auto const& g = problem.geometry;
  if (g.dilation == 1 && g.stride == g.kernel)
    host_max_pool_backward_tiled<T>(threads, problem, x, y, dy, dx);
  else
    host_max_pool_backward_overlapping<T>(threads, problem, x, y, dy, dx);
}

}  // namespace septum::inline SEPTUM_ABI::detail
