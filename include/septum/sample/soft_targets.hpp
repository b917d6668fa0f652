#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/annotation.hpp>
#include <septum/image/types.hpp>
#include <septum/sample/detail/targets.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace septum::inline SEPTUM_ABI {

/// Policy of distillation (Hinton et al. 2015, at temperature 1): the targets of a pixel are what a
/// teacher, a trained net or an ensemble, says about it, mixed with its label. Cross-entropy is
/// linear in its targets, so this is the weighted sum of the losses against the two.
struct soft_targets {
  double label_weight = 0.0;  ///< share of the label, in [0, 1]; 0: the teacher alone

  /// Class probabilities to learn (row, column, class). A pixel without a label has the teacher's,
  /// and one that the teacher does not see has none: all zero.
  /// \param teacher  class probabilities, all zero where the teacher does not see
  /// \throws shape_error `septum.sample.21` on other extents or another number of classes,
  ///         unsupported_error `septum.sample.22` on a weight outside [0, 1]
  [[nodiscard]] probabilities operator()(probabilities const& teacher,
                                         annotation const& truth) const {
    SEPTUM_EXPECTS(label_weight >= 0.0 && label_weight <= 1.0,
                   unsupported_error("septum.sample.22",
                                     "soft_targets: expected a weight of labels in [0, 1], found " +
                                         to_text(label_weight)));
    detail::expect_teacher(teacher, truth);
    probabilities mixed = teacher;
    auto const classes = static_cast<std::size_t>(truth.classes());
    auto const keep = static_cast<float>(1.0 - label_weight);
    for (std::size_t p = 0; p < truth.class_of_pixel.size(); ++p) {
      auto const label = truth.class_of_pixel.data()[p];
      float* const own = mixed.data() + p * classes;
      if (label == annotation::unlabelled || !detail::has_target({own, classes})) continue;
      for (std::size_t k = 0; k < classes; ++k) own[k] *= keep;
      own[label] += static_cast<float>(label_weight);
    }
    return mixed;
  }
};

/// The annotation with the teacher's most probable class where a pixel has no label and the teacher
/// sees it, so that samplers and splits find these pixels as well.
/// \throws shape_error `septum.sample.21` on other extents or another number of classes
[[nodiscard]] inline annotation label_by_teacher(annotation truth, probabilities const& teacher) {
  detail::expect_teacher(teacher, truth);
  auto const classes = static_cast<std::size_t>(truth.classes());
  for (std::size_t p = 0; p < truth.class_of_pixel.size(); ++p) {
    auto& label = truth.class_of_pixel.data()[p];
    float const* const own = teacher.data() + p * classes;
    if (label == annotation::unlabelled && detail::has_target({own, classes}))
      label = static_cast<std::uint8_t>(std::max_element(own, own + classes) - own);
  }
  return truth;
}

}  // namespace septum::inline SEPTUM_ABI
