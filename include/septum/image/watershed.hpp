#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Which of several pixels of equal height is flooded first.
enum class tie_order {
  /// the one that was reached first; seeds count as reached in raster order
  arrival,
  /// the one that scikit-image's binary heap yields first, which differs among seeds of equal
  /// height; slower, and equal to scikit-image 0.26 in every pixel
  scikit_image
};

/// How a watershed floods.
struct watershed_options {
  connectivity neighbours = connectivity::four;
  tie_order ties = tie_order::arrival;
};

namespace detail {

/// A pixel that is flooded from the start, and its label.
struct flood_seed {
  std::int32_t pixel;
  std::int32_t label;
};

/// An image with a margin of one pixel, flooded level by level. A pixel holds the label that it was
/// flooded with (above 0), `blocked` where water may not go, or waits and holds its level.
class flood {
 public:
  static constexpr std::int32_t blocked = -1;
  [[nodiscard]] static constexpr std::int32_t waiting_at(std::int32_t level) { return -2 - level; }

  /// @param state           blocked or waiting pixels; `margin_columns` is the width with margin
  /// @param levels          number of levels; those of the pixels are 0 ... levels - 1
  flood(std::vector<std::int32_t>& state, std::size_t levels, std::ptrdiff_t margin_columns,
        connectivity neighbours)
      : state_{state},
        levels_{levels},
        steps_{-margin_columns,
               -1,
               1,
               margin_columns,
               -margin_columns - 1,
               -margin_columns + 1,
               margin_columns - 1,
               margin_columns + 1},
        step_count_{neighbours == connectivity::four ? std::size_t{4} : std::size_t{8}} {}

  /// Within a level, pixels wait in a queue: first come, first served.
  void by_arrival(std::vector<flood_seed> const& seeds) {
    constexpr std::int32_t none = -1;
    std::vector<std::int32_t> first(levels_, none);
    std::vector<std::int32_t> last(levels_, none);
    auto const next = std::make_unique_for_overwrite<std::int32_t[]>(state_.size());
    auto const append = [&](std::int32_t pixel, std::int32_t level) {
      next[at(pixel)] = none;
      if (first[at(level)] == none)
        first[at(level)] = pixel;
      else
        next[at(last[at(level)])] = pixel;
      last[at(level)] = pixel;
    };
    for (flood_seed const seed : seeds) append(seed.pixel, wet(seed.pixel, seed.label));
    for (std::int32_t level = 0; at(level) < levels_; ++level)
      for (std::int32_t pixel = first[at(level)]; pixel != none; pixel = next[at(pixel)])
        reach_neighbours(pixel, [&](std::int32_t neighbour, std::int32_t height) {
          append(neighbour, std::max(level, height));
        });
  }

  /// All pixels wait in one binary heap, whose order among equal seeds is part of the result.
  void by_heap(std::vector<flood_seed> const& seeds) {
    std::uint64_t age = 0;
    for (flood_seed const seed : seeds) push(key_of(wet(seed.pixel, seed.label), 0), seed.pixel);
    while (!heap_.empty()) {
      waiting const lowest = pop();
      auto const level = static_cast<std::int32_t>(lowest.key >> 32U);
      reach_neighbours(lowest.pixel, [&](std::int32_t neighbour, std::int32_t height) {
        push(key_of(std::max(level, height), ++age), neighbour);
      });
    }
  }

 private:
  struct waiting {
    std::uint64_t key;
    std::int32_t pixel;
  };

  [[nodiscard]] static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] static std::uint64_t key_of(std::int32_t level, std::uint64_t age) {
    return (static_cast<std::uint64_t>(level) << 32U) | age;
  }

  /// Gives a waiting pixel a label; returns its level.
  std::int32_t wet(std::int32_t pixel, std::int32_t label) {
    return -2 - std::exchange(state_[at(pixel)], label);
  }
  /// Gives the label of a pixel to its waiting neighbours, and tells which they are and their
  /// level.
  template <class Visit>
  void reach_neighbours(std::int32_t pixel, Visit const& visit) {
    std::int32_t const label = state_[at(pixel)];
    for (std::size_t k = 0; k < step_count_; ++k) {
      auto const neighbour = static_cast<std::int32_t>(pixel + steps_[k]);
      if (state_[at(neighbour)] < blocked) visit(neighbour, wet(neighbour, label));
    }
  }

  void push(std::uint64_t key, std::int32_t pixel) {
    std::size_t child = heap_.size();
    heap_.push_back({key, pixel});
    while (child > 0) {
      std::size_t const parent = (child - 1) / 2;
      if (heap_[child].key >= heap_[parent].key) break;
      std::swap(heap_[child], heap_[parent]);
      child = parent;
    }
  }
  [[nodiscard]] waiting pop() {
    waiting const lowest = heap_.front();
    heap_.front() = heap_.back();
    heap_.pop_back();
    for (std::size_t parent = 0;;) {
      std::size_t const left = 2 * parent + 1;
      std::size_t lower = parent;
      if (left < heap_.size() && heap_[left].key < heap_[lower].key) lower = left;
      if (left + 1 < heap_.size() && heap_[left + 1].key < heap_[lower].key) lower = left + 1;
      if (lower == parent) break;
      std::swap(heap_[parent], heap_[lower]);
      parent = lower;
    }
    return lowest;
  }

  std::vector<std::int32_t>& state_;
  std::size_t levels_;
  std::array<std::ptrdiff_t, 8> steps_;
  std::size_t step_count_;
  std::vector<waiting> heap_;
};

/// Order-preserving unsigned number of a height; -0 counts as 0.
template <class T>
[[nodiscard]] std::uint64_t height_key(T height) {
  if constexpr (std::floating_point<T>) {
    auto const bits = std::bit_cast<std::uint64_t>(static_cast<double>(height) + 0.0);
    constexpr std::uint64_t sign = std::uint64_t{1} << 63U;
    return (bits & sign) != 0 ? ~bits : bits | sign;
  } else {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(height)) ^
           (std::uint64_t{1} << 63U);
  }
}

/// A pixel and the number that sorts it.
struct keyed_pixel {
  std::uint64_t key;
  std::size_t pixel;
};

/// Sorts by key, 11 bits at a time from the lowest; digits that are the same in all keys cost
/// nothing.
inline void sort_by_key(std::vector<keyed_pixel>& entries) {
  constexpr std::size_t digits = 6;
  constexpr std::size_t values = 2048;
  std::vector<std::array<std::size_t, values>> counts(digits);
  auto const digit_of = [](std::uint64_t key, std::size_t digit) {
    return static_cast<std::size_t>(key >> (11 * digit)) % values;
  };
  for (keyed_pixel const& entry : entries)
    for (std::size_t digit = 0; digit < digits; ++digit)
      ++counts[digit][digit_of(entry.key, digit)];
  std::vector<keyed_pixel> sorted(entries.size());
  for (std::size_t digit = 0; digit < digits && !entries.empty(); ++digit) {
    auto& place = counts[digit];
    if (place[digit_of(entries.front().key, digit)] == entries.size()) continue;
    std::size_t before = 0;
    for (std::size_t& count : place) before += std::exchange(count, before);
    for (keyed_pixel const& entry : entries) sorted[place[digit_of(entry.key, digit)]++] = entry;
    entries.swap(sorted);
  }
}

/// Makes the pixels that water may reach wait at their levels: differences to the lowest height
/// when those are small, ranks of the heights otherwise. Returns the number of levels.
template <class T>
[[nodiscard]] std::size_t enter_levels(view<T const, 2> relief, mask const& inside,
                                       std::vector<std::int32_t>& state,
                                       std::ptrdiff_t margin_columns, exec::threads threads) {
  std::ptrdiff_t const columns = relief.extent(1);
  auto const for_each_open_pixel = [&](std::ptrdiff_t begin, std::ptrdiff_t end,
                                       auto const& visit) {
    for (std::ptrdiff_t r = begin; r < end; ++r) {
      T const* const heights = relief.data() + r * relief.stride(0);
      std::uint8_t const* const open = inside.data() + r * columns;
      for (std::ptrdiff_t c = 0; c < columns; ++c)
        if (open[c] != 0)
          visit(static_cast<std::size_t>((r + 1) * margin_columns + c + 1), heights[c]);
    }
  };
  if constexpr (std::integral<T>) {
    std::int64_t lowest = std::numeric_limits<std::int64_t>::max();
    std::int64_t highest = std::numeric_limits<std::int64_t>::min();
    for_each_open_pixel(0, relief.extent(0), [&](std::size_t, T height) {
      lowest = std::min(lowest, static_cast<std::int64_t>(height));
      highest = std::max(highest, static_cast<std::int64_t>(height));
    });
    if (lowest > highest) return 0;
    if (highest - lowest < static_cast<std::int64_t>(state.size()) + 0x10000) {
      for_each_range(threads, relief.extent(0), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for_each_open_pixel(begin, end, [&](std::size_t p, T height) {
          state[p] = flood::waiting_at(
              static_cast<std::int32_t>(static_cast<std::int64_t>(height) - lowest));
        });
      });
      return static_cast<std::size_t>(highest - lowest) + 1;
    }
  }
  std::vector<keyed_pixel> order;
  for_each_open_pixel(0, relief.extent(0), [&](std::size_t p, T height) {
    order.push_back({height_key(height), p});
  });
  sort_by_key(order);
  std::int32_t level = -1;
  for (std::size_t k = 0; k < order.size(); ++k) {
    if (k == 0 || order[k].key != order[k - 1].key) ++level;
    state[order[k].pixel] = flood::waiting_at(level);
  }
  return static_cast<std::size_t>(level + 1);
}

}  // namespace detail

/// Height of a pixel of a relief.
template <class T>
concept Height = std::floating_point<T> ||(std::integral<T> && sizeof(T) <= 4);

/// Seeded watershed: every seed floods the relief from low to high, and where the waters of two
/// seeds meet the cells end; no line is left between them. Water goes only where `inside` is not 0;
/// seeds outside are dropped, and pixels that no seed reaches stay 0. A pixel is flooded no earlier
/// than the one that led to it. Axes row, column.
/// \throws shape_error `septum.watershed.1` on different extents, unsupported_error
///         `septum.watershed.2` on a height that is not finite, `septum.watershed.3` on more than
///         2^31 pixels, `septum.labels.1` on a negative seed.
/// complexity: linear in the pixels for integers of a small range, else that of sorting them.
template <Height T>
[[nodiscard]] labels watershed(view<T const, 2> relief, labels const& seeds, mask const& inside,
                               watershed_options options = {}, exec::threads threads = {}) {
  auto const rows = static_cast<std::ptrdiff_t>(seeds.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(seeds.shape()[1]);
  SEPTUM_EXPECTS(
      relief.extent(0) == rows && relief.extent(1) == columns && inside.shape() == seeds.shape(),
      shape_error("septum.watershed.1",
                  "watershed: expected relief and mask of the seeds' extent " +
                      std::to_string(rows) + " x " + std::to_string(columns) + ", found " +
                      std::to_string(relief.extent(0)) + " x " + std::to_string(relief.extent(1)) +
                      " and " + std::to_string(inside.shape()[0]) + " x " +
                      std::to_string(inside.shape()[1])));
  SEPTUM_EXPECTS(
      (rows + 2) * (columns + 2) <= std::numeric_limits<std::int32_t>::max(),
      unsupported_error("septum.watershed.3", "watershed: expected at most 2^31 pixels, found " +
                                                  std::to_string(rows) + " x " +
                                                  std::to_string(columns) + "; flood tiles of it"));
  static_cast<void>(largest_label(seeds));
  if constexpr (std::floating_point<T>)
    for (std::ptrdiff_t r = 0; r < rows; ++r)
      for (std::ptrdiff_t c = 0; c < columns; ++c)
        SEPTUM_EXPECTS(
            inside.data()[r * columns + c] == 0 || std::isfinite(relief(r, c)),
            unsupported_error("septum.watershed.2",
                              "watershed: expected finite heights, found NaN or infinity at row " +
                                  std::to_string(r) + ", column " + std::to_string(c)));

  std::ptrdiff_t const margin_columns = columns + 2;
  std::vector<std::int32_t> state(static_cast<std::size_t>((rows + 2) * margin_columns),
                                  detail::flood::blocked);
  std::size_t const levels = detail::enter_levels(relief, inside, state, margin_columns, threads);
  std::vector<detail::flood_seed> wet;
  for (std::ptrdiff_t r = 0; r < rows; ++r)
    for (std::ptrdiff_t c = 0; c < columns; ++c) {
      std::ptrdiff_t const p = r * columns + c;
      if (seeds.data()[p] != 0 && inside.data()[p] != 0)
        wet.push_back(
            {static_cast<std::int32_t>((r + 1) * margin_columns + c + 1), seeds.data()[p]});
    }
  detail::flood water{state, levels, margin_columns, options.neighbours};
  if (options.ties == tie_order::arrival)
    water.by_arrival(wet);
  else
    water.by_heap(wet);

  labels result = labels::from_shape(seeds.shape());
  for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t r = begin; r < end; ++r) {
      std::int32_t const* const from = state.data() + (r + 1) * margin_columns + 1;
      std::int32_t* const to = result.data() + r * columns;
      for (std::ptrdiff_t c = 0; c < columns; ++c) to[c] = std::max(from[c], 0);
    }
  });
  return result;
}
template <Height T>
[[nodiscard]] labels watershed(view<T const, 2> relief, labels const& seeds, mask const& inside,
                               connectivity neighbours, exec::threads threads = {}) {
  return watershed(relief, seeds, inside, watershed_options{.neighbours = neighbours}, threads);
}

/// The same on a relief that is held.
template <Height T>
[[nodiscard]] labels watershed(xt::xtensor<T, 2> const& relief, labels const& seeds,
                               mask const& inside, watershed_options options = {},
                               exec::threads threads = {}) {
  return watershed(as_view(relief), seeds, inside, options, threads);
}

/// The same with water going everywhere.
template <Height T>
[[nodiscard]] labels watershed(xt::xtensor<T, 2> const& relief, labels const& seeds,
                               watershed_options options = {}, exec::threads threads = {}) {
  mask everywhere = mask::from_shape(seeds.shape());
  everywhere.fill(1);
  return watershed(as_view(relief), seeds, everywhere, options, threads);
}

}  // namespace septum::inline SEPTUM_ABI
