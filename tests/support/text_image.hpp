#pragma once
#include <septum/core/rng.hpp>
#include <septum/image/types.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

/// Small images for tests: drawn as text, or random.
namespace test {

/// Rows of text as a mask; '#' is set.
template <class Rows>
septum::mask mask_of(Rows const& rows) {
  std::size_t const count = std::size(rows);
  septum::mask pixels = septum::mask::from_shape({count, std::string_view{rows[0]}.size()});
  for (std::size_t r = 0; r < count; ++r)
    for (std::size_t c = 0; c < pixels.shape()[1]; ++c) pixels(r, c) = rows[r][c] == '#' ? 1 : 0;
  return pixels;
}

/// Rows of text as labels; '.' and '0' are 0, the character after '0' is 1, and so on.
template <class Rows>
septum::labels labels_of(Rows const& rows) {
  std::size_t const count = std::size(rows);
  septum::labels cells = septum::labels::from_shape({count, std::string_view{rows[0]}.size()});
  for (std::size_t r = 0; r < count; ++r)
    for (std::size_t c = 0; c < cells.shape()[1]; ++c)
      cells(r, c) = rows[r][c] == '.' ? 0 : rows[r][c] - '0';
  return cells;
}

/// Each pixel set with probability `density`.
inline septum::mask random_mask(std::size_t rows, std::size_t columns, double density,
                                std::uint64_t seed) {
  septum::counter_rng const rng{.seed = seed, .stream = 0};
  septum::mask pixels = septum::mask::from_shape({rows, columns});
  for (std::size_t p = 0; p < pixels.size(); ++p)
    pixels.data()[p] = rng.uniform(p) < density ? 1 : 0;
  return pixels;
}

/// Each pixel one of 0..largest.
inline septum::labels random_labels(std::size_t rows, std::size_t columns, std::int32_t largest,
                                    std::uint64_t seed) {
  septum::counter_rng const rng{.seed = seed, .stream = 1};
  septum::labels cells = septum::labels::from_shape({rows, columns});
  for (std::size_t p = 0; p < cells.size(); ++p)
    cells.data()[p] =
        static_cast<std::int32_t>(rng.below(p, static_cast<std::uint64_t>(largest) + 1));
  return cells;
}

/// Ellipses at random places, numbered 1..count in drawing order; later ones cover earlier ones, so
/// some numbers may vanish.
inline septum::labels random_cells(std::size_t rows, std::size_t columns, std::int32_t count,
                                   std::uint64_t seed) {
  septum::counter_rng const rng{.seed = seed, .stream = 2};
  septum::labels cells = septum::labels::from_shape({rows, columns});
  cells.fill(0);
  for (std::int32_t k = 1; k <= count; ++k) {
    auto const draw = static_cast<std::uint64_t>(k) * 4;
    double const row = rng.uniform(draw) * static_cast<double>(rows);
    double const column = rng.uniform(draw + 1) * static_cast<double>(columns);
    double const a = 2 + rng.uniform(draw + 2) * 8;
    double const b = 2 + rng.uniform(draw + 3) * 8;
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) {
        double const u = (static_cast<double>(r) - row) / a;
        double const v = (static_cast<double>(c) - column) / b;
        if (u * u + v * v <= 1) cells(r, c) = k;
      }
  }
  return cells;
}

}  // namespace test
