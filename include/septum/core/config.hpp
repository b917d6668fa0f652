#pragma once
/// The few macros of the library: host/device marking, the ABI namespace, and the two checks.

#if defined(__CUDACC__)
#  define SEPTUM_HD __host__ __device__
#else
#  define SEPTUM_HD
#endif

// SEPTUM_CHECKED changes inline function bodies, so it is part of the ABI namespace: translation
// units built with and without it can be linked together without breaking the one-definition rule.
#if defined(SEPTUM_CHECKED)
#  define SEPTUM_ABI v0_checked
#else
#  define SEPTUM_ABI v0
#endif

/// Guards a public entry; always on, costs O(1) or one pass over the inputs. `failure` is an
/// expression that yields the exception to throw, evaluated only when `condition` is false.
#define SEPTUM_EXPECTS(condition, failure) \
  do {                                     \
    if (!(condition)) throw failure;       \
  } while (false)

/// Guards an inner loop; only when SEPTUM_CHECKED is defined.
#if defined(SEPTUM_CHECKED)
#  define SEPTUM_ASSERT(condition, failure) SEPTUM_EXPECTS(condition, failure)
#else
#  define SEPTUM_ASSERT(condition, failure) static_cast<void>(0)
#endif
