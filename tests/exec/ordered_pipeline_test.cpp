#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <deque>
#include <numeric>
#include <septum/exec/ordered_pipeline.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace sp = septum;

// A number that counts how many of its kind there are.
class counted {
 public:
  explicit counted(int number) : value{number} { ++alive(); }
  counted(counted&& other) noexcept : value{other.value} { ++alive(); }
  counted& operator=(counted&& other) noexcept = default;
  ~counted() { --alive(); }
  static std::atomic<int>& alive() {
    static std::atomic<int> count{0};
    return count;
  }
  int value;
};

auto numbers(int count) {
  return [count, next = 0]() mutable -> std::optional<counted> {
    if (next == count) return std::nullopt;
    return counted{next++};
  };
}

// Different for every item, so that threads overtake each other.
void dawdle(int value) {
  std::this_thread::sleep_for(std::chrono::microseconds{(value * 7919) % 13 * 60});
}

struct failed_item : std::runtime_error {
  explicit failed_item(int item)
      : std::runtime_error{"item " + std::to_string(item)}, number{item} {}
  int number;
};

// Doubles numbers, some of them at the same time; refuses to mix odd and even thousands.
class doubling_relay {
 public:
  explicit doubling_relay(std::size_t capacity) : capacity_{capacity} {}
  [[nodiscard]] bool accepts(counted const& item) const {
    return inside_.empty() ||
           (inside_.size() < capacity_ && inside_.front() / 1000 % 2 == item.value / 1000 % 2);
  }
  void submit(counted& item) {
    if (!accepts(item)) throw std::logic_error{"submitted an item that is not accepted"};
    if (item.value == fails_going_in) throw failed_item{item.value};
    inside_.push_back(item.value);
    most = std::max(most, inside_.size());
  }
  void collect(counted& item) {
    int const oldest = inside_.empty() ? -1 : inside_.front();
    if (oldest != item.value) throw std::logic_error{"collected another item than the oldest"};
    inside_.pop_front();
    if (oldest == fails_coming_out) throw failed_item{oldest};
    dawdle(oldest);
    item.value = 2 * oldest;
  }
  void abandon() {
    inside_.clear();
    ++abandoned;
  }

  std::size_t most = 0;
  int abandoned = 0;
  int fails_going_in = -1;
  int fails_coming_out = -1;

 private:
  std::size_t capacity_;
  std::deque<int> inside_;
};
static_assert(sp::Relay<doubling_relay, counted>);

}  // namespace

BOOST_AUTO_TEST_SUITE(ordered_pipeline)

BOOST_AUTO_TEST_CASE(items_come_out_in_order_and_are_bounded) {
  for (int const in_flight : {0, 1, 2, 3, 8})
    for (int const workers : {1, 2, 5}) {
      std::vector<int> out;
      std::atomic<int> given{0};
      int most = 0;
      doubling_relay relay{3};
      sp::run_pipeline(
          in_flight,
          [&, next = numbers(60)]() mutable {
            auto item = next();
            given += item ? 1 : 0;
            return item;
          },
          [&](counted& item) {
            most = std::max(most, given - static_cast<int>(out.size()));
            out.push_back(item.value);
          },
          sp::on_workers{[](counted& item) { dawdle(item.value); }, workers}, relay,
          sp::on_workers{[](counted& item) {
                           dawdle(item.value);
                           ++item.value;
                         },
                         workers});
      std::vector<int> expected(60);
      for (int k = 0; k < 60; ++k) expected[static_cast<std::size_t>(k)] = 2 * k + 1;
      BOOST_TEST_CONTEXT(in_flight << " in flight, " << workers << " workers") {
        BOOST_TEST(out == expected, boost::test_tools::per_element());
        BOOST_TEST(most <= std::max(in_flight, 1));
        if (in_flight > 1) BOOST_TEST(most > 1);
        BOOST_TEST(relay.most <= 3U);
        BOOST_TEST(counted::alive() == 0);
      }
    }
}

BOOST_AUTO_TEST_CASE(stages_run_at_the_same_time) {
  // Item 1 leaves the first stage only when item 0 has begun the second, and item 0 leaves the
  // second only when item 1 has begun the first.
  std::atomic<bool> second_began{false};
  std::atomic<bool> first_began{false};
  auto const wait_for = [](std::atomic<bool> const& flag) {
    for (int k = 0; k < 5000 && !flag; ++k)
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    return flag.load();
  };
  bool together = true;
  sp::run_pipeline(
      2, numbers(2), [](counted&) {},
      [&](counted& item) {
        if (item.value == 0) return;
        first_began = true;
        if (!wait_for(second_began)) together = false;
      },
      [&](counted& item) {
        if (item.value == 1) return;
        second_began = true;
        if (!wait_for(first_began)) together = false;
      });
  BOOST_TEST(together);
}

BOOST_AUTO_TEST_CASE(workers_of_a_stage_run_at_the_same_time) {
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  sp::run_pipeline(
      3, numbers(3), [](counted&) {},
      sp::on_workers{[&](counted&) {
                       most = std::max(most.load(), ++inside);
                       for (int k = 0; k < 5000 && most < 3; ++k)
                         std::this_thread::sleep_for(std::chrono::milliseconds{1});
                     },
                     3});
  BOOST_TEST(most == 3);
}

BOOST_AUTO_TEST_CASE(a_relay_holds_several_items_and_never_waits_for_the_last) {
  // As many in the relay as there may be at all, and fewer.
  for (std::size_t const capacity : {1U, 2U, 4U, 9U}) {
    doubling_relay relay{capacity};
    int count = 0;
    sp::run_pipeline(
        4, numbers(50), [&](counted& item) { BOOST_TEST(item.value == 2 * count++); }, relay);
    BOOST_TEST(count == 50);
    BOOST_TEST(relay.most <= std::min<std::size_t>(capacity, 4));
  }
  // Two of them, which together could hold more than there may be.
  doubling_relay first{4};
  doubling_relay second{4};
  int count = 0;
  sp::run_pipeline(
      4, numbers(50), [&](counted& item) { BOOST_TEST(item.value == 4 * count++); }, first, second);
  BOOST_TEST(count == 50);
}

BOOST_AUTO_TEST_CASE(a_relay_is_emptied_before_items_that_do_not_go_with_it) {
  doubling_relay relay{4};
  std::vector<int> out;
  std::vector<int> const values{1, 2, 1003, 1004, 1005, 6};
  std::size_t next = 0;
  sp::run_pipeline(
      6,
      [&]() -> std::optional<counted> {
        if (next == values.size()) return std::nullopt;
        return counted{values[next++]};
      },
      [&](counted& item) { out.push_back(item.value / 2); }, relay);
  BOOST_TEST(out == values, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_first_failure_in_the_order_of_items_ends_the_run) {
  for (int const in_flight : {1, 2, 5})
    for (int const culprit : {0, 7, 19}) {
      std::vector<int> out;
      doubling_relay relay{3};
      BOOST_CHECK_EXCEPTION(
          sp::run_pipeline(
              in_flight, numbers(20), [&](counted& item) { out.push_back(item.value); },
              // A later item fails at once, the culprit after a while and in a later stage.
              [&](counted& item) {
                if (item.value == culprit + 1) throw failed_item{item.value};
              },
              relay,
              [&](counted& item) {
                std::this_thread::sleep_for(std::chrono::milliseconds{2});
                if (item.value == 2 * culprit) throw failed_item{culprit};
              }),
          failed_item, [&](failed_item const& one) { return one.number == culprit; });
      BOOST_TEST(out.size() == static_cast<std::size_t>(culprit));
      BOOST_TEST(counted::alive() == 0);
    }
}

BOOST_AUTO_TEST_CASE(a_sink_may_go_on_after_failures) {
  for (int const in_flight : {1, 4}) {
    doubling_relay relay{3};
    relay.fails_going_in = 5;
    relay.fails_coming_out = 11;
    std::vector<int> good;
    std::vector<int> bad;
    sp::run_pipeline(
        in_flight, numbers(20),
        [&](counted& item, std::exception_ptr const& failure) {
          (failure ? bad : good).push_back(item.value);
        },
        [](counted& item) {
          if (item.value == 3) throw failed_item{3};
        },
        relay);
    BOOST_TEST_CONTEXT(in_flight << " in flight") {
      BOOST_TEST(bad == (std::vector<int>{3, 5, 11}), boost::test_tools::per_element());
      BOOST_TEST(good.size() == 17U);
      BOOST_TEST(std::is_sorted(good.begin(), good.end()));
      BOOST_TEST(relay.abandoned >= 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_source_that_fails_is_told_after_its_items) {
  for (int const in_flight : {1, 3}) {
    int delivered = 0;
    int next = 0;
    BOOST_CHECK_THROW(
        sp::run_pipeline(
            in_flight,
            [&]() -> std::optional<counted> {
              if (next == 6) throw failed_item{6};
              return counted{next++};
            },
            [&](counted&) { ++delivered; }, [](counted& item) { dawdle(item.value); }),
        failed_item);
    BOOST_TEST(delivered == 6);
  }
}

BOOST_AUTO_TEST_CASE(a_sink_that_throws_stops_everything) {
  for (int const in_flight : {1, 4}) {
    doubling_relay relay{3};
    std::atomic<int> given{0};
    BOOST_CHECK_THROW(sp::run_pipeline(
                          in_flight, [&]() -> std::optional<counted> { return counted{given++}; },
                          [&](counted& item) {
                            if (item.value == 10) throw failed_item{5};
                          },
                          relay),
                      failed_item);
    BOOST_TEST(given <= 6 + in_flight);
    BOOST_TEST(counted::alive() == 0);
  }
}

BOOST_AUTO_TEST_CASE(no_items_and_no_stages) {
  int count = 0;
  sp::run_pipeline(
      4, numbers(0), [&](counted&) { ++count; }, [](counted&) {});
  BOOST_TEST(count == 0);
  sp::run_pipeline(4, numbers(9), [&](counted&) { ++count; });
  BOOST_TEST(count == 9);
}

BOOST_AUTO_TEST_SUITE_END()
