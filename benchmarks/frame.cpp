// Whole-frame inference of the published nets: seconds per 1280x1080 frame and peak memory, from a
// normalised frame in memory to the mean class probabilities. Weights are random.
// With --layers also, per layer, the share of the machine's measured peak of float operations; work
// counts as that of direct sums, so Winograd can exceed 1.
// Usage: bench_frame [--net 31|61] [--nets 1] [--threads 2] [--repeats 5] [--memory MiB] [--layers]
//                    [--direct] [--precision f32|bf16] [--rows 1080] [--columns 1280]
#include <sys/resource.h>

#include <cstdlib>
#include <iostream>
#include <septum/backend/onednn.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/nn/feature_nets.hpp>
#include <string>
#include <utility>
#include <vector>

#include "peak.hpp"
#include "report.hpp"

namespace {

struct settings {
  int net = 31;
  int nets = 1;
  int threads = 2;
  int repeats = 5;
  std::size_t rows = 1080;
  std::size_t columns = 1280;
  std::size_t memory_mb = 256;
  bool layers = false;
  bool direct = false;
  std::string precision = "f32";
};

settings parse(int argc, char** argv) {
  settings chosen;
  for (int i = 1; i < argc; ++i) {
    std::string const option = argv[i];
    if (option == "--layers") {
      chosen.layers = true;
      continue;
    }
    if (option == "--direct") {
      chosen.direct = true;
      continue;
    }
    if (option == "--precision") {
      chosen.precision = i + 1 < argc ? argv[++i] : "";
      continue;
    }
    int const value = i + 1 < argc ? std::atoi(argv[++i]) : 0;
    if (option == "--net") chosen.net = value;
    if (option == "--nets") chosen.nets = value;
    if (option == "--threads") chosen.threads = value;
    if (option == "--repeats") chosen.repeats = value;
    if (option == "--rows") chosen.rows = static_cast<std::size_t>(value);
    if (option == "--columns") chosen.columns = static_cast<std::size_t>(value);
    if (option == "--memory") chosen.memory_mb = static_cast<std::size_t>(value);
  }
  return chosen;
}

template <class Net>
void run(settings const& chosen) {
  using base = septum::base_stack_t<Net>;
  std::size_t const rows = chosen.rows;
  std::size_t const columns = chosen.columns;
  septum::image frame =
      septum::image::from_shape({rows, columns, static_cast<std::size_t>(base::input_channels)});
  septum::counter_rng const rng{1, 1};
  for (std::size_t i = 0; i < frame.size(); ++i)
    frame.data()[i] = static_cast<float>(rng.normal(i));
  std::vector<std::vector<float>> sets;
  for (int k = 0; k < chosen.nets; ++k)
    sets.push_back(septum::he_normal<Net>({static_cast<std::uint64_t>(k), 1}));
  septum::ensemble<Net, septum::onednn> nets{
      sets,
      {.threads = {chosen.threads},
       .budget_bytes = chosen.memory_mb << 20,
       .convolution = chosen.direct ? septum::convolution_algorithm::direct
                                    : septum::convolution_algorithm::automatic,
       .precision = chosen.precision == "bf16" ? septum::host_precision::bf16
                                               : septum::host_precision::f32}};
  auto const seconds =
      benchmark::measure(chosen.repeats, [&] { benchmark::keep(nets.predict(frame)); });
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::cout << "{\"benchmark\": \"frame\", \"machine\": " << benchmark::quoted(benchmark::machine())
            << ", \"net\": \"bn_feature_net_" << chosen.net << "x" << chosen.net
            << "\", \"nets\": " << chosen.nets
            << ", \"precision\": " << benchmark::quoted(chosen.precision)
            << ", \"threads\": " << chosen.threads << ", \"rows\": " << rows
            << ", \"columns\": " << columns
            << ", \"seconds_median\": " << benchmark::to_text(seconds.median)
            << ", \"seconds_minimum\": " << benchmark::to_text(seconds.fastest)
            << ", \"seconds_maximum\": " << benchmark::to_text(seconds.slowest)
            << ", \"peak_rss_bytes\": " << usage.ru_maxrss * 1024L;
  if (chosen.layers) {
    double const peak = benchmark::peak_flops({chosen.threads});
    auto const share = [peak](double multiply_adds, double layer_seconds) {
      return benchmark::to_text(peak > 0.0 ? 2.0 * multiply_adds / layer_seconds / peak : 0.0);
    };
    double work = 0.0;
    for (auto const& layer : nets.report()) work += layer.multiply_adds * chosen.nets;
    std::cout << ", \"peak_flops\": " << benchmark::to_text(peak)
              << ", \"share_of_peak\": " << share(work, seconds.median) << ", \"layers\": [";
    char const* separator = "";
    for (auto const& layer : nets.report()) {
      std::cout << std::exchange(separator, ", ")
                << "{\"layer\": " << benchmark::quoted(layer.layer)
                << ", \"backend\": " << benchmark::quoted(layer.backend)
                << ", \"seconds\": " << benchmark::to_text(layer.seconds / (chosen.repeats + 1))
                << ", \"share_of_peak\": "
                << share(layer.multiply_adds * chosen.nets, layer.seconds / (chosen.repeats + 1))
                << "}";
    }
    std::cout << "]";
  }
  std::cout << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  auto const chosen = parse(argc, argv);
  if (chosen.net == 61)
    run<septum::bn_feature_net_61x61<2, 3>>(chosen);
  else
    run<septum::bn_feature_net_31x31<1, 3>>(chosen);
}
