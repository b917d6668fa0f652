#include "segmentation.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/regions.hpp>
#include <septum/io/cells.hpp>
#include <septum/io/output_folder.hpp>
#include <septum/io/overlay.hpp>
#include <septum/io/tiff.hpp>
#include <septum/segment/refiners.hpp>
#include <utility>

#include "progress.hpp"
#include "signals.hpp"
#include "training.hpp"

namespace program {
namespace {

constexpr int interior_class = 1;

// Adds the time from construction to destruction to an entry of a table.
class stopwatch {
 public:
  explicit stopwatch(double& seconds) : seconds_{&seconds} {}
  ~stopwatch() {
    *seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }
  stopwatch(stopwatch const&) = delete;
  stopwatch& operator=(stopwatch const&) = delete;

 private:
  double* seconds_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// Small frames are drawn larger, so that cells of ten pixels can be looked at.
int overlay_scale(septum::image const& pixels) {
  constexpr std::size_t comfortable_side = 640;
  auto const side = std::max(pixels.shape()[0], pixels.shape()[1]);
  return static_cast<int>(std::clamp<std::size_t>(comfortable_side / side, 1, 4));
}

bool is_constant(septum::image const& pixels) {
  auto const channels = pixels.shape()[2];
  for (std::size_t k = 0; k < channels; ++k) {
    float const first = pixels.data()[k];
    bool constant = true;
    for (std::size_t i = k; i < pixels.size() && constant; i += channels)
      constant = pixels.data()[i] == first;
    if (constant) return true;
  }
  return false;
}

std::size_t mirrored(std::ptrdiff_t index, std::size_t extent) {
  auto const n = static_cast<std::ptrdiff_t>(extent);
  index = (index % (2 * n) + 2 * n) % (2 * n);
  return static_cast<std::size_t>(index < n ? index : 2 * n - 1 - index);
}

// The image continued by its mirror image, so that a net sees every pixel.
septum::image padded_by_reflection(septum::image const& pixels, int margin) {
  auto const& shape = pixels.shape();
  auto const wide = static_cast<std::size_t>(2 * margin);
  septum::image result = septum::image::from_shape({shape[0] + wide, shape[1] + wide, shape[2]});
  for (std::size_t row = 0; row < result.shape()[0]; ++row)
    for (std::size_t column = 0; column < result.shape()[1]; ++column)
      std::copy_n(
          &pixels(mirrored(static_cast<std::ptrdiff_t>(row) - margin, shape[0]),
                  mirrored(static_cast<std::ptrdiff_t>(column) - margin, shape[1]), std::size_t{0}),
          shape[2], &result(row, column, std::size_t{0}));
  return result;
}

septum::probabilities without_margin(septum::probabilities const& maps, int margin) {
  auto const cut = static_cast<std::size_t>(margin);
  auto const& shape = maps.shape();
  septum::probabilities inner =
      septum::probabilities::from_shape({shape[0] - 2 * cut, shape[1] - 2 * cut, shape[2]});
  for (std::size_t row = 0; row < inner.shape()[0]; ++row)
    std::copy_n(&maps(row + cut, cut, std::size_t{0}), inner.shape()[1] * shape[2],
                &inner(row, std::size_t{0}, std::size_t{0}));
  return inner;
}

// Everything about one run that frames share.
class frame_segmenter {
 public:
  frame_segmenter(septum::model const& trained, segmentation_request const& request,
                  common_options const& common, segmentation_result& result)
      : trained_{&trained},
        request_{&request},
        common_{&common},
        result_{&result},
        net_{make_predictor(
            trained, common,
            {.threads = common.executor(),
             .budget_bytes = request.memory_mb << 20,
             .progress = [](std::size_t, std::size_t) { stop_if_interrupted(); }})} {}

  septum::labels operator()(septum::image& raw, std::string const& source,
                            septum::probabilities& maps) {
    auto const channels = trained_->description.channels.size();
    if (raw.shape()[2] != channels)
      throw septum::shape_error("septum.program.11",
                                source + ": expected " + std::to_string(channels) + " channels (" +
                                    channel_list() + "), found " + std::to_string(raw.shape()[2]) +
                                    "; give the files of each with --channel NAME=FILE");
    if (request_->zero_nonfinite) {
      if (auto const count = septum::io::zero_nonfinite(raw); count > 0)
        say(*common_, "septum: " + source + ": " + std::to_string(count) +
                          " pixels that are NaN or infinite were set to 0");
    } else {
      septum::io::require_finite(raw, source);
    }
    predict(raw, source, maps);
    stopwatch const clock{result_->seconds["refine"]};
    return refine(maps, raw, request_->refining);
  }

 private:
  std::string channel_list() const {
    std::string list;
    for (auto const& name : trained_->description.channels)
      list += (list.empty() ? "" : ", ") + name;
    return list;
  }

  void predict(septum::image const& raw, std::string const& source, septum::probabilities& maps) {
    auto const field = static_cast<std::size_t>(net_.receptive_field);
    bool const pad = request_->pad_by_reflection;
    if (!pad && (raw.shape()[0] < field || raw.shape()[1] < field))
      throw septum::shape_error("septum.program.12",
                                source + ": an image of " + std::to_string(raw.shape()[0]) + "x" +
                                    std::to_string(raw.shape()[1]) +
                                    " pixels is smaller than the receptive field of " +
                                    std::to_string(field) + "x" + std::to_string(field) +
                                    "; use a larger image, or --pad reflect");
    if (is_constant(raw)) {
      say(*common_, "septum: " + source + ": a channel is constant; all pixels are background");
      maps =
          xt::zeros<float>({raw.shape()[0], raw.shape()[1], trained_->description.classes.size()});
      return;
    }
    int const margin = pad ? (net_.receptive_field - 1) / 2 : 0;
    septum::image pixels = raw;
    {
      stopwatch const clock{result_->seconds["normalize"]};
      normalize(pixels, trained_->description.normalizer, trained_->description.normalizer_window,
                common_->executor());
      if (pad) pixels = padded_by_reflection(pixels, margin);
    }
    stopwatch const clock{result_->seconds["predict"]};
    maps = net_.predict(pixels);
    if (pad) maps = without_margin(maps, margin);
  }

  septum::model const* trained_;
  segmentation_request const* request_;
  common_options const* common_;
  segmentation_result* result_;
  predictor net_;
};

}  // namespace

refinement preset_refinement(std::string const& name) {
  if (name == "bacteria")
    return {.threshold = 0.6, .area_min_px = 25, .eccentricity_min = 0.1, .fill_holes = true};
  if (name == "nuclei")
    return {.threshold = 0.75,
            .area_min_px = 100,
            .solidity_min = 0.75,
            .eccentricity_max = 0.95,
            .fill_holes = true};
  if (name == "cytoplasm") return {.threshold = 0.5, .area_min_px = 100, .fill_holes = true};
  throw septum::unsupported_error(
      "septum.program.13", "unknown preset '" + name + "'; there are bacteria, nuclei, cytoplasm");
}

septum::labels refine(septum::probabilities const& classes, septum::image const& raw,
                      refinement const& options) {
  septum::labels cells = xt::zeros<std::int32_t>({classes.shape()[0], classes.shape()[1]});
  septum::threshold<interior_class>{.above = static_cast<float>(options.threshold),
                                    .fill_holes = options.fill_holes}(cells, classes, raw);
  septum::region_filter{.area_min = options.area_min_px,
                        .area_max = options.area_max_px > 0
                                        ? options.area_max_px
                                        : std::numeric_limits<std::int64_t>::max(),
                        .solidity_min = options.solidity_min,
                        .eccentricity_min = options.eccentricity_min,
                        .eccentricity_max = options.eccentricity_max,
                        .clear_border = options.clear_border}(cells, classes, raw);
  if (options.grow_px > 0)
    septum::grow{.pixels = static_cast<double>(options.grow_px)}(cells, classes, raw);
  return cells;
}

std::size_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

segmentation_result segment_frames(std::vector<input_frame> const& frames,
                                   septum::model const& trained,
                                   segmentation_request const& request,
                                   common_options const& common) {
  segmentation_result result;
  for (char const* step : {"read", "normalize", "predict", "refine", "write"})
    result.seconds[step] = 0.0;
  septum::io::output_folder folder{request.out};
  frame_segmenter segment{trained, request, common, result};
  septum::io::cells_writer table{folder.file("cells.csv"), trained.description.channels};
  progress_bar bar{"segmenting", !common.quiet};
  for (std::size_t k = 0; k < frames.size(); ++k) {
    auto const& frame = frames[k];
    stop_if_interrupted();
    septum::io::scaled_image input;
    {
      stopwatch const clock{result.seconds["read"]};
      input = frame.load();
    }
    septum::probabilities maps;
    septum::labels cells;
    try {
      cells = segment(input.pixels, frame.source, maps);
    } catch (septum::error& failure) {
      if (failure.message().rfind(frame.source, 0) != 0) failure.add_note(frame.source);
      throw;
    }
    double const pixel_size = request.pixel_size_um > 0.0 ? request.pixel_size_um
                              : input.pixel_size_um > 0.0 ? input.pixel_size_um
                                                          : trained.description.pixel_size_um;
    stopwatch const clock{result.seconds["write"]};
    auto const regions = septum::measure_regions(cells, input.pixels, common.executor());
    table.add(frame.source, frame.index, regions, pixel_size);
    result.cells += static_cast<std::int64_t>(regions.size());
    septum::io::write_tiff(folder.file("labels/" + frame.stem + ".tif"), cells,
                           {.pixel_size_um = pixel_size});
    if (request.write_probabilities)
      septum::io::write_tiff(folder.file("probabilities/" + frame.stem + ".tif"), maps,
                             {.pixel_size_um = pixel_size});
    if (request.write_overlays)
      septum::io::write_overlay(folder.file("overlay/" + frame.stem + ".png"), input.pixels, cells,
                                {.scale = overlay_scale(input.pixels)});
    bar.update(static_cast<double>(k + 1) / static_cast<double>(frames.size()),
               "frame " + std::to_string(k + 1) + "/" + std::to_string(frames.size()) + "  " +
                   std::to_string(result.cells) + " cells");
  }
  table.commit();
  folder.commit();
  result.frames = frames.size();
  result.peak_bytes = peak_memory_bytes();
  bar.finish("Segmented " + std::to_string(frames.size()) + " images, " +
             std::to_string(result.cells) + " cells");
  return result;
}

}  // namespace program
