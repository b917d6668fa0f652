#pragma once
#include <septum/core/config.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace septum::inline SEPTUM_ABI::detail {

/// Words of 64 pixels that a row needs; bit k of word w is column 64 w + k.
[[nodiscard]] constexpr std::ptrdiff_t words_of(std::ptrdiff_t columns) {
  return (columns + 63) / 64;
}

/// One bit per byte of a row: set where the byte is not zero. Bits beyond the row are 0.
inline void pack_row(std::uint8_t const* bytes, std::ptrdiff_t columns, std::uint64_t* words) {
  constexpr std::uint64_t low_bits = 0x7F7F7F7F7F7F7F7FU;
  for (std::ptrdiff_t start = 0; start < columns; start += 64) {
    std::ptrdiff_t const width = std::min<std::ptrdiff_t>(64, columns - start);
    std::uint64_t word = 0;
    std::ptrdiff_t c = 0;
    if constexpr (std::endian::native == std::endian::little)
      for (; c + 8 <= width; c += 8) {
        std::uint64_t eight = 0;
        std::memcpy(&eight, bytes + start + c, 8);
        // The top bit of each byte says whether it is set; the product gathers the eight bits.
        eight = (((eight & low_bits) + low_bits) | eight) & ~low_bits;
        word |= (((eight >> 7U) * 0x0102040810204080U) >> 56U) << static_cast<unsigned>(c);
      }
    for (; c < width; ++c)
      word |= static_cast<std::uint64_t>(bytes[start + c] != 0) << static_cast<unsigned>(c);
    *words++ = word;
  }
}

/// The reverse: bytes 0 and 1 from bits.
inline void unpack_row(std::uint64_t const* words, std::ptrdiff_t columns, std::uint8_t* bytes) {
  for (std::ptrdiff_t start = 0; start < columns; start += 64) {
    std::ptrdiff_t const width = std::min<std::ptrdiff_t>(64, columns - start);
    std::uint64_t const word = *words++;
    std::ptrdiff_t c = 0;
    if constexpr (std::endian::native == std::endian::little)
      for (; c + 8 <= width; c += 8) {
        // Eight copies of the byte; copy k keeps bit k, which then becomes 0 or 1.
        std::uint64_t eight = (((word >> static_cast<unsigned>(c)) & 0xFFU) * 0x0101010101010101U) &
                              0x8040201008040201U;
        eight = ((eight + 0x7F7F7F7F7F7F7F7FU) >> 7U) & 0x0101010101010101U;
        std::memcpy(bytes + start + c, &eight, 8);
      }
    for (; c < width; ++c)
      bytes[start + c] = static_cast<std::uint8_t>((word >> static_cast<unsigned>(c)) & 1U);
  }
}

/// Flips the bits of the pixels of a row; bits beyond it stay 0.
inline void complement_row(std::uint64_t* words, std::ptrdiff_t columns) {
  std::ptrdiff_t const count = words_of(columns);
  for (std::ptrdiff_t w = 0; w < count; ++w) words[w] = ~words[w];
  if (columns % 64 != 0)
    words[count - 1] &= (std::uint64_t{1} << static_cast<unsigned>(columns % 64)) - 1;
}

/// wider = every set bit of `row` and its two neighbours. Bits beyond the row may become set.
inline void widen_by_one(std::uint64_t const* row, std::ptrdiff_t words, std::uint64_t* wider) {
  for (std::ptrdiff_t w = 0; w < words; ++w) {
    std::uint64_t const from_left = w > 0 ? row[w - 1] >> 63U : 0;
    std::uint64_t const from_right = w + 1 < words ? row[w + 1] << 63U : 0;
    wider[w] = row[w] | (row[w] << 1U) | (row[w] >> 1U) | from_left | from_right;
  }
}

}  // namespace septum::inline SEPTUM_ABI::detail
