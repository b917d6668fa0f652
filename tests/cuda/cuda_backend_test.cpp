#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <septum/backend/cuda.hpp>
#include <septum/backend/reference.hpp>
#include <septum/nn/functor_lists.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

#include "../support/device_layer_run.hpp"
#include "../support/host_device.hpp"
#include "../support/tolerance.hpp"

namespace {

using septum::layer_problem;
namespace kind = septum::kind;

// A device with septum's kernels, a stream and the context of the backend cuda.
struct device {
  explicit device(host_device::order when = host_device::order::eager) : host{when} {
    host.add(septum::layer_functors<float>{});
    host.add(septum::layer_functors<septum::bfloat16>{});
    host.add(septum::layer_functors<septum::float16>{});
    host.add(septum::common_functors{});
  }
  host_device host;
  septum::cuda_api api = host_device::api();
  septum::cuda_stream stream{api};
  unsigned char image[1] = {0};
  septum::kernel_library library{api, image};
  septum::context<septum::cuda> context{stream, library};
};

template <class Kind, class T>
void check(layer_case given) {
  // The oracle sees the numbers as they are stored.
  for (auto* const values : {&given.x, &given.dy, &given.parameters})
    *values = restored(stored<T>(*values));
  auto const expected = run_layer<septum::reference, Kind, double>(given);
  for (auto const when : {host_device::order::eager, host_device::order::late}) {
    device d{when};
    auto const found = run_device_layer<septum::cuda, Kind, T>(d.context, d.stream, given);
    BOOST_TEST(relative_difference(found.inference, expected.inference) <
               (device_tolerance_of<septum::cuda, T>));
    BOOST_TEST(relative_difference(found.output, expected.output) <
               (device_tolerance_of<septum::cuda, T>));
    BOOST_TEST(relative_difference(found.dx, expected.dx) < (device_tolerance_of<septum::cuda, T>));
    BOOST_TEST(relative_difference(found.dparameters, expected.dparameters) <
               (device_tolerance_of<septum::cuda, T>));
    BOOST_TEST(d.host.faults.empty());
  }
}

using stored_types = std::tuple<float, septum::bfloat16, septum::float16>;

std::vector<double> positive_values(std::size_t count, std::uint64_t stream) {
  auto values = normal_values(count, stream);
  for (double& value : values) value = std::abs(value) + 0.5;
  return values;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_backend)

BOOST_AUTO_TEST_CASE_TEMPLATE(convolution, T, stored_types) {
  for (int const kernel : {1, 3, 4})
    for (int const dilation : {1, 2})
      for (bool const relu : {false, true}) {
        auto const problem = conv_problem(2, 3, 5, 3, 4, kernel, dilation, relu);
        BOOST_TEST_CONTEXT("kernel " << kernel << " dilation " << dilation << " relu " << relu)
        check<kind::conv, T>(make_case(problem, conv_parameters(problem), integer_values));
      }
}

// Filters and channels for which blocks of results share what is loaded, and few filters.
BOOST_AUTO_TEST_CASE_TEMPLATE(convolution_in_blocks, T, stored_types) {
  for (int const channels : {1, 2, 8, 24})
    for (int const filters : {8, 24, 3, 4})
      for (int const kernel : {1, 3})
        for (int const dilation : {1, 3}) {
          auto const problem = conv_problem(2, 3, 19, channels, filters, kernel, dilation, true);
          BOOST_TEST_CONTEXT("channels " << channels << " filters " << filters << " kernel "
                                         << kernel << " dilation " << dilation)
          check<kind::conv, T>(make_case(problem, conv_parameters(problem), integer_values));
        }
}

// Each result is added up in the same order as by the plain kernels.
BOOST_AUTO_TEST_CASE_TEMPLATE(blocks_give_the_bytes_of_the_plain_kernels, T, stored_types) {
  device d;
  auto const run = [&](layer_case const& given) {
    return run_device_layer<septum::cuda, kind::conv, T>(d.context, d.stream, given).inference;
  };
  // Floats of 16 channels share memory among threads, of 12 channels registers only.
  for (auto const [channels, filters] : {std::array{16, 16}, {12, 16}, {16, 3}}) {
    auto const problem = conv_problem(2, 4, 21, channels, filters, filters == 3 ? 1 : 3, 2, true);
    auto given = make_case(problem, conv_parameters(problem), normal_values);
    d.host.launches.clear();
    auto const found = run(given);
    auto const parameters = upload(d.stream, stored<T>(given.parameters));
    auto const x = upload(d.stream, stored<T>(given.x));
    septum::device_memory<T> const plain{d.api, given.dy.size()};
    d.context.launch(
        septum::map_extent(problem.batch, problem.out),
        septum::convolve<T>{
            {x.data(), {2, problem.in.height, problem.in.width, problem.in.channels}},
            septum::view<T const, 1, septum::device_space>{parameters.values()},
            {plain.data(), {2, problem.out.height, problem.out.width, problem.out.channels}},
            problem.geometry,
            true});
    auto const expected = restored(download(d.stream, plain));
    BOOST_TEST((found == expected));
    bool const shared = std::is_same_v<T, float> && channels == 16;
    auto const name = filters == 3 ? septum::kernel_entry_name<septum::multiply_few<T>>()
                      : shared     ? septum::kernel_entry_name<septum::convolve_product<8>>()
                                   : septum::kernel_entry_name<septum::convolve_blocked<T>>();
    BOOST_TEST(
        (std::find(d.host.launches.begin(), d.host.launches.end(), name) != d.host.launches.end()));
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(max_pool, T, stored_types) {
  for (septum::window const window :
       {septum::window{2, 2, 1}, {2, 1, 2}, {2, 1, 4}, {3, 3, 1}, {3, 2, 1}, {2, 3, 1}})
    for (int const channels : {1, 7, 16}) {
      layer_problem problem{
          .batch = 2, .in = {11, 8, channels}, .geometry = window, .training = true};
      problem.out = {window.out(11), window.out(8), channels};
      BOOST_TEST_CONTEXT("kernel " << window.kernel << " stride " << window.stride << " dilation "
                                   << window.dilation << " channels " << channels)
      check<kind::max_pool, T>(make_case(problem, 0, integer_values));
    }
}

// Channels that go in packs and those that do not, in one group and in several, and pixels that
// are summed in one part and in several.
BOOST_AUTO_TEST_CASE_TEMPLATE(batch_norm, T, stored_types) {
  for (auto const [channels, batch] : {std::array{3, 9}, {40, 1}, {36, 31}})
    for (bool const relu : {false, true}) {
      layer_problem problem{.batch = batch, .training = true};
      problem.in = problem.out = {6, 5, channels};
      problem.relu = relu;
      auto given = make_case(problem, static_cast<std::size_t>(4 * channels), positive_values);
      given.x = normal_values(given.x.size(), 4);
      given.dy = normal_values(given.dy.size(), 5);
      BOOST_TEST_CONTEXT("channels " << channels << " batch " << batch)
      check<kind::batch_norm, T>(given);
    }
}

// A pooling that runs within the layer gives what the two give one after the other, ties included.
BOOST_AUTO_TEST_CASE_TEMPLATE(batch_norm_with_a_pool_behind_it, T, stored_types) {
  using kernel = septum::kernel<septum::cuda, kind::batch_norm, T>;
  for (auto const values : {normal_values, integer_values})
    for (bool const relu : {false, true}) {
      layer_problem norm{.batch = 3, .training = true};
      norm.in = norm.out = {8, 14, 36};
      norm.relu = relu;
      layer_problem pool{.batch = 3, .in = norm.out, .out = {4, 7, 36}, .training = true};
      pool.geometry = {2, 2, 1};
      auto pooled = norm;
      pooled.pool = pool.geometry;
      pooled.out = pool.out;
      BOOST_TEST_REQUIRE(kernel::takes_pool(pooled));
      auto given = make_case(norm, 4 * 36, positive_values);
      given.x = values(given.x.size(), 4);
      auto behind = make_case(pool, 0, normal_values);
      for (auto* const each : {&given.x, &given.parameters, &behind.dy})
        *each = restored(stored<T>(*each));
      // The map between the two as the device would store it.
      behind.x =
          restored(stored<T>(run_layer<septum::reference, kind::batch_norm, double>(given).output));
      auto const expected_pool = run_layer<septum::reference, kind::max_pool, double>(behind);
      given.dy = expected_pool.dx;
      auto const expected = run_layer<septum::reference, kind::batch_norm, double>(given);

      device d;
      auto const x = upload(d.stream, stored<T>(given.x));
      auto const dy = upload(d.stream, stored<T>(behind.dy));
      auto const parameters = upload(d.stream, stored<T>(given.parameters));
      auto const random = upload(d.stream, std::vector<septum::counter_rng>{{1, 2}});
      septum::device_memory<T> const y{d.api, behind.dy.size()};
      septum::device_memory<T> const dx{d.api, given.x.size()};
      septum::device_memory<T> const gradient{d.api, given.parameters.size()};
      using map = septum::view<T, 4, septum::device_space>;
      map const in{x.data(), {3, 8, 14, 36}};
      map const out{y.data(), {3, 4, 7, 36}};
      auto const plan = kernel::prepare(d.context, pooled);
      auto saved = kernel::make_saved(d.context, plan);
      auto const packed = kernel::pack(d.context, plan, parameters.values());
      kernel::forward_train(d.context, plan, packed, saved, in, out,
                            septum::device_step{random.values()});
      kernel::backward(d.context, plan, packed, saved, in, out, {dy.data(), {3, 4, 7, 36}},
                       {dx.data(), {3, 8, 14, 36}}, gradient.values());
      BOOST_TEST(relative_difference(restored(download(d.stream, y)), expected_pool.output) <
                 (device_tolerance_of<septum::cuda, T>));
      BOOST_TEST(relative_difference(restored(download(d.stream, dx)), expected.dx) <
                 (device_tolerance_of<septum::cuda, T>));
      BOOST_TEST(relative_difference(restored(download(d.stream, gradient)), expected.dparameters) <
                 (device_tolerance_of<septum::cuda, T>));
      BOOST_TEST(d.host.faults.empty());
    }
  layer_problem odd{.batch = 1, .in = {7, 8, 8}, .out = {3, 4, 8}, .training = true};
  odd.pool = {2, 2, 1};
  BOOST_TEST(!kernel::takes_pool(odd));
}

// A mean that is a thousand deviations away leaves the variance all its digits.
BOOST_AUTO_TEST_CASE(batch_norm_of_values_far_from_zero) {
  layer_problem problem{.batch = 20, .training = true};
  problem.in = problem.out = {6, 5, 4};
  auto given = make_case(problem, 16, positive_values);
  given.x = normal_values(given.x.size(), 4);
  for (double& value : given.x) value = 1024.0 + std::round(64.0 * value) / 64.0;
  given.dy = normal_values(given.dy.size(), 5);
  check<kind::batch_norm, float>(given);
}

// The gradient of a first layer's weights, rows and filters that fill blocks and those that do not.
BOOST_AUTO_TEST_CASE(weights_of_a_first_layer) {
  for (int const kernel : {3, 4})
    for (int const channels : {1, 2})
      for (auto const [batch, height, width, filters] :
           {std::array{1, 3, 2, 5}, {3, 9, 11, 40}, {2, 40, 4, 32}}) {
        auto const problem =
            conv_problem(batch, height, width, channels, filters, kernel, 1, false);
        device d;
        auto const given = make_case(problem, conv_parameters(problem), integer_values);
        auto const expected = run_layer<septum::reference, kind::conv, double>(given);
        auto const found =
            run_device_layer<septum::cuda, kind::conv, float>(d.context, d.stream, given);
        BOOST_TEST_CONTEXT("kernel " << kernel << " channels " << channels << " filters "
                                     << filters)
        BOOST_TEST((found.dparameters == expected.dparameters));
        BOOST_TEST(d.host.faults.empty());
      }
}

BOOST_AUTO_TEST_CASE(a_bias_before_a_batch_norm_has_no_gradient) {
  auto problem = conv_problem(2, 4, 5, 3, 4, 3, 1, false);
  auto const given = make_case(problem, conv_parameters(problem), integer_values);
  auto without = given;
  without.problem.bias_gradient = false;
  device d;
  auto const name =
      septum::kernel_entry_name<septum::finish_channel_sums<septum::store_channel_sums<float>>>();
  auto const summed = [&] {
    return std::find(d.host.launches.begin(), d.host.launches.end(), name) != d.host.launches.end();
  };
  run_device_layer<septum::cuda, kind::conv, float>(d.context, d.stream, without);
  BOOST_TEST(!summed());
  run_device_layer<septum::cuda, kind::conv, float>(d.context, d.stream, given);
  BOOST_TEST(summed());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(softmax_relu_and_dropout, T, stored_types) {
  layer_problem problem{.batch = 3, .training = true, .dropout_rate = 0.4};
  problem.in = problem.out = {4, 7, 5};
  auto const given = make_case(problem, 0, normal_values);
  check<kind::softmax, T>(given);
  check<kind::pointwise<septum::rectify>, T>(given);
  check<kind::dropout, T>(given);
}

BOOST_AUTO_TEST_CASE(integer_results_are_those_of_the_reference_to_the_last_bit) {
  auto const problem = conv_problem(2, 4, 5, 3, 4, 3, 2, true);
  auto const given = make_case(problem, conv_parameters(problem), integer_values);
  auto const expected = run_layer<septum::reference, kind::conv, double>(given);
  device d;
  BOOST_TEST(
      (run_device_layer<septum::cuda, kind::conv, float>(d.context, d.stream, given) == expected));
}

BOOST_AUTO_TEST_CASE(every_call_that_fails_is_reported_and_nothing_stays_behind) {
  layer_problem problem{.batch = 2, .training = true};
  problem.in = problem.out = {3, 5, 3};
  auto const given = make_case(problem, 12, positive_values);
  int calls = 0;
  {
    device d;
    run_device_layer<septum::cuda, kind::batch_norm, float>(d.context, d.stream, given);
    calls = d.host.calls;
  }
  BOOST_TEST(calls > 20);
  for (int k = 1; k <= calls; ++k) {
    host_device host;
    host.add(septum::layer_functors<float>{});
    host.add(septum::common_functors{});
    host.fail_at = k;
    auto const api = host_device::api();
    auto const run = [&] {
      septum::cuda_stream const stream{api};
      unsigned char const image[1] = {0};
      septum::kernel_library library{api, image};
      septum::context<septum::cuda> context{stream, library};
      run_device_layer<septum::cuda, kind::batch_norm, float>(context, stream, given);
    };
    BOOST_TEST_CONTEXT("call " << k) {
      BOOST_CHECK_THROW(run(), septum::device_error);
      BOOST_TEST(host.alive() == 0U);
      BOOST_TEST(host.faults.empty());
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
