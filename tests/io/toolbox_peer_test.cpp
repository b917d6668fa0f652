#include <septum/image/components.hpp>
#include <septum/image/distance.hpp>
#include <septum/image/local_threshold.hpp>
#include <septum/image/otsu.hpp>
#include <septum/image/regions.hpp>
#include <septum/image/watershed.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/npy.hpp>
#include <support/hostile.hpp>
#include <support/python_peer.hpp>
#include <support/shared_data.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>
#include <vector>

/// The refinement toolbox beside scikit-image and scipy on real cells.
namespace io = septum::io;
namespace sp = septum;

namespace {

struct real_cells {
  std::string name;
  sp::labels cells;
  xt::xtensor<float, 2> raw;
};

/// Annotated cells and the first channel of an image; nothing where the data are absent.
std::vector<real_cells> real_images() {
  std::vector<real_cells> result;
  for (std::string const name : {"hela_validation", "ecoli/set1", "nuclei/validation"}) {
    auto const folder = test::shared_data(name);
    if (!folder) continue;
    auto const files = io::list_dataset(*folder);
    auto const pixels = io::read_image(files.channels.front().path);
    real_cells each{
        name, {}, xt::xtensor<float, 2>::from_shape({pixels.shape()[0], pixels.shape()[1]})};
    for (std::size_t p = 0; p < each.raw.size(); ++p)
      each.raw.data()[p] = pixels.data()[p * pixels.shape()[2]];
    each.cells = files.instances
                     ? io::read_labels(*files.instances)
                     : sp::connected_components(io::read_mask(files.interiors.front().path));
    static_cast<void>(sp::relabel_sequential(each.cells));
    result.push_back(std::move(each));
  }
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(toolbox_peer)

BOOST_AUTO_TEST_CASE(real_cells_give_the_peers_results) {
  for (auto const& [name, cells, raw] : real_images()) {
    BOOST_TEST_CONTEXT(name) {
      test::temporary_folder const folder;
      sp::mask inside = sp::mask::from_shape(cells.shape());
      for (std::size_t p = 0; p < cells.size(); ++p) inside.data()[p] = cells.data()[p] != 0;
      auto const depth = sp::distance_transform(inside);
      sp::labels relief = cells;
      sp::mask deep = inside;
      for (std::size_t p = 0; p < cells.size(); ++p) {
        relief.data()[p] = -static_cast<std::int32_t>(8 * depth.data()[p]);
        deep.data()[p] = depth.data()[p] > 3 ? 1 : 0;
      }
      auto const seeds = sp::connected_components(deep);
      io::write_npy(folder / "labels.npy", cells);
      io::write_npy(folder / "raw.npy", raw);
      io::write_npy(folder / "relief.npy", relief);
      io::write_npy(folder / "seeds.npy", seeds);
      int const status = test::run_python("toolbox_peer.py", "check", folder.path());
      if (!test::python_available(status, "scikit-image and scipy")) return;
      BOOST_TEST_REQUIRE(status == 0, test::slurp(folder / "output.txt"));

      BOOST_TEST((depth == io::read_npy<float, 2>(folder / "distance.npy")));
      BOOST_TEST((sp::watershed(relief, seeds, inside, {.ties = sp::tie_order::scikit_image}) ==
                  io::read_npy<std::int32_t, 2>(folder / "watershed.npy")));
      BOOST_TEST((sp::above_local_median(sp::as_view(raw), 15, 0) ==
                  io::read_npy<std::uint8_t, 2>(folder / "local.npy")));
      auto const otsu = io::read_npy<double, 1>(folder / "otsu.npy")(0);
      BOOST_TEST(sp::otsu_threshold({raw.data(), raw.size()}) == static_cast<float>(otsu),
                 boost::test_tools::tolerance(1e-5F));

      // Where two cells are equally near, scipy takes either and septum the smaller label; both
      // reach the same pixels.
      auto const grown = sp::nearest_label(cells, 10);
      auto const expanded = io::read_npy<std::int32_t, 2>(folder / "expanded.npy");
      std::size_t differing = 0;
      std::size_t unequal_reach = 0;
      for (std::size_t p = 0; p < cells.size(); ++p) {
        unequal_reach += (grown.data()[p] != 0) != (expanded.data()[p] != 0) ? 1U : 0U;
        if (grown.data()[p] == expanded.data()[p]) continue;
        ++differing;
        BOOST_TEST_REQUIRE(grown.data()[p] < expanded.data()[p]);
      }
      BOOST_TEST(unequal_reach == 0U);
      BOOST_TEST(differing * 200 < cells.size());

      sp::image pixels = sp::image::from_shape({raw.shape()[0], raw.shape()[1], 1});
      std::copy(raw.begin(), raw.end(), pixels.begin());
      auto const regions = sp::measure_regions(cells, pixels);
      auto const expected = io::read_npy<double, 2>(folder / "regions.npy");
      BOOST_TEST_REQUIRE(expected.shape()[0] == regions.size());
      double const tiny = 1e-9;
      std::size_t convex_differs = 0;
      for (std::size_t k = 0; k < regions.size(); ++k) {
        auto const& cell = regions[k];
        auto const close = [&](double found, std::size_t column) {
          double const wanted = expected(k, column);
          return std::abs(found - wanted) <= tiny * std::max(1.0, std::abs(wanted));
        };
        BOOST_TEST_REQUIRE(cell.label == expected(k, 0));
        BOOST_TEST(static_cast<double>(cell.area_px) == expected(k, 1));
        BOOST_TEST(close(cell.centroid_row_px, 2));
        BOOST_TEST(close(cell.centroid_column_px, 3));
        BOOST_TEST(cell.row_begin == expected(k, 4));
        BOOST_TEST(cell.column_begin == expected(k, 5));
        BOOST_TEST(cell.row_end == expected(k, 6));
        BOOST_TEST(cell.column_end == expected(k, 7));
        BOOST_TEST(close(cell.major_axis_px, 8));
        BOOST_TEST(std::abs(cell.minor_axis_px - expected(k, 9)) < 1e-6);
        BOOST_TEST(std::abs(cell.eccentricity - expected(k, 10)) < 1e-9);
        // A line of pixels up or right: an angle and its opposite.
        double const turn = std::abs(cell.orientation_rad - expected(k, 11));
        BOOST_TEST((turn < 1e-6 || std::abs(turn - 3.14159265358979) < 1e-6));
        convex_differs += static_cast<double>(cell.convex_area_px) != expected(k, 12) ? 1U : 0U;
        // Pixels on the hull: exact here, by floating point there.
        BOOST_TEST(std::abs(static_cast<double>(cell.convex_area_px) - expected(k, 12)) <= 3);
        BOOST_TEST(close(cell.perimeter_px, 13));
        BOOST_TEST(std::abs(cell.mean_intensity / expected(k, 14) - 1) < 1e-6);
        BOOST_TEST(static_cast<double>(cell.intensity[0].minimum) == expected(k, 15));
        BOOST_TEST(static_cast<double>(cell.intensity[0].maximum) == expected(k, 16));
      }
      BOOST_TEST_MESSAGE(name << ": " << regions.size() << " cells, convex area differs in "
                              << convex_differs << ", equally near cells at " << differing
                              << " pixels");
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
