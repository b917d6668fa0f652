#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <limits>
#include <septum/io/output_folder.hpp>
#include <septum/io/roi_set.hpp>

#include "program/child_process.hpp"
#include "program/program.hpp"

namespace fs = std::filesystem;
using program_test::content;
using program_test::outcome;
using program_test::run_until;
using program_test::sandbox;

namespace {

// One line, the exit code of its kind, the culprit named, and nothing written.
void require_refusal(sandbox const& box, outcome const& result, int exit_code,
                     std::string const& names, std::string const& output = "o") {
  BOOST_TEST_CONTEXT(result.err) {
    BOOST_TEST(result.exit_code == exit_code);
    auto const line = result.err.find("septum: ");
    BOOST_TEST(line != std::string::npos);
    BOOST_TEST(result.err.find(names) != std::string::npos);
    BOOST_TEST(result.err.find("[septum.") != std::string::npos);
    BOOST_TEST(!fs::exists(box.path(output)));
    BOOST_TEST(box.hidden_leftovers() == 0);
  }
}

void truncate(fs::path const& path, std::uintmax_t bytes) { fs::resize_file(path, bytes); }

}  // namespace

BOOST_AUTO_TEST_SUITE(faults)

BOOST_AUTO_TEST_CASE(usage) {
  sandbox const box;
  BOOST_TEST(box.run("").exit_code == 2);
  BOOST_TEST(box.run("segment --no-such-option").exit_code == 2);
  BOOST_TEST(box.run("train nowhere --model m.safetensors").exit_code == 2);
  BOOST_TEST(box.run("--help").exit_code == 0);
  BOOST_TEST(box.run("train --help").out.find("Example:") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(truncated_empty_and_foreign_images) {
  sandbox const box;
  box.write_model("m.safetensors");
  box.write_picture("cut.tif", 64, 64);
  truncate(box.path("cut.tif"), fs::file_size(box.path("cut.tif")) / 2);
  require_refusal(box, box.run("segment cut.tif --model m.safetensors --out o"), 3, "cut.tif");
  std::ofstream{box.path("empty.tif")};
  require_refusal(box, box.run("segment empty.tif --model m.safetensors --out o"), 3, "empty.tif");
  std::ofstream{box.path("text.tif")} << "this is no image";
  require_refusal(box, box.run("segment text.tif --model m.safetensors --out o"), 3, "text.tif");
}

BOOST_AUTO_TEST_CASE(pixels_that_are_no_numbers) {
  sandbox const box;
  box.write_model("m.safetensors");
  auto pixels = sandbox::picture(64, 64);
  pixels(7, 9, 0) = std::numeric_limits<float>::quiet_NaN();
  septum::io::write_tiff(box.path("nan.tif"), pixels);
  require_refusal(box, box.run("segment nan.tif --model m.safetensors --out o"), 3, "nan.tif");
  auto const zeroed = box.run("segment nan.tif --model m.safetensors --out z --nonfinite zero");
  BOOST_TEST(zeroed.exit_code == 0);
  BOOST_TEST(zeroed.err.find("1 pixels") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_image_smaller_than_the_field) {
  sandbox const box;
  box.write_model("m.safetensors");
  box.write_picture("small.tif", 30, 200);
  auto const refused = box.run("segment small.tif --model m.safetensors --out o");
  require_refusal(box, refused, 3, "small.tif");
  BOOST_TEST(refused.err.find("30x200") != std::string::npos);
  BOOST_TEST(refused.err.find("31x31") != std::string::npos);
  BOOST_TEST(box.run("segment small.tif --model m.safetensors --out p --pad reflect").exit_code ==
             0);
}

BOOST_AUTO_TEST_CASE(a_constant_image_is_background) {
  sandbox const box;
  box.write_model("m.safetensors");
  septum::image const flat = xt::zeros<float>({64, 64, 1});
  septum::io::write_tiff(box.path("flat.tif"), flat);
  auto const done = box.run("segment flat.tif --model m.safetensors --out o");
  BOOST_TEST(done.exit_code == 0);
  BOOST_TEST(done.err.find("flat.tif") != std::string::npos);
  auto const table = content(box.path("o/cells.csv"));
  BOOST_TEST(std::count(table.begin(), table.end(), '\n') == 1);
}

BOOST_AUTO_TEST_CASE(channels_of_unequal_size_or_number) {
  sandbox const box;
  box.write_model<septum::bn_feature_net_61x61<2, 3>>("two.safetensors", "bn_feature_net_61x61",
                                                      {"phase", "nuclear"});
  box.write_picture("p.tif", 80, 80);
  box.write_picture("n.tif", 80, 81);
  auto const unequal = box.run(
      "segment --channel phase=p.tif --channel nuclear=n.tif --model two.safetensors --out o");
  require_refusal(box, unequal, 3, "p.tif");
  BOOST_TEST(unequal.err.find("n.tif") != std::string::npos);
  require_refusal(box, box.run("segment p.tif --model two.safetensors --out o"), 3, "p.tif");
}

BOOST_AUTO_TEST_CASE(a_missing_class) {
  sandbox const box;
  box.write_dataset("day1");
  septum::labels const none = xt::zeros<std::int32_t>({96, 96});
  septum::io::write_tiff(box.path("day1/labels.tif"), none);
  auto const refused = box.run("train day1 --model o --patches 2560");
  require_refusal(box, refused, 3, "day1");
  BOOST_TEST(refused.err.find("edge") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(models_of_other_nets_and_damaged_ones) {
  sandbox const box;
  box.write_picture("a.tif", 80, 80);
  box.write_model<septum::bn_feature_net_61x61<1, 3>>("lie.safetensors", "bn_feature_net_31x31");
  require_refusal(box, box.run("segment a.tif --model lie.safetensors --out o"), 3, "net");
  box.write_model("m.safetensors");
  box.write_model<septum::bn_feature_net_61x61<1, 3>>("n.safetensors", "bn_feature_net_61x61");
  require_refusal(box, box.run("segment a.tif --model m.safetensors n.safetensors --out o"), 3,
                  "n.safetensors");
  fs::copy_file(box.path("m.safetensors"), box.path("cut.safetensors"));
  truncate(box.path("cut.safetensors"), 100'000);
  require_refusal(box, box.run("segment a.tif --model cut.safetensors --out o"), 3,
                  "cut.safetensors");
}

BOOST_AUTO_TEST_CASE(a_full_disk) {
  sandbox const box;
  box.write_model("m.safetensors");
  box.write_picture("a.tif", 128, 128);
  // A limit on the size of files stands in for a full disk: writes fail in the same way.
  auto const result = box.run("segment a.tif --model m.safetensors --out o --probabilities",
                              "trap '' XFSZ; ulimit -f 8;");
  require_refusal(box, result, 4, "o");
  box.write_dataset("day1");
  require_refusal(
      box, box.run("train day1 --model o --patches 2560 --quiet", "trap '' XFSZ; ulimit -f 8;"), 4,
      "o");
}

BOOST_AUTO_TEST_CASE(places_that_cannot_be_written) {
  sandbox const box;
  box.write_model("m.safetensors");
  box.write_picture("a.tif", 64, 64);
  std::ofstream{box.path("file")} << "x";
  // A folder under a regular file cannot be made by anyone, root included.
  require_refusal(box, box.run("segment a.tif --model m.safetensors --out file/o"), 3, "file");
  require_refusal(box, box.run("segment a.tif --model m.safetensors --out /sys/o"), 4, "/sys");
  box.write_dataset("day1");
  auto const train = box.run("train day1 --model /sys/m.safetensors");
  BOOST_TEST(train.exit_code == 4);
  BOOST_TEST(train.err.find("epoch") == std::string::npos, "refused only after training");
}

BOOST_AUTO_TEST_CASE(a_signal_stops_training_and_resume_goes_on) {
  sandbox const box;
  box.write_dataset("day1", 160);
  std::string const recipe =
      "train day1 --epochs 4 --threads 1 --quiet --seed 2 --limit-per-class 700";
  BOOST_REQUIRE(box.run(recipe + " --model whole.safetensors").exit_code == 0);
  auto const stopped = run_until(box, recipe + " --model o", "o.checkpoint.0", SIGINT);
  BOOST_TEST_CONTEXT(stopped.err) {
    BOOST_TEST(stopped.exit_code == 130);
    BOOST_TEST(!fs::exists(box.path("o")));
    BOOST_TEST(fs::exists(box.path("o.checkpoint.0")));
  }
  BOOST_TEST(box.run(recipe + " --seed 9 --resume --model o").exit_code == 2);
  auto const foreign = box.run(
      "train day1 --epochs 5 --threads 1 --quiet --seed 2 "
      "--limit-per-class 700 --resume --model o");
  BOOST_TEST(foreign.exit_code == 3);
  auto const resumed = box.run(recipe + " --resume --model o");
  BOOST_TEST_CONTEXT(resumed.err) { BOOST_TEST(resumed.exit_code == 0); }
  BOOST_TEST((content(box.path("o")) == content(box.path("whole.safetensors"))));
  auto const nothing = box.run(recipe + " --resume --model other.safetensors");
  BOOST_TEST(nothing.exit_code == 3, "resuming without a checkpoint is an error");
}

BOOST_AUTO_TEST_CASE(every_signal_ends_a_run_with_its_own_exit_code) {
  sandbox const box;
  box.write_dataset("day1", 160);
  for (int const signal : {SIGTERM, SIGHUP}) {
    auto const stopped = run_until(
        box, "train day1 --epochs 400 --threads 1 --quiet --limit-per-class 700 --model o",
        "o.checkpoint.0", signal);
    BOOST_TEST_CONTEXT("signal " << signal << ": " << stopped.err) {
      BOOST_TEST(stopped.exit_code == 128 + signal);
      BOOST_TEST(!fs::exists(box.path("o")));
      BOOST_TEST(fs::exists(box.path("o.checkpoint.0")));
      BOOST_TEST(box.hidden_leftovers() == 0);
    }
    fs::remove(box.path("o.checkpoint.0"));
  }
}

BOOST_AUTO_TEST_CASE(a_second_run_is_told_who_writes_already) {
  sandbox const box;
  box.write_dataset("day1");
  box.write_model("m.safetensors");
  box.write_picture("a.tif", 64, 64);
  for (auto const& [output, command] :
       {std::pair{"o", "train day1 --model o --epochs 1"},
        std::pair{"cells", "segment a.tif --model m.safetensors --out cells"}}) {
    septum::io::output_lock const held{box.path(output)};
    auto const second = box.run(command);
    BOOST_TEST_CONTEXT(second.err) {
      BOOST_TEST(second.exit_code == 5);
      BOOST_TEST(second.err.find(output) != std::string::npos);
      BOOST_TEST(second.err.find("process " + std::to_string(::getpid())) != std::string::npos);
      BOOST_TEST(!fs::exists(box.path(output)));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_file_larger_than_the_memory) {
  sandbox const box;
  box.write_model("m.safetensors");
  // Three gigabytes that take no room on the disk, in a process that may have two.
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (30000, 25000), }";
  header.resize(117, ' ');
  header += '\n';
  std::ofstream{box.path("huge.npy"), std::ios::binary} << std::string{"\x93NUMPY\x01\0\x76\0", 10}
                                                        << header;
  fs::resize_file(box.path("huge.npy"), 128 + std::uintmax_t{4} * 30000 * 25000);
  auto const result =
      box.run("segment huge.npy --model m.safetensors --out o --threads 1", "ulimit -v 2000000;");
  require_refusal(box, result, 4, "huge.npy");
  BOOST_TEST(result.err.find("3000000128 bytes") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(names_that_are_too_long) {
  sandbox const box;
  box.write_model("m.safetensors");
  box.write_picture("a.tif", 64, 64);
  std::string const name(300, 'n');
  auto const result = box.run("segment a.tif --model m.safetensors --out " + name);
  BOOST_TEST((result.exit_code == 3 || result.exit_code == 4));
  BOOST_TEST(result.err.find("nnnn") != std::string::npos);
  BOOST_TEST(result.err.find("[septum.") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(annotations_that_do_not_fit) {
  sandbox const box;
  box.write_dataset("day1");
  fs::remove(box.path("day1/labels.tif"));
  std::ofstream{box.path("day1/RoiSet.zip")} << "PK\3\4 and then nothing";
  require_refusal(box, box.run("train day1 --model o --epochs 1"), 3, "RoiSet.zip");
  septum::io::roi far{.name = "far", .rings = {{{900, 900}, {900, 950}, {950, 950}}}};
  far.fit_box();
  septum::io::write_roi_set(box.path("day1/RoiSet.zip"), {.areas = {far}});
  auto const outside = box.run("train day1 --model o --epochs 1");
  require_refusal(box, outside, 3, "RoiSet.zip");
  BOOST_TEST(outside.err.find("far") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(odd_paths) {
  sandbox const box;
  box.write_model("m.safetensors");
  std::string const name = "it's \"a\" cell, día 1.tif";
  box.write_picture(name, 64, 64);
  fs::create_directories(box.path("my frames"));
  fs::rename(box.path(name), box.path("my frames/" + name));
  auto const done = box.run("segment 'my frames' --model m.safetensors --out 'o 1'");
  BOOST_TEST_CONTEXT(done.err) { BOOST_TEST(done.exit_code == 0); }
  BOOST_TEST(fs::exists(box.path("o 1/labels/" + name)));
}

BOOST_AUTO_TEST_SUITE_END()
