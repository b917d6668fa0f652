#include <septum/measure/cell_cycle.hpp>
#include <septum/measure/cell_statistics.hpp>
#include <septum/measure/growth.hpp>
#include <septum/simulate/rasterize.hpp>
#include <septum/simulate/rod_colony.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

namespace sp = septum;

namespace {

constexpr double ln_2 = 0.69314718055994530942;

/// A track that grows by a factor per frame.
sp::cell_series growing(std::int64_t track, std::int64_t parent, std::int64_t first, int frames,
                        double area, double factor) {
  sp::cell_series series{
      .track = track,
      .parent = parent,
      .start = parent == 0 ? sp::track_start::movie_start : sp::track_start::division,
      .end = sp::track_end::movie_end,
      .points = {}};
  for (int k = 0; k < frames; ++k) {
    series.points.push_back(
        {.frame = first + k, .label = track, .area = area, .length = area / 2, .width = 1.0});
    area *= factor;
  }
  return series;
}

/// A mother of areas 1 to 2^(5/6) and two unequal daughters, all doubling in six frames.
std::vector<sp::cell_series> small_family() {
  double const factor = std::exp2(1.0 / 6);
  std::vector<sp::cell_series> series{growing(1, 0, 0, 6, 1.0, factor),
                                      growing(2, 1, 6, 4, 0.8, factor),
                                      growing(3, 1, 6, 4, 1.2, factor)};
  series[0].start = sp::track_start::division;
  series[0].end = sp::track_end::division;
  return series;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(growth)

BOOST_AUTO_TEST_CASE(student_t_as_scipy_has_it) {
  // scipy.stats.t.ppf(0.975, v)
  std::map<double, double> const expected{{1, 12.706204736432095},  {2, 4.302652729911275},
                                          {3, 3.182446305284263},   {5, 2.570581835636314},
                                          {10, 2.2281388519649385}, {30, 2.0422724563012373},
                                          {200, 1.9718962236316089}};
  for (auto const& [freedom, factor] : expected)
    BOOST_TEST(sp::student_t_factor(0.95, freedom) == factor, boost::test_tools::tolerance(1e-9));
  // scipy.stats.t.cdf(-1.5, 4)
  BOOST_TEST(sp::student_t_cdf(-1.5, 4) == 0.104000000000000, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(std::isinf(sp::student_t_factor(0.95, 0)));
}

BOOST_AUTO_TEST_CASE(line_of_known_errors) {
  // ln sizes 0, 1.1, 1.9, 3.2 at 0, 1, 2, 3 h: slope 1.04, residual sum of squares 0.042.
  std::vector<sp::size_at_time> const sizes{
      {0, 1}, {1, std::exp(1.1)}, {2, std::exp(1.9)}, {3, std::exp(3.2)}};
  auto const rate = sp::fit_growth_rate(sizes);
  auto const close = boost::test_tools::tolerance(1e-9);
  BOOST_TEST(rate.per_h == 1.04, close);
  BOOST_TEST(rate.scatter == std::sqrt(0.042 / 2), close);
  BOOST_TEST(rate.error_per_h == std::sqrt(0.042 / 2 / 5), close);
  BOOST_TEST(rate.high_per_h == 1.04 + 4.302652729911275 * rate.error_per_h, close);
  BOOST_TEST(rate.doubling_time_min() == 60 * ln_2 / 1.04, close);
}

BOOST_AUTO_TEST_CASE(few_points) {
  using sizes = std::vector<sp::size_at_time>;
  BOOST_TEST(!sp::fit_growth_rate(sizes{}).known());
  BOOST_TEST(!sp::fit_growth_rate(sizes{{1, 2}}).known());
  BOOST_TEST(!sp::fit_growth_rate(sizes{{1, 2}, {1, 3}}).known());
  auto const two = sp::fit_growth_rate(sizes{{0, 1}, {0.5, 2}, {0.7, 0}});
  BOOST_TEST(two.per_h == 2 * ln_2, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(two.points == 2U);
  BOOST_TEST(std::isnan(two.low_per_h));
  BOOST_TEST(std::isnan(sp::fit_growth_rate(sizes{{0, 2}, {1, 1}}).doubling_time_min()));
}

BOOST_AUTO_TEST_CASE(the_ensemble_widens_intervals) {
  // An exact line: only what the nets disagree about is left. Slope error: sd / sqrt(sum t^2).
  std::vector<sp::size_at_time> sizes;
  for (int k = 0; k < 5; ++k)
    sizes.push_back({k * 1.0, std::exp(0.5 * k), 0.1 * std::exp(0.5 * k)});
  auto const rate = sp::fit_growth_rate(sizes);
  BOOST_TEST(rate.error_per_h == 0.1 / std::sqrt(10.0), boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(instantaneous_rates_of_the_paper_and_relative) {
  sp::cell_series series{.track = 1, .points = {}};
  double const areas[] = {2.0, 2.2, 2.2, 3.3};
  for (int k = 0; k < 4; ++k)
    series.points.push_back({.frame = k == 3 ? 4 : k, .label = 1, .area = areas[k]});
  auto const curves = sp::measure_growth(std::vector{series}, {.frame_interval_min = 5});
  auto const& points = curves.at(0).points;
  auto const close = boost::test_tools::tolerance(1e-9);
  BOOST_TEST(std::isnan(points[0].absolute_per_h));
  BOOST_TEST(points[1].absolute_per_h == 0.2 * 12, close);
  BOOST_TEST(points[1].relative_per_h == std::log(1.1) * 12, close);
  BOOST_TEST(points[1].change == 0.1, close);
  BOOST_TEST(points[2].absolute_per_h == 0.0);
  // A missing frame: the change is spread over both intervals.
  BOOST_TEST(points[3].absolute_per_h == 1.1 * 6, close);
  BOOST_TEST(points[3].relative_per_h == std::log(1.5) * 6, close);
}

BOOST_AUTO_TEST_CASE(divisions_separate_continued_and_as_published) {
  auto const series = small_family();
  double const per_h = 2 * ln_2;  // doubling in six frames of 5 min
  auto const close = boost::test_tools::tolerance(1e-9);
  double const last = series[0].points.back().area;

  sp::growth_options options{.divisions = sp::across_division::continued};
  auto const continued = sp::measure_growth(series, options);
  for (std::size_t daughter : {1U, 2U}) {
    BOOST_TEST(continued[daughter].points[0].relative_per_h == 12 * std::log(2.0 / last), close);
    // The window reaches into the mother: one exponential through the division.
    BOOST_TEST(continued[daughter].points[0].window.per_h == per_h, close);
    BOOST_TEST(continued[daughter].points[0].window.points == 7U);
  }
  double const both = continued[1].points[0].absolute_per_h + continued[2].points[0].absolute_per_h;
  BOOST_TEST(both == (2.0 - last) * 12, close);

  options.divisions = sp::across_division::separate;
  auto const separate = sp::measure_growth(series, options);
  BOOST_TEST(std::isnan(separate[1].points[0].relative_per_h));
  BOOST_TEST(separate[1].points[0].window.points == 4U);

  options.divisions = sp::across_division::as_published;
  auto const published = sp::measure_growth(series, options);
  BOOST_TEST(published[1].points[0].absolute_per_h == (0.8 - last) * 12, close);
  BOOST_TEST(published[1].points[0].absolute_per_h < 0);
  for (auto const& curve : published) BOOST_TEST(curve.rate.per_h == per_h, close);
  BOOST_TEST(sp::mean_growth_rate(published).per_h == per_h, close);
}

BOOST_AUTO_TEST_CASE(cells_at_the_border_take_no_part) {
  auto series = small_family();
  for (auto& point : series[1].points) point.at_border = true;
  auto const curves = sp::measure_growth(series);
  BOOST_TEST(!curves[1].rate.known());
  BOOST_TEST(std::isfinite(curves[1].points[1].relative_per_h));
  BOOST_TEST(sp::mean_growth_rate(curves).cells == 2U);
}

BOOST_AUTO_TEST_CASE(cell_cycles) {
  auto series = small_family();
  auto const cycles = sp::measure_cell_cycles(series);
  BOOST_REQUIRE_EQUAL(cycles.size(), 1U);
  auto const& cycle = cycles[0];
  auto const close = boost::test_tools::tolerance(1e-9);
  BOOST_TEST(cycle.track == 1);
  BOOST_TEST(cycle.division_frame == 6);
  BOOST_TEST(cycle.duration_min == 30.0, close);
  BOOST_TEST(cycle.birth_area == 1.0, close);
  BOOST_TEST(cycle.division_area == 2.0, close);
  BOOST_TEST(cycle.added_area() == 1.0, close);
  BOOST_TEST(cycle.added_length() == 0.5, close);
  BOOST_TEST(cycle.area_rate.doubling_time_min() == 30.0, close);
  BOOST_TEST(cycle.length_rate.per_h == cycle.area_rate.per_h, close);
  // One daughter a frame later: the size at division is not known.
  for (auto& point : series[2].points) ++point.frame;
  BOOST_TEST(sp::measure_cell_cycles(series).empty());
}

BOOST_AUTO_TEST_CASE(series_of_a_lineage) {
  sp::lineage tracked;
  tracked.tracks = {{.id = 1, .parts = {}}, {.id = 2, .parent = 1, .parts = {}}};
  tracked.frames = {{.frame = 0, .cells = {{.id = 5, .track = 1}}},
                    {.frame = 1, .cells = {{.id = 3, .track = 2}}}};
  std::vector<sp::cell_observation> seen{{.frame = 1, .label = 3, .area = 7},
                                         {.frame = 0, .label = 5, .area = 4},
                                         {.frame = 0, .label = 9, .area = 1}};
  auto const series = sp::make_series(tracked, seen);
  BOOST_REQUIRE_EQUAL(series.size(), 2U);
  BOOST_TEST(series[0].points.at(0).area == 4.0);
  BOOST_TEST(series[1].points.at(0).area == 7.0);
  BOOST_TEST(sp::find_family(series).mother[1] == 0U);
  seen.erase(seen.begin());
  BOOST_CHECK_THROW((void)sp::make_series(tracked, seen), sp::unsupported_error);
  seen.push_back(seen.front());
  BOOST_CHECK_THROW((void)sp::make_series(tracked, seen), sp::unsupported_error);
}

BOOST_AUTO_TEST_CASE(options_out_of_range) {
  std::vector<sp::cell_series> const none;
  BOOST_CHECK_THROW((void)sp::measure_growth(none, {.frame_interval_min = 0}),
                    sp::unsupported_error);
  BOOST_CHECK_THROW((void)sp::measure_growth(none, {.window = 4}), sp::unsupported_error);
  BOOST_CHECK_THROW((void)sp::measure_growth(none, {.confidence = 1}), sp::unsupported_error);
  BOOST_TEST(sp::measure_growth(none).empty());
}

// Growing rods with a known rate per cell, seen as pixels: what is measured is the number of pixels
// that neighbours leave of each cell.
BOOST_AUTO_TEST_CASE(simulated_colonies_of_known_rates) {
  for (double const interval : {5.0, 2.5}) {
    std::int64_t inside = 0;
    std::int64_t cells = 0;
    double found = 0;
    double truth = 0;
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      sp::colony_options options{.frames = static_cast<int>(145 / interval),
                                 .extent = {600, 600},
                                 .frame_interval_min = interval,
                                 .founders = 8,
                                 .founder_area = 0.4,
                                 .seed = seed};
      sp::rod_colony colony{options};
      std::map<std::int32_t, sp::cell_series> series;
      std::map<std::int32_t, double> rate;
      for (int frame = 0; frame < options.frames; ++frame) {
        if (frame > 0) colony.advance();
        std::vector<sp::rod> shapes;
        for (auto const& cell : colony.cells()) {
          shapes.push_back(cell.shape);
          rate[cell.shape.id] = 60 * cell.rate_per_min;
        }
        auto const seen = sp::label_rods(shapes, options.extent, sp::exec::threads{2});
        for (auto const& cell : sp::measure_cells(seen, sp::cell_measuring{}))
          if (cell.shape.area_px > 0)
            series[cell.shape.label].points.push_back({.frame = frame,
                                                       .label = cell.shape.label,
                                                       .area = cell.area_um2(options.pixel_size_um),
                                                       .at_border = cell.shape.touches_border});
      }
      std::vector<sp::cell_series> tracks;
      std::vector<double> rates;
      for (auto& [label, one] : series) {
        one.track = label;
        tracks.push_back(one);
        rates.push_back(rate.at(label));
      }
      auto const curves = sp::measure_growth(tracks, {.frame_interval_min = interval});
      for (std::size_t k = 0; k < curves.size(); ++k) {
        auto const& fitted = curves[k].rate;
        if (fitted.points < 3) continue;
        ++cells;
        inside += fitted.low_per_h <= rates[k] && rates[k] <= fitted.high_per_h ? 1 : 0;
        found += fitted.per_h;
        truth += rates[k];
      }
    }
    double const covered = static_cast<double>(inside) / static_cast<double>(cells);
    BOOST_TEST_MESSAGE("every " << interval << " min: " << cells << " cells, mean rate "
                                << found / truth << " of the truth, 95 % intervals hold it in "
                                << covered);
    BOOST_TEST(cells > 1000);
    BOOST_TEST(std::abs(found / truth - 1) < 0.01);
    BOOST_TEST(covered > 0.92);
    BOOST_TEST(covered < 0.98);
  }
}

BOOST_AUTO_TEST_SUITE_END()
