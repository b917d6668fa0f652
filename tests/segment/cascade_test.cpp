// What a cascade computes has the bytes of the full run, what it skips is background, and the
// threshold keeps the share of lost foreground that it was asked for.
#include <septum/net/ensemble.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/nn/variant_nets.hpp>
#include <septum/segment/cascade.hpp>
#include <septum/segment/segmenter.hpp>
#include <support/types.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace sp = septum;

namespace {

// Quiet noise with some loud squares, one of them in a corner.
sp::image scene(std::size_t height, std::size_t width, std::size_t channels = 1) {
  sp::image pixels = sp::image::from_shape({height, width, channels});
  sp::counter_rng const rng{3, 3};
  for (std::size_t r = 0; r < height; ++r)
    for (std::size_t c = 0; c < width; ++c)
      for (std::size_t k = 0; k < channels; ++k) {
        bool const loud = (r / 40 % 3 == 1 && c / 40 % 4 == 1) || (r + 30 > height && c < 30);
        pixels(r, c, k) =
            static_cast<float>((loud ? 1.0 : 0.01) * rng.normal((r * width + c) * channels + k));
      }
  return pixels;
}

constexpr double lively_from = 0.1;  // between the two kinds of noise

double deviation_of(sp::view<float const, 3> pixels, std::ptrdiff_t row, std::ptrdiff_t column,
                    std::ptrdiff_t window) {
  double largest = 0.0;
  for (std::ptrdiff_t k = 0; k < pixels.extent(2); ++k) {
    double mean = 0.0;
    double variance = 0.0;
    auto const count = static_cast<double>(window * window);
    for (std::ptrdiff_t r = row; r < row + window; ++r)
      for (std::ptrdiff_t c = column; c < column + window; ++c)
        mean += static_cast<double>(pixels(r, c, k)) / count;
    for (std::ptrdiff_t r = row; r < row + window; ++r)
      for (std::ptrdiff_t c = column; c < column + window; ++c)
        variance += std::pow(static_cast<double>(pixels(r, c, k)) - mean, 2.0) / count;
    largest = std::max(largest, std::sqrt(variance));
  }
  return largest;
}

sp::block_map random_blocks(int side, int rows, int columns, std::uint64_t seed) {
  sp::block_map map{side, rows, columns, {}};
  sp::counter_rng const rng{seed, 1};
  auto const count = static_cast<std::size_t>(map.block_rows() * map.block_columns());
  for (std::size_t k = 0; k < count; ++k) map.values.push_back(static_cast<float>(rng.uniform(k)));
  return map;
}

// A predictor that says where it was asked: class 0 has probability 1, the others 0.
using all_edge = sp::stored_predictor<3, 31>;
all_edge stored(std::size_t height, std::size_t width) {
  all_edge predictor{xt::zeros<float>({height, width, std::size_t{3}})};
  for (std::size_t r = 15; r + 15 < height; ++r)
    for (std::size_t c = 15; c + 15 < width; ++c) predictor.maps(r, c, 0) = 1.0F;
  return predictor;
}

template <class Net, class B>
void check_net(std::size_t height, std::size_t width, sp::convolution_algorithm convolution) {
  std::vector<std::vector<float>> const parameters{sp::he_normal<Net>({1, 2}),
                                                   sp::he_normal<Net>({2, 2})};
  constexpr int field = Net::receptive_field;
  auto const pixels = scene(height, width, static_cast<std::size_t>(Net::input_channels));
  sp::ensemble<Net, B> whole{parameters, {.threads = {2}, .convolution = convolution}};
  auto const expected = whole.predict_each(pixels);
  sp::local_deviation const measure{.window = 7};
  std::vector<float> const background{0.0F, 0.0F, 1.0F};
  auto const rows = static_cast<int>(height) - field + 1;
  for (int const side : {16, 33}) {
    auto const blocks =
        sp::measure_blocks(measure, sp::as_view(pixels), field, side, rows, sp::exec::threads{2});
    std::vector<bool> lively(height * width, false);
    std::size_t skipped = 0;
    for (std::size_t k = 0; k < blocks.values.size(); ++k) {
      auto const block = blocks.block(k);
      if (static_cast<double>(blocks.values[k]) < lively_from)
        ++skipped;
      else
        for (int r = block.row; r < block.row + block.rows; ++r)
          for (int c = block.column; c < block.column + block.columns; ++c)
            lively[static_cast<std::size_t>(r + field / 2) * width +
                   static_cast<std::size_t>(c + field / 2)] = true;
    }
    BOOST_TEST_REQUIRE(skipped > blocks.values.size() / 5);
    BOOST_TEST_REQUIRE(skipped < blocks.values.size());
    auto const wrong = [&](sp::probabilities const& found, sp::probabilities const& full) {
      std::size_t count = 0;
      auto const border = static_cast<std::size_t>(field / 2);
      for (std::size_t r = 0; r < height; ++r)
        for (std::size_t c = 0; c < width; ++c)
          for (std::size_t k = 0; k < 3; ++k) {
            bool const outside =
                r < border || c < border || r + border >= height || c + border >= width;
            float const wanted = outside || lively[r * width + c] ? full(r, c, k) : background[k];
            count += found(r, c, k) != wanted ? 1U : 0U;
          }
      return count;
    };
    auto const parts = sp::lively_parts(blocks, lively_from, field - 1);
    for (int const largest : {1 << 20, 40}) {
      sp::ensemble<Net, B> some{
          parameters, {.threads = {1}, .largest_tile = largest, .convolution = convolution}};
      auto const found = some.predict_parts_each(pixels, parts, background);
      BOOST_TEST_CONTEXT("blocks of " << side << ", tiles up to " << largest) {
        BOOST_TEST(wrong(found.mean, expected.mean) == 0U);
        BOOST_TEST(wrong(found.nets[1], expected.nets[1]) == 0U);
        BOOST_TEST((some.predict_parts(pixels, parts, background) == found.mean));
      }
      if (side != 16 || largest != 40) continue;
      // Row by row, all rows at once and some.
      auto const selection =
          sp::lively_rows(measure, field, lively_from, side, background, sp::exec::threads{2});
      for (std::size_t const budget : {std::size_t{64} << 20U, std::size_t{10} << 20U}) {
        some.set_budget(budget);
        std::vector<float> by_rows;
        some.predict_rows(
            static_cast<int>(height), static_cast<int>(width),
            [&](int first, int count) {
              auto const all = sp::as_view(pixels);
              return sp::view<float const, 3>{&all(first, 0, 0),
                                              {count, all.extent(1), all.extent(2)}};
            },
            [&](sp::view<float const, 3> part) {
              by_rows.insert(by_rows.end(), part.data(), part.data() + part.size());
            },
            &selection);
        int const at_once =
            some.rows_at_once(static_cast<int>(height), static_cast<int>(width), &selection);
        BOOST_TEST(at_once < static_cast<int>(height));
        BOOST_REQUIRE_EQUAL(by_rows.size(), found.mean.size());
        BOOST_TEST(std::equal(by_rows.begin(), by_rows.end(), found.mean.begin()),
                   "budget " << budget);
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cascade)

BOOST_AUTO_TEST_CASE(deviation_is_that_of_every_window) {
  auto const pixels = scene(47, 61, 2);
  for (int const window : {1, 3, 7}) {
    sp::local_deviation const measure{.window = window};
    for (auto const& [row, column, height, width] :
         {std::array<std::ptrdiff_t, 4>{0, 0, 47, 61}, {3, 5, 9, 30}, {40, 50, 7, 7}}) {
      auto const part = sp::as_view(pixels).block({row, column, 0}, {height, width, 2});
      double expected = 0.0;
      for (std::ptrdiff_t r = 0; r + window <= height; ++r)
        for (std::ptrdiff_t c = 0; c + window <= width; ++c)
          expected = std::max(expected, deviation_of(part, r, c, window));
      BOOST_TEST(std::abs(static_cast<double>(measure(part)) - expected) < 1e-6);
    }
  }
}

BOOST_AUTO_TEST_CASE(blocks_are_measured_where_they_lie) {
  auto const pixels = scene(100, 90);
  sp::local_deviation const measure{.window = 5};
  auto const blocks = sp::measure_blocks(measure, sp::as_view(pixels), 31, 16, 70);
  BOOST_TEST(blocks.block_rows() == 5);
  BOOST_TEST(blocks.block_columns() == 4);
  auto const last = blocks.block(19);
  BOOST_TEST((last == sp::output_rectangle{64, 48, 6, 12}));
  for (std::size_t const k : {0U, 5U, 19U}) {
    auto const block = blocks.block(k);
    auto const around = sp::as_view(pixels).block({block.row + 13, block.column + 13, 0},
                                                  {block.rows + 4, block.columns + 4, 1});
    BOOST_TEST(blocks.values[k] == measure(around));
  }
  BOOST_TEST(
      (sp::measure_blocks(measure, sp::as_view(pixels), 31, 16, 70, sp::exec::threads{3}).values ==
       blocks.values));
  BOOST_CHECK_THROW(
      (void)sp::measure_blocks(sp::local_deviation{.window = 33}, sp::as_view(pixels), 31, 16, 70),
      sp::unsupported_error);
  BOOST_CHECK_THROW((void)sp::measure_blocks(measure, sp::as_view(pixels), 31, 0, 70),
                    sp::unsupported_error);
}

BOOST_AUTO_TEST_CASE(parts_keep_every_lively_block_once) {
  for (std::uint64_t const seed : {1U, 2U, 3U, 4U}) {
    auto const map = random_blocks(8, 93, 130, seed);
    std::size_t areas = 0;
    for (double const at_least : {0.0, 0.3, 0.7, 0.95, 2.0}) {
      auto const parts = sp::lively_parts(map, at_least, 30);
      std::vector<int> kept(93 * 130, 0);
      for (auto const& part : parts)
        for (auto const& own : part.kept) {
          BOOST_TEST_REQUIRE(own.row >= part.area.row);
          BOOST_TEST_REQUIRE(own.column >= part.area.column);
          BOOST_TEST_REQUIRE(own.row + own.rows <= part.area.row + part.area.rows);
          BOOST_TEST_REQUIRE(own.column + own.columns <= part.area.column + part.area.columns);
          for (int r = own.row; r < own.row + own.rows; ++r)
            for (int c = own.column; c < own.column + own.columns; ++c)
              ++kept[static_cast<std::size_t>(r * 130 + c)];
        }
      std::int64_t expected = 0;
      bool right = true;
      for (std::size_t k = 0; k < map.values.size(); ++k) {
        auto const block = map.block(k);
        bool const lively = static_cast<double>(map.values[k]) >= at_least;
        expected += lively ? block.rows * block.columns : 0;
        for (int r = block.row; r < block.row + block.rows; ++r)
          for (int c = block.column; c < block.column + block.columns; ++c)
            right = right && kept[static_cast<std::size_t>(r * 130 + c)] == (lively ? 1 : 0);
      }
      BOOST_TEST(right, "at least " << at_least);
      BOOST_TEST(sp::kept_outputs(parts) == expected);
      if (at_least == 0.0) BOOST_TEST(parts.size() == 1U);
      if (at_least == 2.0) BOOST_TEST(parts.empty());
      areas += parts.size();
    }
    BOOST_TEST(areas > 3U);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_is_computed_has_the_bytes_of_the_full_run, B, tested_backends) {
  using sp::convolution_algorithm;
  for (auto const convolution : {convolution_algorithm::direct, convolution_algorithm::winograd}) {
    check_net<sp::bn_feature_net_31x31<1, 3>, B>(160, 200, convolution);
    check_net<sp::bn_feature_net_31x31<2, 3>, B>(130, 140, convolution);
  }
  check_net<sp::multires_feature_net_31x31<1, 3>, B>(100, 151, convolution_algorithm::direct);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(without_a_threshold_nothing_changes, B, tested_backends) {
  using net = sp::bn_feature_net_31x31<1, 3>;
  std::vector<std::vector<float>> const parameters{sp::he_normal<net>({1, 2})};
  auto const pixels = scene(120, 140);
  sp::ensemble<net, B> whole{parameters};
  auto const expected = whole.predict(pixels);
  sp::cascade<sp::ensemble<net, B>> nets{sp::ensemble<net, B>{parameters}};
  BOOST_TEST((nets.predict(pixels) == expected));
  nets.set_threshold(1e-9);  // every block is lively
  BOOST_TEST((nets.predict(pixels) == expected));
  nets.set_threshold(lively_from);
  BOOST_TEST((nets.predict(pixels) != expected));
}

BOOST_AUTO_TEST_CASE(a_segmenter_takes_a_cascade_for_its_predictor) {
  auto const pixels = scene(150, 170);
  sp::cascade<all_edge> predictor{stored(150, 170), {.window = 5}, {.threshold = lively_from}};
  auto const blocks = predictor.blocks(pixels);
  sp::segmenter<sp::identity_normalizer, sp::cascade<all_edge>, sp::threshold<0>> segment{
      {}, predictor, {.above = 0.5F}};
  sp::probabilities maps;
  auto const cells = segment(pixels, maps);
  std::int64_t lively = 0;
  for (std::size_t k = 0; k < blocks.values.size(); ++k) {
    auto const block = blocks.block(k);
    auto const r = static_cast<std::size_t>(block.row + 15);
    auto const c = static_cast<std::size_t>(block.column + 15);
    bool const computed = static_cast<double>(blocks.values[k]) >= lively_from;
    lively += computed ? block.rows * block.columns : 0;
    BOOST_TEST(maps(r, c, 0) == (computed ? 1.0F : 0.0F));
    BOOST_TEST(maps(r, c, 2) == (computed ? 0.0F : 1.0F));
    BOOST_TEST((cells(r, c) > 0) == computed);
  }
  BOOST_TEST(lively > 0);
  BOOST_TEST(lively < 120 * 140);
}

BOOST_AUTO_TEST_CASE(the_threshold_loses_no_more_than_it_may) {
  sp::counter_rng const rng{9, 9};
  sp::cascade_calibration calibration;
  BOOST_TEST(calibration.threshold() == 0.0);
  std::vector<std::pair<sp::block_map, sp::mask>> images;
  for (std::uint64_t const seed : {11U, 12U}) {
    auto const map = random_blocks(8, 60, 70, seed);
    sp::mask cells = xt::zeros<std::uint8_t>({std::size_t{90}, std::size_t{100}});
    // The border is foreground as well, which no block holds.
    for (std::size_t i = 0; i < cells.size(); ++i) cells.data()[i] = rng.uniform(i) < 0.02 ? 1 : 0;
    calibration.add(map, sp::as_view(static_cast<sp::mask const&>(cells)), 15);
    images.emplace_back(map, cells);
  }
  auto const lost_at = [&](double at_least) {
    std::int64_t lost = 0;
    for (auto const& [map, cells] : images)
      for (std::size_t k = 0; k < map.values.size(); ++k) {
        if (static_cast<double>(map.values[k]) >= at_least) continue;
        auto const block = map.block(k);
        for (int r = block.row; r < block.row + block.rows; ++r)
          for (int c = block.column; c < block.column + block.columns; ++c)
            lost += cells(static_cast<std::size_t>(r + 15), static_cast<std::size_t>(c + 15));
      }
    return lost;
  };
  BOOST_TEST(calibration.foreground() == lost_at(2.0));
  for (double const share : {0.0, 0.05, 0.4}) {
    double const found = calibration.threshold(share, 1.0);
    auto const allowed = static_cast<std::int64_t>(share * static_cast<double>(lost_at(2.0)));
    BOOST_TEST(lost_at(found) <= allowed);
    // It could not have been larger.
    BOOST_TEST(lost_at(std::nextafter(static_cast<float>(found), 2.0F)) > allowed);
    BOOST_TEST(calibration.threshold(share, 0.5) == 0.5 * found);
  }
}

BOOST_AUTO_TEST_SUITE_END()
