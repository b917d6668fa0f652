#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "measurement.hpp"
#include "options.hpp"
#include "results_folder.hpp"

namespace program {

/// What goes into a report beside the measurements.
struct report_request {
  std::string title{};
  std::string
      time{};  ///< when it was made; empty: not said, so that equal results give equal bytes
  /// what else is to be said about where the results come from: name and value
  std::vector<std::pair<std::string, std::string>> provenance{};
  std::size_t byte_budget = 16'000'000;  ///< pictures are made smaller until they fit
};

/// One self-contained HTML page: movie, growth, lineage, audit, localisation, training, provenance.
[[nodiscard]] std::string make_report(results_folder const& results,
                                      measurement_request const& measured_with,
                                      measurement const& measured, report_request const& request);

/// Crops of the cells most worth a look, as PNG files named by frame and label.
void write_crops(std::filesystem::path const& folder, measurement_request const& measured_with,
                 measurement const& measured, std::size_t most = 60);

}  // namespace program
