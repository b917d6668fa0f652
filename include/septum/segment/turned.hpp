#pragma once
#include <septum/core/config.hpp>
#include <septum/image/adapt.hpp>
#include <septum/image/dihedral.hpp>
#include <septum/image/types.hpp>
#include <septum/net/frame_stream.hpp>
#include <septum/segment/predictor.hpp>

#include <array>
#include <cstddef>

namespace septum::inline SEPTUM_ABI {

namespace detail {

/// Calls visit(source pixel, turned pixel), each a pointer to its first channel, for every pixel of
/// an image and of what a symmetry makes of it.
template <class From, class To, class Visit>
void walk_turned(dihedral turn, From& source, To& turned, Visit const& visit) {
  auto const rows = static_cast<std::ptrdiff_t>(source.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(source.shape()[1]);
  auto const channels = static_cast<std::ptrdiff_t>(source.shape()[2]);
  auto const walk = turn.over(rows, columns, columns * channels, channels);
  auto const turned_rows = static_cast<std::ptrdiff_t>(turned.shape()[0]);
  auto const turned_columns = static_cast<std::ptrdiff_t>(turned.shape()[1]);
  for (std::ptrdiff_t row = 0; row < turned_rows; ++row)
    for (std::ptrdiff_t column = 0; column < turned_columns; ++column)
      visit(source.data() + walk.origin + row * walk.row_step + column * walk.column_step,
            turned.data() + (row * turned_columns + column) * channels);
}

}  // namespace detail

/// What a symmetry of the square makes of an image (row, column, channel).
[[nodiscard]] inline image turned_image(image const& pixels, dihedral turn) {
  auto const& shape = pixels.shape();
  std::size_t const channels = shape[2];
  image result = turn.swaps_axes() ? image::from_shape({shape[1], shape[0], channels})
                                   : image::from_shape({shape[0], shape[1], channels});
  detail::walk_turned(turn, pixels, result, [&](float const* from, float* to) {
    for (std::size_t k = 0; k < channels; ++k) to[k] = from[k];
  });
  return result;
}

/// Shows `predict` (image to ensemble_maps) the eight turns and reflections of an image and
/// averages what it says, turned back: a net's view of a cell then does not depend on how the cell
/// lies. Takes eight times as long.
template <class Predict>
[[nodiscard]] ensemble_maps mean_over_turns(image const& pixels, Predict const& predict) {
  constexpr float share = 1.0F / static_cast<float>(dihedral::order);
  auto const add = [](probabilities& sum, probabilities const& part, dihedral turn) {
    std::size_t const classes = sum.shape()[2];
    detail::walk_turned(turn, sum, part, [&](float* to, float const* from) {
      for (std::size_t k = 0; k < classes; ++k) to[k] += share * from[k];
    });
  };
  auto mean = predict(pixels);
  mean.mean *= share;
  for (probabilities& maps : mean.nets) maps *= share;
  // Those of one extent one after the other, for which a net prepares itself once.
  constexpr std::array elements{2, 4, 6, 1, 3, 5, 7};
  for (int const element : elements) {
    dihedral const turn{element};
    auto const part = predict(turned_image(pixels, turn));
    add(mean.mean, part.mean, turn);
    for (std::size_t net = 0; net < part.nets.size(); ++net)
      add(mean.nets[net], part.nets[net], turn);
  }
  return mean;
}

/// A Predictor that shows another one the eight turns and reflections of an image and averages what
/// it says. Of most use for a single net trained for seconds; an ensemble averages already.
template <Predictor P>
struct turned {
  static constexpr int classes = P::classes;
  static constexpr int receptive_field = P::receptive_field;

  P predictor;

  [[nodiscard]] probabilities predict(image const& pixels) {
    return mean_over_turns(pixels,
                           [&](image const& seen) {
                             return ensemble_maps{.mean = predictor.predict(seen), .nets = {}};
                           })
        .mean;
  }
};

}  // namespace septum::inline SEPTUM_ABI
