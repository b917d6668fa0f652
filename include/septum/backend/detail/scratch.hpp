#pragma once
#include <septum/core/config.hpp>

#include <cstddef>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Memory that kernels of one context use in turn: grows when a plan is prepared, is reused by
/// every call after that, and holds nothing between calls. Aligned to cache lines.
class scratch_memory {
 public:
  /// At least `bytes` bytes; earlier pointers become invalid when it has to grow.
  std::byte* reserve(std::size_t bytes) {
    std::size_t const lines = (bytes + sizeof(cache_line) - 1) / sizeof(cache_line);
    if (lines > lines_.size()) {
      lines_.clear();
      lines_.shrink_to_fit();
      lines_.resize(lines);
    }
    return lines_.data()->bytes;
  }
  /// Bytes held.
  [[nodiscard]] std::size_t size() const { return lines_.size() * sizeof(cache_line); }

  /// `bytes` rounded up to whole cache lines: parts of one block that start on lines of their own.
  [[nodiscard]] static constexpr std::size_t rounded(std::size_t bytes) {
    return (bytes + sizeof(cache_line) - 1) / sizeof(cache_line) * sizeof(cache_line);
  }

 private:
  struct alignas(64) cache_line {
    std::byte bytes[64];
  };
  std::vector<cache_line> lines_ = std::vector<cache_line>(1);
};

}  // namespace septum::inline SEPTUM_ABI::detail
