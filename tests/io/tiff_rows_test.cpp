#include <septum/io/tiff.hpp>
#include <septum/io/tiff_rows.hpp>
#include <support/hostile.hpp>
#include <support/tiff_bytes.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>
#include <xtensor/xmath.hpp>

namespace io = septum::io;
namespace sp = septum;

namespace {

template <class T>
xt::xtensor<T, 2> ramp(std::size_t rows, std::size_t columns) {
  xt::xtensor<T, 2> pixels = xt::xtensor<T, 2>::from_shape({rows, columns});
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels.data()[i] = static_cast<T>((i * 2654435761U) % 251U);
  return pixels;
}

sp::labels some_labels(std::size_t rows, std::size_t columns, std::int32_t largest) {
  sp::labels cells = sp::labels::from_shape({rows, columns});
  for (std::size_t i = 0; i < cells.size(); ++i)
    cells.data()[i] = static_cast<std::int32_t>(i / 7 % (static_cast<std::size_t>(largest) + 1));
  cells.data()[cells.size() - 1] = largest;
  return cells;
}

void write_rows(std::filesystem::path const& path, sp::labels const& cells) {
  auto const columns = cells.shape()[1];
  io::tiff_label_writer writer{path,
                               static_cast<std::uint32_t>(cells.shape()[0]),
                               static_cast<std::uint32_t>(columns),
                               xt::amax(cells)(),
                               {.pixel_size_um = 0.25}};
  for (std::size_t row = 0; row < cells.shape()[0]; ++row)
    writer.add_row({cells.data() + row * columns, columns});
  writer.commit();
}

// Rows read in steps that fit no strip and no tile are those that tiff_reader gives.
void check_rows(std::filesystem::path const& path) {
  io::tiff_reader const whole{path};
  for (std::size_t page = 0; page < whole.size(); ++page) {
    auto const expected = whole.read(page);
    auto const height = static_cast<std::uint32_t>(expected.shape()[0]);
    for (std::uint32_t const step : {1U, 3U, 100U, height}) {
      io::tiff_row_reader rows{path};
      BOOST_TEST(rows.size() == whole.size());
      BOOST_TEST(rows.pixel_size_um() == whole.pixel_size_um());
      sp::image found = xt::zeros<float>(expected.shape());
      for (std::uint32_t first = 0; first < height; first += step) {
        auto const count = static_cast<std::ptrdiff_t>(std::min(step, height - first));
        auto const all = sp::as_view(found);
        rows.read(page, first, {&all(first, 0, 0), {count, all.extent(1), all.extent(2)}});
      }
      BOOST_TEST((found == expected), path << ", page " << page << ", step " << step);
      // Rows may come again from the top.
      sp::image top = xt::zeros<float>({std::size_t{1}, expected.shape()[1], expected.shape()[2]});
      rows.read(page, 0, sp::as_view(top));
      BOOST_TEST(std::equal(top.begin(), top.end(), expected.begin()));
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tiff_rows)

BOOST_AUTO_TEST_CASE(rows_of_strips_and_tiles_are_those_of_the_page) {
  test::temporary_folder const folder;
  for (bool const compress : {false, true}) {
    io::write_tiff(folder / "8.tif", ramp<std::uint8_t>(300, 1100), {.compress = compress});
    io::write_tiff(folder / "16.tif", ramp<std::uint16_t>(300, 1100), {.compress = compress});
    io::write_tiff(folder / "f.tif", ramp<float>(300, 1100),
                   {.compress = compress, .pixel_size_um = 0.5});
    for (char const* name : {"8.tif", "16.tif", "f.tif"}) check_rows(folder / name);
  }
  xt::xtensor<float, 3> channels = xt::xtensor<float, 3>::from_shape({40, 50, 2});
  for (std::size_t i = 0; i < channels.size(); ++i) channels.data()[i] = static_cast<float>(i);
  io::write_tiff(folder / "pages.tif", channels);
  check_rows(folder / "pages.tif");
  write_rows(folder / "tiles.tif", some_labels(520, 300, 9));
  check_rows(folder / "tiles.tif");
}

BOOST_AUTO_TEST_CASE(rows_of_either_byte_order_and_every_layout_are_those_of_the_page) {
  test::temporary_folder const folder;
  std::string data;
  for (int i = 0; i < 6 * 5 * 2 * 3; ++i) data += static_cast<char>(i * 37 % 256);
  for (bool const big_endian : {false, true})
    for (bool const big : {false, true})
      for (std::uint64_t const planar : {1U, 2U})
        for (std::uint64_t const strip_rows : {6U, 4U}) {
          test::tiff_bytes file{big_endian, big};
          auto const at = file.data(data);
          std::uint64_t const row = 5 * 2 * (planar == 1 ? 3 : 1);
          test::tiff_tag offsets{273, 4, {}};
          test::tiff_tag counts{279, 4, {}};
          std::uint64_t place = at;
          for (std::uint64_t plane = 0; plane < (planar == 1 ? 1 : 3); ++plane)
            for (std::uint64_t first = 0; first < 6; first += strip_rows) {
              std::uint64_t const size = row * std::min<std::uint64_t>(strip_rows, 6 - first);
              offsets.values.push_back(place);
              counts.values.push_back(size);
              place += size;
            }
          file.directory(test::tiff_page(6, 5, 16, at, data.size(),
                                         {{258, 3, {16, 16, 16}},
                                          {262, 3, {2}},
                                          {277, 3, {3}},
                                          {278, 4, {strip_rows}},
                                          {284, 3, {planar}},
                                          offsets,
                                          counts}));
          std::ofstream{folder / "some.tif", std::ios::binary} << file.bytes;
          check_rows(folder / "some.tif");
        }
}

BOOST_AUTO_TEST_CASE(labels_written_by_rows_are_read_again) {
  test::temporary_folder const folder;
  for (std::int32_t const largest : {3, 65535, 70000})
    for (std::size_t const rows : {1, 255, 256, 257, 600})
      for (std::size_t const columns : {1, 256, 300}) {
        auto const cells = some_labels(rows, columns, largest);
        write_rows(folder / "labels.tif", cells);
        BOOST_TEST((io::read_tiff_labels(folder / "labels.tif") == cells),
                   rows << " x " << columns << ", up to " << largest);
        io::tiff_reader const file{folder / "labels.tif"};
        BOOST_TEST(file.page(0).tiled);
        BOOST_TEST(file.page(0).bits == (largest > 65535 ? 32U : 16U));
        BOOST_TEST(file.pixel_size_um() == 0.25, boost::test_tools::tolerance(1e-6));
      }
}

BOOST_AUTO_TEST_CASE(labels_of_missing_rows_are_not_written) {
  test::temporary_folder const folder;
  std::vector<std::int32_t> const row(10, 1);
  {
    io::tiff_label_writer writer{folder / "labels.tif", 2, 10, 1};
    writer.add_row(row);
    BOOST_CHECK_THROW(writer.commit(), sp::shape_error);
  }
  BOOST_TEST(folder.names().empty());
}

BOOST_AUTO_TEST_CASE(a_page_above_4_GB_is_read_by_rows_and_written_as_big_tiff) {
  // A sparse file: 70,000 x 70,000 pixels of 8 bits take no room on the disk.
  test::temporary_folder const folder;
  constexpr std::uint32_t side = 70'000;
  test::tiff_bytes file{false, true};
  constexpr std::uint64_t at = 1U << 20U;
  file.directory(test::tiff_page(side, side, 8, at, std::uint64_t{side} * side,
                                 {{279, 16, {std::uint64_t{side} * side}}}));
  std::ofstream{folder / "large.tif", std::ios::binary} << file.bytes;
  std::filesystem::resize_file(folder / "large.tif", at + std::uint64_t{side} * side);
  {
    std::fstream pixel{folder / "large.tif", std::ios::binary | std::ios::in | std::ios::out};
    pixel.seekp(static_cast<std::streamoff>(at + std::uint64_t{side} * side - 1));
    pixel.put('\x7F');
  }
  io::tiff_row_reader rows{folder / "large.tif"};
  BOOST_TEST(rows.buffer_bytes(0, 4) <= std::size_t{side} * 4);
  sp::image last = xt::zeros<float>({std::size_t{2}, std::size_t{side}, std::size_t{1}});
  rows.read(0, side - 2, sp::as_view(last));
  BOOST_TEST(last.data()[last.size() - 1] == 127.0F);
  BOOST_TEST(last.data()[0] == 0.0F);

  io::tiff_label_writer writer{folder / "labels.tif", side, side, 1};
  std::vector<std::int32_t> const empty(side, 0);
  writer.add_row(empty);
  std::ifstream magic{folder / folder.names().front(), std::ios::binary};
  std::string start(4, '\0');
  magic.read(start.data(), 4);
  BOOST_TEST(start == std::string("II\x2B\0", 4));
}

BOOST_AUTO_TEST_CASE(damage_is_an_error_that_names_the_file) {
  test::temporary_folder const folder;
  io::write_tiff(folder / "some.tif", ramp<std::uint16_t>(300, 400));
  auto const whole = test::slurp(folder / "some.tif");
  auto const message_of = [&](std::string const& bytes) {
    std::ofstream{folder / "damaged.tif", std::ios::binary | std::ios::trunc} << bytes;
    try {
      io::tiff_row_reader rows{folder / "damaged.tif"};
      sp::image all = sp::image::from_shape({300, 400, 1});
      rows.read(0, 0, sp::as_view(all));
    } catch (sp::error const& failure) {
      BOOST_TEST(test::names_file(failure, "damaged.tif"));
      return failure.message();
    }
    return std::string{};
  };
  BOOST_TEST(message_of(whole).empty());
  for (std::size_t const length : {0UL, 4UL, 100UL, whole.size() / 2, whole.size() - 1})
    BOOST_TEST(!message_of(whole.substr(0, length)).empty(), "cut to " << length);
  std::string flipped = whole;
  flipped[200] = static_cast<char>(flipped[200] ^ 0x40);
  BOOST_TEST(!message_of(flipped).empty());
}

BOOST_AUTO_TEST_CASE(a_file_that_shrinks_while_it_is_read_is_an_error) {
  test::temporary_folder const folder;
  io::write_tiff(folder / "some.tif", ramp<std::uint16_t>(3000, 400), {.compress = false});
  io::tiff_row_reader rows{folder / "some.tif"};
  sp::image some = sp::image::from_shape({1, 400, 1});
  rows.read(0, 0, sp::as_view(some));
  std::filesystem::resize_file(folder / "some.tif", 1000);
  try {
    rows.read(0, 2900, sp::as_view(some));
    BOOST_ERROR("no error");
  } catch (sp::io_error const& failure) {
    BOOST_TEST(std::string{failure.id()} == "septum.file.7");
    BOOST_TEST(test::names_file(failure, "some.tif"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
