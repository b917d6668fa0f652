#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "experiment_config.hpp"
#include "options.hpp"

namespace program {

/// What became of one position.
struct position_outcome {
  std::string name;
  std::string failure;  ///< empty: none
  std::string step;     ///< that failed
  int done = 0;         ///< steps done now
  int skipped = 0;      ///< steps that were done before
  std::int64_t frames = 0;
  std::int64_t cells = 0;
  std::int64_t tracks = 0;
  double growth_per_h = 0;
  double jump_rate = 0;
};

/// What a run did.
struct experiment_outcome {
  std::vector<position_outcome> positions;
  double seconds = 0;
  std::int64_t new_frames = 0;  ///< segmented now
  std::size_t peak_bytes = 0;

  [[nodiscard]] std::size_t failures() const;
};

/// Segments, tracks, measures and reports every position that is not done yet. Every step appears
/// complete or not at all, so that a run that was killed goes on with the step it was in and leaves
/// the same files. A position that fails is named in the summary and stops no other.
/// @throws septum::error when nothing can be run at all, septum::interrupted_error on a signal
experiment_outcome run_experiment(experiment_config const& config, common_options const& common);

}  // namespace program
