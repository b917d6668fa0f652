// Everything between the net and the table of cells, on one synthetic frame, beside scikit-image:
//
//   python benchmarks/peers/regions.py > peer.json
//   bench_regions --threads 2 --peer peer.json
//
// Both programs draw the same frame from the same integers.
#include <septum/image/cores.hpp>
#include <septum/image/distance.hpp>
#include <septum/image/morphology.hpp>
#include <septum/image/normalize.hpp>
#include <septum/image/regions.hpp>
#include <septum/image/watershed.hpp>
#include <septum/measure/agreement.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "harness.hpp"

namespace sp = septum;

namespace {

/// One ellipse per square of `pitch` pixels, with a hole in every fourth, from a linear
/// congruential sequence.
struct frame {
  int rows = 1080;
  int columns = 1280;
  int pitch = 36;

  std::int32_t count = 0;
  sp::mask foreground;
  sp::labels cells;
  sp::image intensity;

  void draw() {
    auto const height = static_cast<std::size_t>(rows);
    auto const width = static_cast<std::size_t>(columns);
    foreground = sp::mask::from_shape({height, width});
    cells = sp::labels::from_shape({height, width});
    intensity = sp::image::from_shape({height, width, 1});
    foreground.fill(0);
    cells.fill(0);
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c)
        intensity(r, c, 0) = static_cast<float>(1000 + (r * 37 + c * 91) % 1009);
    std::uint32_t state = 12345;
    auto const next = [&](int bound) {
      state = state * 1664525U + 1013904223U;
      return static_cast<int>((state >> 8U) % static_cast<std::uint32_t>(bound));
    };
    for (int top = 0; top + pitch <= rows; top += pitch)
      for (int left = 0; left + pitch <= columns; left += pitch) {
        int const a = 7 + next(8);
        int const b = 7 + next(8);
        int const row = top + pitch / 2 + next(5) - 2;
        int const column = left + pitch / 2 + next(5) - 2;
        ++count;
        for (int r = row - a; r <= row + a; ++r)
          for (int c = column - b; c <= column + b; ++c) {
            int const u = (r - row) * b;
            int const v = (c - column) * a;
            bool const hole =
                count % 4 == 0 && (r - row) * (r - row) + (c - column) * (c - column) <= 4;
            if (u * u + v * v > a * b * a * b || hole) continue;
            foreground(r, c) = 1;
            cells(r, c) = count;
          }
      }
  }
};

}  // namespace

int main(int argc, char** argv) {
  int threads = 1;
  int repeats = 21;
  std::string peer_file;
  frame scene;
  for (int k = 1; k + 1 < argc; k += 2) {
    std::string_view const option = argv[k];
    if (option == "--threads") threads = std::atoi(argv[k + 1]);
    if (option == "--repeats") repeats = std::atoi(argv[k + 1]);
    if (option == "--rows") scene.rows = std::atoi(argv[k + 1]);
    if (option == "--columns") scene.columns = std::atoi(argv[k + 1]);
    if (option == "--peer") peer_file = argv[k + 1];
  }
  scene.draw();
  auto const peer = benchmark::read_peer(peer_file);
  sp::exec::threads const executor{threads};
  std::cout << "machine: " << benchmark::machine() << "\nframe: " << scene.rows << " x "
            << scene.columns << " pixels, " << scene.count << " cells, threads: " << threads
            << ", median of " << repeats << " runs\n"
            << "medians by the clock and of processor time, in ms\n"
            << "task                        septum            peer    peer / septum\n";
  auto const report = [&](char const* name, auto const& work) {
    auto const own = benchmark::measure(repeats, work);
    std::printf("%-22s %8.2f %8.2f", name, own.median * 1e3, own.processor * 1e3);
    auto const clock = peer.find(name);
    auto const processor = peer.find(std::string{name} + "_processor");
    if (clock != peer.end() && processor != peer.end())
      std::printf(" %8.1f %8.1f %8.1f %8.1f", clock->second * 1e3, processor->second * 1e3,
                  clock->second / own.median, processor->second / own.processor);
    std::printf("\n");
    std::fflush(stdout);
  };

  report("components", [&] {
    benchmark::keep(sp::connected_components(scene.foreground, sp::connectivity::eight, executor));
  });
  report("regions",
         [&] { benchmark::keep(sp::measure_regions(scene.cells, scene.intensity, executor)); });
  report("remove_regions", [&] {
    sp::labels cells = scene.cells;
    sp::remove_regions_if(
        cells,
        [](sp::region_properties const& cell) {
          return cell.area_px < 200 || cell.eccentricity > 0.8 || cell.solidity < 0.9;
        },
        executor);
    benchmark::keep(cells);
  });
  report("fill_holes", [&] { benchmark::keep(sp::fill_holes(scene.foreground, executor)); });
  report("dilate_cross",
         [&] { benchmark::keep(sp::dilate(scene.foreground, sp::disk{1}, executor)); });
  report("erode_disk_5",
         [&] { benchmark::keep(sp::erode(scene.foreground, sp::disk{5}, executor)); });
  report("distance_transform",
         [&] { benchmark::keep(sp::distance_transform(scene.foreground, executor)); });
  report("expand_labels", [&] { benchmark::keep(sp::nearest_label(scene.cells, 5, executor)); });
  // Cells without their rim flood the foreground, deepest pixels first.
  auto const depth = sp::distance_transform(scene.foreground);
  sp::labels relief = scene.cells;
  sp::labels seeds = scene.cells;
  for (std::size_t p = 0; p < relief.size(); ++p) {
    relief.data()[p] = -static_cast<std::int32_t>(8 * depth.data()[p]);
    if (depth.data()[p] <= 4) seeds.data()[p] = 0;
  }
  report("watershed_integer",
         [&] { benchmark::keep(sp::watershed(relief, seeds, scene.foreground)); });
  xt::xtensor<float, 2> negative_depth = depth;
  for (float& value : negative_depth) value = -value;
  report("watershed_float",
         [&] { benchmark::keep(sp::watershed(negative_depth, seeds, scene.foreground)); });
  // As probabilities lie: nearly 1 within a cell, less towards its rim.
  xt::xtensor<float, 2> likely = depth;
  for (float& value : likely) value = std::min(1.0F, value / 4.0F);
  report("cores", [&] { benchmark::keep(sp::find_cores(sp::as_view(likely), {}, executor)); });
  report("normalize_median_box", [&] {
    sp::image pixels = scene.intensity;
    sp::median_box_normalizer{.window = 61}(sp::as_view(pixels), executor);
    benchmark::keep(pixels);
  });
  report("overlaps", [&] { benchmark::keep(sp::count_overlaps(scene.cells, scene.cells)); });
  return 0;
}
