#include <septum/io/frames.hpp>
#include <septum/io/npz.hpp>
#include <septum/io/roi_set.hpp>
#include <septum/io/tiff.hpp>
#include <support/hostile.hpp>
#include <support/python_peer.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <fstream>
#include <map>
#include <string>

/// tifffile, roifile and numpy as the other side of stacks, areas and archives.
namespace io = septum::io;
namespace sp = septum;

namespace {

constexpr char const* script = "exchange_formats.py";
constexpr char const* packages = "tifffile, roifile and numpy";

/// Corners (row, column) of a ring.
xt::xtensor<double, 2> corners(sp::ring const& ring) {
  xt::xtensor<double, 2> result = xt::xtensor<double, 2>::from_shape({ring.size(), 2});
  for (std::size_t i = 0; i < ring.size(); ++i) {
    result(i, 0) = ring[i].row;
    result(i, 1) = ring[i].column;
  }
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(format_peer)

BOOST_AUTO_TEST_CASE(their_files_are_read) {
  test::temporary_folder const folder;
  int const status = test::run_python(script, "write", folder.path());
  if (!test::python_available(status, packages)) return;
  BOOST_TEST_REQUIRE(status == 0, test::slurp(folder / "output.txt"));
  auto const film = io::read_npy<float, 4>(folder / "film.npy");
  for (std::string const name : {"imagej.tif", "ome.ome.tif", "channels.ome.tif"}) {
    BOOST_TEST_CONTEXT(name) {
      auto const found = io::read_recording(folder / name);
      BOOST_TEST((found.frames == film));
      if (name == "channels.ome.tif") continue;
      BOOST_TEST(found.pixel_size_um == 0.325, boost::test_tools::tolerance(1e-6));
      BOOST_TEST(found.interval_s == 300.0);
    }
  }
  auto const set = io::read_roi_set(folder / "RoiSet.zip");
  std::map<std::string, sp::ring> found;
  for (auto const& area : set.areas) found[area.name] = area.rings.at(0);
  std::ifstream names{folder / "names.txt"};
  std::size_t count = 0;
  for (std::string name; std::getline(names, name); ++count) BOOST_TEST_CONTEXT(name) {
      BOOST_REQUIRE(found.contains(name));
      BOOST_TEST(
          (corners(found[name]) == io::read_npy<double, 2>(folder / ("area_" + name + ".npy"))));
    }
  BOOST_TEST(count == 5U);
  BOOST_TEST(found.size() == count);
  for (std::string const name : {"plain.npz", "packed.npz"}) {
    io::npz_reader const arrays{folder / name};
    BOOST_TEST(
        (arrays.read<std::int32_t, 4>("a") == io::read_npy<std::int32_t, 4>(folder / "a.npy")));
    BOOST_TEST((arrays.read<double, 2>("b") == io::read_npy<double, 2>(folder / "b.npy")));
  }
}

BOOST_AUTO_TEST_CASE(they_read_our_files) {
  test::temporary_folder const folder;
  sp::movie film = sp::movie::from_shape({4, 20, 30, 2});
  for (std::size_t i = 0; i < film.size(); ++i) film.data()[i] = static_cast<float>(i) / 3.0F;
  io::write_npy(folder / "film.npy", film);
  io::tiff_write_options options{
      .pixel_size_um = 0.325, .interval_s = 300.0, .channel_names = {"phase", "nuclear"}};
  io::write_tiff(folder / "imagej.tif", film, options);
  options.ome = true;
  io::write_tiff(folder / "ome.tif", film, options);
  auto const cells = test::random_cells(90, 120, 30, 4);
  io::write_npy(folder / "labels.npy", cells);
  io::npz_writer arrays{folder / "arrays.npz"};
  arrays.add("labels", cells);
  arrays.add("film", film);
  arrays.commit();
  io::roi_set set{.areas = io::areas_of(cells), .rows = 90, .columns = 120};
  // The same outlines half a pixel further, which needs fractions.
  for (std::size_t k = 0; k < 4; ++k) {
    io::roi moved = set.areas[k];
    moved.name += "b";
    for (auto& ring : moved.rings)
      for (auto& point : ring) point.row += 0.5;
    moved.fit_box();
    set.areas.push_back(moved);
  }
  io::write_roi_set(folder / "RoiSet.zip", set);
  bool composite = false;
  for (auto const& area : set.areas) {
    composite = composite || area.rings.size() > 1;
    for (std::size_t k = 0; k < area.rings.size(); ++k)
      io::write_npy(folder / ("ring_" + area.name + "_" + std::to_string(k) + ".npy"),
                    corners(area.rings[k]));
  }
  BOOST_TEST(composite, "expected a cell in two parts among the random cells");
  int const status = test::run_python(script, "check", folder.path());
  if (!test::python_available(status, packages)) return;
  BOOST_TEST(status == 0, test::slurp(folder / "output.txt"));
}

BOOST_AUTO_TEST_SUITE_END()
