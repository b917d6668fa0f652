#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <septum/exec/cuda_kernel_image.hpp>
#include <septum/image/contour_functors.hpp>
#include <septum/image/region_functors.hpp>
#include <septum/nn/functor_lists.hpp>
#include <septum/sample/patch_functors.hpp>
#include <septum/train/training_functors.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "own_functor.hpp"

namespace {

// PTX files that the build made of septum's kernels and own_functor.cu; none without nvcc.
std::vector<std::string> ptx_files() {
  std::vector<std::string> files;
  if (char const* const listed = std::getenv("SEPTUM_TEST_PTX"); listed != nullptr) {
    std::istringstream names{listed};
    for (std::string name; std::getline(names, name, ':');) files.push_back(name);
  }
  return files;
}

template <class... Lists>
std::vector<std::string> names_of(Lists... lists) {
  std::vector<std::string> all;
  (
      [&] {
        for (auto const& name : kernel_entry_names(lists)) all.push_back(name);
      }(),
      ...);
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernel_entries)

BOOST_AUTO_TEST_CASE(every_functor_has_its_entry_in_the_ptx) {
  auto const files = ptx_files();
  if (files.empty()) {
    BOOST_TEST_MESSAGE("skipped: there is no nvcc 13, or bounds are checked");
    return;
  }
  auto const names =
      names_of(septum::layer_functors<float>{}, septum::layer_functors<septum::bfloat16>{},
               septum::layer_functors<septum::float16>{}, septum::common_functors{},
               septum::patch_functors{}, septum::training_functors{}, septum::region_functors{},
               septum::contour_functors{}, own_functors{});
  BOOST_TEST(names.size() > 70U);
  for (auto const& file : files) {
    std::ifstream stream{file};
    std::string const text{std::istreambuf_iterator<char>{stream}, {}};
    BOOST_TEST(!text.empty(), file << " cannot be read");
    for (auto const& name : names)
      BOOST_TEST((text.find(".entry " + name + "(") != std::string::npos),
                 file << " lacks an entry for " << name);
  }
}

BOOST_AUTO_TEST_CASE(the_program_holds_the_compiled_kernels) {
  auto const image = septum::cuda_kernel_image();
  if (ptx_files().empty()) {
    BOOST_TEST(image.empty());
    return;
  }
  BOOST_TEST_REQUIRE(image.size() > 1000U);
  // The magic number of a fat binary.
  BOOST_TEST(image[0] == 0x50);
  BOOST_TEST(image[1] == 0xED);
  BOOST_TEST(image[2] == 0x55);
  BOOST_TEST(image[3] == 0xBA);
}

BOOST_AUTO_TEST_SUITE_END()
