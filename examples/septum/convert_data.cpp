#include "convert_data.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/annotation.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/frames.hpp>
#include <septum/io/image.hpp>
#include <septum/io/npy.hpp>
#include <septum/io/npz.hpp>
#include <septum/io/png.hpp>
#include <septum/io/roi_set.hpp>
#include <septum/io/tiff.hpp>
#include <string>
#include <utility>

#include "file_kinds.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;
namespace io = septum::io;
using json = nlohmann::ordered_json;

bool is_image(fs::path const& path) {
  auto const extension = extension_of(path);
  return is_tiff(path) || extension == ".png" || extension == ".npy" || extension == ".npz";
}
bool is_ome(fs::path const& path) { return extension_of(path.stem()) == ".ome"; }

// The size and the number of frames of the image that areas were drawn on.
void take_extents(io::roi_set& set, fs::path const& like, std::string const& name) {
  if (!like.empty()) {
    auto const model = io::read_recording(like);
    auto const& shape = model.frames.shape();
    set.frames = shape[0];
    set.rows = shape[1];
    set.columns = shape[2];
  }
  if (set.rows == 0)
    throw septum::unsupported_error(
        "septum.program.40",
        name + ": ImageJ's areas do not say the size of their image; name it with --like IMAGE");
}

// Label images of all frames, and what was doubtful.
struct label_frames {
  std::vector<septum::labels> frames;
  std::vector<std::string> warnings;
};

label_frames read_areas(fs::path const& path, fs::path const& like) {
  auto set = io::read_roi_set(path);
  take_extents(set, like, path.string());
  label_frames result;
  for (std::size_t frame = 0; frame < set.frames; ++frame) {
    auto painted = io::paint_areas(set, set.rows, set.columns, path.string(), frame);
    result.frames.push_back(std::move(painted.cells));
    result.warnings.insert(result.warnings.end(), painted.warnings.begin(), painted.warnings.end());
  }
  return result;
}

// Drawn edges and interiors of all cell types as one label image.
septum::labels read_masks(io::dataset_files const& files) {
  auto const edge = io::read_mask(*files.edge);
  septum::mask interior = septum::mask::from_shape(edge.shape());
  interior.fill(0);
  for (auto const& file : files.interiors) {
    auto const drawn = io::read_mask(file.path);
    if (drawn.shape() != edge.shape())
      throw septum::shape_error(
          "septum.program.41",
          file.path.string() + ": expected the size of " + files.edge->string());
    for (std::size_t p = 0; p < interior.size(); ++p) interior.data()[p] |= drawn.data()[p];
  }
  return septum::cells_from_masks(edge, interior);
}

label_frames read_label_frames(fs::path const& path, fs::path const& like) {
  if (is_areas(path)) return read_areas(path, like);
  if (fs::is_directory(path)) {
    auto const files = io::list_dataset(path);
    if (files.instances && io::detail::holds_areas(*files.instances))
      return read_areas(*files.instances, like.empty() && !files.channels.empty()
                                              ? files.channels.front().path
                                              : like);
    if (files.instances) return {{io::read_labels(*files.instances)}, {}};
    if (files.edge && !files.interiors.empty()) return {{read_masks(files)}, {}};
    label_frames result;
    for (auto const& frame : io::list_frames(path))
      result.frames.push_back(io::read_labels(frame.path));
    return result;
  }
  if (!is_tiff(path)) return {{io::read_labels(path)}, {}};
  io::tiff_reader const file{path};
  label_frames result;
  for (std::size_t page = 0; page < file.size(); ++page)
    result.frames.push_back(file.read_labels(page));
  return result;
}

// One array per file: a label image, or a time series of them.
void write_labels(fs::path const& path, std::vector<septum::labels> const& frames,
                  io::tiff_write_options const& options) {
  auto const& shape = frames.front().shape();
  std::int32_t largest = 0;
  for (auto const& cells : frames)
    for (auto const label : cells) largest = std::max(largest, label);
  if (extension_of(path) == ".png") {
    if (frames.size() != 1 || largest > 65535)
      throw septum::unsupported_error("septum.program.42",
                                      path.string() +
                                          ": a PNG holds one image with labels up to 65535, "
                                          "found " +
                                          std::to_string(frames.size()) + " and labels up to " +
                                          std::to_string(largest) + "; write a TIFF");
    io::write_png(path, xt::xtensor<std::uint16_t, 2>{xt::cast<std::uint16_t>(frames.front())});
    return;
  }
  if (frames.size() == 1) {
    if (is_tiff(path)) return io::write_tiff(path, frames.front(), options);
    if (extension_of(path) == ".npy") return io::write_npy(path, frames.front());
    io::npz_writer file{path};
    file.add("labels", frames.front());
    return file.commit();
  }
  xt::xtensor<std::uint32_t, 4> stack =
      xt::xtensor<std::uint32_t, 4>::from_shape({frames.size(), shape[0], shape[1], 1});
  for (std::size_t frame = 0; frame < frames.size(); ++frame) {
    if (frames[frame].shape() != shape)
      throw septum::shape_error("septum.program.41",
                                path.string() + ": expected frames of one size");
    std::copy(frames[frame].begin(), frames[frame].end(),
              stack.data() + frame * frames[frame].size());
  }
  if (is_tiff(path)) {
    if (largest > 65535) return io::write_tiff(path, stack, options);
    return io::write_tiff(path, xt::xtensor<std::uint16_t, 4>{xt::cast<std::uint16_t>(stack)},
                          options);
  }
  xt::xtensor<std::int32_t, 3> const plain = xt::reshape_view(
      xt::cast<std::int32_t>(stack), std::array<std::size_t, 3>{frames.size(), shape[0], shape[1]});
  if (extension_of(path) == ".npy") return io::write_npy(path, plain);
  io::npz_writer file{path};
  file.add("labels", plain);
  file.commit();
}

std::size_t count_cells(std::vector<septum::labels> const& frames) {
  std::size_t count = 0;
  for (auto const& cells : frames) {
    std::vector<std::int32_t> values{cells.begin(), cells.end()};
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    count += values.size() - (!values.empty() && values.front() == 0 ? 1 : 0);
  }
  return count;
}

json summary(conversion_request const& request, label_frames const& labels,
             common_options const& common) {
  for (auto const& warning : labels.warnings) say(common, "septum: " + warning);
  auto const cells = count_cells(labels.frames);
  say(common, request.output.string() + ": " + std::to_string(cells) + " cells in " +
                  std::to_string(labels.frames.size()) + " frames");
  return {{"output", request.output.string()},
          {"frames", labels.frames.size()},
          {"cells", cells},
          {"warnings", labels.warnings}};
}

io::tiff_write_options options_of(conversion_request const& request) {
  return {.pixel_size_um = request.pixel_size_um,
          .interval_s = request.interval_s,
          .ome = is_ome(request.output),
          .channel_names = request.channels};
}

json to_labels(conversion_request const& request, common_options const& common) {
  auto const labels = read_label_frames(request.inputs.front(), request.like);
  write_labels(request.output, labels.frames, options_of(request));
  return summary(request, labels, common);
}

json to_areas(conversion_request const& request, common_options const& common) {
  label_frames labels;
  for (auto const& input : request.inputs) {
    auto const more = read_label_frames(input, request.like);
    labels.frames.insert(labels.frames.end(), more.frames.begin(), more.frames.end());
    labels.warnings.insert(labels.warnings.end(), more.warnings.begin(), more.warnings.end());
  }
  auto const& shape = labels.frames.front().shape();
  io::roi_set set{.rows = shape[0], .columns = shape[1], .frames = labels.frames.size()};
  for (std::size_t frame = 0; frame < labels.frames.size(); ++frame) {
    if (labels.frames[frame].shape() != shape)
      throw septum::shape_error("septum.program.41",
                                request.output.string() + ": expected frames of one size");
    bool const series = labels.frames.size() > 1;
    for (auto& area :
         io::areas_of(labels.frames[frame], series ? static_cast<std::int32_t>(frame) + 1 : 0))
      set.areas.push_back(std::move(area));
  }
  io::write_roi_set(request.output, set);
  return summary(request, labels, common);
}

json to_masks(conversion_request const& request, common_options const& common) {
  auto const labels = read_label_frames(request.inputs.front(), request.like);
  if (labels.frames.size() != 1)
    throw septum::unsupported_error("septum.program.42", request.inputs.front().string() +
                                                             ": expected one frame, found " +
                                                             std::to_string(labels.frames.size()));
  auto const& cells = labels.frames.front();
  septum::mask edge = septum::cell_outlines(cells);
  septum::mask interior = septum::mask::from_shape(edge.shape());
  for (std::size_t p = 0; p < edge.size(); ++p)
    interior.data()[p] = cells.data()[p] != 0 && edge.data()[p] == 0 ? 1 : 0;
  auto const back = septum::cells_from_masks(edge, interior);
  edge *= 255;
  interior *= 255;
  fs::create_directories(request.output);
  io::write_png(request.output / "edge.png", edge);
  io::write_png(request.output / "interior.png", interior);
  auto result = summary(request, labels, common);
  // Masks cannot hold everything that numbers can; say what is lost.
  auto const kept = count_cells({back});
  result["cells_in_masks"] = kept;
  if (kept != count_cells(labels.frames))
    say(common, "septum: " + request.output.string() + ": the masks hold " + std::to_string(kept) +
                    " of " + std::to_string(count_cells(labels.frames)) +
                    " cells; thin cells have no interior");
  return result;
}

// Pixels of an image or a time series, and the narrowest type that holds what the file held.
struct stored_pixels {
  septum::movie frames;
  int bits = 32;  ///< 8 or 16 for whole numbers from 0, 32 for float
  double pixel_size_um = 0.0;
  double interval_s = 0.0;
  bool rounded = false;  ///< numbers of more bits than a float holds
};

void take_format(stored_pixels& pixels, int bits, bool whole, bool negative) {
  bool const narrow = whole && !negative && bits <= 16;
  pixels.bits = !narrow ? 32 : bits <= 8 ? 8 : 16;
  constexpr float exact = 0x1.0p24F;
  if (bits > 32 || (whole && bits == 32))
    pixels.rounded = std::any_of(pixels.frames.begin(), pixels.frames.end(),
                                 [&](float value) { return !whole || !(std::abs(value) < exact); });
}

septum::movie one_frame(septum::image const& pixels) {
  auto const& shape = pixels.shape();
  septum::movie frames = septum::movie::from_shape({1, shape[0], shape[1], shape[2]});
  std::copy(pixels.begin(), pixels.end(), frames.begin());
  return frames;
}

stored_pixels read_array(io::file_content const& content, std::string const& name) {
  auto const header = io::read_npy_header(content.bytes(), name);
  auto shape = header.shape;
  if (shape.size() < 2 || shape.size() > 4)
    throw septum::io_error("septum.program.43",
                           name +
                               ": expected axes row, column; row, column, "
                               "channel; or frame, row, column, channel; found " +
                               std::to_string(shape.size()) + " axes");
  if (shape.size() < 4) shape.insert(shape.begin(), 1);
  if (shape.size() < 4) shape.push_back(1);
  stored_pixels result;
  result.frames = septum::movie::from_shape({shape[0], shape[1], shape[2], shape[3]});
  io::detail::for_each_npy_number(
      content.bytes().subspan(header.data_offset), header,
      [&](std::size_t i, auto value) { result.frames.data()[i] = static_cast<float>(value); });
  take_format(result, static_cast<int>(8 * header.width), header.kind != 'f', header.kind == 'i');
  return result;
}

stored_pixels read_pixels(fs::path const& path) {
  stored_pixels result;
  if (fs::is_directory(path)) {
    auto recording = io::read_recording(path);
    result.frames = std::move(recording.frames);
    result.pixel_size_um = recording.pixel_size_um;
    bool const whole = std::all_of(result.frames.begin(), result.frames.end(), [](float value) {
      return value >= 0 && value <= 65535 && value == std::floor(value);
    });
    take_format(result, whole ? 16 : 32, whole, false);
    return result;
  }
  auto content = io::read_file(path);
  switch (io::format_of(content, path.string())) {
    case io::image_format::npy:
      return read_array(content, path.string());
    case io::image_format::npz: {
      io::npz_reader const file{std::move(content), path.string()};
      return read_array(file.content_of(file.only_name()), path.string());
    }
    case io::image_format::png: {
      auto const decoded =
          io::detail::decode_png(content.bytes(), path.string(), io::png_limits{}.max_pixels);
      result.frames = one_frame(io::detail::png_image(decoded, path.string()));
      take_format(result, static_cast<int>(decoded.bits), true, false);
      return result;
    }
    default: {
      io::tiff_reader const file{std::move(content), path.string()};
      bool const movie = file.axes() ? file.axes()->frames > 1 : file.size() > 1;
      result.frames = movie ? io::read_tiff_movie(file) : one_frame(io::read_tiff(file));
      auto const& page = file.page(0);
      take_format(result, static_cast<int>(page.bits),
                  page.format != io::sample_format::floating_point,
                  page.format == io::sample_format::signed_integer);
      result.pixel_size_um = file.pixel_size_um();
      result.interval_s = file.interval_s();
      return result;
    }
  }
}

template <class T>
void write_pixels(fs::path const& path, septum::movie const& frames,
                  io::tiff_write_options const& options) {
  auto const& shape = frames.shape();
  if (is_tiff(path)) return io::write_tiff(path, xt::xtensor<T, 4>{xt::cast<T>(frames)}, options);
  auto const put = [&](auto const& array) {
    if (extension_of(path) == ".npy") return io::write_npy(path, array);
    io::npz_writer file{path};
    file.add("image", array);
    file.commit();
  };
  if (shape[0] > 1) return put(xt::xtensor<T, 4>{xt::cast<T>(frames)});
  if (shape[3] > 1)
    return put(xt::xtensor<T, 3>{xt::reshape_view(
        xt::cast<T>(frames), std::array<std::size_t, 3>{shape[1], shape[2], shape[3]})});
  put(xt::xtensor<T, 2>{
      xt::reshape_view(xt::cast<T>(frames), std::array<std::size_t, 2>{shape[1], shape[2]})});
}

void write_png_pixels(fs::path const& path, stored_pixels const& pixels) {
  auto const& shape = pixels.frames.shape();
  bool const whole = std::all_of(pixels.frames.begin(), pixels.frames.end(), [](float value) {
    return value >= 0 && value <= 65535 && value == std::floor(value);
  });
  if (shape[0] != 1 || shape[3] > 4 || !whole)
    throw septum::unsupported_error(
        "septum.program.42",
        path.string() +
            ": a PNG holds one image of up to 4 channels with whole numbers from 0 to "
            "65535, found " +
            std::to_string(shape[0]) + " frames of " + std::to_string(shape[3]) + " channels" +
            (whole ? "" : " with other numbers") + "; write a TIFF");
  auto const write = [&]<class T>(T) {
    io::write_png(path, xt::xtensor<T, 3>{xt::reshape_view(
                            xt::cast<T>(pixels.frames),
                            std::array<std::size_t, 3>{shape[1], shape[2], shape[3]})});
  };
  if (pixels.bits == 8)
    write(std::uint8_t{});
  else
    write(std::uint16_t{});
}

// Whole numbers of 32 bits and more go through label images, which hold them where floats do not.
std::optional<label_frames> read_wide_labels(fs::path const& path) {
  if (fs::is_directory(path)) return std::nullopt;
  auto content = io::read_file(path);
  auto const format = io::format_of(content, path.string());
  bool wide = false;
  if (format == io::image_format::npy) {
    auto const header = io::read_npy_header(content.bytes(), path.string());
    wide = header.kind != 'f' && header.width >= 4 && header.shape.size() == 2;
  } else if (format == io::image_format::tiff) {
    io::tiff_reader const file{std::move(content), path.string()};
    auto const& page = file.page(0);
    wide = page.bits == 32 && page.samples == 1 && page.format != io::sample_format::floating_point;
  }
  if (!wide) return std::nullopt;
  try {
    return read_label_frames(path, {});
  } catch (septum::io_error const&) {
    return std::nullopt;  // negative numbers: an image, not labels
  }
}

json to_image(conversion_request const& request, common_options const& common) {
  auto const& input = request.inputs.front();
  if (auto const labels = read_wide_labels(input)) {
    write_labels(request.output, labels->frames, options_of(request));
    return summary(request, *labels, common);
  }
  auto const pixels = read_pixels(input);
  auto options = options_of(request);
  if (options.pixel_size_um == 0) options.pixel_size_um = pixels.pixel_size_um;
  if (options.interval_s == 0) options.interval_s = pixels.interval_s;
  if (pixels.rounded)
    say(common, "septum: " + input.string() + ": numbers were rounded to 32-bit floating point");
  if (extension_of(request.output) == ".png")
    write_png_pixels(request.output, pixels);
  else if (pixels.bits == 8)
    write_pixels<std::uint8_t>(request.output, pixels.frames, options);
  else if (pixels.bits == 16)
    write_pixels<std::uint16_t>(request.output, pixels.frames, options);
  else
    write_pixels<float>(request.output, pixels.frames, options);
  auto const& shape = pixels.frames.shape();
  say(common, request.output.string() + ": " + std::to_string(shape[0]) + " frames of " +
                  std::to_string(shape[1]) + " x " + std::to_string(shape[2]) + " pixels, " +
                  std::to_string(shape[3]) + " channels");
  return {{"output", request.output.string()},
          {"frames", shape[0]},
          {"height", shape[1]},
          {"width", shape[2]},
          {"channels", shape[3]},
          {"rounded", pixels.rounded}};
}

bool is_mask_folder(fs::path const& path) {
  if (!fs::is_directory(path)) return false;
  try {
    auto const files = io::list_dataset(path);
    return files.instances.has_value() || (files.edge && !files.interiors.empty());
  } catch (septum::error const&) {
    return false;
  }
}

bool one_input(conversion_request const& request) { return request.inputs.size() == 1; }

}  // namespace

std::vector<converter> data_converters() {
  return {{"label images or masks to ImageJ areas (RoiSet.zip, .roi)",
           [](conversion_request const& request) { return is_areas(request.output); }, to_areas},
          {"ImageJ areas, or a folder with masks, to a label image (.tif, .png, .npy, .npz)",
           [](conversion_request const& request) {
             return one_input(request) && is_image(request.output) &&
                    (is_areas(request.inputs.front()) || is_mask_folder(request.inputs.front()));
           },
           to_labels},
          {"a label image or ImageJ areas to masks (a folder with edge.png and interior.png)",
           [](conversion_request const& request) {
             return one_input(request) && !request.output.has_extension() &&
                    (is_image(request.inputs.front()) || is_areas(request.inputs.front()));
           },
           to_masks},
          {"images, time series and folders of frames to .tif, .ome.tif, .png, .npy, .npz",
           [](conversion_request const& request) {
             return one_input(request) && is_image(request.output) &&
                    (is_image(request.inputs.front()) || fs::is_directory(request.inputs.front()));
           },
           to_image}};
}

}  // namespace program
