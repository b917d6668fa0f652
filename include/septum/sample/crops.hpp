#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/annotation.hpp>
#include <septum/sample/augment.hpp>
#include <septum/sample/detail/batch_iterator.hpp>
#include <septum/sample/detail/targets.hpp>
#include <septum/sample/patch_index.hpp>
#include <septum/sample/warp.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// A square of outputs of the fully convolutional net: its image and its first pixel, in image
/// coordinates. The net sees (window - 1) / 2 pixels more on every side.
struct crop {
  std::int32_t image = 0;
  std::int32_t row = 0;
  std::int32_t column = 0;
  friend constexpr bool operator==(crop const&, crop const&) = default;
};

/// How `crop_batches` draws and turns its crops.
struct crop_options {
  int window = 31;     ///< receptive field of the net, odd, px
  int side = 64;       ///< outputs per row and column of a crop; less when an image is small
  int batch_size = 1;  ///< crops per batch
  int batches_per_epoch = 100;  ///< for drawn crops
  bool augment = true;          ///< one of the eight symmetries of the square per crop
  warp_limits warping{};        ///< change of size, shear and rotation per crop
  bool balance = false;         ///< keep as many labels of every class in a crop as its rarest has
  std::uint64_t seed = 0;
};

/// Consecutive crops of one epoch, as training takes them. The views are valid until the next batch
/// is gathered.
struct crop_batch {
  view<float const, 4> patches;          ///< axes crop, row, column, channel; margin included
  std::span<std::uint8_t const> labels;  ///< axes crop, row, column; annotation::unlabelled: none
  std::ptrdiff_t index = 0;              ///< number of the batch in its epoch, from 0
  std::span<float const> targets{};      ///< axes crop, row, column, class; empty: labels alone
};

/// Crops for dense training, cut from whole images when they are asked for. A drawn crop is centred
/// on a labelled pixel, every one as likely as any other, then moved into the image where it leaves
/// it, so that pixels near the border are seen nearly as often as others. A pure function of
/// (images, maps, options, epoch), whatever the thread count, that can start at any epoch and
/// batch. Holds views: images and label maps have to outlive it.
class crop_batches {
 public:
  /// Crops drawn anew in every epoch.
  /// \param images  normalised images, axes row, column, channel, with equal channel counts
  /// \param maps    a class per pixel, or annotation::unlabelled; one map per image
  /// \throws shape_error `septum.sample.15` (images and maps do not belong together),
  /// `septum.sample.16` (an image is smaller than the window), unsupported_error
  /// `septum.sample.17` (no label), `septum.sample.13` (sizes below 1), `septum.sample.1` (window)
  crop_batches(std::vector<view<float const, 3>> images,
               std::vector<view<std::uint8_t const, 2>> maps, crop_options options,
               exec::threads threads = {})
      : crop_batches{std::move(images), std::move(maps), {}, options, threads} {
    SEPTUM_EXPECTS(!labelled_before_row_.empty() && labelled_before_row_.back() > 0,
                   unsupported_error("septum.sample.17",
                                     "crop_batches: no pixel with a class whose window of " +
                                         std::to_string(options_.window) +
                                         " pixels lies inside its image; annotate some"));
  }

  /// The given crops in their order, in every epoch the same, neither turned nor warped.
  [[nodiscard]] static crop_batches fixed(std::vector<view<float const, 3>> images,
                                          std::vector<view<std::uint8_t const, 2>> maps,
                                          std::vector<crop> crops, crop_options options,
                                          exec::threads threads = {}) {
    options.augment = false;
    options.warping = {};
    options.batches_per_epoch =
        (static_cast<int>(crops.size()) + options.batch_size - 1) / options.batch_size;
    crop_batches batches{std::move(images), std::move(maps), std::move(crops), options, threads};
    batches.draws_ = false;
    return batches;
  }

  /// Gives batches soft targets beside their labels from now on: where a crop shows an image
  /// larger, sheared or turned, they are interpolated like its pixels. An output next to a pixel
  /// without probabilities (all zero) loses its label. \param targets  class probabilities, axes
  /// row, column, class; one map per image \throws shape_error `septum.sample.20` (images and
  /// targets do not belong together)
  void set_targets(std::vector<view<float const, 3>> targets) {
    detail::expect_targets(images_, targets, "crop_batches");
    targets_ = std::move(targets);
  }

  [[nodiscard]] std::ptrdiff_t batches_per_epoch() const { return options_.batches_per_epoch; }
  /// The options, with the side that fits into the smallest image.
  [[nodiscard]] crop_options const& options() const { return options_; }
  [[nodiscard]] std::ptrdiff_t channels() const {
    return images_.empty() ? 0 : images_[0].extent(2);
  }

  class epoch_range;
  /// The batches of one epoch, as an input range of `crop_batch`, from batch `first_batch` on.
  [[nodiscard]] epoch_range epoch(int number, std::ptrdiff_t first_batch = 0);

  /// Where crop number `number` of epoch `epoch` lies.
  [[nodiscard]] crop place(int epoch, std::ptrdiff_t number) const {
    if (!draws_) return fixed_[static_cast<std::size_t>(number)];
    counter_rng const rng = drawing(epoch);
    auto const labelled = labelled_before_row_.back();
    auto const chosen = rng.below(static_cast<std::uint64_t>(number), labelled);
    return around(labelled_pixel(chosen));
  }

  /// Writes crops `first`, `first` + 1, ... of an epoch: pixels into `destination` (crop, row,
  /// column, channel), classes into `classes` (crop, row, column) and soft targets, where there are
  /// some, into `targets` (crop, row, column, class). Thread-safe.
  void gather(int epoch, std::ptrdiff_t first, view<float, 4> destination,
              std::span<std::uint8_t> classes, std::span<float> targets = {}) const {
    auto const outputs =
        static_cast<std::size_t>(options_.side) * static_cast<std::size_t>(options_.side);
    for_each_range(threads_, destination.extent(0), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      warped_crop warped;
      for (auto k = begin; k < end; ++k) {
        auto const at = static_cast<std::size_t>(k) * outputs;
        copy_crop(epoch, first + k, &destination(k, 0, 0, 0), classes.subspan(at, outputs),
                  targets_.empty() ? nullptr : targets.data() + at * target_classes(), warped);
      }
    });
  }

 private:
  crop_batches(std::vector<view<float const, 3>> images,
               std::vector<view<std::uint8_t const, 2>> maps, std::vector<crop> crops,
               crop_options options, exec::threads threads)
      : images_{std::move(images)},
        maps_{std::move(maps)},
        fixed_{std::move(crops)},
        options_{options},
        threads_{threads} {
    reach_ = detail::reach_of(options_.window, "crop_batches");
    SEPTUM_EXPECTS(options_.batch_size > 0 && options_.side > 0 && options_.batches_per_epoch >= 0,
                   unsupported_error("septum.sample.18",
                                     "crop_batches: expected crops of at least one pixel, at "
                                     "least one per batch, found " +
                                         std::to_string(options_.side) + " and " +
                                         std::to_string(options_.batch_size)));
    bool matched = images_.size() == maps_.size();
    for (std::size_t i = 0; matched && i < images_.size(); ++i)
      matched = images_[i].extent(0) == maps_[i].extent(0) &&
                images_[i].extent(1) == maps_[i].extent(1) &&
                images_[i].extent(2) == images_[0].extent(2);
    SEPTUM_EXPECTS(matched,
                   shape_error("septum.sample.15",
                               "crop_batches: expected a label map of equal extent per image, and "
                               "images with the same channels"));
    for (auto const& pixels : images_) {
      auto const fits =
          static_cast<int>(std::min(pixels.extent(0), pixels.extent(1))) - options_.window + 1;
      SEPTUM_EXPECTS(fits > 0, shape_error("septum.sample.16",
                                           "an image of " + std::to_string(pixels.extent(0)) +
                                               " x " + std::to_string(pixels.extent(1)) +
                                               " pixels is smaller than the window of " +
                                               std::to_string(options_.window) + "; leave it out"));
      options_.side = std::min(options_.side, fits);
    }
    count_labels();
  }

  [[nodiscard]] bool centre_fits(std::size_t index, std::ptrdiff_t row,
                                 std::ptrdiff_t column) const {
    auto const& pixels = images_[index];
    return row >= reach_ && column >= reach_ && row < pixels.extent(0) - reach_ &&
           column < pixels.extent(1) - reach_;
  }
  [[nodiscard]] bool labelled(std::size_t index, std::ptrdiff_t row, std::ptrdiff_t column) const {
    return centre_fits(index, row, column) && maps_[index](row, column) != annotation::unlabelled;
  }

  // labelled_before_row_[k]: labelled pixels before row k of all images one below the other.
  void count_labels() {
    labelled_before_row_.assign(1, 0);
    for (std::size_t i = 0; i < images_.size(); ++i) {
      first_row_.push_back(labelled_before_row_.size() - 1);
      for (std::ptrdiff_t row = 0; row < images_[i].extent(0); ++row) {
        std::uint64_t count = labelled_before_row_.back();
        for (std::ptrdiff_t column = 0; column < images_[i].extent(1); ++column)
          count += labelled(i, row, column) ? 1U : 0U;
        labelled_before_row_.push_back(count);
      }
    }
  }

  // The labelled pixel with so many before it.
  [[nodiscard]] patch_index labelled_pixel(std::uint64_t number) const {
    auto const after =
        std::upper_bound(labelled_before_row_.begin(), labelled_before_row_.end(), number);
    auto const row_of_all = static_cast<std::size_t>(after - labelled_before_row_.begin()) - 1;
    auto const index = static_cast<std::size_t>(
        std::upper_bound(first_row_.begin(), first_row_.end(), row_of_all) - first_row_.begin() -
        1);
    auto const row = static_cast<std::ptrdiff_t>(row_of_all - first_row_[index]);
    std::uint64_t left = number - labelled_before_row_[row_of_all];
    std::ptrdiff_t column = 0;
    while (!labelled(index, row, column) || left-- > 0) ++column;
    return {static_cast<std::int32_t>(index), static_cast<std::int32_t>(row),
            static_cast<std::int32_t>(column), 0};
  }

  [[nodiscard]] crop around(patch_index const& centre) const {
    auto const& pixels = images_[static_cast<std::size_t>(centre.image)];
    auto const start = [&](int at, std::ptrdiff_t extent) {
      return std::clamp(at - options_.side / 2, reach_,
                        static_cast<int>(extent) - reach_ - options_.side);
    };
    return {centre.image, start(centre.row, pixels.extent(0)),
            start(centre.column, pixels.extent(1))};
  }

  [[nodiscard]] counter_rng drawing(int epoch) const {
    return counter_rng{options_.seed, stream::sampling}.fork(static_cast<std::uint64_t>(epoch));
  }
  [[nodiscard]] counter_rng augmentation(int epoch) const {
    return counter_rng{options_.seed, stream::augmentation}.fork(static_cast<std::uint64_t>(epoch));
  }

  [[nodiscard]] std::size_t target_classes() const {
    return targets_.empty() ? 0 : static_cast<std::size_t>(targets_[0].extent(2));
  }

  // Room for one crop before it is turned.
  struct warped_crop {
    std::vector<float> pixels;
    std::vector<std::uint8_t> classes;
    std::vector<float> targets;
  };

  void copy_crop(int epoch, std::ptrdiff_t number, float* to, std::span<std::uint8_t> classes,
                 float* soft, warped_crop& warped) const {
    auto const at = place(epoch, number);
    auto const& pixels = images_[static_cast<std::size_t>(at.image)];
    auto const& truth = maps_[static_cast<std::size_t>(at.image)];
    auto const side = static_cast<std::ptrdiff_t>(options_.side);
    auto const seen = side + options_.window - 1;
    auto const depth = pixels.extent(2);
    auto const rng = augmentation(epoch);
    auto const turn =
        options_.augment ? draw_dihedral(rng, static_cast<std::uint64_t>(number)) : dihedral{};
    view<float const, 3> from =
        pixels.block({at.row - reach_, at.column - reach_, 0}, {seen, seen, depth});
    view<std::uint8_t const, 2> from_classes = truth.block({at.row, at.column}, {side, side});
    view<float const, 3> from_targets;
    auto const targets = static_cast<std::ptrdiff_t>(target_classes());
    if (soft != nullptr)
      from_targets = targets_[static_cast<std::size_t>(at.image)].block({at.row, at.column, 0},
                                                                        {side, side, targets});
    if (options_.warping.any()) {
      auto const by = draw_warp(rng, static_cast<std::uint64_t>(number), options_.warping);
      warped.pixels.resize(static_cast<std::size_t>(seen * seen * depth));
      warped.classes.resize(static_cast<std::size_t>(side * side));
      warped_square{at.row - reach_, at.column - reach_, seen, by}.pixels(
          pixels, {warped.pixels.data(), {seen, seen, depth}});
      warped_square const outputs{at.row, at.column, side, by};
      outputs.classes(truth, {warped.classes.data(), {side, side}}, annotation::unlabelled,
                      [&](std::ptrdiff_t row, std::ptrdiff_t column) {
                        return centre_fits(static_cast<std::size_t>(at.image), row, column);
                      });
      from = {warped.pixels.data(), {seen, seen, depth}};
      from_classes = {warped.classes.data(), {side, side}};
      if (soft != nullptr) {
        warped.targets.resize(static_cast<std::size_t>(side * side * targets));
        outputs.pixels(targets_[static_cast<std::size_t>(at.image)],
                       {warped.targets.data(), {side, side, targets}});
        from_targets = {warped.targets.data(), {side, side, targets}};
      }
    }
    copy_turned(from.data(), turn.over(seen, from.stride(0), from.stride(1)), seen, depth, to);
    copy_turned(from_classes.data(), turn.over(side, from_classes.stride(0), 1), side,
                std::ptrdiff_t{1}, classes.data());
    if (soft != nullptr) {
      copy_turned(from_targets.data(),
                  turn.over(side, from_targets.stride(0), from_targets.stride(1)), side, targets,
                  soft);
      for (std::size_t i = 0; i < classes.size(); ++i, soft += targets)
        if (!detail::has_target({soft, target_classes()})) classes[i] = annotation::unlabelled;
    }
    if (options_.balance) balance(classes, rng.fork(2).fork(static_cast<std::uint64_t>(number)));
  }

  template <class T>
  static void copy_turned(T const* from, dihedral::walk const& path, std::ptrdiff_t side,
                          std::ptrdiff_t depth, T* to) {
    from += path.origin;
    for (std::ptrdiff_t row = 0; row < side; ++row, from += path.row_step) {
      T const* pixel = from;
      for (std::ptrdiff_t column = 0; column < side; ++column, pixel += path.column_step)
        for (std::ptrdiff_t channel = 0; channel < depth; ++channel) *to++ = pixel[channel];
    }
  }

  // Keeps as many labels of every class that occurs as the rarest of them has, drawn without
  // replacement.
  static void balance(std::span<std::uint8_t> classes, counter_rng const& rng) {
    std::vector<std::vector<std::size_t>> places(256);
    for (std::size_t i = 0; i < classes.size(); ++i)
      if (classes[i] != annotation::unlabelled) places[classes[i]].push_back(i);
    std::size_t rarest = std::numeric_limits<std::size_t>::max();
    for (auto const& of_class : places)
      if (!of_class.empty()) rarest = std::min(rarest, of_class.size());
    for (std::size_t c = 0; c < places.size(); ++c) {
      auto& of_class = places[c];
      if (of_class.size() <= rarest) continue;
      auto const source = rng.fork(c);
      for (std::size_t k = 0; k < rarest; ++k)
        std::swap(of_class[k], of_class[k + source.below(k, of_class.size() - k)]);
      for (std::size_t k = rarest; k < of_class.size(); ++k)
        classes[of_class[k]] = annotation::unlabelled;
    }
  }

  std::vector<view<float const, 3>> images_;
  std::vector<view<std::uint8_t const, 2>> maps_;
  std::vector<view<float const, 3>> targets_;
  std::vector<crop> fixed_;
  crop_options options_;
  exec::threads threads_;
  bool draws_ = true;
  int reach_ = 0;
  std::vector<std::uint64_t> labelled_before_row_;
  std::vector<std::size_t> first_row_;
  std::vector<float> buffer_;
  std::vector<std::uint8_t> classes_;
  std::vector<float> soft_;
};

/// Input range over the batches of one epoch; gathers each batch when it is reached. One epoch of a
/// `crop_batches` may be walked at a time, since batches share its buffer.
class crop_batches::epoch_range {
 public:
  using iterator = detail::batch_iterator<epoch_range, crop_batch>;

  epoch_range(crop_batches& owner, int epoch, std::ptrdiff_t first_batch)
      : owner_{&owner}, epoch_{epoch}, next_{first_batch} {}
  [[nodiscard]] iterator begin() { return iterator{this}; }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }
  [[nodiscard]] bool finished() const { return next_ >= owner_->batches_per_epoch(); }

 private:
  friend iterator;

  void gather_next() {
    if (finished()) return;
    auto const& options = owner_->options_;
    std::ptrdiff_t const first = next_ * options.batch_size;
    std::ptrdiff_t const count =
        owner_->draws_
            ? options.batch_size
            : std::min<std::ptrdiff_t>(options.batch_size, std::ssize(owner_->fixed_) - first);
    std::ptrdiff_t const side = options.side;
    std::ptrdiff_t const seen = side + options.window - 1;
    owner_->buffer_.resize(static_cast<std::size_t>(count * seen * seen * owner_->channels()));
    owner_->classes_.resize(static_cast<std::size_t>(count * side * side));
    view<float, 4> const patches{owner_->buffer_.data(), {count, seen, seen, owner_->channels()}};
    owner_->soft_.resize(owner_->classes_.size() * owner_->target_classes());
    owner_->gather(epoch_, first, patches, owner_->classes_, owner_->soft_);
    batch_ = {patches, owner_->classes_, next_, owner_->soft_};
  }

  crop_batches* owner_;
  int epoch_;
  std::ptrdiff_t next_;
  crop_batch batch_;
};

inline crop_batches::epoch_range crop_batches::epoch(int number, std::ptrdiff_t first_batch) {
  return {*this, number, first_batch};
}

/// Crops that cover all pixels of the maps whose window lies inside, row by row, without those that
/// hold no label; at most `limit` of them, evenly spaced in that order. The last crop of a row or
/// column of crops is moved back into the image, so what it overlaps is covered twice.
[[nodiscard]] inline std::vector<crop> crop_grid(
    std::span<view<std::uint8_t const, 2> const> maps, int window, int side,
    std::size_t limit = std::numeric_limits<std::size_t>::max()) {
  int const reach = detail::reach_of(window, "crop_grid");
  std::vector<crop> all;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    auto const rows = static_cast<int>(maps[i].extent(0)) - 2 * reach;
    auto const columns = static_cast<int>(maps[i].extent(1)) - 2 * reach;
    if (rows < side || columns < side) continue;
    for (int r = 0; r < rows; r += side)
      for (int c = 0; c < columns; c += side) {
        crop const here{static_cast<std::int32_t>(i), reach + std::min(r, rows - side),
                        reach + std::min(c, columns - side)};
        auto const inside = maps[i].block({here.row, here.column}, {side, side});
        bool any = false;
        for (std::ptrdiff_t row = 0; !any && row < side; ++row) {
          auto const* const first = &inside(row, 0);
          any = std::any_of(first, first + side,
                            [](std::uint8_t label) { return label != annotation::unlabelled; });
        }
        if (any) all.push_back(here);
      }
  }
  if (all.size() <= limit) return all;
  std::vector<crop> some;
  for (std::size_t k = 0; k < limit; ++k) some.push_back(all[k * all.size() / limit]);
  return some;
}

}  // namespace septum::inline SEPTUM_ABI
