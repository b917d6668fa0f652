#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/core/view.hpp>
#include <septum/image/components.hpp>
#include <septum/image/detail/open_components.hpp>
#include <septum/image/mask_rows.hpp>
#include <septum/image/regions.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// What components of rows may hold; more is an error rather than a surprise of the memory.
struct component_limits {
  /// pieces that components begin as, at most 2^31 - 2
  std::size_t pieces = std::size_t{1} << 26U;
  /// runs of components that have not ended
  std::size_t open_runs = std::size_t{1} << 23U;

  /// Most bytes that the classes which work by rows hold for an image of that width, one of them
  /// at a time.
  [[nodiscard]] std::size_t bytes(std::int32_t columns) const {
    return pieces * 13 + open_runs * 3 * sizeof(detail::region_run) +
           static_cast<std::size_t>(columns) * 4 * sizeof(detail::row_run);
  }
};

/// The components of a mask that is read row by row, and their labels in a second pass.
class row_components {
 public:
  /// Reads the mask once. `keep(region_properties const&)` says of every component whether it is
  /// kept; components come in the order in which they end, with label 0.
  /// \throws unsupported_error `septum.components.1` or `.2` above the limits
  template <class Keep>
  row_components(mask_rows const& source, connectivity neighbours, component_limits limits,
                 Keep const& keep)
      : reach_{static_cast<std::int32_t>(neighbours)} {
    detail::growing_sets sets{limits.pieces};
    detail::open_sets<detail::component_runs> open{limits.pieces};
    detail::run_budget budget{limits.open_runs};
    detail::run_rows rows{source};
    detail::region_scratch scratch;
    extent2 const extent{source.rows, source.columns};
    std::vector<bool> kept;
    kept.reserve(limits.pieces + 1);
    auto const ended = [&](std::int32_t root, detail::component_runs&& component) {
      component.sort();
      budget.give(component.runs.size());
      kept.resize(std::max(kept.size(), static_cast<std::size_t>(root) + 1), false);
      kept[static_cast<std::size_t>(root)] =
          keep(detail::describe_region(0, component.runs, {}, extent, scratch));
    };
    while (rows.row() + 1 < source.rows) {
      rows.advance();
      detail::number_runs(
          rows.above(), rows.here(), reach_,
          [&](std::int32_t a, std::int32_t b) { return detail::unite_open(sets, open, a, b); },
          [&] { return sets.add(); });
      budget.take(rows.here().size(), rows.row());
      for (detail::row_run& run : rows.here()) {
        run.value = sets.root(run.value);
        open.of(run.value, rows.row()).runs.push_back({rows.row(), run.begin, run.end});
      }
      open.end_before(rows.row(), ended);
    }
    open.end_before(source.rows, ended);
    kept.resize(sets.size(), false);
    count_ = sets.number([&](std::int32_t root) { return kept[static_cast<std::size_t>(root)]; });
    numbers_ = std::move(sets).take();
  }

  /// Number of components kept.
  [[nodiscard]] std::int32_t count() const { return count_; }

  /// Reads the same mask again: visit(row, runs), whose values are the labels 1..n in raster order
  /// of first pixels, 0 in components that were not kept.
  template <class Visit>
  void label(mask_rows const& source, Visit const& visit) const {
    detail::run_rows rows{source};
    std::vector<detail::row_run> labelled;
    std::size_t next = 1;
    while (rows.row() + 1 < source.rows) {
      rows.advance();
      // Runs carry label + 1, because 0 stands for a run that has no number yet.
      detail::number_runs(
          rows.above(), rows.here(), reach_, [](std::int32_t a, std::int32_t) { return a; },
          [&] { return numbers_[next++] + 1; });
      labelled.assign(rows.here().begin(), rows.here().end());
      for (detail::row_run& run : labelled) --run.value;
      visit(rows.row(), std::span<detail::row_run const>{labelled});
    }
  }

 private:
  std::int32_t reach_;
  std::int32_t count_ = 0;
  std::vector<std::int32_t> numbers_;
};

/// Shape and intensity of the cells of an image whose labels come row by row, each when its last
/// row is known, in the order of labels.
class row_regions {
 public:
  /// @param count     largest label
  /// @param channels  of the rows of the image
  row_regions(extent2 extent, std::int32_t count, std::ptrdiff_t channels, component_limits limits)
      : extent_{extent}, channels_{channels}, budget_{limits.open_runs}, open_{limits.pieces} {
    SEPTUM_EXPECTS(static_cast<std::size_t>(count) <= limits.pieces,
                   unsupported_error("septum.components.1",
                                     "expected at most " + to_text(limits.pieces) +
                                         " cells, found " + to_text(count),
                                     fault::resource));
  }

  /// The next row: its labelled runs and its pixels (1, column, channel). Calls
  /// done(region_properties&&) for cells that are complete and whose turn it is.
  template <class Done>
  void add_row(std::int32_t row, std::span<detail::row_run const> runs, view<float const, 3> pixels,
               Done const& done) {
    std::size_t cells = 0;
    for (detail::row_run const& run : runs) {
      if (run.value == 0) continue;
      cell_state& cell = open_.of(run.value, row);
      cell.component.runs.push_back({row, run.begin, run.end});
      cell.add(run, pixels, channels_);
      ++cells;
    }
    budget_.take(cells, row);
    end_before(row, done);
  }
  /// After the last row.
  template <class Done>
  void finish(Done const& done) {
    end_before(extent_.rows, done);
  }

 private:
  struct cell_state {
    detail::component_runs component{};
    std::vector<channel_intensity> intensity{};
    double area = 0;

    // Labels are final, so cells are never joined.
    void join(cell_state&&) {}
    void add(detail::row_run const& run, view<float const, 3> pixels, std::ptrdiff_t channels) {
      if (intensity.empty())
        for (std::ptrdiff_t k = 0; k < channels; ++k) {
          float const first = pixels(0, run.begin, k);
          intensity.push_back({.mean = 0, .sum = 0, .minimum = first, .maximum = first});
        }
      for (std::ptrdiff_t k = 0; k < channels; ++k) {
        channel_intensity& own = intensity[static_cast<std::size_t>(k)];
        for (std::int32_t c = run.begin; c < run.end; ++c) {
          float const value = pixels(0, c, k);
          own.sum += static_cast<double>(value);
          own.minimum = std::min(own.minimum, value);
          own.maximum = std::max(own.maximum, value);
        }
      }
      area += run.end - run.begin;
    }
  };

  template <class Done>
  void end_before(std::int32_t row, Done const& done) {
    open_.end_before(row, [&](std::int32_t label, cell_state&& cell) {
      budget_.give(cell.component.runs.size());
      auto properties = detail::describe_region(label, cell.component.runs, {}, extent_, scratch_);
      for (channel_intensity& own : cell.intensity) own.mean = own.sum / cell.area;
      properties.intensity = std::move(cell.intensity);
      if (!properties.intensity.empty())
        properties.mean_intensity = properties.intensity.front().mean;
      waiting_.emplace(label, std::move(properties));
    });
    while (!waiting_.empty() && waiting_.begin()->first == next_) {
      done(std::move(waiting_.begin()->second));
      waiting_.erase(waiting_.begin());
      ++next_;
    }
  }

  extent2 extent_;
  std::ptrdiff_t channels_;
  detail::run_budget budget_;
  detail::open_sets<cell_state> open_;
  detail::region_scratch scratch_;
  std::map<std::int32_t, region_properties> waiting_;
  std::int32_t next_ = 1;
};

}  // namespace septum::inline SEPTUM_ABI
