#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <septum/image/types.hpp>
#include <septum/io/image.hpp>
#include <string>
#include <vector>

namespace program {

/// One frame to segment; nothing is decoded before `load` is called.
struct input_frame {
  std::string source;      ///< what cells.csv calls the image
  std::string stem;        ///< names the files written for it
  std::int64_t index = 0;  ///< frame number
  std::function<septum::io::scaled_image()> load;
};

/// What the user gave as images.
struct image_arguments {
  std::vector<std::filesystem::path> paths;
  std::vector<std::string> channels;  ///< "phase=FILE": the files of one image of several channels
  bool allow_gaps = false;            ///< accept missing frame numbers in a folder of frames
};

/// The frames behind the arguments: an image file, a multi-page time series, a data-set folder
/// whose channels are those wanted, or a folder with a file per frame.
/// @throws septum::io_error, septum::unsupported_error naming the file
[[nodiscard]] std::vector<input_frame> list_inputs(image_arguments const& arguments,
                                                   std::vector<std::string> const& wanted);

/// Splits "name=FILE".
/// @throws septum::unsupported_error when there is no name or no file
[[nodiscard]] septum::io::channel_file parse_channel(std::string const& text);

}  // namespace program
