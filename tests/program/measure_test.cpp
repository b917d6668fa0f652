#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <septum/io/csv.hpp>
#include <septum/io/tiff.hpp>
#include <string>
#include <vector>

#include "program/program.hpp"

namespace fs = std::filesystem;
using program_test::content;
using program_test::sandbox;

namespace {

bool has_column(septum::io::csv_table const& table, std::string const& name) {
  auto const& names = table.columns();
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Frames in which nets with random weights find cells somewhere.
void write_frames(sandbox const& box, std::string const& folder, int frames) {
  fs::create_directories(box.path(folder));
  for (int t = 0; t < frames; ++t) {
    septum::image pixels = sandbox::picture(60, 64);
    for (std::size_t k = 0; k < pixels.size(); ++k)
      pixels.data()[k] += static_cast<float>((k * (7U + static_cast<unsigned>(t))) % 91);
    septum::io::write_tiff(box.path(folder) / ("t" + std::to_string(t) + ".tif"), pixels);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(measure)

BOOST_AUTO_TEST_CASE(what_the_nets_of_an_ensemble_disagree_about_reaches_growth_and_audit) {
  sandbox const box;
  box.write_model("a.safetensors", "bn_feature_net_31x31", {"phase"}, 1);
  box.write_model("b.safetensors", "bn_feature_net_31x31", {"phase"}, 2);
  write_frames(box, "movie", 3);
  std::string const rules = " --threshold 0.3 --area-min 5 --eccentricity-min 0 --no-overlays";
  auto const done =
      box.run("segment movie --model a.safetensors b.safetensors --out cells" + rules);
  BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
  septum::io::csv_table const cells{box.path("cells/cells.csv")};
  BOOST_REQUIRE(cells.rows() > 0U);
  double largest = 0;
  for (std::size_t row = 0; row < cells.rows(); ++row)
    largest = std::max(largest, cells.number<double>(row, cells.column("area_sd_px")));
  // Two nets of random weights never agree.
  BOOST_TEST(largest > 1);
  BOOST_REQUIRE(box.run("track cells/labels --out cells/tracks").exit_code == 0);
  BOOST_REQUIRE(
      box.run("measure cells --interval 5 --pixel-size 0.5 --disagreement 0.05").exit_code == 0);
  septum::io::csv_table const measured{box.path("cells/measurements/cells.csv")};
  BOOST_REQUIRE(measured.rows() == cells.rows());
  for (std::size_t row = 0; row < cells.rows(); ++row)
    BOOST_TEST(measured.text(row, measured.column("area_sd_px")) ==
               cells.text(row, cells.column("area_sd_px")));
  septum::io::csv_table const growth{box.path("cells/measurements/growth.csv")};
  double carried = 0;
  for (std::size_t row = 0; row < growth.rows(); ++row)
    carried = std::max(carried, growth.number<double>(row, growth.column("area_sd_um2")));
  BOOST_TEST(carried == largest * 0.25, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(content(box.path("cells/measurements/audit.csv")).find("disagreement") !=
             std::string::npos);
  auto const summary = nlohmann::json::parse(content(box.path("cells/measurements/summary.json")));
  BOOST_TEST(summary.at("audit").at("disagreements").get<double>() > 0);

  // One net has nobody to disagree with, and a user may do without.
  BOOST_REQUIRE(box.run("segment movie --model a.safetensors --out one" + rules).exit_code == 0);
  BOOST_TEST(!has_column(septum::io::csv_table{box.path("one/cells.csv")}, "area_sd_px"));
  BOOST_REQUIRE(
      box.run("segment movie --model a.safetensors b.safetensors --no-spread --out less" + rules)
          .exit_code == 0);
  BOOST_TEST(!has_column(septum::io::csv_table{box.path("less/cells.csv")}, "area_sd_px"));
  for (char const* name : {"labels/t0.tif", "labels/t2.tif"})
    BOOST_TEST((content(box.path("less") / name) == content(box.path("cells") / name)));
}

BOOST_AUTO_TEST_CASE(a_series_in_one_file_keeps_its_spread) {
  sandbox const box;
  box.write_model("a.safetensors", "bn_feature_net_31x31", {"phase"}, 1);
  box.write_model("b.safetensors", "bn_feature_net_31x31", {"phase"}, 2);
  septum::movie frames = septum::movie::from_shape({3, 60, 64, 1});
  septum::image const pixels = sandbox::picture(60, 64);
  for (std::size_t k = 0; k < frames.size(); ++k)
    frames.data()[k] = pixels.data()[k % pixels.size()] + static_cast<float>((k * 13) % 91);
  septum::io::write_tiff(box.path("series.tif"), frames);
  BOOST_REQUIRE(box.run("segment series.tif --model a.safetensors b.safetensors --out cells "
                        "--threshold 0.3 --area-min 5 --eccentricity-min 0")
                    .exit_code == 0);
  BOOST_REQUIRE(box.run("measure cells --interval 5").exit_code == 0);
  septum::io::csv_table const cells{box.path("cells/cells.csv")};
  septum::io::csv_table const measured{box.path("cells/measurements/cells.csv")};
  BOOST_REQUIRE(cells.rows() > 0U);
  BOOST_REQUIRE(measured.rows() == cells.rows());
  for (std::size_t row = 0; row < cells.rows(); ++row)
    BOOST_TEST(measured.text(row, measured.column("area_sd_px")) ==
               cells.text(row, cells.column("area_sd_px")));
}

BOOST_AUTO_TEST_CASE(every_way_to_see_a_translocation_is_compared) {
  sandbox const box;
  BOOST_REQUIRE(
      box.run("simulate nuclei --frames 2 --size 200x200 --seed 4 --out movie").exit_code == 0);
  fs::create_directories(box.path("cells"));
  fs::copy(box.path("movie/truth"), box.path("cells/labels"));
  auto const done = box.run(
      "measure cells --images movie/frames --nuclei movie/truth --reporter channel0 --json");
  BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
  septum::io::csv_table const table{box.path("cells/measurements/translocation.csv")};
  BOOST_REQUIRE(table.rows() > 20U);
  for (char const* from : {"whole", "ring_5", "ring_25", "mixture"})
    for (char const* what : {"ratio_", "low_", "high_", "px_"})
      BOOST_TEST(has_column(table, std::string{what} + from), what << from);
  BOOST_TEST(has_column(table, "mixture_fit"));
  auto const compared = nlohmann::json::parse(done.out).at("translocation").at("comparison");
  for (char const* from : {"whole", "ring_5", "ring_25"})
    BOOST_TEST(compared.contains(std::string{from} + "_against_mixture"), from);
}

BOOST_AUTO_TEST_CASE(wells_of_several_densities_make_a_curve) {
  sandbox const box;
  std::string wells;
  for (int density : {5, 20, 60}) {
    std::string const name = "well" + std::to_string(density);
    BOOST_REQUIRE(box.run("simulate nuclei --frames 1 --size 256x256 --seed 3 --missed 0.1 "
                          "--merged 0.1 --founders " +
                          std::to_string(density) + " --out " + name)
                      .exit_code == 0);
    wells += " " + std::to_string(1000 * density) + " " + name + "/labels " + name + "/truth";
  }
  auto const done = box.run("plating" + wells + " --crop 0 --out curve --json");
  BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
  auto const found = nlohmann::json::parse(done.out).at("wells");
  BOOST_REQUIRE_EQUAL(found.size(), 3U);
  BOOST_TEST(found[0].at("cells_per_well").get<double>() == 5000);
  BOOST_TEST(found[2].at("true_cells").get<int>() > found[0].at("true_cells").get<int>());
  for (auto const& well : found) BOOST_TEST(well.at("jaccard_mean").get<double>() > 0.5);
  septum::io::csv_table const table{box.path("curve/plating.csv")};
  BOOST_TEST(table.rows() == 3U);
  BOOST_TEST(content(box.path("curve/plating.svg")).starts_with("<svg"));
  BOOST_TEST(box.run("plating 5 well5/labels --out other").exit_code == 3);
}

BOOST_AUTO_TEST_SUITE_END()
