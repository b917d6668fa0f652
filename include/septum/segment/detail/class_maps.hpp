#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

namespace septum::inline SEPTUM_ABI::detail {

/// The sum of the probabilities of some classes, as an image of its own (row, column).
/// \throws shape_error `septum.segment.2` when the probabilities have too few classes.
template <int... Classes>
[[nodiscard]] xt::xtensor<float, 2> class_map(probabilities const& maps, exec::threads threads) {
  static_assert(sizeof...(Classes) > 0 && ((Classes >= 0) && ...),
                "septum: expected one or more class indices of at least 0. FIX: use the enum of "
                "your net.");
  constexpr int most = std::max({Classes...});
  auto const source = as_view(maps);
  SEPTUM_EXPECTS(most < source.extent(2),
                 shape_error("septum.segment.2",
                             "probabilities: expected at least " + std::to_string(most + 1) +
                                 " classes to read class " + std::to_string(most) + ", found " +
                                 std::to_string(source.extent(2))));
  xt::xtensor<float, 2> result =
      xt::xtensor<float, 2>::from_shape({maps.shape()[0], maps.shape()[1]});
  std::ptrdiff_t const columns = source.extent(1);
  for_each_range(threads, source.extent(0), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t r = begin; r < end; ++r)
      for (std::ptrdiff_t c = 0; c < columns; ++c)
        result.data()[r * columns + c] = (source(r, c, Classes) + ...);
  });
  return result;
}

/// Non-zero labels as a mask.
[[nodiscard]] inline mask mask_of(labels const& cells) {
  mask pixels = mask::from_shape(cells.shape());
  std::transform(cells.begin(), cells.end(), pixels.begin(),
                 [](std::int32_t label) { return static_cast<std::uint8_t>(label != 0); });
  return pixels;
}

}  // namespace septum::inline SEPTUM_ABI::detail
