#pragma once
#include <septum/core/shape.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/block_kernel.hpp>
#include <septum/nn/blocked_functors.hpp>

#include <cstddef>
#include <utility>

/// Convolutions in float as products of matrices whose factors go through memory that a block of
/// threads shares. Maps and weights are contiguous and begin at multiples of 16 bytes.
namespace septum::inline SEPTUM_ABI {

/// Channels of one tap that a step of convolve_product brings.
inline constexpr int product_depth = 8;

/// convolve for channels that are a multiple of product_depth and filters that are a multiple of
/// block_filters. A block of threads takes a run of pixels and 8 `Across` filters, a thread 8 of
/// both; steps bring product_depth channels of one tap. Each result is added up in the order of
/// `convolve`, so what else a call computes changes no byte of it.
///
/// Images may come in groups of equal size, each with weights of its own: that is how the points of
/// Winograd's form are multiplied.
/// @tparam Across threads side by side over filters
template <int Across, class Space = device_space>
struct convolve_product {
  static constexpr int threads = 256;
  static constexpr int residents = 2;
  static constexpr int down = threads / Across;     ///< threads over pixels
  static constexpr int block_rows = 8 * down;       ///< pixels of a block
  static constexpr int block_columns = 8 * Across;  ///< filters of a block
  static constexpr int quad = 4;                    ///< values that are moved together
  using pack = value_pack<float, quad>;

  view<float const, 4, Space> x;
  view<float const, 3, Space> weights;  ///< (group, tap and channel, filter)
  view<float const, 1, Space> bias;     ///< empty: none
  view<float, 4, Space> y;
  window geometry;
  bool relu;

  /// Factors of one step, twice: one is read while the other is filled. The rows of x are a little
  /// longer than a block, or what is written together would meet in the same bank.
  struct shared_values {
    struct {
      float x[product_depth][block_rows + quad];
      float weights[product_depth][block_columns];
    } parts[2];
  };
  /// Packs of either factor that a thread brings in one step.
  static constexpr int x_packs = (block_rows * product_depth / quad + threads - 1) / threads;
  static constexpr int weight_packs =
      (block_columns * product_depth / quad + threads - 1) / threads;
  struct own_values {
    float sums[8][8];
    float const* x[x_packs];             // what comes next
    float const* weights[weight_packs];  // the same; nullptr: zeros
    int channel;                         // of the next step
    int tap_column;
  };

  /// Blocks for `batch` maps of extent `out` in `groups` groups.
  [[nodiscard]] static constexpr extent2 blocks(int batch, shape out, int groups) {
    int const pixels = batch / groups * out.height * out.width;
    return {groups * ((out.channels + block_columns - 1) / block_columns),
            (pixels + block_rows - 1) / block_rows};
  }

  [[nodiscard]] SEPTUM_HD int steps() const {
    return 1 + static_cast<int>(weights.extent(1)) / product_depth;
  }

  SEPTUM_HD void operator()(block_call call, shared_values& shared, own_values& own) const {
    if (call.step == 0) begin(call, own);
    bool const last = call.step + 1 == steps();
    pack next_x[x_packs];
    pack next_weights[weight_packs];
    if (!last) fetch(own, next_x, next_weights);
    if (call.step > 0) add(shared.parts[(call.step - 1) % 2], call.thread, own);
    if (!last)
      put(shared.parts[call.step % 2], call.thread, next_x, next_weights);
    else
      finish(call, own);
  }

 private:
  // What a thread of a block computes: pixels row + {0..3} and the same row_step on, filters column
  // + {0..3} and the same column_step on. Neighbours in a warp (4 over filters, 8 over pixels,
  // where that divides the block) read neighbouring packs of the shared factors.
  struct thread_place {
    int row;
    int column;
    bool works;
    SEPTUM_HD explicit thread_place(int thread)
        : row{in_warps ? thread / 32 / (Across / 4) * 64 + thread % 32 / 4 * quad
                       : thread / Across * quad},
          column{in_warps ? thread / 32 % (Across / 4) * 32 + thread % 4 * quad
                          : thread % Across * quad},
          works{in_warps || thread < down * Across} {}
  };
  struct block_place {
    int group;
    int rows;    // pixels of the group
    int row;     // first pixel of the block
    int column;  // first filter of the block
    SEPTUM_HD block_place(convolve_product const& self, block_call call)
        : rows{static_cast<int>(self.y.extent(0) / self.weights.extent(0) * self.y.extent(1) *
                                self.y.extent(2))},
          row{call.column * block_rows} {
      int const tiles = (static_cast<int>(self.y.extent(3)) + block_columns - 1) / block_columns;
      group = call.row / tiles;
      column = call.row % tiles * block_columns;
    }
  };
  static constexpr bool in_warps = Across % 4 == 0 && down % 8 == 0;
  static constexpr int row_step = in_warps ? 32 : quad * down;
  static constexpr int column_step = in_warps ? 16 : quad * Across;
  static constexpr int x_quads = product_depth / quad;       // packs of x in a row of a part
  static constexpr int weight_quads = block_columns / quad;  // packs of weights in a row of a part

  SEPTUM_HD void begin(block_call call, own_values& own) const {
    block_place const at{*this, call};
    thread_place const mine{call.thread};
    int const thread = call.thread;
    int const filters = static_cast<int>(y.extent(3));
    for (int h = 0; h < 2; ++h) {
      int const filter = at.column + mine.column + h * column_step;
      for (int e = 0; e < quad; ++e) {
        float const start = bias.data() != nullptr && filter < filters ? bias(filter + e) : 0.0F;
        for (int r = 0; r < 8; ++r) own.sums[r][h * quad + e] = start;
      }
    }
    auto const width = static_cast<int>(y.extent(2));
    int const pixels = static_cast<int>(y.extent(1)) * width;
    for (int l = 0; l < x_packs; ++l) {
      // What lies beyond the group is computed from its last pixel and not stored.
      int const index = at.row + (thread + l * threads) / x_quads;
      int const pixel = index < at.rows ? index : at.rows - 1;
      int const in_image = pixel % pixels;
      std::ptrdiff_t const number =
          static_cast<std::ptrdiff_t>(at.group) * (at.rows / pixels) + pixel / pixels;
      own.x[l] = x.data() + number * x.stride(0) +
                 in_image / width * geometry.stride * x.stride(1) +
                 in_image % width * geometry.stride * x.stride(2) +
                 (thread + l * threads) % x_quads * quad;
    }
    for (int l = 0; l < weight_packs; ++l) {
      int const index = thread + l * threads;
      int const filter = at.column + index % weight_quads * quad;
      bool const exists = filter < filters && index < product_depth * weight_quads;
      own.weights[l] = exists ? weights.data() + at.group * weights.stride(0) +
                                    index / weight_quads * weights.stride(1) + filter
                              : nullptr;
    }
    own.channel = own.tap_column = 0;
  }

  SEPTUM_HD void fetch(own_values& own, pack (&next_x)[x_packs],
                       pack (&next_weights)[weight_packs]) const {
    for (int l = 0; l < x_packs; ++l) next_x[l] = pack::load(own.x[l]);
    for (int l = 0; l < weight_packs; ++l) {
      next_weights[l] = pack{};
      if (own.weights[l] == nullptr) continue;
      next_weights[l] = pack::load(own.weights[l]);
      own.weights[l] += product_depth * weights.stride(1);
    }
    std::ptrdiff_t move = product_depth;
    own.channel += product_depth;
    if (own.channel == x.extent(3)) {  // on to the next tap
      own.channel = 0;
      move += geometry.dilation * x.stride(2) - x.extent(3);
      if (++own.tap_column == geometry.kernel) {
        own.tap_column = 0;
        move += geometry.dilation * (x.stride(1) - geometry.kernel * x.stride(2));
      }
    }
    for (int l = 0; l < x_packs; ++l) own.x[l] += move;
  }

  template <class Part>
  SEPTUM_HD static void put(Part& part, int thread, pack const (&next_x)[x_packs],
                            pack const (&next_weights)[weight_packs]) {
    for (int l = 0; l < x_packs; ++l) {
      int const index = thread + l * threads;
      if (index >= block_rows * x_quads) continue;
      for (int e = 0; e < quad; ++e)
        part.x[index % x_quads * quad + e][index / x_quads] = next_x[l].values[e];
    }
    for (int l = 0; l < weight_packs; ++l) {
      int const index = thread + l * threads;
      if (index >= product_depth * weight_quads) continue;
      next_weights[l].store(&part.weights[index / weight_quads][index % weight_quads * quad]);
    }
  }

  template <class Part>
  SEPTUM_HD static void add(Part const& part, int thread, own_values& own) {
    thread_place const mine{thread};
    if (!mine.works) return;
    // Written out for each k, since a loop would wait for its loads.
    [&]<int... K>(std::integer_sequence<int, K...>) { (add_products<K>(part, mine, own), ...); }
    (std::make_integer_sequence<int, product_depth>{});
  }
  template <int K, class Part>
  SEPTUM_HD static void add_products(Part const& part, thread_place const& mine, own_values& own) {
    pack const rows[2] = {pack::load(&part.x[K][mine.row]),
                          pack::load(&part.x[K][mine.row + row_step])};
    pack const columns[2] = {pack::load(&part.weights[K][mine.column]),
                             pack::load(&part.weights[K][mine.column + column_step])};
    for (int r = 0; r < 8; ++r)
      for (int c = 0; c < 8; ++c)
        own.sums[r][c] += columns[c / quad].values[c % quad] * rows[r / quad].values[r % quad];
  }

  SEPTUM_HD void finish(block_call call, own_values const& own) const {
    thread_place const mine{call.thread};
    if (!mine.works) return;
    block_place const at{*this, call};
    std::ptrdiff_t const filters = y.extent(3);
    for (int r = 0; r < 8; ++r) {
      int const row = at.row + mine.row + r / quad * row_step + r % quad;
      if (row >= at.rows) continue;
      for (int h = 0; h < 2; ++h) {
        int const filter = at.column + mine.column + h * column_step;
        if (filter >= filters) continue;
        pack result;
        for (int e = 0; e < quad; ++e) {
          float const sum = own.sums[r][h * quad + e];
          result.values[e] = relu && !(sum > 0) ? 0.0F : sum;
        }
        result.store(y.data() + (static_cast<std::ptrdiff_t>(at.group) * at.rows + row) * filters +
                     filter);
      }
    }
  }
};

/// Threads side by side over filters for which least of the blocks' work is wasted.
[[nodiscard]] constexpr int product_across(int filters) {
  int best = 16;
  auto const computed = [filters](int across) {
    return (filters + 8 * across - 1) / (8 * across) * across;
  };
  for (int const across : {8, 25})
    if (computed(across) < computed(best)) best = across;
  return best;
}

}  // namespace septum::inline SEPTUM_ABI
