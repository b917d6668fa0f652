#include "distillation.hpp"

#include <algorithm>
#include <septum/core/error.hpp>
#include <septum/core/hash.hpp>
#include <septum/io/image.hpp>
#include <span>
#include <utility>

#include "inputs.hpp"
#include "memory_plan.hpp"
#include "models.hpp"
#include "prediction.hpp"

namespace program {
namespace {

std::string list_of(std::vector<std::string> const& names) {
  std::string list;
  for (auto const& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

}  // namespace

teacher::teacher(training_request const& request, septum::io::dataset const& data,
                 common_options const& common)
    : request_{&request}, common_{&common}, trained_{read_models(request.teacher)} {
  auto const refuse = [&](std::string const& what, std::string const& own,
                          std::string const& wanted) {
    throw septum::shape_error("septum.program.120",
                              request.teacher.front().string() + ": a teacher with the " + what +
                                  " " + own + " for training with " + wanted +
                                  "; give a teacher trained on the same " + what);
  };
  auto const& description = trained_.description;
  if (description.channels != data.channels)
    refuse("channels", list_of(description.channels), list_of(data.channels));
  if (description.classes != data.truth.class_names)
    refuse("classes", list_of(description.classes), list_of(data.truth.class_names));
  if (description.normalizer != request.normalizer)
    refuse("normalizer", description.normalizer, request.normalizer);
}

septum::probabilities teacher::predict(septum::io::dataset const& data) const {
  // A quarter of what is allowed; more tiles give the same bytes.
  std::uint64_t const budget =
      std::clamp<std::uint64_t>(allowed_bytes(request_->memory_limit_mb) >> 22U, 16, 256);
  frame_predictor net{
      trained_, data.channels, {.memory_mb = static_cast<std::size_t>(budget)}, *common_};
  double seconds = 0.0;
  return net(data.pixels, data.name, seconds, seconds).mean;
}

std::string teacher::identity() const {
  auto const& description = trained_.description;
  std::string text = description.architecture + " " + std::to_string(description.signature) + " " +
                     description.normalizer + " " + std::to_string(description.normalizer_window);
  for (auto const& set : trained_.parameter_sets)
    text += " " + std::to_string(septum::fnv1a(std::as_bytes(std::span{set})));
  return text;
}

std::vector<septum::io::dataset> read_unlabelled(training_request const& request,
                                                 septum::io::dataset const& like,
                                                 common_options const& common) {
  std::vector<septum::io::dataset> all;
  if (request.unlabelled.empty()) return all;
  image_arguments images;
  images.paths = request.unlabelled;
  for (auto const& frame : list_inputs(images, like.channels)) {
    auto const header = read_header(frame);
    if (header.channels != like.channels.size())
      throw septum::shape_error(
          "septum.program.121",
          frame.source + ": expected " + std::to_string(like.channels.size()) + " channels (" +
              list_of(like.channels) + "), found " + std::to_string(header.channels));
    auto input = frame.load();
    septum::io::require_finite(input.pixels, frame.source);
    septum::io::dataset data;
    data.name = frame.source;
    data.channels = like.channels;
    data.truth.class_names = like.truth.class_names;
    data.truth.class_of_pixel = xt::xtensor<std::uint8_t, 2>::from_shape(
        {input.pixels.shape()[0], input.pixels.shape()[1]});
    data.truth.class_of_pixel.fill(septum::annotation::unlabelled);
    data.pixel_size_um = input.pixel_size_um;
    data.pixels = std::move(input.pixels);
    all.push_back(std::move(data));
  }
  say(common, "Learning from " + std::to_string(all.size()) + " images without annotation");
  return all;
}

}  // namespace program
