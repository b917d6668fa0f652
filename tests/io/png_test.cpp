#include <zlib.h>

#include <septum/io/png.hpp>
#include <support/hostile.hpp>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace io = septum::io;
namespace sp = septum;

namespace {

std::string big_endian(std::uint32_t value) {
  return {static_cast<char>(value >> 24U), static_cast<char>(value >> 16U & 0xFFU),
          static_cast<char>(value >> 8U & 0xFFU), static_cast<char>(value & 0xFFU)};
}

/// A chunk with its length and checksum, as the PNG standard has it.
std::string chunk(std::string const& type, std::string const& data) {
  std::string const body = type + data;
  auto const sum =
      ::crc32(0, reinterpret_cast<Bytef const*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(static_cast<std::uint32_t>(data.size())) + body +
         big_endian(static_cast<std::uint32_t>(sum));
}

std::string deflated(std::string const& data) {
  uLongf size = ::compressBound(static_cast<uLong>(data.size()));
  std::string result(size, '\0');
  ::compress(reinterpret_cast<Bytef*>(result.data()), &size,
             reinterpret_cast<Bytef const*>(data.data()), static_cast<uLong>(data.size()));
  result.resize(size);
  return result;
}

std::string png(std::uint32_t width, std::uint32_t height, char bits, char colour,
                std::string const& rows, std::string const& extra = {}) {
  std::string const header =
      big_endian(width) + big_endian(height) + std::string{bits, colour, '\0', '\0', '\0'};
  return "\x89PNG\r\n\x1A\n" + chunk("IHDR", header) + extra + chunk("IDAT", deflated(rows)) +
         chunk("IEND", "");
}

sp::image image_of(std::string const& bytes) {
  auto const content = test::content_of(bytes);
  return io::detail::png_image(io::detail::decode_png(content.bytes(), "some.png", 1U << 20U),
                               "some.png");
}

std::string png_refusal(std::string const& bytes) {
  try {
    static_cast<void>(image_of(bytes));
  } catch (sp::error const& failure) {
    BOOST_TEST(test::names_file(failure, "some.png"));
    return failure.message();
  }
  return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(png_format)

BOOST_AUTO_TEST_CASE(written_images_come_back) {
  test::temporary_folder const folder;
  xt::xtensor<std::uint8_t, 3> colour = xt::xtensor<std::uint8_t, 3>::from_shape({5, 7, 3});
  for (std::size_t i = 0; i < colour.size(); ++i)
    colour.data()[i] = static_cast<std::uint8_t>(i * 37);
  io::write_png(folder / "rgb.png", colour);
  BOOST_TEST((io::read_png(folder / "rgb.png") == xt::cast<float>(colour)));
  xt::xtensor<std::uint16_t, 2> gray = xt::xtensor<std::uint16_t, 2>::from_shape({3, 4});
  for (std::size_t i = 0; i < gray.size(); ++i)
    gray.data()[i] = static_cast<std::uint16_t>(i * 5461);
  io::write_png(folder / "gray.png", gray);
  auto const back = io::read_png_labels(folder / "gray.png");
  BOOST_TEST((back == xt::cast<std::int32_t>(gray)));
  BOOST_TEST(back(2, 3) == 60071);
  io::write_png(folder / "again.png", gray);
  BOOST_TEST((test::slurp(folder / "again.png") == test::slurp(folder / "gray.png")));
}

BOOST_AUTO_TEST_CASE(hand_made_files_of_every_depth) {
  // One byte of filter (0) before each row.
  BOOST_TEST((image_of(png(3, 2, 1, 0, std::string("\0\xA0\0\x40", 4))) ==
              sp::image{{{1}, {0}, {1}}, {{0}, {1}, {0}}}));
  BOOST_TEST((image_of(png(2, 1, 4, 0, std::string("\0\x3F", 2))) == sp::image{{{3}, {15}}}));
  BOOST_TEST(
      (image_of(png(1, 2, 8, 0, std::string("\0\x07\0\xFF", 4))) == sp::image{{{7}}, {{255}}}));
  BOOST_TEST((image_of(png(1, 1, 16, 0, std::string("\0\x01\x02", 3))) == sp::image{{{258}}}));
  BOOST_TEST(
      (image_of(png(1, 1, 8, 6, std::string("\0\1\2\3\4", 5))) == sp::image{{{1, 2, 3, 4}}}));
}

BOOST_AUTO_TEST_CASE(palettes_of_grays_are_looked_up_and_colours_refused) {
  std::string const rows("\0\1\0\2", 4);
  std::string const grays("\0\0\0\x50\x50\x50\xFF\xFF\xFF", 9);
  BOOST_TEST((image_of(png(1, 2, 8, 3, rows, chunk("PLTE", grays))) == sp::image{{{80}}, {{255}}}));
  std::string const colours("\0\0\0\x50\x51\x50\xFF\xFF\xFF", 9);
  std::string const file = png(1, 2, 8, 3, rows, chunk("PLTE", colours));
  BOOST_TEST(png_refusal(file).find("a palette of colours") != std::string::npos);
  auto const content = test::content_of(file);
  auto const cells = io::detail::png_labels(io::detail::decode_png(content.bytes(), "x", 100), "x");
  BOOST_TEST(cells(1, 0) == 2);
  BOOST_TEST(png_refusal(png(1, 2, 8, 3, std::string("\0\1\0\7", 4), chunk("PLTE", grays)))
                 .find("palette index") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(colour_images_are_no_labels) {
  test::temporary_folder const folder;
  test::spill(folder / "x.png", png(1, 1, 8, 2, std::string("\0\1\2\3", 4)));
  BOOST_CHECK_THROW(static_cast<void>(io::read_png_labels(folder / "x.png")), sp::io_error);
}

BOOST_AUTO_TEST_CASE(declared_sizes_are_checked_before_memory_is_asked_for) {
  BOOST_TEST(png_refusal(png(5000, 5000, 8, 0, "\0")).find("expected at most 1048576 pixels") !=
             std::string::npos);
  BOOST_TEST(png_refusal(png(1000, 1000, 16, 6, "\0")).find("expected a larger file") !=
             std::string::npos);
  BOOST_TEST(!png_refusal(png(0, 1, 8, 0, "\0")).empty());
  BOOST_TEST(!png_refusal(png(0x7FFFFFFF, 0x7FFFFFFF, 8, 0, "\0")).empty());
  BOOST_TEST(png_refusal("PNG").find("not a PNG") != std::string::npos);
  // Fewer rows than declared.
  BOOST_TEST(!png_refusal(png(3, 3, 8, 0, std::string("\0\1\2\3", 4))).empty());
}

BOOST_AUTO_TEST_CASE(every_cut_and_every_changed_byte) {
  xt::xtensor<std::uint16_t, 2> gray = xt::xtensor<std::uint16_t, 2>::from_shape({16, 15});
  for (std::size_t i = 0; i < gray.size(); ++i)
    gray.data()[i] = static_cast<std::uint16_t>(i * 40503U);
  test::temporary_folder const folder;
  io::write_png(folder / "x.png", gray);
  std::string const bytes = test::slurp(folder / "x.png");
  int errors = 0;
  test::for_each_damage(bytes, [&](std::string const& damaged, std::size_t, bool cut) {
    try {
      BOOST_TEST((image_of(damaged) == image_of(bytes)));
      BOOST_TEST(!cut);
    } catch (sp::error const& failure) {
      ++errors;
      BOOST_TEST(test::names_file(failure, "some.png"));
    }
  });
  BOOST_TEST(errors > static_cast<int>(4 * bytes.size()));
}

BOOST_AUTO_TEST_CASE(nothing_is_written_of_what_is_no_image) {
  test::temporary_folder const folder;
  auto const empty = xt::xtensor<std::uint8_t, 2>::from_shape({0, 3});
  BOOST_CHECK_THROW(io::write_png(folder / "x.png", empty), sp::shape_error);
  auto const five = xt::xtensor<std::uint8_t, 3>::from_shape({2, 2, 5});
  BOOST_CHECK_THROW(io::write_png(folder / "x.png", five), sp::shape_error);
  BOOST_TEST(folder.names().empty());
}

BOOST_AUTO_TEST_SUITE_END()
