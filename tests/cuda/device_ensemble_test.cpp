#include <boost/test/unit_test.hpp>
#include <optional>
#include <septum/backend/reference.hpp>
#include <septum/net/device_ensemble.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/net/parameters.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "../support/host_gpu.hpp"
#include "../support/noise_images.hpp"

namespace {

namespace sp = septum;
using noise_images::largest_difference;
using noise_images::noise;
using sp::gpu_precision;

struct small_net
    : sp::stack<sp::input<2>, sp::conv<8, 3>, sp::batch_norm, sp::relu, sp::max_pool<2>,
                sp::conv<9, 3>, sp::relu, sp::dropout<50>, sp::dense<3>, sp::softmax> {};
static_assert(small_net::receptive_field == 8);
// For tests that repeat a run hundreds of times. The first layer has too few channels for cuDNN.
struct tiny_net : sp::stack<sp::input<1>, sp::conv<9, 3>, sp::relu, sp::dense<9>, sp::relu,
                            sp::dense<2>, sp::softmax> {};

template <class Net>
std::vector<std::vector<float>> parameter_sets(int count) {
  std::vector<std::vector<float>> sets;
  for (int k = 0; k < count; ++k) {
    sets.push_back(sp::he_normal<Net, float>({static_cast<std::uint64_t>(k + 1), 1}));
    sp::counter_rng const random{77, static_cast<std::uint64_t>(k)};
    for (std::size_t i = 0; i < sets.back().size(); ++i)
      sets.back()[i] += 0.1F * static_cast<float>(random.uniform(i));
  }
  return sets;
}

template <class Net>
sp::probabilities expected(std::vector<std::vector<float>> const& sets, sp::image const& pixels) {
  return sp::ensemble<Net, sp::reference>{sets}.predict(pixels);
}

// Probabilities are at most 1; maps of 16 bits carry 8 or 11 bits, sums of them a little less.
double tolerance(gpu_precision precision) {
  return precision == gpu_precision::bf16 ? 3e-2 : precision == gpu_precision::f16 ? 4e-3 : 2e-6;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(device_ensemble)

BOOST_AUTO_TEST_CASE(frames_equal_those_of_the_reference_in_every_precision) {
  auto const sets = parameter_sets<small_net>(2);
  auto const pixels = noise(19, 23, 2, 1);
  auto const wanted = expected<small_net>(sets, pixels);
  for (auto const precision :
       {gpu_precision::f32, gpu_precision::tf32, gpu_precision::bf16, gpu_precision::f16})
    for (bool const record : {false, true})
      for (auto const when : {host_device::order::eager, host_device::order::late}) {
        host_gpu gpu{when};
        {
          sp::device_ensemble<small_net> nets{
              sets, gpu.libraries(), {.cudnn = {.precision = precision}, .record = record}};
          auto const found = nets.predict(pixels);
          BOOST_TEST_CONTEXT(sp::name_of(precision) << " recorded " << record)
          BOOST_TEST(largest_difference(found, wanted) < tolerance(precision));
          BOOST_TEST(gpu.device.graph_launches == (record ? 2 : 0));
        }
        BOOST_TEST(gpu.clean());
      }
}

BOOST_AUTO_TEST_CASE(layers_run_where_the_traits_say) {
  host_gpu gpu;
  sp::device_ensemble<small_net> const nets{parameter_sets<small_net>(1), gpu.libraries()};
  std::vector<std::string> backends;
  for (auto const& [layer, backend] : nets.report()) backends.emplace_back(backend);
  BOOST_TEST(backends == (std::vector<std::string>{"cudnn", "cuda", "cudnn", "cudnn", "cuda"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(septum_kernels_alone_suffice) {
  auto const sets = parameter_sets<small_net>(1);
  auto const pixels = noise(15, 12, 2, 2);
  host_gpu gpu;
  auto libraries = gpu.libraries();
  libraries.cudnn = nullptr;
  sp::device_ensemble<small_net, sp::cuda> nets{sets, libraries};
  BOOST_TEST(largest_difference(nets.predict(pixels), expected<small_net>(sets, pixels)) < 2e-6);
}

BOOST_AUTO_TEST_CASE(tiles_change_no_byte) {
  auto const sets = parameter_sets<small_net>(2);
  auto const pixels = noise(24, 31, 2, 3);
  std::optional<sp::probabilities> whole;
  for (int const side : {1 << 20, 12, 7, 3}) {
    host_gpu gpu{host_device::order::late};
    sp::device_ensemble<small_net> nets{sets, gpu.libraries(), {.largest_tile = side}};
    auto const found = nets.predict(pixels);
    BOOST_TEST(nets.frames().tiles().tile_height <= side);
    if (!whole) whole = found;
    BOOST_TEST((found == *whole));
  }
}

BOOST_AUTO_TEST_CASE(a_series_keeps_its_order_with_many_frames_in_flight) {
  auto const sets = parameter_sets<small_net>(2);
  // Extents change in mid-series: the frames in flight are collected first.
  std::vector<sp::image> frames;
  for (std::uint64_t k = 0; k < 9; ++k)
    frames.push_back(noise(k < 6 ? 14 : 11, k < 6 ? 12 : 17, 2, k));
  std::vector<sp::probabilities> wanted;
  for (auto const& frame : frames) wanted.push_back(expected<small_net>(sets, frame));
  for (int const in_flight : {1, 2, 3, 5})
    for (std::uint32_t seed = 1; seed <= 8; ++seed) {
      host_gpu gpu{host_device::order::late, seed};
      sp::device_ensemble<small_net> nets{
          sets, gpu.libraries(), {.frames_in_flight = in_flight, .largest_tile = 5}};
      std::size_t read = 0;
      std::size_t used = 0;
      std::size_t most_ahead = 0;
      double worst = 0.0;
      nets.predict_series(
          [&]() -> std::optional<sp::image> {
            if (read == frames.size()) return std::nullopt;
            return frames[read++];
          },
          [&](sp::probabilities const& maps) {
            most_ahead = std::max(most_ahead, read - used);
            worst = std::max(worst, largest_difference(maps, wanted.at(used++)));
          });
      BOOST_TEST(used == frames.size());
      BOOST_TEST(worst < 2e-6);
      BOOST_TEST(most_ahead == static_cast<std::size_t>(in_flight) + 1);
      BOOST_TEST(gpu.device.faults.empty());
    }
}

BOOST_AUTO_TEST_CASE(a_series_that_is_broken_off_leaves_no_frame_behind) {
  auto const sets = parameter_sets<tiny_net>(1);
  auto const pixels = noise(9, 9, 1, 1);
  host_gpu gpu{host_device::order::late};
  sp::device_ensemble<tiny_net> nets{sets, gpu.libraries()};
  struct stop {};
  int read = 0;
  BOOST_CHECK_THROW(nets.predict_series(
                        [&]() -> std::optional<sp::image> {
                          return noise(9, 9, 1, static_cast<std::uint64_t>(100 + read++));
                        },
                        [](sp::probabilities const&) { throw stop{}; }),
                    stop);
  BOOST_TEST(largest_difference(nets.predict(pixels), expected<tiny_net>(sets, pixels)) < 2e-6);
}

BOOST_AUTO_TEST_CASE(too_little_memory_halves_the_tile_and_says_so) {
  auto const sets = parameter_sets<small_net>(1);
  auto const pixels = noise(60, 70, 2, 4);
  auto const wanted = expected<small_net>(sets, pixels);
  std::size_t enough = 0;
  {
    host_gpu gpu;
    (void)sp::device_ensemble<small_net>{sets, gpu.libraries()}.predict(pixels);
    enough = gpu.device.largest_device_bytes();
  }
  int smaller_tiles = 0;
  bool refused = false;
  for (std::size_t limit = enough; limit > 2000 && !refused; limit = limit * 3 / 4) {
    host_gpu gpu;
    gpu.device.memory_limit = limit;
    std::vector<std::string> said;
    try {
      sp::device_ensemble<small_net> nets{
          sets, gpu.libraries(), {.on_less_memory = [&](std::string const& what) {
            said.push_back(what);
          }}};
      BOOST_TEST(largest_difference(nets.predict(pixels), wanted) < 2e-6);
      bool const whole = nets.frames().tiles().tile_height == 53;
      bool const all = nets.frames().capacity() == 3;
      BOOST_TEST(said.empty() == (whole && all));
      if (!whole) {
        ++smaller_tiles;
        BOOST_TEST(said.back().find("tiles of at most ") == 0U);
      }
    } catch (sp::device_error const& failure) {
      refused = true;
      BOOST_TEST(failure.id() == "septum.device.3");
      BOOST_TEST(!said.empty());
    }
    BOOST_TEST(gpu.device.faults.empty());
  }
  BOOST_TEST(smaller_tiles >= 2);
  BOOST_TEST(refused);
}

BOOST_AUTO_TEST_CASE(every_call_that_fails_is_reported_or_gone_round) {
  auto const sets = parameter_sets<tiny_net>(2);
  auto const pixels = noise(6, 7, 1, 1);
  auto const wanted = expected<tiny_net>(sets, pixels);
  int calls = 0;
  {
    host_gpu gpu;
    (void)sp::device_ensemble<tiny_net>{sets, gpu.libraries(), {.frames_in_flight = 2}}.predict(
        pixels);
    calls = gpu.device.calls;
  }
  BOOST_TEST(calls > 150);
  for (int const code : {2, 700}) {
    int reported = 0;
    for (int k = 1; k <= calls; ++k) {
      host_gpu gpu{host_device::order::late};
      gpu.device.fail_at = k;
      gpu.device.fail_code = code;
      BOOST_TEST_CONTEXT("call " << k << " code " << code) {
        try {
          sp::device_ensemble<tiny_net> nets{sets, gpu.libraries(), {.frames_in_flight = 2}};
          BOOST_TEST(largest_difference(nets.predict(pixels), wanted) < 2e-6);
        } catch (sp::device_error const&) {
          ++reported;
        }
        BOOST_TEST(gpu.clean());
      }
    }
    BOOST_TEST(reported > calls / 3);
    BOOST_TEST(reported < calls);
  }
}

BOOST_AUTO_TEST_CASE(wrong_images_and_models_are_refused) {
  host_gpu gpu;
  auto const sets = parameter_sets<tiny_net>(1);
  sp::device_ensemble<tiny_net> nets{sets, gpu.libraries()};
  auto const has_id = [](std::string id) {
    return [id](sp::error const& failure) { return failure.id() == id; };
  };
  BOOST_CHECK_EXCEPTION(nets.predict(noise(9, 9, 2, 1)), sp::shape_error, has_id("septum.net.7"));
  BOOST_CHECK_EXCEPTION(nets.predict(noise(9, 2, 1, 1)), sp::shape_error, has_id("septum.net.5"));
  BOOST_CHECK_EXCEPTION((sp::device_ensemble<small_net>{sets, gpu.libraries()}), sp::weights_error,
                        has_id("septum.weights.1"));
  BOOST_CHECK_EXCEPTION(
      (sp::device_ensemble<small_net>{std::vector<std::vector<float>>{}, gpu.libraries()}),
      sp::weights_error, has_id("septum.weights.3"));
  BOOST_CHECK_EXCEPTION((void)nets.frames().collect(), sp::shape_error, has_id("septum.net.10"));
  gpu.device.compute_capability = 75;
  BOOST_CHECK_EXCEPTION((sp::device_ensemble<tiny_net>{
                            sets, gpu.libraries(), {.cudnn = {.precision = gpu_precision::bf16}}}),
                        sp::unsupported_error, has_id("septum.device.10"));
  // A good frame after a bad one.
  BOOST_TEST(largest_difference(nets.predict(noise(9, 9, 1, 1)),
                                expected<tiny_net>(sets, noise(9, 9, 1, 1))) < 2e-6);
}

BOOST_AUTO_TEST_SUITE_END()
