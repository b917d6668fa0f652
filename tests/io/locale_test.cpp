#include <septum/io/csv.hpp>
#include <septum/io/image.hpp>
#include <septum/io/model.hpp>
#include <septum/io/npy.hpp>
#include <septum/report/figures.hpp>
#include <support/hostile.hpp>

#include <boost/test/unit_test.hpp>
#include <clocale>
#include <cstdio>
#include <locale>
#include <sstream>
#include <string>

namespace io = septum::io;

namespace {

/// Comma for the decimals and point for the thousands, as in much of Europe.
struct comma_punctuation : std::numpunct<char> {
  [[nodiscard]] char do_decimal_point() const override { return ','; }
  [[nodiscard]] char do_thousands_sep() const override { return '.'; }
  [[nodiscard]] std::string do_grouping() const override { return "\3"; }
};

/// Makes the whole process speak with decimal commas while it lives: C++ streams always, C
/// functions where such a locale is installed.
struct comma_locale {
  std::locale outer =
      std::locale::global(std::locale{std::locale::classic(), new comma_punctuation});
  comma_locale() {
    for (char const* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8"})
      if (std::setlocale(LC_ALL, name) != nullptr) return;
    BOOST_TEST_MESSAGE("skipped for C functions: no locale with decimal commas is installed");
  }
  ~comma_locale() {
    std::locale::global(outer);
    std::setlocale(LC_ALL, "C");
  }
};

/// Everything that septum writes as text, and the numbers it reads back from it.
std::string all_texts() {
  test::temporary_folder const folder;
  io::csv_writer table{folder / "x.csv", {"a", "b"}};
  table.row(65536, 0.75);
  table.commit();
  io::csv_table const back{folder / "x.csv"};
  BOOST_TEST(back.number<int>(0, 0) == 65536);
  BOOST_TEST(back.number<double>(0, 1) == 0.75);
  septum::model trained;
  trained.description.receptive_field = 31;
  trained.description.pixel_size_um = 0.325;
  trained.description.channels = {"phase"};
  trained.description.classes = {"edge"};
  trained.layout = {{"a", {1}, 0, 1}};
  trained.parameter_sets = {{1.5F}};
  io::write_model(folder / "m", trained);
  BOOST_TEST(io::read_model(folder / "m").description.pixel_size_um == 0.325);
  io::write_npy(folder / "x.npy", xt::xtensor<float, 2>{{0.5F, 70000.0F}});
  BOOST_TEST(io::read_image(folder / "x.npy")(0, 1, 0) == 70000.0F);
  io::write_tiff(folder / "x.tif", xt::xtensor<float, 2>{{0.5F, 70000.0F}}, {.pixel_size_um = 0.5});
  BOOST_TEST(io::read_scaled_image(folder / "x.tif").pixel_size_um == 0.5);
  septum::report::series const line{.name = "x", .x = {0.5, 1e5}, .y = {0.25, 1234567.5}};
  return test::slurp(folder / "x.csv") + test::slurp(folder / "m") + test::slurp(folder / "x.npy") +
         test::slurp(folder / "x.tif") + septum::report::line_plot({}, {line});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(locales)

BOOST_AUTO_TEST_CASE(nothing_depends_on_the_locale) {
  std::string const expected = all_texts();
  comma_locale const european;
  std::ostringstream witness;
  witness << 65536 << ' ' << 0.75;
  BOOST_TEST(witness.str() == "65.536 0,75");
  BOOST_TEST((all_texts() == expected));
}

BOOST_AUTO_TEST_SUITE_END()
