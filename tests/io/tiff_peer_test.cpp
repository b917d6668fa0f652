#include <septum/io/npy.hpp>
#include <septum/io/tiff.hpp>
#include <support/hostile.hpp>
#include <support/python_peer.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xview.hpp>

/// tifffile, an independent reader and writer, as the other side of septum's TIFF files.
namespace io = septum::io;
namespace sp = septum;
namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(tiff_peer)

BOOST_AUTO_TEST_CASE(files_of_tifffile_are_read) {
  test::temporary_folder const folder;
  int const status = test::run_python("make_tiff_matrix.py", "write", folder.path());
  if (!test::python_available(status, "tifffile")) return;
  BOOST_TEST_REQUIRE(status == 0, test::slurp(folder / "output.txt"));
  std::ifstream list{folder / "list.txt"};
  int files = 0;
  for (std::string name; std::getline(list, name); ++files) {
    BOOST_TEST_CONTEXT(name) {
      io::tiff_reader const file{folder / (name + ".tif")};
      auto const image = file.read(0);
      fs::path const expected_path = folder / (name + ".npy");
      if (file.page(0).samples == 1) {
        auto const expected = io::read_npy<float, 2>(expected_path);
        BOOST_TEST((xt::view(image, xt::all(), xt::all(), 0) == expected));
      } else {
        BOOST_TEST((image == io::read_npy<float, 3>(expected_path)));
      }
    }
  }
  BOOST_TEST(files >= 50);
  BOOST_TEST_MESSAGE(files << " files of tifffile are equal");
}

BOOST_AUTO_TEST_CASE(files_of_septum_are_read_by_tifffile) {
  test::temporary_folder const folder;
  auto const put = [&](std::string const& name, auto const& array,
                       auto const& as_tifffile_sees_it) {
    io::write_tiff(folder / (name + ".tif"), array);
    io::write_npy(folder / (name + ".npy"), as_tifffile_sees_it);
  };
  sp::labels cells = test::random_cells(70, 90, 30, 1);
  put("labels16", cells, xt::xtensor<std::uint16_t, 2>{xt::cast<std::uint16_t>(cells)});
  cells(0, 0) = 70000;
  put("labels32", cells, xt::xtensor<std::uint32_t, 2>{xt::cast<std::uint32_t>(cells)});
  sp::image maps = sp::image::from_shape({50, 300, 3});
  for (std::size_t i = 0; i < maps.size(); ++i) maps.data()[i] = static_cast<float>(i) / 7.0F;
  put("probabilities", maps, sp::image{xt::transpose(maps, {2, 0, 1})});
  sp::movie film = sp::movie::from_shape({4, 20, 30, 2});
  for (std::size_t i = 0; i < film.size(); ++i) film.data()[i] = static_cast<float>(i);
  put("movie", film, sp::movie{xt::transpose(film, {0, 3, 1, 2})});
  xt::xtensor<std::uint8_t, 2> const gray = xt::cast<std::uint8_t>(cells);
  put("gray", gray, gray);
  int const status = test::run_python("make_tiff_matrix.py", "check", folder.path());
  if (!test::python_available(status, "tifffile")) return;
  BOOST_TEST(status == 0, test::slurp(folder / "output.txt"));
}

BOOST_AUTO_TEST_SUITE_END()
