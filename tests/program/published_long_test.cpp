#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <septum/io/image.hpp>
#include <string>
#include <support/shared_data.hpp>
#include <vector>

#include "program/program.hpp"

// The paper's masks and scores from images and weights alone, through the program.

namespace fs = std::filesystem;
using program_test::sandbox;

namespace {

/// Converts the weights of a folder to NAME.safetensors in the sandbox.
void convert(sandbox const& box, fs::path const& shared, std::string const& name,
             std::string const& model, std::string const& options = "") {
  std::vector<fs::path> files;
  for (auto const& entry : fs::directory_iterator{shared / "weights" / name})
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::string command = "convert ";
  for (auto const& file : files) command += "'" + file.string() + "' ";
  auto const done = box.run(command + model + ".safetensors --quiet " + options);
  BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
}

nlohmann::json run_json(sandbox const& box, std::string const& command) {
  auto const done = box.run(command + " --json --quiet");
  BOOST_REQUIRE_MESSAGE(done.exit_code == 0, command << ": " << done.err);
  return nlohmann::json::parse(done.out);
}

std::size_t differing_pixels(fs::path const& labels, fs::path const& mask) {
  auto const cells = septum::io::read_labels(labels);
  auto const expected = septum::io::read_mask(mask);
  BOOST_REQUIRE_EQUAL(cells.size(), expected.size());
  std::size_t count = 0;
  for (std::size_t p = 0; p < cells.size(); ++p)
    count += (cells.data()[p] != 0) != (expected.data()[p] != 0) ? 1U : 0U;
  return count;
}

/// Largest difference between stored maps (edge, interior) and the probabilities of a run.
double difference(fs::path const& probabilities, fs::path const& stored) {
  auto const maps = septum::io::read_image(probabilities);
  double worst = 0;
  for (std::size_t k : {0U, 1U}) {
    auto const expected =
        septum::io::read_image(stored.string() + (k == 0 ? "_edge.tif" : "_interior.tif"));
    for (std::size_t p = 0; p < expected.size(); ++p)
      worst = std::max(worst, std::abs(static_cast<double>(maps.data()[3 * p + k]) -
                                       static_cast<double>(expected.data()[p])));
  }
  return worst;
}

void check_scores(nlohmann::json const& scores, nlohmann::json const& expected) {
  auto const& paper = expected.at("paper");
  auto const near = [&](char const* key, char const* wanted) {
    BOOST_TEST(std::abs(scores.at(key).get<double>() - paper.at(wanted).get<double>()) < 1e-9, key);
  };
  near("jaccard_mean", "jaccard_mean");
  near("jaccard_sd", "jaccard_std");
  near("dice_mean", "dice_mean");
  near("dice_sd", "dice_std");
  BOOST_TEST(scores.at("cells") == paper.at("n_scored"));
  for (std::string const each : {"jaccard", "dice"}) {
    if (!paper.contains(each + "_per_cell")) continue;
    auto const found = scores.at(each + "_per_cell").get<std::vector<double>>();
    auto const wanted = paper.at(each + "_per_cell").get<std::vector<double>>();
    BOOST_REQUIRE_EQUAL(found.size(), wanted.size());
    for (std::size_t k = 0; k < found.size(); ++k)
      BOOST_TEST(std::abs(found[k] - wanted[k]) < 1e-5);
  }
  auto const& counts = expected.at("standard_iou_0p5_vs_eroded_interior");
  BOOST_TEST(scores.at("published_counts").at("true_positives") == counts.at("tp"));
  BOOST_TEST(scores.at("published_counts").at("false_positives") == counts.at("fp"));
  BOOST_TEST(scores.at("published_counts").at("false_negatives") == counts.at("fn"));
}

/// No score of the second run is below the first's.
void check_at_least(nlohmann::json const& published, nlohmann::json const& better) {
  for (char const* key : {"jaccard_mean", "dice_mean", "seg"})
    BOOST_TEST(better.at(key).get<double>() >= published.at(key).get<double>() - 1e-12, key);
  for (char const* threshold : {"0.5", "0.75"})
    BOOST_TEST(better.at("ap").at(threshold).get<double>() >=
                   published.at("ap").at(threshold).get<double>(),
               "ap " << threshold);
}

nlohmann::json expected_metrics(fs::path const& shared) {
  return nlohmann::json::parse(program_test::content(shared / "expected_metrics.json"));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(published_application)

BOOST_AUTO_TEST_CASE(hela_validation) {
  auto const shared = test::shared_data("");
  auto const folder = test::shared_data("hela_validation");
  if (!folder) return;
  sandbox const box;
  auto const truth = " '" + folder->string() + "' ";
  for (std::string const year : {"2016", "2017"}) {
    convert(box, *shared, "hela_" + year, "cells");
    convert(box, *shared, "nuclei_2016", "nuclei", year == "2017" ? "--rule variance" : "");
    // The slow one once.
    for (std::string const backend : {"onednn", "eigen"}) {
      if (backend == "eigen" && year == "2017") continue;
      run_json(box, "segment" + truth +
                        "--preset cytoplasm --mode published --model cells.safetensors "
                        "--nuclei-model nuclei.safetensors --probabilities --out o --backend " +
                        backend);
      auto const published = *folder / ("published_" + year);
      BOOST_TEST(difference(box.path("o/probabilities/hela_validation.tif"),
                            published / "cytoplasm") <= 1e-5);
      BOOST_TEST(difference(box.path("o/nuclei/probabilities/hela_validation.tif"),
                            published / "nuclear") <= 1e-5);
      BOOST_TEST(differing_pixels(box.path("o/labels/hela_validation.tif"),
                                  published / "cytoplasm_mask.png") == 0U);
      BOOST_TEST(differing_pixels(box.path("o/nuclei/labels/hela_validation.tif"),
                                  published / "nuclear_mask.png") == 0U);
    }
    auto const scores = run_json(box, "evaluate o" + truth + "--crop 30 --bootstrap 0");
    check_scores(scores, expected_metrics(*shared).at("hela_validation/published_" + year));
    run_json(box, "segment" + truth +
                      "--preset cytoplasm --model cells.safetensors --nuclei-model "
                      "nuclei.safetensors --out labels");
    check_at_least(scores, run_json(box, "evaluate labels" + truth + "--crop 30 --bootstrap 0"));
  }
}

BOOST_AUTO_TEST_CASE(plating) {
  auto const shared = test::shared_data("");
  auto const folder = test::shared_data("hela_plating/10000");
  if (!folder) return;
  sandbox const box;
  auto const truth = " '" + folder->string() + "' ";
  convert(box, *shared, "hela_2016", "cells");
  convert(box, *shared, "nuclei_2016", "nuclei");
  std::string const segment = "segment" + truth +
                              "--preset cytoplasm --nuclei-rule plating --model cells.safetensors "
                              "--nuclei-model nuclei.safetensors --no-overlays ";
  run_json(box, segment + "--mode published --out o");
  BOOST_TEST(differing_pixels(box.path("o/labels/10000.tif"), *folder / "cytoplasm_mask.png") ==
             0U);
  BOOST_TEST(
      differing_pixels(box.path("o/nuclei/labels/10000.tif"), *folder / "nuclear_mask.png") == 0U);
  auto const scores = run_json(box, "evaluate o" + truth + "--crop 30 --bootstrap 0");
  check_scores(scores, expected_metrics(*shared).at("hela_plating/10000"));
  run_json(box, segment + "--out labels");
  check_at_least(scores, run_json(box, "evaluate labels" + truth + "--crop 30 --bootstrap 0"));
}

BOOST_AUTO_TEST_CASE(coculture) {
  auto const shared = test::shared_data("");
  auto const folder = test::shared_data("coculture/set1");
  if (!folder) return;
  sandbox const box;
  convert(box, *shared, "mcf10a_3t3_semantic_2016", "cells",
          "--classes edge,3T3,MCF10A,background");
  convert(box, *shared, "nuclei_2016", "nuclei");
  auto const truth = " '" + folder->string() + "' ";
  auto const said = run_json(box, "segment" + truth +
                                      "--preset coculture --mode published --model "
                                      "cells.safetensors --nuclei-model nuclei.safetensors "
                                      "--no-overlays --out o");
  BOOST_TEST(differing_pixels(box.path("o/labels/set1.tif"), *folder / "cytoplasm_mask.png") == 0U);
  BOOST_TEST(differing_pixels(box.path("o/nuclei/labels/set1.tif"), *folder / "nuclear_mask.png") ==
             0U);
  auto const expected = expected_metrics(*shared).at("coculture/set1");
  BOOST_TEST(said.at("cells") == expected.at("cells"));
  auto const scores = run_json(box, "evaluate o" + truth + "--classes 3T3=cfp,MCF10A=farred");
  auto const& skipped = scores.at("classes_without_last_cell");
  BOOST_TEST(skipped.at("3T3").at("correct") == expected.at("class1_3T3").at("correct"));
  BOOST_TEST(skipped.at("3T3").at("wrong") == expected.at("class1_3T3").at("wrong"));
  BOOST_TEST(skipped.at("MCF10A").at("correct") == expected.at("class2_MCF10A").at("correct"));
  BOOST_TEST(skipped.at("MCF10A").at("wrong") == expected.at("class2_MCF10A").at("wrong"));
  BOOST_TEST(scores.at("classes").at("3T3").at("correct").get<int>() == 84);
  BOOST_TEST(scores.at("classes").at("3T3").at("wrong").get<int>() == 14);
  BOOST_TEST(scores.at("classes").at("MCF10A").at("correct").get<int>() == 196);
  BOOST_TEST(scores.at("classes").at("MCF10A").at("wrong").get<int>() == 0);
  // Cells of which the nets are not sure may be left undecided: fewer wrong, none more right.
  auto const sure =
      run_json(box, "evaluate o" + truth + "--classes 3T3=cfp,MCF10A=farred --class-score-min 0.7");
  auto const& before = scores.at("classes").at("3T3");
  auto const& after = sure.at("classes").at("3T3");
  BOOST_TEST(after.at("undecided").get<int>() > 0);
  BOOST_TEST(after.at("wrong").get<int>() < before.at("wrong").get<int>());
  BOOST_TEST(after.at("accuracy").get<double>() > before.at("accuracy").get<double>());
}

BOOST_AUTO_TEST_CASE(nuclei_and_bacteria) {
  auto const shared = test::shared_data("");
  auto const nuclei = test::shared_data("nuclei/validation");
  auto const bacteria = test::shared_data("ecoli/set1");
  if (!nuclei || !bacteria) return;
  sandbox const box;
  auto const expected = expected_metrics(*shared);
  convert(box, *shared, "nuclei_2016", "nuclei");
  convert(box, *shared, "ecoli_all_2016", "bacteria");
  auto const run = [&](std::string const& preset, fs::path const& folder, std::string const& mode,
                       std::string const& protocol) {
    run_json(box, "segment '" + folder.string() + "' --preset " + preset + " --mode " + mode +
                      " --model " + preset + ".safetensors --no-overlays --out o");
    return run_json(box, "evaluate o '" + folder.string() + "' --bootstrap 0 " + protocol);
  };
  auto const scores = run("nuclei", *nuclei, "published", "--crop 30");
  auto const& wanted = expected.at("nuclei/validation");
  for (auto const& [key, name] :
       {std::pair{"jaccard_mean", "jaccard_mean"}, std::pair{"jaccard_sd", "jaccard_std"},
        std::pair{"dice_mean", "dice_mean"}, std::pair{"dice_sd", "dice_std"}})
    BOOST_TEST(std::abs(scores.at(key).get<double>() - wanted.at(name).get<double>()) < 1e-6, key);
  BOOST_TEST(scores.at("cells") == wanted.at("n_scored"));
  BOOST_TEST(scores.at("cells_dropped") == wanted.at("n_unmatched_dropped"));
  BOOST_TEST(scores.at("published_counts").at("true_positives") == wanted.at("standard").at("tp"));
  BOOST_TEST(scores.at("published_counts").at("false_positives") == wanted.at("standard").at("fp"));
  check_at_least(scores, run("nuclei", *nuclei, "labels", "--crop 30"));

  auto const colony = run("bacteria", *bacteria, "published", "--crop 15 --uneroded");
  auto const& counts = colony.at("published_counts");
  BOOST_TEST(counts.at("true_positives") == expected.at("ecoli/set1").at("tp"));
  BOOST_TEST(counts.at("false_positives") == expected.at("ecoli/set1").at("fp"));
  BOOST_TEST(counts.at("false_negatives") == expected.at("ecoli/set1").at("fn"));
  check_at_least(colony, run("bacteria", *bacteria, "labels", "--crop 15 --uneroded"));
}

BOOST_AUTO_TEST_SUITE_END()
