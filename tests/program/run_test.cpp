#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <septum/io/tiff.hpp>
#include <string>

#include "program/experiment_files.hpp"
#include "program/program.hpp"

namespace fs = std::filesystem;
using program_test::content;
using program_test::files_below;
using program_test::same_files;
using program_test::sandbox;
using program_test::write_config;
using program_test::write_positions;

BOOST_AUTO_TEST_SUITE(run)

BOOST_AUTO_TEST_CASE(a_killed_run_goes_on_and_leaves_the_same_files) {
  sandbox const box;
  box.write_model("m.safetensors");
  write_positions(box, 4, 4);
  write_config(box);
  auto const whole = box.run("run experiment.toml --out whole --threads 2 --json");
  BOOST_REQUIRE_MESSAGE(whole.exit_code == 0, whole.err);
  auto const expected = files_below(box.path("whole"));
  BOOST_TEST(expected.contains("p3/report.html"));
  BOOST_TEST(expected.contains("p0/measurements/cells.csv"));
  BOOST_TEST(expected.contains("p0/tracks/tracks.csv"));
  BOOST_TEST(expected.contains("summary.csv"));
  double const seconds = nlohmann::json::parse(whole.out).at("seconds").get<double>();
  // Killed at several moments of its life, and started again each time.
  for (double const share : {0.15, 0.35, 0.6, 0.85}) {
    std::string const after = std::to_string(std::max(share * seconds, 0.05));
    (void)box.run("run experiment.toml --out parts --threads 2 --quiet",
                  "timeout -s KILL " + after + " ");
  }
  auto const last = box.run("run experiment.toml --out parts --threads 2 --json");
  BOOST_REQUIRE_MESSAGE(last.exit_code == 0, last.err);
  BOOST_TEST(same_files(expected, files_below(box.path("parts"))));
  // Nothing is done twice.
  auto const again = nlohmann::json::parse(box.run("run experiment.toml --out parts --json").out);
  BOOST_TEST(again.at("frames").get<int>() == 0);
  for (auto const& one : again.at("positions")) BOOST_TEST(one.at("steps_skipped") == 4);
  BOOST_TEST(same_files(expected, files_below(box.path("parts"))));
}

BOOST_AUTO_TEST_CASE(one_bad_position_stops_no_other) {
  sandbox const box;
  box.write_model("m.safetensors");
  write_positions(box, 3, 3);
  write_config(box);
  septum::io::write_file(box.path("movies/p1/t1.tif"), "no image");
  auto const outcome = box.run("run experiment.toml --json");
  BOOST_TEST(outcome.exit_code == 3);
  BOOST_TEST(outcome.err.find("p1") != std::string::npos);
  BOOST_TEST(outcome.err.find("t1.tif") != std::string::npos);
  auto const result = nlohmann::json::parse(outcome.out);
  BOOST_TEST(result.at("failed") == 1);
  BOOST_TEST(fs::exists(box.path("out/p0/report.html")));
  BOOST_TEST(fs::exists(box.path("out/p2/report.html")));
  BOOST_TEST(!fs::exists(box.path("out/p1/cells")));
  BOOST_TEST(content(box.path("out/summary.csv")).find("p1,failed,") != std::string::npos);
  // Mended, only what is missing is done.
  septum::io::write_tiff(box.path("movies/p1/t1.tif"), sandbox::picture(48, 56));
  auto const mended = nlohmann::json::parse(box.run("run experiment.toml --json").out);
  BOOST_TEST(mended.at("failed") == 0);
  BOOST_TEST(mended.at("frames") == 3);
}

BOOST_AUTO_TEST_CASE(changed_settings_are_done_again) {
  sandbox const box;
  box.write_model("m.safetensors");
  write_positions(box, 1, 3);
  write_config(box);
  BOOST_TEST(box.run("run experiment.toml").exit_code == 0);
  write_config(box, "[report]\nenabled = false\n");
  auto const second = nlohmann::json::parse(box.run("run experiment.toml --json").out);
  BOOST_TEST(second.at("frames") == 3);
}

BOOST_AUTO_TEST_CASE(mistakes_in_the_file_are_named) {
  sandbox const box;
  box.write_model("m.safetensors");
  write_positions(box, 1, 2);
  auto const refused = [&](std::string const& text, std::string const& part) {
    septum::io::write_file(box.path("bad.toml"), text);
    auto const outcome = box.run("run bad.toml");
    BOOST_TEST(outcome.exit_code == 3, text);
    BOOST_TEST(outcome.err.find(part) != std::string::npos, outcome.err);
    BOOST_TEST(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  };
  std::string const model = "[model]\ncells = \"m.safetensors\"\n";
  refused("positions = [", "line 1");
  refused("positions = \"movies\"\n", "[model] cells");
  refused("positions = \"movies\"\ntypo = 3\n" + model, "line 2: typo: unknown");
  refused("positions = \"movies\"\n" + model + "[segment]\nthreshold = 2.0\n", "from 0 to 1");
  refused("positions = \"movies\"\n" + model + "[segment]\npreset = \"fish\"\n", "bacteria");
  refused("positions = 7\n" + model, "expected a folder in quotes");
  refused(model, "[[position]]");
  refused(model + "[[position]]\nname = \"a/b\"\nimages = \"movies/p0\"\n", "a name of letters");
  refused(model + "[[position]]\nname = \"a\"\n", "either images or channels");
  std::string const twice = "[[position]]\nname = \"a\"\nimages = \"movies/p0\"\n";
  refused(model + twice + twice, "two positions named a");
  refused("positions = \"movies\"\n" + model + "[measure]\nwindow = 4\n", "odd");
}

BOOST_AUTO_TEST_SUITE_END()
