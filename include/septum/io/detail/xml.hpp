#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io::detail {

/// A start or end tag.
struct xml_tag {
  std::string name;
  std::map<std::string, std::string> attributes;
  bool closing = false;  ///< </name>
  bool empty = false;    ///< <name/>
  std::size_t line = 0;
};

/// Walks through the tags of an XML document and checks that they are nested. Text between tags,
/// comments, declarations and CDATA are passed over; entities other than the five of XML and
/// numbers are refused, so nothing can grow.
class xml_walk {
 public:
  xml_walk(std::string_view text, std::string name) : rest_{text}, name_{std::move(name)} {}

  /// The next tag. \returns false at the end of the document
  /// throws     io_error that names the line
  [[nodiscard]] bool next(xml_tag& tag) {
    while (true) {
      std::size_t const open = rest_.find('<');
      if (open == std::string_view::npos) {
        if (!open_.empty()) fail("expected </" + open_.back() + ">, found the end of the file");
        return false;
      }
      pass(open);
      if (skip("<?", "?>") || skip("<!--", "-->") || skip("<![CDATA[", "]]>") || skip("<!", ">"))
        continue;
      pass(1);
      read(tag);
      if (tag.closing) {
        if (open_.empty() || open_.back() != tag.name)
          fail("expected </" + (open_.empty() ? std::string{"nothing"} : open_.back()) +
               ">, found </" + printable(tag.name, 40) + ">");
        open_.pop_back();
      } else if (!tag.empty) {
        constexpr std::size_t deepest = 64;
        if (open_.size() >= deepest) fail("expected at most 64 tags in each other");
        open_.push_back(tag.name);
      }
      return true;
    }
  }

  [[noreturn]] void fail(std::string const& message) const {
    throw io_error{"septum.xml.1", name_ + ": line " + to_text(line_) + ": " + message};
  }

 private:
  void pass(std::size_t count) {
    std::string_view const passed = rest_.substr(0, count);
    line_ += static_cast<std::size_t>(std::count(passed.begin(), passed.end(), '\n'));
    rest_.remove_prefix(std::min(count, rest_.size()));
  }

  bool skip(std::string_view begin, std::string_view end) {
    if (!rest_.starts_with(begin)) return false;
    std::size_t const stop = rest_.find(end, begin.size());
    if (stop == std::string_view::npos)
      fail("expected " + std::string{end} + " after " + std::string{begin});
    pass(stop + end.size());
    return true;
  }

  void read(xml_tag& tag) {
    tag = {};
    tag.line = line_;
    if (rest_.starts_with('/')) {
      tag.closing = true;
      pass(1);
    }
    constexpr std::string_view stops = " \t\r\n/>=\"'<";
    constexpr std::string_view blanks = " \t\r\n";
    auto const word = [&] {
      std::size_t const length = std::min(rest_.size(), rest_.find_first_of(stops));
      std::string const found{rest_.substr(0, length)};
      if (found.empty()) fail("expected a name in a tag");
      pass(length);
      return found;
    };
    auto const blank = [&] { pass(std::min(rest_.size(), rest_.find_first_not_of(blanks))); };
    tag.name = word();
    while (true) {
      blank();
      if (rest_.empty()) fail("expected > at the end of <" + printable(tag.name, 40));
      if (rest_.starts_with('>')) {
        pass(1);
        return;
      }
      if (rest_.starts_with("/>")) {
        pass(2);
        tag.empty = true;
        return;
      }
      std::string const key = word();
      blank();
      if (!rest_.starts_with('=')) fail("expected = after " + printable(key, 40));
      pass(1);
      blank();
      char const quote = rest_.empty() ? ' ' : rest_.front();
      std::size_t const end =
          quote == '"' || quote == '\'' ? rest_.find(quote, 1) : std::string_view::npos;
      if (end == std::string_view::npos) fail("expected a quoted value of " + printable(key, 40));
      if (!tag.attributes.emplace(key, plain(rest_.substr(1, end - 1))).second)
        fail("expected every attribute once, found " + printable(key, 40) + " twice");
      pass(end + 1);
    }
  }

  [[nodiscard]] std::string plain(std::string_view text) const {
    std::string result;
    while (!text.empty()) {
      std::size_t const mark = std::min(text.size(), text.find('&'));
      result += text.substr(0, mark);
      text.remove_prefix(mark);
      if (text.empty()) break;
      std::size_t const end = text.find(';');
      std::string_view const name =
          end == std::string_view::npos ? std::string_view{} : text.substr(1, end - 1);
      constexpr std::pair<std::string_view, char> known[] = {
          {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
      auto const found = std::find_if(std::begin(known), std::end(known),
                                      [&](auto const& entry) { return entry.first == name; });
      if (found != std::end(known))
        result += found->second;
      else if (!name.starts_with('#'))
        fail("expected a known entity, found &" + printable(name, 20));
      text.remove_prefix(end + 1);
    }
    return result;
  }

  std::string_view rest_;
  std::string name_;
  std::size_t line_ = 1;
  std::vector<std::string> open_;
};

}  // namespace septum::inline SEPTUM_ABI::io::detail
