#pragma once
#include <septum/core/config.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/detail/contour_words.hpp>
#include <septum/image/detail/row_runs.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// A binary image with 64 pixels to a word, column c in bit c % 64. Around it lie a row and a word
/// of zeros, so that neighbours outside the image read as unset without a test. Bits beyond the
/// last column are zero.
class bit_image {
 public:
  bit_image() = default;
  bit_image(std::ptrdiff_t rows, std::ptrdiff_t columns)
      : rows_{rows},
        columns_{columns},
        words_{(columns + 63) / 64},
        data_(static_cast<std::size_t>((rows + 2) * (words_ + 2)), 0) {}
  /// Non-zero pixels are set.
  explicit bit_image(mask const& pixels)
      : bit_image{static_cast<std::ptrdiff_t>(pixels.shape()[0]),
                  static_cast<std::ptrdiff_t>(pixels.shape()[1])} {
    for (std::ptrdiff_t r = 0; r < rows_; ++r) {
      std::uint8_t const* const from = pixels.data() + r * columns_;
      std::uint64_t* const to = row(r);
      for (std::ptrdiff_t c = 0; c < columns_; ++c)
        to[c / 64] |= static_cast<std::uint64_t>(from[c] != 0) << (c % 64);
    }
  }

  [[nodiscard]] std::ptrdiff_t rows() const { return rows_; }
  [[nodiscard]] std::ptrdiff_t columns() const { return columns_; }
  /// Words of a row.
  [[nodiscard]] std::ptrdiff_t words() const { return words_; }
  [[nodiscard]] std::uint64_t* row(std::ptrdiff_t r) {
    return data_.data() + (r + 1) * (words_ + 2) + 1;
  }
  [[nodiscard]] std::uint64_t const* row(std::ptrdiff_t r) const {
    return data_.data() + (r + 1) * (words_ + 2) + 1;
  }
  /// Pixels of the last word that belong to the image.
  [[nodiscard]] std::uint64_t last_word() const {
    return ~std::uint64_t{0} >> static_cast<unsigned>((64 - columns_ % 64) % 64);
  }
  /// The pixel, which may lie one outside the image.
  [[nodiscard]] bool operator()(std::ptrdiff_t r, std::ptrdiff_t c) const {
    return ((row(r)[c >> 6] >> static_cast<unsigned>(c & 63)) & 1U) != 0;
  }
  void set(std::ptrdiff_t r, std::ptrdiff_t c) {
    row(r)[c >> 6] |= std::uint64_t{1} << static_cast<unsigned>(c & 63);
  }
  /// Sets the pixels [begin, end) of a row.
  void set_range(std::ptrdiff_t r, std::ptrdiff_t begin, std::ptrdiff_t end) {
    if (begin >= end) return;
    std::uint64_t* const to = row(r);
    std::uint64_t const first = ~std::uint64_t{0} << static_cast<unsigned>(begin & 63);
    std::uint64_t const last = ~std::uint64_t{0} >> static_cast<unsigned>(63 - ((end - 1) & 63));
    std::ptrdiff_t const first_word = begin >> 6;
    std::ptrdiff_t const last_word = (end - 1) >> 6;
    if (first_word == last_word) {
      to[first_word] |= first & last;
      return;
    }
    to[first_word] |= first;
    for (std::ptrdiff_t k = first_word + 1; k < last_word; ++k) to[k] = ~std::uint64_t{0};
    to[last_word] |= last;
  }
  void clear() { std::fill(data_.begin(), data_.end(), std::uint64_t{0}); }

  [[nodiscard]] mask to_mask() const {
    mask pixels =
        mask::from_shape({static_cast<std::size_t>(rows_), static_cast<std::size_t>(columns_)});
    for (std::ptrdiff_t r = 0; r < rows_; ++r)
      for (std::ptrdiff_t c = 0; c < columns_; ++c)
        pixels.data()[r * columns_ + c] = (*this)(r, c) ? 1 : 0;
    return pixels;
  }
  friend bool operator==(bit_image const&, bit_image const&) = default;

 private:
  std::ptrdiff_t rows_ = 0;
  std::ptrdiff_t columns_ = 0;
  std::ptrdiff_t words_ = 0;
  std::vector<std::uint64_t> data_;
};

/// The left and the right neighbours of the pixels of word k.
[[nodiscard]] inline std::uint64_t left_of(std::uint64_t const* row, std::ptrdiff_t k) {
  return left_neighbours(row + k);
}
[[nodiscard]] inline std::uint64_t right_of(std::uint64_t const* row, std::ptrdiff_t k) {
  return right_neighbours(row + k);
}

/// SI and IS by the four lines of three pixels (contour_words.hpp), for a row of words.
inline void keep_on_a_full_line(std::uint64_t const* above, std::uint64_t const* here,
                                std::uint64_t const* below, std::uint64_t* out,
                                std::ptrdiff_t words) {
  for (std::ptrdiff_t k = 0; k < words; ++k)
    out[k] = kept_on_a_full_line(above + k, here + k, below + k);
}
inline void set_where_every_line_is_met(std::uint64_t const* above, std::uint64_t const* here,
                                        std::uint64_t const* below, std::uint64_t* out,
                                        std::ptrdiff_t words) {
  for (std::ptrdiff_t k = 0; k < words; ++k)
    out[k] = met_by_every_line(above + k, here + k, below + k);
}

/// Dilation and erosion by the square of 3x3 pixels.
inline void dilate_by_square(std::uint64_t const* above, std::uint64_t const* here,
                             std::uint64_t const* below, std::uint64_t* out, std::ptrdiff_t words) {
  for (std::ptrdiff_t k = 0; k < words; ++k)
    out[k] = above[k] | here[k] | below[k] | left_of(above, k) | left_of(here, k) |
             left_of(below, k) | right_of(above, k) | right_of(here, k) | right_of(below, k);
}
inline void erode_by_square(std::uint64_t const* above, std::uint64_t const* here,
                            std::uint64_t const* below, std::uint64_t* out, std::ptrdiff_t words) {
  for (std::ptrdiff_t k = 0; k < words; ++k)
    out[k] = above[k] & here[k] & below[k] & left_of(above, k) & left_of(here, k) &
             left_of(below, k) & right_of(above, k) & right_of(here, k) & right_of(below, k);
}

/// to = operation(from) by rows; `operation` is one of the functions above.
template <class Operation>
void for_each_row(bit_image const& from, bit_image& to, Operation const& operation,
                  exec::threads threads) {
  std::ptrdiff_t const words = from.words();
  std::uint64_t const last = from.last_word();
  for_each_range(threads, from.rows(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t r = begin; r < end; ++r) {
      std::uint64_t* const out = to.row(r);
      operation(from.row(r - 1), from.row(r), from.row(r + 1), out, words);
      out[words - 1] &= last;
    }
  });
}

}  // namespace septum::inline SEPTUM_ABI::detail
