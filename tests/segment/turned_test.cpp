#include <septum/backend/reference.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/segment/turned.hpp>

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <vector>

#include "support/noise_images.hpp"

namespace sp = septum;

namespace {

struct turned_net
    : sp::stack<sp::input<2>, sp::conv<4, 3>, sp::relu, sp::conv<3, 2>, sp::dense<3>, sp::softmax> {
};

// Says where a pixel lies, so that what is not turned back cannot pass.
struct where {
  static constexpr int classes = 2;
  static constexpr int receptive_field = 1;
  std::vector<std::vector<std::size_t>> seen{};
  sp::probabilities predict(sp::image const& pixels) {
    seen.push_back({pixels.shape()[0], pixels.shape()[1]});
    sp::probabilities maps =
        sp::probabilities::from_shape({pixels.shape()[0], pixels.shape()[1], 2});
    for (std::size_t r = 0; r < pixels.shape()[0]; ++r)
      for (std::size_t c = 0; c < pixels.shape()[1]; ++c) {
        maps(r, c, 0) = pixels(r, c, 0);
        maps(r, c, 1) = static_cast<float>(r);
      }
    return maps;
  }
};

static_assert(sp::Predictor<sp::turned<where>>);

}  // namespace

BOOST_AUTO_TEST_SUITE(turned)

BOOST_AUTO_TEST_CASE(images_turn_as_numpy_turns_them) {
  sp::image const pixels = {{{1, 10}, {2, 20}, {3, 30}}, {{4, 40}, {5, 50}, {6, 60}}};
  auto const of = [&](int element) { return sp::turned_image(pixels, {element}); };
  BOOST_TEST((of(0) == pixels));
  // rot90(a), rot90(a, 2), fliplr(a), rot90(fliplr(a)), of the first channel beside ten times it.
  BOOST_TEST((of(1) == sp::image{{{3, 30}, {6, 60}}, {{2, 20}, {5, 50}}, {{1, 10}, {4, 40}}}));
  BOOST_TEST((of(2) == sp::image{{{6, 60}, {5, 50}, {4, 40}}, {{3, 30}, {2, 20}, {1, 10}}}));
  BOOST_TEST((of(4) == sp::image{{{3, 30}, {2, 20}, {1, 10}}, {{6, 60}, {5, 50}, {4, 40}}}));
  BOOST_TEST((of(5) == sp::image{{{1, 10}, {4, 40}}, {{2, 20}, {5, 50}}, {{3, 30}, {6, 60}}}));
  for (int element = 0; element < sp::dihedral::order; ++element)
    BOOST_TEST((sp::turned_image(of(element), sp::dihedral{element}.inverse()) == pixels));
}

BOOST_AUTO_TEST_CASE(every_turn_is_seen_once_and_turned_back) {
  auto const pixels = noise_images::noise(5, 8, 1, 3);
  sp::turned<where> predictor{};
  auto const maps = predictor.predict(pixels);
  BOOST_TEST(predictor.predictor.seen.size() == 8U);
  // Seen in one extent, then in the other.
  for (std::size_t k = 0; k < 8; ++k)
    BOOST_TEST(predictor.predictor.seen[k][0] == (k < 4 ? 5U : 8U));
  for (std::size_t r = 0; r < 5; ++r)
    for (std::size_t c = 0; c < 8; ++c) {
      BOOST_TEST(maps(r, c, 0) == pixels(r, c, 0), boost::test_tools::tolerance(1e-6F));
      // A row and its mirror image average to the middle: of 5 rows twice, of 8 columns twice.
      BOOST_TEST(maps(r, c, 1) == 0.5F * (2.0F + 3.5F), boost::test_tools::tolerance(1e-6F));
    }
}

BOOST_AUTO_TEST_CASE(a_net_says_the_same_of_an_image_however_it_lies) {
  auto const pixels = noise_images::noise(17, 12, 2, 4);
  sp::turned<sp::ensemble<turned_net, sp::reference>> predictor{
      sp::ensemble<turned_net, sp::reference>{
          {sp::he_normal<turned_net>({1, 1}), sp::he_normal<turned_net>({2, 1})}}};
  auto const maps = predictor.predict(pixels);
  auto const plain = predictor.predictor.predict(pixels);
  BOOST_TEST(noise_images::largest_difference(maps, plain) > 1e-3);
  for (int element = 0; element < sp::dihedral::order; ++element) {
    sp::dihedral const turn{element};
    auto const again = predictor.predict(sp::turned_image(pixels, turn));
    BOOST_TEST(noise_images::largest_difference(sp::turned_image(maps, turn), again) < 1e-6);
  }
  // Each net by itself, and their mean.
  auto const each = sp::mean_over_turns(
      pixels, [&](sp::image const& seen) { return predictor.predictor.predict_each(seen); });
  BOOST_TEST(each.nets.size() == 2U);
  BOOST_TEST((each.mean == maps));
  sp::probabilities const mean = (each.nets[0] + each.nets[1]) / 2.0F;
  BOOST_TEST(noise_images::largest_difference(mean, maps) < 1e-6);
}

BOOST_AUTO_TEST_SUITE_END()
