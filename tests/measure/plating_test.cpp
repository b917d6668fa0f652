#include <septum/image/components.hpp>
#include <septum/io/image.hpp>
#include <septum/measure/plating.hpp>
#include <support/shared_data.hpp>

#include <boost/test/unit_test.hpp>
#include <vector>

namespace sp = septum;

namespace {

sp::plating_point point(double density, std::vector<double> jaccard) {
  sp::plating_point result{.cells_per_well = density};
  result.agreement.dice = jaccard;
  result.agreement.jaccard = std::move(jaccard);
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(plating)

BOOST_AUTO_TEST_CASE(points_are_sorted_and_pooled) {
  auto const curve = sp::make_plating_curve(
      {point(5000, {0.8, 0.9}), point(1250, {0.7}), point(5000, {0.4}), point(20000, {0.5})});
  BOOST_REQUIRE_EQUAL(curve.points.size(), 3U);
  BOOST_TEST(curve.points[0].cells_per_well == 1250.0);
  BOOST_TEST(curve.points[1].agreement.jaccard.size() == 3U);
  BOOST_TEST(curve.points[1].agreement.jaccard_mean().value() == 0.7,
             boost::test_tools::tolerance(1e-12));
  BOOST_TEST(curve.stable_up_to().value() == 5000.0);
  BOOST_TEST(curve.stable_up_to(0.3).value() == 20000.0);
  BOOST_TEST(!curve.points[0].jaccard_error().has_value());
  BOOST_TEST(!sp::make_plating_curve({}).stable_up_to().has_value());
}

BOOST_AUTO_TEST_CASE(the_published_masks_at_ten_thousand_cells) {
  auto const folder = test::shared_data("hela_plating/10000");
  if (!folder) return;
  auto const interior = sp::io::read_mask(*folder / "interior.png");
  auto const prediction = sp::io::read_mask(*folder / "cytoplasm_mask.png");
  auto const nuclei = sp::io::read_mask(*folder / "nuclear_mask.png");
  auto const curve = sp::make_plating_curve(
      {{.cells_per_well = 10000,
        .agreement = sp::published_agreement(interior, prediction, nuclei, 30)}});
  auto const& agreement = curve.points.at(0).agreement;
  BOOST_TEST_MESSAGE("10,000 cells per well: Jaccard " << agreement.jaccard_mean().value() << ", "
                                                       << agreement.jaccard.size() << " cells");
  BOOST_TEST(agreement.jaccard.size() > 100U);
  BOOST_TEST(agreement.jaccard_mean().value() > 0.5);
}

BOOST_AUTO_TEST_SUITE_END()
