// The program under mpirun: as many processes as one likes leave the same files.
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "program/experiment_files.hpp"
#include "program/program.hpp"

using program_test::content;
using program_test::files_below;
using program_test::sandbox;
using program_test::same_files;
using program_test::write_config;
using program_test::write_positions;

namespace {

#if defined(SEPTUM_TEST_MPI)
bool have_mpirun() {
  if (std::system("mpirun --version >/dev/null 2>&1") == 0) return true;
  BOOST_TEST_MESSAGE("skipped: no mpirun");
  return false;
}
#else
bool have_mpirun() {
  BOOST_TEST_MESSAGE("skipped: built without MPI (-DSEPTUM_WITH_MPI=ON)");
  return false;
}
#endif

// Put before the program: so many processes on this machine, as root as well.
std::string mpirun(int processes, std::string const& more = "") {
  return "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe "
         "--bind-to none " +
         more + " -n " + std::to_string(processes) + " ";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mpi)

BOOST_AUTO_TEST_CASE(an_experiment_is_the_same_in_any_number_of_processes) {
  if (!have_mpirun()) return;
  sandbox const box;
  box.write_model("m.safetensors");
  write_positions(box, 5, 3);
  write_config(box);
  auto const alone = box.run("run experiment.toml --out alone --threads 1 --quiet");
  BOOST_REQUIRE_MESSAGE(alone.exit_code == 0, alone.err);
  auto const expected = files_below(box.path("alone"));
  for (int const processes : {1, 2, 4}) {
    std::string const out = "out" + std::to_string(processes);
    auto const done =
        box.run("run experiment.toml --out " + out + " --threads 1 --json", mpirun(processes));
    BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
    // The first process alone reports.
    BOOST_TEST(nlohmann::json::parse(done.out).at("positions").size() == 5U);
    BOOST_TEST(same_files(expected, files_below(box.path(out))), processes << " processes");
  }
}

BOOST_AUTO_TEST_CASE(a_process_that_dies_costs_its_position_which_is_done_again) {
  if (!have_mpirun()) return;
  sandbox const box;
  box.write_model("m.safetensors");
  write_positions(box, 6, 6);
  write_config(box);
  auto const alone = box.run("run experiment.toml --out alone --threads 1 --json");
  BOOST_REQUIRE_MESSAGE(alone.exit_code == 0, alone.err);
  double const seconds = nlohmann::json::parse(alone.out).at("seconds").get<double>();
  auto const expected = files_below(box.path("alone"));
  for (double const share : {0.1, 0.25}) {
    std::string const out = "out" + std::to_string(share);
    std::filesystem::remove_all(box.path(out));
    // exec keeps the number of the shell's process, which the killer in the background knows.
    std::ofstream{box.path("worker.sh")} << "if [ \"$OMPI_COMM_WORLD_RANK\" = 1 ]; then (sleep "
                                         << std::max(0.05, share * seconds)
                                         << "; kill -9 $$) >/dev/null 2>&1 & fi\nexec \"$@\"\n";
    auto const done =
        box.run("run experiment.toml --out " + out + " --threads 1 --quiet",
                mpirun(2, "--enable-recovery") + "sh " + box.path("worker.sh").string() + " ");
    BOOST_TEST(done.exit_code == 0, done.err);
    BOOST_TEST(same_files(expected, files_below(box.path(out))), "killed after " << share);
  }
}

BOOST_AUTO_TEST_CASE(a_position_that_fails_stops_no_process) {
  if (!have_mpirun()) return;
  sandbox const box;
  box.write_model("m.safetensors");
  write_positions(box, 4, 2);
  write_config(box);
  std::ofstream{box.path("movies/p1/t1.tif"), std::ios::trunc} << "II*";
  auto const done = box.run("run experiment.toml --out out --threads 1 --json", mpirun(2));
  BOOST_TEST(done.exit_code != 0);
  auto const summary = content(box.path("out/summary.csv"));
  BOOST_TEST(summary.find("p1,failed") != std::string::npos, summary);
  for (char const* name : {"p0,done", "p2,done", "p3,done"})
    BOOST_TEST(summary.find(name) != std::string::npos, summary);
}

BOOST_AUTO_TEST_CASE(training_in_parts_gives_the_same_model_in_any_number_of_processes) {
  if (!have_mpirun()) return;
  sandbox const box;
  box.write_dataset("day1");
  for (std::string const mode : {"--mode dense --steps 6 --crop 24 --parts 4",
                                 "--mode patch --patches 640 --batch 64 --parts 4"}) {
    std::string const train = "train day1 --threads 1 --seed 3 --quiet " + mode + " --model ";
    auto const alone = box.run(train + "alone.safetensors");
    BOOST_REQUIRE_MESSAGE(alone.exit_code == 0, alone.err);
    auto const expected = content(box.path("alone.safetensors"));
    // Parts are not one batch: batch norm sees them apart.
    auto const whole = box.run("train day1 --threads 1 --seed 3 --quiet --crops 4 " +
                               mode.substr(0, mode.find("--parts")) + " --model whole.safetensors");
    BOOST_REQUIRE_MESSAGE(whole.exit_code == 0, whole.err);
    BOOST_TEST((content(box.path("whole.safetensors")) != expected));
    for (int const processes : {1, 2, 4}) {
      auto const done = box.run(train + "m.safetensors", mpirun(processes));
      BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
      BOOST_TEST((content(box.path("m.safetensors")) == expected),
                 mode << ", " << processes << " processes");
    }
  }
}

BOOST_AUTO_TEST_CASE(parts_have_to_fit_the_processes) {
  if (!have_mpirun()) return;
  sandbox const box;
  box.write_dataset("day1");
  auto const done =
      box.run("train day1 --threads 1 --steps 2 --parts 3 --model m.safetensors", mpirun(2));
  BOOST_TEST(done.exit_code != 0);
  BOOST_TEST(done.err.find("septum.program.104") != std::string::npos, done.err);
}

BOOST_AUTO_TEST_SUITE_END()
