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

/// The largest number of which a register has room and that divides `count`.
constexpr int amx_divisor(int count) {
  int most = std::min(count, amx_side);
  while (most > 1 && count % most != 0) --most;
  return most;
}

/// Whether matrix registers take so many pairs: few an instruction are not worth it.
constexpr bool suits_amx(std::ptrdiff_t pairs) { return amx_divisor(static_cast<int>(pairs)) >= 4; }

#if defined(__x86_64__)

/// The processor's matrix registers: 0 to 3 hold sums, 4 and 5 pixels, 6 and 7 weights. What
/// multiply_by_amx asks of them, a test can give it as well. They are given back at the end.
class amx_registers {
 public:
  amx_registers() = default;
  amx_registers(amx_registers const&) = delete;
  amx_registers& operator=(amx_registers const&) = delete;
  [[gnu::target("amx-tile")]] ~amx_registers() {
    if (pixels_ > 0) asm volatile("tilerelease");
  }

  /// @param pixels rows of sums and pixels, 1 to 16
  /// @param pairs  of channels in a row of pixels, 1 to 16
  [[gnu::target("amx-tile")]] void configure(int pixels, int pairs) {
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
  [[gnu::target("amx-tile"), gnu::always_inline]] inline void load(void const* from,
                                                                   std::ptrdiff_t row_bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(row_bytes), "i"(Register)
                 : "memory");
  }
  template <int Register>
  [[gnu::target("amx-tile"), gnu::always_inline]] inline void store(void* to,
                                                                    std::ptrdiff_t row_bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(row_bytes), "i"(Register)
                 : "memory");
  }
  /// Sums += pixels * weights.
  template <int Sums, int Pixels, int Weights>
  [[gnu::target("amx-tile,amx-bf16"), gnu::always_inline]] inline void multiply() {
    asm volatile("tdpbf16ps %%tmm%c0, %%tmm%c1, %%tmm%c2" ::"i"(Weights), "i"(Pixels), "i"(Sums));
  }

 private:
  int pixels_ = 0;
  int pairs_ = 0;
};

// Sums of one register, rounded and stored.
template <class Out>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void store_sums(
    bfloat16_row const& row, float const* sums, int first, int pixels, int filter) {
  using registers = bfloat16_registers;
  __m512 const zero = _mm512_setzero_ps();
  std::ptrdiff_t const exist = row.filters - filter;
  if (exist <= 0) return;
  for (int p = 0; p < pixels; ++p) {
    std::ptrdiff_t const pixel = place_of(row, first + p);
    if (pixel < 0) continue;
    __m512 const sum = _mm512_loadu_ps(sums + p * amx_side);
    registers::store(static_cast<Out*>(row.y) + pixel * row.out_step + filter,
                     row.relu ? _mm512_maskz_max_ps(0xFFFF, sum, zero) : sum, exist);
  }
}

// One or two groups of so many pixels, that begin at `first`, times one or two groups of filters,
// so many pairs at a time.
template <class Out, int Groups, int Count, class Registers>
[[gnu::target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16"), gnu::noinline]] void
multiply_amx_groups(Registers& amx, bfloat16_row const& row, int pixels, int pairs,
                    int const* first) {
  constexpr int width = Count * amx_side;
  std::ptrdiff_t const pixel_bytes = row.pixel_step * 2;
  // Sums begin with what is the same for all pixels, or with those that are there.
  std::ptrdiff_t const sum_bytes = row.accumulate ? row.out_step * 4 : 0;
  auto const sums_of = [&](int group, int v) {
    return row.accumulate ? static_cast<float*>(row.y) + first[group] * row.out_step + v * amx_side
                          : const_cast<float*>(row.start) + v * amx_side;
  };
  amx.template load<0>(sums_of(0, 0), sum_bytes);
  if constexpr (Count == 2) amx.template load<1>(sums_of(0, 1), sum_bytes);
  if constexpr (Groups == 2) amx.template load<2>(sums_of(1, 0), sum_bytes);
  if constexpr (Groups == 2 && Count == 2) amx.template load<3>(sums_of(1, 1), sum_bytes);
  bfloat16 const* w = row.weights;
  for (int i = 0; i < row.window_rows; ++i)
    for (int j = 0; j < row.window_columns; ++j) {
      bfloat16 const* x = row.x + i * row.row_step + j * row.column_step;
      for (int k = 0; k < row.pairs; k += pairs, w += pairs * width * 2) {
        amx.template load<4>(x + first[0] * row.pixel_step + 2 * k, pixel_bytes);
        amx.template load<6>(w, width * 4);
        amx.template multiply<0, 4, 6>();
        if constexpr (Count == 2) {
          amx.template load<7>(w + amx_side * 2, width * 4);
          amx.template multiply<1, 4, 7>();
        }
        if constexpr (Groups == 2) {
          amx.template load<5>(x + first[1] * row.pixel_step + 2 * k, pixel_bytes);
          amx.template multiply<2, 5, 6>();
        }
        if constexpr (Groups == 2 && Count == 2) amx.template multiply<3, 5, 7>();
      }
    }
  if (row.accumulate) {
    amx.template store<0>(sums_of(0, 0), sum_bytes);
    if constexpr (Count == 2) amx.template store<1>(sums_of(0, 1), sum_bytes);
    if constexpr (Groups == 2) amx.template store<2>(sums_of(1, 0), sum_bytes);
    if constexpr (Groups == 2 && Count == 2) amx.template store<3>(sums_of(1, 1), sum_bytes);
    return;
  }
  alignas(64) float sums[Groups * Count][amx_side * amx_side];
  constexpr std::ptrdiff_t side_bytes = amx_side * sizeof(float);
  amx.template store<0>(sums[0], side_bytes);
  if constexpr (Count == 2) amx.template store<1>(sums[1], side_bytes);
  if constexpr (Groups == 2) amx.template store<2>(sums[Count], side_bytes);
  if constexpr (Groups == 2 && Count == 2) amx.template store<3>(sums[3], side_bytes);
  for (int group = 0; group < Groups; ++group)
    for (int v = 0; v < Count; ++v)
      store_sums<Out>(row, sums[group * Count + v], first[group], pixels, v * amx_side);
}

template <class Out, int Count, class Registers>
void multiply_by_amx(Registers& amx, bfloat16_row const& row) {
  // The last group of pixels overlaps the one before, whose sums it repeats; where sums go on,
  // groups are such that none does.
  int const pixels = row.accumulate ? amx_divisor(row.pixels) : std::min(row.pixels, amx_side);
  int const pairs = amx_divisor(row.pairs);
  amx.configure(pixels, pairs);
  int const last = row.pixels - pixels;
  for (int pixel = 0; pixel < row.pixels; pixel += 2 * pixels) {
    int const first[2] = {std::min(pixel, last), std::min(pixel + pixels, last)};
    if (first[1] > first[0])
      multiply_amx_groups<Out, 2, Count>(amx, row, pixels, pairs, first);
    else
      multiply_amx_groups<Out, 1, Count>(amx, row, pixels, pairs, first);
  }
}

/// All pixels of a run whose pairs lie side by side; where its sums go on, the missing filters of
/// the block are there as well.
/// @tparam Out    float or bfloat16
/// @param filters of the block, the missing ones counted: one or two groups of 16
template <class Out, class Registers>
void multiply_by_amx(Registers& amx, bfloat16_row const& row, int filters) {
  if (filters > amx_side)
    multiply_by_amx<Out, 2>(amx, row);
  else
    multiply_by_amx<Out, 1>(amx, row);
}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
