#include <septum/io/csv.hpp>
#include <septum/io/ctc.hpp>
#include <septum/io/tiff.hpp>
#include <septum/io/trackmate.hpp>
#include <septum/io/tracks.hpp>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <program/program.hpp>
#include <set>
#include <string>
#include <support/shared_data.hpp>
#include <utility>

namespace {

namespace sp = septum;
using program_test::content;
using program_test::outcome;
using program_test::sandbox;

double number_in(std::string const& json, std::string const& key) {
  auto const at = json.find("\"" + key + "\": ");
  if (at == std::string::npos) throw std::runtime_error{"no " + key + " in " + json};
  return std::stod(json.substr(at + key.size() + 4));
}

void write(sandbox const& box, std::string const& name, std::string const& text) {
  std::ofstream{box.path(name), std::ios::binary} << text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(track)

BOOST_AUTO_TEST_CASE(tracks_a_simulated_colony_and_scores_it) {
  sandbox const box;
  BOOST_REQUIRE(
      box.run("simulate bacteria --frames 14 --size 200x200 --founders 4 --seed 2 --out colony")
          .exit_code == 0);
  auto const tracked = box.run("track colony/truth --out tracks --trackmate --json --threads 2");
  BOOST_TEST_INFO(tracked.err);
  BOOST_REQUIRE(tracked.exit_code == 0);
  BOOST_TEST(number_in(tracked.out, "frames") == 14);
  for (char const* name : {"links.csv", "tracks.csv", "lineage.newick", "lineage.svg",
                           "trackmate.xml", "ctc/res_track.txt", "ctc/mask013.tif"})
    BOOST_TEST(std::filesystem::exists(box.path("tracks") / name), name << " is missing");
  sp::io::ctc_folder const ctc{box.path("tracks/ctc")};
  BOOST_TEST(sp::io::find_ctc_problems(ctc).empty());
  BOOST_TEST(sp::io::read_trackmate(box.path("tracks/trackmate.xml")).links.size() ==
             sp::io::read_links(box.path("tracks/links.csv")).size());
  auto const scores = box.run("evaluate tracks colony --json");
  BOOST_TEST_INFO(scores.err);
  BOOST_REQUIRE(scores.exit_code == 0);
  for (char const* key : {"tra", "det", "lnk", "seg"})
    BOOST_TEST(number_in(scores.out, key) >= 0.999);
  BOOST_TEST(number_in(scores.out, "division_f1") >= 0.98);
  // One thread, the frames as a list of files: the same bytes.
  BOOST_REQUIRE(box.run("track colony/truth/*.tif --out again --threads 1").exit_code == 0);
  for (char const* name : {"links.csv", "tracks.csv", "ctc/mask007.tif"})
    BOOST_TEST((content(box.path("tracks") / name) == content(box.path("again") / name)));
}

BOOST_AUTO_TEST_CASE(goes_on_from_a_checkpoint_with_the_same_result) {
  sandbox const box;
  BOOST_REQUIRE(box.run("simulate nuclei --frames 60 --size 128x128 --founders 12 --missed 0.03 "
                        "--out movie")
                    .exit_code == 0);
  BOOST_REQUIRE(box.run("track movie --preset nuclei --out whole --no-ctc").exit_code == 0);
  BOOST_REQUIRE(box.run("track movie --preset nuclei --out first --checkpoint state").exit_code ==
                0);
  auto const second = box.run("track movie --preset nuclei --out second --checkpoint state");
  BOOST_REQUIRE(second.exit_code == 0);
  BOOST_TEST(second.err.find("Going on after frame 49") != std::string::npos);
  for (char const* run : {"first", "second"})
    for (char const* name : {"links.csv", "tracks.csv"})
      BOOST_TEST((content(box.path(run) / name) == content(box.path("whole") / name)));
  auto const other = box.run("track movie --out third --checkpoint state");
  BOOST_TEST(other.exit_code == 3);
}

BOOST_AUTO_TEST_CASE(makes_trackmates_links_from_a_table) {
  auto const data = test::shared_data("trackmate");
  if (!data) return;
  sandbox const box;
  struct scenario {
    std::string name, options;
  };
  for (auto const& [name, options] : {scenario{"without_gap_closing", "--gap-frames 0"},
                                      scenario{"with_splitting", "--gap-frames 2 --splitting"}}) {
    auto const done =
        box.run("track --points " + (*data / (name + "_spots.csv")).string() +
                " --preset trackmate --max-distance 15 " + options + " --out " + name);
    BOOST_TEST_INFO(done.err);
    BOOST_REQUIRE(done.exit_code == 0);
    auto const pairs = [](std::filesystem::path const& path, char const* a, char const* b) {
      sp::io::csv_table const table{path};
      std::set<std::pair<std::int64_t, std::int64_t>> found;
      for (std::size_t row = 0; row < table.rows(); ++row)
        found.emplace(table.number<std::int64_t>(row, table.column(a)),
                      table.number<std::int64_t>(row, table.column(b)));
      return found;
    };
    BOOST_TEST((pairs(box.path(name) / "links.csv", "source_id", "target_id") ==
                pairs(*data / (name + "_edges.csv"), "spot_source_id", "spot_target_id")));
  }
}

BOOST_AUTO_TEST_CASE(tells_usage_from_bad_input) {
  sandbox const box;
  write(box, "points.csv", "id,frame,x,y\n1,0,1,1\n2,1,1,2\n");
  write(box, "bad.csv", "id,frame,x,y\n1,0,inf,1\n");
  BOOST_TEST(box.run("track --points points.csv --preset nuclei --out p").exit_code == 0);
  BOOST_TEST(content(box.path("p/links.csv")) == "source_id,target_id,kind\n1,2,link\n");
  auto const bad = box.run("track --points bad.csv --out q");
  BOOST_TEST(bad.exit_code == 3);
  BOOST_TEST(bad.err.find("bad.csv: line 2") != std::string::npos);
  BOOST_TEST(!std::filesystem::exists(box.path("q")));
  BOOST_TEST(box.run("track --out q").exit_code != 0);
  BOOST_TEST(box.run("track nothing --out q").exit_code == 2);
  std::filesystem::create_directories(box.path("frames"));
  sp::labels image = sp::labels::from_shape({8, 8});
  image.fill(0);
  for (char const* name : {"t1.tif", "t2.tif", "t10.tif"})
    sp::io::write_tiff(box.path("frames") / name, image);
  auto const gap = box.run("track frames --out q");
  BOOST_TEST(gap.exit_code == 3);
  BOOST_TEST(gap.err.find("missing: 3, 4") != std::string::npos);
  // Without a cell there is still a valid result.
  BOOST_TEST(box.run("track frames --allow-gaps --out empty").exit_code == 0);
  BOOST_TEST(content(box.path("empty/tracks.csv")) ==
             "track,parent,first_frame,last_frame,start,end\n");
  BOOST_TEST(std::filesystem::exists(box.path("empty/ctc/mask009.tif")));
  sp::io::write_tiff(box.path("frames/t2.tif"), sp::labels(xt::zeros<int>({9, 8})));
  auto const size = box.run("track frames --allow-gaps --out q");
  BOOST_TEST(size.exit_code == 3);
  BOOST_TEST(size.err.find("t2.tif: expected the size") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
