// Winograd's filtering against the oracle in double, and where its grid lies.
#include <septum/backend/detail/host_winograd_training.hpp>
#include <support/layer_run.hpp>
#include <support/tolerance.hpp>
#include <support/types.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

namespace {

namespace kind = septum::kind;
using septum::convolution_algorithm;
using septum::layer_problem;
using septum::detail::winograd;

layer_problem winograd_problem(int batch, int rows, int columns, int channels, int filters,
                               int kernel, int dilation, bool relu) {
  auto problem = conv_problem(batch, rows, columns, channels, filters, kernel, dilation, relu);
  problem.training = false;
  problem.convolution = convolution_algorithm::winograd;
  return problem;
}

template <class B>
std::vector<float> convolve(layer_problem const& problem, std::vector<float> const& weights,
                            float const* x, int threads) {
  using conv = septum::kernel<B, kind::conv, float>;
  septum::context<B> context{septum::exec::threads{threads}};
  auto const plan = conv::prepare(context, problem);
  auto const packed = conv::pack(context, plan, std::span<float const>{weights});
  std::vector<float> y(problem.out.size() * static_cast<std::size_t>(problem.batch), NAN);
  conv::forward(
      context, plan, packed,
      {x, {problem.batch, problem.in.height, problem.in.width, problem.in.channels}},
      {y.data(), {problem.batch, problem.out.height, problem.out.width, problem.out.channels}});
  return y;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(winograd_filtering)

// y[i] = sum over j of g[j] d[i + j], whatever the transforms do in between.
BOOST_AUTO_TEST_CASE(one_dimension_is_a_correlation) {
  double const d[6] = {1.5, -2.0, 0.25, 3.0, -1.0, 0.5};
  double const g[4] = {0.5, -1.0, 2.0, 0.75};
  for (int const kernel : {3, 4}) {
    double v[6];
    winograd::input<double>(d, v);
    std::array<double, 6> u{};
    winograd::weights(g, kernel, 1, u.data());
    double m[6];
    for (std::size_t k = 0; k < 6; ++k) m[k] = u[k] * v[k];
    std::array<double, 4> y{};
    double four[4];
    double three[3];
    if (kernel == 3) {
      winograd::output<double, 4>(m, four);
      std::copy_n(four, 4, y.begin());
    } else {
      winograd::output<double, 3>(m, three);
      std::copy_n(three, 3, y.begin());
    }
    for (int i = 0; i < winograd::outputs(kernel); ++i) {
      double expected = 0.0;
      for (int j = 0; j < kernel; ++j) expected += g[j] * d[i + j];
      BOOST_TEST(std::abs(y[static_cast<std::size_t>(i)] - expected) < 1e-13);
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(layers_against_the_oracle, B, tested_backends) {
  double const tolerance = 3 * tolerance_of<B, float>;  // three times the rounding of a direct sum
  for (int const kernel : {3, 4})
    for (int const dilation : {1, 2, 3, 8})
      for (auto const& [channels, filters] : {std::pair{16, 3}, {32, 20}, {48, 64}})
        for (auto const& [batch, rows, columns] : {std::array{1, 1, 1}, {2, 5, 19}, {1, 13, 8}})
          for (bool const relu : {false, true}) {
            auto const problem =
                winograd_problem(batch, rows, columns, channels, filters, kernel, dilation, relu);
            auto const given = make_case(problem, conv_parameters(problem), normal_values);
            auto const expected = run_layer<septum::reference, kind::conv, double>(given).inference;
            BOOST_TEST_CONTEXT("kernel " << kernel << " dilation " << dilation << " channels "
                                         << channels << " output " << rows << "x" << columns) {
              auto const found = run_layer<B, kind::conv, float>(given, 2).inference;
              BOOST_TEST(relative_difference(found, expected) <= tolerance);
            }
          }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(training_and_odd_layers_stay_direct, B, tested_backends) {
  auto const problem = winograd_problem(1, 9, 9, 16, 16, 3, 1, true);
  if (!septum::detail::has_direct_convolution()) return;
  BOOST_TEST(septum::detail::uses_winograd(problem));
  auto other = problem;
  other.training = true;
  BOOST_TEST(!septum::detail::uses_winograd(other));
  other = problem;
  other.in.channels = 15;
  BOOST_TEST(!septum::detail::uses_winograd(other));
  other = problem;
  other.geometry.kernel = 5;
  BOOST_TEST(!septum::detail::uses_winograd(other));
  other = problem;
  other.convolution = convolution_algorithm::direct;
  BOOST_TEST(!septum::detail::uses_winograd(other));
  using conv = septum::kernel<B, kind::conv, float>;
  BOOST_TEST(conv::grid(problem) == 4);
  BOOST_TEST(conv::grid(other) == 1);
}

// All passes of training, which the host backends other than onednn compute directly.
BOOST_AUTO_TEST_CASE_TEMPLATE(training_against_the_oracle, B, tested_backends) {
  double const tolerance = 4 * tolerance_of<B, float>;
  for (int const kernel : {3, 4})
    for (int const dilation : {1, 2, 4})
      for (auto const& [channels, filters] : {std::pair{16, 3}, {32, 41}, {48, 64}})
        for (auto const& [batch, rows, columns] :
             {std::array{1, 1, 1}, {3, 5, 9}, {1, 33, 70}, {70, 3, 3}})
          for (bool const first : {false, true}) {
            auto problem = winograd_problem(batch, rows, columns, channels, filters, kernel,
                                            dilation, first && rows < 10);
            problem.training = true;
            problem.input_gradient = !first;
            auto const given = make_case(problem, conv_parameters(problem), normal_values);
            auto const expected = run_layer<septum::reference, kind::conv, double>(given);
            BOOST_TEST_CONTEXT("kernel " << kernel << " dilation " << dilation << " channels "
                                         << channels << " filters " << filters << " batch " << batch
                                         << " output " << rows << "x" << columns) {
              auto const found = run_layer<B, kind::conv, float>(given);
              BOOST_TEST(relative_difference(found.output, expected.output) <= tolerance);
              BOOST_TEST(relative_difference(found.dx, expected.dx) <= tolerance);
              BOOST_TEST(relative_difference(found.dparameters, expected.dparameters) <= tolerance);
              BOOST_TEST((run_layer<B, kind::conv, float>(given, 3) == found),
                         "bytes with three threads");
            }
          }
}

BOOST_AUTO_TEST_CASE(layers_that_are_trained_this_way) {
  if (!septum::detail::has_direct_convolution()) return;
  auto problem = winograd_problem(1, 9, 9, 32, 32, 3, 1, true);
  BOOST_TEST(!septum::detail::trains_by_winograd(problem));
  problem.training = true;
  BOOST_TEST(septum::detail::trains_by_winograd(problem));
  problem.convolution = convolution_algorithm::automatic;
  BOOST_TEST(septum::detail::trains_by_winograd(problem));
  problem.convolution = convolution_algorithm::direct;
  BOOST_TEST(!septum::detail::trains_by_winograd(problem));
}

// Calls that start on the grid give the rows that one call gives, at any thread count.
BOOST_AUTO_TEST_CASE_TEMPLATE(calls_on_the_grid_give_the_same_bytes, B, tested_backends) {
  for (auto const& [kernel, dilation] : {std::pair{3, 2}, {3, 4}, {4, 1}, {4, 8}}) {
    auto const whole = winograd_problem(1, 61, 45, 32, 40, kernel, dilation, true);
    auto const weights = normal_floats(conv_parameters(whole), 1);
    auto const x = normal_floats(whole.in.size(), 2);
    auto const expected = convolve<B>(whole, weights, x.data(), 1);
    BOOST_TEST((convolve<B>(whole, weights, x.data(), 3) == expected));
    int const grid = septum::kernel<B, kind::conv, float>::grid(whole);
    auto const row_values = whole.in.width * whole.in.channels;
    auto const out_values = whole.out.width * whole.out.channels;
    for (int row = 0; row < 61; row += grid) {
      auto part = whole;
      part.out.height = std::min(grid, 61 - row);
      part.in.height = part.out.height + part.geometry.extent() - 1;
      auto const y = convolve<B>(part, weights, x.data() + row * row_values, 2);
      BOOST_TEST_CONTEXT("kernel " << kernel << " dilation " << dilation << " row " << row)
      BOOST_TEST(std::equal(y.begin(), y.end(), expected.begin() + row * out_values));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
