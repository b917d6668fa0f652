#include <septum/exec/for_each.cuh>

#include "own_functor.hpp"

template int septum::kernel_entries(own_functors);
