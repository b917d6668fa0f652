#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <septum/backend/reference.hpp>
#include <septum/core/rng.hpp>
#include <septum/image/components.hpp>
#include <septum/image/types.hpp>
#include <septum/net/parameters.hpp>
#include <septum/segment/presets.hpp>
#include <string_view>

// The four applications as compositions, with nets small enough for the reference backend.

namespace {

namespace sp = septum;

template <int Channels, int Classes>
struct small_net : sp::stack<sp::input<Channels>, sp::conv<6, 3>, sp::relu, sp::conv<8, 3>,
                             sp::relu, sp::dense<Classes>, sp::softmax> {
  static constexpr std::string_view name = "small_net";
};

template <class Net>
sp::model random_model(std::uint64_t seed) {
  sp::model trained;
  trained.description.architecture = std::string{Net::name};
  trained.description.signature = sp::base_stack_t<Net>::signature;
  trained.description.receptive_field = Net::receptive_field;
  trained.layout = sp::tensor_layout<Net>();
  for (std::uint64_t set : {0U, 1U})
    trained.parameter_sets.push_back(sp::he_normal<Net>({seed, set}));
  return trained;
}

sp::image picture(std::size_t channels) {
  sp::counter_rng const rng{3, 8};
  sp::image pixels = sp::image::from_shape({48, 40, channels});
  for (std::size_t r = 0; r < 48; ++r)
    for (std::size_t c = 0; c < 40; ++c)
      for (std::size_t k = 0; k < channels; ++k)
        pixels(r, c, k) = static_cast<float>(((r / 8 + c / 8) % 2 == k % 2 ? 300 : 100) +
                                             20 * rng.uniform((r * 40 + c) * channels + k));
  return pixels;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(presets)

BOOST_AUTO_TEST_CASE(bacteria_are_grown_cores_and_a_filter) {
  using net = small_net<1, 3>;
  auto const trained = random_model<net>(5);
  auto segment =
      sp::bacteria<sp::reference, net>(trained, {.above = 0.3F, .keep = {.area_min = 4}});
  auto const published = sp::published_bacteria_options();
  BOOST_TEST(published.above == 0.6F);
  BOOST_TEST(published.core_above == published.above);
  sp::probabilities maps;
  auto const cells = segment(picture(1), maps);
  sp::labels expected;
  sp::grown_cores<1>{.above = 0.3F}(expected, maps, {});
  sp::region_filter{.area_min = 4}(expected, maps, {});
  BOOST_TEST(sp::largest_label(cells) > 0);
  BOOST_TEST((cells == expected));
}

BOOST_AUTO_TEST_CASE(cytoplasm_grows_from_nuclei) {
  using net = small_net<2, 3>;
  using nuclear_net = small_net<1, 3>;
  auto const nuclear = random_model<nuclear_net>(5);
  auto const trained = random_model<net>(7);
  for (auto const mode : {sp::contour_mode::published, sp::contour_mode::separate_labels}) {
    sp::cytoplasm_options const options{
        .nuclei = {.above = 0.3F, .area_min = 3, .eccentricity_max = 1, .solidity_min = 0},
        .mode = mode,
        .iterations = 20};
    auto segment = sp::cytoplasm<sp::reference, net, nuclear_net>(nuclear, trained, options);
    auto const raw = picture(2);
    auto const found = segment(raw);
    // The nuclei are those of the nuclear channel alone, the cells what grows from them.
    auto alone = sp::nuclei<sp::reference, nuclear_net>(nuclear, options.nuclei);
    sp::image const marker = decltype(segment)::channel_of(raw, 1);
    BOOST_TEST(sp::largest_label(found.nuclei) > 0);
    BOOST_TEST((alone(marker) == found.nuclei));
    sp::labels expected = found.nuclei;
    sp::cell_contours<1>{.mode = mode, .iterations = 20}(expected, found.cell_maps, {});
    BOOST_TEST((found.cells == expected));
  }
  auto segment = sp::cytoplasm<sp::reference, net, nuclear_net>(nuclear, trained);
  BOOST_CHECK_THROW(static_cast<void>(segment(picture(1))), sp::shape_error);
  BOOST_CHECK_THROW(
      static_cast<void>(sp::cytoplasm<sp::reference, net, nuclear_net>(trained, trained)),
      sp::weights_error);
}

BOOST_AUTO_TEST_CASE(a_coculture_sums_two_interiors) {
  using net = small_net<2, 4>;
  using nuclear_net = small_net<1, 3>;
  auto options = sp::coculture_options();
  BOOST_TEST(options.nuclei.eccentricity_max == 1.0);
  options.nuclei = {.above = 0.3F, .area_min = 3, .eccentricity_max = 1, .solidity_min = 0};
  options.iterations = 20;
  auto segment = sp::coculture<sp::reference, net, nuclear_net>(random_model<nuclear_net>(5),
                                                                random_model<net>(9), options);
  auto const found = segment(picture(2));
  sp::labels expected = found.nuclei;
  sp::cell_contours<1, 2>{.iterations = 20}(expected, found.cell_maps, {});
  BOOST_TEST((found.cells == expected));
}

BOOST_AUTO_TEST_SUITE_END()
