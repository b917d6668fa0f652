#include <boost/test/unit_test.hpp>
#include <numeric>
#include <septum/core/shape.hpp>
#include <septum/core/view.hpp>
#include <type_traits>
#include <vector>

namespace sp = septum;

BOOST_AUTO_TEST_SUITE(view)

BOOST_AUTO_TEST_CASE(row_major_and_blocks) {
  std::vector<int> values(24);
  std::iota(values.begin(), values.end(), 0);
  sp::view<int, 3> const whole{values.data(), {2, 3, 4}};
  static_assert(std::is_trivially_copyable_v<sp::view<int, 3>>);
  BOOST_TEST(whole(1, 2, 3) == 23);
  BOOST_TEST(whole.size() == 24);
  BOOST_TEST(whole.contiguous());
  sp::view<int const, 3> const block = whole.block({1, 1, 1}, {1, 2, 2});
  BOOST_TEST(block(0, 0, 0) == 17);
  BOOST_TEST(block(0, 1, 1) == 22);
  BOOST_TEST(!block.contiguous());
}

#if defined(SEPTUM_CHECKED)
BOOST_AUTO_TEST_CASE(checked_access_names_the_axis) {
  std::vector<int> values(6);
  sp::view<int, 2> const whole{values.data(), {2, 3}};
  BOOST_CHECK_EXCEPTION((void)whole(0, 3), sp::shape_error, [](sp::error const& e) {
    return e.message().find("axis 1 of extent 3") != std::string::npos;
  });
  BOOST_CHECK_THROW((void)whole.block({1, 1}, {2, 1}), sp::shape_error);
}
#endif

BOOST_AUTO_TEST_CASE(window_arithmetic) {
  // (kernel - 1) * dilation + 1 pixels; a remainder is dropped.
  static_assert(sp::window{3, 1, 4}.extent() == 9);
  static_assert(sp::window{2, 2, 1}.out(5) == 2);
  static_assert(sp::window{3, 1, 1}.out(2) == 0);
  static_assert(sp::window{4, 1, 8}.out(25) == 1);
  BOOST_TEST((sp::shape{3, 4, 5}.size() == 60U));
  BOOST_TEST((sp::shape{0, 4, 5}.size() == 0U));
}

BOOST_AUTO_TEST_SUITE_END()
