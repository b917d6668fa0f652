// Contours on a GPU beside the host's: 1,000 round cells on 2048x2048 pixels with noise, from one
// seed each, 120 iterations. Times include the copies to and from the device; the bytes have to be
// equal. Without a GPU it says what is missing and ends with status 4.
// Usage: bench_gpu_contours [--size 2048] [--cells 1000] [--repeats 10] [--threads 2]
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <septum/exec/cuda_kernel_image.hpp>
#include <septum/image/adapt.hpp>
#include <septum/image/components.hpp>
#include <septum/image/device_contour.hpp>
#include <septum/net/device_contexts.hpp>
#include <septum/segment/contours.hpp>
#include <string>

#include "report.hpp"

namespace {

struct settings {
  int size = 2048;
  int cells = 1000;
  int repeats = 10;
  int threads = 2;
};

struct scene {
  septum::probabilities maps;
  septum::labels seeds;
};

// Cells in rows and columns, each moved a little, with probabilities that fall off at their edges.
scene make_scene(settings const& chosen) {
  auto const side = static_cast<std::size_t>(chosen.size);
  scene made{xt::zeros<float>({side, side, std::size_t{3}}), xt::zeros<std::int32_t>({side, side})};
  septum::counter_rng const random{3, 1};
  int const across = static_cast<int>(std::ceil(std::sqrt(chosen.cells)));
  double const pitch = static_cast<double>(chosen.size) / across;
  for (int cell = 0; cell < chosen.cells; ++cell) {
    auto const draw = static_cast<std::uint64_t>(cell) * 4;
    double const row = (cell / across + 0.4 + 0.2 * random.uniform(draw)) * pitch;
    double const column = (cell % across + 0.4 + 0.2 * random.uniform(draw + 1)) * pitch;
    double const radius = pitch * (0.3 + 0.2 * random.uniform(draw + 2));
    auto const reach = static_cast<int>(radius) + 3;
    for (int r = -reach; r <= reach; ++r)
      for (int c = -reach; c <= reach; ++c) {
        int const y = static_cast<int>(row) + r;
        int const x = static_cast<int>(column) + c;
        if (y < 0 || x < 0 || y >= chosen.size || x >= chosen.size) continue;
        double const away = std::hypot(r, c);
        float& interior = made.maps(static_cast<std::size_t>(y), static_cast<std::size_t>(x), 1U);
        auto const value = static_cast<float>(1.0 / (1.0 + std::exp(away - radius)));
        if (value > interior) interior = value;
        if (away < radius / 3)
          made.seeds(static_cast<std::size_t>(y), static_cast<std::size_t>(x)) = cell + 1;
      }
  }
  std::uint64_t draw = 1U << 20U;
  for (std::size_t i = 1; i < made.maps.size(); i += 3)
    made.maps.data()[i] += 0.05F * static_cast<float>(random.uniform(draw++));
  return made;
}

template <class Refiner, class OnDevice>
void run(std::string const& name, settings const& chosen, scene const& given,
         Refiner const& refiner, OnDevice const& on_device) {
  septum::exec::threads const threads{chosen.threads};
  auto const interior = septum::detail::class_map<1>(given.maps, threads);
  auto const start = septum::detail::mask_of(given.seeds);
  auto const pixels = septum::as_view(interior);
  auto const on_host = refiner.contour();
  bool const equal = on_host(pixels, start, threads) == on_device(pixels, start, threads);
  auto const host =
      benchmark::measure(chosen.repeats, [&] { benchmark::keep(on_host(pixels, start, threads)); });
  auto const device =
      benchmark::measure(chosen.repeats, [&] { benchmark::keep(on_device(pixels, start)); });
  auto const labels = benchmark::measure(chosen.repeats, [&] {
    auto cells = given.seeds;
    refiner.grow(cells, given.maps, on_device, threads);
    benchmark::keep(cells);
  });
  std::cout << "{\"benchmark\": \"gpu_contours\", \"contour\": " << benchmark::quoted(name)
            << ", \"size\": " << chosen.size << ", \"cells\": " << chosen.cells
            << ", \"equal\": " << (equal ? "true" : "false")
            << ", \"host_seconds\": " << benchmark::to_text(host.median)
            << ", \"device_seconds\": " << benchmark::to_text(device.median)
            << ", \"device_and_labels_seconds\": " << benchmark::to_text(labels.median) << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string const option = argv[i];
    int const value = std::atoi(argv[i + 1]);
    if (option == "--size") chosen.size = value;
    if (option == "--cells") chosen.cells = value;
    if (option == "--repeats") chosen.repeats = value;
    if (option == "--threads") chosen.threads = value;
  }
  try {
    auto const libraries = septum::open_device_libraries<septum::cuda>(septum::cuda_kernel_image());
    auto const given = make_scene(chosen);
    septum::labels_contours<1> const labels;
    run("labels mode", chosen, given, labels,
        septum::device_contour<>{libraries.cuda, libraries.kernels, labels.contour()});
    septum::published_contours<1> const published;
    run("published mode", chosen, given, published,
        septum::device_contour<septum::separate_components>{libraries.cuda, libraries.kernels,
                                                            published.contour()});
  } catch (septum::error const& failure) {
    std::cerr << "bench_gpu_contours: " << failure.what() << "\n";
    return static_cast<int>(failure.kind());
  }
}
