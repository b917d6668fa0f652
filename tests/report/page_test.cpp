#include <septum/report/frame_viewer.hpp>
#include <septum/report/growth_figures.hpp>
#include <septum/report/growth_map.hpp>
#include <septum/report/lineage_tree.hpp>
#include <septum/report/page.hpp>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "support/occurrences.hpp"

namespace sp = septum;
namespace report = septum::report;

namespace {

std::string uri_of(std::string_view text) {
  return report::data_uri("text/plain", std::as_bytes(std::span{text.data(), text.size()}));
}

/// A mother with two daughters, one of which is lost, and a cell that appears.
std::vector<sp::cell_series> small_movie() {
  std::vector<sp::cell_series> series(4);
  for (std::size_t k = 0; k < 4; ++k) {
    series[k].track = static_cast<std::int64_t>(k) + 1;
    std::int64_t const first = k == 0 ? 0 : 3;
    for (std::int64_t f = first; f < first + 3; ++f)
      series[k].points.push_back(
          {.frame = f, .label = series[k].track, .area = 1.0 + 0.1 * static_cast<double>(f)});
  }
  series[0].start = sp::track_start::movie_start;
  series[0].end = sp::track_end::division;
  series[1].parent = series[2].parent = 1;
  series[1].end = sp::track_end::lost;
  series[2].end = series[3].end = sp::track_end::movie_end;
  series[3].start = sp::track_start::appeared;
  return series;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(page)

BOOST_AUTO_TEST_CASE(data_addresses) {
  // RFC 4648, section 10
  BOOST_TEST(uri_of("") == "data:text/plain;base64,");
  BOOST_TEST(uri_of("f") == "data:text/plain;base64,Zg==");
  BOOST_TEST(uri_of("fo") == "data:text/plain;base64,Zm8=");
  BOOST_TEST(uri_of("foo") == "data:text/plain;base64,Zm9v");
  BOOST_TEST(uri_of("foobar") == "data:text/plain;base64,Zm9vYmFy");
  BOOST_TEST(uri_of("\xff\xfe\xfd") == "data:text/plain;base64,//79");
}

BOOST_AUTO_TEST_CASE(colours_in_order) {
  report::colour_map const colours{.lowest = -1, .highest = 1};
  BOOST_TEST(colours(-1) == "#440154");
  BOOST_TEST(colours(-7) == "#440154");
  BOOST_TEST(colours(1) == "#fde725");
  BOOST_TEST(colours(0) == "#23908c");  // half-way between #26828e and #1f9e89, rounded
  BOOST_TEST(colours(std::numeric_limits<double>::quiet_NaN()) == report::colour_map::unknown);
}

BOOST_AUTO_TEST_CASE(text_cannot_leave_its_place) {
  report::page page{"A <b> & \"c\"", "</title><script>alert(1)</script>"};
  page.section("one", "<One>", "a < b");
  page.cards(std::array{report::card{.label = "<i>", .value = "1 & 2"}});
  page.table({.head = {"<h>"}, .rows = {{"</table>", "5"}}, .numeric = {false, true}});
  std::string const html = page.finish();
  BOOST_TEST(test::occurrences(html, "alert(1)</script>") == 0U);
  BOOST_TEST(test::occurrences(html, "</table>") == 1U);
  BOOST_TEST(html.find("&lt;One&gt;") != std::string::npos);
  BOOST_TEST(test::occurrences(html, "<td class=\"number\">5</td>") == 1U);
  BOOST_TEST(test::occurrences(html, "http://www.w3.org/2000/svg") ==
             test::occurrences(html, "//www") + test::occurrences(html, "https:"));
}

BOOST_AUTO_TEST_CASE(viewer_data_is_closed) {
  report::frame_viewer viewer{.width_px = 4, .height_px = 3, .growth = {0, 2}};
  viewer.frames.push_back({.name = "</script><b>\"\\",
                           .number = 7,
                           .image = "data:,x",
                           .cells = {{.label = 1, .track = 2, .area = 1.234, .path = "M0 0h1"}}});
  report::page page{"t", "s"};
  report::put_viewer(page, viewer);
  std::string const html = page.finish();
  BOOST_TEST(html.find("[1,2,-1,1.23,null,\"M0 0h1\"]") != std::string::npos);
  BOOST_TEST(html.find("\\u003c/script>\\u003cb>\\\"\\\\") != std::string::npos);
  BOOST_TEST(test::occurrences(html, "id=\"show-probability\"") == 0U);
  report::page empty{"t", "s"};
  report::put_viewer(empty, {});
  BOOST_TEST(test::occurrences(empty.finish(), "id=\"frames\"") == 0U);
}

BOOST_AUTO_TEST_CASE(map_of_cells) {
  sp::labels cells{{0, 1, 1}, {2, 2, 1}};
  std::vector<double> const values{0, 1.0};
  auto const svg =
      report::cell_map(cells, values, {.title = "Growth", .unit = "per h", .pixel_size_um = 0.5});
  BOOST_TEST(test::occurrences(svg, "cell 1: 1.000 per h") == 1U);
  BOOST_TEST(test::occurrences(svg, "cell 2: not known") == 1U);
  BOOST_TEST(test::occurrences(svg, "M3 0v2h-1v-1h-1v-1z") == 1U);
  BOOST_TEST(test::occurrences(svg, "µm</text>") == 1U);
  BOOST_TEST(report::detail::scale_bar_um(130) == 20.0);
  BOOST_TEST(report::detail::scale_bar_um(9) == 2.0);
}

BOOST_AUTO_TEST_CASE(tree_of_a_family) {
  auto const series = small_movie();
  auto const tree = report::lineage_tree(series);
  BOOST_TEST(tree.shown == 4U);
  BOOST_TEST(tree.all == 4U);
  for (int track = 1; track <= 4; ++track)
    BOOST_TEST(test::occurrences(tree.svg, "data-track=\"" + std::to_string(track) + "\"") == 1U);
  BOOST_TEST(test::occurrences(tree.svg, "l6 6m0 -6l-6 6") == 1U);
  // The larger tree comes first when there is not room for all.
  auto const cut = report::lineage_tree(series, {.most_rows = 2});
  BOOST_TEST(cut.shown == 3U);
  BOOST_TEST(report::lineage_tree({}).all == 0U);
}

BOOST_AUTO_TEST_CASE(growth_figures) {
  auto const series = small_movie();
  auto const curves = sp::measure_growth(series);
  BOOST_TEST(test::occurrences(report::growth_curve_plot(series, 5), "data-track") == 4U);
  BOOST_TEST(test::occurrences(report::growth_histogram(curves, {}, "t"), "<rect") > 2U);
  BOOST_TEST(test::occurrences(report::rate_histogram(curves), "per h") > 0U);
  BOOST_TEST(test::occurrences(report::rate_over_time(curves, 5), "<path") == 2U);
  BOOST_TEST(test::occurrences(report::growth_curve_plot({}, 5), "no data") == 1U);
  BOOST_TEST(test::occurrences(report::added_length_plot({}, {}), "no data") == 1U);
  BOOST_TEST(test::occurrences(report::cycle_histogram({}, 5), "no data") == 1U);
}

BOOST_AUTO_TEST_SUITE_END()
