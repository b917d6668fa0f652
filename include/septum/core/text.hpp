#pragma once
#include <septum/core/config.hpp>

#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace septum::inline SEPTUM_ABI {

template <class T>
concept Number = std::is_arithmetic_v<T> && !std::same_as<T, bool>;

/// Shortest text that reads back as the same number; the same in every locale.
template <Number T>
[[nodiscard]] std::string to_text(T value) {
  std::array<char, 64> buffer{};
  auto const end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return {buffer.data(), end};
}

/// Text with `digits` digits after the point; the same in every locale.
template <std::floating_point T>
[[nodiscard]] std::string to_text(T value, int digits) {
  std::array<char, 512> buffer{};
  auto const result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                    std::chars_format::fixed, digits);
  return result.ec == std::errc{} ? std::string{buffer.data(), result.ptr} : to_text(value);
}

/// The number that `text` spells from its first to its last character with '.' as decimal point,
/// or nothing: no spaces, no leading '+', no overflow. The same in every locale.
template <Number T>
[[nodiscard]] std::optional<T> parse_number(std::string_view text) {
  T value{};
  auto const result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc{} || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

namespace detail {

/// Length in bytes of the well-formed UTF-8 sequence at the start of `text`; 0 when there is none.
[[nodiscard]] inline std::size_t utf8_length(std::string_view text) {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  auto const continues = [&](std::size_t i) {
    return i < text.size() && (byte(i) & 0xC0U) == 0x80;
  };
  if (text.empty()) return 0;
  unsigned const first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!continues(1) || !continues(2)) return 0;
    bool const overlong = first == 0xE0 && byte(1) < 0xA0;
    bool const surrogate = first == 0xED && byte(1) > 0x9F;
    return overlong || surrogate ? 0 : 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    bool const overlong = first == 0xF0 && byte(1) < 0x90;
    bool const too_large = first == 0xF4 && byte(1) > 0x8F;
    return overlong || too_large ? 0 : 4;
  }
  return 0;
}

}  // namespace detail

/// `text` made safe for one line of a message: control characters become \n, \t or \xNN, and so do
/// bytes that are not UTF-8. A text longer than `limit` bytes is cut and ends in "...".
[[nodiscard]] inline std::string printable(std::string_view text, std::size_t limit = 1024) {
  constexpr std::string_view hexadecimal = "0123456789abcdef";
  std::string result;
  while (!text.empty()) {
    if (result.size() >= limit) return result + "...";
    std::size_t const length = detail::utf8_length(text);
    auto const first = static_cast<unsigned char>(text.front());
    bool const control =
        first < 0x20 || first == 0x7F ||
        (length == 2 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0);
    if (length > 0 && !control) {
      result += text.substr(0, length);
    } else if (first == '\n') {
      result += "\\n";
    } else if (first == '\t') {
      result += "\\t";
    } else {
      for (char const c : text.substr(0, length == 2 ? 2 : 1)) {
        auto const value = static_cast<unsigned char>(c);
        result += "\\x";
        result += hexadecimal[value >> 4U];
        result += hexadecimal[value & 0xFU];
      }
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
