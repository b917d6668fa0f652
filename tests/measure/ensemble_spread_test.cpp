#include <septum/measure/ensemble_spread.hpp>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <vector>

namespace {

namespace sp = septum;

struct box {
  int row, column, height, width;
  std::int32_t label = 1;
};

sp::labels painted(std::vector<box> const& boxes) {
  sp::labels cells = xt::zeros<std::int32_t>({30, 40});
  for (box const& b : boxes)
    for (int r = b.row; r < b.row + b.height; ++r)
      for (int c = b.column; c < b.column + b.width; ++c) cells(r, c) = b.label;
  return cells;
}

sp::probabilities constant_maps(float interior) {
  sp::probabilities maps = xt::zeros<float>({30, 40, 3});
  for (std::size_t p = 0; p < 30 * 40; ++p) maps.data()[3 * p + 1] = interior;
  return maps;
}

constexpr std::array<std::size_t, 1> interior{1};

}  // namespace

BOOST_AUTO_TEST_SUITE(ensemble_spread)

BOOST_AUTO_TEST_CASE(areas_and_probabilities_of_every_net) {
  sp::labels const cells = painted({{5, 5, 10, 6, 1}, {5, 20, 10, 6, 3}});
  // The first net joins both cells by a bridge, the second sees one row less of the first cell and
  // nothing of the second.
  sp::labels const joined = painted({{5, 5, 10, 21}});
  sp::labels const fewer = painted({{5, 5, 9, 6}});
  sp::probabilities const sure = constant_maps(0.9F);
  sp::probabilities const unsure = constant_maps(0.7F);
  std::array const nets{sp::net_opinion{joined, sure}, sp::net_opinion{fewer, unsure}};
  auto const found = sp::measure_ensemble_spread(cells, nets, interior, 2);
  BOOST_REQUIRE_EQUAL(found.size(), 3U);
  BOOST_TEST(found[0].label == 1);
  BOOST_TEST(found[2].label == 3);
  // Within two pixels of a cell the bridge counts as its own: 80 px; the other net sees 54 and 0.
  auto const tolerance = boost::test_tools::tolerance(1e-6);
  BOOST_TEST(found[0].area_sd_px == (80 - 54) / std::sqrt(2.0), tolerance);
  BOOST_TEST(found[2].area_sd_px == 80 / std::sqrt(2.0), tolerance);
  BOOST_TEST(found[0].interior_sd == 0.2 / std::sqrt(2.0), tolerance);
  // Nobody has label 2.
  BOOST_TEST(std::isnan(found[1].area_sd_px));
}

BOOST_AUTO_TEST_CASE(nets_that_agree_have_no_spread) {
  sp::labels const cells = painted({{5, 5, 10, 6}});
  sp::probabilities const maps = constant_maps(0.8F);
  std::vector<sp::net_opinion> const nets(3, sp::net_opinion{cells, maps});
  auto const found = sp::measure_ensemble_spread(cells, nets, interior);
  BOOST_TEST(found.at(0).area_sd_px == 0);
  BOOST_TEST(std::abs(found.at(0).interior_sd) < 1e-12);
  auto const alone = sp::measure_ensemble_spread(cells, std::span{nets}.first(1), interior);
  BOOST_TEST(std::isnan(alone.at(0).area_sd_px));
  BOOST_TEST(sp::measure_ensemble_spread(painted({}), nets, interior).empty());
}

BOOST_AUTO_TEST_CASE(refuses_other_extents_and_classes) {
  sp::labels const cells = painted({{5, 5, 10, 6}});
  sp::labels const other = xt::zeros<std::int32_t>({30, 41});
  sp::probabilities const maps = constant_maps(0.8F);
  constexpr std::array<std::size_t, 1> missing{3};
  BOOST_CHECK_THROW(static_cast<void>(sp::measure_ensemble_spread(
                        cells, std::array{sp::net_opinion{other, maps}}, interior)),
                    sp::shape_error);
  BOOST_CHECK_THROW(static_cast<void>(sp::measure_ensemble_spread(
                        cells, std::array{sp::net_opinion{cells, maps}}, missing)),
                    sp::shape_error);
}

BOOST_AUTO_TEST_SUITE_END()
