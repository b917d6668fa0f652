#include <septum/io/roi_set.hpp>
#include <support/hostile.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace io = septum::io;
namespace sp = septum;

namespace {

io::roi square(std::string name, double top, double left, double side) {
  io::roi area{
      .name = std::move(name),
      .shape = io::roi_shape::polygon,
      .rings = {{{top, left}, {top, left + side}, {top + side, left + side}, {top + side, left}}}};
  area.fit_box();
  return area;
}

io::roi decoded(std::string const& bytes) {
  return io::decode_roi(test::content_of(bytes).bytes(), "some.roi");
}
std::string roi_refusal(std::string const& bytes) {
  try {
    static_cast<void>(decoded(bytes));
  } catch (sp::error const& failure) {
    BOOST_TEST(test::names_file(failure, "some.roi"));
    return failure.message();
  }
  return {};
}
void put(std::string& bytes, std::size_t at, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i)
    bytes[at + i] = static_cast<char>(value >> (8 * (width - 1 - i)) & 0xFFU);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rois)

BOOST_AUTO_TEST_CASE(the_bytes_are_those_of_imagej) {
  // Put together by hand from the offsets in ImageJ's documentation: a 2 x 2 square at (3, 5).
  std::string const bytes = io::encode_roi(square("A", 3, 5, 2));
  BOOST_TEST(bytes.substr(0, 4) == "Iout");
  auto const at = [&](std::size_t i) {
    return static_cast<int>(static_cast<unsigned char>(bytes[i]));
  };
  BOOST_TEST(at(6) == 0);    // polygon
  BOOST_TEST(at(9) == 3);    // top
  BOOST_TEST(at(11) == 5);   // left
  BOOST_TEST(at(13) == 5);   // bottom
  BOOST_TEST(at(15) == 7);   // right
  BOOST_TEST(at(17) == 4);   // points
  BOOST_TEST(at(63) == 80);  // second header behind 4 points
  for (int const i : {65, 71}) BOOST_TEST(at(static_cast<std::size_t>(i)) == 0);
  for (int const i : {67, 69, 75, 77})
    BOOST_TEST(at(static_cast<std::size_t>(i)) == (i < 72 ? 2 : i == 75 ? 0 : 2));
  BOOST_TEST(at(99) == 144);  // the name behind the second header
  BOOST_TEST(at(103) == 1);
  BOOST_TEST(bytes.substr(144) == std::string("\0A", 2));
}

BOOST_AUTO_TEST_CASE(every_kind_of_area_comes_back) {
  std::vector<io::roi> areas{square("polygon", 1, 2, 5)};
  areas.push_back(square("traced", 0, 0, 3));
  areas.back().shape = io::roi_shape::traced;
  areas.push_back(square("freehand \xC2\xB5 \xF0\x9F\x94\xAC", -20, -3, 40));
  areas.back().shape = io::roi_shape::freehand;
  areas.push_back(square("fractions", 1.25, 2.5, 5.75));
  areas.back().subpixel = true;
  areas.push_back(square("far", 40000, 60000, 500));
  areas.push_back(square("in time", 4, 4, 4));
  areas.back().frame = 7;
  areas.back().slice = 2;
  areas.back().channel = 3;
  areas.back().position = 9;
  io::roi composite = square("two", 0, 0, 3);
  composite.shape = io::roi_shape::composite;
  composite.rings.push_back(square("", 6.5, 6, 2).rings.front());
  composite.fit_box();
  areas.push_back(composite);
  for (auto const shape : {io::roi_shape::rectangle, io::roi_shape::oval})
    for (double const shift : {0.0, 0.5}) {
      io::roi box{.name = "box",
                  .shape = shape,
                  .top = 2 + shift,
                  .left = 3,
                  .bottom = 9,
                  .right = 17 - shift,
                  .subpixel = shift != 0};
      box.rings = {shape == io::roi_shape::oval ? io::detail::oval_ring(box)
                                                : io::detail::box_ring(box)};
      areas.push_back(box);
    }
  for (auto const& area : areas) {
    BOOST_TEST_CONTEXT(area.name) {
      auto const back = decoded(io::encode_roi(area));
      BOOST_TEST(back.name == area.name);
      BOOST_TEST((back.shape == area.shape));
      BOOST_TEST((back.rings == area.rings));
      BOOST_TEST(back.subpixel == area.subpixel);
      BOOST_TEST(back.frame == area.frame);
      BOOST_TEST(back.slice == area.slice);
      BOOST_TEST(back.channel == area.channel);
      BOOST_TEST(back.position == area.position);
    }
  }
}

BOOST_AUTO_TEST_CASE(more_points_than_16_bits_count) {
  io::roi area{.name = "long", .shape = io::roi_shape::traced};
  area.rings.emplace_back();
  for (int i = 0; i < 70000; ++i) area.rings[0].push_back({(i % 2) * 1.0, i / 4.0});
  area.subpixel = true;
  area.fit_box();
  BOOST_TEST((decoded(io::encode_roi(area)).rings == area.rings));
}

BOOST_AUTO_TEST_CASE(what_is_no_area_is_named) {
  std::string const bytes = io::encode_roi(square("A", 3, 5, 2));
  auto const of_type = [&](int type) {
    std::string changed = bytes;
    put(changed, 6, static_cast<std::uint64_t>(type), 1);
    return roi_refusal(changed);
  };
  BOOST_TEST(test::contains(of_type(3), "expected an area, found a line"));
  BOOST_TEST(test::contains(of_type(10), "found points"));
  BOOST_TEST(test::contains(of_type(77), "unknown type 77"));
  BOOST_TEST(test::contains(roi_refusal("Iouz" + bytes.substr(4)), "not an ImageJ ROI"));
  std::string changed = bytes;
  put(changed, 16, 60000, 2);
  BOOST_TEST(test::contains(roi_refusal(changed), "expected 240000 bytes"));
  changed = bytes;
  put(changed, 60, 1U << 31U, 4);
  BOOST_TEST(test::contains(roi_refusal(changed), "second header"));
  BOOST_CHECK_THROW(static_cast<void>(io::encode_roi(square("far", 0, 70000, 3))),
                    sp::unsupported_error);
}

BOOST_AUTO_TEST_CASE(every_damage_gives_an_error_or_an_area) {
  for (bool const subpixel : {false, true}) {
    io::roi area = square("0001", 3, 5, 2);
    area.subpixel = subpixel;
    int refused = 0;
    test::for_each_damage(io::encode_roi(area), [&](std::string const& damaged, std::size_t, bool) {
      try {
        auto const back = decoded(damaged);
        static_cast<void>(io::paint_areas({.areas = {back}}, 20, 20, "some.roi"));
      } catch (sp::error const& failure) {
        ++refused;
        BOOST_TEST(test::names_file(failure, "some.roi"));
      }
    });
    BOOST_TEST(refused > 100);
  }
}

BOOST_AUTO_TEST_CASE(labels_come_back_from_a_set) {
  test::temporary_folder const folder;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    auto cells = test::random_cells(60, 70, 25, seed);
    cells(0, 0) = 70000;  // numbers need neither be small nor in order
    cells(59, 69) = 70000;
    io::write_roi_set(folder / "RoiSet.zip",
                      {.areas = io::areas_of(cells), .rows = 60, .columns = 70});
    auto const set = io::read_roi_set(folder / "RoiSet.zip");
    BOOST_TEST(set.rows == 60U);
    BOOST_TEST(set.columns == 70U);
    auto const back = io::paint_areas(set, set.rows, set.columns, "RoiSet.zip");
    BOOST_TEST(back.warnings.empty());
    BOOST_TEST((back.cells == cells));
  }
  auto const one = io::areas_of(sp::labels{{0, 4}});
  io::write_roi_set(folder / "4.roi", {.areas = one});
  BOOST_TEST((io::paint_areas(io::read_roi_set(folder / "4.roi"), 1, 2, "4.roi").cells ==
              sp::labels{{0, 4}}));
  BOOST_CHECK_THROW(io::write_roi_set(folder / "none.roi", {}), sp::unsupported_error);
}

BOOST_AUTO_TEST_CASE(a_time_series_keeps_its_frames) {
  test::temporary_folder const folder;
  std::vector<sp::labels> const frames{test::random_cells(30, 30, 6, 1),
                                       test::random_cells(30, 30, 6, 2),
                                       test::random_cells(30, 30, 6, 3)};
  io::roi_set set{.rows = 30, .columns = 30, .frames = 3};
  for (std::size_t t = 0; t < 3; ++t)
    for (auto& area : io::areas_of(frames[t], static_cast<std::int32_t>(t) + 1))
      set.areas.push_back(area);
  io::write_roi_set(folder / "RoiSet.zip", set);
  auto const back = io::read_roi_set(folder / "RoiSet.zip");
  BOOST_TEST(back.frames == 3U);
  for (std::size_t t = 0; t < 3; ++t)
    BOOST_TEST((io::paint_areas(back, 30, 30, "RoiSet.zip", t).cells == frames[t]));
}

BOOST_AUTO_TEST_CASE(doubtful_areas_are_painted_with_a_warning) {
  io::roi_set set{.areas = {square("a", 0, 0, 4), square("b", 2, 2, 4), square("c", 8, 8, 10)}};
  set.areas.push_back({.name = "nothing"});
  auto const painted = io::paint_areas(set, 10, 10, "set.zip");
  BOOST_TEST(painted.cells(3, 3) == 1);
  BOOST_TEST(painted.cells(4, 4) == 2);
  BOOST_TEST(painted.cells(9, 9) == 3);
  BOOST_REQUIRE(painted.warnings.size() == 3U);
  BOOST_TEST(painted.warnings[0] == "set.zip: b: 4 pixels belong to an area before it");
  BOOST_TEST(test::contains(painted.warnings[1], "c: was cut at the border"));
  BOOST_TEST(test::contains(painted.warnings[2], "nothing: the area is empty"));
  // Names that are different numbers are the labels.
  io::roi_set const named{.areas = {square("0012", 0, 0, 2), square("7", 4, 4, 2)}};
  BOOST_TEST(io::paint_areas(named, 10, 10, "set.zip").cells(4, 4) == 7);
  io::roi_set const doubled{.areas = {square("7", 0, 0, 2), square("7", 4, 4, 2)}};
  BOOST_TEST(io::paint_areas(doubled, 10, 10, "set.zip").cells(4, 4) == 2);
}

BOOST_AUTO_TEST_CASE(sixteen_bits_are_read_as_the_image_wants_them) {
  // -100 and 65436 are the same bits.
  auto const area = decoded(io::encode_roi(square("a", 0, -100, 200)));
  BOOST_TEST(area.left == -100);
  BOOST_TEST(io::paint_areas({.areas = {area}}, 300, 300, "x").cells(5, 99) == 1);
  io::roi const far = square("b", 0, -100, 90);
  BOOST_TEST(io::paint_areas({.areas = {far}}, 1, 65500, "x").cells(0, 65440) == 1);
  BOOST_CHECK_EXCEPTION(static_cast<void>(io::paint_areas({.areas = {far}}, 300, 300, "x.zip")),
                        sp::io_error, [](sp::io_error const& failure) {
                          return test::contains(failure.message(),
                                                "x.zip: b: expected an area inside");
                        });
  io::roi const both = square("c", 0, -100, 150);
  BOOST_CHECK_THROW(static_cast<void>(io::paint_areas({.areas = {both}}, 1, 65500, "x")),
                    sp::io_error);
}

BOOST_AUTO_TEST_CASE(an_archive_of_something_else_is_refused) {
  test::temporary_folder const folder;
  {
    io::detail::zip_writer archive{folder / "x.zip"};
    std::string const text = "hello";
    archive.add("notes.txt", std::as_bytes(std::span{text.data(), text.size()}));
    archive.commit();
  }
  BOOST_CHECK_EXCEPTION(static_cast<void>(io::read_roi_set(folder / "x.zip")), sp::io_error,
                        [](sp::io_error const& failure) {
                          return test::contains(failure.message(),
                                                "x.zip: expected ImageJ areas") &&
                                 test::contains(failure.message(), "notes.txt");
                        });
  test::spill(folder / "y.zip", "text");
  BOOST_CHECK_THROW(static_cast<void>(io::read_roi_set(folder / "y.zip")), sp::io_error);
}

BOOST_AUTO_TEST_SUITE_END()
