#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/core/text.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// A segmentation with faults at set rates: cells that were missed, and cells that were joined with
/// a neighbour. Numbers of cells say nothing about who is who: 1, 2, ... from top to bottom.
struct detection_errors {
  double missed = 0.0;  ///< chance of each cell to be missed in a frame
  double merged =
      0.0;  ///< chance of each cell to be joined with the neighbour that it touches most
  std::int32_t contact_px = 3;  ///< cells this near or nearer touch
  std::uint64_t seed = 0;

  /// One frame; a pure function of the options, the frame's number and the labels.
  /// \throws unsupported_error `septum.simulate.2` for a rate outside [0, 1]
  [[nodiscard]] labels operator()(labels const& cells, std::int64_t frame) const {
    SEPTUM_EXPECTS(missed >= 0 && missed <= 1 && merged >= 0 && merged <= 1 && contact_px > 0,
                   unsupported_error("septum.simulate.3",
                                     "rates of missed and merged cells: expected 0 to 1, found " +
                                         to_text(missed) + " and " + to_text(merged)));
    counter_rng const rng =
        counter_rng{seed, stream::simulation}.fork(static_cast<std::uint64_t>(frame) + 1);
    std::map<std::int32_t, std::int32_t> becomes;
    for (std::int32_t const value : cells)
      if (value > 0) becomes.emplace(value, value);
    if (merged > 0) join(cells, rng, becomes);
    for (auto& [cell, name] : becomes)
      if (rng.uniform(2 * static_cast<std::uint64_t>(cell)) < missed && name == cell &&
          !is_joined(becomes, cell))
        name = 0;
    labels result = cells;
    for (std::int32_t& value : result)
      if (value > 0) value = becomes.at(value);
    if (merged > 0) close_seams(cells, becomes, result);
    renumber(result);
    return result;
  }

 private:
  using names = std::map<std::int32_t, std::int32_t>;

  [[nodiscard]] static bool is_joined(names const& becomes, std::int32_t cell) {
    return std::any_of(becomes.begin(), becomes.end(), [&](auto const& entry) {
      return entry.first != cell && entry.second == cell;
    });
  }

  /// Pixels at which two cells are near each other, by pair.
  [[nodiscard]] std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> contacts(
      labels const& cells) const {
    std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> found;
    auto const rows = static_cast<std::ptrdiff_t>(cells.shape()[0]);
    auto const columns = static_cast<std::ptrdiff_t>(cells.shape()[1]);
    for (std::ptrdiff_t r = 0; r < rows; ++r)
      for (std::ptrdiff_t c = 0; c < columns; ++c) {
        std::int32_t const here = cells(r, c);
        if (here == 0) continue;
        for (std::ptrdiff_t k = 1; k <= contact_px; ++k)
          for (auto const& [y, x] : {std::pair{r + k, c}, std::pair{r, c + k}}) {
            if (y >= rows || x >= columns) continue;
            std::int32_t const other = cells(y, x);
            if (other == 0 || other == here) continue;
            ++found[std::minmax(here, other)];
          }
      }
    return found;
  }

  void join(labels const& cells, counter_rng const& rng, names& becomes) const {
    auto const near = contacts(cells);
    std::map<std::int32_t, std::pair<std::int64_t, std::int32_t>> closest;
    for (auto const& [pair, count] : near)
      for (auto const& [cell, other] : {pair, std::pair{pair.second, pair.first}}) {
        auto& best = closest[cell];
        if (count > best.first) best = {count, other};
      }
    std::map<std::int32_t, bool> taken;
    for (auto const& [cell, best] : closest) {
      if (rng.uniform(2 * static_cast<std::uint64_t>(cell) + 1) >= merged) continue;
      // Two cells per joint: chains of cells are another kind of fault.
      if (taken[cell] || taken[best.second]) continue;
      taken[cell] = taken[best.second] = true;
      becomes[best.second] = cell;
    }
  }

  /// Background between two cells that were joined becomes theirs.
  static void close_seams(labels const& cells, names const& becomes, labels& result) {
    auto const rows = static_cast<std::ptrdiff_t>(cells.shape()[0]);
    auto const columns = static_cast<std::ptrdiff_t>(cells.shape()[1]);
    for (std::ptrdiff_t r = 1; r + 1 < rows; ++r)
      for (std::ptrdiff_t c = 1; c + 1 < columns; ++c) {
        if (cells(r, c) != 0) continue;
        std::int32_t one = 0;
        for (std::ptrdiff_t y = r - 1; y <= r + 1; ++y)
          for (std::ptrdiff_t x = c - 1; x <= c + 1; ++x) {
            std::int32_t const cell = cells(y, x);
            if (cell == 0) continue;
            if (one != 0 && one != cell && becomes.at(one) == becomes.at(cell))
              result(r, c) = becomes.at(cell);
            one = cell;
          }
      }
  }

  static void renumber(labels& cells) {
    std::map<std::int32_t, std::int32_t> number;
    for (std::int32_t& value : cells)
      if (value > 0)
        value = number.emplace(value, static_cast<std::int32_t>(number.size()) + 1).first->second;
  }
};

}  // namespace septum::inline SEPTUM_ABI
