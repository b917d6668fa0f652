#include "row_segmentation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/component_rows.hpp>
#include <septum/image/detail/bit_rows.hpp>
#include <septum/image/hole_rows.hpp>
#include <septum/image/normalize_rows.hpp>
#include <septum/io/mask_file.hpp>
#include <septum/io/tiff_rows.hpp>
#include <utility>
#include <vector>

#include "refinement.hpp"
#include "signals.hpp"
#include "stopwatch.hpp"

namespace program {
namespace {

using rows_t = std::ptrdiff_t;

// Specks of less than 32 pixels on average are noise, and cells that hang together over many rows
// are no cells: no memory is planned for either.
septum::component_limits limits_of(rows_t rows, rows_t columns) {
  rows_t const pixels = rows * columns;
  constexpr rows_t most_pieces = std::numeric_limits<std::int32_t>::max() - 2;
  return {.pieces = static_cast<std::size_t>(std::clamp<rows_t>(pixels / 32, 1 << 18, most_pieces)),
          .open_runs = static_cast<std::size_t>(std::clamp<rows_t>(pixels / 16, 1 << 18, 1 << 23))};
}

/// Segments one frame, pass after pass.
class row_segmenter {
 public:
  row_segmenter(input_frame const& frame, frame_predictor& net, segmentation_request const& request,
                common_options const& common, row_results const& results,
                std::map<std::string, double>& seconds,
                std::function<void(double, std::string const&)> const& on_progress)
      : frame_{&frame},
        net_{&net},
        request_{&request},
        common_{&common},
        results_{&results},
        seconds_{&seconds},
        on_progress_{&on_progress},
        files_{frame},
        source_{files_.rows()},
        rows_{static_cast<std::int32_t>(source_.rows)},
        columns_{static_cast<std::int32_t>(source_.columns)},
        limits_{limits_of(source_.rows, source_.columns)} {
    source_.read = [this, read = source_.read](rows_t first, septum::view<float, 3> target) {
      stop_if_interrupted();
      stopwatch const clock{(*seconds_)["read"]};
      read(first, target);
      if (request_->zero_nonfinite)
        for (float& value : std::span{target.data(), static_cast<std::size_t>(target.size())})
          if (!std::isfinite(value)) value = 0.0F;
    };
  }

  std::int64_t operator()() {
    net_->require_frame(frame_->source, source_.channels, source_.rows, source_.columns);
    septum::io::mask_file mask = interiors(has_constant_channel());
    return finish(refined(std::move(mask)));
  }

 private:
  septum::io::mask_file new_mask() const { return {results_->folder, rows_, columns_}; }
  [[nodiscard]] std::vector<std::uint64_t> empty_row() const {
    return std::vector<std::uint64_t>(static_cast<std::size_t>(septum::detail::words_of(columns_)));
  }
  static void set_pixel(std::vector<std::uint64_t>& words, rows_t column) {
    words[static_cast<std::size_t>(column / 64)] |= std::uint64_t{1} << (column % 64);
  }
  void say_progress(char const* step, rows_t row) const {
    (*on_progress_)(static_cast<double>(row) / static_cast<double>(rows_), step);
  }

  // One pass over all pixels: broken ones are an error. Returns whether a channel of the net is
  // constant: nothing to see, and no median to divide by.
  [[nodiscard]] bool has_constant_channel() const {
    std::size_t broken = 0;
    std::string first_place;
    std::vector<float> first_pixel(static_cast<std::size_t>(source_.channels));
    std::vector<bool> varies(first_pixel.size(), false);
    septum::for_each_rows(source_, 128, [&](rows_t first, septum::view<float const, 3> part) {
      say_progress("checking", first);
      if (first == 0) std::copy_n(part.data(), source_.channels, first_pixel.begin());
      for (std::size_t k = 0; k < varies.size(); ++k)
        for (auto i = static_cast<rows_t>(k); i < part.size() && !varies[k]; i += source_.channels)
          varies[k] = part.data()[i] != first_pixel[k];
      if (request_->zero_nonfinite) return;
      for (rows_t i = 0; i < part.size(); ++i) {
        if (std::isfinite(part.data()[i])) continue;
        if (broken++ > 0) continue;
        rows_t const pixel = i / source_.channels;
        first_place = "row " + septum::to_text(first + pixel / source_.columns) + ", column " +
                      septum::to_text(pixel % source_.columns) + ", channel " +
                      septum::to_text(i % source_.channels + 1);
      }
    });
    if (broken > 0)
      throw septum::io_error("septum.program.101",
                             frame_->source + ": expected finite pixels, found " +
                                 septum::to_text(broken) +
                                 " that are NaN or infinite, the first at " + first_place +
                                 "; --nonfinite zero sets them to 0");
    auto const& channels = net_->own_channels();
    return std::any_of(channels.begin(), channels.end(),
                       [&](std::size_t channel) { return !varies[channel]; });
  }

  // The channels of the net.
  [[nodiscard]] septum::image_rows net_rows() {
    auto const& channels = net_->own_channels();
    auto const count = static_cast<rows_t>(channels.size());
    return {source_.rows, source_.columns, count,
            [this, &channels, count](rows_t first, septum::view<float, 3> target) {
              rows_t const pixels = target.extent(0) * source_.columns;
              if (count == source_.channels && count == 1) return source_.read(first, target);
              all_channels_.resize(static_cast<std::size_t>(pixels * source_.channels));
              source_.read(first, {all_channels_.data(),
                                   {target.extent(0), source_.columns, source_.channels}});
              for (rows_t p = 0; p < pixels; ++p)
                for (rows_t k = 0; k < count; ++k)
                  target.data()[p * count + k] =
                      all_channels_[static_cast<std::size_t>(p * source_.channels) +
                                    channels[static_cast<std::size_t>(k)]];
            }};
  }

  // Pixels whose interior probability is above the threshold.
  septum::io::mask_file interiors(bool constant) {
    auto const& description = net_->trained().description;
    auto mask = new_mask();
    auto words = empty_row();
    auto const image = net_rows();
    if (constant) {
      say(*common_,
          "septum: " + frame_->source + ": a channel is constant; all pixels are background");
      for (std::int32_t row = 0; row < rows_; ++row) mask.add_row(words);
      return mask;
    }
    std::optional<septum::median_box_rows> normalized;
    {
      stopwatch const clock{(*seconds_)["normalize"]};
      say_progress("normalising", 0);
      normalized.emplace(image, description.normalizer_window,
                         septum::channel_medians(image, common_->executor()));
    }
    auto const& options = request_->refining;
    float const above = options.method == refinement_method::nuclei
                            ? options.nuclei.above
                            : static_cast<float>(options.threshold);
    rows_t done = 0;
    stopwatch const clock{(*seconds_)["predict"]};
    net_->predict_rows(
        rows_, columns_, [&](int first, int count) { return normalized->rows(first, count); },
        [&](septum::view<float const, 3> maps) {
          for (rows_t r = 0; r < maps.extent(0); ++r) {
            std::fill(words.begin(), words.end(), 0);
            for (rows_t c = 0; c < columns_; ++c) {
              float const p =
                  options.two_cell_types ? maps(r, c, 1) + maps(r, c, 2) : maps(r, c, 1);
              if (p > above) set_pixel(words, c);
            }
            mask.add_row(words);
          }
          done += maps.extent(0);
          say_progress("predicting", done);
        });
    return mask;
  }

  septum::io::mask_file filled(septum::io::mask_file& mask, septum::hole_rule rule) {
    auto const source = mask.rows();
    auto result = new_mask();
    septum::row_holes const holes{source, rule, limits_};
    holes.fill(source, [&](std::int32_t row, auto words) {
      if (row % 256 == 0) say_progress("filling holes", row);
      result.add_row(words);
    });
    return result;
  }

  // The mask of the components that are kept.
  template <class Keep>
  septum::io::mask_file chosen(septum::io::mask_file& mask, Keep const& keep) {
    auto const source = mask.rows();
    auto result = new_mask();
    septum::row_components const components{source, septum::connectivity::eight, limits_, keep};
    auto words = empty_row();
    components.label(source, [&](std::int32_t row, auto runs) {
      if (row % 256 == 0) say_progress("choosing cells", row);
      std::fill(words.begin(), words.end(), 0);
      for (auto const& run : runs)
        for (std::int32_t c = run.begin; run.value != 0 && c < run.end; ++c) set_pixel(words, c);
      result.add_row(words);
    });
    return result;
  }

  septum::io::mask_file both(septum::io::mask_file& first, septum::io::mask_file& second) {
    auto const a = first.rows();
    auto const b = second.rows();
    auto result = new_mask();
    auto words = empty_row();
    auto others = empty_row();
    for (std::int32_t row = 0; row < rows_; ++row) {
      a.read(row, words);
      b.read(row, others);
      for (std::size_t w = 0; w < words.size(); ++w) words[w] &= others[w];
      result.add_row(words);
    }
    return result;
  }

  // What refine() does to label images (refinement.cpp), done to masks: at every step the cells are
  // the components of the mask, because filling a hole joins no cells.
  septum::io::mask_file refined(septum::io::mask_file mask) {
    stopwatch const clock{(*seconds_)["refine"]};
    auto const& options = request_->refining;
    if (options.method == refinement_method::nuclei) {
      // Nuclei are chosen by their shape with all holes filled, whatever lies in them.
      septum::published_nuclei const rule{.area_min = options.nuclei.area_min,
                                          .eccentricity_max = options.nuclei.eccentricity_max,
                                          .solidity_min = options.nuclei.solidity_min};
      auto solid = filled(mask, septum::hole_rule::all);
      auto nuclei =
          chosen(solid, [&](septum::region_properties const& cell) { return rule.keeps(cell); });
      mask = both(mask, nuclei);
    }
    return options.fill_holes ? filled(mask, septum::hole_rule::own) : std::move(mask);
  }

  std::int64_t finish(septum::io::mask_file mask) {
    auto const source = mask.rows();
    auto const filter = filter_of(request_->refining);
    septum::extent2 const extent{rows_, columns_};
    std::int32_t const margin =
        filter.clear_border ? std::min((net_->trained().description.receptive_field - 1) / 2,
                                       (std::min(rows_, columns_) - 1) / 2)
                            : 0;
    std::optional<septum::row_components> components;
    {
      stopwatch const clock{(*seconds_)["refine"]};
      say_progress("choosing cells", 0);
      components.emplace(source, septum::connectivity::eight, limits_,
                         [&](septum::region_properties const& cell) {
                           return filter.keeps(cell, extent, margin);
                         });
    }
    stopwatch const clock{(*seconds_)["write"]};
    septum::io::tiff_label_writer labels{results_->labels,
                                         static_cast<std::uint32_t>(rows_),
                                         static_cast<std::uint32_t>(columns_),
                                         components->count(),
                                         {.pixel_size_um = results_->pixel_size_um}};
    septum::row_regions regions{extent, components->count(), source_.channels, limits_};
    auto const add_cell = [&](septum::region_properties&& cell) {
      results_->table->add(frame_->source, frame_->index, std::span{&cell, 1},
                           results_->pixel_size_um);
    };
    std::vector<std::int32_t> row_labels(static_cast<std::size_t>(columns_));
    constexpr rows_t at_once = 128;
    std::vector<float> pixels(static_cast<std::size_t>(at_once * columns_ * source_.channels));
    components->label(source, [&](std::int32_t row, auto runs) {
      if (row % at_once == 0) {
        say_progress("writing", row);
        source_.read(row, {pixels.data(),
                           {std::min<rows_t>(at_once, rows_ - row), columns_, source_.channels}});
      }
      std::fill(row_labels.begin(), row_labels.end(), 0);
      for (auto const& run : runs)
        std::fill(row_labels.begin() + run.begin, row_labels.begin() + run.end, run.value);
      labels.add_row(row_labels);
      regions.add_row(row, runs,
                      {pixels.data() + row % at_once * columns_ * source_.channels,
                       {1, columns_, source_.channels}},
                      add_cell);
    });
    regions.finish(add_cell);
    labels.commit();
    return components->count();
  }

  input_frame const* frame_;
  frame_predictor* net_;
  segmentation_request const* request_;
  common_options const* common_;
  row_results const* results_;
  std::map<std::string, double>* seconds_;
  std::function<void(double, std::string const&)> const* on_progress_;
  frame_rows files_;
  septum::image_rows source_;
  std::int32_t rows_;
  std::int32_t columns_;
  septum::component_limits limits_;
  std::vector<float> all_channels_;
};

}  // namespace

std::string why_not_by_rows(septum::model const& trained, segmentation_request const& request,
                            common_options const& common) {
  auto const& options = request.refining;
  if (common.backend == "cudnn") return "--backend cudnn predicts whole frames";
  if (trained.description.normalizer != "median_box")
    return "the normaliser '" + trained.description.normalizer + "' needs the whole image";
  if (request.nuclear_model) return "--nuclei-model seeds contours, which need the whole image";
  if (options.method != refinement_method::threshold && options.method != refinement_method::nuclei)
    return "this refinement needs the whole image; --refine threshold and --preset nuclei do not";
  if (grows_cores(options))
    return "cells that grow from cores need the whole image; --core-threshold 0 takes the "
           "threshold alone";
  if (options.method == refinement_method::nuclei && options.nuclei.local_window > 0)
    return "a local threshold needs the whole image";
  if (options.split_px > 0 || options.grow_px > 0) return "--split and --grow need the whole image";
  if (options.two_cell_types) return "classes of cells need the whole image";
  if (request.measure_spread && trained.parameter_sets.size() > 1)
    return "what the nets of an ensemble differ in needs the whole image; --no-spread leaves it "
           "out";
  if (request.turns) return "--turns need the whole image";
  if (request.pad_by_reflection) return "--pad needs the whole image";
  if (request.write_probabilities) return "--probabilities are written of whole images";
  return {};
}

memory_plan plan_by_rows(input_frame const& frame, frame_predictor const& net,
                         common_options const& common) {
  frame_rows files{frame};
  auto const image = files.rows();
  auto const own = static_cast<rows_t>(net.own_channels().size());
  auto const band = net.rows_at_once(static_cast<int>(image.rows), static_cast<int>(image.columns));
  constexpr rows_t at_once = 256;
  auto const columns = static_cast<std::int32_t>(image.columns);
  memory_plan plan;
  plan.add("program and nets", resident_bytes() + net.packed_bytes());
  plan.add(
      "rows of the image",
      2 * files.buffer_bytes(at_once) +
          static_cast<std::uint64_t>(2 * at_once * image.columns * image.channels) * sizeof(float));
  plan.add("normalised rows",
           septum::median_box_rows::buffer_bytes(band, image.columns, own,
                                                 net.trained().description.normalizer_window));
  plan.add("tiles", net.row_bytes(static_cast<int>(image.rows), columns));
  plan.add("cells", limits_of(image.rows, image.columns).bytes(columns));
  plan.add("labels and masks",
           septum::io::tiff_label_writer::buffer_bytes(static_cast<std::uint32_t>(image.columns)) +
               4 * septum::io::mask_file::buffer_bytes(columns));
  plan.add("overhead", overhead_bytes(common.executor().count, plan.total() - resident_bytes()));
  return plan;
}

std::int64_t segment_by_rows(input_frame const& frame, frame_predictor& net,
                             segmentation_request const& request, common_options const& common,
                             row_results const& results, std::map<std::string, double>& seconds,
                             std::function<void(double, std::string const&)> const& on_progress) {
  return row_segmenter{frame, net, request, common, results, seconds, on_progress}();
}

}  // namespace program
