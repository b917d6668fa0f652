// The schedule of rows through layers without stride: every call finds its input rows in the
// buffer, no row is computed twice but those of a last strip, and the whole output is written.
#include <septum/backend/reference.hpp>
#include <septum/core/rng.hpp>
#include <septum/net/detail/row_stream.hpp>
#include <septum/net/net.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <vector>

namespace {

using septum::detail::row_stream;
using septum::detail::row_strip;

/// Layers of the given window extents over a frame whose last map has `height` rows.
std::vector<septum::layer_row> layers_of(std::vector<int> const& extents, int height) {
  std::vector<septum::layer_row> rows(extents.size());
  int in = height;
  for (int const extent : extents) in += extent - 1;
  for (std::size_t k = 0; k < extents.size(); ++k) {
    rows[k].geometry = {extents[k], 1, 1};
    rows[k].in = {in, 1, 1};
    in -= extents[k] - 1;
    rows[k].out = {in, 1, 1};
  }
  return rows;
}

/// Runs the schedule on buffers of row numbers.
void check(std::vector<int> const& extents, std::vector<row_strip> strips, int height) {
  auto const rows = layers_of(extents, height);
  for (std::size_t k = 0; k < rows.size(); ++k)
    strips[k].rows = std::min(strips[k].rows, rows[k].out.height);
  std::vector<std::vector<int>> buffers;
  for (std::size_t k = 0; k < rows.size(); ++k)
    buffers.emplace_back(static_cast<std::size_t>(row_stream::capacity(rows, k, strips)), -1);
  std::vector<int> frame(static_cast<std::size_t>(rows.front().in.height));
  for (std::size_t r = 0; r < frame.size(); ++r) frame[r] = static_cast<int>(r);
  std::vector<int> result(static_cast<std::size_t>(height), -1);
  std::vector<int> written(rows.size());
  bool right = true;
  row_stream stream{rows, strips};
  for (int pass = 0; pass < 2; ++pass) {  // a schedule can be run again
    stream.run(
        [&](row_stream::call const& call) {
          auto const& in = call.layer == 0 ? frame : buffers[call.layer - 1];
          auto& out = call.layer + 1 == rows.size() ? result : buffers[call.layer];
          row_strip const strip = strips[call.layer];
          bool const last = call.output_row + call.rows == rows[call.layer].out.height;
          right &= call.rows == strip.rows || (strip.on_grid && last);
          right &= !strip.on_grid || call.output_row % strip.rows == 0;
          int const wanted = call.rows + extents[call.layer] - 1;
          BOOST_REQUIRE(call.input_offset >= 0 && call.output_offset >= 0);
          BOOST_REQUIRE(call.input_offset + wanted <= static_cast<int>(in.size()));
          BOOST_REQUIRE(call.output_offset + call.rows <= static_cast<int>(out.size()));
          for (int i = 0; i < wanted; ++i)
            right &= in[static_cast<std::size_t>(call.input_offset + i)] == call.output_row + i;
          for (int i = 0; i < call.rows; ++i)
            out[static_cast<std::size_t>(call.output_offset + i)] = call.output_row + i;
          written[call.layer] += call.rows;
        },
        [&](row_stream::move const& move) {
          auto& rows_held = buffers[move.layer];
          for (int i = 0; i < move.count; ++i)
            rows_held[static_cast<std::size_t>(i)] =
                rows_held[static_cast<std::size_t>(move.from + i)];
          for (std::size_t i = static_cast<std::size_t>(move.count); i < rows_held.size(); ++i)
            rows_held[i] = -1;
        });
  }
  BOOST_TEST(right);
  for (int r = 0; r < height; ++r) BOOST_TEST(result[static_cast<std::size_t>(r)] == r);
  for (std::size_t k = 0; k < rows.size(); ++k)
    BOOST_TEST(written[k] < 2 * (rows[k].out.height + strips[k].rows));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(row_streams)

BOOST_AUTO_TEST_CASE(every_row_is_there_when_it_is_read) {
  std::vector<std::vector<int>> const nets{{1},
                                           {4},
                                           {1, 1, 1},
                                           {3, 4, 2, 5, 5, 3, 9, 9, 5, 25, 1, 1, 1},
                                           {4, 2, 5, 5, 3, 9, 9, 1, 1, 1},
                                           {30, 2, 7}};
  for (std::size_t net = 0; net < nets.size(); ++net)
    for (int const height : {1, 2, 3, 4, 5, 7, 8, 13, 31, 32, 33, 100})
      for (int const strip : {1, 2, 3, 4, 8, 32})
        if (strip <= height) {
          BOOST_TEST_CONTEXT("net " << net << " height " << height << " strip " << strip)
          check(nets[net], std::vector<row_strip>(nets[net].size(), {strip, false}), height);
        }
}

// Layers on a grid beside layers that write a few rows at a time, in every order.
BOOST_AUTO_TEST_CASE(layers_have_strips_of_their_own) {
  std::vector<std::vector<int>> const nets{{4},
                                           {3, 3},
                                           {3, 4, 2, 5, 5, 3, 9, 9, 5, 25, 1, 1, 1},
                                           {4, 2, 5, 5, 3, 9, 9, 1, 1, 1},
                                           {30, 2, 7}};
  septum::counter_rng const random{11, 1};
  std::uint64_t draw = 0;
  for (std::size_t net = 0; net < nets.size(); ++net)
    for (int const height : {1, 2, 5, 16, 31, 32, 48, 100})
      for (int trial = 0; trial < 40; ++trial) {
        std::vector<row_strip> strips;
        for (std::size_t k = 0; k < nets[net].size(); ++k) {
          bool const on_grid = random.below(draw++, 2) == 0;
          strips.push_back({1 + static_cast<int>(random.below(draw++, on_grid ? 48 : 8)), on_grid});
        }
        BOOST_TEST_CONTEXT("net " << net << " height " << height << " trial " << trial)
        check(nets[net], strips, height);
      }
}

BOOST_AUTO_TEST_CASE(nets_with_strides_do_not_stream) {
  auto rows = layers_of({3, 2, 1}, 8);
  BOOST_TEST(row_stream::possible(rows));
  rows[1].geometry.stride = 2;
  BOOST_TEST(!row_stream::possible(rows));
}

struct small_net : septum::stack<septum::input<1>, septum::conv<2, 3>, septum::max_pool<2>,
                                 septum::conv<3, 3>, septum::dense<2>, septum::softmax> {};
using frame_net =
    septum::net<septum::fused_t<septum::fully_convolutional_t<small_net>>, septum::reference>;
constexpr int field = small_net::receptive_field;

BOOST_AUTO_TEST_CASE(memory_depends_on_the_width_alone) {
  frame_net net;
  net.prepare(1, field + 99, field + 6);
  BOOST_TEST(net.buffer_bytes() == net.buffer_bytes(field + 99, field + 6));
  BOOST_TEST(net.buffer_bytes() == net.buffer_bytes(field + 1000, field + 6));
  BOOST_TEST(net.buffer_bytes() < net.buffer_bytes(field + 99, field + 12));
  BOOST_TEST(net.buffer_bytes() > net.buffer_bytes(field, field + 6));
}

BOOST_AUTO_TEST_CASE(poll_hears_of_rows_and_may_stop) {
  frame_net net;
  net.prepare(1, field + 79, field + 4);
  auto const set = net.pack(std::vector<float>(small_net::parameter_count, 0.1F));
  std::vector<float> const x(static_cast<std::size_t>((field + 79) * (field + 4)), 1.0F);
  std::vector<float> y(net.output().size());
  septum::view<float const, 4> const in{x.data(), {1, field + 79, field + 4, 1}};
  septum::view<float, 4> const out{y.data(), {1, 80, 5, 2}};
  std::vector<int> heard;
  net.forward(set, in, out, [&](int rows) { heard.push_back(rows); });
  BOOST_REQUIRE(heard.size() > 10U);
  BOOST_TEST(heard.back() == 80);
  BOOST_TEST(std::is_sorted(heard.begin(), heard.end()));
  struct stop {};
  BOOST_CHECK_THROW(net.forward(set, in, out, [](int) { throw stop{}; }), stop);
  auto const expected = y;
  net.forward(set, in, out);  // a stopped run leaves nothing behind
  BOOST_TEST((y == expected));
}

BOOST_AUTO_TEST_SUITE_END()
