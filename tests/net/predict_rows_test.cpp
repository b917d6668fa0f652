// Probabilities that come row by row have the bytes of those of the whole image, whatever the
// tiles.
#include <septum/net/ensemble.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/nn/variant_nets.hpp>
#include <support/types.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace sp = septum;

namespace {

template <class Net, class B>
void check_rows(std::size_t height, std::size_t width, sp::convolution_algorithm convolution) {
  std::vector<std::vector<float>> const parameters{sp::he_normal<Net>({1, 2}),
                                                   sp::he_normal<Net>({2, 2})};
  sp::image pixels =
      sp::image::from_shape({height, width, static_cast<std::size_t>(Net::input_channels)});
  sp::counter_rng const rng{3, 3};
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels.data()[i] = static_cast<float>(rng.normal(i));
  sp::ensemble<Net, B> whole{parameters, {.threads = {2}, .convolution = convolution}};
  auto const expected = whole.predict(pixels);
  for (std::size_t const budget : {std::size_t{64} << 20U, std::size_t{6} << 20U})
    for (int const largest : {1 << 20, 40}) {
      sp::ensemble<Net, B> rows{parameters,
                                {.threads = {1},
                                 .budget_bytes = budget,
                                 .largest_tile = largest,
                                 .convolution = convolution}};
      int last = 0;
      std::vector<float> found;
      int most = 0;
      rows.predict_rows(
          static_cast<int>(height), static_cast<int>(width),
          [&](int first, int count) {
            BOOST_TEST(first >= last);
            last = first;
            most = std::max(most, count);
            auto const all = sp::as_view(static_cast<sp::image const&>(pixels));
            return sp::view<float const, 3>{&all(first, 0, 0),
                                            {count, all.extent(1), all.extent(2)}};
          },
          [&](sp::view<float const, 3> part) {
            found.insert(found.end(), part.data(), part.data() + part.size());
          });
      BOOST_TEST(most == rows.rows_at_once(static_cast<int>(height), static_cast<int>(width)));
      BOOST_REQUIRE_EQUAL(found.size(), expected.size());
      BOOST_TEST(std::equal(found.begin(), found.end(), expected.begin()),
                 "budget " << budget << ", tiles up to " << largest);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(predict_rows)

BOOST_AUTO_TEST_CASE_TEMPLATE(rows_have_the_bytes_of_the_image, B, tested_backends) {
  using sp::convolution_algorithm;
  for (auto const convolution : {convolution_algorithm::direct, convolution_algorithm::winograd}) {
    check_rows<sp::bn_feature_net_31x31<1, 3>, B>(151, 120, convolution);
    check_rows<sp::bn_feature_net_31x31<2, 3>, B>(31, 200, convolution);
  }
  // This one cannot run in strips.
  check_rows<sp::multires_feature_net_31x31<1, 3>, B>(90, 75, convolution_algorithm::direct);
}

BOOST_AUTO_TEST_SUITE_END()
