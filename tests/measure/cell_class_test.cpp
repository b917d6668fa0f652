#include "../support/text_image.hpp"

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <septum/image/types.hpp>
#include <septum/measure/cell_class.hpp>
#include <string_view>
#include <vector>

namespace {

namespace sp = septum;

constexpr std::string_view drawn[] = {"112.4", "1.225"};

/// Probabilities of edge, first and second interior, background.
sp::probabilities maps() {
  sp::probabilities result = xt::zeros<float>({2, 5, 4});
  auto const put = [&](std::size_t r, std::size_t c, float first, float second) {
    result(r, c, 1) = first;
    result(r, c, 2) = second;
    result(r, c, 3) = 1 - first - second;
  };
  put(0, 0, 0.5F, 0.25F);
  put(0, 1, 0.25F, 0.125F);
  put(1, 0, 0.75F, 0.125F);  // cell 1: 1.5 against 0.5
  put(0, 2, 0.25F, 0.25F);
  put(1, 2, 0.125F, 0.625F);
  put(1, 3, 0.F, 0.5F);  // cell 2: 0.375 against 1.375
  put(1, 1, 0.F, 1.F);   // no cell
  return result;         // cells 4 and 5 carry no weight, cell 3 has no pixel
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cell_classes)

BOOST_AUTO_TEST_CASE(shares_are_sums_over_the_cell) {
  auto const cells = sp::classify_cells(test::labels_of(drawn), maps(), {1, 2});
  BOOST_REQUIRE_EQUAL(cells.size(), 5U);
  BOOST_TEST(cells[0].label == 1);
  BOOST_TEST(cells[0].shares[1] == 0.25);
  BOOST_TEST(cells[0].decision.value() == 1);
  BOOST_TEST(cells[0].confidence() == 0.75);
  BOOST_TEST(cells[1].shares[1] == 1.375 / 1.75);
  BOOST_TEST(cells[1].decision.value() == 2);
  for (std::size_t k : {2U, 3U, 4U}) {
    BOOST_TEST(!cells[k].decision.has_value());
    BOOST_TEST(cells[k].confidence() == 0.0);
  }
}

BOOST_AUTO_TEST_CASE(unsure_cells_can_be_left_undecided) {
  auto const cells =
      sp::classify_cells(test::labels_of(drawn), maps(), {1, 2}, {.share_min = 0.77});
  BOOST_TEST(!cells[0].decision.has_value());
  BOOST_TEST(cells[0].shares[0] == 0.75);
  BOOST_TEST(cells[1].decision.value() == 2);
}

BOOST_AUTO_TEST_CASE(markers_are_compared_above_their_mean) {
  sp::image markers = xt::zeros<float>({2, 5, 2});
  for (std::size_t r = 0; r < 2; ++r)
    for (std::size_t c = 0; c < 5; ++c) {
      markers(r, c, 0) = 100;  // a bright even channel says nothing
      markers(r, c, 1) = 1;
    }
  markers(0, 0, 1) = 5;
  markers(1, 3, 0) = 104;
  auto const cells = sp::classify_cells_by_markers(test::labels_of(drawn), markers, {7, 8});
  BOOST_TEST(cells[0].decision.value() == 8);
  BOOST_TEST(cells[1].decision.value() == 7);
  BOOST_TEST(!cells[2].decision.has_value());
  BOOST_CHECK_THROW(
      static_cast<void>(sp::classify_cells_by_markers(test::labels_of(drawn), markers, {7})),
      sp::shape_error);
}

BOOST_AUTO_TEST_CASE(confusion_accuracy_and_histogram) {
  auto const cell = [](int decision, double share) {
    sp::cell_class result{.shares = {1 - share, share}};
    if (decision > 0) result.decision = decision;
    return result;
  };
  std::vector<sp::cell_class> const truth{cell(1, 0), cell(1, 0), cell(2, 1),
                                          cell(2, 1), cell(0, 0), cell(1, 0)};
  std::vector<sp::cell_class> const decided{cell(1, 0.1),  cell(2, 0.9), cell(2, 1.0),
                                            cell(2, 0.55), cell(1, 0.2), cell(0, 0.5)};
  sp::class_confusion confusion = sp::compare_classes(truth, decided, {1, 2});
  BOOST_TEST(confusion.right(0) == 1);
  BOOST_TEST(confusion.wrong(0) == 1);
  BOOST_TEST(confusion.undecided[0] == 1);
  BOOST_TEST(confusion.right(1) == 2);
  BOOST_TEST(confusion.accuracy(0).value() == 0.5);
  confusion += confusion;
  BOOST_TEST(confusion.right(1) == 4);
  sp::class_confusion const empty{std::vector<int>{1, 2}};
  BOOST_TEST(!empty.accuracy(0).has_value());
  auto const histogram = sp::share_histogram(decided, 1, 10);
  std::vector<std::int64_t> const expected{0, 1, 1, 0, 0, 2, 0, 0, 0, 2};
  BOOST_TEST(histogram == expected, boost::test_tools::per_element());
  std::vector<int> const classes{1, 2};
  BOOST_CHECK_THROW(static_cast<void>(sp::compare_classes(truth, {}, classes)), sp::shape_error);
}

BOOST_AUTO_TEST_CASE(wrong_input_is_refused) {
  sp::labels const cells = test::labels_of(drawn);
  BOOST_CHECK_THROW(static_cast<void>(sp::classify_cells(cells, maps(), {})),
                    sp::unsupported_error);
  BOOST_CHECK_THROW(static_cast<void>(sp::classify_cells(cells, maps(), {1, 4})), sp::shape_error);
  sp::labels const other = xt::zeros<std::int32_t>({2, 4});
  BOOST_CHECK_THROW(static_cast<void>(sp::classify_cells(other, maps(), {1, 2})), sp::shape_error);
}

BOOST_AUTO_TEST_SUITE_END()
