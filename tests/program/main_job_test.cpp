#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <septum/io/image.hpp>

#include "program/program.hpp"

namespace fs = std::filesystem;
using program_test::content;
using program_test::outcome;
using program_test::sandbox;

BOOST_AUTO_TEST_SUITE(main_job)

BOOST_AUTO_TEST_CASE(train_segment_evaluate) {
  sandbox const box;
  box.write_dataset("day1");
  auto const trained =
      box.run("train day1 --model m.safetensors --patches 15360 --threads 2 --seed 3 --json");
  BOOST_REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  auto const training = nlohmann::json::parse(trained.out);
  BOOST_TEST(training.at("patches_per_second").get<double>() > 0.0);
  BOOST_TEST(training.at("epochs").size() == 10U);
  BOOST_TEST(training.at("best_validation_error").get<double>() < 0.5);
  BOOST_TEST(fs::exists(box.path("m.curves.csv")));
  BOOST_TEST(content(box.path("m.curves.svg")).starts_with("<svg"));
  BOOST_TEST(!fs::exists(box.path("m.safetensors.checkpoint.0")));

  auto const segmented = box.run(
      "segment day1/phase.tif --model m.safetensors --out cells --probabilities --grow 1 --json");
  BOOST_REQUIRE_MESSAGE(segmented.exit_code == 0, segmented.err);
  auto const segmentation = nlohmann::json::parse(segmented.out);
  for (char const* step : {"read", "normalize", "predict", "refine", "write"})
    BOOST_TEST(segmentation.at("seconds").contains(step));
  BOOST_TEST(segmentation.at("cells").get<int>() > 10);
  auto const cells = septum::io::read_labels(box.path("cells/labels/phase.tif"));
  BOOST_TEST(cells.shape()[0] == 96U);
  auto const maps = septum::io::read_image(box.path("cells/probabilities/phase.tif"));
  BOOST_TEST(maps.shape()[2] == 3U);
  BOOST_TEST(std::abs(maps(48, 48, 0) + maps(48, 48, 1) + maps(48, 48, 2) - 1.0F) < 1e-5F);
  BOOST_TEST(maps(0, 0, 0) == 0.0F);
  BOOST_TEST(fs::exists(box.path("cells/overlay/phase.png")));
  BOOST_TEST(content(box.path("cells/cells.csv"))
                 .starts_with("image,frame,label,class,area_px,area_um2,centroid_y_px,"));

  auto const scored = box.run("evaluate cells day1 --crop 15 --json");
  BOOST_REQUIRE_MESSAGE(scored.exit_code == 0, scored.err);
  auto const scores = nlohmann::json::parse(scored.out);
  BOOST_TEST(scores.at("ap").at("0.5").get<double>() > 0.6);
  for (char const* key : {"objects_truth", "objects_prediction", "true_positives", "f1", "pq",
                          "jaccard_mean", "jaccard_sd", "dice_mean", "dice_sd", "cells", "seg"})
    BOOST_TEST(scores.contains(key), key);
  auto const perfect = nlohmann::json::parse(box.run("evaluate day1 day1 --json").out);
  BOOST_TEST(perfect.at("ap").at("0.95").get<double>() == 1.0);
  BOOST_TEST(perfect.at("seg").get<double>() == 1.0);
}

BOOST_AUTO_TEST_CASE(results_do_not_depend_on_tiles_or_threads) {
  sandbox const box;
  box.write_picture("a.tif", 150, 131);
  box.write_model("m.safetensors");
  std::string first;
  for (char const* options : {"--threads 2 --memory 512", "--threads 1 --memory 512",
                              "--threads 2 --memory 4", "--threads 2 --memory 3"}) {
    auto const done = box.run(
        "segment a.tif --model m.safetensors --out o --probabilities "
        "--no-overlays " +
        std::string{options});
    BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
    auto const bytes = content(box.path("o/probabilities/a.tif"));
    if (first.empty()) first = bytes;
    BOOST_TEST((bytes == first), options);
  }
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_model_and_another_seed_another) {
  sandbox const box;
  box.write_dataset("day1");
  auto const train = [&](std::string const& model, std::string const& options) {
    auto const done =
        box.run("train day1 --patches 2560 --quiet --threads 1 --model " + model + " " + options);
    BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
    return content(box.path(model));
  };
  auto const first = train("a.safetensors", "--seed 5");
  BOOST_TEST((train("b.safetensors", "--seed 5") == first));
  BOOST_TEST((train("c.safetensors", "--seed 6") != first));
}

BOOST_AUTO_TEST_CASE(frames_channels_and_series) {
  sandbox const box;
  fs::create_directories(box.path("movie"));
  for (int t : {1, 2, 10}) box.write_picture("movie/t" + std::to_string(t) + ".tif", 48, 40);
  box.write_model("m.safetensors");
  auto const gap = box.run("segment movie --model m.safetensors --out o");
  BOOST_TEST(gap.exit_code == 3);
  auto const movie = box.run("segment movie --model m.safetensors --out o --allow-gaps");
  BOOST_REQUIRE_MESSAGE(movie.exit_code == 0, movie.err);
  for (char const* name : {"t1", "t2", "t10"})
    BOOST_TEST(fs::exists(box.path("o/labels/" + std::string{name} + ".tif")));
  xt::xtensor<float, 4> frames = xt::xtensor<float, 4>::from_shape({3, 48, 40, 1});
  auto const frame = sandbox::picture(48, 40);
  for (std::size_t t = 0; t < 3; ++t)
    std::copy(frame.begin(), frame.end(), frames.data() + t * frame.size());
  septum::io::write_tiff(box.path("series.tif"), frames);
  auto const series = box.run("segment series.tif --model m.safetensors --out s");
  BOOST_REQUIRE_MESSAGE(series.exit_code == 0, series.err);
  BOOST_TEST(fs::exists(box.path("s/labels/series_t002.tif")));

  box.write_picture("p.tif", 80, 70);
  box.write_picture("n.tif", 80, 70);
  box.write_model<septum::bn_feature_net_61x61<2, 3>>("two.safetensors", "bn_feature_net_61x61",
                                                      {"phase", "nuclear"});
  auto const two = box.run(
      "segment --channel nuclear=n.tif --channel phase=p.tif --model two.safetensors --out two");
  BOOST_REQUIRE_MESSAGE(two.exit_code == 0, two.err);
  auto const missing = box.run("segment --channel phase=p.tif --model two.safetensors --out three");
  BOOST_TEST(missing.exit_code == 3);
  BOOST_TEST(missing.err.find("nuclear") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(demo_and_simulate) {
  sandbox const box;
  auto const demo =
      box.run("demo --out d --frames 12 --side 160 --patches 5120 --threads 2 --json");
  BOOST_REQUIRE_MESSAGE(demo.exit_code == 0, demo.err);
  auto const scores = nlohmann::json::parse(demo.out);
  BOOST_TEST(scores.at("objects_truth").get<int>() > 20);
  BOOST_TEST(demo.err.find("Open d/") != std::string::npos);
  for (char const* file : {"bacteria.safetensors", "bacteria.curves.svg", "scores.json",
                           "cells/cells.csv", "movie/lineage.csv", "training/labels.tif"})
    BOOST_TEST(fs::exists(box.path("d") / file), file);
  auto const again = box.run("segment d/movie/frames --model d/bacteria.safetensors --out e");
  BOOST_TEST(again.exit_code == 0);
  auto const nuclei = box.run("simulate nuclei --frames 2 --size 128x160 --out n");
  BOOST_REQUIRE_MESSAGE(nuclei.exit_code == 0, nuclei.err);
  BOOST_TEST(septum::io::read_labels(box.path("n/truth/labels_t001.tif")).shape()[1] == 160U);
}

BOOST_AUTO_TEST_CASE(info_says_what_things_are) {
  sandbox const box;
  box.write_dataset("day1");
  box.write_model("m.safetensors");
  auto const build = nlohmann::json::parse(box.run("info --json").out);
  BOOST_TEST(build.at("backends").size() == 4U);
  auto const model = nlohmann::json::parse(box.run("info m.safetensors --json").out);
  BOOST_TEST(model.at("parameters_per_net").get<int>() == 403'979);
  auto const image = nlohmann::json::parse(box.run("info day1/phase.tif --json").out);
  BOOST_TEST(image.at("height").get<int>() == 96);
  auto const data = box.run("info day1 --json");
  BOOST_TEST(data.exit_code == 0);
  fs::remove(box.path("day1/labels.tif"));
  auto const broken = box.run("info day1");
  BOOST_TEST(broken.exit_code == 3);
}

BOOST_AUTO_TEST_SUITE_END()
