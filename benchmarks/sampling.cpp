// Patches per second of the training pipeline, from a whole image to shuffled, turned batches, by
// window, channels and threads; and movies per second of the simulator. JSON on standard output:
//
//   bench_sampling [--threads 2] [--repeats 7]
#include <septum/image/types.hpp>
#include <septum/sample/batches.hpp>
#include <septum/simulate/colony.hpp>

#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness.hpp"
#include "report.hpp"

namespace sp = septum;

namespace {

int constexpr patches_per_run = 40000;

benchmark::result time_batches(int window, int channels, bool augment, int threads, int repeats) {
  sp::image pixels = sp::image::from_shape({1080, 1280, static_cast<std::size_t>(channels)});
  pixels.fill(1.0F);
  sp::counter_rng const rng{1, sp::stream::sampling};
  std::vector<sp::patch_index> patches;
  for (std::uint64_t k = 0; k < patches_per_run; ++k) {
    auto const place = [&](std::uint64_t draw, int side) {
      return window / 2 +
             static_cast<int>(rng.below(draw, static_cast<std::uint64_t>(side - window)));
    };
    patches.push_back({0, place(2 * k, 1080), place(2 * k + 1, 1280), 0});
  }
  sp::patch_batches batches{{sp::as_view(std::as_const(pixels))},
                            std::move(patches),
                            {.window = window, .augment = augment},
                            sp::exec::threads{threads}};
  int epoch = 0;
  auto const seconds = benchmark::measure(repeats, [&] {
    for (auto const& batch : batches.epoch(epoch++)) benchmark::keep(batch.patches(0, 0, 0, 0));
  });
  return {.name = std::to_string(window) + "x" + std::to_string(window) + "x" +
                  std::to_string(channels) + (augment ? " turned" : " plain"),
          .threads = threads,
          .work = patches_per_run,
          .unit = "patches/s",
          .seconds = seconds};
}

benchmark::result time_colony(int threads, int repeats) {
  sp::colony_options const options{.frames = 30, .growth = {.doubling_time_min = 27}};
  auto const seconds = benchmark::measure(repeats, [&] {
    benchmark::keep(
        sp::simulate_colony(options, {}, sp::exec::threads{threads}).truth.cells.size());
  });
  return {.name = "simulate 400x400 colony",
          .threads = threads,
          .work = options.frames * 1.0,
          .unit = "frames/s",
          .seconds = seconds};
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 2;
  int repeats = 7;
  for (int k = 1; k + 1 < argc; k += 2) {
    std::string_view const option = argv[k];
    if (option == "--threads") threads = std::atoi(argv[k + 1]);
    if (option == "--repeats") repeats = std::atoi(argv[k + 1]);
  }
  std::vector<benchmark::result> results;
  for (int const count : {1, threads}) {
    for (int const window : {31, 61})
      for (int const channels : {1, 2})
        for (bool const augment : {false, true})
          results.push_back(time_batches(window, channels, augment, count, repeats));
    results.push_back(time_colony(count, 3));
    if (threads == 1) break;
  }
  benchmark::write_json(std::cout, "sampling", results);
}
