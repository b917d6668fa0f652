#include <septum/measure/audit.hpp>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace sp = septum;

namespace {

sp::cell_series track_of(std::int64_t id, std::int64_t first, std::initializer_list<double> areas) {
  sp::cell_series track{.track = id,
                        .start = sp::track_start::movie_start,
                        .end = sp::track_end::movie_end,
                        .points = {}};
  for (double const area : areas)
    track.points.push_back({.frame = first++, .label = id, .area = area});
  return track;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(audit)

BOOST_AUTO_TEST_CASE(jumps_per_link_with_counts) {
  // 1.3 is on the limit and counts, 1.29 does not.
  std::vector<sp::cell_series> series{track_of(1, 0, {100, 130, 131}), track_of(2, 0, {100, 129}),
                                      track_of(3, 0, {100, 60, 150})};
  auto const report = sp::audit_tracks(series);
  BOOST_TEST(report.cells == 8);
  BOOST_TEST(report.links == 5);
  BOOST_TEST(report.jumps == 2);
  BOOST_TEST(report.drops == 1);
  BOOST_TEST(report.jump_rate().value() == 0.4);
  BOOST_TEST(report.tracks == 3);
  BOOST_TEST(report.tracks_with_error == 2);
  BOOST_TEST(report.track_error_rate().value() == 2.0 / 3);
  BOOST_REQUIRE_EQUAL(report.suspicious.size(), 3U);
  // Most severe first: 150 % in track 3, then its 40 % drop, then the 30 % jump.
  BOOST_TEST(report.suspicious[0].track == 3);
  BOOST_TEST(report.suspicious[0].frame == 2);
  BOOST_TEST((report.suspicious[0].reasons.at(0) == sp::suspicion::jump));
  BOOST_TEST(report.suspicious[0].change == 1.5, boost::test_tools::tolerance(1e-12));
  BOOST_TEST((report.suspicious[1].reasons.at(0) == sp::suspicion::drop));
  BOOST_TEST(report.suspicious[2].track == 1);
  BOOST_TEST(report.suspicious[2].severity == 1.0, boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(missing_frames_are_not_compared) {
  auto track = track_of(1, 0, {100, 200});
  track.points[1].frame = 2;
  auto const report = sp::audit_tracks(std::vector{track});
  BOOST_TEST(report.links == 0);
  BOOST_TEST(!report.jump_rate().has_value());
  BOOST_TEST(report.suspicious.empty());
}

BOOST_AUTO_TEST_CASE(broken_lineages) {
  std::vector<sp::cell_series> series{track_of(1, 0, {100}), track_of(2, 3, {50, 51}),
                                      track_of(3, 0, {50})};
  series[0].end = sp::track_end::lost;
  series[1].start = sp::track_start::appeared;
  series[2].end = sp::track_end::left;
  auto const report = sp::audit_tracks(series);
  BOOST_TEST(report.lost == 1);
  BOOST_TEST(report.appeared == 1);
  BOOST_TEST(report.tracks_with_error == 2);
  BOOST_TEST(report.suspicious.size() == 2U);
}

BOOST_AUTO_TEST_CASE(daughters_that_do_not_add_up) {
  std::vector<sp::cell_series> series{track_of(1, 0, {100}), track_of(2, 1, {55}),
                                      track_of(3, 1, {85})};
  series[0].end = sp::track_end::division;
  series[1].parent = series[2].parent = 1;
  series[1].start = series[2].start = sp::track_start::division;
  auto const report = sp::audit_tracks(series);
  BOOST_TEST(report.uneven_divisions == 1);
  BOOST_TEST((report.suspicious.at(0).reasons.at(0) == sp::suspicion::uneven));
  series[2].points[0].area = 50;
  BOOST_TEST(sp::audit_tracks(series).uneven_divisions == 0);
}

BOOST_AUTO_TEST_CASE(nets_that_disagree) {
  auto track = track_of(1, 0, {100, 101});
  track.points[1].area_sd = 20.2;
  auto const report = sp::audit_tracks(std::vector{track});
  BOOST_REQUIRE_EQUAL(report.suspicious.size(), 1U);
  BOOST_TEST((report.suspicious[0].reasons.at(0) == sp::suspicion::disagreement));
  BOOST_TEST(report.disagreements == 1);
  BOOST_TEST(report.suspicious[0].disagreement == 0.2, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(report.suspicious[0].severity == 2.0, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(report.tracks_with_error == 0);
  BOOST_TEST(sp::audit_tracks({}).tracks == 0);
}

BOOST_AUTO_TEST_SUITE_END()
