#pragma once
#include <chrono>

namespace program {

/// Adds the time from construction to destruction to a sum of seconds.
class stopwatch {
 public:
  explicit stopwatch(double& seconds) : seconds_{&seconds} {}
  ~stopwatch() {
    *seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }
  stopwatch(stopwatch const&) = delete;
  stopwatch& operator=(stopwatch const&) = delete;

 private:
  double* seconds_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace program
