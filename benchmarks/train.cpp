// Patch training of the published nets: patches per second of one whole step (gathering and turning
// a batch, forward, backward, update).
// Usage: bench_train [--net 31|61] [--batch 256] [--threads 2] [--steps 12]
//                    [--precision f32|bf16]
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <septum/backend/onednn.hpp>
#include <septum/image/types.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/sample/batches.hpp>
#include <septum/train/trainer.hpp>
#include <string>
#include <utility>
#include <vector>

#include "report.hpp"

namespace {

template <class Net>
void run(int net, int batch, int threads, int steps, std::string const& precision) {
  using base = septum::base_stack_t<Net>;
  constexpr int field = base::receptive_field;
  septum::image frame =
      septum::image::from_shape({1080, 1280, static_cast<std::size_t>(base::input_channels)});
  septum::counter_rng const rng{1, 1};
  for (std::size_t i = 0; i < frame.size(); ++i)
    frame.data()[i] = static_cast<float>(rng.normal(i));
  std::vector<septum::patch_index> patches;
  for (int k = 0; k < batch * (steps + 2); ++k) {
    auto const draw = static_cast<std::uint64_t>(k);
    patches.push_back({0, 40 + static_cast<int>(rng.below(draw, 1000)),
                       40 + static_cast<int>(rng.below(~draw, 1200)),
                       static_cast<std::uint8_t>(k % 3)});
  }
  septum::patch_batches training{{septum::as_view(std::as_const(frame))},
                                 patches,
                                 {.window = field, .batch_size = batch},
                                 {threads}};
  septum::patch_batches none{{septum::as_view(std::as_const(frame))},
                             {},
                             {.window = field, .batch_size = batch},
                             {threads}};
  septum::trainer<Net, septum::onednn> trainer{
      {.epochs = 1},
      {},
      {threads},
      precision == "bf16" ? septum::host_precision::bf16 : septum::host_precision::f32};
  auto state = trainer.start();
  std::vector<double> seconds;
  auto last = std::chrono::steady_clock::now();
  trainer.run(
      state, training, none,
      [&](septum::training_progress const& now) {
        auto const end = std::chrono::steady_clock::now();
        if (now.batch > 2) seconds.push_back(std::chrono::duration<double>(end - last).count());
        last = end;
      },
      [](auto const&) {});
  std::sort(seconds.begin(), seconds.end());
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::cout << "{\"benchmark\": \"train\", \"machine\": " << benchmark::quoted(benchmark::machine())
            << ", \"net\": \"bn_feature_net_" << net << "x" << net << "\", \"batch\": " << batch
            << ", \"precision\": " << benchmark::quoted(precision) << ", \"threads\": " << threads
            << ", \"steps\": " << seconds.size() << ", \"patches_per_second\": "
            << benchmark::to_text(batch / seconds[seconds.size() / 2])
            << ", \"patches_per_second_maximum\": " << benchmark::to_text(batch / seconds.front())
            << ", \"peak_rss_bytes\": " << usage.ru_maxrss * 1024L << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  int net = 31;
  int batch = 256;
  int threads = 2;
  int steps = 12;
  std::string precision = "f32";
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string const option = argv[i];
    int const value = std::atoi(argv[i + 1]);
    if (option == "--net") net = value;
    if (option == "--batch") batch = value;
    if (option == "--threads") threads = value;
    if (option == "--steps") steps = value;
    if (option == "--precision") precision = argv[i + 1];
  }
  if (net == 61)
    run<septum::bn_feature_net_61x61<2, 3>>(net, batch, threads, steps, precision);
  else
    run<septum::bn_feature_net_31x31<1, 3>>(net, batch, threads, steps, precision);
}
