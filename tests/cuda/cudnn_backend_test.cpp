#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <septum/backend/cudnn.hpp>
#include <septum/backend/reference.hpp>
#include <septum/nn/functor_lists.hpp>
#include <tuple>

#include "../support/device_layer_run.hpp"
#include "../support/host_cudnn.hpp"
#include "../support/host_device.hpp"
#include "../support/tolerance.hpp"

namespace {

namespace kind = septum::kind;
namespace fs = std::filesystem;
using septum::detail::cudnn_session;

// A device with cuDNN. Members are made in the order in which a program would.
struct cudnn_device {
  explicit cudnn_device(host_device::order when = host_device::order::eager) : host{when} {
    host.add(septum::layer_functors<float>{});
    host.add(septum::layer_functors<septum::bfloat16>{});
    host.add(septum::layer_functors<septum::float16>{});
    host.add(septum::common_functors{});
  }
  template <class T>
  layer_result<double> run(layer_case const& given) {
    auto const api = host_device::api();
    auto const table = std::make_shared<septum::detail::cudnn_api const>(host_cudnn::api());
    septum::cuda_stream const stream{api};
    unsigned char const image[1] = {0};
    septum::kernel_library kernels{api, image};
    septum::context<septum::cuda> on{stream, kernels};
    cudnn_session session{table, stream, septum::select_device(api), options};
    septum::context<septum::cudnn> context{on, session};
    auto result = run_device_layer<septum::cudnn, kind::conv, T>(context, stream, given);
    from_disk = session.plans_from_disk();
    from_heuristics = session.plans_from_heuristics();
    return result;
  }
  host_device host;
  host_cudnn library{host};
  septum::cudnn_options options;
  std::size_t from_disk = 0;
  std::size_t from_heuristics = 0;
};

layer_case small_case(bool relu = true) {
  auto const problem = conv_problem(2, 3, 4, 9, 4, 3, 2, relu);
  return make_case(problem, conv_parameters(problem), integer_values);
}

template <class T>
void check(layer_result<double> const& found, layer_case const& given) {
  auto const expected = run_layer<septum::reference, kind::conv, double>(given);
  BOOST_TEST(relative_difference(found.inference, expected.inference) <
             (device_tolerance_of<septum::cudnn, T>));
  BOOST_TEST(relative_difference(found.output, expected.output) <
             (device_tolerance_of<septum::cudnn, T>));
  BOOST_TEST(relative_difference(found.dparameters, expected.dparameters) <
             (device_tolerance_of<septum::cudnn, T>));
  if (given.problem.input_gradient)
    BOOST_TEST(relative_difference(found.dx, expected.dx) <
               (device_tolerance_of<septum::cudnn, T>));
}

// A folder that is gone afterwards.
struct scratch_folder {
  scratch_folder() { fs::remove_all(path); }
  ~scratch_folder() { fs::remove_all(path); }
  scratch_folder(scratch_folder const&) = delete;
  scratch_folder& operator=(scratch_folder const&) = delete;
  fs::path path = fs::path{"cudnn_plans_of_a_test"};
};

using stored_types = std::tuple<float, septum::bfloat16, septum::float16>;

}  // namespace

BOOST_AUTO_TEST_SUITE(cudnn_backend)

BOOST_AUTO_TEST_CASE_TEMPLATE(convolution_equals_the_reference, T, stored_types) {
  for (auto const when : {host_device::order::eager, host_device::order::late})
    for (int const kernel : {1, 3, 4})
      for (int const dilation : {1, 2})
        for (bool const relu : {false, true}) {
          auto problem = conv_problem(2, 3, 5, 9, 4, kernel, dilation, relu);
          problem.input_gradient = dilation == 1;
          auto const given = make_case(problem, conv_parameters(problem), integer_values);
          cudnn_device d{when};
          BOOST_TEST_CONTEXT("kernel " << kernel << " dilation " << dilation << " relu " << relu)
          check<T>(d.run<T>(given), given);
          BOOST_TEST(d.host.faults.empty());
          BOOST_TEST(d.library.descriptors == 0);
          BOOST_TEST(d.library.libraries == 0);
          BOOST_TEST(d.host.alive() == 0U);
        }
}

BOOST_AUTO_TEST_CASE(a_layer_without_fused_engine_adds_its_bias_by_an_own_kernel) {
  for (bool const relu : {false, true}) {
    cudnn_device d;
    d.library.takes_pointwise = false;
    auto const given = small_case(relu);
    check<float>(d.run<float>(given), given);
    BOOST_TEST(d.library.workspaces.size() == 4U);  // forward twice, data, filter
  }
}

BOOST_AUTO_TEST_CASE(a_layer_without_any_engine_runs_by_own_kernels) {
  cudnn_device d;
  d.library.engines.clear();
  auto const given = small_case();
  check<float>(d.run<float>(given), given);
  BOOST_TEST(d.library.workspaces.empty());
}

BOOST_AUTO_TEST_CASE(gradients_without_engine_run_by_own_kernels) {
  cudnn_device d;
  d.library.takes_gradients = false;
  auto const given = small_case();
  check<float>(d.run<float>(given), given);
  BOOST_TEST(d.library.workspaces.size() == 2U);
}

// A window over its whole input is asked for as a product.
BOOST_AUTO_TEST_CASE(a_layer_that_sees_its_whole_input_is_a_product) {
  auto const problem = conv_problem(5, 1, 1, 9, 6, 3, 1, true);
  auto const product = septum::as_covering_product(problem);
  BOOST_TEST(product.geometry.kernel == 1);
  BOOST_TEST(product.in.channels == 81);
  BOOST_TEST(septum::as_covering_product(conv_problem(5, 1, 2, 9, 6, 3, 1, true)).geometry.kernel ==
             3);
  auto const given = make_case(problem, conv_parameters(problem), integer_values);
  cudnn_device d;
  check<float>(d.run<float>(given), given);
  BOOST_TEST(d.library.workspaces.size() == 4U);
}

BOOST_AUTO_TEST_CASE(a_float_is_the_sum_of_what_tensor_cores_take) {
  for (float const value : normal_floats(1000, 3)) {
    septum::split_float const parts{value};
    for (float const part : {parts.high, parts.low})
      BOOST_TEST((septum::detail::float_bits(part) & 0x1FFFU) == 0U);
    BOOST_TEST(std::abs(static_cast<double>(parts.high) + static_cast<double>(parts.low) -
                        static_cast<double>(value)) <= 0x1p-22 * std::abs(value));
  }
  BOOST_TEST(septum::split_float{0.0F}.high == 0.0F);
  float const infinite = std::numeric_limits<float>::infinity();
  BOOST_TEST(septum::split_float{-infinite}.high == -infinite);
  BOOST_TEST(septum::split_float{-infinite}.low == 0.0F);
  BOOST_TEST(std::isnan(septum::split_float{infinite - infinite}.high));
}

BOOST_AUTO_TEST_CASE(f32_inference_multiplies_split_factors_where_there_are_tensor_cores) {
  auto problem = conv_problem(2, 5, 7, 12, 8, 3, 2, true);
  problem.training = false;
  auto const given = make_case(problem, conv_parameters(problem), normal_values);
  auto const expected = run_layer<septum::reference, kind::conv, double>(given).inference;
  auto const split = septum::kernel_entry_name<septum::split_map<>>();
  for (int const compute_capability : {75, 80, 90})
    for (bool const wanted : {false, true}) {
      cudnn_device d;
      d.host.compute_capability = compute_capability;
      d.options.split_factors = wanted;
      auto const found = d.run<float>(given).inference;
      BOOST_TEST(relative_difference(found, expected) < (tolerance_of<septum::cudnn, float>));
      bool const was_split =
          std::find(d.host.launches.begin(), d.host.launches.end(), split) != d.host.launches.end();
      BOOST_TEST(was_split == (wanted && compute_capability >= 80));
      BOOST_TEST(d.host.faults.empty());
    }
}

BOOST_AUTO_TEST_CASE(the_first_allowed_engine_that_builds_and_fits_is_taken) {
  namespace is = septum::detail::cudnn_constant;
  cudnn_device d;
  d.options.workspace_limit = 5000;
  d.library.engines = {{{is::note_tensor_core}, 1, true},
                       {{is::note_nondeterministic}, 2, true},
                       {{is::note_winograd_4x4}, 3, true},
                       {{}, 4, false},
                       {{}, 5001, true}};
  d.library.fallback_engines = {{{is::note_fft}, 7, true}, {{}, 4999, true}, {{}, 9, true}};
  auto const given = small_case();
  check<float>(d.run<float>(given), given);
  BOOST_TEST(d.library.workspaces == std::vector<std::int64_t>(4, 4999),
             boost::test_tools::per_element());
  BOOST_TEST(d.host.faults.empty());
}

BOOST_AUTO_TEST_CASE(precision_decides_about_rounding_of_factors) {
  namespace is = septum::detail::cudnn_constant;
  using septum::gpu_precision;
  auto const allowed = [](std::vector<int> const& notes, gpu_precision precision,
                          bool forward = true) {
    return septum::detail::engine_is_allowed(notes, precision, forward);
  };
  for (int const note : {is::note_tensor_core, is::note_down_convert_inputs}) {
    BOOST_TEST(!allowed({note}, gpu_precision::f32));
    for (auto const precision : {gpu_precision::tf32, gpu_precision::bf16, gpu_precision::f16})
      BOOST_TEST(allowed({note}, precision));
  }
  for (auto const precision :
       {gpu_precision::f32, gpu_precision::tf32, gpu_precision::bf16, gpu_precision::f16}) {
    BOOST_TEST(allowed({}, precision));
    for (int const note : {is::note_reduced_precision_reduction, is::note_fft,
                           is::note_nondeterministic, is::note_winograd, is::note_winograd_13x13})
      BOOST_TEST(!allowed({note}, precision));
    BOOST_TEST(!allowed({is::note_strict_nan}, precision));
    BOOST_TEST(allowed({is::note_strict_nan}, precision, false));
  }
}

BOOST_AUTO_TEST_CASE(plans_are_kept_in_memory_and_on_disk) {
  scratch_folder const folder;
  cudnn_device d;
  d.options.plan_folder = folder.path / "deep";
  auto const given = small_case();
  auto const first = d.run<float>(given);
  BOOST_TEST(d.from_heuristics == 3U);  // fused, data, filter
  BOOST_TEST(d.from_disk == 0U);
  auto const queries = d.library.heuristic_queries;
  auto const second = d.run<float>(given);
  BOOST_TEST(d.from_heuristics == 0U);
  BOOST_TEST(d.from_disk == 3U);
  BOOST_TEST(d.library.heuristic_queries == queries);
  BOOST_TEST((first == second));
  // Another precision, another version of the library or another shape is another plan.
  d.options.precision = septum::gpu_precision::tf32;
  d.run<float>(given);
  BOOST_TEST(d.from_disk == 0U);
  d.options.precision = septum::gpu_precision::f32;
  d.library.version = 92000;
  d.run<float>(given);
  BOOST_TEST(d.from_disk == 0U);
  d.library.version = 91900;
  d.run<float>(small_case(false));
  BOOST_TEST(d.from_disk == 2U);  // only the fused graph has a relu
}

BOOST_AUTO_TEST_CASE(a_damaged_plan_on_disk_is_found_anew) {
  scratch_folder const folder;
  cudnn_device d;
  d.options.plan_folder = folder.path;
  auto const given = small_case();
  d.run<float>(given);
  for (char const* const content : {"", "another key\nplan 0", "keep"}) {
    for (auto const& entry : fs::directory_iterator{folder.path}) {
      std::string key;
      std::getline(std::ifstream{entry.path()} >> std::ws, key);
      std::ofstream{entry.path()} << (std::string{content} == "keep" ? key + "\nnot a plan"
                                                                     : content);
    }
    check<float>(d.run<float>(given), given);
    BOOST_TEST(d.from_heuristics == 3U);
    BOOST_TEST(d.from_disk == 0U);
    d.run<float>(given);
    BOOST_TEST(d.from_disk == 3U);
  }
  // A folder that cannot be: a file has its name.
  d.options.plan_folder = folder.path / "file";
  std::ofstream{d.options.plan_folder} << "x";
  check<float>(d.run<float>(given), given);
  BOOST_TEST(d.from_heuristics == 3U);
}

BOOST_AUTO_TEST_CASE(every_call_that_fails_is_reported_or_gone_round_and_nothing_stays_behind) {
  auto const given = small_case();
  int calls = 0;
  {
    cudnn_device d;
    d.run<float>(given);
    calls = d.host.calls;
  }
  BOOST_TEST(calls > 100);
  int reported = 0;
  for (int k = 1; k <= calls; ++k) {
    cudnn_device d;
    d.host.fail_at = k;
    BOOST_TEST_CONTEXT("call " << k) {
      try {
        // An engine that does not build is no failure: the next one, or an own kernel, takes over.
        check<float>(d.run<float>(given), given);
      } catch (septum::device_error const& failure) {
        ++reported;
        BOOST_TEST((failure.kind() == septum::fault::resource));
      }
      BOOST_TEST(d.host.alive() == 0U);
      BOOST_TEST(d.library.descriptors == 0);
      BOOST_TEST(d.library.libraries == 0);
      BOOST_TEST(d.host.faults.empty());
    }
  }
  BOOST_TEST(reported > calls / 2);
}

BOOST_AUTO_TEST_CASE(errors_hold_the_words_of_the_library) {
  cudnn_device d;
  septum::detail::cudnn_api const api = host_cudnn::api();
  septum::detail::cudnn_descriptor tensor{api, septum::detail::cudnn_constant::tensor_descriptor};
  BOOST_CHECK_EXCEPTION(tensor.finalize(), septum::device_error, [](auto const& failure) {
    return failure.id() == "septum.device.9" &&
           failure.message().find("a tensor lacks an attribute") != std::string::npos;
  });
}

BOOST_AUTO_TEST_SUITE_END()
