#include "progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <utility>

namespace program {

std::string clock_text(double seconds) {
  auto const whole = static_cast<long>(std::lround(std::max(seconds, 0.0)));
  auto const two = [](long n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  long const hours = whole / 3600;
  long const minutes = whole / 60 % 60;
  if (hours > 0) return std::to_string(hours) + ":" + two(minutes) + ":" + two(whole % 60);
  return std::to_string(minutes) + ":" + two(whole % 60);
}

progress_bar::progress_bar(std::string title, bool enabled)
    : title_{std::move(title)}, enabled_{enabled}, terminal_{isatty(STDERR_FILENO) == 1} {}

progress_bar::~progress_bar() {
  if (drawn_) std::cerr << "\r\033[K" << std::flush;
}

void progress_bar::update(double fraction, std::string const& detail) {
  if (!enabled_ || !terminal_) return;
  auto const now = clock::now();
  if (drawn_ && now - last_ < std::chrono::milliseconds{100}) return;
  last_ = now;
  drawn_ = true;
  constexpr int cells = 28;
  double const done = std::clamp(fraction, 0.0, 1.0);
  auto const full = static_cast<int>(done * cells);
  std::string bar;
  for (int i = 0; i < cells; ++i) bar += i < full ? "█" : "░";
  double const elapsed = std::chrono::duration<double>(now - begin_).count();
  std::string const left = done > 0.01 ? clock_text(elapsed * (1.0 - done) / done) + " left" : "";
  std::cerr << "\r\033[K" << title_ << " " << bar << " " << std::lround(done * 100.0) << " %  "
            << detail << "  " << left << std::flush;
}

void progress_bar::finish(std::string const& line) {
  if (!enabled_) return;
  if (drawn_) std::cerr << "\r\033[K";
  drawn_ = false;
  std::cerr << line << std::endl;
}

}  // namespace program
