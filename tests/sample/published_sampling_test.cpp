#include <boost/test/unit_test.hpp>

#if defined(SEPTUM_TEST_IO)
#  include <map>
#  include <septum/io/annotation.hpp>
#  include <septum/sample/samplers.hpp>
#  include <support/shared_data.hpp>
#  include <vector>

namespace sp = septum;

BOOST_AUTO_TEST_SUITE(published_sampling)

// The published E. coli set has 95,832 patches: n = 15,972 for 3 classes of 2 images, n being the
// edge count of the second image, which is not among the shared ones. What can be checked on the
// first alone: its own edge count, that this n fits under it, and that each of its classes has n
// candidates, so that it gives half of the published patches.
BOOST_AUTO_TEST_CASE(first_image_gives_half_of_the_published_patches) {
  auto const folder = test::shared_data("ecoli/set1");
  if (!folder) return;
  std::vector<sp::annotation> const truths{sp::io::read_dataset(*folder).truth};
  sp::counter_rng const rng{1, sp::stream::sampling};
  auto const count = [&](sp::class_balanced const& sampler) {
    std::map<int, int> of_class;
    for (auto const& patch : sampler(truths, rng)) ++of_class[patch.label];
    return of_class;
  };
  // Counted in the published masks with scipy: 16,921 edge pixels 16 px inside the border, and
  // 17,050 edge, 18,674 interior and 36,637 background candidates.
  auto const alone = count({.window = 31});
  for (int label = 0; label < 3; ++label) BOOST_TEST(alone.at(label) == 16921);
  auto const published = count({.window = 31, .limit_per_class = 15972});
  BOOST_TEST(published.at(0) + published.at(1) + published.at(2) == 95832 / 2);
  auto const all = count({.window = 31, .limit_per_class = 1000000});
  BOOST_TEST(all.at(0) == 17050);
  BOOST_TEST(all.at(1) == 18674);
  BOOST_TEST(all.at(2) == 36637);
}

BOOST_AUTO_TEST_SUITE_END()
#endif
