#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>
#include <septum/io/csv.hpp>
#include <septum/io/roi_set.hpp>
#include <septum/io/tiff.hpp>
#include <string>

#include "program/program.hpp"
#include "support/hostile.hpp"
#include "support/text_image.hpp"

namespace io = septum::io;
using nlohmann::json;
using program_test::content;
using program_test::sandbox;

namespace {

/// Truth, and a prediction that misses some cells, invents others and moves borders.
void write_pair(sandbox const& box) {
  auto const truth = test::random_cells(120, 120, 40, 3);
  auto prediction = truth;
  auto const others = test::random_cells(120, 120, 12, 9);
  for (std::size_t p = 0; p < truth.size(); ++p) {
    if (truth.data()[p] % 5 == 0) prediction.data()[p] = 0;
    if (p % 7 == 0) prediction.data()[p] = 0;
    if (truth.data()[p] == 0 && others.data()[p] != 0)
      prediction.data()[p] = 100 + others.data()[p];
  }
  io::write_tiff(box.path("truth.tif"), truth);
  io::write_tiff(box.path("found.tif"), prediction);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(evaluate)

BOOST_AUTO_TEST_CASE(scores_come_with_intervals_and_a_table_of_cells) {
  sandbox const box;
  write_pair(box);
  std::string const command =
      "evaluate found.tif truth.tif --json --seed 4 --cells cells.csv --boundary-tolerance 1";
  auto const done = box.run(command);
  BOOST_TEST_REQUIRE(done.exit_code == 0, done.err);
  auto const scores = json::parse(done.out);
  for (std::string const name : {"ap", "f1", "pq", "seg", "jaccard_mean", "dice_mean"}) {
    auto const interval = scores["intervals_95"][name];
    double const value = name == "ap" || name == "f1" ? scores[name]["0.5"].get<double>()
                                                      : scores[name].get<double>();
    BOOST_TEST(interval[0].get<double>() < value);
    BOOST_TEST(value < interval[1].get<double>());
  }
  BOOST_TEST(scores["boundary_f1"].get<double>() > 0.3);
  BOOST_TEST(scores["boundary_f1"].get<double>() < 1.0);
  io::csv_table const table{box.path("cells.csv")};
  auto const of = [&](std::string const& fate) {
    int count = 0;
    for (std::size_t row = 0; row < table.rows(); ++row)
      count += table.text(row, 1) == fate ? 1 : 0;
    return count;
  };
  BOOST_TEST(of("found") == scores["true_positives"]["0.5"].get<int>());
  BOOST_TEST(of("missed") == scores["false_negatives"]["0.5"].get<int>());
  BOOST_TEST(of("invented") == scores["false_positives"]["0.5"].get<int>());
  BOOST_TEST(box.run(command + " --threads 1").out == done.out);
  BOOST_TEST(box.run(command + " --seed 5").out != done.out);
  BOOST_TEST(!json::parse(box.run(command + " --bootstrap 0").out).contains("intervals_95"));
}

BOOST_AUTO_TEST_CASE(areas_are_scored_like_the_labels_they_come_from) {
  sandbox const box;
  write_pair(box);
  auto const truth = io::read_tiff_labels(box.path("truth.tif"));
  io::write_roi_set(box.path("RoiSet.zip"),
                    {.areas = io::areas_of(truth), .rows = 120, .columns = 120});
  auto const by_labels = box.run("evaluate found.tif truth.tif --json");
  auto const by_areas = box.run("evaluate found.tif RoiSet.zip --json");
  BOOST_TEST_REQUIRE(by_areas.exit_code == 0, by_areas.err);
  BOOST_TEST(by_areas.out == by_labels.out);
  io::write_roi_set(box.path("bare.zip"), {.areas = io::areas_of(truth)});
  auto const refused = box.run("evaluate found.tif bare.zip");
  BOOST_TEST(refused.exit_code == 3);
  BOOST_TEST(test::contains(refused.err, "bare.zip"));
}

BOOST_AUTO_TEST_CASE(nothing_to_score_has_no_score) {
  sandbox const box;
  septum::labels const none = xt::zeros<std::int32_t>({20, 20});
  io::write_tiff(box.path("none.tif"), none);
  auto const done = box.run("evaluate none.tif none.tif --json --cells cells.csv");
  BOOST_TEST_REQUIRE(done.exit_code == 0, done.err);
  auto const scores = json::parse(done.out);
  BOOST_TEST(scores["seg"].is_null());
  BOOST_TEST(scores["boundary_f1"].is_null());
  BOOST_TEST(scores["intervals_95"]["ap"].is_null());
  auto const table = content(box.path("cells.csv"));
  BOOST_TEST(std::count(table.begin(), table.end(), '\n') == 1);
}

BOOST_AUTO_TEST_SUITE_END()
