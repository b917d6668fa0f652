#pragma once
#include <cstddef>
#include <septum/image/types.hpp>
#include <septum/measure/cell_class.hpp>
#include <septum/net/model.hpp>
#include <span>
#include <string>
#include <vector>

#include "refinement.hpp"
#include "segmentation.hpp"

namespace program {

/// The class of every cell where there are two types, with sums over the run.
class class_table {
 public:
  /// @throws septum::unsupported_error when there are two types and the model has one
  class_table(septum::model const& trained, refinement const& refining);

  /// Of the two types; empty where there is one.
  [[nodiscard]] std::vector<std::string> const& names() const { return names_; }

  /// Decides the cells of a frame. May be called for different frames at the same time.
  // Here, because it runs over pixels and the rest is compiled plain.
  [[nodiscard]] std::vector<septum::cell_class> decide(septum::labels const& cells,
                                                       septum::probabilities const& maps) const {
    if (names_.empty()) return {};
    return septum::classify_cells(cells, maps, {1, 2}, {.share_min = score_min_});
  }
  /// Counts them and makes their fields for the table, frames in their order.
  void add(std::vector<septum::cell_class> const& found);
  /// Of the cells added last: the name of the class, empty when undecided, and both scores.
  [[nodiscard]] std::span<std::string const> decided() const { return decided_; }
  [[nodiscard]] std::span<std::vector<double> const> scores() const { return scores_; }
  /// Of all cells so far.
  [[nodiscard]] std::vector<class_summary> const& summaries() const { return summaries_; }

 private:
  static constexpr std::size_t bins = 20;

  double score_min_;
  std::vector<std::string> names_;
  std::vector<class_summary> summaries_;
  std::vector<std::string> decided_;
  std::vector<std::vector<double>> scores_;
};

}  // namespace program
