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

/// Places of the labels of an image in an ascending list, without a table for huge labels.
class label_places {
 public:
  explicit label_places(labels const& cells) {
    std::int32_t const largest = largest_label(cells);
    if (static_cast<std::size_t>(largest) / 4 <= cells.size() + 0x10000) {
      place_.assign(static_cast<std::size_t>(largest) + 1, 0);
      for (std::int32_t const label : cells) place_[static_cast<std::size_t>(label)] = 1;
      place_[0] = 0;
      for (std::int32_t label = 1; label <= largest; ++label) {
        std::int32_t& place = place_[static_cast<std::size_t>(label)];
        if (place == 0) continue;
        place = static_cast<std::int32_t>(present_.size());
        present_.push_back(label);
      }
    } else {
      present_.assign(cells.begin(), cells.end());
      std::sort(present_.begin(), present_.end());
      present_.erase(std::unique(present_.begin(), present_.end()), present_.end());
      if (present_.front() == 0) present_.erase(present_.begin());
    }
  }
  /// Place of a label other than 0 that occurs.
  [[nodiscard]] std::int32_t of(std::int32_t label) const {
    if (!place_.empty()) return place_[static_cast<std::size_t>(label)];
    return static_cast<std::int32_t>(std::lower_bound(present_.begin(), present_.end(), label) -
                                     present_.begin());
  }
  [[nodiscard]] std::vector<std::int32_t> const& present() const { return present_; }

 private:
  std::vector<std::int32_t> place_;
  std::vector<std::int32_t> present_;
};

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
  detail::label_places const truth_places{truth};
  detail::label_places const prediction_places{prediction};
  overlap_table table;
  table.truth_labels = truth_places.present();
  table.prediction_labels = prediction_places.present();
  table.truth_areas.assign(table.truth_labels.size(), 0);
  table.prediction_areas.assign(table.prediction_labels.size(), 0);

  // Pieces of constant pair, then sorted by truth by counting and by prediction within a truth.
  std::vector<cell_overlap> pieces;
  std::vector<std::size_t> first(table.truth_labels.size() + 1, 0);
  std::int32_t const* const t = truth.data();
  std::int32_t const* const p = prediction.data();
  for (std::size_t begin = 0, end = 0; begin < truth.size(); begin = end) {
    do ++end;
    while (end < truth.size() && t[end] == t[begin] && p[end] == p[begin]);
    auto const pixels = static_cast<std::int64_t>(end - begin);
    cell_overlap piece{.truth = -1, .prediction = -1, .pixels = pixels};
    if (t[begin] != 0) {
      piece.truth = truth_places.of(t[begin]);
      table.truth_areas[static_cast<std::size_t>(piece.truth)] += pixels;
    }
    if (p[begin] != 0) {
      piece.prediction = prediction_places.of(p[begin]);
      table.prediction_areas[static_cast<std::size_t>(piece.prediction)] += pixels;
    }
    if (piece.truth < 0 || piece.prediction < 0) continue;
    pieces.push_back(piece);
    ++first[static_cast<std::size_t>(piece.truth) + 1];
  }
  for (std::size_t k = 1; k < first.size(); ++k) first[k] += first[k - 1];
  std::vector<cell_overlap> sorted(pieces.size());
  std::vector<std::size_t> next(first.begin(), first.end());
  for (cell_overlap const& piece : pieces)
    sorted[next[static_cast<std::size_t>(piece.truth)]++] = piece;
  for (std::size_t k = 0; k + 1 < first.size(); ++k)
    std::sort(
        sorted.begin() + static_cast<std::ptrdiff_t>(first[k]),
        sorted.begin() + static_cast<std::ptrdiff_t>(first[k + 1]),
        [](cell_overlap const& a, cell_overlap const& b) { return a.prediction < b.prediction; });
  for (cell_overlap const& piece : sorted) {
    bool const known = !table.overlaps.empty() && table.overlaps.back().truth == piece.truth &&
                       table.overlaps.back().prediction == piece.prediction;
    if (known)
      table.overlaps.back().pixels += piece.pixels;
    else
      table.overlaps.push_back(piece);
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

namespace detail {

/// 0 on outline pixels (cell pixels with a 4-neighbour of another value; the image border is no
/// neighbour), 1 elsewhere: what a distance transform measures from.
[[nodiscard]] inline mask outside_outlines(labels const& cells) {
  mask outside = mask::from_shape(cells.shape());
  auto const rows = cells.shape()[0];
  auto const columns = cells.shape()[1];
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) {
      std::int32_t const own = cells(r, c);
      bool const outline =
          own != 0 &&
          ((r > 0 && cells(r - 1, c) != own) || (r + 1 < rows && cells(r + 1, c) != own) ||
           (c > 0 && cells(r, c - 1) != own) || (c + 1 < columns && cells(r, c + 1) != own));
      outside(r, c) = outline ? 0 : 1;
    }
  return outside;
}

}  // namespace detail

/// Counts outline pixels that lie at most `tolerance_px` (Euclidean, pixel centres) from the other
/// image's outline.
/// \throws shape_error `septum.agreement.1` on different extents.
[[nodiscard]] inline boundary_counts count_boundary(labels const& truth, labels const& prediction,
                                                    double tolerance_px,
                                                    exec::threads threads = {}) {
  detail::require_equal_extents(truth, prediction);
  mask const no_truth = detail::outside_outlines(truth);
  mask const no_prediction = detail::outside_outlines(prediction);
  auto const to_truth = distance_transform(no_truth, threads);
  auto const to_prediction = distance_transform(no_prediction, threads);
  boundary_counts counts;
  for (std::size_t p = 0; p < truth.size(); ++p) {
    if (no_truth.data()[p] == 0) {
      ++counts.truth;
      counts.truth_near += static_cast<double>(to_prediction.data()[p]) <= tolerance_px ? 1 : 0;
    }
    if (no_prediction.data()[p] == 0) {
      ++counts.prediction;
      counts.prediction_near += static_cast<double>(to_truth.data()[p]) <= tolerance_px ? 1 : 0;
    }
  }
  return counts;
}

}  // namespace septum::inline SEPTUM_ABI
