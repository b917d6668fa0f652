#pragma once
#include <septum/core/config.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/simulate/camera.hpp>
#include <septum/simulate/detail/visible_truth.hpp>
#include <septum/simulate/fluorescence.hpp>
#include <septum/simulate/lineage_truth.hpp>
#include <septum/simulate/nuclei_population.hpp>
#include <septum/simulate/simulated_movie.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Microscope and camera that look at nuclei.
struct nuclei_imaging {
  fluorescence optics{};
  camera detector{.counts_at_one = 900.0,
                  .offset_counts = 100.0,
                  .counts_per_photon = 1.0,
                  .read_noise_counts = 12.0,
                  .column_noise = 0.001,
                  .uneven_illumination = 0.03,
                  .flicker = 0.01};
};

/// A movie of fluorescent nuclei. A pure function of options and imaging, whatever the thread
/// count. A nucleus that leaves the image and comes back is a new cell without parent, and so is
/// one whose mother was not seen in the frame before. \param on_frame  called with 1, 2, ... after
/// each finished frame; may throw to stop \throws unsupported_error `septum.simulate.2` when an
/// option is out of range
template <std::invocable<int> OnFrame>
[[nodiscard]] simulated_movie simulate_nuclei(nuclei_options const& options,
                                              nuclei_imaging const& imaging, exec::threads threads,
                                              OnFrame const& on_frame) {
  nuclei_population population{options};
  auto const frames = static_cast<std::size_t>(options.frames);
  auto const rows = static_cast<std::size_t>(options.extent.rows);
  auto const columns = static_cast<std::size_t>(options.extent.columns);
  simulated_movie result;
  result.pixels = movie::from_shape({frames, rows, columns, 1});
  result.pixel_size_um = options.pixel_size_um;
  result.frame_interval_min = options.frame_interval_min;
  // Forked by numbers far above any body's.
  counter_rng const source{options.seed, stream::simulation};
  auto const looks = source.fork(std::uint64_t{1} << 40);
  auto const detector = source.fork(std::uint64_t{3} << 40);
  detail::lineage_recorder recorder;
  std::map<std::int64_t, std::int32_t> seen_before;  // label of each body seen in the last frame
  std::int32_t next_label = 1;
  for (int frame = 0; frame < options.frames; ++frame) {
    if (frame > 0) population.advance();
    auto const nuclei = population.nuclei();
    // Bodies are labelled by position in the list first, since only those seen get a label.
    std::vector<std::int32_t> numbers;
    for (std::size_t k = 0; k < nuclei.size(); ++k)
      numbers.push_back(static_cast<std::int32_t>(k) + 1);
    labels seen = label_nuclei(nuclei, numbers, options.extent, threads);
    auto const pixels = detail::keep_largest_parts(seen, threads);
    auto const counts = imaging.detector(imaging.optics(nuclei, options.extent, looks, threads),
                                         detector, frame, threads);
    std::copy(counts.begin(), counts.end(),
              result.pixels.data() + static_cast<std::size_t>(frame) * rows * columns);

    std::map<std::int64_t, std::int32_t> seen_now;
    std::vector<std::int32_t> label_of(nuclei.size() + 1, 0);
    for (auto const& [number, count] : pixels) {
      auto const k = static_cast<std::size_t>(number) - 1;
      auto const& body = nuclei[k];
      auto const known = seen_before.find(body.body);
      auto const id = known != seen_before.end() ? known->second : next_label++;
      auto const mother =
          body.birth_frame == frame ? seen_before.find(body.mother) : seen_before.end();
      seen_now[body.body] = id;
      label_of[k + 1] = id;
      double const pixel = options.pixel_size_um;
      recorder.record(mother != seen_before.end() ? mother->second : 0,
                      population.growth_rate_per_h(k),
                      {.id = id,
                       .frame = frame,
                       .row_px = body.centre.row,
                       .column_px = body.centre.column,
                       .angle_rad = body.angle_rad,
                       .length_um = 2 * body.long_px * pixel,
                       .width_um = 2 * body.short_px * pixel,
                       .area_um2 = nucleus_area_px2(body) * pixel * pixel,
                       .pixels = count});
    }
    for (auto& label : seen) label = label_of[static_cast<std::size_t>(label)];
    seen_before.swap(seen_now);
    result.cells.push_back(std::move(seen));
    on_frame(frame + 1);
  }
  result.truth = recorder.finish(options.frames);
  return result;
}

/// The same without progress.
[[nodiscard]] inline simulated_movie simulate_nuclei(nuclei_options const& options,
                                                     nuclei_imaging const& imaging = {},
                                                     exec::threads threads = {}) {
  return simulate_nuclei(options, imaging, threads, [](int) {});
}

}  // namespace septum::inline SEPTUM_ABI
