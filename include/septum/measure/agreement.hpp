#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/distance.hpp>
#include <septum/image/morphology.hpp>
#include <septum/image/types.hpp>
#include <septum/measure/detail/sparse_assignment.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Pixels that one true and one predicted cell share. Cells are given by their place in the tables
/// of `overlap_table`.
struct cell_overlap {
  std::int32_t truth = 0;
  std::int32_t prediction = 0;
  std::int64_t pixels = 0;
};

/// All that scores need to know about two label images of one frame.
struct overlap_table {
  /// labels that occur, ascending, and their areas in pixels
  std::vector<std::int32_t> truth_labels;
  std::vector<std::int64_t> truth_areas;
  std::vector<std::int32_t> prediction_labels;
  std::vector<std::int64_t> prediction_areas;
  /// every pair with a common pixel, sorted by truth and then by prediction
  std::vector<cell_overlap> overlaps;

  /// |A and B| / |A or B|, in (0, 1]
  [[nodiscard]] double iou(cell_overlap const& pair) const {
    return static_cast<double>(pair.pixels) /
           static_cast<double>(truth_areas[static_cast<std::size_t>(pair.truth)] +
                               prediction_areas[static_cast<std::size_t>(pair.prediction)] -
                               pair.pixels);
  }
  /// 2 |A and B| / (|A| + |B|), in (0, 1]
  [[nodiscard]] double dice(cell_overlap const& pair) const {
    return 2 * static_cast<double>(pair.pixels) /
           static_cast<double>(truth_areas[static_cast<std::size_t>(pair.truth)] +
                               prediction_areas[static_cast<std::size_t>(pair.prediction)]);
  }
};

namespace detail {

/// The labels of an image as 1..n in ascending order, when they are too large for a table.
struct compact_labels {
  std::vector<std::int32_t> present;
  labels cells;
};

[[nodiscard]] inline compact_labels compact(labels const& cells) {
  compact_labels result{{cells.begin(), cells.end()}, cells};
  result.present.push_back(0);
  std::sort(result.present.begin(), result.present.end());
  result.present.erase(std::unique(result.present.begin(), result.present.end()),
                       result.present.end());
  for (std::int32_t& label : result.cells)
    label = static_cast<std::int32_t>(
        std::lower_bound(result.present.begin(), result.present.end(), label) -
        result.present.begin());
  return result;
}

/// Moves the labels with an area to the front, in ascending order; returns the place of each.
[[nodiscard]] inline std::vector<std::int32_t> drop_absent(std::vector<std::int64_t>& areas,
                                                           std::vector<std::int32_t>& present) {
  std::vector<std::int32_t> place(areas.size(), -1);
  std::size_t count = 0;
  for (std::size_t label = 1; label < areas.size(); ++label) {
    if (areas[label] == 0) continue;
    place[label] = static_cast<std::int32_t>(count);
    present.push_back(static_cast<std::int32_t>(label));
    areas[count++] = areas[label];
  }
  areas.resize(count);
  return place;
}

template <class A, class B>
void require_equal_extents(A const& truth, B const& prediction) {
  SEPTUM_EXPECTS(
      truth.shape()[0] == prediction.shape()[0] && truth.shape()[1] == prediction.shape()[1],
      shape_error("septum.agreement.1", "prediction: expected the extent of the truth, " +
                                            std::to_string(truth.shape()[0]) + " x " +
                                            std::to_string(truth.shape()[1]) + " pixels, found " +
                                            std::to_string(prediction.shape()[0]) + " x " +
                                            std::to_string(prediction.shape()[1])));
}

}  // namespace detail

/// Areas and common pixels of all cells of two label images; 0 is background.
/// \throws shape_error `septum.agreement.1` on different extents, unsupported_error
///         `septum.labels.1` on a negative label. complexity: one pass over the pixels.
[[nodiscard]] inline overlap_table count_overlaps(labels const& truth, labels const& prediction) {
  detail::require_equal_extents(truth, prediction);
  auto const largest_truth = static_cast<std::size_t>(largest_label(truth));
  auto const largest_prediction = static_cast<std::size_t>(largest_label(prediction));
  std::size_t const affordable = 4 * truth.size() + 0x40000;
  if (largest_truth > affordable || largest_prediction > affordable) {
    auto const [true_labels, true_cells] = detail::compact(truth);
    auto const [predicted_labels, predicted_cells] = detail::compact(prediction);
    overlap_table table = count_overlaps(true_cells, predicted_cells);
    table.truth_labels.assign(true_labels.begin() + 1, true_labels.end());
    table.prediction_labels.assign(predicted_labels.begin() + 1, predicted_labels.end());
    return table;
  }

  overlap_table table;
  table.truth_areas.assign(largest_truth + 1, 0);
  table.prediction_areas.assign(largest_prediction + 1, 0);
  // Pieces of constant pair, sorted by truth by counting and by prediction within a truth.
  std::vector<cell_overlap> pieces;
  std::vector<std::size_t> first(largest_truth + 2, 0);
  std::int32_t const* const t = truth.data();
  std::int32_t const* const p = prediction.data();
  auto const same_pair = [&](std::size_t a, std::size_t b) { return t[a] == t[b] && p[a] == p[b]; };
  for (std::size_t begin = 0, end = 0; begin < truth.size(); begin = end) {
    ++end;
    while (end + 8 <= truth.size()) {
      bool same = true;
      for (std::size_t k = 0; k < 8; ++k)
        same &= (t[end + k] == t[begin]) & (p[end + k] == p[begin]);
      if (!same) break;
      end += 8;
    }
    while (end < truth.size() && same_pair(begin, end)) ++end;
    auto const pixels = static_cast<std::int64_t>(end - begin);
    table.truth_areas[static_cast<std::size_t>(t[begin])] += pixels;
    table.prediction_areas[static_cast<std::size_t>(p[begin])] += pixels;
    if (t[begin] == 0 || p[begin] == 0) continue;
    pieces.push_back({.truth = t[begin], .prediction = p[begin], .pixels = pixels});
    ++first[static_cast<std::size_t>(t[begin]) + 1];
  }
  auto const truth_place = detail::drop_absent(table.truth_areas, table.truth_labels);
  auto const prediction_place =
      detail::drop_absent(table.prediction_areas, table.prediction_labels);

  for (std::size_t k = 1; k < first.size(); ++k) first[k] += first[k - 1];
  std::vector<cell_overlap> sorted(pieces.size());
  std::vector<std::size_t> next(first.begin(), first.end());
  for (cell_overlap const& piece : pieces)
    sorted[next[static_cast<std::size_t>(piece.truth)]++] = piece;
  for (std::size_t k = 0; k + 1 < first.size(); ++k) {
    auto const begin = sorted.begin() + static_cast<std::ptrdiff_t>(first[k]);
    auto const end = sorted.begin() + static_cast<std::ptrdiff_t>(first[k + 1]);
    std::sort(begin, end, [](cell_overlap const& a, cell_overlap const& b) {
      return a.prediction < b.prediction;
    });
    for (auto piece = begin; piece != end; ++piece) {
      std::int32_t const place = prediction_place[static_cast<std::size_t>(piece->prediction)];
      if (piece != begin && table.overlaps.back().prediction == place)
        table.overlaps.back().pixels += piece->pixels;
      else
        table.overlaps.push_back(
            {.truth = truth_place[k], .prediction = place, .pixels = piece->pixels});
    }
  }
  return table;
}

/// A true cell and the predicted cell that was assigned to it.
struct cell_match {
  std::int32_t truth_label = 0;
  std::int32_t prediction_label = 0;
  double iou = 0;
};

/// Counts of a one-to-one matching at one IoU threshold and the scores made of them. Add the counts
/// of several images with += for pooled scores. A ratio 0/0 is no value, never NaN.
struct match_counts {
  double threshold = 0.5;
  std::int64_t true_positives = 0;
  std::int64_t false_positives = 0;
  std::int64_t false_negatives = 0;
  /// sum of the IoU of all matches
  double iou_sum = 0;

  match_counts& operator+=(match_counts const& other) {
    true_positives += other.true_positives;
    false_positives += other.false_positives;
    false_negatives += other.false_negatives;
    iou_sum += other.iou_sum;
    return *this;
  }
  [[nodiscard]] std::optional<double> precision() const {
    return ratio(hits(), hits() + static_cast<double>(false_positives));
  }
  [[nodiscard]] std::optional<double> recall() const {
    return ratio(hits(), hits() + static_cast<double>(false_negatives));
  }
  /// 2 TP / (2 TP + FP + FN)
  [[nodiscard]] std::optional<double> f1() const { return ratio(hits(), hits() + half_errors()); }
  /// TP / (TP + FP + FN): the average precision of the Data Science Bowl, StarDist's accuracy
  [[nodiscard]] std::optional<double> average_precision() const {
    return ratio(hits(), hits() + 2 * half_errors());
  }
  /// sum of IoU / (TP + FP / 2 + FN / 2)
  [[nodiscard]] std::optional<double> panoptic_quality() const {
    return ratio(iou_sum, hits() + half_errors());
  }
  /// mean IoU of the matches
  [[nodiscard]] std::optional<double> mean_matched() const { return ratio(iou_sum, hits()); }
  /// mean IoU over all true cells, misses counting 0
  [[nodiscard]] std::optional<double> mean_true() const {
    return ratio(iou_sum, hits() + static_cast<double>(false_negatives));
  }

 private:
  [[nodiscard]] static std::optional<double> ratio(double part, double whole) {
    return whole > 0 ? std::optional{part / whole} : std::nullopt;
  }
  [[nodiscard]] double hits() const { return static_cast<double>(true_positives); }
  [[nodiscard]] double half_errors() const {
    return static_cast<double>(false_positives + false_negatives) / 2;
  }
};

/// The matches with IoU >= threshold of the optimal one-to-one matching: as many as possible, and
/// among those with the largest sum of IoU over all overlapping pairs (StarDist `matching.py`).
/// Above 0.5 no cell has two such partners; from 0.5 down an exact assignment decides.
[[nodiscard]] inline std::vector<cell_match> match_cells(overlap_table const& table,
                                                         double threshold) {
  std::vector<cell_match> matches;
  auto const accept = [&](cell_overlap const& pair) {
    if (table.iou(pair) >= threshold)
      matches.push_back({table.truth_labels[static_cast<std::size_t>(pair.truth)],
                         table.prediction_labels[static_cast<std::size_t>(pair.prediction)],
                         table.iou(pair)});
  };
  if (threshold > 0.5) {
    for (cell_overlap const& pair : table.overlaps) accept(pair);
    return matches;
  }
  std::size_t const fewer = std::min(table.truth_labels.size(), table.prediction_labels.size());
  std::vector<detail::weighted_pair> pairs;
  pairs.reserve(table.overlaps.size());
  for (cell_overlap const& pair : table.overlaps) {
    double const iou = table.iou(pair);
    double const small = iou / (2 * static_cast<double>(fewer));
    pairs.push_back({pair.truth, pair.prediction, (iou >= threshold ? 1 : 0) + small});
  }
  auto const pair_of =
      detail::heaviest_matching(static_cast<std::int32_t>(table.truth_labels.size()),
                                static_cast<std::int32_t>(table.prediction_labels.size()), pairs);
  for (std::int32_t const pair : pair_of)
    if (pair >= 0) accept(table.overlaps[static_cast<std::size_t>(pair)]);
  return matches;
}

/// The counts of match_cells() at one threshold.
[[nodiscard]] inline match_counts count_matches(overlap_table const& table, double threshold) {
  auto const matches = match_cells(table, threshold);
  auto const hits = static_cast<std::int64_t>(matches.size());
  match_counts counts{
      .threshold = threshold,
      .true_positives = hits,
      .false_positives = static_cast<std::int64_t>(table.prediction_labels.size()) - hits,
      .false_negatives = static_cast<std::int64_t>(table.truth_labels.size()) - hits};
  for (cell_match const& match : matches) counts.iou_sum += match.iou;
  return counts;
}

/// The counts at several thresholds, in their order.
[[nodiscard]] inline std::vector<match_counts> count_matches(overlap_table const& table,
                                                             std::span<double const> thresholds) {
  std::vector<match_counts> counts;
  counts.reserve(thresholds.size());
  for (double const threshold : thresholds) counts.push_back(count_matches(table, threshold));
  return counts;
}

/// 0.50, 0.55, ... 0.95: the thresholds over which a mean average precision is taken.
inline constexpr std::array<double, 10> iou_thresholds{0.5,  0.55, 0.6,  0.65, 0.7,
                                                       0.75, 0.8,  0.85, 0.9,  0.95};

/// SEG of the Cell Tracking Challenge, as a sum so that images can be pooled by object.
struct seg_score {
  double jaccard_sum = 0;
  std::int64_t objects = 0;

  seg_score& operator+=(seg_score const& other) {
    jaccard_sum += other.jaccard_sum;
    objects += other.objects;
    return *this;
  }
  /// Mean Jaccard index of the true cells; no value without true cells.
  [[nodiscard]] std::optional<double> value() const {
    return objects > 0 ? std::optional{jaccard_sum / static_cast<double>(objects)} : std::nullopt;
  }
};

/// A true cell is matched by the prediction that covers more than half of it and scores their
/// Jaccard index, otherwise 0; predictions without a true cell cost nothing.
[[nodiscard]] inline seg_score seg(overlap_table const& table) {
  seg_score score{.jaccard_sum = 0,
                  .objects = static_cast<std::int64_t>(table.truth_labels.size())};
  for (cell_overlap const& pair : table.overlaps)
    if (2 * pair.pixels > table.truth_areas[static_cast<std::size_t>(pair.truth)])
      score.jaccard_sum += table.iou(pair);
  return score;
}

/// Jaccard and Dice index of each true cell with the prediction of largest overlap, as the paper
/// scores. One prediction may serve several true cells, and true cells that nothing overlaps are
/// left out: a flattering score, so publish SEG or AP beside it.
struct overlap_agreement {
  /// one entry per scored true cell, ascending labels
  std::vector<std::int32_t> truth_labels;
  std::vector<double> jaccard;
  std::vector<double> dice;
  /// true cells looked at; without overlap and so left out
  std::int64_t truth_cells = 0;
  std::int64_t dropped = 0;
  /// true cells not looked at because they hold no nucleus
  std::int64_t without_nucleus = 0;
  std::int64_t prediction_cells = 0;

  /// Pools the cells of several images.
  overlap_agreement& operator+=(overlap_agreement const& other) {
    truth_labels.insert(truth_labels.end(), other.truth_labels.begin(), other.truth_labels.end());
    jaccard.insert(jaccard.end(), other.jaccard.begin(), other.jaccard.end());
    dice.insert(dice.end(), other.dice.begin(), other.dice.end());
    truth_cells += other.truth_cells;
    dropped += other.dropped;
    without_nucleus += other.without_nucleus;
    prediction_cells += other.prediction_cells;
    return *this;
  }
  /// Mean and population standard deviation over the scored cells; no value when there are none.
  [[nodiscard]] std::optional<double> jaccard_mean() const { return mean(jaccard); }
  [[nodiscard]] std::optional<double> jaccard_sd() const { return deviation(jaccard); }
  [[nodiscard]] std::optional<double> dice_mean() const { return mean(dice); }
  [[nodiscard]] std::optional<double> dice_sd() const { return deviation(dice); }

 private:
  [[nodiscard]] static std::optional<double> mean(std::vector<double> const& values) {
    if (values.empty()) return std::nullopt;
    double sum = 0;
    for (double const value : values) sum += value;
    return sum / static_cast<double>(values.size());
  }
  [[nodiscard]] static std::optional<double> deviation(std::vector<double> const& values) {
    auto const center = mean(values);
    if (!center) return std::nullopt;
    double sum = 0;
    for (double const value : values) sum += (value - *center) * (value - *center);
    return std::sqrt(sum / static_cast<double>(values.size()));
  }
};

/// Scores each true cell by its largest overlap; the smaller label wins where two are equal.
[[nodiscard]] inline overlap_agreement agree_by_largest_overlap(overlap_table const& table) {
  overlap_agreement result;
  result.truth_cells = static_cast<std::int64_t>(table.truth_labels.size());
  result.prediction_cells = static_cast<std::int64_t>(table.prediction_labels.size());
  for (auto pair = table.overlaps.begin(); pair != table.overlaps.end();) {
    auto largest = pair;
    auto next = pair;
    for (; next != table.overlaps.end() && next->truth == pair->truth; ++next)
      if (next->pixels > largest->pixels) largest = next;
    result.truth_labels.push_back(table.truth_labels[static_cast<std::size_t>(pair->truth)]);
    result.jaccard.push_back(table.iou(*largest));
    result.dice.push_back(table.dice(*largest));
    pair = next;
  }
  result.dropped = result.truth_cells - static_cast<std::int64_t>(result.jaccard.size());
  return result;
}

/// True and predicted cells of one frame.
struct label_pair {
  labels truth;
  labels prediction;
};

namespace detail {

[[nodiscard]] inline mask without_margin(mask const& pixels, int margin_px) {
  auto const rows = static_cast<std::ptrdiff_t>(pixels.shape()[0]);
  auto const columns = static_cast<std::ptrdiff_t>(pixels.shape()[1]);
  std::ptrdiff_t const margin = margin_px;
  SEPTUM_EXPECTS(
      margin >= 0 && rows > 2 * margin && columns > 2 * margin,
      shape_error("septum.agreement.2",
                  "masks of " + std::to_string(rows) + " x " + std::to_string(columns) +
                      " pixels: nothing is left without a margin of " + std::to_string(margin_px) +
                      " pixels; give half of the net's receptive field"));
  mask inner = mask::from_shape({static_cast<std::size_t>(rows - 2 * margin),
                                 static_cast<std::size_t>(columns - 2 * margin)});
  for (std::ptrdiff_t row = margin; row < rows - margin; ++row)
    std::copy_n(pixels.data() + row * columns + margin, columns - 2 * margin,
                inner.data() + (row - margin) * (columns - 2 * margin));
  return inner;
}

}  // namespace detail

/// Cells from masks by the paper's rule: the margin that the net cannot see is cut off, the
/// annotated interior is eroded by the 5-pixel cross, and both masks fall into 8-connected
/// components. The results are `margin_px` smaller on each side.
/// \throws shape_error `septum.agreement.1` on different extents, `septum.agreement.2` when nothing
///         is left.
[[nodiscard]] inline label_pair published_cells(mask const& interior, mask const& prediction,
                                                int margin_px, exec::threads threads = {}) {
  detail::require_equal_extents(interior, prediction);
  mask const eroded =
      erode(detail::without_margin(interior, margin_px), cross{.radius_px = 1}, threads);
  return {.truth = connected_components(eroded, connectivity::eight, threads),
          .prediction = connected_components(detail::without_margin(prediction, margin_px),
                                             connectivity::eight, threads)};
}

/// The paper's Jaccard and Dice scores of a predicted mask against an annotated interior
/// (`dice_jaccard_indices`), without a nucleus filter.
[[nodiscard]] inline overlap_agreement published_agreement(mask const& interior,
                                                           mask const& prediction, int margin_px,
                                                           exec::threads threads = {}) {
  label_pair const cells = published_cells(interior, prediction, margin_px, threads);
  return agree_by_largest_overlap(count_overlaps(cells.truth, cells.prediction));
}

/// The same; true cells that hold no pixel of the predicted nuclei are not looked at.
[[nodiscard]] inline overlap_agreement published_agreement(mask const& interior,
                                                           mask const& prediction,
                                                           mask const& nuclei, int margin_px,
                                                           exec::threads threads = {}) {
  detail::require_equal_extents(interior, nuclei);
  label_pair cells = published_cells(interior, prediction, margin_px, threads);
  mask const inner_nuclei = detail::without_margin(nuclei, margin_px);
  std::int32_t const truth_cells = largest_label(cells.truth);
  std::vector<std::uint8_t> has_nucleus(static_cast<std::size_t>(truth_cells) + 1, 0);
  for (std::size_t p = 0; p < cells.truth.size(); ++p)
    if (inner_nuclei.data()[p] != 0)
      has_nucleus[static_cast<std::size_t>(cells.truth.data()[p])] = 1;
  for (std::int32_t& label : cells.truth)
    if (has_nucleus[static_cast<std::size_t>(label)] == 0) label = 0;
  auto result = agree_by_largest_overlap(count_overlaps(cells.truth, cells.prediction));
  result.without_nucleus = truth_cells - result.truth_cells;
  return result;
}

/// Outline pixels of two label images and how many lie near the other outline. Add several images
/// with += for pooled scores.
struct boundary_counts {
  std::int64_t truth = 0;
  std::int64_t truth_near = 0;
  std::int64_t prediction = 0;
  std::int64_t prediction_near = 0;

  boundary_counts& operator+=(boundary_counts const& other) {
    truth += other.truth;
    truth_near += other.truth_near;
    prediction += other.prediction;
    prediction_near += other.prediction_near;
    return *this;
  }
  [[nodiscard]] std::optional<double> precision() const {
    return ratio(prediction_near, prediction);
  }
  [[nodiscard]] std::optional<double> recall() const { return ratio(truth_near, truth); }
  /// 2 P R / (P + R); 0 when nothing is near, no value when both images have no outline.
  [[nodiscard]] std::optional<double> f1() const {
    if (truth + prediction == 0) return std::nullopt;
    double const p = precision().value_or(0);
    double const r = recall().value_or(0);
    return p + r > 0 ? 2 * p * r / (p + r) : 0;
  }

 private:
  [[nodiscard]] static std::optional<double> ratio(std::int64_t part, std::int64_t whole) {
    if (whole == 0) return std::nullopt;
    return static_cast<double>(part) / static_cast<double>(whole);
  }
};

/// Counts outline pixels that lie at most `tolerance_px` (Euclidean, pixel centres) from the other
/// image's outline.
/// \throws shape_error `septum.agreement.1` on different extents.
[[nodiscard]] inline boundary_counts count_boundary(labels const& truth, labels const& prediction,
                                                    double tolerance_px,
                                                    exec::threads threads = {}) {
  detail::require_equal_extents(truth, prediction);
  mask const outline = cell_outlines(truth, threads);
  mask const other = cell_outlines(prediction, threads);
  auto const distance_to = [&](mask outlines) {
    for (std::uint8_t& value : outlines) value ^= 1U;
    return distance_transform(outlines, threads);
  };
  auto const to_truth = distance_to(outline);
  auto const to_prediction = distance_to(other);
  boundary_counts counts;
  for (std::size_t p = 0; p < truth.size(); ++p) {
    bool const near_prediction = static_cast<double>(to_prediction.data()[p]) <= tolerance_px;
    bool const near_truth = static_cast<double>(to_truth.data()[p]) <= tolerance_px;
    counts.truth += outline.data()[p];
    counts.truth_near += outline.data()[p] & static_cast<int>(near_prediction);
    counts.prediction += other.data()[p];
    counts.prediction_near += other.data()[p] & static_cast<int>(near_truth);
  }
  return counts;
}

}  // namespace septum::inline SEPTUM_ABI
