#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/detail/sort_key.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
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

/// Sets of nodes, pixels or groups of them, that hang together above a level that falls.
class falling_sets {
 public:
  using index = std::uint32_t;

  /// Adds a node of so many pixels, a set by itself.
  void add(index area) {
    auto const node = static_cast<index>(parent_.size());
    parent_.push_back(node);
    next_.push_back(node);
    area_.push_back(area);
    core_.push_back(0);
    holds_core_.push_back(0);
  }
  void grow(index node) { ++area_[node]; }

  void unite(index a, index b) {
    a = root(a);
    b = root(b);
    if (a == b) return;
    if (area_[a] < area_[b]) std::swap(a, b);
    parent_[b] = a;
    area_[a] += area_[b];
    holds_core_[a] |= holds_core_[b];
    std::swap(next_[a], next_[b]);
  }
  /// Makes the set of a node the next core, unless it holds one or is too small.
  void make_core(index node, std::int64_t area_min) {
    index const set = root(node);
    if (holds_core_[set] != 0 || static_cast<std::int64_t>(area_[set]) < area_min) return;
    holds_core_[set] = 1;
    ++cores_;
    index each = set;
    do {
      core_[each] = cores_;
      each = next_[each];
    } while (each != set);
  }
  /// Number of the core that a node lies in; 0: none.
  [[nodiscard]] std::int32_t core_of(index node) const { return core_[node]; }

 private:
  [[nodiscard]] index root(index node) {
    while (parent_[node] != node) {
      parent_[node] = parent_[parent_[node]];
      node = parent_[node];
    }
    return node;
  }

  std::vector<index> parent_;
  std::vector<index> next_;  // a ring through every set
  std::vector<index> area_;  // of a set's root: in all
  std::vector<std::int32_t> core_;
  std::vector<std::uint8_t> holds_core_;
  std::int32_t cores_ = 0;
};

}  // namespace detail

/// The cores of a height map (row, column), numbered from 1; all other pixels are 0. As the level
/// falls from `joined_above` to `above`, the set of pixels above it that hang together becomes a
/// core once it has `area_min` pixels, unless a core lies in it already. So two summits are two
/// cores when each is large enough by itself before they meet, however high that is below
/// `joined_above`: what matters is not how deep the saddle between them is but how much there is on
/// either side of it. A watershed from the cores divides the map at those saddles.
/// Complexity: sorts the pixels between the two levels.
/// @throws shape_error `septum.cores.1` for a map of 2^31 - 1 pixels or more
[[nodiscard]] inline labels find_cores(view<float const, 2> height, core_rule const& rule,
                                       exec::threads threads = {}) {
  using index = detail::falling_sets::index;
  std::ptrdiff_t const rows = height.extent(0);
  std::ptrdiff_t const columns = height.extent(1);
  SEPTUM_EXPECTS(
      static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(columns) <
          std::numeric_limits<std::int32_t>::max(),
      shape_error("septum.cores.1", "cores are found in fewer than 2147483647 pixels, there are " +
                                        std::to_string(rows) + " x " + std::to_string(columns) +
                                        "; cut the image"));
  // Node of every pixel, from 1: what hangs together above the highest level is one, and the pixels
  // between the levels are one each, in the order in which the level falls to them.
  labels nodes =
      labels::from_shape({static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)});
  std::int32_t const joined = connected_components(
      [&](std::ptrdiff_t row, std::ptrdiff_t column) {
        return height(row, column) > rule.joined_above;
      },
      as_view(nodes), rule.neighbours, threads);
  detail::falling_sets sets;
  for (std::int32_t k = 0; k < joined; ++k) sets.add(0);
  std::vector<std::uint64_t> order;
  for (std::ptrdiff_t row = 0; row < rows; ++row)
    for (std::ptrdiff_t column = 0; column < columns; ++column) {
      std::ptrdiff_t const pixel = row * columns + column;
      float const value = height(row, column);
      if (std::int32_t const node = nodes.data()[pixel]; node != 0)
        sets.grow(static_cast<index>(node - 1));
      else if (value > rule.above)
        order.push_back((std::uint64_t{~detail::sort_key(value)} << 32U) |
                        static_cast<std::uint64_t>(pixel));
    }
  std::sort(order.begin(), order.end());
  for (std::size_t k = 0; k < order.size(); ++k) sets.add(1);

  for (std::int32_t k = 0; k < joined; ++k) sets.make_core(static_cast<index>(k), rule.area_min);
  int const reach = rule.neighbours == connectivity::eight ? 2 : 1;
  auto const meet_neighbours = [&](index node, std::ptrdiff_t pixel) {
    std::ptrdiff_t const row = pixel / columns;
    std::ptrdiff_t const column = pixel % columns;
    for (int dr = -1; dr <= 1; ++dr)
      for (int dc = -1; dc <= 1; ++dc) {
        if (dr * dr + dc * dc == 0 || dr * dr + dc * dc > reach) continue;
        if (row + dr < 0 || row + dr >= rows || column + dc < 0 || column + dc >= columns) continue;
        std::int32_t const other = nodes.data()[pixel + dr * columns + dc];
        if (other != 0) sets.unite(node, static_cast<index>(other - 1));
      }
  };
  auto const first_node = static_cast<std::size_t>(joined);
  auto const pixel_of = [&](std::size_t k) {
    return static_cast<std::ptrdiff_t>(order[k] & 0xFFFFFFFFU);
  };
  for (std::size_t first = 0; first < order.size();) {
    // Pixels of one level are there together before they meet.
    std::size_t last = first;
    for (; last < order.size() && order[last] >> 32U == order[first] >> 32U; ++last)
      nodes.data()[pixel_of(last)] = static_cast<std::int32_t>(first_node + last + 1);
    for (std::size_t k = first; k < last; ++k)
      meet_neighbours(static_cast<index>(first_node + k), pixel_of(k));
    for (; first < last; ++first)
      sets.make_core(static_cast<index>(first_node + first), rule.area_min);
  }
  for (std::int32_t& node : nodes)
    if (node != 0) node = sets.core_of(static_cast<index>(node - 1));
  return nodes;
}

}  // namespace septum::inline SEPTUM_ABI
