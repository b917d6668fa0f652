#include <septum/image/watershed.hpp>

#include <boost/test/unit_test.hpp>
#include <golden/image_golden.inc>
#include <support/text_image.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace sp = septum;

namespace {

sp::watershed_options const like_scikit_image{.ties = sp::tie_order::scikit_image};

sp::watershed_options eight(sp::tie_order ties) {
  return {.neighbours = sp::connectivity::eight, .ties = ties};
}

/// All heights different, as make_image_golden.py computes them.
sp::labels distinct_relief() {
  sp::labels relief = sp::labels::from_shape({40, 60});
  for (std::size_t p = 0; p < relief.size(); ++p)
    relief.data()[p] = static_cast<std::int32_t>(p * 997 % 2400);
  return relief;
}

template <class T>
xt::xtensor<T, 2> as(sp::labels const& relief, double scale) {
  xt::xtensor<T, 2> result = xt::xtensor<T, 2>::from_shape(relief.shape());
  for (std::size_t p = 0; p < relief.size(); ++p)
    result.data()[p] = static_cast<T>(static_cast<double>(relief.data()[p]) * scale);
  return result;
}

/// First come, first served, by scanning all waiting pixels for the lowest and then the oldest.
sp::labels flooded_by_definition(sp::labels const& relief, sp::labels const& seeds,
                                 sp::mask const& inside, bool corners) {
  struct waiting {
    std::int32_t height;
    std::int64_t row, column;
  };
  sp::labels result = seeds;
  auto const rows = static_cast<std::int64_t>(seeds.shape()[0]);
  auto const columns = static_cast<std::int64_t>(seeds.shape()[1]);
  std::vector<waiting> queue;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      if (inside(r, c) == 0) result(r, c) = 0;
      if (result(r, c) != 0) queue.push_back({relief(r, c), r, c});
    }
  std::vector<std::pair<int, int>> steps{{-1, 0}, {0, -1}, {0, 1}, {1, 0}};
  if (corners) steps.insert(steps.end(), {{-1, -1}, {-1, 1}, {1, -1}, {1, 1}});
  while (!queue.empty()) {
    auto lowest = queue.begin();
    for (auto it = queue.begin(); it != queue.end(); ++it)
      if (it->height < lowest->height) lowest = it;
    waiting const here = *lowest;
    queue.erase(lowest);
    for (auto const& [dr, dc] : steps) {
      std::int64_t const r = here.row + dr;
      std::int64_t const c = here.column + dc;
      if (r < 0 || c < 0 || r >= rows || c >= columns) continue;
      if (inside(r, c) == 0 || result(r, c) != 0) continue;
      result(r, c) = result(here.row, here.column);
      queue.push_back({std::max(here.height, relief(r, c)), r, c});
    }
  }
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(watershed_ties)

BOOST_AUTO_TEST_CASE(equal_to_scikit_image_with_its_order_of_ties) {
  auto const relief = test::labels_of(golden::relief);
  auto const seeds = test::labels_of(golden::watershed_seeds);
  auto const inside = test::mask_of(golden::watershed_mask);
  BOOST_TEST((sp::watershed(relief, seeds, inside, like_scikit_image) ==
              test::labels_of(golden::watershed_4)));
  BOOST_TEST((sp::watershed(relief, seeds, inside, eight(sp::tie_order::scikit_image)) ==
              test::labels_of(golden::watershed_8)));
  sp::labels flat = relief;
  flat.fill(0);
  BOOST_TEST((sp::watershed(flat, seeds, inside, like_scikit_image) ==
              test::labels_of(golden::watershed_flat_4)));
  auto const patches = test::labels_of(golden::seed_patches);
  BOOST_TEST((sp::watershed(flat, patches, inside, like_scikit_image) ==
              test::labels_of(golden::watershed_patches_4)));
}

BOOST_AUTO_TEST_CASE(equal_to_scikit_image_where_no_heights_are_equal) {
  auto const relief = distinct_relief();
  auto const seeds = test::labels_of(golden::watershed_seeds);
  auto const inside = test::mask_of(golden::watershed_mask);
  for (auto const ties : {sp::tie_order::arrival, sp::tie_order::scikit_image}) {
    BOOST_TEST((sp::watershed(relief, seeds, inside, {.ties = ties}) ==
                test::labels_of(golden::watershed_distinct_4)));
    BOOST_TEST((sp::watershed(relief, seeds, inside, eight(ties)) ==
                test::labels_of(golden::watershed_distinct_8)));
  }
}

BOOST_AUTO_TEST_CASE(first_come_first_served_by_definition) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    std::int32_t const highest = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 3 : 100000;
    auto const relief = test::random_labels(17, 23, highest, seed);
    auto const where = test::random_mask(17, 23, 0.05, seed);
    auto seeds = test::random_labels(17, 23, 6, seed + 50);
    for (std::size_t p = 0; p < seeds.size(); ++p)
      if (where.data()[p] == 0) seeds.data()[p] = 0;
    auto const inside = test::random_mask(17, 23, 0.8, seed + 100);
    for (bool const corners : {false, true}) {
      auto const expected = flooded_by_definition(relief, seeds, inside, corners);
      sp::watershed_options const options{.neighbours = corners ? sp::connectivity::eight
                                                                : sp::connectivity::four};
      for (int const threads : {1, 3})
        BOOST_TEST((sp::watershed(relief, seeds, inside, options, {threads}) == expected));
      // The same heights as floats, negative and spread out.
      BOOST_TEST((sp::watershed(as<float>(relief, 0.37), seeds, inside, options) == expected));
      BOOST_TEST((sp::watershed(as<double>(relief, 1e9), seeds, inside, options) == expected));
      auto shifted = relief;
      for (auto& height : shifted) height = 20000 * (height % 100000) - 2000000000;
      BOOST_TEST((sp::watershed(shifted, seeds, inside, options) ==
                  flooded_by_definition(shifted, seeds, inside, corners)));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_ridge_parts_two_cells) {
  sp::labels const relief{{0, 1, 2, 9, 2, 1, 0}};
  sp::labels const seeds{{1, 0, 0, 0, 0, 0, 2}};
  auto const cells = sp::watershed(relief, seeds);
  BOOST_TEST((cells == sp::labels{{1, 1, 1, 1, 2, 2, 2}}));
}

BOOST_AUTO_TEST_CASE(seeds_outside_are_dropped_and_unreached_pixels_stay_zero) {
  sp::labels const relief{{0, 0, 0, 0, 0}};
  sp::labels const seeds{{1, 0, 2, 0, 0}};
  BOOST_TEST(
      (sp::watershed(relief, seeds, sp::mask{{1, 1, 0, 1, 1}}) == sp::labels{{1, 1, 0, 0, 0}}));
  BOOST_TEST(sp::watershed(sp::labels::from_shape({0, 3}), sp::labels::from_shape({0, 3})).size() ==
             0U);
}

BOOST_AUTO_TEST_CASE(refusals) {
  sp::labels const two = sp::labels::from_shape({2, 2});
  BOOST_CHECK_EXCEPTION(static_cast<void>(sp::watershed(sp::labels::from_shape({2, 3}), two)),
                        sp::shape_error,
                        [](sp::error const& e) { return e.id() == "septum.watershed.1"; });
  xt::xtensor<float, 2> const broken{{0, std::numeric_limits<float>::quiet_NaN()}};
  BOOST_CHECK_EXCEPTION(static_cast<void>(sp::watershed(broken, sp::labels{{1, 0}})),
                        sp::unsupported_error, [](sp::error const& e) {
                          return e.id() == "septum.watershed.2" &&
                                 e.message().find("row 0, column 1") != std::string::npos;
                        });
  BOOST_CHECK_EXCEPTION(static_cast<void>(sp::watershed(sp::labels{{0, 0}}, sp::labels{{-1, 0}})),
                        sp::unsupported_error,
                        [](sp::error const& e) { return e.id() == "septum.labels.1"; });
}

BOOST_AUTO_TEST_SUITE_END()
