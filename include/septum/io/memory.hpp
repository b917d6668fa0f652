#pragma once
#include <septum/core/text.hpp>
#include <septum/io/file.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace septum::inline SEPTUM_ABI::io {

namespace detail {

/// A file of /proc or /sys, which have no size; empty when there is none.
[[nodiscard]] inline std::string system_file(std::filesystem::path const& path) {
  std::ifstream file{path};
  std::string text;
  std::array<char, 4096> part{};
  while (file.read(part.data(), part.size()) || file.gcount() > 0) {
    text.append(part.data(), static_cast<std::size_t>(file.gcount()));
    if (text.size() > (std::size_t{1} << 20U)) break;
  }
  return text;
}

/// The number behind `key` in lines of "key number".
[[nodiscard]] inline std::optional<std::uint64_t> number_after(std::string_view text,
                                                               std::string_view key) {
  for (std::size_t at = 0; at < text.size();) {
    std::string_view line = text.substr(at, text.find('\n', at) - at);
    at += line.size() + 1;
    if (!line.starts_with(key)) continue;
    line.remove_prefix(std::min(line.size(), line.find_first_of("0123456789", key.size())));
    auto const number =
        parse_number<std::uint64_t>(line.substr(0, line.find_first_not_of("0123456789")));
    if (number) return number;
  }
  return std::nullopt;
}

/// What a limit of a control group leaves: none where it has no limit. Pages of files that were
/// read are counted as used by the system and are free all the same.
[[nodiscard]] inline std::optional<std::uint64_t> left_in_group(std::filesystem::path const& folder,
                                                                char const* limit_name,
                                                                char const* used_name) {
  auto const limit = number_after(system_file(folder / limit_name), "");
  auto const used = number_after(system_file(folder / used_name), "");
  if (!limit || !used || *limit >= (std::uint64_t{1} << 60U)) return std::nullopt;
  std::string const statistics = system_file(folder / "memory.stat");
  std::uint64_t const files = number_after(statistics, "inactive_file ").value_or(0) +
                              number_after(statistics, "active_file ").value_or(0);
  std::uint64_t const held = *used - std::min(*used, files);
  return *limit - std::min(*limit, held);
}

}  // namespace detail

/// Bytes that this process may still take: what the system says is available, and less where the
/// process belongs to control groups with limits (containers, batch systems). Nothing where the
/// system does not say.
/// @param root  where /proc and /sys are
[[nodiscard]] inline std::optional<std::uint64_t> available_memory(
    std::filesystem::path const& root = "/") {
  namespace fs = std::filesystem;
  std::optional<std::uint64_t> least;
  auto const lower = [&](std::optional<std::uint64_t> bytes) {
    if (bytes) least = std::min(*bytes, least.value_or(*bytes));
  };
  if (auto const kilobytes =
          detail::number_after(detail::system_file(root / "proc/meminfo"), "MemAvailable:"))
    lower(*kilobytes * 1024);
  std::string const groups = detail::system_file(root / "proc/self/cgroup");
  for (std::size_t at = 0; at < groups.size();) {
    std::string const line = groups.substr(at, groups.find('\n', at) - at);
    at += line.size() + 1;
    auto const first = line.find(':');
    auto const second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string const controllers = line.substr(first + 1, second - first - 1);
    bool const unified = controllers.empty();
    if (!unified && controllers != "memory") continue;
    fs::path const top = root / (unified ? "sys/fs/cgroup" : "sys/fs/cgroup/memory");
    // Every group above has a limit of its own. In a container the path may be one of the host:
    // then only the top exists.
    fs::path group = fs::path{line.substr(second + 1)}.relative_path();
    while (true) {
      lower(unified ? detail::left_in_group(top / group, "memory.max", "memory.current")
                    : detail::left_in_group(top / group, "memory.limit_in_bytes",
                                            "memory.usage_in_bytes"));
      if (group.empty()) break;
      group = group.parent_path();
    }
  }
  return least;
}

}  // namespace septum::inline SEPTUM_ABI::io
