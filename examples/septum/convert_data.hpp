#pragma once
#include <vector>

#include "conversion.hpp"

namespace program {

/// Images, label images, masks and ImageJ areas into each other, nothing lost.
[[nodiscard]] std::vector<converter> data_converters();

}  // namespace program
