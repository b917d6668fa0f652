#pragma once
#include <algorithm>
#include <cstddef>
#include <septum/core/error.hpp>
#include <string>

namespace program {

/// Labels or a mask without a margin on every side.
/// @throws septum::shape_error when nothing is left
template <class Pixels>
Pixels cropped(Pixels const& pixels, int margin_px) {
  auto const margin = static_cast<std::size_t>(margin_px);
  auto const rows = pixels.shape()[0];
  auto const columns = pixels.shape()[1];
  if (rows <= 2 * margin || columns <= 2 * margin)
    throw septum::shape_error("septum.program.15", "--crop " + std::to_string(margin_px) +
                                                       ": nothing is left of an image of " +
                                                       std::to_string(rows) + "x" +
                                                       std::to_string(columns) + " pixels");
  Pixels inner = Pixels::from_shape({rows - 2 * margin, columns - 2 * margin});
  for (std::size_t row = 0; row < inner.shape()[0]; ++row)
    std::copy_n(&pixels(row + margin, margin), inner.shape()[1], &inner(row, std::size_t{0}));
  return inner;
}

}  // namespace program
