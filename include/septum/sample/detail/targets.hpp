#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/view.hpp>
#include <septum/image/annotation.hpp>
#include <septum/image/types.hpp>

#include <cstddef>
#include <numeric>
#include <span>
#include <string>

namespace septum::inline SEPTUM_ABI::detail {

/// Whether probabilities of all classes are there: those of a pixel without sum up to 0, and those
/// interpolated from some pixels with and some without to less than 1.
[[nodiscard]] inline bool has_target(std::span<float const> classes) {
  constexpr float rounding = 1e-3F;
  return std::accumulate(classes.begin(), classes.end(), 0.0F) > 1.0F - rounding;
}

/// \throws shape_error `septum.sample.21`
inline void expect_teacher(probabilities const& teacher, annotation const& truth) {
  SEPTUM_EXPECTS(teacher.shape()[0] == truth.class_of_pixel.shape()[0] &&
                     teacher.shape()[1] == truth.class_of_pixel.shape()[1] &&
                     teacher.shape()[2] == truth.class_names.size(),
                 shape_error("septum.sample.21",
                             "expected a teacher's probabilities of " +
                                 std::to_string(truth.class_of_pixel.shape()[0]) + " x " +
                                 std::to_string(truth.class_of_pixel.shape()[1]) + " pixels and " +
                                 std::to_string(truth.class_names.size()) + " classes, found " +
                                 std::to_string(teacher.shape()[0]) + " x " +
                                 std::to_string(teacher.shape()[1]) + " and " +
                                 std::to_string(teacher.shape()[2])));
}

/// \throws shape_error `septum.sample.20`
inline void expect_targets(std::span<view<float const, 3> const> images,
                           std::span<view<float const, 3> const> targets, char const* owner) {
  bool matched = images.size() == targets.size();
  for (std::size_t i = 0; matched && i < images.size(); ++i)
    matched = images[i].extent(0) == targets[i].extent(0) &&
              images[i].extent(1) == targets[i].extent(1) &&
              targets[i].extent(2) == targets[0].extent(2);
  SEPTUM_EXPECTS(matched,
                 shape_error("septum.sample.20",
                             std::string{owner} +
                                 ": expected a map of target probabilities of equal extent per "
                                 "image, all with the same classes"));
}

}  // namespace septum::inline SEPTUM_ABI::detail
