#include <boost/test/unit_test.hpp>

#include <septum/image/border.hpp>
#include <vector>

BOOST_AUTO_TEST_SUITE(border)

BOOST_AUTO_TEST_CASE(mirrors_with_the_end_pixel_included_as_often_as_needed) {
  std::vector<std::ptrdiff_t> const expected{0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1, 2};
  for (std::ptrdiff_t i = -6; i < 9; ++i)
    BOOST_TEST(septum::mirrored_index(i, 3) == expected[static_cast<std::size_t>(i + 6)]);
}

BOOST_AUTO_TEST_CASE(mirrors_an_axis_of_one_pixel_onto_it) {
  for (std::ptrdiff_t const i : {-5, -1, 0, 1, 4}) BOOST_TEST(septum::mirrored_index(i, 1) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
