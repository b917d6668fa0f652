#pragma once
#include <filesystem>
#include <septum/exec/for_each.hpp>
#include <septum/image/types.hpp>
#include <septum/simulate/detection_errors.hpp>
#include <septum/simulate/simulated_movie.hpp>
#include <string>

#include "options.hpp"

namespace program {

/// A movie of `kind` "bacteria" or "nuclei" with its truth.
[[nodiscard]] septum::simulated_movie simulate_movie(std::string const& kind, int frames,
                                                     septum::extent2 extent, int founders,
                                                     common_options const& common);

/// Name of the one channel of a kind of movie.
[[nodiscard]] std::string channel_of(std::string const& kind);

/// One frame of a movie: axes row, column, channel.
[[nodiscard]] septum::image frame_of(septum::simulated_movie const& movie, std::size_t frame);

/// Writes frames/, truth/, lineage.csv and states.csv, and labels/ with the faults of a
/// segmentation when there are any; complete or not at all.
void write_simulation(std::filesystem::path const& out, std::string const& kind,
                      septum::simulated_movie const& movie,
                      septum::detection_errors const& faults = {});

/// The same into a folder that exists, for results with other parts.
void write_simulation_files(std::filesystem::path const& folder, std::string const& kind,
                            septum::simulated_movie const& movie);

/// Writes one frame as a data-set folder: the channel's image and labels.tif.
void write_dataset(std::filesystem::path const& folder, std::string const& channel,
                   septum::image const& pixels, septum::labels const& cells, double pixel_size_um);

}  // namespace program
