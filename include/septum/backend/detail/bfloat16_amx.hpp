#pragma once
#include <septum/backend/detail/bfloat16_product.hpp>
#include <septum/core/half.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

/// Runs of a convolution in bfloat16 by matrix registers (AMX): 16 pixels times 16 filters a
/// register, 16 pairs of channels an instruction, straight from channels-last maps. Each output is
/// one chain of sums over the same pieces of its window wherever it lies, so its bytes depend
/// neither on the place in the map nor on threads.
namespace septum::inline SEPTUM_ABI::detail {

/// Rows of a register, and numbers of 32 bits in one of its rows.
inline constexpr int amx_side = 16;

/// Whether matrix registers take so many pairs: fewer an instruction are not worth it.
constexpr bool suits_amx(std::ptrdiff_t pairs) { return pairs >= 4; }

/// How the pairs of a window's pixel are dealt to instructions: pieces of one width. The last one
/// ends with the pixel, so that nothing behind it is read; the weights of what it has in common
/// with the piece before are zero there.
struct amx_pieces {
  int pairs;
  int width;
  int count;

  constexpr explicit amx_pieces(int all)
      : pairs{all}, width{std::min(all, amx_side)}, count{(all + amx_side - 1) / amx_side} {}
  /// The first pair that a piece reads.
  [[nodiscard]] constexpr int first(int piece) const {
    return std::min(piece * width, pairs - width);
  }
  /// Pairs of all pieces, those that are there twice counted twice.
  [[nodiscard]] constexpr int padded() const { return count * width; }
  /// The pair that one of those meets; negative for one that has met a weight before.
  [[nodiscard]] constexpr int pair(int padded_pair) const {
    int const piece = padded_pair / width;
    int const met = first(piece) + padded_pair % width;
    return met < piece * width ? -1 : met;
  }
};

#if defined(__x86_64__)

/// The processor's matrix registers: 0 to 3 hold sums, 4 and 5 pixels, 6 and 7 weights. What
/// multiply_by_amx asks of them, a test can give it as well. They are given back at the end.
class amx_registers {
 public:
  amx_registers() = default;
  amx_registers(amx_registers const&) = delete;
  amx_registers& operator=(amx_registers const&) = delete;
  ~amx_registers() {
    if (pixels_ > 0) asm volatile("tilerelease");
  }

  /// @param pixels rows of sums and pixels, 1 to 16
  /// @param pairs  of channels in a row of pixels, 1 to 16
  void configure(int pixels, int pairs) {
    if (pixels == pixels_ && pairs == pairs_) return;
    pixels_ = pixels;
    pairs_ = pairs;
    struct alignas(64) {
      std::uint8_t palette = 1;
      std::uint8_t start_row = 0;
      std::uint8_t reserved[14] = {};
      std::uint16_t row_bytes[16] = {};
      std::uint8_t rows[16] = {};
    } shape;
    for (int k = 0; k < 8; ++k) {
      bool const is_pixels = k == 4 || k == 5;
      shape.row_bytes[k] = static_cast<std::uint16_t>(4 * (is_pixels ? pairs : amx_side));
      shape.rows[k] = static_cast<std::uint8_t>(k < 6 ? pixels : pairs);
    }
    asm volatile("ldtilecfg %0" ::"m"(shape));
  }
  template <int Register>
  [[gnu::always_inline]] inline void load(void const* from, std::ptrdiff_t row_bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(row_bytes), "i"(Register)
                 : "memory");
  }
  template <int Register>
  [[gnu::always_inline]] inline void store(void* to, std::ptrdiff_t row_bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(row_bytes), "i"(Register)
                 : "memory");
  }
  /// Sums += pixels * weights.
  template <int Sums, int Pixels, int Weights>
  [[gnu::always_inline]] inline void multiply() {
    asm volatile("tdpbf16ps %%tmm%c0, %%tmm%c1, %%tmm%c2" ::"i"(Weights), "i"(Pixels), "i"(Sums));
  }

 private:
  int pixels_ = 0;
  int pairs_ = 0;
};

// Where the sums of a block come from and go to; steps are values between pixels.
struct amx_sums {
  float const* from;
  std::ptrdiff_t from_step;
  float* to;
  std::ptrdiff_t to_step;
};

// The sums of one group of pixels: registers `Group * Count` and, with two groups of filters, the
// next. Pixels take turns in two registers: one is loaded while the other is multiplied.
template <int Group, int Count>
struct amx_group {
  static constexpr int pixels = 4 + Group % 2;

  template <class Registers>
  [[gnu::always_inline]] static inline void load(Registers& amx, amx_sums const& sums) {
    float const* const from = sums.from + Group * amx_side * sums.from_step;
    amx.template load<Group * Count>(from, sums.from_step * 4);
    if constexpr (Count == 2)
      amx.template load<Group * Count + 1>(from + amx_side, sums.from_step * 4);
  }
  template <class Registers>
  [[gnu::always_inline]] static inline void multiply(Registers& amx, bfloat16 const* x,
                                                     std::ptrdiff_t pixel_bytes) {
    amx.template load<pixels>(x, pixel_bytes);
    amx.template multiply<Group * Count, pixels, 6>();
    if constexpr (Count == 2) amx.template multiply<Group * Count + 1, pixels, 7>();
  }
  template <class Registers>
  [[gnu::always_inline]] static inline void store(Registers& amx, amx_sums const& sums) {
    float* const to = sums.to + Group * amx_side * sums.to_step;
    amx.template store<Group * Count>(to, sums.to_step * 4);
    if constexpr (Count == 2)
      amx.template store<Group * Count + 1>(to + amx_side, sums.to_step * 4);
  }
};

// A whole window for groups of pixels that begin at `first`, times one or two groups of filters;
// `next` are weights that are wanted in the first cache meanwhile, or null.
template <int Groups, int Count, class Registers>
[[gnu::noinline]] void multiply_amx_block(Registers& amx, bfloat16_row const& row, int const* first,
                                          amx_sums const& sums, bfloat16 const* next = nullptr) {
  constexpr int width = Count * amx_side;
  amx_pieces const pieces{row.pairs};
  std::ptrdiff_t const pixel_bytes = row.pixel_step * 2;
  std::ptrdiff_t const piece_weights = std::ptrdiff_t{pieces.width} * width * 2;
  std::ptrdiff_t const last_pair = 2 * pieces.first(pieces.count - 1);
  std::ptrdiff_t at[Groups];
  for (int g = 0; g < Groups; ++g) at[g] = first[g] * row.pixel_step;
  amx_group<0, Count>::load(amx, sums);
  if constexpr (Groups > 1) amx_group<1, Count>::load(amx, sums);
  if constexpr (Groups > 2) amx_group<2, Count>::load(amx, sums);
  if constexpr (Groups > 3) amx_group<3, Count>::load(amx, sums);
  bfloat16 const* w = row.weights;
  for (int i = 0; i < row.window_rows; ++i)
    for (int j = 0; j < row.window_columns; ++j) {
      bfloat16 const* const x = row.x + i * row.row_step + j * row.column_step;
      std::ptrdiff_t k = 0;
      for (int left = pieces.count; left > 0; --left, k += 2 * amx_side, w += piece_weights) {
        if (next != nullptr)
          for (bfloat16 const* const end = next + piece_weights; next < end; next += 32)
            __builtin_prefetch(next);
        bfloat16 const* const from = x + std::min(k, last_pair);
        amx.template load<6>(w, width * 4);
        if constexpr (Count == 2) amx.template load<7>(w + amx_side * 2, width * 4);
        amx_group<0, Count>::multiply(amx, from + at[0], pixel_bytes);
        if constexpr (Groups > 1) amx_group<1, Count>::multiply(amx, from + at[1], pixel_bytes);
        if constexpr (Groups > 2) amx_group<2, Count>::multiply(amx, from + at[2], pixel_bytes);
        if constexpr (Groups > 3) amx_group<3, Count>::multiply(amx, from + at[3], pixel_bytes);
      }
    }
  amx_group<0, Count>::store(amx, sums);
  if constexpr (Groups > 1) amx_group<1, Count>::store(amx, sums);
  if constexpr (Groups > 2) amx_group<2, Count>::store(amx, sums);
  if constexpr (Groups > 3) amx_group<3, Count>::store(amx, sums);
}

// So many bits from the lowest on, 32 at most.
constexpr __mmask32 first_bits(std::ptrdiff_t count) {
  return count >= 32 ? ~__mmask32{0} : (__mmask32{1} << count) - __mmask32{1};
}

// One or two registers of sums, stored as far as `filters` goes.
template <int Count>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] inline void
store_values(__m512 const* sums, __mmask32 filters, bfloat16* to) {
  if constexpr (Count == 2)
    _mm512_mask_storeu_epi16(to, filters, (__m512i)_mm512_cvtne2ps_pbh(sums[1], sums[0]));
  else
    _mm256_mask_storeu_epi16(to, static_cast<__mmask16>(filters),
                             (__m256i)_mm512_cvtneps_pbh(sums[0]));
}
template <int Count>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] inline void
store_values(__m512 const* sums, __mmask32 filters, float* to) {
  for (int v = 0; v < Count; ++v)
    _mm512_mask_storeu_ps(to + v * amx_side, static_cast<__mmask16>(filters >> (v * amx_side)),
                          sums[v]);
}

// Sums of some pixels and one or two groups of filters, rounded and stored.
template <class Out, int Count>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void store_sums(
    bfloat16_row const& row, float const* sums, int first, int pixels) {
  __m512 const zero = _mm512_setzero_ps();
  __mmask32 const filters = first_bits(row.filters);
  // As place_of says, without a division for every pixel.
  int column = first % row.period;
  std::ptrdiff_t place =
      first / row.period * std::ptrdiff_t{row.valid} + std::min(column, row.valid);
  for (int p = 0; p < pixels; ++p, sums += Count * amx_side) {
    int const at = column;
    column = at + 1 == row.period ? 0 : at + 1;
    if (at >= row.valid) continue;
    std::ptrdiff_t const pixel = place++;
    __m512 values[Count];
    for (int v = 0; v < Count; ++v) {
      values[v] = _mm512_loadu_ps(sums + v * amx_side);
      if (row.relu) values[v] = _mm512_maskz_max_ps(0xFFFF, values[v], zero);
    }
    store_values<Count>(values, filters, static_cast<Out*>(row.y) + pixel * row.out_step);
  }
}

// Groups of pixels from number `group` on, whose sums begin with what is the same for all pixels.
template <class Out, int Groups, int Count, class Registers>
void multiply_amx_pixels(Registers& amx, bfloat16_row const& row, int pixels, int group) {
  constexpr int width = Count * amx_side;
  alignas(64) float sums[Groups * amx_side * width];
  // The last group of pixels overlaps the one before, whose sums it repeats.
  int first[Groups];
  for (int g = 0; g < Groups; ++g) first[g] = std::min((group + g) * amx_side, row.pixels - pixels);
  multiply_amx_block<Groups, Count>(amx, row, first, {row.start, 0, sums, width});
  for (int g = 0; g < Groups; ++g)
    store_sums<Out, Count>(row, sums + g * amx_side * width, first[g], pixels);
}

// The same for sums in float that stay as they are, and may go on with what is there.
template <int Groups, int Count, class Registers>
void sum_amx_pixels(Registers& amx, bfloat16_row const& row, int group) {
  int first[Groups];
  for (int g = 0; g < Groups; ++g) first[g] = (group + g) * amx_side;
  float* const sums = static_cast<float*>(row.y) + first[0] * row.out_step;
  amx_sums const begin{row.accumulate ? sums : row.start, row.accumulate ? row.out_step : 0, sums,
                       row.out_step};
  multiply_amx_block<Groups, Count>(amx, row, first, begin,
                                    group == 0 ? row.next_weights : nullptr);
}

// Calls run<groups>(number of the first) for all groups of a run, as many together as there are
// registers for.
template <int Count, class Registers, class Run>
void for_each_amx_group(Registers& amx, bfloat16_row const& row, Run const& run) {
  constexpr int together = 4 / Count;
  amx.configure(std::min(row.pixels, amx_side), amx_pieces{row.pairs}.width);
  int const groups = (row.pixels + amx_side - 1) / amx_side;
  int group = 0;
  for (; group + together <= groups; group += together) run.template operator()<together>(group);
  for (; group < groups; ++group) run.template operator()<1>(group);
}

/// All pixels of a run whose pairs lie side by side.
/// @tparam Out    float or bfloat16
/// @param filters of the block, the missing ones counted: one or two groups of 16
template <class Out, class Registers>
void multiply_by_amx(Registers& amx, bfloat16_row const& row, int filters) {
  int const pixels = std::min(row.pixels, amx_side);
  if (filters > amx_side)
    for_each_amx_group<2>(amx, row, [&]<int Groups>(int group) {
      multiply_amx_pixels<Out, Groups, 2>(amx, row, pixels, group);
    });
  else
    for_each_amx_group<1>(amx, row, [&]<int Groups>(int group) {
      multiply_amx_pixels<Out, Groups, 1>(amx, row, pixels, group);
    });
}

/// The same for sums in float without relu that go on, if they are to, with what y holds. Pixels
/// are less than 16 or a multiple of it, and the missing filters of the block are there as well.
template <class Registers>
void sum_by_amx(Registers& amx, bfloat16_row const& row, int filters) {
  if (filters > amx_side)
    for_each_amx_group<2>(
        amx, row, [&]<int Groups>(int group) { sum_amx_pixels<Groups, 2>(amx, row, group); });
  else
    for_each_amx_group<1>(
        amx, row, [&]<int Groups>(int group) { sum_amx_pixels<Groups, 1>(amx, row, group); });
}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
