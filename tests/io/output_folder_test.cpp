#include <septum/io/output_folder.hpp>
#include <support/hostile.hpp>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <string>
#include <vector>

namespace io = septum::io;
namespace fs = std::filesystem;

namespace {

void write_result(fs::path const& target, std::string const& text) {
  io::output_folder out{target};
  io::write_file(out.file("labels/a.tif"), text);
  io::write_file(out.file("cells.csv"), text + text);
  out.commit();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(output_folder)

BOOST_AUTO_TEST_CASE(a_result_appears_at_commit_with_its_manifest) {
  test::temporary_folder const folder;
  {
    io::output_folder out{folder / "out"};
    io::write_file(out.file("labels/a.tif"), "abc");
    BOOST_TEST(!fs::exists(folder / "out"));
    out.commit();
  }
  BOOST_TEST(folder.names() == std::vector<std::string>{"out"}, boost::test_tools::per_element());
  BOOST_TEST(test::slurp(folder / "out/labels/a.tif") == "abc");
  // FNV-1a of "abc" as its authors publish it.
  BOOST_TEST(test::slurp(folder / "out" / io::manifest_name) ==
             "e71fa2190541574b 3 labels/a.tif\n");
}

BOOST_AUTO_TEST_CASE(without_commit_nothing_appears) {
  test::temporary_folder const folder;
  { io::write_file(io::output_folder{folder / "out"}.file("x"), "abc"); }
  BOOST_TEST(folder.names().empty());
}

BOOST_AUTO_TEST_CASE(an_earlier_result_is_replaced_as_a_whole) {
  test::temporary_folder const folder;
  fs::create_directory(folder / "out");
  write_result(folder / "out", "one");
  {
    io::output_folder out{folder / "out"};
    io::write_file(out.file("other.csv"), "two");
    out.commit();
  }
  BOOST_TEST(!fs::exists(folder / "out/cells.csv"));
  BOOST_TEST(test::slurp(folder / "out/other.csv") == "two");
  BOOST_TEST(folder.names().size() == 1U);
}

BOOST_AUTO_TEST_CASE(foreign_files_are_never_touched) {
  test::temporary_folder const folder;
  fs::create_directories(folder / "photos/2019");
  test::spill(folder / "photos/2019/cat.png", "precious");
  std::string const message = test::message_of([&] { write_result(folder / "photos", "x"); });
  BOOST_TEST(message.find("2019/cat.png") != std::string::npos);
  BOOST_TEST(test::slurp(folder / "photos/2019/cat.png") == "precious");

  write_result(folder / "out", "one");
  test::spill(folder / "out/notes.txt", "mine");
  BOOST_TEST(test::message_of([&] { write_result(folder / "out", "two"); }).find("notes.txt") !=
             std::string::npos);
  BOOST_TEST(test::slurp(folder / "out/cells.csv") == "oneone");
  BOOST_TEST(folder.names().size() == 2U);
}

BOOST_AUTO_TEST_CASE(files_added_during_the_run_are_noticed) {
  test::temporary_folder const folder;
  write_result(folder / "out", "one");
  io::output_folder out{folder / "out"};
  io::write_file(out.file("x"), "two");
  test::spill(folder / "out/notes.txt", "mine");
  BOOST_CHECK_THROW(out.commit(), septum::io_error);
  BOOST_TEST(test::slurp(folder / "out/notes.txt") == "mine");
}

BOOST_AUTO_TEST_CASE(odd_names_in_a_result_can_be_replaced_too) {
  test::temporary_folder const folder;
  for (int round = 0; round < 2; ++round) {
    io::output_folder out{folder / "out"};
    io::write_file(out.file("new\nline.tif"), "abc");
    io::write_file(out.file("\xFF space.tif"), "abc");
    out.commit();
  }
  BOOST_TEST(fs::exists(folder / "out/new\nline.tif"));
}

BOOST_AUTO_TEST_CASE(a_second_writer_is_told_who_the_first_is) {
  test::temporary_folder const folder;
  io::output_folder const out{folder / "out"};
  auto const expect_locked = [&] {
    try {
      io::output_folder const second{folder / "out/"};
      return 1;
    } catch (septum::io_error const& failure) {
      bool const named = failure.message().find("process " + std::to_string(::getppid()) +
                                                " on ") != std::string::npos;
      return failure.kind() == septum::fault::locked && named ? 0 : 2;
    }
  };
  BOOST_TEST(test::in_child(expect_locked) == 0);
  io::output_folder const other{folder / "other"};
  BOOST_CHECK_THROW(io::output_folder{folder / "out"}, septum::io_error);
}

BOOST_AUTO_TEST_CASE(a_killed_run_leaves_no_obstacle) {
  test::temporary_folder const folder;
  write_result(folder / "out", "one");
  ::pid_t const child = ::fork();
  if (child == 0) {
    io::output_folder const out{folder / "out"};
    io::write_file(out.file("half"), "x");
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  // The lock file, the hidden folder and the old result.
  BOOST_TEST(folder.names().size() == 3U);
  write_result(folder / "out", "two");
  BOOST_TEST(test::slurp(folder / "out/cells.csv") == "twotwo");
  BOOST_TEST(folder.names() == std::vector<std::string>{"out"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_result_that_lost_its_name_in_a_kill_comes_back) {
  test::temporary_folder const folder;
  write_result(folder / "out", "one");
  std::string const kind = "oldfolder" + septum::to_text(septum::fnv1a("out"));
  fs::rename(folder / "out", folder / (io::detail::temporary_prefix(kind) +
                                       std::to_string(test::dead_process()) + "-0"));
  { io::output_folder const out{folder / "out"}; }
  BOOST_TEST(test::slurp(folder / "out/cells.csv") == "oneone");
}

BOOST_AUTO_TEST_CASE(every_failing_call_leaves_the_old_result_or_the_new_one) {
  for (int const code : {ENOSPC, EIO}) {
    test::temporary_folder const folder;
    int const faults = test::fail_each_call(
        code,
        [&] {
          {
            io::observe_system_calls const undisturbed{
                [](io::system_call, fs::path const&) { return io::call_verdict{}; }};
            std::error_code ignored;
            fs::remove_all(folder / "out", ignored);
            write_result(folder / "out", "one");
          }
          write_result(folder / "out", "two");
        },
        [&](bool succeeded) {
          std::string const cells = test::slurp(folder / "out/cells.csv");
          BOOST_TEST((cells == "twotwo" || (!succeeded && cells == "oneone")));
          BOOST_TEST(test::slurp(folder / "out/labels/a.tif") +
                         test::slurp(folder / "out/labels/a.tif") ==
                     cells);
          for (std::string const& name : folder.names())
            BOOST_TEST((name == "out" || name.starts_with(".septum-lock-")));
        });
    BOOST_TEST(faults >= 20);
  }
}

BOOST_AUTO_TEST_CASE(a_file_system_without_exchange_still_replaces) {
  test::temporary_folder const folder;
  write_result(folder / "out", "one");
  int renames = 0;
  {
    io::observe_system_calls const observer{[&](io::system_call call, fs::path const& path) {
      bool const exchange =
          call == io::system_call::rename && path == folder / "out" && renames++ == 0;
      return io::call_verdict{.error = exchange ? EINVAL : 0};
    }};
    write_result(folder / "out", "two");
  }
  BOOST_TEST(renames == 2);
  BOOST_TEST(test::slurp(folder / "out/cells.csv") == "twotwo");
  BOOST_TEST(folder.names().size() == 1U);
}

BOOST_AUTO_TEST_CASE(places_where_nothing_can_be_written_fail_at_the_start) {
  test::temporary_folder const folder;
  test::spill(folder / "plain", "x");
  BOOST_CHECK_THROW(io::output_folder{folder / "plain"}, septum::io_error);
  BOOST_CHECK_THROW(io::output_folder{folder / "plain/out"}, septum::io_error);
  BOOST_CHECK_THROW(io::output_folder{"/proc/out"}, septum::io_error);
  BOOST_CHECK_THROW(io::output_folder{""}, septum::io_error);
  BOOST_CHECK_THROW(io::output_folder{"."}, septum::io_error);
  BOOST_CHECK_THROW(io::output_folder{"/"}, septum::io_error);
  BOOST_CHECK_THROW(io::output_folder{folder / std::string(300, 'n')}, septum::io_error);
  io::output_folder const deep{folder / "a/b/c"};
  BOOST_TEST(fs::is_directory(folder / "a/b"));
  BOOST_CHECK_THROW(static_cast<void>(deep.file("../x")), septum::io_error);
  BOOST_CHECK_THROW(static_cast<void>(deep.file("/etc/x")), septum::io_error);
}

BOOST_AUTO_TEST_SUITE_END()
