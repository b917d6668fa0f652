// Dense training, variants, the study and the models that come with the program.

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "program/program.hpp"

using program_test::content;
using program_test::sandbox;
namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(training_with_the_program)

BOOST_AUTO_TEST_CASE(dense_is_the_default_and_threads_do_not_change_a_byte) {
  sandbox const box;
  box.write_dataset("day1");
  auto const train = [&](std::string const& options) {
    auto const done = box.run("train day1 --crop 24 --model m.safetensors --json " + options);
    BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
    return nlohmann::json::parse(done.out);
  };
  auto const one = train("--steps 6 --threads 1");
  BOOST_TEST(one.at("mode").get<std::string>() == "dense");
  BOOST_TEST(one.at("epochs").size() == 3U);
  auto const bytes = content(box.path("m.safetensors"));
  (void)train("--steps 6 --threads 2");
  BOOST_TEST((content(box.path("m.safetensors")) == bytes));
  (void)train("--steps 6 --seed 1");
  BOOST_TEST((content(box.path("m.safetensors")) != bytes));
  // An option that only patches have chooses them.
  BOOST_TEST(train("--patches 2560").at("mode").get<std::string>() == "patch");
}

BOOST_AUTO_TEST_CASE(variants_train_and_segment) {
  sandbox const box;
  box.write_dataset("day1");
  box.write_picture("a.tif", 60, 50);
  for (std::string const options :
       {"--net bn_multires_feature_net_31x31", "--net dropout_feature_net_31x31 --balance mask",
        "--net bn_feature_net_21x21 --shear 0.2 --optimizer rmsprop --rate 0.001",
        "--normalizer channel_whitening --schedule decay", "--normalizer none --balance none",
        "--validation region"}) {
    BOOST_TEST_CONTEXT(options) {
      auto const trained =
          box.run("train day1 --steps 2 --crop 16 --model m.safetensors " + options);
      BOOST_REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
      auto const done = box.run("segment a.tif --model m.safetensors --out cells");
      BOOST_TEST(done.exit_code == 0, done.err);
    }
  }
  auto const refused =
      box.run("train day1 --steps 2 --normalizer patch_whitening --model w.safetensors");
  BOOST_TEST(refused.exit_code == 3);
  BOOST_TEST(refused.err.find("whole frames") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(study_compares_variants_and_takes_runs_over) {
  sandbox const box;
  box.write_dataset("day1");
  box.write_dataset("day2", 80);
  std::string const command =
      "study day1 --test day2 --variants batch-norm plain --seeds 2 --steps 2 --crop 16 --out s "
      "--json";
  auto const first = box.run(command);
  BOOST_REQUIRE_MESSAGE(first.exit_code == 0, first.err);
  auto const result = nlohmann::json::parse(first.out);
  BOOST_TEST(result.at("variants").size() == 2U);
  BOOST_TEST(result.at("variants")[1].at("variant").get<std::string>() == "plain");
  auto const table = content(box.path("s/study.csv"));
  BOOST_TEST(std::count(table.begin(), table.end(), '\n') == 5);
  fs::remove_all(box.path("day1"));
  box.write_dataset("day1", 90);  // would change every score if runs were done again
  auto const again = box.run(command);
  BOOST_REQUIRE_MESSAGE(again.exit_code == 0, again.err);
  BOOST_TEST((content(box.path("s/study.csv")) == table));
}

BOOST_AUTO_TEST_CASE(models_are_found_by_name) {
  sandbox const box;
  box.write_picture("a.tif", 90, 80);
  BOOST_TEST(box.run("segment a.tif --preset bacteria --out a").exit_code == 0);
  BOOST_TEST(box.run("segment a.tif --model nuclei --preset nuclei --out b").exit_code == 0);
  auto const unknown = box.run("segment a.tif --model giraffes --out c");
  BOOST_TEST(unknown.exit_code == 3);
  for (char const* name : {"bacteria", "cytoplasm", "nuclei"})
    BOOST_TEST(unknown.err.find(name) != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
