#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/regions.hpp>
#include <septum/image/types.hpp>
#include <septum/measure/mixture.hpp>
#include <septum/measure/nuclear_ring.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Which pixels stand for the cytoplasm of a translocation reporter (paper, Fig 4).
enum class cytoplasm_from : std::uint8_t {
  whole,    ///< all of the segmented cell outside its nucleus
  ring_5,   ///< a ring of 5 pixels around the nucleus
  ring_25,  ///< a ring of 25 pixels
  mixture   ///< the brighter of two normal distributions fitted to the whole cytoplasm
};
inline constexpr std::array cytoplasm_sources{cytoplasm_from::whole, cytoplasm_from::ring_5,
                                              cytoplasm_from::ring_25, cytoplasm_from::mixture};

[[nodiscard]] constexpr std::string_view to_string(cytoplasm_from source) {
  constexpr std::string_view names[] = {"whole", "ring_5", "ring_25", "mixture"};
  return names[static_cast<std::size_t>(source)];
}

/// Cytoplasm over nucleus, above background, with a confidence interval. NaN without pixels.
struct translocation_ratio {
  double value = std::numeric_limits<double>::quiet_NaN();
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();
  std::int64_t pixels = 0;  ///< of the cytoplasm
};

/// The reporter of one nucleus in one frame.
struct translocation {
  std::int32_t nucleus = 0;  ///< its label
  std::int32_t cell = 0;     ///< label of the cell it lies in; 0: none
  double nucleus_mean = 0;   ///< above background
  std::int64_t nucleus_pixels = 0;
  std::array<translocation_ratio, cytoplasm_sources.size()> ratios{};
  /// Of the cytoplasm, in the units of the image; `fit` says whether it can be believed. Where it
  /// cannot, the ratio of the mixture is that of the whole cytoplasm.
  gaussian_mixture compartments{};

  [[nodiscard]] translocation_ratio const& ratio(cytoplasm_from source) const {
    return ratios[static_cast<std::size_t>(source)];
  }
};

/// How reporters are measured.
struct translocation_options {
  double background = 0;                     ///< level of the reporter's channel outside cells
  double normal_factor = 1.959963984540054;  ///< half-width of intervals in standard errors
  /// Pixels that carry the information of one independent pixel: neighbours share the microscope's
  /// point spread function. 1 gives the intervals of independent pixels.
  double pixels_per_sample = 4;
  mixture_options mixture{};
};

namespace detail {

/// A mean and its standard error.
struct estimate {
  double value = std::numeric_limits<double>::quiet_NaN();
  double error = std::numeric_limits<double>::quiet_NaN();
};

[[nodiscard]] inline estimate mean_of(std::span<float const> values,
                                      translocation_options const& options) {
  if (values.empty()) return {};
  auto const n = static_cast<double>(values.size());
  double sum = 0;
  for (float const value : values) sum += static_cast<double>(value);
  double const mean = sum / n;
  double squares = 0;
  for (float const value : values)
    squares += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean);
  double const freedom = std::max(n - 1, 1.0);
  return {mean - options.background,
          std::sqrt(squares / freedom / n * std::max(options.pixels_per_sample, 1.0))};
}

/// Quotient of two means with the interval of the delta method.
[[nodiscard]] inline translocation_ratio quotient(estimate above, estimate below,
                                                  std::size_t pixels,
                                                  translocation_options const& options) {
  translocation_ratio result{.pixels = static_cast<std::int64_t>(pixels)};
  if (!(below.value > 0) || !std::isfinite(above.value)) return result;
  result.value = above.value / below.value;
  double const error =
      std::hypot(above.error, result.value * below.error) / below.value * options.normal_factor;
  result.low = result.value - error;
  result.high = result.value + error;
  return result;
}

/// Values of one channel by label; entry 0 stays empty.
[[nodiscard]] inline std::vector<std::vector<float>> values_by_label(labels const& cells,
                                                                     view<float const, 3> pixels,
                                                                     std::ptrdiff_t channel,
                                                                     std::size_t count) {
  std::vector<std::vector<float>> values(count + 1);
  std::size_t p = 0;
  for (std::ptrdiff_t r = 0; r < pixels.extent(0); ++r)
    for (std::ptrdiff_t c = 0; c < pixels.extent(1); ++c, ++p)
      if (std::int32_t const label = cells.data()[p]; label > 0)
        values[static_cast<std::size_t>(label)].push_back(pixels(r, c, channel));
  return values;
}

/// The cell that holds most pixels of each nucleus; 0 where that is the background.
[[nodiscard]] inline std::vector<std::int32_t> cells_of_nuclei(labels const& nuclei,
                                                               labels const& cells,
                                                               std::size_t count) {
  std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> overlap;
  for (std::size_t p = 0; p < nuclei.size(); ++p)
    if (nuclei.data()[p] > 0 && cells.data()[p] > 0) ++overlap[{nuclei.data()[p], cells.data()[p]}];
  std::vector<std::int32_t> cell(count + 1, 0);
  std::vector<std::int64_t> most(count + 1, 0);
  for (auto const& [pair, pixels] : overlap) {
    auto const nucleus = static_cast<std::size_t>(pair.first);
    if (pixels <= most[nucleus]) continue;
    most[nucleus] = pixels;
    cell[nucleus] = pair.second;
  }
  return cell;
}

}  // namespace detail

/// Measures a translocation reporter in every nucleus of a frame. `cells` may have no pixel set
/// where cytoplasm was not segmented: then only the rings give ratios.
/// @param pixels   row, column, channel
/// @param channel  of the reporter
/// \throws shape_error `septum.translocation.1` when extents differ or the channel does not exist;
///         unsupported_error `septum.labels.1` on a negative label
[[nodiscard]] inline std::vector<translocation> measure_translocation(
    labels const& nuclei, labels const& cells, image const& pixels, int channel,
    translocation_options const& options = {}, exec::threads threads = {}) {
  SEPTUM_EXPECTS(
      nuclei.shape() == cells.shape() && nuclei.shape()[0] == pixels.shape()[0] &&
          nuclei.shape()[1] == pixels.shape()[1] && channel >= 0 &&
          static_cast<std::size_t>(channel) < pixels.shape()[2],
      shape_error("septum.translocation.1",
                  "translocation: expected nuclei, cells and an image of one extent and "
                  "a channel below " +
                      to_text(pixels.shape()[2]) + ", found channel " + to_text(channel) + " and " +
                      to_text(nuclei.shape()[0]) + " x " + to_text(nuclei.shape()[1]) + ", " +
                      to_text(cells.shape()[0]) + " x " + to_text(cells.shape()[1]) + ", " +
                      to_text(pixels.shape()[0]) + " x " + to_text(pixels.shape()[1])));
  auto const regions = measure_regions(nuclei, threads);
  std::size_t const count = regions.size();
  auto const source = as_view(pixels);
  auto const owner = detail::cells_of_nuclei(nuclei, cells, count);
  // Cytoplasm, numbered by nucleus: what is left of the cell when all nuclei are taken out. A cell
  // with two nuclei gives its cytoplasm to both.
  std::int32_t most = 0;
  for (std::int32_t const cell : cells) most = std::max(most, cell);
  labels bare = cells;
  for (std::size_t p = 0; p < bare.size(); ++p)
    if (nuclei.data()[p] != 0) bare.data()[p] = 0;
  auto const whole = detail::values_by_label(bare, source, channel, static_cast<std::size_t>(most));
  auto const inside = detail::values_by_label(nuclei, source, channel, count);
  std::array const rings{
      detail::values_by_label(nuclear_ring{.width_px = 5}(nuclei, threads), source, channel, count),
      detail::values_by_label(nuclear_ring{.width_px = 25}(nuclei, threads), source, channel,
                              count)};

  std::vector<translocation> result(count);
  for_each_task(threads, static_cast<std::ptrdiff_t>(count), [&](std::ptrdiff_t index) {
    auto const k = static_cast<std::size_t>(index);
    translocation& one = result[k];
    one.nucleus = regions[k].label;
    one.cell = owner[k + 1];
    auto const nucleus = detail::mean_of(inside[k + 1], options);
    one.nucleus_mean = nucleus.value;
    one.nucleus_pixels = static_cast<std::int64_t>(inside[k + 1].size());
    auto const put = [&](cytoplasm_from from, detail::estimate value, std::size_t pixels_of) {
      one.ratios[static_cast<std::size_t>(from)] =
          detail::quotient(value, nucleus, pixels_of, options);
    };
    for (std::size_t r = 0; r < rings.size(); ++r) {
      auto const& values = rings[r][k + 1];
      put(r == 0 ? cytoplasm_from::ring_5 : cytoplasm_from::ring_25,
          detail::mean_of(values, options), values.size());
    }
    if (one.cell == 0) return;
    auto const& cytoplasm = whole[static_cast<std::size_t>(one.cell)];
    auto const mean = detail::mean_of(cytoplasm, options);
    put(cytoplasm_from::whole, mean, cytoplasm.size());
    one.compartments = fit_mixture(cytoplasm, options.mixture);
    bool const believed = one.compartments.fit == mixture_fit::good;
    detail::estimate const bright{
        one.compartments.high.mean - options.background,
        one.compartments.high.mean_error * std::sqrt(std::max(options.pixels_per_sample, 1.0))};
    put(cytoplasm_from::mixture, believed ? bright : mean, cytoplasm.size());
  });
  return result;
}

/// How the ratios of one source compare with those of another over all nuclei that have both.
struct ratio_comparison {
  cytoplasm_from first = cytoplasm_from::whole;
  cytoplasm_from second = cytoplasm_from::whole;
  std::int64_t count = 0;
  double mean_difference = std::numeric_limits<double>::quiet_NaN();  ///< second - first
  double sd_difference = std::numeric_limits<double>::quiet_NaN();
  double correlation = std::numeric_limits<double>::quiet_NaN();  ///< Pearson
};

[[nodiscard]] inline ratio_comparison compare_ratios(std::span<translocation const> measured,
                                                     cytoplasm_from first, cytoplasm_from second) {
  ratio_comparison result{.first = first, .second = second};
  double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  for (translocation const& one : measured) {
    double const a = one.ratio(first).value;
    double const b = one.ratio(second).value;
    if (!std::isfinite(a) || !std::isfinite(b)) continue;
    // Welford's updates: ratios differ little, their squares would lose digits.
    ++n;
    double const dx = a - x;
    double const dy = b - y;
    x += dx / n;
    y += dy / n;
    xx += dx * (a - x);
    yy += dy * (b - y);
    xy += dx * (b - y);
  }
  result.count = static_cast<std::int64_t>(n);
  if (n < 1) return result;
  result.mean_difference = y - x;
  if (n < 2) return result;
  result.sd_difference = std::sqrt(std::max(xx + yy - 2 * xy, 0.0) / (n - 1));
  if (xx > 0 && yy > 0) result.correlation = xy / std::sqrt(xx * yy);
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
