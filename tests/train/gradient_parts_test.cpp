// A batch dealt out in parts: the gradient of the whole batch where nothing in the net looks across
// the batch, and the same bits however many processes share the parts.
#include <septum/nn/feature_nets.hpp>
#include <septum/nn/variant_nets.hpp>
#include <septum/train/gradient.hpp>
#include <septum/train/gradient_parts.hpp>
#include <support/types.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sp = septum;

namespace {

struct batch {
  int count = 7;
  std::vector<float> pixels;
  std::vector<std::uint8_t> classes;

  explicit batch(int field) : pixels(static_cast<std::size_t>(count * field * field)) {
    sp::counter_rng const rng{5, 5};
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(rng.normal(i));
    for (int i = 0; i < count; ++i) classes.push_back(static_cast<std::uint8_t>(i % 3));
    classes[3] = sp::ignored_label;
  }
  [[nodiscard]] sp::view<float const, 4> view(int field) const {
    return {pixels.data(), {count, field, field, 1}};
  }
};

// One process's call, with what all processes left in `gradients` and `sums`.
template <class Net>
std::vector<float> gradient_in_parts(sp::gradient_parts const& parts, batch const& data,
                                     sp::loss_sums& sums) {
  sp::gradient_net<Net, sp::reference> gradient_of;
  sp::parted_gradient parted{parts};
  auto const parameters = sp::he_normal<Net>({3, 3});
  std::vector<double> const weights{1.0, 2.0, 0.5};
  std::vector<float> gradient(parameters.size());
  sums =
      parted(gradient_of, sp::parameter_slices<Net>(), parameters, data.view(Net::receptive_field),
             data.classes, sp::cross_entropy{weights}, gradient, sp::counter_rng{1, 1});
  return gradient;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parts)

BOOST_AUTO_TEST_CASE(parts_without_batch_norm_sum_to_the_whole) {
  using net = sp::feature_net_31x31<1, 3>;
  batch const data{net::receptive_field};
  sp::gradient_net<net, sp::reference> gradient_of;
  auto const parameters = sp::he_normal<net>({3, 3});
  std::vector<double> const weights{1.0, 2.0, 0.5};
  std::vector<float> whole(parameters.size());
  auto const expected = gradient_of(parameters, data.view(net::receptive_field), data.classes,
                                    sp::cross_entropy{weights}, whole, sp::counter_rng{1, 1});
  float largest = 0.0F;
  for (float const value : whole) largest = std::max(largest, std::abs(value));
  // More parts than inputs leave some empty.
  for (int const count : {2, 3, 7, 9}) {
    sp::loss_sums sums;
    auto const dealt =
        gradient_in_parts<net>({.count = count, .first = 0, .last = count}, data, sums);
    float worst = 0.0F;
    for (std::size_t i = 0; i < whole.size(); ++i)
      worst = std::max(worst, std::abs(dealt[i] - whole[i]));
    BOOST_TEST(worst <= 2e-6F * largest, count << " parts: " << worst / largest);
    BOOST_TEST(sums.count == expected.count);
    BOOST_TEST(sums.correct == expected.correct);
    BOOST_TEST(sums.weight == expected.weight, boost::test_tools::tolerance(1e-12));
    BOOST_TEST(sums.loss == expected.loss, boost::test_tools::tolerance(1e-6));
  }
}

BOOST_AUTO_TEST_CASE(processes_that_share_parts_get_the_bits_of_one) {
  using net = sp::bn_feature_net_31x31<1, 3>;
  batch const data{net::receptive_field};
  constexpr int count = 4;
  sp::loss_sums sums;
  auto const alone =
      gradient_in_parts<net>({.count = count, .first = 0, .last = count}, data, sums);
  // Running statistics are there as well.
  BOOST_TEST(std::count(alone.begin(), alone.end(), 0.0F) <
             static_cast<std::ptrdiff_t>(alone.size()) / 2);
  for (int const processes : {2, 4}) {
    // First every process computes its blocks, then each gets those of all.
    std::vector<float> gradients(count * alone.size());
    std::vector<double> stored(count * std::size_t{4});
    for (int pass = 0; pass < 2; ++pass)
      for (int rank = 0; rank < processes; ++rank) {
        int const own = count / processes;
        auto const exchange = [&](std::span<float> values, std::span<double> values_of_sums) {
          auto const take = [&](auto from, auto& all) {
            auto const block = from.size() / static_cast<std::size_t>(processes);
            if (pass == 0)
              std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(block) * rank, block,
                          all.begin() + static_cast<std::ptrdiff_t>(block) * rank);
            else
              std::copy(all.begin(), all.end(), from.begin());
          };
          take(values, gradients);
          take(values_of_sums, stored);
        };
        sp::loss_sums shared;
        auto const found = gradient_in_parts<net>(
            {.count = count, .first = own * rank, .last = own * (rank + 1), .exchange = exchange},
            data, shared);
        if (pass == 0) continue;
        BOOST_TEST((found == alone), "rank " << rank << " of " << processes);
        BOOST_TEST(shared.loss == sums.loss);
      }
  }
}

BOOST_AUTO_TEST_SUITE_END()
