#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <septum/image/normalize_rows.hpp>
#include <septum/image/types.hpp>
#include <septum/io/image.hpp>
#include <septum/io/tiff_rows.hpp>
#include <string>
#include <vector>

namespace program {

/// What is known of a frame before it is decoded.
struct frame_header {
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 0;
  std::uint64_t file_bytes = 0;  ///< of the largest of its files
  bool by_rows = false;          ///< whether it can be read row by row: a TIFF
};

/// One frame to segment; nothing is decoded before `load` is called.
struct input_frame {
  std::string source;      ///< what cells.csv calls the image
  std::string stem;        ///< names the files written for it
  std::int64_t index = 0;  ///< frame number
  std::function<septum::io::scaled_image()> load;
  /// that hold its channels: one with all of them, or one each; empty where it is a part of a file
  std::vector<std::filesystem::path> files{};
  std::optional<frame_header> header{};  ///< where listing the frame has read it
};

/// Reads the extents of a frame; frames that are neither TIFF nor PNG are decoded for it.
[[nodiscard]] frame_header read_header(input_frame const& frame);

/// A frame of TIFFs that is read row by row.
class frame_rows {
 public:
  /// @throws septum::shape_error when its files differ in extent
  explicit frame_rows(input_frame const& frame);
  frame_rows(frame_rows const&) = delete;
  frame_rows& operator=(frame_rows const&) = delete;

  /// The image; refers to this object.
  [[nodiscard]] septum::image_rows rows();
  [[nodiscard]] double pixel_size_um() const { return files_.front()->pixel_size_um(); }
  /// Most bytes held when `count` rows at a time are read.
  [[nodiscard]] std::size_t buffer_bytes(std::ptrdiff_t count);

 private:
  struct plane {
    std::size_t file = 0;
    std::size_t page = 0;
  };
  std::vector<std::unique_ptr<septum::io::tiff_row_reader>> files_;
  std::vector<plane> planes_;
  std::ptrdiff_t height_ = 0;
  std::ptrdiff_t width_ = 0;
  std::ptrdiff_t samples_ = 0;  // of a plane
  std::vector<float> plane_rows_;
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
