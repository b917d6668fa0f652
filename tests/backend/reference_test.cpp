// The oracle itself: closed forms worked out by hand, and gradients by central differences.
#include <septum/backend/reference.hpp>
#include <support/layer_run.hpp>
#include <support/tolerance.hpp>

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <functional>
#include <numeric>

namespace {

using septum::layer_problem;
using septum::reference;
namespace kind = septum::kind;

constexpr double tight = 1e-14;

layer_problem same_extent(int batch, septum::shape extent) {
  return {.batch = batch, .in = extent, .out = extent, .training = true};
}

template <class Kind>
std::vector<double> output_of(layer_case const& given) {
  return run_layer<reference, Kind, double>(given).output;
}

/// Compares backward with central differences of sum(dy * output) in every input and parameter.
template <class Kind>
void check_gradients(layer_case const& given, std::size_t trainable) {
  auto const result = run_layer<reference, Kind, double>(given);
  auto const objective = [&](layer_case const& at) {
    auto const y = output_of<Kind>(at);
    return std::inner_product(y.begin(), y.end(), given.dy.begin(), 0.0);
  };
  constexpr double step = 1e-5;
  auto const difference = [&](auto member, std::size_t i) {
    layer_case up = given;
    layer_case down = given;
    (up.*member)[i] += step;
    (down.*member)[i] -= step;
    return (objective(up) - objective(down)) / (2 * step);
  };
  std::vector<double> expected(given.x.size());
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = difference(&layer_case::x, i);
  BOOST_TEST(relative_difference(result.dx, expected) < 1e-8);
  expected.resize(trainable);
  for (std::size_t i = 0; i < trainable; ++i) expected[i] = difference(&layer_case::parameters, i);
  std::vector<double> const found(result.dparameters.begin(),
                                  result.dparameters.begin() + static_cast<long>(trainable));
  BOOST_TEST(relative_difference(found, expected) < 1e-8);
}

/// Values at least 0.01 apart and away from 0: no kink of relu or max lies within a step.
std::vector<double> spaced_values(std::size_t count, std::uint64_t stream) {
  std::vector<double> values(count);
  std::iota(values.begin(), values.end(), 0.0);
  septum::shuffle(values, septum::counter_rng{5, stream});
  for (double& value : values) value = 0.01 * (value + 0.5) - 0.01 * static_cast<double>(count / 2);
  return values;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reference_backend)

BOOST_AUTO_TEST_CASE(convolution_is_a_cross_correlation_with_bias) {
  // x = 1 2 3 / 4 5 6 / 7 8 9, W = 1 2 / 3 4: top left 1 + 4 + 12 + 20 = 37.
  layer_case given{conv_problem(1, 2, 2, 1, 1, 2, 1, false), {1, 2, 3, 4, 0.5}, {}, {1, 1, 1, 1}};
  given.x = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<double> const expected{37.5, 47.5, 67.5, 77.5};
  BOOST_TEST(output_of<kind::conv>(given) == expected, boost::test_tools::per_element());
  given.parameters[4] = -60.0;
  given.problem.relu = true;
  std::vector<double> const rectified{0, 0, 7, 17};
  BOOST_TEST(output_of<kind::conv>(given) == rectified, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(dilation_spreads_the_taps) {
  layer_case given{conv_problem(1, 1, 1, 1, 1, 2, 2, false), {1, 2, 3, 4, 0}, {}, {1}};
  given.x = {1, 2, 3, 4, 5, 6, 7, 8, 9};  // corners 1 3 7 9
  BOOST_TEST(output_of<kind::conv>(given).front() == 1 + 6 + 21 + 36);
}

BOOST_AUTO_TEST_CASE(weights_run_over_filter_row_column_channel) {
  // One pixel, 2 channels, kernel 1: filter f reads parameters 2f and 2f + 1, then come 3 biases.
  layer_case given{conv_problem(1, 1, 1, 2, 3, 1, 1, false),
                   {1, 2, 3, 4, 5, 6, 100, 200, 300},
                   {10, 1},
                   {1, 1, 1}};
  std::vector<double> const expected{112, 234, 356};
  BOOST_TEST(output_of<kind::conv>(given) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(max_pool_strided_and_dilated) {
  layer_problem problem{.in = {4, 4, 1}, .out = {2, 2, 1}, .geometry = {2, 2, 1}, .training = true};
  layer_case given{problem, {}, {1, 5, 2, 0, 3, 4, 8, 7, 0, 0, 9, 9, 6, 0, 9, 9}, {1, 2, 3, 4}};
  std::vector<double> const strided{5, 8, 6, 9};
  BOOST_TEST(output_of<kind::max_pool>(given) == strided, boost::test_tools::per_element());
  // The four equal values of the last window: the gradient goes to the first.
  std::vector<double> const slopes{0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 3, 0, 0, 0};
  auto const result = run_layer<reference, kind::max_pool, double>(given);
  BOOST_TEST(result.dx == slopes, boost::test_tools::per_element());

  given.problem.geometry = {2, 1, 2};  // pixels (r, c), (r, c+2), (r+2, c), (r+2, c+2)
  std::vector<double> const dilated{9, 9, 9, 9};
  BOOST_TEST(output_of<kind::max_pool>(given) == dilated, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(batch_norm_as_keras_1_0_6) {
  layer_problem const problem = same_extent(2, {1, 1, 1});
  layer_case const given{problem, {3, 0.25, 10, 2}, {1, 3}, {1, 1}};
  double const s = std::sqrt(1.0 + 1e-6);
  auto const result = run_layer<reference, kind::batch_norm, double>(given);
  BOOST_TEST(result.output[0] == 0.25 - 3 / (s + 1e-6), boost::test_tools::tolerance(tight));
  BOOST_TEST(result.output[1] == 0.25 + 3 / (s + 1e-6), boost::test_tools::tolerance(tight));
  // Inference uses the stored mean 10 and the stored deviation 2.
  BOOST_TEST(result.inference[0] == 0.25 - 9 * 3 / (2 + 1e-6), boost::test_tools::tolerance(tight));
  // The batch's own statistics go to the slots of the running ones.
  BOOST_TEST(result.dparameters[2] == 2.0, boost::test_tools::tolerance(tight));
  BOOST_TEST(result.dparameters[3] == s, boost::test_tools::tolerance(tight));
}

BOOST_AUTO_TEST_CASE(softmax_of_logarithms) {
  layer_case const given{
      same_extent(1, {1, 1, 3}), {}, {0, std::log(2.0), std::log(3.0)}, {1, 0, 0}};
  auto const y = output_of<kind::softmax>(given);
  for (std::size_t k = 0; k < 3; ++k)
    BOOST_TEST(y[k] == static_cast<double>(k + 1) / 6.0, boost::test_tools::tolerance(tight));
  layer_case const huge{same_extent(1, {1, 1, 2}), {}, {1e4, 1e4}, {1, 0}};
  BOOST_TEST(output_of<kind::softmax>(huge)[0] == 0.5);
}

BOOST_AUTO_TEST_CASE(dropout_zeroes_or_scales) {
  layer_problem problem = same_extent(1, {40, 50, 1});
  problem.dropout_rate = 0.25;
  auto const ones = [](std::size_t count, std::uint64_t) {
    return std::vector<double>(count, 1.0);
  };
  layer_case const given = make_case(problem, 0, ones);
  auto const result = run_layer<reference, kind::dropout, double>(given);
  std::size_t zeroed = 0;
  for (double const value : result.output) {
    BOOST_TEST((value == 0.0 || value == 1.0 / 0.75));
    zeroed += value == 0.0;
  }
  // Binomial with mean 500 and deviation 19.4: six deviations.
  BOOST_TEST(std::abs(static_cast<double>(zeroed) - 500.0) < 117.0);
  BOOST_TEST((result.dx == result.output));
  BOOST_TEST((result.inference == given.x));
  auto const other =
      run_layer<reference, kind::dropout, double>(given, 1, septum::counter_rng{7, 9});
  BOOST_TEST((other.output != result.output));
}

BOOST_AUTO_TEST_CASE(gradients_of_convolution) {
  for (bool const relu : {false, true})
    for (auto const& [kernel, dilation] : {std::pair{1, 1}, {2, 3}, {3, 1}, {3, 2}, {4, 1}}) {
      BOOST_TEST_CONTEXT("kernel " << kernel << " dilation " << dilation << " relu " << relu) {
        auto const problem = conv_problem(2, 2, 3, 2, 3, kernel, dilation, relu);
        auto const given = make_case(problem, conv_parameters(problem), normal_values);
        check_gradients<kind::conv>(given, given.parameters.size());
      }
    }
}

BOOST_AUTO_TEST_CASE(gradients_of_max_pool) {
  for (septum::window const window : {septum::window{2, 2, 1}, {2, 1, 2}, {3, 2, 1}, {2, 3, 1}}) {
    BOOST_TEST_CONTEXT("kernel " << window.kernel << " stride " << window.stride) {
      layer_problem problem{.batch = 2, .in = {7, 8, 2}, .geometry = window, .training = true};
      problem.out = {window.out(7), window.out(8), 2};
      check_gradients<kind::max_pool>(make_case(problem, 0, spaced_values), 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(gradients_of_batch_norm) {
  for (bool const relu : {false, true}) {
    BOOST_TEST_CONTEXT("relu " << relu) {
      auto problem = same_extent(3, {2, 2, 3});
      problem.relu = relu;
      check_gradients<kind::batch_norm>(make_case(problem, 12, normal_values), 6);
    }
  }
}

BOOST_AUTO_TEST_CASE(gradients_of_softmax_relu_and_dropout) {
  auto problem = same_extent(2, {2, 3, 4});
  problem.dropout_rate = 0.5;
  auto const given = make_case(problem, 0, spaced_values);
  check_gradients<kind::softmax>(given, 0);
  check_gradients<kind::pointwise<septum::rectify>>(given, 0);
  check_gradients<kind::dropout>(given, 0);
}

BOOST_AUTO_TEST_SUITE_END()
