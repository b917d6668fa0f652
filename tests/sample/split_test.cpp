#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <septum/sample/split.hpp>
#include <set>
#include <string>
#include <vector>

#include "support/error_id.hpp"

namespace sp = septum;

static_assert(sp::Split<sp::random_pixels>);
static_assert(sp::Split<sp::by_region>);
static_assert(!sp::Split<double>);

namespace {

int constexpr window = 9;

// Every pixel whose window fits, of two images, with classes in diagonal bands.
struct banded_images {
  std::vector<sp::extent2> extents{{100, 120}, {80, 60}};
  std::vector<sp::patch_index> patches;
  banded_images() {
    for (int i = 0; i < 2; ++i)
      for (int row = 4; row < extents[static_cast<std::size_t>(i)].rows - 4; ++row)
        for (int column = 4; column < extents[static_cast<std::size_t>(i)].columns - 4; ++column)
          patches.push_back({i, row, column, static_cast<std::uint8_t>((row + column) / 5 % 3)});
  }
};

sp::counter_rng const split_rng{5, sp::stream::validation_split};

auto key(sp::patch_index const& patch) { return std::tuple{patch.image, patch.row, patch.column}; }

}  // namespace

BOOST_AUTO_TEST_SUITE(split)

BOOST_AUTO_TEST_CASE(random_pixels_divides_without_loss) {
  banded_images const data;
  auto const halves =
      sp::random_pixels{.fraction = 0.1}(data.patches, data.extents, window, split_rng);
  // floor, as published: 92 * 112 + 72 * 52 = 14,048 patches.
  BOOST_TEST(data.patches.size() == 14048U);
  BOOST_TEST(halves.validation.size() == 1404U);
  BOOST_TEST(halves.training.size() == 14048U - 1404U);
  std::set<std::tuple<int, int, int>> all;
  for (auto const& patch : halves.training) all.insert(key(patch));
  for (auto const& patch : halves.validation) all.insert(key(patch));
  BOOST_TEST(all.size() == 14048U);
}

BOOST_AUTO_TEST_CASE(no_pixel_is_shared_across_a_region_split) {
  banded_images const data;
  auto const halves = sp::by_region{.fraction = 0.1}(data.patches, data.extents, window, split_rng);
  BOOST_TEST(!halves.validation.empty());
  for (int i = 0; i < 2; ++i) {
    auto const extent = data.extents[static_cast<std::size_t>(i)];
    std::vector<char> seen(static_cast<std::size_t>(extent.rows * extent.columns), 0);
    auto const mark = [&](std::vector<sp::patch_index> const& patches, char bit) {
      for (auto const& patch : patches)
        if (patch.image == i)
          for (int r = patch.row - 4; r <= patch.row + 4; ++r)
            for (int c = patch.column - 4; c <= patch.column + 4; ++c)
              seen[static_cast<std::size_t>(r * extent.columns + c)] |= bit;
    };
    mark(halves.training, 1);
    mark(halves.validation, 2);
    BOOST_TEST(std::ranges::count(seen, char{3}) == 0);
    BOOST_TEST(std::ranges::count(seen, char{2}) > 0);
  }
}

BOOST_AUTO_TEST_CASE(blocks_are_corners_that_hold_the_fraction) {
  banded_images const data;
  for (double const fraction : {0.05, 0.1, 0.3}) {
    auto const blocks =
        sp::by_region{.fraction = fraction}.blocks(data.patches, data.extents, window, split_rng);
    BOOST_TEST_REQUIRE(blocks.size() == 2U);
    for (std::size_t i = 0; i < 2; ++i) {
      auto const extent = data.extents[i];
      BOOST_TEST((blocks[i].row_begin == 0 || blocks[i].row_end == extent.rows));
      BOOST_TEST((blocks[i].column_begin == 0 || blocks[i].column_end == extent.columns));
      double total = 0;
      double inside = 0;
      for (auto const& patch : data.patches) {
        if (patch.image != static_cast<int>(i)) continue;
        ++total;
        if (blocks[i].contains(sp::window_of(patch, window))) ++inside;
      }
      BOOST_TEST(inside / total >= fraction - 1 / total);
      // One row and one column more than needed at most.
      BOOST_TEST(inside / total <= fraction + (extent.rows + extent.columns) / total);
    }
  }
}

BOOST_AUTO_TEST_CASE(dropped_patches_are_exactly_those_that_straddle) {
  banded_images const data;
  sp::by_region const split{.fraction = 0.2};
  auto const blocks = split.blocks(data.patches, data.extents, window, split_rng);
  auto const halves = split(data.patches, data.extents, window, split_rng);
  std::size_t straddling = 0;
  for (auto const& patch : data.patches) {
    auto const& block = blocks[static_cast<std::size_t>(patch.image)];
    auto const pixels = sp::window_of(patch, window);
    if (block.overlaps(pixels) && !block.contains(pixels)) ++straddling;
  }
  BOOST_TEST(straddling > 0U);
  BOOST_TEST(halves.training.size() + halves.validation.size() + straddling == data.patches.size());
}

BOOST_AUTO_TEST_CASE(the_corner_with_the_image_s_mix_of_classes_is_taken) {
  // Three corners show background only, sampled sparsely; the lower right quarter has all classes.
  std::vector<sp::extent2> const extents{{200, 200}};
  std::vector<sp::patch_index> patches;
  for (int row = 4; row < 196; ++row)
    for (int column = 4; column < 196; ++column) {
      bool const colony = row > 100 && column > 100;
      if (colony || (row % 6 == 0 && column % 6 == 0))
        patches.push_back({0, row, column, static_cast<std::uint8_t>(colony ? column % 3 : 2)});
    }
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    auto const blocks = sp::by_region{.fraction = 0.1}.blocks(patches, extents, window,
                                                              {seed, sp::stream::validation_split});
    BOOST_TEST(blocks[0].row_end == 200);
    BOOST_TEST(blocks[0].column_end == 200);
  }
}

BOOST_AUTO_TEST_CASE(splits_are_functions_of_the_seed) {
  banded_images const data;
  auto const same = [&](auto const& split, sp::counter_rng a, sp::counter_rng b) {
    auto const first = split(data.patches, data.extents, window, a);
    auto const second = split(data.patches, data.extents, window, b);
    return first.training == second.training && first.validation == second.validation;
  };
  sp::counter_rng const other{6, sp::stream::validation_split};
  BOOST_TEST(same(sp::random_pixels{}, split_rng, split_rng));
  BOOST_TEST(!same(sp::random_pixels{}, split_rng, other));
  BOOST_TEST(same(sp::by_region{}, split_rng, split_rng));
}

BOOST_AUTO_TEST_CASE(a_fraction_of_zero_holds_nothing_out) {
  banded_images const data;
  auto const halves = sp::by_region{.fraction = 0}(data.patches, data.extents, window, split_rng);
  BOOST_TEST((halves.training == data.patches));
  BOOST_TEST(halves.validation.empty());
}

BOOST_AUTO_TEST_CASE(what_cannot_be_divided_is_refused) {
  banded_images const data;
  for (double const fraction : {-0.1, 1.0, std::nan("")}) {
    BOOST_TEST(test::id_of([&] {
                 return sp::random_pixels{.fraction = fraction}(data.patches, data.extents, window,
                                                                split_rng);
               }) == "septum.sample.8");
    BOOST_TEST(test::id_of([&] {
                 return sp::by_region{.fraction = fraction}(data.patches, data.extents, window,
                                                            split_rng);
               }) == "septum.sample.8");
  }
  std::vector<sp::extent2> const one{{100, 120}};
  BOOST_TEST(test::id_of([&] { return sp::by_region{}(data.patches, one, window, split_rng); }) ==
             "septum.sample.9");
  // 12 x 12 pixels hold 4 x 4 windows of 9 pixels, all of which overlap any block.
  std::vector<sp::extent2> const small{{12, 12}};
  std::vector<sp::patch_index> few;
  for (int row = 4; row < 8; ++row)
    for (int column = 4; column < 8; ++column) few.push_back({0, row, column, 0});
  BOOST_TEST(test::id_of([&] { return sp::by_region{}(few, small, window, split_rng); }) ==
             "septum.sample.10");
}

BOOST_AUTO_TEST_SUITE_END()
