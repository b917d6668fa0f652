// Gradients of the published nets by Winograd's filtering beside those by direct sums, in patch
// form and fully convolutional. Where rounding takes a map over the kink of a relu, a gradient
// jumps; both are then equally far from the one in double.
#include <septum/backend/onednn.hpp>
#include <septum/net/parameters.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/train/gradient.hpp>
#include <support/layer_run.hpp>
#include <support/tolerance.hpp>

#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using septum::convolution_algorithm;

struct step_result {
  std::vector<double> gradient;
  double loss;
};

template <class Net>
step_result step(std::vector<float> const& parameters, int batch, int side,
                 convolution_algorithm convolution) {
  using base = septum::base_stack_t<Net>;
  int const outputs = side - base::receptive_field + 1;
  auto const count = static_cast<std::size_t>(batch * side * side * base::input_channels);
  auto const values = normal_values(count, 11);
  std::vector<float> const x{values.begin(), values.end()};
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(batch * outputs * outputs));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::uint8_t>(i * 7 % 3);
  std::vector<float> gradient(parameters.size());
  septum::gradient_net<Net, septum::onednn, float> net{
      {2}, septum::host_precision::f32, convolution};
  auto const sums = net(parameters, {x.data(), {batch, side, side, base::input_channels}}, labels,
                        septum::cross_entropy{}, gradient, {3, 4});
  return {{gradient.begin(), gradient.end()}, sums.loss};
}

template <class Net>
void compare(int batch, int side, double tolerance) {
  auto const parameters = septum::he_normal<Net, float>({5, 6});
  auto const by_winograd = step<Net>(parameters, batch, side, convolution_algorithm::automatic);
  auto const directly = step<Net>(parameters, batch, side, convolution_algorithm::direct);
  BOOST_TEST(by_winograd.loss == directly.loss, boost::test_tools::tolerance(1e-5));
  using base = septum::base_stack_t<Net>;
  for (auto const& row : septum::detail::row_vector<Net>(side, side)) {
    auto const slice = [&](std::vector<double> const& all) {
      auto const first = all.begin() + static_cast<std::ptrdiff_t>(row.offset);
      return std::vector<double>(first, first + static_cast<std::ptrdiff_t>(row.count));
    };
    if (row.count == 0) continue;
    BOOST_TEST_CONTEXT("layer " << row.in.channels << "->" << row.out.channels << " "
                                << row.geometry.kernel << " of " << base::receptive_field)
    BOOST_TEST(relative_difference(slice(by_winograd.gradient), slice(directly.gradient)) <=
               tolerance);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(winograd_in_training)

BOOST_AUTO_TEST_CASE(patches) {
  compare<septum::bn_feature_net_31x31<1, 3>>(64, 31, 0.01);
  compare<septum::bn_feature_net_61x61<2, 3>>(16, 61, 0.01);
}

BOOST_AUTO_TEST_CASE(crops) {
  compare<septum::fully_convolutional_t<septum::bn_feature_net_31x31<1, 3>>>(1, 94, 0.05);
  compare<septum::fully_convolutional_t<septum::bn_feature_net_61x61<2, 3>>>(1, 124, 0.05);
}

BOOST_AUTO_TEST_SUITE_END()
