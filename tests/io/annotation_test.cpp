#include <septum/io/annotation.hpp>
#include <support/hostile.hpp>
#include <support/shared_data.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace io = septum::io;
namespace sp = septum;

namespace {

/// A folder with two channels and the masks of one square cell.
class small_dataset : public test::temporary_folder {
 public:
  static constexpr char const* edge[] = {".........", ".#######.", ".#.....#.",
                                         ".#.....#.", ".#.....#.", ".#######.",
                                         ".........", ".........", "........."};
  static constexpr char const* interior[] = {".........", ".........", "..#####..",
                                             "..#####..", "..#####..", ".........",
                                             ".........", ".........", "........."};

  small_dataset() {
    xt::xtensor<std::uint16_t, 2> pixels = xt::xtensor<std::uint16_t, 2>::from_shape({9, 9});
    for (std::size_t i = 0; i < pixels.size(); ++i)
      pixels.data()[i] = static_cast<std::uint16_t>(i);
    io::write_tiff(*this / "phase.tif", pixels, {.pixel_size_um = 0.5});
    pixels *= 2;
    io::write_tiff(*this / "nuclear.tif", pixels);
    put_mask("edge.png", test::mask_of(edge));
    put_mask("interior.png", test::mask_of(interior));
  }
  void put_mask(std::string const& name, sp::mask pixels) const {
    pixels *= 255;
    io::write_png(*this / name, pixels);
  }
  [[nodiscard]] std::string message(std::vector<std::string> const& wanted = {}) const {
    try {
      static_cast<void>(io::read_dataset(path(), wanted));
    } catch (sp::error const& failure) {
      return failure.message();
    }
    return {};
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(dataset_folders)

BOOST_AUTO_TEST_CASE(masks_give_the_annotation) {
  small_dataset const folder;
  auto const data = io::read_dataset(folder.path(), {"phase", "nuclear"});
  BOOST_TEST(data.name == folder.path().filename().string());
  BOOST_TEST(data.channels == (std::vector<std::string>{"phase", "nuclear"}),
             boost::test_tools::per_element());
  BOOST_TEST(data.pixels(0, 3, 0) == 3.0F);
  BOOST_TEST(data.pixels(0, 3, 1) == 6.0F);
  BOOST_TEST(data.pixel_size_um == 0.5);
  BOOST_TEST(data.truth.class_names == (std::vector<std::string>{"edge", "interior", "background"}),
             boost::test_tools::per_element());
  BOOST_TEST(data.truth.class_of_pixel(3, 4) == 1);
  BOOST_TEST(data.truth.class_of_pixel(1, 1) == 0);
  BOOST_TEST(data.truth.class_of_pixel(8, 8) == 2);
  BOOST_TEST(!data.instances.has_value());
  BOOST_TEST(io::read_dataset(folder.path()).channels.front() == "nuclear");
  BOOST_TEST(io::read_dataset(folder.path(), {"nuclear"}).pixels.shape()[2] == 1U);
}

BOOST_AUTO_TEST_CASE(several_cell_types_become_classes_by_name) {
  small_dataset const folder;
  std::filesystem::remove(folder / "interior.png");
  sp::mask first = test::mask_of(small_dataset::interior);
  sp::mask second = first;
  for (std::size_t r = 0; r < 9; ++r)
    for (std::size_t c = 0; c < 9; ++c) (c < 4 ? second : first)(r, c) = 0;
  folder.put_mask("interior_mcf10a.png", first);
  folder.put_mask("interior_3t3.png", second);
  auto const data = io::read_dataset(folder.path());
  BOOST_TEST(
      data.truth.class_names == (std::vector<std::string>{"edge", "3t3", "mcf10a", "background"}),
      boost::test_tools::per_element());
  BOOST_TEST(data.truth.class_of_pixel(3, 6) == 1);
  BOOST_TEST(data.truth.class_of_pixel(3, 2) == 2);
}

BOOST_AUTO_TEST_CASE(a_label_image_is_enough) {
  small_dataset const folder;
  std::filesystem::remove(folder / "interior.png");
  std::filesystem::remove(folder / "edge.png");
  sp::labels cells = sp::labels::from_shape({9, 9});
  cells.fill(0);
  for (std::size_t r = 1; r < 6; ++r)
    for (std::size_t c = 1; c < 8; ++c) cells(r, c) = 7;
  io::write_tiff(folder / "labels.tif", cells);
  auto const data = io::read_dataset(folder.path());
  BOOST_TEST((*data.instances == cells));
  BOOST_TEST(data.truth.class_of_pixel(3, 4) == 1);
  BOOST_TEST(data.truth.class_of_pixel(1, 1) == 0);
  BOOST_TEST(*io::inspect_dataset(folder.path()).cells == 1U);
  io::write_tiff(folder / "instances.tif", cells);
  BOOST_TEST(test::contains(folder.message(), "labels or instances, found both"));
}

BOOST_AUTO_TEST_CASE(label_images_and_areas_of_several_types_become_classes) {
  small_dataset const folder;
  std::filesystem::remove(folder / "interior.png");
  std::filesystem::remove(folder / "edge.png");
  sp::labels round = xt::zeros<std::int32_t>({9, 9});
  sp::labels rods = xt::zeros<std::int32_t>({9, 9});
  for (std::size_t r = 1; r < 5; ++r)
    for (std::size_t c = 0; c < 4; ++c) {
      round(r, c) = 3;
      rods(r + 4, c + 5) = 900;
      rods(r, c + 4) = 2;
    }
  io::write_tiff(folder / "labels_round.tif", round);
  io::write_roi_set(folder / "RoiSet_rod.zip", {.areas = io::areas_of(rods)});
  auto const data = io::read_dataset(folder.path());
  BOOST_TEST(data.warnings.empty());
  BOOST_TEST(
      data.truth.class_names == (std::vector<std::string>{"edge", "rod", "round", "background"}),
      boost::test_tools::per_element());
  BOOST_TEST(data.truth.class_of_pixel(2, 1) == 2);
  BOOST_TEST(data.truth.class_of_pixel(2, 5) == 1);
  BOOST_TEST(data.truth.class_of_pixel(2, 3) == 0);
  BOOST_TEST((*data.instances)(2, 5) == 1);
  BOOST_TEST((*data.instances)(6, 6) == 2);
  BOOST_TEST((*data.instances)(2, 1) == 3);
  BOOST_TEST(*io::inspect_dataset(folder.path()).cells == 3U);
  io::write_tiff(folder / "labels_rod.tif", rods);
  BOOST_TEST(test::contains(folder.message(), "expected one file per type"));
  std::filesystem::remove(folder / "labels_rod.tif");
  io::write_tiff(folder / "labels.tif", rods);
  BOOST_TEST(test::contains(folder.message(), "all cells in one file or a file per type"));
}

BOOST_AUTO_TEST_CASE(drawn_areas_are_enough) {
  small_dataset const folder;
  std::filesystem::remove(folder / "interior.png");
  std::filesystem::remove(folder / "edge.png");
  io::roi cell{.name = "cell", .rings = {{{1, 1}, {1, 20}, {7, 20}, {7, 1}}}};
  cell.fit_box();
  io::write_roi_set(folder / "RoiSet.zip", {.areas = {cell}});
  auto const data = io::read_dataset(folder.path());
  BOOST_TEST((*data.instances)(3, 8) == 1);
  BOOST_REQUIRE(data.warnings.size() == 1U);
  BOOST_TEST(test::contains(data.warnings[0], "RoiSet.zip: cell: was cut at the border"));
  std::filesystem::rename(folder / "RoiSet.zip", folder / "mine.zip");
  BOOST_TEST(test::contains(folder.message(), "expected areas named RoiSet.zip"));
}

BOOST_AUTO_TEST_CASE(an_experiment_is_a_folder_of_data_sets) {
  test::temporary_folder const experiment;
  for (std::string const name : {"b", "a", ".hidden"})
    std::filesystem::create_directories(experiment / name);
  std::vector<std::filesystem::path> const expected{experiment / "a", experiment / "b"};
  BOOST_TEST((io::list_datasets(experiment.path()) == expected));
  test::spill(experiment / "phase.tif", "x");
  BOOST_TEST((io::list_datasets(experiment.path()) ==
              std::vector<std::filesystem::path>{experiment.path()}));
  BOOST_TEST((io::list_datasets(experiment / "a") ==
              std::vector<std::filesystem::path>{experiment / "a"}));
  BOOST_CHECK_THROW(static_cast<void>(io::list_datasets(experiment / "none")), sp::io_error);
}

BOOST_AUTO_TEST_CASE(what_is_missing_is_named) {
  small_dataset const folder;
  BOOST_TEST(test::contains(folder.message({"phase", "cfp"}),
                            "expected a channel 'cfp', found nuclear, phase"));
  folder.put_mask("interior.png", sp::mask{xt::zeros<std::uint8_t>({9, 9})});
  BOOST_TEST(test::contains(folder.message(), folder.path().string()));
  BOOST_TEST(test::contains(folder.message(), "expected pixels of class 'interior'"));
  folder.put_mask("interior.png", sp::mask{xt::ones<std::uint8_t>({9, 9})});
  BOOST_TEST(test::contains(folder.message(), "expected pixels of class 'edge'"));
  std::filesystem::remove(folder / "edge.png");
  BOOST_TEST(test::contains(folder.message(), "found only interior.png"));
  std::filesystem::remove(folder / "interior.png");
  BOOST_TEST(test::contains(folder.message(), "expected an annotation"));
  std::filesystem::remove(folder / "phase.tif");
  std::filesystem::remove(folder / "nuclear.tif");
  BOOST_TEST(test::contains(folder.message(), "expected a channel such as phase.tif"));
}

BOOST_AUTO_TEST_CASE(sizes_and_values_that_do_not_fit_are_named) {
  small_dataset const folder;
  folder.put_mask("edge.png", sp::mask{xt::ones<std::uint8_t>({9, 8})});
  BOOST_TEST(test::contains(folder.message(),
                            "edge.png: expected the size of nuclear.tif, 9 x 9, found 9 x 8"));
  io::write_tiff(folder / "nuclear.tif", xt::xtensor<std::uint8_t, 2>{{1, 2}});
  BOOST_TEST(test::contains(folder.message(), "nuclear.tif 1 x 2"));
  io::write_tiff(folder / "nuclear.tif",
                 xt::xtensor<std::uint8_t, 2>{xt::ones<std::uint8_t>({9, 9})});
  BOOST_TEST(
      test::contains(folder.message(), "nuclear.tif: expected an image, found 1 in every pixel"));
  xt::xtensor<float, 2> spoiled = xt::ones<float>({9, 9});
  spoiled(0, 0) = 2.0F;
  spoiled(2, 3) = std::nanf("");
  io::write_tiff(folder / "nuclear.tif", spoiled);
  BOOST_TEST(test::contains(folder.message(), "found 1 that are NaN"));
  io::write_png(folder / "nuclear.png", xt::xtensor<std::uint8_t, 2>{{1, 2}});
  BOOST_TEST(
      test::contains(folder.message(), "one file per name, found nuclear.png and nuclear.tif"));
}

BOOST_AUTO_TEST_CASE(inspection_collects_all_problems) {
  small_dataset const folder;
  auto const fine = io::inspect_dataset(folder.path());
  BOOST_TEST(fine.problems.empty());
  BOOST_TEST(fine.channels.size() == 2U);
  BOOST_TEST(fine.channels[1].name == "phase");
  BOOST_TEST(fine.channels[1].median == 40.0F);
  BOOST_TEST(fine.channels[1].highest == 80.0F);
  BOOST_TEST(fine.pixel_size_um == 0.5);
  BOOST_TEST(fine.pixels_of_class[1] == 15U);
  BOOST_TEST(fine.pixels_of_class[0] + fine.pixels_of_class[1] + fine.pixels_of_class[2] == 81U);
  BOOST_TEST(fine.unlabelled == 0U);
  test::spill(folder / "nuclear.tif", "broken");
  test::spill(folder / "phase.tif", "II broken too");
  BOOST_TEST(io::inspect_dataset(folder.path()).problems.size() == 2U);
  BOOST_CHECK_THROW(static_cast<void>(io::inspect_dataset(folder / "nothing")), sp::io_error);
}

BOOST_AUTO_TEST_CASE(the_published_sets_are_usable) {
  auto const folder = test::shared_data("hela_validation");
  if (!folder) return;
  auto const data = io::read_dataset(*folder, {"phase", "nuclear"});
  BOOST_TEST(data.truth.classes() == 3);
  BOOST_TEST(data.instances.has_value());
  BOOST_TEST(io::inspect_dataset(*folder).problems.empty());
}

BOOST_AUTO_TEST_SUITE_END()
