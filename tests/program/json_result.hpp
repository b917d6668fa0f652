#pragma once
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "program/program.hpp"

namespace program_test {

/// What `septum ARGUMENTS --json` prints; a test ends where it fails.
inline nlohmann::json result_of(sandbox const& box, std::string const& arguments) {
  auto const done = box.run(arguments + " --json");
  BOOST_REQUIRE_MESSAGE(done.exit_code == 0, arguments << ": " << done.err);
  return nlohmann::json::parse(done.out);
}

}  // namespace program_test
