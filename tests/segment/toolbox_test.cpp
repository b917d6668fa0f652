#include <septum/core/rng.hpp>
#include <septum/segment/toolbox.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <vector>

namespace sp = septum;

namespace {

sp::probabilities const no_maps = xt::zeros<float>({0, 0, 0});
sp::image const no_image = xt::zeros<float>({0, 0, 0});

/// Discs of 9 pixels radius at the given columns of row 15, all of one label.
sp::labels discs(std::vector<int> const& columns) {
  sp::labels cells = xt::zeros<std::int32_t>({30, 80});
  for (int const column : columns)
    for (int r = 0; r < 30; ++r)
      for (int c = 0; c < 80; ++c)
        if ((r - 15) * (r - 15) + (c - column) * (c - column) <= 81)
          cells(static_cast<std::size_t>(r), static_cast<std::size_t>(c)) = 1;
  return cells;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(toolbox)

BOOST_AUTO_TEST_CASE(otsu_parts_two_groups) {
  // By hand: 4 bins of 1 from 0 to 4, middles 0.5 ... 3.5; counts 3, 1, 0, 4. Between-group
  // variances, as n1 n2 (m1 - m2)^2: 3 * 5 * (0.5 - 3.1)^2 = 101.4; 4 * 4 * (0.75 - 3.5)^2 = 121
  // for the second and the third bin, of which the first counts.
  std::vector<float> const values{0, 0, 0, 1, 3, 4, 4, 4};
  BOOST_TEST(sp::otsu_threshold(values, 4) == 1.5F);
  BOOST_TEST(sp::otsu_threshold(std::vector<float>{7, 7, 7}) == 7.0F);
  BOOST_CHECK_THROW(static_cast<void>(sp::otsu_threshold(std::vector<float>{})),
                    sp::unsupported_error);
  BOOST_CHECK_THROW(static_cast<void>(sp::otsu_threshold(
                        std::vector<float>{1, std::numeric_limits<float>::infinity()})),
                    sp::unsupported_error);
}

BOOST_AUTO_TEST_CASE(probabilities_that_are_shifted_are_split_where_they_part) {
  sp::probabilities maps = xt::zeros<float>({6, 20, 2});
  for (std::size_t r = 0; r < 6; ++r)
    for (std::size_t c = 0; c < 20; ++c) maps(r, c, 1) = c < 5 || c > 15 ? 0.4F : 0.1F;
  sp::labels cells = xt::zeros<std::int32_t>({6, 20});
  sp::otsu<1>{}(cells, maps, no_image);
  BOOST_TEST(cells(3, 0) == 1);
  BOOST_TEST(cells(3, 10) == 0);
  BOOST_TEST(cells(3, 19) == 2);
  BOOST_CHECK_THROW(sp::otsu<2>{}(cells, maps, no_image), sp::shape_error);
}

BOOST_AUTO_TEST_CASE(cells_that_hang_together_by_a_thread_grow_from_their_cores) {
  // Three in a row, the first two joined by doubtful pixels nearer to the first; the last has no
  // core.
  std::vector<float> const row{0.1F, 0.6F, 0.9F, 0.9F, 0.7F, 0.65F, 0.6F, 0.62F,
                               0.9F, 0.6F, 0.1F, 0.1F, 0.7F, 0.7F,  0.1F};
  sp::probabilities maps = xt::zeros<float>({3, 15, 2});
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 15; ++c) maps(r, c, 1) = row[c];
  sp::labels cells = xt::zeros<std::int32_t>({3, 15});
  sp::threshold<1>{.above = 0.5F}(cells, maps, no_image);
  BOOST_TEST(sp::largest_label(cells) == 2);
  sp::grown_cores<1>{.above = 0.5F, .core_above = 0.8F, .core_area_min = 6}(cells, maps, no_image);
  std::vector<std::int32_t> const expected{0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 0, 0, 3, 3, 0};
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 15; ++c) {
      if (c == 6) continue;  // as near to the one as to the other
      BOOST_TEST(cells(r, c) == expected[c]);
    }
  // The second has six pixels before it meets the first.
  sp::grown_cores<1>{.above = 0.5F, .core_above = 0.8F, .core_area_min = 7}(cells, maps, no_image);
  BOOST_TEST(sp::largest_label(cells) == 2);
  BOOST_TEST(cells(1, 2) == cells(1, 8));
  BOOST_CHECK_THROW(sp::grown_cores<2>{}(cells, maps, no_image), sp::shape_error);
}

BOOST_AUTO_TEST_CASE(growth_neither_loses_a_pixel_nor_joins_cores) {
  sp::counter_rng const rng{7, 1};
  for (std::uint64_t round = 0; round < 20; ++round) {
    // Smooth noise: the mean of a box.
    sp::image noise = sp::image::from_shape({48, 48, 1});
    for (std::size_t p = 0; p < noise.size(); ++p)
      noise.data()[p] = static_cast<float>(rng.fork(round).uniform(p));
    sp::probabilities maps = xt::zeros<float>({40, 40, 2});
    for (std::size_t r = 0; r < 40; ++r)
      for (std::size_t c = 0; c < 40; ++c) {
        float sum = 0.0F;
        for (std::size_t i = 0; i < 5; ++i)
          for (std::size_t k = 0; k < 5; ++k) sum += noise(r + i, c + k, 0);
        maps(r, c, 1) = sum / 25.0F;
      }
    sp::labels low = xt::zeros<std::int32_t>({40, 40});
    sp::labels cores = low;
    sp::labels grown = low;
    sp::labels same = low;
    sp::threshold<1>{.above = 0.5F}(low, maps, no_image);
    sp::threshold<1>{.above = 0.56F}(cores, maps, no_image);
    sp::grown_cores<1>{.above = 0.5F, .core_above = 0.56F, .core_area_min = 1}(grown, maps,
                                                                               no_image);
    sp::grown_cores<1>{.above = 0.5F, .core_above = 0.5F}(same, maps, no_image);
    BOOST_TEST((same == low));
    std::map<std::int32_t, std::int32_t> of_core;
    std::set<std::int32_t> taken;
    for (std::size_t p = 0; p < low.size(); ++p) {
      BOOST_TEST_REQUIRE((grown.data()[p] != 0) == (low.data()[p] != 0));
      auto const core = cores.data()[p];
      if (core == 0) continue;
      auto const [at, fresh] = of_core.try_emplace(core, grown.data()[p]);
      BOOST_TEST_REQUIRE(at->second == grown.data()[p]);
      if (fresh) BOOST_TEST_REQUIRE(taken.insert(grown.data()[p]).second);
    }
    BOOST_TEST_REQUIRE(of_core.size() > 5U);
    auto pieces = sp::connected_components(grown, sp::connectivity::eight);
    BOOST_TEST(sp::largest_label(pieces) == sp::largest_label(grown));
  }
}

BOOST_AUTO_TEST_CASE(touching_cells_are_split_at_their_waist) {
  auto cells = discs({12, 27, 60});
  sp::split_touching{.apart_px = 5}(cells, no_maps, no_image);
  BOOST_TEST(sp::largest_label(cells) == 3);
  BOOST_TEST(cells(15, 12) != cells(15, 27));
  BOOST_TEST(cells(15, 60) == 3);
  // The waist lies half-way between the centres.
  for (std::size_t c = 4; c < 19; ++c) BOOST_TEST(cells(15, c) == cells(15, 12));
  for (std::size_t c = 21; c < 36; ++c) BOOST_TEST(cells(15, c) == cells(15, 27));
  // No pixel is lost or won, and no part of one cell goes to another.
  auto const whole = discs({12, 27, 60});
  for (std::size_t p = 0; p < cells.size(); ++p)
    BOOST_TEST_REQUIRE((cells.data()[p] != 0) == (whole.data()[p] != 0));
  // A shallower place near a deeper one is no seed.
  auto uneven = discs({12, 27, 60});
  for (std::size_t r = 0; r < 9; ++r)
    for (std::size_t c = 0; c < 19; ++c) uneven(r, c) = 0;
  auto once = uneven;
  sp::split_touching{.apart_px = 5}(uneven, no_maps, no_image);
  sp::split_touching{.apart_px = 20}(once, no_maps, no_image);
  BOOST_TEST(sp::largest_label(uneven) == 3);
  BOOST_TEST(sp::largest_label(once) == 2);
}

BOOST_AUTO_TEST_CASE(parts_stay_within_their_cells) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    auto const before = test::random_cells(70, 70, 25, seed);
    for (int const threads : {1, 3}) {
      auto after = before;
      sp::split_touching{.apart_px = 2}(after, no_maps, no_image, {threads});
      std::vector<std::int32_t> owner(static_cast<std::size_t>(sp::largest_label(after)) + 1, -1);
      for (std::size_t p = 0; p < after.size(); ++p) {
        auto& cell = owner[static_cast<std::size_t>(after.data()[p])];
        if (cell < 0) cell = before.data()[p];
        BOOST_TEST_REQUIRE(cell == before.data()[p]);
      }
    }
  }
  sp::labels full = xt::ones<std::int32_t>({5, 5});
  sp::split_touching{}(full, no_maps, no_image);
  BOOST_TEST(xt::amax(full)() == 1);
  BOOST_TEST(xt::amin(full)() == 1);
}

BOOST_AUTO_TEST_CASE(bright_objects_need_no_net) {
  sp::image pixels = xt::ones<float>({40, 40, 2});
  for (std::size_t r = 10; r < 16; ++r)
    for (std::size_t c = 20; c < 25; ++c) pixels(r, c, 1) = 3;
  sp::labels cells = xt::zeros<std::int32_t>({40, 40});
  sp::bright_objects{.channel = 1, .window = 21, .offset = 0.5}(cells, no_maps, pixels);
  BOOST_TEST(xt::sum(cells)() == 30);
  BOOST_CHECK_THROW((sp::bright_objects{.channel = 2}(cells, no_maps, pixels)), sp::shape_error);
}

BOOST_AUTO_TEST_SUITE_END()
