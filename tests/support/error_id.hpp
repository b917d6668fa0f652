#pragma once
#include <septum/core/error.hpp>

#include <string>

namespace test {

/// Identifier of the error that a call ends with; empty when it ends well.
inline std::string id_of(auto const& call) {
  try {
    call();
  } catch (septum::error const& failure) {
    return failure.id();
  }
  return {};
}

}  // namespace test
