#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <septum/io/npz.hpp>
#include <septum/io/roi_set.hpp>
#include <septum/io/tiff.hpp>
#include <string>

#include "program/program.hpp"
#include "support/hostile.hpp"

namespace fs = std::filesystem;
namespace io = septum::io;
using nlohmann::json;
using program_test::sandbox;

BOOST_AUTO_TEST_SUITE(info)

BOOST_AUTO_TEST_CASE(an_experiment_of_several_images_and_types_is_described) {
  sandbox const box;
  box.write_dataset("trial/day1");
  box.write_dataset("trial/day2");
  auto const cells = io::read_tiff_labels(box.path("trial/day2/labels.tif"));
  septum::labels few = cells;
  septum::labels others = cells;
  for (std::size_t p = 0; p < cells.size(); ++p)
    (cells.data()[p] % 2 == 0 ? few : others).data()[p] = 0;
  fs::remove(box.path("trial/day2/labels.tif"));
  io::write_tiff(box.path("trial/day2/labels_round.tif"), few);
  io::write_roi_set(box.path("trial/day2/RoiSet_rod.zip"), {.areas = io::areas_of(others)});
  auto const done = box.run("info trial --json");
  BOOST_TEST_REQUIRE(done.exit_code == 0, done.err);
  auto const found = json::parse(done.out)["data_sets"];
  BOOST_TEST_REQUIRE(found.size() == 2U);
  BOOST_TEST(found[0]["classes"].size() == 3U);
  BOOST_TEST(found[1]["classes"].size() == 4U);
  BOOST_TEST(found[1]["classes"][1]["name"] == "rod");
  BOOST_TEST(found[0]["cells"] == found[1]["cells"]);
  BOOST_TEST(box.run("info trial").exit_code == 0);
  io::write_tiff(box.path("trial/day1/labels.tif"), septum::labels{{0, 1}});
  auto const broken = box.run("info trial --json");
  BOOST_TEST(broken.exit_code == 3);
  BOOST_TEST(json::parse(broken.out)["data_sets"][0]["problems"].size() == 1U);
}

BOOST_AUTO_TEST_CASE(files_of_every_kind_are_described) {
  sandbox const box;
  auto const about = [&](std::string const& file) {
    auto const done = box.run("info " + file + " --json");
    BOOST_TEST_REQUIRE(done.exit_code == 0, done.err);
    return json::parse(done.out);
  };
  septum::labels const cells{{1, 1, 0, 2}, {1, 0, 0, 2}};
  io::write_roi_set(box.path("RoiSet.zip"),
                    {.areas = io::areas_of(cells), .rows = 2, .columns = 4});
  auto const areas = about("RoiSet.zip");
  BOOST_TEST(areas["count"] == 2);
  BOOST_TEST(areas["shapes"]["traced"] == 2);
  BOOST_TEST(areas["width"] == 4);
  io::npz_writer arrays{box.path("x.npz")};
  arrays.add("cells", cells);
  arrays.commit();
  BOOST_TEST(about("x.npz")["contents"][0]["shape"] == json({2, 4}));
  septum::movie film = xt::ones<float>({3, 4, 5, 2});
  io::write_tiff(box.path("m.tif"), film, {.pixel_size_um = 0.5, .interval_s = 60});
  BOOST_TEST(about("m.tif")["frames"] == 3);
  BOOST_TEST(about("m.tif")["interval_s"] == 60.0);
}

BOOST_AUTO_TEST_SUITE_END()
