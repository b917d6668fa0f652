#include "label_movie.hpp"

#include <algorithm>
#include <memory>
#include <septum/core/error.hpp>
#include <septum/io/frames.hpp>
#include <septum/io/image.hpp>
#include <septum/io/tiff.hpp>
#include <utility>

#include "file_kinds.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;

label_frame one_file(septum::io::frame_file const& file) {
  return {file.index, file.path.string(),
          [path = file.path] { return septum::io::read_labels(path); }};
}

// Where the programs of this project put label images.
fs::path folder_of_labels(fs::path const& folder) {
  for (char const* name : {"labels", "truth"})
    if (fs::is_directory(folder / name)) return folder / name;
  return folder;
}

}  // namespace

label_movie open_label_movie(std::vector<fs::path> const& paths, bool allow_gaps) {
  label_movie movie;
  std::vector<septum::io::frame_file> files;
  if (paths.size() == 1 && fs::is_directory(paths.front())) {
    files = septum::io::list_frames(folder_of_labels(paths.front()), allow_gaps);
  } else if (paths.size() == 1 && is_tiff(paths.front())) {
    auto const reader = std::make_shared<septum::io::tiff_reader const>(paths.front());
    movie.pixel_size_um = reader->pixel_size_um();
    for (std::size_t page = 0; page < reader->size(); ++page)
      movie.frames.push_back({static_cast<std::int64_t>(page), reader->where(page),
                              [reader, page] { return reader->read_labels(page); }});
    return movie;
  } else {
    for (auto const& path : paths)
      if (fs::is_directory(path))
        throw septum::io_error{
            "septum.program.80",
            path.string() + ": expected one folder, or files; one run tracks one movie"};
    files = septum::io::order_frames(paths, paths.front().parent_path(), allow_gaps);
  }
  for (auto const& file : files) movie.frames.push_back(one_file(file));
  if (is_tiff(files.front().path))
    movie.pixel_size_um = septum::io::tiff_reader{files.front().path}.pixel_size_um();
  return movie;
}

}  // namespace program
