#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// The price of not linking a cell, and how it weighs against links (Jaqaman 2008, figure 1b).
///
/// In the square matrix [C D; B L] that linkers solve, D and B hold this price and L one value l
/// for every pair of C. A link of cost c then pays if c + l < 2 * price, so the choice of l decides
/// which links are made: `block` names it.
struct alternative_cost {
  enum class rule : int {
    fixed,              ///< `value`
    factor_of_largest,  ///< `factor` * the largest cost of this problem
    factor_of_share     ///< `factor` * the cost that `share` of all costs are not above
  };
  /// Which of two neighbouring costs the share picks.
  enum class rank : int { nearest, lower, higher };
  enum class lower_block : int {
    alternative,  ///< l = price, as in u-track and TrackMate: any link cheaper than the price pays
    lowest_cost,  ///< l = the lowest number of the matrix, as in LapTrack
    zero          ///< l = 0: a link pays if it costs less than leaving both cells alone
  };

  rule from = rule::factor_of_largest;
  double factor = 1.05;
  double share = 0.9;
  rank between = rank::nearest;
  double value = 0;
  lower_block block = lower_block::alternative;

  /// The price, given all costs of the problem; `when_empty` without any. Never 0 or below, so that
  /// a price derived from costs of 0 still makes links of cost 0 worth while.
  [[nodiscard]] double price(std::vector<double> costs, double when_empty = 1.05) const {
    if (from == rule::fixed) return value;
    if (costs.empty()) return when_empty;
    if (from == rule::factor_of_largest)
      return positive(factor * *std::max_element(costs.begin(), costs.end()));
    double const position = share * static_cast<double>(costs.size() - 1);
    double const index = between == rank::nearest ? std::floor(position + 0.5)
                         : between == rank::lower ? std::floor(position)
                                                  : std::ceil(position);
    auto const at = costs.begin() + static_cast<std::ptrdiff_t>(index);
    std::nth_element(costs.begin(), at, costs.end());
    return positive(factor * *at);
  }

  /// What the lower right block adds to every link, given the price and the costs.
  [[nodiscard]] double added(double price, std::vector<double> const& costs) const {
    if (block == lower_block::zero) return 0;
    if (block == lower_block::alternative || costs.empty()) return price;
    return std::min(price, *std::min_element(costs.begin(), costs.end()));
  }

 private:
  [[nodiscard]] static double positive(double price) { return price > 0 ? price : 1e-6; }
};

}  // namespace septum::inline SEPTUM_ABI
