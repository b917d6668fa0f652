#ifdef SEPTUM_TEST_IO
// What the paper's own repository holds: normalised image, stored predictions, masks and scores.
// The expected numbers were measured on those files by an independent program.
#  include <septum/io/image.hpp>
#  include <septum/io/npy.hpp>
#  include <septum/measure/agreement.hpp>
#  include <septum/segment/segmenter.hpp>

#  include <boost/test/unit_test.hpp>
#  include <support/shared_data.hpp>

#  include <algorithm>
#  include <cmath>
#  include <cstddef>
#  include <cstdint>
#  include <filesystem>
#  include <string>

namespace sp = septum;

namespace {

/// Class probabilities from the stored edge and interior maps; zero in the unseen border.
sp::probabilities stored_maps(std::filesystem::path const& folder, std::string const& name) {
  auto const edge = sp::io::read_image(folder / (name + "_edge.tif"));
  auto const interior = sp::io::read_image(folder / (name + "_interior.tif"));
  sp::probabilities maps = sp::probabilities::from_shape({edge.shape()[0], edge.shape()[1], 3});
  for (std::size_t p = 0; p < edge.size(); ++p) {
    float const e = edge.data()[p];
    float const i = interior.data()[p];
    maps.data()[3 * p] = e;
    maps.data()[3 * p + 1] = i;
    maps.data()[3 * p + 2] = e + i > 0 ? 1 - e - i : 0;
  }
  return maps;
}

void check_scores(sp::overlap_agreement const& found, double jaccard, double jaccard_sd,
                  double dice, double dice_sd, std::size_t cells) {
  BOOST_TEST(found.jaccard.size() == cells);
  BOOST_TEST(std::abs(*found.jaccard_mean() - jaccard) < 1e-6);
  BOOST_TEST(std::abs(*found.jaccard_sd() - jaccard_sd) < 1e-6);
  BOOST_TEST(std::abs(*found.dice_mean() - dice) < 1e-6);
  BOOST_TEST(std::abs(*found.dice_sd() - dice_sd) < 1e-6);
}

void check_counts(sp::label_pair const& cells, std::int64_t hits, std::int64_t spurious,
                  std::int64_t missed) {
  // The published count wants IoU above 0.5.
  auto const counts =
      sp::count_matches(sp::count_overlaps(cells.truth, cells.prediction), std::nextafter(0.5, 1));
  BOOST_TEST(counts.true_positives == hits);
  BOOST_TEST(counts.false_positives == spurious);
  BOOST_TEST(counts.false_negatives == missed);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(published)

BOOST_AUTO_TEST_CASE(normalised_image_of_the_authors) {
  auto const folder = test::shared_data("ecoli/set1");
  if (!folder) return;
  auto pixels = sp::io::read_image(*folder / "phase.tif");
  auto const expected = sp::io::read_npy<float, 2>(*folder / "normalised_published.npy");
  sp::median_box_normalizer{.window = 31}(sp::as_view(pixels), {2});
  BOOST_REQUIRE_EQUAL(pixels.size(), expected.size());
  double largest = 0;
  double scale = 0;
  for (std::size_t p = 0; p < pixels.size(); ++p) {
    auto const wanted = static_cast<double>(expected.data()[p]);
    largest = std::max(largest, std::abs(static_cast<double>(pixels.data()[p]) - wanted));
    scale = std::max(scale, std::abs(wanted));
  }
  BOOST_TEST(largest <= 2e-7 * scale);
}

BOOST_AUTO_TEST_CASE(hela_masks_score_as_published) {
  auto const folder = test::shared_data("hela_validation");
  if (!folder) return;
  auto const interior = sp::io::read_mask(*folder / "interior.png");
  auto const check = [&](std::string const& year, auto const& check_one) {
    auto const cytoplasm = sp::io::read_mask(*folder / year / "cytoplasm_mask.png");
    auto const nuclei = sp::io::read_mask(*folder / year / "nuclear_mask.png");
    check_one(sp::published_agreement(interior, cytoplasm, nuclei, 30),
              sp::published_cells(interior, cytoplasm, 30));
  };
  check("published_2017", [](auto const& agreement, auto const& cells) {
    check_scores(agreement, 0.8340905601000224, 0.0838990995953341, 0.9069042108707931,
                 0.05788062117210478, 28);
    BOOST_TEST(std::abs(agreement.jaccard.front() - 0.804909) < 1e-6);
    BOOST_TEST(std::abs(agreement.jaccard.back() - 0.895692) < 1e-6);
    check_counts(cells, 27, 1, 6);
  });
  check("published_2016", [](auto const& agreement, auto const& cells) {
    check_scores(agreement, 0.8446201091065185, 0.05693524659623482, 0.9146969730882942,
                 0.03465946094717459, 28);
    check_counts(cells, 28, 0, 5);
  });
}

BOOST_AUTO_TEST_CASE(plating_masks_score_as_published) {
  auto const folder = test::shared_data("hela_plating/10000");
  if (!folder) return;
  auto const interior = sp::io::read_mask(*folder / "interior.png");
  auto const cytoplasm = sp::io::read_mask(*folder / "cytoplasm_mask.png");
  auto const nuclei = sp::io::read_mask(*folder / "nuclear_mask.png");
  check_scores(sp::published_agreement(interior, cytoplasm, nuclei, 30), 0.7890219073054616,
               0.1251006873216093, 0.8752029030748081, 0.1004645495261655, 200);
  check_counts(sp::published_cells(interior, cytoplasm, 30), 190, 17, 47);
}

BOOST_AUTO_TEST_CASE(nuclear_masks_come_out_pixel_by_pixel) {
  auto const folder = test::shared_data("hela_validation");
  if (!folder) return;
  auto const raw = sp::io::read_image(*folder / "nuclear.tif");
  for (std::string const year : {"published_2016", "published_2017"}) {
    sp::segmenter<sp::median_box_normalizer, sp::stored_predictor<3, 61>,
                  sp::pipeline<sp::threshold<1>, sp::region_filter>>
        segment{{.window = 61},
                {.maps = stored_maps(*folder / year, "nuclear")},
                {{{.above = 0.75F},
                  {.area_min = 100,
                   .solidity_min = 0.75,
                   .eccentricity_max = 0.95,
                   .measure_filled = true}}}};
    auto const cells = segment(raw);
    auto const expected = sp::io::read_mask(*folder / year / "nuclear_mask.png");
    std::size_t different = 0;
    for (std::size_t p = 0; p < cells.size(); ++p)
      different += (cells.data()[p] != 0) != (expected.data()[p] != 0) ? 1 : 0;
    BOOST_TEST_CONTEXT(year) BOOST_TEST(different == 0U);
  }
}

BOOST_AUTO_TEST_CASE(bacteria_from_the_ensemble_mean) {
  auto const folder = test::shared_data("ecoli/set1");
  if (!folder) return;
  auto const valid = sp::io::read_npy<float, 3>(*folder / "oracle_ensemble_mean_probability.npy");
  auto const interior = sp::io::read_mask(*folder / "interior.png");
  std::size_t const margin = 15;
  sp::probabilities maps = sp::probabilities::from_shape({300, 300, 3});
  maps.fill(0);
  for (std::size_t k = 0; k < 3; ++k)
    for (std::size_t r = 0; r < 270; ++r)
      for (std::size_t c = 0; c < 270; ++c) maps(r + margin, c + margin, k) = valid(k, r, c);
  sp::segmenter<sp::identity_normalizer, sp::stored_predictor<3, 31>,
                sp::pipeline<sp::threshold<1>, sp::region_filter>>
      segment{{}, {.maps = maps}, {{{.above = 0.6F}, {.area_min = 25, .eccentricity_min = 0.1}}}};
  auto const cells = segment(sp::io::read_image(*folder / "phase.tif"));
  sp::label_pair inner{sp::labels::from_shape({270, 270}), sp::labels::from_shape({270, 270})};
  sp::mask truth = sp::mask::from_shape({270, 270});
  for (std::size_t r = 0; r < 270; ++r)
    for (std::size_t c = 0; c < 270; ++c) {
      truth(r, c) = interior(r + margin, c + margin);
      inner.prediction(r, c) = cells(r + margin, c + margin);
    }
  inner.truth = sp::connected_components(truth);
  check_counts(inner, 207, 6, 21);
}

BOOST_AUTO_TEST_SUITE_END()
#endif
