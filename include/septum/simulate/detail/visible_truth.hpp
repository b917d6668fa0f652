#pragma once
#include <septum/core/config.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/types.hpp>
#include <septum/simulate/lineage_truth.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace septum::inline SEPTUM_ABI {
namespace detail {

/// Clears all but the largest 4-connected part of every label (the first one among equals), so that
/// each label is one connected region. Returns the pixels left of each label.
inline std::map<std::int32_t, std::int64_t> keep_largest_parts(labels& cells,
                                                               exec::threads threads) {
  struct part {
    std::int32_t number = 0;
    std::int64_t pixels = 0;
  };
  labels const parts = connected_components(cells, connectivity::four, threads);
  std::vector<std::int64_t> pixels(static_cast<std::size_t>(largest_label(parts)) + 1, 0);
  for (auto const number : parts) ++pixels[static_cast<std::size_t>(number)];
  std::map<std::int32_t, part> largest;
  std::int32_t highest_seen = 0;
  for (std::size_t k = 0; k < cells.size(); ++k) {
    auto const number = parts.data()[k];
    if (number <= highest_seen) continue;  // parts are numbered in the order of their first pixels
    highest_seen = number;
    auto& best = largest[cells.data()[k]];
    auto const count = pixels[static_cast<std::size_t>(number)];
    if (count > best.pixels) best = {number, count};
  }
  std::vector<std::uint8_t> kept(pixels.size(), 0);
  std::map<std::int32_t, std::int64_t> count;
  for (auto const& [id, best] : largest) {
    kept[static_cast<std::size_t>(best.number)] = 1;
    count[id] = best.pixels;
  }
  for (std::size_t k = 0; k < cells.size(); ++k)
    if (kept[static_cast<std::size_t>(parts.data()[k])] == 0) cells.data()[k] = 0;
  return count;
}

/// Collects the truth frame by frame from what is seen of the cells.
class lineage_recorder {
 public:
  /// One cell that has pixels in this frame. `parent` may be a cell that was never seen; the
  /// nearest ancestor that was takes its place.
  void record(std::int32_t parent, double growth_rate_per_h, simulated_state const& state) {
    auto [entry, is_new] = cells_.try_emplace(state.id);
    auto& cell = entry->second;
    if (is_new) {
      cell = {.id = state.id,
              .parent = seen_ancestor(parent),
              .first_frame = state.frame,
              .last_frame = state.frame,
              .growth_rate_per_h = growth_rate_per_h};
      if (cell.parent != 0) cells_.at(cell.parent).fate = cell_fate::divided;
    }
    cell.last_frame = state.frame;
    states_.push_back(state);
  }
  /// A cell that exists, seen or not.
  void know(std::int32_t id, std::int32_t parent) { parent_of_.try_emplace(id, parent); }

  [[nodiscard]] lineage_truth finish(int frames) const {
    lineage_truth truth;
    for (auto [id, cell] : cells_) {
      if (cell.fate != cell_fate::divided && cell.last_frame + 1 < frames)
        cell.fate = cell_fate::left;
      truth.cells.push_back(cell);
    }
    truth.states = states_;
    return truth;
  }

 private:
  [[nodiscard]] std::int32_t seen_ancestor(std::int32_t id) const {
    while (id != 0 && !cells_.contains(id)) {
      auto const known = parent_of_.find(id);
      id = known == parent_of_.end() ? 0 : known->second;
    }
    return id;
  }

  std::map<std::int32_t, simulated_cell> cells_;
  std::map<std::int32_t, std::int32_t> parent_of_;
  std::vector<simulated_state> states_;
};

}  // namespace detail
}  // namespace septum::inline SEPTUM_ABI
