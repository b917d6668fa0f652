#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/distance.hpp>
#include <septum/image/regions.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// A ring around every nucleus that stands for its cytoplasm.
struct nuclear_ring {
  double width_px = 5;         ///< the paper's; 25 for comparison
  double margin_px = 0;        ///< left free between nucleus and ring
  bool drop_contested = true;  ///< pixels in the rings of two nuclei belong to neither

  /// The rings as a label image: a pixel carries the label of the nucleus that is more than
  /// margin_px and at most margin_px + width_px away (Euclidean, between pixel centres). Pixels of
  /// any nucleus are never ring. Without `drop_contested` a pixel goes to the nearest nucleus, the
  /// smaller label where two are equally near.
  /// \throws unsupported_error `septum.ring.1` on a width that is not above 0 or a negative margin
  [[nodiscard]] labels operator()(labels const& nuclei, exec::threads threads = {}) const {
    SEPTUM_EXPECTS(width_px > 0 && width_px <= 1000 && margin_px >= 0 && margin_px <= 1000,
                   unsupported_error("septum.ring.1",
                                     "ring: expected a width above 0 and a margin from 0, at most "
                                     "1000 px, found " +
                                         to_text(width_px) + " and " + to_text(margin_px)));
    double const reach = margin_px + width_px;
    labels rings = nearest_label(nuclei, reach, threads);
    if (margin_px > 0) {
      labels const inner = nearest_label(nuclei, margin_px, threads);
      clear_where(rings, inner);
    } else {
      clear_where(rings, nuclei);
    }
    if (drop_contested) clear_contested(rings, nuclei, reach, threads);
    return rings;
  }

 private:
  static void clear_where(labels& rings, labels const& cells) {
    for (std::size_t p = 0; p < rings.size(); ++p)
      if (cells.data()[p] != 0) rings.data()[p] = 0;
  }

  /// Clears what lies within `reach` of two nuclei: the distance to each is computed in its own
  /// neighbourhood.
  static void clear_contested(labels& rings, labels const& nuclei, double reach,
                              exec::threads threads) {
    auto const border = static_cast<std::int32_t>(std::ceil(reach));
    auto const rows = static_cast<std::int32_t>(nuclei.shape()[0]);
    auto const columns = static_cast<std::int32_t>(nuclei.shape()[1]);
    mask claimed = mask::from_shape(nuclei.shape());
    claimed.fill(0);
    for (region_properties const& nucleus : measure_regions(nuclei, threads)) {
      if (nucleus.area_px == 0) continue;
      std::int32_t const top = std::max(nucleus.row_begin - border, 0);
      std::int32_t const left = std::max(nucleus.column_begin - border, 0);
      std::int32_t const bottom = std::min(nucleus.row_end + border, rows);
      std::int32_t const right = std::min(nucleus.column_end + border, columns);
      mask outside = mask::from_shape(
          {static_cast<std::size_t>(bottom - top), static_cast<std::size_t>(right - left)});
      for (std::int32_t r = top; r < bottom; ++r)
        for (std::int32_t c = left; c < right; ++c)
          outside(r - top, c - left) = nuclei(r, c) != nucleus.label ? 1 : 0;
      auto const distance = distance_transform(outside);
      for (std::int32_t r = top; r < bottom; ++r)
        for (std::int32_t c = left; c < right; ++c) {
          if (static_cast<double>(distance(r - top, c - left)) > reach) continue;
          if (claimed(r, c) < 2) ++claimed(r, c);
          if (claimed(r, c) == 2) rings(r, c) = 0;
        }
    }
  }
};

}  // namespace septum::inline SEPTUM_ABI
