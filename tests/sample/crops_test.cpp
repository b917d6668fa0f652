#include <boost/test/unit_test.hpp>
#include <septum/image/types.hpp>
#include <septum/sample/crops.hpp>
#include <septum/sample/label_maps.hpp>

#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "support/error_id.hpp"

namespace sp = septum;

namespace {

// Every pixel holds its own number, and its class follows from it: where pixels and classes do not
// move together, the classes no longer fit.
struct numbered_images {
  std::vector<sp::image> images;
  std::vector<sp::mask> maps;

  explicit numbered_images(std::vector<sp::extent2> const& extents, std::size_t channels = 1) {
    std::size_t next = 0;
    for (auto const& extent : extents) {
      auto const rows = static_cast<std::size_t>(extent.rows);
      auto const columns = static_cast<std::size_t>(extent.columns);
      images.push_back(sp::image::from_shape({rows, columns, channels}));
      maps.push_back(sp::mask::from_shape({rows, columns}));
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < columns; ++c, ++next) {
          for (std::size_t k = 0; k < channels; ++k)
            images.back()(r, c, k) = static_cast<float>(next + 100'000 * k);
          maps.back()(r, c) = class_of(static_cast<float>(next));
        }
    }
  }
  static std::uint8_t class_of(float value) {
    return static_cast<std::uint8_t>(static_cast<int>(value) % 7 % 3);
  }
  [[nodiscard]] std::vector<sp::view<float const, 3>> pixels() const {
    std::vector<sp::view<float const, 3>> all;
    for (auto const& each : images) all.emplace_back(sp::as_view(each));
    return all;
  }
  [[nodiscard]] std::vector<sp::view<std::uint8_t const, 2>> classes() const {
    std::vector<sp::view<std::uint8_t const, 2>> all;
    for (auto const& map : maps) all.emplace_back(sp::as_view(map));
    return all;
  }
};

struct drained_crops {
  std::vector<float> pixels;
  std::vector<std::uint8_t> classes;
  bool operator==(drained_crops const&) const = default;
};

drained_crops drain(sp::crop_batches& batches, int epoch, std::ptrdiff_t first = 0) {
  drained_crops all;
  for (auto const& batch : batches.epoch(epoch, first)) {
    BOOST_TEST_REQUIRE(batch.index == first);
    ++first;
    all.pixels.insert(all.pixels.end(), batch.patches.data(),
                      batch.patches.data() + batch.patches.size());
    all.classes.insert(all.classes.end(), batch.labels.begin(), batch.labels.end());
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(crops)

BOOST_AUTO_TEST_CASE(classes_stay_with_their_pixels_in_all_eight_symmetries) {
  for (std::size_t const channels : {1U, 2U, 3U}) {
    numbered_images const data{{{23, 31}, {40, 19}}, channels};
    sp::crop_batches batches{data.pixels(),
                             data.classes(),
                             {.window = 5, .side = 6, .batch_size = 3, .batches_per_epoch = 20}};
    std::set<std::pair<float, float>> orientations;
    for (auto const& batch : batches.epoch(0)) {
      BOOST_TEST_REQUIRE(batch.patches.extent(0) == 3);
      BOOST_TEST_REQUIRE(batch.patches.extent(1) == 10);
      BOOST_TEST_REQUIRE(batch.labels.size() == 3U * 36U);
      for (std::ptrdiff_t n = 0; n < 3; ++n) {
        orientations.emplace(batch.patches(n, 0, 1, 0) - batch.patches(n, 0, 0, 0),
                             batch.patches(n, 1, 0, 0) - batch.patches(n, 0, 0, 0));
        for (std::ptrdiff_t r = 0; r < 6; ++r)
          for (std::ptrdiff_t c = 0; c < 6; ++c) {
            float const centre = batch.patches(n, r + 2, c + 2, 0);
            auto const at = static_cast<std::size_t>((n * 6 + r) * 6 + c);
            BOOST_REQUIRE_EQUAL(int{batch.labels[at]}, int{numbered_images::class_of(centre)});
            for (std::size_t k = 1; k < channels; ++k)
              BOOST_REQUIRE_EQUAL(batch.patches(n, r + 2, c + 2, k),
                                  centre + 100'000.0F * static_cast<float>(k));
          }
      }
    }
    // Steps to the right and down are +-1 and +-width, or the other way round, in two images.
    BOOST_TEST(orientations.size() == 16U);
  }
}

BOOST_AUTO_TEST_CASE(an_epoch_can_start_anywhere_and_threads_do_not_matter) {
  numbered_images const data{{{40, 33}}, 2};
  sp::crop_options const options{.window = 7,
                                 .side = 9,
                                 .batch_size = 2,
                                 .batches_per_epoch = 6,
                                 .warping = {.scale = 0.2, .shear = 0.2, .rotate = true},
                                 .balance = true,
                                 .seed = 3};
  sp::crop_batches batches{data.pixels(), data.classes(), options};
  sp::crop_batches parallel{data.pixels(), data.classes(), options, sp::exec::threads{3}};
  auto const whole = drain(batches, 4);
  BOOST_TEST((drain(parallel, 4) == whole));
  BOOST_TEST((drain(batches, 5) != whole));
  auto const rest = drain(batches, 4, 2);
  std::size_t const skipped = whole.classes.size() / 3;
  BOOST_TEST(
      (std::vector<std::uint8_t>(whole.classes.begin() + static_cast<std::ptrdiff_t>(skipped),
                                 whole.classes.end()) == rest.classes));
  auto other = options;
  other.seed = 4;
  sp::crop_batches reseeded{data.pixels(), data.classes(), other};
  BOOST_TEST((drain(reseeded, 4) != whole));
}

BOOST_AUTO_TEST_CASE(crops_lie_inside_and_reach_every_corner) {
  numbered_images const data{{{20, 24}}};
  sp::crop_batches const batches{data.pixels(), data.classes(), {.window = 5, .side = 8}};
  std::set<std::pair<int, int>> places;
  for (std::ptrdiff_t k = 0; k < 400; ++k) {
    auto const at = batches.place(0, k);
    BOOST_REQUIRE(at.row >= 2 && at.row + 8 <= 18 && at.column >= 2 && at.column + 8 <= 22);
    places.emplace(at.row, at.column);
  }
  // Crops that would leave the image are moved back, so that corners are common.
  for (auto const& corner : {std::pair{2, 2}, {2, 14}, {10, 2}, {10, 14}})
    BOOST_TEST(places.contains(corner));
}

BOOST_AUTO_TEST_CASE(sparse_labels_are_found_and_small_images_shrink_the_crop) {
  numbered_images data{{{30, 30}, {12, 40}}};
  for (auto& map : data.maps) std::fill(map.begin(), map.end(), sp::annotation::unlabelled);
  data.maps[1](6, 33) = 1;
  data.maps[0](0, 0) = 2;  // its window leaves the image
  sp::crop_batches batches{data.pixels(), data.classes(), {.window = 5, .side = 64}};
  BOOST_TEST(batches.options().side == 8);
  for (auto const& batch : batches.epoch(0)) {
    BOOST_TEST_REQUIRE(std::count(batch.labels.begin(), batch.labels.end(), 1) == 1);
    BOOST_TEST_REQUIRE(
        std::count(batch.labels.begin(), batch.labels.end(), sp::annotation::unlabelled) == 63);
  }
}

BOOST_AUTO_TEST_CASE(a_mask_keeps_as_many_of_every_class) {
  numbered_images data{{{40, 40}}};
  for (auto& label : data.maps[0]) label = label == 0 ? 0 : 2;
  sp::crop_batches batches{
      data.pixels(), data.classes(), {.window = 5, .side = 12, .balance = true}};
  sp::crop_batches plain{data.pixels(), data.classes(), {.window = 5, .side = 12}};
  auto all = plain.epoch(0);
  auto reference = all.begin();
  for (auto const& batch : batches.epoch(0)) {
    auto const counted = [&](auto const& labels, int label) {
      return std::count(labels.begin(), labels.end(), label);
    };
    auto const rarest = std::min(counted(reference->labels, 0), counted(reference->labels, 2));
    BOOST_TEST_REQUIRE(counted(batch.labels, 0) == rarest);
    BOOST_TEST_REQUIRE(counted(batch.labels, 2) == rarest);
    for (std::size_t i = 0; i < batch.labels.size(); ++i)
      BOOST_REQUIRE(batch.labels[i] == sp::annotation::unlabelled ||
                    batch.labels[i] == reference->labels[i]);
    ++reference;
  }
}

BOOST_AUTO_TEST_CASE(warped_crops_are_larger_smaller_and_turned_about_their_middle) {
  // Pixels hold a plane a r + b c, which interpolation reproduces: the crop holds it at the places
  // that its middle and two steps give, and classes follow the pixels.
  numbered_images data{{{120, 130}}};
  for (std::size_t r = 0; r < 120; ++r)
    for (std::size_t c = 0; c < 130; ++c) {
      data.images[0](r, c, 0) = 0.25F * static_cast<float>(r) + 0.5F * static_cast<float>(c);
      data.maps[0](r, c) = static_cast<std::uint8_t>(data.images[0](r, c, 0));
    }
  for (bool const rotate : {false, true}) {
    sp::crop_batches batches{data.pixels(),
                             data.classes(),
                             {.window = 7,
                              .side = 16,
                              .batches_per_epoch = 300,
                              .augment = false,
                              .warping = {.scale = 0.25, .rotate = rotate}}};
    double least = 10.0;
    double most = 0.0;
    std::set<int> octants;
    std::ptrdiff_t number = 0;
    for (auto const& batch : batches.epoch(0)) {
      auto const at = batches.place(0, number++);
      if (std::min(at.row, at.column) < 20 || at.row > 80 || at.column > 90) continue;
      auto const value = [&](std::ptrdiff_t r, std::ptrdiff_t c) {
        return static_cast<double>(batch.patches(0, r, c, 0));
      };
      double const down = (value(21, 0) - value(0, 0)) / 21.0;
      double const right = (value(0, 21) - value(0, 0)) / 21.0;
      double const middle = 0.25 * (at.row + 7.5) + 0.5 * (at.column + 7.5);
      for (std::ptrdiff_t r = 0; r < 22; ++r)
        for (std::ptrdiff_t c = 0; c < 22; ++c)
          BOOST_REQUIRE_SMALL(value(r, c) - (middle + down * (static_cast<double>(r) - 10.5) +
                                             right * (static_cast<double>(c) - 10.5)),
                              1e-3);
      for (std::ptrdiff_t r = 0; r < 16; ++r)
        for (std::ptrdiff_t c = 0; c < 16; ++c)
          BOOST_REQUIRE(
              std::abs(static_cast<double>(batch.labels[static_cast<std::size_t>(r * 16 + c)]) -
                       value(r + 3, c + 3)) <= 1.4);
      // The plane's slope in image pixels over its slope in the crop.
      double const size = std::hypot(0.25, 0.5) / std::hypot(down, right);
      least = std::min(least, size);
      most = std::max(most, size);
      octants.insert(static_cast<int>(std::floor(std::atan2(down, right) / 0.7854)));
    }
    BOOST_TEST(least >= 1.0 / 1.25 - 1e-3);
    BOOST_TEST(least < 0.84);
    BOOST_TEST(most <= 1.25 + 1e-3);
    BOOST_TEST(most > 1.2);
    BOOST_TEST(octants.size() == (rotate ? 8U : 1U));
  }
}

BOOST_AUTO_TEST_CASE(beyond_the_border_a_warped_crop_sees_the_mirror_image_and_no_class) {
  numbered_images const data{{{14, 14}}};
  sp::crop_batches batches{data.pixels(),
                           data.classes(),
                           {.window = 5,
                            .side = 10,
                            .batches_per_epoch = 40,
                            .augment = false,
                            .warping = {.scale = 0.5}}};
  bool smaller = false;
  for (auto const& batch : batches.epoch(0)) {
    float lowest = 1e9F;
    float highest = -1e9F;
    for (std::ptrdiff_t r = 0; r < 14; ++r)
      for (std::ptrdiff_t c = 0; c < 14; ++c) {
        lowest = std::min(lowest, batch.patches(0, r, c, 0));
        highest = std::max(highest, batch.patches(0, r, c, 0));
      }
    BOOST_TEST(lowest >= 0.0F);
    BOOST_TEST(highest <= 195.0F);
    smaller = smaller || batch.labels[0] == sp::annotation::unlabelled;
    BOOST_TEST(batch.labels[5 * 10 + 5] != sp::annotation::unlabelled);
  }
  BOOST_TEST(smaller);
}

BOOST_AUTO_TEST_CASE(shear_slides_rows_against_each_other) {
  // Pixels hold their column: after a shear, row r holds column + slope * (r - middle).
  numbered_images data{{{60, 90}}};
  for (std::size_t r = 0; r < 60; ++r)
    for (std::size_t c = 0; c < 90; ++c) {
      data.images[0](r, c, 0) = static_cast<float>(c);
      data.maps[0](r, c) = static_cast<std::uint8_t>(c);
    }
  sp::crop_batches batches{data.pixels(),
                           data.classes(),
                           {.window = 7, .side = 16, .augment = false, .warping = {.shear = 0.4}}};
  double least = 1.0;
  double most = -1.0;
  std::ptrdiff_t number = 0;
  for (auto const& batch : batches.epoch(0)) {
    auto const at = batches.place(0, number++);
    if (at.column < 12 || at.column > 60) continue;  // away from the border that is repeated
    double const slope = (static_cast<double>(batch.patches(0, 21, 0, 0)) -
                          static_cast<double>(batch.patches(0, 0, 0, 0))) /
                         21.0;
    least = std::min(least, slope);
    most = std::max(most, slope);
    for (std::ptrdiff_t r = 0; r < 22; ++r)
      for (std::ptrdiff_t c = 0; c < 22; ++c)
        BOOST_REQUIRE_SMALL(
            static_cast<double>(batch.patches(0, r, c, 0)) -
                (static_cast<double>(at.column - 3 + c) + slope * (static_cast<double>(r) - 10.5)),
            1e-4);
    for (std::ptrdiff_t r = 0; r < 16; ++r)
      for (std::ptrdiff_t c = 0; c < 16; ++c)
        BOOST_REQUIRE(
            std::abs(static_cast<double>(batch.labels[static_cast<std::size_t>(r * 16 + c)]) -
                     static_cast<double>(batch.patches(0, r + 3, c + 3, 0))) <= 0.501);
  }
  BOOST_TEST(least < -0.3);
  BOOST_TEST(most > 0.3);
  BOOST_TEST(least >= -0.4);
  BOOST_TEST(most <= 0.4);
}

BOOST_AUTO_TEST_CASE(a_grid_covers_every_labelled_pixel) {
  numbered_images data{{{37, 50}, {30, 21}}};
  for (std::size_t r = 0; r < 37; ++r)
    for (std::size_t c = 25; c < 50; ++c) data.maps[0](r, c) = sp::annotation::unlabelled;
  auto const maps = data.classes();
  auto const grid = sp::crop_grid(maps, 5, 9);
  std::vector<std::set<std::pair<int, int>>> seen(2);
  for (auto const& at : grid)
    for (int r = at.row; r < at.row + 9; ++r)
      for (int c = at.column; c < at.column + 9; ++c)
        seen[static_cast<std::size_t>(at.image)].emplace(r, c);
  for (std::size_t i = 0; i < 2; ++i)
    for (int r = 2; r < static_cast<int>(maps[i].extent(0)) - 2; ++r)
      for (int c = 2; c < static_cast<int>(maps[i].extent(1)) - 2; ++c)
        BOOST_REQUIRE(maps[i](r, c) == sp::annotation::unlabelled || seen[i].contains({r, c}));
  BOOST_TEST(std::none_of(grid.begin(), grid.end(),
                          [](auto const& at) { return at.image == 0 && at.column > 25; }));
  BOOST_TEST(sp::crop_grid(maps, 5, 9, 4).size() == 4U);
  BOOST_TEST((sp::crop_grid(maps, 5, 9, 4)[0] == grid[0]));
  // Fixed crops come in order, unturned, and the last batch may be short.
  auto fixed =
      sp::crop_batches::fixed(data.pixels(), maps, grid,
                              {.window = 5, .side = 9, .batch_size = 4, .warping = {.shear = 1.0}});
  std::size_t number = 0;
  for (auto const& batch : fixed.epoch(0))
    for (std::ptrdiff_t n = 0; n < batch.patches.extent(0); ++n, ++number)
      BOOST_TEST(batch.patches(n, 2, 2, 0) ==
                 data.images[static_cast<std::size_t>(grid[number].image)](grid[number].row,
                                                                           grid[number].column, 0));
  BOOST_TEST(number == grid.size());
}

BOOST_AUTO_TEST_CASE(refusals) {
  numbered_images const data{{{20, 20}}};
  numbered_images const other{{{20, 21}}};
  numbered_images const small{{{4, 20}}};
  using batches = sp::crop_batches;
  BOOST_TEST(test::id_of([&] {
               batches{data.pixels(), other.classes(), {.window = 5}};
             }) == "septum.sample.15");
  BOOST_TEST(test::id_of([&] {
               batches{small.pixels(), small.classes(), {.window = 5}};
             }) == "septum.sample.16");
  BOOST_TEST(test::id_of([&] {
               batches{data.pixels(), data.classes(), {.window = 4}};
             }) == "septum.sample.1");
  BOOST_TEST(test::id_of([&] {
               batches{data.pixels(), data.classes(), {.window = 5, .batch_size = 0}};
             }) == "septum.sample.18");
  numbered_images empty{{{20, 20}}};
  std::fill(empty.maps[0].begin(), empty.maps[0].end(), sp::annotation::unlabelled);
  BOOST_TEST(test::id_of([&] {
               batches{empty.pixels(), empty.classes(), {.window = 5}};
             }) == "septum.sample.17");
}

BOOST_AUTO_TEST_SUITE_END()

namespace {

std::vector<sp::annotation> two_annotations() {
  std::vector<sp::annotation> truths(2);
  for (std::size_t i = 0; i < 2; ++i) {
    truths[i].class_names = {"edge", "interior", "background"};
    truths[i].class_of_pixel = sp::mask::from_shape({60, 50 + i});
    for (std::size_t k = 0; k < truths[i].class_of_pixel.size(); ++k)
      truths[i].class_of_pixel.data()[k] = static_cast<std::uint8_t>(k * 31 % 17 % 3);
    truths[i].class_of_pixel(30, 20) = sp::annotation::unlabelled;
  }
  return truths;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(label_maps)

BOOST_AUTO_TEST_CASE(every_pixel_goes_to_one_part_at_random) {
  auto const truths = two_annotations();
  auto const maps = sp::split_labels(truths, 7, sp::random_pixels{.fraction = 0.2}, {1, 3});
  std::size_t training = 0;
  std::size_t validation = 0;
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t r = 0; r < 60; ++r)
      for (std::size_t c = 0; c < 50 + i; ++c) {
        auto const label = truths[i].class_of_pixel(r, c);
        bool const inside =
            r >= 3 && c >= 3 && r < 57 && c < 47 + i && label != sp::annotation::unlabelled;
        bool const trains = maps.training[i](r, c) != sp::annotation::unlabelled;
        bool const validates = maps.validation[i](r, c) != sp::annotation::unlabelled;
        BOOST_REQUIRE_EQUAL(trains + validates, inside ? 1 : 0);
        if (trains) BOOST_REQUIRE_EQUAL(int{maps.training[i](r, c)}, int{label});
        training += trains ? 1U : 0U;
        validation += validates ? 1U : 0U;
      }
  double const share = static_cast<double>(validation) / static_cast<double>(training + validation);
  BOOST_TEST(std::abs(share - 0.2) < 0.02);
}

BOOST_AUTO_TEST_CASE(a_region_shares_no_pixel_with_training_windows) {
  auto const truths = two_annotations();
  auto const maps = sp::split_labels(truths, 7, sp::by_region{.fraction = 0.15}, {1, 3});
  for (std::size_t i = 0; i < 2; ++i) {
    sp::mask seen = sp::mask::from_shape(truths[i].class_of_pixel.shape());
    std::fill(seen.begin(), seen.end(), std::uint8_t{0});
    auto const mark = [&](sp::mask const& map, std::uint8_t value) {
      std::size_t count = 0;
      for (std::size_t r = 3; r + 3 < map.shape()[0]; ++r)
        for (std::size_t c = 3; c + 3 < map.shape()[1]; ++c) {
          if (map(r, c) == sp::annotation::unlabelled) continue;
          ++count;
          for (std::size_t y = r - 3; y <= r + 3; ++y)
            for (std::size_t x = c - 3; x <= c + 3; ++x) {
              BOOST_REQUIRE(seen(y, x) == 0 || seen(y, x) == value);
              seen(y, x) = value;
            }
        }
      return count;
    };
    auto const training = mark(maps.training[i], 1);
    auto const validation = mark(maps.validation[i], 2);
    BOOST_TEST(validation >= 54U * 44U * 15U / 100U - 44U);
    BOOST_TEST(training > validation);
  }
}

BOOST_AUTO_TEST_CASE(weights_make_classes_equal) {
  std::vector<sp::mask> maps(2, sp::mask::from_shape({2, 3}));
  maps[0] = sp::mask{{0, 1, 1}, {1, sp::annotation::unlabelled, 2}};
  maps[1] = sp::mask{{2, 2, 2}, {sp::annotation::unlabelled, sp::annotation::unlabelled, 2}};
  auto const weights = sp::inverse_frequency_weights(maps, 3);
  // 1, 3 and 5 of 9 pixels: 9 / (3 * count).
  BOOST_TEST(weights == (std::vector<double>{3.0, 1.0, 0.6}), boost::test_tools::per_element());
  BOOST_CHECK_THROW((void)sp::inverse_frequency_weights(maps, 4), sp::unsupported_error);
}

BOOST_AUTO_TEST_SUITE_END()
