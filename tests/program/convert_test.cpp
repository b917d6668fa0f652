#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <septum/io/image.hpp>
#include <septum/io/npz.hpp>
#include <septum/io/png.hpp>
#include <septum/io/roi_set.hpp>
#include <septum/io/tiff.hpp>
#include <string>

#include "program/program.hpp"
#include "support/hostile.hpp"
#include "support/text_image.hpp"

namespace fs = std::filesystem;
namespace io = septum::io;
using program_test::outcome;
using program_test::sandbox;

namespace {

void require_success(outcome const& result) {
  BOOST_TEST_CONTEXT(result.err) { BOOST_TEST_REQUIRE(result.exit_code == 0); }
}

template <class T, std::size_t Rank>
xt::xtensor<T, Rank> ramp(std::array<std::size_t, Rank> shape, double step) {
  xt::xtensor<T, Rank> result = xt::xtensor<T, Rank>::from_shape(shape);
  for (std::size_t i = 0; i < result.size(); ++i)
    result.data()[i] = static_cast<T>(static_cast<double>(i) * step);
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(convert)

BOOST_AUTO_TEST_CASE(label_images_go_round_through_areas_and_every_format) {
  sandbox const box;
  auto cells = test::random_cells(70, 90, 40, 8);
  cells(0, 0) = 70001;
  io::write_tiff(box.path("labels.tif"), cells);
  require_success(box.run("convert labels.tif RoiSet.zip"));
  require_success(box.run("convert RoiSet.zip back.tif"));
  BOOST_TEST((io::read_labels(box.path("back.tif")) == cells));
  for (std::string const name : {"a.npy", "b.npz", "c.tif"}) {
    require_success(box.run("convert RoiSet.zip " + name));
    BOOST_TEST((io::read_labels(box.path(name)) == cells));
    require_success(box.run("convert " + name + " again.zip"));
    BOOST_TEST(test::slurp(box.path("again.zip")) == test::slurp(box.path("RoiSet.zip")));
  }
  auto const wide = box.run("convert RoiSet.zip d.png");
  BOOST_TEST(wide.exit_code == 3);
  BOOST_TEST(test::contains(wide.err, "labels up to 65535"));
  cells(0, 0) = 0;
  io::write_tiff(box.path("labels.tif"), cells);
  require_success(box.run("convert labels.tif e.png"));
  BOOST_TEST((io::read_labels(box.path("e.png")) == cells));
}

BOOST_AUTO_TEST_CASE(areas_of_imagej_take_their_size_from_an_image) {
  sandbox const box;
  io::roi cell{.name = "cell", .rings = {{{1, 1}, {1, 20}, {7, 20}, {7, 1}}}};
  cell.fit_box();
  io::write_roi_set(box.path("cell.roi"), {.areas = {cell}});
  box.write_picture("p.tif", 30, 15);
  auto const refused = box.run("convert cell.roi labels.tif");
  BOOST_TEST(refused.exit_code == 3);
  BOOST_TEST(test::contains(refused.err, "--like IMAGE"));
  auto const done = box.run("convert cell.roi labels.tif --like p.tif");
  require_success(done);
  BOOST_TEST(test::contains(done.err, "cell: was cut at the border"));
  auto const labels = io::read_labels(box.path("labels.tif"));
  BOOST_TEST(labels.shape()[0] == 30U);
  BOOST_TEST(labels.shape()[1] == 15U);
  BOOST_TEST(xt::sum(labels)() == 6 * 14);
}

BOOST_AUTO_TEST_CASE(a_time_series_of_labels_goes_through_areas) {
  sandbox const box;
  xt::xtensor<std::uint16_t, 4> movie = xt::zeros<std::uint16_t>({3, 20, 24, 1});
  for (std::size_t t = 0; t < 3; ++t)
    for (std::size_t r = 2; r < 8; ++r)
      for (std::size_t c = 4; c < 9; ++c) movie(t, r + t, c, 0) = static_cast<std::uint16_t>(5 + t);
  io::write_tiff(box.path("movie.tif"), movie);
  require_success(box.run("convert movie.tif RoiSet.zip"));
  require_success(box.run("convert RoiSet.zip back.tif"));
  BOOST_TEST(
      (io::read_tiff_movie(box.path("back.tif")) == io::read_tiff_movie(box.path("movie.tif"))));
}

BOOST_AUTO_TEST_CASE(masks_hold_cells_as_far_as_they_define_them) {
  sandbox const box;
  box.write_dataset("day1");
  auto const cells = io::read_labels(box.path("day1/labels.tif"));
  require_success(box.run("convert day1/labels.tif masks"));
  require_success(box.run("convert masks back.tif"));
  // Equal up to the numbers, which masks do not hold.
  auto const back = io::read_labels(box.path("back.tif"));
  BOOST_TEST((back == cells));
  septum::labels thin = cells;
  for (std::size_t c = 0; c < 10; ++c) thin(90, c) = 999;
  io::write_tiff(box.path("thin.tif"), thin);
  auto const lossy = box.run("convert thin.tif thin");
  require_success(lossy);
  BOOST_TEST(test::contains(lossy.err, "thin cells have no interior"));
  // A data set of masks and its areas train alike.
  fs::copy_file(box.path("day1/phase.tif"), box.path("masks/phase.tif"));
  require_success(box.run("info masks"));
}

BOOST_AUTO_TEST_CASE(images_keep_every_pixel) {
  sandbox const box;
  auto const check = [&](auto const& pixels, std::string const& first,
                         std::vector<std::string> const& chain) {
    if (first.ends_with(".tif"))
      io::write_tiff(box.path(first), pixels, {.pixel_size_um = 0.5});
    else
      io::write_npy(box.path(first), pixels);
    auto const expected = io::read_image(box.path(first));
    std::string from = first;
    for (auto const& to : chain) {
      require_success(box.run("convert " + from + " " + to));
      BOOST_TEST((io::read_image(box.path(to)) == expected));
      from = to;
    }
  };
  check(ramp<std::uint8_t, 2>({9, 20}, 1), "a.tif", {"a.png", "a.npy", "a.npz", "a2.tif"});
  check(ramp<std::uint16_t, 2>({90, 70}, 10), "b.tif", {"b.png", "b.npy", "b2.tif"});
  check(ramp<std::uint16_t, 3>({9, 7, 3}, 300), "c.npy", {"c.png", "c.npz", "c2.npy"});
  check(ramp<float, 2>({9, 7}, 0.3), "d.tif", {"d.npy", "d.npz", "d2.tif"});
  check(ramp<std::int16_t, 2>({9, 7}, -300), "e.npy", {"e.tif", "e2.npy"});
  check(ramp<std::int64_t, 2>({9, 7}, 30000000), "f.npy", {"f.tif", "f2.npy"});
  BOOST_TEST(io::tiff_reader{box.path("b2.tif")}.page(0).bits == 16U);
  BOOST_TEST(io::tiff_reader{box.path("a2.tif")}.page(0).bits == 8U);
  auto const refused = box.run("convert d.tif d.png");
  BOOST_TEST(refused.exit_code == 3);
  BOOST_TEST(test::contains(refused.err, "d.png: a PNG holds"));
  BOOST_TEST(!fs::exists(box.path("d.png")));
}

BOOST_AUTO_TEST_CASE(time_series_keep_axes_pixel_size_and_interval) {
  sandbox const box;
  auto const film = ramp<std::uint16_t, 4>({4, 20, 30, 2}, 3);
  io::write_tiff(box.path("m.tif"), film, {.pixel_size_um = 0.25, .interval_s = 90});
  require_success(box.run("convert m.tif m.ome.tif --channels phase,nuclear"));
  io::tiff_reader const ome{box.path("m.ome.tif")};
  BOOST_TEST(test::contains(ome.page(0).description, "Name=\"nuclear\""));
  BOOST_TEST(ome.pixel_size_um() == 0.25);
  BOOST_TEST(ome.interval_s() == 90.0);
  BOOST_TEST((io::read_tiff_movie(ome) == io::read_tiff_movie(box.path("m.tif"))));
  require_success(box.run("convert m.ome.tif m.npy"));
  require_success(box.run("convert m.npy n.tif --pixel-size 0.25 --interval 90"));
  BOOST_TEST(test::slurp(box.path("n.tif")) == test::slurp(box.path("m.tif")));
  // A folder of frames becomes one file.
  fs::create_directories(box.path("frames"));
  for (int t = 0; t < 3; ++t)
    io::write_png(box.path("frames/t" + std::to_string(t) + ".png"),
                  xt::xtensor<std::uint16_t, 2>{ramp<std::uint16_t, 2>({8, 9}, t + 1)});
  require_success(box.run("convert frames f.tif"));
  BOOST_TEST(io::read_tiff_movie(box.path("f.tif"))(2, 1, 0, 0) == 27.0F);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_converted_is_named) {
  sandbox const box;
  box.write_picture("p.tif", 30, 30);
  auto const unknown = box.run("convert p.tif p.jpeg");
  BOOST_TEST(unknown.exit_code == 3);
  BOOST_TEST(test::contains(unknown.err, "p.tif to p.jpeg"));
  auto const fractions = box.run("convert p.tif p.zip");
  std::ofstream{box.path("bad.zip")} << "PK\3\4 and then nothing";
  auto const bad = box.run("convert bad.zip labels.tif --like p.tif");
  BOOST_TEST(bad.exit_code == 3);
  BOOST_TEST(test::contains(bad.err, "bad.zip"));
  BOOST_TEST(box.hidden_leftovers() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
