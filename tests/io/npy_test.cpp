#include <septum/io/image.hpp>
#include <septum/io/npy.hpp>
#include <support/hostile.hpp>
#include <support/shared_data.hpp>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace io = septum::io;
namespace sp = septum;

namespace {

/// A file with the given Python dictionary as header.
std::string npy(std::string header, std::string const& data, char version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += version;
  bytes += '\0';
  bytes += static_cast<char>(header.size() & 0xFFU);
  bytes += static_cast<char>(header.size() >> 8U & 0xFFU);
  if (version > 1) bytes += std::string(2, '\0');
  return bytes + header + data;
}

std::string dictionary(std::string const& type, std::string const& fortran,
                       std::string const& shape) {
  return "{'descr': '" + type + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

std::string npy_refusal(std::string const& bytes) {
  auto const content = test::content_of(bytes);
  try {
    static_cast<void>(io::read_npy_header(content.bytes(), "some.npy"));
  } catch (sp::error const& failure) {
    BOOST_TEST(test::names_file(failure, "some.npy"));
    return failure.message();
  }
  return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(npy_format)

BOOST_AUTO_TEST_CASE(written_arrays_come_back) {
  test::temporary_folder const folder;
  xt::xtensor<double, 3> const values{{{1.5, -2.0}, {0.1, 4.0}}, {{5.0, 6.0}, {7.0, -0.0}}};
  io::write_npy(folder / "x.npy", values);
  BOOST_TEST((io::read_npy<double, 3>(folder / "x.npy") == values));
  // The bytes that numpy.save gives for numpy.array([1, 2], dtype='<i4').
  io::write_npy(folder / "y.npy", xt::xtensor<std::int32_t, 1>{1, 2});
  std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }";
  header.resize(117, ' ');
  header += '\n';
  BOOST_TEST(test::slurp(folder / "y.npy") == npy(header, std::string("\1\0\0\0\2\0\0\0", 8)));
}

BOOST_AUTO_TEST_CASE(fortran_order_and_big_endian_numbers) {
  test::temporary_folder const folder;
  // Columns after each other: rows are 1 2 3 and 4 5 6.
  test::spill(folder / "f.npy", npy(dictionary("|u1", "True", "(2, 3)"), "\1\4\2\5\3\6"));
  xt::xtensor<std::uint8_t, 2> const expected{{1, 2, 3}, {4, 5, 6}};
  BOOST_TEST((io::read_npy<std::uint8_t, 2>(folder / "f.npy") == expected));
  // Three axes: element (i, j, k) of shape (2, 1, 2) stands at i + 2 k.
  test::spill(folder / "g.npy", npy(dictionary("|u1", "True", "(2, 1, 2)"), "\1\2\3\4"));
  xt::xtensor<std::uint8_t, 3> const cube{{{1, 3}}, {{2, 4}}};
  BOOST_TEST((io::read_npy<std::uint8_t, 3>(folder / "g.npy") == cube));
  test::spill(folder / "b.npy",
              npy(dictionary(">i2", "False", "(2,)"), std::string("\0\1\xFF\xFE", 4)));
  BOOST_TEST(
      (io::read_npy<std::int16_t, 1>(folder / "b.npy") == xt::xtensor<std::int16_t, 1>{1, -2}));
}

BOOST_AUTO_TEST_CASE(other_types_and_shapes_are_refused) {
  test::temporary_folder const folder;
  io::write_npy(folder / "x.npy", xt::xtensor<float, 2>{{1, 2}});
  BOOST_CHECK_THROW((static_cast<void>(io::read_npy<double, 2>(folder / "x.npy"))), sp::io_error);
  BOOST_CHECK_THROW((static_cast<void>(io::read_npy<float, 3>(folder / "x.npy"))), sp::io_error);
  BOOST_CHECK_THROW((static_cast<void>(io::read_npy<std::int32_t, 2>(folder / "x.npy"))),
                    sp::io_error);
}

BOOST_AUTO_TEST_CASE(damaged_and_dangerous_headers) {
  auto const with = [](std::string const& type, std::string const& fortran,
                       std::string const& shape, std::string const& data = "abcd") {
    return npy_refusal(npy(dictionary(type, fortran, shape), data));
  };
  BOOST_TEST(with("|u1", "False", "(4,)").empty());
  BOOST_TEST(with("|u1", "False", "(2, 2)").empty());
  BOOST_TEST(with("|u1", "False", "(2, 0)", "").empty());
  BOOST_TEST(test::contains(with("|O", "False", "(1,)"), "Python objects"));
  BOOST_TEST(test::contains(with("<c8", "False", "(1,)"), "found type '<c8'"));
  BOOST_TEST(test::contains(with("<U1", "False", "(1,)"), "found type '<U1'"));
  BOOST_TEST(test::contains(with("<f2", "False", "(2,)"), "found type '<f2'"));
  BOOST_TEST(test::contains(with("|u1", "False", "(-4,)"), "expected extents from 0"));
  BOOST_TEST(
      test::contains(with("|u1", "False", "(18446744073709551617,)"), "expected extents from 0"));
  BOOST_TEST(
      test::contains(with("<f8", "False", "(4294967296, 4294967296)"), "larger than any file"));
  BOOST_TEST(
      test::contains(with("<f8", "False", "(2305843009213693952,)"), "larger than any file"));
  BOOST_TEST(test::contains(with("|u1", "False", "(5,)"),
                            "expected 5 bytes for shape (5,) of type <u1, found 4"));
  BOOST_TEST(test::contains(with("|u1", "False", "(3,)"), "expected 3 bytes"));
  BOOST_TEST(test::contains(with("|u1", "Maybe", "(4,)"), "True or False"));
  BOOST_TEST(test::contains(
      npy_refusal(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "abcd")),
      "record of fields"));
  BOOST_TEST(test::contains(npy_refusal(npy("{'descr': '|u1', 'shape': (4,)}", "abcd")),
                            "expected 'descr'"));
  BOOST_TEST(test::contains(
      npy_refusal(npy("{'descr': '|u1', 'descr': '|u1', 'shape': (4,)}", "abcd")), "once"));
  BOOST_TEST(test::contains(
      npy_refusal(npy(dictionary("|u1", "False", "(4,)") + "__import__('os')", "abcd")),
      "end of the header"));
  BOOST_TEST(test::contains(npy_refusal(npy("{}", "abcd", 9)), "version 1, 2 or 3, found 9"));
  BOOST_TEST(test::contains(npy_refusal("\x93NUMPY"), "cut short"));
  std::string ones = "(";
  for (int i = 0; i < 40; ++i) ones += "1,";
  BOOST_TEST(test::contains(with("|u1", "False", ones + "4)"), "at most 32 axes"));
  std::string large = npy(dictionary("|u1", "False", "(4,)"), "abcd", 2);
  large[10] = '\x01';
  BOOST_TEST(test::contains(npy_refusal(large), "at most 65535 bytes"));
}

BOOST_AUTO_TEST_CASE(every_cut_and_every_changed_byte) {
  test::temporary_folder const folder;
  io::write_npy(folder / "x.npy", xt::xtensor<std::int16_t, 2>{{1, 2, 3}, {4, 5, 6}});
  std::string const bytes = test::slurp(folder / "x.npy");
  int errors = 0;
  test::for_each_damage(bytes, [&](std::string const& damaged, std::size_t, bool cut) {
    std::string const message = npy_refusal(damaged);
    BOOST_TEST((!cut || !message.empty()));
    errors += message.empty() ? 0 : 1;
  });
  BOOST_TEST(errors > 300);
}

BOOST_AUTO_TEST_CASE(arrays_are_images_and_labels) {
  test::temporary_folder const folder;
  io::write_npy(folder / "x.npy", xt::xtensor<std::uint16_t, 2>{{1, 2, 3}, {4, 5, 60000}});
  BOOST_TEST(io::read_image(folder / "x.npy")(1, 2, 0) == 60000.0F);
  BOOST_TEST(io::read_labels(folder / "x.npy")(1, 2) == 60000);
  io::write_npy(folder / "y.npy", xt::xtensor<double, 3>{{{1, 2}, {3, 0.5}}});
  BOOST_TEST(io::read_image(folder / "y.npy")(0, 1, 1) == 0.5F);
  BOOST_CHECK_THROW(static_cast<void>(io::read_labels(folder / "y.npy")), sp::io_error);
  io::write_npy(folder / "z.npy", xt::xtensor<std::int64_t, 2>{{1, 3000000000}});
  BOOST_CHECK_THROW(static_cast<void>(io::read_labels(folder / "z.npy")), sp::io_error);
  io::write_npy(folder / "w.npy", xt::xtensor<std::int64_t, 1>{1});
  BOOST_CHECK_THROW(static_cast<void>(io::read_image(folder / "w.npy")), sp::io_error);
}

BOOST_AUTO_TEST_CASE(numpy_s_own_files_are_read) {
  auto const folder = test::shared_data("prediction_cases/nuclei_2016_net0");
  if (!folder) return;
  auto const values = io::read_npy<float, 3>(*folder / "expected_probability.npy");
  BOOST_TEST(values.shape()[0] == 3U);
  BOOST_TEST(values(0, 3, 4) + values(1, 3, 4) + values(2, 3, 4) == 1.0F,
             boost::test_tools::tolerance(1e-5F));
  test::temporary_folder const own;
  io::write_npy(own / "x.npy", values);
  BOOST_TEST((test::slurp(own / "x.npy") == test::slurp(*folder / "expected_probability.npy")));
}

BOOST_AUTO_TEST_SUITE_END()
