#pragma once
#include <septum/core/config.hpp>
#include <septum/image/normalize.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/net/model.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/segment/contours.hpp>
#include <septum/segment/nuclei.hpp>
#include <septum/segment/pair_segmenter.hpp>
#include <septum/segment/refiners.hpp>
#include <septum/segment/segmenter.hpp>
#include <septum/segment/toolbox.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

/// The four applications of the paper, each a composition of public parts with the published
/// numbers. To change more than the options offer, copy one and exchange the part.
namespace septum::inline SEPTUM_ABI {

/// Bacteria in phase contrast: interiors grown from their cores, then chosen by area and shape.
template <Backend B, Stack Net = bn_feature_net_31x31<1, 3>>
using bacteria_segmenter =
    segmenter<median_box_normalizer, ensemble<Net, B>, pipeline<grown_cores<1>, region_filter>>;

/// Numbers chosen on the published nets' probabilities of one half of the annotated image and on
/// nets trained on parts of that half.
struct bacteria_options {
  float above = 0.5F;
  float core_above = 0.9F;
  std::int64_t core_area_min = 25;  ///< in pixels
  region_filter keep{.area_min = 10, .eccentricity_min = 0.1};
};

/// The published rule: one threshold, and cells that the edge of the image cuts to fewer than 25
/// pixels are left out.
[[nodiscard]] inline bacteria_options published_bacteria_options() {
  return {.above = 0.6F, .core_above = 0.6F, .keep = {.area_min = 25, .eccentricity_min = 0.1}};
}

/// @throws weights_error when the model is for another net
template <Backend B, Stack Net = bn_feature_net_31x31<1, 3>>
[[nodiscard]] bacteria_segmenter<B, Net> bacteria(model const& trained,
                                                  bacteria_options const& options = {},
                                                  inference_options const& inference = {}) {
  return {{.window = Net::receptive_field},
          ensemble<Net, B>{trained, inference},
          {{grown_cores<1>{.above = options.above,
                           .core_above = options.core_above,
                           .core_area_min = options.core_area_min},
            options.keep}},
          inference.threads};
}

/// Nuclei in fluorescence: threshold on the interior, then by area, eccentricity and solidity.
template <Backend B, Stack Net = bn_feature_net_61x61<1, 3>>
using nuclei_segmenter = segmenter<median_box_normalizer, ensemble<Net, B>, find_nuclei<1>>;

/// @throws weights_error when the model is for another net
template <Backend B, Stack Net = bn_feature_net_61x61<1, 3>>
[[nodiscard]] nuclei_segmenter<B, Net> nuclei(model const& trained, nuclear_rule const& rule = {},
                                              inference_options const& inference = {}) {
  return {{.window = Net::receptive_field},
          ensemble<Net, B>{trained, inference},
          {.rule = rule},
          inference.threads};
}

/// Mammalian cells in phase contrast and a nuclear marker: nuclei from the marker, then contours
/// from the nuclei over the interior that a net finds in both channels.
template <Backend B, Stack Net = bn_feature_net_61x61<2, 3>,
          Stack NuclearNet = bn_feature_net_61x61<1, 3>>
using cytoplasm_segmenter =
    pair_segmenter<nuclei_segmenter<B, NuclearNet>,
                   segmenter<median_box_normalizer, ensemble<Net, B>, cell_contours<1>>>;

struct cytoplasm_options {
  nuclear_rule nuclei{};
  contour_mode mode = contour_mode::separate_labels;
  int iterations = 120;
  int smoothing = 1;
  /// which channel of the image shows the nuclei
  std::size_t nuclear_channel = 1;
};

/// @throws weights_error when a model is for another net
template <Backend B, Stack Net = bn_feature_net_61x61<2, 3>,
          Stack NuclearNet = bn_feature_net_61x61<1, 3>>
[[nodiscard]] cytoplasm_segmenter<B, Net, NuclearNet> cytoplasm(
    model const& nuclear, model const& cells, cytoplasm_options const& options = {},
    inference_options const& inference = {}) {
  return {nuclei<B, NuclearNet>(nuclear, options.nuclei, inference),
          {{.window = Net::receptive_field},
           ensemble<Net, B>{cells, inference},
           {.mode = options.mode, .iterations = options.iterations, .smoothing = options.smoothing},
           inference.threads},
          {.nuclear_channel = options.nuclear_channel}};
}

/// A culture of two cell types: as cytoplasm, the interiors of both types summed. Which type a cell
/// is follows from the `cell_maps` of the result by classify_cells(cells, maps, {1, 2})
/// (measure/cell_class.hpp).
template <Backend B, Stack Net = bn_feature_net_61x61<2, 4>,
          Stack NuclearNet = bn_feature_net_61x61<1, 3>>
using coculture_segmenter =
    pair_segmenter<nuclei_segmenter<B, NuclearNet>,
                   segmenter<median_box_normalizer, ensemble<Net, B>, cell_contours<1, 2>>>;

/// The published settings for the co-culture: elongated nuclei are kept.
[[nodiscard]] inline cytoplasm_options coculture_options() {
  return {.nuclei = {.eccentricity_max = 1}};
}

/// @throws weights_error when a model is for another net
template <Backend B, Stack Net = bn_feature_net_61x61<2, 4>,
          Stack NuclearNet = bn_feature_net_61x61<1, 3>>
[[nodiscard]] coculture_segmenter<B, Net, NuclearNet> coculture(
    model const& nuclear, model const& cells,
    cytoplasm_options const& options = coculture_options(),
    inference_options const& inference = {}) {
  return {nuclei<B, NuclearNet>(nuclear, options.nuclei, inference),
          {{.window = Net::receptive_field},
           ensemble<Net, B>{cells, inference},
           {.mode = options.mode, .iterations = options.iterations, .smoothing = options.smoothing},
           inference.threads},
          {.nuclear_channel = options.nuclear_channel}};
}

}  // namespace septum::inline SEPTUM_ABI
