#pragma once
#include <septum/nn/stack.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// How a layer runs over a frame: so many rows of output per call. A layer on a grid starts every
/// call at a multiple of `rows` and has fewer rows in its last call; any other layer always writes
/// `rows` rows, its last call moves back into the map and writes some again, with the same values.
struct row_strip {
  int rows = 1;
  bool on_grid = false;
};

/// The order in which layers without stride run over a frame a few rows at a time. Each layer keeps
/// only the rows of its output that the next layer has not done with, so no pixel is computed twice
/// and the maps of a strip stay in the caches. Knows positions, not values.
class row_stream {
 public:
  /// One call of a layer's kernel: it writes `rows` rows of the layer's output.
  struct call {
    std::size_t layer;
    int rows;
    int output_row;     ///< first of them, counted in the whole map
    int input_offset;   ///< first input row, counted from the start of the buffer that holds it
    int output_offset;  ///< first output row, counted from the start of its buffer
  };
  /// Rows of a layer's buffer that have to move to its start first.
  struct move {
    std::size_t layer;
    int from;
    int count;
  };

  row_stream() = default;
  /// @param rows    one per layer of a net whose layers all have stride 1
  /// @param strips  one per layer, none longer than the layer's output
  row_stream(std::span<layer_row const> rows, std::span<row_strip const> strips)
      : stages_(rows.size()) {
    for (std::size_t k = 0; k < rows.size(); ++k)
      stages_[k] = {strips[k],
                    rows[k].geometry.extent() - 1,
                    rows[k].out.height,
                    capacity(rows, k, strips),
                    0,
                    0};
  }

  /// True when a net can run in strips.
  static bool possible(std::span<layer_row const> rows) {
    return std::all_of(rows.begin(), rows.end(), [](layer_row const& row) {
      return row.geometry.stride == 1 && row.taps == 0;
    });
  }
  /// Rows of the buffer behind a layer: what the next layer needs for a strip, what the layer
  /// writes beyond that, and room to go on for a while before the rows that are still needed have
  /// to move back to the start; never more than there are. The last layer writes to the result, it
  /// has no buffer.
  static int capacity(std::span<layer_row const> rows, std::size_t layer,
                      std::span<row_strip const> strips) {
    if (layer + 1 == rows.size()) return 0;
    int const halo = rows[layer + 1].geometry.extent() - 1;
    int const room = halo > 0 ? std::max(16, 2 * halo) : 0;
    int const own = strips[layer].rows;
    int const next = strips[layer + 1].rows;
    return std::min((next + halo + own - 1) / own * own + (own == next ? 0 : own) + room,
                    rows[layer].out.height);
  }

  /// Calls run(call) and shift(move) in an order that computes the whole map.
  template <class Run, class Shift>
  void run(Run const& run, Shift const& shift) {
    for (stage& s : stages_) s.produced = s.first = 0;
    while (stages_.back().produced < stages_.back().height) advance(stages_.size() - 1, run, shift);
  }

 private:
  struct stage {
    row_strip strip;
    int halo = 0;      // input rows beyond one per output row
    int height = 0;    // of the output
    int capacity = 0;  // of the buffer behind the layer
    int produced = 0;  // output rows there are
    int first = 0;     // output row at the start of the buffer

    // The next call's first row.
    [[nodiscard]] int next() const {
      return strip.on_grid ? produced : std::min(produced, height - strip.rows);
    }
  };

  template <class Run, class Shift>
  void advance(std::size_t layer, Run const& run, Shift const& shift) {
    stage& own = stages_[layer];
    int const row = own.next();
    int const rows = std::min(own.strip.rows, own.height - row);
    int input_first = 0;
    if (layer > 0) {
      while (stages_[layer - 1].produced < row + rows + own.halo) advance(layer - 1, run, shift);
      input_first = stages_[layer - 1].first;
    }
    if (layer + 1 < stages_.size() && row + rows - own.first > own.capacity) {
      int const keep = std::min(stages_[layer + 1].next(), row);
      shift(move{layer, keep - own.first, own.produced - keep});
      own.first = keep;
    }
    run(call{layer, rows, row, row - input_first, row - own.first});
    own.produced = row + rows;
  }

  std::vector<stage> stages_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
