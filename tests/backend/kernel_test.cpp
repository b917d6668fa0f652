// Every host backend against the oracle in double: forward, training and all gradients.
#include <support/layer_run.hpp>
#include <support/tolerance.hpp>
#include <support/types.hpp>

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <type_traits>

namespace {

using septum::layer_problem;
using septum::reference;
namespace kind = septum::kind;

/// kernel<B or its first fallback that implements Kind> against the oracle.
template <class B, class Kind, class T>
void check_against_oracle(layer_case const& given) {
  using backend = septum::resolved_backend_t<B, Kind, T>;
  auto const expected = run_layer<reference, Kind, double>(given);
  auto const found = run_layer<backend, Kind, T>(given);
  double const tolerance = tolerance_of<B, T>;
  BOOST_TEST(relative_difference(found.inference, expected.inference) <= tolerance);
  if (!given.problem.training) return;
  BOOST_TEST(relative_difference(found.output, expected.output) <= tolerance);
  BOOST_TEST(relative_difference(found.dx, expected.dx) <= tolerance);
  BOOST_TEST(relative_difference(found.dparameters, expected.dparameters) <= tolerance);
}

template <class B, class Kind>
void check_both_precisions(layer_case const& given) {
  check_against_oracle<B, Kind, float>(given);
  check_against_oracle<B, Kind, double>(given);
}

std::vector<double> positive_values(std::size_t count, std::uint64_t stream) {
  auto values = normal_values(count, stream);
  for (double& value : values) value = std::abs(value) + 0.5;
  return values;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels)

BOOST_AUTO_TEST_CASE_TEMPLATE(convolution, B, tested_backends) {
  for (int const kernel : {1, 3, 4})
    for (int const dilation : {1, 2, 4, 8})
      for (auto const& [channels, filters] : {std::pair{1, 3}, {5, 20}, {17, 8}})
        for (int const batch : {1, 3})
          for (bool const relu : {false, true}) {
            auto const problem =
                conv_problem(batch, 5, 7, channels, filters, kernel, dilation, relu);
            BOOST_TEST_CONTEXT("kernel " << kernel << " dilation " << dilation << " channels "
                                         << channels << " batch " << batch << " relu " << relu)
            check_both_precisions<B, kind::conv>(
                make_case(problem, conv_parameters(problem), normal_values));
          }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(convolution_of_the_first_layer_wants_no_input_gradient, B,
                              tested_backends) {
  auto problem = conv_problem(2, 6, 5, 1, 9, 4, 1, true);
  problem.input_gradient = false;
  check_both_precisions<B, kind::conv>(make_case(problem, conv_parameters(problem), normal_values));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(convolution_for_inference_only, B, tested_backends) {
  auto problem = conv_problem(1, 9, 11, 6, 13, 3, 2, true);
  problem.training = false;
  check_both_precisions<B, kind::conv>(make_case(problem, conv_parameters(problem), normal_values));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(layer_that_sees_its_whole_input, B, tested_backends) {
  for (int const kernel : {1, 3, 4})
    for (bool const relu : {false, true}) {
      auto const problem = conv_problem(13, 1, 1, 10, 7, kernel, 1, relu);
      BOOST_TEST_CONTEXT("kernel " << kernel << " relu " << relu)
      check_both_precisions<B, kind::conv>(
          make_case(problem, conv_parameters(problem), normal_values));
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(integer_convolutions_are_bit_equal, B, tested_backends) {
  for (int const kernel : {1, 3, 4})
    for (int const dilation : {1, 2, 8})
      for (auto const& [channels, filters] : {std::pair{1, 32}, {16, 20}})
        for (auto const& [rows, columns] : {std::pair{5, 9}, {1, 1}}) {
          auto const problem =
              conv_problem(2, rows, columns, channels, filters, kernel, dilation, true);
          auto const given = make_case(problem, conv_parameters(problem), integer_values);
          BOOST_TEST_CONTEXT("kernel " << kernel << " dilation " << dilation << " channels "
                                       << channels << " output " << rows << "x" << columns)
          BOOST_TEST((run_layer<B, kind::conv, float>(given) ==
                      run_layer<reference, kind::conv, float>(given)));
        }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(max_pool, B, tested_backends) {
  for (septum::window const window :
       {septum::window{2, 2, 1}, {2, 1, 2}, {2, 1, 4}, {3, 3, 1}, {3, 2, 1}, {2, 3, 1}})
    for (int const channels : {1, 7, 16, 37})
      for (int const batch : {1, 3}) {
        layer_problem problem{
            .batch = batch, .in = {11, 8, channels}, .geometry = window, .training = true};
        problem.out = {window.out(11), window.out(8), channels};
        BOOST_TEST_CONTEXT("kernel " << window.kernel << " stride " << window.stride << " dilation "
                                     << window.dilation << " channels " << channels) {
          // Integers make ties, whose gradient goes to the first maximum: equal to the last bit.
          auto const given = make_case(problem, 0, integer_values);
          using backend = septum::resolved_backend_t<B, kind::max_pool, float>;
          BOOST_TEST((run_layer<backend, kind::max_pool, float>(given) ==
                      run_layer<reference, kind::max_pool, float>(given)));
          check_both_precisions<B, kind::max_pool>(make_case(problem, 0, normal_values));
        }
      }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(batch_norm, B, tested_backends) {
  for (int const channels : {1, 6, 16, 37})
    for (int const batch : {2, 33})
      for (bool const relu : {false, true}) {
        layer_problem problem{.batch = batch, .training = true};
        problem.in = problem.out = {3, 5, channels};
        problem.relu = relu;
        auto given = make_case(problem, 4 * static_cast<std::size_t>(channels), positive_values);
        given.x = normal_values(given.x.size(), 4);
        given.dy = normal_values(given.dy.size(), 5);
        BOOST_TEST_CONTEXT("channels " << channels << " batch " << batch << " relu " << relu)
        check_both_precisions<B, kind::batch_norm>(given);
      }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(batch_norm_of_values_far_from_zero, B, tested_backends) {
  // Deviation 1 about a mean of 1000: a variance from plain sums of squares would be noise in
  // float.
  layer_problem problem{.batch = 20, .training = true};
  problem.in = problem.out = {6, 5, 3};
  auto given = make_case(problem, 12, positive_values);
  given.x = normal_values(given.x.size(), 4);
  for (double& value : given.x) value = static_cast<double>(static_cast<float>(value + 1000.0));
  using backend = septum::resolved_backend_t<B, kind::batch_norm, float>;
  auto const expected = run_layer<reference, kind::batch_norm, double>(given);
  auto const found = run_layer<backend, kind::batch_norm, float>(given);
  // The mean itself is rounded to float: half a unit in the last place of 1000 is 3e-5.
  BOOST_TEST(relative_difference(found.output, expected.output) < 5e-5);
  BOOST_TEST(std::abs(static_cast<double>(found.dparameters[9]) - expected.dparameters[9]) < 1e-5);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(batch_norm_of_a_constant_map, B, tested_backends) {
  layer_problem problem{.batch = 7, .training = true};
  problem.in = problem.out = {5, 9, 4};
  auto given = make_case(problem, 16, positive_values);
  std::fill(given.x.begin(), given.x.end(), 0.3);
  using backend = septum::resolved_backend_t<B, kind::batch_norm, float>;
  auto const found = run_layer<backend, kind::batch_norm, float>(given);
  for (std::size_t k = 0; k < 4; ++k) {
    BOOST_TEST(found.dparameters[12 + k] == std::sqrt(1e-6F));
    BOOST_TEST(found.output[k] == static_cast<float>(given.parameters[4 + k]));
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(softmax_relu_and_dropout, B, tested_backends) {
  for (int const channels : {1, 3, 10}) {
    layer_problem problem{.batch = 3, .training = true, .dropout_rate = 0.4};
    problem.in = problem.out = {4, 7, channels};
    auto const given = make_case(problem, 0, normal_values);
    BOOST_TEST_CONTEXT("channels " << channels) {
      check_both_precisions<B, kind::softmax>(given);
      check_both_precisions<B, kind::pointwise<septum::rectify>>(given);
      check_both_precisions<B, kind::dropout>(given);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
