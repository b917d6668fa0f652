#pragma once
#include <cstddef>
#include <string_view>

namespace test {

/// How often a part is found in a text.
inline std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t result = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++result;
  return result;
}

}  // namespace test
