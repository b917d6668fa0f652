// Active contours over one frame: 120 iterations from 150 seeds, beside scikit-image:
//
//   python benchmarks/peers/contours.py > peer.json
//   bench_contours --threads 2 --peer peer.json
//
// Both programs draw the same frame from the same integers and print how many pixels end inside.
#include <septum/image/evolve.hpp>
#include <septum/segment/contours.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "harness.hpp"

namespace sp = septum;

namespace {

/// 10 x 15 cells, an ellipse each, on noise; the seeds are squares of 13 pixels in their middle.
struct frame {
  static constexpr int rows = 1080;
  static constexpr int columns = 1280;

  xt::xtensor<float, 2> pixels = xt::xtensor<float, 2>::from_shape({rows, columns});
  sp::mask start = xt::zeros<std::uint8_t>({rows, columns});
  sp::labels seeds = xt::zeros<std::int32_t>({rows, columns});

  frame() {
    std::uint32_t state = 12345;
    auto const next = [&] {
      state = state * 1664525U + 1013904223U;
      return static_cast<int>((state >> 8U) % 1000U);
    };
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c) {
        int const row = r % 108 - 54;
        int const column = c % 85 - 42;
        bool const inside = row * row * 36 * 36 + column * column * 46 * 46 < 36 * 36 * 46 * 46;
        pixels(r, c) = static_cast<float>((inside ? 600 : 0) + next()) / 1600.0F;
        bool const seed = row >= -6 && row <= 6 && column >= -6 && column <= 6 && c / 85 < 15;
        start(r, c) = seed ? 1 : 0;
        if (seed) seeds(r, c) = r / 108 * 15 + c / 85 + 1;
      }
  }
};

template <class Pixels>
long inside(Pixels const& pixels) {
  long count = 0;
  for (auto const pixel : pixels) count += pixel != 0 ? 1 : 0;
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 1;
  int repeats = 11;
  std::string peer_file;
  for (int k = 1; k + 1 < argc; k += 2) {
    std::string_view const option = argv[k];
    if (option == "--threads") threads = std::atoi(argv[k + 1]);
    if (option == "--repeats") repeats = std::atoi(argv[k + 1]);
    if (option == "--peer") peer_file = argv[k + 1];
  }
  frame const scene;
  auto const peer = benchmark::read_peer(peer_file);
  sp::exec::threads const executor{threads};
  std::cout << "machine: " << benchmark::machine() << "\nframe: " << frame::rows << " x "
            << frame::columns << " pixels, 150 seeds, 120 iterations, threads: " << threads
            << ", median of " << repeats << " runs, ms by the clock\n"
            << "task                        septum     peer  peer / septum   pixels inside, both\n";
  auto const report = [&](char const* name, auto const& work) {
    auto const own = benchmark::measure(repeats, work);
    std::printf("%-25s %9.2f", name, own.median * 1e3);
    auto const clock = peer.find(name);
    auto const area = peer.find(std::string{name} + "_inside");
    if (clock != peer.end() && area != peer.end())
      std::printf(" %8.0f %14.0f   %ld %.0f", clock->second * 1e3, clock->second / own.median,
                  inside(work()), area->second);
    std::printf("\n");
    std::fflush(stdout);
  };
  auto const pixels = sp::as_view(scene.pixels);
  report("chan_vese", [&] { return sp::chan_vese_contour{}(pixels, scene.start, executor); });
  report("geodesic", [&] {
    return sp::geodesic_contour{.data = {.balloon = 1}}(pixels, scene.start, executor);
  });
  sp::probabilities maps = xt::zeros<float>({frame::rows, frame::columns, 2});
  for (std::size_t p = 0; p < scene.pixels.size(); ++p)
    maps.data()[2 * p + 1] = scene.pixels.data()[p];
  report("published_contours", [&] {
    sp::labels cells = scene.seeds;
    sp::published_contours<1>{}(cells, maps, {}, executor);
    return cells;
  });
  report("labels_contours", [&] {
    sp::labels cells = scene.seeds;
    sp::labels_contours<1>{}(cells, maps, {}, executor);
    return cells;
  });
  return 0;
}
