#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/image/types.hpp>
#include <septum/net/output_part.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace septum::inline SEPTUM_ABI {

/// Turns a normalised image into class probabilities of every pixel: an ensemble of nets, a net run
/// in tiles, or a stored map. `classes` is the number of classes, `receptive_field` the odd side of
/// the window a net sees; both are constants of the type. The maps have the extent of the image and
/// are zero in the border of (receptive_field - 1) / 2 pixels.
template <class P>
concept Predictor = requires(P& predictor, image const& pixels) {
  { P::classes } -> std::convertible_to<int>;
  { P::receptive_field } -> std::convertible_to<int>;
  { predictor.predict(pixels) } -> std::same_as<probabilities>;
};

/// A Predictor that can compute parts of an output map alone: `predict_parts(pixels, parts,
/// elsewhere)` gives what `predict` gives, to the same bits, where parts keep it, and the values
/// `elsewhere`, one per class, everywhere else inside the border.
template <class P>
concept PartPredictor = Predictor<P> &&
    requires(P& predictor, image const& pixels, std::span<output_part const> parts,
             std::span<float const> elsewhere) {
  { predictor.predict_parts(pixels, parts, elsewhere) } -> std::same_as<probabilities>;
};

/// A Predictor that returns given maps, whatever the intensities: runs everything after the net on
/// published or saved predictions.
template <int Classes, int ReceptiveField = 1>
struct stored_predictor {
  static constexpr int classes = Classes;
  static constexpr int receptive_field = ReceptiveField;

  /// row, column, class
  probabilities maps;

  /// \throws shape_error `septum.segment.1` when the maps differ from the image in extent or do not
  ///         have `Classes` classes.
  [[nodiscard]] probabilities predict(image const& pixels) const {
    auto const text = [](auto const& array, int axes) {
      std::string extents = std::to_string(array.shape()[0]);
      for (std::size_t axis = 1; axis < static_cast<std::size_t>(axes); ++axis)
        extents += " x " + std::to_string(array.shape()[axis]);
      return extents;
    };
    SEPTUM_EXPECTS(
        maps.shape()[0] == pixels.shape()[0] && maps.shape()[1] == pixels.shape()[1] &&
            maps.shape()[2] == static_cast<std::size_t>(Classes),
        shape_error("septum.segment.1", "stored probabilities: expected " + text(pixels, 2) +
                                            " x " + std::to_string(Classes) + ", found " +
                                            text(maps, 3) + "; give the maps of this image"));
    return maps;
  }

  /// The given maps where parts keep them.
  [[nodiscard]] probabilities predict_parts(image const& pixels, std::span<output_part const> parts,
                                            std::span<float const> elsewhere) const {
    auto const given = predict(pixels);
    constexpr std::size_t border = (ReceptiveField - 1) / 2;
    probabilities chosen = xt::zeros<float>(given.shape());
    for (std::size_t row = border; row + border < chosen.shape()[0]; ++row)
      for (std::size_t column = border; column + border < chosen.shape()[1]; ++column)
        std::copy(elsewhere.begin(), elsewhere.end(), &chosen(row, column, 0));
    for (auto const& part : parts)
      for (auto const& kept : part.kept)
        for (int row = kept.row; row < kept.row + kept.rows; ++row) {
          auto const r = static_cast<std::size_t>(row) + border;
          auto const c = static_cast<std::size_t>(kept.column) + border;
          std::copy_n(&given(r, c, 0), kept.columns * Classes, &chosen(r, c, 0));
        }
    return chosen;
  }
};

}  // namespace septum::inline SEPTUM_ABI
