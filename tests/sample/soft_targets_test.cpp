#include <septum/image/types.hpp>
#include <septum/sample/batches.hpp>
#include <septum/sample/crops.hpp>
#include <septum/sample/soft_targets.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sp = septum;

namespace {

// Pixels hold a plane, and probabilities follow from it in a straight line: wherever a crop takes
// them from, and however it interpolates, the two have to fit.
struct planes {
  sp::image pixels = sp::image::from_shape({60, 70, 1});
  sp::probabilities targets = sp::probabilities::from_shape({60, 70, 3});
  sp::mask classes = sp::mask::from_shape({60, 70});

  planes() {
    for (std::size_t r = 0; r < 60; ++r)
      for (std::size_t c = 0; c < 70; ++c) {
        pixels(r, c, 0) = (0.3F * static_cast<float>(r) + 0.6F * static_cast<float>(c)) / 60.0F;
        targets(r, c, 0) = pixels(r, c, 0);
        targets(r, c, 1) = 0.25F * (1.0F - pixels(r, c, 0));
        targets(r, c, 2) = 0.75F * (1.0F - pixels(r, c, 0));
        classes(r, c) = static_cast<std::uint8_t>((r + c) % 3);
      }
  }
  void blind(std::size_t ring) {
    for (std::size_t r = 0; r < 60; ++r)
      for (std::size_t c = 0; c < 70; ++c)
        if (r < ring || c < ring || r >= 60 - ring || c >= 70 - ring)
          for (std::size_t k = 0; k < 3; ++k) targets(r, c, k) = 0.0F;
  }
  [[nodiscard]] sp::crop_batches crops(sp::crop_options const& options, int threads = 1) const {
    sp::crop_batches batches{
        {sp::as_view(pixels)}, {sp::as_view(classes)}, options, sp::exec::threads{threads}};
    batches.set_targets({sp::as_view(targets)});
    return batches;
  }
};

sp::crop_options const plain{.window = 5, .side = 12, .batch_size = 2, .batches_per_epoch = 30};

sp::crop_options warped() {
  auto options = plain;
  options.warping = {.scale = 0.2, .shear = 0.2, .rotate = true};
  return options;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(soft_targets)

BOOST_AUTO_TEST_CASE(targets_stay_with_their_pixels_however_crops_are_turned_and_warped) {
  planes const data;
  for (auto const& options : {plain, warped()}) {
    auto batches = data.crops(options);
    std::size_t counted = 0;
    for (auto const& batch : batches.epoch(1)) {
      BOOST_TEST_REQUIRE(batch.targets.size() == batch.labels.size() * 3);
      for (std::ptrdiff_t n = 0; n < 2; ++n)
        for (std::ptrdiff_t r = 0; r < 12; ++r)
          for (std::ptrdiff_t c = 0; c < 12; ++c) {
            auto const at = static_cast<std::size_t>((n * 12 + r) * 12 + c);
            if (batch.labels[at] == sp::annotation::unlabelled) continue;
            ++counted;
            float const centre = batch.patches(n, r + 2, c + 2, 0);
            BOOST_REQUIRE_SMALL(batch.targets[3 * at] - centre, 2e-6F);
            BOOST_REQUIRE_SMALL(batch.targets[3 * at + 2] - 0.75F * (1.0F - centre), 2e-6F);
          }
    }
    BOOST_TEST(counted > 30U * 250U);
  }
}

BOOST_AUTO_TEST_CASE(pixels_that_the_teacher_does_not_see_lose_their_labels) {
  planes data;
  data.blind(9);
  auto batches = data.crops(plain);
  std::ptrdiff_t number = 0;
  std::size_t lost = 0;
  for (auto const& batch : batches.epoch(0))
    for (std::ptrdiff_t n = 0; n < 2; ++n) {
      auto const at = batches.place(0, number++);
      std::ptrdiff_t expected = 0;
      for (int r = at.row; r < at.row + 12; ++r)
        for (int c = at.column; c < at.column + 12; ++c)
          expected += r < 9 || c < 9 || r >= 51 || c >= 61 ? 1 : 0;
      auto const labels = batch.labels.subspan(static_cast<std::size_t>(n) * 144, 144);
      BOOST_TEST_REQUIRE(std::count(labels.begin(), labels.end(), sp::annotation::unlabelled) ==
                         expected);
      lost += static_cast<std::size_t>(expected);
    }
  BOOST_TEST(lost > 0U);
  // Interpolated from some that it sees and some that it does not: no label either.
  auto warping = data.crops(warped());
  for (auto const& batch : warping.epoch(0))
    for (std::size_t i = 0; i < batch.labels.size(); ++i)
      if (batch.labels[i] != sp::annotation::unlabelled)
        BOOST_REQUIRE_SMALL(
            batch.targets[3 * i] + batch.targets[3 * i + 1] + batch.targets[3 * i + 2] - 1.0F,
            1e-3F);
}

BOOST_AUTO_TEST_CASE(threads_and_the_first_batch_do_not_matter) {
  planes const data;
  auto const drain = [](sp::crop_batches batches, std::ptrdiff_t first) {
    std::vector<float> all;
    for (auto const& batch : batches.epoch(3, first))
      all.insert(all.end(), batch.targets.begin(), batch.targets.end());
    return all;
  };
  auto const whole = drain(data.crops(warped()), 0);
  BOOST_TEST((drain(data.crops(warped(), 3), 0) == whole));
  auto const rest = drain(data.crops(warped()), 10);
  BOOST_TEST((std::vector<float>(whole.end() - std::ssize(rest), whole.end()) == rest));
  BOOST_TEST(rest.size() * 3 == whole.size() * 2);
}

BOOST_AUTO_TEST_CASE(patches_have_the_targets_of_their_centres) {
  planes data;
  data.targets(20, 30, 0) = data.targets(20, 30, 1) = data.targets(20, 30, 2) = 0.0F;
  std::vector<sp::patch_index> const patches{{0, 7, 9, 1}, {0, 20, 30, 2}, {0, 40, 50, 0}};
  sp::patch_batches batches{
      {sp::as_view(data.pixels)}, patches, {.window = 5, .batch_size = 2, .seed = 3}};
  for (auto const& batch : batches.epoch(0)) BOOST_TEST(batch.targets.empty());
  batches.set_targets({sp::as_view(data.targets)});
  std::size_t seen = 0;
  for (auto const& batch : batches.epoch(0))
    for (std::size_t i = 0; i < batch.labels.size(); ++i, ++seen) {
      float const centre = batch.patches(static_cast<std::ptrdiff_t>(i), 2, 2, 0);
      bool const blind = centre == data.pixels(20, 30, 0);
      BOOST_TEST((batch.labels[i] == sp::annotation::unlabelled) == blind);
      BOOST_TEST(batch.targets[3 * i] == (blind ? 0.0F : centre));
    }
  BOOST_TEST(seen == 3U);
}

BOOST_AUTO_TEST_CASE(labels_are_mixed_in_by_their_weight) {
  sp::probabilities const teacher{{{0.5F, 0.25F, 0.25F}, {0.1F, 0.1F, 0.8F}},
                                  {{0.0F, 0.0F, 0.0F}, {0.0F, 1.0F, 0.0F}}};
  sp::annotation const truth{{{1, sp::annotation::unlabelled}, {2, 1}},
                             {"edge", "interior", "background"}};
  auto const alone = sp::soft_targets{}(teacher, truth);
  BOOST_TEST((alone == teacher));
  auto const mixed = sp::soft_targets{.label_weight = 0.5}(teacher, truth);
  sp::probabilities const expected{{{0.25F, 0.625F, 0.125F}, {0.1F, 0.1F, 0.8F}},
                                   {{0.0F, 0.0F, 0.0F}, {0.0F, 1.0F, 0.0F}}};
  BOOST_TEST((mixed == expected));
  auto const filled = sp::label_by_teacher(truth, teacher);
  BOOST_TEST((filled.class_of_pixel == xt::xtensor<std::uint8_t, 2>{{1, 2}, {2, 1}}));
  auto unlabelled = truth;
  unlabelled.class_of_pixel.fill(sp::annotation::unlabelled);
  BOOST_TEST((sp::label_by_teacher(unlabelled, teacher).class_of_pixel ==
              xt::xtensor<std::uint8_t, 2>{{0, 2}, {sp::annotation::unlabelled, 1}}));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  planes const data;
  sp::probabilities const small = sp::probabilities::from_shape({59, 70, 3});
  sp::crop_batches crops{{sp::as_view(data.pixels)}, {sp::as_view(data.classes)}, plain};
  BOOST_CHECK_THROW(crops.set_targets({sp::as_view(small)}), sp::shape_error);
  BOOST_CHECK_THROW(crops.set_targets({}), sp::shape_error);
  sp::annotation const truth{data.classes, {"edge", "interior", "background"}};
  BOOST_CHECK_THROW((void)sp::soft_targets{}(small, truth), sp::shape_error);
  BOOST_CHECK_THROW((void)sp::label_by_teacher(truth, small), sp::shape_error);
  BOOST_CHECK_THROW((void)sp::soft_targets{.label_weight = 1.5}(data.targets, truth),
                    sp::unsupported_error);
}

BOOST_AUTO_TEST_SUITE_END()
