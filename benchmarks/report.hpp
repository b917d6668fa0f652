#pragma once
#include <septum/version.hpp>

#include <charconv>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "harness.hpp"

/// Benchmark results as JSON, with what is needed to compare them: machine, compiler, threads.
namespace benchmark {

/// One measured rate: `work` units per run over the timing of a run.
struct result {
  std::string name;  ///< what was measured, with its sizes
  int threads = 1;
  double work = 1;   ///< units done in one run
  std::string unit;  ///< what is counted per second: "patches/s", "frames/s"
  timing seconds{};
};

/// The shortest text that reads back as `value`.
inline std::string to_text(double value) {
  char text[64];
  auto const end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

inline std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (char const c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) result += c;
  }
  return result + '"';
}

/// Writes one JSON object: the rates are those of the median, fastest and slowest run.
inline void write_json(std::ostream& out, std::string_view name,
                       std::vector<result> const& results) {
#if defined(__clang__)
  std::string const compiler = "clang " __clang_version__;
#else
  std::string const compiler = "g++ " __VERSION__;
#endif
  out << "{\n  \"benchmark\": " << quoted(name) << ",\n  \"machine\": " << quoted(machine())
      << ",\n  \"hardware_threads\": " << std::thread::hardware_concurrency()
      << ",\n  \"compiler\": " << quoted(compiler) << ",\n  \"septum\": "
      << quoted(std::to_string(SEPTUM_VERSION_MAJOR) + '.' + std::to_string(SEPTUM_VERSION_MINOR) +
                '.' + std::to_string(SEPTUM_VERSION_PATCH))
      << ",\n  \"results\": [";
  char const* separator = "\n";
  for (auto const& one : results) {
    out << std::exchange(separator, ",\n") << "    {\"name\": " << quoted(one.name)
        << ", \"threads\": " << one.threads << ", \"unit\": " << quoted(one.unit)
        << ", \"median\": " << to_text(one.work / one.seconds.median)
        << ", \"best\": " << to_text(one.work / one.seconds.fastest)
        << ", \"worst\": " << to_text(one.work / one.seconds.slowest) << "}";
  }
  out << "\n  ]\n}\n";
}

}  // namespace benchmark
