// Cell statistics and mixtures beside scikit-image and scikit-learn:
//
//   python benchmarks/peers/image_statistics.py > peer.json
//   bench_statistics --threads 1 --peer peer.json
//
// Both programs draw the same cells and numbers from the same integers.
#include <septum/measure/cell_statistics.hpp>
#include <septum/measure/mixture.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "harness.hpp"

namespace sp = septum;

namespace {

/// A linear congruential sequence, the same in Python.
struct sequence {
  std::uint32_t state = 12345;
  int operator()(int bound) {
    state = state * 1664525U + 1013904223U;
    return static_cast<int>((state >> 8U) % static_cast<std::uint32_t>(bound));
  }
};

/// 45 x 30 ellipses in 1080 x 1280 pixels with two channels.
struct frame {
  sp::labels cells = sp::labels::from_shape({1080, 1280});
  sp::image pixels = sp::image::from_shape({1080, 1280, 2});
  int count = 0;

  frame() {
    cells.fill(0);
    for (int r = 0; r < 1080; ++r)
      for (int c = 0; c < 1280; ++c) {
        pixels(r, c, 0) = static_cast<float>(1000 + (r * 37 + c * 91) % 1009);
        pixels(r, c, 1) = static_cast<float>((r * 53 + c * 17) % 4093);
      }
    sequence next;
    for (int i = 0; i < 30; ++i)
      for (int j = 0; j < 45; ++j) {
        int const a = 8 + next(8);
        int const b = 6 + next(6);
        int const row = 36 * i + 18 + next(3) - 1;
        int const column = 28 * j + 14 + next(3) - 1;
        ++count;
        for (int r = row - a; r <= row + a; ++r)
          for (int c = column - b; c <= column + b; ++c)
            if ((r - row) * b * (r - row) * b + (c - column) * a * (c - column) * a <=
                a * b * a * b)
              cells(r, c) = count;
      }
  }
};

/// Numbers of two bells: each the sum of twelve uniform ones.
std::vector<float> two_bells(int count) {
  sequence next;
  std::vector<float> numbers;
  for (int k = 0; k < count; ++k) {
    bool const high = k % 3 == 0;
    int sum = 0;
    for (int i = 0; i < 12; ++i) sum += next(high ? 241 : 161);
    numbers.push_back(static_cast<float>(sum + (high ? -600 : -500) + 1000));
  }
  return numbers;
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 1;
  int repeats = 15;
  std::string peer_file;
  for (int k = 1; k + 1 < argc; k += 2) {
    std::string_view const option = argv[k];
    if (option == "--threads") threads = std::atoi(argv[k + 1]);
    if (option == "--repeats") repeats = std::atoi(argv[k + 1]);
    if (option == "--peer") peer_file = argv[k + 1];
  }
  auto const peer = benchmark::read_peer(peer_file);
  frame const scene;
  auto const numbers = two_bells(5000);
  std::cout << "machine: " << benchmark::machine() << "\nframe: 1080 x 1280 pixels, 2 channels, "
            << scene.count << " cells; mixture: " << numbers.size()
            << " numbers; threads: " << threads << "\n";
  auto const report = [&](char const* name, auto const& work) {
    auto const own = benchmark::measure(repeats, work);
    std::printf("%-18s %9.3f ms", name, own.median * 1e3);
    if (auto const its = peer.find(name); its != peer.end())
      std::printf("   peer %9.1f ms   %7.1f times", its->second * 1e3, its->second / own.median);
    std::printf("\n");
  };
  report("cell_statistics", [&] {
    benchmark::keep(sp::measure_cells(scene.cells, scene.pixels, {}, sp::exec::threads{threads}));
  });
  report("mixture", [&] { benchmark::keep(sp::fit_mixture(numbers)); });
  auto const fitted = sp::fit_mixture(numbers);
  std::printf("mixture: weights %.6f %.6f, means %.4f %.4f, deviations %.4f %.4f\n",
              fitted.low.weight, fitted.high.weight, fitted.low.mean, fitted.high.mean,
              fitted.low.sd, fitted.high.sd);
  return 0;
}
