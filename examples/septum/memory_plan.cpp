#include "memory_plan.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <numeric>
#include <septum/core/text.hpp>
#include <septum/io/memory.hpp>
#include <utility>

namespace program {

void memory_plan::add(std::string what, std::uint64_t bytes) {
  parts.emplace_back(std::move(what), bytes);
}

std::uint64_t memory_plan::total() const {
  return std::accumulate(parts.begin(), parts.end(), std::uint64_t{0},
                         [](std::uint64_t sum, auto const& part) { return sum + part.second; });
}

std::uint64_t resident_bytes() {
  std::ifstream file{"/proc/self/statm"};
  std::uint64_t pages = 0;
  std::uint64_t resident = 0;
  if (file >> pages >> resident)
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return peak_memory_bytes();
}

std::uint64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

std::uint64_t allowed_bytes(std::size_t limit_mb) {
  if (limit_mb > 0) return std::uint64_t{limit_mb} << 20U;
  auto const free = septum::io::available_memory();
  if (!free) return std::numeric_limits<std::uint64_t>::max();
  return resident_bytes() + *free;
}

std::uint64_t overhead_bytes(int threads, std::uint64_t data_bytes) {
  constexpr std::uint64_t libraries = std::uint64_t{24} << 20U;
  constexpr std::uint64_t per_thread = std::uint64_t{4} << 20U;
  return libraries + per_thread * static_cast<std::uint64_t>(threads) + data_bytes / 16;
}

std::string bytes_text(std::uint64_t bytes) {
  double const mib = static_cast<double>(bytes) / 1048576.0;
  return mib < 1000.0 ? septum::to_text(mib, 0) + " MiB"
                      : septum::to_text(mib / 1024.0, 2) + " GiB";
}

}  // namespace program
