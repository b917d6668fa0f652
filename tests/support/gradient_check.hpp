#pragma once
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <septum/net/parameters.hpp>
#include <vector>

/// Compares a gradient with central differences of `loss(parameters)`, in every trainable parameter
/// of the net S.
template <septum::Stack S, class Loss>
void compare_with_central_differences(std::vector<double> const& parameters,
                                      std::vector<double> const& gradient, Loss const& loss) {
  constexpr double step = 1e-6;
  for (auto const& slice : septum::parameter_slices<S>()) {
    if (!slice.trainable) continue;
    for (std::size_t i = slice.offset; i < slice.offset + slice.count; ++i) {
      auto moved = parameters;
      moved[i] += step;
      double const above = loss(moved);
      moved[i] -= 2.0 * step;
      double const below = loss(moved);
      double const expected = (above - below) / (2.0 * step);
      BOOST_TEST_CONTEXT(slice.name << " value " << i - slice.offset) {
        BOOST_TEST(std::abs(gradient[i] - expected) <= 1e-7 + 1e-5 * std::abs(expected));
      }
    }
  }
}
