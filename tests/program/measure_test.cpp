#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <septum/core/rng.hpp>
#include <septum/io/csv.hpp>
#include <septum/io/image.hpp>
#include <septum/io/model.hpp>
#include <septum/io/tiff.hpp>
#include <string>
#include <utility>
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

/// Two nets that differ a little: the bacteria model that comes with septum, and the same with
/// noise on its parameters.
void write_ensemble(sandbox const& box, std::string const& name) {
  fs::path const models =
      fs::path{__FILE__}.parent_path().parent_path().parent_path() / "examples" / "models";
  septum::model ensemble = septum::io::read_model(models / "bacteria.safetensors");
  ensemble.parameter_sets.resize(1);
  septum::io::write_model(box.path("one.safetensors"), ensemble);
  auto noisy = ensemble.parameter_sets.front();
  septum::counter_rng const rng{.seed = 5};
  for (std::size_t i = 0; i < noisy.size(); ++i)
    noisy[i] *= 1 + 0.05F * static_cast<float>(rng.normal(i));
  ensemble.parameter_sets.push_back(std::move(noisy));
  septum::io::write_model(box.path(name), ensemble);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(measure)

BOOST_AUTO_TEST_CASE(what_the_nets_of_an_ensemble_disagree_about_reaches_growth_and_audit) {
  sandbox const box;
  write_ensemble(box, "two.safetensors");
  BOOST_REQUIRE(
      box.run("simulate bacteria --frames 3 --size 96x96 --founders 4 --seed 2 --out movie")
          .exit_code == 0);
  auto const done =
      box.run("segment movie/frames --model two.safetensors --no-overlays --out cells");
  BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
  septum::io::csv_table const cells{box.path("cells/cells.csv")};
  BOOST_REQUIRE(cells.rows() > 0U);
  double largest = 0;
  for (std::size_t row = 0; row < cells.rows(); ++row)
    largest = std::max(largest, cells.number<double>(row, cells.column("area_sd_px")));
  BOOST_TEST(largest > 1);
  BOOST_REQUIRE(box.run("track cells/labels --out cells/tracks").exit_code == 0);
  BOOST_REQUIRE(
      box.run("measure cells --interval 5 --pixel-size 0.5 --disagreement 0.001").exit_code == 0);
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
  BOOST_REQUIRE(
      box.run("segment movie/frames --model one.safetensors --no-overlays --out one").exit_code ==
      0);
  BOOST_TEST(!has_column(septum::io::csv_table{box.path("one/cells.csv")}, "area_sd_px"));
  BOOST_REQUIRE(
      box.run("segment movie/frames --model two.safetensors --no-spread --no-overlays --out less")
          .exit_code == 0);
  BOOST_TEST(!has_column(septum::io::csv_table{box.path("less/cells.csv")}, "area_sd_px"));
  for (auto const& entry : fs::directory_iterator{box.path("cells/labels")})
    BOOST_TEST(
        (content(entry.path()) == content(box.path("less/labels") / entry.path().filename())));
}

BOOST_AUTO_TEST_CASE(a_series_in_one_file_keeps_its_spread) {
  sandbox const box;
  write_ensemble(box, "two.safetensors");
  BOOST_REQUIRE(
      box.run("simulate bacteria --frames 3 --size 96x96 --founders 4 --seed 2 --out movie")
          .exit_code == 0);
  septum::movie frames = septum::movie::from_shape({3, 96, 96, 1});
  for (std::size_t t = 0; t < 3; ++t) {
    auto const one = septum::io::read_image(box.path("movie/frames") /
                                            ("phase_t00" + std::to_string(t) + ".tif"));
    std::copy(one.begin(), one.end(), frames.data() + t * one.size());
  }
  septum::io::write_tiff(box.path("series.tif"), frames);
  BOOST_REQUIRE(box.run("segment series.tif --model two.safetensors --out cells").exit_code == 0);
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
      box.run("simulate nuclei --frames 2 --size 200x200 --founders 30 --seed 4 --out movie")
          .exit_code == 0);
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
