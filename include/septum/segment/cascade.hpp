#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/net/output_part.hpp>
#include <septum/segment/predictor.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

/// Cascades: what is certainly background is told by a cheap measure of its intensities and never
/// reaches the net (the attentional cascade of Viola and Jones 2001 with one stage in front).
///
/// What holds whatever the threshold: outputs that are computed have the bytes of the full run, and
/// those that are not have probability 1 of background, so a cascade can lose foreground and never
/// add any. How much it loses is known of the images that the threshold was calibrated on alone.
namespace septum::inline SEPTUM_ABI {

/// How lively a block of a normalised image is: called with the block and `reach` pixels around it
/// on every side (row, column, channel), it returns a number of at least 0. Blocks of numbers below
/// a threshold are taken for background. A pure function of these pixels.
template <class M>
concept BlockMeasure = requires(M const& measure, view<float const, 3> pixels) {
  { measure.reach() } -> std::convertible_to<int>;
  { measure(pixels) } -> std::convertible_to<float>;
};

/// The largest standard deviation of the pixels in a window around any pixel of the block, in any
/// channel: where there are neither cells nor edges, it is that of the noise.
struct local_deviation {
  int window = 7;  ///< odd side of the window, px; a quarter of the net's field serves well

  [[nodiscard]] int reach() const { return window / 2; }
  [[nodiscard]] float operator()(view<float const, 3> pixels) const {
    auto const width = pixels.extent(1);
    double const count = static_cast<double>(window) * window;
    double largest = 0.0;
    std::vector<double> sums(static_cast<std::size_t>(width));
    std::vector<double> squares(sums.size());
    for (std::ptrdiff_t channel = 0; channel < pixels.extent(2); ++channel) {
      std::fill(sums.begin(), sums.end(), 0.0);
      std::fill(squares.begin(), squares.end(), 0.0);
      auto const add_row = [&](std::ptrdiff_t row, double sign) {
        for (std::ptrdiff_t column = 0; column < width; ++column) {
          double const value = static_cast<double>(pixels(row, column, channel));
          sums[static_cast<std::size_t>(column)] += sign * value;
          squares[static_cast<std::size_t>(column)] += sign * value * value;
        }
      };
      for (std::ptrdiff_t row = 0; row < pixels.extent(0); ++row) {
        add_row(row, 1.0);
        if (row >= window) add_row(row - window, -1.0);
        if (row + 1 >= window) largest = std::max(largest, of_row(sums, squares, count));
      }
    }
    return static_cast<float>(std::sqrt(largest));
  }

 private:
  // Largest variance of the windows that the columns' sums make up.
  [[nodiscard]] double of_row(std::vector<double> const& sums, std::vector<double> const& squares,
                              double count) const {
    double largest = 0.0;
    double sum = 0.0;
    double square = 0.0;
    auto const side = static_cast<std::size_t>(window);
    for (std::size_t column = 0; column < sums.size(); ++column) {
      sum += sums[column];
      square += squares[column];
      if (column >= side) {
        sum -= sums[column - side];
        square -= squares[column - side];
      }
      if (column + 1 >= side)
        largest = std::max(largest, square / count - sum / count * (sum / count));
    }
    return largest;
  }
};

/// How lively the blocks of an output map are, row by row; the last ones of a row or column may be
/// smaller.
struct block_map {
  int side = 0;     ///< outputs per row and column of a block
  int rows = 0;     ///< of the output map
  int columns = 0;  ///< of the output map
  std::vector<float> values;

  [[nodiscard]] int block_rows() const { return (rows + side - 1) / side; }
  [[nodiscard]] int block_columns() const { return (columns + side - 1) / side; }
  [[nodiscard]] output_rectangle block(std::size_t number) const {
    auto const across = static_cast<std::size_t>(block_columns());
    int const row = static_cast<int>(number / across) * side;
    int const column = static_cast<int>(number % across) * side;
    return {row, column, std::min(side, rows - row), std::min(side, columns - column)};
  }
};

/// Measures the blocks of what a net sees of a normalised image.
/// @param field  odd side of the net's receptive field
/// @param rows   of output to look at, from the first on; fewer than the image has when some of its
///               rows are there for other blocks
/// @throws unsupported_error `septum.segment.8` when the measure looks further than the field
template <BlockMeasure M>
[[nodiscard]] block_map measure_blocks(M const& measure, view<float const, 3> pixels, int field,
                                       int side, int rows, exec::threads threads = {}) {
  int const border = field / 2;
  int const reach = measure.reach();
  SEPTUM_EXPECTS(side > 0 && reach >= 0 && reach <= border,
                 unsupported_error("septum.segment.8",
                                   "cascade: expected blocks of at least one pixel and a measure "
                                   "that looks at most " +
                                       std::to_string(border) + " pixels around them, found " +
                                       std::to_string(side) + " and " + std::to_string(reach)));
  block_map map{side, rows, static_cast<int>(pixels.extent(1)) - field + 1, {}};
  map.values.resize(static_cast<std::size_t>(map.block_rows()) *
                    static_cast<std::size_t>(map.block_columns()));
  for_each_range(threads, std::ssize(map.values), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (auto k = static_cast<std::size_t>(begin); k < static_cast<std::size_t>(end); ++k) {
      auto const block = map.block(k);
      map.values[k] = static_cast<float>(measure(
          pixels.block({block.row + border - reach, block.column + border - reach, 0},
                       {block.rows + 2 * reach, block.columns + 2 * reach, pixels.extent(2)})));
    }
  });
  return map;
}

/// The parts that keep all blocks of at least `threshold`: runs of them in a row, joined with those
/// next to them and below where computing one larger part is no more work.
/// @param lost  by how much a part of the image is larger than its outputs: the field less 1
[[nodiscard]] inline std::vector<output_part> lively_parts(block_map const& map, double threshold,
                                                           int lost) {
  auto const work = [lost](output_rectangle const& area) {
    return static_cast<double>(area.rows + lost) * static_cast<double>(area.columns + lost);
  };
  auto const around = [](output_rectangle const& a, output_rectangle const& b) {
    int const row = std::min(a.row, b.row);
    int const column = std::min(a.column, b.column);
    return output_rectangle{row, column, std::max(a.row + a.rows, b.row + b.rows) - row,
                            std::max(a.column + a.columns, b.column + b.columns) - column};
  };
  std::vector<output_part> done;
  std::vector<output_part> open;  // that reach the row of blocks above
  auto const across = static_cast<std::size_t>(map.block_columns());
  for (std::size_t first = 0; first < map.values.size(); first += across) {
    std::vector<output_part> next;
    auto const join = [&](output_part& part) {
      for (auto* list : {&next, &open})
        for (auto other = list->begin(); other != list->end(); ++other) {
          auto const both = around(other->area, part.area);
          if (work(both) > work(other->area) + work(part.area)) continue;
          part.area = both;
          part.kept.insert(part.kept.begin(), other->kept.begin(), other->kept.end());
          list->erase(other);
          return true;
        }
      return false;
    };
    for (std::size_t k = first; k < first + across; ++k) {
      if (static_cast<double>(map.values[k]) < threshold) continue;
      auto block = map.block(k);
      while (k + 1 < first + across && static_cast<double>(map.values[k + 1]) >= threshold)
        block.columns += map.block(++k).columns;
      output_part part{block, {block}};
      while (join(part)) {
      }
      next.push_back(std::move(part));
    }
    std::move(open.begin(), open.end(), std::back_inserter(done));
    open = std::move(next);
  }
  std::move(open.begin(), open.end(), std::back_inserter(done));
  return done;
}

/// Outputs that parts keep.
[[nodiscard]] inline std::int64_t kept_outputs(std::vector<output_part> const& parts) {
  std::int64_t count = 0;
  for (auto const& part : parts)
    for (auto const& kept : part.kept)
      count += static_cast<std::int64_t>(kept.rows) * static_cast<std::int64_t>(kept.columns);
  return count;
}

/// Finds the threshold from images of which the foreground is known, or taken from a full run.
class cascade_calibration {
 public:
  /// Takes an image into account.
  /// @param foreground  not 0 where a pixel is foreground (row, column)
  /// @param origin      row and column of `foreground` that the first output lies at: the net's
  ///                    border, or 0 where the image was continued by as much
  template <class T>
  void add(block_map const& map, view<T const, 2> foreground, int origin) {
    for (std::size_t k = 0; k < map.values.size(); ++k) {
      auto const block = map.block(k);
      std::int64_t count = 0;
      for (int row = block.row; row < block.row + block.rows; ++row)
        for (int column = block.column; column < block.column + block.columns; ++column)
          count += foreground(row + origin, column + origin) != 0 ? 1 : 0;
      if (count > 0) blocks_.push_back({map.values[k], count});
      total_ += count;
    }
  }

  /// Pixels of foreground so far.
  [[nodiscard]] std::int64_t foreground() const { return total_; }

  /// The largest threshold at which at most `share` of the foreground seen so far lies in blocks
  /// that are skipped, times `safety` for images that are calmer; 0, which skips nothing, without
  /// foreground.
  [[nodiscard]] double threshold(double share = 0.0, double safety = 0.8) const {
    auto blocks = blocks_;
    std::sort(blocks.begin(), blocks.end());
    std::int64_t lost = 0;
    for (auto const& [value, count] : blocks) {
      lost += count;
      if (static_cast<double>(lost) > share * static_cast<double>(total_))
        return safety * static_cast<double>(value);
    }
    return 0.0;
  }

 private:
  std::vector<std::pair<float, std::int64_t>> blocks_;
  std::int64_t total_ = 0;
};

/// How a cascade decides.
struct cascade_options {
  double threshold = 0.0;  ///< blocks below it are background; 0: every block is computed
  int side = 32;           ///< of a block, in outputs
  int background = -1;     ///< class of what is skipped; -1: the last one
};

namespace diagnostic {

template <bool Ok, class... Facts>
struct cascade_predicts_parts {
  static_assert(Ok,
                "septum: the predictor of a cascade cannot compute parts of an image alone. FIX: "
                "give it predict_parts (segment/predictor.hpp), or take septum::ensemble; the "
                "predictor is named above.");
  static constexpr bool ok = true;
};

}  // namespace diagnostic

/// A Predictor that asks another one about lively blocks only.
///
///     septum::cascade<septum::ensemble<net, onednn>> nets{{model}, {.window = 7},
///                                                         {.threshold = 0.02}};
///
/// @tparam P  what is asked, a PartPredictor   @tparam M  how blocks are measured
template <Predictor P, BlockMeasure M = local_deviation>
class cascade {
  static_assert(diagnostic::cascade_predicts_parts<PartPredictor<P>, P>::ok);

 public:
  static constexpr int classes = P::classes;
  static constexpr int receptive_field = P::receptive_field;

  explicit cascade(P predictor, M measure = {}, cascade_options options = {},
                   exec::threads threads = {})
      : predictor_{std::move(predictor)},
        measure_{std::move(measure)},
        options_{options},
        threads_{threads} {}

  /// Class probabilities of a normalised image: the predictor's where blocks are lively, and 1 of
  /// background elsewhere.
  [[nodiscard]] probabilities predict(image const& pixels) {
    if (options_.threshold <= 0.0) return predictor_.predict(pixels);
    std::vector<float> background(static_cast<std::size_t>(classes), 0.0F);
    background[static_cast<std::size_t>(options_.background < 0 ? classes - 1
                                                                : options_.background)] = 1.0F;
    auto const parts = lively_parts(blocks(pixels), options_.threshold, receptive_field - 1);
    return predictor_.predict_parts(pixels, parts, background);
  }

  /// How lively the blocks of a normalised image are, to calibrate by.
  [[nodiscard]] block_map blocks(image const& pixels) const {
    return measure_blocks(measure_, as_view(pixels), receptive_field, options_.side,
                          static_cast<int>(pixels.shape()[0]) - receptive_field + 1, threads_);
  }

  void set_threshold(double threshold) { options_.threshold = threshold; }
  [[nodiscard]] cascade_options const& options() const { return options_; }
  [[nodiscard]] P& predictor() { return predictor_; }

 private:
  P predictor_;
  M measure_;
  cascade_options options_;
  exec::threads threads_;
};

/// The same choice for images that are predicted some rows at a time: the blocks of the whole
/// image.
template <BlockMeasure M>
[[nodiscard]] row_selection lively_rows(M measure, int field, double threshold, int side,
                                        std::vector<float> elsewhere, exec::threads threads = {}) {
  return {side,
          [measure = std::move(measure), field, threshold, side, threads](
              view<float const, 3> pixels, int count) {
            return lively_parts(measure_blocks(measure, pixels, field, side, count, threads),
                                threshold, field - 1);
          },
          std::move(elsewhere)};
}

}  // namespace septum::inline SEPTUM_ABI
