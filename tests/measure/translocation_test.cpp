#include <septum/core/rng.hpp>
#include <septum/measure/translocation.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

namespace sp = septum;

namespace {

sp::labels disc(std::size_t side, double row, double column, double radius) {
  sp::labels cells = sp::labels::from_shape({side, side});
  cells.fill(0);
  for (std::size_t r = 0; r < side; ++r)
    for (std::size_t c = 0; c < side; ++c)
      if (std::hypot(static_cast<double>(r) - row, static_cast<double>(c) - column) <= radius)
        cells(r, c) = 1;
  return cells;
}

/// A cell of radius 40 with a nucleus of radius 10: within 20 pixels of the middle its cytoplasm
/// has the level `bright`, outside it 300; the nucleus 1,000, everything 100 above zero.
sp::image reporter(double bright, double noise) {
  sp::counter_rng const rng{5, 8};
  sp::image pixels = sp::image::from_shape({101, 101, 2});
  for (std::size_t p = 0; p < 101 * 101; ++p) {
    double const distance =
        std::hypot(static_cast<double>(p / 101) - 50, static_cast<double>(p % 101) - 50);
    double const level = distance <= 10 ? 1000 : distance <= 20 ? bright : distance <= 40 ? 300 : 0;
    pixels.data()[2 * p] = -1;
    pixels.data()[2 * p + 1] = static_cast<float>(100 + level + noise * rng.normal(p));
  }
  return pixels;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(translocation)

BOOST_AUTO_TEST_CASE(rings_by_definition) {
  sp::labels nuclei = disc(61, 20, 20, 6);
  for (std::size_t r = 0; r < 61; ++r)
    for (std::size_t c = 0; c < 61; ++c)
      if (std::hypot(static_cast<double>(r) - 24, static_cast<double>(c) - 40) <= 5)
        nuclei(r, c) = 2;
  for (double const width : {5.0, 9.0})
    for (double const margin : {0.0, 2.0})
      for (bool const drop : {true, false}) {
        auto const rings = sp::nuclear_ring{
            .width_px = width, .margin_px = margin, .drop_contested = drop}(nuclei);
        int wrong = 0;
        for (int r = 0; r < 61; ++r)
          for (int c = 0; c < 61; ++c) {
            double nearest[3] = {0, 1e9, 1e9};
            for (int i = 0; i < 61; ++i)
              for (int j = 0; j < 61; ++j)
                if (auto const label = nuclei(i, j); label > 0)
                  nearest[label] = std::min(nearest[label], std::hypot(r - i, c - j));
            double const reach = width + margin;
            std::int32_t expected = nearest[1] <= nearest[2] ? 1 : 2;
            if (nearest[expected] > reach || nearest[expected] <= margin) expected = 0;
            if (drop && nearest[1] <= reach && nearest[2] <= reach) expected = 0;
            wrong += rings(r, c) != expected ? 1 : 0;
          }
        BOOST_TEST(wrong == 0, "width " << width << " margin " << margin << " drop " << drop);
      }
  BOOST_CHECK_THROW((void)sp::nuclear_ring{.width_px = 0}(nuclei), sp::unsupported_error);
}

BOOST_AUTO_TEST_CASE(ratios_of_known_compartments) {
  auto const found = sp::measure_translocation(disc(101, 50, 50, 10), disc(101, 50, 50, 40),
                                               reporter(600, 20), 1, {.background = 100});
  BOOST_REQUIRE_EQUAL(found.size(), 1U);
  auto const& one = found[0];
  BOOST_TEST(one.cell == 1);
  BOOST_TEST(one.nucleus_mean == 1000.0, boost::test_tools::tolerance(0.01));
  // The small ring and the mixture see the bright compartment alone, the others blend both.
  BOOST_TEST(one.ratio(sp::cytoplasm_from::ring_5).value == 0.6,
             boost::test_tools::tolerance(0.01));
  BOOST_TEST(one.ratio(sp::cytoplasm_from::mixture).value == 0.6,
             boost::test_tools::tolerance(0.01));
  double const bright = 20.0 * 20 - 100;
  double const all = 40.0 * 40 - 100;
  double const blend = (bright * 0.6 + (all - bright) * 0.3) / all;
  BOOST_TEST(one.ratio(sp::cytoplasm_from::whole).value == blend,
             boost::test_tools::tolerance(0.02));
  double const wide = 35.0 * 35 - 100;
  BOOST_TEST(
      one.ratio(sp::cytoplasm_from::ring_25).value == (bright * 0.6 + (wide - bright) * 0.3) / wide,
      boost::test_tools::tolerance(0.02));
  BOOST_TEST((one.compartments.fit == sp::mixture_fit::good));
  BOOST_TEST(one.compartments.high.mean == 700.0, boost::test_tools::tolerance(0.01));
  for (auto const source : sp::cytoplasm_sources) {
    auto const& ratio = one.ratio(source);
    BOOST_TEST(ratio.low < ratio.value);
    BOOST_TEST(ratio.high > ratio.value);
    BOOST_TEST(ratio.high - ratio.low < 0.1);
  }
}

BOOST_AUTO_TEST_CASE(one_compartment_falls_back_to_the_whole) {
  // Cytoplasm without structure and without noise.
  auto const found = sp::measure_translocation(disc(101, 50, 50, 10), disc(101, 50, 50, 18),
                                               reporter(500, 0), 1, {.background = 100});
  auto const& one = found.at(0);
  BOOST_TEST((one.compartments.fit == sp::mixture_fit::one_component));
  BOOST_TEST(one.ratio(sp::cytoplasm_from::mixture).value ==
             one.ratio(sp::cytoplasm_from::whole).value);
  BOOST_TEST(one.ratio(sp::cytoplasm_from::whole).value == 0.5, boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(nuclei_without_a_cell_have_rings_only) {
  sp::labels none = disc(101, 50, 50, -1);
  auto const found =
      sp::measure_translocation(disc(101, 50, 50, 10), none, reporter(600, 5), 1, {});
  BOOST_TEST(found.at(0).cell == 0);
  BOOST_TEST(std::isnan(found[0].ratio(sp::cytoplasm_from::whole).value));
  BOOST_TEST(std::isfinite(found[0].ratio(sp::cytoplasm_from::ring_5).value));
  BOOST_CHECK_THROW((void)sp::measure_translocation(none, none, reporter(1, 1), 2, {}),
                    sp::shape_error);
  // Nothing above background in the nucleus: no ratio rather than an infinite one.
  auto const dark = sp::measure_translocation(disc(101, 50, 50, 10), none, reporter(600, 0), 1,
                                              {.background = 2000});
  BOOST_TEST(std::isnan(dark.at(0).ratio(sp::cytoplasm_from::ring_5).value));
}

BOOST_AUTO_TEST_CASE(comparison_of_sources) {
  std::vector<sp::translocation> measured(4);
  double const whole[] = {0.5, 1.0, 1.5, std::numeric_limits<double>::quiet_NaN()};
  for (std::size_t k = 0; k < 4; ++k) {
    measured[k].ratios[0].value = whole[k];
    measured[k].ratios[1].value = 2 * whole[k] + 0.1;
  }
  auto const compared =
      sp::compare_ratios(measured, sp::cytoplasm_from::whole, sp::cytoplasm_from::ring_5);
  auto const close = boost::test_tools::tolerance(1e-12);
  BOOST_TEST(compared.count == 3);
  BOOST_TEST(compared.mean_difference == 1.1, close);
  BOOST_TEST(compared.sd_difference == 0.5, close);
  BOOST_TEST(compared.correlation == 1.0, close);
}

BOOST_AUTO_TEST_SUITE_END()
