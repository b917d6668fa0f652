#pragma once
#include <septum/core/error.hpp>
#include <septum/core/shape.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// How an output map is cut into tiles of one extent. Tiles that would leave the map are moved
/// back into it, so all of them run through the same plans; where two tiles overlap they compute
/// the same values. Extents and origins are in output pixels.
struct tile_plan {
  int output_height = 0;
  int output_width = 0;
  int tile_height = 0;
  int tile_width = 0;

  struct tile {
    int row = 0;
    int column = 0;
  };
  /// Top left corners in row-major order.
  [[nodiscard]] std::vector<tile> tiles() const {
    std::vector<tile> corners;
    for (int row = 0; row < output_height; row += tile_height)
      for (int column = 0; column < output_width; column += tile_width)
        corners.push_back({std::min(row, output_height - tile_height),
                           std::min(column, output_width - tile_width)});
    return corners;
  }
};

/// Chooses the tiles for an image of height x width pixels: as few and as equal as the budget
/// allows, since what tiles share is computed twice; none larger than `largest_side` output pixels
/// a side.
/// @param field           receptive field; a tile of n output pixels reads n + field - 1
/// @param activation_bytes callable (input height, input width) -> bytes of the maps of one tile
/// @param budget_bytes    upper bound for those bytes
/// @throws shape_error when the image is smaller than the field
/// @throws unsupported_error when even a tile of one output pixel exceeds the budget
template <class Bytes>
[[nodiscard]] tile_plan plan_tiles(int height, int width, int field, Bytes const& activation_bytes,
                                   std::size_t budget_bytes, int largest_side = 1 << 20) {
  SEPTUM_EXPECTS(height >= field && width >= field,
                 shape_error("septum.net.5",
                             "an image of " + std::to_string(height) + "x" + std::to_string(width) +
                                 " pixels is smaller than the receptive field of " +
                                 std::to_string(field) + "x" + std::to_string(field) +
                                 "; use a larger image or a net with a smaller field"));
  int const output_height = height - field + 1;
  int const output_width = width - field + 1;
  auto const parts = [](int whole, int count) { return (whole + count - 1) / count; };
  int vertical = parts(output_height, largest_side);
  int horizontal = parts(output_width, largest_side);
  auto const bytes = [&](int down, int across) {
    return static_cast<std::size_t>(activation_bytes(parts(output_height, down) + field - 1,
                                                     parts(output_width, across) + field - 1));
  };
  while (bytes(vertical, horizontal) > budget_bytes) {
    int const tall = parts(output_height, vertical);
    int const wide = parts(output_width, horizontal);
    SEPTUM_EXPECTS(tall > 1 || wide > 1,
                   unsupported_error("septum.net.6",
                                     "a tile of one output pixel needs " +
                                         std::to_string(bytes(vertical, horizontal)) +
                                         " bytes, the budget is " + std::to_string(budget_bytes) +
                                         " bytes; raise the budget",
                                     fault::resource));
    // The cut that saves more; for equal savings the longer side.
    std::size_t const down = tall > 1 ? bytes(2 * vertical, horizontal) : SIZE_MAX;
    std::size_t const across = wide > 1 ? bytes(vertical, 2 * horizontal) : SIZE_MAX;
    if (down < across || (down == across && tall >= wide))
      ++vertical;
    else
      ++horizontal;
  }
  return {output_height, output_width, parts(output_height, vertical),
          parts(output_width, horizontal)};
}

}  // namespace septum::inline SEPTUM_ABI
