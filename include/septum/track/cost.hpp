#pragma once
#include <septum/core/config.hpp>
#include <septum/track/detection.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <tuple>

namespace septum::inline SEPTUM_ABI {

/// Two cells that may be linked, and what is known of the pair.
struct link_candidate {
  detection const& source;
  detection const& target;
  double dy = 0;  ///< from where the source is expected in the target's frame to the target
  double dx = 0;
  double dz = 0;
  int frames = 1;      ///< how many frames later the target is
  double overlap = 0;  ///< common pixels after drift was corrected; 0 for points
  /// For a split the cell that the source goes on as, for a merge the one that the target came
  /// from; else none.
  detection const* sibling = nullptr;
  double typical_step = 0;  ///< mean displacement per frame of the two tracks; 0 when unknown
  double growth = 0;        ///< ln(area) that cells of the movie gain on average until then

  [[nodiscard]] double squared_distance() const { return dy * dy + dx * dx + dz * dz; }
};

/// Price of a link; +inf where it is impossible. `reach()` is a distance beyond which it is
/// always impossible.
template <class Cost>
concept LinkCost = requires(Cost const& cost, link_candidate const& pair) {
  { cost(pair) } -> std::convertible_to<double>;
  { cost.reach() } -> std::convertible_to<double>;
};

inline constexpr double impossible = std::numeric_limits<double>::infinity();

/// Squared distance within a radius (LapTrack; TrackMate without feature penalties).
struct squared_distance {
  double max_distance = 15;
  bool inclusive = false;  ///< a distance of exactly `max_distance` counts

  [[nodiscard]] double reach() const { return max_distance; }
  [[nodiscard]] double operator()(link_candidate const& pair) const {
    double const cost = pair.squared_distance();
    double const limit = max_distance * max_distance;
    return cost < limit || (inclusive && cost <= limit) ? cost : impossible;
  }
};

/// TrackMate's penalties: the squared distance times P^2, P = 1 + the sum over features of
/// 3 * weight * |f1 - f2| / (f1 + f2). The limit applies to the penalised cost.
struct penalized_distance {
  double max_distance = 15;
  double area_weight = 0;
  double intensity_weight = 0;
  bool inclusive = false;

  [[nodiscard]] double reach() const { return max_distance; }
  [[nodiscard]] double operator()(link_candidate const& pair) const {
    auto const difference = [](double a, double b) {
      return a == b ? 0.0 : std::abs(a - b) / ((a + b) / 2);
    };
    double const penalty =
        1 + 1.5 * area_weight * difference(pair.source.area, pair.target.area) +
        1.5 * intensity_weight * difference(pair.source.intensity, pair.target.intensity);
    double const cost = pair.squared_distance() * penalty * penalty;
    double const limit = max_distance * max_distance;
    return cost < limit || (inclusive && cost <= limit) ? cost : impossible;
  }
};

/// Share of the smaller cell that both have in common: 1 - overlap / min(area); impossible below
/// `least`.
struct overlap_share {
  double weight = 1;
  double least = 0;  ///< in [0, 1); cells that share less are not linked
  double max_distance = 50;

  [[nodiscard]] double reach() const { return max_distance; }
  [[nodiscard]] double operator()(link_candidate const& pair) const {
    double const smaller = std::min(pair.source.area, pair.target.area);
    double const share = smaller > 0 ? pair.overlap / smaller : 0;
    return share > 0 && share >= least ? weight * (1 - share) : impossible;
  }
};

/// Square of the logarithm of the ratio of areas over its standard deviation, after `growth` per
/// frame; impossible beyond `largest_ratio`.
struct area_change {
  double deviation = 0.2;
  double growth = 0;         ///< expected ln(area) gained per frame
  double largest_ratio = 3;  ///< of the larger to the smaller area
  double max_distance = std::numeric_limits<double>::infinity();

  [[nodiscard]] double reach() const { return max_distance; }
  [[nodiscard]] double operator()(link_candidate const& pair) const {
    if (!(pair.source.area > 0 && pair.target.area > 0)) return 0;
    double const change = std::log(pair.target.area / pair.source.area);
    if (std::abs(change) > std::log(largest_ratio)) return impossible;
    double const surprise = (change - growth * pair.frames) / deviation;
    return surprise * surprise;
  }
};

/// The same for mean intensities.
struct intensity_change {
  double deviation = 0.2;
  double largest_ratio = 3;
  double max_distance = std::numeric_limits<double>::infinity();

  [[nodiscard]] double reach() const { return max_distance; }
  [[nodiscard]] double operator()(link_candidate const& pair) const {
    if (!(pair.source.intensity > 0 && pair.target.intensity > 0)) return 0;
    double const change = std::log(pair.target.intensity / pair.source.intensity);
    if (std::abs(change) > std::log(largest_ratio)) return impossible;
    return change / deviation * (change / deviation);
  }
};

/// Sum of several costs: impossible where one of them is.
template <LinkCost... Parts>
struct sum_of {
  std::tuple<Parts...> parts;

  [[nodiscard]] double reach() const {
    return std::apply(
        [](auto const&... part) {
          return std::min(
              {std::numeric_limits<double>::infinity(), static_cast<double>(part.reach())...});
        },
        parts);
  }
  [[nodiscard]] double operator()(link_candidate const& pair) const {
    return std::apply([&](auto const&... part) { return (0.0 + ... + part(pair)); }, parts);
  }
};

/// The paper's price of a link (`make_cost_matrix`): -1e6 if the rounded centre of either cell
/// lies in the other one, else 1e4, or 1e6 if the areas differ by more than a factor of 3.
/// `overlap` stands for the test of the centres.
struct published_link_cost {
  double max_distance = 15;

  [[nodiscard]] double reach() const { return max_distance; }
  [[nodiscard]] double operator()(link_candidate const& pair) const {
    if (!(pair.squared_distance() < max_distance * max_distance)) return impossible;
    if (pair.overlap > 0) return -1e6;
    double const larger = std::max(pair.source.area, pair.target.area);
    double const smaller = std::min(pair.source.area, pair.target.area);
    return larger > 3 * smaller ? 1e6 : 1e4;
  }
};

/// The paper's price of a daughter: -1e4 if its centre lies in the mother, else 1e6; `overlap` as
/// above.
struct published_daughter_cost {
  double max_distance = 25;

  [[nodiscard]] double reach() const { return max_distance; }
  [[nodiscard]] double operator()(link_candidate const& pair) const {
    if (!(pair.squared_distance() < max_distance * max_distance)) return impossible;
    return pair.overlap > 0 ? -1e4 : 1e6;
  }
};

/// What tells a cell from its neighbours in a frame of label images: the share of the smaller of
/// the two cells that both have in common, their distance after motion was corrected, and how well
/// the areas fit.
struct likeness_cost {
  double max_distance = 15;   ///< px; the paper's rule
  double overlap_weight = 1;  ///< of the share not in common
  double distance_weight = 0.3;
  double area_weight = 0.3;  ///< of |ln(ratio of areas) - expected growth|, at most 1
  double gap_price = 0.1;    ///< for every frame in which the cell was not seen

  [[nodiscard]] double reach() const { return max_distance; }
  [[nodiscard]] double operator()(link_candidate const& pair) const {
    double const distance = std::sqrt(pair.squared_distance());
    // A long cell may grow its centre out of reach and still lie where it was.
    double const smaller = std::min(pair.source.area, pair.target.area);
    double const share = smaller > 0 ? pair.overlap / smaller : 0;
    if (!(distance <= max_distance) && !(share > 0.5)) return impossible;
    double const change =
        smaller > 0 ? std::abs(std::log(pair.target.area / pair.source.area) - pair.growth) : 0;
    return overlap_weight * (1 - share) + distance_weight * std::min(distance / max_distance, 1.0) +
           area_weight * std::min(change, 1.0) + gap_price * (pair.frames - 1);
  }
};

/// u-track's price of closing a gap: squared distance over the squared expected step, which grows
/// with the square root of the gap, times a penalty per missing frame.
struct utrack_gap_cost {
  double max_distance = 15;
  double penalty = 1.5;        ///< factor for every missing frame beyond the first
  double scaling_power = 0.5;  ///< of the number of frames in the expected distance
  double least_step = 1;       ///< for tracks that do not move

  [[nodiscard]] double reach() const { return max_distance; }
  [[nodiscard]] double operator()(link_candidate const& pair) const {
    double const distance2 = pair.squared_distance();
    if (distance2 > max_distance * max_distance) return impossible;
    double const step = std::max(pair.typical_step, least_step);
    double const expected = std::pow(pair.frames, scaling_power) * step;
    return distance2 / (expected * expected) * std::pow(penalty, std::max(pair.frames - 2, 0));
  }
};

/// u-track's price of a split or merge: squared distance over the squared expected step, times
/// rho' = rho for rho >= 1 and rho^-2 below, where rho compares the one cell with its two parts.
/// Areas stand in for intensities that are not known.
struct utrack_branch_cost {
  double max_distance = 15;
  double least_ratio = 0.5;
  double largest_ratio = 2;
  double least_step = 1;
  bool merging = false;  ///< the target is the whole and the source a part

  [[nodiscard]] double reach() const { return max_distance; }
  [[nodiscard]] double operator()(link_candidate const& pair) const {
    double const distance2 = pair.squared_distance();
    if (pair.sibling == nullptr || distance2 > max_distance * max_distance) return impossible;
    // The sibling is on the side of the two parts: after a split, before a merge.
    auto const amount = [](detection const& cell) {
      double const area = cell.area > 0 ? cell.area : 1;
      return cell.intensity > 0 ? cell.intensity * area : area;
    };
    detection const& whole = merging ? pair.target : pair.source;
    detection const& part = merging ? pair.source : pair.target;
    double const ratio = amount(whole) / (amount(part) + amount(*pair.sibling));
    if (!(ratio >= least_ratio && ratio <= largest_ratio)) return impossible;
    double const step = std::max(pair.typical_step, least_step);
    return distance2 / (step * step) * (ratio >= 1 ? ratio : 1 / (ratio * ratio));
  }
};

}  // namespace septum::inline SEPTUM_ABI
