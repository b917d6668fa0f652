// Whole nets with Winograd convolutions: the same bytes for any tiles, budget and thread count, and
// how far their probabilities are from those of direct convolutions.
#include <septum/net/ensemble.hpp>
#include <septum/nn/feature_nets.hpp>
#include <support/types.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace {

using septum::convolution_algorithm;

// A field of 18 with pools that dilate a 3x3 and a 4x4 layer.
struct wide_net
    : septum::stack<septum::input<1>, septum::conv<32, 3>, septum::relu, septum::max_pool<2>,
                    septum::conv<32, 3>, septum::relu, septum::max_pool<2>, septum::conv<48, 3>,
                    septum::relu, septum::dense<16>, septum::relu, septum::dense<3>,
                    septum::softmax> {};
struct wide_net_4
    : septum::stack<septum::input<2>, septum::conv<32, 4>, septum::relu, septum::conv<32, 4>,
                    septum::relu, septum::max_pool<2>, septum::conv<40, 4>, septum::relu,
                    septum::dense<3>, septum::softmax> {};

septum::image random_image(std::size_t height, std::size_t width, std::size_t channels) {
  septum::image pixels = septum::image::from_shape({height, width, channels});
  septum::counter_rng const random{4, 4};
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels.data()[i] = static_cast<float>(random.normal(i));
  return pixels;
}

template <class S, class B>
void check_tiles(std::size_t height, std::size_t width) {
  auto const pixels = random_image(
      height, width, static_cast<std::size_t>(septum::base_stack_t<S>::input_channels));
  std::vector<std::vector<float>> const sets{septum::he_normal<S>({1, 1}),
                                             septum::he_normal<S>({2, 1})};
  auto const run = [&](septum::inference_options options) {
    options.convolution = convolution_algorithm::winograd;
    return septum::ensemble<S, B>{sets, options}.predict(pixels);
  };
  auto const expected = run({});
  BOOST_TEST((run({.threads = {3}}) == expected));
  for (int const side : {1, 50, 64, 90, 131})
    BOOST_TEST((run({.threads = {2}, .largest_tile = side}) == expected), "tiles of " << side);
  for (std::size_t const kilobytes : {2'500U, 4'000U, 8'000U})
    BOOST_TEST((run({.budget_bytes = kilobytes << 10}) == expected), kilobytes << " KiB");
}

template <class S, class B>
double worst_difference(std::size_t height, std::size_t width) {
  auto const pixels = random_image(
      height, width, static_cast<std::size_t>(septum::base_stack_t<S>::input_channels));
  std::vector<std::vector<float>> const sets{septum::he_normal<S>({7, 1})};
  auto const run = [&](convolution_algorithm convolution) {
    return septum::ensemble<S, B>{sets, {.threads = {2}, .convolution = convolution}}.predict(
        pixels);
  };
  auto const direct = run(convolution_algorithm::direct);
  auto const fast = run(convolution_algorithm::winograd);
  double worst = 0.0;
  for (std::size_t i = 0; i < direct.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(direct.data()[i] - fast.data()[i])));
  return worst;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(winograd_nets)

BOOST_AUTO_TEST_CASE_TEMPLATE(tiles_never_change_a_byte, B, tested_backends) {
  check_tiles<wide_net, B>(203, 187);
  check_tiles<wide_net_4, B>(160, 251);
}

#if defined(SEPTUM_TEST_ONEDNN)
BOOST_AUTO_TEST_CASE(tiles_of_a_published_net) {
  auto const pixels = random_image(230, 210, 1);
  std::vector<std::vector<float>> const sets{
      septum::he_normal<septum::bn_feature_net_31x31<>>({1})};
  using nets = septum::ensemble<septum::bn_feature_net_31x31<>, septum::onednn>;
  auto const expected = nets{sets, {.threads = {2}}}.predict(pixels);
  for (int const side : {64, 100, 150})
    BOOST_TEST((nets{sets, {.threads = {2}, .largest_tile = side}}.predict(pixels) == expected),
               "tiles of " << side);
}
#endif

BOOST_AUTO_TEST_CASE_TEMPLATE(probabilities_differ_by_rounding_only, B, tested_backends) {
  double const net_31 = worst_difference<septum::bn_feature_net_31x31<1, 3>, B>(70, 81);
  double const net_61 = worst_difference<septum::bn_feature_net_61x61<2, 3>, B>(94, 85);
  BOOST_TEST(net_31 <= 1e-4);
  BOOST_TEST(net_61 <= 1e-4);
  if (septum::detail::has_direct_convolution()) {  // the two are not the same computation
    BOOST_TEST(net_31 > 0.0);
    BOOST_TEST(net_61 > 0.0);
  }
  BOOST_TEST_MESSAGE(B::name << ": largest difference " << net_31 << " (31x31), " << net_61
                             << " (61x61)");
}

BOOST_AUTO_TEST_CASE(tiles_start_on_the_grid_and_overlap_by_the_margin) {
  septum::tile_grid const grid{16, 18};
  auto const area = [](int height, int width) { return static_cast<std::size_t>(height * width); };
  for (int const height : {31, 64, 200, 333, 1050})
    for (int const width : {40, 95, 1250})
      for (std::size_t const budget : {8'000U, 30'000U, 200'000U}) {
        auto const plan = septum::plan_tiles(height, width, 31, area, budget, 1 << 20, grid);
        BOOST_TEST_CONTEXT(height << "x" << width << " budget " << budget) {
          BOOST_TEST(area(plan.tile_height + 30, plan.tile_width + 30) <= budget);
          std::vector<int> covered(area(height - 30, width - 30));
          for (auto const tile : plan.tiles()) {
            bool const low = tile.row + plan.tile_height == height - 30;
            bool const right = tile.column + plan.tile_width == width - 30;
            BOOST_TEST((tile.row % 16 == 0 && tile.column % 16 == 0));
            BOOST_TEST((low || plan.rows_of(tile.row) + 18 <= plan.tile_height));
            BOOST_TEST((right || plan.columns_of(tile.column) + 18 <= plan.tile_width));
            for (int r = tile.row; r < tile.row + plan.rows_of(tile.row); ++r)
              for (int c = tile.column; c < tile.column + plan.columns_of(tile.column); ++c)
                ++covered[static_cast<std::size_t>(r * (width - 30) + c)];
          }
          BOOST_TEST(std::all_of(covered.begin(), covered.end(), [](int n) { return n == 1; }));
        }
      }
  BOOST_CHECK_THROW(static_cast<void>(septum::plan_tiles(333, 333, 31, area, 1'000, 1 << 20, grid)),
                    septum::unsupported_error);
}

BOOST_AUTO_TEST_CASE(grids_of_the_published_nets) {
  if (!septum::detail::has_direct_convolution()) return;
  using form_31 =
      septum::fused_t<septum::fully_convolutional_t<septum::bn_feature_net_31x31<1, 3>>>;
  using form_61 =
      septum::fused_t<septum::fully_convolutional_t<septum::bn_feature_net_61x61<2, 3>>>;
  septum::net<form_31, septum::eigen> const net_31{{}, convolution_algorithm::automatic};
  septum::net<form_61, septum::eigen> const net_61{{}, convolution_algorithm::automatic};
  septum::net<form_61, septum::eigen> const direct{};
  BOOST_TEST(net_31.output_grid().period == 16);
  BOOST_TEST(net_61.output_grid().period == 48);
  BOOST_TEST(net_31.output_grid().margin == 18);
  BOOST_TEST(net_61.output_grid().margin == 23);
  BOOST_TEST(direct.output_grid().period == 1);
  BOOST_TEST(direct.output_grid().margin == 0);
}

BOOST_AUTO_TEST_SUITE_END()
