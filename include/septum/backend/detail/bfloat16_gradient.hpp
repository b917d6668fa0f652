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
  // For matrix registers an image whose rows are short is one long row, whose pixels beyond the
  // ends of rows of the output count as zeros.
  bool is_one_row;
  std::ptrdiff_t height;     // of the output
  std::ptrdiff_t width;      // of a row of the input
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
    is_one_row = has_amx && problem.out.height > 1 && problem.out.width < 2 * amx_side &&
                 suits_amx((problem.out.height - 1) * problem.in.width / 2);
    height = is_one_row ? 1 : problem.out.height;
    width = is_one_row ? problem.in.width * problem.in.height : problem.in.width;
    halo = is_one_row ? 0 : g.extent() - 1;
    image_parts = std::min<std::ptrdiff_t>(problem.batch, most_parts);
    row_parts = std::min<std::ptrdiff_t>(height, (most_parts + problem.batch - 1) / problem.batch);
    filters = (problem.out.channels + 15) / 16 * 16;
    taps = static_cast<std::ptrdiff_t>(g.kernel) * g.kernel;
    channels = problem.in.channels;
    out_pairs = (out_pixels(problem) + 1) / 2;
    if (out_pairs > amx_side && has_amx)
      out_pairs = (out_pairs + amx_side - 1) / amx_side * amx_side;
    by_amx = has_amx && suits_amx(out_pairs);
    if (by_amx && channels > amx_side) channels = (channels + amx_side - 1) / amx_side * amx_side;
    std::ptrdiff_t const shift = g.extent() - 1;
    columns = by_amx ? (is_one_row ? shift * problem.in.width : 0) + shift + 2 * out_pairs
                     : problem.in.width / 2 * 2 + 2;
    columns = std::max(columns, width);
    copies = !by_amx && g.kernel > 1 && g.dilation % 2 == 1 ? 2 : 1;
    std::ptrdiff_t const row_bytes = 2 * columns * channels * copies + 4 * out_pairs * filters;
    constexpr std::ptrdiff_t cache = 384 << 10;
    std::ptrdiff_t const fit = (cache - 2 * halo * columns * channels * copies) / row_bytes;
    rows = std::clamp<std::ptrdiff_t>(fit, 1, height);
  }
  /// Pixels of a row of the output, those beyond the ends of the map's rows counted.
  [[nodiscard]] std::ptrdiff_t out_pixels(layer_problem const& problem) const {
    return is_one_row
               ? std::ptrdiff_t{problem.out.height - 1} * problem.in.width + problem.out.width
               : problem.out.width;
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

// to[c * to_step + p] = from[p * from_step + c] for up to 16 pixels and channels.
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void turn_pixels(
    bfloat16 const* from, std::ptrdiff_t from_step, std::ptrdiff_t pixels, std::ptrdiff_t channels,
    bfloat16* to, std::ptrdiff_t to_step) {
  auto const some = static_cast<__mmask16>(first_bits(channels));
  __m256i rows[16];
#  pragma GCC unroll 16
  for (int p = 0; p < 16; ++p)
    rows[p] =
        p < pixels ? _mm256_maskz_loadu_epi16(some, from + p * from_step) : _mm256_setzero_si256();
    // Each step moves the highest bit of a value's row to the lowest of its place in the row, and
    // the highest bit of the place to the lowest of the row.
#  pragma GCC unroll 4
  for (int step = 0; step < 4; ++step) {
    __m256i mixed[16];
#  pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      mixed[2 * i] = _mm256_unpacklo_epi16(rows[i], rows[i + 8]);
      mixed[2 * i + 1] = _mm256_unpackhi_epi16(rows[i], rows[i + 8]);
    }
#  pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) rows[i] = mixed[i];
  }
  auto const wide = static_cast<__mmask16>(first_bits(pixels));
#  pragma GCC unroll 8
  for (int c = 0; c < 8; ++c) {
    if (c < channels)
      _mm256_mask_storeu_epi16(to + c * to_step, wide,
                               _mm256_permute2x128_si256(rows[2 * c], rows[2 * c + 1], 0x20));
    if (c + 8 < channels)
      _mm256_mask_storeu_epi16(to + (c + 8) * to_step, wide,
                               _mm256_permute2x128_si256(rows[2 * c], rows[2 * c + 1], 0x31));
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
    if (!layout_.by_amx) join_input(x, count + layout_.halo);
    join_output(dy, gradient, count);
    if (layout_.by_amx)
      add_turned(amx, x, count, 0, layout_.channels);
    else
      for_each_block(count, [&](bfloat16_row& row, int i, int j, int width) {
        std::ptrdiff_t const shift = static_cast<std::ptrdiff_t>(j) * problem_.geometry.dilation;
        row.x = x_pairs_ + i * problem_.geometry.dilation * layout_.in_row() +
                shift % 2 * layout_.copy_values() + shift / 2 * layout_.channels * 2;
        row.pixel_step = 2;
        row.pair_step = layout_.channels * 2;
        multiply_row<float>(row, width);
      });
  }
  /// The same for channels [first, end) by matrix registers, from the output as it was joined.
  /// They are as many as the layout has or begin and end at multiples of 16.
  template <class Registers>
  void add_turned(Registers& amx, bfloat16 const* x, std::ptrdiff_t count, std::ptrdiff_t first,
                  std::ptrdiff_t end) const {
    turn_input(x, count + layout_.halo, first, end);
    std::ptrdiff_t const dilation = problem_.geometry.dilation;
    std::ptrdiff_t const row_step = layout_.is_one_row ? problem_.in.width : layout_.in_row();
    for_each_block(count, [&](bfloat16_row& row, int i, int j, int width) {
      row.x = x_pairs_ + first * layout_.columns + dilation * (i * row_step + j);
      row.pixel_step = layout_.columns;
      row.pixels = static_cast<int>(end - first);
      row.y = static_cast<float*>(row.y) + first * layout_.filters;
      sum_by_amx(amx, row, width);
    });
  }
  /// The output's rows joined in pairs, and its sums added to those of the bias.
  void join_output(bfloat16 const* dy, bfloat16_rows const& gradient, std::ptrdiff_t rows) const {
    std::ptrdiff_t const filters = problem_.out.channels;
    std::ptrdiff_t const width = problem_.out.width;
    float* const bias = totals_ + layout_.taps * layout_.channels * layout_.filters;
    std::ptrdiff_t const lines = layout_.is_one_row ? problem_.out.height : rows;
    for (std::ptrdiff_t r = 0; r < lines; ++r)
      add_pixels(dy + r * gradient.row_step, width, gradient.pixel_step, filters, bias);
    for (std::ptrdiff_t first = 0; first < filters; first += bfloat16_block) {
      std::ptrdiff_t const wide = std::min<std::ptrdiff_t>(bfloat16_block, layout_.filters - first);
      std::ptrdiff_t const exist = std::min(wide, filters - first);
      bfloat16* to = y_pairs_ + first * rows * layout_.out_pairs * 2;
      for (std::ptrdiff_t r = 0; r < rows; ++r)
        for (std::ptrdiff_t q = 0; q < layout_.out_pairs; ++q, to += wide * 2) {
          auto const pixel = [&](std::ptrdiff_t c) -> bfloat16 const* {
            std::ptrdiff_t const row = layout_.is_one_row ? c / problem_.in.width : r;
            std::ptrdiff_t const column = layout_.is_one_row ? c % problem_.in.width : c;
            return column < width && row < lines
                       ? dy + row * gradient.row_step + column * gradient.pixel_step + first
                       : nullptr;
          };
          join_pixels(pixel(2 * q), pixel(2 * q + 1), exist, to);
          std::fill(to + exist * 2, to + wide * 2, bfloat16{0.0F});
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
  // Channels [first_channel, end_channel) of rows of the input as (row, channel, column).
  void turn_input(bfloat16 const* x, std::ptrdiff_t rows, std::ptrdiff_t first_channel,
                  std::ptrdiff_t end_channel) const {
    constexpr std::ptrdiff_t side = 16;
    std::ptrdiff_t const channels = problem_.in.channels;
    std::ptrdiff_t const width = layout_.width;
    std::ptrdiff_t const exist = std::min(end_channel, channels);
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
      bfloat16* const to = x_pairs_ + r * layout_.in_row();
      for (std::ptrdiff_t c = 0; c < width; c += side)
        for (std::ptrdiff_t k = first_channel; k < exist; k += side)
          turn_pixels(x + (r * width + c) * channels + k, channels, width - c, exist - k,
                      to + k * layout_.columns + c, layout_.columns);
      for (std::ptrdiff_t k = first_channel; k < exist; ++k)
        std::fill_n(to + k * layout_.columns + width, layout_.columns - width, bfloat16{});
      if (exist < end_channel)
        std::fill(to + exist * layout_.columns, to + end_channel * layout_.columns, bfloat16{});
    }
  }
  // Calls run(row, window row, window column, filters) for every part of a window and block of
  // filters; the caller says where the input lies.
  template <class Run>
  void for_each_block(std::ptrdiff_t count, Run const& run) const {
    int const kernel = problem_.geometry.kernel;
    for (std::ptrdiff_t first = 0; first < problem_.out.channels; first += bfloat16_block) {
      std::ptrdiff_t const width =
          std::min<std::ptrdiff_t>(bfloat16_block, layout_.filters - first);
      for (int i = 0; i < kernel; ++i)
        for (int j = 0; j < kernel; ++j) {
          bfloat16_row row{
              .x = nullptr,
              .weights = y_pairs_ + first * count * layout_.out_pairs * 2,
              .start = nullptr,
              .y = totals_ + (i * kernel + j) * layout_.channels * layout_.filters + first,
              .pixels = static_cast<int>(layout_.channels),
              .filters = static_cast<int>(width),
              .window_rows = static_cast<int>(count),
              .pairs = static_cast<int>(layout_.out_pairs),
              .row_step = layout_.in_row(),
              .out_step = layout_.filters,
              .accumulate = true};
          run(row, i, j, static_cast<int>(width));
        }
    }
  }

  layer_problem const& problem_;
  bfloat16_gradient_layout const& layout_;
  float* totals_;
  bfloat16* x_pairs_;
  bfloat16* y_pairs_;
};

// Every part's sums, one part by one thread.
template <class Registers, class PartOf>
void add_parts(exec::threads threads, layer_problem const& problem,
               bfloat16_gradient_layout const& layout, view<bfloat16 const, 4> x,
               bfloat16_rows const& dy, PartOf const& part_of) {
  std::ptrdiff_t const in_row = static_cast<std::ptrdiff_t>(problem.in.width) * problem.in.channels;
  for_each_range(threads, layout.parts(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    Registers amx;
    for (std::ptrdiff_t k = begin; k < end; ++k) {
      auto const part = part_of(k);
      part.clear();
      std::ptrdiff_t const i = k / layout.row_parts;
      std::ptrdiff_t const r = k % layout.row_parts;
      std::ptrdiff_t const last_row = layout.height * (r + 1) / layout.row_parts;
      for (std::ptrdiff_t n = problem.batch * i / layout.image_parts;
           n < problem.batch * (i + 1) / layout.image_parts; ++n)
        for (std::ptrdiff_t row = layout.height * r / layout.row_parts; row < last_row;
             row += layout.rows)
          part.add(amx, x.data() + (n * problem.in.height + row) * in_row,
                   dy.data + n * dy.image_step + row * dy.row_step, dy,
                   std::min(layout.rows, last_row - row));
    }
  });
}

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
  if (layout.parts() == 1 && layout.by_amx) {
    // One row: threads take channels of it.
    auto const part = part_of(0);
    part.clear();
    part.join_output(dy.data, dy, 1);
    std::ptrdiff_t const groups = (layout.channels + amx_side - 1) / amx_side;
    for_each_range(threads, groups, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      Registers amx;
      part.add_turned(amx, x.data(), 1, begin * amx_side,
                      std::min(end * amx_side, layout.channels));
    });
  } else {
    add_parts<Registers>(threads, problem, layout, x, dy, part_of);
  }
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
