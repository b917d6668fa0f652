#pragma once
#include <septum/core/config.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/simulate/camera.hpp>
#include <septum/simulate/detail/visible_truth.hpp>
#include <septum/simulate/lineage_truth.hpp>
#include <septum/simulate/phase_contrast.hpp>
#include <septum/simulate/rasterize.hpp>
#include <septum/simulate/rod_colony.hpp>
#include <septum/simulate/simulated_movie.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Microscope and camera that look at a colony.
struct colony_imaging {
  rod_texture texture{};
  phase_contrast optics{};
  camera detector{};
  int supersampling = 3;
};

namespace detail {

[[nodiscard]] inline simulated_state state_of(colony_rod const& cell, int frame,
                                              std::int64_t pixels, double pixel_size_um) {
  auto const& shape = cell.shape;
  point const centre = shape.centre();
  point const heading = shape.axis.back() - shape.axis.front();
  return {.id = shape.id,
          .frame = frame,
          .row_px = centre.row,
          .column_px = centre.column,
          .angle_rad = std::atan2(heading.row, heading.column),
          .length_um = shape.length_px * pixel_size_um,
          .width_um = 2 * shape.radius_px * pixel_size_um,
          .area_um2 = cell.area_px2 * pixel_size_um * pixel_size_um,
          .pixels = pixels};
}

}  // namespace detail

/// A growing colony of rods in phase contrast. A pure function of options and imaging, whatever the
/// thread count. Cells that have no pixel in the image any more are gone for good.
/// \param on_frame  called with 1, 2, ... after each finished frame; may throw to stop
/// \throws unsupported_error `septum.simulate.1` when an option is out of range
template <std::invocable<int> OnFrame>
[[nodiscard]] simulated_movie simulate_colony(colony_options const& options,
                                              colony_imaging const& imaging, exec::threads threads,
                                              OnFrame const& on_frame) {
  rod_colony colony{options};
  auto const frames = static_cast<std::size_t>(options.frames);
  auto const rows = static_cast<std::size_t>(options.extent.rows);
  auto const columns = static_cast<std::size_t>(options.extent.columns);
  simulated_movie result;
  result.pixels = movie::from_shape({frames, rows, columns, 1});
  result.pixel_size_um = options.pixel_size_um;
  result.frame_interval_min = options.frame_interval_min;
  // Forked by numbers far above any cell's id.
  counter_rng const source{options.seed, stream::simulation};
  auto const texture = source.fork(std::uint64_t{1} << 40);
  auto const optics = source.fork(std::uint64_t{2} << 40);
  auto const detector = source.fork(std::uint64_t{3} << 40);
  auto const medium =
      imaging.optics.medium(options.extent, source.fork(std::uint64_t{4} << 40), threads);
  detail::lineage_recorder recorder;
  for (int frame = 0; frame < options.frames; ++frame) {
    if (frame > 0) colony.advance();
    std::vector<rod> shapes;
    for (auto const& cell : colony.cells()) {
      shapes.push_back(cell.shape);
      recorder.know(cell.shape.id, cell.parent);
    }
    labels seen = label_rods(shapes, options.extent, threads);
    auto const pixels = detail::keep_largest_parts(seen, threads);
    auto const thickness = rod_thickness(shapes, options.extent, imaging.texture, texture,
                                         imaging.supersampling, threads);
    auto const counts = imaging.detector(imaging.optics(thickness, medium, optics, frame, threads),
                                         detector, frame, threads);
    std::copy(counts.begin(), counts.end(),
              result.pixels.data() + static_cast<std::size_t>(frame) * rows * columns);
    for (auto const& cell : colony.cells())
      if (auto const found = pixels.find(cell.shape.id); found != pixels.end())
        recorder.record(cell.parent, 60 * cell.rate_per_min,
                        detail::state_of(cell, frame, found->second, options.pixel_size_um));
    colony.remove_if([&](colony_rod const& cell) { return !pixels.contains(cell.shape.id); });
    result.cells.push_back(std::move(seen));
    on_frame(frame + 1);
  }
  result.truth = recorder.finish(options.frames);
  return result;
}

/// The same without progress.
[[nodiscard]] inline simulated_movie simulate_colony(colony_options const& options,
                                                     colony_imaging const& imaging = {},
                                                     exec::threads threads = {}) {
  return simulate_colony(options, imaging, threads, [](int) {});
}

}  // namespace septum::inline SEPTUM_ABI
