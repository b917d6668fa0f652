#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/border.hpp>
#include <septum/image/detail/sort_key.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Prepares raw intensities (row, column, channel) for a net, in place.
template <class N>
concept Normalizer = std::copyable<N> && requires(N const normalizer, view<float, 3> pixels) {
  normalizer(pixels);
};

namespace detail {

/// Rows that are summed as one block: sums start afresh in each, so that no result depends on how
/// blocks are dealt to threads.
inline constexpr std::ptrdiff_t rows_per_block = 128;

/// Calls body(first row, last row) for blocks of rows.
template <class Body>
void for_each_block(std::ptrdiff_t rows, exec::threads threads, Body const& body) {
  for_each_task(threads, (rows + rows_per_block - 1) / rows_per_block, [&](std::ptrdiff_t block) {
    body(block * rows_per_block, std::min(rows, (block + 1) * rows_per_block));
  });
}

/// \throws unsupported_error `septum.normalize.1` on NaN or infinite pixels.
inline void require_finite(view<float const, 3> pixels, exec::threads threads) {
  std::ptrdiff_t const rows = pixels.extent(0);
  std::ptrdiff_t const values = pixels.extent(1) * pixels.extent(2);
  auto const finite = [](float value) {
    return (std::bit_cast<std::uint32_t>(value) & 0x7F800000U) != 0x7F800000U;
  };
  std::vector<std::int32_t> broken(static_cast<std::size_t>(rows), 0);
  for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t r = begin; r < end; ++r) {
      float const* const row = pixels.data() + r * pixels.stride(0);
      std::int32_t count = 0;
      for (std::ptrdiff_t k = 0; k < values; ++k) count += finite(row[k]) ? 0 : 1;
      broken[static_cast<std::size_t>(r)] = count;
    }
  });
  std::int64_t total = 0;
  for (std::int32_t const count : broken) total += count;
  if (total == 0) return;
  auto const first = std::find_if(broken.begin(), broken.end(), [](auto n) { return n != 0; });
  std::ptrdiff_t const row = first - broken.begin();
  std::ptrdiff_t k = 0;
  while (finite(pixels.data()[row * pixels.stride(0) + k])) ++k;
  throw unsupported_error("septum.normalize.1",
                          "expected finite intensities, found " + std::to_string(total) +
                              " NaN or infinite values, the first at row " + std::to_string(row) +
                              ", column " + std::to_string(k / pixels.extent(2)) + ", channel " +
                              std::to_string(k % pixels.extent(2)) +
                              "; replace them before normalising");
}

/// Numbers of values by 16 bits of their sort keys.
using key_histogram = std::vector<std::uint64_t>;
inline constexpr std::size_t key_bins = 1U << 16U;

/// Adds the numbers of one channel's values by `bin_of(key)`; keys without a bin are given the bin
/// `key_bins`.
template <class BinOf>
void count_keys(view<float const, 3> pixels, std::ptrdiff_t channel, BinOf const& bin_of,
                exec::threads threads, key_histogram& counts) {
  std::ptrdiff_t const rows = pixels.extent(0);
  std::ptrdiff_t const columns = pixels.extent(1);
  std::ptrdiff_t const step = pixels.extent(2);
  // Neighbours often share a bin: four histograms keep one count from waiting for the last.
  constexpr std::size_t copies = 4;
  constexpr std::size_t size = key_bins + 1;
  std::ptrdiff_t const parts = std::clamp<std::ptrdiff_t>(threads.count, 1, rows);
  std::vector<std::uint32_t> partial(size * copies * static_cast<std::size_t>(parts), 0);
  for_each_range(threads, parts, [&](std::ptrdiff_t first, std::ptrdiff_t last) {
    for (std::ptrdiff_t part = first; part < last; ++part) {
      std::uint32_t* const own = partial.data() + size * copies * static_cast<std::size_t>(part);
      for (std::ptrdiff_t r = rows * part / parts; r < rows * (part + 1) / parts; ++r) {
        float const* const row = pixels.data() + r * pixels.stride(0) + channel;
        std::ptrdiff_t c = 0;
        for (; c + 4 <= columns; c += 4)
          for (std::size_t k = 0; k < copies; ++k) {
            float const value = row[(c + static_cast<std::ptrdiff_t>(k)) * step];
            ++own[size * k + bin_of(sort_key(value))];
          }
        for (; c < columns; ++c) ++own[bin_of(sort_key(row[c * step]))];
      }
    }
  });
  counts.resize(size, 0);
  for (std::size_t copy = 0; copy < copies * static_cast<std::size_t>(parts); ++copy)
    for (std::size_t bin = 0; bin < size; ++bin) counts[bin] += partial[size * copy + bin];
}

/// Median of one channel of `count` values: the mean of the two middle ones when their number is
/// even. Found by the upper half of the sort keys first, then by the lower half of those in the
/// middle.
/// @param for_each_part  calls its argument with views that together are the image
template <class ForEachPart>
[[nodiscard]] double median_of_parts(ForEachPart const& for_each_part, std::uint64_t count,
                                     std::ptrdiff_t channel, exec::threads threads) {
  key_histogram upper_counts;
  for_each_part([&](view<float const, 3> part) {
    count_keys(
        part, channel, [](std::uint32_t key) { return key >> 16U; }, threads, upper_counts);
  });
  auto const find = [](key_histogram const& counts, std::uint64_t& rank) {
    std::uint32_t bin = 0;
    while (rank >= counts[bin]) rank -= counts[bin++];
    return bin;
  };
  std::uint64_t low_rank = (count - 1) / 2;
  std::uint64_t high_rank = count / 2;
  std::uint32_t const low_upper = find(upper_counts, low_rank);
  std::uint32_t const high_upper = find(upper_counts, high_rank);
  key_histogram low_counts;
  key_histogram high_counts;
  auto const lower = [](std::uint32_t upper) {
    return [upper](std::uint32_t key) {
      return key >> 16U == upper ? key & 0xFFFFU : static_cast<std::uint32_t>(key_bins);
    };
  };
  for_each_part([&](view<float const, 3> part) {
    count_keys(part, channel, lower(low_upper), threads, low_counts);
    if (high_upper != low_upper) count_keys(part, channel, lower(high_upper), threads, high_counts);
  });
  auto const value_at = [&](std::uint32_t upper, std::uint64_t rank, key_histogram const& counts) {
    return static_cast<double>(value_of_sort_key(upper << 16U | find(counts, rank)));
  };
  double const low = value_at(low_upper, low_rank, low_counts);
  double const high =
      value_at(high_upper, high_rank, high_upper == low_upper ? low_counts : high_counts);
  return (low + high) / 2;
}

/// Median of one channel of an image.
[[nodiscard]] inline double channel_median(view<float const, 3> pixels, std::ptrdiff_t channel,
                                           exec::threads threads) {
  return median_of_parts(
      [&](auto const& visit) { visit(pixels); },
      static_cast<std::uint64_t>(pixels.extent(0)) * static_cast<std::uint64_t>(pixels.extent(1)),
      channel, threads);
}

/// out = in / divisor of each channel, in float32.
inline void divide_row(float const* in, float* out, std::ptrdiff_t columns,
                       std::vector<double> const& divisors) {
  if (divisors.size() == 1) {
    double const divisor = divisors.front();
    for (std::ptrdiff_t c = 0; c < columns; ++c)
      out[c] = static_cast<float>(static_cast<double>(in[c]) / divisor);
    return;
  }
  for (std::ptrdiff_t c = 0; c < columns; ++c)
    for (double const divisor : divisors)
      *out++ = static_cast<float>(static_cast<double>(*in++) / divisor);
}

/// Extent and window of a box mean.
struct box_mean_shape {
  std::ptrdiff_t columns = 0;
  std::ptrdiff_t channels = 0;
  std::ptrdiff_t reach = 0;  ///< half the window, rounded down

  [[nodiscard]] std::ptrdiff_t values() const { return columns * channels; }
};

/// Writes the rows [begin, end) less the means of the boxes around their pixels. Sums start at
/// `begin` and run down the columns and then along the rows, in double.
/// @param source_row  row -> its values; from begin - reach to end + reach - 1, mirrored by it
/// @param result_row  row -> where its values go
template <class SourceRow, class ResultRow>
void subtract_box_mean_of_rows(box_mean_shape shape, std::ptrdiff_t begin, std::ptrdiff_t end,
                               SourceRow const& source_row, ResultRow const& result_row) {
  auto const [columns, channels, reach] = shape;
  std::ptrdiff_t const values = shape.values();
  auto const window = static_cast<double>(2 * reach + 1);
  double const share = 1.0 / (window * window);
  // Column sums with a mirrored margin of reach + 1 columns, so that the row sums need no test.
  std::vector<double> sums(static_cast<std::size_t>((columns + 2 * reach + 1) * channels), 0);
  double* const middle = sums.data() + (reach + 1) * channels;
  std::vector<double> box(static_cast<std::size_t>(channels));
  for (std::ptrdiff_t r = begin - reach; r <= begin + reach; ++r) {
    float const* const row = source_row(r);
    for (std::ptrdiff_t k = 0; k < values; ++k) middle[k] += static_cast<double>(row[k]);
  }
  for (std::ptrdiff_t r = begin; r < end; ++r) {
    if (r > begin) {
      float const* const entering = source_row(r + reach);
      float const* const leaving = source_row(r - reach - 1);
      for (std::ptrdiff_t k = 0; k < values; ++k)
        middle[k] += static_cast<double>(entering[k]) - static_cast<double>(leaving[k]);
    }
    for (std::ptrdiff_t c = 1; c <= reach + 1; ++c)
      std::copy_n(middle + mirrored_index(-c, columns) * channels, channels, middle - c * channels);
    for (std::ptrdiff_t c = columns; c < columns + reach; ++c)
      std::copy_n(middle + mirrored_index(c, columns) * channels, channels, middle + c * channels);
    std::fill(box.begin(), box.end(), 0.0);
    for (std::ptrdiff_t c = -reach - 1; c < reach; ++c)
      for (std::ptrdiff_t k = 0; k < channels; ++k)
        box[static_cast<std::size_t>(k)] += middle[c * channels + k];
    float* const out = result_row(r);
    float const* const in = source_row(r);
    for (std::ptrdiff_t k = 0; k < channels; ++k) {
      double sum = box[static_cast<std::size_t>(k)];
      for (std::ptrdiff_t c = 0; c < columns; ++c) {
        std::ptrdiff_t const at = c * channels + k;
        sum += middle[at + reach * channels] - middle[at - (reach + 1) * channels];
        out[at] = static_cast<float>(static_cast<double>(in[at]) - sum * share);
      }
    }
  }
}

/// Divides every channel and then subtracts from every pixel the mean of the window x window box
/// around it, per channel, with mirrored borders.
inline void subtract_box_mean(view<float, 3> pixels, int window,
                              std::vector<double> const& divisors, exec::threads threads) {
  std::ptrdiff_t const rows = pixels.extent(0);
  box_mean_shape const shape{pixels.extent(1), pixels.extent(2), window / 2};
  std::ptrdiff_t const values = shape.values();
  // Rows are overwritten while other blocks still read them: work on a copy.
  auto const source =
      std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(rows * values));
  for_each_range(threads, rows, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t r = begin; r < end; ++r)
      divide_row(pixels.data() + r * pixels.stride(0), source.get() + r * values, shape.columns,
                 divisors);
  });
  for_each_block(rows, threads, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    subtract_box_mean_of_rows(
        shape, begin, end,
        [&](std::ptrdiff_t r) { return source.get() + mirrored_index(r, rows) * values; },
        [&](std::ptrdiff_t r) { return pixels.data() + r * pixels.stride(0); });
  });
}

/// Divides every channel.
inline void divide_channels(view<float, 3> pixels, std::vector<double> const& divisors,
                            exec::threads threads) {
  for_each_range(threads, pixels.extent(0), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t r = begin; r < end; ++r) {
      float* const row = pixels.data() + r * pixels.stride(0);
      divide_row(row, row, pixels.extent(1), divisors);
    }
  });
}

inline void require_odd_window(int window) {
  SEPTUM_EXPECTS(window >= 1 && window % 2 == 1,
                 unsupported_error("septum.normalize.2",
                                   "expected an odd window of at least 1 pixel, found " +
                                       std::to_string(window) +
                                       "; give the receptive field of the net, 31 or 61"));
}

[[nodiscard]] inline unsupported_error no_scale(std::ptrdiff_t channel, char const* statistic,
                                                double value) {
  return unsupported_error("septum.normalize.3", "channel " + std::to_string(channel) +
                                                     ": expected a positive " + statistic +
                                                     " to divide by, found " + to_text(value) +
                                                     "; crop empty borders or leave the image out");
}

}  // namespace detail

/// The published rule: every channel is divided by its median over the whole image, then the mean
/// of the window x window box around each pixel is subtracted (borders mirrored, edge pixel
/// included). Axes row, column, channel. Crops and tiles must be cut afterwards: the median sees
/// the whole image. (CovertLab/DeepCell `process_image`.)
/// \throws unsupported_error `septum.normalize.1` on NaN or infinite pixels (with their count and
///         the first position), `.2` on an even window, `.3` naming a channel whose median is not
///         positive. Callers that know the file put its name in front with add_note().
struct median_box_normalizer {
  /// odd side of the box in pixels: the receptive field of the net
  int window = 61;

  void operator()(view<float, 3> pixels, exec::threads threads = {}) const {
    detail::require_odd_window(window);
    if (pixels.size() == 0) return;
    detail::require_finite(pixels, threads);
    std::vector<double> medians;
    for (std::ptrdiff_t channel = 0; channel < pixels.extent(2); ++channel) {
      medians.push_back(detail::channel_median(pixels, channel, threads));
      SEPTUM_EXPECTS(medians.back() > 0, detail::no_scale(channel, "median", medians.back()));
    }
    detail::subtract_box_mean(pixels, window, medians, threads);
  }
};

/// The box mean is subtracted first, then every channel is divided by the population standard
/// deviation of what remains. Axes and errors as median_box_normalizer.
struct standard_deviation_normalizer {
  /// odd side of the box in pixels: the receptive field of the net
  int window = 61;

  void operator()(view<float, 3> pixels, exec::threads threads = {}) const {
    detail::require_odd_window(window);
    if (pixels.size() == 0) return;
    detail::require_finite(pixels, threads);
    auto const channels = static_cast<std::size_t>(pixels.extent(2));
    detail::subtract_box_mean(pixels, window, std::vector<double>(channels, 1.0), threads);
    std::vector<double> deviations;
    for (std::ptrdiff_t channel = 0; channel < pixels.extent(2); ++channel) {
      double const mean = mean_of(pixels, channel, threads, [](double value) { return value; });
      double const variance = mean_of(pixels, channel, threads, [mean](double value) {
        return (value - mean) * (value - mean);
      });
      SEPTUM_EXPECTS(variance > 0, detail::no_scale(channel, "standard deviation", variance));
      deviations.push_back(std::sqrt(variance));
    }
    detail::divide_channels(pixels, deviations, threads);
  }

 private:
  /// Mean of f(value) over one channel, summed by blocks of rows in fixed order.
  template <class F>
  static double mean_of(view<float const, 3> pixels, std::ptrdiff_t channel, exec::threads threads,
                        F const& f) {
    std::ptrdiff_t const rows = pixels.extent(0);
    std::vector<double> sums(
        static_cast<std::size_t>((rows + detail::rows_per_block - 1) / detail::rows_per_block), 0);
    detail::for_each_block(rows, threads, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      double sum = 0;
      for (std::ptrdiff_t r = begin; r < end; ++r) {
        float const* value = pixels.data() + r * pixels.stride(0) + channel;
        for (std::ptrdiff_t c = 0; c < pixels.extent(1); ++c, value += pixels.extent(2))
          sum += f(static_cast<double>(*value));
      }
      sums[static_cast<std::size_t>(begin / detail::rows_per_block)] = sum;
    });
    double total = 0;
    for (double const sum : sums) total += sum;
    return total / (static_cast<double>(rows) * static_cast<double>(pixels.extent(1)));
  }
};

/// Every channel is divided by its largest value, so that intensities end at 1.
/// \throws unsupported_error `septum.normalize.1` on NaN or infinite pixels, `.3` naming a channel
///         without a positive value.
struct max_normalizer {
  void operator()(view<float, 3> pixels, exec::threads threads = {}) const {
    if (pixels.size() == 0) return;
    detail::require_finite(pixels, threads);
    std::vector<double> maxima;
    for (std::ptrdiff_t channel = 0; channel < pixels.extent(2); ++channel) {
      float largest = std::numeric_limits<float>::lowest();
      for (std::ptrdiff_t r = 0; r < pixels.extent(0); ++r) {
        float const* value = pixels.data() + r * pixels.stride(0) + channel;
        for (std::ptrdiff_t c = 0; c < pixels.extent(1); ++c, value += pixels.extent(2))
          largest = std::max(largest, *value);
      }
      maxima.push_back(static_cast<double>(largest));
      SEPTUM_EXPECTS(maxima.back() > 0, detail::no_scale(channel, "maximum", maxima.back()));
    }
    detail::divide_channels(pixels, maxima, threads);
  }
};

/// Leaves the intensities as they are; NaN and infinite pixels are still refused
/// (`septum.normalize.1`).
struct identity_normalizer {
  void operator()(view<float, 3> pixels, exec::threads threads = {}) const {
    detail::require_finite(pixels, threads);
  }
};

}  // namespace septum::inline SEPTUM_ABI
