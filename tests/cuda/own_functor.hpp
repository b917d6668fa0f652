#pragma once
#include <septum/core/view.hpp>
#include <septum/exec/kernel_name.hpp>

/// An index kernel as a user of the library writes one.
struct brighten {
  septum::view<float const, 2, septum::device_space> from;
  septum::view<float, 2, septum::device_space> to;
  float by;
  SEPTUM_HD void operator()(int row, int column) const { to(row, column) = from(row, column) + by; }
};
using own_functors = septum::functor_list<brighten>;
