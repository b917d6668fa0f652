#include <septum/io/cells.hpp>
#include <septum/io/csv.hpp>
#include <support/hostile.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace io = septum::io;
namespace sp = septum;

namespace {

io::csv_table table_of(std::string const& text, io::csv_limits const& limits = {}) {
  return io::csv_table{test::content_of(text), "some.csv", limits};
}

template <class Action>
std::string csv_refusal(Action const& action) {
  try {
    action();
  } catch (sp::error const& failure) {
    BOOST_TEST(test::names_file(failure, "some.csv"));
    return failure.message();
  }
  return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(csv)

BOOST_AUTO_TEST_CASE(fields_are_quoted_where_they_have_to_be) {
  test::temporary_folder const folder;
  io::csv_writer table{folder / "x.csv", {"name", "a,b", "number"}};
  table.row("plain text", 1, 0.1);
  table.row("with \"quotes\"", -5LL, std::nan(""));
  table.row("line\nbreak", true, std::optional<double>{});
  table.row(std::string{"\xCE\xB1, \r"}, 3U, std::optional{2.5F});
  BOOST_TEST(!std::filesystem::exists(folder / "x.csv"));
  table.commit();
  BOOST_TEST(
      test::slurp(folder / "x.csv") ==
      "name,\"a,b\",number\nplain text,1,0.1\n\"with \"\"quotes\"\"\",-5,\n\"line\nbreak\",1,\n"
      "\"\xCE\xB1, \r\",3,2.5\n");
  io::csv_table const back{folder / "x.csv"};
  BOOST_TEST(back.rows() == 4U);
  BOOST_TEST(back.columns()[1] == "a,b");
  BOOST_TEST(back.text(1, 0) == "with \"quotes\"");
  BOOST_TEST(back.text(2, 0) == "line\nbreak");
  BOOST_TEST(back.text(3, 0) == "\xCE\xB1, \r");
  BOOST_TEST(back.line(3) == 6U);
  BOOST_TEST(back.number<double>(0, back.column("number")) == 0.1);
  BOOST_CHECK_THROW(table.row(1, 2), sp::io_error);
}

BOOST_AUTO_TEST_CASE(numbers_come_back_exactly) {
  test::temporary_folder const folder;
  std::vector<double> const values{0.1, 1.0 / 3.0, 1e300, 5e-324, -0.0, 123456789.125};
  io::csv_writer table{folder / "x.csv", {"value"}};
  for (double const value : values) table.row(value);
  table.commit();
  io::csv_table const back{folder / "x.csv"};
  for (std::size_t i = 0; i < values.size(); ++i)
    BOOST_TEST(back.number<double>(i, 0) == values[i]);
}

BOOST_AUTO_TEST_CASE(marks_line_ends_and_empty_lines_of_other_programs) {
  auto const table = table_of("\xEF\xBB\xBFid,x\r\n1,2.5\r\n2,-3e2\r\n\r\n");
  BOOST_TEST(table.columns()[0] == "id");
  BOOST_TEST(table.rows() == 2U);
  BOOST_TEST(table.number<double>(1, 1) == -300.0);
  BOOST_TEST(table_of("id,x\n1,2").rows() == 1U);
  BOOST_TEST(table_of("id\n1\n\n3\n").rows() == 3U);
  BOOST_TEST(table_of("id,x\n").rows() == 0U);
  BOOST_TEST(table_of("a,b\n\"x,1\",\n").text(0, 0) == "x,1");
}

BOOST_AUTO_TEST_CASE(decimal_commas_and_other_separators_are_explained) {
  BOOST_TEST(test::contains(
      csv_refusal([] { table_of("id,x\n1,0,5\n"); }),
      "some.csv: line 2: expected 2 fields, found 3; if numbers have a decimal comma, use a "
      "point"));
  BOOST_TEST(test::contains(csv_refusal([] { table_of("id;x\n1;0,5\n"); }),
                            "expected commas between fields"));
  auto const table = table_of("id,x\n1,\"0,5\"\n2,0.5\n3,1.5x\n4,\n5, 1\n6,1e999\n");
  BOOST_TEST(test::contains(csv_refusal([&] { static_cast<void>(table.number<double>(0, 1)); }),
                            "line 2, column 'x': expected a number, found '0,5'; use a point"));
  BOOST_TEST(table.number<double>(1, 1) == 0.5);
  BOOST_TEST(test::contains(csv_refusal([&] { static_cast<void>(table.number<int>(1, 1)); }),
                            "a whole number"));
  for (std::size_t row = 2; row < 6; ++row)
    BOOST_CHECK_THROW(static_cast<void>(table.number<double>(row, 1)), sp::io_error);
  BOOST_TEST(test::contains(csv_refusal([] { table_of("\xFF\xFEi\0d\0"); }), "found UTF-16"));
}

BOOST_AUTO_TEST_CASE(damage_is_named_by_line) {
  BOOST_TEST(test::contains(csv_refusal([] { table_of("a,b\n1,\"x"); }),
                            "line 2: a quoted field does not end"));
  BOOST_TEST(test::contains(csv_refusal([] { table_of("a,b\n1,\"x\"y\n"); }),
                            "expected a comma after a quoted field"));
  BOOST_TEST(
      test::contains(csv_refusal([] { table_of("a,b\n1\n"); }), "expected 2 fields, found 1"));
  BOOST_TEST(
      test::contains(csv_refusal([] { table_of("a,b\n" + std::string(70000, 'x') + ",1\n"); }),
                     "at most 65536 bytes in a line"));
  BOOST_TEST(test::contains(csv_refusal([] { table_of("a,b\n1,\"" + std::string(200000, 'x')); }),
                            "does not end"));
  BOOST_TEST(test::contains(csv_refusal([] { table_of("a\n1\n2\n3\n", {.max_rows = 2}); }),
                            "at most 2 rows"));
  BOOST_TEST(test::contains(csv_refusal([] { static_cast<void>(table_of("a,b\n").column("c")); }),
                            "expected a column 'c', found a, b"));
}

BOOST_AUTO_TEST_CASE(every_cut_and_every_changed_byte) {
  std::string const text = "id,name,x\n1,\"a \"\"b\"\"\",2.5\n2,plain,-3\n";
  test::for_each_damage(text, [&](std::string const& damaged, std::size_t, bool) {
    if (damaged.empty()) return;
    try {
      auto const table = table_of(damaged);
      for (std::size_t row = 0; row < table.rows(); ++row)
        for (std::size_t column = 0; column < table.columns().size(); ++column)
          BOOST_TEST(table.text(row, column).size() < 100U);
    } catch (sp::error const& failure) {
      BOOST_TEST(test::names_file(failure, "some.csv"));
    }
  });
}

BOOST_AUTO_TEST_CASE(cells_have_one_row_each_with_units) {
  test::temporary_folder const folder;
  sp::labels cells = sp::labels::from_shape({6, 7});
  cells.fill(0);
  for (std::size_t r = 1; r < 4; ++r)
    for (std::size_t c = 2; c < 6; ++c) cells(r, c) = 1;
  cells(5, 6) = 3;
  sp::image pixels = sp::image::from_shape({6, 7, 1});
  pixels.fill(4.0F);
  pixels(5, 6, 0) = 9.0F;
  auto const regions = sp::measure_regions(cells, pixels);
  io::cells_writer table{folder / "cells.csv", {"phase"}};
  std::vector<std::string> const classes{"bacteria", "", "nucleus"};
  table.add("day 1, a.tif", 0, regions, 0.5, classes);
  table.add("b.tif", 1, regions);
  BOOST_TEST(table.rows() == 4U);
  table.commit();
  io::csv_table const back{folder / "cells.csv"};
  std::string header;
  for (std::string const& column : back.columns()) header += column + " ";
  BOOST_TEST(
      header.starts_with("image frame label class area_px area_um2 centroid_y_px centroid_x_px "
                         "major_axis_px minor_axis_px eccentricity solidity "));
  BOOST_TEST(header.ends_with("mean_phase "));
  BOOST_TEST(back.text(0, 0) == "day 1, a.tif");
  BOOST_TEST(back.number<int>(0, back.column("area_px")) == 12);
  BOOST_TEST(back.number<double>(0, back.column("area_um2")) == 3.0);
  BOOST_TEST(back.number<double>(0, back.column("centroid_y_px")) == 2.0);
  BOOST_TEST(back.number<double>(0, back.column("centroid_x_px")) == 3.5);
  BOOST_TEST(back.text(1, back.column("class")) == "nucleus");
  BOOST_TEST(back.number<int>(1, back.column("label")) == 3);
  BOOST_TEST(back.number<double>(1, back.column("mean_phase")) == 9.0);
  BOOST_TEST(back.text(2, back.column("area_um2")).empty());
  BOOST_TEST(back.number<int>(2, back.column("frame")) == 1);
  std::vector<std::string> const two(2);
  BOOST_CHECK_THROW(table.add("x", 0, regions, 0.0, two), sp::shape_error);
  BOOST_CHECK_THROW(table.add("x", 0, sp::measure_regions(cells)), sp::shape_error);
}

BOOST_AUTO_TEST_CASE(cells_of_an_ensemble_carry_their_spread) {
  test::temporary_folder const folder;
  sp::labels cells = xt::zeros<std::int32_t>({4, 4});
  cells(1, 1) = 1;
  cells(3, 3) = 2;
  auto const regions = sp::measure_regions(cells);
  io::cells_writer table{folder / "cells.csv", {}, {}, true};
  std::vector<io::net_spread> const spread{{2.5, 0.125}, {std::nan(""), 0}};
  table.add("a.tif", 0, regions, 0.0, {}, {}, spread);
  table.add("b.tif", 1, regions);
  BOOST_CHECK_THROW(table.add("c.tif", 2, regions, 0.0, {}, {}, std::span{spread}.first(1)),
                    sp::shape_error);
  table.commit();
  io::csv_table const back{folder / "cells.csv"};
  BOOST_TEST(back.number<double>(0, back.column("area_sd_px")) == 2.5);
  BOOST_TEST(back.number<double>(0, back.column("interior_sd")) == 0.125);
  BOOST_TEST(back.text(1, back.column("area_sd_px")).empty());
  BOOST_TEST(back.text(2, back.column("interior_sd")).empty());
}

BOOST_AUTO_TEST_CASE(a_frame_without_cells_is_a_header) {
  test::temporary_folder const folder;
  io::cells_writer table{folder / "cells.csv", {}};
  table.add("empty.tif", 0, {});
  table.commit();
  BOOST_TEST(io::csv_table{folder / "cells.csv"}.rows() == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
