#include "training_data.hpp"

#include <cstdint>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/image/normalize.hpp>
#include <septum/image/whitening.hpp>
#include <septum/sample/samplers.hpp>
#include <septum/sample/soft_targets.hpp>
#include <utility>

#include "distillation.hpp"

namespace program {
namespace {

// What a teacher says about the raw images, before they are normalised for the net.
void ask_teacher(prepared_data& data, std::vector<septum::io::dataset>& datasets,
                 training_request const& request, common_options const& common) {
  if (request.teacher.empty()) return;
  if (common.backend == "cudnn")
    throw septum::unsupported_error("septum.program.122",
                                    "--backend cudnn does not learn from a teacher; give another "
                                    "backend, which trains on the processor");
  teacher const model{request, datasets.front(), common};
  data.teacher = model.identity();
  septum::soft_targets const mix{.label_weight = request.label_weight};
  for (auto& dataset : datasets) {
    auto const said = model.predict(dataset);
    data.targets.push_back(mix(said, dataset.truth));
    data.annotated.push_back(dataset.truth);
    dataset.truth = septum::label_by_teacher(std::move(dataset.truth), said);
  }
}

}  // namespace

void normalize(septum::image& pixels, std::string const& normalizer, int window,
               septum::exec::threads threads) {
  auto const apply = [&](auto const& policy) { policy(septum::as_view(pixels), threads); };
  if (normalizer == "median_box") return apply(septum::median_box_normalizer{.window = window});
  if (normalizer == "standard_deviation")
    return apply(septum::standard_deviation_normalizer{.window = window});
  if (normalizer == "max") return apply(septum::max_normalizer{});
  if (normalizer == "none") return apply(septum::identity_normalizer{});
  if (normalizer == "channel_whitening")
    return apply(septum::channel_whitening_normalizer{.window = window});
  if (normalizer == "patch_whitening" || normalizer == "patch_standard_deviation")
    throw septum::unsupported_error(
        "septum.program.71",
        "normaliser '" + normalizer +
            "' changes every pixel with the patch that it is seen in, so whole frames could not be "
            "segmented in one pass and a net trained so would have to run patch by patch, some "
            "hundred times slower; use standard_deviation or channel_whitening, which act on the "
            "whole image");
  throw septum::unsupported_error("septum.program.6",
                                  "unknown normaliser '" + normalizer +
                                      "'; there are median_box, standard_deviation, max, none, "
                                      "channel_whitening");
}

void require_equal_datasets(std::vector<septum::io::dataset> const& datasets) {
  if (datasets.empty())
    throw septum::unsupported_error("septum.program.4", "no data set to train on");
  auto const& first = datasets.front();
  for (auto const& dataset : datasets)
    if (dataset.channels != first.channels || dataset.truth.class_names != first.truth.class_names)
      throw septum::shape_error("septum.program.5",
                                dataset.name + ": its channels or classes differ from those of " +
                                    first.name + "; train on data sets of one kind");
}

prepared_data prepare(std::vector<septum::io::dataset>& datasets, training_request const& request,
                      int field, common_options const& common) {
  auto const threads = common.executor();
  prepared_data data;
  ask_teacher(data, datasets, request, common);
  for (auto& dataset : datasets) {
    try {
      normalize(dataset.pixels, request.normalizer, field, threads);
    } catch (septum::error& failure) {
      failure.add_note(dataset.name);
      throw;
    }
    data.extents.push_back(
        {static_cast<int>(dataset.pixels.shape()[0]), static_cast<int>(dataset.pixels.shape()[1])});
    data.images.push_back(std::move(dataset.pixels));
    data.truths.push_back(dataset.truth);
    data.names.push_back(dataset.name);
  }
  return data;
}

septum::patch_split split_patches(prepared_data const& data, training_request const& request,
                                  int field, std::uint64_t seed) {
  septum::class_balanced const sampler{.window = field, .limit_per_class = request.limit_per_class};
  auto const patches =
      sampler(data.truths, septum::counter_rng{seed, septum::stream::sampling}, data.names);
  septum::counter_rng const rng{seed, septum::stream::validation_split};
  auto split = request.validation == "region"
                   ? septum::by_region{}(patches, data.extents, field, rng)
                   : septum::random_pixels{}(patches, data.extents, field, rng);
  std::erase_if(split.validation, [&](septum::patch_index const& patch) {
    return !data.judges(static_cast<std::size_t>(patch.image), static_cast<std::size_t>(patch.row),
                        static_cast<std::size_t>(patch.column));
  });
  return split;
}

septum::label_maps split_maps(prepared_data const& data, training_request const& request, int field,
                              std::uint64_t seed) {
  septum::counter_rng const rng{seed, septum::stream::validation_split};
  auto maps =
      request.validation == "region"
          ? septum::split_labels(data.truths, field, septum::by_region{}, rng, data.names)
          : septum::split_labels(data.truths, field, septum::random_pixels{}, rng, data.names);
  for (std::size_t i = 0; i < maps.validation.size(); ++i)
    for (std::size_t row = 0; row < maps.validation[i].shape()[0]; ++row)
      for (std::size_t column = 0; column < maps.validation[i].shape()[1]; ++column)
        if (!data.judges(i, row, column))
          maps.validation[i](row, column) = septum::annotation::unlabelled;
  return maps;
}

}  // namespace program
