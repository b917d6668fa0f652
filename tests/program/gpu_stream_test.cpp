#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "experiment_files.hpp"
#include "program.hpp"

/// The whole program with --backend cudnn on the double of a GPU, where there is one: frames in
/// flight change no byte, and what goes wrong is told as on the processor.
namespace {

using program_test::content;
using program_test::files_below;
using program_test::outcome;
using program_test::same_files;
using program_test::sandbox;
namespace fs = std::filesystem;

struct has_double {
  boost::test_tools::assertion_result operator()(boost::unit_test::test_unit_id) const {
    return std::getenv("SEPTUM_GPU_DOUBLE") != nullptr;
  }
};

// A movie of a few small frames, and an ensemble with random weights that finds something in them.
class gpu_box : public sandbox {
 public:
  gpu_box() {
    write_model("a.safetensors");
    write_model("b.safetensors", "bn_feature_net_31x31", {"phase"}, 2);
    fs::create_directories(path("movie"));
    for (int k = 0; k < frames; ++k) {
      septum::image pixels = picture(44, 47);
      for (std::size_t i = 0; i < pixels.size(); ++i)
        pixels.data()[i] += static_cast<float>((i * static_cast<std::size_t>(k + 3)) % 17) * 20;
      septum::io::write_tiff(path("movie/f" + std::to_string(k) + ".tif"), pixels);
    }
  }
  // Runs on the double; `more` are further variables.
  [[nodiscard]] outcome on_gpu(std::string const& arguments, std::string const& more = "") const {
    return run(arguments + " --backend cudnn", "XDG_CACHE_HOME='" + path("cache").string() +
                                                   "' LD_LIBRARY_PATH='" +
                                                   std::getenv("SEPTUM_GPU_DOUBLE") + "' " + more);
  }
  [[nodiscard]] bool same_labels(std::string const& one, std::string const& other) const {
    return same_files(files_below(path(one) / "labels"), files_below(path(other) / "labels"));
  }

  static constexpr int frames = 5;
  std::string const segment =
      "segment movie --model a.safetensors b.safetensors --threshold 0.34 --core-threshold 0 "
      "--area-min 3 --out ";
};

}  // namespace

BOOST_AUTO_TEST_SUITE(gpu_stream, *boost::unit_test::precondition(has_double{}))

BOOST_AUTO_TEST_CASE(frames_in_flight_change_no_byte) {
  gpu_box const box;
  auto const alone = box.on_gpu(box.segment + "alone --threads 1 --json");
  BOOST_REQUIRE_MESSAGE(alone.exit_code == 0, alone.err);
  BOOST_TEST(nlohmann::json::parse(alone.out).at("cells").get<int>() >= gpu_box::frames);
  auto const together = box.on_gpu(box.segment + "together --threads 8 --json");
  BOOST_REQUIRE_MESSAGE(together.exit_code == 0, together.err);
  BOOST_TEST(same_files(files_below(box.path("alone")), files_below(box.path("together"))));
  // What the nets say about each other is measured as on the processor.
  auto const host = box.run(box.segment + "host --threads 2 --backend reference");
  BOOST_REQUIRE_MESSAGE(host.exit_code == 0, host.err);
  BOOST_TEST(box.same_labels("alone", "host"));
  auto const header = [&](std::string const& folder) {
    auto const table = content(box.path(folder) / "cells.csv");
    return table.substr(0, table.find('\n'));
  };
  BOOST_TEST(header("alone") == header("host"));
  BOOST_TEST(header("alone").find("area_sd_px") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(contours_grow_the_same_cells) {
  gpu_box const box;
  std::string const grow =
      "segment movie --preset cytoplasm --model a.safetensors --nuclei-model b.safetensors "
      "--nuclei-rule raw --nuclei-threshold 0.34 --nuclei-area-min 3 --nuclei-solidity-min 0 "
      "--iterations 12 --area-min 3 --threads 8 --out ";
  auto const host = box.run(grow + "host --backend reference --json");
  BOOST_REQUIRE_MESSAGE(host.exit_code == 0, host.err);
  BOOST_TEST(nlohmann::json::parse(host.out).at("cells").get<int>() >= gpu_box::frames);
  auto const device = box.on_gpu(grow + "device");
  BOOST_REQUIRE_MESSAGE(device.exit_code == 0, device.err);
  BOOST_TEST(box.same_labels("host", "device"));
}

BOOST_AUTO_TEST_CASE(the_frame_that_fails_is_named_and_nothing_is_left) {
  gpu_box const box;
  septum::io::write_file(box.path("movie/f3.tif"), "no image");
  auto const host = box.run(box.segment + "o --threads 1");
  auto const device = box.on_gpu(box.segment + "o --threads 8");
  BOOST_TEST(device.exit_code == 3);
  BOOST_TEST(device.err == host.err);
  BOOST_TEST(device.err.find("f3.tif") != std::string::npos, device.err);
  BOOST_TEST(!fs::exists(box.path("o")));
  BOOST_TEST(box.hidden_leftovers() == 0);
}

BOOST_AUTO_TEST_CASE(too_little_memory_is_said_and_changes_no_label) {
  gpu_box const box;
  for (int k = 2; k < gpu_box::frames; ++k)
    fs::remove(box.path("movie/f" + std::to_string(k) + ".tif"));
  // By direct sums: tiles of Winograd's form are never smaller than these frames.
  auto const whole = box.on_gpu(box.segment + "whole --threads 8 --convolution direct");
  BOOST_REQUIRE_MESSAGE(whole.exit_code == 0, whole.err);
  BOOST_TEST(whole.err.find("memory ran out") == std::string::npos);
  int said = 0;
  int exit_code = 0;
  for (int bytes = 12'000'000; exit_code == 0 && bytes > 100'000; bytes -= bytes / 5) {
    auto const less = box.on_gpu(box.segment + "less --threads 8 --convolution direct",
                                 "SEPTUM_DOUBLE_BYTES=" + std::to_string(bytes));
    exit_code = less.exit_code;
    if (exit_code != 0) break;
    said += less.err.find("the GPU's memory ran out; going on with ") != std::string::npos ? 1 : 0;
    BOOST_TEST(box.same_labels("whole", "less"), bytes);
    fs::remove_all(box.path("less"));
  }
  BOOST_TEST(said >= 1);
  BOOST_TEST(exit_code == 4);
  BOOST_TEST(!fs::exists(box.path("less")));
}

BOOST_AUTO_TEST_CASE(a_device_that_fails_ends_the_run) {
  gpu_box const box;
  auto const whole = box.on_gpu(box.segment + "whole --threads 8");
  BOOST_REQUIRE_MESSAGE(whole.exit_code == 0, whole.err);
  int ended = 0;
  for (int const call : {3, 20, 45, 80, 150, 300}) {
    auto const run =
        box.on_gpu(box.segment + "o --threads 8", "SEPTUM_DOUBLE_FAIL_AT=" + std::to_string(call));
    BOOST_TEST_CONTEXT("call " << call << ": " << run.err) {
      if (run.exit_code == 0) {
        BOOST_TEST(box.same_labels("whole", "o"));
        fs::remove_all(box.path("o"));
        continue;
      }
      ++ended;
      BOOST_TEST(run.exit_code == 4);
      BOOST_TEST(!fs::exists(box.path("o")));
      BOOST_TEST(box.hidden_leftovers() == 0);
    }
  }
  BOOST_TEST(ended >= 3);
}

BOOST_AUTO_TEST_SUITE_END()
