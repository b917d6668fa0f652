#include <boost/test/unit_test.hpp>
#include <memory>
#include <optional>
#include <septum/backend/reference.hpp>
#include <septum/exec/cuda_kernel_image.hpp>
#include <septum/net/device_ensemble.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/nn/feature_nets.hpp>
#include <string>
#include <vector>

#include "../support/device_layer_run.hpp"
#include "../support/tolerance.hpp"

/// The device itself against the reference. Skipped where there is no GPU; compute-sanitizer runs
/// over these as well.
namespace {

namespace sp = septum;
namespace kind = septum::kind;
using sp::gpu_precision;

std::optional<sp::device_libraries> const& gpu() {
  static std::optional<sp::device_libraries> const found = []() -> decltype(found) {
    try {
      return sp::open_device_libraries(sp::cuda_kernel_image());
    } catch (sp::device_error const& missing) {
      BOOST_TEST_MESSAGE("no GPU: " << missing.what());
      return std::nullopt;
    }
  }();
  return found;
}

struct has_device {
  boost::test_tools::assertion_result operator()(boost::unit_test::test_unit_id) const {
    return gpu().has_value();
  }
};

// Relative to the largest magnitude. f32: as on the host. tf32 and bf16: factors of 10 and 7 bits
// of fraction; f16: 10 bits, stored values included.
double tolerance(gpu_precision precision) {
  switch (precision) {
    case gpu_precision::f32:
      return tolerance_of<sp::cudnn, float>;
    case gpu_precision::tf32:
      return 2e-3;
    case gpu_precision::bf16:
      return 2e-2;
    default:
      return 4e-3;
  }
}

template <class T>
void check_convolutions(gpu_precision precision) {
  sp::device_contexts<sp::cudnn> contexts{*gpu(), {.precision = precision}};
  for (int const kernel : {1, 3, 4})
    for (int const dilation : {1, 2, 8})
      for (bool const relu : {false, true})
        for (int const channels : {1, 2, 64}) {
          auto const problem = conv_problem(2, 9, 11, channels, 32, kernel, dilation, relu);
          auto given = make_case(problem, conv_parameters(problem), normal_values);
          for (auto* const values : {&given.x, &given.dy, &given.parameters})
            *values = restored(stored<T>(*values));
          auto const expected = run_layer<sp::reference, kind::conv, double>(given);
          auto const found = run_device_layer<sp::cudnn, kind::conv, T>(contexts.get<sp::cudnn>(),
                                                                        contexts.stream(), given);
          BOOST_TEST_CONTEXT(sp::name_of(precision) << " kernel " << kernel << " dilation "
                                                    << dilation << " channels " << channels) {
            BOOST_TEST(relative_difference(found.inference, expected.inference) <
                       tolerance(precision));
            BOOST_TEST(relative_difference(found.dx, expected.dx) < tolerance(precision));
            BOOST_TEST(relative_difference(found.dparameters, expected.dparameters) <
                       tolerance(precision));
          }
        }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gpu_device, *boost::unit_test::label("gpu") *
                                      boost::unit_test::precondition(has_device{}))

BOOST_AUTO_TEST_CASE(convolutions_of_cudnn_equal_the_reference) {
  check_convolutions<float>(gpu_precision::f32);
  check_convolutions<float>(gpu_precision::tf32);
  check_convolutions<sp::float16>(gpu_precision::f16);
  if (sp::select_device(*gpu()->cuda).compute_capability >= 80)
    check_convolutions<sp::bfloat16>(gpu_precision::bf16);
}

BOOST_AUTO_TEST_CASE(own_kernels_equal_the_reference) {
  sp::device_contexts<sp::cuda> contexts{*gpu()};
  auto& context = contexts.get<sp::cuda>();
  auto const check = [&]<class Kind>(std::type_identity<Kind>, layer_case const& given) {
    auto const expected = run_layer<sp::reference, Kind, double>(given);
    auto const found = run_device_layer<sp::cuda, Kind, float>(context, contexts.stream(), given);
    BOOST_TEST(relative_difference(found.inference, expected.inference) < 2e-6);
    BOOST_TEST(relative_difference(found.output, expected.output) < 2e-6);
    BOOST_TEST(relative_difference(found.dx, expected.dx) < 2e-6);
    BOOST_TEST(relative_difference(found.dparameters, expected.dparameters) < 2e-6);
  };
  sp::layer_problem same{.batch = 5, .training = true, .dropout_rate = 0.3};
  same.in = same.out = {17, 23, 6};
  auto const given = make_case(same, 0, normal_values);
  check(std::type_identity<kind::softmax>{}, given);
  check(std::type_identity<kind::pointwise<sp::rectify>>{}, given);
  check(std::type_identity<kind::dropout>{}, given);
  auto norm = make_case(same, 24, normal_values);
  for (double& value : norm.parameters) value = std::abs(value) + 0.5;
  check(std::type_identity<kind::batch_norm>{}, norm);
  for (sp::window const window : {sp::window{2, 2, 1}, {2, 1, 4}, {3, 2, 1}}) {
    sp::layer_problem pool{.batch = 3, .in = {31, 29, 16}, .geometry = window, .training = true};
    pool.out = {window.out(31), window.out(29), 16};
    check(std::type_identity<kind::max_pool>{}, make_case(pool, 0, integer_values));
  }
  auto const convolution = conv_problem(2, 9, 8, 5, 7, 3, 2, true);
  check(std::type_identity<kind::conv>{},
        make_case(convolution, conv_parameters(convolution), normal_values));
}

BOOST_AUTO_TEST_CASE(frames_equal_the_reference_and_tiles_change_no_byte) {
  using net = sp::bn_feature_net_31x31<1, 3>;
  std::vector<std::vector<float>> sets;
  for (std::uint64_t k = 0; k < 2; ++k) sets.push_back(sp::he_normal<net, float>({k, 1}));
  sp::image pixels = sp::image::from_shape({70, 90, 1});
  auto const values = normal_values(pixels.size(), 9);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels.data()[i] = static_cast<float>(values[i]);
  auto const expected = sp::ensemble<net, sp::reference>{sets}.predict(pixels);
  std::optional<sp::probabilities> first;
  for (int const side : {1 << 20, 24, 13}) {
    sp::device_ensemble<net> nets{sets, *gpu(), {.largest_tile = side}};
    auto const found = nets.predict(pixels);
    double most = 0.0;
    for (std::size_t i = 0; i < found.size(); ++i)
      most = std::max(most, std::abs(static_cast<double>(found.data()[i]) -
                                     static_cast<double>(expected.data()[i])));
    BOOST_TEST(most < 1e-5);
    if (!first) first = found;
    BOOST_TEST((found == *first));
  }
}

BOOST_AUTO_TEST_SUITE_END()
