#pragma once
#include <septum/core/error.hpp>
#include <septum/nn/stack.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Where a map may be cut without changing a byte of its parts.
struct tile_grid {
  int period = 1;  ///< tiles start at its multiples
  /// The last rows and columns of a tile, which its neighbour computes as well: where the map goes
  /// on beyond a tile, they may differ by rounding from those of the whole.
  int margin = 0;
};

/// How an output map is cut into tiles of one extent, so that all of them run through the same
/// plans. Without a grid, tiles that would leave the map are moved back into it; where two tiles
/// overlap they compute the same values. On a grid, tiles lie `step` apart, each adds its first
/// `step` rows and columns to the result and the last one all of them. Extents and origins are in
/// output pixels.
struct tile_plan {
  int output_height = 0;
  int output_width = 0;
  int tile_height = 0;
  int tile_width = 0;
  int step_height = 0;
  int step_width = 0;

  struct tile {
    int row = 0;
    int column = 0;
  };
  /// Rows of the tile at `row` that belong to the result, and columns of the one at `column`.
  [[nodiscard]] int rows_of(int row) const {
    return row + tile_height == output_height ? tile_height : step_height;
  }
  [[nodiscard]] int columns_of(int column) const {
    return column + tile_width == output_width ? tile_width : step_width;
  }
  /// Top left corners in row-major order.
  [[nodiscard]] std::vector<tile> tiles() const {
    std::vector<tile> corners;
    for (int const row : corners_along(output_height, tile_height, step_height))
      for (int const column : corners_along(output_width, tile_width, step_width))
        corners.push_back({row, column});
    return corners;
  }

 private:
  static std::vector<int> corners_along(int whole, int tile, int step) {
    std::vector<int> corners;
    for (int at = 0; at + tile < whole; at += step) corners.push_back(at);
    corners.push_back(whole - tile);
    return corners;
  }
};

namespace detail {

/// Where the output of a net may be cut whose layers compute blocks of output.
/// @param rows   the layers
/// @param grids  per layer, what the first row and column of a call's output are multiples of
/// @param field  the net's receptive field
[[nodiscard]] inline tile_grid common_grid(std::span<layer_row const> rows,
                                           std::span<int const> grids, int field) {
  tile_grid all;
  for (int const grid : grids) all.period = std::lcm(all.period, grid);
  // What is left of a part of `period` outputs and a margin, layer by layer.
  auto const exact = [&](int margin) {
    int left = all.period + margin + field - 1;
    for (std::size_t k = 0; k < rows.size(); ++k)
      left = (left - (rows[k].geometry.extent() - 1)) / grids[k] * grids[k];
    return left;
  };
  while (exact(all.margin) < all.period) ++all.margin;
  return all;
}

/// One side of a map cut into `count` tiles.
struct tile_side {
  int tile = 0;
  int step = 0;
};
inline tile_side cut_side(int whole, int count, tile_grid grid) {
  if (count == 1) return {whole, whole};
  if (grid.period == 1) {
    int const part = (whole + count - 1) / count;
    return {part, part};
  }
  int const step = (whole - grid.margin) / count / grid.period * grid.period;
  return {whole - (count - 1) * step, step};
}
inline bool can_cut_side(int whole, int count, tile_grid grid) {
  return (whole - grid.margin) / count >= grid.period;
}

}  // namespace detail

/// Chooses the tiles for an image of height x width pixels: as few and as equal as the budget
/// allows, since what tiles share is computed twice; none larger than `largest_side` output pixels
/// a side, unless a grid asks for it.
/// @param field           receptive field; a tile of n output pixels reads n + field - 1
/// @param activation_bytes callable (input height, input width) -> bytes of the maps of one tile
/// @param budget_bytes    upper bound for those bytes
/// @param grid            where the map may be cut
/// @throws shape_error when the image is smaller than the field
/// @throws unsupported_error when even the smallest tile exceeds the budget
template <class Bytes>
[[nodiscard]] tile_plan plan_tiles(int height, int width, int field, Bytes const& activation_bytes,
                                   std::size_t budget_bytes, int largest_side = 1 << 20,
                                   tile_grid grid = {}) {
  SEPTUM_EXPECTS(height >= field && width >= field,
                 shape_error("septum.net.5",
                             "an image of " + std::to_string(height) + "x" + std::to_string(width) +
                                 " pixels is smaller than the receptive field of " +
                                 std::to_string(field) + "x" + std::to_string(field) +
                                 "; use a larger image or a net with a smaller field"));
  int const output_height = height - field + 1;
  int const output_width = width - field + 1;
  auto const tall = [&](int count) { return detail::cut_side(output_height, count, grid); };
  auto const wide = [&](int count) { return detail::cut_side(output_width, count, grid); };
  auto const tall_enough = [&](int count) {
    return detail::can_cut_side(output_height, count, grid);
  };
  auto const wide_enough = [&](int count) {
    return detail::can_cut_side(output_width, count, grid);
  };
  int vertical = 1;
  int horizontal = 1;
  while (tall(vertical).tile > largest_side && tall_enough(vertical + 1)) ++vertical;
  while (wide(horizontal).tile > largest_side && wide_enough(horizontal + 1)) ++horizontal;
  auto const bytes = [&](int down, int across) {
    return static_cast<std::size_t>(
        activation_bytes(tall(down).tile + field - 1, wide(across).tile + field - 1));
  };
  while (bytes(vertical, horizontal) > budget_bytes) {
    bool const cut_down = tall_enough(vertical + 1);
    bool const cut_across = wide_enough(horizontal + 1);
    SEPTUM_EXPECTS(cut_down || cut_across,
                   unsupported_error(
                       "septum.net.6",
                       "the smallest tile, " + std::to_string(tall(vertical).tile) + "x" +
                           std::to_string(wide(horizontal).tile) + " output pixels, needs " +
                           std::to_string(bytes(vertical, horizontal)) + " bytes, the budget is " +
                           std::to_string(budget_bytes) + " bytes; raise the budget",
                       fault::resource));
    // The cut that saves more; for equal savings the longer side.
    std::size_t const down =
        cut_down ? bytes(tall_enough(2 * vertical) ? 2 * vertical : vertical + 1, horizontal)
                 : SIZE_MAX;
    std::size_t const across =
        cut_across ? bytes(vertical, wide_enough(2 * horizontal) ? 2 * horizontal : horizontal + 1)
                   : SIZE_MAX;
    if (down < across || (down == across && tall(vertical).tile >= wide(horizontal).tile))
      ++vertical;
    else
      ++horizontal;
  }
  return {output_height,         output_width,        tall(vertical).tile,
          wide(horizontal).tile, tall(vertical).step, wide(horizontal).step};
}

}  // namespace septum::inline SEPTUM_ABI
