#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <optional>
#include <septum/backend/reference.hpp>
#include <septum/net/device_ensemble.hpp>
#include <septum/net/ensemble.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "../support/device_layer_run.hpp"
#include "../support/host_gpu.hpp"
#include "../support/noise_images.hpp"
#include "../support/tolerance.hpp"

/// Convolutions of whole frames in f32 by products that share memory, directly and through
/// Winograd's minimal filtering, on a device that lives on the host.
namespace {

namespace sp = septum;
using noise_images::noise;
namespace kind = septum::kind;
using sp::convolution_algorithm;

// A layer for inference whose factors are numbers of float.
layer_case inference_case(sp::layer_problem problem, convolution_algorithm convolution) {
  problem.training = false;
  problem.convolution = convolution;
  auto given = make_case(problem, conv_parameters(problem), normal_values);
  for (auto* const values : {&given.x, &given.parameters})
    *values = restored(stored<float>(*values));
  return given;
}

struct layer_on_device {
  explicit layer_on_device(host_device::order when = host_device::order::eager) : gpu{when} {}
  std::vector<double> run(layer_case const& given) {
    gpu.device.launches.clear();
    sp::device_contexts<sp::cuda> contexts{gpu.libraries(), {.workspace_limit = workspace}};
    return run_device_layer<sp::cuda, kind::conv, float>(contexts.get<sp::cuda>(),
                                                         contexts.stream(), given)
        .inference;
  }
  template <class F>
  [[nodiscard]] std::ptrdiff_t launches_of() const {
    return std::count(gpu.device.launches.begin(), gpu.device.launches.end(),
                      sp::kernel_entry_name<F>());
  }
  std::size_t workspace = sp::default_workspace_limit;
  host_gpu gpu;
};

// What threads of a block leave each other: the sum of all but one's own.
struct sum_of_others {
  static constexpr int threads = 64;
  static constexpr int residents = 1;
  struct shared_values {
    int values[threads];
  };
  struct own_values {
    int kept;
  };
  sp::view<int, 2, sp::device_space> sums;  // (row and column of blocks, thread)
  int columns;
  [[nodiscard]] static int steps() { return 2; }
  void operator()(sp::block_call call, shared_values& shared, own_values& own) const {
    if (call.step == 0) {
      own.kept = 1000 * call.row + 100 * call.column + call.thread;
      shared.values[call.thread] = own.kept;
      return;
    }
    int sum = -own.kept;
    for (int const value : shared.values) sum += value;
    sums(call.row * columns + call.column, call.thread) = sum;
  }
};

struct wide_net : sp::stack<sp::input<1>, sp::conv<32, 3>, sp::relu, sp::max_pool<2>,
                            sp::conv<32, 3>, sp::relu, sp::dense<3>, sp::softmax> {};
struct wide_net_4 : sp::stack<sp::input<2>, sp::conv<32, 4>, sp::batch_norm, sp::relu,
                              sp::conv<40, 4>, sp::relu, sp::dense<3>, sp::softmax> {};

double relative_distance(sp::probabilities const& a, sp::probabilities const& b) {
  std::vector<float> const found(a.begin(), a.end());
  std::vector<float> const expected(b.begin(), b.end());
  return relative_difference(found, expected);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(device_winograd)

BOOST_AUTO_TEST_CASE(threads_of_a_block_see_what_the_others_left_in_the_step_before) {
  for (std::uint32_t const seed : {0U, 1U, 77U}) {
    std::vector<int> sums(static_cast<std::size_t>(6 * sum_of_others::threads));
    sp::for_each_block({2, 3}, sum_of_others{{sums.data(), {6, sum_of_others::threads}}, 3}, seed);
    for (int block = 0; block < 6; ++block)
      for (int thread = 0; thread < sum_of_others::threads; ++thread) {
        int const base = 1000 * (block / 3) + 100 * (block % 3);
        int const expected = 64 * base + 64 * 63 / 2 - (base + thread);
        BOOST_TEST(sums[static_cast<std::size_t>(block * 64 + thread)] == expected);
      }
  }
}

BOOST_AUTO_TEST_CASE(filters_are_dealt_out_so_that_least_is_wasted) {
  BOOST_TEST(sp::product_across(8) == 8);
  BOOST_TEST(sp::product_across(64) == 8);
  BOOST_TEST(sp::product_across(128) == 16);
  BOOST_TEST(sp::product_across(200) == 25);
  BOOST_TEST(sp::product_across(256) == 16);
  BOOST_TEST(sp::product_across(192) == 8);
}

BOOST_AUTO_TEST_CASE(direct_products_equal_the_reference) {
  for (auto const when : {host_device::order::eager, host_device::order::late})
    for (auto const [channels, filters, kernel, dilation] :
         {std::array{8, 8, 3, 2}, {16, 200, 1, 1}, {24, 72, 4, 1}, {8, 136, 2, 3}}) {
      auto const problem = conv_problem(2, 7, 11, channels, filters, kernel, dilation, true);
      auto const given = inference_case(problem, convolution_algorithm::direct);
      layer_on_device layer{when};
      BOOST_TEST_CONTEXT(channels << " to " << filters << " kernel " << kernel) {
        auto const expected = run_layer<sp::reference, kind::conv, double>(given).inference;
        BOOST_TEST(relative_difference(layer.run(given), expected) <
                   (tolerance_of<sp::cuda, float>));
        BOOST_TEST((layer.launches_of<sp::convolve_product<8>>() +
                    layer.launches_of<sp::convolve_product<16>>() +
                    layer.launches_of<sp::convolve_product<25>>()) == 1);
        BOOST_TEST(layer.gpu.clean());
      }
    }
}

BOOST_AUTO_TEST_CASE(winograd_equals_the_reference) {
  for (auto const when : {host_device::order::eager, host_device::order::late})
    for (int const kernel : {3, 4})
      for (int const dilation : {1, 2, 5})
        for (auto const [channels, filters] : {std::array{8, 8}, {32, 72}})
          for (bool const relu : {false, true}) {
            // Neither extent is a multiple of a cell, and one is less than a cell.
            auto const problem = conv_problem(2, 7, 21, channels, filters, kernel, dilation, relu);
            auto const given = inference_case(problem, convolution_algorithm::winograd);
            layer_on_device layer{when};
            BOOST_TEST_CONTEXT(channels << " to " << filters << " kernel " << kernel << " dilation "
                                        << dilation) {
              auto const expected = run_layer<sp::reference, kind::conv, double>(given).inference;
              BOOST_TEST(relative_difference(layer.run(given), expected) <
                         (3 * tolerance_of<sp::cuda, float>));
              BOOST_TEST(layer.launches_of<sp::winograd_input_points<>>() == 1);
              BOOST_TEST(layer.gpu.clean());
            }
          }
}

BOOST_AUTO_TEST_CASE(parts_that_fit_the_workspace_change_no_byte) {
  for (int const kernel : {3, 4}) {
    auto const given = inference_case(conv_problem(2, 19, 23, 32, 40, kernel, 2, true),
                                      convolution_algorithm::winograd);
    layer_on_device layer;
    auto const whole = layer.run(given);
    std::ptrdiff_t before = 1;
    for (std::size_t const kilobytes : {700U, 300U, 1U}) {
      layer.workspace = kilobytes << 10;
      BOOST_TEST((layer.run(given) == whole));
      auto const parts = layer.launches_of<sp::winograd_input_points<>>();
      BOOST_TEST(parts > before);
      BOOST_TEST(layer.launches_of<sp::winograd_weight_points<>>() == 1);
      before = parts;
    }
  }
}

BOOST_AUTO_TEST_CASE(layers_choose_winograd_where_it_pays_and_nothing_else_was_asked_for) {
  using own = sp::kernel<sp::cuda, kind::conv, float>;
  auto const uses = [](int channels, int filters, int kernel, convolution_algorithm convolution,
                       bool training = false) {
    auto problem = conv_problem(1, 8, 8, channels, filters, kernel, 2, true);
    problem.training = training;
    problem.convolution = convolution;
    return own::uses_winograd(problem);
  };
  BOOST_TEST(uses(32, 32, 3, convolution_algorithm::automatic));
  BOOST_TEST(uses(64, 200, 4, convolution_algorithm::automatic));
  BOOST_TEST(!uses(24, 32, 3, convolution_algorithm::automatic));
  BOOST_TEST(!uses(32, 24, 3, convolution_algorithm::automatic));
  BOOST_TEST(uses(24, 24, 3, convolution_algorithm::winograd));
  BOOST_TEST(!uses(12, 32, 3, convolution_algorithm::winograd));
  BOOST_TEST(!uses(32, 12, 3, convolution_algorithm::winograd));
  for (int const kernel : {1, 2, 5})
    BOOST_TEST(!uses(32, 32, kernel, convolution_algorithm::winograd));
  BOOST_TEST(!uses(32, 32, 3, convolution_algorithm::winograd, true));
  BOOST_TEST(!uses(64, 64, 3, convolution_algorithm::direct));
  BOOST_TEST(!uses(64, 64, 3, convolution_algorithm::compensated));
  auto strided = conv_problem(1, 8, 8, 32, 32, 3, 1, true);
  strided.training = false;
  strided.convolution = convolution_algorithm::winograd;
  strided.geometry.stride = 2;
  BOOST_TEST(!own::uses_winograd(strided));
}

BOOST_AUTO_TEST_CASE(cudnn_leaves_winograd_to_own_kernels_in_f32_alone) {
  auto const problem = conv_problem(1, 9, 10, 32, 32, 3, 2, true);
  auto const given = inference_case(problem, convolution_algorithm::automatic);
  auto const expected = run_layer<sp::reference, kind::conv, double>(given).inference;
  for (auto const precision : {sp::gpu_precision::f32, sp::gpu_precision::tf32})
    for (bool const split : {false, true}) {
      layer_on_device layer;
      sp::device_contexts<sp::cudnn> contexts{layer.gpu.libraries(),
                                              {.precision = precision, .split_factors = split}};
      auto& context = contexts.get<sp::cudnn>();
      auto const found =
          run_device_layer<sp::cudnn, kind::conv, float>(context, contexts.stream(), given)
              .inference;
      BOOST_TEST(relative_difference(found, expected) < (3 * tolerance_of<sp::cuda, float>));
      bool const own = precision == sp::gpu_precision::f32 && !split;
      BOOST_TEST(layer.launches_of<sp::winograd_input_points<>>() == (own ? 1 : 0));
      BOOST_TEST(layer.gpu.library.workspaces.empty() == own);
      BOOST_TEST((sp::kernel<sp::cudnn, kind::conv, float>::grid(context, given.problem)) ==
                 (own ? 8 : 1));
    }
}

// In training only where there are pixels enough.
BOOST_AUTO_TEST_CASE(cudnn_leaves_whole_floats_to_own_products_forward) {
  using sp::gpu_precision;
  for (auto const& [channels, rows, precision, training] :
       {std::tuple{16, 5, gpu_precision::f32, false},
        {12, 5, gpu_precision::f32, false},
        {16, 5, gpu_precision::tf32, false},
        {16, 5, gpu_precision::f32, true},
        {16, 700, gpu_precision::f32, true}}) {
    auto given = inference_case(conv_problem(1, rows, 6, channels, 16, 1, 1, true),
                                convolution_algorithm::direct);
    given.problem.training = training;
    auto const expected = run_layer<sp::reference, kind::conv, double>(given).inference;
    layer_on_device layer;
    sp::device_contexts<sp::cudnn> contexts{layer.gpu.libraries(), {.precision = precision}};
    auto const found = run_device_layer<sp::cudnn, kind::conv, float>(contexts.get<sp::cudnn>(),
                                                                      contexts.stream(), given)
                           .inference;
    BOOST_TEST(relative_difference(found, expected) < (tolerance_of<sp::cuda, float>));
    bool const own =
        channels == 16 && precision == gpu_precision::f32 && (!training || rows == 700);
    BOOST_TEST(layer.gpu.library.workspaces.empty() == (own && !training));
    int const passes = training ? 2 : 1;
    BOOST_TEST(layer.launches_of<sp::convolve_product<8>>() == (own ? passes : 0));
  }
}

template <class Net>
void check_tiles(sp::image const& pixels) {
  std::vector<std::vector<float>> const sets{sp::he_normal<Net, float>({1, 1}),
                                             sp::he_normal<Net, float>({2, 1})};
  auto const expected = sp::ensemble<Net, sp::reference>{sets}.predict(pixels);
  std::optional<sp::probabilities> whole;
  std::vector<int> heights;
  for (int const side : {1 << 20, 20, 14, 1}) {
    host_gpu gpu{host_device::order::late};
    sp::device_ensemble<Net> nets{
        sets,
        gpu.libraries(),
        {.cudnn = {.workspace_limit = std::size_t{4} << 20}, .largest_tile = side}};
    auto const found = nets.predict(pixels);
    BOOST_TEST(std::count(gpu.device.launches.begin(), gpu.device.launches.end(),
                          sp::kernel_entry_name<sp::winograd_input_points<>>()) > 0);
    heights.push_back(nets.frames().tiles().tile_height);
    BOOST_TEST(relative_distance(found, expected) < 1e-5);
    if (!whole) whole = found;
    BOOST_TEST((found == *whole), "tiles of " << side);
    BOOST_TEST(gpu.device.faults.empty());
  }
  BOOST_TEST(heights[0] > heights[1]);
  BOOST_TEST(heights[1] > heights[2]);
}

BOOST_AUTO_TEST_CASE(tiles_of_a_frame_change_no_byte) {
  check_tiles<wide_net>(noise(49, 53, 1, 6));
  check_tiles<wide_net_4>(noise(41, 37, 2, 6));
}

BOOST_AUTO_TEST_CASE(too_little_memory_makes_tiles_as_small_as_the_grid_allows_and_then_throws) {
  std::vector<std::vector<float>> const sets{sp::he_normal<wide_net, float>({1, 1})};
  auto const pixels = noise(60, 60, 1, 6);
  std::size_t enough = 0;
  std::optional<sp::probabilities> whole;
  {
    host_gpu gpu;
    whole = sp::device_ensemble<wide_net>{sets, gpu.libraries()}.predict(pixels);
    enough = gpu.device.largest_device_bytes();
  }
  int smaller_tiles = 0;
  bool refused = false;
  for (std::size_t limit = enough; limit > 2000 && !refused; limit = limit * 3 / 4) {
    host_gpu gpu;
    gpu.device.memory_limit = limit;
    try {
      sp::device_ensemble<wide_net> nets{sets, gpu.libraries(), {.frames_in_flight = 1}};
      BOOST_TEST((nets.predict(pixels) == *whole));
      if (nets.frames().tiles().tile_height < 55) ++smaller_tiles;
    } catch (sp::device_error const& failure) {
      refused = true;
      BOOST_TEST(failure.id() == "septum.device.3");
    }
    BOOST_TEST(gpu.device.faults.empty());
  }
  BOOST_TEST(smaller_tiles >= 2);
  BOOST_TEST(refused);
}

BOOST_AUTO_TEST_CASE(every_call_that_fails_is_reported_and_nothing_stays_behind) {
  auto const given =
      inference_case(conv_problem(1, 5, 6, 8, 8, 3, 1, true), convolution_algorithm::winograd);
  int calls = 0;
  std::vector<double> expected;
  {
    layer_on_device layer;
    layer.workspace = std::size_t{12} << 10;
    expected = layer.run(given);
    calls = layer.gpu.device.calls;
    BOOST_TEST(layer.launches_of<sp::winograd_outputs<4>>() == 4);
  }
  BOOST_TEST(calls > 30);
  for (int k = 1; k <= calls; ++k) {
    layer_on_device layer;
    layer.workspace = std::size_t{12} << 10;
    layer.gpu.device.fail_at = k;
    BOOST_TEST_CONTEXT("call " << k) {
      BOOST_CHECK_THROW(layer.run(given), sp::device_error);
      BOOST_TEST(layer.gpu.clean());
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
