#pragma once
#include <septum/core/config.hpp>
#include <septum/measure/cell_series.hpp>
#include <septum/measure/growth.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Why a cell is worth a look.
enum class suspicion : std::uint8_t {
  jump,         ///< its area grew by the limit or more since the frame before: two cells as one
  drop,         ///< its area fell by the limit or more without a division: one cell as two
  appeared,     ///< it came from nowhere: not in the first frame, not at the border, no mother
  lost,         ///< it went: not in the last frame, not at the border, no division
  uneven,       ///< the daughters' areas do not add up to their mother's
  disagreement  ///< the nets of the ensemble disagree about its area
};

[[nodiscard]] constexpr std::string_view to_string(suspicion reason) {
  constexpr std::string_view names[] = {"jump", "drop",   "appeared",
                                        "lost", "uneven", "disagreement"};
  return names[static_cast<std::size_t>(reason)];
}

/// What counts as an error.
struct audit_limits {
  double jump = 0.3;          ///< relative change of area from frame to frame (paper: 30 %)
  double disagreement = 0.1;  ///< standard deviation of the area between nets / area
};

/// One cell worth a look, with everything that speaks against it.
struct suspicious_cell {
  std::int64_t frame = 0;
  std::int64_t label = 0;
  std::int64_t track = 0;
  double severity = 0;  ///< sum over reasons; 1 is at the limit
  std::vector<suspicion> reasons{};
  double change = 0;        ///< relative change of area since the frame before, 0 when not compared
  double disagreement = 0;  ///< standard deviation of the area between nets / area; 0: unknown
};

/// Counts of the audit, and where to look.
struct audit_report {
  std::int64_t cells = 0;  ///< in all frames together
  std::int64_t links = 0;  ///< pairs of the same cell in frames that follow each other
  std::int64_t jumps = 0;  ///< links whose area grew by the limit or more
  std::int64_t drops = 0;  ///< links whose area fell by the limit or more
  std::int64_t tracks = 0;
  std::int64_t tracks_with_error = 0;  ///< with a jump, a drop, or a broken start or end
  std::int64_t appeared = 0;
  std::int64_t lost = 0;
  std::int64_t uneven_divisions = 0;
  std::int64_t disagreements = 0;  ///< cells about whose area the nets differ by the limit or more
  std::vector<suspicious_cell> suspicious;  ///< most severe first

  /// Jumps per link, the paper's error rate; nothing without links.
  [[nodiscard]] std::optional<double> jump_rate() const {
    return links > 0 ? std::optional{static_cast<double>(jumps) / static_cast<double>(links)}
                     : std::nullopt;
  }
  /// Tracks with any error per track; nothing without tracks.
  [[nodiscard]] std::optional<double> track_error_rate() const {
    return tracks > 0
               ? std::optional{static_cast<double>(tracks_with_error) / static_cast<double>(tracks)}
               : std::nullopt;
  }
};

namespace detail {

/// Collects what speaks against each cell of one track.
class track_auditor {
 public:
  explicit track_auditor(cell_series const& track) : track_{&track}, found_(track.points.size()) {}

  void blame(std::size_t point, suspicion reason, double severity, double change = 0) {
    suspicious_cell& cell = found_[point];
    cell.frame = track_->points[point].frame;
    cell.label = track_->points[point].label;
    cell.track = track_->track;
    if (double const area = track_->points[point].area; area > 0)
      cell.disagreement = track_->points[point].area_sd / area;
    cell.severity += severity;
    cell.reasons.push_back(reason);
    if (change != 0) cell.change = change;
  }
  [[nodiscard]] std::size_t last() const { return found_.size() - 1; }
  void append_to(std::vector<suspicious_cell>& all) const {
    std::copy_if(found_.begin(), found_.end(), std::back_inserter(all),
                 [](suspicious_cell const& cell) { return !cell.reasons.empty(); });
  }

 private:
  cell_series const* track_;
  std::vector<suspicious_cell> found_;
};

}  // namespace detail

/// Looks for errors of segmentation and tracking without knowing the truth. Links with a missing
/// frame between are not compared.
[[nodiscard]] inline audit_report audit_tracks(std::span<cell_series const> series,
                                               audit_limits const& limits = {}) {
  audit_report report;
  family const kin = find_family(series);
  for (std::size_t k = 0; k < series.size(); ++k) {
    cell_series const& track = series[k];
    if (track.points.empty()) continue;
    ++report.tracks;
    bool wrong = false;
    detail::track_auditor auditor{track};
    for (std::size_t i = 0; i < track.points.size(); ++i) {
      cell_observation const& now = track.points[i];
      ++report.cells;
      if (now.area > 0 && now.area_sd / now.area >= limits.disagreement) {
        ++report.disagreements;
        auditor.blame(i, suspicion::disagreement, now.area_sd / now.area / limits.disagreement);
      }
      if (i == 0 || now.frame - track.points[i - 1].frame != 1) continue;
      ++report.links;
      double const change = now.area / track.points[i - 1].area - 1;
      if (std::abs(change) < limits.jump) continue;
      wrong = true;
      ++(change > 0 ? report.jumps : report.drops);
      auditor.blame(i, change > 0 ? suspicion::jump : suspicion::drop,
                    std::abs(change) / limits.jump, change);
    }
    if (track.start == track_start::appeared) {
      ++report.appeared;
      wrong = true;
      auditor.blame(0, suspicion::appeared, 1);
    }
    if (track.end == track_end::lost) {
      ++report.lost;
      wrong = true;
      auditor.blame(auditor.last(), suspicion::lost, 1);
    }
    double const after = detail::size_after_division(series, kin, k, &cell_observation::area);
    double const change = after / track.points.back().area - 1;
    if (std::abs(change) >= limits.jump) {
      ++report.uneven_divisions;
      auditor.blame(auditor.last(), suspicion::uneven, std::abs(change) / limits.jump, change);
    }
    report.tracks_with_error += wrong ? 1 : 0;
    auditor.append_to(report.suspicious);
  }
  std::stable_sort(report.suspicious.begin(), report.suspicious.end(),
                   [](suspicious_cell const& a, suspicious_cell const& b) {
                     return std::tuple{-a.severity, a.frame, a.label} <
                            std::tuple{-b.severity, b.frame, b.label};
                   });
  return report;
}

}  // namespace septum::inline SEPTUM_ABI
