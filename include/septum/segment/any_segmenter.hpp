#pragma once
#include <septum/core/config.hpp>
#include <septum/image/types.hpp>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace septum::inline SEPTUM_ABI {

/// Any callable from a raw image to cells, its type hidden: lets a program choose between composed
/// segmenters at run time and include none of them elsewhere. Moves, does not copy, because a
/// segmenter owns its nets.
class any_segmenter {
 public:
  template <class Segmenter>
    requires(!std::same_as<std::remove_cvref_t<Segmenter>, any_segmenter> &&
             requires(std::remove_cvref_t<Segmenter> & segment, image const& raw,
                      probabilities& maps) {
               { segment(raw) } -> std::same_as<labels>;
               { segment(raw, maps) } -> std::same_as<labels>;
             })
  any_segmenter(Segmenter&& segment)  // NOLINT: a wrapper converts from what it wraps
      : held_{std::make_unique<holder<std::remove_cvref_t<Segmenter>>>(
            std::forward<Segmenter>(segment))} {}

  /// Cells of a raw image (row, column, channel): labels 1..n (row, column), 0 is background.
  [[nodiscard]] labels operator()(image const& raw) { return held_->segment(raw); }
  /// The same; also gives the class probabilities (row, column, class).
  [[nodiscard]] labels operator()(image const& raw, probabilities& maps) {
    return held_->segment(raw, maps);
  }

 private:
  struct interface {
    virtual ~interface() = default;
    virtual labels segment(image const& raw) = 0;
    virtual labels segment(image const& raw, probabilities& maps) = 0;
  };
  template <class Segmenter>
  struct holder final : interface {
    template <class Source>
    explicit holder(Source&& source) : own{std::forward<Source>(source)} {}
    labels segment(image const& raw) override { return own(raw); }
    labels segment(image const& raw, probabilities& maps) override { return own(raw, maps); }
    Segmenter own;
  };

  std::unique_ptr<interface> held_;
};

}  // namespace septum::inline SEPTUM_ABI
