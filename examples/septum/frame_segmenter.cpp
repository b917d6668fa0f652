#include "frame_segmenter.hpp"

#include <algorithm>
#include <cstdint>
#include <septum/core/error.hpp>

#include "cells_folder.hpp"
#include "gpu.hpp"
#include "signals.hpp"
#include "stopwatch.hpp"

namespace program {
namespace {

// Threads of the host beside the net's, where it computes as well. A net on all processors waits
// for whichever of its threads shares one, so that only many have some to spare.
int threads_beside_net(septum::exec::threads all, std::size_t frames) {
  constexpr int many = 8;
  constexpr int spared = 2;
  return frames > 1 && all.count >= many ? spared : 0;
}

// How up to so many frames overlap. Where a device has the net, whole frames go to different
// threads.
overlap overlap_of(septum::exec::threads all, bool on_device, std::size_t frames) {
  constexpr std::size_t many = 1000;
  int const most = static_cast<int>(std::min(frames, many));
  int const beside = on_device ? all.count : threads_beside_net(all, frames);
  if (most < 2 || beside < 2) return {.threads = all};
  if (!on_device) return {.in_flight = std::min(most, 4), .threads = {beside}};
  int const workers = std::clamp(all.count / 4, 1, std::min(most, 4));
  return {.in_flight = std::min(most, device_frames_in_flight + 2 * workers + 2),
          .workers = workers,
          .threads = {all.count / workers}};
}

// One step of a frame, timed; a signal stops it before it starts.
template <class Do>
void step(frame_work& work, char const* name, Do const& run) {
  stop_if_interrupted();
  stopwatch const clock{work.seconds[name]};
  run();
}

void load(frame_work& work) {
  step(work, "read", [&] { work.input = work.frame->load(); });
}

// A step whose errors name the frame.
template <class Do>
void named_step(frame_work& work, char const* name, Do const& run) {
  try {
    step(work, name, run);
  } catch (septum::error& failure) {
    if (failure.message().rfind(work.frame->source, 0) != 0) failure.add_note(work.frame->source);
    throw;
  }
}

}  // namespace

frame_segmenter::frame_segmenter(septum::model const& trained, segmentation_request const& request,
                                 common_options const& common, std::size_t frames)
    : request_{&request},
      common_{&common},
      cells_{trained,
             channels_of_run(trained, request),
             {.memory_mb = request.memory_mb,
              .largest_tile = request.largest_tile,
              .pad_by_reflection = request.pad_by_reflection,
              .turns = request.turns,
              .each_net = request.measure_spread,
              .threads_spared = threads_beside_net(common.executor(), request.cascade ? 1 : frames),
              .convolution = request.convolution,
              .cascade = request.cascade},
             common} {
  if (request.nuclear_model)
    nuclei_.emplace(
        *request.nuclear_model, channels_of_run(trained, request),
        prediction_request{.memory_mb = request.memory_mb,
                           .largest_tile = request.largest_tile,
                           .pad_by_reflection = request.pad_by_reflection,
                           .turns = request.turns,
                           .threads_spared = threads_beside_net(common.executor(), frames),
                           .convolution = request.convolution},
        common);
  else if (needs_nuclei(request.refining))
    throw septum::unsupported_error(
        "septum.program.33",
        "contours grow from nuclei; give their net with --nuclei-model FILE, or choose "
        "--refine threshold");
  if (needs_nuclei(request.refining)) place_ = place_contours(common);
}

overlap frame_segmenter::overlapping(std::size_t frames) const {
  return overlap_of(common_->executor(), cells_.on_device(), cells_.has_cascade() ? 1 : frames);
}

void frame_segmenter::require_frame(std::string const& source, frame_header const& frame) const {
  auto const size = [](std::size_t extent) { return static_cast<std::ptrdiff_t>(extent); };
  cells_.require_frame(source, size(frame.channels), size(frame.height), size(frame.width));
  if (nuclei_)
    nuclei_->require_frame(source, size(frame.channels), size(frame.height), size(frame.width));
}

memory_plan frame_segmenter::plan(frame_header const& frame, overlap const& together) const {
  auto const height = static_cast<int>(frame.height);
  auto const width = static_cast<int>(frame.width);
  std::uint64_t const pixels = std::uint64_t{frame.height} * frame.width;
  std::uint64_t const image = pixels * frame.channels * sizeof(float);
  std::uint64_t maps = cells_.map_bytes(height, width);
  std::uint64_t nets = cells_.packed_bytes();
  std::uint64_t copies = cells_.copy_bytes(height, width);
  std::uint64_t tiles = cells_.tile_bytes(height, width) + cells_.flight_bytes(height, width);
  if (nuclei_) {
    maps += nuclei_->map_bytes(height, width);
    nets += nuclei_->packed_bytes();
    // Both nets keep the buffers of their tiles.
    copies += nuclei_->copy_bytes(height, width);
    tiles += nuclei_->tile_bytes(height, width) + nuclei_->flight_bytes(height, width);
  }
  std::uint64_t const asked = cells_.each_net() ? cells_.trained().parameter_sets.size() : 0;
  maps += asked * cells_.map_bytes(height, width);
  std::uint64_t const labels = pixels * sizeof(std::int32_t) * ((nuclei_ ? 2 : 1) + asked);
  std::uint64_t const classes = cells_.trained().description.classes.size();
  std::uint64_t const refining =
      labels + pixels * refinement_bytes_per_pixel(request_->refining, classes);
  auto const scale = static_cast<std::uint64_t>(overlay_scale(frame.height, frame.width));
  // Labels of their file's type, runs of regions, a page of probabilities, the overlay.
  std::uint64_t const writing = labels + pixels * 16 +
                                (request_->write_probabilities ? pixels * sizeof(float) : 0) +
                                (request_->write_overlays ? pixels * scale * scale * 8 : 0);
  memory_plan result;
  result.add("program and nets", resident_bytes() + nets);
  auto const frames = static_cast<std::uint64_t>(together.in_flight);
  result.add("image", frames * image);
  result.add("probabilities", frames * maps);
  if (frames == 1) {
    // The file and a page of it are gone when the net starts; tiles stay for the next frame.
    result.add("largest step", std::max({frame.file_bytes + image, copies + tiles,
                                         tiles + std::max(refining, writing)}));
  } else {
    auto const workers = static_cast<std::uint64_t>(together.workers);
    result.add("copies and labels", frames * (copies + labels));
    std::uint64_t const reading = std::max(frame.file_bytes, image) + image;
    result.add("steps of different frames", tiles + workers * (reading + refining + writing));
  }
  result.add("overhead",
             overhead_bytes(common_->executor().count, result.total() - resident_bytes()));
  return result;
}

// Frames of one file share what reads it, so that they are read one by one; others are not.
void frame_segmenter::read(frame_work& work) const {
  if (work.frame->files.empty()) load(work);
}

void frame_segmenter::prepare(frame_work& work) const {
  if (!work.frame->files.empty()) load(work);
  auto& raw = work.input.pixels;
  auto const& source = work.frame->source;
  named_step(work, "normalize", [&] {
    if (!request_->zero_nonfinite) {
      septum::io::require_finite(raw, source);
    } else if (auto const count = septum::io::zero_nonfinite(raw); count > 0) {
      work.notes.push_back("septum: " + source + ": " + std::to_string(count) +
                           " pixels that are NaN or infinite were set to 0");
    }
    if (nuclei_) work.nuclear = nuclei_->prepare(raw, source, work.notes, overlap_.threads);
    work.own = cells_.prepare(raw, source, work.notes, overlap_.threads);
  });
}

void frame_segmenter::submit(frame_work& work) {
  named_step(work, "predict", [&] {
    if (nuclei_) nuclei_->submit(work.nuclear);
    cells_.submit(work.own);
  });
}

void frame_segmenter::collect(frame_work& work) {
  named_step(work, "predict", [&] {
    try {
      if (nuclei_) nuclei_->collect(work.nuclear);
    } catch (...) {
      cells_.collect(work.own);  // the two stay at the same frame
      throw;
    }
    cells_.collect(work.own);
  });
}

void frame_segmenter::refine(frame_work& work) {
  named_step(work, "refine", [&] {
    auto const& raw = work.input.pixels;
    auto const& options = request_->refining;
    if (nuclei_)
      work.nuclei = refine_nuclei(work.nuclear.maps.mean, raw, options, overlap_.threads);
    work.cells =
        program::refine(work.own.maps.mean, raw, options, overlap_.threads, work.nuclei, place_);
    cells_.calibrate(work.cells, work.frame->source);
    work.spread = spread_of(work);
    work.own.maps.nets.clear();
  });
}

std::vector<septum::ensemble_spread> frame_segmenter::spread_of(frame_work const& work) const {
  auto const& nets = work.own.maps.nets;
  if (nets.empty()) return {};
  auto const threads = overlap_.threads;
  std::vector<septum::labels> cells;
  for (auto const& maps : nets)
    cells.push_back(
        program::refine(maps, work.input.pixels, request_->refining, threads, work.nuclei, place_));
  std::vector<septum::net_opinion> opinions;
  for (std::size_t n = 0; n < nets.size(); ++n) opinions.push_back({cells[n], nets[n]});
  std::vector<std::size_t> interiors{1};
  if (request_->refining.two_cell_types) interiors.push_back(2);
  return septum::measure_ensemble_spread(work.cells, opinions, interiors, 5, threads);
}

}  // namespace program
