#include "tracking.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/ctc.hpp>
#include <septum/io/geff.hpp>
#include <septum/io/output_folder.hpp>
#include <septum/io/tracking_checkpoint.hpp>
#include <septum/io/trackmate.hpp>
#include <septum/io/tracks.hpp>
#include <septum/track/cell_tracker.hpp>
#include <septum/track/drift.hpp>
#include <septum/track/two_step_tracker.hpp>
#include <set>
#include <span>
#include <utility>

#include "progress.hpp"
#include "signals.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;
namespace sp = septum;

using frames_span = std::span<sp::frame_cells const>;

std::size_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

/// Wall time spent in parts of the work.
class stopwatch {
 public:
  explicit stopwatch(std::map<std::string, double>& seconds) : seconds_{seconds} {}
  template <class Work>
  auto time(std::string const& part, Work const& work) {
    struct guard {
      double& sum;
      std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
      ~guard() {
        sum += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      }
    } const running{seconds_[part]};
    return work();
  }

 private:
  std::map<std::string, double>& seconds_;
};

bool is_two_step(std::string const& preset) {
  return preset == "trackmate" || preset == "laptrack" || preset == "jaqaman";
}

sp::two_step_settings settings_of(tracking_request const& request) {
  sp::two_step_settings settings;
  settings.max_distance = request.max_distance.value_or(settings.max_distance);
  settings.gap_frames = request.gap_frames.value_or(settings.gap_frames);
  settings.close_gaps = settings.gap_frames > 0;
  settings.splitting = request.splitting;
  settings.merging = request.merging;
  return settings;
}

/// Calls use(tracker) with the two-step tracker of the preset.
template <class Use>
auto with_two_step(tracking_request const& request, Use const& use) {
  auto const settings = settings_of(request);
  if (request.preset == "jaqaman") return use(sp::jaqaman_tracker(settings));
  return use(request.preset == "laptrack" ? sp::laptrack_tracker(settings)
                                          : sp::trackmate_tracker(settings));
}

sp::cell_tracker<> cell_tracker_of(tracking_request const& request) {
  auto tracker = request.preset == "nuclei" ? sp::nuclei_tracker() : sp::bacteria_tracker();
  if (request.max_distance) tracker.link.max_distance = *request.max_distance;
  // One frame from sighting to sighting means that no gap is closed.
  if (request.gap_frames) tracker.gap_frames = std::max(*request.gap_frames, 1);
  return tracker;
}

std::string settings_text(tracking_request const& request, label_movie const& movie) {
  return request.preset + "," + sp::to_text(request.max_distance.value_or(-1)) + "," +
         sp::to_text(request.gap_frames.value_or(-1)) + "," +
         (request.correct_drift ? "drift" : "") + "," + movie.frames.front().name;
}

void count(tracking_summary& summary, std::span<sp::cell_link const> links) {
  for (auto const& link : links) ++summary.links[std::string{to_string(link.kind)}];
}

void count(tracking_summary& summary, std::span<sp::track const> tracks) {
  summary.tracks = static_cast<std::int64_t>(tracks.size());
  for (auto const& track : tracks) {
    ++summary.starts[std::string{to_string(track.start)}];
    ++summary.ends[std::string{to_string(track.end)}];
    summary.divisions += track.end == sp::track_end::division ? 1 : 0;
  }
}

void write_trees(sp::io::output_folder const& folder, std::span<sp::track const> tracks) {
  sp::io::write_tracks(folder.file("tracks.csv"), tracks);
  sp::io::write_newick(folder.file("lineage.newick"), tracks);
  sp::io::write_lineage_svg(folder.file("lineage.svg"), tracks);
}

/// A cell that goes on has not merged: in a lineage it can do one of the two.
std::vector<sp::cell_link> without_doubtful_merges(std::span<sp::cell_link const> links) {
  std::set<std::pair<std::int64_t, std::int64_t>> go_on;
  std::vector<sp::cell_link> kept;
  for (auto const& link : links)
    if (link.kind != sp::link_kind::merge) go_on.emplace(link.source_frame, link.source);
  for (auto const& link : links)
    if (link.kind != sp::link_kind::merge || !go_on.contains({link.source_frame, link.source}))
      kept.push_back(link);
  return kept;
}

sp::io::trackmate_units units_of(tracking_request const& request, sp::labels const& first) {
  sp::io::trackmate_units units;
  if (request.pixel_size_um > 0) {
    units.pixel_size = request.pixel_size_um;
    units.length_unit = "micron";
  }
  if (request.frame_interval_min > 0) {
    units.frame_interval = request.frame_interval_min;
    units.time_unit = "min";
  }
  if (first.size() > 0) {
    units.rows = static_cast<std::int64_t>(first.shape()[0]);
    units.columns = static_cast<std::int64_t>(first.shape()[1]);
  }
  return units;
}

void write_graphs(sp::io::output_folder const& folder, tracking_request const& request,
                  frames_span frames, std::span<sp::cell_link const> links,
                  sp::io::trackmate_units const& units) {
  if (request.write_trackmate)
    sp::io::write_trackmate(folder.file("trackmate.xml"), frames, links, units);
  if (!request.write_geff) return;
  fs::path const place = folder.path() / "tracks.geff";
  fs::create_directories(place);
  sp::io::write_geff(place, frames, links, units);
}

/// Reads label images some at a time, several at once.
class label_source {
 public:
  label_source(label_movie const& movie, common_options const& common, stopwatch& watch)
      : movie_{movie}, threads_{common.executor()}, watch_{watch} {}

  /// Frames of one go.
  [[nodiscard]] std::size_t chunk() const {
    return 2 * static_cast<std::size_t>(std::max(threads_.count, 1));
  }
  [[nodiscard]] std::size_t size() const { return movie_.frames.size(); }

  /// Label images [begin, end) of the movie.
  [[nodiscard]] std::vector<sp::labels> read(std::size_t begin, std::size_t end) {
    std::vector<sp::labels> images(end - begin);
    watch_.time("read", [&] {
      sp::for_each_task(threads_, static_cast<std::ptrdiff_t>(images.size()),
                        [&](std::ptrdiff_t i) {
                          images[static_cast<std::size_t>(i)] =
                              movie_.frames[begin + static_cast<std::size_t>(i)].load();
                        });
    });
    for (std::size_t i = 0; i < images.size(); ++i) {
      if (extent_.empty()) extent_ = {images[i].shape()[0], images[i].shape()[1]};
      if (images[i].shape()[0] != extent_[0] || images[i].shape()[1] != extent_[1])
        throw sp::shape_error{
            "septum.program.81",
            movie_.frames[begin + i].name + ": expected the size of " + movie_.frames.front().name +
                ", " + sp::to_text(extent_[0]) + "x" + sp::to_text(extent_[1]) + ", found " +
                sp::to_text(images[i].shape()[0]) + "x" + sp::to_text(images[i].shape()[1])};
    }
    return images;
  }

  /// The same, and their cells.
  [[nodiscard]] std::vector<sp::frame_cells> detect(std::vector<sp::labels> const& images,
                                                    std::size_t begin) {
    std::vector<sp::frame_cells> cells(images.size());
    watch_.time("detect", [&] {
      sp::for_each_task(threads_, static_cast<std::ptrdiff_t>(images.size()),
                        [&](std::ptrdiff_t i) {
                          auto const at = static_cast<std::size_t>(i);
                          cells[at] = sp::detect_cells(images[at], movie_.frames[begin + at].index);
                        });
    });
    return cells;
  }

 private:
  label_movie const& movie_;
  sp::exec::threads threads_;
  stopwatch& watch_;
  std::vector<std::size_t> extent_;
};

/// Writes ctc/ as frames become final, some at a time.
class mask_sink {
 public:
  mask_sink(sp::io::output_folder const& folder, label_movie const& movie,
            common_options const& common, stopwatch& watch, bool enabled)
      : threads_{common.executor()}, watch_{watch} {
    if (!enabled) return;
    fs::path const place = folder.path() / "ctc";
    fs::create_directories(place);
    writer_.emplace(place, movie.frames.front().index, movie.frames.back().index);
  }

  void keep(std::vector<sp::labels> images) {
    if (!writer_) return;
    for (auto& image : images) waiting_.push_back(std::move(image));
  }
  /// Frames that are final: the next ones of those kept.
  void write(std::span<sp::tracked_frame const> done) {
    if (!writer_ || done.empty()) return;
    std::vector<sp::labels> images;
    for (std::size_t i = 0; i < done.size(); ++i) {
      images.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    watch_.time("write", [&] { writer_->add(images, done, threads_); });
  }
  void commit(std::span<sp::track const> tracks) {
    if (writer_) writer_->commit(tracks);
  }

 private:
  sp::exec::threads threads_;
  stopwatch& watch_;
  std::optional<sp::io::ctc_writer> writer_;
  std::deque<sp::labels> waiting_;
};

/// Frame by frame, with memory for a few frames only.
class streaming_run {
 public:
  streaming_run(label_movie const& movie, tracking_request const& request,
                common_options const& common)
      : movie_{movie},
        request_{request},
        common_{common},
        folder_{request.out},
        watch_{summary_.seconds},
        source_{movie, common, watch_},
        sink_{folder_, movie, common, watch_, request.write_masks},
        tracker_{cell_tracker_of(request)},
        builder_{tracker_.gap_frames + 1},
        links_{folder_.file("links.csv")} {
    progress_.settings = settings_text(request, movie);
  }

  tracking_summary run() {
    progress_bar bar{"tracking", !common_.quiet};
    resume();
    std::size_t next = 0;
    while (next < source_.size()) {
      std::size_t const end = std::min(next + source_.chunk(), source_.size());
      stop_if_interrupted();
      auto images = source_.read(next, end);
      if (first_.size() == 0) first_ = images.front();
      auto cells = source_.detect(images, next);
      sink_.keep(std::move(images));
      std::vector<sp::tracked_frame> done;
      for (auto& frame : cells) {
        auto final = watch_.time("link", [&] { return push(frame); });
        for (auto& each : final) done.push_back(std::move(each));
      }
      sink_.write(done);
      next = end;
      bar.update(static_cast<double>(next) / static_cast<double>(source_.size()),
                 "frame " + std::to_string(next) + "/" + std::to_string(source_.size()));
    }
    return finish();
  }

 private:
  void resume() {
    std::error_code ignored;
    if (request_.checkpoint.empty() || !fs::exists(request_.checkpoint, ignored)) return;
    resumed_ = sp::io::read_tracking(request_.checkpoint);
    if (resumed_.settings != progress_.settings)
      throw sp::io_error{"septum.program.82",
                         request_.checkpoint.string() + ": expected the settings and the movie " +
                             progress_.settings + ", found " + resumed_.settings};
    say(common_, "Going on after frame " + std::to_string(resumed_.state.frame));
  }

  /// Adds a frame: from the checkpoint as far as it goes, then by linking.
  std::vector<sp::tracked_frame> push(sp::frame_cells& frame) {
    std::vector<sp::cell_link> links;
    if (resumed_.state.started && frame.frame <= resumed_.state.frame) {
      links = recalled(frame);
      if (frame.frame == resumed_.state.frame) {
        tracker_.restore(resumed_.state);
        if (request_.correct_drift) before_ = frame;
      }
    } else {
      sp::displacement drift;
      if (request_.correct_drift) {
        if (before_.pixels.rows() > 0) drift = sp::phase_correlation{}(before_, frame);
        before_ = frame;
      }
      links = tracker_.push(frame, drift, common_.executor());
    }
    links_.add(links);
    count(summary_, links);
    summary_.cells += static_cast<std::int64_t>(frame.cells.size());
    ++summary_.frames;
    auto done = builder_.push(frame, links);
    frame.pixels = {};
    if (!request_.checkpoint.empty()) remember(frame, links);
    if (request_.write_trackmate || request_.write_geff) {
      all_links_.insert(all_links_.end(), links.begin(), links.end());
      all_frames_.push_back(std::move(frame));
    }
    return done;
  }

  std::vector<sp::cell_link> recalled(sp::frame_cells const& frame) const {
    auto const known = std::find_if(resumed_.frames.begin(), resumed_.frames.end(),
                                    [&](auto const& f) { return f.frame == frame.frame; });
    bool same = known != resumed_.frames.end() && known->cells.size() == frame.cells.size();
    for (std::size_t i = 0; same && i < frame.cells.size(); ++i)
      same = known->cells[i].id == frame.cells[i].id;
    if (!same)
      throw sp::io_error{"septum.program.83", request_.checkpoint.string() +
                                                  ": expected the cells it was made from, "
                                                  "found others in frame " +
                                                  std::to_string(frame.frame) +
                                                  "; remove it to start anew"};
    std::vector<sp::cell_link> links;
    for (auto const& link : resumed_.links)
      if (link.target_frame == frame.frame) links.push_back(link);
    return links;
  }

  void remember(sp::frame_cells const& frame, std::span<sp::cell_link const> links) {
    progress_.links.insert(progress_.links.end(), links.begin(), links.end());
    progress_.frames.push_back(frame);
    constexpr std::size_t often = 50;
    bool const behind = resumed_.state.started && frame.frame <= resumed_.state.frame;
    if (behind || summary_.frames % often != 0) return;
    progress_.state = tracker_.state();
    sp::io::write_tracking(request_.checkpoint, progress_);
  }

  tracking_summary finish() {
    sink_.write(builder_.finish());
    auto const tracks = builder_.tracks();
    count(summary_, tracks);
    links_.commit();
    write_trees(folder_, tracks);
    sink_.commit(tracks);
    write_graphs(folder_, request_, all_frames_, all_links_, units_of(request_, first_));
    watch_.time("write", [&] { folder_.commit(); });
    summary_.peak_bytes = peak_memory_bytes();
    return summary_;
  }

  label_movie const& movie_;
  tracking_request const& request_;
  common_options const& common_;
  sp::io::output_folder folder_;
  tracking_summary summary_;
  stopwatch watch_;
  label_source source_;
  mask_sink sink_;
  sp::cell_tracker<> tracker_;
  sp::lineage_builder builder_;
  sp::io::links_writer links_;
  sp::labels first_;
  sp::frame_cells before_;
  sp::io::tracking_progress progress_;
  sp::io::tracking_progress resumed_;
  std::vector<sp::frame_cells> all_frames_;
  std::vector<sp::cell_link> all_links_;
};

/// The two-step trackers see the whole movie at once, without its pixels.
tracking_summary track_labels_in_two_steps(label_movie const& movie,
                                           tracking_request const& request,
                                           common_options const& common) {
  sp::io::output_folder folder{request.out};
  tracking_summary summary;
  stopwatch watch{summary.seconds};
  label_source source{movie, common, watch};
  std::vector<sp::frame_cells> frames;
  std::vector<sp::displacement> drift;
  sp::labels first;
  sp::frame_cells before;
  progress_bar bar{"reading", !common.quiet};
  for (std::size_t next = 0; next < source.size(); next += source.chunk()) {
    stop_if_interrupted();
    auto const images = source.read(next, std::min(next + source.chunk(), source.size()));
    if (first.size() == 0) first = images.front();
    for (auto& frame : source.detect(images, next)) {
      if (request.correct_drift) {
        drift.push_back(frames.empty() ? sp::displacement{}
                                       : sp::phase_correlation{}(before, frame));
        before = frame;
      }
      frame.pixels = {};
      summary.cells += static_cast<std::int64_t>(frame.cells.size());
      frames.push_back(std::move(frame));
    }
    bar.update(static_cast<double>(frames.size()) / static_cast<double>(source.size()),
               "frame " + std::to_string(frames.size()));
  }
  summary.frames = frames.size();
  auto const links = watch.time("link", [&] {
    return with_two_step(request, [&](auto const& tracker) {
      return tracker(frames_span{frames}, drift, common.executor());
    });
  });
  count(summary, links);
  auto const lineage = sp::make_lineage(frames, without_doubtful_merges(links));
  count(summary, lineage.tracks);
  sp::io::write_links(folder.file("links.csv"), links);
  write_trees(folder, lineage.tracks);
  mask_sink sink{folder, movie, common, watch, request.write_masks};
  for (std::size_t next = 0; request.write_masks && next < source.size(); next += source.chunk()) {
    stop_if_interrupted();
    std::size_t const end = std::min(next + source.chunk(), source.size());
    sink.keep(source.read(next, end));
    sink.write(std::span{lineage.frames}.subspan(next, end - next));
  }
  sink.commit(lineage.tracks);
  write_graphs(folder, request, frames, links, units_of(request, first));
  folder.commit();
  summary.peak_bytes = peak_memory_bytes();
  return summary;
}

}  // namespace

tracking_summary track_labels(label_movie const& movie, tracking_request const& request,
                              common_options const& common) {
  if (is_two_step(request.preset)) return track_labels_in_two_steps(movie, request, common);
  return streaming_run{movie, request, common}.run();
}

tracking_summary track_points(fs::path const& points, tracking_request const& request,
                              common_options const& common) {
  tracking_summary summary;
  stopwatch watch{summary.seconds};
  auto const frames = watch.time("read", [&] {
    return points.extension() == ".xml" ? sp::io::read_trackmate(points).frames
                                        : sp::io::read_points(points);
  });
  sp::io::output_folder folder{request.out};
  for (auto const& frame : frames) summary.cells += static_cast<std::int64_t>(frame.cells.size());
  summary.frames = frames.size();
  auto const links = watch.time("link", [&] {
    if (is_two_step(request.preset))
      return with_two_step(request, [&](auto const& tracker) {
        return tracker(frames_span{frames}, {}, common.executor());
      });
    auto tracker = cell_tracker_of(request);
    // Points have no pixels: only their distance tells them apart, and nothing tells a division.
    tracker.link.overlap_weight = 0;
    tracker.divisions = false;
    std::vector<sp::cell_link> all;
    for (auto const& frame : frames)
      for (auto const& link : tracker.push(frame, {}, common.executor())) all.push_back(link);
    return all;
  });
  count(summary, links);
  sp::io::write_point_links(folder.file("links.csv"), links);
  auto const lineage = sp::make_lineage(frames, without_doubtful_merges(links));
  count(summary, lineage.tracks);
  write_trees(folder, lineage.tracks);
  write_graphs(folder, request, frames, links, units_of(request, {}));
  folder.commit();
  summary.peak_bytes = peak_memory_bytes();
  return summary;
}

}  // namespace program
