#include <septum/image/adapt.hpp>

#include <boost/test/unit_test.hpp>

#include <Eigen/Core>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace lab {

/// A container of one's own joins by an as_view beside it.
struct frame {
  std::vector<float> values;
  std::ptrdiff_t width = 0;
};
septum::view<float const, 2> as_view(frame const& f) {
  return {f.values.data(), {static_cast<std::ptrdiff_t>(f.values.size()) / f.width, f.width}};
}

}  // namespace lab

namespace sp = septum;

namespace {

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

static_assert(sp::Image<sp::image> && sp::Image<sp::labels> && sp::Image<sp::movie>);
static_assert(sp::Image<row_major> && sp::Image<Eigen::Map<row_major const>>);
static_assert(sp::Image<std::span<float const>> && sp::Image<lab::frame>);
static_assert(!sp::Image<Eigen::MatrixXf>, "column-major order is not channels-last");
static_assert(!sp::Image<int> && !sp::Image<std::string>);

}  // namespace

BOOST_AUTO_TEST_SUITE(adapt)

BOOST_AUTO_TEST_CASE(eigen_memory_is_shared) {
  row_major matrix(2, 3);
  matrix << 1, 2, 3, 4, 5, 6;
  auto const pixels = sp::as_view(matrix);
  static_assert(std::is_same_v<decltype(pixels), sp::view<float, 2> const>);
  BOOST_TEST(pixels.extent(0) == 2);
  BOOST_TEST(pixels.extent(1) == 3);
  pixels(1, 0) = 40;
  BOOST_TEST(matrix(1, 0) == 40.0F);
  row_major const& constant = matrix;
  static_assert(std::is_same_v<decltype(sp::as_view(constant)), sp::view<float const, 2>>);
}

BOOST_AUTO_TEST_CASE(eigen_map_with_an_outer_stride) {
  std::array<float, 8> memory{1, 2, 3, -1, 4, 5, 6, -1};
  Eigen::Map<row_major, 0, Eigen::OuterStride<>> matrix(memory.data(), 2, 3,
                                                        Eigen::OuterStride<>(4));
  auto const pixels = sp::as_view(matrix);
  BOOST_TEST(pixels(1, 2) == 6.0F);
  BOOST_TEST(!pixels.contiguous());
}

BOOST_AUTO_TEST_CASE(span_and_own_container) {
  std::vector<float> values{1, 2, 3, 4};
  BOOST_TEST(sp::as_view(std::span{values})(3) == 4.0F);
  lab::frame const frame{.values = values, .width = 2};
  BOOST_TEST(as_view(frame)(1, 0) == 3.0F);
}

BOOST_AUTO_TEST_SUITE_END()
