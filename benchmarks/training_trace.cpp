// Writes down what patch training does, step by step, so that an independent implementation can
// repeat it from the same weights and the same patches (peers/same_steps.py).
// Usage: bench_training_trace FOLDER OUT [--seed 0] [--steps 100] [--threads 2]
// OUT/ receives NPY files: image, classes, training and validation (row, column, class), patches
// (row, column, class, symmetry of every patch seen), losses, and parameters_K, velocity_K after K
// = 0, 1, 10, 100, ... steps.
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <septum/backend/onednn.hpp>
#include <septum/image/normalize.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/npy.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/sample/batches.hpp>
#include <septum/sample/samplers.hpp>
#include <septum/sample/split.hpp>
#include <septum/train/trainer.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using net = septum::bn_feature_net_31x31<1, 3>;
constexpr int field = net::receptive_field;

struct request {
  std::filesystem::path folder;
  std::filesystem::path out;
  std::uint64_t seed = 0;
  int steps = 100;
  int threads = 2;
};

void write(std::filesystem::path const& path, std::span<float const> values) {
  auto array = xt::xtensor<float, 1>::from_shape({values.size()});
  std::copy(values.begin(), values.end(), array.begin());
  septum::io::write_npy(path, array);
}

using table = std::vector<std::vector<std::int32_t>>;
void write(std::filesystem::path const& path, table const& rows) {
  auto array = xt::xtensor<std::int32_t, 2>::from_shape({rows.size(), rows.at(0).size()});
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t k = 0; k < rows[i].size(); ++k) array(i, k) = rows[i][k];
  septum::io::write_npy(path, array);
}

std::vector<std::int32_t> row_of(septum::patch_index const& patch) {
  return {patch.row, patch.column, patch.label};
}

void trace(request const& given) {
  septum::exec::threads const threads{given.threads};
  std::filesystem::create_directories(given.out);
  auto data = septum::io::read_dataset(given.folder, {}, threads);
  septum::median_box_normalizer{.window = field}(septum::as_view(data.pixels), threads);
  septum::io::write_npy(given.out / "image.npy", data.pixels);
  septum::io::write_npy(given.out / "classes.npy", data.truth.class_of_pixel);

  // As `septum train --mode patch` does.
  std::vector<septum::annotation> const truths{data.truth};
  std::vector<septum::extent2> const extents{
      {static_cast<int>(data.pixels.shape()[0]), static_cast<int>(data.pixels.shape()[1])}};
  auto const sampled = septum::class_balanced{.window = field}(
      truths, septum::counter_rng{given.seed, septum::stream::sampling});
  auto const split = septum::random_pixels{}(
      sampled, extents, field, septum::counter_rng{given.seed, septum::stream::validation_split});
  table drawn;
  for (auto const& patch : split.training) drawn.push_back(row_of(patch));
  write(given.out / "training.npy", drawn);
  drawn.clear();
  for (auto const& patch : split.validation) drawn.push_back(row_of(patch));
  write(given.out / "validation.npy", drawn);

  septum::patch_batches training{{septum::as_view(std::as_const(data.pixels))},
                                 split.training,
                                 {.window = field, .seed = given.seed},
                                 threads};
  septum::patch_batches none{{septum::as_view(std::as_const(data.pixels))}, {}, {.window = field}};
  auto const per_epoch = training.batches_per_epoch();
  int const epochs = static_cast<int>((given.steps + per_epoch - 1) / per_epoch);
  drawn.clear();
  for (int epoch = 0; epoch < epochs; ++epoch) {
    auto const turns = septum::counter_rng{given.seed, septum::stream::augmentation}.fork(
        static_cast<std::uint64_t>(epoch));
    for (auto const number : training.order(epoch)) {
      drawn.push_back(row_of(split.training[number]));
      drawn.back().push_back(septum::draw_dihedral(turns, number).element);
    }
  }
  write(given.out / "patches.npy", drawn);

  septum::trainer<net, septum::onednn> trainer{{.epochs = epochs, .seed = given.seed}, {}, threads};
  auto state = trainer.start();
  auto const keep = [&](int step) {
    write(given.out / ("parameters_" + std::to_string(step) + ".npy"), state.parameters);
    write(given.out / ("velocity_" + std::to_string(step) + ".npy"), state.optimizer.slots.at(0));
  };
  keep(0);
  std::vector<float> losses;
  double before = 0.0;
  int steps = 0;
  int next = 1;
  struct enough {};
  try {
    trainer.run(
        state, training, none,
        [&](septum::training_progress const& now) {
          if (now.batch == 1) before = 0.0;
          losses.push_back(static_cast<float>(state.sums.loss - before));
          before = state.sums.loss;
          if (++steps == next || steps == given.steps) keep(steps);
          if (steps == next) next *= 10;
          if (steps == given.steps) throw enough{};
        },
        [](auto const&) {});
  } catch (enough) {
  }
  write(given.out / "losses.npy", losses);
  std::cout << "{\"steps\": " << steps << ", \"per_epoch\": " << per_epoch << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: bench_training_trace FOLDER OUT [--seed N] [--steps N] [--threads N]\n";
    return 2;
  }
  request given{.folder = argv[1], .out = argv[2]};
  for (int i = 3; i + 1 < argc; i += 2) {
    std::string const option = argv[i];
    int const value = std::atoi(argv[i + 1]);
    if (option == "--seed") given.seed = static_cast<std::uint64_t>(value);
    if (option == "--steps") given.steps = value;
    if (option == "--threads") given.threads = value;
  }
  trace(given);
  return 0;
}
