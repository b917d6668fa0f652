#pragma once
#include <septum/core/error.hpp>
#include <septum/io/tiff.hpp>
#include <support/hostile.hpp>
#include <support/tiff_bytes.hpp>

#include <array>
#include <boost/test/unit_test.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>
#include <xtensor/xtensor.hpp>

/// TIFF content that is read from memory under the name some.tif.
namespace test {

inline septum::io::tiff_reader tiff_reader_of(std::string const& bytes,
                                              septum::io::tiff_limits const& limits = {}) {
  return septum::io::tiff_reader{content_of(bytes), "some.tif", limits};
}

/// The message of what reading page 0 throws; empty when it succeeds.
inline std::string tiff_message_of(std::string const& bytes,
                                   septum::io::tiff_limits const& limits = {}) {
  try {
    static_cast<void>(tiff_reader_of(bytes, limits).read(0));
  } catch (septum::error const& failure) {
    BOOST_TEST(names_file(failure, "some.tif"));
    return failure.message();
  }
  return {};
}

/// A page of 2 x 3 pixels with the given stored bytes.
inline std::string small_tiff_page(std::string const& data, std::uint64_t bits,
                                   std::vector<tiff_tag> const& more = {}, bool big_endian = false,
                                   bool big = false) {
  tiff_bytes file{big_endian, big};
  auto const at = file.data(data);
  file.directory(tiff_page(2, 3, bits, at, data.size(), more));
  return file.bytes;
}

/// Numbers without a pattern that compression could use.
template <class T, std::size_t Rank>
xt::xtensor<T, Rank> noise(std::array<std::size_t, Rank> shape) {
  xt::xtensor<T, Rank> result = xt::xtensor<T, Rank>::from_shape(shape);
  std::uint32_t state = 1;
  for (T& value : result) {
    state = state * 1664525U + 1013904223U;
    value = std::floating_point<T> ? static_cast<T>(static_cast<double>(state) / 65536.0)
                                   : static_cast<T>(state >> 12U);
  }
  return result;
}

}  // namespace test
