#pragma once
#include <septum/core/config.hpp>
#include <septum/core/view.hpp>

#include <functional>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Pixels of an output map, which is smaller than its image by the net's border on every side.
struct output_rectangle {
  int row = 0;
  int column = 0;
  int rows = 0;
  int columns = 0;
  friend constexpr bool operator==(output_rectangle const&, output_rectangle const&) = default;
};

/// A part of an output map that is computed in one piece, and what of it is wanted.
struct output_part {
  output_rectangle area;
  std::vector<output_rectangle> kept;  ///< inside `area`
};

/// Chooses parts of an output map that is predicted some rows at a time.
struct row_selection {
  int period = 1;  ///< rows come in multiples of it, but for the last
  /// Parts of the next `count` rows of output, counted from the first of them; `pixels` (row,
  /// column, channel) are the rows of the image that these see.
  std::function<std::vector<output_part>(view<float const, 3> pixels, int count)> choose{};
  std::vector<float> elsewhere{};  ///< a value per class for what is not computed
};

}  // namespace septum::inline SEPTUM_ABI
