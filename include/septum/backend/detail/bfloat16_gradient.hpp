#pragma once
#include <septum/backend/detail/bfloat16_amx.hpp>
#include <septum/backend/detail/bfloat16_convolution.hpp>
#include <septum/backend/problem.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

/// Gradient of a convolution's weights from maps in bfloat16. A product needs two terms side by
/// side, so pixels are joined in pairs along the rows, some rows at a time; for matrix registers
/// (AMX) all pixels of a row and channel of the input lie side by side. The sum runs in parts that
/// are the same for any thread count, each in one thread, and the parts are added in order.
namespace septum::inline SEPTUM_ABI::detail {

/// How the work is cut and where things lie in scratch memory.
struct bfloat16_gradient_layout {
  static constexpr std::ptrdiff_t most_parts = 4;
  std::ptrdiff_t image_parts;
  std::ptrdiff_t row_parts;
  std::ptrdiff_t filters;  // the missing ones of the last block counted
  std::ptrdiff_t taps;
  std::ptrdiff_t out_pairs;  // of a row
  std::ptrdiff_t columns;    // of a row of the input, some of zeros behind its end
  std::ptrdiff_t copies;     // pairs that start at even columns, and at odd ones where wanted
  std::ptrdiff_t halo;       // rows of the input beyond one per row of the output
  std::ptrdiff_t rows;       // of output that are in work together
  std::ptrdiff_t channels;   // some of zeros behind the input's
  bool by_amx;

  explicit bfloat16_gradient_layout(layer_problem const& problem,
                                    bool has_amx = has_amx_instructions()) {
    auto const& g = problem.geometry;
    image_parts = std::min<std::ptrdiff_t>(problem.batch, most_parts);
    row_parts = std::min<std::ptrdiff_t>(problem.out.height,
                                         (most_parts + problem.batch - 1) / problem.batch);
    filters = (problem.out.channels + 15) / 16 * 16;
    taps = static_cast<std::ptrdiff_t>(g.kernel) * g.kernel;
    channels = problem.in.channels;
    halo = g.extent() - 1;
    out_pairs = (problem.out.width + 1) / 2;
    if (out_pairs > amx_side && has_amx)
      out_pairs = (out_pairs + amx_side - 1) / amx_side * amx_side;
    by_amx = has_amx && suits_amx(out_pairs);
    if (by_amx && channels > amx_side) channels = (channels + amx_side - 1) / amx_side * amx_side;
    columns = by_amx ? halo + 2 * out_pairs : problem.in.width / 2 * 2 + 2;
    copies = !by_amx && g.kernel > 1 && g.dilation % 2 == 1 ? 2 : 1;
    std::ptrdiff_t const row_bytes = 2 * columns * channels * copies + 4 * out_pairs * filters;
    constexpr std::ptrdiff_t cache = 384 << 10;
    std::ptrdiff_t const fit = (cache - 2 * halo * columns * channels * copies) / row_bytes;
    rows = std::clamp<std::ptrdiff_t>(fit, 1, problem.out.height);
  }
  [[nodiscard]] std::ptrdiff_t parts() const { return image_parts * row_parts; }
  [[nodiscard]] std::ptrdiff_t in_row() const { return columns * channels; }
  [[nodiscard]] std::ptrdiff_t copy_values() const { return (rows + halo) * in_row(); }
  [[nodiscard]] std::ptrdiff_t out_values() const { return rows * out_pairs * filters * 2; }
  [[nodiscard]] std::ptrdiff_t totals() const { return (taps * channels + 1) * filters; }
  /// Of one part.
  [[nodiscard]] std::size_t bytes() const {
    auto const used =
        static_cast<std::size_t>(totals()) * sizeof(float) +
        static_cast<std::size_t>(copies * copy_values() + out_values()) * sizeof(bfloat16);
    return (used + 63) / 64 * 64;
  }
};

#if defined(__x86_64__)

/// Maps in bfloat16 whose rows and images may lie apart.
struct bfloat16_rows {
  bfloat16 const* data;
  std::ptrdiff_t image_step;
  std::ptrdiff_t row_step;
  std::ptrdiff_t pixel_step;
};

// to[c] = (even[c], odd[c]) for `count` channels; a pixel that does not exist is null and zero.
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void join_pixels(
    bfloat16 const* even, bfloat16 const* odd, std::ptrdiff_t count, bfloat16* to) {
  for (std::ptrdiff_t k = 0; k < count; k += 16) {
    auto const some = static_cast<__mmask16>(
        count - k >= 16 ? 0xFFFFU : (1U << static_cast<unsigned>(count - k)) - 1U);
    __m256i const first =
        even == nullptr ? _mm256_setzero_si256() : _mm256_maskz_loadu_epi16(some, even + k);
    __m256i const second =
        odd == nullptr ? _mm256_setzero_si256() : _mm256_maskz_loadu_epi16(some, odd + k);
    __m512i const both = _mm512_or_si512(
        _mm512_maskz_cvtepu16_epi32(0xFFFF, first),
        _mm512_maskz_slli_epi32(0xFFFF, _mm512_maskz_cvtepu16_epi32(0xFFFF, second), 16));
    _mm512_mask_storeu_epi32(to + 2 * k, some, both);
  }
}

// total[f] += sum over the pixels of dy[f].
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void add_pixels(
    bfloat16 const* dy, std::ptrdiff_t pixels, std::ptrdiff_t pixel_step, std::ptrdiff_t filters,
    float* total) {
  using registers = bfloat16_registers;
  for (std::ptrdiff_t f = 0; f < filters; f += registers::width) {
    std::ptrdiff_t const count = filters - f;
    __m512 sum = registers::load(total + f, count);
    for (std::ptrdiff_t p = 0; p < pixels; ++p)
      sum = _mm512_add_ps(sum, registers::load(dy + p * pixel_step + f, count));
    registers::store(total + f, sum, count);
  }
}

/// What one thread does with one part of the sum.
class bfloat16_gradient_part {
 public:
  bfloat16_gradient_part(layer_problem const& problem, bfloat16_gradient_layout const& layout,
                         std::byte* memory)
      : problem_{problem},
        layout_{layout},
        totals_{reinterpret_cast<float*>(memory)},
        x_pairs_{reinterpret_cast<bfloat16*>(totals_ + layout.totals())},
        y_pairs_{x_pairs_ + layout.copies * layout.copy_values()} {}

  void clear() const { std::fill_n(totals_, layout_.totals(), 0.0F); }
  [[nodiscard]] float* totals() const { return totals_; }

  /// Adds rows [row, row + count) of one image; count is at most layout.rows.
  template <class Registers>
  void add(Registers& amx, bfloat16 const* x, bfloat16 const* dy, bfloat16_rows const& gradient,
           std::ptrdiff_t count) const {
    if (layout_.by_amx)
      turn_input(x, count + layout_.halo);
    else
      join_input(x, count + layout_.halo);
    join_output(dy, gradient, count);
    auto const& g = problem_.geometry;
    for (std::ptrdiff_t first = 0; first < problem_.out.channels; first += bfloat16_block) {
      std::ptrdiff_t const width =
          std::min<std::ptrdiff_t>(bfloat16_block, layout_.filters - first);
      for (int i = 0; i < g.kernel; ++i)
        for (int j = 0; j < g.kernel; ++j) {
          std::ptrdiff_t const shift = static_cast<std::ptrdiff_t>(j) * g.dilation;
          bfloat16_row row{
              .x = x_pairs_ + i * g.dilation * layout_.in_row(),
              .weights = y_pairs_ + first * count * layout_.out_pairs * 2,
              .start = nullptr,
              .y = totals_ + (i * g.kernel + j) * layout_.channels * layout_.filters + first,
              .pixels = static_cast<int>(layout_.channels),
              .filters = static_cast<int>(width),
              .window_rows = static_cast<int>(count),
              .pairs = static_cast<int>(layout_.out_pairs),
              .row_step = layout_.in_row(),
              .out_step = layout_.filters,
              .accumulate = true};
          if (layout_.by_amx) {
            row.x += shift;
            row.pixel_step = layout_.columns;
            sum_by_amx(amx, row, static_cast<int>(width));
          } else {
            row.x += shift % 2 * layout_.copy_values() + shift / 2 * layout_.channels * 2;
            row.pixel_step = 2;
            row.pair_step = layout_.channels * 2;
            multiply_row<float>(row, static_cast<int>(width));
          }
        }
    }
  }

 private:
  void join_input(bfloat16 const* x, std::ptrdiff_t rows) const {
    std::ptrdiff_t const channels = layout_.channels;
    std::ptrdiff_t const width = problem_.in.width;
    for (std::ptrdiff_t copy = 0; copy < layout_.copies; ++copy)
      for (std::ptrdiff_t r = 0; r < rows; ++r) {
        bfloat16 const* const row = x + r * width * channels;
        auto const pixel = [&](std::ptrdiff_t c) {
          return c < width ? row + c * channels : nullptr;
        };
        for (std::ptrdiff_t q = 0; q < layout_.columns / 2; ++q)
          join_pixels(
              pixel(2 * q + copy), pixel(2 * q + 1 + copy), channels,
              x_pairs_ + copy * layout_.copy_values() + r * layout_.in_row() + q * channels * 2);
      }
  }
  // Rows of the input as (row, channel, column).
  void turn_input(bfloat16 const* x, std::ptrdiff_t rows) const {
    constexpr std::ptrdiff_t together = 32;  // columns, whose pixels stay in the first cache
    std::ptrdiff_t const channels = problem_.in.channels;
    std::ptrdiff_t const width = problem_.in.width;
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
      bfloat16* const to = x_pairs_ + r * layout_.in_row();
      for (std::ptrdiff_t first = 0; first < width; first += together) {
        std::ptrdiff_t const count = std::min(together, width - first);
        bfloat16 const* const from = x + (r * width + first) * channels;
        for (std::ptrdiff_t k = 0; k < channels; ++k)
          for (std::ptrdiff_t c = 0; c < count; ++c)
            to[k * layout_.columns + first + c] = from[c * channels + k];
      }
      for (std::ptrdiff_t k = 0; k < channels; ++k)
        std::fill_n(to + k * layout_.columns + width, layout_.columns - width, bfloat16{});
      std::fill(to + channels * layout_.columns, to + layout_.in_row(), bfloat16{});
    }
  }
  void join_output(bfloat16 const* dy, bfloat16_rows const& gradient, std::ptrdiff_t rows) const {
    std::ptrdiff_t const filters = problem_.out.channels;
    float* const bias = totals_ + layout_.taps * layout_.channels * layout_.filters;
    for (std::ptrdiff_t r = 0; r < rows; ++r)
      add_pixels(dy + r * gradient.row_step, problem_.out.width, gradient.pixel_step, filters,
                 bias);
    for (std::ptrdiff_t first = 0; first < filters; first += bfloat16_block) {
      std::ptrdiff_t const width =
          std::min<std::ptrdiff_t>(bfloat16_block, layout_.filters - first);
      std::ptrdiff_t const exist = std::min(width, filters - first);
      bfloat16* to = y_pairs_ + first * rows * layout_.out_pairs * 2;
      for (std::ptrdiff_t r = 0; r < rows; ++r)
        for (std::ptrdiff_t q = 0; q < layout_.out_pairs; ++q, to += width * 2) {
          auto const pixel = [&](std::ptrdiff_t c) {
            return c < problem_.out.width
                       ? dy + r * gradient.row_step + c * gradient.pixel_step + first
                       : nullptr;
          };
          join_pixels(pixel(2 * q), pixel(2 * q + 1), exist, to);
          std::fill(to + exist * 2, to + width * 2, bfloat16{0.0F});
        }
    }
  }

  layer_problem const& problem_;
  bfloat16_gradient_layout const& layout_;
  float* totals_;
  bfloat16* x_pairs_;
  bfloat16* y_pairs_;
};

/// dparameters = gradient of weights (filter, row, column, channel) and biases. `scratch` holds
/// parts() * bytes() of the layout.
/// @tparam Registers that multiply where the layout is for AMX
template <class Registers>
void bfloat16_weights_gradient(exec::threads threads, layer_problem const& problem,
                               bfloat16_gradient_layout const& layout, view<bfloat16 const, 4> x,
                               bfloat16_rows const& dy, std::span<float> dparameters,
                               std::byte* scratch) {
  auto const part_of = [&](std::ptrdiff_t k) {
    return bfloat16_gradient_part{problem, layout,
                                  scratch + static_cast<std::size_t>(k) * layout.bytes()};
  };
  std::ptrdiff_t const in_row = static_cast<std::ptrdiff_t>(problem.in.width) * problem.in.channels;
  for_each_range(threads, layout.parts(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    Registers amx;
    for (std::ptrdiff_t k = begin; k < end; ++k) {
      auto const part = part_of(k);
      part.clear();
      std::ptrdiff_t const i = k / layout.row_parts;
      std::ptrdiff_t const r = k % layout.row_parts;
      std::ptrdiff_t const last_row = problem.out.height * (r + 1) / layout.row_parts;
      for (std::ptrdiff_t n = problem.batch * i / layout.image_parts;
           n < problem.batch * (i + 1) / layout.image_parts; ++n)
        for (std::ptrdiff_t row = problem.out.height * r / layout.row_parts; row < last_row;
             row += layout.rows)
          part.add(amx, x.data() + (n * problem.in.height + row) * in_row,
                   dy.data + n * dy.image_step + row * dy.row_step, dy,
                   std::min(layout.rows, last_row - row));
    }
  });
  float* const total = part_of(0).totals();
  for_each_range(threads, layout.totals(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t k = 1; k < layout.parts(); ++k) {
      float const* const more = part_of(k).totals();
      for (std::ptrdiff_t i = begin; i < end; ++i) total[i] += more[i];
    }
  });
  std::ptrdiff_t const channels = problem.in.channels;
  std::ptrdiff_t const depth = layout.taps * channels;
  float const* const bias = total + layout.taps * layout.channels * layout.filters;
  for_each_range(threads, problem.out.channels, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t f = begin; f < end; ++f) {
      float* const to = dparameters.data() + f * depth;
      for (std::ptrdiff_t tap = 0; tap < layout.taps; ++tap)
        for (std::ptrdiff_t k = 0; k < channels; ++k)
          to[tap * channels + k] = total[(tap * layout.channels + k) * layout.filters + f];
      dparameters[static_cast<std::size_t>(problem.out.channels * depth + f)] = bias[f];
    }
  });
}

inline void bfloat16_weights_gradient(exec::threads threads, layer_problem const& problem,
                                      view<bfloat16 const, 4> x, bfloat16_rows const& dy,
                                      std::span<float> dparameters, std::byte* scratch) {
  bfloat16_weights_gradient<amx_registers>(threads, problem, bfloat16_gradient_layout{problem}, x,
                                           dy, dparameters, scratch);
}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
