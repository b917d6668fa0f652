#pragma once
#include <septum/backend/eigen.hpp>
#include <septum/backend/reference.hpp>
#if defined(SEPTUM_TEST_ONEDNN)
#  include <septum/backend/onednn.hpp>
#endif

#include <tuple>

/// Type lists for BOOST_AUTO_TEST_CASE_TEMPLATE. A new backend is one more name here.
#if defined(SEPTUM_TEST_ONEDNN)
using host_backends = std::tuple<septum::reference, septum::eigen, septum::onednn>;
using tested_backends = std::tuple<septum::eigen, septum::onednn>;  // all but the oracle
#else
using host_backends = std::tuple<septum::reference, septum::eigen>;
using tested_backends = std::tuple<septum::eigen>;
#endif
