#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/image/annotation.hpp>
#include <septum/image/types.hpp>
#include <septum/sample/patch_index.hpp>
#include <septum/sample/samplers.hpp>
#include <septum/sample/split.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Class numbers per pixel for dense training, one map per image (row, column): pixels that a part
/// of the data does not speak about are annotation::unlabelled, among them all whose window leaves
/// the image.
struct label_maps {
  std::vector<mask> training;
  std::vector<mask> validation;
};

namespace detail {

/// Two maps per annotation; belongs(index, row, column, class) is 0 for training, 1 for validation
/// and anything else for neither. Called in the order image, row, column for pixels with a class.
template <class Belongs>
[[nodiscard]] label_maps divide_labels(std::span<annotation const> truths, int window,
                                       std::span<std::string const> names, Belongs const& belongs) {
  int const reach = reach_of(window, "split_labels");
  expect_one_set_of_classes(truths, names);
  label_maps maps;
  for (std::size_t i = 0; i < truths.size(); ++i) {
    auto const& classes = truths[i].class_of_pixel;
    maps.training.push_back(mask::from_shape(classes.shape()));
    maps.validation.push_back(mask::from_shape(classes.shape()));
    std::ranges::fill(maps.training.back(), annotation::unlabelled);
    std::ranges::fill(maps.validation.back(), annotation::unlabelled);
    auto const bounds = bounds_of(truths[i], std::nullopt, image_name(names, i, truths.size()));
    region const centres{bounds.row_begin + reach, bounds.row_end - reach,
                         bounds.column_begin + reach, bounds.column_end - reach};
    for (int row = centres.row_begin; row < centres.row_end; ++row)
      for (int column = centres.column_begin; column < centres.column_end; ++column) {
        auto const label = classes(row, column);
        if (label == annotation::unlabelled) continue;
        switch (belongs(i, row, column, label)) {
          case 0:
            maps.training[i](row, column) = label;
            break;
          case 1:
            maps.validation[i](row, column) = label;
            break;
          default:
            break;
        }
      }
  }
  return maps;
}

}  // namespace detail

/// Every labelled pixel is held out with the split's probability, independently of all others: the
/// published split for dense training. Windows of the two parts overlap, so the validation error
/// is optimistic; it serves to compare epochs.
[[nodiscard]] inline label_maps split_labels(std::span<annotation const> truths, int window,
                                             random_pixels const& split, counter_rng const& rng,
                                             std::span<std::string const> names = {}) {
  detail::expect_fraction(split.fraction, "random_pixels");
  std::uint64_t pixel = 0;
  return detail::divide_labels(truths, window, names, [&](std::size_t, int, int, std::uint8_t) {
    return rng.uniform(pixel++) < split.fraction ? 1 : 0;
  });
}

/// Holds out one block in a corner of every image: validation labels are those whose window lies in
/// the block, training labels those whose window does not touch it. The block is chosen as
/// by_region does, from an even subset of at most 20,000 pixels per image.
/// \throws unsupported_error `septum.sample.10` when no training label would be left
[[nodiscard]] inline label_maps split_labels(std::span<annotation const> truths, int window,
                                             by_region const& split, counter_rng const& rng,
                                             std::span<std::string const> names = {}) {
  auto const all = all_pixels{.window = window}(truths, rng, names);
  constexpr std::size_t most = 20'000;
  std::vector<std::size_t> count(truths.size(), 0);
  for (auto const& pixel : all) ++count[static_cast<std::size_t>(pixel.image)];
  std::vector<patch_index> some;
  for (std::size_t k = 0; k < all.size(); ++k)
    if (k % (count[static_cast<std::size_t>(all[k].image)] / most + 1) == 0) some.push_back(all[k]);
  std::vector<extent2> extents;
  for (auto const& truth : truths)
    extents.push_back({static_cast<int>(truth.class_of_pixel.shape()[0]),
                       static_cast<int>(truth.class_of_pixel.shape()[1])});
  auto const blocks = split.blocks(some, extents, window, rng);
  bool any = false;
  auto maps = detail::divide_labels(
      truths, window, names, [&](std::size_t index, int row, int column, std::uint8_t label) {
        auto const& block = blocks[index];
        auto const seen = window_of({static_cast<std::int32_t>(index), row, column, label}, window);
        if (block.contains(seen)) return 1;
        any = any || !block.overlaps(seen);
        return block.overlaps(seen) ? 2 : 0;
      });
  SEPTUM_EXPECTS(
      any, unsupported_error("septum.sample.10",
                             "by_region: every training window of " + std::to_string(window) +
                                 " pixels overlaps a held-out block; use larger images, a smaller "
                                 "fraction, or random_pixels"));
  return maps;
}

/// One weight per class so that all classes count the same in the loss: pixels / (classes * pixels
/// of the class), counted over all maps. The mean weight of a labelled pixel is 1.
/// \throws unsupported_error `septum.sample.14` naming the number of a class without a pixel
[[nodiscard]] inline std::vector<double> inverse_frequency_weights(std::span<mask const> maps,
                                                                   std::size_t classes) {
  std::vector<double> count(classes, 0.0);
  double total = 0.0;
  for (auto const& map : maps)
    for (auto const label : map)
      if (label < classes) {
        ++count[label];
        ++total;
      }
  for (std::size_t c = 0; c < classes; ++c) {
    SEPTUM_EXPECTS(count[c] > 0, unsupported_error("septum.sample.14",
                                                   "class " + std::to_string(c) + " of " +
                                                       std::to_string(classes) +
                                                       " has no pixel to train on; annotate some"));
    count[c] = total / (static_cast<double>(classes) * count[c]);
  }
  return count;
}

}  // namespace septum::inline SEPTUM_ABI
