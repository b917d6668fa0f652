#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/components.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// The class of one cell and how sure it is.
struct cell_class {
  std::int32_t label = 0;
  /// the class with the largest share; no value when the cell is empty, carries no weight, or its
  /// share is below the floor that was asked for
  std::optional<int> decision{};
  /// share of each class in the weight of all, in [0, 1] and together 1; all 0 without any weight.
  /// With two classes, shares[1] is the paper's class score.
  std::vector<double> shares{};

  /// Share of the decided class, 0 without a decision.
  [[nodiscard]] double confidence() const {
    return decision ? *std::max_element(shares.begin(), shares.end()) : 0.0;
  }
};

/// When to call a cell undecided.
struct class_decision {
  /// least share of the leading class; 0 decides every cell that carries weight
  double share_min = 0;
};

namespace detail {

[[nodiscard]] inline cell_class decide_class(std::int32_t label, std::vector<double> sums,
                                             std::vector<int> const& classes,
                                             class_decision decision) {
  double total = 0;
  for (double const sum : sums) total += sum;
  cell_class result{.label = label, .shares = std::move(sums)};
  if (!(total > 0)) {
    std::fill(result.shares.begin(), result.shares.end(), 0.0);
    return result;
  }
  for (double& share : result.shares) share /= total;
  auto const leading = std::max_element(result.shares.begin(), result.shares.end());
  if (*leading >= decision.share_min)
    result.decision = classes[static_cast<std::size_t>(leading - result.shares.begin())];
  return result;
}

/// Sums over every label of `count` values per pixel that `add(pixel, sums)` adds.
template <class Add>
[[nodiscard]] std::vector<double> sums_by_label(labels const& cells, std::size_t count,
                                                Add const& add) {
  auto const largest = static_cast<std::size_t>(largest_label(cells));
  std::vector<double> sums((largest + 1) * count, 0.0);
  for (std::size_t p = 0; p < cells.size(); ++p)
    if (std::int32_t const label = cells.data()[p]; label != 0)
      add(p, sums.data() + static_cast<std::size_t>(label) * count);
  return sums;
}

}  // namespace detail

/// The class of every cell from the probabilities of the interior classes: each class weighs as
/// much as its probabilities summed over the cell, and the share of a class is its part of the
/// weight of all of them. Result k describes label k + 1. (Paper, co-culture: score of class 2 =
/// sum p2 / (sum p1 + sum p2), MCF10A when above 0.5.)
/// @param maps     row, column, class   @param classes  interior classes to choose among
/// \throws shape_error `septum.cell_class.1` on other extents or a class the maps do not have;
///         unsupported_error `septum.cell_class.2` without classes, `septum.labels.1` on a negative
///         label.
[[nodiscard]] inline std::vector<cell_class> classify_cells(labels const& cells,
                                                            probabilities const& maps,
                                                            std::vector<int> const& classes,
                                                            class_decision decision = {}) {
  SEPTUM_EXPECTS(!classes.empty(), unsupported_error("septum.cell_class.2",
                                                     "cell classes: expected at least one class to "
                                                     "choose from"));
  std::size_t const stored = maps.shape()[2];
  for (int const wanted : classes)
    SEPTUM_EXPECTS(
        wanted >= 0 && static_cast<std::size_t>(wanted) < stored &&
            maps.shape()[0] == cells.shape()[0] && maps.shape()[1] == cells.shape()[1],
        shape_error("septum.cell_class.1",
                    "cell classes: expected probabilities of the labels' extent with "
                    "class " +
                        std::to_string(wanted) + ", found " + std::to_string(maps.shape()[0]) +
                        " x " + std::to_string(maps.shape()[1]) + " with " +
                        std::to_string(stored) + " classes"));
  auto const sums =
      detail::sums_by_label(cells, classes.size(), [&](std::size_t p, double* cell_sums) {
        float const* const pixel = maps.data() + p * stored;
        for (std::size_t k = 0; k < classes.size(); ++k)
          cell_sums[k] += static_cast<double>(pixel[static_cast<std::size_t>(classes[k])]);
      });
  std::vector<cell_class> result;
  for (std::size_t k = classes.size(); k < sums.size(); k += classes.size())
    result.push_back(
        detail::decide_class(static_cast<std::int32_t>(k / classes.size()),
                             {sums.begin() + static_cast<std::ptrdiff_t>(k),
                              sums.begin() + static_cast<std::ptrdiff_t>(k + classes.size())},
                             classes, decision));
  return result;
}

/// The class of every cell from fluorescent markers, one channel per class: the channel whose
/// intensities, less their mean over the image, sum to most over the cell. Shares are not
/// probabilities here and stay 0, except 1 for the class decided. Result k describes label k + 1.
/// (Paper, co-culture truth: CFP against far-red.)
/// @param markers  row, column, channel   @param classes  the class that each channel marks
/// \throws shape_error `septum.cell_class.1` on other extents or numbers.
[[nodiscard]] inline std::vector<cell_class> classify_cells_by_markers(
    labels const& cells, image const& markers, std::vector<int> const& classes) {
  std::size_t const channels = markers.shape()[2];
  SEPTUM_EXPECTS(
      channels == classes.size() && channels > 0 && markers.shape()[0] == cells.shape()[0] &&
          markers.shape()[1] == cells.shape()[1],
      shape_error("septum.cell_class.1",
                  "cell classes: expected markers of the labels' extent with " +
                      std::to_string(classes.size()) + " channels, found " +
                      std::to_string(markers.shape()[0]) + " x " +
                      std::to_string(markers.shape()[1]) + " with " + std::to_string(channels)));
  std::vector<double> means(channels, 0.0);
  for (std::size_t p = 0; p < cells.size(); ++p)
    for (std::size_t k = 0; k < channels; ++k)
      means[k] += static_cast<double>(markers.data()[p * channels + k]);
  for (double& mean : means) mean /= static_cast<double>(cells.size());
  auto const sums = detail::sums_by_label(cells, channels, [&](std::size_t p, double* cell_sums) {
    for (std::size_t k = 0; k < channels; ++k)
      cell_sums[k] += static_cast<double>(markers.data()[p * channels + k]) - means[k];
  });
  std::vector<char> present(sums.size() / channels, 0);
  for (std::int32_t const label : cells) present[static_cast<std::size_t>(label)] = 1;
  std::vector<cell_class> result;
  for (std::size_t label = 1; label < present.size(); ++label) {
    cell_class cell{.label = static_cast<std::int32_t>(label),
                    .shares = std::vector<double>(channels, 0.0)};
    if (present[label] != 0) {
      double const* const own = sums.data() + label * channels;
      auto const leading = static_cast<std::size_t>(std::max_element(own, own + channels) - own);
      cell.decision = classes[leading];
      cell.shares[leading] = 1;
    }
    result.push_back(std::move(cell));
  }
  return result;
}

/// How often each true class was decided as each class. Add several images with +=.
struct class_confusion {
  /// classes in the order of rows and columns
  std::vector<int> classes;
  /// counts by true class and decided class
  std::vector<std::vector<std::int64_t>> cells;
  /// cells of each true class left undecided
  std::vector<std::int64_t> undecided;

  class_confusion() = default;
  explicit class_confusion(std::vector<int> wanted)
      : classes{std::move(wanted)},
        cells(classes.size(), std::vector<std::int64_t>(classes.size(), 0)),
        undecided(classes.size(), 0) {}

  /// Cells of a true class that were decided rightly, and those decided wrongly.
  [[nodiscard]] std::int64_t right(std::size_t row) const { return cells[row][row]; }
  [[nodiscard]] std::int64_t wrong(std::size_t row) const {
    std::int64_t count = 0;
    for (std::size_t k = 0; k < classes.size(); ++k) count += k == row ? 0 : cells[row][k];
    return count;
  }
  /// Right among decided; no value without a decided cell.
  [[nodiscard]] std::optional<double> accuracy(std::size_t row) const {
    std::int64_t const decided = right(row) + wrong(row);
    if (decided == 0) return std::nullopt;
    return static_cast<double>(right(row)) / static_cast<double>(decided);
  }
  class_confusion& operator+=(class_confusion const& other) {
    for (std::size_t row = 0; row < classes.size(); ++row) {
      undecided[row] += other.undecided[row];
      for (std::size_t k = 0; k < classes.size(); ++k) cells[row][k] += other.cells[row][k];
    }
    return *this;
  }
};

/// Counts decided against true classes, cell by cell; cells without a true class are left out.
/// \throws shape_error `septum.cell_class.3` when the lists differ in length.
[[nodiscard]] inline class_confusion compare_classes(std::span<cell_class const> truth,
                                                     std::span<cell_class const> decided,
                                                     std::vector<int> classes) {
  SEPTUM_EXPECTS(
      truth.size() == decided.size(),
      shape_error("septum.cell_class.3",
                  "cell classes: expected as many decided as true classes, found " +
                      std::to_string(decided.size()) + " and " + std::to_string(truth.size())));
  class_confusion result{std::move(classes)};
  auto const place = [&](int wanted) {
    return static_cast<std::size_t>(
        std::find(result.classes.begin(), result.classes.end(), wanted) - result.classes.begin());
  };
  for (std::size_t k = 0; k < truth.size(); ++k) {
    if (!truth[k].decision) continue;
    std::size_t const row = place(*truth[k].decision);
    if (row == result.classes.size()) continue;
    if (!decided[k].decision) {
      ++result.undecided[row];
      continue;
    }
    std::size_t const column = place(*decided[k].decision);
    if (column < result.classes.size()) ++result.cells[row][column];
  }
  return result;
}

/// Number of cells by their share of one class, in equal bins over [0, 1]; the last includes 1.
/// Cells without weight are left out.
/// @param index  place of the class in the list it was chosen from
[[nodiscard]] inline std::vector<std::int64_t> share_histogram(std::span<cell_class const> cells,
                                                               std::size_t index,
                                                               std::size_t bins = 20) {
  std::vector<std::int64_t> counts(bins, 0);
  for (cell_class const& cell : cells) {
    double total = 0;
    for (double const share : cell.shares) total += share;
    if (index >= cell.shares.size() || !(total > 0) || bins == 0) continue;
    auto const bin = static_cast<std::size_t>(cell.shares[index] * static_cast<double>(bins));
    ++counts[std::min(bin, bins - 1)];
  }
  return counts;
}

}  // namespace septum::inline SEPTUM_ABI
