#include <septum/io/ctc.hpp>
#include <septum/io/tracking_checkpoint.hpp>
#include <septum/io/trackmate.hpp>
#include <septum/io/tracks.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <support/hostile.hpp>
#include <support/shared_data.hpp>
#include <utility>
#include <vector>

namespace {

namespace sp = septum;
namespace fs = std::filesystem;
using kind = sp::link_kind;

struct folder {
  fs::path path;
  explicit folder(std::string const& name)
      : path{fs::temp_directory_path() / ("septum_tracks_" + std::to_string(::getpid()) + name)} {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  folder(folder const&) = delete;
  folder& operator=(folder const&) = delete;
  ~folder() { fs::remove_all(path); }
  fs::path file(std::string const& name, std::string const& text) const {
    sp::io::write_file(path / name, text);
    return path / name;
  }
};

template <class Read>
void refused(Read const& read, std::string const& id, std::string const& part) {
  BOOST_CHECK_EXCEPTION(static_cast<void>(read()), sp::error, [&](sp::error const& e) {
    bool const fits = e.id() == id && e.message().find(part) != std::string::npos;
    BOOST_TEST(fits, e.id() << " " << e.message());
    return fits;
  });
}

sp::labels image_of(std::vector<std::int32_t> const& cells) {
  sp::labels image = sp::labels::from_shape({6, 40});
  image.fill(0);
  for (std::size_t k = 0; k < cells.size(); ++k)
    for (std::size_t r = 1; r < 5; ++r)
      for (std::size_t c = 0; c < 6; ++c) image(r, 8 * k + c) = cells[k];
  return image;
}

struct movie {
  std::vector<sp::labels> images{image_of({1, 2}), image_of({3, 4, 5}), image_of({1, 2, 9})};
  std::vector<sp::frame_cells> frames;
  std::vector<sp::cell_link> links{{0, 1, 1, 3, kind::link, 0.5},
                                   {0, 2, 1, 4, kind::link, 0.25},
                                   {0, 2, 1, 5, kind::split, 2},
                                   {1, 3, 2, 1, kind::link, 1},
                                   {1, 5, 2, 9, kind::link, 3}};
  sp::lineage lineage;
  movie() {
    for (std::size_t f = 0; f < images.size(); ++f)
      frames.push_back(sp::detect_cells(images[f], static_cast<std::int64_t>(f)));
    lineage = sp::make_lineage(frames, links);
  }
};

void write_ctc(fs::path const& path, movie const& m) {
  sp::io::ctc_writer writer{path, 0, 2};
  writer.add(m.images, m.lineage.frames, sp::exec::threads{2});
  writer.commit(m.lineage.tracks);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tracks)

BOOST_AUTO_TEST_CASE(ctc_folders_come_back_as_they_were_written) {
  folder const at{"ctc"};
  movie const m;
  write_ctc(at.path, m);
  sp::io::ctc_folder const back{at.path};
  BOOST_TEST((back.tracks() == sp::to_ctc(m.lineage.tracks)));
  BOOST_TEST(back.masks().size() == 3U);
  BOOST_TEST(sp::io::find_ctc_problems(back).empty());
  for (auto const& cell : m.lineage.frames[1].cells) {
    auto const seen = back.read_mask(1);
    std::size_t const column = cell.id == 3 ? 0 : cell.id == 4 ? 8 : 16;
    BOOST_TEST(seen(2, column) == cell.label);
  }
}

BOOST_AUTO_TEST_CASE(a_missing_frame_becomes_an_empty_mask) {
  folder const at{"gap"};
  movie m;
  m.frames[1].frame = 1;
  m.frames[2].frame = 4;
  m.links = {{0, 1, 1, 3, kind::link, 0}, {1, 3, 4, 1, kind::gap, 0}};
  m.lineage = sp::make_lineage(m.frames, m.links);
  sp::io::ctc_writer writer{at.path, 0, 4};
  writer.add(m.images, m.lineage.frames);
  writer.commit(m.lineage.tracks);
  sp::io::ctc_folder const back{at.path};
  BOOST_TEST(back.masks().size() == 5U);
  BOOST_TEST(sp::io::find_ctc_problems(back).empty());
}

BOOST_AUTO_TEST_CASE(refuses_tables_that_are_no_lineage) {
  folder const at{"bad"};
  auto const read = [&](std::string const& text) {
    return [path = at.file("res_track.txt", text)] { return sp::io::read_ctc_tracks(path); };
  };
  BOOST_TEST(sp::io::read_ctc_tracks(at.file("empty.txt", "")).empty());
  BOOST_TEST(read("1 0 3 0\r\n2\t4 5 1\n\n")().size() == 2U);
  refused(read("1 0 3\n"), "septum.ctc.2", "line 1");
  refused(read("1 0 3 0 7\n"), "septum.ctc.2", "line 1");
  refused(read("1 0 3,5 0\n"), "septum.ctc.2", "found '3,5'");
  refused(read("1 0 3 0\n1 4 5 0\n"), "septum.ctc.3", "line 2: expected every label once");
  refused(read("1 5 3 0\n"), "septum.ctc.3", "last frame from 5");
  refused(read("1 -1 3 0\n"), "septum.ctc.3", "first frame from 0");
  refused(read("0 0 3 0\n"), "septum.ctc.3", "label from 1");
  refused(read("70000 0 3 0\n"), "septum.ctc.3", "65535");
  refused(read("1 0 3 9\n"), "septum.ctc.3", "parent 9");
  refused(read("1 0 3 1\n"), "septum.ctc.3", "parent 1");
  refused(read("1 0 3 2\n2 4 5 1\n"), "septum.ctc.3", "track 1");
  refused(read("1 0 3 0\n2 3 5 1\n"), "septum.ctc.3", "track 2");
}

BOOST_AUTO_TEST_CASE(finds_what_masks_and_table_disagree_about) {
  folder const at{"disagree"};
  movie const m;
  write_ctc(at.path, m);
  auto const problem = [&](std::string const& part) {
    auto const all = sp::io::find_ctc_problems(sp::io::ctc_folder{at.path});
    BOOST_TEST(!all.empty());
    bool found = false;
    for (auto const& each : all) found = found || each.find(part) != std::string::npos;
    BOOST_TEST(found, part << " not in: " << (all.empty() ? "nothing" : all.front()));
    BOOST_CHECK_THROW(sp::io::expect_valid_ctc(sp::io::ctc_folder{at.path}), sp::io_error);
  };
  // A label that no track has, and tracks whose label is missing, also in the last frame.
  sp::io::write_tiff(at.path / "mask002.tif", image_of({77}), {.label_bits = 16});
  problem("label 77: expected a line");
  problem("expected label");
  sp::io::write_tiff(at.path / "mask002.tif", image_of({77}), {.label_bits = 32});
  problem("16-bit");
  write_ctc(at.path, m);
  fs::rename(at.path / "mask001.tif", at.path / "mask007.tif");
  refused([&] { return sp::io::ctc_folder{at.path}; }, "septum.ctc.5", "no frame 1");
  refused([&] { return sp::io::ctc_folder{at.path / "nothing"}; }, "septum.ctc.5", "res_track.txt");
}

BOOST_AUTO_TEST_CASE(labels_above_16_bits_are_refused_with_their_count) {
  std::vector<sp::track> tracks(2);
  tracks[0] = {.id = 1, .parts = {{1, 0, 0}}};
  tracks[1] = {.id = 70000, .parts = {{70000, 0, 0}}};
  refused([&] { return sp::to_ctc(tracks); }, "septum.ctc.1", "70000");
}

BOOST_AUTO_TEST_CASE(tables_come_back_as_they_were_written) {
  folder const at{"csv"};
  movie const m;
  sp::io::write_links(at.path / "links.csv", m.links);
  auto links = sp::io::read_links(at.path / "links.csv");
  BOOST_REQUIRE(links.size() == m.links.size());
  for (std::size_t i = 0; i < links.size(); ++i) {
    links[i].cost = m.links[i].cost;
    BOOST_TEST((links[i] == m.links[i]));
  }
  sp::io::write_tracks(at.path / "tracks.csv", m.lineage.tracks);
  auto const tracks = sp::io::read_tracks(at.path / "tracks.csv");
  BOOST_REQUIRE(tracks.size() == m.lineage.tracks.size());
  for (std::size_t i = 0; i < tracks.size(); ++i) {
    BOOST_TEST(tracks[i].id == m.lineage.tracks[i].id);
    BOOST_TEST(tracks[i].parent == m.lineage.tracks[i].parent);
    BOOST_TEST((tracks[i].end == m.lineage.tracks[i].end));
  }
}

BOOST_AUTO_TEST_CASE(refuses_tables_of_tracks_that_make_no_sense) {
  folder const at{"badcsv"};
  std::string const head = "track,parent,first_frame,last_frame,start,end\n";
  auto const read = [&](std::string const& rows) {
    return [path = at.file("tracks.csv", head + rows)] { return sp::io::read_tracks(path); };
  };
  BOOST_TEST(read("1,0,0,3,movie_start,lost\n")().size() == 1U);
  refused(read("1,0,0,3,movie_start,gone\n"), "septum.tracks.1", "line 2");
  refused(read("1,0,0,3,movie_start,lost\n1,0,4,5,appeared,lost\n"), "septum.tracks.3", "twice");
  refused(read("1,0,4,3,movie_start,lost\n"), "septum.tracks.3", "last frame from 4");
  refused(read("1,8,0,3,division,lost\n"), "septum.tracks.3", "parent 8");
  refused(read("1,1,0,3,division,lost\n"), "septum.tracks.3", "parent");
  refused(read("1,0,0,3,movie_start,division\n2,1,4,5,division,lost\n3,1,4,5,division,lost\n"
               "4,1,4,5,division,lost\n"),
          "septum.tracks.3", "third");
  refused(
      [&] {
        return sp::io::read_links(at.file("links.csv",
                                          "source_frame,source_label,target_frame,"
                                          "target_label,kind\n3,1,3,2,link\n"));
      },
      "septum.tracks.2", "forward in time");
}

BOOST_AUTO_TEST_CASE(reads_points_with_several_names_for_their_columns) {
  folder const at{"points"};
  auto const frames =
      sp::io::read_points(at.file("a.csv", "id,frame,x,y\n5,3,1.5,2.5\n7,0,4,5\n6,3,8,9\n"));
  BOOST_REQUIRE(frames.size() == 2U);
  BOOST_TEST(frames[0].frame == 0);
  BOOST_TEST(frames[1].cells.size() == 2U);
  BOOST_TEST(frames[1].cells[0].id == 5);
  BOOST_TEST(frames[1].cells[0].x == 1.5);
  BOOST_TEST(sp::io::read_points(
                 at.file("b.csv", ",ID,FRAME,POSITION_X,POSITION_Y,POSITION_Z\n0,1,0,1,2,3\n"))[0]
                 .cells[0]
                 .z == 3.0);
  refused([&] { return sp::io::read_points(at.file("c.csv", "id,frame,x,y\n1,0,1,2\n1,1,1,2\n")); },
          "septum.tracks.4", "line 3");
  refused([&] { return sp::io::read_points(at.file("d.csv", "id,frame,x,y\n1,0,nan,2\n")); },
          "septum.tracks.5", "line 2");
  refused([&] { return sp::io::read_points(at.file("e.csv", "id,frame,x\n1,0,1\n")); },
          "septum.csv.6", "'y'");
}

BOOST_AUTO_TEST_CASE(trackmate_files_come_back_as_they_were_written) {
  folder const at{"xml"};
  movie const m;
  sp::io::write_trackmate(at.path / "a.xml", m.frames, m.links,
                          {.pixel_size = 0.5,
                           .frame_interval = 5,
                           .length_unit = "micron",
                           .time_unit = "min",
                           .rows = 6,
                           .columns = 40});
  auto const back = sp::io::read_trackmate(at.path / "a.xml");
  BOOST_TEST(back.units.length_unit == "micron");
  BOOST_TEST(back.units.pixel_size == 0.5);
  BOOST_TEST(back.units.columns == 40);
  BOOST_REQUIRE(back.frames.size() == 3U);
  for (std::size_t f = 0; f < 3; ++f) {
    BOOST_REQUIRE(back.frames[f].cells.size() == m.frames[f].cells.size());
    for (std::size_t k = 0; k < m.frames[f].cells.size(); ++k)
      BOOST_TEST(back.frames[f].cells[k].x == 0.5 * m.frames[f].cells[k].x);
  }
  BOOST_REQUIRE(back.links.size() == m.links.size());
  for (std::size_t i = 0; i < m.links.size(); ++i) {
    BOOST_TEST(back.links[i].source_frame == m.links[i].source_frame);
    BOOST_TEST((back.links[i].kind == m.links[i].kind));
    BOOST_TEST(back.links[i].cost == m.links[i].cost);
  }
}

BOOST_AUTO_TEST_CASE(reads_what_trackmate_itself_wrote) {
  auto const data = test::shared_data("trackmate");
  if (!data) return;
  auto const model = sp::io::read_trackmate(*data / "with_splitting.xml");
  auto const points = sp::io::read_points(*data / "with_splitting_spots.csv");
  std::size_t spots = 0, rows = 0;
  for (auto const& frame : model.frames) spots += frame.cells.size();
  for (auto const& frame : points) rows += frame.cells.size();
  BOOST_TEST(spots >= rows);
  BOOST_TEST(model.links.size() > 100U);
}

BOOST_AUTO_TEST_CASE(refuses_damaged_trackmate_files) {
  folder const at{"badxml"};
  auto const read = [&](std::string const& text) {
    return [path = at.file("a.xml", text)] { return sp::io::read_trackmate(path); };
  };
  std::string const spot = "<Spot ID=\"1\" FRAME=\"0\" POSITION_X=\"1\" POSITION_Y=\"2\"/>";
  BOOST_TEST(read("<?xml version=\"1.0\"?><TrackMate><Model>" + spot + "</Model></TrackMate>")()
                 .frames.size() == 1U);
  refused(read("<html></html>"), "septum.xml.1", "expected <TrackMate>");
  refused(read("<TrackMate><Model></TrackMate>"), "septum.xml.1", "expected </Model>");
  refused(read("<TrackMate>"), "septum.xml.1", "end of the file");
  refused(read("<TrackMate>" + spot + spot + "</TrackMate>"), "septum.xml.1", "twice");
  refused(read("<TrackMate><Spot ID=\"1\"/></TrackMate>"), "septum.xml.1", "FRAME");
  refused(read("<TrackMate><Spot ID=\"1,5\" FRAME=\"0\"/></TrackMate>"), "septum.xml.1", "number");
  refused(
      read("<TrackMate>" + spot + "<Edge SPOT_SOURCE_ID=\"1\" SPOT_TARGET_ID=\"2\"/></TrackMate>"),
      "septum.xml.1", "spots of the file");
  refused(read("<TrackMate a=\"&bomb;\"></TrackMate>"), "septum.xml.1", "entity");
  // Cut anywhere, it is an error and nothing worse.
  std::string const whole = "<TrackMate><Model>" + spot + "</Model></TrackMate>";
  for (std::size_t length = 1; length < whole.size(); ++length)
    BOOST_CHECK_THROW(static_cast<void>(read(whole.substr(0, length))()), sp::error);
}

BOOST_AUTO_TEST_CASE(every_cut_and_every_changed_byte_gives_an_error_or_a_lineage) {
  std::string const ctc = "1 0 3 0\n2 4 5 1\n3 4 6 1\n";
  int refused_tables = 0;
  test::for_each_damage(ctc, [&](std::string const& damaged, std::size_t, bool) {
    try {
      auto const tracks = sp::io::parse_ctc_tracks(damaged, "res_track.txt");
      // What is still accepted is a lineage.
      for (auto const& track : tracks) {
        BOOST_TEST(track.label > 0);
        BOOST_TEST(track.first_frame <= track.last_frame);
        if (track.parent == 0) continue;
        auto const mother = std::find_if(tracks.begin(), tracks.end(),
                                         [&](auto const& t) { return t.label == track.parent; });
        BOOST_REQUIRE(mother != tracks.end());
        BOOST_TEST(mother->last_frame < track.first_frame);
      }
    } catch (sp::io_error const& failure) {
      BOOST_TEST(failure.message().starts_with("res_track.txt: line "));
      ++refused_tables;
    }
  });
  BOOST_TEST(refused_tables > 50);
  folder const at{"damage"};
  std::string const xml =
      "<TrackMate><Model><Spot ID=\"1\" FRAME=\"0\" POSITION_X=\"1\" POSITION_Y=\"2\"/>"
      "<Spot ID=\"2\" FRAME=\"1\" POSITION_X=\"1\" POSITION_Y=\"2\"/>"
      "<Edge SPOT_SOURCE_ID=\"1\" SPOT_TARGET_ID=\"2\"/></Model></TrackMate>";
  std::string const links =
      "source_frame,source_label,target_frame,target_label,kind\n0,1,1,2,link\n0,1,1,3,split\n";
  int refused_files = 0;
  for (auto const& [name, text] : {std::pair{"a.xml", xml}, std::pair{"links.csv", links}})
    test::for_each_damage(text, [&](std::string const& damaged, std::size_t, bool) {
      fs::path const path = at.path / name;
      test::spill(path, damaged);
      try {
        if (path.extension() == ".xml")
          static_cast<void>(sp::io::read_trackmate(path));
        else
          static_cast<void>(sp::io::read_links(path));
      } catch (sp::error const& failure) {
        BOOST_TEST(failure.message().find(name) != std::string::npos, failure.message());
        ++refused_files;
      }
    });
  BOOST_TEST(refused_files > 500);
}

BOOST_AUTO_TEST_CASE(checkpoints_of_tracking_keep_every_bit) {
  folder const at{"checkpoint"};
  movie const m;
  sp::cell_tracker<> tracker = sp::bacteria_tracker();
  sp::io::tracking_progress progress{
      .settings = "bacteria", .state = {}, .frames = {}, .links = m.links};
  for (auto const& frame : m.frames) {
    static_cast<void>(tracker.push(frame));
    progress.frames.push_back(frame);
  }
  progress.state = tracker.state();
  sp::io::write_tracking(at.path / "a", progress);
  auto const back = sp::io::read_tracking(at.path / "a");
  BOOST_TEST(back.settings == "bacteria");
  BOOST_TEST((back.links == m.links));
  BOOST_TEST(back.frames.size() == 3U);
  sp::cell_tracker<> other = sp::bacteria_tracker();
  other.restore(back.state);
  auto const next = sp::detect_cells(image_of({6, 7, 8}), 3);
  BOOST_TEST((other.push(next) == tracker.push(next)));
  BOOST_CHECK_THROW(static_cast<void>(sp::io::read_tracking(at.file("b", "no checkpoint"))),
                    sp::error);
}

BOOST_AUTO_TEST_SUITE_END()
