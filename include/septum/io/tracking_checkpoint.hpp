#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/checkpoint.hpp>
#include <septum/track/cell_tracker.hpp>
#include <septum/track/detection.hpp>
#include <septum/track/link.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// How far the tracking of a movie has come.
struct tracking_progress {
  std::string settings;  ///< whatever must be equal for a run to go on
  cell_tracker_state state;
  std::vector<frame_cells> frames;  ///< all so far: numbers and borders of their cells only
  std::vector<cell_link> links;     ///< all so far
};

namespace detail {

/// Numbers of one kind, written one after the other and read back in the same order.
template <class T>
class number_tape {
 public:
  number_tape() = default;
  explicit number_tape(std::vector<T> values) : values_{std::move(values)} {}
  void put(T value) { values_.push_back(value); }
  /// throws     io_error at the end
  [[nodiscard]] T take() {
    if (next_ >= values_.size())
      throw io_error{"septum.tracks.6",
                     "checkpoint: expected more numbers than " + to_text(values_.size())};
    return values_[next_++];
  }
  /// A count of things that follow, at most as many as there are numbers left.
  [[nodiscard]] std::size_t take_count() {
    auto const count = static_cast<std::int64_t>(take());
    if (count < 0 || static_cast<std::size_t>(count) > values_.size() - next_)
      throw io_error{"septum.tracks.6", "checkpoint: expected a count, found " + to_text(count)};
    return static_cast<std::size_t>(count);
  }
  [[nodiscard]] std::vector<T> const& values() const { return values_; }

 private:
  std::vector<T> values_;
  std::size_t next_ = 0;
};

/// The same function writes and reads, so that the two cannot differ.
template <bool Writes>
class tracking_tape {
 public:
  number_tape<std::int64_t> integers;
  number_tape<double> doubles;

  void integer(std::int64_t& value) {
    if constexpr (Writes)
      integers.put(value);
    else
      value = integers.take();
  }
  void flag(bool& value) {
    std::int64_t number = value ? 1 : 0;
    integer(number);
    value = number != 0;
  }
  void real(double& value) {
    if constexpr (Writes)
      doubles.put(value);
    else
      value = doubles.take();
  }
  template <class T, class Each>
  void list(std::vector<T>& values, Each const& each) {
    if constexpr (Writes)
      integers.put(static_cast<std::int64_t>(values.size()));
    else
      values.resize(integers.take_count());
    for (T& value : values) each(value);
  }

  void move(displacement& d) {
    real(d.y);
    real(d.x);
    real(d.z);
  }
  void cell(detection& d) {
    integer(d.id);
    for (double* value : {&d.y, &d.x, &d.z, &d.area, &d.intensity, &d.axis_y, &d.axis_x})
      real(*value);
    flag(d.at_border);
  }
  void run(septum::detail::form_run& r) {
    for (std::int32_t* value : {&r.row, &r.begin, &r.end}) {
      std::int64_t number = *value;
      integer(number);
      *value = static_cast<std::int32_t>(number);
    }
  }
  void remembered(remembered_cell& c) {
    integer(c.frame);
    integer(c.id);
    cell(c.form);
    list(c.runs, [&](septum::detail::form_run& r) { run(r); });
    integer(c.form_frame);
    move(c.moved);
    move(c.velocity);
    integer(c.born);
    real(c.full_area);
    integer(c.whole_since);
    flag(c.half_divided);
    cell(c.daughter);
  }
  void all(tracking_progress& p) {
    integer(p.state.frame);
    flag(p.state.started);
    real(p.state.growth);
    list(p.state.cells, [&](remembered_cell& c) { remembered(c); });
    list(p.frames, [&](frame_cells& f) {
      integer(f.frame);
      list(f.cells, [&](detection& d) {
        integer(d.id);
        flag(d.at_border);
      });
    });
    list(p.links, [&](cell_link& l) {
      integer(l.source_frame);
      integer(l.source);
      integer(l.target_frame);
      integer(l.target);
      std::int64_t kind = static_cast<std::int64_t>(l.kind);
      integer(kind);
      if (kind < 0 || kind > static_cast<std::int64_t>(link_kind::merge))
        throw io_error{"septum.tracks.6",
                       "checkpoint: expected a kind of link, found " + to_text(kind)};
      l.kind = static_cast<link_kind>(kind);
      real(l.cost);
    });
  }
};

}  // namespace detail

/// Writes how far a run has come; the generation before is kept beside it (io/checkpoint.hpp).
inline void write_tracking(std::filesystem::path const& path, tracking_progress progress) {
  detail::tracking_tape<true> tape;
  tape.all(progress);
  write_checkpoint(path, {.texts = {{"settings", progress.settings}},
                          .floats = {},
                          .doubles = {{"numbers", tape.doubles.values()}},
                          .integers = {{"numbers", tape.integers.values()}}});
}

/// throws     io_error for a file that is damaged or is the checkpoint of something else
[[nodiscard]] inline tracking_progress read_tracking(std::filesystem::path const& path) {
  checkpoint state = read_checkpoint(path);
  if (!state.texts.contains("settings") || !state.doubles.contains("numbers") ||
      !state.integers.contains("numbers"))
    throw io_error{"septum.tracks.6", detail::shown(path) + ": expected a checkpoint of tracking"};
  detail::tracking_tape<false> tape;
  tape.doubles = detail::number_tape<double>{std::move(state.doubles["numbers"])};
  tape.integers = detail::number_tape<std::int64_t>{std::move(state.integers["numbers"])};
  tracking_progress progress;
  progress.settings = state.texts["settings"];
  tape.all(progress);
  return progress;
}

}  // namespace septum::inline SEPTUM_ABI::io
