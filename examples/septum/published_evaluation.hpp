#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <septum/measure/agreement.hpp>
#include <string>
#include <vector>

#include "evaluation.hpp"

namespace program {

/// Where the paper's own scores come from.
struct published_request {
  std::filesystem::path prediction;  ///< label image, or folder that `segment` wrote
  std::filesystem::path truth;       ///< data-set folder
  std::filesystem::path nuclei;      ///< label image; empty: those that `segment` wrote, if any
  /// "CLASS=CHANNEL" or "CLASS=FILE": markers that tell the true class of a cell
  std::vector<std::string> classes;
  double class_score_min = 0.0;  ///< below it a cell is undecided
};

/// The paper's own scores of one image.
struct published_result {
  septum::overlap_agreement overlap;
  /// one-to-one matches of an IoU above 0.5, of all drawn cells
  septum::match_counts counts;
};

/// Jaccard and Dice by the paper's protocol: against the drawn interior, without true cells that
/// hold no nucleus where nuclei are known; cells that the crop cuts in two are two. Nothing when
/// the truth is not one drawn image.
/// @throws septum::error naming the file
[[nodiscard]] std::optional<published_result> published_scores(published_request const& request,
                                                               evaluation_request const& protocol);

/// Adds the values behind the means, and the counts, to what `--json` prints.
void add_published_scores(published_result const& scores, nlohmann::ordered_json& result);

/// How often the decided class of a cell is the true one, by class; also without the cell of the
/// largest label, which the paper's program passed over; and the scores as a histogram by true
/// class.
/// @throws septum::error naming the file
[[nodiscard]] nlohmann::ordered_json class_scores(published_request const& request);

/// A few lines for people.
[[nodiscard]] std::string class_lines(nlohmann::ordered_json const& scores);

}  // namespace program
