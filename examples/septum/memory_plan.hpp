#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace program {

/// The most memory that a run will need, by what needs it.
struct memory_plan {
  std::vector<std::pair<std::string, std::uint64_t>> parts;

  void add(std::string what, std::uint64_t bytes);
  [[nodiscard]] std::uint64_t total() const;
};

/// Memory that this process holds now, and at most held so far, in bytes.
[[nodiscard]] std::uint64_t resident_bytes();
[[nodiscard]] std::uint64_t peak_memory_bytes();

/// Memory that this process may hold in all: the limit, or else what it holds now and what is free.
/// @param limit_mb  MiB; 0: none given
[[nodiscard]] std::uint64_t allowed_bytes(std::size_t limit_mb);

/// What a program of this size takes beside its data: threads, libraries and what the allocator
/// keeps.
[[nodiscard]] std::uint64_t overhead_bytes(int threads, std::uint64_t data_bytes);

/// "1.5 GiB", "300 MiB".
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);

}  // namespace program
