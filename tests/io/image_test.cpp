#include <septum/io/frames.hpp>
#include <septum/io/image.hpp>
#include <support/hostile.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace io = septum::io;
namespace sp = septum;
namespace fs = std::filesystem;

namespace {

using pixels8 = xt::xtensor<std::uint8_t, 2>;

}  // namespace

BOOST_AUTO_TEST_SUITE(image_files)

BOOST_AUTO_TEST_CASE(the_content_decides_not_the_name) {
  test::temporary_folder const folder;
  pixels8 const pixels{{1, 2, 3}, {4, 5, 6}};
  io::write_tiff(folder / "tiff.png", pixels);
  io::write_png(folder / "png.npy", pixels);
  io::write_npy(folder / "npy.tif", pixels);
  for (std::string const name : {"tiff.png", "png.npy", "npy.tif"}) {
    BOOST_TEST(io::read_image(folder / name)(1, 0, 0) == 4.0F);
    BOOST_TEST(io::read_labels(folder / name)(0, 2) == 3);
  }
  test::spill(folder / "text.tif", "hello\nworld");
  BOOST_TEST(test::contains(
      test::message_of([&] { static_cast<void>(io::read_image(folder / "text.tif")); }),
      "text.tif: expected a TIFF, PNG or NumPy image, found a file that starts with "
      "\"hello\\nwo\""));
}

BOOST_AUTO_TEST_CASE(masks_have_two_values) {
  test::temporary_folder const folder;
  io::write_png(folder / "a.png", pixels8{{0, 255}, {255, 0}});
  BOOST_TEST((io::read_mask(folder / "a.png") == sp::mask{{0, 1}, {1, 0}}));
  io::write_png(folder / "b.png", pixels8{{0, 255}, {254, 254}});
  BOOST_TEST(test::contains(
      test::message_of([&] { static_cast<void>(io::read_mask(folder / "b.png")); }),
      "b.png: expected a mask with 0 and one other value, found 255 and 254 (2 pixels"));
  io::write_tiff(folder / "c.tif", xt::xtensor<float, 2>{{0.0F, 1.0F}});
  BOOST_TEST((io::read_mask(folder / "c.tif") == sp::mask{{0, 1}}));
  io::write_tiff(folder / "nan.tif", xt::xtensor<float, 2>{{0.0F, std::nanf("")}});
  BOOST_CHECK_THROW(static_cast<void>(io::read_mask(folder / "nan.tif")), sp::io_error);
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_are_counted_and_placed) {
  sp::image pixels = sp::image::from_shape({3, 4, 2});
  pixels.fill(1.0F);
  io::require_finite(pixels, "x.tif");
  pixels(1, 2, 1) = std::nanf("");
  pixels(2, 0, 0) = INFINITY;
  BOOST_TEST(test::contains(
      test::message_of([&] { io::require_finite(pixels, "x.tif"); }),
      "x.tif: expected finite pixels, found 2 that are NaN or infinite, the first at row "
      "1, column 2, channel 2"));
  BOOST_TEST(io::zero_nonfinite(pixels) == 2U);
  BOOST_TEST(pixels(2, 0, 0) == 0.0F);
}

BOOST_AUTO_TEST_CASE(channels_from_several_files) {
  test::temporary_folder const folder;
  io::write_tiff(folder / "p.tif", pixels8{{1, 2}}, {.pixel_size_um = 0.5});
  io::write_png(folder / "n.png", pixels8{{3, 4}});
  auto const both = io::read_channels({{"nuclear", folder / "n.png"}, {"phase", folder / "p.tif"}});
  BOOST_TEST((both.pixels == sp::image{{{3, 1}, {4, 2}}}));
  BOOST_TEST(both.pixel_size_um == 0.5);
  io::write_png(folder / "large.png", pixels8{{3, 4, 5}});
  std::string const message = test::message_of([&] {
    static_cast<void>(
        io::read_channels({{"phase", folder / "p.tif"}, {"nuclear", folder / "large.png"}}));
  });
  BOOST_TEST(test::contains(message, "p.tif 1 x 2"));
  BOOST_TEST(test::contains(message, "large.png 1 x 3"));
  io::write_png(folder / "rgb.png", xt::xtensor<std::uint8_t, 3>{{{1, 2, 3}}});
  BOOST_TEST(test::contains(test::message_of([&] {
                              static_cast<void>(io::read_channels({{"phase", folder / "rgb.png"}}));
                            }),
                            "expected 1 channel for 'phase', found 3"));
}

BOOST_AUTO_TEST_CASE(frames_come_in_numeric_order) {
  test::temporary_folder const folder;
  for (int const number : {10, 2, 9, 1, 3, 4, 5, 6, 7, 8})
    io::write_tiff(folder / ("pos3_t" + std::to_string(number) + "_c1.tif"),
                   pixels8{{static_cast<std::uint8_t>(number), 0}});
  test::spill(folder / "notes.txt", "not an image");
  test::spill(folder / ".hidden.tif", "not an image");
  auto const frames = io::list_frames(folder.path());
  BOOST_REQUIRE(frames.size() == 10U);
  for (std::size_t i = 0; i < frames.size(); ++i)
    BOOST_TEST(frames[i].index == static_cast<std::int64_t>(i) + 1);
  auto const film = io::read_recording(folder.path(), false, sp::exec::threads{2});
  BOOST_TEST(film.frames.shape()[0] == 10U);
  BOOST_TEST(film.frames(9, 0, 0, 0) == 10.0F);
  BOOST_TEST(film.indices.back() == 10);
}

BOOST_AUTO_TEST_CASE(gaps_and_doubles_are_listed) {
  test::temporary_folder const folder;
  auto const touch = [&](std::string const& name) { io::write_png(folder / name, pixels8{{1}}); };
  for (std::string const name : {"t01.png", "t02.png", "t05.png"}) touch(name);
  BOOST_TEST(
      test::contains(test::message_of([&] { static_cast<void>(io::list_frames(folder.path())); }),
                     "expected frames 1 to 5, missing: 3, 4"));
  auto const film = io::read_recording(folder.path(), true);
  BOOST_TEST(film.indices == (std::vector<std::int64_t>{1, 2, 5}),
             boost::test_tools::per_element());
  touch("t2.png");
  BOOST_TEST(test::contains(
      test::message_of([&] { static_cast<void>(io::list_frames(folder.path(), true)); }),
      "found twice: 2"));
  fs::remove(folder / "t2.png");
  touch("t900000000000000000.png");
  BOOST_TEST(
      test::contains(test::message_of([&] { static_cast<void>(io::list_frames(folder.path())); }),
                     "... (1000 in all)"));
}

BOOST_AUTO_TEST_CASE(names_that_do_not_say_the_frame_are_refused) {
  auto const message_for = [](std::vector<std::string> const& names) {
    test::temporary_folder const folder;
    for (std::string const& name : names) io::write_png(folder / name, pixels8{{1}});
    return test::message_of([&] { static_cast<void>(io::list_frames(folder.path())); });
  };
  BOOST_TEST(test::contains(message_for({"a1.png", "b2.png"}), "names differ in one number"));
  BOOST_TEST(
      test::contains(message_for({"t1_c1.png", "t1_c2.png", "t2_c1.png"}), "two that change"));
  BOOST_TEST(test::contains(message_for({"a.png", "b.png"}), "names differ in one number"));
  BOOST_TEST(test::contains(message_for({}), "found none"));
  BOOST_TEST(message_for({"single.png"}).empty());
}

BOOST_AUTO_TEST_CASE(frames_of_other_sizes_are_named) {
  test::temporary_folder const folder;
  io::write_png(folder / "t1.png", pixels8{{1, 2}});
  io::write_png(folder / "t2.png", pixels8{{1}, {2}});
  BOOST_TEST(test::contains(
      test::message_of([&] { static_cast<void>(io::read_recording(folder.path())); }),
      "t2.png: expected the size of t1.png, 1 x 2 x 1, found 2 x 1 x 1"));
}

BOOST_AUTO_TEST_SUITE_END()
