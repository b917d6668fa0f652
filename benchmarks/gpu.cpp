// Whole-frame inference of the published nets on a GPU: seconds per 1280x1080 frame from a
// normalised frame in memory to the mean class probabilities in memory, one frame at a time and as
// a stream. Weights are random. Without a GPU it says what is missing and ends with status 4.
// Usage: bench_gpu [--backend cudnn|cuda] [--net 31|61] [--nets 5] [--precision f32|tf32|bf16|f16]
// [--repeats 20] [--layers 1] [--convolution automatic|direct|winograd] [--workspace MB] [--parts
// 1]
// --layers 1 also times each layer of one net by itself; --split 1 computes f32 from split factors;
// --workspace is the scratch memory that a layer may take; --parts 1 times, instead of frames, what
// septum's own f32 convolutions consist of, layer by layer.
#include <algorithm>
#include <cstddef>
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
  std::string convolution = "automatic";
  std::size_t workspace_mb = septum::default_workspace_limit >> 20;
  bool parts = false;
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
    if (option == "--convolution") chosen.convolution = argv[i + 1];
    if (option == "--workspace") chosen.workspace_mb = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--parts") chosen.parts = std::atoi(argv[i + 1]) != 0;
  }
  return chosen;
}

septum::gpu_precision precision_named(std::string const& name) {
  for (auto const each :
       {septum::gpu_precision::tf32, septum::gpu_precision::bf16, septum::gpu_precision::f16})
    if (name == septum::name_of(each)) return each;
  return septum::gpu_precision::f32;
}

septum::convolution_algorithm convolution_named(std::string const& name) {
  if (name == "direct") return septum::convolution_algorithm::direct;
  if (name == "winograd") return septum::convolution_algorithm::winograd;
  return septum::convolution_algorithm::automatic;
}

// One line per kernel that septum's own f32 convolutions consist of: milliseconds, TFLOP/s or GB/s.
class parts_of_layers {
 public:
  parts_of_layers(septum::device_libraries const& libraries, settings const& chosen)
      : contexts_{libraries, {.workspace_limit = chosen.workspace_mb << 20}},
        repeats_{chosen.repeats} {}

  template <class Net>
  void run(int height, int width) {
    using dense = septum::fused_t<septum::fully_convolutional_t<Net>>;
    for (auto const& row : septum::base_stack_t<dense>::rows(height, width)) {
      if (septum::detail::multiply_adds_of(row) == 0.0) continue;
      std::cout << row.in.channels << " to " << row.out.channels << ", " << row.geometry.kernel
                << "x" << row.geometry.kernel << " dilation " << row.geometry.dilation << "\n";
      measure(row);
    }
  }

 private:
  using map = septum::view<float, 4, septum::device_space>;

  [[nodiscard]] septum::device_memory<float> zeros(std::size_t size) const {
    septum::device_memory<float> memory{contexts_.api(), size};
    set_zero(contexts_.stream(), memory.values());
    return memory;
  }
  template <class Run>
  double seconds(Run const& run) const {
    run();
    contexts_.stream().synchronize();
    auto const taken = benchmark::measure(1, [&] {
      for (int repeat = 0; repeat < repeats_; ++repeat) run();
      contexts_.stream().synchronize();
    });
    return taken.median / repeats_;
  }
  static void say(std::string const& what, double taken, double multiply_adds, double bytes) {
    std::cout << "  " << what << ": " << benchmark::to_text(taken * 1e3) << " ms";
    if (multiply_adds > 0)
      std::cout << ", " << benchmark::to_text(2e-12 * multiply_adds / taken) << " TFLOP/s";
    std::cout << ", " << benchmark::to_text(1e-9 * bytes / taken) << " GB/s\n";
  }

  void measure(septum::layer_row const& row) {
    septum::layer_problem problem{.in = row.in, .out = row.out, .geometry = row.geometry};
    problem.relu = true;
    auto const x = zeros(row.in.size());
    auto const y = zeros(row.out.size());
    auto const parameters = zeros(row.count);
    map const in{x.data(), {1, row.in.height, row.in.width, row.in.channels}};
    map const out{y.data(), {1, row.out.height, row.out.width, row.out.channels}};
    double const work = septum::detail::multiply_adds_of(row);
    double const bytes = 4.0 * static_cast<double>(row.in.size() + row.out.size());
    using kernel = septum::kernel<septum::cuda, septum::kind::conv, float>;
    auto& context = contexts_.template get<septum::cuda>();
    for (auto const algorithm :
         {septum::convolution_algorithm::direct, septum::convolution_algorithm::winograd}) {
      problem.convolution = algorithm;
      bool const winograd = kernel::uses_winograd(problem);
      if (algorithm == septum::convolution_algorithm::winograd && !winograd) continue;
      auto const plan = kernel::prepare(context, problem);
      say(winograd ? "winograd, whole" : "direct",
          seconds([&] { kernel::forward(context, plan, {parameters.values()}, in, out); }), work,
          bytes);
      if (winograd) measure_winograd(problem, parameters, in, out);
    }
    if (row.out.channels % septum::block_filters == 0) {
      int const taps = row.geometry.kernel * row.geometry.kernel * row.in.channels;
      auto const weights = zeros(static_cast<std::size_t>(taps * row.out.channels));
      septum::convolve_blocked<float> const blocked{
          in,
          {weights.data(), {taps, row.out.channels}},
          parameters.values().block({0}, {row.out.channels}),
          out,
          row.geometry,
          true};
      say("direct without shared memory",
          seconds([&] { context.launch(septum::blocked_extent(1, row.out), blocked); }), work,
          bytes);
    }
  }

  // Products with as many threads side by side as the filters ask for.
  void measure_products(map x, septum::view<float const, 3, septum::device_space> weights, map y,
                        double work, double bytes) {
    auto& context = contexts_.template get<septum::cuda>();
    septum::shape const each{static_cast<int>(y.extent(1)), static_cast<int>(y.extent(2)),
                             static_cast<int>(y.extent(3))};
    auto const with = [&]<int Across>(std::integral_constant<int, Across>) {
      using kernel = septum::convolve_product<Across>;
      auto const blocks =
          kernel::blocks(static_cast<int>(y.extent(0)), each, static_cast<int>(weights.extent(0)));
      say("  products", seconds([&] {
            context.launch(blocks, kernel{x, weights, {}, y, {}, false});
          }),
          work, bytes);
    };
    switch (septum::product_across(each.channels)) {
      case 8:
        return with(std::integral_constant<int, 8>{});
      case 16:
        return with(std::integral_constant<int, 16>{});
      default:
        return with(std::integral_constant<int, 25>{});
    }
  }

  void measure_winograd(septum::layer_problem const& problem,
                        septum::device_memory<float> const& parameters, map in, map out) {
    auto& context = contexts_.template get<septum::cuda>();
    auto const tiles = septum::winograd_tiles::of(problem.geometry, 1, problem.out);
    int const channels = problem.in.channels;
    int const filters = problem.out.channels;
    auto const per_tile = static_cast<std::ptrdiff_t>(144) * (channels + filters);
    auto const count = static_cast<int>(
        std::min(tiles.count(), static_cast<std::ptrdiff_t>(context.workspace_limit) / per_tile));
    auto const weights = zeros(static_cast<std::size_t>(36 * channels * filters));
    auto const points = zeros(static_cast<std::size_t>(36) * static_cast<std::size_t>(count) *
                              static_cast<std::size_t>(channels));
    auto const products = zeros(static_cast<std::size_t>(36) * static_cast<std::size_t>(count) *
                                static_cast<std::size_t>(filters));
    septum::view<float, 3, septum::device_space> const u{weights.data(), {36, channels, filters}};
    septum::view<float, 3, septum::device_space> const v{points.data(), {36, count, channels}};
    septum::view<float, 3, septum::device_space> const m{products.data(), {36, count, filters}};
    auto const bias = parameters.values().block({0}, {filters});
    double const side = tiles.outputs;
    double const share = count / static_cast<double>(tiles.count());
    std::cout << "    " << count << " of " << tiles.count() << " tiles\n";
    say("  weights", seconds([&] {
          context.launch({channels, filters}, septum::winograd_weight_points<>{
                                                  parameters.values(), u, problem.geometry.kernel});
        }),
        0.0, 4.0 * static_cast<double>(parameters.size() + weights.size()));
    say("  input", seconds([&] {
          context.launch({count, channels / septum::winograd_pack},
                         septum::winograd_input_points<>{in, v, tiles, 0});
        }),
        0.0,
        4.0 *
            (share * static_cast<double>(problem.in.size()) + static_cast<double>(points.size())));
    measure_products({points.data(), {36, 1, count, channels}}, u,
                     {products.data(), {36, 1, count, filters}}, 36.0 * count * channels * filters,
                     4.0 * static_cast<double>(points.size() + products.size()));
    auto const output = [&](auto const& kernel) {
      say("  output", seconds([&] {
            context.launch({count, filters / septum::winograd_pack}, kernel);
          }),
          0.0, 4.0 * (side * side / 36.0 + 1.0) * static_cast<double>(products.size()));
    };
    if (tiles.outputs == 4)
      output(septum::winograd_outputs<4>{m, bias, out, tiles, 0, true});
    else
      output(septum::winograd_outputs<3>{m, bias, out, tiles, 0, true});
  }

  septum::device_contexts<septum::cuda> contexts_;
  int repeats_;
};

template <class Net, class Backend>
void run(settings const& chosen, septum::device_libraries const& libraries) {
  constexpr std::size_t rows = 1080;
  constexpr std::size_t columns = 1280;
  if (chosen.parts)
    return parts_of_layers{libraries, chosen}.run<Net>(static_cast<int>(rows),
                                                       static_cast<int>(columns));
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
      {.cudnn = {.precision = precision_named(chosen.precision),
                 .split_factors = chosen.split,
                 .workspace_limit = chosen.workspace_mb << 20},
       .convolution = convolution_named(chosen.convolution)}};
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
            << ", \"convolution\": " << benchmark::quoted(chosen.convolution)
            << ", \"workspace_mb\": " << chosen.workspace_mb << ", \"compute_capability\": "
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
