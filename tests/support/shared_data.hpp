#pragma once
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace test {

/// A path below the folder of real annotated images, which is no part of the project; nothing, and
/// a line that says so, where it is absent.
inline std::optional<std::filesystem::path> shared_data(std::string const& inside) {
  char const* const folder = std::getenv("SEPTUM_SHARED_DIR");
  std::filesystem::path const path =
      std::filesystem::path{folder == nullptr ? "" : folder} / inside;
  if (folder != nullptr && std::filesystem::exists(path)) return path;
  BOOST_TEST_MESSAGE("skipped: no " << inside << " below SEPTUM_SHARED_DIR");
  return std::nullopt;
}

}  // namespace test
