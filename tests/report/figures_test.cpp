#include <septum/report/figures.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "support/occurrences.hpp"

namespace report = septum::report;

namespace {

/// Whether every element is closed in the right order, and no number is NaN or infinite.
bool well_formed(std::string const& svg) {
  std::vector<std::string> open;
  for (std::size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    std::size_t const end = svg.find('>', at);
    if (end == std::string::npos) return false;
    std::string const tag = svg.substr(at + 1, end - at - 1);
    std::string const name = tag.substr(tag.front() == '/' ? 1 : 0,
                                        tag.find_first_of(" /", 1) - (tag.front() == '/' ? 1 : 0));
    if (tag.front() == '/') {
      if (open.empty() || open.back() != name) return false;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
  }
  return open.empty() && test::occurrences(svg, "nan") == 0 &&
         test::occurrences(svg, "\"inf") == 0 && svg.starts_with("<svg ");
}

std::vector<std::string> labels_of(std::vector<report::detail::tick> const& ticks) {
  std::vector<std::string> result;
  for (auto const& tick : ticks) result.push_back(tick.label);
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(figures)

BOOST_AUTO_TEST_CASE(ticks_are_round_numbers) {
  using report::detail::linear_ticks;
  auto const per_element = boost::test_tools::per_element();
  BOOST_TEST(labels_of(linear_ticks(0, 1, 5)) ==
                 (std::vector<std::string>{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"}),
             per_element);
  BOOST_TEST(labels_of(linear_ticks(-3, 27, 5)) == (std::vector<std::string>{"0", "10", "20"}),
             per_element);
  BOOST_TEST(labels_of(linear_ticks(0.0012, 0.0031, 4)) ==
                 (std::vector<std::string>{"0.0015", "0.0020", "0.0025", "0.0030"}),
             per_element);
  BOOST_TEST(labels_of(linear_ticks(0, 4e6, 4)) ==
                 (std::vector<std::string>{"0", "1e6", "2e6", "3e6", "4e6"}),
             per_element);
  BOOST_TEST(labels_of(report::detail::logarithmic_ticks(0.5, 2000)) ==
                 (std::vector<std::string>{"1", "10", "100", "1000"}),
             per_element);
  BOOST_TEST(labels_of(report::detail::logarithmic_ticks(1, 60)) ==
                 (std::vector<std::string>{"1", "2", "5", "10", "20", "50"}),
             per_element);
}

BOOST_AUTO_TEST_CASE(a_line_goes_through_its_points) {
  report::series const line{.name = "a", .x = {0, 1, 2}, .y = {0, 1, 0}};
  report::figure_options const options{.x = {.lowest = 0.0, .highest = 2.0},
                                       .y = {.lowest = 0.0, .highest = 1.0},
                                       .width_px = 300,
                                       .height_px = 200};
  std::string const svg = report::line_plot(options, {line});
  BOOST_TEST(well_formed(svg));
  // Up to the middle and down again: left, centre and right at equal distances.
  auto const start = svg.find("<path d=\"M");
  BOOST_REQUIRE(start != std::string::npos);
  std::string const path = svg.substr(start + 10, svg.find('"', start + 10) - start - 10);
  std::vector<double> numbers;
  std::string number;
  for (char const c : path + " ") {
    if ((c >= '0' && c <= '9') || c == '.' || c == '-') {
      number += c;
    } else if (!number.empty()) {
      numbers.push_back(*septum::parse_number<double>(number));
      number.clear();
    }
  }
  BOOST_REQUIRE(numbers.size() == 6U);
  BOOST_TEST(std::abs(numbers[2] - (numbers[0] + numbers[4]) / 2) < 0.02);
  BOOST_TEST(numbers[1] == numbers[5]);
  BOOST_TEST(numbers[3] < numbers[1]);
}

BOOST_AUTO_TEST_CASE(missing_values_break_a_line) {
  double const nan = std::nan("");
  report::series const line{.x = {0, 1, 2, 3, 4}, .y = {1, 2, nan, 2, 1}};
  std::string const svg = report::line_plot({}, {line});
  BOOST_TEST(well_formed(svg));
  auto const start = svg.find("<path d=\"M");
  std::string const path = svg.substr(start, svg.find("/>", start) - start);
  BOOST_TEST(std::count(path.begin(), path.end(), 'M') == 2);
  BOOST_TEST(std::count(path.begin(), path.end(), 'L') == 2);
}

BOOST_AUTO_TEST_CASE(any_numbers_give_a_valid_image) {
  double const huge = std::numeric_limits<double>::max();
  double const tiny = std::numeric_limits<double>::denorm_min();
  double const inf = std::numeric_limits<double>::infinity();
  std::vector<std::vector<double>> const cases{{},
                                               {1},
                                               {0, 0, 0},
                                               {huge, -huge},
                                               {tiny, 0},
                                               {inf, -inf},
                                               {1e15, 1e15 + 1},
                                               {-5, -5},
                                               {1e-300, 1e300},
                                               {0.1, 0.1},
                                               {-1e-9, 1e9}};
  for (auto const& values : cases)
    for (bool const logarithmic : {false, true}) {
      report::series line{
          .name = "<&\"\x01\xFF", .x = values, .y = values, .low = values, .high = values};
      for (auto const shape :
           {report::mark::line, report::mark::line_and_points, report::mark::steps}) {
        line.shape = shape;
        report::figure_options const options{.title = "a < b & \"c\"",
                                             .x = {.label = "x", .logarithmic = logarithmic},
                                             .y = {.label = "y", .logarithmic = logarithmic}};
        std::string const svg = report::line_plot(options, {line});
        BOOST_TEST(well_formed(svg));
        BOOST_TEST(svg.size() < 100000U);
      }
      BOOST_TEST(well_formed(
          report::histogram_plot({.y = {.logarithmic = logarithmic}}, report::bin_values(values))));
    }
}

BOOST_AUTO_TEST_CASE(histograms_count_every_finite_value_once) {
  std::vector<double> const values{0, 0.5, 1, 1.5, 2, 10, std::nan("")};
  auto const bins = report::bin_values(values, 5);
  BOOST_TEST(bins.edges.size() == 6U);
  BOOST_TEST(bins.counts == (std::vector<std::int64_t>{4, 1, 0, 0, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(report::bin_values({}).counts.empty());
  auto const constant = report::bin_values(std::vector<double>(7, 3.0));
  BOOST_TEST(*std::max_element(constant.counts.begin(), constant.counts.end()) == 7);
  std::string const svg = report::histogram_plot({.x = {.label = "area"}}, bins);
  BOOST_TEST(well_formed(svg));
  BOOST_TEST(test::occurrences(svg, "fill=\"#0072B2\"") == 3U);
}

BOOST_AUTO_TEST_CASE(outliers_do_not_press_a_histogram_into_one_bar) {
  std::vector<double> values;
  for (int i = 0; i < 200; ++i) values.push_back(1 + 0.001 * i);
  values.push_back(50);
  values.push_back(-30);
  auto const whole = report::bin_values(values, 20);
  BOOST_TEST(*std::max_element(whole.counts.begin(), whole.counts.end()) == 200);
  auto const inner = report::bin_values(values, 20, 0.01);
  BOOST_TEST(inner.open_below);
  BOOST_TEST(inner.open_above);
  BOOST_TEST(inner.edges.front() > 0.9);
  BOOST_TEST(inner.edges.back() < 1.3);
  BOOST_TEST(*std::max_element(inner.counts.begin(), inner.counts.end()) < 30);
  BOOST_TEST(std::accumulate(inner.counts.begin(), inner.counts.end(), std::int64_t{0}) == 202);
  std::string const svg = report::histogram_plot({.x = {.label = "rate"}}, inner);
  BOOST_TEST(well_formed(svg));
  BOOST_TEST(test::occurrences(svg, "fill=\"#56B4E9\"") == 2U);
  BOOST_TEST(test::occurrences(svg, " and above: 1") == 1U);
  // Without outliers the bins cover everything.
  values.resize(200);
  auto const plain = report::bin_values(values, 20, 0.01);
  BOOST_TEST(!plain.open_below);
  BOOST_TEST(plain.edges.back() == 1.199, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(learning_curves_show_validation_only_when_there_is_one) {
  std::vector<report::learning_point> points{{0, 0.5, 0.6}, {1, 0.3, 0.4}};
  std::string const both = report::learning_curves(points, "error");
  BOOST_TEST(well_formed(both));
  BOOST_TEST(test::occurrences(both, ">validation<") == 1U);
  for (auto& point : points) point.validation = std::nan("");
  BOOST_TEST(test::occurrences(report::learning_curves(points, "error"), ">validation<") == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
