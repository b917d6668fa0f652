#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "evaluation.hpp"
#include "options.hpp"

namespace program {

/// Whether a folder holds a tracked movie: one of the Cell Tracking Challenge, what `track` wrote,
/// or what `simulate` wrote.
[[nodiscard]] bool is_tracked_movie(std::filesystem::path const& path);

/// Object scores as for label images, and DET, TRA, LNK, divisions, complete tracks.
/// @throws septum::io_error for a folder that breaks the challenge's rules
[[nodiscard]] nlohmann::ordered_json evaluate_tracked(std::filesystem::path const& prediction,
                                                      std::filesystem::path const& truth,
                                                      evaluation_request const& request,
                                                      common_options const& common);

}  // namespace program
