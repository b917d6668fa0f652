// Tiles never change a result: an output pixel has the same bytes whatever the extent of the tile
// it was computed in, and at any thread count.
#include <septum/net/net.hpp>
#include <septum/nn/feature_nets.hpp>
#include <support/layer_run.hpp>
#include <support/types.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace {

namespace kind = septum::kind;

// One pixel, one row, one column, less than a vector, odd, more than a vector, everything.
constexpr septum::extent2 tiles[] = {{1, 1},  {1, 40}, {40, 1},  {2, 3},   {3, 2},
                                     {5, 17}, {17, 5}, {16, 16}, {13, 31}, {40, 40}};
constexpr int side = 40;

/// The windows of `map` (rows of `width` pixels) that a tile at (row, column) reads.
std::vector<float> crop(std::vector<float> const& map, int width, int channels, int row, int column,
                        septum::extent2 extent) {
  std::vector<float> part;
  for (int r = row; r < row + extent.rows; ++r) {
    auto const begin = map.begin() + (static_cast<std::ptrdiff_t>(r) * width + column) * channels;
    part.insert(part.end(), begin, begin + static_cast<std::ptrdiff_t>(extent.columns) * channels);
  }
  return part;
}

/// Pixels of `found` (a tile at row, column) whose bytes differ from those of `whole`.
std::size_t count_differences(std::vector<float> const& found, std::vector<float> const& whole,
                              int channels, int row, int column, septum::extent2 tile) {
  auto const expected = crop(whole, side, channels, row, column, tile);
  BOOST_REQUIRE_EQUAL(found.size(), expected.size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < found.size(); ++i) count += found[i] != expected[i];
  return count;
}

template <class B>
std::vector<float> convolve(septum::layer_problem const& problem, std::vector<float> const& weights,
                            std::vector<float> const& x, int threads) {
  using conv = septum::kernel<B, kind::conv, float>;
  septum::context<B> context{septum::exec::threads{threads}};
  auto const plan = conv::prepare(context, problem);
  auto const packed = conv::pack(context, plan, std::span<float const>{weights});
  std::vector<float> y(problem.out.size());
  conv::forward(context, plan, packed,
                {x.data(), {1, problem.in.height, problem.in.width, problem.in.channels}},
                {y.data(), {1, problem.out.height, problem.out.width, problem.out.channels}});
  return y;
}

septum::layer_problem dense_problem(septum::extent2 tile, int channels, int filters, int kernel,
                                    int dilation, septum::convolution_algorithm convolution) {
  auto problem =
      conv_problem(1, tile.rows, tile.columns, channels, filters, kernel, dilation, filters > 4);
  problem.training = false;
  problem.convolution = convolution;
  return problem;
}

template <class B>
void check_layer(int channels, int filters, int kernel, int dilation,
                 septum::convolution_algorithm convolution) {
  auto const whole = dense_problem({side, side}, channels, filters, kernel, dilation, convolution);
  auto const weights = normal_floats(conv_parameters(whole), 1);
  auto const x = normal_floats(whole.in.size(), 2);
  auto const expected = convolve<B>(whole, weights, x, 1);
  for (int const threads : {1, 2})
    for (auto const tile : tiles) {
      auto const problem = dense_problem(tile, channels, filters, kernel, dilation, convolution);
      int const row = (side - tile.rows) / 2;
      int const column = (side - tile.columns) / 3;
      auto const part =
          crop(x, whole.in.width, channels, row, column, {problem.in.height, problem.in.width});
      BOOST_TEST_CONTEXT(channels << " to " << filters << " channels, kernel " << kernel
                                  << ", dilation " << dilation << ", tile " << tile.rows << "x"
                                  << tile.columns << ", threads " << threads)
      BOOST_TEST(count_differences(convolve<B>(problem, weights, part, threads), expected, filters,
                                   row, column, tile) == 0U);
    }
}

template <class B>
void check_layer(int channels, int filters, int kernel, int dilation) {
  for (auto const convolution :
       {septum::convolution_algorithm::direct, septum::convolution_algorithm::compensated})
    check_layer<B>(channels, filters, kernel, dilation, convolution);
}

template <class S, class B>
void check_net(std::vector<septum::extent2> const& extents) {
  using form = septum::fused_t<septum::fully_convolutional_t<S>>;
  constexpr int field = septum::base_stack_t<S>::receptive_field;
  constexpr int channels = septum::base_stack_t<S>::input_channels;
  constexpr int classes = septum::base_stack_t<S>::output.channels;
  auto parameters = normal_floats(form::parameter_count, 4);
  for (float& value : parameters) value *= 0.05F;
  auto const x = normal_floats(static_cast<std::size_t>((side + field - 1) * (side + field - 1)) *
                                   static_cast<std::size_t>(channels),
                               5);
  auto const run = [&](std::vector<float> const& pixels, septum::extent2 tile, int threads) {
    septum::net<form, B> net{septum::exec::threads{threads}};
    int const height = tile.rows + field - 1;
    int const width = tile.columns + field - 1;
    net.prepare(1, height, width);
    std::vector<float> y(net.output().size());
    net.forward(net.pack(parameters), {pixels.data(), {1, height, width, channels}},
                {y.data(), {1, tile.rows, tile.columns, classes}});
    return y;
  };
  auto const expected = run(x, {side, side}, 1);
  for (auto const tile : extents) {
    int const row = (side - tile.rows) / 2;
    int const column = (side - tile.columns) / 3;
    auto const part = crop(x, side + field - 1, channels, row, column,
                           {tile.rows + field - 1, tile.columns + field - 1});
    BOOST_TEST_CONTEXT("tile " << tile.rows << "x" << tile.columns)
    BOOST_TEST(count_differences(run(part, tile, 2), expected, classes, row, column, tile) == 0U);
  }
}

/// A tall frame runs a few rows at a time, a piece of it layer by layer.
template <class S, class B>
void check_tall_frame() {
  using form = septum::fused_t<septum::fully_convolutional_t<S>>;
  constexpr int field = septum::base_stack_t<S>::receptive_field;
  constexpr int channels = septum::base_stack_t<S>::input_channels;
  constexpr int classes = septum::base_stack_t<S>::output.channels;
  constexpr int columns = 6;
  constexpr int width = columns + field - 1;
  auto parameters = normal_floats(form::parameter_count, 4);
  for (float& value : parameters) value *= 0.05F;
  auto const run = [&](float const* pixels, int rows, bool in_strips) {
    septum::net<form, B> net{septum::exec::threads{2}};
    net.prepare(1, rows + field - 1, width);
    BOOST_TEST((net.buffer_bytes() == net.buffer_bytes(5000, width)) == in_strips);
    std::vector<float> y(net.output().size());
    net.forward(net.pack(parameters), {pixels, {1, rows + field - 1, width, channels}},
                {y.data(), {1, rows, columns, classes}});
    return y;
  };
  constexpr int rows = 270;
  auto const x = normal_floats(
      static_cast<std::size_t>(rows + field - 1) * static_cast<std::size_t>(width * channels), 5);
  auto const whole = run(x.data(), rows, true);
  for (int const first : {0, 101, rows - 5}) {
    auto const piece = run(x.data() + first * width * channels, 5, false);
    auto const begin = whole.begin() + first * columns * classes;
    BOOST_TEST(std::equal(piece.begin(), piece.end(), begin), "rows from " << first);
  }
}

struct small_net
    : septum::stack<septum::input<1>, septum::conv<5, 4>, septum::relu, septum::max_pool<2>,
                    septum::conv<9, 3>, septum::relu, septum::max_pool<2>, septum::conv<21, 3>,
                    septum::relu, septum::dense<3>, septum::softmax> {};

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_bytes)

BOOST_AUTO_TEST_CASE_TEMPLATE(small_layers, B, host_backends) {
  check_layer<B>(1, 6, 4, 1);
  check_layer<B>(3, 5, 3, 2);
  check_layer<B>(7, 3, 1, 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(small_net_whole, B, host_backends) {
  check_net<small_net, B>({{1, 1}, {1, 7}, {3, 2}, {17, 33}, {40, 39}});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(tall_frame_of_a_small_net, B, host_backends) {
  check_tall_frame<small_net, B>();
}

#if defined(SEPTUM_TEST_ONEDNN)
BOOST_AUTO_TEST_CASE(tall_frames_of_the_papers_nets) {
  check_tall_frame<septum::bn_feature_net_31x31<>, septum::onednn>();
  check_tall_frame<septum::bn_feature_net_61x61<2>, septum::onednn>();
}

// The layers of the paper's two nets in their fully convolutional form.
BOOST_AUTO_TEST_CASE(layers_of_the_31x31_net) {
  check_layer<septum::onednn>(1, 32, 4, 1);
  check_layer<septum::onednn>(32, 64, 3, 2);
  check_layer<septum::onednn>(64, 64, 3, 2);
  check_layer<septum::onednn>(64, 128, 3, 4);
  check_layer<septum::onednn>(128, 200, 3, 4);
  check_layer<septum::onednn>(200, 200, 1, 1);
  check_layer<septum::onednn>(200, 3, 1, 1);
}

BOOST_AUTO_TEST_CASE(layers_of_the_61x61_net) {
  check_layer<septum::onednn>(2, 64, 3, 1);
  check_layer<septum::onednn>(64, 64, 4, 1);
  check_layer<septum::onednn>(64, 64, 3, 4);
  check_layer<septum::onednn>(64, 200, 4, 8);
  check_layer<septum::onednn>(200, 4, 1, 1);
}

BOOST_AUTO_TEST_CASE(the_31x31_net_whole) {
  check_net<septum::bn_feature_net_31x31<>, septum::onednn>({{1, 1}, {3, 40}, {16, 16}, {33, 21}});
}

BOOST_AUTO_TEST_CASE(the_61x61_net_whole) {
  check_net<septum::bn_feature_net_61x61<2>, septum::onednn>({{1, 1}, {3, 40}, {16, 16}, {33, 21}});
}
#endif

BOOST_AUTO_TEST_SUITE_END()
