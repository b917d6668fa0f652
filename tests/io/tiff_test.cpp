#include <septum/io/tiff.hpp>
#include <support/hostile.hpp>
#include <support/shared_data.hpp>
#include <support/text_image.hpp>
#include <support/tiff_bytes.hpp>
#include <support/tiff_content.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace io = septum::io;
namespace sp = septum;

namespace {

template <class T>
std::string stored(std::vector<T> const& values, bool big_endian = false) {
  std::string bytes;
  for (T const& value : values) {
    std::string part(sizeof(T), '\0');
    std::memcpy(part.data(), &value, sizeof(T));
    if (big_endian) std::reverse(part.begin(), part.end());
    bytes += part;
  }
  return bytes;
}

template <class T>
void check_type(std::uint64_t bits, std::uint64_t format, std::vector<T> const& values) {
  for (bool const big_endian : {false, true})
    for (bool const big : {false, true}) {
      auto const image =
          test::tiff_reader_of(test::small_tiff_page(stored(values, big_endian), bits,
                                                     {{339, 3, {format}}}, big_endian, big))
              .read(0);
      for (std::size_t i = 0; i < values.size(); ++i)
        BOOST_TEST(image.data()[i] == static_cast<float>(values[i]));
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tiff_format)

BOOST_AUTO_TEST_CASE(stored_numbers_of_every_type_and_byte_order) {
  check_type<std::uint8_t>(8, 1, {0, 1, 2, 127, 128, 255});
  check_type<std::uint16_t>(16, 1, {0, 1, 256, 32767, 32768, 65535});
  check_type<std::uint32_t>(32, 1, {0, 1, 65536, 1U << 23U, 1U << 31U, 4294967295U});
  check_type<std::int8_t>(8, 2, {0, 1, -1, 127, -128, 5});
  check_type<std::int16_t>(16, 2, {0, 1, -1, 32767, -32768, 300});
  check_type<std::int32_t>(32, 2, {0, 1, -1, 2147483647, -2147483647 - 1, 70000});
  check_type<float>(32, 3, {0.0F, -0.5F, 1e30F, 1e-40F, 3.25F, -7.0F});
  check_type<double>(64, 3, {0.0, -0.5, 1e30, 0.1, 3.25, -7.0});
}

BOOST_AUTO_TEST_CASE(half_precision_numbers) {
  // Bit patterns from IEEE 754: 1, -2, 65504 (largest), 2^-24 (smallest), 0.333..., -0.
  std::vector<std::uint16_t> const bits{0x3C00, 0xC000, 0x7BFF, 0x0001, 0x3555, 0x8000};
  auto const image =
      test::tiff_reader_of(test::small_tiff_page(stored(bits), 16, {{339, 3, {3}}})).read(0);
  std::vector<float> const expected{1.0F, -2.0F, 65504.0F, 0x1.0p-24F, 0x1.554p-2F, -0.0F};
  for (std::size_t i = 0; i < expected.size(); ++i) BOOST_TEST(image.data()[i] == expected[i]);
  auto const special =
      test::tiff_reader_of(
          test::small_tiff_page(stored<std::uint16_t>({0x7C00, 0xFC00, 0x7E00, 0, 0, 0}), 16,
                                {{339, 3, {3}}}))
          .read(0);
  BOOST_TEST(std::isinf(special.data()[0]));
  BOOST_TEST(special.data()[1] == -std::numeric_limits<float>::infinity());
  BOOST_TEST(std::isnan(special.data()[2]));
}

BOOST_AUTO_TEST_CASE(single_bits_and_min_is_white) {
  // Rows start on a byte: 101 and 010.
  std::string const data{'\xA0', '\x40'};
  auto const image = test::tiff_reader_of(test::small_tiff_page(data, 1)).read(0);
  BOOST_TEST((image == sp::image{{{1}, {0}, {1}}, {{0}, {1}, {0}}}));
  auto const white = test::tiff_reader_of(test::small_tiff_page(data, 1, {{262, 3, {0}}})).read(0);
  BOOST_TEST((white == sp::image{{{0}, {1}, {0}}, {{1}, {0}, {1}}}));
  auto const gray = test::tiff_reader_of(
      test::small_tiff_page(stored<std::uint16_t>({0, 1, 65535, 2, 3, 4}), 16, {{262, 3, {0}}}));
  BOOST_TEST(gray.read(0)(0, 0, 0) == 65535.0F);
  BOOST_TEST(gray.read(0)(0, 2, 0) == 0.0F);
  BOOST_TEST(gray.read_labels(0)(1, 2) == 65531);
}

BOOST_AUTO_TEST_CASE(palettes_of_grays_are_looked_up_and_colours_refused) {
  std::vector<std::uint64_t> ramp;
  for (int colour = 0; colour < 3; ++colour)
    for (std::uint64_t i = 0; i < 256; ++i) ramp.push_back((255 - i) * 257);
  std::string const data = stored<std::uint8_t>({0, 1, 2, 3, 254, 255});
  auto const gray =
      test::tiff_reader_of(test::small_tiff_page(data, 8, {{262, 3, {3}}, {320, 3, ramp}}));
  BOOST_TEST(gray.read(0)(0, 1, 0) == 254.0F);
  BOOST_TEST(gray.read_labels(0)(0, 1) == 1);
  ramp[5] = 0;
  BOOST_TEST(test::contains(
      test::tiff_message_of(test::small_tiff_page(data, 8, {{262, 3, {3}}, {320, 3, ramp}})),
      "a palette of colours"));
  BOOST_TEST(test::contains(test::tiff_message_of(test::small_tiff_page(data, 8, {{262, 3, {3}}})),
                            "ColorMap"));
}

BOOST_AUTO_TEST_CASE(samples_side_by_side_and_in_planes) {
  std::vector<std::uint8_t> values(18);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i);
  auto const chunky = test::tiff_reader_of(test::small_tiff_page(
      stored(values), 8, {{258, 3, {8, 8, 8}}, {262, 3, {2}}, {277, 3, {3}}}));
  BOOST_TEST(chunky.read(0)(1, 2, 1) == 16.0F);
  test::tiff_bytes file;
  auto const at = file.data(stored(values));
  file.directory(test::tiff_page(2, 3, 8, at, 6,
                                 {{258, 3, {8, 8, 8}},
                                  {262, 3, {2}},
                                  {273, 4, {at, at + 6, at + 12}},
                                  {277, 3, {3}},
                                  {279, 4, {6, 6, 6}},
                                  {284, 3, {2}}}));
  BOOST_TEST(test::tiff_reader_of(file.bytes).read(0)(1, 2, 1) == 11.0F);
  BOOST_CHECK_THROW(static_cast<void>(chunky.read_labels(0)), sp::io_error);
}

BOOST_AUTO_TEST_CASE(written_images_come_back) {
  test::temporary_folder const folder;
  for (bool const compress : {true, false}) {
    io::tiff_write_options const options{.compress = compress};
    auto const check = [&](auto const& array) {
      io::write_tiff(folder / "x.tif", array, options);
      auto const back = io::read_tiff(folder / "x.tif");
      BOOST_REQUIRE(back.size() == array.size());
      for (std::size_t i = 0; i < array.size(); ++i)
        if (back.data()[i] != static_cast<float>(array.data()[i]))
          BOOST_ERROR("pixel " << i << " differs");
    };
    check(test::noise<std::uint8_t, 2>({7, 5}));
    check(test::noise<std::uint16_t, 2>({1, 300}));
    check(test::noise<std::uint16_t, 3>({700, 301, 2}));
    check(test::noise<float, 2>({33, 17}));
    check(test::noise<float, 3>({20, 30, 4}));
    check(test::noise<float, 3>({1, 1, 1}));
  }
}

BOOST_AUTO_TEST_CASE(probabilities_are_a_page_per_class) {
  test::temporary_folder const folder;
  auto const maps = test::noise<float, 3>({9, 8, 3});
  io::write_tiff(folder / "p.tif", maps);
  io::tiff_reader const file{folder / "p.tif"};
  BOOST_TEST(file.size() == 3U);
  BOOST_TEST(file.page(1).bits == 32U);
  BOOST_TEST(file.read(2)(4, 5, 0) == maps(4, 5, 2));
}

BOOST_AUTO_TEST_CASE(movies_come_back_with_their_axes) {
  test::temporary_folder const folder;
  auto const film = test::noise<float, 4>({5, 6, 7, 2});
  io::write_tiff(folder / "m.tif", film, {.pixel_size_um = 0.25});
  io::tiff_reader const file{folder / "m.tif"};
  BOOST_TEST(file.size() == 10U);
  BOOST_TEST(file.axes()->frames == 5U);
  BOOST_TEST(file.pixel_size_um() == 0.25);
  BOOST_TEST((io::read_tiff_movie(file) == film));
  BOOST_TEST((io::read_tiff_movie(file, sp::exec::threads{2}) == film));
  BOOST_CHECK_THROW(static_cast<void>(io::read_tiff(file)), sp::unsupported_error);
  // Pages without metadata are frames of a movie and channels of an image.
  test::tiff_bytes plain;
  for (int page = 0; page < 3; ++page)
    plain.directory(test::tiff_page(2, 3, 8, plain.data("abcdef"), 6));
  BOOST_TEST(io::read_tiff_movie(test::tiff_reader_of(plain.bytes)).shape()[0] == 3U);
  BOOST_TEST(io::read_tiff(test::tiff_reader_of(plain.bytes)).shape()[2] == 3U);
}

BOOST_AUTO_TEST_CASE(labels_take_the_narrowest_type_and_stay_whole) {
  test::temporary_folder const folder;
  sp::labels cells = test::random_cells(40, 50, 12, 3);
  io::write_tiff(folder / "l.tif", cells);
  BOOST_TEST(io::tiff_reader{folder / "l.tif"}.page(0).bits == 16U);
  BOOST_TEST((io::read_tiff_labels(folder / "l.tif") == cells));
  cells(3, 4) = 65535;
  io::write_tiff(folder / "l.tif", cells);
  BOOST_TEST(io::tiff_reader{folder / "l.tif"}.page(0).bits == 16U);
  cells(3, 4) = 65536;
  io::write_tiff(folder / "l.tif", cells);
  BOOST_TEST(io::tiff_reader{folder / "l.tif"}.page(0).bits == 32U);
  BOOST_TEST((io::read_tiff_labels(folder / "l.tif") == cells));
  cells(3, 4) = 2147483647;
  io::write_tiff(folder / "l.tif", cells);
  BOOST_TEST((io::read_tiff_labels(folder / "l.tif") == cells));
  BOOST_CHECK_THROW(io::write_tiff(folder / "l.tif", cells, {.label_bits = 16}), sp::io_error);
  cells(3, 4) = -1;
  BOOST_CHECK_THROW(io::write_tiff(folder / "l.tif", cells), sp::io_error);
  BOOST_TEST(io::read_tiff_labels(folder / "l.tif")(3, 4) == 2147483647);
}

BOOST_AUTO_TEST_CASE(images_that_are_no_labels_are_refused) {
  auto const labels_message = [](std::string const& bytes) {
    try {
      static_cast<void>(test::tiff_reader_of(bytes).read_labels(0));
    } catch (sp::io_error const& failure) {
      return failure.message();
    }
    return std::string{};
  };
  std::vector<test::tiff_tag> const real{{339, 3, {3}}};
  BOOST_TEST(
      labels_message(test::small_tiff_page(stored<float>({0, 1, 2, 3, 4, 5}), 32, real)).empty());
  BOOST_TEST(test::contains(
      labels_message(test::small_tiff_page(stored<float>({0, 1, 2, 0.5F, 4, 5}), 32, real)),
      "not a label image: expected whole numbers from 0 to 2147483647, found 0.5 at "
      "row 1, column 0"));
  BOOST_TEST(test::contains(labels_message(test::small_tiff_page(
                                stored<float>({0, 1, std::nanf(""), 3, 4, 5}), 32, real)),
                            "found nan at row 0, column 2"));
  BOOST_TEST(test::contains(labels_message(test::small_tiff_page(
                                stored<std::int16_t>({0, 1, -7, 3, 4, 5}), 16, {{339, 3, {2}}})),
                            "found -7"));
  BOOST_TEST(test::contains(labels_message(test::small_tiff_page(
                                stored<std::uint32_t>({0, 1, 3000000000U, 3, 4, 5}), 32)),
                            "found 3"));
}

BOOST_AUTO_TEST_CASE(equal_images_give_equal_bytes) {
  test::temporary_folder const folder;
  auto const image = test::noise<float, 3>({50, 60, 3});
  io::write_tiff(folder / "a.tif", image);
  io::write_tiff(folder / "b.tif", image);
  BOOST_TEST((test::slurp(folder / "a.tif") == test::slurp(folder / "b.tif")));
}

BOOST_AUTO_TEST_CASE(nothing_is_written_of_an_image_without_pixels) {
  test::temporary_folder const folder;
  BOOST_CHECK_THROW(io::write_tiff(folder / "x.tif", sp::image::from_shape({0, 5, 1})),
                    sp::shape_error);
  BOOST_CHECK_THROW(io::write_tiff(folder / "x.tif", sp::image::from_shape({5, 5, 0})),
                    sp::shape_error);
  BOOST_TEST(folder.names().empty());
}

BOOST_AUTO_TEST_CASE(every_failing_call_while_writing_leaves_a_whole_file) {
  test::temporary_folder const folder;
  auto const image = test::noise<std::uint16_t, 3>({40, 30, 2});
  io::write_tiff(folder / "x.tif", image);
  std::string const whole = test::slurp(folder / "x.tif");
  test::fail_each_call(
      ENOSPC,
      [&] {
        test::spill(folder / "x.tif", "old");
        io::write_tiff(folder / "x.tif", image);
      },
      [&](bool succeeded) {
        std::string const now = test::slurp(folder / "x.tif");
        BOOST_TEST((now == whole || (!succeeded && now == "old")));
        BOOST_TEST(folder.names().size() == 1U);
      });
  BOOST_CHECK_EXCEPTION(
      io::write_tiff("/dev/full", image), sp::io_error,
      [](sp::io_error const& failure) { return failure.kind() == sp::fault::resource; });
}

BOOST_AUTO_TEST_CASE(pixel_sizes) {
  test::temporary_folder const folder;
  auto const size_of = [](std::string const& description, std::uint64_t x, std::uint64_t y,
                          std::uint64_t unit) {
    std::vector<test::tiff_tag> tags{{282, 5, {x, 1000}}, {283, 5, {y, 1000}}, {296, 3, {unit}}};
    if (!description.empty()) tags.push_back({270, 2, {description.begin(), description.end()}});
    for (test::tiff_tag& tag : tags)
      if (tag.id == 270)
        for (std::uint64_t& value : tag.values) value &= 0xFFU;
    return test::tiff_reader_of(test::small_tiff_page("abcdef", 8, tags)).pixel_size_um();
  };
  BOOST_TEST(size_of("", 20000000, 20000000, 3) == 0.5);  // 20,000 per cm
  BOOST_TEST(size_of("", 72000, 72000, 2) == 0.0);        // a printer's 72 per inch
  BOOST_TEST(size_of("", 1000, 1000, 1) == 0.0);          // no unit
  BOOST_TEST(size_of("", 20000000, 10000000, 3) == 0.0);  // not square
  BOOST_TEST(size_of("ImageJ=1.53t\nunit=micron\n", 4000, 4000, 1) == 0.25);
  BOOST_TEST(size_of("ImageJ=1.53t\nunit=nm\n", 4, 4, 1) == 0.25);
  BOOST_TEST(size_of("ImageJ=1.53t\nunit=pixel\n", 4000, 4000, 1) == 0.0);
  std::string const ome =
      "<?xml version=\"1.0\"?><OME><Image><Pixels DimensionOrder=\"XYCZT\" "
      "PhysicalSizeX=\"0.65\" PhysicalSizeY=\"0.65\" SizeX=\"3\">";
  BOOST_TEST(size_of(ome, 0, 0, 1) == 0.65);
  BOOST_TEST(
      size_of("<OME><Pixels PhysicalSizeX=\"650\" PhysicalSizeXUnit=\"nm\" PhysicalSizeY=\"650\" "
              "PhysicalSizeYUnit=\"nm\">",
              0, 0, 1) == 0.65);
  BOOST_TEST(size_of("<OME><Pixels PhysicalSizeX=\"", 0, 0, 1) == 0.0);
  io::write_tiff(folder / "x.tif", test::noise<float, 2>({4, 4}), {.pixel_size_um = 0.5});
  BOOST_TEST(io::tiff_reader{folder / "x.tif"}.pixel_size_um() == 0.5);
}

BOOST_AUTO_TEST_CASE(ome_and_imagej_say_axes_pixel_size_and_interval) {
  test::temporary_folder const folder;
  auto const film = test::noise<float, 4>({3, 6, 7, 2});
  for (bool const ome : {false, true}) {
    io::write_tiff(folder / "m.tif", film,
                   {.pixel_size_um = 0.3,
                    .interval_s = 300.5,
                    .ome = ome,
                    .channel_names = {"phase", "<a> & \"b\""}});
    io::tiff_reader const file{folder / "m.tif"};
    BOOST_REQUIRE(file.axes().has_value());
    BOOST_TEST(file.axes()->frames == 3U);
    BOOST_TEST(file.axes()->channels == 2U);
    BOOST_TEST(file.pixel_size_um() == 0.3, boost::test_tools::tolerance(1e-7));
    BOOST_TEST(file.interval_s() == 300.5);
    BOOST_TEST((io::read_tiff_movie(file) == film));
    BOOST_TEST(test::contains(file.page(0).description,
                              ome ? "&lt;a&gt; &amp; &quot;b&quot;" : "ImageJ="));
  }
  io::write_tiff(folder / "one.tif", test::noise<std::uint16_t, 2>({4, 4}),
                 {.pixel_size_um = 0.5, .ome = true});
  BOOST_TEST(io::tiff_reader{folder / "one.tif"}.pixel_size_um() == 0.5);
  BOOST_TEST(io::tiff_reader{folder / "one.tif"}.interval_s() == 0.0);
  auto const interval = [](std::string const& text) { return io::detail::interval_of(text); };
  BOOST_TEST(interval("ImageJ=1.53t\nfinterval=2.5\ntunit=min\n") == 150.0);
  BOOST_TEST(interval("ImageJ=1.53t\nfinterval=-1\n") == 0.0);
  BOOST_TEST(interval("<OME><Pixels TimeIncrement=\"500\" TimeIncrementUnit=\"ms\">") == 0.5);
  BOOST_TEST(interval("<OME><Pixels TimeIncrement=\"5\" TimeIncrementUnit=\"fortnight\">") == 0.0);
}

BOOST_AUTO_TEST_CASE(frames_in_other_files_are_missed) {
  std::string const text =
      "<OME><Image><Pixels DimensionOrder=\"XYCZT\" SizeC=\"2\" SizeZ=\"1\" SizeT=\"3\">"
      "<TiffData FirstT=\"0\"/></Pixels></Image></OME>";
  BOOST_TEST(test::contains(test::tiff_message_of(test::small_tiff_page(
                                "abcdef", 8, {{270, 2, {text.begin(), text.end()}}})),
                            "OME declares 3 frames of 2 channels and 1 slices, found 1 pages"));
}

BOOST_AUTO_TEST_CASE(axes_of_imagej_and_ome_stacks) {
  auto const movie_of = [](std::string const& description, int pages) {
    test::tiff_bytes file;
    for (int page = 0; page < pages; ++page) {
      std::string const data(6, static_cast<char>(page));
      std::vector<test::tiff_tag> tags;
      if (page == 0) tags.push_back({270, 2, {description.begin(), description.end()}});
      file.directory(test::tiff_page(2, 3, 8, file.data(data), 6, tags));
    }
    return io::read_tiff_movie(test::tiff_reader_of(file.bytes));
  };
  auto const imagej = movie_of("ImageJ=1.53t\nimages=6\nchannels=2\nframes=3\n", 6);
  BOOST_TEST(imagej.shape()[0] == 3U);
  BOOST_TEST(imagej(1, 0, 0, 1) == 3.0F);
  auto const slices = movie_of("ImageJ=1.53t\nimages=4\nslices=4\n", 4);
  BOOST_TEST(slices.shape()[0] == 4U);
  auto const ome =
      movie_of("<OME><Pixels DimensionOrder=\"XYZTC\" SizeC=\"2\" SizeT=\"3\" SizeZ=\"1\">", 6);
  BOOST_TEST(ome(1, 0, 0, 1) == 4.0F);
  BOOST_CHECK_EXCEPTION(movie_of("ImageJ=1.53t\nimages=1000\nframes=1000\n", 1), sp::io_error,
                        [](sp::io_error const& failure) {
                          return test::contains(failure.message(),
                                                "declares 1000 images, found 1 pages");
                        });
  BOOST_CHECK_THROW(movie_of("ImageJ=1.53t\nimages=4\nslices=2\nframes=2\n", 4),
                    sp::unsupported_error);
  // Numbers that do not fit the pages say nothing.
  BOOST_TEST(movie_of("<OME><Pixels SizeC=\"4294967295\" SizeT=\"4294967295\" SizeZ=\"1\">", 2)
                 .shape()[0] == 2U);
}

BOOST_AUTO_TEST_CASE(thumbnails_are_not_pages) {
  test::tiff_bytes file;
  file.directory(test::tiff_page(2, 3, 8, file.data("abcdef"), 6));
  file.directory(test::tiff_page(1, 1, 8, file.data("a"), 1, {{254, 4, {1}}}));
  BOOST_TEST(test::tiff_reader_of(file.bytes).size() == 1U);
}

BOOST_AUTO_TEST_CASE(real_images_are_read_as_published) {
  auto const folder = test::shared_data("hela_validation");
  if (!folder) return;
  auto const phase = io::read_tiff(*folder / "phase.tif");
  // Size and extremes as the table beside the data gives them.
  BOOST_TEST(phase.shape()[0] == 500U);
  BOOST_TEST(phase.shape()[1] == 500U);
  BOOST_TEST(*std::max_element(phase.begin(), phase.end()) == 18123.0F);
  io::tiff_reader const file{*folder / "phase.tif"};
  BOOST_TEST(file.page(0).compression != 1U);
  auto const cells = io::read_tiff_labels(*folder / "instances.tif");
  BOOST_TEST(*std::max_element(cells.begin(), cells.end()) > 20);
}

BOOST_AUTO_TEST_SUITE_END()
