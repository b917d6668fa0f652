#include "refinement.hpp"

#include <limits>
#include <septum/core/error.hpp>
#include <septum/image/morphology.hpp>
#include <septum/segment/contours.hpp>
#include <septum/segment/refiners.hpp>
#include <septum/segment/toolbox.hpp>
#include <utility>
#include <variant>

namespace program {
namespace {

template <int... Interiors>
void refine_interiors(septum::labels& cells, septum::probabilities const& classes,
                      septum::image const& raw, refinement const& options,
                      contour_place const& place, septum::exec::threads threads) {
  if (needs_nuclei(options)) {
    auto const grow = [&](auto const& contours) {
      std::visit([&](auto const& here) { contours.grow_at(here, cells, classes, threads); }, place);
    };
    if (options.published)
      grow(septum::published_contours<Interiors...>{.iterations = options.contour_iterations,
                                                    .smoothing = options.contour_smoothing});
    else
      grow(septum::labels_contours<Interiors...>{
          .iterations = options.contour_iterations,
          .smoothing = options.contour_smoothing,
          .data = {.lambda_outside = options.lambda_outside}});
    return;
  }
  if (options.method == refinement_method::otsu) {
    if constexpr (sizeof...(Interiors) == 1)
      septum::otsu<Interiors...>{.fill_holes = options.fill_holes}(cells, classes, raw, threads);
    else
      throw septum::unsupported_error(
          "septum.program.45",
          "--refine otsu: expected one class of interiors, found several; choose threshold");
  } else {
    septum::grown_cores<Interiors...>{.above = static_cast<float>(options.threshold),
                                      .core_above = static_cast<float>(options.core_threshold),
                                      .core_area_min = options.core_area_min_px,
                                      .fill_holes = options.fill_holes}(cells, classes, raw,
                                                                        threads);
  }
  if (options.split_px > 0)
    septum::split_touching{.apart_px = options.split_px}(cells, classes, raw, threads);
  filter_of(options)(cells, classes, raw, threads);
}

}  // namespace

refinement preset_refinement(std::string const& name, bool published) {
  refinement options{.published = published};
  options.fill_holes = !published;
  if (name == "bacteria") {
    // What neighbours enclose is a gap between them, not a part of one.
    options.fill_holes = false;
    options.eccentricity_min = 0.1;
    if (!published) {
      options.threshold = 0.5;
      options.core_threshold = 0.9;
      options.area_min_px = 10;
    }
    return options;
  }
  if (name == "nuclei") {
    options.method = refinement_method::nuclei;
    options.area_min_px = 0;
    return options;
  }
  if (name == "cytoplasm" || name == "coculture") {
    options.method = refinement_method::contours;
    options.two_cell_types = name == "coculture";
    if (options.two_cell_types) options.nuclei = published_nuclear_rule(name);
    options.threshold = 0.5;
    options.area_min_px = 100;
    return options;
  }
  throw septum::unsupported_error(
      "septum.program.13",
      "unknown preset '" + name + "'; there are bacteria, nuclei, cytoplasm, coculture");
}

septum::nuclear_rule published_nuclear_rule(std::string const& name) {
  if (name == "hela") return {};
  if (name == "coculture") return {.eccentricity_max = 1};
  if (name == "raw") return {.above = 0.5F, .area_min = 50, .eccentricity_max = 1};
  if (name == "plating") return {.local_window = 61, .eccentricity_max = 1, .solidity_min = 0};
  throw septum::unsupported_error(
      "septum.program.31", "unknown rule '" + name + "'; there are hela, coculture, raw, plating");
}

septum::region_filter filter_of(refinement const& options) {
  return {.area_min = options.area_min_px,
          .area_max = options.area_max_px > 0 ? options.area_max_px
                                              : std::numeric_limits<std::int64_t>::max(),
          .solidity_min = options.solidity_min,
          .eccentricity_min = options.eccentricity_min,
          .eccentricity_max = options.eccentricity_max,
          .clear_border = options.clear_border};
}

std::uint64_t refinement_bytes_per_pixel(refinement const& options, std::size_t classes) {
  // Runs of rows, their sets and labels, a second label image; measured on noise, the worst case.
  std::uint64_t bytes = 32;
  if (options.split_px > 0 || options.grow_px > 0) bytes += 32;
  if (grows_cores(options)) bytes += 72;
  if (needs_nuclei(options)) bytes += 48;
  if (options.method == refinement_method::crf || options.method == refinement_method::crf_contours)
    bytes += 24 * static_cast<std::uint64_t>(classes);
  return bytes;
}

bool grows_cores(refinement const& options) {
  return options.method == refinement_method::threshold &&
         options.core_threshold > options.threshold;
}

bool needs_nuclei(refinement const& options) {
  return options.method == refinement_method::contours ||
         options.method == refinement_method::crf_contours;
}

septum::labels refine_nuclei(septum::probabilities const& classes, septum::image const& raw,
                             refinement const& options, septum::exec::threads threads) {
  septum::labels nuclei = xt::zeros<std::int32_t>({classes.shape()[0], classes.shape()[1]});
  septum::find_nuclei<1>{.rule = options.nuclei}(nuclei, classes, raw, threads);
  return nuclei;
}

septum::labels refine(septum::probabilities const& classes, septum::image const& raw,
                      refinement const& options, septum::exec::threads threads,
                      septum::labels nuclei, contour_place const& place) {
  septum::labels cells = std::move(nuclei);
  if (!needs_nuclei(options))
    cells = xt::zeros<std::int32_t>({classes.shape()[0], classes.shape()[1]});
  if (options.method == refinement_method::nuclei) {
    cells = refine_nuclei(classes, raw, options, threads);
    if (options.fill_holes) septum::fill_holes(cells, threads);
    filter_of(options)(cells, classes, raw, threads);
  } else {
    bool const sharpen = options.method == refinement_method::crf ||
                         options.method == refinement_method::crf_contours;
    auto const sharpened = sharpen ? options.crf(classes, raw, threads) : septum::probabilities{};
    auto const& maps = sharpen ? sharpened : classes;
    if (options.two_cell_types)
      refine_interiors<1, 2>(cells, maps, raw, options, place, threads);
    else
      refine_interiors<1>(cells, maps, raw, options, place, threads);
  }
  if (options.grow_px > 0)
    septum::grow{.pixels = static_cast<double>(options.grow_px)}(cells, classes, raw, threads);
  return cells;
}

}  // namespace program
