// What is computed row by row equals what is computed of the whole image.
#include <septum/image/component_rows.hpp>
#include <septum/image/hole_rows.hpp>
#include <septum/image/morphology.hpp>
#include <septum/image/normalize_rows.hpp>
#include <septum/image/regions.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <septum/core/rng.hpp>
#include <string>
#include <vector>

namespace sp = septum;

namespace {

sp::image random_image(std::size_t rows, std::size_t columns, std::size_t channels) {
  sp::image pixels = sp::image::from_shape({rows, columns, channels});
  sp::counter_rng const rng{5, rows * columns};
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels.data()[i] = static_cast<float>(100.0 + 20.0 * rng.normal(i));
  return pixels;
}

sp::image_rows rows_of(sp::image const& pixels) {
  auto const& shape = pixels.shape();
  return {static_cast<std::ptrdiff_t>(shape[0]), static_cast<std::ptrdiff_t>(shape[1]),
          static_cast<std::ptrdiff_t>(shape[2]),
          [&pixels](std::ptrdiff_t first, sp::view<float, 3> target) {
            std::copy_n(pixels.data() + first * target.stride(0), target.size(), target.data());
          }};
}

// Blobs of all sizes, rings, islands in rings, noise.
sp::mask random_mask(std::size_t rows, std::size_t columns, std::uint64_t seed, double share) {
  sp::mask pixels = sp::mask::from_shape({rows, columns});
  sp::counter_rng const rng{seed, 3};
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels.data()[i] = rng.uniform(i) < share ? 1 : 0;
  for (std::size_t k = 0; k < 8; ++k) {
    double const row = rng.uniform(100000 + 5 * k) * static_cast<double>(rows);
    double const column = rng.uniform(100001 + 5 * k) * static_cast<double>(columns);
    double const outer = 3.0 + 12.0 * rng.uniform(100002 + 5 * k);
    double const inner = outer * rng.uniform(100003 + 5 * k);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) {
        double const distance =
            std::hypot(static_cast<double>(r) - row, static_cast<double>(c) - column);
        if (distance <= outer) pixels(r, c) = distance >= inner ? 1 : 0;
        if (distance <= 0.4 * inner) pixels(r, c) = 1;
      }
  }
  return pixels;
}

sp::mask_rows rows_of(sp::mask const& pixels) {
  return {static_cast<std::int32_t>(pixels.shape()[0]),
          static_cast<std::int32_t>(pixels.shape()[1]),
          [&pixels](std::int32_t row, std::span<std::uint64_t> words) {
            auto const columns = pixels.shape()[1];
            std::fill(words.begin(), words.end(), 0);
            for (std::size_t c = 0; c < columns; ++c)
              if (pixels(static_cast<std::size_t>(row), c) != 0)
                words[c / 64] |= std::uint64_t{1} << (c % 64);
          }};
}

// Every mask of the tests: sizes around a word of 64 columns, sparse to dense.
template <class Check>
void for_each_mask(Check const& check) {
  std::uint64_t seed = 0;
  for (std::size_t const columns : {1, 2, 63, 64, 65, 130})
    for (std::size_t const rows : {1, 2, 40})
      for (double const share : {0.02, 0.3, 0.5, 0.7, 0.98}) {
        auto const pixels = random_mask(rows, columns, ++seed, share);
        BOOST_TEST_CONTEXT(rows << " x " << columns << ", share " << share) { check(pixels); }
      }
}

sp::labels labels_by_rows(sp::row_components const& components, sp::mask const& pixels) {
  sp::labels result = sp::labels::from_shape(pixels.shape());
  result.fill(0);
  components.label(rows_of(pixels), [&](std::int32_t row, auto runs) {
    for (auto const& run : runs)
      for (std::int32_t c = run.begin; c < run.end; ++c)
        result(static_cast<std::size_t>(row), static_cast<std::size_t>(c)) = run.value;
  });
  return result;
}

sp::mask filled_by_rows(sp::mask const& pixels, sp::hole_rule rule) {
  sp::mask result = sp::mask::from_shape(pixels.shape());
  sp::row_holes const holes{rows_of(pixels), rule, {}};
  holes.fill(rows_of(pixels), [&](std::int32_t row, auto words) {
    for (std::size_t c = 0; c < pixels.shape()[1]; ++c)
      result(static_cast<std::size_t>(row), c) = (words[c / 64] >> (c % 64)) & 1U;
  });
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(image_by_rows)

BOOST_AUTO_TEST_CASE(medians_of_rows_are_those_of_the_image) {
  for (std::size_t const rows : {1, 7, 128, 300}) {
    auto const pixels = random_image(rows, 31, 2);
    auto const medians = sp::channel_medians(rows_of(pixels), {2});
    for (std::ptrdiff_t channel = 0; channel < 2; ++channel)
      BOOST_TEST(medians[static_cast<std::size_t>(channel)] ==
                 sp::detail::channel_median(sp::as_view(pixels), channel, {1}));
  }
}

BOOST_AUTO_TEST_CASE(normalised_rows_have_the_bits_of_the_normalised_image) {
  for (std::size_t const rows : {1, 20, 127, 128, 129, 300, 517})
    for (int const window : {1, 31, 61, 301})
      for (std::ptrdiff_t const step : {1, 50, 400}) {
        auto const pixels = random_image(rows, 40, 2);
        sp::image expected = pixels;
        sp::median_box_normalizer{.window = window}(sp::as_view(expected), {2});
        sp::median_box_rows normalized{rows_of(pixels), window,
                                       sp::channel_medians(rows_of(pixels))};
        std::size_t different = 0;
        auto const height = static_cast<std::ptrdiff_t>(rows);
        for (std::ptrdiff_t first = 0; first < height; first += step) {
          // Rows overlap from one call to the next, as those of tiles do.
          std::ptrdiff_t const count = std::min(height - first, step + 30);
          auto const part = normalized.rows(first, count);
          for (std::ptrdiff_t i = 0; i < part.size(); ++i)
            different += part.data()[i] != expected.data()[first * part.stride(0) + i] ? 1 : 0;
        }
        BOOST_TEST(different == 0U, "rows " << rows << ", window " << window << ", step " << step);
      }
}

BOOST_AUTO_TEST_CASE(normalised_rows_want_a_positive_median) {
  sp::image const pixels = xt::zeros<float>({40, 40, 1});
  BOOST_CHECK_THROW((sp::median_box_rows{rows_of(pixels), 31, {0.0}}), sp::unsupported_error);
  BOOST_CHECK_THROW((sp::median_box_rows{rows_of(pixels), 30, {1.0}}), sp::unsupported_error);
}

BOOST_AUTO_TEST_CASE(components_by_rows_are_those_of_the_image) {
  for (auto const neighbours : {sp::connectivity::four, sp::connectivity::eight})
    for_each_mask([&](sp::mask const& pixels) {
      sp::labels const expected = sp::connected_components(pixels, neighbours);
      sp::row_components const components{
          rows_of(pixels), neighbours, {}, [](sp::region_properties const&) { return true; }};
      BOOST_TEST(components.count() == sp::largest_label(expected));
      BOOST_TEST((labels_by_rows(components, pixels) == expected));
    });
}

BOOST_AUTO_TEST_CASE(components_are_chosen_as_in_the_image) {
  auto const refused = [](sp::region_properties const& cell) {
    return cell.area_px < 6 || cell.eccentricity > 0.9 || cell.solidity < 0.7 ||
           cell.touches_border;
  };
  for_each_mask([&](sp::mask const& pixels) {
    sp::labels expected = sp::connected_components(pixels);
    sp::remove_regions_if(expected, refused);
    sp::row_components const components{
        rows_of(pixels), sp::connectivity::eight, {}, [&](sp::region_properties const& cell) {
          return !refused(cell);
        }};
    BOOST_TEST((labels_by_rows(components, pixels) == expected));
  });
}

BOOST_AUTO_TEST_CASE(holes_by_rows_are_those_of_the_image) {
  for_each_mask([&](sp::mask const& pixels) {
    BOOST_TEST((filled_by_rows(pixels, sp::hole_rule::all) == sp::fill_holes(pixels)));
    sp::labels cells = sp::connected_components(pixels);
    sp::fill_holes(cells);
    sp::mask const own = xt::cast<std::uint8_t>(xt::not_equal(cells, 0));
    BOOST_TEST((filled_by_rows(pixels, sp::hole_rule::own) == own));
    // Filling holes joins no cells, so labels may be found again from the mask.
    BOOST_TEST((sp::connected_components(own) == cells));
  });
}

BOOST_AUTO_TEST_CASE(regions_by_rows_are_those_of_the_image) {
  for_each_mask([&](sp::mask const& pixels) {
    auto const rows = static_cast<std::int32_t>(pixels.shape()[0]);
    auto const columns = static_cast<std::int32_t>(pixels.shape()[1]);
    auto const raw = random_image(pixels.shape()[0], pixels.shape()[1], 2);
    auto const expected = sp::measure_regions(sp::connected_components(pixels), raw);
    sp::row_components const components{
        rows_of(pixels), sp::connectivity::eight, {}, [](sp::region_properties const&) {
          return true;
        }};
    sp::row_regions regions{{rows, columns}, components.count(), 2, {}};
    std::vector<sp::region_properties> found;
    auto const done = [&](sp::region_properties&& cell) { found.push_back(std::move(cell)); };
    components.label(rows_of(pixels), [&](std::int32_t row, auto runs) {
      regions.add_row(row, runs, {raw.data() + std::ptrdiff_t{row} * columns * 2, {1, columns, 2}},
                      done);
    });
    regions.finish(done);
    BOOST_REQUIRE_EQUAL(found.size(), expected.size());
    for (std::size_t k = 0; k < found.size(); ++k) {
      BOOST_TEST(found[k].label == expected[k].label);
      BOOST_TEST(found[k].area_px == expected[k].area_px);
      BOOST_TEST(found[k].centroid_row_px == expected[k].centroid_row_px);
      BOOST_TEST(found[k].eccentricity == expected[k].eccentricity);
      BOOST_TEST(found[k].solidity == expected[k].solidity);
      BOOST_TEST(found[k].perimeter_px == expected[k].perimeter_px);
      BOOST_TEST(found[k].touches_border == expected[k].touches_border);
      BOOST_TEST(found[k].mean_intensity == expected[k].mean_intensity);
      for (std::size_t channel = 0; channel < 2; ++channel) {
        BOOST_TEST(found[k].intensity[channel].sum == expected[k].intensity[channel].sum);
        BOOST_TEST(found[k].intensity[channel].minimum == expected[k].intensity[channel].minimum);
        BOOST_TEST(found[k].intensity[channel].maximum == expected[k].intensity[channel].maximum);
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(limits_are_errors_that_name_them) {
  auto const pixels = random_mask(40, 130, 1, 0.1);
  auto const all = [](sp::region_properties const&) { return true; };
  auto const id_of = [](auto const& call) {
    try {
      call();
    } catch (sp::unsupported_error const& failure) {
      BOOST_TEST((failure.kind() == sp::fault::resource));
      return std::string{failure.id()};
    }
    return std::string{};
  };
  BOOST_TEST(id_of([&] {
               sp::row_components{rows_of(pixels), sp::connectivity::eight, {.pieces = 5}, all};
             }) == "septum.components.1");
  BOOST_TEST(id_of([&] {
               sp::row_components{rows_of(pixels), sp::connectivity::eight, {.open_runs = 3}, all};
             }) == "septum.components.2");
  BOOST_TEST(id_of([&] {
               sp::row_holes{rows_of(pixels), sp::hole_rule::own, {.pieces = 5}};
             }) == "septum.components.1");
}

BOOST_AUTO_TEST_SUITE_END()
