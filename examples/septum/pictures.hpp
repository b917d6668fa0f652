#pragma once
#include <cstddef>
#include <cstdint>
#include <septum/image/types.hpp>
#include <xtensor/xtensor.hpp>

namespace program {

/// One channel of an image, `shrink` pixels a side averaged into one, as 8-bit gray between its
/// 0.5th and 99.5th percentile in 48 steps, which nobody sees and which pack well.
[[nodiscard]] xt::xtensor<std::uint8_t, 2> gray_picture(septum::image const& pixels,
                                                        std::size_t channel, std::size_t shrink);

/// Interior probability as orange of growing opacity: axes row, column, RGBA.
[[nodiscard]] xt::xtensor<std::uint8_t, 3> probability_picture(septum::probabilities const& maps,
                                                               std::size_t first_class,
                                                               std::size_t end_class,
                                                               std::size_t shrink);

/// Every `shrink`-th label along both axes.
[[nodiscard]] septum::labels shrunk_labels(septum::labels const& cells, std::size_t shrink);

/// The surroundings of one cell: its outline thick and orange, the others thin and blue.
/// @param side_px  of the square around its middle, before enlarging
[[nodiscard]] xt::xtensor<std::uint8_t, 3> crop_picture(septum::image const* pixels,
                                                        septum::labels const& cells,
                                                        std::int32_t label, double row_px,
                                                        double column_px, int side_px);

}  // namespace program
