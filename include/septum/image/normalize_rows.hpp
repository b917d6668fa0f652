#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/border.hpp>
#include <septum/image/normalize.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// An image that is read some rows at a time (row, column, channel).
struct image_rows {
  std::ptrdiff_t rows = 0;
  std::ptrdiff_t columns = 0;
  std::ptrdiff_t channels = 0;
  /// Writes as many rows as the view has, from the given one on.
  std::function<void(std::ptrdiff_t first, view<float, 3> target)> read{};
};

/// Calls visit(first row, view) for parts of an image that together are all of it, from the top.
template <class Visit>
void for_each_rows(image_rows const& source, std::ptrdiff_t rows_at_once, Visit const& visit) {
  std::vector<float> held(
      static_cast<std::size_t>(rows_at_once * source.columns * source.channels));
  for (std::ptrdiff_t first = 0; first < source.rows; first += rows_at_once) {
    view<float, 3> const part{
        held.data(),
        {std::min(rows_at_once, source.rows - first), source.columns, source.channels}};
    source.read(first, part);
    visit(first, view<float const, 3>{part});
  }
}

/// Median of every channel, exactly, by two passes over the image.
[[nodiscard]] inline std::vector<double> channel_medians(image_rows const& source,
                                                         exec::threads threads = {}) {
  std::vector<double> medians;
  for (std::ptrdiff_t channel = 0; channel < source.channels; ++channel)
    medians.push_back(detail::median_of_parts(
        [&](auto const& visit) {
          for_each_rows(source, detail::rows_per_block,
                        [&](std::ptrdiff_t, view<float const, 3> part) { visit(part); });
        },
        static_cast<std::uint64_t>(source.rows) * static_cast<std::uint64_t>(source.columns),
        channel, threads));
  return medians;
}

/// What median_box_normalizer makes of an image, some rows at a time and to the same bits, for
/// images larger than the memory.
class median_box_rows {
 public:
  /// @param window   odd side of the box in pixels
  /// @param medians  of every channel (channel_medians)
  /// @throws unsupported_error `septum.normalize.2` on an even window, `.3` naming a channel whose
  ///         median is not positive
  median_box_rows(image_rows source, int window, std::vector<double> medians)
      : source_{std::move(source)},
        shape_{source_.columns, source_.channels, window / 2},
        divisors_{std::move(medians)} {
    detail::require_odd_window(window);
    for (std::size_t channel = 0; channel < divisors_.size(); ++channel)
      SEPTUM_EXPECTS(divisors_[channel] > 0, detail::no_scale(static_cast<std::ptrdiff_t>(channel),
                                                              "median", divisors_[channel]));
  }

  /// Rows [first, first + count) of the normalised image; valid until the next call. `first` never
  /// goes back.
  [[nodiscard]] view<float const, 3> rows(std::ptrdiff_t first, std::ptrdiff_t count) {
    result_.reserve(static_cast<std::size_t>((count + detail::rows_per_block) * shape_.values()));
    drop_rows(result_, result_first_, first);
    while (result_end() < first + count) append_block(first);
    return {result_.data() + (first - result_first_) * shape_.values(),
            {count, shape_.columns, shape_.channels}};
  }

  /// Most bytes held when `count` rows at a time are asked for.
  [[nodiscard]] static std::size_t buffer_bytes(std::ptrdiff_t count, std::ptrdiff_t columns,
                                                std::ptrdiff_t channels, int window) {
    // Rows of the result, those that the boxes of a block see, and a row of sums.
    std::ptrdiff_t const rows = count + 3 * detail::rows_per_block + window + 2;
    return static_cast<std::size_t>((rows + 4) * (columns + window) * channels) * sizeof(float);
  }

 private:
  [[nodiscard]] std::ptrdiff_t rows_in(std::vector<float> const& held) const {
    return static_cast<std::ptrdiff_t>(held.size()) / shape_.values();
  }
  [[nodiscard]] std::ptrdiff_t result_end() const { return result_first_ + rows_in(result_); }

  void drop_rows(std::vector<float>& held, std::ptrdiff_t& first, std::ptrdiff_t wanted) const {
    std::ptrdiff_t const gone = std::clamp<std::ptrdiff_t>(wanted - first, 0, rows_in(held));
    held.erase(held.begin(), held.begin() + gone * shape_.values());
    first += gone;
  }

  // The next block of rows, whose sums start afresh as in the whole image.
  void append_block(std::ptrdiff_t wanted) {
    std::ptrdiff_t const begin = result_end();
    std::ptrdiff_t const end = std::min(source_.rows, begin + detail::rows_per_block);
    drop_rows(divided_, divided_first_, std::max<std::ptrdiff_t>(begin - shape_.reach - 1, 0));
    divide_until(std::min(source_.rows, end + shape_.reach));
    auto const old_size = result_.size();
    result_.resize(old_size + static_cast<std::size_t>((end - begin) * shape_.values()));
    detail::subtract_box_mean_of_rows(
        shape_, begin, end,
        [&](std::ptrdiff_t r) {
          return divided_.data() +
                 (mirrored_index(r, source_.rows) - divided_first_) * shape_.values();
        },
        [&](std::ptrdiff_t r) { return result_.data() + (r - result_first_) * shape_.values(); });
    drop_rows(result_, result_first_, wanted);
  }

  void divide_until(std::ptrdiff_t end) {
    std::ptrdiff_t const begin = divided_first_ + rows_in(divided_);
    if (end <= begin) return;
    divided_.reserve(static_cast<std::size_t>((detail::rows_per_block + 2 * shape_.reach + 1) *
                                              shape_.values()));
    auto const old_size = divided_.size();
    divided_.resize(old_size + static_cast<std::size_t>((end - begin) * shape_.values()));
    float* const target = divided_.data() + old_size;
    source_.read(begin, {target, {end - begin, shape_.columns, shape_.channels}});
    for (std::ptrdiff_t r = 0; r < end - begin; ++r) {
      float* const row = target + r * shape_.values();
      detail::divide_row(row, row, shape_.columns, divisors_);
    }
  }

  image_rows source_;
  detail::box_mean_shape shape_;
  std::vector<double> divisors_;
  std::vector<float> divided_;  // rows of the image, divided by the medians
  std::ptrdiff_t divided_first_ = 0;
  std::vector<float> result_;
  std::ptrdiff_t result_first_ = 0;
};

}  // namespace septum::inline SEPTUM_ABI
