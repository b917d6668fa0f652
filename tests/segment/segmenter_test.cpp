#include <septum/segment/any_segmenter.hpp>
#include <septum/segment/segmenter.hpp>

#include <boost/test/unit_test.hpp>
#include <support/text_image.hpp>

#include <cmath>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sp = septum;

namespace {

/// A net in miniature: bright pixels are interior. It owns something that cannot be copied, as a
/// net that owns its plans does.
struct brightness_predictor {
  static constexpr int classes = 3;
  static constexpr int receptive_field = 3;
  enum { edge, interior, background };
  std::unique_ptr<int> calls = std::make_unique<int>(0);

  sp::probabilities predict(sp::image const& pixels) {
    ++*calls;
    sp::probabilities maps =
        sp::probabilities::from_shape({pixels.shape()[0], pixels.shape()[1], 3});
    maps.fill(0);
    for (std::size_t r = 1; r + 1 < pixels.shape()[0]; ++r)
      for (std::size_t c = 1; c + 1 < pixels.shape()[1]; ++c) {
        maps(r, c, interior) = pixels(r, c, 0) > 1 ? 1.0F : 0.0F;
        maps(r, c, background) = 1 - maps(r, c, interior);
      }
    return maps;
  }
};

/// Divides by ten; takes no threads.
struct tenth_normalizer {
  void operator()(sp::view<float, 3> pixels) const {
    for (std::ptrdiff_t k = 0; k < pixels.size(); ++k) pixels.data()[k] /= 10;
  }
};

/// The refiner of the design's example: sees raw intensities.
struct drop_dim_cells {
  float floor = 0.05F;
  void operator()(sp::labels& cells, sp::probabilities const&, sp::image const& raw) const {
    sp::remove_regions_if(cells, raw,
                          [&](auto const& cell) { return cell.mean_intensity < floor; });
  }
};

sp::image image_of(std::vector<std::vector<float>> const& rows) {
  sp::image pixels = sp::image::from_shape({rows.size(), rows.front().size(), 1});
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < rows[r].size(); ++c) pixels(r, c, 0) = rows[r][c];
  return pixels;
}

sp::image const frame = image_of({{99, 99, 99, 99, 99, 99, 99},
                                  {99, 20, 20, 0, 50, 0, 99},
                                  {99, 20, 0, 0, 50, 0, 99},
                                  {99, 0, 0, 0, 0, 15, 99},
                                  {99, 99, 99, 99, 99, 99, 99}});

sp::image tenth_of_frame() {
  sp::image pixels = frame;
  tenth_normalizer{}(sp::as_view(pixels));
  return pixels;
}

using brightness_segmenter = sp::segmenter<
    tenth_normalizer, brightness_predictor,
    sp::pipeline<sp::threshold<brightness_predictor::interior>, sp::region_filter, drop_dim_cells>>;

brightness_segmenter make_segmenter(float floor) {
  return {{}, {}, {{{.above = 0.75F}, {.area_min = 1, .eccentricity_max = 1}, {.floor = floor}}}};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(segmenter)

BOOST_AUTO_TEST_CASE(normalises_predicts_and_refines) {
  auto segment = make_segmenter(0);
  auto const cells =
      test::labels_of(std::vector{".......", ".11.2..", ".1..2..", ".....2.", "......."});
  BOOST_TEST((segment(frame) == cells));
  sp::probabilities maps;
  BOOST_TEST((segment(frame, maps) == cells));
  BOOST_TEST(maps.shape()[2] == 3U);
  BOOST_TEST(maps(1, 1, 1) == 1.0F);
  BOOST_TEST(*segment.predictor().calls == 2);
}

BOOST_AUTO_TEST_CASE(steps_alone_give_the_same) {
  auto segment = make_segmenter(0);
  auto const normalized = segment.normalize(frame);
  BOOST_TEST(normalized(1, 1, 0) == 2.0F);
  BOOST_TEST((segment.refine(segment.predict(normalized), frame) == segment(frame)));
  BOOST_TEST(std::get<0>(segment.refiner().stages).above == 0.75F);
}

BOOST_AUTO_TEST_CASE(refiners_see_raw_intensities) {
  // The first cell has mean 20 and the second 38.3; normalised they would be 2 and 3.83.
  BOOST_TEST((make_segmenter(30)(frame) ==
              test::labels_of(std::vector{".......", "....1..", "....1..", ".....1.", "......."})));
}

BOOST_AUTO_TEST_CASE(image_smaller_than_the_field_is_refused_with_both_sizes) {
  auto segment = make_segmenter(0);
  BOOST_CHECK_EXCEPTION(static_cast<void>(segment(image_of({{1, 2, 3}, {4, 5, 6}}))),
                        sp::shape_error, [](sp::error const& e) {
                          return e.id() == "septum.segment.3" &&
                                 e.message().find("2 x 3") != std::string::npos &&
                                 e.message().find("3 x 3") != std::string::npos;
                        });
}

BOOST_AUTO_TEST_CASE(stored_maps_stand_in_for_a_net) {
  auto net = brightness_predictor{};
  sp::segmenter<sp::identity_normalizer, sp::stored_predictor<3, 3>, sp::threshold<1>> segment{
      {}, {.maps = net.predict(tenth_of_frame())}, {.above = 0.5F}, {2}};
  BOOST_TEST((segment(frame) == make_segmenter(0)(frame)));
  sp::image larger = sp::image::from_shape({6, 7, 1});
  larger.fill(1);
  BOOST_CHECK_EXCEPTION(
      static_cast<void>(segment(larger)), sp::shape_error, [](sp::error const& e) {
        return e.id() == "septum.segment.1" &&
               e.message().find("expected 6 x 7 x 3, found 5 x 7 x 3") != std::string::npos;
      });
}

BOOST_AUTO_TEST_CASE(any_segmenter_hides_the_type) {
  std::vector<sp::any_segmenter> all;
  all.emplace_back(make_segmenter(0));
  all.emplace_back(sp::segmenter<sp::median_box_normalizer, brightness_predictor, sp::threshold<2>>{
      {.window = 3}, {}, {}});
  all.push_back(make_segmenter(30));
  auto direct = make_segmenter(30);
  BOOST_TEST((all[2](frame) == direct(frame)));
  sp::probabilities maps;
  BOOST_TEST((all[0](frame, maps) == make_segmenter(0)(frame)));
  BOOST_TEST(maps.size() == frame.size() * 3);
  static_assert(!std::is_constructible_v<sp::any_segmenter, int>);
}

BOOST_AUTO_TEST_SUITE_END()
