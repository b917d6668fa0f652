#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/outline.hpp>
#include <septum/image/types.hpp>
#include <septum/io/detail/zip_archive.hpp>
#include <septum/io/file.hpp>
#include <septum/io/roi.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// The areas drawn on one image or time series: ImageJ's RoiSet.zip, or a single .roi file.
struct roi_set {
  std::vector<roi> areas{};
  /// of the image; 0 where the file does not say (only septum's own do)
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t frames = 1;
};

namespace detail {

/// What septum attaches to its archives, because ImageJ's format lacks the size of the image.
[[nodiscard]] inline std::string extents_comment(roi_set const& set) {
  return "septum rows=" + to_text(set.rows) + " columns=" + to_text(set.columns) +
         " frames=" + to_text(set.frames);
}
inline void parse_extents_comment(std::string_view text, roi_set& set) {
  roi_set found;
  for (auto const& [key, target] : {std::pair{std::string_view{"septum rows="}, &found.rows},
                                    std::pair{std::string_view{" columns="}, &found.columns},
                                    std::pair{std::string_view{" frames="}, &found.frames}}) {
    if (!text.starts_with(key)) return;
    text.remove_prefix(key.size());
    std::string_view const digits = text.substr(0, text.find(' '));
    auto const value = parse_number<std::uint32_t>(digits);
    if (!value || *value == 0) return;
    *target = *value;
    text.remove_prefix(digits.size());
  }
  if (!text.empty()) return;
  set.rows = found.rows;
  set.columns = found.columns;
  set.frames = found.frames;
}

}  // namespace detail

/// Reads a RoiSet.zip or a .roi file in memory; `name` stands for the file in messages.
/// throws     io_error and unsupported_error that name the file and the area
[[nodiscard]] inline roi_set read_roi_set(file_content const& content, std::string const& name) {
  roi_set result;
  if (content.text().starts_with("Iout")) {
    result.areas.push_back(decode_roi(content.bytes(), name));
    return result;
  }
  if (!content.text().starts_with("PK"))
    throw io_error{"septum.roi.4",
                   name +
                       ": expected ImageJ areas (.roi, or RoiSet.zip), found a file that starts "
                       "with \"" +
                       printable(content.text().substr(0, 8)) + "\""};
  // Outlines are small: what inflates to more is no set of them.
  detail::zip_reader const archive{content.bytes(), name, {.max_bytes = std::uint64_t{4} << 30U}};
  for (auto const& member : archive.members()) {
    constexpr std::string_view extension = ".roi";
    if (!member.name.ends_with(extension))
      throw io_error{"septum.roi.4", name + ": expected ImageJ areas (.roi), found '" +
                                         printable(member.name) + "'"};
    roi area = decode_roi(archive.read(member).bytes(), name + ": " + printable(member.name));
    if (area.name.empty()) area.name = member.name.substr(0, member.name.size() - extension.size());
    result.areas.push_back(std::move(area));
  }
  detail::parse_extents_comment(archive.comment(), result);
  return result;
}
[[nodiscard]] inline roi_set read_roi_set(std::filesystem::path const& path) {
  return read_roi_set(read_file(path), detail::shown(path));
}

/// Writes a .roi file (one area) or, by any other extension, a RoiSet.zip.
/// throws     io_error when it cannot be written, unsupported_error for what the format cannot hold
inline void write_roi_set(std::filesystem::path const& path, roi_set const& set) {
  std::string const name = detail::shown(path);
  auto const where = [&](roi const& area) { return name + ": " + printable(area.name); };
  if (path.extension() == ".roi") {
    if (set.areas.size() != 1)
      throw unsupported_error{"septum.roi.5", name + ": expected one area for a .roi file, found " +
                                                  to_text(set.areas.size()) +
                                                  "; write a RoiSet.zip instead"};
    write_file(path, encode_roi(set.areas.front(), where(set.areas.front())));
    return;
  }
  detail::zip_writer archive{path};
  std::set<std::string> names;
  for (roi const& area : set.areas) {
    std::string base;
    for (char const c : area.name) base += c == '/' || c == '\\' || c == '\0' || c == ':' ? '_' : c;
    if (base.empty()) base = "area";
    std::string member = base;
    for (int copy = 2; !names.insert(member).second; ++copy) member = base + "-" + to_text(copy);
    std::string const bytes = encode_roi(area, where(area));
    archive.add(member + ".roi", std::as_bytes(std::span{bytes.data(), bytes.size()}));
  }
  archive.commit(set.rows > 0 && set.columns > 0 ? detail::extents_comment(set) : std::string{});
}

/// The cells of a label image as areas that are traced along the edges of pixels, so that painting
/// them gives back the image. A cell is named by its number; in a time series (`frame` counted from
/// 1) the frame's number stands in front.
/// \throws unsupported_error `septum.labels.1` on a negative label
[[nodiscard]] inline std::vector<roi> areas_of(labels const& cells, std::int32_t frame = 0) {
  std::vector<roi> result;
  auto const padded = [](std::int32_t number, std::size_t digits) {
    std::string const text = to_text(number);
    return std::string(digits > text.size() ? digits - text.size() : 0, '0') + text;
  };
  for (cell_outline& cell : trace_outlines(cells)) {
    roi area{
        .name = (frame > 0 ? "t" + padded(frame, 4) + "_" : std::string{}) + padded(cell.label, 4),
        .shape = cell.rings.size() == 1 ? roi_shape::traced : roi_shape::composite,
        .rings = std::move(cell.rings),
        .frame = frame,
        .position = frame};
    area.fit_box();
    result.push_back(std::move(area));
  }
  return result;
}

/// A label image made of areas, and what was doubtful about them.
struct painted_areas {
  labels cells;
  std::vector<std::string> warnings;
};

namespace detail {

/// The number that a name such as 0007 or t0003_0007 ends in; 0 for other names.
[[nodiscard]] inline std::int32_t label_in_name(std::string_view name) {
  constexpr std::string_view digits = "0123456789";
  if (auto const bar = name.find('_'); bar != std::string_view::npos && name.starts_with('t')) {
    bool const frame =
        bar > 1 && name.substr(1, bar - 1).find_first_not_of(digits) == std::string_view::npos;
    if (frame) name.remove_prefix(bar + 1);
  }
  if (name.empty() || name.find_first_not_of(digits) != std::string_view::npos) return 0;
  return parse_number<std::int32_t>(name).value_or(0);
}

/// Labels by the areas' names where all of them are different numbers, else 1, 2, ...
[[nodiscard]] inline std::vector<std::int32_t> labels_of_areas(std::span<roi const* const> areas) {
  std::vector<std::int32_t> result;
  std::set<std::int32_t> seen{0};
  for (roi const* area : areas) {
    std::int32_t const label = label_in_name(area->name);
    if (!seen.insert(label).second) break;
    result.push_back(label);
  }
  if (result.size() == areas.size()) return result;
  result.clear();
  for (std::size_t k = 0; k < areas.size(); ++k) result.push_back(static_cast<std::int32_t>(k) + 1);
  return result;
}

/// Coordinates have 16 bits in a file, and 65436 and -100 are the same bits: the reading that meets
/// the image is taken.
[[nodiscard]] inline outline_point shift_into_image(roi const& area, std::size_t rows,
                                                    std::size_t columns, std::string const& where) {
  auto const meets = [](double low, double high, std::size_t extent) {
    return high > 0 && low < static_cast<double>(extent);
  };
  auto const choose = [&](double low, double high, std::size_t extent) {
    if (area.subpixel || area.shape == roi_shape::composite)
      return meets(low, high, extent) ? std::optional{0.0} : std::nullopt;
    std::optional<double> chosen;
    for (double const shift : {0.0, low < 0 ? 65536.0 : -65536.0}) {
      if (!meets(low + shift, high + shift, extent)) continue;
      if (chosen)
        throw io_error{"septum.roi.6", where +
                                           ": coordinates of 16 bits have two places in an "
                                           "image of this size; draw it with fractions of "
                                           "pixels"};
      chosen = shift;
    }
    return chosen;
  };
  auto const row = choose(area.top, area.bottom, rows);
  auto const column = choose(area.left, area.right, columns);
  if (!row || !column)
    throw io_error{"septum.roi.6", where + ": expected an area inside the image of " +
                                       to_text(rows) + " x " + to_text(columns) +
                                       " pixels, found rows " + to_text(area.top) + " to " +
                                       to_text(area.bottom) + ", columns " + to_text(area.left) +
                                       " to " + to_text(area.right) + ": do they belong together?"};
  return {*row, *column};
}

}  // namespace detail

/// Paints the areas of one frame (counted from 0; areas without a frame belong to all). A pixel
/// belongs to an area when its centre lies inside; the first of overlapping areas wins. Cells are
/// numbered by the areas' names where those are different numbers, else in the order of the file.
/// Parts outside the image, overlaps and empty areas are left out with a warning.
/// throws     io_error for an area that does not meet the image, naming it
[[nodiscard]] inline painted_areas paint_areas(roi_set const& set, std::size_t rows,
                                               std::size_t columns, std::string const& name,
                                               std::size_t frame = 0) {
  painted_areas result{labels::from_shape({rows, columns}), {}};
  result.cells.fill(0);
  std::vector<roi const*> areas;
  for (roi const& area : set.areas) {
    std::int32_t const of = area.frame > 0 ? area.frame : area.position;
    if (set.frames == 1 || of == 0 || static_cast<std::size_t>(of) == frame + 1)
      areas.push_back(&area);
  }
  auto const numbers = detail::labels_of_areas(areas);
  for (std::size_t k = 0; k < areas.size(); ++k) {
    roi const& area = *areas[k];
    std::string const where = name + ": " + printable(area.name);
    std::int64_t painted = 0;
    std::int64_t taken = 0;
    bool outside = false;
    if (area.rings.empty() || area.bottom <= area.top || area.right <= area.left) {
      result.warnings.push_back(where + ": the area is empty and was left out");
      continue;
    }
    outline_point const shift = detail::shift_into_image(area, rows, columns, where);
    std::vector<ring> moved;
    std::span<ring const> rings = area.rings;
    if (shift.row != 0 || shift.column != 0) {
      moved = area.rings;
      for (ring& points : moved)
        for (outline_point& point : points) {
          point.row += shift.row;
          point.column += shift.column;
        }
      rings = moved;
    }
    outside = area.top + shift.row < 0 || area.left + shift.column < 0 ||
              area.bottom + shift.row > static_cast<double>(rows) ||
              area.right + shift.column > static_cast<double>(columns);
    for_each_run_inside(rings, static_cast<std::ptrdiff_t>(rows),
                        static_cast<std::ptrdiff_t>(columns),
                        [&](std::ptrdiff_t row, std::ptrdiff_t begin, std::ptrdiff_t end) {
                          std::int32_t* const line =
                              result.cells.data() + row * static_cast<std::ptrdiff_t>(columns);
                          for (std::ptrdiff_t column = begin; column < end; ++column) {
                            if (line[column] != 0) {
                              ++taken;
                              continue;
                            }
                            line[column] = numbers[k];
                            ++painted;
                          }
                        });
    if (outside) result.warnings.push_back(where + ": was cut at the border of the image");
    if (taken > 0)
      result.warnings.push_back(where + ": " + to_text(taken) +
                                " pixels belong to an area before it");
    if (painted == 0) result.warnings.push_back(where + ": the area holds no pixel of its own");
  }
  return result;
}

}  // namespace septum::inline SEPTUM_ABI::io
