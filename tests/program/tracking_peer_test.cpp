#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <program/program.hpp>
#include <septum/io/ctc.hpp>
#include <septum/io/file.hpp>
#include <string>
#include <support/hostile.hpp>
#include <support/python_peer.hpp>

/// py-ctcmetrics, pytrackmate and geff as the other side of tracks.
namespace {

using program_test::sandbox;

constexpr char const* script = "tracking_peer.py";

/// Simulates a movie, tracks what a faulty segmentation sees of it, and scores that.
void track_movie(sandbox const& box, std::string const& simulation, std::string const& tracking) {
  auto const succeed = [&](std::string const& arguments) {
    auto const done = box.run(arguments);
    BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
    return done.out;
  };
  succeed("simulate " + simulation + " --out movie --quiet");
  succeed("track movie --out tracks --trackmate --geff --frame-interval 10 --quiet " + tracking);
  septum::io::write_file(box.path("scores.json"), succeed("evaluate tracks movie --json --quiet"));
}

void peer_agrees(sandbox const& box, std::string const& command, std::string const& package) {
  int const status = test::run_python(script, command, box.path(""));
  if (!test::python_available(status, package)) return;
  BOOST_TEST(status == 0, test::slurp(box.path("output.txt")));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tracking_peer)

BOOST_AUTO_TEST_CASE(colonies_score_as_py_ctcmetrics_says) {
  sandbox const box;
  track_movie(box,
              "bacteria --frames 16 --size 200x200 --founders 5 --missed 0.04 --merged 0.04 "
              "--seed 7",
              "");
  BOOST_TEST(septum::io::find_ctc_problems(septum::io::ctc_folder{box.path("tracks/ctc")}).empty());
  peer_agrees(box, "scores", "py-ctcmetrics");
  peer_agrees(box, "trackmate", "pytrackmate");
  peer_agrees(box, "geff", "geff");
}

BOOST_AUTO_TEST_CASE(nuclei_score_as_py_ctcmetrics_says) {
  sandbox const box;
  track_movie(box,
              "nuclei --frames 30 --size 240x240 --founders 20 --missed 0.03 --merged 0.03 "
              "--seed 8",
              "--preset nuclei");
  BOOST_TEST(septum::io::find_ctc_problems(septum::io::ctc_folder{box.path("tracks/ctc")}).empty());
  peer_agrees(box, "scores", "py-ctcmetrics");
  peer_agrees(box, "trackmate", "pytrackmate");
  peer_agrees(box, "geff", "geff");
}

BOOST_AUTO_TEST_SUITE_END()
