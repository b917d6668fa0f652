#pragma once
#include <septum/backend/eigen.hpp>

#include <boost/test/unit_test.hpp>

/// Says so and is true where the processor has none.
inline bool lacks_bfloat16_instructions() {
  if (septum::has_host_bfloat16()) return false;
  BOOST_TEST_MESSAGE("skipped: this processor has no AVX512_BF16 instructions");
  return true;
}
