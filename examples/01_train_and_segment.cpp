// The main job in a page: a colony with known truth, a net trained on its last frame, the frame
// before segmented and scored. Prints one line; the numbers are the same on every machine with the
// same backend and thread count.
#include <cstdio>
#include <septum/backend/onednn.hpp>
#include <septum/image/annotation.hpp>
#include <septum/image/normalize.hpp>
#include <septum/measure/agreement.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/sample/batches.hpp>
#include <septum/sample/samplers.hpp>
#include <septum/sample/split.hpp>
#include <septum/segment/segmenter.hpp>
#include <septum/simulate/colony.hpp>
#include <septum/train/trainer.hpp>
#include <utility>
#include <vector>
#include <xtensor/xview.hpp>
namespace sp = septum;

using net = sp::bn_feature_net_31x31<1, 3>;
constexpr int field = net::receptive_field;
constexpr sp::exec::threads two_threads{2};

sp::image frame_of(sp::simulated_movie const& movie, std::size_t t) {
  return xt::view(movie.pixels, t);
}

int main() {
  auto const movie = sp::simulate_colony({.frames = 14, .extent = {200, 200}, .seed = 1});
  std::size_t const last = movie.cells.size() - 1;

  sp::image annotated = frame_of(movie, last);
  sp::median_box_normalizer const normalize{.window = field};
  normalize(sp::as_view(annotated), two_threads);
  std::vector const truths{sp::annotation_from_labels(movie.cells[last])};
  auto const patches = sp::class_balanced{.window = field}(truths, sp::counter_rng{1, 2});
  std::vector const extents{sp::extent2{200, 200}};
  auto const split = sp::random_pixels{}(patches, extents, field, sp::counter_rng{1, 3});
  auto const pixels = sp::as_view(std::as_const(annotated));
  sp::patch_batches training{{pixels}, split.training, {.window = field, .seed = 1}, two_threads};
  sp::patch_batches validation{{pixels},
                               split.validation,
                               {.window = field, .shuffle = false, .augment = false},
                               two_threads};

  sp::trainer<net, sp::onednn> trainer{{.epochs = 4, .batches_per_epoch = 12}, {}, two_threads};
  auto state = trainer.start();
  auto const quietly = [](auto const&) {};
  trainer.run(state, training, validation, quietly, quietly);

  enum { edge, interior, background };
  sp::segmenter<sp::median_box_normalizer, sp::ensemble<net, sp::onednn>,
                sp::pipeline<sp::threshold<interior>, sp::region_filter, sp::grow>>
      segment{normalize,
              sp::ensemble<net, sp::onednn>{{state.best_parameters}, {.threads = two_threads}},
              {{{.above = 0.6F}, {.area_min = 25}, {.pixels = 1}}},
              two_threads};
  sp::labels const cells = segment(frame_of(movie, last - 1));
  auto const score = sp::count_matches(sp::count_overlaps(movie.cells[last - 1], cells), 0.5);
  std::printf("%lld of %lld cells found, %lld invented\n",
              static_cast<long long>(score.true_positives),
              static_cast<long long>(score.true_positives + score.false_negatives),
              static_cast<long long>(score.false_positives));
  return 2 * score.true_positives > score.true_positives + score.false_negatives ? 0 : 1;
}
