#pragma once
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>

namespace program {

// What a file is, told by its name.

// With the dot, in lower case.
inline std::string extension_of(std::filesystem::path const& path) {
  auto extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

inline bool is_tiff(std::filesystem::path const& path) {
  auto const extension = extension_of(path);
  return extension == ".tif" || extension == ".tiff";
}

// Areas of ImageJ, rather than arrays of NumPy.
inline bool is_areas(std::filesystem::path const& path) {
  auto const extension = extension_of(path);
  return extension == ".zip" || extension == ".roi";
}

}  // namespace program
