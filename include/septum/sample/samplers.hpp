#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/image/annotation.hpp>
#include <septum/image/distance.hpp>
#include <septum/image/types.hpp>
#include <septum/sample/patch_index.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Chooses training patches from annotated images: a pure function of the annotations and of `rng`,
/// (annotations, rng) -> patches in the order image, class, row, column. `window` is the odd side
/// of the patches, none of which leaves its image.
template <class S>
concept Sampler = std::copyable<S> &&
    requires(S const sampler, std::span<annotation const> truths, counter_rng rng) {
  { sampler(truths, rng) } -> std::same_as<std::vector<patch_index>>;
  { sampler.window } -> std::convertible_to<int>;
};

namespace detail {

[[nodiscard]] inline std::string image_name(std::span<std::string const> names, std::size_t image,
                                            std::size_t images) {
  if (image < names.size() && !names[image].empty()) return names[image];
  return "image " + std::to_string(image + 1) + " of " + std::to_string(images);
}

/// The rectangle that windows may cover in one image.
/// \throws unsupported_error `septum.sample.2` when `within` leaves the image.
[[nodiscard]] inline region bounds_of(annotation const& truth, std::optional<region> const& within,
                                      std::string const& name) {
  extent2 const extent{static_cast<int>(truth.class_of_pixel.shape()[0]),
                       static_cast<int>(truth.class_of_pixel.shape()[1])};
  if (!within) return whole(extent);
  SEPTUM_EXPECTS(
      whole(extent).contains(*within) && within->row_begin <= within->row_end &&
          within->column_begin <= within->column_end,
      unsupported_error("septum.sample.2",
                        name + ": region of rows " + std::to_string(within->row_begin) + " to " +
                            std::to_string(within->row_end) + " and columns " +
                            std::to_string(within->column_begin) + " to " +
                            std::to_string(within->column_end) + " leaves the image of " +
                            std::to_string(extent.rows) + " x " + std::to_string(extent.columns) +
                            " pixels; give a rectangle inside it"));
  return *within;
}

/// Centre pixels of every class inside the rectangle `centres`, row-major.
/// \throws unsupported_error `septum.sample.3` on a class number without a name.
[[nodiscard]] inline std::vector<std::vector<patch_index>> pixels_by_class(
    annotation const& truth, std::int32_t image, region const& centres, std::string const& name) {
  std::vector<std::vector<patch_index>> pixels(truth.class_names.size());
  for (int row = centres.row_begin; row < centres.row_end; ++row)
    for (int column = centres.column_begin; column < centres.column_end; ++column) {
      std::uint8_t const label =
          truth.class_of_pixel(static_cast<std::size_t>(row), static_cast<std::size_t>(column));
      if (label == annotation::unlabelled) continue;
      SEPTUM_EXPECTS(
          label < pixels.size(),
          unsupported_error("septum.sample.3",
                            name + ": pixel (" + std::to_string(row) + ", " +
                                std::to_string(column) + ") has class " + std::to_string(label) +
                                ", but only " + std::to_string(pixels.size()) +
                                " classes are named; use 255 for pixels without one"));
      pixels[label].push_back({image, row, column, label});
    }
  return pixels;
}

[[nodiscard]] inline unsupported_error missing_class(std::string const& name,
                                                     std::string const& class_name, int window) {
  return unsupported_error(
      "septum.sample.4", name + ": expected pixels of class '" + class_name + "' whose window of " +
                             std::to_string(window) + " x " + std::to_string(window) +
                             " pixels lies inside, found none; annotate some, leave the image "
                             "out, or set every_class = false");
}

/// All annotations have to name the same classes.
/// \throws unsupported_error `septum.sample.5` when there is no image, `septum.sample.6` when the
/// class names differ.
inline void expect_one_set_of_classes(std::span<annotation const> truths,
                                      std::span<std::string const> names) {
  SEPTUM_EXPECTS(
      !truths.empty(),
      unsupported_error("septum.sample.5", "expected at least one annotated image, found none"));
  for (std::size_t i = 1; i < truths.size(); ++i)
    SEPTUM_EXPECTS(
        truths[i].class_names == truths[0].class_names,
        unsupported_error("septum.sample.6",
                          image_name(names, i, truths.size()) + ": its classes are not those of " +
                              image_name(names, 0, truths.size()) +
                              "; train on images annotated with the same classes"));
}

}  // namespace detail

/// The published rule (published-nets, training recipe): centre pixels with reach < row <
/// H - reach, the same for columns, both strict, reach = (window - 1) / 2; from each image at most
/// n pixels of each class, without replacement. n is `limit_per_class`, or, when that is 0, the
/// smallest number of edge pixels (class 0) of any image, counted reach + 1 pixels inside the
/// border (one row and one column less than the candidates at the far sides, as published).
struct class_balanced {
  int window = 31;          ///< odd side of a patch, px
  int limit_per_class = 0;  ///< patches per class and image; 0: the smallest edge count
  /// Rectangle that takes the place of the image: whole windows lie inside it.
  std::optional<region> within = std::nullopt;
  /// Refuse an image that lacks a class. When false, such an image gives no patch of that class and
  /// does not take part in the edge count; every class has to occur in some image.
  bool every_class = true;

  /// \param truths  one annotation per image, all with the same class names
  /// \param names   names of the images for error messages
  /// \throws unsupported_error `septum.sample.4` when a class is missing, naming image and class
  [[nodiscard]] std::vector<patch_index> operator()(std::span<annotation const> truths,
                                                    counter_rng const& rng,
                                                    std::span<std::string const> names = {}) const {
    int const reach = detail::reach_of(window, "class_balanced");
    detail::expect_one_set_of_classes(truths, names);
    std::vector<std::vector<std::vector<patch_index>>> candidates;
    std::vector<bool> seen(truths[0].class_names.size(), false);
    std::size_t smallest_edge_count = 0;
    for (std::size_t i = 0; i < truths.size(); ++i) {
      auto const name = detail::image_name(names, i, truths.size());
      auto const bounds = detail::bounds_of(truths[i], within, name);
      candidates.push_back(
          detail::pixels_by_class(truths[i], static_cast<std::int32_t>(i),
                                  {bounds.row_begin + reach + 1, bounds.row_end - reach,
                                   bounds.column_begin + reach + 1, bounds.column_end - reach},
                                  name));
      for (std::size_t c = 0; c < seen.size(); ++c) {
        bool const found = !candidates[i][c].empty();
        SEPTUM_EXPECTS(found || !every_class,
                       detail::missing_class(name, truths[i].class_names[c], window));
        seen[c] = seen[c] || found;
      }
      auto const edges = std::ranges::count_if(candidates[i].at(0), [&](patch_index const& patch) {
        return patch.row < bounds.row_end - reach - 1 &&
               patch.column < bounds.column_end - reach - 1;
      });
      auto const count = static_cast<std::size_t>(edges);
      if (count > 0 && (smallest_edge_count == 0 || count < smallest_edge_count))
        smallest_edge_count = count;
    }
    for (std::size_t c = 0; c < seen.size(); ++c)
      SEPTUM_EXPECTS(seen[c],
                     detail::missing_class("all images", truths[0].class_names[c], window));
    auto const limit =
        limit_per_class > 0 ? static_cast<std::size_t>(limit_per_class) : smallest_edge_count;
    return draw(candidates, limit, rng);
  }

 private:
  [[nodiscard]] static std::vector<patch_index> draw(
      std::vector<std::vector<std::vector<patch_index>>>& candidates, std::size_t limit,
      counter_rng const& rng) {
    std::vector<patch_index> drawn;
    for (std::size_t i = 0; i < candidates.size(); ++i)
      for (std::size_t c = 0; c < candidates[i].size(); ++c) {
        auto& pixels = candidates[i][c];
        auto const source = rng.fork(i * 256 + c);
        auto const wanted = std::min(limit, pixels.size());
        for (std::size_t k = 0; k < wanted; ++k)
          std::swap(pixels[k], pixels[k + source.below(k, pixels.size() - k)]);
        pixels.resize(wanted);
        std::ranges::sort(pixels, {}, [](patch_index const& p) {
          return std::pair{p.row, p.column};
        });
        drawn.insert(drawn.end(), pixels.begin(), pixels.end());
      }
    return drawn;
  }
};

/// Every labelled pixel whose window lies inside the image (or inside `within`); draws nothing.
struct all_pixels {
  int window = 31;  ///< odd side of a patch, px
  std::optional<region> within = std::nullopt;

  [[nodiscard]] std::vector<patch_index> operator()(std::span<annotation const> truths,
                                                    counter_rng const& /*rng*/,
                                                    std::span<std::string const> names = {}) const {
    int const reach = detail::reach_of(window, "all_pixels");
    detail::expect_one_set_of_classes(truths, names);
    std::vector<patch_index> patches;
    for (std::size_t i = 0; i < truths.size(); ++i) {
      auto const name = detail::image_name(names, i, truths.size());
      auto const bounds = detail::bounds_of(truths[i], within, name);
      auto const pixels =
          detail::pixels_by_class(truths[i], static_cast<std::int32_t>(i),
                                  {bounds.row_begin + reach, bounds.row_end - reach,
                                   bounds.column_begin + reach, bounds.column_end - reach},
                                  name);
      for (auto const& of_class : pixels)
        patches.insert(patches.end(), of_class.begin(), of_class.end());
    }
    return patches;
  }
};

/// Draws pixels of each image without replacement, each with weight
/// floor + exp(-(d / falloff_px)^2 / 2), d its Euclidean distance to the nearest edge pixel
/// (class 0): pixels that are hard to tell apart come first. Order sampling with the keys
/// log(u) / weight (Efraimidis and Spirakis 2006), so each draw is exact and free of order.
struct edge_weighted {
  int window = 31;              ///< odd side of a patch, px
  int count_per_image = 20000;  ///< fewer when the image has fewer pixels
  double falloff_px = 4.0;      ///< distance at which the weight has dropped to 0.61; above 0
  double floor = 0.05;          ///< weight far from any edge; above 0
  std::optional<region> within = std::nullopt;

  /// \throws unsupported_error `septum.sample.4` when an image has no edge pixel that a window fits
  /// around, naming it; `septum.sample.7` when a parameter is out of range
  [[nodiscard]] std::vector<patch_index> operator()(std::span<annotation const> truths,
                                                    counter_rng const& rng,
                                                    std::span<std::string const> names = {}) const {
    SEPTUM_EXPECTS(
        count_per_image > 0 && falloff_px > 0 && floor > 0,
        unsupported_error("septum.sample.7",
                          "edge_weighted: expected a count, a falloff and a floor above "
                          "0, found " +
                              std::to_string(count_per_image) + ", " + std::to_string(falloff_px) +
                              " and " + std::to_string(floor)));
    auto candidates = all_pixels{.window = window, .within = within}(truths, rng, names);
    std::vector<patch_index> drawn;
    auto first = candidates.begin();
    for (std::size_t i = 0; i < truths.size(); ++i) {
      auto const last = std::find_if(first, candidates.end(), [&](patch_index const& patch) {
        return static_cast<std::size_t>(patch.image) > i;
      });
      SEPTUM_EXPECTS(first != last && first->label == 0,
                     detail::missing_class(detail::image_name(names, i, truths.size()),
                                           truths[i].class_names[0], window));
      auto const chosen = draw({first, last}, truths[i], rng.fork(i));
      drawn.insert(drawn.end(), chosen.begin(), chosen.end());
      first = last;
    }
    return drawn;
  }

 private:
  [[nodiscard]] std::vector<patch_index> draw(std::span<patch_index const> pixels,
                                              annotation const& truth,
                                              counter_rng const& rng) const {
    mask away_from_edges = mask::from_shape(truth.class_of_pixel.shape());
    std::ranges::transform(truth.class_of_pixel, away_from_edges.begin(), [](std::uint8_t label) {
      return static_cast<std::uint8_t>(label != 0);
    });
    auto const distance = distance_transform(away_from_edges);
    std::vector<std::pair<double, std::size_t>> keys;
    for (std::size_t k = 0; k < pixels.size(); ++k) {
      double const scaled = distance(pixels[k].row, pixels[k].column) / falloff_px;
      double const weight = floor + std::exp(-0.5 * scaled * scaled);
      keys.emplace_back(-std::log1p(-rng.uniform(k)) / weight, k);
    }
    auto const wanted = std::min(keys.size(), static_cast<std::size_t>(count_per_image));
    std::ranges::nth_element(keys, keys.begin() + static_cast<std::ptrdiff_t>(wanted) - 1);
    keys.resize(wanted);
    std::ranges::sort(keys, {}, [](auto const& key) { return key.second; });
    std::vector<patch_index> chosen;
    for (auto const& key : keys) chosen.push_back(pixels[key.second]);
    return chosen;
  }
};

}  // namespace septum::inline SEPTUM_ABI
