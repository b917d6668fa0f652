// Training of the published nets: patches, or with --crop outputs of crops, per second of one whole
// step (gathering and turning a batch, forward, backward, update), and with --layers 1 what share
// of the machine's measured peak each pass of each layer reaches.
// Usage: bench_train [--net 31|61] [--batch 256] [--crop 0|64] [--threads 2] [--steps 12]
//                    [--precision f32|bf16] [--convolution automatic|direct] [--layers 0|1]
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <septum/backend/onednn.hpp>
#include <septum/image/types.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/nn/transform.hpp>
#include <septum/sample/batches.hpp>
#include <septum/sample/crops.hpp>
#include <septum/train/trainer.hpp>
#include <string>
#include <utility>
#include <vector>

#include "peak.hpp"
#include "report.hpp"

namespace {

struct settings {
  int net = 31;
  int batch = 256;  // patches or crops
  int crop = 0;     // labelled pixels per side; 0: patches
  int threads = 2;
  int steps = 12;
  bool layers = false;
  septum::host_precision precision = septum::host_precision::f32;
  septum::convolution_algorithm convolution = septum::convolution_algorithm::automatic;
};

constexpr int rows = 1080;
constexpr int columns = 1280;

// Seconds of each step but the first two.
template <class Trainer, class Batches>
std::vector<double> step_seconds(Trainer& trainer, Batches& training, Batches& none) {
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
  return seconds;
}

template <class Net>
std::vector<double> by_patches(settings const& given, septum::image const& frame) {
  constexpr int field = septum::base_stack_t<Net>::receptive_field;
  septum::counter_rng const rng{1, 2};
  std::vector<septum::patch_index> patches;
  for (int k = 0; k < given.batch * (given.steps + 2); ++k) {
    auto const draw = static_cast<std::uint64_t>(k);
    patches.push_back({0, 40 + static_cast<int>(rng.below(draw, 1000)),
                       40 + static_cast<int>(rng.below(~draw, 1200)),
                       static_cast<std::uint8_t>(k % 3)});
  }
  septum::batch_options const options{.window = field, .batch_size = given.batch};
  septum::patch_batches training{
      {septum::as_view(frame)}, std::move(patches), options, {given.threads}};
  septum::patch_batches none{{septum::as_view(frame)}, {}, options, {given.threads}};
  septum::trainer<Net, septum::onednn> trainer{
      {.epochs = 1}, {}, {given.threads}, given.precision, given.convolution};
  return step_seconds(trainer, training, none);
}

template <class Net>
std::vector<double> by_crops(settings const& given, septum::image const& frame) {
  constexpr int field = septum::base_stack_t<Net>::receptive_field;
  septum::mask labels = septum::mask::from_shape({rows, columns});
  septum::counter_rng const rng{1, 2};
  for (std::size_t i = 0; i < labels.size(); ++i)
    labels.data()[i] = static_cast<std::uint8_t>(rng.below(i, 3));
  septum::crop_options const options{.window = field,
                                     .side = given.crop,
                                     .batch_size = given.batch,
                                     .batches_per_epoch = given.steps + 2};
  septum::crop_batches training{
      {septum::as_view(frame)}, {septum::as_view(std::as_const(labels))}, options, {given.threads}};
  auto none = septum::crop_batches::fixed({septum::as_view(frame)},
                                          {septum::as_view(std::as_const(labels))}, {}, options,
                                          {given.threads});
  septum::dense_trainer<Net, septum::onednn> trainer{
      {.epochs = 1}, {}, {given.threads}, given.precision, given.convolution};
  return step_seconds(trainer, training, none);
}

// Operations of a convolution counted as those of the direct sum, so that Winograd can exceed the
// peak; in float.
template <class Net>
void print_layers(settings const& given) {
  using conv = septum::kernel<septum::onednn, septum::kind::conv, float>;
  septum::exec::threads const threads{given.threads};
  double const peak = benchmark::peak_flops(threads);
  std::cout << "peak of fused multiply-adds " << benchmark::to_text(peak / 1e9)
            << " GFLOP/s; share of it by layer: forward, gradient of the input, of the weights\n";
  constexpr int field = septum::base_stack_t<Net>::receptive_field;
  int const side = given.crop > 0 ? given.crop + field - 1 : field;
  auto const stack =
      given.crop > 0 ? septum::detail::row_vector<septum::fully_convolutional_t<Net>>(side, side)
                     : septum::detail::row_vector<Net>(side, side);
  auto const seconds_of = [](auto const& pass) { return benchmark::measure(9, pass).median; };
  for (auto const& row : stack) {
    int const terms = row.geometry.kernel * row.geometry.kernel * row.in.channels;
    bool const is_convolution =
        row.count == static_cast<std::size_t>(row.out.channels * (terms + 1));
    if (!is_convolution) continue;
    septum::layer_problem problem{.batch = given.batch,
                                  .in = row.in,
                                  .out = row.out,
                                  .geometry = row.geometry,
                                  .training = true,
                                  .convolution = given.convolution};
    auto const batch = static_cast<std::size_t>(given.batch);
    std::vector<float> parameters(row.count, 0.01F);
    std::vector<float> x(row.in.size() * batch, 0.5F);
    std::vector<float> y(row.out.size() * batch, 0.5F);
    std::vector<float> dx(x.size());
    std::vector<float> gradient(parameters.size());
    auto const map = [&](std::vector<float>& values, septum::shape s) {
      return septum::view<float, 4>{values.data(), {given.batch, s.height, s.width, s.channels}};
    };
    septum::context<septum::onednn> context{threads};
    auto const seconds_backward = [&](bool with_input) {
      problem.input_gradient = with_input;
      auto const plan = conv::prepare(context, problem);
      auto const packed = conv::pack(context, plan, std::span<float const>{parameters});
      return seconds_of([&] {
        conv::backward(context, plan, packed, {}, map(x, row.in), map(y, row.out), map(y, row.out),
                       with_input ? map(dx, row.in) : septum::view<float, 4>{}, gradient);
      });
    };
    auto const plan = conv::prepare(context, problem);
    auto const packed = conv::pack(context, plan, std::span<float const>{parameters});
    double const forward =
        seconds_of([&] { conv::forward(context, plan, packed, map(x, row.in), map(y, row.out)); });
    double const weights = seconds_backward(false);
    double const input = seconds_backward(true) - weights;
    double const operations = 2.0 * static_cast<double>(row.out.size() * batch) * terms;
    auto const share = [&](double seconds) {
      return benchmark::to_text(operations / seconds / peak);
    };
    std::cout << row.in.channels << "->" << row.out.channels << ", " << row.geometry.kernel << "x"
              << row.geometry.kernel << ", dilation " << row.geometry.dilation << ", "
              << row.out.height << "x" << row.out.width << ": " << share(forward) << " "
              << share(input) << " " << share(weights) << "\n";
  }
}

template <class Net>
void run(settings const& given) {
  using base = septum::base_stack_t<Net>;
  septum::image frame =
      septum::image::from_shape({rows, columns, static_cast<std::size_t>(base::input_channels)});
  septum::counter_rng const rng{1, 1};
  for (std::size_t i = 0; i < frame.size(); ++i)
    frame.data()[i] = static_cast<float>(rng.normal(i));
  if (given.layers) return print_layers<Net>(given);
  auto const& image = std::as_const(frame);
  auto const seconds = given.crop > 0 ? by_crops<Net>(given, image) : by_patches<Net>(given, image);
  double const outputs = given.batch * (given.crop > 0 ? given.crop * given.crop : 1.0);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  bool const halves = given.precision == septum::host_precision::bf16;
  std::cout << "{\"benchmark\": \"train\", \"machine\": " << benchmark::quoted(benchmark::machine())
            << ", \"net\": \"bn_feature_net_" << given.net << "x" << given.net
            << "\", \"batch\": " << given.batch << ", \"crop\": " << given.crop
            << ", \"precision\": " << (halves ? "\"bf16\"" : "\"f32\"")
            << ", \"threads\": " << given.threads << ", \"steps\": " << seconds.size()
            << ", \"seconds_per_step\": " << benchmark::to_text(seconds[seconds.size() / 2])
            << ", \"patches_per_second\": "
            << benchmark::to_text(outputs / seconds[seconds.size() / 2])
            << ", \"patches_per_second_maximum\": " << benchmark::to_text(outputs / seconds.front())
            << ", \"peak_rss_bytes\": " << usage.ru_maxrss * 1024L << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  settings given;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string const option = argv[i];
    std::string const text = argv[i + 1];
    int const value = std::atoi(argv[i + 1]);
    if (option == "--net") given.net = value;
    if (option == "--batch") given.batch = value;
    if (option == "--crop") given.crop = value;
    if (option == "--threads") given.threads = value;
    if (option == "--steps") given.steps = value;
    if (option == "--layers") given.layers = value != 0;
    if (option == "--precision" && text == "bf16") given.precision = septum::host_precision::bf16;
    if (option == "--convolution" && text == "direct")
      given.convolution = septum::convolution_algorithm::direct;
  }
  if (given.net == 61)
    run<septum::bn_feature_net_61x61<2, 3>>(given);
  else
    run<septum::bn_feature_net_31x31<1, 3>>(given);
}
