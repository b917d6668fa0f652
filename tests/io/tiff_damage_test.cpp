#include <septum/io/tiff.hpp>
#include <support/hostile.hpp>
#include <support/tiff_bytes.hpp>
#include <support/tiff_content.hpp>

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace io = septum::io;
namespace sp = septum;

BOOST_AUTO_TEST_SUITE(tiff_damage)

BOOST_AUTO_TEST_CASE(what_is_no_tiff_says_so) {
  BOOST_TEST(test::contains(test::tiff_message_of("PK\x03\x04 zip"),
                            "not a TIFF: starts with \"PK\\x03\\x04\""));
  BOOST_TEST(test::contains(test::tiff_message_of("II"), "expected 8 bytes, found 2"));
  BOOST_TEST(
      test::contains(test::tiff_message_of(std::string("II\x2C\0\x08\0\0\0", 8)), "found 44"));
  BOOST_TEST(
      test::contains(test::tiff_message_of(std::string("II\x2A\0\0\0\0\0", 8)), "without pages"));
}

BOOST_AUTO_TEST_CASE(unreadable_encodings_are_named) {
  auto const with = [](std::vector<test::tiff_tag> more, std::uint64_t bits = 8) {
    return test::tiff_message_of(test::small_tiff_page("abcdef", bits, std::move(more)));
  };
  BOOST_TEST(test::contains(with({{259, 3, {7}}}), "found scheme 7 (JPEG)"));
  BOOST_TEST(test::contains(with({{259, 3, {50000}}}), "found scheme 50000 (ZSTD)"));
  BOOST_TEST(test::contains(with({{259, 3, {4}}}), "CCITT"));
  BOOST_TEST(test::contains(with({{259, 3, {12345}}}), "found scheme 12345 (unknown)"));
  BOOST_TEST(test::contains(with({}, 12), "found 12-bit integers"));
  BOOST_TEST(test::contains(with({{339, 3, {5}}}), "sample format 5"));
  BOOST_TEST(test::contains(with({{262, 3, {6}}}), "photometric interpretation 6"));
  BOOST_TEST(test::contains(with({{274, 3, {6}}}), "orientation 1"));
  BOOST_TEST(test::contains(with({{339, 3, {2}}, {262, 3, {0}}}), "MinIsWhite"));
  BOOST_TEST(test::contains(test::tiff_message_of(test::small_tiff_page(
                                std::string(18, 'a'), 8, {{258, 3, {8, 8, 16}}, {277, 3, {3}}})),
                            "same for all samples"));
}

BOOST_AUTO_TEST_CASE(broken_chains_of_pages_are_errors) {
  test::tiff_bytes file;
  std::vector<std::uint64_t> starts;
  for (int page = 0; page < 3; ++page)
    starts.push_back(file.directory(test::tiff_page(2, 3, 8, file.data("abcdef"), 6)));
  std::string const whole = file.bytes;
  BOOST_TEST(test::tiff_reader_of(whole).size() == 3U);

  for (std::uint64_t const target : starts) {
    test::tiff_bytes loop = file;
    loop.set_number(loop.link(), target, 4);
    BOOST_TEST(test::contains(test::tiff_message_of(loop.bytes), "page 4: expected a new page"));
  }
  test::tiff_bytes outside = file;
  outside.set_number(outside.link(), 100000, 4);
  BOOST_TEST(
      test::contains(test::tiff_message_of(outside.bytes), "page 4: directory at byte 100000"));

  // Cut at the start of the third directory, and in the middle of it.
  for (std::size_t const length : {std::size_t{starts[2]}, std::size_t{starts[2]} + 20}) {
    std::string const cut = whole.substr(0, length);
    BOOST_TEST(test::contains(test::tiff_message_of(cut),
                              "page 3: directory at byte " + std::to_string(starts[2])));
    auto const partial = test::tiff_reader_of(cut, {.allow_truncated = true});
    BOOST_TEST(partial.size() == 2U);
    BOOST_TEST(test::contains(partial.lost(), "page 3"));
  }
  BOOST_TEST(!test::tiff_message_of(whole.substr(0, 20), {.allow_truncated = true}).empty());
}

BOOST_AUTO_TEST_CASE(truncated_pixels_are_errors) {
  test::tiff_bytes file;
  file.directory(test::tiff_page(200, 300, 16, 100000, 120000));
  BOOST_TEST(test::contains(test::tiff_message_of(file.bytes),
                            "page 1: expected a file of at least 120000 bytes"));
  test::tiff_bytes short_strip;
  short_strip.directory(test::tiff_page(2, 3, 8, short_strip.data("abcdef"), 5));
  BOOST_TEST(test::contains(test::tiff_message_of(short_strip.bytes), "strip 1 of 1"));
}

BOOST_AUTO_TEST_CASE(declared_sizes_are_checked_before_memory_is_asked_for) {
  auto const page = [](std::uint64_t height, std::uint64_t width,
                       std::vector<test::tiff_tag> more = {}) {
    test::tiff_bytes file{false, true};
    file.directory(test::tiff_page(height, width, 16, file.data("abcdef"), 6, more));
    return test::tiff_message_of(file.bytes);
  };
  BOOST_TEST(test::contains(page(200000, 200000),
                            "expected at most 2147483648 pixels, found 200000 x 200000"));
  BOOST_TEST(test::contains(page(40000, 40000), "expected a file of at least 3200000000 bytes"));
  for (std::uint64_t const scheme : {5U, 8U, 32773U, 32946U})
    BOOST_TEST(
        test::contains(page(40000, 40000, {{259, 3, {scheme}}}), "expected a file of at least"));
  BOOST_TEST(test::contains(page(1, 2147483647, {{277, 3, {65535}}}), "of pixels"));
  BOOST_TEST(test::contains(page(0, 5), "ImageLength: expected 1 to"));
  BOOST_TEST(test::contains(page(5, 0), "ImageWidth: expected 1 to"));
  BOOST_TEST(test::contains(page(2, 1, {{278, 4, {0}}}), "RowsPerStrip: expected 1 to"));
  BOOST_TEST(test::contains(page(2, 1, {{273, 16, {~0ULL}}}),
                            "strip 1 of 1 at byte 18446744073709551615"));
  BOOST_TEST(
      test::contains(page(2, 1, {{279, 16, {~0ULL}}}), "expected 18446744073709551615 bytes"));
  std::vector<test::tiff_tag> const tiles{
      {322, 4, {65536}}, {323, 4, {65536}}, {324, 4, {16}}, {325, 4, {6}}};
  BOOST_TEST(test::contains(page(2, 1, tiles), "expected a file of at least"));
  BOOST_TEST(test::contains(page(2, 1, {{273, 4, {16, 16, 16}}}),
                            "StripOffsets: expected 1 values, found 3"));
}

BOOST_AUTO_TEST_CASE(pages_that_share_their_bytes_cannot_multiply) {
  // 300 directories at overlapping places, each with many tags, would be hours of work in a large
  // file: the sum of what is read is bounded by the file's size.
  test::tiff_bytes file;
  auto const at = file.data(std::string(1000, '\0'));
  for (int page = 0; page < 20; ++page) file.directory(test::tiff_page(1000, 1, 8, at, 1000));
  BOOST_TEST(test::contains(test::tiff_message_of(file.bytes), "expected a file of at least"));
}

BOOST_AUTO_TEST_CASE(damaged_tags_are_named) {
  auto const with = [](std::vector<test::tiff_tag> more) {
    return test::tiff_message_of(test::small_tiff_page("abcdef", 8, std::move(more)));
  };
  BOOST_TEST(test::contains(with({{256, 2, {'3', 0}}}),
                            "ImageWidth: expected unsigned integers, found type 2"));
  BOOST_TEST(test::contains(with({{256, 99, {3}}}), "ImageWidth has the unknown type 99"));
  BOOST_TEST(test::contains(with({{256, 4, {}}}), "ImageWidth is empty"));
  BOOST_TEST(with({{65000, 99, {3}}}).empty());
  test::tiff_bytes twice;
  auto tags = test::tiff_page(2, 3, 8, twice.data("abcdef"), 6);
  tags.push_back(tags[0]);
  twice.directory(tags);
  BOOST_TEST(test::contains(test::tiff_message_of(twice.bytes), "ImageWidth is there twice"));
  test::tiff_bytes missing;
  auto some = test::tiff_page(2, 3, 8, missing.data("abcdef"), 6);
  some.erase(some.begin() + 5);
  missing.directory(some);
  BOOST_TEST(test::contains(test::tiff_message_of(missing.bytes), "expected the tag StripOffsets"));
}

BOOST_AUTO_TEST_CASE(pages_of_other_sizes_are_named) {
  test::tiff_bytes file;
  file.directory(test::tiff_page(2, 3, 8, file.data("abcdef"), 6));
  file.directory(test::tiff_page(3, 2, 8, file.data("abcdef"), 6));
  BOOST_CHECK_EXCEPTION(
      static_cast<void>(io::read_tiff(test::tiff_reader_of(file.bytes))), sp::shape_error,
      [](sp::shape_error const& failure) {
        return test::contains(
            failure.message(),
            "page 2 of 2: expected the size of page 1, 2 x 3 x 1, found 3 x 2 x 1");
      });
}

BOOST_AUTO_TEST_CASE(every_cut_and_every_changed_byte) {
  test::temporary_folder const folder;
  // Noise keeps Deflate from leaving whole strips behind a few bytes.
  for (bool const compress : {true, false}) {
    auto const image = test::noise<std::uint16_t, 3>({12, 11, 2});
    io::write_tiff(folder / "x.tif", image, {.compress = compress});
    std::string const bytes = test::slurp(folder / "x.tif");
    auto const intact = io::read_tiff(test::tiff_reader_of(bytes));
    io::tiff_page const first = test::tiff_reader_of(bytes).page(0);
    int errors = 0;
    test::for_each_damage(bytes, [&](std::string const& damaged, std::size_t position, bool cut) {
      try {
        auto const got = io::read_tiff(test::tiff_reader_of(damaged));
        BOOST_TEST(!cut);
        // The first strip starts at byte 8 and ends where the first directory begins.
        bool const pixels = position >= 8 && position + 1 < first.offset;
        if (compress && pixels) BOOST_TEST((got == intact));
      } catch (sp::error const& failure) {
        ++errors;
        BOOST_TEST(test::names_file(failure, "some.tif"));
      }
    });
    BOOST_TEST(errors > static_cast<int>(bytes.size()));
  }
}

BOOST_AUTO_TEST_CASE(every_changed_byte_of_other_layouts) {
  // Tiles, planes, BigTIFF, big-endian and PackBits, one after another.
  std::vector<std::string> files;
  test::tiff_bytes tiled{true, true};
  auto const at = tiled.data(std::string(16 * 16 * 2 * 4, 'x'));
  tiled.directory({{256, 4, {20}},
                   {257, 4, {18}},
                   {258, 3, {16}},
                   {259, 3, {1}},
                   {262, 3, {1}},
                   {277, 3, {1}},
                   {322, 4, {16}},
                   {323, 4, {16}},
                   {324, 16, {at, at + 512, at + 1024, at + 1536}},
                   {325, 4, {512, 512, 512, 512}}});
  files.push_back(tiled.bytes);
  std::string const packed{'\x05', 'a', 'b', 'c', 'd', 'e', 'f'};
  files.push_back(test::small_tiff_page(packed, 8, {{259, 3, {32773}}}));
  // Clear code 256, a run of literals, end code 257, 9 bits each, as the TIFF standard packs them.
  std::string const lzw{'\x80', '\x18', '\x4C', '\x4E', '\x30',
                        '\x98', '\xCC', '\xE0', '\x10', '\x10'};
  files.push_back(test::small_tiff_page(lzw, 8, {{259, 3, {5}}, {317, 3, {2}}}));
  for (std::string const& bytes : files) {
    int errors = 0;
    test::for_each_damage(bytes, [&](std::string const& damaged, std::size_t, bool cut) {
      try {
        static_cast<void>(io::read_tiff(test::tiff_reader_of(damaged)));
        BOOST_TEST(!cut);
      } catch (sp::error const& failure) {
        ++errors;
        BOOST_TEST(test::names_file(failure, "some.tif"));
      }
    });
    BOOST_TEST(errors > 100);
  }
  BOOST_TEST(test::tiff_reader_of(files[0]).read(0).shape()[0] == 18U);
  BOOST_TEST(test::tiff_reader_of(files[1]).read(0)(1, 2, 0) == 102.0F);
}

BOOST_AUTO_TEST_SUITE_END()
