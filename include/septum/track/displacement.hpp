#pragma once
#include <septum/core/config.hpp>

namespace septum::inline SEPTUM_ABI {

/// A displacement in y, x and z.
struct displacement {
  double y = 0;
  double x = 0;
  double z = 0;
};

}  // namespace septum::inline SEPTUM_ABI
