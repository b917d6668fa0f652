#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/image/components.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// What is a core of an object in a map of heights, such as probabilities.
struct core_rule {
  float above = 0.5F;          ///< lower pixels are in no core
  float joined_above = 0.9F;   ///< pixels that hang together above it are in one core
  std::int64_t area_min = 25;  ///< in pixels, at least 1
  /// whether pixels that touch at a corner hang together
  connectivity neighbours = connectivity::eight;
};

namespace detail {

/// The sets of pixels that hang together above a level that falls.
class falling_sets {
 public:
  using index = std::uint32_t;

  explicit falling_sets(std::size_t pixels)
      : parent_(pixels, nowhere), next_(pixels), area_(pixels), has_core_(pixels) {}

  [[nodiscard]] bool holds(index pixel) const { return parent_[pixel] != nowhere; }
  void add(index pixel) {
    parent_[pixel] = pixel;
    next_[pixel] = pixel;
    area_[pixel] = 1;
  }
  void unite(index a, index b) {
    a = root(a);
    b = root(b);
    if (a == b) return;
    if (area_[a] < area_[b]) std::swap(a, b);
    parent_[b] = a;
    area_[a] += area_[b];
    has_core_[a] |= has_core_[b];
    std::swap(next_[a], next_[b]);
  }
  /// Makes the set of a pixel a core, unless it holds one or is too small, and calls `visit` for
  /// each of its pixels; whether it did.
  template <class Visit>
  bool make_core(index pixel, std::int64_t area_min, Visit const& visit) {
    index const set = root(pixel);
    if (has_core_[set] != 0 || static_cast<std::int64_t>(area_[set]) < area_min) return false;
    has_core_[set] = 1;
    index each = set;
    do {
      visit(each);
      each = next_[each];
    } while (each != set);
    return true;
  }

 private:
  static constexpr index nowhere = std::numeric_limits<index>::max();

  [[nodiscard]] index root(index pixel) {
    while (parent_[pixel] != pixel) {
      parent_[pixel] = parent_[parent_[pixel]];
      pixel = parent_[pixel];
    }
    return pixel;
  }

  std::vector<index> parent_;  // nowhere: the level is not that low yet
  std::vector<index> next_;    // a ring through every set
  std::vector<index> area_;
  std::vector<std::uint8_t> has_core_;
};

/// Unsigned numbers in the order of floats that are no NaN.
[[nodiscard]] inline std::uint32_t rank_of(float value) {
  auto const bits = std::bit_cast<std::uint32_t>(value);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

}  // namespace detail

/// The cores of a height map (row, column), numbered from 1; all other pixels are 0. As the level
/// falls from `joined_above` to `above`, the set of pixels above it that hang together becomes a
/// core once it has `area_min` pixels, unless a core lies in it already. So two summits are two
/// cores when each is large enough by itself before they meet, however high that is below
/// `joined_above`: what matters is not how deep the saddle between them is but how much there is on
/// either side of it. A watershed from the cores divides the map at those saddles.
/// Complexity: sorts the pixels above `above`.
/// @throws shape_error `septum.cores.1` for a map of 2^32 pixels or more
[[nodiscard]] inline labels find_cores(view<float const, 2> height, core_rule const& rule) {
  using index = detail::falling_sets::index;
  std::ptrdiff_t const rows = height.extent(0);
  std::ptrdiff_t const columns = height.extent(1);
  SEPTUM_EXPECTS(
      static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(columns) <
          std::numeric_limits<index>::max(),
      shape_error("septum.cores.1", "cores are found in fewer than 4294967295 pixels, there are " +
                                        std::to_string(rows) + " x " + std::to_string(columns) +
                                        "; cut the image"));
  // Those above the highest level are one level, in which most pixels lie; the others are sorted.
  std::vector<index> level;
  std::vector<std::uint64_t> order;
  for (std::ptrdiff_t row = 0; row < rows; ++row)
    for (std::ptrdiff_t column = 0; column < columns; ++column) {
      float const value = height(row, column);
      if (!(value > rule.above)) continue;
      auto const pixel = static_cast<index>(row * columns + column);
      if (value > rule.joined_above)
        level.push_back(pixel);
      else
        order.push_back((std::uint64_t{~detail::rank_of(value)} << 32U) | pixel);
    }
  std::sort(order.begin(), order.end());

  detail::falling_sets sets{static_cast<std::size_t>(rows * columns)};
  labels cores =
      xt::zeros<std::int32_t>({static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)});
  std::int32_t count = 0;
  int const reach = rule.neighbours == connectivity::eight ? 2 : 1;
  auto const meet_neighbours = [&](index pixel) {
    auto const row = static_cast<std::ptrdiff_t>(pixel) / columns;
    auto const column = static_cast<std::ptrdiff_t>(pixel) % columns;
    for (int dr = -1; dr <= 1; ++dr)
      for (int dc = -1; dc <= 1; ++dc) {
        if (dr * dr + dc * dc == 0 || dr * dr + dc * dc > reach) continue;
        if (row + dr < 0 || row + dr >= rows || column + dc < 0 || column + dc >= columns) continue;
        auto const other = static_cast<index>((row + dr) * columns + column + dc);
        if (sets.holds(other)) sets.unite(pixel, other);
      }
  };
  auto const lower_to_level = [&] {
    for (index const pixel : level) sets.add(pixel);
    for (index const pixel : level) meet_neighbours(pixel);
    for (index const pixel : level)
      count +=
          sets.make_core(pixel, rule.area_min, [&](index each) { cores.data()[each] = count + 1; });
  };
  lower_to_level();
  for (std::size_t k = 0; k < order.size();) {
    level.clear();
    for (auto const rank = order[k] >> 32U; k < order.size() && order[k] >> 32U == rank; ++k)
      level.push_back(static_cast<index>(order[k]));
    lower_to_level();
  }
  return cores;
}

}  // namespace septum::inline SEPTUM_ABI
