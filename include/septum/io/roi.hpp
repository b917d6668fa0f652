#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/image/outline.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// How an area was drawn in ImageJ.
enum class roi_shape { polygon, rectangle, oval, freehand, traced, composite };

/// An area drawn in ImageJ (a "region of interest").
struct roi {
  std::string name{};
  roi_shape shape = roi_shape::traced;
  /// the outline in pixels, first point not repeated; a composite has a ring per part and per hole
  std::vector<ring> rings{};
  /// box around the outline; an oval fills it
  double top = 0;
  double left = 0;
  double bottom = 0;
  double right = 0;
  /// counted from 1; 0 when the area belongs to every plane
  std::int32_t channel = 0;
  std::int32_t slice = 0;
  std::int32_t frame = 0;
  /// place in a stack without axes, counted from 1; 0 when it belongs to every plane
  std::int32_t position = 0;
  /// drawn with fractions of pixels
  bool subpixel = false;

  /// Sets the box to that of the rings.
  void fit_box() {
    constexpr double far = std::numeric_limits<double>::infinity();
    top = left = far;
    bottom = right = -far;
    for (ring const& points : rings)
      for (outline_point const& point : points) {
        top = std::min(top, point.row);
        bottom = std::max(bottom, point.row);
        left = std::min(left, point.column);
        right = std::max(right, point.column);
      }
    if (!(top <= bottom)) top = left = bottom = right = 0;
  }
};

namespace detail {

[[nodiscard]] inline ring box_ring(roi const& area) {
  return {{area.top, area.left},
          {area.top, area.right},
          {area.bottom, area.right},
          {area.bottom, area.left}};
}

/// An ellipse that fills the box, close enough to the true one for the centre of every pixel.
[[nodiscard]] inline ring oval_ring(roi const& area) {
  double const half_height = (area.bottom - area.top) / 2;
  double const half_width = (area.right - area.left) / 2;
  double const radius = std::max(half_height, half_width);
  auto const points = static_cast<int>(std::clamp(16 * radius, 64.0, 0x1.0p20));
  return ellipse_outline({area.top + half_height, area.left + half_width}, half_height, half_width,
                         points);
}

[[nodiscard]] inline std::string utf8_of(std::u16string_view text) {
  std::string result;
  auto const put = [&](std::uint32_t value) { result += static_cast<char>(value & 0xFFU); };
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::uint32_t code = text[i];
    bool const pair = code >= 0xD800 && code < 0xDC00 && i + 1 < text.size() &&
                      text[i + 1] >= 0xDC00 && text[i + 1] < 0xE000;
    if (pair) code = 0x10000U + ((code - 0xD800U) << 10U) + (text[++i] - 0xDC00U);
    if (!pair && code >= 0xD800 && code < 0xE000) code = 0xFFFD;
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0U | code >> 6U);
      put(0x80U | (code & 0x3FU));
    } else {
      if (code < 0x10000) {
        put(0xE0U | code >> 12U);
      } else {
        put(0xF0U | code >> 18U);
        put(0x80U | (code >> 12U & 0x3FU));
      }
      put(0x80U | (code >> 6U & 0x3FU));
      put(0x80U | (code & 0x3FU));
    }
  }
  return result;
}

/// Bytes that are not UTF-8 become the replacement character.
[[nodiscard]] inline std::u16string utf16_of(std::string_view text) {
  std::u16string result;
  while (!text.empty()) {
    std::size_t const length = septum::detail::utf8_length(text);
    auto const byte = [&](std::size_t i) {
      return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]));
    };
    std::uint32_t code = 0xFFFD;
    if (length == 1) code = byte(0);
    if (length == 2) code = (byte(0) & 0x1FU) << 6U | (byte(1) & 0x3FU);
    if (length == 3) code = (byte(0) & 0xFU) << 12U | (byte(1) & 0x3FU) << 6U | (byte(2) & 0x3FU);
    if (length == 4)
      code = (byte(0) & 0x7U) << 18U | (byte(1) & 0x3FU) << 12U | (byte(2) & 0x3FU) << 6U |
             (byte(3) & 0x3FU);
    if (code >= 0x10000) {
      result += static_cast<char16_t>(0xD800U + ((code - 0x10000U) >> 10U));
      code = 0xDC00U + ((code - 0x10000U) & 0x3FFU);
    }
    result += static_cast<char16_t>(code);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

/// Takes the bytes of a .roi file apart. All its numbers are big-endian.
class roi_decoder {
 public:
  roi_decoder(std::span<std::byte const> bytes, std::string name)
      : bytes_{bytes}, name_{std::move(name)} {}

  [[nodiscard]] roi decode() {
    constexpr std::string_view magic = "Iout";
    std::string_view const all{reinterpret_cast<char const*>(bytes_.data()), bytes_.size()};
    if (!all.starts_with(magic))
      fail("not an ImageJ ROI: starts with \"" + printable(all.substr(0, 4)) + "\"");
    expect_inside("header", 0, header_size);
    version_ = number<std::uint16_t>(4);
    area_.subpixel = version_ >= 222 && (number<std::uint16_t>(50) & subpixel_option) != 0;
    area_.position = signed_number(56);
    read_second_header();
    read_box();
    auto const points_in_path = signed_number(36);
    if (points_in_path != 0)
      read_path(points_in_path);
    else
      read_shape();
    return std::move(area_);
  }

 private:
  static constexpr std::size_t header_size = 64;
  static constexpr std::uint16_t subpixel_option = 128;
  static constexpr std::size_t most_points = 1'000'000;

  [[noreturn]] void fail(std::string const& what) const {
    throw io_error{"septum.roi.1", name_ + ": " + what};
  }
  [[noreturn]] void fail_unsupported(std::string const& what) const {
    throw unsupported_error{"septum.roi.2", name_ + ": expected an area, found " + what};
  }
  void expect_inside(std::string_view what, std::size_t offset, std::size_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset)
      fail(std::string{what} + " at byte " + to_text(offset) + ": expected " + to_text(size) +
           " bytes, found " + to_text(offset < bytes_.size() ? bytes_.size() - offset : 0) +
           ": the ROI is cut short or damaged");
  }
  template <std::unsigned_integral T>
  [[nodiscard]] T number(std::size_t offset) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value = value << 8U | std::to_integer<std::uint64_t>(bytes_[offset + i]);
    return static_cast<T>(value);
  }
  [[nodiscard]] std::int32_t signed_number(std::size_t offset) const {
    return static_cast<std::int32_t>(number<std::uint32_t>(offset));
  }
  [[nodiscard]] double real(std::size_t offset) const {
    auto const value = static_cast<double>(std::bit_cast<float>(number<std::uint32_t>(offset)));
    if (!std::isfinite(value))
      fail("expected finite coordinates, found one that is NaN or infinite at byte " +
           to_text(offset));
    return value;
  }
  /// As ImageJ reads them: what is below -5000 was above 32767.
  [[nodiscard]] double coordinate(std::size_t offset) const {
    auto const value = static_cast<std::int16_t>(number<std::uint16_t>(offset));
    return value < -5000 ? value + 65536 : value;
  }

  void read_second_header() {
    auto const offset = static_cast<std::size_t>(number<std::uint32_t>(60));
    if (offset == 0) return;
    constexpr std::size_t size = 24;
    expect_inside("second header", offset, size);
    area_.channel = signed_number(offset + 4);
    area_.slice = signed_number(offset + 8);
    area_.frame = signed_number(offset + 12);
    auto const at = static_cast<std::size_t>(number<std::uint32_t>(offset + 16));
    auto const length = static_cast<std::size_t>(number<std::uint32_t>(offset + 20));
    if (at == 0 || length == 0) return;
    if (length > bytes_.size()) fail("expected a shorter name than " + to_text(length));
    expect_inside("name", at, 2 * length);
    std::u16string text;
    for (std::size_t i = 0; i < length; ++i)
      text += static_cast<char16_t>(number<std::uint16_t>(at + 2 * i));
    area_.name = utf8_of(text);
  }

  void read_box() {
    area_.top = coordinate(8);
    area_.left = coordinate(10);
    area_.bottom = coordinate(12);
    area_.right = coordinate(14);
    // Small negative numbers may be numbers above 60535 when the box would be upside down else.
    if (area_.bottom <= 0 && area_.bottom < area_.top) area_.bottom += 65536;
    if (area_.right <= 0 && area_.right < area_.left) area_.right += 65536;
    if (area_.bottom < area_.top || area_.right < area_.left)
      fail("expected a box from top left to bottom right, found rows " + to_text(area_.top) +
           " to " + to_text(area_.bottom) + ", columns " + to_text(area_.left) + " to " +
           to_text(area_.right));
  }

  void read_shape() {
    auto const type = number<std::uint8_t>(6);
    auto const subtype = number<std::uint16_t>(48);
    constexpr std::array<char const*, 11> names{
        "polygon",  "rectangle", "oval",   "a line",   "a freehand line", "lines",
        "no shape", "freehand",  "traced", "an angle", "points"};
    if (type >= names.size()) fail_unsupported("a shape of the unknown type " + to_text(type));
    if (type == 3 || type == 4 || type == 5 || type == 6 || type >= 9)
      fail_unsupported(names[type]);
    if (type == 1 || type == 2) {
      if (subtype == 1) fail_unsupported("a text");
      if (subtype == 4) fail_unsupported("an image");
      read_rectangle(type);
      return;
    }
    area_.shape = type == 0   ? roi_shape::polygon
                  : type == 7 ? roi_shape::freehand
                              : roi_shape::traced;
    read_points(type == 7 && (subtype == 3 || subtype == 5));
  }

  void read_rectangle(std::uint8_t type) {
    area_.shape = type == 1 ? roi_shape::rectangle : roi_shape::oval;
    if (area_.subpixel && version_ >= 223) {
      area_.left = real(18);
      area_.top = real(22);
      double const width = real(26);
      double const height = real(30);
      if (width < 0 || height < 0) fail("expected a width and a height from 0");
      area_.right = area_.left + width;
      area_.bottom = area_.top + height;
    }
    if (type == 1 && number<std::uint16_t>(54) != 0)
      fail_unsupported("a rectangle with round corners; draw it as a polygon");
    area_.rings = {type == 1 ? box_ring(area_) : oval_ring(area_)};
  }

  void read_points(bool long_count_is_a_shape) {
    std::size_t count = number<std::uint16_t>(16);
    // More than 65535 points are counted elsewhere.
    if (count == 0 && !long_count_is_a_shape) count = number<std::uint32_t>(18);
    if (count > most_points)
      fail("expected at most " + to_text(most_points) + " points, found " + to_text(count));
    expect_inside("points", header_size, 4 * count);
    ring points(count);
    if (area_.subpixel) {
      expect_inside("points", header_size + 4 * count, 8 * count);
      for (std::size_t i = 0; i < count; ++i)
        points[i] = {real(header_size + 8 * count + 4 * i), real(header_size + 4 * count + 4 * i)};
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        auto const column = static_cast<std::int16_t>(number<std::uint16_t>(header_size + 2 * i));
        auto const row =
            static_cast<std::int16_t>(number<std::uint16_t>(header_size + 2 * (count + i)));
        points[i] = {area_.top + row, area_.left + column};
      }
    }
    if (!points.empty()) area_.rings = {std::move(points)};
  }

  /// A path of moves, lines, curves and closes: parts and holes of a composite.
  void read_path(std::int32_t numbers) {
    if (numbers < 0 || static_cast<std::size_t>(numbers) > 7 * most_points)
      fail("expected a path of at most " + to_text(7 * most_points) + " numbers, found " +
           to_text(numbers));
    auto const count = static_cast<std::size_t>(numbers);
    expect_inside("path", header_size, 4 * count);
    area_.shape = roi_shape::composite;
    auto const value = [&](std::size_t i) { return real(header_size + 4 * i); };
    constexpr std::array<std::size_t, 5> arguments{2, 2, 4, 6, 0};
    for (std::size_t i = 0; i < count;) {
      double const step = value(i++);
      if (!(step >= 0 && step <= 4) || step != std::floor(step))
        fail("expected a step of a path from 0 to 4, found " + to_text(step));
      auto const kind = static_cast<std::size_t>(step);
      if (arguments[kind] > count - i) fail("the path ends inside a step");
      if (kind != 0 && area_.rings.empty()) fail("expected a path that starts with a move");
      std::array<outline_point, 3> to{};
      for (std::size_t k = 0; k < arguments[kind] / 2; ++k)
        to[k] = {value(i + 2 * k + 1), value(i + 2 * k)};
      i += arguments[kind];
      if (kind == 0) area_.rings.push_back({to[0]});
      if (kind == 1) area_.rings.back().push_back(to[0]);
      if (kind == 2) curve({to[0], to[0], to[1]}, false);
      if (kind == 3) curve(to, true);
    }
    for (ring& points : area_.rings)
      if (points.size() > 1 && points.front() == points.back()) points.pop_back();
  }

  /// Bezier curves as lines.
  void curve(std::array<outline_point, 3> const& to, bool cubic) {
    constexpr int lines = 16;
    outline_point const from = area_.rings.back().back();
    for (int k = 1; k <= lines; ++k) {
      double const t = static_cast<double>(k) / lines;
      double const u = 1 - t;
      std::array<double, 4> const w =
          cubic ? std::array{u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t}
                : std::array{u * u, 2 * u * t, 0.0, t * t};
      area_.rings.back().push_back(
          {w[0] * from.row + w[1] * to[0].row + w[2] * to[1].row + w[3] * to[2].row,
           w[0] * from.column + w[1] * to[0].column + w[2] * to[1].column + w[3] * to[2].column});
    }
  }

  std::span<std::byte const> bytes_;
  std::string name_;
  std::uint16_t version_ = 0;
  roi area_;
};

/// Puts the bytes of a .roi file together.
class roi_encoder {
 public:
  roi_encoder(roi const& area, std::string const& where) : area_{area}, where_{where} {}

  [[nodiscard]] std::string encode() {
    constexpr std::int16_t version = 227;
    constexpr std::array<std::uint8_t, 6> types{0, 1, 2, 7, 8, 1};
    bool const drawn = area_.shape != roi_shape::rectangle && area_.shape != roi_shape::oval &&
                       area_.shape != roi_shape::composite;
    if (drawn && area_.rings.size() != 1)
      throw unsupported_error{"septum.roi.3", where_ + ": expected one ring, found " +
                                                  to_text(area_.rings.size()) +
                                                  "; make it a composite"};
    std::size_t const count = drawn ? area_.rings.front().size() : 0;
    bool const real = area_.shape != roi_shape::composite && (area_.subpixel || !is_whole());
    bytes_ = "Iout";
    put(version, 2);
    put(types[static_cast<std::size_t>(area_.shape)], 1);
    put(0, 1);
    put(whole(std::floor(area_.top)), 2);
    put(whole(std::floor(area_.left)), 2);
    put(whole(std::ceil(area_.bottom)), 2);
    put(whole(std::ceil(area_.right)), 2);
    put(count > 65535 ? 0 : static_cast<std::int64_t>(count), 2);
    if (!drawn && real) {
      put_real(area_.left);
      put_real(area_.top);
      put_real(area_.right - area_.left);
      put_real(area_.bottom - area_.top);
    } else {
      put(count > 65535 ? static_cast<std::int64_t>(count) : 0, 4);
      put(0, 12);
    }
    put(0, 2);  // stroke width
    std::size_t const path_at = bytes_.size();
    put(0, 4 + 4 + 4 + 2);  // length of the path, colours, subtype
    put(real ? 128 : 0, 2);
    put(0, 4);
    put(area_.position, 4);
    std::size_t const second_at = bytes_.size();
    put(0, 4);
    if (area_.shape == roi_shape::composite)
      set(path_at, put_path(), 4);
    else if (drawn)
      put_points(area_.rings.front(), real);
    set(second_at, static_cast<std::int64_t>(bytes_.size()), 4);
    put_second_header();
    return std::move(bytes_);
  }

 private:
  /// Fits what ImageJ reads back as the same number.
  [[nodiscard]] std::int64_t whole(double value) const {
    if (!(value >= -5000 && value < 60536))
      throw unsupported_error{"septum.roi.3",
                              where_ +
                                  ": expected coordinates from -5000 to 60535, which is what "
                                  "ImageJ's files can hold, found " +
                                  to_text(value)};
    return static_cast<std::int64_t>(value);
  }
  [[nodiscard]] bool is_whole() const {
    auto const check = [](double value) { return value == std::floor(value); };
    bool result =
        check(area_.top) && check(area_.left) && check(area_.bottom) && check(area_.right);
    // An oval's ring is its shape, not its definition.
    if (area_.shape == roi_shape::oval) return result;
    for (ring const& points : area_.rings)
      for (outline_point const& point : points)
        result = result && check(point.row) && check(point.column) &&
                 point.row - area_.top <= 32767 && point.column - area_.left <= 32767;
    return result;
  }

  void put(std::int64_t value, std::size_t width) {
    bytes_.append(width, '\0');
    set(bytes_.size() - width, value, width);
  }
  void set(std::size_t at, std::int64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) {
      std::size_t const shift = 8 * (width - 1 - i);
      bytes_[at + i] =
          static_cast<char>(shift < 64 ? static_cast<std::uint64_t>(value) >> shift & 0xFFU : 0);
    }
  }
  void put_real(double value) { put(std::bit_cast<std::int32_t>(static_cast<float>(value)), 4); }
  void put_points(ring const& points, bool real) {
    double const top = std::floor(area_.top);
    double const left = std::floor(area_.left);
    for (outline_point const& point : points)
      put(static_cast<std::int64_t>(std::floor(point.column - left)), 2);
    for (outline_point const& point : points)
      put(static_cast<std::int64_t>(std::floor(point.row - top)), 2);
    if (!real) return;
    for (outline_point const& point : points) put_real(point.column);
    for (outline_point const& point : points) put_real(point.row);
  }
  std::int64_t put_path() {
    std::size_t const start = bytes_.size();
    for (ring const& points : area_.rings) {
      for (std::size_t i = 0; i < points.size(); ++i) {
        put_real(i == 0 ? 0 : 1);
        put_real(points[i].column);
        put_real(points[i].row);
      }
      put_real(4);
    }
    return static_cast<std::int64_t>((bytes_.size() - start) / 4);
  }
  void put_second_header() {
    std::u16string const name = utf16_of(area_.name);
    std::size_t const start = bytes_.size();
    put(0, 4);
    put(area_.channel, 4);
    put(area_.slice, 4);
    put(area_.frame, 4);
    constexpr std::size_t size = 64;
    put(name.empty() ? 0 : static_cast<std::int64_t>(start + size), 4);
    put(static_cast<std::int64_t>(name.size()), 4);
    put(0, start + size - bytes_.size());
    for (char16_t const c : name) put(c, 2);
  }

  roi const& area_;
  std::string const& where_;
  std::string bytes_;
};

}  // namespace detail

/// The area in the bytes of a .roi file: polygons, freehand and traced outlines, rectangles, ovals,
/// composites, with or without fractions of pixels. `name` stands for the file in messages.
/// throws     io_error for a damaged file, unsupported_error for lines, points, texts
[[nodiscard]] inline roi decode_roi(std::span<std::byte const> bytes, std::string name) {
  return detail::roi_decoder{bytes, std::move(name)}.decode();
}

/// The bytes of a .roi file (format of ImageJ 1.52 and later).
/// throws     unsupported_error for coordinates that the format cannot hold
[[nodiscard]] inline std::string encode_roi(roi const& area, std::string const& where = "ROI") {
  return detail::roi_encoder{area, where}.encode();
}

}  // namespace septum::inline SEPTUM_ABI::io
