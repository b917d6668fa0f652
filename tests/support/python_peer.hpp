#pragma once
#include <sys/wait.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>

/// Programs in Python that are the other side of a test.
namespace test {

/// Runs tests/golden/SCRIPT with the Python in SEPTUM_PYTHON, or python3, and its output into
/// FOLDER/output.txt; returns its exit status.
inline int run_python(std::string const& script, std::string const& command,
                      std::filesystem::path const& folder) {
  char const* const python = std::getenv("SEPTUM_PYTHON");
  std::filesystem::path const path =
      std::filesystem::path{__FILE__}.parent_path().parent_path() / "golden" / script;
  std::string const line = std::string{python == nullptr ? "python3" : python} + " '" +
                           path.string() + "' " + command + " '" + folder.string() + "' > '" +
                           (folder / "output.txt").string() + "' 2>&1";
  int const status = std::system(line.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// False, with a line that says so, where Python or one of the packages is not there.
inline bool python_available(int status, std::string const& packages) {
  if (status != 77 && status != 127) return true;
  BOOST_TEST_MESSAGE("skipped: no Python with " << packages << " (name one in SEPTUM_PYTHON)");
  return false;
}

}  // namespace test
