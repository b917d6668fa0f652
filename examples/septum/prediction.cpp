#include "prediction.hpp"

#include <algorithm>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/border.hpp>
#include <septum/segment/turned.hpp>
#include <utility>

#include "signals.hpp"
#include "stopwatch.hpp"
#include "training_data.hpp"

namespace program {
namespace {

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
  return static_cast<std::size_t>(
      septum::mirrored_index(index, static_cast<std::ptrdiff_t>(extent)));
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

std::string list_of(std::vector<std::string> const& names) {
  std::string list;
  for (auto const& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

septum::image selected(septum::image const& raw, std::vector<std::size_t> const& channels) {
  std::size_t const count = raw.shape()[2];
  septum::image pixels =
      septum::image::from_shape({raw.shape()[0], raw.shape()[1], channels.size()});
  for (std::size_t p = 0; p < raw.size() / count; ++p)
    for (std::size_t k = 0; k < channels.size(); ++k)
      pixels.data()[p * channels.size() + k] = raw.data()[p * count + channels[k]];
  return pixels;
}

// Frames of a backend that predicts them at once, or of which every turn is predicted.
std::shared_ptr<septum::frame_stream> immediate_stream(predictor const& net, bool each_net,
                                                       bool turns) {
  auto const once = [mean = net.predict, each = net.predict_each,
                     each_net](septum::image const& pixels) {
    return each_net ? each(pixels) : septum::ensemble_maps{.mean = mean(pixels), .nets = {}};
  };
  auto const predict = [once, turns](septum::image const& pixels) {
    return turns ? septum::mean_over_turns(pixels, once) : once(pixels);
  };
  return std::make_shared<septum::immediate_frames<decltype(predict)>>(predict);
}

}  // namespace

frame_predictor::frame_predictor(septum::model const& trained,
                                 std::vector<std::string> const& channels,
                                 prediction_request const& request, common_options const& common)
    : trained_{&trained},
      common_{&common},
      frame_channels_{channels},
      pad_{request.pad_by_reflection},
      turns_{request.turns},
      net_{make_predictor(trained, common,
                          {.threads = {common.executor().count - request.threads_spared},
                           .budget_bytes = request.memory_mb << 20,
                           .largest_tile = request.largest_tile,
                           .convolution = request.convolution,
                           .progress = [](std::size_t, std::size_t) { stop_if_interrupted(); }},
                          request.each_net && trained.parameter_sets.size() > 1)},
      each_{request.each_net && trained.parameter_sets.size() > 1 && net_.predict_each != nullptr},
      stream_{net_.stream && !turns_ ? net_.stream : immediate_stream(net_, each_, turns_)},
      cascade_{request.cascade} {
  if (cascade_ && !net_.host)
    throw septum::unsupported_error("septum.program.123",
                                    "--cascade computes parts of frames, which --backend " +
                                        common.backend + " does not; leave it out");
  if (cascade_ && turns_)
    throw septum::unsupported_error(
        "septum.program.125", "--cascade and --turns: expected one of them; leave the other out");
  for (auto const& name : trained.description.channels) {
    auto const found = std::find(channels.begin(), channels.end(), name);
    if (found == channels.end())
      throw septum::shape_error("septum.program.32", "a model wants channel '" + name +
                                                         "'; the images have " + list_of(channels));
    own_channels_.push_back(static_cast<std::size_t>(found - channels.begin()));
  }
}

septum::ensemble_maps frame_predictor::operator()(septum::image const& raw,
                                                  std::string const& source,
                                                  double& seconds_normalize,
                                                  double& seconds_predict) {
  std::vector<std::string> notes;
  net_frame frame;
  {
    stopwatch const clock{seconds_normalize};
    frame = prepare(raw, source, notes, common_->executor());
  }
  for (auto const& note : notes) say(*common_, note);
  stopwatch const clock{seconds_predict};
  abandon();
  submit(frame);
  collect(frame);
  return std::move(frame.maps);
}

net_frame frame_predictor::prepare(septum::image const& raw, std::string const& source,
                                   std::vector<std::string>& notes,
                                   septum::exec::threads threads) const {
  require_frame(source, static_cast<std::ptrdiff_t>(raw.shape()[2]),
                static_cast<std::ptrdiff_t>(raw.shape()[0]),
                static_cast<std::ptrdiff_t>(raw.shape()[1]));
  net_frame frame{.pixels = selected(raw, own_channels_), .maps = {}};
  auto const& description = trained_->description;
  if (is_constant(frame.pixels)) {
    notes.push_back("septum: " + source + ": a channel is constant; all pixels are background");
    septum::probabilities const nothing =
        xt::zeros<float>({raw.shape()[0], raw.shape()[1], description.classes.size()});
    frame.maps = {nothing, std::vector(each_ ? trained_->parameter_sets.size() : 0, nothing)};
    frame.pixels = {};
    frame.constant = true;
    return frame;
  }
  normalize(frame.pixels, description.normalizer, description.normalizer_window, threads);
  if (pad_) frame.pixels = padded_by_reflection(frame.pixels, (net_.receptive_field - 1) / 2);
  return frame;
}

void frame_predictor::submit(net_frame& frame) {
  blocks_.reset();
  if (frame.constant) return;
  if (cascade_)
    frame.maps = predict_lively(frame.pixels);
  else
    stream_->submit(frame.pixels);
  frame.pixels = {};
}

void frame_predictor::collect(net_frame& frame) {
  if (frame.constant) return;
  if (!cascade_) frame.maps = stream_->collect_each();
  if (!pad_) return;
  int const margin = (net_.receptive_field - 1) / 2;
  frame.maps.mean = without_margin(frame.maps.mean, margin);
  for (auto& own : frame.maps.nets) own = without_margin(own, margin);
}

septum::local_deviation frame_predictor::measure() const {
  return {.window = (net_.receptive_field / 4) | 1};
}

std::vector<float> frame_predictor::background() const {
  std::vector<float> classes(trained_->description.classes.size(), 0.0F);
  classes.back() = 1.0F;
  return classes;
}

septum::ensemble_maps frame_predictor::predict_lively(septum::image const& pixels) {
  int const lost = net_.receptive_field - 1;
  blocks_ =
      septum::measure_blocks(measure(), septum::as_view(pixels), net_.receptive_field, block_side,
                             static_cast<int>(pixels.shape()[0]) - lost, common_->executor());
  auto const outputs = std::int64_t{blocks_->rows} * blocks_->columns;
  outputs_ += outputs;
  if (!cascade_->threshold) {
    computed_ += outputs;
    return each_ ? net_.predict_each(pixels)
                 : septum::ensemble_maps{.mean = net_.predict(pixels), .nets = {}};
  }
  auto const parts = septum::lively_parts(*blocks_, *cascade_->threshold, lost);
  computed_ += septum::kept_outputs(parts);
  return each_ ? net_.host->predict_parts_each(pixels, parts, background())
               : septum::ensemble_maps{
                     .mean = net_.host->predict_parts(pixels, parts, background()), .nets = {}};
}

void frame_predictor::calibrate(septum::labels const& cells, std::string const& source) {
  if (!cascade_ || cascade_->threshold || !blocks_) return;
  septum::cascade_calibration calibration;
  calibration.add(*blocks_, septum::as_view(cells), pad_ ? 0 : (net_.receptive_field - 1) / 2);
  if (calibration.foreground() == 0) return;
  cascade_->threshold = calibration.threshold(cascade_->loss);
  auto const kept = septum::kept_outputs(
      septum::lively_parts(*blocks_, *cascade_->threshold, net_.receptive_field - 1));
  say(*common_, "Cascade: threshold " + septum::to_text(*cascade_->threshold) +
                    " by the cells of " + source + ", of which it skips " +
                    septum::to_text(100.0 - 100.0 * static_cast<double>(kept) /
                                                static_cast<double>(std::int64_t{blocks_->rows} *
                                                                    blocks_->columns),
                                    1) +
                    " %");
}

std::optional<septum::row_selection> frame_predictor::rows_of_blocks() const {
  if (!cascade_) return std::nullopt;
  return septum::row_selection{.period = block_side};
}

void frame_predictor::predict_rows(int height, int width,
                                   septum::ensemble_runner::row_source const& source,
                                   septum::ensemble_runner::row_sink const& sink) {
  if (!cascade_) return net_.host->predict_rows(height, width, source, sink);
  if (!cascade_->threshold)
    throw septum::unsupported_error(
        "septum.program.124",
        "--cascade finds its threshold on a frame that is segmented whole, and this one goes row "
        "by row; give --cascade-threshold, which a run over smaller frames prints");
  auto selection = septum::lively_rows(measure(), net_.receptive_field, *cascade_->threshold,
                                       block_side, background(), common_->executor());
  selection.choose = [this, choose = std::move(selection.choose)](
                         septum::view<float const, 3> pixels, int count) {
    auto parts = choose(pixels, count);
    outputs_ += std::int64_t{count} * (pixels.extent(1) - net_.receptive_field + 1);
    computed_ += septum::kept_outputs(parts);
    return parts;
  };
  net_.host->predict_rows(height, width, source, sink, &selection);
}

void frame_predictor::require_frame(std::string const& source, std::ptrdiff_t channels,
                                    std::ptrdiff_t height, std::ptrdiff_t width) const {
  if (static_cast<std::size_t>(channels) != frame_channels_.size())
    throw septum::shape_error("septum.program.11",
                              source + ": expected " + std::to_string(frame_channels_.size()) +
                                  " channels (" + list_of(frame_channels_) + "), found " +
                                  std::to_string(channels) +
                                  "; give the files of each with --channel NAME=FILE");
  std::ptrdiff_t const field = net_.receptive_field;
  if (!pad_ && (height < field || width < field))
    throw septum::shape_error(
        "septum.program.12",
        source + ": an image of " + std::to_string(height) + "x" + std::to_string(width) +
            " pixels is smaller than the receptive field of " + std::to_string(field) + "x" +
            std::to_string(field) + "; use a larger image, or --pad reflect");
}

std::uint64_t frame_predictor::tile_bytes(int height, int width) const {
  int const wider = pad_ ? net_.receptive_field - 1 : 0;
  return net_.host ? net_.host->tile_bytes_for(height + wider, width + wider) : 0;
}

std::uint64_t frame_predictor::flight_bytes(int height, int width) const {
  if (!on_device()) return 0;
  std::uint64_t const maps = 1 + (each_ ? trained_->parameter_sets.size() : 0);
  return device_frames_in_flight * (copy_bytes(height, width) + maps * map_bytes(height, width));
}

std::uint64_t frame_predictor::packed_bytes() const {
  std::uint64_t values = 0;
  for (auto const& set : trained_->parameter_sets) values += set.size();
  return 5 * values * sizeof(float);
}

std::uint64_t frame_predictor::map_bytes(int height, int width) const {
  return static_cast<std::uint64_t>(height) * static_cast<std::uint64_t>(width) * sizeof(float) *
         trained_->description.classes.size();
}

std::uint64_t frame_predictor::copy_bytes(int height, int width) const {
  auto const wider = static_cast<std::uint64_t>(pad_ ? net_.receptive_field - 1 : 0);
  auto const pixels =
      (static_cast<std::uint64_t>(height) + wider) * (static_cast<std::uint64_t>(width) + wider);
  // The channels of the net and, while they are normalised, a copy of them; the maps with margin;
  // those of the parts of a cascade or of a turn, of every net that is asked.
  std::size_t const of_parts =
      cascade_ || turns_ ? 1 + (each_ ? trained_->parameter_sets.size() : 0) : 0;
  return pixels * sizeof(float) *
         ((turns_ ? 3 : 2) * own_channels_.size() +
          ((pad_ ? 1 : 0) + of_parts) * trained_->description.classes.size());
}

}  // namespace program
