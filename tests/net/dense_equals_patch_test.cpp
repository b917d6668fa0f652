#include <boost/test/unit_test.hpp>
#include <cmath>
#include <septum/backend/reference.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/nn/feature_nets.hpp>
#include <vector>

namespace sp = septum;

namespace {

// Small nets with the structure of the paper's: odd and even windows, one to three pools.
struct two_pools : sp::stack<sp::input<2>, sp::conv<3, 4>, sp::batch_norm, sp::relu,
                             sp::max_pool<2>, sp::conv<4, 3>, sp::batch_norm, sp::relu,
                             sp::max_pool<2>, sp::conv<5, 3>, sp::batch_norm, sp::relu,
                             sp::dense<6>, sp::batch_norm, sp::relu, sp::dense<3>, sp::softmax> {};
struct three_pools
    : sp::stack<sp::input<1>, sp::conv<3, 3>, sp::relu, sp::max_pool<2>, sp::conv<3, 3>,
                sp::batch_norm, sp::relu, sp::max_pool<2>, sp::conv<4, 2>, sp::batch_norm, sp::relu,
                sp::max_pool<2>, sp::conv<5, 2>, sp::batch_norm, sp::relu, sp::dropout<50>,
                sp::dense<4>, sp::softmax> {};
struct overlapping_pool
    : sp::stack<sp::input<1>, sp::conv<3, 3>, sp::relu, sp::max_pool<3, 2>, sp::conv<3, 3>,
                sp::relu, sp::conv<4, 3>, sp::dense<3>, sp::softmax> {};

// Parameters with statistics that are neither 0 nor 1, so that folding is tested.
template <class S, class T>
std::vector<T> random_parameters(std::uint64_t seed) {
  auto parameters = sp::he_normal<S, T>({seed, 1});
  sp::counter_rng const rng{seed, 99};
  for (auto const& slice : sp::parameter_slices<S>())
    if (slice.role != sp::parameter_role::weight)
      for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i)
        parameters[i] = static_cast<T>(
            (slice.role == sp::parameter_role::running_deviation ? 1.0 : 0.0) +
            0.5 * rng.uniform(i) + (slice.role == sp::parameter_role::scale ? 0.5 : -0.2));
  return parameters;
}

template <class S, class T>
std::vector<T> run(std::vector<T> const& parameters, std::vector<T> const& pixels, int height,
                   int width) {
  sp::net<S, sp::reference, T> net;
  net.prepare(1, height, width);
  auto const packed = net.pack(parameters);
  auto const out = net.output();
  std::vector<T> result(out.size());
  net.forward(packed, {pixels.data(), {1, height, width, sp::base_stack_t<S>::input_channels}},
              {result.data(), {1, out.height, out.width, out.channels}});
  return result;
}

template <class S>
void compare_dense_with_patches(int height, int width) {
  constexpr int field = sp::base_stack_t<S>::receptive_field;
  constexpr int channels = sp::base_stack_t<S>::input_channels;
  auto const parameters = random_parameters<S, double>(7);
  sp::counter_rng const rng{5, 5};
  std::vector<double> pixels(static_cast<std::size_t>(height * width * channels));
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = rng.normal(i);
  auto const dense = run<sp::fully_convolutional_t<S>>(parameters, pixels, height, width);
  auto const folded = run<sp::fused_t<sp::fully_convolutional_t<S>>>(
      sp::fold_batch_norm<S, double>(parameters), pixels, height, width);
  int const rows = height - field + 1;
  int const columns = width - field + 1;
  auto const classes = static_cast<std::size_t>(sp::base_stack_t<S>::output.channels);
  BOOST_REQUIRE_EQUAL(dense.size(), static_cast<std::size_t>(rows * columns) * classes);
  double worst = 0.0;
  double worst_folded = 0.0;
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) {
      std::vector<double> patch;
      for (int i = 0; i < field; ++i)
        for (int j = 0; j < field * channels; ++j)
          patch.push_back(pixels[static_cast<std::size_t>(((r + i) * width + c) * channels + j)]);
      auto const single = run<sp::base_stack_t<S>>(parameters, patch, field, field);
      for (std::size_t k = 0; k < classes; ++k) {
        auto const at = static_cast<std::size_t>(r * columns + c) * classes + k;
        worst = std::max(worst, std::abs(dense[at] - single[k]));
        worst_folded = std::max(worst_folded, std::abs(folded[at] - single[k]));
      }
    }
  BOOST_TEST(worst <= 1e-12);
  BOOST_TEST(worst_folded <= 1e-12);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dense_equals_patch)

BOOST_AUTO_TEST_CASE(every_pooling_phase_odd_and_even_sizes) {
  for (int height : {19, 20, 23, 26})
    for (int width : {19, 22, 25}) {
      BOOST_TEST_CONTEXT(height << "x" << width) {
        if (height >= two_pools::receptive_field && width >= two_pools::receptive_field)
          compare_dense_with_patches<two_pools>(height, width);
      }
    }
}
BOOST_AUTO_TEST_CASE(three_pools_and_dropout) {
  constexpr int field = three_pools::receptive_field;
  compare_dense_with_patches<three_pools>(field + 8, field + 9);
}
BOOST_AUTO_TEST_CASE(one_row_and_one_pixel) {
  constexpr int field = two_pools::receptive_field;
  compare_dense_with_patches<two_pools>(field, field + 5);
  compare_dense_with_patches<two_pools>(field + 5, field);
  compare_dense_with_patches<two_pools>(field, field);
}
BOOST_AUTO_TEST_CASE(pool_with_overlapping_windows) {
  constexpr int field = overlapping_pool::receptive_field;
  compare_dense_with_patches<overlapping_pool>(field + 5, field + 4);
}

BOOST_AUTO_TEST_CASE(tiles_never_change_a_byte) {
  sp::image pixels = xt::zeros<float>({41, 37, 2});
  sp::counter_rng const rng{3, 3};
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels.data()[i] = static_cast<float>(rng.normal(i));
  std::vector<std::vector<float>> sets{random_parameters<two_pools, float>(1),
                                       random_parameters<two_pools, float>(2)};
  sp::ensemble<two_pools, sp::reference> whole{sets};
  auto const expected = whole.predict(pixels);
  for (int side : {1, 3, 7, 16}) {
    sp::ensemble<two_pools, sp::reference> tiled{sets, {.largest_tile = side}};
    BOOST_TEST((tiled.predict(pixels) == expected), "tiles of " << side);
  }
  sp::ensemble<two_pools, sp::reference> frugal{sets, {.budget_bytes = 20'000}};
  BOOST_TEST((frugal.predict(pixels) == expected));
}

BOOST_AUTO_TEST_CASE(ensemble_is_the_mean_with_a_zero_border) {
  sp::image pixels = xt::ones<float>({24, 22, 2});
  pixels(12, 11, 0) = 5.0F;
  auto const first = random_parameters<two_pools, float>(1);
  auto const second = random_parameters<two_pools, float>(2);
  auto const a = sp::ensemble<two_pools, sp::reference>{{first}}.predict(pixels);
  auto const b = sp::ensemble<two_pools, sp::reference>{{second}}.predict(pixels);
  auto const both = sp::ensemble<two_pools, sp::reference, 2>{{first, second}}.predict(pixels);
  constexpr std::size_t border = (two_pools::receptive_field - 1) / 2;
  for (std::size_t r = 0; r < 24; ++r)
    for (std::size_t c = 0; c < 22; ++c)
      for (std::size_t k = 0; k < 3; ++k) {
        bool const inside = r >= border && r < 24 - border && c >= border && c < 22 - border;
        if (!inside) {
          BOOST_TEST(both(r, c, k) == 0.0F);
        } else {
          BOOST_TEST(both(r, c, k) == (a(r, c, k) + b(r, c, k)) / 2.0F);
        }
      }
}

BOOST_AUTO_TEST_CASE(every_net_of_an_ensemble_speaks_for_itself) {
  sp::image pixels = xt::ones<float>({30, 34, 2});
  pixels(12, 11, 0) = 5.0F;
  auto const first = random_parameters<two_pools, float>(1);
  auto const second = random_parameters<two_pools, float>(2);
  sp::ensemble<two_pools, sp::reference> nets{{first, second}, {.largest_tile = 7}};
  auto const each = nets.predict_each(pixels);
  BOOST_REQUIRE_EQUAL(each.nets.size(), 2U);
  BOOST_TEST((each.mean == nets.predict(pixels)));
  BOOST_TEST((each.nets[0] == sp::ensemble<two_pools, sp::reference>{{first}}.predict(pixels)));
  BOOST_TEST((each.nets[1] == sp::ensemble<two_pools, sp::reference>{{second}}.predict(pixels)));
}

BOOST_AUTO_TEST_CASE(refusals) {
  auto const set = random_parameters<two_pools, float>(1);
  using one = sp::ensemble<two_pools, sp::reference>;
  using five = sp::ensemble<two_pools, sp::reference, 5>;
  BOOST_CHECK_THROW(five{{set}}, sp::weights_error);
  auto damaged = set;
  damaged[3] = std::nanf("");
  BOOST_CHECK_THROW(one{{damaged}}, sp::weights_error);
  BOOST_CHECK_THROW(one{{std::vector<float>(5)}}, sp::weights_error);
  sp::image const small = xt::zeros<float>({8, 40, 2});
  BOOST_CHECK_THROW((void)one{{set}}.predict(small), sp::shape_error);
  sp::image const gray = xt::zeros<float>({40, 40, 1});
  BOOST_CHECK_THROW((void)one{{set}}.predict(gray), sp::shape_error);
}

BOOST_AUTO_TEST_SUITE_END()
