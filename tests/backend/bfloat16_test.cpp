// Maps in bfloat16 against the oracle in double on the same rounded numbers. Where the processor
// lacks the instructions there is nothing to test.
#include <septum/backend/eigen.hpp>
#include <support/layer_run.hpp>
#include <support/tolerance.hpp>

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#include "support/bfloat16_instructions.hpp"

namespace {

namespace kind = septum::kind;
using septum::bfloat16;
using septum::convolution_algorithm;
using septum::layer_problem;
using septum::map_scalar;

/// Half a unit in the last place of a number with 8 binary digits.
constexpr double rounding = 1.0 / 256.0;
/// Sums in float of products that are exact.
constexpr double summing = 4e-6;
/// Winograd's filtering rounds points of the input and of the weights.
constexpr double winograd_rounding = 0.03;

std::vector<double> rounded_values(std::size_t count, std::uint64_t stream) {
  auto values = normal_values(count, stream);
  for (double& value : values)
    value = static_cast<double>(static_cast<float>(bfloat16{static_cast<float>(value)}));
  return values;
}
std::vector<double> floats_but_for_weights(std::size_t count, std::uint64_t stream) {
  return stream == 2 ? normal_values(count, stream) : rounded_values(count, stream);
}

/// A map of either scalar.
struct stored_map {
  map_scalar scalar;
  std::vector<std::byte> bytes;

  stored_map(std::vector<double> const& values, map_scalar kind_of_value)
      : scalar{kind_of_value}, bytes(values.size() * septum::bytes_of(kind_of_value)) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      auto const value = static_cast<float>(values[i]);
      bfloat16 const half{value};
      if (scalar == map_scalar::f32)
        std::memcpy(bytes.data() + 4 * i, &value, 4);
      else
        std::memcpy(bytes.data() + 2 * i, &half, 2);
    }
  }
  std::vector<double> values() const {
    std::vector<double> result(bytes.size() / septum::bytes_of(scalar));
    for (std::size_t i = 0; i < result.size(); ++i) {
      float value = 0.0F;
      bfloat16 half{};
      if (scalar == map_scalar::f32) {
        std::memcpy(&value, bytes.data() + 4 * i, 4);
      } else {
        std::memcpy(&half, bytes.data() + 2 * i, 2);
        value = static_cast<float>(half);
      }
      result[i] = static_cast<double>(value);
    }
    return result;
  }
  septum::layer_map map(int batch, septum::shape s) {
    return {bytes.data(), {batch, s.height, s.width, s.channels}, scalar};
  }
};

/// Every pass of kernel<eigen, Kind, bfloat16>; outputs start as NaN.
template <class Kind>
layer_result<double> run_reduced(layer_case const& given, int threads = 1) {
  using kernel = septum::kernel<septum::eigen, Kind, bfloat16>;
  auto const& problem = given.problem;
  auto const unset = [](std::size_t count) { return std::vector<double>(count, NAN); };
  std::vector<float> const parameters{given.parameters.begin(), given.parameters.end()};
  std::vector<float> dparameters(parameters.size(), NAN);
  stored_map x{given.x, problem.in_scalar};
  stored_map dy{given.dy, problem.out_scalar};
  stored_map inference{unset(given.dy.size()), problem.out_scalar};
  stored_map output{unset(given.dy.size()), problem.out_scalar};
  stored_map dx{unset(problem.input_gradient ? given.x.size() : 0), problem.in_scalar};
  auto const in = x.map(problem.batch, problem.in);

  septum::context<septum::eigen> context{septum::exec::threads{threads}};
  auto const plan = kernel::prepare(context, problem);
  auto const packed = kernel::pack(context, plan, parameters);
  kernel::forward(context, plan, packed, in, inference.map(problem.batch, problem.out));
  if (problem.training) {
    auto saved = kernel::make_saved(context, plan);
    kernel::forward_train(context, plan, packed, saved, in, output.map(problem.batch, problem.out),
                          {7, 8});
    kernel::backward(context, plan, packed, saved, in, output.map(problem.batch, problem.out),
                     dy.map(problem.batch, problem.out), dx.map(problem.batch, problem.in),
                     dparameters);
  }
  return {inference.values(), output.values(), dx.values(),
          std::vector<double>(dparameters.begin(), dparameters.end())};
}

double tolerance_for(map_scalar scalar) { return scalar == map_scalar::bf16 ? rounding : summing; }

/// @param sums_in_dx roundings of a value of dx: of as many terms, added one by one
template <class Kind>
void check(layer_case const& given, double sums_in_dx = 1.0) {
  auto const& problem = given.problem;
  auto const expected = run_layer<septum::reference, Kind, double>(given);
  auto const found = run_reduced<Kind>(given);
  auto const with_two_threads = run_reduced<Kind>(given, 2);
  BOOST_TEST(relative_difference(found.inference, expected.inference) <=
             tolerance_for(problem.out_scalar));
  BOOST_TEST((with_two_threads.inference == found.inference), "bytes with two threads");
  if (!problem.training) return;
  BOOST_TEST(relative_difference(found.output, expected.output) <=
             tolerance_for(problem.out_scalar));
  BOOST_TEST(relative_difference(found.dx, expected.dx) <=
             sums_in_dx * tolerance_for(problem.in_scalar));
  BOOST_TEST(relative_difference(found.dparameters, expected.dparameters) <= summing);
  BOOST_TEST((with_two_threads == found), "bytes with two threads");
}

layer_problem with_scalars(layer_problem problem, map_scalar in, map_scalar out) {
  problem.in_scalar = in;
  problem.out_scalar = out;
  return problem;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bfloat16_maps)

BOOST_AUTO_TEST_CASE(convolution) {
  if (lacks_bfloat16_instructions()) return;
  for (int const kernel : {1, 3, 4})
    for (int const dilation : {1, 2, 4})
      for (auto const& [channels, filters] : {std::pair{2, 3}, {6, 20}, {34, 50}, {16, 64}})
        for (auto const& [batch, rows, columns] :
             {std::tuple{1, 5, 7}, {3, 4, 6}, {1, 3, 31}, {5, 2, 3}})
          for (bool const relu : {false, true})
            for (auto const out : {map_scalar::bf16, map_scalar::f32}) {
              auto const problem = with_scalars(
                  conv_problem(batch, rows, columns, channels, filters, kernel, dilation, relu),
                  map_scalar::bf16, out);
              BOOST_TEST_CONTEXT("kernel " << kernel << " dilation " << dilation << " channels "
                                           << channels << " filters " << filters << " batch "
                                           << batch << " columns " << columns << " relu " << relu)
              check<kind::conv>(make_case(problem, conv_parameters(problem), rounded_values));
            }
}

BOOST_AUTO_TEST_CASE(layer_that_sees_its_whole_input) {
  if (lacks_bfloat16_instructions()) return;
  for (int const kernel : {1, 3})
    for (auto const out : {map_scalar::bf16, map_scalar::f32}) {
      auto const problem =
          with_scalars(conv_problem(13, 1, 1, 10, 7, kernel, 1, false), map_scalar::bf16, out);
      check<kind::conv>(make_case(problem, conv_parameters(problem), rounded_values));
    }
}

// Forward multiplies the floats as they are; the gradient of the weights takes them rounded.
BOOST_AUTO_TEST_CASE(first_layer_sees_floats) {
  if (lacks_bfloat16_instructions()) return;
  for (int const channels : {1, 2, 5}) {
    auto problem = with_scalars(conv_problem(2, 6, 9, channels, 19, 3, 1, true), map_scalar::f32,
                                map_scalar::bf16);
    problem.input_gradient = false;
    check<kind::conv>(make_case(problem, conv_parameters(problem), rounded_values));
    problem.training = false;
    check<kind::conv>(make_case(problem, conv_parameters(problem), floats_but_for_weights));
  }
}

BOOST_AUTO_TEST_CASE(winograd) {
  if (lacks_bfloat16_instructions()) return;
  for (int const kernel : {3, 4})
    for (int const dilation : {1, 2, 4})
      for (auto const& [channels, filters] : {std::pair{32, 40}, {64, 200}}) {
        auto problem =
            with_scalars(conv_problem(1, 17, 23, channels, filters, kernel, dilation, true),
                         map_scalar::bf16, map_scalar::bf16);
        problem.training = false;
        problem.convolution = convolution_algorithm::winograd;
        auto given = make_case(problem, conv_parameters(problem), rounded_values);
        auto const expected = run_layer<septum::reference, kind::conv, double>(given).inference;
        auto const found = run_reduced<kind::conv>(given).inference;
        BOOST_TEST_CONTEXT("kernel " << kernel << " dilation " << dilation) {
          BOOST_TEST(relative_difference(found, expected) <= winograd_rounding);
          BOOST_TEST((run_reduced<kind::conv>(given, 2).inference == found));
          // It is not the direct sum.
          given.problem.convolution = convolution_algorithm::direct;
          BOOST_TEST((run_reduced<kind::conv>(given).inference != found));
        }
      }
}

BOOST_AUTO_TEST_CASE(max_pool) {
  if (lacks_bfloat16_instructions()) return;
  for (int const channels : {1, 17, 40})
    for (auto const& window :
         {septum::window{2, 2, 1}, septum::window{2, 1, 1}, septum::window{2, 1, 4}, {3, 2, 1}}) {
      layer_problem problem{.batch = 2,
                            .in = {11, 9, channels},
                            .out = {window.out(11), window.out(9), channels},
                            .geometry = window,
                            .training = true,
                            .in_scalar = map_scalar::bf16,
                            .out_scalar = map_scalar::bf16};
      // Where windows overlap, up to nine gradients meet.
      bool const overlap = window.stride < window.kernel || window.dilation > 1;
      check<kind::max_pool>(make_case(problem, 0, rounded_values), overlap ? 3.0 : 1.0);
    }
}

BOOST_AUTO_TEST_CASE(batch_norm) {
  if (lacks_bfloat16_instructions()) return;
  for (int const channels : {3, 16, 200})
    for (bool const relu : {false, true}) {
      layer_problem problem{.batch = 3,
                            .in = {9, 11, channels},
                            .out = {9, 11, channels},
                            .relu = relu,
                            .training = true,
                            .in_scalar = map_scalar::bf16,
                            .out_scalar = map_scalar::bf16};
      auto given = make_case(problem, 4 * static_cast<std::size_t>(channels), rounded_values);
      for (std::size_t k = 3 * static_cast<std::size_t>(channels); k < given.parameters.size(); ++k)
        given.parameters[k] = std::abs(given.parameters[k]) + 0.5;
      check<kind::batch_norm>(given);
    }
}

BOOST_AUTO_TEST_SUITE_END()
