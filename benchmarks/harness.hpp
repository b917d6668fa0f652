#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <string>
#include <vector>

/// What every benchmark shares: the clock, the median, and the name of the machine.
namespace benchmark {

/// Seconds of repeated runs by the clock, and the median processor time of a run (all threads
/// together), which other programs on the machine disturb less.
struct timing {
  double median = 0;
  double fastest = 0;
  double slowest = 0;
  double processor = 0;
};

/// Runs `work` once to warm up and then `repeats` times.
template <class Work>
timing measure(int repeats, Work const& work) {
  work();
  std::vector<double> seconds;
  std::vector<double> processor;
  for (int k = 0; k < std::max(repeats, 1); ++k) {
    auto const start = std::chrono::steady_clock::now();
    std::clock_t const processor_start = std::clock();
    work();
    processor.push_back(static_cast<double>(std::clock() - processor_start) /
                        static_cast<double>(CLOCKS_PER_SEC));
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  std::sort(processor.begin(), processor.end());
  auto const middle = seconds.size() / 2;
  return {.median = seconds[middle],
          .fastest = seconds.front(),
          .slowest = seconds.back(),
          .processor = processor[middle]};
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

/// Numbers by name from the peer's output, one `"name": number` per line; none without a file.
inline std::map<std::string, double> read_peer(std::string const& path) {
  std::map<std::string, double> numbers;
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);) {
    auto const open = line.find('"');
    auto const close = line.find("\": ", open + 1);
    if (open == std::string::npos || close == std::string::npos) continue;
    char* end = nullptr;
    std::string const number = line.substr(close + 3);
    double const value = std::strtod(number.c_str(), &end);
    if (end != number.c_str()) numbers[line.substr(open + 1, close - open - 1)] = value;
  }
  return numbers;
}

}  // namespace benchmark
