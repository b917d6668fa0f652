#include "pictures.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

namespace program {
namespace {

/// Values between which pixels are shown.
std::pair<float, float> shown_range(septum::image const& pixels, std::size_t channel) {
  std::vector<float> values;
  std::size_t const channels = pixels.shape()[2];
  // A sample is enough to set the contrast.
  std::size_t const step = std::max<std::size_t>(1, pixels.size() / channels / 40'000);
  for (std::size_t p = channel; p < pixels.size(); p += channels * step)
    if (std::isfinite(pixels.data()[p])) values.push_back(pixels.data()[p]);
  if (values.empty()) return {0.0F, 1.0F};
  auto const at = [&](double share) {
    auto const rank = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + rank, values.end());
    return values[static_cast<std::size_t>(rank)];
  };
  float const dark = at(0.005);
  return {dark, std::max(at(0.995), dark + 1e-6F)};
}

std::uint8_t shade(float value, std::pair<float, float> range, int steps) {
  float const part = std::clamp((value - range.first) / (range.second - range.first), 0.0F, 1.0F);
  float const top = static_cast<float>(steps - 1);
  return static_cast<std::uint8_t>(std::lround(255.0F * std::round(part * top) / top));
}

}  // namespace

xt::xtensor<std::uint8_t, 2> gray_picture(septum::image const& pixels, std::size_t channel,
                                          std::size_t shrink) {
  auto const range = shown_range(pixels, channel);
  std::size_t const rows = pixels.shape()[0] / shrink;
  std::size_t const columns = pixels.shape()[1] / shrink;
  xt::xtensor<std::uint8_t, 2> picture = xt::xtensor<std::uint8_t, 2>::from_shape({rows, columns});
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) {
      float sum = 0;
      for (std::size_t i = 0; i < shrink; ++i)
        for (std::size_t j = 0; j < shrink; ++j) {
          float const value = pixels(r * shrink + i, c * shrink + j, channel);
          sum += std::isfinite(value) ? value : range.first;
        }
      picture(r, c) = shade(sum / static_cast<float>(shrink * shrink), range, 48);
    }
  return picture;
}

xt::xtensor<std::uint8_t, 3> probability_picture(septum::probabilities const& maps,
                                                 std::size_t first_class, std::size_t end_class,
                                                 std::size_t shrink) {
  std::size_t const rows = maps.shape()[0] / shrink;
  std::size_t const columns = maps.shape()[1] / shrink;
  xt::xtensor<std::uint8_t, 3> picture =
      xt::xtensor<std::uint8_t, 3>::from_shape({rows, columns, 4});
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) {
      float sum = 0;
      for (std::size_t k = first_class; k < end_class; ++k)
        sum += maps(r * shrink + shrink / 2, c * shrink + shrink / 2, k);
      std::array<std::uint8_t, 4> const ink{230, 159, 0, shade(sum, {0.0F, 1.0F}, 12)};
      std::copy(ink.begin(), ink.end(), &picture(r, c, 0));
    }
  return picture;
}

septum::labels shrunk_labels(septum::labels const& cells, std::size_t shrink) {
  if (shrink == 1) return cells;
  std::size_t const rows = cells.shape()[0] / shrink;
  std::size_t const columns = cells.shape()[1] / shrink;
  septum::labels small = septum::labels::from_shape({rows, columns});
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c)
      small(r, c) = cells(r * shrink + shrink / 2, c * shrink + shrink / 2);
  return small;
}

xt::xtensor<std::uint8_t, 3> crop_picture(septum::image const* pixels, septum::labels const& cells,
                                          std::int32_t label, double row_px, double column_px,
                                          int side_px) {
  auto const rows = static_cast<int>(cells.shape()[0]);
  auto const columns = static_cast<int>(cells.shape()[1]);
  int const side = std::min({side_px, rows, columns});
  int const top = std::clamp(static_cast<int>(row_px) - side / 2, 0, rows - side);
  int const left = std::clamp(static_cast<int>(column_px) - side / 2, 0, columns - side);
  int const scale = std::clamp(192 / side, 1, 6);
  auto const size = static_cast<std::size_t>(side * scale);
  std::pair<float, float> const range =
      pixels == nullptr ? std::pair{0.0F, 1.0F} : shown_range(*pixels, 0);
  auto const label_at = [&](int y, int x) {
    int const r = top + std::clamp(y, 0, side * scale - 1) / scale;
    int const c = left + std::clamp(x, 0, side * scale - 1) / scale;
    return cells(static_cast<std::size_t>(r), static_cast<std::size_t>(c));
  };
  auto const on_outline = [&](int y, int x, std::int32_t own, int width) {
    return label_at(y - width, x) != own || label_at(y + width, x) != own ||
           label_at(y, x - width) != own || label_at(y, x + width) != own;
  };
  xt::xtensor<std::uint8_t, 3> picture = xt::xtensor<std::uint8_t, 3>::from_shape({size, size, 3});
  for (int y = 0; y < side * scale; ++y)
    for (int x = 0; x < side * scale; ++x) {
      float const value =
          pixels == nullptr ? 0.0F
                            : (*pixels)(static_cast<std::size_t>(top + y / scale),
                                        static_cast<std::size_t>(left + x / scale), std::size_t{0});
      std::array<std::uint8_t, 3> ink{};
      ink.fill(shade(value, range, 48));
      std::int32_t const own = label_at(y, x);
      if (own == label && on_outline(y, x, own, 2))
        ink = {230, 159, 0};
      else if (own > 0 && own != label && on_outline(y, x, own, 1))
        ink = {86, 180, 233};
      std::copy(ink.begin(), ink.end(),
                &picture(static_cast<std::size_t>(y), static_cast<std::size_t>(x), std::size_t{0}));
    }
  return picture;
}

}  // namespace program
