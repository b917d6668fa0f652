#pragma once
#include <septum/core/markup.hpp>
#include <septum/core/text.hpp>
#include <septum/io/detail/tiff_directory.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// What the pages of a TIFF are, as ImageJ or OME metadata say.
struct tiff_axes {
  std::uint64_t frames = 1;
  std::uint64_t channels = 1;
  bool channels_first = true;  ///< the channels of one frame follow each other
};

namespace detail {

/// The value of `key=` in a line of ImageJ's description.
[[nodiscard]] inline std::string_view imagej_value(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with(key) && line.substr(key.size()).starts_with('='))
      return line.substr(key.size() + 1);
  }
  return {};
}

/// The value of an attribute of the first <Pixels> element of an OME description.
[[nodiscard]] inline std::string_view ome_value(std::string_view text, std::string_view key) {
  auto const start = text.find("<Pixels ");
  if (start == std::string_view::npos) return {};
  text.remove_prefix(start);
  text = text.substr(0, text.find('>'));
  for (auto at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    std::string_view const rest = text.substr(at + key.size());
    bool const whole_name = at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\n' ||
                                       text[at - 1] == '\t' || text[at - 1] == '\r');
    if (!whole_name || rest.size() < 2 || rest[0] != '=' || (rest[1] != '"' && rest[1] != '\''))
      continue;
    return rest.substr(2, rest.find(rest[1], 2) - 2);
  }
  return {};
}

[[nodiscard]] inline bool is_imagej(std::string_view description) {
  return description.starts_with("ImageJ=");
}
[[nodiscard]] inline bool is_ome(std::string_view description) {
  return description.find("<OME") != std::string_view::npos;
}

/// Micrometres per unit of length, or 0.
[[nodiscard]] inline double micrometres_per(std::string_view unit) {
  if (unit.empty() || unit == "micron" || unit == "um" || unit == "\\u00B5m" ||
      unit == "\xC2\xB5m" || unit == "\xCE\xBCm" || unit == "\xB5m" || unit == "microns")
    return 1.0;
  if (unit == "nm") return 1e-3;
  if (unit == "mm") return 1e3;
  if (unit == "cm") return 1e4;
  if (unit == "m") return 1e6;
  return 0.0;
}

/// Seconds per unit of time, or 0.
[[nodiscard]] inline double seconds_per(std::string_view unit) {
  if (unit.empty() || unit == "s" || unit == "sec" || unit == "second" || unit == "seconds")
    return 1.0;
  if (unit == "ms" || unit == "msec") return 1e-3;
  if (unit == "min" || unit == "minute" || unit == "minutes") return 60.0;
  if (unit == "h" || unit == "hr" || unit == "hour" || unit == "hours") return 3600.0;
  if (unit == "d" || unit == "day" || unit == "days") return 86400.0;
  return 0.0;
}

/// The axes of the pages, or nothing where the file does not say or says what its pages are not.
/// `samples` are the channels within a page.
/// throws     io_error for a stack that keeps its frames outside the pages
///            unsupported_error for a time series of z-stacks
[[nodiscard]] inline std::optional<tiff_axes> axes_of(std::string_view description,
                                                      std::uint64_t pages, std::uint64_t samples,
                                                      std::string const& name) {
  auto const read = [&](std::string_view imagej_key, std::string_view ome_key) -> std::uint64_t {
    std::string_view const text = is_imagej(description) ? imagej_value(description, imagej_key)
                                                         : ome_value(description, ome_key);
    auto const value = parse_number<std::uint32_t>(text);
    return value && *value > 0 ? *value : 1;
  };
  if (!is_imagej(description) && !is_ome(description)) return std::nullopt;
  std::uint64_t channels = read("channels", "SizeC");
  std::uint64_t const frames = read("frames", "SizeT");
  std::uint64_t const slices = read("slices", "SizeZ");
  if (is_imagej(description)) {
    std::uint64_t const images = read("images", "");
    if (images > pages)
      throw io_error{
          "septum.tiff.10",
          name + ": ImageJ declares " + to_text(images) + " images, found " + to_text(pages) +
              " pages: a stack above 4 GB, or a damaged file; save it as OME-TIFF or as an "
              "image sequence"};
  }
  if (is_ome(description)) {
    if (samples > 1 && channels % samples == 0) channels /= samples;
    // Each factor is below 2^32, so two of them have a product.
    bool const more = channels > pages || frames > pages || slices > pages ||
                      channels * frames > pages || channels * frames * slices > pages;
    if (more && description.find("<TiffData") != std::string_view::npos)
      throw io_error{"septum.tiff.10",
                     name + ": OME declares " + to_text(frames) + " frames of " +
                         to_text(channels) + " channels and " + to_text(slices) +
                         " slices, found " + to_text(pages) +
                         " pages: the others lie in other files; save all in one file"};
  }
  if (channels > pages || frames > pages || slices > pages) return std::nullopt;
  if (slices > 1 && frames > 1)
    throw unsupported_error{"septum.tiff.11",
                            name + ": expected a time series of single planes, found " +
                                to_text(frames) + " frames of " + to_text(slices) +
                                " slices; project or split the slices first"};
  // A time series saved as a z-stack is common: with one frame, the slices are the frames.
  tiff_axes axes{.frames = frames * slices, .channels = channels};
  if (axes.frames > pages || axes.frames * axes.channels != pages) return std::nullopt;
  if (is_ome(description)) {
    std::string_view const order = ome_value(description, "DimensionOrder");
    auto const channel_at = order.find('C');
    auto const frame_at = order.find(slices > 1 ? 'Z' : 'T');
    axes.channels_first = channel_at == std::string_view::npos || channel_at < frame_at;
  }
  return axes;
}

/// Side of a pixel in micrometres from OME, ImageJ or resolution tags; 0 when unknown or unequal.
[[nodiscard]] inline double pixel_size_of(tiff_page const& page) {
  std::string_view const text = page.description;
  auto const agreed = [](double x, double y) {
    bool const usable = std::isfinite(x) && std::isfinite(y) && x > 0.0 && y > 0.0;
    return usable && std::abs(x - y) <= 0.01 * x ? x : 0.0;
  };
  if (is_ome(text)) {
    auto const size = [&](std::string_view key, std::string_view unit) {
      return parse_number<double>(ome_value(text, key)).value_or(0.0) *
             micrometres_per(ome_value(text, unit));
    };
    return agreed(size("PhysicalSizeX", "PhysicalSizeXUnit"),
                  size("PhysicalSizeY", "PhysicalSizeYUnit"));
  }
  if (page.x_resolution <= 0.0 || page.y_resolution <= 0.0) return 0.0;
  if (is_imagej(text)) {
    std::string_view const unit = imagej_value(text, "unit");
    if (unit.empty()) return 0.0;
    double const scale = micrometres_per(unit);
    return agreed(scale / page.x_resolution, scale / page.y_resolution);
  }
  double const unit_um = page.resolution_unit == 2   ? 25400.0
                         : page.resolution_unit == 3 ? 10000.0
                                                     : 0.0;
  // Printers' defaults such as 72 or 300 dots per inch say nothing about the specimen.
  constexpr double largest_plausible_um = 20.0;
  double const size = agreed(unit_um / page.x_resolution, unit_um / page.y_resolution);
  return size < largest_plausible_um ? size : 0.0;
}

/// Seconds between frames from OME or ImageJ; 0 when unknown.
[[nodiscard]] inline double interval_of(std::string_view text) {
  auto const usable = [](double value) {
    return std::isfinite(value) && value > 0.0 ? value : 0.0;
  };
  if (is_ome(text))
    return usable(parse_number<double>(ome_value(text, "TimeIncrement")).value_or(0.0) *
                  seconds_per(ome_value(text, "TimeIncrementUnit")));
  if (is_imagej(text))
    return usable(parse_number<double>(imagej_value(text, "finterval")).value_or(0.0) *
                  seconds_per(imagej_value(text, "tunit")));
  return 0.0;
}

/// What a file is to say about its pages: the channels of a frame follow each other.
struct tiff_text {
  std::size_t frames = 1;
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 1;
  double pixel_size_um = 0.0;
  double interval_s = 0.0;
  std::string_view type;  ///< in OME's words
  std::vector<std::string> channel_names;
};

/// ImageJ's description of a stack, so that it opens with its channels and frames.
[[nodiscard]] inline std::string imagej_description(tiff_text const& stack) {
  if (stack.frames * stack.channels == 1) return {};
  std::string text = "ImageJ=1.53t\nimages=" + to_text(stack.frames * stack.channels) + "\n";
  if (stack.channels > 1) text += "channels=" + to_text(stack.channels) + "\n";
  if (stack.frames > 1) text += "frames=" + to_text(stack.frames) + "\n";
  text += "hyperstack=true\nmode=grayscale\n";
  if (stack.pixel_size_um > 0.0) text += "unit=micron\n";
  if (stack.interval_s > 0.0) text += "finterval=" + to_text(stack.interval_s) + "\n";
  return text + "loop=false\n";
}

/// The same in OME's words (schema 2016-06).
[[nodiscard]] inline std::string ome_description(tiff_text const& stack) {
  auto const attribute = [](std::string_view name, std::string const& value) {
    return " " + std::string{name} + "=\"" + value + "\"";
  };
  std::string text =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?><OME "
      "xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\" "
      "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
      "xsi:schemaLocation=\"http://www.openmicroscopy.org/Schemas/OME/2016-06 "
      "http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd\" Creator=\"septum\">"
      "<Image ID=\"Image:0\"><Pixels ID=\"Pixels:0\" DimensionOrder=\"XYCZT\"";
  text += attribute("Type", std::string{stack.type});
  text += attribute("SizeX", to_text(stack.width)) + attribute("SizeY", to_text(stack.height)) +
          attribute("SizeC", to_text(stack.channels)) + attribute("SizeZ", "1") +
          attribute("SizeT", to_text(stack.frames));
  if (stack.pixel_size_um > 0.0)
    text += attribute("PhysicalSizeX", to_text(stack.pixel_size_um)) +
            attribute("PhysicalSizeXUnit", "\xC2\xB5m") +
            attribute("PhysicalSizeY", to_text(stack.pixel_size_um)) +
            attribute("PhysicalSizeYUnit", "\xC2\xB5m");
  if (stack.interval_s > 0.0)
    text +=
        attribute("TimeIncrement", to_text(stack.interval_s)) + attribute("TimeIncrementUnit", "s");
  text += ">";
  for (std::size_t k = 0; k < stack.channels; ++k) {
    text += "<Channel" + attribute("ID", "Channel:0:" + to_text(k));
    if (k < stack.channel_names.size())
      text += attribute("Name", escape_markup(printable(stack.channel_names[k])));
    text += attribute("SamplesPerPixel", "1") + "/>";
  }
  return text + "<TiffData/></Pixels></Image></OME>";
}

/// A file and one of its pages (counted from 1), for messages.
[[nodiscard]] inline std::string tiff_page_name(std::string const& file, std::size_t index,
                                                std::size_t pages) {
  return pages == 1 ? file : file + ": page " + to_text(index + 1) + " of " + to_text(pages);
}

/// throws     shape_error unless all pages have the extents of the first
inline void expect_equal_pages(std::vector<tiff_page> const& pages, std::string const& file) {
  auto const extents = [](tiff_page const& page) {
    return to_text(page.height) + " x " + to_text(page.width) + " x " + to_text(page.samples);
  };
  for (std::size_t i = 1; i < pages.size(); ++i)
    if (pages[i].height != pages[0].height || pages[i].width != pages[0].width ||
        pages[i].samples != pages[0].samples)
      throw shape_error{"septum.tiff.14", tiff_page_name(file, i, pages.size()) +
                                              ": expected the size of page 1, " +
                                              extents(pages[0]) + ", found " + extents(pages[i])};
}

}  // namespace detail
}  // namespace septum::inline SEPTUM_ABI::io
