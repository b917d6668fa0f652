#include <sys/wait.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <septum/core/rng.hpp>
#include <septum/io/checkpoint.hpp>
#include <septum/io/model.hpp>
#include <string>
#include <thread>

#include "program/child_process.hpp"
#include "program/program.hpp"

/// SIGKILL at random moments: what is on the disk is always whole, and a resumed run ends with the
/// bytes of one that was never killed.
namespace fs = std::filesystem;
using program_test::content;
using program_test::exit_code_of;
using program_test::sandbox;
using program_test::start;
using program_test::wait_for;

namespace {

constexpr septum::counter_rng moments{.seed = 20240607, .stream = 11};

/// The shorter of two runs: other work may hold up one of them.
double seconds_of(sandbox const& box, std::string const& arguments) {
  double shortest = 1e9;
  for (int run = 0; run < 2; ++run) {
    auto const begin = std::chrono::steady_clock::now();
    BOOST_TEST_REQUIRE(wait_for(start(box, arguments)) == 0);
    std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - begin;
    shortest = std::min(shortest, seconds.count());
  }
  return shortest;
}

/// Runs the program and kills it after a random part of `seconds`; true when it was still running.
bool killed(sandbox const& box, std::string const& arguments, double seconds, std::uint64_t draw,
            int& exit_code) {
  using clock = std::chrono::steady_clock;
  auto const moment =
      clock::now() + std::chrono::duration_cast<clock::duration>(
                         std::chrono::duration<double>(moments.uniform(draw) * seconds));
  ::pid_t const child = start(box, arguments);
  int status = 0;
  while (clock::now() < moment) {
    if (::waitpid(child, &status, WNOHANG) == child) {
      // A signal that did not come from here.
      exit_code = WIFEXITED(status) ? exit_code_of(status) : 128;
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  ::kill(child, SIGKILL);
  exit_code = wait_for(child);
  return exit_code == -1;
}

/// Names and contents of all files below a folder.
std::map<std::string, std::string> files_of(fs::path const& folder) {
  std::map<std::string, std::string> result;
  for (auto const& entry : fs::recursive_directory_iterator{folder})
    if (entry.is_regular_file())
      result[fs::relative(entry.path(), folder).string()] = content(entry.path());
  return result;
}

void kill_training(sandbox const& box, std::string const& recipe, int kills) {
  double const whole = seconds_of(box, recipe + " --model whole.safetensors");
  auto const reference = content(box.path("whole.safetensors"));
  auto const model = box.path("m.safetensors");
  auto const checkpoint = box.path("m.safetensors.checkpoint.0");
  int done = 0;
  int finished = 0;
  for (std::uint64_t draw = 0; done < kills; ++draw) {
    BOOST_TEST_REQUIRE(draw < 20U * static_cast<std::uint64_t>(kills));
    std::string command = recipe + " --model m.safetensors";
    if (fs::exists(checkpoint)) command += " --resume";
    int exit_code = 0;
    done += killed(box, command, 1.3 * whole, draw, exit_code) ? 1 : 0;
    BOOST_TEST_REQUIRE((exit_code == -1 || exit_code == 0));
    // Whole or not there at all.
    if (fs::exists(checkpoint)) static_cast<void>(septum::io::read_checkpoint(checkpoint));
    if (fs::exists(model)) {
      BOOST_TEST_REQUIRE((content(model) == reference));
      fs::remove(model);
      fs::remove(checkpoint);
      ++finished;
    }
  }
  std::string command = recipe + " --model m.safetensors";
  if (fs::exists(checkpoint)) command += " --resume";
  BOOST_TEST(wait_for(start(box, command)) == 0);
  BOOST_TEST((content(model) == reference));
  BOOST_TEST(box.hidden_leftovers() == 0);
  BOOST_TEST(!fs::exists(checkpoint));
  BOOST_TEST_MESSAGE(done << " kills, " << finished + 1 << " models with equal weights");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kills)

BOOST_AUTO_TEST_CASE(training_by_crops) {
  sandbox const box;
  box.write_dataset("day1");
  kill_training(box, "train day1 --mode dense --steps 16 --crop 16 --threads 1 --quiet --seed 2",
                60);
}

BOOST_AUTO_TEST_CASE(training_by_patches) {
  sandbox const box;
  box.write_dataset("day1");
  kill_training(box,
                "train day1 --mode patch --epochs 3 --limit-per-class 100 --threads 1 --quiet "
                "--seed 2",
                60);
}

BOOST_AUTO_TEST_CASE(segmentation) {
  sandbox const box;
  box.write_model("m.safetensors");
  for (int frame = 0; frame < 3; ++frame)
    box.write_picture("t" + std::to_string(frame) + ".tif", 64,
                      64 + 4 * static_cast<std::size_t>(frame));
  std::string const command =
      "segment t0.tif t1.tif t2.tif --model m.safetensors --threads 1 --quiet --probabilities "
      "--out ";
  double const whole = seconds_of(box, command + "whole");
  auto const reference = files_of(box.path("whole"));
  int done = 0;
  int finished = 0;
  for (std::uint64_t draw = 1000; done < 80; ++draw) {
    BOOST_TEST_REQUIRE(draw < 3000U);
    int exit_code = 0;
    done += killed(box, command + "o", 1.5 * whole, draw, exit_code) ? 1 : 0;
    BOOST_TEST_REQUIRE((exit_code == -1 || exit_code == 0));
    if (!fs::exists(box.path("o"))) continue;
    ++finished;
    BOOST_TEST_REQUIRE((files_of(box.path("o")) == reference));
    // Half of the time over an old result.
    if (draw % 2 == 0) fs::remove_all(box.path("o"));
  }
  BOOST_TEST(wait_for(start(box, command + "o")) == 0);
  BOOST_TEST((files_of(box.path("o")) == reference));
  BOOST_TEST(box.hidden_leftovers() == 0);
  BOOST_TEST_MESSAGE(done << " kills, " << finished << " times a whole result was there");
}

BOOST_AUTO_TEST_SUITE_END()
