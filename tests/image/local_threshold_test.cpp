#include <septum/image/local_threshold.hpp>

#include <boost/test/unit_test.hpp>
#include <golden/local_threshold_golden.inc>
#include <support/text_image.hpp>

#include <septum/core/rng.hpp>
#include <septum/image/border.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

namespace sp = septum;
using plane = xt::xtensor<float, 2>;

/// The values of make_local_threshold_golden.py.
plane values() {
  plane image = plane::from_shape({22, 37});
  for (std::size_t p = 0; p < image.size(); ++p)
    image.data()[p] = static_cast<float>(static_cast<double>(p * 7919 % 65521) / 65521);
  return image;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(local_thresholds)

BOOST_AUTO_TEST_CASE(above_the_median_as_the_peer_finds_it) {
  plane const image = values();
  auto const compare = [&](int window, double offset, auto const& expected) {
    for (int threads : {1, 3}) {
      sp::mask const found =
          sp::above_local_median(sp::as_view(image), window, offset, sp::exec::threads{threads});
      BOOST_TEST((found == test::mask_of(expected)), "window " << window);
    }
  };
  compare(3, 0.0, golden::above_median_3);
  compare(9, 0.075, golden::above_median_9);
  compare(61, 0.2, golden::above_median_61);
}

// Against sorting each window, on images with few different values and so many ties.
BOOST_AUTO_TEST_CASE(ties_and_repeated_values) {
  sp::counter_rng const rng{11, 0};
  for (int levels : {1, 2, 5, 1000}) {
    plane image = plane::from_shape({19, 90});
    for (std::size_t p = 0; p < image.size(); ++p)
      image.data()[p] = static_cast<float>(rng.below(p, static_cast<std::uint64_t>(levels))) /
                        static_cast<float>(levels);
    constexpr int window = 7;
    for (double const offset : {-0.1, 0.0, 0.15}) {
      sp::mask const found = sp::above_local_median(sp::as_view(image), window, offset);
      for (std::ptrdiff_t r = 0; r < 19; ++r)
        for (std::ptrdiff_t c = 0; c < 90; ++c) {
          std::vector<float> box;
          for (std::ptrdiff_t i = r - 3; i <= r + 3; ++i)
            for (std::ptrdiff_t j = c - 3; j <= c + 3; ++j)
              box.push_back(image(static_cast<std::size_t>(sp::mirrored_index(i, 19)),
                                  static_cast<std::size_t>(sp::mirrored_index(j, 90))));
          std::sort(box.begin(), box.end());
          auto const here = image(static_cast<std::size_t>(r), static_cast<std::size_t>(c));
          bool const expected =
              static_cast<double>(here) > static_cast<double>(box[box.size() / 2]) + offset;
          if (expected != (found(static_cast<std::size_t>(r), static_cast<std::size_t>(c)) != 0))
            BOOST_ERROR("levels " << levels << " offset " << offset << " at " << r << ", " << c);
        }
    }
  }
}

BOOST_AUTO_TEST_CASE(even_windows_are_refused) {
  plane const image = values();
  for (int window : {0, -3, 2, 60})
    BOOST_CHECK_THROW(static_cast<void>(sp::above_local_median(sp::as_view(image), window, 0.0)),
                      sp::unsupported_error);
}

BOOST_AUTO_TEST_SUITE_END()
