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

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Consecutive patches of one epoch. Both views are valid until the next batch is gathered.
struct patch_batch {
  view<float const, 4> patches;          ///< axes batch, row, column, channel
  std::span<std::uint8_t const> labels;  ///< class of each patch's centre pixel
  std::ptrdiff_t index = 0;              ///< number of the batch in its epoch, from 0
  std::span<float const> targets{};      ///< axes batch, class; empty: labels alone
};

/// How `patch_batches` walks its patches.
struct batch_options {
  int window = 31;         ///< odd side of a patch, px
  int batch_size = 256;    ///< patches per batch; the last one of an epoch may hold fewer
  bool shuffle = true;     ///< a new order every epoch; false: the order of the list
  bool augment = true;     ///< one of the eight symmetries of the square per epoch and patch
  std::uint64_t seed = 0;  ///< of the order and of the symmetries
  /// Patches of an epoch; 0: all. Otherwise epochs are consecutive pieces, of this length, of an
  /// endless row of passes over all patches.
  std::ptrdiff_t patches_per_epoch = 0;
  /// A last batch of fewer patches is left out: batch normalisation needs two to learn from.
  int smallest_batch = 1;
};

/// Batches of patches cut from whole images when they are asked for, never stored: epoch e is a
/// permutation of the patch list, or a piece of a row of permutations, every patch turned by its
/// own draw. A pure function of (patches, options, epoch), whatever the thread count, and it can
/// start at any epoch and batch, so a resumed run sees the bytes it would have seen. Holds views:
/// the images have to outlive it.
class patch_batches {
 public:
  /// \param images   normalised images, axes row, column, channel, with equal channel counts
  /// \param patches  centre pixels; every window has to lie inside its image
  /// \throws shape_error `septum.sample.11` (channels), `septum.sample.12` (a window leaves its
  /// image), unsupported_error `septum.sample.13` (batch size), `septum.sample.1` (window)
  patch_batches(std::vector<view<float const, 3>> images, std::vector<patch_index> patches,
                batch_options options, exec::threads threads = {})
      : images_{std::move(images)},
        patches_{std::move(patches)},
        options_{options},
        threads_{threads} {
    reach_ = detail::reach_of(options_.window, "patch_batches");
    SEPTUM_EXPECTS(options_.batch_size > 0,
                   unsupported_error("septum.sample.13",
                                     "patch_batches: expected a batch size of at least 1, found " +
                                         std::to_string(options_.batch_size)));
    SEPTUM_EXPECTS(options_.patches_per_epoch >= 0,
                   unsupported_error("septum.sample.19",
                                     "patch_batches: expected 0 or more patches per epoch, found " +
                                         std::to_string(options_.patches_per_epoch)));
    for (std::size_t i = 1; i < images_.size(); ++i)
      SEPTUM_EXPECTS(
          images_[i].extent(2) == images_[0].extent(2),
          shape_error("septum.sample.11", "image " + std::to_string(i + 1) + " has " +
                                              std::to_string(images_[i].extent(2)) +
                                              " channels, image 1 has " +
                                              std::to_string(images_[0].extent(2)) +
                                              "; train on images with the same channels"));
    for (auto const& patch : patches_) expect_inside(patch);
  }

  /// Gives batches soft targets beside their labels from now on: those of the centre pixels. A
  /// patch without probabilities (all zero) gets the label annotation::unlabelled. \param targets
  /// class probabilities, axes row, column, class; one map per image \throws shape_error
  /// `septum.sample.20` (images and targets do not belong together)
  void set_targets(std::vector<view<float const, 3>> targets) {
    detail::expect_targets(images_, targets, "patch_batches");
    targets_ = std::move(targets);
  }

  [[nodiscard]] std::ptrdiff_t patch_count() const { return std::ssize(patches_); }
  /// Patches that an epoch visits, those of a batch that is left out included.
  [[nodiscard]] std::ptrdiff_t patches_per_epoch() const {
    return patches_.empty() || options_.patches_per_epoch == 0 ? patch_count()
                                                               : options_.patches_per_epoch;
  }
  [[nodiscard]] std::ptrdiff_t batches_per_epoch() const {
    std::ptrdiff_t const full = patches_per_epoch() / options_.batch_size;
    std::ptrdiff_t const left = patches_per_epoch() % options_.batch_size;
    return full + (left > 0 && left >= options_.smallest_batch ? 1 : 0);
  }
  [[nodiscard]] std::ptrdiff_t channels() const {
    return images_.empty() ? 0 : images_[0].extent(2);
  }
  [[nodiscard]] batch_options const& options() const { return options_; }
  [[nodiscard]] std::span<patch_index const> patches() const { return patches_; }

  /// Numbers of the patches in the order in which epoch `epoch` visits them.
  [[nodiscard]] std::vector<std::uint32_t> order(int epoch) const {
    std::ptrdiff_t const length = patches_per_epoch();
    std::vector<std::uint32_t> visits;
    visits.reserve(static_cast<std::size_t>(length));
    std::ptrdiff_t at = length * epoch;  // in the row of passes
    while (std::ssize(visits) < length) {
      auto const pass = pass_over_all(at / patch_count());
      auto const from = at % patch_count();
      auto const count = std::min(patch_count() - from, length - std::ssize(visits));
      visits.insert(visits.end(), pass.begin() + from, pass.begin() + from + count);
      at += count;
    }
    return visits;
  }

  class epoch_range;
  /// The batches of one epoch, as an input range of `patch_batch`, from batch `first_batch` on.
  [[nodiscard]] epoch_range epoch(int number, std::ptrdiff_t first_batch = 0);

  /// Writes the patches `numbers` into `destination` (axes batch, row, column, channel) and their
  /// classes into `classes`, each patch turned as in epoch `epoch`; soft targets, where there are
  /// some, into `targets` (batch, class). Thread-safe.
  void gather(std::span<std::uint32_t const> numbers, int epoch, view<float, 4> destination,
              std::span<std::uint8_t> classes, std::span<float> targets = {}) const {
    auto const turns =
        counter_rng{options_.seed, stream::augmentation}.fork(static_cast<std::uint64_t>(epoch));
    for_each_range(threads_, std::ssize(numbers), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (auto k = begin; k < end; ++k) {
        auto const number = numbers[static_cast<std::size_t>(k)];
        auto const& patch = patches_[number];
        copy_patch(patch, options_.augment ? draw_dihedral(turns, number) : dihedral{},
                   &destination(k, 0, 0, 0));
        classes[static_cast<std::size_t>(k)] = patch.label;
        if (targets_.empty()) continue;
        auto const soft =
            targets.subspan(static_cast<std::size_t>(k) * target_classes(), target_classes());
        auto const& of_image = targets_[static_cast<std::size_t>(patch.image)];
        std::copy_n(&of_image(patch.row, patch.column, 0), soft.size(), soft.begin());
        if (!detail::has_target(soft))
          classes[static_cast<std::size_t>(k)] = annotation::unlabelled;
      }
    });
  }

 private:
  [[nodiscard]] std::size_t target_classes() const {
    return targets_.empty() ? 0 : static_cast<std::size_t>(targets_[0].extent(2));
  }

  [[nodiscard]] std::vector<std::uint32_t> pass_over_all(std::ptrdiff_t pass) const {
    std::vector<std::uint32_t> numbers(patches_.size());
    std::iota(numbers.begin(), numbers.end(), 0U);
    if (options_.shuffle)
      shuffle(numbers, counter_rng{options_.seed, stream::batch_order}.fork(
                           static_cast<std::uint64_t>(pass)));
    return numbers;
  }

  void expect_inside(patch_index const& patch) const {
    bool const known = patch.image >= 0 && static_cast<std::size_t>(patch.image) < images_.size();
    SEPTUM_EXPECTS(
        known && whole(extent_of(images_[static_cast<std::size_t>(patch.image)]))
                     .contains(window_of(patch, options_.window)),
        shape_error("septum.sample.12",
                    "the window of " + std::to_string(options_.window) + " pixels around row " +
                        std::to_string(patch.row) + ", column " + std::to_string(patch.column) +
                        " leaves image " + std::to_string(patch.image + 1) + " of " +
                        std::to_string(images_.size()) + "; sample with the same window"));
  }

  [[nodiscard]] static extent2 extent_of(view<float const, 3> const& pixels) {
    return {static_cast<int>(pixels.extent(0)), static_cast<int>(pixels.extent(1))};
  }

  void copy_patch(patch_index const& patch, dihedral turn, float* to) const {
    auto const& pixels = images_[static_cast<std::size_t>(patch.image)];
    auto const side = static_cast<std::ptrdiff_t>(options_.window);
    auto const depth = pixels.extent(2);
    auto const path = turn.over(side, pixels.stride(0), pixels.stride(1));
    float const* from = &pixels(patch.row - reach_, patch.column - reach_, 0) + path.origin;
    if (path.column_step == depth) {  // rows stay rows: whole rows are copied
      for (std::ptrdiff_t row = 0; row < side; ++row, from += path.row_step, to += side * depth)
        std::memcpy(to, from, static_cast<std::size_t>(side * depth) * sizeof(float));
    } else if (depth == 1) {
      copy_pixels(std::integral_constant<std::ptrdiff_t, 1>{}, from, path, to);
    } else if (depth == 2) {
      copy_pixels(std::integral_constant<std::ptrdiff_t, 2>{}, from, path, to);
    } else {
      copy_pixels(depth, from, path, to);
    }
  }

  // `depth` is a constant where that is worth it: the copy of a pixel is then a few moves.
  template <class Depth>
  void copy_pixels(Depth depth, float const* from, dihedral::walk const& path, float* to) const {
    for (int row = 0; row < options_.window; ++row, from += path.row_step) {
      float const* pixel = from;
      for (int column = 0; column < options_.window; ++column, pixel += path.column_step)
        for (std::ptrdiff_t channel = 0; channel < depth; ++channel) *to++ = pixel[channel];
    }
  }

  std::vector<view<float const, 3>> images_;
  std::vector<patch_index> patches_;
  std::vector<view<float const, 3>> targets_;
  batch_options options_;
  int reach_ = 0;
  exec::threads threads_;
  std::vector<std::uint32_t> order_;
  std::vector<float> buffer_;
  std::vector<std::uint8_t> labels_;
  std::vector<float> soft_;
};

/// Input range over the batches of one epoch; gathers each batch when it is reached. One epoch of a
/// `patch_batches` may be walked at a time, since batches share its buffer.
class patch_batches::epoch_range {
 public:
  using iterator = detail::batch_iterator<epoch_range, patch_batch>;

  epoch_range(patch_batches& owner, int epoch, std::ptrdiff_t first_batch)
      : owner_{&owner}, epoch_{epoch}, next_{first_batch} {
    owner_->order_ = owner_->order(epoch);
  }
  [[nodiscard]] iterator begin() { return iterator{this}; }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }
  [[nodiscard]] bool finished() const { return next_ >= owner_->batches_per_epoch(); }

 private:
  friend iterator;

  void gather_next() {
    auto const batch_size = static_cast<std::ptrdiff_t>(owner_->options_.batch_size);
    if (finished()) return;
    auto const first = next_ * batch_size;
    auto const count = std::min(batch_size, owner_->patches_per_epoch() - first);
    auto const side = static_cast<std::ptrdiff_t>(owner_->options_.window);
    owner_->buffer_.resize(static_cast<std::size_t>(count * side * side * owner_->channels()));
    owner_->labels_.resize(static_cast<std::size_t>(count));
    owner_->soft_.resize(owner_->labels_.size() * owner_->target_classes());
    view<float, 4> const patches{owner_->buffer_.data(), {count, side, side, owner_->channels()}};
    owner_->gather(std::span{owner_->order_}.subspan(static_cast<std::size_t>(first),
                                                     static_cast<std::size_t>(count)),
                   epoch_, patches, owner_->labels_, owner_->soft_);
    batch_ = {patches, owner_->labels_, next_, owner_->soft_};
  }

  patch_batches* owner_;
  int epoch_;
  std::ptrdiff_t next_;
  patch_batch batch_;
};

inline patch_batches::epoch_range patch_batches::epoch(int number, std::ptrdiff_t first_batch) {
  return {*this, number, first_batch};
}

}  // namespace septum::inline SEPTUM_ABI
