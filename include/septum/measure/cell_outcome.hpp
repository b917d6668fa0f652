#pragma once
#include <septum/core/config.hpp>
#include <septum/measure/agreement.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// What became of one cell: found, missed (no predicted cell is matched) or invented (no true cell
/// is matched).
enum class cell_verdict { found, missed, invented };

/// One cell of a frame in the comparison of truth and prediction.
struct cell_outcome {
  cell_verdict fate = cell_verdict::missed;
  std::int32_t truth_label = 0;       ///< 0 for an invented cell
  std::int32_t prediction_label = 0;  ///< of the match; 0 for a missed cell
  std::int64_t truth_area_px = 0;
  std::int64_t prediction_area_px = 0;
  double iou = 0;  ///< of the match; 0 without
  double seg = 0;  ///< Jaccard index if the prediction covers more than half, else 0
  /// with the prediction of largest overlap, as the paper scores; no value without overlap
  std::optional<double> jaccard{};
  std::optional<double> dice{};
};

/// All true cells by label, then the invented ones by label, for a matching at `threshold`
/// (match_cells()).
[[nodiscard]] inline std::vector<cell_outcome> cell_outcomes(overlap_table const& table,
                                                             double threshold) {
  auto const find = [](std::vector<std::int32_t> const& present, std::int32_t label) {
    return static_cast<std::size_t>(std::lower_bound(present.begin(), present.end(), label) -
                                    present.begin());
  };
  std::vector<cell_outcome> result(table.truth_labels.size());
  for (std::size_t k = 0; k < result.size(); ++k) {
    result[k].truth_label = table.truth_labels[k];
    result[k].truth_area_px = table.truth_areas[k];
  }
  std::vector<std::uint8_t> used(table.prediction_labels.size(), 0);
  for (cell_match const& match : match_cells(table, threshold)) {
    std::size_t const other = find(table.prediction_labels, match.prediction_label);
    cell_outcome& cell = result[find(table.truth_labels, match.truth_label)];
    cell.fate = cell_verdict::found;
    cell.prediction_label = match.prediction_label;
    cell.prediction_area_px = table.prediction_areas[other];
    cell.iou = match.iou;
    used[other] = 1;
  }
  for (cell_overlap const& pair : table.overlaps)
    if (2 * pair.pixels > table.truth_areas[static_cast<std::size_t>(pair.truth)])
      result[static_cast<std::size_t>(pair.truth)].seg = table.iou(pair);
  overlap_agreement const largest = agree_by_largest_overlap(table);
  for (std::size_t k = 0; k < largest.truth_labels.size(); ++k) {
    cell_outcome& cell = result[find(table.truth_labels, largest.truth_labels[k])];
    cell.jaccard = largest.jaccard[k];
    cell.dice = largest.dice[k];
  }
  for (std::size_t k = 0; k < used.size(); ++k)
    if (used[k] == 0)
      result.push_back({.fate = cell_verdict::invented,
                        .prediction_label = table.prediction_labels[k],
                        .prediction_area_px = table.prediction_areas[k]});
  return result;
}

/// Scores of any collection of cells, e.g. of those that a bootstrap draws.
struct outcome_scores {
  match_counts counts{};
  seg_score seg{};
  double jaccard_sum = 0;
  double dice_sum = 0;
  std::int64_t overlapped = 0;

  void add(cell_outcome const& cell) {
    counts.true_positives += cell.fate == cell_verdict::found ? 1 : 0;
    counts.false_negatives += cell.fate == cell_verdict::missed ? 1 : 0;
    counts.false_positives += cell.fate == cell_verdict::invented ? 1 : 0;
    counts.iou_sum += cell.iou;
    if (cell.fate != cell_verdict::invented) {
      seg.jaccard_sum += cell.seg;
      ++seg.objects;
    }
    if (!cell.jaccard) return;
    jaccard_sum += *cell.jaccard;
    dice_sum += *cell.dice;
    ++overlapped;
  }
  [[nodiscard]] std::optional<double> jaccard_mean() const { return mean(jaccard_sum); }
  [[nodiscard]] std::optional<double> dice_mean() const { return mean(dice_sum); }

 private:
  [[nodiscard]] std::optional<double> mean(double sum) const {
    if (overlapped == 0) return std::nullopt;
    return sum / static_cast<double>(overlapped);
  }
};

/// The scores of the cells at `places`.
[[nodiscard]] inline outcome_scores score_outcomes(std::span<cell_outcome const> cells,
                                                   std::span<std::size_t const> places) {
  outcome_scores scores;
  for (std::size_t const place : places) scores.add(cells[place]);
  return scores;
}

}  // namespace septum::inline SEPTUM_ABI
