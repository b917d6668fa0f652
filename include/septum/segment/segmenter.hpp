#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/normalize.hpp>
#include <septum/image/types.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/segment/predictor.hpp>
#include <septum/segment/refiners.hpp>

#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

namespace septum::inline SEPTUM_ABI {

namespace diagnostic {

template <class Type>
struct the_predictor;
template <int Count>
struct with_classes;
template <int Index>
struct reads_class;

template <bool Ok, class... Facts>
struct refiner_reads_a_class_the_predictor_has {
  static_assert(Ok,
                "septum: a refiner reads a class index that the network does not output. FIX: use "
                "the enum of your own net, e.g. threshold<my_net::interior>; the refiner, its "
                "class and the number of classes are named above.");
  static constexpr bool ok = true;
};

}  // namespace diagnostic

namespace detail {

// As check_stages in refiners.hpp: sizeof looks into the diagnostic.
template <class R, class P>
struct check_refiner {};
template <class R, class P>
  requires requires { R::needs_class; }
struct check_refiner<R, P> {
  static_assert(sizeof(diagnostic::refiner_reads_a_class_the_predictor_has<
                       (R::needs_class < P::classes), diagnostic::the_refiner<R>,
                       diagnostic::reads_class<R::needs_class>,
                       diagnostic::with_classes<P::classes>, diagnostic::the_predictor<P>>) > 0);
};
template <class... Rs, class P>
struct check_refiner<pipeline<Rs...>, P> {
  static_assert(((sizeof(check_refiner<Rs, P>) > 0) && ...));
};

}  // namespace detail

/// From a raw image to cells: normalise, predict, refine. The parts are values; each may be
/// replaced by any type that models its concept. A refiner that reads a class which the predictor
/// does not have fails to compile.
///
///     septum::segmenter<median_box_normalizer, ensemble<net, onednn, 5>,
///                       pipeline<threshold<net::interior>, region_filter>>
///         segment{{.window = 31}, nets, {{{.above = 0.6F}, {.area_min = 30}}}};
///     septum::labels cells = segment(frame);
template <Normalizer N, Predictor P, Refiner R>
class segmenter {
  static_assert(sizeof(detail::check_refiner<R, P>) > 0);

 public:
  static constexpr int classes = P::classes;
  static constexpr int receptive_field = P::receptive_field;

  segmenter(N normalizer, P predictor, R refiner, exec::threads threads = {})
      : normalizer_{std::move(normalizer)},
        predictor_{std::move(predictor)},
        refiner_{std::move(refiner)},
        threads_{threads} {}

  /// Cells of a raw image (row, column, channel): labels 1..n (row, column), 0 is background.
  /// \throws shape_error `septum.segment.3` on an image smaller than the receptive field, and what
  ///         the parts throw.
  [[nodiscard]] labels operator()(image const& raw) {
    probabilities maps;
    return (*this)(raw, maps);
  }

  /// The same; also gives the class probabilities (row, column, class).
  [[nodiscard]] labels operator()(image const& raw, probabilities& maps) {
    maps = predict(normalize(raw));
    return refine(maps, raw);
  }

  /// First step alone: the normalised copy of a raw image.
  [[nodiscard]] image normalize(image const& raw) const {
    auto const field = static_cast<std::size_t>(P::receptive_field);
    SEPTUM_EXPECTS(
        raw.shape()[0] >= field && raw.shape()[1] >= field,
        shape_error("septum.segment.3", "image of " + std::to_string(raw.shape()[0]) + " x " +
                                            std::to_string(raw.shape()[1]) +
                                            " pixels: expected at least the receptive field of "
                                            "the net, " +
                                            std::to_string(field) + " x " + std::to_string(field) +
                                            "; give a larger image or a net with a smaller field"));
    image pixels = raw;
    if constexpr (requires { normalizer_(as_view(pixels), threads_); })
      normalizer_(as_view(pixels), threads_);
    else
      normalizer_(as_view(pixels));
    return pixels;
  }
  /// Second step alone: class probabilities of a normalised image.
  [[nodiscard]] probabilities predict(image const& normalized) {
    return predictor_.predict(normalized);
  }
  /// Third step alone: cells from probabilities; refiners also see the raw intensities.
  [[nodiscard]] labels refine(probabilities const& maps, image const& raw) const {
    labels cells = labels::from_shape({maps.shape()[0], maps.shape()[1]});
    cells.fill(0);
    return refine(maps, raw, std::move(cells));
  }
  /// The same for refiners that grow given cells (nuclei) instead of finding their own.
  [[nodiscard]] labels refine(probabilities const& maps, image const& raw, labels seeds) const {
    septum::refine(refiner_, seeds, maps, raw, threads_);
    return seeds;
  }

  [[nodiscard]] N const& normalizer() const { return normalizer_; }
  [[nodiscard]] P& predictor() { return predictor_; }
  [[nodiscard]] R const& refiner() const { return refiner_; }

 private:
  N normalizer_;
  P predictor_;
  R refiner_;
  exec::threads threads_;
};

}  // namespace septum::inline SEPTUM_ABI
