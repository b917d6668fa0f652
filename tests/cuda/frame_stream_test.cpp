// Frames in flight as a stage of a pipeline, and what every net of an ensemble says.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <exception>
#include <optional>
#include <septum/backend/eigen.hpp>
#include <septum/backend/reference.hpp>
#include <septum/exec/ordered_pipeline.hpp>
#include <septum/net/device_ensemble.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/net/frame_stream.hpp>
#include <septum/net/parameters.hpp>
#include <septum/segment/device_contours.hpp>
#include <string>
#include <vector>

#include "../support/host_gpu.hpp"
#include "../support/noise_images.hpp"

namespace {

namespace sp = septum;
using noise_images::largest_difference;
using noise_images::noise;

struct stream_net
    : sp::stack<sp::input<2>, sp::conv<8, 3>, sp::batch_norm, sp::relu, sp::max_pool<2>,
                sp::conv<9, 3>, sp::relu, sp::dense<3>, sp::softmax> {};
// For tests that repeat a run hundreds of times.
struct short_net : sp::stack<sp::input<1>, sp::conv<9, 3>, sp::relu, sp::dense<9>, sp::relu,
                             sp::dense<2>, sp::softmax> {};

template <class Net>
std::vector<std::vector<float>> parameter_sets(int count) {
  std::vector<std::vector<float>> sets;
  for (int k = 0; k < count; ++k)
    sets.push_back(sp::he_normal<Net, float>({static_cast<std::uint64_t>(k + 31), 1}));
  return sets;
}

bool same(sp::ensemble_maps const& a, sp::ensemble_maps const& b) {
  return a.mean == b.mean && a.nets == b.nets;
}

// A frame on its way, and a frame_stream as the stage that predicts it.
struct frame {
  sp::image pixels;
  sp::ensemble_maps maps{};
  sp::labels cells{};
};
struct predicting {
  sp::frame_stream* stream;
  [[nodiscard]] bool accepts(frame const& one) const { return stream->accepts(one.pixels); }
  void submit(frame& one) const { stream->submit(one.pixels); }
  void collect(frame& one) const { one.maps = stream->collect_each(); }
  void abandon() const { stream->abandon(); }
};
static_assert(sp::Relay<predicting, frame>);

auto series(std::vector<sp::image> const& images) {
  return [&images, next = std::size_t{0}]() mutable -> std::optional<frame> {
    if (next == images.size()) return std::nullopt;
    return frame{images[next++]};
  };
}

// Two classes whose second is bright discs, and nuclei inside.
struct cells_scene {
  sp::probabilities maps;
  sp::labels nuclei;
  sp::image pixels;
};
cells_scene cells_in_noise(std::size_t rows, std::size_t columns, std::uint64_t seed) {
  cells_scene made{xt::zeros<float>({rows, columns, std::size_t{2}}),
                   xt::zeros<std::int32_t>({rows, columns}),
                   xt::zeros<float>({rows, columns, std::size_t{1}})};
  sp::counter_rng const random{seed, 8};
  std::uint64_t draw = 0;
  for (std::int32_t cell = 1; cell <= 9; ++cell) {
    double const r0 = random.uniform(draw++) * static_cast<double>(rows);
    double const c0 = random.uniform(draw++) * static_cast<double>(columns);
    double const radius = 4 + 7 * random.uniform(draw++);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) {
        double const away = std::hypot(static_cast<double>(r) - r0, static_cast<double>(c) - c0);
        if (away < radius) made.maps(r, c, 1) = 0.8F;
        if (away < radius / 3) made.nuclei(r, c) = cell;
      }
  }
  for (std::size_t p = 0; p < rows * columns; ++p) {
    float& inside = made.maps.data()[2 * p + 1];
    inside = std::clamp(inside + 0.15F * static_cast<float>(random.normal(draw++)), 0.0F, 1.0F);
    made.maps.data()[2 * p] = 1.0F - inside;
  }
  return made;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(frame_stream)

BOOST_AUTO_TEST_CASE(every_net_says_what_it_says_alone) {
  auto const sets = parameter_sets<stream_net>(3);
  auto const pixels = noise(21, 26, 2, 1);
  auto const on_host = sp::ensemble<stream_net, sp::reference>{sets}.predict_each(pixels);
  for (auto const precision : {sp::gpu_precision::f32, sp::gpu_precision::bf16})
    for (bool const record : {false, true})
      for (int const side : {1 << 20, 8}) {
        host_gpu gpu{host_device::order::late};
        {
          sp::device_inference_options options{
              .cudnn = {.precision = precision}, .largest_tile = side, .record = record};
          auto const mean =
              sp::device_ensemble<stream_net>{sets, gpu.libraries(), options}.predict(pixels);
          std::vector<sp::probabilities> alone;
          for (auto const& set : sets)
            alone.push_back(
                sp::device_ensemble<stream_net>{{set}, gpu.libraries(), options}.predict(pixels));
          options.each_net = true;
          sp::device_ensemble<stream_net> nets{sets, gpu.libraries(), options};
          auto const found = nets.predict_each(pixels);
          BOOST_TEST_CONTEXT(sp::name_of(precision) << " recorded " << record << " side " << side) {
            BOOST_TEST((found.mean == mean));
            BOOST_TEST((found.nets == alone));
            for (std::size_t k = 0; k < found.nets.size(); ++k)
              BOOST_TEST(largest_difference(found.nets[k], on_host.nets[k]) <
                         (precision == sp::gpu_precision::f32 ? 2e-6 : 3e-2));
            BOOST_TEST((nets.predict(pixels) == mean));
          }
        }
        BOOST_TEST(gpu.clean());
      }
}

BOOST_AUTO_TEST_CASE(nets_that_nobody_asked_for_are_not_told) {
  host_gpu gpu;
  sp::device_ensemble<stream_net> nets{parameter_sets<stream_net>(2), gpu.libraries()};
  BOOST_TEST(nets.predict_each(noise(12, 12, 2, 1)).nets.empty());
}

BOOST_AUTO_TEST_CASE(too_little_memory_for_every_net_gives_the_same_maps) {
  auto const sets = parameter_sets<stream_net>(2);
  auto const pixels = noise(60, 70, 2, 4);
  sp::device_inference_options options{.each_net = true};
  std::size_t enough = 0;
  sp::ensemble_maps expected;
  {
    host_gpu gpu;
    expected = sp::device_ensemble<stream_net>{sets, gpu.libraries(), options}.predict_each(pixels);
    enough = gpu.device.largest_device_bytes();
  }
  int fewer_frames = 0;
  int smaller_tiles = 0;
  for (std::size_t limit = enough; limit > enough / 3; limit = limit * 4 / 5) {
    host_gpu gpu;
    gpu.device.memory_limit = limit;
    std::vector<std::string> said;
    options.on_less_memory = [&](std::string const& what) { said.push_back(what); };
    sp::device_ensemble<stream_net> nets{sets, gpu.libraries(), options};
    BOOST_TEST(same(nets.predict_each(pixels), expected));
    for (auto const& what : said) {
      fewer_frames += what.find("frames in flight") != std::string::npos ? 1 : 0;
      smaller_tiles += what.find("tiles of at most ") == 0 ? 1 : 0;
    }
  }
  BOOST_TEST(fewer_frames >= 1);
  BOOST_TEST(smaller_tiles >= 1);
}

BOOST_AUTO_TEST_CASE(a_pipeline_gives_the_bytes_of_frames_one_at_a_time) {
  auto const sets = parameter_sets<stream_net>(2);
  std::vector<sp::image> images;
  for (std::uint64_t k = 0; k < 12; ++k)
    images.push_back(noise(k / 4 == 1 ? 11 : 14, k / 4 == 1 ? 17 : 12, 2, k));
  for (bool const each : {false, true})
    for (int const in_flight : {1, 2, 6})
      for (std::uint32_t seed = 1; seed <= 4; ++seed) {
        host_gpu gpu{host_device::order::late, seed};
        sp::device_inference_options const options{.largest_tile = 5, .each_net = each};
        std::vector<sp::ensemble_maps> expected;
        {
          sp::device_ensemble<stream_net> nets{sets, gpu.libraries(), options};
          for (auto const& pixels : images) expected.push_back(nets.predict_each(pixels));
        }
        {
          sp::device_ensemble<stream_net> nets{sets, gpu.libraries(), options};
          std::vector<sp::ensemble_maps> found;
          sp::run_pipeline(
              in_flight, series(images), [&](frame& one) { found.push_back(std::move(one.maps)); },
              sp::on_workers{[](frame&) {}, 2}, predicting{&nets.frames()},
              sp::on_workers{[](frame&) {}, 2});
          BOOST_TEST(found.size() == images.size());
          for (std::size_t k = 0; k < found.size(); ++k) BOOST_TEST(same(found[k], expected[k]));
        }
        BOOST_TEST(gpu.clean());
      }
}

BOOST_AUTO_TEST_CASE(a_predictor_of_the_host_goes_through_the_same_pipeline) {
  auto const sets = parameter_sets<stream_net>(2);
  std::vector<sp::image> images;
  for (std::uint64_t k = 0; k < 5; ++k) images.push_back(noise(14, 12 + k, 2, k));
  sp::ensemble<stream_net, sp::eigen> nets{sets};
  std::vector<sp::ensemble_maps> expected;
  for (auto const& pixels : images) expected.push_back(nets.predict_each(pixels));
  auto const predict = [&](sp::image const& pixels) { return nets.predict_each(pixels); };
  for (int const in_flight : {1, 3}) {
    sp::immediate_frames<decltype(predict)> stream{predict};
    std::size_t next = 0;
    sp::run_pipeline(
        in_flight, series(images),
        [&](frame& one) { BOOST_TEST(same(one.maps, expected.at(next++))); }, predicting{&stream});
    BOOST_TEST(next == images.size());
    BOOST_CHECK_THROW((void)stream.collect_each(), sp::shape_error);
  }
}

BOOST_AUTO_TEST_CASE(a_frame_in_the_middle_that_fails_is_that_frame) {
  auto const sets = parameter_sets<short_net>(1);
  std::vector<sp::image> images;
  for (std::uint64_t k = 0; k < 9; ++k) images.push_back(noise(9, 9, k == 5 ? 2 : 1, k));
  sp::ensemble<short_net, sp::reference> host{sets};
  for (int const in_flight : {1, 5}) {
    host_gpu gpu{host_device::order::late};
    {
      sp::device_ensemble<short_net> nets{sets, gpu.libraries()};
      std::vector<bool> failed;
      sp::run_pipeline(
          in_flight, series(images),
          [&](frame& one, std::exception_ptr const& failure) {
            auto const k = failed.size();
            failed.push_back(failure != nullptr);
            if (failure)
              BOOST_CHECK_EXCEPTION(
                  std::rethrow_exception(failure), sp::shape_error,
                  [](sp::error const& known) { return known.id() == "septum.net.7"; });
            else
              BOOST_TEST(largest_difference(one.maps.mean, host.predict(images[k])) < 2e-6);
          },
          predicting{&nets.frames()});
      BOOST_TEST(std::count(failed.begin(), failed.end(), true) == 1);
      BOOST_TEST(failed.at(5));
    }
    BOOST_TEST(gpu.clean());
  }
}

BOOST_AUTO_TEST_CASE(contours_on_a_device_are_those_of_the_host) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    auto const given = cells_in_noise(50, 70, seed);
    host_gpu const gpu{host_device::order::late};
    {
      auto const libraries = gpu.libraries();
      sp::device_contours const place{libraries.cuda, libraries.kernels};
      auto const check = [&](auto const& contours) {
        using refiner = std::remove_cvref_t<decltype(contours)>;
        static_assert(sp::Refiner<sp::placed_contours<refiner, sp::device_contours>>);
        sp::labels on_host = given.nuclei;
        contours(on_host, given.maps, given.pixels, {2});
        sp::labels on_device = given.nuclei;
        sp::placed_contours<refiner, sp::device_contours>{contours, place}(on_device, given.maps,
                                                                           given.pixels, {2});
        BOOST_TEST((on_device == on_host));
        BOOST_TEST(*std::max_element(on_host.begin(), on_host.end()) > 2);
      };
      check(sp::published_contours<1>{.iterations = 30});
      check(sp::labels_contours<1>{.iterations = 30});
      check(sp::labels_contours<1>{.iterations = 30, .keep_nuclei = true});
      check(sp::cell_contours<1>{.mode = sp::contour_mode::published, .iterations = 9});
    }
    BOOST_TEST(gpu.clean());
    BOOST_TEST(!gpu.device.launches.empty());
  }
}

BOOST_AUTO_TEST_CASE(contours_without_memory_evolve_on_the_host_and_say_so) {
  auto const given = cells_in_noise(40, 64, 4);
  sp::labels_contours<1> const contours{.iterations = 12};
  sp::labels expected = given.nuclei;
  contours(expected, given.maps, given.pixels);
  int calls = 0;
  {
    host_gpu const gpu;
    auto const libraries = gpu.libraries();
    sp::labels cells = given.nuclei;
    contours.grow_at(sp::device_contours{libraries.cuda, libraries.kernels}, cells, given.maps);
    calls = gpu.device.calls;
  }
  for (int const code : {2, 700}) {
    int told = 0;
    int thrown = 0;
    for (int k = 1; k <= calls; ++k) {
      host_gpu gpu;
      gpu.device.fail_at = k;
      gpu.device.fail_code = code;
      BOOST_TEST_CONTEXT("call " << k << " code " << code) {
        try {
          auto const libraries = gpu.libraries();
          sp::device_contours const place{libraries.cuda, libraries.kernels, [&] { ++told; }};
          for (int again = 0; again < 2; ++again) {
            sp::labels cells = given.nuclei;
            contours.grow_at(place, cells, given.maps);
            BOOST_TEST((cells == expected));
          }
        } catch (sp::device_error const&) {
          ++thrown;
        }
        BOOST_TEST(gpu.clean());
      }
    }
    BOOST_TEST((code == 2) == (told > calls / 2));
    BOOST_TEST((code == 2) == (thrown < calls / 2));
  }
}

BOOST_AUTO_TEST_CASE(nets_and_contours_share_a_device_from_different_threads) {
  auto const sets = parameter_sets<short_net>(2);
  std::vector<sp::image> images;
  for (std::uint64_t k = 0; k < 10; ++k) images.push_back(noise(k < 6 ? 20 : 24, 30, 1, k));
  sp::labels nuclei = xt::zeros<std::int32_t>({24, 30});
  for (std::size_t r = 4; r < 24; r += 8)
    for (std::size_t c = 4; c < 30; c += 9) nuclei(r, c) = nuclei(r + 1, c + 1) = 1;
  sp::labels_contours<1> const contours{.iterations = 10};
  auto const grow = [&](frame& one, auto const& place) {
    one.cells = nuclei;
    one.cells.resize({one.pixels.shape()[0], one.pixels.shape()[1]});
    for (std::size_t r = 0; r < one.pixels.shape()[0]; ++r)
      for (std::size_t c = 0; c < 30; ++c) one.cells(r, c) = nuclei(r, c);
    contours.grow_at(place, one.cells, one.maps.mean);
  };
  auto const segment = [&](host_gpu const& gpu, int in_flight, auto const& make_place) {
    auto const libraries = gpu.libraries();
    auto const place = make_place(libraries);
    sp::device_ensemble<short_net> nets{sets, libraries, {.largest_tile = 9, .each_net = true}};
    std::vector<sp::labels> cells;
    sp::run_pipeline(
        in_flight, series(images), [&](frame& one) { cells.push_back(std::move(one.cells)); },
        predicting{&nets.frames()}, sp::on_workers{[&](frame& one) { grow(one, place); }, 3});
    return cells;
  };
  auto const on_device = [](sp::device_libraries const& libraries) {
    return sp::device_contours{libraries.cuda, libraries.kernels};
  };
  std::vector<sp::labels> expected;
  int calls = 0;
  {
    host_gpu const gpu;
    expected = segment(gpu, 1, [](auto const&) { return sp::host_contours{}; });
  }
  for (std::uint32_t seed = 1; seed <= 5; ++seed)
    for (int const in_flight : {1, 2, 8}) {
      host_gpu const gpu{host_device::order::late, seed};
      BOOST_TEST((segment(gpu, in_flight, on_device) == expected));
      BOOST_TEST(gpu.clean());
      calls = gpu.device.calls;
    }
  // Any call fails: the run ends with that error, or goes round it with the same cells.
  for (int const code : {2, 700})
    for (int k = 1; k <= calls; k += 7) {
      host_gpu gpu{host_device::order::late};
      gpu.device.fail_at = k;
      gpu.device.fail_code = code;
      BOOST_TEST_CONTEXT("call " << k << " of " << calls << " code " << code) {
        try {
          BOOST_TEST((segment(gpu, 6, on_device) == expected));
        } catch (sp::device_error const&) {
        }
        BOOST_TEST(gpu.clean());
      }
    }
}

BOOST_AUTO_TEST_SUITE_END()
