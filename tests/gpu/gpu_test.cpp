#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <memory>
#include <optional>
#include <septum/backend/eigen.hpp>
#include <septum/backend/reference.hpp>
#include <septum/exec/cuda_kernel_image.hpp>
#include <septum/image/adapt.hpp>
#include <septum/image/components.hpp>
#include <septum/image/device_contour.hpp>
#include <septum/image/device_regions.hpp>
#include <septum/net/device_ensemble.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/sample/batches.hpp>
#include <septum/sample/device_batches.hpp>
#include <septum/train/device_trainer.hpp>
#include <septum/train/trainer.hpp>
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
          // With tf32 the factors are given as it would round them: a relu that another rounding
          // turns on or off would say nothing about the kernels.
          for (auto* const values : {&given.x, &given.dy, &given.parameters})
            *values = precision == gpu_precision::tf32 ? restored(stored<sp::float16>(*values))
                                                       : restored(stored<T>(*values));
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

// Split factors keep 21 of 24 bits, and tensor cores do not round their sums to nearest.
BOOST_AUTO_TEST_CASE(split_factors_are_a_hundred_times_as_exact_as_tf32) {
  for (auto const [channels, filters, kernel, dilation] :
       {std::array{64, 64, 3, 2}, {128, 200, 3, 4}, {64, 200, 4, 8}, {200, 200, 1, 1}}) {
    auto problem = conv_problem(1, 20, 33, channels, filters, kernel, dilation, false);
    problem.training = false;
    auto given = make_case(problem, conv_parameters(problem), normal_values);
    for (auto* const values : {&given.x, &given.parameters})
      *values = restored(stored<float>(*values));
    auto const expected = run_layer<sp::reference, kind::conv, double>(given).inference;
    for (bool const split : {false, true}) {
      sp::device_contexts<sp::cudnn> contexts{*gpu(), {.split_factors = split}};
      auto const found = run_device_layer<sp::cudnn, kind::conv, float>(contexts.get<sp::cudnn>(),
                                                                        contexts.stream(), given)
                             .inference;
      auto const difference = relative_difference(found, expected);
      BOOST_TEST_MESSAGE(channels << " to " << filters << ", kernel " << kernel
                                  << (split ? ", split: " : ", whole: ") << difference);
      BOOST_TEST(difference < (split ? 2e-5 : (tolerance_of<sp::cudnn, float>)));
    }
  }
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
  for (auto const [channels, filters, kernel] : {std::array{5, 7, 3},
                                                 {64, 32, 3},
                                                 {1, 32, 4},
                                                 {200, 3, 1},
                                                 {2, 64, 3},
                                                 {12, 16, 3},
                                                 {128, 200, 3},
                                                 {200, 200, 1},
                                                 {64, 128, 4}}) {
    auto const convolution = conv_problem(2, 9, 8, channels, filters, kernel, 2, true);
    check(std::type_identity<kind::conv>{},
          make_case(convolution, conv_parameters(convolution), normal_values));
  }
}

// Three times the rounding of a direct sum.
BOOST_AUTO_TEST_CASE(winograd_equals_the_reference_whatever_the_workspace) {
  for (auto const [channels, filters, kernel, dilation] : {std::array{32, 64, 3, 2},
                                                           {64, 64, 4, 1},
                                                           {64, 128, 3, 4},
                                                           {128, 200, 3, 4},
                                                           {64, 200, 4, 8},
                                                           {8, 72, 3, 1}}) {
    auto problem = conv_problem(2, 37, 51, channels, filters, kernel, dilation, true);
    problem.training = false;
    problem.convolution = sp::convolution_algorithm::winograd;
    auto given = make_case(problem, conv_parameters(problem), normal_values);
    for (auto* const values : {&given.x, &given.parameters})
      *values = restored(stored<float>(*values));
    auto const expected = run_layer<sp::reference, kind::conv, double>(given).inference;
    std::vector<double> first;
    for (std::size_t const megabytes : {1500U, 12U, 1U}) {
      sp::device_contexts<sp::cuda> contexts{*gpu(), {.workspace_limit = megabytes << 20}};
      auto const found = run_device_layer<sp::cuda, kind::conv, float>(contexts.get<sp::cuda>(),
                                                                       contexts.stream(), given)
                             .inference;
      if (first.empty()) {
        auto const difference = relative_difference(found, expected);
        BOOST_TEST_MESSAGE(channels << " to " << filters << ", kernel " << kernel << ": "
                                    << difference);
        BOOST_TEST(difference < (3 * tolerance_of<sp::cudnn, float>));
        first = found;
      }
      BOOST_TEST((found == first), megabytes << " MB");
    }
  }
}

// The net without its softmax on a frame: differences from sums in double.
template <class Net>
void check_logits() {
  using dense = sp::fused_t<sp::fully_convolutional_t<Net>>;
  constexpr auto layers = static_cast<std::size_t>(sp::base_stack_t<dense>::depth);
  using logits = sp::truncated_t<dense, layers - 1>;
  constexpr int side = 84;
  constexpr int channels = sp::base_stack_t<Net>::input_channels;
  auto const parameters = sp::fold_batch_norm<Net, float>(sp::he_normal<Net, float>({3, 1}));
  auto const values = normal_values(static_cast<std::size_t>(side * side * channels), 9);
  constexpr int rows = side + 1 - sp::base_stack_t<Net>::receptive_field;
  constexpr int classes = sp::base_stack_t<Net>::output.channels;
  sp::network<double> oracle{
      sp::detail::assemble<logits, sp::reference, double, false>(sp::exec::threads{8})};
  oracle.prepare(1, side, side);
  std::vector<double> expected(static_cast<std::size_t>(rows * rows * classes));
  oracle.forward(oracle.pack(std::vector<double>(parameters.begin(), parameters.end())),
                 {values.data(), {1, side, side, channels}},
                 {expected.data(), {1, rows, rows, classes}});
  for (auto const convolution :
       {sp::convolution_algorithm::direct, sp::convolution_algorithm::automatic}) {
    sp::device_contexts<sp::cudnn> contexts{*gpu()};
    sp::device_network<float> net{
        sp::detail::assemble_on_device<logits, sp::cudnn, float>(contexts), convolution};
    net.prepare(contexts.api(), 1, side, side);
    auto const weights = net.upload(contexts.stream(), parameters);
    auto const x = upload(contexts.stream(), stored<float>(values));
    sp::device_memory<float> const y{contexts.api(), expected.size()};
    net.forward(sp::view<float const, 1, sp::device_space>{weights.values()},
                sp::view<float const, 4, sp::device_space>{x.data(), {1, side, side, channels}},
                {y.data(), {1, rows, rows, classes}});
    auto const difference = relative_difference(download(contexts.stream(), y), expected);
    BOOST_TEST_MESSAGE("logits, field "
                       << sp::base_stack_t<Net>::receptive_field << ", "
                       << (convolution == sp::convolution_algorithm::direct ? "direct: "
                                                                            : "automatic: ")
                       << difference);
    BOOST_TEST(difference < 2e-5);
  }
}

BOOST_AUTO_TEST_CASE(logits_in_f32_are_those_of_sums_in_double_but_for_rounding) {
  check_logits<sp::bn_feature_net_31x31<1, 3>>();
  check_logits<sp::bn_feature_net_61x61<2, 3>>();
}

template <class Net>
void check_frames(std::size_t rows, std::size_t columns) {
  std::vector<std::vector<float>> sets;
  for (std::uint64_t k = 0; k < 2; ++k) sets.push_back(sp::he_normal<Net, float>({k, 1}));
  constexpr int channels = sp::base_stack_t<Net>::input_channels;
  sp::image pixels = sp::image::from_shape({rows, columns, channels});
  auto const values = normal_values(pixels.size(), 9);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels.data()[i] = static_cast<float>(values[i]);
  auto const expected =
      sp::ensemble<Net, sp::eigen>{
          sets, {.threads = {8}, .convolution = sp::convolution_algorithm::direct}}
          .predict(pixels);
  for (auto const convolution :
       {sp::convolution_algorithm::automatic, sp::convolution_algorithm::direct}) {
    std::optional<sp::probabilities> first;
    int heights = 0;
    for (int const side : {1 << 20, 80, 50, 13}) {
      sp::device_ensemble<Net> nets{
          sets, *gpu(), {.convolution = convolution, .largest_tile = side}};
      auto const found = nets.predict(pixels);
      heights += nets.frames().tiles().tile_height;
      double most = 0.0;
      for (std::size_t i = 0; i < found.size(); ++i)
        most = std::max(most, std::abs(static_cast<double>(found.data()[i]) -
                                       static_cast<double>(expected.data()[i])));
      BOOST_TEST(most < 2e-5);
      if (!first) first = found;
      BOOST_TEST((found == *first), "tiles of " << side);
      BOOST_TEST((nets.predict(pixels) == *first));
    }
    BOOST_TEST(heights < 4 * (static_cast<int>(rows) + 1 - sp::base_stack_t<Net>::receptive_field));
  }
}

BOOST_AUTO_TEST_CASE(frames_equal_those_of_the_host_and_tiles_change_no_byte) {
  check_frames<sp::bn_feature_net_31x31<1, 3>>(150, 170);
  check_frames<sp::bn_feature_net_61x61<2, 3>>(250, 230);
}

// Noise with blobs, so that contours move, meet and part.
xt::xtensor<float, 2> blobs(std::size_t rows, std::size_t columns) {
  xt::xtensor<float, 2> pixels = xt::zeros<float>({rows, columns});
  auto const noise = normal_values(pixels.size(), 21);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) {
      double const wave =
          std::sin(0.15 * static_cast<double>(r)) * std::sin(0.13 * static_cast<double>(c));
      pixels(r, c) = static_cast<float>(0.5 + 0.4 * wave + 0.1 * noise[r * columns + c]);
    }
  return pixels;
}

template <class Constrain>
void check_contour() {
  auto const pixels = blobs(300, 413);
  sp::mask start = xt::zeros<std::uint8_t>(pixels.shape());
  for (std::size_t i = 0; i < start.size(); ++i) start.data()[i] = pixels.data()[i] > 0.85F;
  sp::morphological_contour<sp::chan_vese, sp::curvature_smoothing, Constrain> const contour{
      .data = {.lambda_outside = 1.2}, .iterations = 60};
  sp::device_contour<Constrain> const on_device{gpu()->cuda, gpu()->kernels, contour};
  auto const expected = contour(sp::as_view(pixels), start);
  for (int repeat = 0; repeat < 3; ++repeat)
    BOOST_TEST((on_device(sp::as_view(pixels), start) == expected));
}

BOOST_AUTO_TEST_CASE(contours_are_those_of_the_host_byte_by_byte) {
  check_contour<sp::unconstrained>();
  check_contour<sp::separate_components>();
  check_contour<sp::keep_start>();
}

BOOST_AUTO_TEST_CASE(components_are_those_of_the_host) {
  auto const pixels = blobs(700, 900);
  sp::mask inside = xt::zeros<std::uint8_t>(pixels.shape());
  for (std::size_t i = 0; i < inside.size(); ++i) inside.data()[i] = pixels.data()[i] > 0.5F;
  sp::cuda_stream const stream{*gpu()->cuda};
  sp::kernel_library kernels{*gpu()->cuda, gpu()->kernels};
  auto const bytes = upload(stream, std::vector<std::uint8_t>(inside.begin(), inside.end()));
  sp::device_memory<std::int32_t> const labels{*gpu()->cuda, inside.size()};
  sp::device_components components{stream, kernels, 700, 900};
  for (bool const diagonals : {false, true}) {
    components.label({bytes.data(), {700, 900}}, {labels.data(), {700, 900}}, diagonals);
    auto const expected = sp::connected_components(
        inside, diagonals ? sp::connectivity::eight : sp::connectivity::four);
    auto const found = download(stream, labels);
    BOOST_TEST(std::equal(found.begin(), found.end(), expected.begin()));
  }
}

BOOST_AUTO_TEST_CASE(training_follows_the_host_and_repeats_itself) {
  using net = sp::bn_feature_net_31x31<1, 3>;
  auto const frame = blobs(120, 140);
  sp::view<float const, 3> const pixels{frame.data(), {120, 140, 1}};
  std::vector<sp::patch_index> patches;
  for (int k = 0; k < 96; ++k)
    patches.push_back({0, 20 + 7 * k % 80, 20 + 11 * k % 100, static_cast<std::uint8_t>(k % 3)});
  sp::batch_options const options{.window = 31, .batch_size = 32, .seed = 5};
  sp::training_schedule const schedule{.epochs = 2, .rate = 0.01, .seed = 6};
  sp::patch_batches host_training{{pixels}, patches, options};
  sp::patch_batches host_validation{{pixels}, {}, options};
  sp::trainer<net, sp::reference> host{schedule};
  auto expected = host.start();
  host.run(
      expected, host_training, host_validation, [](auto const&) {}, [](auto const&) {});
  std::vector<float> first;
  for (int repeat = 0; repeat < 2; ++repeat) {
    sp::device_contexts<sp::cudnn> contexts{*gpu()};
    sp::kernel_library kernels{contexts.api(), gpu()->kernels};
    sp::device_patch_batches training{contexts.stream(), kernels, {pixels}, patches, options};
    sp::device_patch_batches validation{contexts.stream(), kernels, {pixels}, {}, options};
    sp::device_trainer<net, sp::cudnn> trainer{contexts, schedule};
    auto found = trainer.start();
    trainer.run(
        found, training, validation, [](auto const&) {}, [](auto const&) {});
    for (std::size_t k = 0; k < expected.history.size(); ++k)
      BOOST_TEST(std::abs(found.history[k].training_loss - expected.history[k].training_loss) <
                 1e-3);
    if (repeat == 0) first = found.parameters;
    BOOST_TEST((found.parameters == first));
  }
}

BOOST_AUTO_TEST_SUITE_END()
