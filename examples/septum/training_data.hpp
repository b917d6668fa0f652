#pragma once
#include <cstddef>
#include <cstdint>
#include <septum/exec/for_each.hpp>
#include <septum/image/annotation.hpp>
#include <septum/image/types.hpp>
#include <septum/io/annotation.hpp>
#include <septum/sample/label_maps.hpp>
#include <septum/sample/split.hpp>
#include <string>
#include <vector>

#include "options.hpp"
#include "training.hpp"

namespace program {

/// Normalises an image by a policy's name as models store it.
/// @throws septum::unsupported_error on an unknown name
void normalize(septum::image& pixels, std::string const& normalizer, int window,
               septum::exec::threads threads);

/// Data sets ready for any net of an ensemble: normalised once, sampled per net.
struct prepared_data {
  std::vector<septum::image> images;
  std::vector<septum::annotation> truths;
  std::vector<std::string> names;
  std::vector<septum::extent2> extents;
  /// With a teacher: what is learned, and which pixels people have given a class. `truths` then has
  /// the teacher's class where they have not.
  std::string teacher;
  std::vector<septum::probabilities> targets;
  std::vector<septum::annotation> annotated;

  [[nodiscard]] std::vector<septum::view<float const, 3>> views() const { return views_of(images); }
  [[nodiscard]] std::vector<septum::view<float const, 3>> target_views() const {
    return views_of(targets);
  }
  /// Epochs are compared by what people say.
  [[nodiscard]] bool judges(std::size_t index, std::size_t row, std::size_t column) const {
    return annotated.empty() ||
           annotated[index].class_of_pixel(row, column) != septum::annotation::unlabelled;
  }

 private:
  static std::vector<septum::view<float const, 3>> views_of(
      std::vector<septum::image> const& arrays) {
    std::vector<septum::view<float const, 3>> all;
    for (auto const& array : arrays) all.push_back(septum::as_view(array));
    return all;
  }
};

/// @throws septum::unsupported_error when there is no data set
/// @throws septum::shape_error when their channels or classes differ
void require_equal_datasets(std::vector<septum::io::dataset> const& datasets);

/// Asks the teacher, where the request has one, and normalises. Takes the pixels of the data sets.
/// @param field  side of the net's receptive field in pixels
/// @throws septum::unsupported_error on an unknown normaliser, or on a backend without a teacher
/// @throws septum::error naming a data set that cannot be normalised, or as teacher does
[[nodiscard]] prepared_data prepare(std::vector<septum::io::dataset>& datasets,
                                    training_request const& request, int field,
                                    common_options const& common);

/// The patches of one net, a pure function of its seed. Validation has those alone that people have
/// given a class.
/// @throws septum::unsupported_error when an image lacks a class, or a split leaves nothing
[[nodiscard]] septum::patch_split split_patches(prepared_data const& data,
                                                training_request const& request, int field,
                                                std::uint64_t seed);

/// The same for training by crops: a map of labels per image.
[[nodiscard]] septum::label_maps split_maps(prepared_data const& data,
                                            training_request const& request, int field,
                                            std::uint64_t seed);

}  // namespace program
