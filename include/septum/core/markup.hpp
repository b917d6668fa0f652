#pragma once
#include <septum/core/config.hpp>

#include <string>
#include <string_view>

namespace septum::inline SEPTUM_ABI {

/// Text as XML, HTML and SVG take it between tags or in a double-quoted attribute: the characters
/// & < > " become entities. Bytes that XML cannot hold stay; see printable() in core/text.hpp.
[[nodiscard]] inline std::string escape_markup(std::string_view text) {
  std::string result;
  for (char const c : text) switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  return result;
}

}  // namespace septum::inline SEPTUM_ABI
