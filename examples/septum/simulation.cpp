#include "simulation.hpp"

#include <algorithm>
#include <septum/core/text.hpp>
#include <septum/io/file.hpp>
#include <septum/io/output_folder.hpp>
#include <septum/io/tiff.hpp>
#include <septum/simulate/colony.hpp>
#include <septum/simulate/nuclei.hpp>

#include "progress.hpp"
#include "signals.hpp"

namespace program {
namespace {

std::string frame_name(std::size_t frame) {
  std::string const digits = std::to_string(frame);
  return "t" + std::string(digits.size() < 3 ? 3 - digits.size() : 0, '0') + digits + ".tif";
}

char const* fate_name(septum::cell_fate fate) {
  switch (fate) {
    case septum::cell_fate::divided:
      return "divided";
    case septum::cell_fate::left:
      return "left";
    case septum::cell_fate::last_frame:
      break;
  }
  return "last_frame";
}

std::string lineage_table(septum::lineage_truth const& truth) {
  std::string table = "id,parent,first_frame,last_frame,fate,growth_rate_per_h\n";
  for (auto const& cell : truth.cells)
    table += std::to_string(cell.id) + "," + std::to_string(cell.parent) + "," +
             std::to_string(cell.first_frame) + "," + std::to_string(cell.last_frame) + "," +
             fate_name(cell.fate) + "," + septum::to_text(cell.growth_rate_per_h) + "\n";
  return table;
}

std::string state_table(septum::lineage_truth const& truth) {
  std::string table =
      "frame,id,centroid_y_px,centroid_x_px,angle_rad,length_um,width_um,area_um2,area_px\n";
  for (auto const& state : truth.states)
    table += std::to_string(state.frame) + "," + std::to_string(state.id) + "," +
             septum::to_text(state.row_px, 3) + "," + septum::to_text(state.column_px, 3) + "," +
             septum::to_text(state.angle_rad, 5) + "," + septum::to_text(state.length_um, 4) + "," +
             septum::to_text(state.width_um, 4) + "," + septum::to_text(state.area_um2, 4) + "," +
             std::to_string(state.pixels) + "\n";
  return table;
}

// Camera counts are whole numbers; files hold them as such.
void write_counts(std::filesystem::path const& path, septum::image const& pixels,
                  double pixel_size_um) {
  xt::xtensor<std::uint16_t, 2> counts =
      xt::xtensor<std::uint16_t, 2>::from_shape({pixels.shape()[0], pixels.shape()[1]});
  std::transform(pixels.begin(), pixels.end(), counts.begin(), [](float value) {
    return static_cast<std::uint16_t>(std::clamp(value, 0.0F, 65535.0F));
  });
  septum::io::write_tiff(path, counts, {.pixel_size_um = pixel_size_um});
}

}  // namespace

std::string channel_of(std::string const& kind) { return kind == "nuclei" ? "nuclear" : "phase"; }

septum::simulated_movie simulate_movie(std::string const& kind, int frames, septum::extent2 extent,
                                       int founders, common_options const& common) {
  progress_bar bar{"simulating", !common.quiet};
  auto const on_frame = [&](int done) {
    bar.update(static_cast<double>(done) / frames,
               "frame " + std::to_string(done) + "/" + std::to_string(frames));
    stop_if_interrupted();
  };
  if (kind == "nuclei")
    return septum::simulate_nuclei(
        {.frames = frames, .extent = extent, .count = founders, .seed = common.seed}, {},
        common.executor(), on_frame);
  return septum::simulate_colony(
      {.frames = frames, .extent = extent, .founders = founders, .seed = common.seed}, {},
      common.executor(), on_frame);
}

septum::image frame_of(septum::simulated_movie const& movie, std::size_t frame) {
  auto const& shape = movie.pixels.shape();
  septum::image pixels = septum::image::from_shape({shape[1], shape[2], shape[3]});
  std::copy_n(movie.pixels.data() + frame * pixels.size(), pixels.size(), pixels.data());
  return pixels;
}

void write_simulation_files(std::filesystem::path const& folder, std::string const& kind,
                            septum::simulated_movie const& movie) {
  namespace fs = std::filesystem;
  fs::create_directories(folder / "frames");
  fs::create_directories(folder / "truth");
  for (std::size_t t = 0; t < movie.cells.size(); ++t) {
    stop_if_interrupted();
    write_counts(folder / "frames" / (channel_of(kind) + "_" + frame_name(t)), frame_of(movie, t),
                 movie.pixel_size_um);
    septum::io::write_tiff(folder / "truth" / ("labels_" + frame_name(t)), movie.cells[t],
                           {.pixel_size_um = movie.pixel_size_um});
  }
  septum::io::write_file(folder / "lineage.csv", lineage_table(movie.truth));
  septum::io::write_file(folder / "states.csv", state_table(movie.truth));
}

void write_simulation(std::filesystem::path const& out, std::string const& kind,
                      septum::simulated_movie const& movie,
                      septum::detection_errors const& faults) {
  septum::io::output_folder folder{out};
  write_simulation_files(folder.path(), kind, movie);
  for (std::size_t t = 0; faults.missed + faults.merged > 0 && t < movie.cells.size(); ++t) {
    stop_if_interrupted();
    septum::io::write_tiff(folder.file("labels/labels_" + frame_name(t)),
                           faults(movie.cells[t], static_cast<std::int64_t>(t)),
                           {.pixel_size_um = movie.pixel_size_um});
  }
  folder.commit();
}

void write_dataset(std::filesystem::path const& folder, std::string const& channel,
                   septum::image const& pixels, septum::labels const& cells, double pixel_size_um) {
  std::filesystem::create_directories(folder);
  write_counts(folder / (channel + ".tif"), pixels, pixel_size_um);
  septum::io::write_tiff(folder / "labels.tif", cells, {.pixel_size_um = pixel_size_um});
}

}  // namespace program
