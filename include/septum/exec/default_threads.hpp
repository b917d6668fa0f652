#pragma once
#include <septum/exec/for_each.hpp>

#include <algorithm>

#if defined(_OPENMP)
#  include <omp.h>
#endif

namespace septum::inline SEPTUM_ABI {

/// Libraries that start OpenMP threads of their own (oneDNN, Eigen) take as many as OpenMP's
/// default says. This sets the default for the calling thread and restores it at the end of the
/// scope, so that a context's thread count also holds inside such a library.
class default_threads {
 public:
  explicit default_threads([[maybe_unused]] exec::threads threads) {
#if defined(_OPENMP)
    omp_set_num_threads(std::max(threads.count, 1));
#endif
  }
  default_threads(default_threads const&) = delete;
  default_threads& operator=(default_threads const&) = delete;
#if defined(_OPENMP)
  ~default_threads() { omp_set_num_threads(before_); }

 private:
  int before_ = omp_get_max_threads();
#else
  ~default_threads() = default;
#endif
};

}  // namespace septum::inline SEPTUM_ABI
