#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/annotation.hpp>
#include <septum/image/types.hpp>
#include <septum/io/frames.hpp>
#include <septum/io/image.hpp>
#include <septum/io/roi_set.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// One annotated image: what a net is trained on and scored against.
struct dataset {
  std::string name;                     ///< the folder's name
  image pixels;                         ///< axes row, column, channel
  std::vector<std::string> channels;    ///< names in the order of the last axis
  annotation truth;                     ///< class of every pixel
  std::optional<labels> instances;      ///< one number per cell, where the folder has them
  double pixel_size_um = 0.0;           ///< 0 when no channel file states it
  std::vector<std::string> warnings{};  ///< what was doubtful about drawn areas
};

/// The files of a data-set folder by their meaning; nothing is opened.
struct dataset_files {
  std::vector<channel_file> channels;  ///< by name
  std::optional<std::filesystem::path> edge;
  std::vector<channel_file> interiors;  ///< "interior" first, then the cell types by name
  std::optional<std::filesystem::path> instances;
  std::vector<channel_file> cell_types;  ///< cells of one type each, by the name of the type
};

namespace detail {

/// Whether a file is ImageJ's: a .roi file or a set of them.
[[nodiscard]] inline bool holds_areas(std::filesystem::path const& path) {
  return path.extension() == ".zip" || path.extension() == ".roi";
}

}  // namespace detail

/// Sorts out a data-set folder: `edge.*`, `interior.*`, `interior_<class>.*` are masks; `labels.*`
/// or `instances.*` holds one integer per cell, and so do ImageJ's areas in `RoiSet.zip`;
/// `labels_<class>.*` and `RoiSet_<class>.zip` hold the cells of one type; `*_mask.*` is left out,
/// every other .tif, .tiff or .png file is a channel named by its stem.
/// throws     io_error when two files claim one meaning, or the folder cannot be listed
[[nodiscard]] inline dataset_files list_dataset(std::filesystem::path const& folder) {
  std::error_code failure;
  std::map<std::string, std::filesystem::path> by_stem;
  for (std::filesystem::directory_iterator entry{folder, failure}, end; !failure && entry != end;
       entry.increment(failure)) {
    std::filesystem::path const& path = entry->path();
    bool const pixels = detail::has_image_extension(path) && path.extension() != ".npy" &&
                        path.extension() != ".npz";
    if (path.filename().native().starts_with('.') || !(pixels || detail::holds_areas(path)))
      continue;
    auto const [same, added] = by_stem.emplace(path.stem().native(), path);
    if (!added)
      throw io_error{"septum.dataset.1",
                     detail::shown(folder) + ": expected one file per name, found " +
                         detail::shown(std::min(same->second, path).filename()) + " and " +
                         detail::shown(std::max(same->second, path).filename())};
  }
  if (failure) detail::throw_call_failed(folder, "listing the data set", failure.value());
  dataset_files files;
  constexpr std::string_view interior_lead = "interior_";
  for (auto const& [stem, path] : by_stem) {
    if (stem == "edge") {
      files.edge = path;
    } else if (stem == "interior") {
      files.interiors.insert(files.interiors.begin(), {stem, path});
    } else if (stem.starts_with(interior_lead)) {
      files.interiors.push_back({stem.substr(interior_lead.size()), path});
    } else if (stem == "labels" || stem == "instances" || stem == "RoiSet") {
      if (files.instances)
        throw io_error{"septum.dataset.1", detail::shown(folder) +
                                               ": expected labels or instances, found both " +
                                               detail::shown(files.instances->filename()) +
                                               " and " + detail::shown(path.filename())};
      files.instances = path;
    } else if (stem.starts_with("labels_") || stem.starts_with("RoiSet_")) {
      files.cell_types.push_back({stem.substr(std::string_view{"labels_"}.size()), path});
    } else if (detail::holds_areas(path)) {
      throw io_error{"septum.dataset.8",
                     detail::shown(path) +
                         ": expected areas named RoiSet.zip or RoiSet_<class>.zip in a data set"};
    } else if (!stem.ends_with("_mask")) {
      files.channels.push_back({stem, path});
    }
  }
  std::sort(files.cell_types.begin(), files.cell_types.end(),
            [](channel_file const& a, channel_file const& b) { return a.name < b.name; });
  for (std::size_t k = 1; k < files.cell_types.size(); ++k)
    if (files.cell_types[k].name == files.cell_types[k - 1].name)
      throw io_error{"septum.dataset.1",
                     detail::shown(folder) + ": expected one file per type of cells, found " +
                         detail::shown(files.cell_types[k - 1].path.filename()) + " and " +
                         detail::shown(files.cell_types[k].path.filename())};
  if (files.instances && !files.cell_types.empty())
    throw io_error{"septum.dataset.1", detail::shown(folder) +
                                           ": expected all cells in one file or a file per type, "
                                           "found " +
                                           detail::shown(files.instances->filename()) + " and " +
                                           detail::shown(files.cell_types.front().path.filename())};
  return files;
}

/// The data sets below a path: the folder itself when it holds images, else its subfolders by name,
/// so that an experiment of several images can be given as one folder.
/// throws     io_error when the folder cannot be listed
[[nodiscard]] inline std::vector<std::filesystem::path> list_datasets(
    std::filesystem::path const& folder) {
  std::error_code failure;
  std::vector<std::filesystem::path> folders;
  bool images = false;
  for (std::filesystem::directory_iterator entry{folder, failure}, end; !failure && entry != end;
       entry.increment(failure)) {
    std::filesystem::path const& path = entry->path();
    if (path.filename().native().starts_with('.')) continue;
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored))
      folders.push_back(path);
    else
      images = images || detail::has_image_extension(path) || detail::holds_areas(path);
  }
  if (failure) detail::throw_call_failed(folder, "listing the data set", failure.value());
  if (images || folders.empty()) return {folder};
  std::sort(folders.begin(), folders.end());
  return folders;
}

namespace detail {

/// The channel files in the order that the caller wants; all when nothing is wanted.
[[nodiscard]] inline std::vector<channel_file> chosen_channels(
    dataset_files const& files, std::vector<std::string> const& wanted, std::string const& name) {
  if (files.channels.empty())
    throw io_error{"septum.dataset.2",
                   name + ": expected a channel such as phase.tif or nuclear.tif, found none"};
  if (wanted.empty()) return files.channels;
  std::vector<channel_file> chosen;
  for (std::string const& channel : wanted) {
    auto const found = std::find_if(files.channels.begin(), files.channels.end(),
                                    [&](channel_file const& file) { return file.name == channel; });
    if (found == files.channels.end()) {
      std::string present;
      for (channel_file const& file : files.channels)
        present += (present.empty() ? "" : ", ") + printable(file.name);
      throw io_error{"septum.dataset.2",
                     name + ": expected a channel '" + printable(channel) + "', found " + present};
    }
    chosen.push_back(*found);
  }
  return chosen;
}

template <class T>
void expect_extents(xt::xtensor<T, 2> const& pixels, image const& reference,
                    std::filesystem::path const& path, std::string const& reference_name) {
  if (pixels.shape()[0] != reference.shape()[0] || pixels.shape()[1] != reference.shape()[1])
    throw shape_error{"septum.dataset.3", shown(path) + ": expected the size of " + reference_name +
                                              ", " + extents_text(reference) + ", found " +
                                              extents_text(pixels)};
}

/// Cells from a label image, or from areas drawn on an image of the given size.
[[nodiscard]] inline labels read_cells(std::filesystem::path const& path, image const& reference,
                                       std::string const& reference_name,
                                       std::vector<std::string>& warnings) {
  if (holds_areas(path)) {
    painted_areas painted =
        paint_areas(read_roi_set(path), reference.shape()[0], reference.shape()[1], shown(path));
    warnings.insert(warnings.end(), painted.warnings.begin(), painted.warnings.end());
    return std::move(painted.cells);
  }
  labels cells = io::read_labels(path);
  expect_extents(cells, reference, path, reference_name);
  return cells;
}

/// The annotation of a folder and its label image, checked against the size of `pixels`.
inline void read_truth(dataset& data, dataset_files const& files, std::string const& name,
                       std::string const& reference_name, exec::threads threads) {
  if (files.instances)
    data.instances = read_cells(*files.instances, data.pixels, reference_name, data.warnings);
  std::vector<cells_of_type> types;
  for (channel_file const& file : files.cell_types)
    types.push_back({file.name, read_cells(file.path, data.pixels, reference_name, data.warnings)});
  if (!types.empty()) data.instances = merge_cell_types(types);
  if (files.edge && !files.interiors.empty()) {
    mask const edge = read_mask(*files.edge);
    expect_extents(edge, data.pixels, *files.edge, reference_name);
    std::vector<interior_mask> interiors;
    for (channel_file const& file : files.interiors) {
      interiors.push_back({.name = file.name, .pixels = read_mask(file.path)});
      expect_extents(interiors.back().pixels, data.pixels, file.path, reference_name);
    }
    data.truth = make_annotation(edge, interiors, threads);
    return;
  }
  if (files.edge || !files.interiors.empty())
    throw io_error{
        "septum.dataset.4",
        name + ": expected edge.png and interior.png together, found only " +
            shown(files.edge ? files.edge->filename() : files.interiors.front().path.filename())};
  if (!data.instances)
    throw io_error{
        "septum.dataset.4",
        name +
            ": expected an annotation (edge.png and interior.png, labels.tif, or RoiSet.zip), "
            "found none"};
  data.truth = types.empty() ? annotation_from_labels(*data.instances, threads)
                             : annotation_from_labels(types, threads);
}

[[nodiscard]] inline std::vector<std::size_t> count_classes(annotation const& truth) {
  std::vector<std::size_t> counts(truth.class_names.size(), 0);
  for (std::uint8_t const value : truth.class_of_pixel)
    if (value < counts.size()) ++counts[value];
  return counts;
}

/// What is wrong with the pixels of one channel; empty when nothing is.
[[nodiscard]] inline std::string channel_problem(image const& pixels, std::size_t channel) {
  std::size_t const channels = pixels.shape()[2];
  float lowest = pixels.data()[channel];
  float highest = lowest;
  for (std::size_t i = channel; i < pixels.size(); i += channels) {
    lowest = std::min(lowest, pixels.data()[i]);
    highest = std::max(highest, pixels.data()[i]);
  }
  return lowest == highest ? "expected an image, found " + to_text(lowest) + " in every pixel"
                           : std::string{};
}

}  // namespace detail

/// Reads an annotated image from its folder, with the channels named in `wanted` in that order, or
/// all of them by name. Without masks the annotation is made from the label image.
/// throws     io_error and shape_error that name the file: a missing channel or annotation, other
///            sizes, a class without pixels, a constant channel, NaN or infinite pixels
[[nodiscard]] inline dataset read_dataset(std::filesystem::path const& folder,
                                          std::vector<std::string> const& wanted = {},
                                          exec::threads threads = {}) {
  std::string const name = detail::shown(folder);
  dataset_files const files = list_dataset(folder);
  std::vector<channel_file> const channels = detail::chosen_channels(files, wanted, name);
  dataset data;
  data.name = (folder.filename().empty() ? folder.parent_path() : folder).filename().native();
  scaled_image source = read_channels(channels);
  data.pixels = std::move(source.pixels);
  data.pixel_size_um = source.pixel_size_um;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    data.channels.push_back(channels[i].name);
    if (std::string const problem = detail::channel_problem(data.pixels, i); !problem.empty())
      throw io_error{"septum.dataset.5", detail::shown(channels[i].path) + ": " + problem};
  }
  require_finite(data.pixels, name);
  detail::read_truth(data, files, name, detail::shown(channels.front().path.filename()), threads);
  std::vector<std::size_t> const counts = detail::count_classes(data.truth);
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] == 0)
      throw io_error{"septum.dataset.6", name + ": expected pixels of class '" +
                                             printable(data.truth.class_names[i]) +
                                             "' in the annotation, found none; every class has to "
                                             "occur in every image"};
  return data;
}

/// What a data-set folder holds, and all that is wrong with it.
struct dataset_summary {
  struct channel {
    std::string name;
    std::string file;
    std::size_t height = 0;
    std::size_t width = 0;
    float lowest = 0.0F;
    float median = 0.0F;
    float highest = 0.0F;
  };
  std::vector<channel> channels;
  double pixel_size_um = 0.0;
  std::vector<std::string> class_names;
  std::vector<std::size_t> pixels_of_class;  ///< in the order of `class_names`
  std::size_t unlabelled = 0;                ///< pixels without a class
  std::optional<std::size_t> cells;          ///< different numbers in the label image
  std::vector<std::string> problems;         ///< one line each; empty when the folder is usable
  std::vector<std::string> warnings;         ///< what was doubtful about drawn areas
};

/// Looks at everything in a data-set folder and collects problems instead of stopping at the first.
/// throws     io_error only when the folder cannot be listed
[[nodiscard]] inline dataset_summary inspect_dataset(std::filesystem::path const& folder) {
  dataset_summary summary;
  auto const attempt = [&](auto const& step) {
    try {
      step();
      return true;
    } catch (error const& problem) {
      summary.problems.push_back(problem.message());
      return false;
    }
  };
  std::string const name = detail::shown(folder);
  dataset_files files;
  if (std::error_code ignored; !std::filesystem::is_directory(folder, ignored))
    throw io_error{"septum.dataset.7", name + ": expected a data-set folder"};
  if (!attempt([&] { files = list_dataset(folder); })) return summary;
  dataset data;
  for (channel_file const& file : files.channels)
    attempt([&] {
      scaled_image const source = read_scaled_image(file.path);
      std::vector<float> values{source.pixels.begin(), source.pixels.end()};
      require_finite(source.pixels, detail::shown(file.path));
      auto const middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
      std::nth_element(values.begin(), middle, values.end());
      auto const [low, high] = std::minmax_element(values.begin(), values.end());
      summary.channels.push_back({.name = file.name,
                                  .file = detail::shown(file.path.filename()),
                                  .height = source.pixels.shape()[0],
                                  .width = source.pixels.shape()[1],
                                  .lowest = *low,
                                  .median = values[values.size() / 2],
                                  .highest = *high});
    });
  // A channel that cannot be read has been reported.
  if (summary.channels.size() == files.channels.size())
    attempt([&] {
      scaled_image source = read_channels(detail::chosen_channels(files, {}, name));
      summary.pixel_size_um = source.pixel_size_um;
      data.pixels = std::move(source.pixels);
      for (std::size_t i = 0; i < files.channels.size(); ++i)
        if (std::string const problem = detail::channel_problem(data.pixels, i); !problem.empty())
          summary.problems.push_back(detail::shown(files.channels[i].path) + ": " + problem);
      detail::read_truth(data, files, name, detail::shown(files.channels.front().path.filename()),
                         {});
      summary.class_names = data.truth.class_names;
      summary.pixels_of_class = detail::count_classes(data.truth);
      summary.unlabelled = data.truth.class_of_pixel.size();
      for (std::size_t i = 0; i < summary.class_names.size(); ++i) {
        summary.unlabelled -= summary.pixels_of_class[i];
        if (summary.pixels_of_class[i] == 0)
          summary.problems.push_back(name + ": no pixel of class '" +
                                     printable(summary.class_names[i]) + "' in the annotation");
      }
    });
  summary.warnings = data.warnings;
  if (data.instances) {
    std::vector<std::int32_t> values{data.instances->begin(), data.instances->end()};
    std::sort(values.begin(), values.end());
    auto const end = std::unique(values.begin(), values.end());
    summary.cells = static_cast<std::size_t>(end - values.begin()) -
                    static_cast<std::size_t>(!values.empty() && values.front() == 0);
  }
  return summary;
}

}  // namespace septum::inline SEPTUM_ABI::io
