#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <support/hdf5_writer.hpp>
#include <support/shared_data.hpp>
#include <vector>

#include "program/program.hpp"

// Published weights through the program: `septum convert`, and what it refuses.

namespace fs = std::filesystem;
using program_test::content;
using program_test::sandbox;

namespace {

std::vector<fs::path> files_of(fs::path const& folder) {
  std::vector<fs::path> files;
  for (auto const& entry : fs::directory_iterator{folder}) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::string quoted(std::vector<fs::path> const& files) {
  std::string text;
  for (auto const& file : files) text += "'" + file.string() + "' ";
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(published_weights)

BOOST_AUTO_TEST_CASE(five_files_are_one_model) {
  auto const weights = test::shared_data("weights");
  if (!weights) return;
  sandbox const box;
  auto const check = [&](std::string const& name, std::string const& options,
                         std::string const& rule, std::size_t channels, std::size_t classes) {
    auto const done = box.run("convert " + quoted(files_of(*weights / name)) + name +
                              ".safetensors --json " + options);
    BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
    auto const said = nlohmann::json::parse(done.out);
    BOOST_TEST(said.at("nets").get<int>() == 5);
    BOOST_TEST(said.at("channels").size() == channels);
    BOOST_TEST(said.at("classes").size() == classes);
    for (auto const& each : said.at("running_std")) BOOST_TEST(each.get<std::string>() == rule);
    auto const model = nlohmann::json::parse(box.run("info " + name + ".safetensors --json").out);
    BOOST_TEST(model.at("nets").get<int>() == 5);
    BOOST_TEST(model.at("parameters_per_net") == said.at("parameters_per_net"));
  };
  check("nuclei_2016", "", "deviation", 1, 3);
  check("nuclei_2016", "--rule variance", "variance", 1, 3);
  check("hela_2017", "", "variance", 2, 3);
  check("mcf10a_3t3_semantic_2016", "--classes edge,3T3,MCF10A,background", "deviation", 2, 4);
  check("ecoli_all_2016", "", "deviation", 1, 3);
  // Two nets of different inputs are no ensemble.
  auto const mixed = box.run("convert " +
                             quoted({files_of(*weights / "nuclei_2016").front(),
                                     files_of(*weights / "hela_2016").front()}) +
                             "mixed.safetensors");
  BOOST_TEST(mixed.exit_code == 3);
  BOOST_TEST(mixed.err.find("2016-07-12_HeLa_all") != std::string::npos, mixed.err);
  BOOST_TEST(!fs::exists(box.path("mixed.safetensors")));
  // A file cut anywhere is refused by name.
  auto const whole = content(files_of(*weights / "hela_2017").front());
  for (std::size_t const part :
       {std::size_t{0}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    std::ofstream{box.path("cut.h5"), std::ios::binary} << whole.substr(0, part);
    auto const cut = box.run("convert cut.h5 cut.safetensors");
    BOOST_TEST(cut.exit_code == 3, part << " bytes: " << cut.err);
    BOOST_TEST(cut.err.find("cut.h5") != std::string::npos, cut.err);
    BOOST_TEST(!fs::exists(box.path("cut.safetensors")));
  }
}

BOOST_AUTO_TEST_CASE(foreign_files_are_refused_by_name) {
  sandbox const box;
  std::ofstream{box.path("text.h5")} << "this is no HDF5 file";
  hdf5_node net;
  net.attributes.emplace_back("layer_names", std::vector<std::string>{"lstm_1"});
  net.child("lstm_1").attributes.emplace_back("weight_names", std::vector<std::string>{});
  std::ofstream{box.path("other.h5"), std::ios::binary} << hdf5_writer::file_of(net);
  for (std::string const name : {"text", "other", "missing"}) {
    auto const done = box.run("convert " + name + ".h5 m.safetensors");
    BOOST_TEST(done.exit_code == 3, done.err);
    BOOST_TEST(done.err.find(name + ".h5") != std::string::npos, done.err);
    BOOST_TEST(!fs::exists(box.path("m.safetensors")));
  }
  auto const other = box.run("convert other.h5 m.safetensors");
  BOOST_TEST(other.err.find("lstm_1") != std::string::npos, other.err);
  BOOST_TEST(box.run("convert text.h5 m.safetensors --rule both").exit_code == 2);
  BOOST_TEST(box.hidden_leftovers() == 0);
}

BOOST_AUTO_TEST_CASE(contours_want_nuclei) {
  sandbox const box;
  box.write_picture("a.tif", 80, 80);
  box.write_model("m.safetensors");
  auto const refused =
      box.run("segment a.tif --model m.safetensors --preset cytoplasm --mode published --out o");
  BOOST_TEST(refused.exit_code == 3, refused.err);
  BOOST_TEST(refused.err.find("--nuclei-model") != std::string::npos, refused.err);
  BOOST_TEST(!fs::exists(box.path("o")));
}

// Every method on one small image with nets of random weights: the files are there and agree.
BOOST_AUTO_TEST_CASE(cells_and_nuclei_lie_side_by_side) {
  sandbox const box;
  box.write_picture("phase.tif", 100, 90);
  box.write_model("m.safetensors");
  for (std::string const method : {"threshold", "contours", "crf", "crf-contours"})
    for (std::string const mode : {"published", "labels"}) {
      auto const done = box.run(
          "segment phase.tif --model m.safetensors --nuclei-model "
          "m.safetensors --preset cytoplasm --nuclei-threshold 0.3 "
          "--nuclei-area-min 5 --nuclei-rule raw --probabilities --json "
          "--out o --refine " +
          method + " --mode " + mode);
      BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
      auto const said = nlohmann::json::parse(done.out);
      for (char const* file :
           {"o/labels/phase.tif", "o/cells.csv", "o/overlay/phase.png", "o/probabilities/phase.tif",
            "o/nuclei/labels/phase.tif", "o/nuclei/cells.csv", "o/nuclei/overlay/phase.png",
            "o/nuclei/probabilities/phase.tif"})
        BOOST_TEST(fs::exists(box.path(file)), file);
      auto const rows = [&](std::string const& table) {
        auto const text = content(box.path(table));
        return std::count(text.begin(), text.end(), '\n') - 1;
      };
      BOOST_TEST(said.at("cells").get<std::ptrdiff_t>() == rows("o/cells.csv"));
      BOOST_TEST(said.at("nuclei").get<std::ptrdiff_t>() == rows("o/nuclei/cells.csv"));
    }
}

BOOST_AUTO_TEST_SUITE_END()
