#include "measuring.hpp"

#include <CLI/CLI.hpp>
#include <septum/core/error.hpp>

namespace program {

void add_measuring_options(CLI::App& command, measuring_arguments& given) {
  command
      .add_option("--images", given.images,
                  "Raw images that were segmented; default: those that cells.csv names")
      ->check(CLI::ExistingPath);
  command
      .add_option("--pixel-size", given.pixel_size_um,
                  "Side of a pixel in um; 0: what the label images say")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--interval", given.frame_interval_min,
                  "Minutes between frames; 0: what the images say, else 5")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--divisions", given.divisions,
                  "What a daughter's first frame is compared with: nothing (separate), both "
                  "daughters with their mother (continued), or each alone (published)")
      ->check(CLI::IsMember({"separate", "continued", "published"}))
      ->capture_default_str();
  command.add_option("--window", given.window, "Frames of the moving fit of growth, odd")
      ->check(CLI::Range(3, 1001))
      ->capture_default_str();
  command
      .add_option("--neighbour-reach", given.neighbour_reach_px,
                  "Cells are neighbours up to so many px apart")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--jump", given.jump, "Relative change of area in one frame that is an error")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command
      .add_option("--disagreement", given.disagreement,
                  "Standard deviation of a cell's area between the nets of an ensemble, over the "
                  "area, from which the cell is worth a look")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command
      .add_option("--border", given.border_px,
                  "Cells within so many px of the border may be cut, e.g. 15 for a net with a "
                  "field of 31")
      ->check(CLI::Range(0, 10000))
      ->capture_default_str();
  command.add_option("--reporter", given.reporter, "Channel of a translocation reporter");
  command
      .add_option("--nuclei", given.nuclei,
                  "Label images of nuclei; default: nuclei/labels beside the cells")
      ->check(CLI::ExistingDirectory);
}

measurement_request measuring_request(results_folder const& results,
                                      measuring_arguments const& given) {
  measurement_request request;
  request.labels = results.labels;
  request.links = results.links;
  request.cells_table = results.cells_table;
  request.nuclei = given.nuclei.empty() ? results.nuclei : given.nuclei;
  request.images = images_of(results, given.images, request.channels);
  request.reporter = given.reporter;
  request.pixel_size_um = given.pixel_size_um;
  request.frame_interval_min = given.frame_interval_min;
  request.window = given.window;
  request.neighbour_reach_px = given.neighbour_reach_px;
  request.audit.jump = given.jump;
  request.audit.disagreement = given.disagreement;
  request.border_px = given.border_px;
  request.divisions = given.divisions == "separate"    ? septum::across_division::separate
                      : given.divisions == "published" ? septum::across_division::as_published
                                                       : septum::across_division::continued;
  if (given.window % 2 == 0)
    throw septum::unsupported_error{
        "septum.program.62",
        "--window " + std::to_string(given.window) + ": expected an odd number of frames"};
  if (!request.reporter.empty() && request.nuclei.empty())
    throw septum::unsupported_error{"septum.program.63",
                                    "--reporter wants label images of nuclei; name their folder "
                                    "with --nuclei"};
  return request;
}

}  // namespace program
