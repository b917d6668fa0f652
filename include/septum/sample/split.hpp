#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/sample/patch_index.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Patches to fit the weights to, and patches to choose between weights with.
struct patch_split {
  std::vector<patch_index> training;
  std::vector<patch_index> validation;
};

/// Divides a patch list: (patches, image extents, window, rng) -> training and validation, a pure
/// function of its arguments. `extents[k]` is the size of image k.
template <class S>
concept Split = std::copyable<S> &&
    requires(S const split, std::span<patch_index const> patches, std::span<extent2 const> extents,
             int window, counter_rng rng) {
  { split(patches, extents, window, rng) } -> std::same_as<patch_split>;
};

namespace detail {
/// \throws unsupported_error `septum.sample.8`
inline void expect_fraction(double fraction, char const* owner) {
  SEPTUM_EXPECTS(fraction >= 0 && fraction < 1,
                 unsupported_error("septum.sample.8",
                                   std::string{owner} +
                                       ": expected a fraction of at least 0 and below 1, found " +
                                       std::to_string(fraction) + "; 0.1 is the published value"));
}
}  // namespace detail

/// The published split: floor(fraction * patches) patches at random are held out. Windows of
/// validation patches overlap windows of training patches, so the validation error is optimistic;
/// it serves to compare epochs, not to report accuracy.
struct random_pixels {
  double fraction = 0.1;  ///< share of the patches held out, in [0, 1)

  [[nodiscard]] patch_split operator()(std::span<patch_index const> patches,
                                       std::span<extent2 const> /*extents*/, int /*window*/,
                                       counter_rng const& rng) const {
    detail::expect_fraction(fraction, "random_pixels");
    std::vector<std::size_t> order(patches.size());
    for (std::size_t k = 0; k < order.size(); ++k) order[k] = k;
    shuffle(order, rng);
    auto const held_out =
        static_cast<std::size_t>(std::floor(fraction * static_cast<double>(patches.size())));
    std::vector<bool> validates(patches.size(), false);
    for (std::size_t k = 0; k < held_out; ++k) validates[order[k]] = true;
    patch_split split;
    for (std::size_t k = 0; k < patches.size(); ++k)
      (validates[k] ? split.validation : split.training).push_back(patches[k]);
    return split;
  }
};

/// Holds out one block in a corner of every image. Validation patches are those whose whole window
/// lies in the block, training patches those whose window has no pixel in common with it, and
/// patches that straddle its border are dropped: no pixel is seen by both, so the validation error
/// is honest as far as one movie can tell.
///
/// The block has the proportions of the image and is the smallest that holds `fraction` of the
/// image's patches. Of the four corners the one is taken whose mix of classes is closest to that of
/// the image (total variation); `rng` decides between equals.
struct by_region {
  double fraction = 0.1;  ///< share of the patches of each image held out, in [0, 1)

  /// The held-out block of each image; empty rectangles when fraction is 0.
  /// \throws shape_error `septum.sample.9` when a patch names an image without extent
  [[nodiscard]] std::vector<region> blocks(std::span<patch_index const> patches,
                                           std::span<extent2 const> extents, int window,
                                           counter_rng const& rng) const {
    detail::expect_fraction(fraction, "by_region");
    std::vector<std::vector<patch_index>> of_image(extents.size());
    for (auto const& patch : patches) {
      SEPTUM_EXPECTS(
          patch.image >= 0 && static_cast<std::size_t>(patch.image) < extents.size(),
          shape_error("septum.sample.9",
                      "a patch lies in image " + std::to_string(patch.image) + ", but extents of " +
                          std::to_string(extents.size()) + " images were given",
                      fault::internal));
      of_image[static_cast<std::size_t>(patch.image)].push_back(patch);
    }
    std::vector<region> chosen;
    for (std::size_t i = 0; i < extents.size(); ++i) {
      auto const wanted =
          static_cast<std::size_t>(std::floor(fraction * static_cast<double>(of_image[i].size())));
      chosen.push_back(wanted == 0
                           ? region{}
                           : best_corner(of_image[i], extents[i], window, wanted, rng.fork(i)));
    }
    return chosen;
  }

  /// \throws unsupported_error `septum.sample.10` when no training patch would be left
  [[nodiscard]] patch_split operator()(std::span<patch_index const> patches,
                                       std::span<extent2 const> extents, int window,
                                       counter_rng const& rng) const {
    auto const held_out = blocks(patches, extents, window, rng);
    patch_split split;
    for (auto const& patch : patches) {
      auto const& block = held_out[static_cast<std::size_t>(patch.image)];
      auto const pixels = window_of(patch, window);
      if (block.contains(pixels))
        split.validation.push_back(patch);
      else if (!block.overlaps(pixels))
        split.training.push_back(patch);
    }
    SEPTUM_EXPECTS(
        patches.empty() || !split.training.empty(),
        unsupported_error("septum.sample.10",
                          "by_region: every training window of " + std::to_string(window) +
                              " pixels overlaps a held-out block; use larger images, a smaller "
                              "fraction, or random_pixels"));
    return split;
  }

 private:
  /// A block of `size` / 1024 of the image's side, in corner 0 to 3.
  [[nodiscard]] static region corner_block(extent2 extent, int corner, int size) {
    auto const scaled = [&](int side) {
      return static_cast<int>((static_cast<std::int64_t>(side) * size + 1023) / 1024);
    };
    int const rows = scaled(extent.rows);
    int const columns = scaled(extent.columns);
    int const row = (corner & 1) != 0 ? extent.rows - rows : 0;
    int const column = (corner & 2) != 0 ? extent.columns - columns : 0;
    return {row, row + rows, column, column + columns};
  }

  using class_counts = std::map<std::uint8_t, std::size_t>;

  [[nodiscard]] static std::size_t count_inside(std::span<patch_index const> patches, int window,
                                                region const& block, class_counts& of_class) {
    std::size_t total = 0;
    of_class.clear();
    for (auto const& patch : patches)
      if (block.contains(window_of(patch, window))) {
        ++of_class[patch.label];
        ++total;
      }
    return total;
  }

  [[nodiscard]] static region best_corner(std::span<patch_index const> patches, extent2 extent,
                                          int window, std::size_t wanted, counter_rng const& rng) {
    class_counts overall;
    for (auto const& patch : patches) ++overall[patch.label];
    std::array<int, 4> corners{0, 1, 2, 3};
    shuffle(corners, rng);
    region best;
    double least_difference = std::numeric_limits<double>::infinity();
    for (int const corner : corners) {
      class_counts inside;
      int too_small = 0;
      int enough = 1024;
      while (enough - too_small > 1) {
        int const middle = (too_small + enough) / 2;
        auto const found =
            count_inside(patches, window, corner_block(extent, corner, middle), inside);
        (found >= wanted ? enough : too_small) = middle;
      }
      auto const block = corner_block(extent, corner, enough);
      auto const total = static_cast<double>(count_inside(patches, window, block, inside));
      double difference = 0;
      for (auto const& [label, count] : overall)
        difference += std::abs(static_cast<double>(inside[label]) / total -
                               static_cast<double>(count) / static_cast<double>(patches.size()));
      if (difference < least_difference) {
        least_difference = difference;
        best = block;
      }
    }
    return best;
  }
};

}  // namespace septum::inline SEPTUM_ABI
