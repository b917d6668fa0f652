#include <septum/io/file.hpp>
#include <support/hostile.hpp>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <string>
#include <vector>

namespace io = septum::io;
namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(file)

BOOST_AUTO_TEST_CASE(what_is_written_is_read) {
  test::temporary_folder const folder;
  std::string const bytes("a\0b\n\xFF", 5);
  io::write_file(folder / "x", bytes);
  BOOST_TEST(io::read_file(folder / "x").text() == bytes);
  io::write_file(folder / "x", "second");
  BOOST_TEST(io::read_file(folder / "x").text() == "second");
  BOOST_TEST(folder.names() == std::vector<std::string>{"x"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(without_commit_nothing_changes) {
  test::temporary_folder const folder;
  io::write_file(folder / "x", "old");
  {
    io::atomic_file file{folder / "x"};
    file.write(std::string(100000, 'n'));
    BOOST_TEST(test::slurp(folder / "x") == "old");
  }
  BOOST_TEST(test::slurp(folder / "x") == "old");
  BOOST_TEST(folder.names().size() == 1U);
}

BOOST_AUTO_TEST_CASE(seek_and_read_back) {
  test::temporary_folder const folder;
  io::atomic_file file{folder / "x"};
  file.write("0123456789");
  file.seek(2);
  file.write("ab");
  file.seek(1);
  std::array<std::byte, 4> got{};
  BOOST_TEST(file.read(got) == 4U);
  BOOST_TEST(static_cast<char>(got[1]) == 'a');
  BOOST_TEST(file.size() == 10U);
  file.commit();
  BOOST_TEST(test::slurp(folder / "x") == "01ab456789");
}

BOOST_AUTO_TEST_CASE(calls_come_in_the_order_that_survives_a_power_cut) {
  test::temporary_folder const folder;
  std::vector<io::system_call> calls;
  {
    io::observe_system_calls const observer{[&](io::system_call call, fs::path const&) {
      if (call != io::system_call::open) calls.push_back(call);
      return io::call_verdict{};
    }};
    io::write_file(folder / "x", "text");
  }
  using enum io::system_call;
  BOOST_TEST(
      (calls == std::vector<io::system_call>{write, sync, close, rename, sync_folder, close} ||
       calls == std::vector<io::system_call>{write, sync, close, rename, sync_folder}));
}

BOOST_AUTO_TEST_CASE(every_failing_call_leaves_a_whole_file) {
  for (int const code : {ENOSPC, EIO, EACCES}) {
    test::temporary_folder const folder;
    std::string const fresh(300, 'n');
    io::write_file(folder / "x", "old");
    int const faults = test::fail_each_call(
        code,
        [&] {
          test::spill(folder / "x", "old");
          io::write_file(folder / "x", fresh);
        },
        [&](bool succeeded) {
          std::string const now = test::slurp(folder / "x");
          BOOST_TEST((now == fresh || (!succeeded && now == "old")));
          BOOST_TEST(folder.names().size() == 1U);
        });
    BOOST_TEST(faults >= 6);
  }
}

BOOST_AUTO_TEST_CASE(short_writes_and_signals_lose_nothing) {
  test::temporary_folder const folder;
  std::string const bytes = "a text that arrives one byte at a time";
  int calls = 0;
  {
    io::observe_system_calls const observer{[&](io::system_call call, fs::path const&) {
      bool const interrupted = ++calls % 3 == 0 && call != io::system_call::close;
      return io::call_verdict{.error = interrupted ? EINTR : 0, .at_most = 1};
    }};
    io::write_file(folder / "x", bytes);
  }
  BOOST_TEST(test::slurp(folder / "x") == bytes);
  BOOST_TEST(calls > static_cast<int>(bytes.size()));
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_a_resource_fault_with_numbers) {
  if (!fs::exists("/dev/full")) return;
  BOOST_CHECK_EXCEPTION(
      io::write_file("/dev/full", "text"), septum::io_error, [](septum::io_error const& failure) {
        return failure.kind() == septum::fault::resource &&
               failure.message().find("/dev/full: writing: expected room for 4 more bytes") == 0;
      });
  BOOST_TEST(fs::is_character_file("/dev/full"));
}

BOOST_AUTO_TEST_CASE(more_bytes_than_the_disk_has_fail_before_the_work) {
  test::temporary_folder const folder;
  io::atomic_file const file{folder / "x"};
  BOOST_CHECK_THROW(file.expect_room(std::uint64_t{1} << 62U), septum::io_error);
  file.expect_room(1);
}

BOOST_AUTO_TEST_CASE(bad_targets_fail_at_once) {
  test::temporary_folder const folder;
  test::spill(folder / "plain", "x");
  auto const kind_of = [](fs::path const& path) {
    try {
      io::atomic_file const file{path};
      return 0;
    } catch (septum::io_error const& failure) {
      BOOST_TEST(test::names_file(failure, path.filename().string().substr(0, 20)));
      return static_cast<int>(failure.kind());
    }
  };
  BOOST_TEST(kind_of(folder / "plain" / "below_a_file") == 3);
  BOOST_TEST(kind_of(folder / "missing" / "x") == 3);
  BOOST_TEST(kind_of(folder.path()) == 3);
  BOOST_TEST(kind_of(folder / std::string(300, 'n')) == 3);
  BOOST_TEST(kind_of("/proc/self/new_file") != 0);
}

BOOST_AUTO_TEST_CASE(unreadable_things_are_named) {
  test::temporary_folder const folder;
  test::spill(folder / "empty", "");
  BOOST_REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  auto const message_of = [](fs::path const& path, io::read_limits limits = {}) {
    try {
      static_cast<void>(io::read_file(path, limits));
    } catch (septum::io_error const& failure) {
      return failure.message();
    }
    return std::string{};
  };
  BOOST_TEST(message_of(folder / "empty").ends_with("empty: empty file"));
  BOOST_TEST(message_of(folder / "pipe").find("not a regular file") != std::string::npos);
  BOOST_TEST(message_of(folder.path()).find("found a folder") != std::string::npos);
  BOOST_TEST(message_of(folder / "none").find("No such file") != std::string::npos);
  test::spill(folder / "large", "12345");
  BOOST_TEST(message_of(folder / "large", {.max_bytes = 4}).find("at most 4 bytes, found 5") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(any_file_name_works_and_shows_on_one_line) {
  test::temporary_folder const folder;
  for (std::string const name : {"with space", "quote\"s'", "new\nline", "\xCE\xB1\xCE\xB2",
                                 "not utf8 \xFF\xC0", "tab\t", "-o"}) {
    io::write_file(folder / name, name);
    BOOST_TEST(io::read_file(folder / name).text() == name);
    fs::remove(folder / name);
    BOOST_CHECK_EXCEPTION(io::read_file(folder / name), septum::io_error,
                          [](septum::io_error const& failure) {
                            std::string_view const text = failure.what();
                            return text.find_first_of("\n\t\xFF") == std::string_view::npos;
                          });
  }
  BOOST_TEST(septum::printable("a\nb\x01\xFF\xC2\x85\xC3\xA4") ==
             "a\\nb\\x01\\xff\\xc2\\x85\xC3\xA4");
  BOOST_TEST(septum::printable(std::string(50, 'a'), 10) == "aaaaaaaaaa...");
}

BOOST_AUTO_TEST_CASE(links_stay_and_permissions_stay) {
  test::temporary_folder const folder;
  test::spill(folder / "real", "old");
  fs::permissions(folder / "real", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real", folder / "link");
  io::write_file(folder / "link", "new");
  BOOST_TEST(fs::is_symlink(folder / "link"));
  BOOST_TEST(test::slurp(folder / "real") == "new");
  BOOST_TEST((fs::status(folder / "real").permissions() ==
              (fs::perms::owner_read | fs::perms::owner_write)));
}

BOOST_AUTO_TEST_CASE(leftovers_of_dead_processes_go_and_others_stay) {
  test::temporary_folder const folder;
  auto const name = [](::pid_t process) {
    return io::detail::temporary_prefix("file") + std::to_string(process) + "-0";
  };
  ::pid_t const dead = test::dead_process();
  test::spill(folder / name(dead), "leftover");
  test::spill(folder / name(1), "of a living process");
  test::spill(folder / ".septum-file-elsewhere-1-0", "of another host");
  io::write_file(folder / "x", "text");
  BOOST_TEST(!fs::exists(folder / name(dead)));
  BOOST_TEST(folder.names().size() == 3U);
}

BOOST_AUTO_TEST_CASE(a_killed_writer_leaves_a_whole_file) {
  test::temporary_folder const folder;
  std::string const first(200000, 'a');
  std::string const second(150000, 'b');
  io::write_file(folder / "x", first);
  for (int round = 0; round < 40; ++round) {
    ::pid_t const child = ::fork();
    if (child == 0) {
      while (true) {
        io::write_file(folder / "x", second);
        io::write_file(folder / "x", first);
      }
    }
    ::usleep(static_cast<unsigned>(500 + 373 * round));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    std::string const now = test::slurp(folder / "x");
    BOOST_TEST((now == first || now == second));
  }
}

BOOST_AUTO_TEST_SUITE_END()
