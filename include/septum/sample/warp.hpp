#pragma once
#include <septum/core/config.hpp>
#include <septum/core/rng.hpp>
#include <septum/core/view.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace septum::inline SEPTUM_ABI {

/// A linear map of offsets from the middle of a square: what appears at an offset (row, column) is
/// taken from the offset (rr row + rc column, cr row + cc column).
struct warp {
  double rr = 1.0;
  double rc = 0.0;
  double cr = 0.0;
  double cc = 1.0;

  /// Same effect as applying `first`, then `second` to its result.
  [[nodiscard]] static constexpr warp compose(warp const& first, warp const& second) {
    return {
        first.rr * second.rr + first.rc * second.cr, first.rr * second.rc + first.rc * second.cc,
        first.cr * second.rr + first.cc * second.cr, first.cr * second.rc + first.cc * second.cc};
  }
};

/// How far drawn warps may go.
struct warp_limits {
  double scale = 0.0;   ///< cells up to 1 + scale times as large or as small; 0: none
  double shear = 0.0;   ///< largest shear, columns per row; 0: none
  bool rotate = false;  ///< by any angle

  [[nodiscard]] constexpr bool any() const { return scale > 0.0 || shear > 0.0 || rotate; }
};

/// The warp of crop number `number` in the epoch that `rng` belongs to: scale uniform in its
/// logarithm, shear uniform, angle uniform; independent of batch, order and thread.
[[nodiscard]] inline warp draw_warp(counter_rng const& rng, std::uint64_t number,
                                    warp_limits const& limits) {
  auto const symmetric = [&](std::uint64_t task) {
    return 2.0 * rng.fork(task).uniform(number) - 1.0;
  };
  double const size = std::exp(std::log1p(limits.scale) * symmetric(3));
  warp drawn{1.0 / size, 0.0, limits.shear * symmetric(1) / size, 1.0 / size};
  if (limits.rotate) {
    double const angle = 3.141592653589793238463 * symmetric(4);
    drawn =
        warp::compose(drawn, {std::cos(angle), -std::sin(angle), std::sin(angle), std::cos(angle)});
  }
  return drawn;
}

/// Where the pixels of a square that was warped about its middle come from, in the image.
class warped_square {
 public:
  /// @param row, column  first pixel of the square before the warp   @param side its pixels per row
  warped_square(std::ptrdiff_t row, std::ptrdiff_t column, std::ptrdiff_t side, warp const& by)
      : by_{by},
        half_{0.5 * static_cast<double>(side - 1)},
        middle_row_{static_cast<double>(row) + half_},
        middle_column_{static_cast<double>(column) + half_} {}

  [[nodiscard]] std::array<double, 2> source(std::ptrdiff_t row, std::ptrdiff_t column) const {
    double const r = static_cast<double>(row) - half_;
    double const c = static_cast<double>(column) - half_;
    return {middle_row_ + by_.rr * r + by_.rc * c, middle_column_ + by_.cr * r + by_.cc * c};
  }

  /// Fills `to` (row, column, channel) from an image: interpolated between pixels, and beyond the
  /// image's border the mirror image of what lies inside.
  void pixels(view<float const, 3> from, view<float, 3> to) const {
    for (std::ptrdiff_t row = 0; row < to.extent(0); ++row)
      for (std::ptrdiff_t column = 0; column < to.extent(1); ++column) {
        auto const at = source(row, column);
        neighbours const rows{at[0], from.extent(0)};
        neighbours const columns{at[1], from.extent(1)};
        for (std::ptrdiff_t k = 0; k < to.extent(2); ++k) {
          float const above = between(from(rows.first, columns.first, k),
                                      from(rows.first, columns.second, k), columns.part);
          float const below = between(from(rows.second, columns.first, k),
                                      from(rows.second, columns.second, k), columns.part);
          to(row, column, k) = between(above, below, rows.part);
        }
      }
  }

  /// Fills `to` (row, column) with the classes of the nearest pixels, `elsewhere` where
  /// `has_class(row, column)` says no.
  template <class HasClass>
  void classes(view<std::uint8_t const, 2> from, view<std::uint8_t, 2> to, std::uint8_t elsewhere,
               HasClass const& has_class) const {
    for (std::ptrdiff_t row = 0; row < to.extent(0); ++row)
      for (std::ptrdiff_t column = 0; column < to.extent(1); ++column) {
        auto const at = source(row, column);
        auto const r = static_cast<std::ptrdiff_t>(std::lround(at[0]));
        auto const c = static_cast<std::ptrdiff_t>(std::lround(at[1]));
        to(row, column) = has_class(r, c) ? from(r, c) : elsewhere;
      }
  }

 private:
  // The two pixels around a place on an axis, mirrored into the image, and how far the place lies
  // on the way from the first to the second.
  struct neighbours {
    neighbours(double place, std::ptrdiff_t extent) {
      double const down = std::floor(place);
      part = static_cast<float>(place - down);
      first = mirrored(static_cast<std::ptrdiff_t>(down), extent);
      second = mirrored(static_cast<std::ptrdiff_t>(down) + 1, extent);
    }
    static std::ptrdiff_t mirrored(std::ptrdiff_t index, std::ptrdiff_t extent) {
      if (extent == 1) return 0;
      std::ptrdiff_t const period = 2 * (extent - 1);
      std::ptrdiff_t const inside = ((index % period) + period) % period;
      return std::min(inside, period - inside);
    }
    std::ptrdiff_t first, second;
    float part;
  };
  static float between(float a, float b, float part) { return a + part * (b - a); }

  warp by_;
  double half_;
  double middle_row_;
  double middle_column_;
};

}  // namespace septum::inline SEPTUM_ABI
