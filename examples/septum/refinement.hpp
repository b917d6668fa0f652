#pragma once
#include <cstdint>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/segment/contours.hpp>
#include <septum/segment/crf.hpp>
#include <septum/segment/device_contours.hpp>
#include <septum/segment/nuclei.hpp>
#include <septum/segment/refiners.hpp>
#include <string>
#include <variant>

namespace program {

/// Where contours evolve; results do not depend on it.
using contour_place = std::variant<septum::host_contours, septum::device_contours>;

/// How probabilities become cells.
enum class refinement_method {
  threshold,    ///< interior above a threshold
  otsu,         ///< interior above Otsu's threshold of its probabilities
  nuclei,       ///< the published nuclear rules
  contours,     ///< nuclei grow into cells
  crf,          ///< a random field, then the threshold
  crf_contours  ///< a random field, then contours from the nuclei
};

/// What turns probabilities into cells. Names and units as on the command line.
struct refinement {
  refinement_method method = refinement_method::threshold;
  /// the paper's masks pixel for pixel, rather than labels without gaps and holes
  bool published = false;
  /// interiors are two classes, 1 and 2, instead of one
  bool two_cell_types = false;

  double threshold = 0.6;
  /// cells grow within the threshold from where probabilities are above this; 0: not at all
  double core_threshold = 0.0;
  std::int64_t core_area_min_px = 25;  ///< of what they grow from
  std::int64_t area_min_px = 25;
  std::int64_t area_max_px = 0;  ///< 0: none
  double solidity_min = 0.0;
  double eccentricity_min = 0.0;
  double eccentricity_max = 1.0;
  bool clear_border = false;
  bool fill_holes = true;
  int split_px = 0;  ///< splits touching cells by watershed, seeds this far apart; 0: not at all
  int grow_px = 0;   ///< dilates cells into background without merging them

  septum::nuclear_rule nuclei{};  ///< of the cells that seed contours, and of the preset nuclei
  int contour_iterations = 120;
  int contour_smoothing = 1;
  double lambda_outside = 1.5;  ///< larger grows the contours further; published: 1
  septum::dense_crf crf{};
  double class_score_min = 0.0;  ///< cells of a leading class with less are left undecided
};

/// The settings of an application: bacteria, nuclei, cytoplasm or coculture; the compositions
/// themselves are in septum/segment/presets.hpp.
/// @throws septum::unsupported_error on an unknown name
[[nodiscard]] refinement preset_refinement(std::string const& name, bool published = false);

/// How the nuclei of a published data set were found: hela (also 3T3 and MCF10A), coculture, raw
/// (also BMDM) or plating.
/// @throws septum::unsupported_error on an unknown name
[[nodiscard]] septum::nuclear_rule published_nuclear_rule(std::string const& name);

/// Whether cells grow from cores within the threshold.
[[nodiscard]] bool grows_cores(refinement const& options);

/// Whether the method grows given nuclei.
[[nodiscard]] bool needs_nuclei(refinement const& options);

/// What cells are kept by.
[[nodiscard]] septum::region_filter filter_of(refinement const& options);

/// Most bytes per pixel that refine() takes beside its arguments and its result.
[[nodiscard]] std::uint64_t refinement_bytes_per_pixel(refinement const& options,
                                                       std::size_t classes);

/// Nuclei by the rule of the options.
[[nodiscard]] septum::labels refine_nuclei(septum::probabilities const& classes,
                                           septum::image const& raw, refinement const& options,
                                           septum::exec::threads threads = {});

/// Cells. Methods that grow nuclei take them from `nuclei`.
[[nodiscard]] septum::labels refine(septum::probabilities const& classes, septum::image const& raw,
                                    refinement const& options, septum::exec::threads threads = {},
                                    septum::labels nuclei = {}, contour_place const& place = {});

}  // namespace program
