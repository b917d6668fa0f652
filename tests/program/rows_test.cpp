// Frames that are segmented row by row, and the plan of memory.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <septum/image/components.hpp>
#include <septum/io/image.hpp>
#include <septum/io/tiff.hpp>
#include <septum/segment/turned.hpp>
#include <string>
#include <vector>

#include "program/experiment_files.hpp"
#include "program/json_result.hpp"
#include "program/program.hpp"
#include "support/noise_images.hpp"

namespace fs = std::filesystem;
using program_test::content;
using program_test::files_below;
using program_test::result_of;
using program_test::same_files;
using program_test::sandbox;

namespace {

// Blobs, rings and specks on uneven light.
void write_cells(sandbox const& box, std::string const& name, std::size_t rows,
                 std::size_t columns) {
  septum::image pixels = sandbox::picture(rows, columns);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) {
      auto const y = static_cast<double>(r % 40) - 20.0;
      auto const x = static_cast<double>(c % 46) - 23.0;
      double const distance = std::hypot(y, x * 0.7);
      bool const ring = (r / 40 + c / 46) % 3 == 0;
      if (distance < 13.0 && !(ring && distance < 6.0 && distance > 2.5)) pixels(r, c, 0) += 900.0F;
      pixels(r, c, 0) += static_cast<float>(r + 2 * c) / 10.0F;
    }
  xt::xtensor<std::uint16_t, 2> stored = xt::xtensor<std::uint16_t, 2>::from_shape({rows, columns});
  for (std::size_t i = 0; i < stored.size(); ++i)
    stored.data()[i] = static_cast<std::uint16_t>(pixels.data()[i]);
  septum::io::write_tiff(box.path(name), stored);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(by_rows)

BOOST_AUTO_TEST_CASE(labels_and_table_are_those_of_the_whole_image_whatever_the_tiles) {
  sandbox const box;
  write_cells(box, "large.tif", 1137, 1050);
  write_cells(box, "small.tif", 560, 530);
  for (std::string const preset :
       {"--model bacteria --preset bacteria --core-threshold 0 --area-min 5 --threshold 0.3",
        "--model bacteria --preset bacteria --core-threshold 0 --clear-border --solidity-min 0.5 "
        "--threshold 0.2",
        "--model nuclei --preset nuclei --nuclei-threshold 0.4 --nuclei-area-min 20"}) {
    // The net of nuclei is slow: one kind of tile is enough for what differs in refining.
    bool const slow = preset.find("nuclei") != std::string::npos;
    std::string const image = slow ? "small.tif" : "large.tif";
    std::string const run = "segment " + image + " --no-overlays --threads 2 " + preset + " --out ";
    auto const whole = result_of(box, run + "whole --rows never");
    BOOST_TEST(whole.at("cells").get<int>() > 20);
    BOOST_TEST(whole.at("frames_by_rows") == 0);
    auto const expected = septum::io::read_labels(box.path("whole/labels/" + image));
    std::vector<std::string> tiles{"512"};
    if (!slow) tiles = {"256", "512", "1000", "100000"};
    for (std::string const& tile : tiles) {
      auto const rows = result_of(box, run + "rows --rows always --tile " + tile);
      BOOST_TEST(rows.at("frames_by_rows") == 1);
      BOOST_TEST(rows.at("cells") == whole.at("cells"));
      BOOST_TEST((septum::io::read_labels(box.path("rows/labels/" + image)) == expected),
                 preset << ", tiles of " << tile);
      BOOST_TEST(content(box.path("rows/cells.csv")) == content(box.path("whole/cells.csv")));
      septum::io::tiff_reader const file{box.path("rows/labels/" + image)};
      BOOST_TEST(file.page(0).tiled);
    }
  }
  BOOST_TEST(box.hidden_leftovers() == 0);
}

BOOST_AUTO_TEST_CASE(channels_from_several_files_and_pages_are_read_by_rows) {
  sandbox const box;
  box.write_model<septum::bn_feature_net_31x31<2, 3>>("m.safetensors", "bn_feature_net_31x31",
                                                      {"phase", "nuclear"});
  box.write_picture("both.tif", 90, 100, 2);
  auto const both = septum::io::read_image(box.path("both.tif"));
  for (std::size_t channel = 0; channel < 2; ++channel) {
    xt::xtensor<float, 2> one = xt::xtensor<float, 2>::from_shape({90, 100});
    for (std::size_t i = 0; i < one.size(); ++i) one.data()[i] = both.data()[2 * i + channel];
    septum::io::write_tiff(box.path(channel == 0 ? "p.tif" : "n.tif"), one);
  }
  std::string const options =
      " --model m.safetensors --core-threshold 0 --threshold 0.3 --no-overlays --out ";
  result_of(box, "segment both.tif" + options + "whole --rows never");
  auto const expected = septum::io::read_labels(box.path("whole/labels/both.tif"));
  result_of(box, "segment both.tif" + options + "pages --rows always");
  BOOST_TEST((septum::io::read_labels(box.path("pages/labels/both.tif")) == expected));
  result_of(box, "segment --channel phase=p.tif --channel nuclear=n.tif" + options +
                     "files --rows always");
  BOOST_TEST((septum::io::read_labels(box.path("files/labels/p.tif")) == expected));
}

BOOST_AUTO_TEST_CASE(an_image_that_does_not_fit_goes_by_rows_or_is_refused_with_both_numbers) {
  sandbox const box;
  write_cells(box, "a.tif", 1700, 1700);
  box.write_model("m.safetensors");
  std::string const cored =
      "segment a.tif --model m.safetensors --no-overlays --threads 2 --threshold 0.9 --out o ";
  std::string const run = cored + "--core-threshold 0 ";
  auto const plan = result_of(box, run + "--plan");
  auto const whole = plan.at("whole").at("peak_bytes").get<std::uint64_t>();
  auto const by_rows = plan.at("by_rows").at("peak_bytes").get<std::uint64_t>();
  BOOST_TEST(by_rows < whole);
  BOOST_TEST(!fs::exists(box.path("o")));
  auto const limit = std::to_string((whole >> 20U) - 20);
  auto const fitted = result_of(box, run + "--memory-limit " + limit);
  BOOST_TEST(fitted.at("peak_bytes").get<std::uint64_t>() <=
             fitted.at("planned_bytes").get<std::uint64_t>());
  BOOST_TEST(fitted.at("planned_bytes").get<std::uint64_t>() >> 20U <= std::stoul(limit));

  auto const refused = box.run(run + "--memory-limit 30");
  BOOST_TEST(refused.exit_code == 4);
  BOOST_TEST(refused.err.find("1700 x 1700 pixels needs") != std::string::npos, refused.err);
  BOOST_TEST(refused.err.find("30 MiB") != std::string::npos, refused.err);
  auto const cores = box.run(cored + "--memory-limit 100 --core-threshold 0.95");
  BOOST_TEST(cores.exit_code == 4);
  BOOST_TEST(cores.err.find("grow from cores") != std::string::npos, cores.err);
  auto const contours = box.run(run + "--memory-limit 100 --refine otsu");
  BOOST_TEST(contours.exit_code == 4);
  BOOST_TEST(contours.err.find("cannot be segmented row by row") != std::string::npos,
             contours.err);
}

BOOST_AUTO_TEST_CASE(broken_pixels_are_found_row_by_row) {
  sandbox const box;
  box.write_model("m.safetensors");
  septum::image pixels = sandbox::picture(300, 120);
  pixels(217, 33, 0) = std::numeric_limits<float>::quiet_NaN();
  septum::io::write_tiff(box.path("a.tif"), pixels);
  std::string const run =
      "segment a.tif --model m.safetensors --core-threshold 0 --rows always --out o";
  auto const refused = box.run(run);
  BOOST_TEST(refused.exit_code == 3);
  BOOST_TEST(refused.err.find("row 217, column 33, channel 1") != std::string::npos, refused.err);
  BOOST_TEST(!fs::exists(box.path("o")));
  result_of(box, run + " --nonfinite zero");
  septum::image const flat = xt::ones<float>({80, 80, 1});
  septum::io::write_tiff(box.path("a.tif"), flat);
  BOOST_TEST(result_of(box, run).at("cells") == 0);
}

BOOST_AUTO_TEST_CASE(the_peak_of_segmenting_stays_below_the_plan) {
  sandbox const box;
  write_cells(box, "small.tif", 140, 150);
  write_cells(box, "medium.tif", 900, 1000);
  write_cells(box, "wide.tif", 150, 5000);
  box.write_model<septum::bn_feature_net_61x61<1, 3>>("61.safetensors", "bn_feature_net_61x61");
  for (std::string const net : {"--model bacteria", "--model 61.safetensors --refine threshold"})
    for (std::string const image : {"small.tif", "medium.tif", "wide.tif"})
      for (std::string const more :
           {"--threads 1 --rows never", "--threads 4 --rows never --probabilities",
            "--threads 2 --rows always --tile 400 --core-threshold 0"}) {
        if (net.find("61") != std::string::npos && image == "medium.tif" &&
            more.find("--threads 4") != std::string::npos)
          continue;
        auto const done = result_of(box, "segment " + image + " --out o " + net + " " + more);
        auto const peak = done.at("peak_bytes").get<double>();
        auto const planned = done.at("planned_bytes").get<double>();
        BOOST_TEST_MESSAGE(image << " " << net << " " << more << ": peak " << peak / 1048576
                                 << " MiB, planned " << planned / 1048576 << " MiB");
        BOOST_TEST(peak <= planned, image << " " << net << " " << more);
        // A plan is of use only when it is near.
        if (more.find("always") == std::string::npos)
          BOOST_TEST(planned <= 3.0 * peak, image << " " << net << " " << more);
      }
}

BOOST_AUTO_TEST_CASE(turns_are_averaged_within_the_plan) {
  sandbox const box;
  write_cells(box, "a.tif", 420, 500);
  auto const pixels = septum::io::read_image(box.path("a.tif"));
  septum::io::write_tiff(box.path("b.tif"), septum::turned_image(pixels, {1}));
  std::string const run = "segment --model bacteria --no-overlays --probabilities --turns --out ";
  auto const seen = [&](std::string const& name) {
    auto const done = result_of(box, run + name + " " + name + ".tif");
    BOOST_TEST(done.at("peak_bytes").get<std::uint64_t>() <=
               done.at("planned_bytes").get<std::uint64_t>());
    return septum::io::read_image(box.path(name + "/probabilities/" + name + ".tif"));
  };
  auto const upright = seen("a");
  auto const lying = seen("b");
  BOOST_TEST_REQUIRE(lying.shape()[2] == 3U);
  BOOST_TEST(noise_images::largest_difference(septum::turned_image(upright, {1}), lying) < 1e-4);
  auto const refused = [&](std::string const& options, std::string const& says) {
    auto const done = box.run(run + "o a.tif " + options);
    BOOST_TEST(done.exit_code == 3);
    BOOST_TEST(done.err.find(says) != std::string::npos, done.err);
  };
  refused("--cascade", "septum.program.125");
  refused("--rows always --core-threshold 0", "--turns need");
}

BOOST_AUTO_TEST_CASE(frames_that_go_together_stay_below_the_plan_and_change_no_byte) {
  sandbox const box;
  fs::create_directories(box.path("movie"));
  for (int k = 0; k < 5; ++k)
    write_cells(box, "movie/" + std::to_string(k) + ".tif", k == 3 ? 330 : 380, 450);
  std::string const run = "segment movie --model bacteria --out ";
  auto const alone = result_of(box, run + "alone --threads 1");
  auto const together = result_of(box, run + "together --threads 8");
  auto const planned = [](nlohmann::json const& done) {
    return done.at("planned_bytes").get<std::uint64_t>();
  };
  auto const require_below_plan = [&](nlohmann::json const& done) {
    BOOST_TEST(done.at("peak_bytes").get<std::uint64_t>() <= planned(done));
  };
  require_below_plan(alone);
  require_below_plan(together);
  // Where the memory does not suffice, fewer go at the same time.
  BOOST_TEST(planned(together) > planned(alone) + (std::uint64_t{10} << 20U));
  std::uint64_t const limit = (planned(alone) >> 20U) + 40;
  auto const limited =
      result_of(box, run + "limited --threads 8 --memory-limit " + std::to_string(limit));
  require_below_plan(limited);
  BOOST_TEST(planned(limited) >> 20U <= limit);
  auto const expected = files_below(box.path("alone"));
  BOOST_TEST(expected.size() > 10U);
  BOOST_TEST(same_files(expected, files_below(box.path("together"))));
  BOOST_TEST(same_files(expected, files_below(box.path("limited"))));
}

BOOST_AUTO_TEST_CASE(the_peak_of_training_stays_below_the_plan) {
  sandbox const box;
  box.write_dataset("day1", 160);
  for (std::string const options :
       {"--steps 2 --crop 48 --threads 1", "--steps 2 --crop 64 --crops 3 --threads 4",
        "--net bn_feature_net_61x61 --steps 2 --crop 32 --crops 2 --threads 2",
        "--mode patch --patches 512 --batch 256 --threads 2"}) {
    auto const done = result_of(box, "train day1 --model m.safetensors --quiet " + options);
    auto const peak = done.at("peak_bytes").get<double>();
    auto const planned = done.at("planned_bytes").get<double>();
    BOOST_TEST_MESSAGE(options << ": peak " << peak / 1048576 << " MiB, planned "
                               << planned / 1048576 << " MiB");
    BOOST_TEST(peak <= planned, options);
    BOOST_TEST(planned <= 3.0 * peak, options);
  }
  auto const refused = box.run("train day1 --model m.safetensors --crop 64 --memory-limit 40");
  BOOST_TEST(refused.exit_code == 4);
  BOOST_TEST(refused.err.find("--crop") != std::string::npos, refused.err);
}

BOOST_AUTO_TEST_SUITE_END()
