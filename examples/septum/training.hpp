#pragma once
#include <cstdint>
#include <filesystem>
#include <septum/io/annotation.hpp>
#include <septum/net/model.hpp>
#include <septum/train/trainer.hpp>
#include <string>
#include <vector>

#include "options.hpp"

namespace program {

/// What `septum train` is asked for. By patches the defaults are the paper's recipe; by crops all
/// labelled pixels of a crop share one pass of the fully convolutional net.
struct training_request {
  std::string net = "bn_feature_net_31x31";
  std::string mode = "dense";  ///< "dense" (crops) or "patch" (the paper's)
  int ensemble = 1;            ///< nets; net k is trained with seed + k
  int epochs = 25;             ///< patch training
  std::int64_t patches = 0;  ///< total budget per net instead of epochs: ten epochs of a tenth each
  int batch = 256;           ///< patches per step
  int steps = 600;           ///< dense training: steps per net
  int crop = 64;             ///< dense training: outputs per side of a crop
  int crops = 0;             ///< dense training: crops per step; 0: 1, or 4 for fields above 40
  std::string balance = "weights";  ///< of classes in dense training: "weights", "mask" or "none"
  double scale = 0.15;              ///< dense training: largest change of a crop's size
  double shear = 0.1;               ///< dense training: largest shear of a crop
  bool rotate = false;              ///< dense training: crops turned by any angle
  std::string schedule;             ///< "one_cycle" or "decay"; empty: the mode's, in this order
  double rate = 0.0;  ///< 0: the schedule's, 0.05 at the peak of the cycle or 0.01 at first
  double rate_factor = 0.95;
  double l2 = 1e-5;
  double momentum = 0.9;
  double decay = 1e-6;
  std::string optimizer = "sgd";
  std::string validation = "pixels";  ///< "pixels" (the paper's) or "region" (honest)
  int limit_per_class = 0;            ///< 0: the published rule
  std::string normalizer = "median_box";
  double pixel_size_um = 0.0;  ///< 0: what the data sets say
  int parts = 1;  ///< of every batch, with batch statistics of their own; 0: one per process
  std::vector<std::filesystem::path> teacher;     ///< models whose mean probabilities are learned
  double label_weight = 0.0;                      ///< share of the labels beside a teacher
  std::vector<std::filesystem::path> unlabelled;  ///< images for which there is the teacher alone
  std::filesystem::path checkpoint;               ///< empty: none is written
  bool resume = false;
  std::size_t memory_limit_mb = 0;  ///< of the whole process; 0: what is free

  [[nodiscard]] bool dense() const { return mode == "dense"; }
  [[nodiscard]] bool cycles() const { return schedule.empty() ? dense() : schedule == "one_cycle"; }
};

/// Learning curves of every net of an ensemble.
struct training_result {
  septum::model trained;
  std::vector<std::vector<septum::epoch_record>> curves;
  double seconds = 0.0;
  double patches_per_second = 0.0;  ///< outputs: patches, or labelled pixels of crops
  std::uint64_t planned_bytes = 0;  ///< of memory, at most
  std::uint64_t peak_bytes = 0;     ///< of memory, so far
};

/// Trains one net or an ensemble on annotated images, with a progress bar and checkpoints.
[[nodiscard]] training_result train_model(std::vector<septum::io::dataset> datasets,
                                          training_request const& request,
                                          common_options const& common);

/// Removes the checkpoints of a finished run.
void remove_checkpoints(training_request const& request);

}  // namespace program
