#pragma once
#include <chrono>
#include <string>

namespace program {

/// One line on standard error that is drawn anew at most ten times a second: a bar, what is going
/// on, and the time left. On something that is no terminal only finished lines are printed.
class progress_bar {
 public:
  /// @param enabled false prints nothing at all
  progress_bar(std::string title, bool enabled);
  ~progress_bar();
  progress_bar(progress_bar const&) = delete;
  progress_bar& operator=(progress_bar const&) = delete;

  /// @param fraction done, 0 to 1   @param detail e.g. "2,310 patches/s"
  void update(double fraction, std::string const& detail);
  /// Replaces the bar by a line that stays.
  void finish(std::string const& line);

 private:
  using clock = std::chrono::steady_clock;
  std::string title_;
  bool enabled_;
  bool terminal_;
  bool drawn_ = false;
  clock::time_point begin_ = clock::now();
  clock::time_point last_{};
};

/// 75 -> "1:15", 4000 -> "1:06:40".
[[nodiscard]] std::string clock_text(double seconds);

}  // namespace program
