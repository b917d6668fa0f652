#include <septum/simulate/detection_errors.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <set>

namespace {

namespace sp = septum;

/// A field of 20 x 20 cells of 6 x 6 pixels, 2 pixels apart.
sp::labels field() {
  sp::labels cells = sp::labels::from_shape({160, 160});
  cells.fill(0);
  for (int r = 0; r < 160; ++r)
    for (int c = 0; c < 160; ++c)
      if (r % 8 < 6 && c % 8 < 6) cells(r, c) = 1 + (r / 8) * 20 + c / 8;
  return cells;
}

std::size_t count(sp::labels const& cells) {
  std::set<int> present;
  for (int const value : cells) present.insert(value);
  return present.size() - 1;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(detection_errors)

BOOST_AUTO_TEST_CASE(no_rates_no_faults) {
  BOOST_TEST((sp::detection_errors{}(field(), 3) == field()));
}

BOOST_AUTO_TEST_CASE(rates_are_kept) {
  std::size_t missed = 0, merged = 0, both = 0;
  for (int frame = 0; frame < 50; ++frame) {
    missed += 400 - count(sp::detection_errors{.missed = 0.1, .seed = 4}(field(), frame));
    merged += 400 - count(sp::detection_errors{.merged = 0.02, .seed = 4}(field(), frame));
    both +=
        400 - count(sp::detection_errors{.missed = 0.1, .merged = 0.02, .seed = 4}(field(), frame));
  }
  // 20,000 cells: 2,000 missed (sd 42); 400 joined (sd 20), a few less since a cell joins once.
  BOOST_TEST(std::abs(static_cast<double>(missed) - 2000) < 170);
  BOOST_TEST(std::abs(static_cast<double>(merged) - 390) < 80);
  BOOST_TEST(both > missed);
}

BOOST_AUTO_TEST_CASE(joined_cells_are_one_piece) {
  auto const seen = sp::detection_errors{.merged = 1.0, .contact_px = 3}(field(), 0);
  BOOST_TEST(count(seen) <= 200U + 20U);
  BOOST_TEST(
      (sp::detection_errors{.missed = 1.0}(field(), 0) == sp::labels(xt::zeros<int>({160, 160}))));
}

BOOST_AUTO_TEST_CASE(refuses_rates_that_are_none) {
  BOOST_CHECK_THROW(static_cast<void>(sp::detection_errors{.missed = -0.1}(field(), 0)),
                    sp::unsupported_error);
  BOOST_CHECK_THROW(static_cast<void>(sp::detection_errors{.merged = 1.1}(field(), 0)),
                    sp::unsupported_error);
}

BOOST_AUTO_TEST_SUITE_END()
