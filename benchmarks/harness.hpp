#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

/// What every benchmark shares: the clock, the median, and the name of the machine.
namespace benchmark {

/// Seconds of repeated runs.
struct timing {
  double median = 0;
  double fastest = 0;
  double slowest = 0;
};

/// Runs `work` once to warm up and then `repeats` times.
template <class Work>
timing measure(int repeats, Work const& work) {
  work();
  std::vector<double> seconds;
  for (int k = 0; k < std::max(repeats, 1); ++k) {
    auto const start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return {
      .median = seconds[seconds.size() / 2], .fastest = seconds.front(), .slowest = seconds.back()};
}

/// Keeps a result from being optimised away.
template <class T>
void keep(T const& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

/// Model of the processor, or "unknown".
inline std::string machine() {
  std::ifstream file{"/proc/cpuinfo"};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) {
      auto const colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  return "unknown";
}

}  // namespace benchmark
