#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <septum/image/types.hpp>
#include <string>
#include <vector>

namespace program {

/// One label image of a movie; nothing is decoded before `load` is called.
struct label_frame {
  std::int64_t index = 0;  ///< true number of the frame
  std::string name;        ///< for messages
  std::function<septum::labels()> load;
};

/// Label images in the order of their frames.
struct label_movie {
  std::vector<label_frame> frames;
  double pixel_size_um = 0.0;  ///< as the first file says; 0 when it does not
};

/// A multi-page file, a folder with a file per frame (also the folder that `segment` or `simulate`
/// wrote), or several files whose names differ in the frame number. Pages count from 0.
/// @throws septum::io_error naming the file
[[nodiscard]] label_movie open_label_movie(std::vector<std::filesystem::path> const& paths,
                                           bool allow_gaps);

}  // namespace program
