#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>

#include <cstdint>
#include <string>

namespace septum::inline SEPTUM_ABI {

/// One training patch: its image, its centre pixel, and the class of that pixel.
struct patch_index {
  std::int32_t image = 0;
  std::int32_t row = 0;
  std::int32_t column = 0;
  std::uint8_t label = 0;
  friend constexpr bool operator==(patch_index const&, patch_index const&) = default;
};

/// Half-open rectangle of pixels: rows [row_begin, row_end), columns [column_begin, column_end).
struct region {
  int row_begin = 0;
  int row_end = 0;
  int column_begin = 0;
  int column_end = 0;
  friend constexpr bool operator==(region const&, region const&) = default;

  [[nodiscard]] constexpr bool contains(region const& other) const {
    return other.row_begin >= row_begin && other.row_end <= row_end &&
           other.column_begin >= column_begin && other.column_end <= column_end;
  }
  [[nodiscard]] constexpr bool overlaps(region const& other) const {
    return other.row_begin < row_end && row_begin < other.row_end &&
           other.column_begin < column_end && column_begin < other.column_end;
  }
};

/// The pixels a patch of odd side `window` covers.
[[nodiscard]] constexpr region window_of(patch_index const& patch, int window) {
  int const reach = window / 2;
  return {patch.row - reach, patch.row + reach + 1, patch.column - reach, patch.column + reach + 1};
}

/// The pixels of an image of the given extent.
[[nodiscard]] constexpr region whole(extent2 extent) { return {0, extent.rows, 0, extent.columns}; }

namespace detail {
/// Half of the side of a window, the border that a net cannot see.
/// \throws unsupported_error `septum.sample.1` when the side is even or not positive.
[[nodiscard]] inline int reach_of(int window, char const* owner) {
  SEPTUM_EXPECTS(window >= 1 && window % 2 == 1,
                 unsupported_error("septum.sample.1",
                                   std::string{owner} +
                                       ": expected an odd window of at least 1, "
                                       "found " +
                                       std::to_string(window) +
                                       "; set it to the receptive field of the net, 31 or 61"));
  return window / 2;
}
}  // namespace detail

}  // namespace septum::inline SEPTUM_ABI
