#include <septum/io/npy.hpp>
#include <septum/measure/cell_statistics.hpp>
#include <support/hostile.hpp>
#include <support/shared_data.hpp>

#include <sys/wait.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

/// scikit-image's regionprops and numpy on the cells of real images.
namespace sp = septum;
namespace fs = std::filesystem;

namespace {

/// Runs the peer with the Python in SEPTUM_PYTHON, or python3; returns its exit status.
int run_peer(fs::path const& data, fs::path const& folder) {
  char const* const python = std::getenv("SEPTUM_PYTHON");
  fs::path const script =
      fs::path{__FILE__}.parent_path().parent_path() / "golden" / "cell_statistics_peer.py";
  std::string const line = std::string{python == nullptr ? "python3" : python} + " '" +
                           script.string() + "' '" + data.string() + "' '" + folder.string() +
                           "' > '" + (folder / "output.txt").string() + "' 2>&1";
  int const status = std::system(line.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Largest difference relative to a scale.
struct worst_difference {
  double value = 0;
  void add(double found, double expected, double scale) {
    value = std::max(value, std::abs(found - expected) / std::max(scale, 1e-12));
  }
};

void check_set(fs::path const& folder, std::string const& name) {
  auto const cells = septum::io::read_npy<std::int32_t, 2>(folder / (name + ".labels.npy"));
  auto const pixels = septum::io::read_npy<float, 3>(folder / (name + ".pixels.npy"));
  auto const table = septum::io::read_npy<double, 2>(folder / (name + ".table.npy"));
  auto const found = sp::measure_cells(cells, pixels, {}, sp::exec::threads{2});
  BOOST_REQUIRE_EQUAL(found.size(), table.shape()[0]);
  int hull_differences = 0;
  worst_difference real;
  worst_difference rounded;
  for (std::size_t k = 0; k < found.size(); ++k) {
    auto const& shape = found[k].shape;
    auto const value = [&](std::size_t column) { return table(k, column); };
    BOOST_TEST_CONTEXT(name << " label " << shape.label) {
      BOOST_TEST(static_cast<double>(shape.label) == value(0));
      BOOST_TEST(static_cast<double>(shape.area_px) == value(1));
      BOOST_TEST(shape.row_begin == value(2));
      BOOST_TEST(shape.column_begin == value(3));
      BOOST_TEST(shape.row_end == value(4));
      BOOST_TEST(shape.column_end == value(5));
      // Ours is exact; scikit-image decides about pixels on the hull in floating point.
      double const hull = static_cast<double>(shape.convex_area_px) - value(6);
      BOOST_TEST(std::abs(hull) <= 1);
      hull_differences += hull != 0 ? 1 : 0;
      real.add(shape.centroid_row_px, value(7), value(7));
      real.add(shape.centroid_column_px, value(8), value(8));
      real.add(shape.major_axis_px, value(9), value(9));
      if (value(10) > 0) real.add(shape.minor_axis_px, value(10), value(10));
      real.add(shape.eccentricity, value(11), 1);
      // Where both axes are equal, the angle is not defined.
      if (value(11) > 1e-6) real.add(std::sin(shape.orientation_rad - value(12)), 0, 1);
      if (hull == 0) real.add(shape.solidity, value(13), 1);
      real.add(shape.perimeter_px, value(14), value(14));
      BOOST_REQUIRE_EQUAL(found[k].channels.size(), pixels.shape()[2]);
      for (std::size_t channel = 0; channel < pixels.shape()[2]; ++channel) {
        auto const& intensity = found[k].channels[channel];
        std::size_t const at = 15 + channel * 10;
        rounded.add(intensity.mean, value(at), value(at));
        rounded.add(intensity.sum, value(at + 1), value(at + 1));
        BOOST_TEST(static_cast<double>(intensity.minimum) == value(at + 2));
        BOOST_TEST(static_cast<double>(intensity.maximum) == value(at + 3));
        for (std::size_t p = 0; p < sp::cell_percentiles.size(); ++p)
          rounded.add(intensity.percentiles[p], value(at + 4 + p), value(at + 4 + p));
        BOOST_TEST(intensity.background == value(at + 9));
      }
    }
  }
  BOOST_TEST(real.value < 1e-6);
  BOOST_TEST(rounded.value < 1e-6);
  BOOST_TEST_MESSAGE(name << ": " << found.size() << " cells, convex area differs by one pixel in "
                          << hull_differences << ", shapes within " << real.value
                          << ", intensities within " << rounded.value);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cell_statistics_peer)

BOOST_AUTO_TEST_CASE(real_cells_as_scikit_image_measures_them) {
  auto const data = test::shared_data("nuclei/validation");
  if (!data) return;
  test::temporary_folder const folder;
  int const status = run_peer(data->parent_path().parent_path(), folder.path());
  if (status == 77 || status == 127) {
    BOOST_TEST_MESSAGE("skipped: no Python with scikit-image (name one in SEPTUM_PYTHON)");
    return;
  }
  BOOST_TEST_REQUIRE(status == 0, test::slurp(folder / "output.txt"));
  int sets = 0;
  for (char const* name : {"nuclei", "hela", "ecoli"})
    if (fs::exists(folder / (std::string{name} + ".table.npy"))) {
      check_set(folder.path(), name);
      ++sets;
    }
  BOOST_TEST(sets > 0);
}

BOOST_AUTO_TEST_SUITE_END()
