#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "program.hpp"

/// --backend cudnn: with a GPU it computes, without it says what is missing, and everything else
/// goes on.
BOOST_AUTO_TEST_SUITE(gpu)

using program_test::sandbox;

BOOST_AUTO_TEST_CASE(a_missing_gpu_is_named_and_the_rest_goes_on) {
  sandbox const box;
  box.write_picture("a.tif", 64, 64);
  box.write_model("m.safetensors");
  box.write_dataset("day");
  auto const info = nlohmann::json::parse(box.run("info --json").out);
  auto const said = info.at("cudnn").get<std::string>();
  auto const segmented = box.run("segment a.tif --model m.safetensors --out gpu --backend cudnn");
  if (said == "ready") {
    BOOST_TEST(segmented.exit_code == 0, segmented.err);
    return;
  }
  BOOST_TEST_MESSAGE("no GPU: " << said);
  // The library, the driver, cuDNN or the program's kernels: one of them, with what is wanted.
  BOOST_TEST(
      (said.find("wanted") != std::string::npos || said.find("expected") != std::string::npos ||
       said.find("nvcc 13") != std::string::npos),
      said);
  BOOST_TEST(segmented.exit_code == 4, segmented.err);
  BOOST_TEST(segmented.err.find(said) != std::string::npos, segmented.err);
  BOOST_TEST(!program_test::fs::exists(box.path("gpu")));
  auto const trained = box.run("train day --model t.safetensors --mode patch --backend cudnn");
  BOOST_TEST(trained.exit_code == 4, trained.err);
  BOOST_TEST(trained.err.find(said) != std::string::npos, trained.err);
  BOOST_TEST(!program_test::fs::exists(box.path("t.safetensors")));
  BOOST_TEST(box.hidden_leftovers() == 0);
  auto const other = box.run("segment a.tif --model m.safetensors --out cpu --backend eigen");
  BOOST_TEST(other.exit_code == 0, other.err);
}

BOOST_AUTO_TEST_CASE(precisions_of_the_gpu_are_refused_by_other_backends) {
  sandbox const box;
  box.write_picture("a.tif", 64, 64);
  box.write_model("m.safetensors");
  auto const done = box.run("segment a.tif --model m.safetensors --out o --precision f16");
  BOOST_TEST(done.exit_code == 3, done.err);
  BOOST_TEST(done.err.find("--precision f16 with --backend onednn") != std::string::npos, done.err);
}

BOOST_AUTO_TEST_CASE(bfloat16_wants_its_instructions) {
  sandbox const box;
  box.write_picture("a.tif", 64, 64);
  box.write_model("m.safetensors");
  // The variable holds the kernels back on any processor.
  auto const refused = box.run("segment a.tif --model m.safetensors --out o --precision bf16",
                               "ONEDNN_MAX_CPU_ISA=AVX512_CORE");
  BOOST_TEST(refused.exit_code == 3, refused.err);
  BOOST_TEST(refused.err.find("AVX512_BF16") != std::string::npos, refused.err);
  BOOST_TEST(!program_test::fs::exists(box.path("o")));
  auto const done = box.run("segment a.tif --model m.safetensors --out p --precision bf16");
  if (done.err.find("AVX512_BF16") != std::string::npos)
    BOOST_TEST(done.exit_code == 3, done.err);
  else
    BOOST_TEST(done.exit_code == 0, done.err);
}

BOOST_AUTO_TEST_SUITE_END()
