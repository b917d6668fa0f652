// Patch training of the published nets on a GPU: patches per second of whole steps (gathering and
// turning a batch, forward, backward, update). Without a GPU it says what is missing and ends with
// status 4.
// Usage: bench_gpu_train [--net 31|61] [--batch 256] [--precision f32|tf32] [--steps 200]
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <septum/exec/cuda_kernel_image.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/sample/device_batches.hpp>
#include <septum/train/device_trainer.hpp>
#include <string>
#include <vector>

#include "report.hpp"

namespace {

struct settings {
  int net = 31;
  int batch = 256;
  int steps = 200;
  std::string precision = "f32";
};

template <class Net>
void run(settings const& chosen, septum::device_libraries const& libraries) {
  using base = septum::base_stack_t<Net>;
  constexpr int field = base::receptive_field;
  std::vector<float> frame(static_cast<std::size_t>(1080 * 1280 * base::input_channels));
  septum::counter_rng const rng{1, 1};
  for (std::size_t i = 0; i < frame.size(); ++i) frame[i] = static_cast<float>(rng.normal(i));
  septum::view<float const, 3> const pixels{frame.data(), {1080, 1280, base::input_channels}};
  std::vector<septum::patch_index> patches;
  for (int k = 0; k < chosen.batch * chosen.steps; ++k) {
    auto const draw = static_cast<std::uint64_t>(k);
    patches.push_back({0, 40 + static_cast<int>(rng.below(draw, 1000)),
                       40 + static_cast<int>(rng.below(~draw, 1200)),
                       static_cast<std::uint8_t>(k % 3)});
  }
  septum::device_contexts<septum::cudnn> contexts{
      libraries,
      {.precision =
           chosen.precision == "tf32" ? septum::gpu_precision::tf32 : septum::gpu_precision::f32}};
  septum::kernel_library kernels{contexts.api(), libraries.kernels};
  septum::batch_options const options{.window = field, .batch_size = chosen.batch};
  septum::device_patch_batches training{contexts.stream(), kernels, {pixels}, patches, options};
  septum::device_patch_batches none{contexts.stream(), kernels, {pixels}, {}, options};
  // The first epoch warms up.
  septum::device_trainer<Net, septum::cudnn> trainer{contexts, {.epochs = 2}};
  auto state = trainer.start();
  auto begin = std::chrono::steady_clock::now();
  double seconds = 0.0;
  trainer.run(
      state, training, none, [](septum::training_progress const&) {},
      [&](auto const&) {
        auto const end = std::chrono::steady_clock::now();
        seconds = std::chrono::duration<double>(end - begin).count();
        begin = end;
      });
  std::cout << "{\"benchmark\": \"gpu_train\", \"net\": \"bn_feature_net_" << chosen.net << "x"
            << chosen.net << "\", \"batch\": " << chosen.batch
            << ", \"precision\": " << benchmark::quoted(chosen.precision)
            << ", \"steps\": " << chosen.steps << ", \"patches_per_second\": "
            << benchmark::to_text(chosen.batch * chosen.steps / seconds) << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string const option = argv[i];
    if (option == "--net") chosen.net = std::atoi(argv[i + 1]);
    if (option == "--batch") chosen.batch = std::atoi(argv[i + 1]);
    if (option == "--steps") chosen.steps = std::atoi(argv[i + 1]);
    if (option == "--precision") chosen.precision = argv[i + 1];
  }
  try {
    auto const libraries = septum::open_device_libraries(septum::cuda_kernel_image());
    if (chosen.net == 61)
      run<septum::bn_feature_net_61x61<2, 3>>(chosen, libraries);
    else
      run<septum::bn_feature_net_31x31<1, 3>>(chosen, libraries);
  } catch (septum::error const& failure) {
    std::cerr << "bench_gpu_train: " << failure.what() << "\n";
    return static_cast<int>(failure.kind());
  }
}
