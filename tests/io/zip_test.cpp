#include <septum/io/npz.hpp>
#include <septum/io/roi_set.hpp>
#include <support/hostile.hpp>
#include <support/text_image.hpp>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace io = septum::io;
namespace sp = septum;

namespace {

std::span<std::byte const> bytes_of(std::string const& text) {
  return std::as_bytes(std::span{text.data(), text.size()});
}

std::string archive_of(std::vector<std::pair<std::string, std::string>> const& members) {
  test::temporary_folder const folder;
  io::detail::zip_writer archive{folder / "x.zip"};
  for (auto const& [name, text] : members) archive.add(name, bytes_of(text));
  archive.commit();
  return test::slurp(folder / "x.zip");
}

/// Everything in an archive, name and content after each other.
std::string all_of(std::string const& bytes, io::zip_limits const& limits = {}) {
  auto const content = test::content_of(bytes);
  io::detail::zip_reader const archive{content.bytes(), "some.zip", limits};
  std::string result;
  for (auto const& member : archive.members())
    result += member.name + ":" + std::string{archive.read(member).text()} + ";";
  return result;
}

std::string zip_refusal(std::string const& bytes, io::zip_limits const& limits = {}) {
  try {
    static_cast<void>(all_of(bytes, limits));
  } catch (sp::error const& failure) {
    BOOST_TEST(test::names_file(failure, "some.zip"));
    return failure.message();
  }
  return {};
}

/// Replaces a text of the same length everywhere, e.g. the name of a member in both headers.
std::string replaced(std::string bytes, std::string const& from, std::string const& to) {
  BOOST_TEST_REQUIRE(from.size() == to.size());
  for (auto at = bytes.find(from); at != std::string::npos; at = bytes.find(from, at + 1))
    bytes.replace(at, from.size(), to);
  return bytes;
}

/// Adds to a little-endian number of 32 bits.
void set(std::string& bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i) & 0xFFU);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(zip_archives)

BOOST_AUTO_TEST_CASE(members_come_back) {
  std::string const long_text(100000, 'x');
  BOOST_TEST((all_of(archive_of({{"a", "hello"}, {"b/c", long_text}, {"d", ""}})) ==
              "a:hello;b/c:" + long_text + ";d:;"));
  BOOST_TEST(archive_of({{"a", long_text}}).size() < 1000U);
  BOOST_TEST(archive_of({{"a", "x"}}) == archive_of({{"a", "x"}}));
  BOOST_TEST(all_of(archive_of({})).empty());
}

BOOST_AUTO_TEST_CASE(names_that_point_elsewhere_are_refused) {
  std::string const good = archive_of({{"abcdef", "hello"}});
  for (std::string const name : {"../def", "/bcdef", "C:cdef", "ab\\def", "a/../f"})
    BOOST_TEST(test::contains(zip_refusal(replaced(good, "abcdef", name)),
                              "expected names inside the archive"));
  BOOST_TEST(test::contains(zip_refusal(replaced(good, "abcdef", std::string("abc\0ef", 6))),
                            "abc\\x00ef"));
  BOOST_TEST(test::contains(zip_refusal(archive_of({{"a", "x"}, {"a", "y"}})), "is there twice"));
}

BOOST_AUTO_TEST_CASE(bombs_are_refused_before_they_inflate) {
  std::string const text(100000, 'x');
  std::string bytes = archive_of({{"a", text}});
  auto const central = bytes.find("PK\x01\x02");
  BOOST_TEST_REQUIRE(central != std::string::npos);
  for (std::uint32_t const size : {0xFFFFFFFEU, 100001U, 99999U}) {
    std::string lie = bytes;
    set(lie, central + 24, size);
    BOOST_TEST(!zip_refusal(lie).empty());
    set(lie, 22, size);
    BOOST_TEST(!zip_refusal(lie).empty());
  }
  BOOST_TEST(
      test::contains(zip_refusal(bytes, {.max_bytes = 99999}), "expected at most 99999 bytes"));
  BOOST_TEST(test::contains(zip_refusal(archive_of({{"a", "1"}, {"b", "2"}}), {.max_members = 1}),
                            "at most 1 members"));
}

BOOST_AUTO_TEST_CASE(members_that_share_bytes_are_refused) {
  std::string bytes = archive_of({{"a", "hello"}, {"b", "world"}});
  auto const second = bytes.find("PK\x01\x02", bytes.find("PK\x01\x02") + 1);
  std::string const first_name = replaced(bytes, "b", "b");
  set(bytes, second + 42, 0);
  BOOST_TEST(!zip_refusal(bytes).empty());
}

BOOST_AUTO_TEST_CASE(every_damage_gives_an_error_or_the_same_members) {
  std::string const good = archive_of({{"a.txt", "some text"}, {"b.txt", std::string(300, 'b')}});
  std::string const whole = all_of(good);
  int refused = 0;
  test::for_each_damage(good, [&](std::string const& damaged, std::size_t position, bool cut) {
    BOOST_TEST_CONTEXT("byte " << position << (cut ? " cut" : " changed")) {
      try {
        // Checksums cover the contents; names have none.
        auto const found = all_of(damaged);
        BOOST_TEST((found == whole || found.size() == whole.size()));
        BOOST_TEST(!cut);
      } catch (sp::error const& failure) {
        ++refused;
        BOOST_TEST(test::names_file(failure, "some.zip"));
      }
    }
  });
  BOOST_TEST(refused > 500);
}

BOOST_AUTO_TEST_CASE(named_arrays_come_back) {
  test::temporary_folder const folder;
  auto const cells = test::random_cells(20, 30, 5, 1);
  xt::xtensor<float, 3> const maps = xt::ones<float>({4, 5, 3});
  for (bool const compress : {true, false}) {
    io::npz_writer file{folder / "x.npz", compress};
    file.add("cells", cells);
    file.add("maps", maps);
    file.commit();
    io::npz_reader const back{folder / "x.npz"};
    BOOST_TEST(back.names() == (std::vector<std::string>{"cells", "maps"}),
               boost::test_tools::per_element());
    BOOST_TEST((back.read<std::int32_t, 2>("cells") == cells));
    BOOST_TEST((back.read<float, 3>("maps") == maps));
    BOOST_CHECK_EXCEPTION(static_cast<void>(back.content_of("other")), sp::io_error,
                          [](sp::io_error const& failure) {
                            return test::contains(failure.message(), "found cells, maps");
                          });
    BOOST_CHECK_THROW(static_cast<void>(back.only_name()), sp::io_error);
    BOOST_CHECK_THROW(static_cast<void>((back.read<float, 2>("cells"))), sp::io_error);
  }
  std::string const bytes = test::slurp(folder / "x.npz");
  int refused = 0;
  test::for_each_damage(bytes.substr(0), [&](std::string const& damaged, std::size_t, bool cut) {
    try {
      io::npz_reader const file{test::content_of(damaged.empty() ? "P" : damaged), "some.npz"};
      for (auto const& name : file.names()) static_cast<void>(file.content_of(name));
      BOOST_TEST(!cut);
    } catch (sp::error const& failure) {
      ++refused;
      BOOST_TEST(test::names_file(failure, "some.npz"));
    }
  });
  BOOST_TEST(refused > 1000);
}

BOOST_AUTO_TEST_SUITE_END()
