#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/measure/agreement.hpp>
#include <septum/track/ctc_table.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Operations that turn the result's graph of cells into the true one (Matula et al. 2015), and
/// what they are measured against.
struct graph_errors {
  std::int64_t truth_cells = 0;     ///< cells over all frames
  std::int64_t truth_links = 0;     ///< from frame to frame, and from mother to daughter
  std::int64_t missed = 0;          ///< true cells that nothing covers by more than half (FN)
  std::int64_t invented = 0;        ///< result cells that cover no true cell (FP)
  std::int64_t merged = 0;          ///< true cells beyond the first that share a result cell (NS)
  std::int64_t missing_links = 0;   ///< (EA)
  std::int64_t wrong_links = 0;     ///< links between cells that are not linked in truth (ED)
  std::int64_t confused_links = 0;  ///< right links of the wrong kind: daughter or same cell (EC)

  [[nodiscard]] double detection_errors() const {
    return 5 * number(merged) + 10 * number(missed) + number(invented);
  }
  [[nodiscard]] double link_errors() const {
    return number(wrong_links) + 1.5 * number(missing_links) + number(confused_links);
  }
  /// DET, LNK and TRA of the Cell Tracking Challenge, in [0, 1]; no value where truth has nothing
  /// to compare with.
  [[nodiscard]] std::optional<double> det() const {
    return score(detection_errors(), 10 * number(truth_cells));
  }
  [[nodiscard]] std::optional<double> lnk() const {
    return score(link_errors(), 1.5 * number(truth_links));
  }
  [[nodiscard]] std::optional<double> tra() const {
    return score(detection_errors() + link_errors(),
                 10 * number(truth_cells) + 1.5 * number(truth_links));
  }

 private:
  [[nodiscard]] static double number(std::int64_t count) { return static_cast<double>(count); }
  [[nodiscard]] static std::optional<double> score(double errors, double worst) {
    return worst > 0 ? std::optional{1 - std::min(errors, worst) / worst} : std::nullopt;
  }
};

/// Divisions found, invented and missed.
struct division_counts {
  std::int64_t true_positives = 0;
  std::int64_t false_positives = 0;
  std::int64_t false_negatives = 0;

  /// 2 TP / (2 TP + FP + FN): the challenge's branching correctness; no value without divisions in
  /// truth and result.
  [[nodiscard]] std::optional<double> f1() const {
    std::int64_t const all = 2 * true_positives + false_positives + false_negatives;
    if (all == 0) return std::nullopt;
    return 2 * static_cast<double>(true_positives) / static_cast<double>(all);
  }
};

/// Tracks reconstructed from their first to their last frame.
struct complete_track_counts {
  std::int64_t complete = 0;
  std::int64_t truth = 0;
  std::int64_t result = 0;

  /// 2 * complete / (truth + result) (CT of the challenge); no value without tracks.
  [[nodiscard]] std::optional<double> value() const {
    if (truth + result == 0) return std::nullopt;
    return 2 * static_cast<double>(complete) / static_cast<double>(truth + result);
  }
};

/// Compares a tracked movie with the truth as the Cell Tracking Challenge does (Matula et al.
/// 2015, Ulman et al. 2017). Frames are added in order; only their labels and matches are kept.
class tracking_evaluator {
 public:
  tracking_evaluator(std::vector<ctc_track> truth, std::vector<ctc_track> result)
      : truth_{std::move(truth)}, result_{std::move(result)} {}

  /// Adds the next frame: overlaps of the true markers (first image) with the result (second).
  void add_frame(overlap_table const& table) {
    frame_match frame;
    frame.truth.assign(table.truth_labels.begin(), table.truth_labels.end());
    frame.result.assign(table.prediction_labels.begin(), table.prediction_labels.end());
    for (cell_overlap const& pair : table.overlaps)
      if (2 * pair.pixels > table.truth_areas[static_cast<std::size_t>(pair.truth)]) {
        std::int64_t const t = frame.truth[static_cast<std::size_t>(pair.truth)];
        std::int64_t const r = frame.result[static_cast<std::size_t>(pair.prediction)];
        frame.result_of.emplace(t, r);
        frame.truths_of[r].push_back(t);
      }
    frames_.push_back(std::move(frame));
  }

  /// Adds one frame of the true segmentation, which may exist for some frames only.
  void add_segmentation(overlap_table const& table) { seg_ += septum::seg(table); }

  [[nodiscard]] std::optional<double> seg() const { return seg_.value(); }

  [[nodiscard]] graph_errors errors() const {
    graph_errors e;
    for (frame_match const& frame : frames_) {
      e.truth_cells += static_cast<std::int64_t>(frame.truth.size());
      e.missed += static_cast<std::int64_t>(frame.truth.size() - frame.result_of.size());
      e.invented += static_cast<std::int64_t>(frame.result.size() - frame.truths_of.size());
      for (auto const& [label, truths] : frame.truths_of)
        e.merged += static_cast<std::int64_t>(truths.size()) - 1;
    }
    track_index const truth{truth_}, result{result_};
    for_each_link(truth, &frame_match::truth, [&](link_ends const& link) {
      ++e.truth_links;
      auto const from = only_result_of(link.from_frame, link.from);
      auto const to = only_result_of(link.to_frame, link.to);
      auto const kind =
          from && to ? kind_of(result, {link.from_frame, *from, link.to_frame, *to}) : std::nullopt;
      if (!kind)
        ++e.missing_links;
      else if (*kind != link.to_daughter)
        ++e.confused_links;
    });
    for_each_link(result, &frame_match::result, [&](link_ends const& link) {
      auto const from = only_truth_of(link.from_frame, link.from);
      auto const to = only_truth_of(link.to_frame, link.to);
      if (from && to && !kind_of(truth, {link.from_frame, *from, link.to_frame, *to}))
        ++e.wrong_links;
    });
    return e;
  }

  /// Divisions whose mother and two daughters are matched, with ends and beginnings at most
  /// `tolerance` frames apart (BC(i) of the challenge).
  [[nodiscard]] division_counts divisions(std::int64_t tolerance = 0) const {
    std::vector<division> const truth = divisions_of(truth_), result = divisions_of(result_);
    division_counts counts;
    for (division const& r : result)
      for (division const& t : truth)
        if (same_division(t, r, tolerance)) ++counts.true_positives;
    counts.false_positives = static_cast<std::int64_t>(result.size()) - counts.true_positives;
    counts.false_negatives = static_cast<std::int64_t>(truth.size()) - counts.true_positives;
    return counts;
  }

  /// True tracks whose every cell is matched, alone, by one and the same result track of the same
  /// first and last frame.
  [[nodiscard]] complete_track_counts complete_tracks() const {
    complete_track_counts counts{.complete = 0,
                                 .truth = static_cast<std::int64_t>(truth_.size()),
                                 .result = static_cast<std::int64_t>(result_.size())};
    track_index const result{result_};
    for (ctc_track const& t : truth_) {
      std::optional<std::int64_t> partner;
      bool same = true;
      for (std::int64_t f = t.first_frame; f <= t.last_frame && same; ++f) {
        auto const found = only_result_of(f, t.label);
        same = found && (!partner || *partner == *found);
        partner = found;
      }
      ctc_track const* const r = partner ? result.find(*partner) : nullptr;
      if (same && r != nullptr && r->first_frame == t.first_frame && r->last_frame == t.last_frame)
        ++counts.complete;
    }
    return counts;
  }

  /// Mean over the true tracks that are found at all of the longest share of their frames that one
  /// result track follows without a break (TF of the challenge).
  [[nodiscard]] std::optional<double> track_fractions() const {
    double sum = 0;
    std::int64_t found = 0;
    for (ctc_track const& t : truth_) {
      std::int64_t longest = 0, run = 0;
      std::optional<std::int64_t> last;
      for (std::int64_t f = t.first_frame; f <= t.last_frame; ++f) {
        auto const partner = only_result_of(f, t.label);
        run = partner ? (partner == last ? run + 1 : 1) : 0;
        last = partner;
        longest = std::max(longest, run);
      }
      if (longest == 0) continue;
      ++found;
      sum += static_cast<double>(longest) / static_cast<double>(t.last_frame - t.first_frame + 1);
    }
    return found > 0 ? std::optional{sum / static_cast<double>(found)} : std::nullopt;
  }

 private:
  struct frame_match {
    std::vector<std::int64_t> truth, result;  ///< labels, ascending
    std::map<std::int64_t, std::int64_t> result_of;
    std::map<std::int64_t, std::vector<std::int64_t>> truths_of;
  };
  struct link_ends {
    std::int64_t from_frame, from, to_frame, to;
    bool to_daughter = false;
  };
  struct division {
    ctc_track mother;
    std::vector<ctc_track> daughters;
  };

  class track_index {
   public:
    explicit track_index(std::vector<ctc_track> const& tracks) {
      for (ctc_track const& t : tracks) by_label_.emplace(t.label, &t);
    }
    [[nodiscard]] ctc_track const* find(std::int64_t label) const {
      auto const found = by_label_.find(label);
      return found == by_label_.end() ? nullptr : found->second;
    }
    [[nodiscard]] auto const& all() const { return by_label_; }

   private:
    std::map<std::int64_t, ctc_track const*> by_label_;
  };

  [[nodiscard]] frame_match const* frame(std::int64_t index) const {
    bool const exists = index >= 0 && index < static_cast<std::int64_t>(frames_.size());
    return exists ? &frames_[static_cast<std::size_t>(index)] : nullptr;
  }

  /// The result cell that covers a true cell, when it covers no other.
  [[nodiscard]] std::optional<std::int64_t> only_result_of(std::int64_t index,
                                                           std::int64_t label) const {
    frame_match const* const f = frame(index);
    if (f == nullptr) return std::nullopt;
    auto const found = f->result_of.find(label);
    if (found == f->result_of.end() || f->truths_of.at(found->second).size() != 1)
      return std::nullopt;
    return found->second;
  }
  [[nodiscard]] std::optional<std::int64_t> only_truth_of(std::int64_t index,
                                                          std::int64_t label) const {
    frame_match const* const f = frame(index);
    if (f == nullptr) return std::nullopt;
    auto const found = f->truths_of.find(label);
    if (found == f->truths_of.end() || found->second.size() != 1) return std::nullopt;
    return found->second.front();
  }

  /// Whether two cells are linked, and if so whether as mother and daughter.
  [[nodiscard]] static std::optional<bool> kind_of(track_index const& tracks,
                                                   link_ends const& link) {
    if (link.from == link.to)
      return link.to_frame == link.from_frame + 1 ? std::optional{false} : std::nullopt;
    ctc_track const* const from = tracks.find(link.from);
    ctc_track const* const to = tracks.find(link.to);
    bool const linked = from != nullptr && to != nullptr && to->parent == link.from &&
                        from->last_frame == link.from_frame && to->first_frame == link.to_frame;
    return linked ? std::optional{true} : std::nullopt;
  }

  /// Visits the links of one graph: equal labels in neighbouring frames, and mothers' last cells to
  /// daughters' first.
  template <class Visit>
  void for_each_link(track_index const& tracks, std::vector<std::int64_t> frame_match::*cells,
                     Visit const& visit) const {
    for (std::size_t f = 0; f + 1 < frames_.size(); ++f) {
      auto const& next = frames_[f + 1].*cells;
      for (std::int64_t const label : frames_[f].*cells)
        if (std::binary_search(next.begin(), next.end(), label)) {
          auto const at = static_cast<std::int64_t>(f);
          visit(link_ends{at, label, at + 1, label, false});
        }
    }
    for (auto const& [label, track] : tracks.all()) {
      ctc_track const* const parent = track->parent == 0 ? nullptr : tracks.find(track->parent);
      if (parent != nullptr)
        visit(link_ends{parent->last_frame, parent->label, track->first_frame, label, true});
    }
  }

  [[nodiscard]] static std::vector<division> divisions_of(std::vector<ctc_track> const& tracks) {
    std::map<std::int64_t, division> by_mother;
    for (ctc_track const& t : tracks)
      if (t.parent != 0) by_mother[t.parent].daughters.push_back(t);
    track_index const index{tracks};
    std::vector<division> result;
    for (auto& [label, found] : by_mother) {
      ctc_track const* const mother = index.find(label);
      if (mother == nullptr || found.daughters.size() < 2) continue;
      found.mother = *mother;
      result.push_back(std::move(found));
    }
    return result;
  }

  [[nodiscard]] bool same_division(division const& truth, division const& result,
                                   std::int64_t tolerance) const {
    if (truth.daughters.size() != result.daughters.size() ||
        std::abs(truth.mother.last_frame - result.mother.last_frame) > tolerance)
      return false;
    auto const matched = [&](std::int64_t f, std::int64_t t, std::int64_t r) {
      auto const found = only_result_of(f, t);
      return found && *found == r;
    };
    if (!matched(std::min(truth.mother.last_frame, result.mother.last_frame), truth.mother.label,
                 result.mother.label))
      return false;
    std::set<std::int64_t> used;
    for (ctc_track const& t : truth.daughters)
      for (ctc_track const& r : result.daughters)
        if (std::abs(t.first_frame - r.first_frame) <= tolerance &&
            matched(std::max(t.first_frame, r.first_frame), t.label, r.label)) {
          used.insert(r.label);
          break;
        }
    return used.size() == truth.daughters.size();
  }

  std::vector<ctc_track> truth_;
  std::vector<ctc_track> result_;
  std::vector<frame_match> frames_;
  seg_score seg_;
};

}  // namespace septum::inline SEPTUM_ABI
