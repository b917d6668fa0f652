#pragma once
#include <septum/core/config.hpp>

#include <algorithm>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// A stage that `workers` threads run at the same time, for different items.
template <class Work>
struct on_workers {
  Work work;
  int workers = 1;
};
template <class Work>
on_workers(Work, int) -> on_workers<Work>;  // clang 14 deduces no aggregates

/// A stage that holds several items at the same time, as a device does: they come out in the order
/// in which they went in. One thread uses it. submit takes an item in, or throws and does not;
/// collect finishes the oldest, which is out even when that throws. accepts says whether submit may
/// be called now, which an empty relay always allows. abandon waits for work that still uses items,
/// forgets them, and does not throw.
template <class R, class Item>
concept Relay = requires(R& relay, R const& constant, Item& item, Item const& next) {
  { constant.accepts(next) } -> std::convertible_to<bool>;
  relay.submit(item);
  relay.collect(item);
  relay.abandon();
};

namespace detail {

template <class Item>
struct passenger {
  std::size_t number = 0;
  Item item;
  std::exception_ptr failure{};
};

/// Between two stages: takes items in any order, gives them in that of their numbers. Holds as many
/// as may be under way, so that putting one in never waits and never allocates.
template <class Item>
class ordered_link {
 public:
  explicit ordered_link(std::size_t capacity) : places_(capacity) {}

  void put(passenger<Item> one) {
    std::lock_guard const lock{mutex_};
    auto& place = places_[one.number % places_.size()];
    place.emplace(std::move(one));
    changed_.notify_all();
  }
  /// There are `count` items in all.
  void close(std::size_t count) {
    std::lock_guard const lock{mutex_};
    count_ = count;
    changed_.notify_all();
  }
  /// The next item, waited for; nothing after the last.
  [[nodiscard]] std::optional<passenger<Item>> take() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return next_place().has_value() || count_ == next_; });
    return give();
  }
  /// The next item if it is there.
  [[nodiscard]] std::optional<passenger<Item>> take_now() {
    std::lock_guard const lock{mutex_};
    return give();
  }

 private:
  [[nodiscard]] std::optional<passenger<Item>>& next_place() {
    return places_[next_ % places_.size()];
  }
  [[nodiscard]] std::optional<passenger<Item>> give() {
    std::optional<passenger<Item>> one = std::exchange(next_place(), std::nullopt);
    if (one) ++next_;
    return one;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<passenger<Item>>> places_;
  std::size_t next_ = 0;
  std::optional<std::size_t> count_;
};

/// How many items may be under way.
class item_tickets {
 public:
  explicit item_tickets(std::size_t count) : left_{count} {}
  /// False when no more are given.
  [[nodiscard]] bool take() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return stopped_ || left_ > 0; });
    if (stopped_) return false;
    --left_;
    return true;
  }
  void give_back() {
    std::lock_guard const lock{mutex_};
    ++left_;
    changed_.notify_all();
  }
  void stop() {
    std::lock_guard const lock{mutex_};
    stopped_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] bool stopped() const {
    std::lock_guard const lock{mutex_};
    return stopped_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t left_;
  bool stopped_ = false;
};

template <class Work, class Item>
void attempt(Work&& work, passenger<Item>& one) {
  try {
    if (!one.failure) work(one.item);
  } catch (...) {
    one.failure = std::current_exception();
  }
}

/// How a stage is run, whatever it was given as.
template <class Stage>
struct stage_traits {
  static int workers(Stage const&) { return 1; }
  template <class S, class Item>
  static void run_one(S& stage, passenger<Item>& one) {
    if constexpr (Relay<S, Item>) {
      attempt([&](Item& item) { stage.submit(item), stage.collect(item); }, one);
      if (one.failure) stage.abandon();
    } else {
      attempt(stage, one);
    }
  }
};
template <class Work>
struct stage_traits<on_workers<Work>> {
  static int workers(on_workers<Work> const& stage) { return std::max(stage.workers, 1); }
  template <class S, class Item>
  static void run_one(S& stage, passenger<Item>& one) {
    attempt(stage.work, one);
  }
};

template <class Stage, class Item>
inline constexpr bool is_stage_v = std::invocable<Stage&, Item&> || Relay<Stage, Item>;
template <class Work, class Item>
inline constexpr bool is_stage_v<on_workers<Work>, Item> = std::invocable<Work&, Item&>;

/// The sink sees failures where it takes them, else they end the run.
template <class Sink, class Item>
void deliver(Sink& sink, passenger<Item>& one) {
  if constexpr (std::invocable<Sink&, Item&, std::exception_ptr>) {
    sink(one.item, one.failure);
  } else {
    if (one.failure) std::rethrow_exception(one.failure);
    sink(one.item);
  }
}

/// Threads of one run, joined at the end of the scope however it is left.
template <class Item>
class pipeline_run {
 public:
  pipeline_run(std::size_t in_flight, std::size_t links) : tickets_{in_flight} {
    for (std::size_t k = 0; k < links; ++k)
      links_.push_back(std::make_unique<ordered_link<Item>>(in_flight));
  }
  pipeline_run(pipeline_run const&) = delete;
  pipeline_run& operator=(pipeline_run const&) = delete;
  ~pipeline_run() {
    tickets_.stop();
    if (!has_source_) close(0);
    for (auto& thread : threads_) thread.join();
  }

  template <class Stage>
  void start_stage(std::size_t at, Stage& stage) {
    for (int k = 0; k < stage_traits<std::remove_const_t<Stage>>::workers(stage); ++k)
      threads_.emplace_back([this, at, &stage] {
        if constexpr (Relay<Stage, Item>)
          run_relay(*links_[at], *links_[at + 1], stage);
        else
          run_stage(*links_[at], *links_[at + 1], stage);
      });
  }
  template <class Source>
  void start_source(Source& source) {
    threads_.emplace_back([this, &source] { run_source(source); });
    has_source_ = true;
  }
  template <class Sink>
  void deliver_all(Sink& sink) {
    while (auto one = links_.back()->take()) {
      deliver(sink, *one);
      one.reset();
      tickets_.give_back();
    }
    if (source_failure_) std::rethrow_exception(source_failure_);
  }

 private:
  void close(std::size_t count) {
    for (auto& link : links_) link->close(count);
  }

  template <class Source>
  void run_source(Source& source) {
    std::size_t count = 0;
    try {
      while (tickets_.take()) {
        auto item = source();
        if (!item) break;
        links_.front()->put({count++, std::move(*item)});
      }
    } catch (...) {
      source_failure_ = std::current_exception();
    }
    close(count);
  }

  template <class Stage>
  void run_stage(ordered_link<Item>& from, ordered_link<Item>& to, Stage& stage) {
    while (auto one = from.take()) {
      if (!tickets_.stopped()) stage_traits<std::remove_const_t<Stage>>::run_one(stage, *one);
      to.put(std::move(*one));
    }
  }

  // Waits for another item only while the relay is empty: items that it holds may be all that there
  // may be.
  template <class R>
  void run_relay(ordered_link<Item>& from, ordered_link<Item>& to, R& relay) {
    std::vector<passenger<Item>> inside;
    auto const finish_oldest = [&] {
      auto one = std::move(inside.front());
      inside.erase(inside.begin());
      if (tickets_.stopped())
        relay.abandon();
      else
        attempt([&](Item& item) { relay.collect(item); }, one);
      to.put(std::move(one));
    };
    for (;;) {
      auto next = inside.empty() ? from.take() : from.take_now();
      if (!next) {
        if (inside.empty()) return;
        finish_oldest();
        continue;
      }
      if (!next->failure && !tickets_.stopped()) {
        attempt(
            [&](Item& item) {
              while (!inside.empty() && !relay.accepts(item)) finish_oldest();
              relay.submit(item);
            },
            *next);
        if (!next->failure) {
          inside.push_back(std::move(*next));
          continue;
        }
      }
      while (!inside.empty()) finish_oldest();
      relay.abandon();
      to.put(std::move(*next));
    }
  }

  item_tickets tickets_;
  std::vector<std::unique_ptr<ordered_link<Item>>> links_;
  std::vector<std::thread> threads_;
  std::exception_ptr source_failure_;
  bool has_source_ = false;
};

}  // namespace detail

/// Takes items from `source` through the stages to `sink`. Stages run next to each other, each in a
/// thread of its own or in several (on_workers), and a Relay holds several items by itself; the
/// sink runs in the caller's thread and gets every item in the order in which the source gave it.
/// With `in_flight` below 2, or where the system gives no threads, items go one by one in the
/// caller's thread; what comes out is the same.
///
/// What a stage throws travels with its item, which later stages let pass. A sink that can be
/// called with (item, std::exception_ptr) decides what becomes of it; otherwise the first failure
/// in the order of the items ends the run and is thrown, as is what source or sink throw. No thread
/// is left behind.
/// @param in_flight  items under way at most, from the source to the end of the sink
/// @param source     called as source(), gives std::optional<Item>, nothing at the end
/// @param sink       called as sink(item) or sink(item, failure)
/// @param stages     called as stage(item) and change it, in their order
template <class Source, class Sink, class... Stages>
void run_pipeline(int in_flight, Source source, Sink sink, Stages&&... stages) {
  using item = typename std::invoke_result_t<Source&>::value_type;
  static_assert((detail::is_stage_v<std::remove_cvref_t<Stages>, item> && ...),
                "septum: a stage of run_pipeline takes no item. FIX: give a function that is "
                "called with a reference to the source's item, on_workers of one, or a Relay.");
  if (in_flight > 1) {
    detail::pipeline_run<item> run{static_cast<std::size_t>(in_flight), sizeof...(Stages) + 1};
    bool started = false;
    try {
      std::size_t at = 0;
      (run.start_stage(at++, stages), ...);
      run.start_source(source);
      started = true;
    } catch (std::system_error const&) {
      started = false;  // no thread to be had, and no item taken yet
    }
    if (started) return run.deliver_all(sink);
  }
  for (std::size_t number = 0; auto next = source(); ++number) {
    detail::passenger<item> one{number, std::move(*next)};
    (detail::stage_traits<std::remove_cvref_t<Stages>>::run_one(stages, one), ...);
    detail::deliver(sink, one);
  }
}

}  // namespace septum::inline SEPTUM_ABI
