#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/image/types.hpp>
#include <septum/segment/segmenter.hpp>

#include <concepts>
#include <cstddef>
#include <string>
#include <utility>

namespace septum::inline SEPTUM_ABI {

/// What a segmenter of nuclei and cells finds in one frame.
struct nuclei_and_cells {
  labels nuclei;
  labels cells;
  probabilities nuclear_maps;
  probabilities cell_maps;
};

/// From a raw image of several channels to nuclei and to cells: one segmenter finds nuclei in one
/// channel, and the refiner of the other grows them into cells by what its own net says of all
/// channels.
///
///     septum::pair_segmenter segment{nuclei, cytoplasm, {.nuclear_channel = 1}};
///     septum::labels cells = segment(frame).cells;
template <class NucleiSegmenter, class CellSegmenter>
class pair_segmenter {
 public:
  struct options {
    /// which channel of the raw image shows the nuclei
    std::size_t nuclear_channel = 1;
  };
  static constexpr int classes = CellSegmenter::classes;
  static constexpr int receptive_field = CellSegmenter::receptive_field;

  pair_segmenter(NucleiSegmenter nuclei, CellSegmenter cells, options chosen = {})
      : nuclei_{std::move(nuclei)}, cells_{std::move(cells)}, options_{chosen} {}

  /// \throws shape_error `septum.segment.5` when the image lacks the nuclear channel, and what the
  ///         parts throw.
  [[nodiscard]] nuclei_and_cells operator()(image const& raw) {
    nuclei_and_cells result;
    image const marker = channel_of(raw, options_.nuclear_channel);
    result.nuclei = nuclei_(marker, result.nuclear_maps);
    result.cell_maps = cells_.predict(cells_.normalize(raw));
    result.cells = cells_.refine(result.cell_maps, raw, result.nuclei);
    return result;
  }

  [[nodiscard]] NucleiSegmenter& nuclei() { return nuclei_; }
  [[nodiscard]] CellSegmenter& cells() { return cells_; }

  /// One channel of an image as an image of its own.
  [[nodiscard]] static image channel_of(image const& raw, std::size_t channel) {
    SEPTUM_EXPECTS(
        channel < raw.shape()[2],
        shape_error("septum.segment.5", "image of " + std::to_string(raw.shape()[2]) +
                                            " channels: expected a nuclear channel at place " +
                                            std::to_string(channel) + ", counted from 0"));
    image result = image::from_shape({raw.shape()[0], raw.shape()[1], std::size_t{1}});
    for (std::size_t p = 0; p < result.size(); ++p)
      result.data()[p] = raw.data()[p * raw.shape()[2] + channel];
    return result;
  }

 private:
  NucleiSegmenter nuclei_;
  CellSegmenter cells_;
  options options_;
};

}  // namespace septum::inline SEPTUM_ABI
