#pragma once
#include <septum/core/config.hpp>

#include <bit>
#include <cstdint>

/// 16-bit floating-point numbers for storage: arithmetic is done in float. Conversions use integer
/// operations only, so host and device agree to the last bit; both round to nearest, ties to even.
namespace septum::inline SEPTUM_ABI {

namespace detail {
[[nodiscard]] SEPTUM_HD constexpr std::uint32_t float_bits(float value) {
  return __builtin_bit_cast(std::uint32_t, value);
}
[[nodiscard]] SEPTUM_HD constexpr float float_from_bits(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
}  // namespace detail

/// 8 bits of exponent, 7 of fraction: the upper half of a float.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  SEPTUM_HD constexpr explicit bfloat16(float value) : bits{rounded(detail::float_bits(value))} {}
  SEPTUM_HD constexpr explicit operator float() const {
    return detail::float_from_bits(static_cast<std::uint32_t>(bits) << 16);
  }
  friend bool operator==(bfloat16, bfloat16) = default;

 private:
  SEPTUM_HD static constexpr std::uint16_t rounded(std::uint32_t value) {
    if ((value & 0x7FFFFFFFU) > 0x7F800000U)  // NaN stays NaN
      return static_cast<std::uint16_t>((value >> 16) | 0x40U);
    return static_cast<std::uint16_t>((value + 0x7FFFU + ((value >> 16) & 1U)) >> 16);
  }
};

/// IEEE 754 binary16: 5 bits of exponent, 10 of fraction; overflow becomes infinity.
struct float16 {
  std::uint16_t bits = 0;

  float16() = default;
  SEPTUM_HD constexpr explicit float16(float value) : bits{rounded(detail::float_bits(value))} {}
  SEPTUM_HD constexpr explicit operator float() const {
    std::uint32_t const sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
    std::uint32_t const exponent = (bits >> 10) & 0x1FU;
    std::uint32_t const fraction = bits & 0x3FFU;
    if (exponent == 0x1FU)  // infinity and NaN
      return detail::float_from_bits(sign | 0x7F800000U | (fraction << 13));
    if (exponent == 0) {  // zero and subnormal: fraction * 2^-24
      float const value = static_cast<float>(fraction) * 0x1.0p-24F;
      return sign != 0 ? -value : value;
    }
    return detail::float_from_bits(sign | ((exponent + 112U) << 23) | (fraction << 13));
  }
  friend bool operator==(float16, float16) = default;

 private:
  SEPTUM_HD static constexpr std::uint16_t rounded(std::uint32_t value) {
    auto const sign = static_cast<std::uint16_t>((value >> 16) & 0x8000U);
    std::uint32_t const magnitude = value & 0x7FFFFFFFU;
    if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);
    if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // >= 65520
    if (magnitude < 0x33000001U) return sign;  // at most half of the smallest subnormal
    std::uint32_t const exponent = magnitude >> 23;
    if (exponent >= 113U) {
      std::uint32_t const shifted = magnitude - (112U << 23);
      return static_cast<std::uint16_t>(sign | ((shifted + 0xFFFU + ((shifted >> 13) & 1U)) >> 13));
    }
    std::uint32_t const fraction = (magnitude & 0x7FFFFFU) | 0x800000U;
    std::uint32_t const shift = 126U - exponent;  // to units of 2^-24
    std::uint32_t const kept = fraction >> shift;
    std::uint32_t const rest = fraction & ((1U << shift) - 1U);
    std::uint32_t const half = 1U << (shift - 1U);
    bool const up = rest > half || (rest == half && (kept & 1U) != 0);
    return static_cast<std::uint16_t>(sign | (kept + (up ? 1U : 0U)));
  }
};

}  // namespace septum::inline SEPTUM_ABI
