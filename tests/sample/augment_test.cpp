#include <boost/test/unit_test.hpp>
#include <septum/sample/augment.hpp>

#include <array>
#include <set>
#include <vector>

namespace sp = septum;

namespace {

using square_patch = std::vector<int>;

// Row-major side x side patch seen through one symmetry.
square_patch apply(sp::dihedral turn, square_patch const& source, int side) {
  auto const path = turn.over(side, side, 1);
  square_patch result;
  for (int row = 0; row < side; ++row)
    for (int column = 0; column < side; ++column)
      result.push_back(source[static_cast<std::size_t>(path.origin + row * path.row_step +
                                                       column * path.column_step)]);
  return result;
}

square_patch const asymmetric{1, 2, 3,  //
                              4, 5, 6,  //
                              7, 8, 9};

}  // namespace

BOOST_AUTO_TEST_SUITE(augment)

// Written down from the definition: turns are counter-clockwise, reflections come first.
BOOST_AUTO_TEST_CASE(each_element_is_the_documented_map) {
  std::array<square_patch, 8> const expected{{{1, 2, 3, 4, 5, 6, 7, 8, 9},
                                              {3, 6, 9, 2, 5, 8, 1, 4, 7},
                                              {9, 8, 7, 6, 5, 4, 3, 2, 1},
                                              {7, 4, 1, 8, 5, 2, 9, 6, 3},
                                              {3, 2, 1, 6, 5, 4, 9, 8, 7},
                                              {1, 4, 7, 2, 5, 8, 3, 6, 9},
                                              {7, 8, 9, 4, 5, 6, 1, 2, 3},
                                              {9, 6, 3, 8, 5, 2, 7, 4, 1}}};
  for (int element = 0; element < 8; ++element)
    BOOST_TEST(apply({element}, asymmetric, 3) == expected[static_cast<std::size_t>(element)],
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_eight_images_of_an_asymmetric_patch_differ) {
  std::set<square_patch> images;
  for (int element = 0; element < 8; ++element) images.insert(apply({element}, asymmetric, 3));
  BOOST_TEST(images.size() == 8U);
}

BOOST_AUTO_TEST_CASE(compose_equals_one_after_the_other) {
  for (int first = 0; first < 8; ++first)
    for (int second = 0; second < 8; ++second) {
      auto const both = sp::dihedral::compose({first}, {second});
      BOOST_TEST_CONTEXT(first << " then " << second)
      BOOST_TEST(apply(both, asymmetric, 3) == apply({second}, apply({first}, asymmetric, 3), 3),
                 boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(every_element_has_its_inverse) {
  for (int element = 0; element < 8; ++element) {
    sp::dihedral const turn{element};
    BOOST_TEST((sp::dihedral::compose(turn, turn.inverse()) == sp::dihedral{0}));
    BOOST_TEST((sp::dihedral::compose(turn.inverse(), turn) == sp::dihedral{0}));
  }
}

// 99.9 % bound of chi-square with 7 degrees of freedom.
BOOST_AUTO_TEST_CASE(draws_are_uniform) {
  std::array<int, 8> counts{};
  sp::counter_rng const rng{3, sp::stream::augmentation};
  int const draws = 80000;
  for (int patch_number = 0; patch_number < draws; ++patch_number)
    ++counts[static_cast<std::size_t>(
        sp::draw_dihedral(rng, static_cast<std::uint64_t>(patch_number)).element)];
  double chi_square = 0;
  for (int const count : counts) chi_square += (count - 10000.0) * (count - 10000.0) / 10000.0;
  BOOST_TEST(chi_square < 24.3);
}

BOOST_AUTO_TEST_SUITE_END()
