// Movies for timing trackers, and the time of the two-step tracker on points.
//
//   bench_tracking movie FOLDER FRAMES CELLS SIDE   writes label images t0000.tif and so on: discs
//   that
//                                                   wander, divide and leave; time septum track on
//                                                   them
//   bench_tracking spots FRAMES SPOTS               points that wander, vanish, split and merge:
//   time and
//                                                   peak memory of trackmate_tracker with gaps,
//                                                   splits and merges, as one line of JSON

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <septum/core/rng.hpp>
#include <septum/io/tiff.hpp>
#include <septum/track/two_step_tracker.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace sp = septum;
namespace fs = std::filesystem;

int number(char const* text) {
  int value = 0;
  auto const end = text + std::strlen(text);
  if (std::from_chars(text, end, value).ptr != end || value < 1)
    throw std::runtime_error{"expected a number above 0"};
  return value;
}

struct cell {
  double y, x, vy, vx;
};

/// Cells that wander in a square; some leave the movie and as many come in by division.
class crowd {
 public:
  crowd(int count, double side) : side_{side} {
    for (int k = 0; k < count; ++k) cells_.push_back({side * draw(), side * draw(), 0, 0});
  }
  [[nodiscard]] std::vector<cell> const& cells() const { return cells_; }

  void advance(double turnover) {
    for (cell& c : cells_) {
      c.vy = 0.7 * c.vy + 0.5 * normal();
      c.vx = 0.7 * c.vx + 0.5 * normal();
      c.y = std::clamp(c.y + c.vy, 0.0, side_ - 1);
      c.x = std::clamp(c.x + c.vx, 0.0, side_ - 1);
    }
    auto const changes = static_cast<std::size_t>(turnover * static_cast<double>(cells_.size()));
    for (std::size_t k = 0; k < changes; ++k) {
      auto const gone = static_cast<std::size_t>(draw() * static_cast<double>(cells_.size()));
      auto const mother = static_cast<std::size_t>(draw() * static_cast<double>(cells_.size()));
      cells_[gone] = cells_[mother];
      cells_[gone].y = std::clamp(cells_[gone].y + 6 * normal(), 0.0, side_ - 1);
      cells_[gone].x = std::clamp(cells_[gone].x + 6 * normal(), 0.0, side_ - 1);
    }
  }
  [[nodiscard]] double draw() { return rng_.uniform(next_++); }

 private:
  [[nodiscard]] double normal() { return rng_.normal(next_++); }

  double side_;
  sp::counter_rng rng_{.seed = 1};
  std::uint64_t next_ = 0;
  std::vector<cell> cells_;
};

void write_movie(fs::path const& folder, int frames, int count, int side) {
  fs::create_directories(folder);
  crowd all{count, static_cast<double>(side)};
  double const radius = 0.3 * side / std::sqrt(static_cast<double>(count));
  for (int f = 0; f < frames; ++f) {
    if (f > 0) all.advance(0.002);
    sp::labels image =
        sp::labels::from_shape({static_cast<std::size_t>(side), static_cast<std::size_t>(side)});
    image.fill(0);
    std::int32_t label = 0;
    for (cell const& c : all.cells()) {
      ++label;
      for (int y = static_cast<int>(c.y - radius); y <= static_cast<int>(c.y + radius); ++y)
        for (int x = static_cast<int>(c.x - radius); x <= static_cast<int>(c.x + radius); ++x)
          if (y >= 0 && x >= 0 && y < side && x < side && std::hypot(y - c.y, x - c.x) <= radius)
            image(static_cast<std::size_t>(y), static_cast<std::size_t>(x)) = label;
    }
    std::string const digits = std::to_string(f);
    sp::io::write_tiff(
        folder /
            ("t" + std::string(4 - std::min<std::size_t>(4, digits.size()), '0') + digits + ".tif"),
        image, {.label_bits = 16});
  }
}

void time_spots(int frames, int count) {
  std::size_t const per_frame = static_cast<std::size_t>(count / frames);
  crowd all{static_cast<int>(per_frame), 12 * std::sqrt(static_cast<double>(per_frame))};
  std::vector<sp::frame_cells> movie;
  std::int64_t id = 0;
  for (int f = 0; f < frames; ++f) {
    if (f > 0) all.advance(0.05);
    sp::frame_cells frame{.frame = f, .cells = {}, .pixels = {}};
    for (cell const& c : all.cells()) {
      ++id;
      if (all.draw() < 0.03) continue;
      frame.cells.push_back({.id = id, .y = c.y, .x = c.x});
    }
    movie.push_back(std::move(frame));
  }
  auto const tracker = sp::trackmate_tracker({.splitting = true, .merging = true});
  auto const begin = std::chrono::steady_clock::now();
  auto const links = tracker(movie);
  double const seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "{\"spots\": %d, \"frames\": %d, \"links\": %zu, \"seconds\": %.4f, "
      "\"peak_bytes\": %lld}\n",
      count, frames, links.size(), seconds, static_cast<long long>(usage.ru_maxrss) * 1024);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::string const form = argc > 1 ? argv[1] : "";
    if (form == "movie" && argc == 6)
      write_movie(argv[2], number(argv[3]), number(argv[4]), number(argv[5]));
    else if (form == "spots" && argc == 4)
      time_spots(number(argv[2]), number(argv[3]));
    else
      throw std::runtime_error{"expected movie FOLDER FRAMES CELLS SIDE, or spots FRAMES SPOTS"};
  } catch (std::exception const& e) {
    std::fprintf(stderr, "bench_tracking: %s\n", e.what());
    return 2;
  }
  return 0;
}
