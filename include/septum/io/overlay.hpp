#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/io/png.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>
#include <xtensor/xtensor.hpp>

namespace septum::inline SEPTUM_ABI::io {

/// How an image and its cells are drawn.
struct overlay_options {
  int channel = 0;                 ///< of the image, shown in gray
  double dark_percentile = 0.5;    ///< of the pixels: black
  double light_percentile = 99.5;  ///< white
  int scale = 1;                   ///< every pixel becomes scale x scale, 1 to 16
  int outline_px = 1;              ///< width of the outlines in drawn pixels
};

namespace detail {

/// Colours of the outlines: Okabe and Ito's palette without black and with a lighter blue, seen on
/// every gray and told apart with any kind of colour vision.
[[nodiscard]] inline std::array<std::uint8_t, 3> outline_colour(std::int32_t label) {
  constexpr std::array<std::array<std::uint8_t, 3>, 6> colours{{{230, 159, 0},
                                                                {86, 180, 233},
                                                                {0, 158, 115},
                                                                {240, 228, 66},
                                                                {213, 94, 0},
                                                                {204, 121, 167}}};
  // Neighbours often have consecutive numbers; they get different colours.
  return colours[static_cast<std::size_t>(label) % colours.size()];
}

/// The values at two percentiles of one channel; NaN and infinities do not count.
[[nodiscard]] inline std::pair<float, float> percentiles(image const& pixels, std::size_t channel,
                                                         double low, double high) {
  std::size_t const channels = pixels.shape()[2];
  std::vector<float> values;
  values.reserve(pixels.size() / channels);
  for (std::size_t i = channel; i < pixels.size(); i += channels)
    if (std::isfinite(pixels.data()[i])) values.push_back(pixels.data()[i]);
  if (values.empty()) return {0.0F, 1.0F};
  auto const at = [&](double percentile) {
    auto const rank = static_cast<std::ptrdiff_t>(std::clamp(percentile, 0.0, 100.0) / 100.0 *
                                                  static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + rank, values.end());
    return values[static_cast<std::size_t>(rank)];
  };
  float const dark = at(low);
  return {dark, at(high)};
}

}  // namespace detail

/// The image in gray, stretched between two percentiles, with the outline of every cell in a colour
/// of its own: axes row, column, RGB. Outlines lie on the cells' own border pixels.
/// throws     shape_error when image and labels differ in extent or the channel does not exist
[[nodiscard]] inline xt::xtensor<std::uint8_t, 3> draw_overlay(image const& pixels,
                                                               labels const& cells,
                                                               overlay_options const& options = {},
                                                               exec::threads threads = {}) {
  SEPTUM_EXPECTS(
      pixels.shape()[0] == cells.shape()[0] && pixels.shape()[1] == cells.shape()[1],
      shape_error("septum.overlay.1",
                  "overlay: expected labels of the image's size " + to_text(pixels.shape()[0]) +
                      " x " + to_text(pixels.shape()[1]) + ", found " + to_text(cells.shape()[0]) +
                      " x " + to_text(cells.shape()[1])));
  SEPTUM_EXPECTS(
      options.channel >= 0 && static_cast<std::size_t>(options.channel) < pixels.shape()[2],
      shape_error("septum.overlay.2", "overlay: expected a channel below " +
                                          to_text(pixels.shape()[2]) + ", found " +
                                          to_text(options.channel)));
  SEPTUM_EXPECTS(options.scale >= 1 && options.scale <= 16 && options.outline_px >= 1,
                 unsupported_error("septum.overlay.3",
                                   "overlay: expected a scale from 1 to 16 and an "
                                   "outline of at least 1 pixel"));
  auto const channel = static_cast<std::size_t>(options.channel);
  auto const [dark, light] =
      detail::percentiles(pixels, channel, options.dark_percentile, options.light_percentile);
  double const lowest = dark;
  double const gain = light > dark ? 255.0 / (static_cast<double>(light) - lowest) : 0.0;
  auto const scale = static_cast<std::size_t>(options.scale);
  std::size_t const height = cells.shape()[0] * scale;
  std::size_t const width = cells.shape()[1] * scale;
  xt::xtensor<std::uint8_t, 3> result =
      xt::xtensor<std::uint8_t, 3>::from_shape({height, width, 3});
  auto const reach = static_cast<std::ptrdiff_t>(options.outline_px);
  auto const rows = static_cast<std::ptrdiff_t>(cells.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(cells.shape()[1]);
  // A drawn pixel is outline when, `reach` drawn pixels away along an axis, another label begins.
  auto const on_outline = [&](std::size_t y, std::size_t x, std::int32_t own) {
    std::array<std::pair<std::ptrdiff_t, std::ptrdiff_t>, 4> const steps{
        {{-reach, 0}, {reach, 0}, {0, -reach}, {0, reach}}};
    return std::any_of(steps.begin(), steps.end(), [&](auto const& step) {
      auto const row = static_cast<std::ptrdiff_t>(y) + step.first;
      auto const column = static_cast<std::ptrdiff_t>(x) + step.second;
      auto const size = static_cast<std::ptrdiff_t>(scale);
      if (row < 0 || column < 0 || row >= rows * size || column >= columns * size) return false;
      return cells.data()[row / size * columns + column / size] != own;
    });
  };
  for_each_range(
      threads, static_cast<std::ptrdiff_t>(height), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (auto y = static_cast<std::size_t>(begin); y < static_cast<std::size_t>(end); ++y)
          for (std::size_t x = 0; x < width; ++x) {
            std::size_t const pixel = y / scale * cells.shape()[1] + x / scale;
            std::int32_t const own = cells.data()[pixel];
            float const value = pixels.data()[pixel * pixels.shape()[2] + channel];
            double const gray =
                std::isfinite(value) ? std::clamp((value - lowest) * gain, 0.0, 255.0) : 0.0;
            std::array<std::uint8_t, 3> colour{};
            colour.fill(static_cast<std::uint8_t>(std::lround(gray)));
            if (own > 0 && on_outline(y, x, own)) colour = detail::outline_colour(own);
            std::copy(colour.begin(), colour.end(), result.data() + (y * width + x) * 3);
          }
      });
  return result;
}

/// Draws and writes an overlay as PNG.
inline void write_overlay(std::filesystem::path const& path, image const& pixels,
                          labels const& cells, overlay_options const& options = {},
                          exec::threads threads = {}) {
  write_png(path, draw_overlay(pixels, cells, options, threads));
}

}  // namespace septum::inline SEPTUM_ABI::io
