#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <septum/core/rng.hpp>
#include <septum/image/types.hpp>

/// Images for nets, and how far what two nets say of them is apart.
namespace noise_images {

/// An image of normal noise.
inline septum::image noise(std::size_t height, std::size_t width, std::size_t channels,
                           std::uint64_t stream) {
  septum::image pixels = septum::image::from_shape({height, width, channels});
  septum::counter_rng const random{5, stream};
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels.data()[i] = static_cast<float>(random.normal(i));
  return pixels;
}

/// Of two maps of one extent; 1e9 where extents differ.
inline double largest_difference(septum::probabilities const& a, septum::probabilities const& b) {
  if (a.shape() != b.shape()) return 1e9;
  double most = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double const difference =
        std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
    if (!(difference <= most)) most = difference;  // NaN as well
  }
  return most;
}

}  // namespace noise_images
