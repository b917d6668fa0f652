#pragma once
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <map>
#include <septum/io/tiff.hpp>
#include <string>

#include "program/program.hpp"

/// Small experiments for `septum run`, and what it leaves behind.
namespace program_test {

/// Frames whose cells a net with random weights finds somewhere.
inline void write_positions(sandbox const& box, int positions, int frames) {
  for (int p = 0; p < positions; ++p) {
    fs::path const folder = box.path("movies") / ("p" + std::to_string(p));
    fs::create_directories(folder);
    for (int t = 0; t < frames; ++t) {
      septum::image pixels = sandbox::picture(48, 56);
      for (std::size_t k = 0; k < pixels.size(); ++k)
        pixels.data()[k] += static_cast<float>((k * (7U + static_cast<unsigned>(p + t))) % 91);
      septum::io::write_tiff(folder / ("t" + std::to_string(t) + ".tif"), pixels);
    }
  }
}

inline void write_config(sandbox const& box, std::string const& more = "") {
  septum::io::write_file(box.path("experiment.toml"),
                         "name = \"test\"\nout = \"out\"\npositions = \"movies\"\n" + more +
                             "[model]\ncells = \"m.safetensors\"\n"
                             "[segment]\nthreshold = 0.3\narea_min = 5\neccentricity_min = 0.0\n"
                             "[measure]\ninterval_min = 5\npixel_size_um = 0.13\n");
}

/// Every file below a folder with its bytes; lock files come and go.
inline std::map<std::string, std::string> files_below(fs::path const& folder) {
  std::map<std::string, std::string> files;
  for (auto const& entry : fs::recursive_directory_iterator{folder})
    if (entry.is_regular_file() &&
        entry.path().filename().string().find("lock") == std::string::npos)
      files[entry.path().lexically_relative(folder).string()] = content(entry.path());
  return files;
}

inline bool same_files(std::map<std::string, std::string> const& a,
                       std::map<std::string, std::string> const& b) {
  for (auto const& [name, bytes] : a) {
    auto const found = b.find(name);
    if (found == b.end())
      BOOST_TEST_MESSAGE("only in the first: " << name);
    else if (found->second != bytes)
      BOOST_TEST_MESSAGE("differs: " << name);
  }
  for (auto const& [name, bytes] : b)
    if (!a.contains(name)) BOOST_TEST_MESSAGE("only in the second: " << name);
  return a == b;
}

}  // namespace program_test
