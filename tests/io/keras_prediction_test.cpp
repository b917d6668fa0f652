#include "../support/shared_data.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <septum/backend/eigen.hpp>
#include <septum/backend/reference.hpp>
#include <septum/image/types.hpp>
#include <septum/io/file.hpp>
#include <septum/io/keras.hpp>
#include <septum/io/npy.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/nn/feature_nets.hpp>
#include <string>
#include <type_traits>
#include <vector>
#include <xtensor/xmath.hpp>
#if defined(SEPTUM_TEST_ONEDNN)
#  include <septum/backend/onednn.hpp>
#endif

// The published nets on published images, against logits and probabilities computed in float64 by
// another implementation from the original files.

namespace {

namespace fs = std::filesystem;
namespace io = septum::io;

using maps = xt::xtensor<float, 3>;  // class or channel, row, column

/// Of a probability and, by compensated sums, of a logit. The largest logit of a case is 41, where
/// neighbouring floats are 3.8e-6 apart.
constexpr double tolerance = 1e-5;
/// Of a logit by plain sums (PyTorch in float32 is off by 2.1e-5).
constexpr double plain_tolerance = 1e-4;
constexpr double winograd_tolerance = 1e-4;

struct prediction_case {
  fs::path folder;
  fs::path weights;
  bool read_as_variance = false;
  maps input;
};

std::vector<prediction_case> list_cases() {
  std::vector<prediction_case> cases;
  auto const root = test::shared_data("prediction_cases");
  if (!root) return cases;
  for (auto const& entry : fs::directory_iterator{*root}) {
    auto const text = io::read_file(entry.path() / "case.json");
    auto const description = nlohmann::json::parse(text.text());
    cases.push_back({entry.path(), root->parent_path() / description["weights"].get<std::string>(),
                     description["batchnorm_fourth_array"] == "variance",
                     io::read_npy<float, 3>(entry.path() / "input.npy")});
  }
  std::sort(cases.begin(), cases.end(),
            [](auto const& a, auto const& b) { return a.folder < b.folder; });
  return cases;
}

/// The first `side` x `side` pixels with channels last.
septum::image corner_of(maps const& input, std::size_t side) {
  septum::image pixels = septum::image::from_shape({side, side, input.shape()[0]});
  for (std::size_t r = 0; r < side; ++r)
    for (std::size_t c = 0; c < side; ++c)
      for (std::size_t k = 0; k < input.shape()[0]; ++k) pixels(r, c, k) = input(k, r, c);
  return pixels;
}

/// The map before softmax.
template <class S, class B>
maps logits_of(septum::model const& trained, septum::image const& pixels,
               septum::convolution_algorithm convolution) {
  constexpr int depth = septum::base_stack_t<S>::depth;
  using without_softmax = septum::truncated_t<septum::fully_convolutional_t<S>, depth - 1>;
  septum::net<septum::fused_t<without_softmax>, B> net{{}, convolution};
  auto const side = static_cast<int>(pixels.shape()[0]);
  net.prepare(1, side, side);
  auto const parameters = septum::fold_batch_norm<S, float>(trained.parameter_sets.front());
  auto const packed = net.pack(parameters);
  auto const out = net.output();
  std::vector<float> values(out.size());
  net.forward(packed,
              {pixels.data(), {1, side, side, static_cast<std::ptrdiff_t>(pixels.shape()[2])}},
              {values.data(), {1, out.height, out.width, out.channels}});
  maps result =
      maps::from_shape({static_cast<std::size_t>(out.channels),
                        static_cast<std::size_t>(out.height), static_cast<std::size_t>(out.width)});
  std::size_t next = 0;
  for (std::size_t r = 0; r < result.shape()[1]; ++r)
    for (std::size_t c = 0; c < result.shape()[2]; ++c)
      for (std::size_t k = 0; k < result.shape()[0]; ++k) result(k, r, c) = values[next++];
  return result;
}

/// Where the processor has AVX2; `reference` sums plainly everywhere.
template <class B>
bool const has_compensated_sums =
    !std::is_same_v<B, septum::reference> && septum::detail::has_direct_convolution();

/// Largest difference over the pixels that `found` has.
double difference(maps const& found, maps const& expected) {
  double worst = 0;
  for (std::size_t k = 0; k < found.shape()[0]; ++k)
    for (std::size_t r = 0; r < found.shape()[1]; ++r)
      for (std::size_t c = 0; c < found.shape()[2]; ++c)
        worst = std::max(worst, std::abs(static_cast<double>(found(k, r, c)) -
                                         static_cast<double>(expected(k, r, c))));
  return worst;
}

template <class S, class B>
void compare(prediction_case const& each, septum::model const& trained, std::size_t side) {
  septum::image const pixels = corner_of(each.input, side);
  auto const wanted_logits = io::read_npy<float, 3>(each.folder / "expected_logit.npy");
  using septum::convolution_algorithm;
  auto const logits = logits_of<S, B>(trained, pixels, convolution_algorithm::compensated);
  BOOST_REQUIRE_EQUAL(logits.shape()[0], wanted_logits.shape()[0]);
  double const logit_difference = difference(logits, wanted_logits);
  double const plain_difference =
      difference(logits_of<S, B>(trained, pixels, convolution_algorithm::direct), wanted_logits);
  BOOST_TEST(logit_difference <= (has_compensated_sums<B> ? tolerance : plain_tolerance));
  BOOST_TEST(plain_difference <= plain_tolerance);

  auto const expected = io::read_npy<float, 3>(each.folder / "expected_probability.npy");
  auto const probability_difference = [&](septum::convolution_algorithm convolution) {
    septum::ensemble<S, B> predictor{trained, {.convolution = convolution}};
    auto const padded = predictor.predict(pixels);
    std::size_t const border = (septum::base_stack_t<S>::receptive_field - 1) / 2;
    maps probabilities = maps::from_shape(logits.shape());
    for (std::size_t k = 0; k < logits.shape()[0]; ++k)
      for (std::size_t r = 0; r < logits.shape()[1]; ++r)
        for (std::size_t c = 0; c < logits.shape()[2]; ++c)
          probabilities(k, r, c) = padded(r + border, c + border, k);
    return difference(probabilities, expected);
  };
  double const compensated = probability_difference(convolution_algorithm::compensated);
  double const direct = probability_difference(convolution_algorithm::direct);
  double const winograd = probability_difference(convolution_algorithm::winograd);
  BOOST_TEST(compensated <= tolerance);
  BOOST_TEST(direct <= tolerance);
  BOOST_TEST(winograd <= winograd_tolerance);
  BOOST_TEST_MESSAGE(each.folder.filename().string()
                     << " " << B::name << " logits " << logit_difference << ", plain sums "
                     << plain_difference << "; probabilities " << compensated << ", " << direct
                     << ", by Winograd " << winograd);
}

/// @param most  output pixels a side; 0 for all
template <class B>
void compare_all(std::size_t most) {
  for (prediction_case const& each : list_cases()) {
    BOOST_TEST_CONTEXT(each.folder.filename().string()) {
      auto const rule =
          each.read_as_variance ? io::statistics_rule::variance : io::statistics_rule::deviation;
      auto const trained = io::read_keras(each.weights, {.statistics = rule});
      auto const field = static_cast<std::size_t>(trained.description.receptive_field);
      std::size_t const whole = each.input.shape()[1];
      std::size_t const side = most == 0 ? whole : std::min(whole, most + field - 1);
      auto const channels = trained.description.channels.size();
      auto const classes = trained.description.classes.size();
      BOOST_REQUIRE_EQUAL(channels, each.input.shape()[0]);
      if (field == 31)
        compare<septum::bn_feature_net_31x31<1, 3>, B>(each, trained, side);
      else if (channels == 1)
        compare<septum::bn_feature_net_61x61<1, 3>, B>(each, trained, side);
      else if (classes == 3)
        compare<septum::bn_feature_net_61x61<2, 3>, B>(each, trained, side);
      else
        compare<septum::bn_feature_net_61x61<2, 4>, B>(each, trained, side);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(keras_prediction)

BOOST_AUTO_TEST_CASE(reference_gives_the_published_nets_answers) {
  compare_all<septum::reference>(2);
}

BOOST_AUTO_TEST_CASE(eigen_gives_the_published_nets_answers) { compare_all<septum::eigen>(0); }

#if defined(SEPTUM_TEST_ONEDNN)
BOOST_AUTO_TEST_CASE(onednn_gives_the_published_nets_answers) { compare_all<septum::onednn>(0); }
#endif

// Without an override the rule that made the case has to be found from the file.
BOOST_AUTO_TEST_CASE(the_rule_is_told_from_the_file) {
  for (prediction_case const& each : list_cases()) {
    if (each.folder.filename() == "nuclei_2016_net0_read_as_variance") continue;
    auto const trained = io::read_keras(each.weights);
    BOOST_TEST(trained.description.provenance.at("net_0.running_std") ==
               (each.read_as_variance ? "variance" : "deviation"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
