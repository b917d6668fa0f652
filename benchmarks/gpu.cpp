// Whole-frame inference of the published nets on a GPU: seconds per 1280x1080 frame from a
// normalised frame in memory to the mean class probabilities in memory, one frame at a time and as
// a stream. Weights are random. Without a GPU it says what is missing and ends with status 4.
// Usage: bench_gpu [--backend cudnn|cuda] [--net 31|61] [--nets 5] [--precision f32|tf32|bf16|f16]
// [--repeats 20]
// [--layers 1]
// --layers 1 also times each layer of one net by itself; --split 1 computes f32 from split factors.
#include <cstdlib>
#include <iostream>
#include <optional>
#include <septum/exec/cuda_kernel_image.hpp>
#include <septum/net/device_ensemble.hpp>
#include <septum/nn/feature_nets.hpp>
#include <string>
#include <vector>

#include "report.hpp"

namespace {

struct settings {
  int net = 31;
  int nets = 5;
  int repeats = 20;
  bool layers = false;
  bool split = false;
  std::string precision = "f32";
  std::string backend = "cudnn";
};

settings parse(int argc, char** argv) {
  settings chosen;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string const option = argv[i];
    if (option == "--net") chosen.net = std::atoi(argv[i + 1]);
    if (option == "--nets") chosen.nets = std::atoi(argv[i + 1]);
    if (option == "--repeats") chosen.repeats = std::atoi(argv[i + 1]);
    if (option == "--split") chosen.split = std::atoi(argv[i + 1]) != 0;
    if (option == "--layers") chosen.layers = std::atoi(argv[i + 1]) != 0;
    if (option == "--backend") chosen.backend = argv[i + 1];
    if (option == "--precision") chosen.precision = argv[i + 1];
  }
  return chosen;
}

septum::gpu_precision precision_named(std::string const& name) {
  for (auto const each :
       {septum::gpu_precision::tf32, septum::gpu_precision::bf16, septum::gpu_precision::f16})
    if (name == septum::name_of(each)) return each;
  return septum::gpu_precision::f32;
}

template <class Net, class Backend>
void run(settings const& chosen, septum::device_libraries const& libraries) {
  constexpr std::size_t rows = 1080;
  constexpr std::size_t columns = 1280;
  septum::image frame = septum::image::from_shape(
      {rows, columns, static_cast<std::size_t>(septum::base_stack_t<Net>::input_channels)});
  septum::counter_rng const rng{1, 1};
  for (std::size_t i = 0; i < frame.size(); ++i)
    frame.data()[i] = static_cast<float>(rng.normal(i));
  std::vector<std::vector<float>> sets;
  for (int k = 0; k < chosen.nets; ++k)
    sets.push_back(septum::he_normal<Net>({static_cast<std::uint64_t>(k), 1}));
  septum::device_ensemble<Net, Backend> nets{
      sets,
      libraries,
      {.cudnn = {.precision = precision_named(chosen.precision), .split_factors = chosen.split}}};
  auto const single =
      benchmark::measure(chosen.repeats, [&] { benchmark::keep(nets.predict(frame)); });
  auto const series = benchmark::measure(1, [&] {
    int left = chosen.repeats;
    nets.predict_series(
        [&]() -> std::optional<septum::image> {
          if (left-- == 0) return std::nullopt;
          return frame;
        },
        [](septum::probabilities const& maps) { benchmark::keep(maps); });
  });
  std::cout << "{\"benchmark\": \"gpu\", \"net\": \"bn_feature_net_" << chosen.net << "x"
            << chosen.net << "\", \"nets\": " << chosen.nets
            << ", \"backend\": " << benchmark::quoted(chosen.backend)
            << ", \"precision\": " << benchmark::quoted(chosen.precision)
            << ", \"compute_capability\": "
            << septum::select_device(*libraries.cuda).compute_capability
            << ", \"seconds_median\": " << benchmark::to_text(single.median)
            << ", \"seconds_minimum\": " << benchmark::to_text(single.fastest)
            << ", \"seconds_per_frame_of_a_series\": "
            << benchmark::to_text(series.median / chosen.repeats);
  if (chosen.layers) {
    std::string lead = ", \"layers\": [";
    for (auto const& layer : nets.frames().measure_layers(chosen.repeats)) {
      std::cout << lead << "\n  {\"layer\": " << benchmark::quoted(layer.layer)
                << ", \"backend\": " << benchmark::quoted(layer.backend)
                << ", \"milliseconds\": " << benchmark::to_text(layer.seconds * 1e3)
                << ", \"tflops\": "
                << benchmark::to_text(2e-12 * layer.multiply_adds / layer.seconds) << "}";
      lead = ",";
    }
    std::cout << "]";
  }
  std::cout << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  auto const chosen = parse(argc, argv);
  try {
    auto const libraries = septum::open_device_libraries(septum::cuda_kernel_image());
    auto const with_backend = [&]<class Backend>(Backend) {
      if (chosen.net == 61)
        run<septum::bn_feature_net_61x61<2, 3>, Backend>(chosen, libraries);
      else
        run<septum::bn_feature_net_31x31<1, 3>, Backend>(chosen, libraries);
    };
    if (chosen.backend == "cuda")
      with_backend(septum::cuda{});
    else
      with_backend(septum::cudnn{});
  } catch (septum::error const& failure) {
    std::cerr << "bench_gpu: " << failure.what() << "\n";
    return static_cast<int>(failure.kind());
  }
}
